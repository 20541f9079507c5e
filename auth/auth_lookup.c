#include "auth/auth_impl.h"

#include <stdlib.h>

#include "node/base/map.h"

static void start(struct auth_result *out, struct slice typed,
		  struct arena *arena)
{
	*out = (struct auth_result){
		.verdict = AUTH_TEMPFAIL,
		.login = auth_printable(arena, typed),
		.user = "",
		.mech = "",
		.uid = AUTH_NO_UID,
		.gid = AUTH_NO_UID,
		.home = "",
		.e = ERR_NONE,
	};
	out->user = out->login;
}

/* Of all failures the gravest is told: a backend that did not answer might
 * have known the user, a wrong password says more than an unknown name. */
static unsigned gravity(enum auth_verdict v)
{
	return v == AUTH_TEMPFAIL ? 3 : v == AUTH_MISMATCH ? 2 : 1;
}

static void note_failure(struct auth_result *out, bool first,
			 enum auth_verdict v, const struct err *e)
{
	if (first || gravity(v) > gravity(out->verdict)) {
		out->verdict = v;
		out->e = *e;
	}
}

/* The backend's `user` field becomes the canonical name. */
static int take_user_field(struct auth_result *out, const char *driver,
			   const struct auth_query *q, struct err *e)
{
	const char *name = fields_get(&out->fields, "user");

	if (name) {
		int r = auth_check_name(slice_str(name), e);

		if (r < 0) {
			err_prefix(e, "field user");
			auth_say_prefix(e, driver, q);
			return r;
		}
		out->user = name;
	}
	return 0;
}

static void take_success(struct auth_result *out, const char *driver,
			 const struct auth_query *q, bool is_login)
{
	const char *reason;

	if (take_user_field(out, driver, q, &out->e) < 0) {
		out->verdict = AUTH_TEMPFAIL;
		return;
	}
	fields_set(&out->fields, q->arena, "user", out->user, NULL);
	out->verdict = AUTH_OK;
	out->e = ERR_NONE;
	if (!is_login || !fields_yes(&out->fields, "nologin"))
		return;
	reason = fields_get(&out->fields, "reason");
	out->verdict = AUTH_DISABLED;
	auth_say(&out->e, E_PERM, driver, q, "Login disabled (nologin)");
	err_client(&out->e, "%s", reason && *reason ? reason
			   : "Login is disabled for this account.");
}

/* Asks each passdb in turn; password NULL = lookup only. */
static void ask_passdbs(struct auth *a, const struct auth_query *q,
			const struct slice *password, const char **stored,
			struct auth_result *out)
{
	for (size_t i = 0; i < a->n_passdbs; i++) {
		struct passdb *db = a->passdbs[i];
		struct err e = ERR_NONE;
		enum auth_verdict v =
			password ? passdb_verify(db, q, *password,
						 &out->fields, &e)
				 : passdb_lookup(db, q, &out->fields, stored,
						 &e);

		if (v == AUTH_OK) {
			take_success(out, passdb_driver(db), q,
				     password != NULL);
			return;
		}
		note_failure(out, i == 0, v, &e);
	}
	if (!a->n_passdbs)
		err_set(&out->e, E_CONFIG, "no passdb is configured: nobody "
			"can log in");
}

/* Canonical name into out->user; false with verdict and text. */
static bool take_name(struct auth *a, const struct auth_peer *peer,
		      struct slice typed, enum auth_verdict bad,
		      struct arena *arena, struct auth_result *out)
{
	int r = auth_canonical(a, peer, typed, arena, &out->user, &out->e);
	struct auth_query q = {peer, out->user, arena};

	if (r < 0) {
		auth_say_prefix(&out->e, "auth", &q);
		out->verdict = r == E_INVALID ? bad : AUTH_TEMPFAIL;
	}
	return r == 0;
}

void auth_password_now(struct auth *a, const struct auth_peer *peer,
		       struct slice typed, struct slice password,
		       struct arena *arena, struct auth_result *out)
{
	start(out, typed, arena);
	if (!take_name(a, peer, typed, AUTH_MISMATCH, arena, out))
		return;

