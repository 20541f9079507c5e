#ifndef DUET_AUTH_AUTH_ENV_H
#define DUET_AUTH_AUTH_ENV_H

/* What every backend of auth/ is given: its surroundings at the start, and a
 * query at each lookup. */

#include "auth/auth.h"

struct auth_env {
	struct auth_expand expand;
	struct auth_reader reader;
	struct clock *clock;
	const char *default_scheme;
};

struct auth_query {
	const struct auth_peer *peer;	/* never NULL */
	const char *user;		/* canonical so far */
	struct arena *arena;		/* of the answer */
};

#define AUTH_FIELD_MAX 8192	/* bytes of one expanded value */

/* Expands text for the query; the result lives in its arena. */
int auth_expand_text(const struct auth_env *env, const struct auth_query *q,
		     const struct auth_fields *fields, const char *text,
		     bool path, const char **out, struct err *e);
/* Expands and sets one field; home and mail are held to be safe paths. */
int auth_expand_field(const struct auth_env *env, const struct auth_query *q,
		      struct auth_fields *fields, const char *name,
		      const char *text, struct err *e);
/* The same for each field of a template. */
int auth_expand_fields(const struct auth_env *env, const struct auth_query *q,
		       const struct auth_fields *templ,
		       struct auth_fields *fields, struct err *e);
/* "driver(user,rip,<session>): text" as 2.3 writes it. */
void auth_say(struct err *e, int code, const char *driver,
	      const struct auth_query *q, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Puts the same prefix before the text that is there. */
void auth_say_prefix(struct err *e, const char *driver,
		     const struct auth_query *q);

/* Is this address ("" = none, a UNIX socket) in "192.0.2.0/24,::1,local"?
 * Words that are no network match nothing. */
bool auth_nets_match(const char *nets, const char *ip);

/* A user's or group's number from a number or a name (blocks; thread safe).
 * primary_out: the user's group, or AUTH_NO_UID; may be NULL. */
int auth_resolve_uid(const char *text, uint32_t *uid_out,
		     uint32_t *primary_out, struct err *e);
int auth_resolve_gid(const char *text, uint32_t *gid_out, struct err *e);

#endif
