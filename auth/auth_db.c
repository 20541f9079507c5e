#include "auth/auth_db.h"

static int template(struct auth_db *db, const char *text, const char *setting,
		    int (*check)(const struct auth_fields *f, struct err *e),
		    struct auth_fields *f, struct err *e)
{
	int r = fields_parse(f, db->arena, slice_str(text), e);

	if (r == 0 && check)
		r = check(f, e);
	if (r < 0)
		err_prefix(e, "%s", setting);
	return r;
}

static int find_driver(struct auth_db *db,
		       const struct auth_db_driver *const *drivers,
		       size_t n_drivers, const char *name, struct err *e)
{
	for (size_t i = 0; i < n_drivers; i++)
		if (strcmp(name, drivers[i]->name) == 0)
			db->driver = drivers[i];
	if (db->driver)
		return 0;
	return err_set(e, E_CONFIG, "driver = %s is not in this build "
		       "(passwd-file, static are)", name);
}

int auth_db_open(struct auth_db *db, const char *kind,
		 const struct auth_db_driver *const *drivers, size_t n_drivers,
		 int (*check)(const struct auth_fields *f, struct err *e),
		 const struct auth_db_settings *s, const struct auth_env *env,
		 struct err *e)
{
	int r;

	*db = (struct auth_db){.env = *env, .arena = arena_new(512)};
	r = template(db, s->default_fields, "default_fields", check,
		     &db->defaults, e);
	if (r == 0)
		r = template(db, s->override_fields, "override_fields", check,
			     &db->overrides, e);
	if (r == 0)
		r = find_driver(db, drivers, n_drivers,
				s->driver ? s->driver : "", e);
	if (r == 0)
		r = db->driver->init(s->args ? s->args : "", &db->env,
				     &db->state, e);
	if (r == 0)
		return 0;
	err_prefix(e, "%s%s%s", s->where ? s->where : "",
		   s->where ? ": " : "", kind);
	auth_db_close(db);
	if (e)
		e->code = E_CONFIG;
	return E_CONFIG;
}

void auth_db_close(struct auth_db *db)
{
	if (db->state)
		db->driver->fini(db->state);
	arena_free(db->arena);
	*db = (struct auth_db){0};
}