	struct auth_query q = {peer, out->user, arena};

	if (password.n > AUTH_PASSWORD_MAX) {
		out->verdict = AUTH_MISMATCH;
		auth_say(&out->e, E_AUTH, "auth", &q, "password is too long");
		return;
	}
	ask_passdbs(a, &q, &password, NULL, out);
}

void auth_passdb_now(struct auth *a, const struct auth_peer *peer,
		     struct slice typed, struct arena *arena,
		     struct auth_result *out)
{
	const char *stored = NULL;

	start(out, typed, arena);
	if (!take_name(a, peer, typed, AUTH_UNKNOWN, arena, out))
		return;

	struct auth_query q = {peer, out->user, arena};

	ask_passdbs(a, &q, NULL, &stored, out);
	if (out->verdict == AUTH_OK && stored)
		fields_set(&out->fields, arena, "password", stored, NULL);
}

/* Is there such a user, although this userdb answers for everybody?  A user
 * without a password exists all the same. */
static enum auth_verdict ask_existence(struct auth *a,
				       const struct auth_query *q,
				       struct auth_result *out, struct err *e)
{
	struct auth_result known;
	const char *stored;

	start(&known, slice_str(q->user), q->arena);
	ask_passdbs(a, q, NULL, &stored, &known);
	if (known.verdict == AUTH_OK && strcmp(known.user, q->user) != 0)
		out->user = known.user;
	if (known.verdict == AUTH_OK || known.verdict == AUTH_MISMATCH)
		return AUTH_OK;
	*e = known.e;
	return known.verdict;
}

static int resolve_ids(struct auth_result *out, struct err *e)
{
	const char *uid = fields_get(&out->fields, "uid");
	const char *gid = fields_get(&out->fields, "gid");
	uint32_t primary = AUTH_NO_UID;
	int r = 0;

	if (uid && *uid)
		r = auth_resolve_uid(uid, &out->uid, &primary, e);
	if (r == 0 && gid && *gid)
		r = auth_resolve_gid(gid, &out->gid, e);
	else if (r == 0)
		out->gid = primary;
	return r;
}

/* uid, gid and home come first, as 2.3 prints them; `user` is the result's. */
static void order_fields(struct auth_result *out, struct arena *arena)
{
	static const char *const own[] = {"uid", "gid", "home", "user"};
	struct auth_fields old = out->fields, f = {0};

	fields_set(&f, arena, "uid", arena_printf(arena, "%u", out->uid), NULL);
	if (out->gid != AUTH_NO_UID)
		fields_set(&f, arena, "gid",
			   arena_printf(arena, "%u", out->gid), NULL);
	if (*out->home)
		fields_set(&f, arena, "home", out->home, NULL);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		fields_remove(&old, own[i]);
	for (size_t i = 0; i < old.n; i++)
		fields_set(&f, arena, old.v[i].name, old.v[i].value, NULL);
	out->fields = f;
}

static enum auth_verdict take_account(struct auth *a, const char *driver,
				      const struct auth_query *q,
				      struct auth_result *out, struct err *e)
{
	const char *home = fields_get(&out->fields, "home");
	int r = take_user_field(out, driver, q, e);

	if (r < 0)
		return AUTH_TEMPFAIL;
	r = resolve_ids(out, e);
	if (r == 0)
		r = auth_check_uid(&a->uid, out->user, &out->uid, &out->gid, e);
	if (r < 0) {
		auth_say_prefix(e, driver, q);
		return AUTH_TEMPFAIL;
	}
	out->home = home ? home : "";
	order_fields(out, q->arena);
	return AUTH_OK;
}

static enum auth_verdict ask_userdb(struct auth *a, struct userdb *db,
				    const struct auth_query *asked,
				    bool authenticated,
				    struct auth_result *out, struct err *e)
{
	struct auth_query q = *asked;
	enum auth_verdict v = AUTH_OK;

