#include "auth/auth_impl.h"

#include <stdlib.h>

#include "node/base/buf.h"
#include "node/base/clock.h"

static const char *const verdict_names[] = {
	[AUTH_OK] = "ok",
	[AUTH_UNKNOWN] = "unknown user",
	[AUTH_MISMATCH] = "password mismatch",
	[AUTH_TEMPFAIL] = "temporary failure",
	[AUTH_DISABLED] = "disabled",
};

const char *auth_verdict_name(enum auth_verdict v)
{
	return verdict_names[v];
}

static void set_chars(struct auth *a, const char *chars)
{
	a->any_char = !chars || !*chars;
	for (; chars && *chars; chars++)
		a->allowed[(uint8_t)*chars] = true;
}

static int make_dbs(struct auth *a, const struct auth_settings *s,
		    struct err *e)
{
	int r = 0;

	if (s->n_passdbs > AUTH_DBS_MAX || s->n_userdbs > AUTH_DBS_MAX)
		return err_set(e, E_CONFIG, "more than %d passdb or userdb "
			       "blocks", AUTH_DBS_MAX);
	for (size_t i = 0; r == 0 && i < s->n_passdbs; i++) {
		r = passdb_new(&s->passdbs[i], &a->env,
			       &a->passdbs[a->n_passdbs], e);
		a->n_passdbs += r == 0;
	}
	for (size_t i = 0; r == 0 && i < s->n_userdbs; i++) {
		r = userdb_new(&s->userdbs[i], &a->env,
			       &a->userdbs[a->n_userdbs], e);
		a->n_userdbs += r == 0;
	}
	return r;
}

int auth_new(const struct auth_settings *s, struct auth **out, struct err *e)
{
	struct auth *a = NEW(struct auth);
	const char *scheme = s->default_scheme;
	int r;

	atomic_init(&a->refs, 1);
	a->default_scheme = xstrdup(scheme && *scheme ? scheme : "CRYPT");
	a->env = (struct auth_env){s->expand, s->reader,
				   s->clock ? s->clock : clock_system(),
				   a->default_scheme};
	a->username_format = xstrdup(s->username_format ? s->username_format
							: "");
	set_chars(a, s->username_chars);
	a->uid = s->uid;
	r = sasl_ctx_new(s->mechanisms ? s->mechanisms : "", &a->sasl, e);
	if (r == 0)
		r = make_dbs(a, s, e);
	if (r < 0) {
		auth_unref(a);
		return r;
	}
	*out = a;
	return 0;
}

struct auth *auth_ref(struct auth *a)
{
	atomic_fetch_add(&a->refs, 1);
	return a;
}

void auth_unref(struct auth *a)
{
	if (!a || atomic_fetch_sub(&a->refs, 1) > 1)
		return;
	for (size_t i = 0; i < a->n_passdbs; i++)
		passdb_free(a->passdbs[i]);
	for (size_t i = 0; i < a->n_userdbs; i++)
		userdb_free(a->userdbs[i]);
	sasl_ctx_free(a->sasl);
	free(a->username_format);
	free(a->default_scheme);
	free(a);
}

const char *auth_mechanisms(const struct auth *a)
{
	return sasl_ctx_mechs(a->sasl);
}

bool auth_has_mechanism(const struct auth *a, struct slice name)
{
	return sasl_ctx_find(a->sasl, name) != NULL;
}

const char *auth_printable(struct arena *a, struct slice text)
{
	char *to;

	text = slice_sub(text, 0, AUTH_NAME_MAX);
	to = text.n ? arena_strndup(a, text.p, text.n) : arena_strdup(a, "");
	for (size_t i = 0; i < text.n; i++)
		if ((uint8_t)to[i] < 0x20 || to[i] == 0x7f)
			to[i] = '?';
	return to;
}

int auth_check_name(struct slice name, struct err *e)
{
	if (!name.n)
		return err_set(e, E_INVALID, "Empty username");
	if (name.n > AUTH_NAME_MAX)
		return err_set(e, E_INVALID, "Username is longer than %d bytes",
			       AUTH_NAME_MAX);
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] < 0x20 || name.p[i] == 0x7f)
			return err_set(e, E_INVALID, "Username character "
				       "disallowed: 0x%02x", name.p[i]);
	return 0;
}

static int check_chars(const struct auth *a, struct slice typed,
		       struct arena *arena, struct err *e)
{
	for (size_t i = 0; i < typed.n && !a->any_char; i++)
		if (!a->allowed[typed.p[i]])
			return err_set(e, E_INVALID, "Username character "
				       "disallowed by auth_username_chars: "
				       "0x%02x (username: %s)", typed.p[i],
				       auth_printable(arena, typed));
	return auth_check_name(typed, e);
}

int auth_canonical(const struct auth *a, const struct auth_peer *peer,
		   struct slice typed, struct arena *arena, const char **out,
		   struct err *e)
{
	struct auth_query q = {.peer = peer, .arena = arena};
	const char *name;
	int r = check_chars(a, typed, arena, e);

	if (r < 0)
		return r;
	name = q.user = arena_strndup(arena, typed.p, typed.n);
	if (*a->username_format)
		r = auth_expand_text(&a->env, &q, NULL, a->username_format,
				     false, &name, e);
	if (r < 0) {
		err_prefix(e, "auth_username_format");
		return r;
	}
	r = auth_check_name(slice_str(name), e);
	if (r == 0)
		*out = name;
	return r;
}
