#ifndef DUET_AUTH_USERDB_H
#define DUET_AUTH_USERDB_H

/* One userdb {} block: where an account lives.  Safe in any thread. */

#include "auth/auth_env.h"

struct userdb;

int userdb_new(const struct auth_db_settings *s, const struct auth_env *env,
	       struct userdb **out, struct err *e);
void userdb_free(struct userdb *db);	/* NULL is fine */
const char *userdb_driver(const struct userdb *db);
/* True if it answers for any name, so that a passdb must be asked whether
 * there is such a user (static without allow_all_users). */
bool userdb_knows_everybody(const struct userdb *db);
/* AUTH_OK: *fields are default_fields, the backend's, override_fields. */
enum auth_verdict userdb_lookup(struct userdb *db, const struct auth_query *q,
				struct auth_fields *fields, struct err *e);
typedef void userdb_name_cb(void *arg, struct slice user);
int userdb_each(struct userdb *db, userdb_name_cb *cb, void *arg,
		struct err *e);

#endif
