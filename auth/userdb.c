#include "auth/userdb_impl.h"

#include <stdlib.h>

struct userdb {
	struct auth_db db;
	const struct userdb_ops *ops;
};

static const struct auth_db_driver *const drivers[] = {
	&userdb_passwd_file.db, &userdb_static.db,
};

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

int userdb_new(const struct auth_db_settings *s, const struct auth_env *env,
	       struct userdb **out, struct err *e)
{
	struct userdb *db = NEW(struct userdb);
	int r = auth_db_open(&db->db, "userdb", drivers, ARRAY_LEN(drivers),
			     userdb_check_template, s, env, e);

	if (r < 0) {
		free(db);
		return r;
	}
	db->ops = CONTAINER_OF(db->db.driver, const struct userdb_ops, db);
	*out = db;
	return 0;
}

void userdb_free(struct userdb *db)
{
	if (!db)
		return;
	auth_db_close(&db->db);
	free(db);
}

const char *userdb_driver(const struct userdb *db)
{
	return db->db.driver->name;
}

bool userdb_knows_everybody(const struct userdb *db)
{
	return db->ops->knows_everybody && db->ops->knows_everybody(db->db.state);
}

enum auth_verdict userdb_lookup(struct userdb *db, const struct auth_query *q,
				struct auth_fields *fields, struct err *e)
{
	struct auth_fields got = {0};
	int r = auth_expand_fields(&db->db.env, q, &db->db.defaults, &got, e);

	if (r == 0) {
		enum auth_verdict v = db->ops->lookup(db->db.state, &db->db.env, q,
						      &got, e);
		if (v != AUTH_OK)
			return v;
		r = auth_expand_fields(&db->db.env, q, &db->db.overrides, &got, e);
	}
	if (r < 0) {
		auth_say_prefix(e, db->db.driver->name, q);
		/* A name that cannot be part of a path is nobody's. */
		return r == E_INVALID ? AUTH_UNKNOWN : AUTH_TEMPFAIL;
	}
	*fields = got;
	return AUTH_OK;
}

int userdb_each(struct userdb *db, userdb_name_cb *cb, void *arg,
		struct err *e)
{
	return db->ops->each(db->db.state, cb, arg, e);
}
