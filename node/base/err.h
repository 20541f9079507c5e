#ifndef DUET_BASE_ERR_H
#define DUET_BASE_ERR_H

/*
 * Every failure has two readers.  The operator gets `op`: what, where, what
 * was expected, what to do.  The client gets `client`: nothing about paths,
 * hosts or other users.  Functions that can fail return int, 0 or a count on
 * success, negative on failure: -errno or an E_* code; with a last parameter
 * struct err * they fill it on failure and leave it alone on success.
 */

#include <stddef.h>

enum {
	E_CORRUPT = -1001,	/* bytes that cannot be what was written */
	E_LIMIT = -1002,	/* a named limit would be passed */
	E_CONFIG = -1003,	/* the administrator's files */
	E_AUTH = -1004,		/* who are you? */
	E_TEMP = -1005,		/* unavailable now, try again */
	E_NOTFOUND = -1006,
	E_EXISTS = -1007,
	E_PERM = -1008,
	E_PROTO = -1009,	/* the other end broke the protocol */
	E_NOSPACE = -1010,
	E_NOTHOLDER = -1011,	/* the partner holds this account */
	E_FOREIGN = -1012,	/* a tree that Duet did not write */
	E_VERSION = -1013,
	E_UNSUPPORTED = -1014,
	E_INVALID = -1015,	/* a bad argument from a user */
	E_GONE = -1016,		/* message or mailbox was removed meanwhile */
};

struct err {
	int code;
	char op[480];
	char client[160];
};

#define ERR_NONE ((struct err){.code = 0})

/* Sets code and operator text; the client text becomes the code's own
 * (err_client_text).  e may be NULL.  Returns code. */
int err_set(struct err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds "what: " before the operator text. */
void err_prefix(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Replaces the client text. */
void err_client(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Generic sentences for a code: for operators, for clients. */
const char *err_name(int code);
const char *err_client_text(int code);

#endif
