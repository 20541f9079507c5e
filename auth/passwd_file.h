#ifndef DUET_AUTH_PASSWD_FILE_H
#define DUET_AUTH_PASSWD_FILE_H

/*
 * Files of lines
 *
 *	user:password:uid:gid:gecos:home:shell:extra fields
 *
 * for passdb and userdb "passwd-file".  Blank lines and those that begin with
 * '#' are skipped, missing fields at the end are empty, the extra fields may
 * hold colons.  The first line of a name wins.
 *
 * args: "scheme=CRYPT username_format=%u /path"; the path may hold variables
 * (one file for each domain).  A file is asked for changes at most once a
 * second, in whichever thread needs it.
 */

#include "auth/auth_env.h"

#define PASSWD_FILE_MAX (64u << 20)	/* bytes of one file */
#define PASSWD_LINE_MAX 16384		/* longer lines are skipped */
#define PASSWD_FILES_MAX 256		/* files behind one path with variables */
#define PASSWD_CHECK_USEC 1000000ull

/* One line, taken apart. */
struct passwd_entry {
	struct slice user, password, uid, gid, home, extra;
};

/* A parsed file. */
struct passwd_text;
/* Takes a copy of the content. */
struct passwd_text *passwd_text_new(struct slice content);
void passwd_text_free(struct passwd_text *t);	/* NULL is fine */
size_t passwd_text_count(const struct passwd_text *t);
/* false: no such user.  Slices live as long as t. */
bool passwd_text_find(const struct passwd_text *t, struct slice user,
		      struct passwd_entry *out);
/* In the order of the file. */
struct slice passwd_text_user(const struct passwd_text *t, size_t i);

/* A block's file or files. */
struct passwd_file;
int passwd_file_new(const char *args, const struct auth_env *env,
		    struct passwd_file **out, struct err *e);
void passwd_file_free(struct passwd_file *f);	/* NULL is fine */
const char *passwd_file_scheme(const struct passwd_file *f);
/* 1 found (slices in the query's arena), 0 unknown, negative with text. */
int passwd_file_find(struct passwd_file *f, const struct auth_query *q,
		     struct passwd_entry *out, struct err *e);
typedef void passwd_file_cb(void *arg, struct slice user);
int passwd_file_each(struct passwd_file *f, passwd_file_cb *cb, void *arg,
		     struct err *e);

#endif
