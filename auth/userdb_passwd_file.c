#include "auth/userdb_impl.h"

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

static int set(struct auth_fields *fields, const struct auth_query *q,
	       const char *name, struct slice value, struct err *e)
{
	return value.n ? fields_set(fields, q->arena, name,
				    (const char *)value.p, e) : 0;
}

/* Of the extra fields only those that begin with userdb_, without it. */
static int add_extra(const struct auth_env *env, const struct auth_query *q,
		     struct slice extra, struct auth_fields *fields,
		     struct err *e)
{
	struct auth_fields templ = {0};
	int r = fields_parse(&templ, q->arena, extra, e);

	for (size_t i = 0; r == 0 && i < templ.n; i++)
		if (strncmp(templ.v[i].name, "userdb_", 7) == 0)
			r = auth_expand_field(env, q, fields,
					      templ.v[i].name + 7,
					      templ.v[i].value, e);
	return r;
}

static enum auth_verdict lookup(void *state, const struct auth_env *env,
				const struct auth_query *q,
				struct auth_fields *fields, struct err *e)
{
	struct passwd_entry entry;
	int r = passwd_file_find(state, q, &entry, e);

	if (r == 0) {
		auth_say(e, E_NOTFOUND, userdb_passwd_file.db.name, q,
			 "unknown user");
		return AUTH_UNKNOWN;
	}
	if (r > 0)
		r = set(fields, q, "uid", entry.uid, e);
	if (r >= 0)
		r = set(fields, q, "gid", entry.gid, e);
	if (r >= 0)
		r = set(fields, q, "home", entry.home, e);
	if (r >= 0)
		r = add_extra(env, q, entry.extra, fields, e);
	if (r < 0) {
		auth_say_prefix(e, userdb_passwd_file.db.name, q);
		return AUTH_TEMPFAIL;
	}
	return AUTH_OK;
}

static int each(void *state, userdb_name_cb *cb, void *arg, struct err *e)
{
	return passwd_file_each(state, cb, arg, e);
}

const struct userdb_ops userdb_passwd_file = {
	.db.name = "passwd-file",
	.db.init = init,
	.db.fini = fini,
	.lookup = lookup,
	.each = each,
};