	if (!authenticated && userdb_knows_everybody(db)) {
		v = ask_existence(a, &q, out, e);
		q.user = out->user;
	}
	if (v == AUTH_OK)
		v = userdb_lookup(db, &q, &out->fields, e);
	if (v == AUTH_OK)
		v = take_account(a, userdb_driver(db), &q, out, e);
	return v;
}

void auth_userdb_now(struct auth *a, const struct auth_peer *peer,
		     struct slice typed, bool authenticated,
		     struct arena *arena, struct auth_result *out)
{
	start(out, typed, arena);
	if (authenticated && auth_check_name(typed, &out->e) == 0)
		out->user = arena_strndup(arena, typed.p, typed.n);
	else if (!take_name(a, peer, typed, AUTH_UNKNOWN, arena, out))
		return;

	struct auth_query q = {peer, out->user, arena};

	for (size_t i = 0; i < a->n_userdbs; i++) {
		struct err e = ERR_NONE;
		enum auth_verdict v = ask_userdb(a, a->userdbs[i], &q,
						 authenticated, out, &e);

		if (v == AUTH_OK) {
			out->verdict = AUTH_OK;
			out->e = ERR_NONE;
			return;
		}
		note_failure(out, i == 0, v, &e);
		out->user = q.user;
		out->uid = out->gid = AUTH_NO_UID;
		out->fields = (struct auth_fields){0};
	}
	if (!a->n_userdbs)
		err_set(&out->e, E_CONFIG, "no userdb is configured: where "
			"mail of %s lies is not known", q.user);
}

void auth_sasl_check_now(struct auth *a, const struct auth_peer *peer,
			 const struct sasl_answer *answer,
			 struct arena *arena, struct auth_result *out)
{
	const char *authz, *authc;
	struct err e = ERR_NONE;

	if (answer->authzid.n && !slice_eq(answer->authzid, answer->authcid) &&
	    (auth_canonical(a, peer, answer->authzid, arena, &authz, &e) < 0 ||
	     auth_canonical(a, peer, answer->authcid, arena, &authc, &e) < 0 ||
	     strcmp(authz, authc) != 0)) {
		start(out, answer->authcid, arena);

		struct auth_query q = {peer, out->user, arena};

		out->verdict = AUTH_MISMATCH;
		auth_say(&out->e, E_AUTH, "auth", &q, "may not log in as "
			 "another user (authorization identity %s)",
			 auth_printable(arena, answer->authzid));
		return;
	}
	auth_password_now(a, peer, answer->authcid, answer->password, arena,
			  out);
}

/* ---- iteration --------------------------------------------------------- */

struct names {
	struct auth *a;
	struct arena *arena;
	struct map *seen;
	const char **v;
	size_t n, cap;
};

static void add_name(void *arg, struct slice user)
{
	static const struct auth_peer nobody = {.service = "doveadm"};
	struct names *l = arg;
	const char *name;

	/* A name that nobody can log in with is no account. */
	if (auth_canonical(l->a, &nobody, user, l->arena, &name, NULL) < 0 ||
	    map_get(l->seen, slice_str(name)))
		return;
	map_put(l->seen, slice_str(name), l);
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = name;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

int auth_iterate_now(struct auth *a, struct arena *arena,
		     const char ***names_out, size_t *n_out, struct err *e)
{
	struct names l = {.a = a, .arena = arena, .seen = map_new()};
	int r = 0;

	for (size_t i = 0; i < a->n_userdbs; i++) {
		int one = userdb_each(a->userdbs[i], add_name, &l,
				      r == 0 ? e : NULL);

		if (one < 0 && r == 0)
			r = one;
	}
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_name);
	*names_out = arena_alloc(arena, (l.n + 1) * sizeof(*l.v));
	if (l.n)
		memcpy(*names_out, l.v, l.n * sizeof(*l.v));
	*n_out = l.n;
	free(l.v);
	map_free(l.seen);
	return r;
}
