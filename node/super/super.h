#ifndef DUET_NODE_SUPER_H
#define DUET_NODE_SUPER_H

/*
 * The supervisor: configuration, directories, identity, listening sockets,
 * child processes.  It reads no byte from the network.
 *
 *   super.c      start, signals, main loop       child.c   processes
 *   super_dirs.c directories, lock, pid          admin.c   admin sockets
 *   owner.c      users of the roles              reload.c  SIGHUP
 *   super_listen.c  sockets                      rootfile.c  files for auth
 *   stop.c       orderly end
 */

#include "node/base/fsio.h"
#include "node/base/ipc.h"
#include "node/base/list.h"
#include "node/base/log.h"
#include "node/config/conf.h"
#include "node/role.h"
#include "node/super/identity.h"
#include "proto/ipc_msg.h"

#define SUPER_STORES_MAX 16u
#define SUPER_FRONTS_MAX 8u
#define SUPER_CHILDREN_MAX (SUPER_STORES_MAX + SUPER_FRONTS_MAX + 2)
#define SUPER_PING_USEC 500000u
/* So many pings without an answer, then SIGKILL (replication.md, Resign). */
#define SUPER_STORE_MISSED 10u
#define SUPER_SYNC_MISSED 4u
#define SUPER_OTHER_MISSED 60u
#define SUPER_BACKOFF_MAX_USEC 60000000u
#define SUPER_RAN_WELL_USEC 60000000u

struct loop_timer;
struct loop_io;
struct super;

enum child_state {
	CHILD_NONE,		/* not running; maybe a restart is due */
	CHILD_STARTING,		/* running, not READY */
	CHILD_READY,
	CHILD_STOPPING,		/* told to STOP */
};

struct child {
	struct super *super;
	enum ipc_role kind;
	unsigned index;
	enum child_state state;
	pid_t pid;
	struct ipc *ipc;
	struct ipc *files;		/* auth: READ and FILE */
	uint64_t started_usec;
	unsigned missed;		/* pings without answer, in a row */
	unsigned restarts, quick;	/* ever; since it last ran well */
	uint64_t crashes[3];		/* times of the last ones */
	struct loop_timer *restart;
	bool config_pending;		/* reload: no answer yet */
	bool killed_silent;
	bool drained;			/* stop: said STOPPED in this phase */
};

struct listener {
	struct super *super;
	uint64_t number;
	struct conf_listener conf;	/* texts are the listener's own */
	int fd;
	struct arena *arena;
	struct loop_io *io;		/* admin sockets only */
	ino_t inode;			/* UNIX: of the name we made */
};

struct owner {
	uid_t mail_uid, login_uid, internal_uid;
	gid_t mail_gid, login_gid, internal_gid;
	bool root;			/* started as root */
};

struct reload;

struct super {
	struct loop *loop;
	struct log *log;
	struct sys sys;
	const char *path;		/* configuration file, absolute */
	const struct conf_override *over;
	size_t n_over;
	struct conf *conf;
	bool foreground, also_stderr;
	int ready_fd;
	int exe_fd;
	char *base_dir, *state_dir, *empty_dir, *mail_root;
	int lock_fd;
	int log_fds[ROLE_LOGS];		/* of log files, else -1 */
	struct owner owner;
	struct node_identity identity;

	unsigned n_store, n_front;
	struct child children[SUPER_CHILDREN_MAX];
	unsigned n_children;
	struct listener **listeners;
	size_t n_listeners, cap_listeners;
	uint64_t next_number;

	struct loop_timer *ping;
	uint64_t ping_seq;
	bool accept_loss;
	unsigned recover_news;		/* accounts that a recovery told of */
	bool remark;			/* a new identity replaces its marks */
	bool serving;			/* READY was said */
	bool stopping;
	struct reload *reload;
	struct stop *stop;
	int exit_code;
	struct list admins;
	char status[200];
};

/* ---- super.c ---- */
struct super_opts {
	const char *conf_path;
	const struct conf_override *over;
	size_t n_over;
	bool foreground;
	bool accept_loss;	/* of a corrupt journal; with super_recover() */
	int ready_fd;		/* a byte is written when it serves; -1 */
};
/* `duetd`: runs until stopped; exit status. */
int super_main(const struct super_opts *o);
/* `duetd --recover`: all journals, in this process. */
int super_recover(const struct super_opts *o);
void super_serving(struct super *s);	/* children became READY: maybe all */
void super_ended(struct super *s, int code);

/* ---- super_dirs.c ---- */
/* base_dir, state_dir and what lies in them; lock; pid; instances. */
int super_dirs_make(struct super *s, struct err *e);
void super_dirs_clean(struct super *s);
/* The identity file, made if missing. */
int super_identity_load(struct super *s, struct err *e);
/* The mark of the mail root is there and ours; made with a new identity. */
int super_mail_root(struct super *s, bool new_identity, struct err *e);
bool super_has_accounts(struct super *s);
/* Runs fn in a child with the mail owner's rights and waits for it. */
typedef int super_owner_fn(struct super *s, struct err *e);
int super_as_owner(struct super *s, super_owner_fn *fn, struct err *e);

/* ---- owner.c ---- */
int owner_find(const struct conf *c, struct owner *out, struct err *e);

/* ---- super_listen.c ---- */
/* Opens what `c` wants and is not open; on failure nothing is left changed.
 * Fills `add` and `drop` (indices into s->listeners for drop). */
struct listen_change {
	struct listener **add;
	size_t n_add;
	struct listener **drop;
	size_t n_drop;
};
int super_listen_prepare(struct super *s, const struct conf *c,
			 struct listen_change *out, struct err *e);
void super_listen_commit(struct super *s, struct listen_change *ch);
void super_listen_abort(struct listen_change *ch);
/* Is this listener one of that role's? */
bool super_listener_for(const struct listener *l, enum ipc_role kind);
void super_listen_send(struct super *s, struct child *c,
		       const struct listener *l);
void super_listen_close_all(struct super *s);

/* ---- child.c ---- */
void child_init(struct super *s);
int child_start(struct child *c, struct err *e);
struct child *child_find(struct super *s, enum ipc_role kind, unsigned index);
void child_tell(struct child *c, enum ipc_type type, uint64_t stream,
		const struct ipc_head *h, int fd);
/* Config of `conf` as a memory file with the secrets of that role. */
int child_send_config(struct child *c, struct conf *conf, bool reload,
		      struct err *e);
bool child_alive(const struct child *c);
void child_go(struct child *c);
void child_ping_all(struct super *s);

/* ---- reload.c ---- */
/* done(arg, e): e->code 0 when the new configuration is in force; notes may
 * hold lines for people. */
typedef void reload_done(void *arg, const struct err *e, const char *notes);
void super_reload(struct super *s, reload_done *done, void *arg);
void reload_answer(struct super *s, struct child *c, bool ok, const char *text);
void reload_child_gone(struct super *s, struct child *c);
/* The configuration that a running reload brings, or NULL. */
const struct conf *reload_conf(const struct super *s);
void super_open_logs(struct super *s);
void super_reopen_logs(struct super *s);

/* ---- stop.c ---- */
void super_stop(struct super *s, int code);
void super_stop_free(struct stop *st);
void stop_child_done(struct super *s, struct child *c);

/* ---- admin.c ---- */
/* io callback of an admin listener. */
void super_admin_accept(struct super *s, struct listener *l);
void super_admin_end_all(struct super *s);

/* ---- rootfile.c ---- */
/* Answers READ on c by FILE. */
void super_rootfile(struct super *s, struct ipc *c, const struct ipc_head *h);

#endif
