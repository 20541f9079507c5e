#ifndef DUET_NODE_CONF_VARS_H
#define DUET_NODE_CONF_VARS_H

/*
 * Dovecot 2.3's %variables.
 *
 *   %u %n %d %h %s %i %p %l %r %a %b %c %k %m %w %e …   one letter
 *   %{user} %{username} %{domain} %{home} %{service} …  long names
 *   %{userdb:NAME} %{passdb:NAME} %{env:NAME}           fields
 *   %{if;A;OP;B;YES;NO}                                 conditions
 *   %[-][0][OFFSET.][WIDTH][LUEHMXTRN]… before the letter or brace;
 *   WIDTH.BITSN is the "new hash"; %% is a percent sign.
 *   %{md5:x} %{sha1:x} %{sha256:x} %{sha512:x} %{hex;…} hashes in long form
 *
 * Home (%h) and other values may be missing: NULL expands to nothing, except
 * where the caller asks for them by conf_vars_used().
 */

#include "node/base/arena.h"
#include "node/base/err.h"
#include "node/base/slice.h"

struct buf;

#define CONF_VARS_MAX 65536	/* bytes of one expansion */
#define CONF_VARS_DEPTH 8	/* of %{if} in %{if} */

/* A value by long name or letter ("session", 'e'). */
struct conf_var {
	char letter;		/* 0 = none */
	const char *name;	/* NULL = none */
	const char *value;
};

struct conf_vars {
	const char *user;	/* gives %u %n %d */
	const char *home;
	const char *service;	/* %s */
	const char *lip, *rip;
	unsigned lport, rport;
	const char *session;
	unsigned uid;		/* %i; (unsigned)-1 = none */
	const char *hostname;	/* %{hostname}; NULL = the system's */
	const struct conf_var *extra;	/* tried first */
	size_t n_extra;
	/* %{userdb:x}, %{passdb:x}: kind without the colon.  NULL = absent. */
	const char *(*field)(void *arg, const char *kind, const char *name);
	void *arg;
};

enum {
	/* The result will be part of a path: each value is held to
	 * conf_vars_path_safe(), except %h. */
	CONF_VARS_PATH = 1,
};

/* E_CONFIG: unknown variable, broken braces; E_INVALID: a value that is not
 * safe in a path; E_LIMIT. */
int conf_expand(const char *text, const struct conf_vars *v, unsigned flags,
		struct buf *out, struct err *e);
/* Only the grammar and the names: for checks at load. */
int conf_vars_check(const char *text, struct err *e);
/* Does the text use this letter or long name (%n counts for 'n')? */
bool conf_vars_used(const char *text, char letter, const char *name);
/* design.md section 9, Roots: false for ".", "..", a leading ".", any "/" or
 * NUL.  The empty value is not safe either. */
bool conf_vars_path_safe(struct slice value);
/* Expands a location or home into an absolute path: "~/" is the home,
 * trailing and double slashes go.  A result that is not absolute, or holds
 * a ".." level, is E_INVALID. */
int conf_expand_path(const char *text, const struct conf_vars *v,
		     struct arena *a, char **out, struct err *e);

#endif
