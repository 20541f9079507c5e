#ifndef DUET_AUTH_PASSDB_IMPL_H
#define DUET_AUTH_PASSDB_IMPL_H

/* What a driver of passdb gives. */

#include "auth/auth_db.h"
#include "auth/passdb.h"

struct passdb_ops {
	struct auth_db_driver db;
	/* Fields and stored password (NULL or "" if it has none), with text in
	 * 2.3's shape on failure.  default_scheme_out: of bare data. */
	enum auth_verdict (*lookup)(void *state, const struct auth_env *env,
				    const struct auth_query *q,
				    struct auth_fields *fields,
				    const char **stored_out,
				    const char **default_scheme_out,
				    struct err *e);
};

extern const struct passdb_ops passdb_passwd_file, passdb_static;

#endif
