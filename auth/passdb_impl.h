#ifndef DUET_AUTH_PASSDB_IMPL_H
#define DUET_AUTH_PASSDB_IMPL_H

/* What a driver of passdb gives. */

#include "auth/passdb.h"

struct passdb_ops {
	const char *name;
	/* Prepares *state from db's args. */
	int (*init)(const char *args, const struct auth_env *env,
		    void **state, struct err *e);
	void (*fini)(void *state);
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
