#ifndef DUET_AUTH_USERDB_IMPL_H
#define DUET_AUTH_USERDB_IMPL_H

/* What a driver of userdb gives. */

#include "auth/auth_db.h"
#include "auth/userdb.h"

struct userdb_ops {
	struct auth_db_driver db;
	enum auth_verdict (*lookup)(void *state, const struct auth_env *env,
				    const struct auth_query *q,
				    struct auth_fields *fields, struct err *e);
	int (*each)(void *state, userdb_name_cb *cb, void *arg, struct err *e);
	bool (*knows_everybody)(const void *state);	/* NULL = no */
};

extern const struct userdb_ops userdb_passwd_file, userdb_static;

/* uid= and gid= without variables must be resolvable at the start. */
int userdb_check_template(const struct auth_fields *f, struct err *e);

#endif
