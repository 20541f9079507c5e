#include "auth/passdb_impl.h"

#include <stdlib.h>

#include "auth/scheme.h"

struct passdb {
	struct auth_db db;
	const struct passdb_ops *ops;
};

static const struct auth_db_driver *const drivers[] = {
	&passdb_passwd_file.db, &passdb_static.db,
};

int passdb_new(const struct auth_db_settings *s, const struct auth_env *env,
	       struct passdb **out, struct err *e)
{
	struct passdb *db = NEW(struct passdb);
	int r = auth_db_open(&db->db, "passdb", drivers, ARRAY_LEN(drivers),
			     NULL, s, env, e);

	if (r < 0) {
		free(db);
		return r;
	}
	db->ops = CONTAINER_OF(db->db.driver, const struct passdb_ops, db);
	*out = db;
	return 0;
}

const char *passdb_driver(const struct passdb *db)
{
	return db->db.driver->name;
}

void passdb_free(struct passdb *db)
{
	if (!db)
		return;
	auth_db_close(&db->db);
	free(db);
}

static enum auth_verdict failed(struct passdb *db, const struct auth_query *q,
				struct err *e)
{
	auth_say_prefix(e, db->db.driver->name, q);
	return AUTH_TEMPFAIL;
}

/* Puts the scheme before a bare password. */
static const char *with_scheme(struct arena *a, const char *stored,
			       const char *scheme)
{
	struct slice name, data;

	scheme_split(slice_str(stored), &name, &data);
	return name.n ? stored : arena_printf(a, "{%s}%s", scheme, stored);
}

enum auth_verdict passdb_lookup(struct passdb *db, const struct auth_query *q,
				struct auth_fields *fields,
				const char **stored_out, struct err *e)
{
	const char *stored = NULL, *scheme = db->db.env.default_scheme;
	struct auth_fields got = {0};
	enum auth_verdict v;

	if (auth_expand_fields(&db->db.env, q, &db->db.defaults, &got, e) < 0)
		return failed(db, q, e);
	v = db->ops->lookup(db->db.state, &db->db.env, q, &got, &stored, &scheme, e);
	if (v != AUTH_OK)
		return v;

	/* default_fields and override_fields may set the password, too. */
	if (!stored || !*stored)
		stored = fields_get(&got, "password");
	fields_remove(&got, "password");
	if (auth_expand_fields(&db->db.env, q, &db->db.overrides, &got, e) < 0)
		return failed(db, q, e);
	if (fields_get(&got, "password")) {
		stored = fields_get(&got, "password");
		fields_remove(&got, "password");
	}
	if (fields_yes(&got, "nopassword")) {
		stored = NULL;
	} else if (!stored || !*stored) {
		auth_say(e, E_AUTH, db->db.driver->name, q,
			 "No password returned (and no nopassword)");
		return AUTH_MISMATCH;
	} else {
		stored = with_scheme(q->arena, stored, scheme);
	}
	*fields = got;
	*stored_out = stored;
	return AUTH_OK;
}

enum auth_verdict passdb_verify(struct passdb *db, const struct auth_query *q,
				struct slice password,
				struct auth_fields *fields, struct err *e)
{
	struct auth_fields got = {0};
	const char *stored, *nets;
	enum auth_verdict v = passdb_lookup(db, q, &got, &stored, e);
	int r = 1;

	if (v != AUTH_OK)
		return v;
	if (stored)
		r = scheme_verify(slice_str(stored), "", password, e);
	if (r < 0)
		return failed(db, q, e);
	if (r == 0) {
		auth_say(e, E_AUTH, db->db.driver->name, q, "Password mismatch");
		return AUTH_MISMATCH;
	}
	nets = fields_get(&got, "allow_nets");
	if (nets && !auth_nets_match(nets, q->peer->rip)) {
		bool known = q->peer->rip && *q->peer->rip;

		auth_say(e, E_AUTH, db->db.driver->name, q, "allow_nets check "
			 "failed: %s%s", known ? "IP not in allowed networks"
					       : "Remote IP not known",
			 known ? "" : " and 'local' missing");
		return AUTH_MISMATCH;
	}
	*fields = got;
	return AUTH_OK;
}
