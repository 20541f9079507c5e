#ifndef DUET_AUTH_PASSDB_H
#define DUET_AUTH_PASSDB_H

/* One passdb {} block: fields of a user, and whether a password is his.
 * Safe in any thread. */

#include "auth/auth_env.h"

struct passdb;

/* E_CONFIG names the driver and the place. */
int passdb_new(const struct auth_db_settings *s, const struct auth_env *env,
	       struct passdb **out, struct err *e);
void passdb_free(struct passdb *db);	/* NULL is fine */
const char *passdb_driver(const struct passdb *db);

/*
 * AUTH_OK: fields are added (default_fields, the backend's, override_fields).
 * *stored_out: the stored password with its scheme in braces, NULL if any
 * password will do (nopassword).  Otherwise e has 2.3's text.
 */
enum auth_verdict passdb_lookup(struct passdb *db, const struct auth_query *q,
				struct auth_fields *fields,
				const char **stored_out, struct err *e);
/* AUTH_OK also means: allow_nets admits the peer. */
enum auth_verdict passdb_verify(struct passdb *db, const struct auth_query *q,
				struct slice password,
				struct auth_fields *fields, struct err *e);

#endif
