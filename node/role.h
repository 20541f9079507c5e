#ifndef DUET_NODE_ROLE_H
#define DUET_NODE_ROLE_H

/*
 * What every child process has in common: the channel to the supervisor, the
 * configuration in force, the log, who the other roles are, how to stop.
 *
 *   exec ─► CONFIG ─► log, privileges dropped ─► prepare, commit
 *        ─► IDENTITY, PEER…, LISTEN… ─► GO ─► go() ─► READY ─► … ─► STOP
 *
 * Everything comes over one socket pair from the supervisor, in this order.
 * If that channel breaks the process ends: an orphan serves nobody.
 */

#include "node/base/fsio.h"
#include "node/base/ipc.h"
#include "node/base/log.h"
#include "node/config/conf.h"
#include "node/super/identity.h"
#include "proto/ipc_msg.h"

struct loop;
struct role;

struct role_ops {
	/*
	 * A new configuration.  Makes what may fail (TLS contexts, backends)
	 * and keeps it aside; negative refuses the whole reload.  Then commit
	 * puts it in force (r->conf is the new one by then), or abort drops it.
	 */
	int (*prepare)(struct role *r, struct conf *c, bool reload,
		       struct err *e);
	void (*commit)(struct role *r);
	void (*abort)(struct role *r);
	/* A channel to another role, fresh or in place of one that broke. */
	void (*peer)(struct role *r, enum ipc_role kind, unsigned index, int fd);
	/* NULL in roles that get no listeners.  h is valid during the call. */
	void (*listen)(struct role *r, const struct ipc_head *h, int fd);
	void (*unlisten)(struct role *r, uint64_t number);
	/* All is there: start.  Negative ends the process with e. */
	int (*go)(struct role *r, struct err *e);
	/* r->identity changed; also once before go. */
	void (*identity)(struct role *r);
	/* End in order; call role_stopped() when done. */
	void (*stop)(struct role *r, unsigned flags);
	/* An admin connection; h->data is its head, h->flags are ADMIN_*. */
	void (*admin)(struct role *r, int fd, const struct ipc_head *h);
	/* Any other type from the supervisor.  May be NULL. */
	void (*message)(struct role *r, struct ipc_msg *m,
			const struct ipc_head *h, struct arena *a);
};

struct role {
	enum ipc_role kind;
	unsigned index;			/* among its kind */
	unsigned n_store, n_front;	/* fixed at start */
	const struct role_ops *ops;
	void *impl;

	struct loop *loop;
	struct log *log;
	struct sys sys;
	struct ipc *super;
	struct conf *conf;		/* in force */
	struct conf *next;		/* between prepare and commit */
	struct node_identity identity;
	bool root_start;		/* the supervisor is root */
	uid_t mail_uid;			/* owner of all mail */
	gid_t mail_gid;
	char *mail_root;		/* literal top of mail_location, or "" */
	bool also_stderr;
	bool had_accounts;		/* on disk when the process started */
	bool started, stopping;
};

/* The whole life of a child process; gives the exit status. */
int role_main(enum ipc_role kind, unsigned index, int fd,
	      const struct role_ops *ops);
/* Answers STOP; the process ends when the supervisor has read it. */
void role_stopped(struct role *r);
/* Logs a fatal line, tells the supervisor, ends the loop. */
void role_fatal(struct role *r, const struct err *e);
/* A message to the supervisor. */
void role_tell(struct role *r, enum ipc_type type, uint64_t stream,
	       const struct ipc_head *h);

/* The four roles. */
const struct role_ops *front_role(void);
const struct role_ops *auth_role(void);
const struct role_ops *store_role(void);
const struct role_ops *sync_role(void);

/* Process of an account, by bytes 0–7 of its id. */
unsigned role_store_of(const struct role *r, struct id128 account);

/*
 * Options of a process's log after its configuration.  Log files (log_path,
 * info_log_path, debug_log_path) are opened by the supervisor as root and
 * come to a child as descriptors ROLE_LOG_FD …; REOPEN replaces them.
 */
#define ROLE_LOGS 3
#define ROLE_LOG_FD 10
const char *role_log_path(const struct conf *c, unsigned which);
bool role_log_is_file(const char *path);
void role_log_opts(const struct conf *c, const char *role, bool child,
		   bool also_stderr, struct log_opts *o);

#endif
