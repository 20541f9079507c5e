#include "auth/passdb_impl.h"

#include "auth/passwd_file.h"

static int init(const char *args, const struct auth_env *env, void **state,
		struct err *e)
{
	struct passwd_file *f;
	int r = passwd_file_new(args, env, &f, e);

	if (r == 0)
		*state = f;
	return r;
}

static void fini(void *state)
{
	passwd_file_free(state);
}

/* All extra fields, those for the userdb included, under their names. */
static int add_extra(const struct auth_env *env, const struct auth_query *q,
		     struct slice extra, struct auth_fields *fields,
		     struct err *e)
{
	struct auth_fields templ = {0};
	int r = fields_parse(&templ, q->arena, extra, e);

	return r < 0 ? r : auth_expand_fields(env, q, &templ, fields, e);
}

static enum auth_verdict lookup(void *state, const struct auth_env *env,
				const struct auth_query *q,
				struct auth_fields *fields,
				const char **stored_out,
				const char **default_scheme_out, struct err *e)
{
	struct passwd_entry entry;
	int r = passwd_file_find(state, q, &entry, e);

	if (r == 0) {
		auth_say(e, E_NOTFOUND, passdb_passwd_file.db.name, q,
			 "unknown user");
		return AUTH_UNKNOWN;
	}
	if (r > 0)
		r = add_extra(env, q, entry.extra, fields, e);
	if (r < 0) {
		auth_say_prefix(e, passdb_passwd_file.db.name, q);
		return AUTH_TEMPFAIL;
	}
	*stored_out = (const char *)entry.password.p;
	*default_scheme_out = passwd_file_scheme(state);
	return AUTH_OK;
}

const struct passdb_ops passdb_passwd_file = {
	.db.name = "passwd-file",
	.db.init = init,
	.db.fini = fini,
	.lookup = lookup,
};
