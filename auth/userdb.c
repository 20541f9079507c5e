#include "auth/userdb_impl.h"

#include <stdlib.h>

struct userdb {
	const struct userdb_ops *ops;
	void *state;
	struct auth_env env;
	struct arena *arena;		/* of the templates */
	struct auth_fields defaults, overrides;
};

static const struct userdb_ops *const drivers[] = {&userdb_passwd_file,
						   &userdb_static};

int userdb_check_template(const struct auth_fields *f, struct err *e)
{
	const char *uid = fields_get(f, "uid"), *gid = fields_get(f, "gid");
	uint32_t id;
	int r = 0;

	if (uid && !strchr(uid, '%'))
		r = auth_resolve_uid(uid, &id, NULL, e);
	if (r == 0 && gid && !strchr(gid, '%'))
		r = auth_resolve_gid(gid, &id, e);
	return r;
}

static int template(struct userdb *db, const char *text, const char *setting,
		    struct auth_fields *f, struct err *e)
{
	int r = fields_parse(f, db->arena, slice_str(text), e);

	if (r == 0)
		r = userdb_check_template(f, e);
	if (r < 0)
		err_prefix(e, "%s", setting);
	return r;
}

static int fill(struct userdb *db, const struct auth_db_settings *s,
		struct err *e)
{
	int r = template(db, s->default_fields, "default_fields",
			 &db->defaults, e);

	if (r == 0)
		r = template(db, s->override_fields, "override_fields",
			     &db->overrides, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (s->driver && strcmp(s->driver, drivers[i]->name) == 0)
			db->ops = drivers[i];
	if (!db->ops)
		return err_set(e, E_CONFIG, "driver = %s is not in this build "
			       "(passwd-file, static are)",
			       s->driver ? s->driver : "");
	return db->ops->init(s->args ? s->args : "", &db->env, &db->state, e);
}

int userdb_new(const struct auth_db_settings *s, const struct auth_env *env,
	       struct userdb **out, struct err *e)
{
	struct userdb *db = NEW(struct userdb);
	int r;

	db->env = *env;
	db->arena = arena_new(512);
	r = fill(db, s, e);
	if (r < 0) {
		err_prefix(e, "%s%suserdb", s->where ? s->where : "",
			   s->where ? ": " : "");
		userdb_free(db);
		if (e)
			e->code = E_CONFIG;
		return E_CONFIG;
	}
	*out = db;
	return 0;
}

void userdb_free(struct userdb *db)
{
	if (!db)
		return;
	if (db->state)
		db->ops->fini(db->state);
	arena_free(db->arena);
	free(db);
}

const char *userdb_driver(const struct userdb *db)
{
	return db->ops->name;
}

bool userdb_knows_everybody(const struct userdb *db)
{
	return db->ops->knows_everybody && db->ops->knows_everybody(db->state);
}

enum auth_verdict userdb_lookup(struct userdb *db, const struct auth_query *q,
				struct auth_fields *fields, struct err *e)
{
	struct auth_fields got = {0};
	int r = auth_expand_fields(&db->env, q, &db->defaults, &got, e);

	if (r == 0) {
		enum auth_verdict v = db->ops->lookup(db->state, &db->env, q,
						      &got, e);
		if (v != AUTH_OK)
			return v;
		r = auth_expand_fields(&db->env, q, &db->overrides, &got, e);
	}
	if (r < 0) {
		auth_say_prefix(e, db->ops->name, q);
		/* A name that cannot be part of a path is nobody's. */
		return r == E_INVALID ? AUTH_UNKNOWN : AUTH_TEMPFAIL;
	}
	*fields = got;
	return AUTH_OK;
}

int userdb_each(struct userdb *db, userdb_name_cb *cb, void *arg,
		struct err *e)
{
	return db->ops->each(db->state, cb, arg, e);
}
