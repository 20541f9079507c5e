#include "auth/passdb_impl.h"

#include <stdlib.h>

/* "password=… nopassword user=… allow_nets=…": the same for every user, with
 * variables. */
struct state {
	struct arena *arena;
	struct auth_fields fields;
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
	if (r < 0) {
		err_prefix(e, "args of driver static");
		fini(s);
		return r;
	}
	*state = s;
	return 0;
}

static enum auth_verdict lookup(void *state, const struct auth_env *env,
				const struct auth_query *q,
				struct auth_fields *fields,
				const char **stored_out,
				const char **default_scheme_out, struct err *e)
{
	struct state *s = state;
	int r = auth_expand_fields(env, q, &s->fields, fields, e);

	if (r < 0) {
		auth_say_prefix(e, passdb_static.db.name, q);
		return AUTH_TEMPFAIL;
	}
	*default_scheme_out = "PLAIN";
	*stored_out = fields_get(fields, "password");
	fields_remove(fields, "password");
	return AUTH_OK;
}

const struct passdb_ops passdb_static = {
	.db.name = "static",
	.db.init = init,
	.db.fini = fini,
	.lookup = lookup,
};
