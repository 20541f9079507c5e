#ifndef DUET_AUTH_DB_H
#define DUET_AUTH_DB_H

/* What a passdb {} and a userdb {} block have in common: a driver with its
 * state, and the templates of default_fields and override_fields. */

#include "auth/auth_env.h"

struct auth_db_driver {
	const char *name;
	/* Prepares *state from the block's args. */
	int (*init)(const char *args, const struct auth_env *env,
		    void **state, struct err *e);
	void (*fini)(void *state);
};

struct auth_db {
	const struct auth_db_driver *driver;
	void *state;
	struct auth_env env;
	struct arena *arena;		/* of the templates */
	struct auth_fields defaults, overrides;
};

/* kind: "passdb", "userdb", for errors.  check (NULL = none) judges each of
 * the templates.  On E_CONFIG, which names place and driver, db is as after
 * auth_db_close(). */
int auth_db_open(struct auth_db *db, const char *kind,
		 const struct auth_db_driver *const *drivers, size_t n_drivers,
		 int (*check)(const struct auth_fields *f, struct err *e),
		 const struct auth_db_settings *s, const struct auth_env *env,
		 struct err *e);
void auth_db_close(struct auth_db *db);

#endif
