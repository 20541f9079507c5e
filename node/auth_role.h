#ifndef DUET_NODE_AUTH_ROLE_H
#define DUET_NODE_AUTH_ROLE_H

/*
 * The auth process around auth/auth.h: questions of fronts and stores come as
 * IPC_AUTH_*, those of Postfix over auth-client sockets, those of duetadm
 * over admin connections.
 *
 *   auth_role.c    life, questions of the other roles
 *   auth_files.c   files that only root may read, asked of the supervisor
 *   auth_conf.c    settings of auth/auth.h from the configuration
 *   auth_smtp.c    Dovecot's auth-client protocol, for Postfix
 *   auth_admin.c   user, auth test, auth lookup
 */

#include "auth/auth.h"
#include "node/base/list.h"
#include "node/role.h"

#define AUTH_THREADS 4u

struct auth_files;
struct smtp_listener;

struct auth_state {
	struct role *role;
	struct auth_pool *pool;
	struct auth *next;		/* between prepare and commit */
	struct auth_files *files;
	struct loop_queue *resolver;
	struct list clients;		/* channels to fronts and stores */
	struct list listeners;		/* auth-client sockets */
	struct list admins;
};

/* ---- auth_files.c: struct auth_reader over a channel of its own -------- */
struct auth_files *auth_files_new(void);
/* Takes fd, the blocking end of a socket pair; -1 = read files ourselves. */
void auth_files_use(struct auth_files *f, int fd);
int auth_files_read(void *arg, const char *path, struct auth_stamp *stamp,
		    struct buf *to, struct err *e);

/* ---- auth_conf.c ------------------------------------------------------- */
/* The conf must outlive the result: it is kept by reference. */
int auth_conf_new(struct auth_state *st, struct conf *c, struct auth **out,
		  struct err *e);
/* The account's location after userdb's answer, as `duetadm user` shows it;
 * "" if none is configured. */
int auth_conf_location(const struct conf *c, const struct auth_result *r,
		       const struct auth_peer *peer, struct arena *a,
		       const char **out, struct err *e);

/* ---- auth_smtp.c ------------------------------------------------------- */
void auth_smtp_listen(struct auth_state *st, const struct ipc_head *h, int fd);
void auth_smtp_unlisten(struct auth_state *st, uint64_t number);

/* ---- auth_admin.c ------------------------------------------------------ */
void auth_admin(struct auth_state *st, int fd, unsigned flags);

#endif
