#include "auth/userdb_impl.h"

#include <stdlib.h>

/* "uid=vmail gid=vmail home=/var/mail/%n allow_all_users=yes": the same for
 * every user, with variables. */
struct state {
	struct arena *arena;
	struct auth_fields fields;
	bool allow_all;
};

static void fini(void *arg)
{
	struct state *s = arg;

	arena_free(s->arena);
	free(s);
}

static int init(const char *args, const struct auth_env *env, void **state,
		struct err *e)
{
	struct state *s = NEW(struct state);
	int r;

	(void)env;
	s->arena = arena_new(256);
	r = fields_parse(&s->fields, s->arena, slice_str(args), e);
	if (r == 0)
		r = userdb_check_template(&s->fields, e);
	if (r < 0) {
		err_prefix(e, "args of driver static");
		fini(s);
		return r;
	}
	s->allow_all = fields_yes(&s->fields, "allow_all_users");
	fields_remove(&s->fields, "allow_all_users");
	*state = s;
	return 0;
}

static enum auth_verdict lookup(void *state, const struct auth_env *env,
				const struct auth_query *q,
				struct auth_fields *fields, struct err *e)
{
	struct state *s = state;
	int r = auth_expand_fields(env, q, &s->fields, fields, e);

	if (r < 0) {
		auth_say_prefix(e, userdb_static.db.name, q);
		return r == E_INVALID ? AUTH_UNKNOWN : AUTH_TEMPFAIL;
	}
	return AUTH_OK;
}

static int each(void *state, userdb_name_cb *cb, void *arg, struct err *e)
{
	(void)state;
	(void)cb;
	(void)arg;
	return err_set(e, E_UNSUPPORTED, "userdb static cannot list users");
}

static bool knows_everybody(const void *state)
{
	const struct state *s = state;

	return !s->allow_all;
}

const struct userdb_ops userdb_static = {
	.db.name = "static",
	.db.init = init,
	.db.fini = fini,
	.lookup = lookup,
	.each = each,
	.knows_everybody = knows_everybody,
};
