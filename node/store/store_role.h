#ifndef DUET_NODE_STORE_ROLE_H
#define DUET_NODE_STORE_ROLE_H

/*
 * A store process: the accounts whose id falls to it, their sessions and
 * deliveries.
 *
 *   store_role.c   life, channels, ticks, orderly stop
 *   store_conf.c   what sessions see of the configuration
 *   locate.c       where an account lies by this node's userdb
 *   arrive.c       a login: may it be served here?
 *   sessions.c     the running sessions (node/session.h)
 *   delivery.c     LMTP messages: spool, recipients, replies
 *   rcpt.c         one recipient of a message
 *   trace.c        headers of delivery, ids, what the log line shows
 *   store_admin.c  admin requests
 *   store_admin_pair.c  those that change what the pair does
 */

#include "node/adm.h"
#include "node/base/list.h"
#include "node/base/map.h"
#include "node/role.h"
#include "node/session.h"
#include "proto/link.h"

#define STORE_TICK_USEC 500000u
#define STORE_PERIODIC_USEC (60ull * 1000 * 1000)
#define STORE_PEERS_MAX 64u
#define STORE_STOP_SESSIONS_USEC (30ull * 1000 * 1000)

struct loop_timer;
struct store_node;

/* A front, another store process, or sync. */
struct store_peer {
	struct store_node *node;
	enum ipc_role kind;
	unsigned index;
	struct ipc *ipc;		/* NULL while it is away */
};

/* A question to userdb for the engine. */
struct store_lookup {
	struct list node;
	uint64_t stream;
	struct id128 id;
	char *name;
};

struct store_node {
	struct role *role;
	struct store *store;		/* NULL until there is an identity */
	struct engine *engine;
	struct session_host host;
	struct session_conf *conf, *next;

	struct store_peer fronts[STORE_PEERS_MAX], stores[STORE_PEERS_MAX];
	struct store_peer sync, auth;

	struct list sessions;		/* struct session */
	struct list arrivals;
	struct list deliveries;
	struct list lookups;
	struct list siblings;		/* messages passed to other processes */
	struct map *counts;		/* user, service, address -> number */
	struct map *seen;		/* deliveries whose reply was read */
	uint64_t last_stream;		/* of our own questions to siblings */

	struct loop_timer *tick, *periodic;
	bool tick_due;
	bool failed;			/* no disk: nothing is written any more */
	uint8_t opened_pair[16];
	unsigned opened_index;

	/* Orderly stop. */
	bool stopping, handing_over;
	struct loop_timer *stop_timer;
};

/* ---- store_role.c ---- */
/* Who sits behind a channel; NULL if it is away. */
struct store_peer *store_sibling(struct store_node *n, unsigned index);
bool store_open_now(struct store_node *n);	/* serving accounts */
/* For the administrator, when it is not. */
const char *store_shut_why(const struct store_node *n);
/* Stop: the last session or delivery may just have ended. */
void store_maybe_quiet(struct store_node *n);

/* ---- store_conf.c ---- */
struct session_conf *store_conf_new(struct role *r, struct conf *c,
				    struct err *e);
void store_conf_unref(const struct session_conf *c);
const struct session_conf *store_conf_ref(const struct session_conf *c);
struct conf *store_conf_of(const struct session_conf *c);

/* ---- locate.c ---- */
struct place {
	const char *root, *home;
};
/* Texts in the arena.  E_CONFIG and E_INVALID are the administrator's. */
int locate(struct store_node *n, const char *user, const char *home,
	   const struct ipc_field *fields, size_t n_fields, struct arena *a,
	   struct place *out, struct err *e);

/* ---- arrive.c ---- */
void arrive_ask(struct store_peer *from, uint64_t stream,
		const struct ipc_head *h);
void arrive_cancel(struct store_peer *from, uint64_t stream);
void arrive_fd(struct store_peer *from, uint64_t stream, int fd,
	       struct slice left);
void arrive_peer_gone(struct store_peer *from);
/* Sessions of one user from one address, at this node. */
unsigned arrive_count(struct store_node *n, const char *user,
		      const char *service, const char *rip, int delta);
/* `who`: proxied ones too. */
typedef void arrive_cb(void *arg, const char *user, const char *service,
		       const char *rip, bool proxied);
void arrive_each_proxied(struct store_node *n, arrive_cb *cb, void *arg);

/* ---- sessions.c ---- */
struct session_origin {
	struct store_peer *from;	/* who passed it; NULL: it is gone */
	uint64_t stream;
	struct arena *arena;		/* all texts of the session */
	struct list repairs;
};
struct session *sessions_new(struct store_node *n, struct store_peer *from,
			     uint64_t stream, const struct ipc_head *h,
			     struct account *a, int fd);
/* Frees one that was never started: leaves the account, closes fd. */
void sessions_drop(struct session *s);
void sessions_peer_gone(struct store_peer *from);
void sessions_evict(struct session *s, const char *code, const char *text,
		    bool holder_lost);
void sessions_evict_account(struct store_node *n, struct account *a,
			    const char *why);
void sessions_evict_all(struct store_node *n, const char *code,
			const char *text);
/* Missing automatic mailboxes of an account: number found; w gets them. */
size_t sessions_missing_boxes(const struct session_conf *c, struct account *a);

/* ---- delivery.c ---- */
void delivery_begin(struct store_peer *from, uint64_t stream,
		    const struct ipc_head *h);
void delivery_data(struct store_peer *from, uint64_t stream, struct slice data);
void delivery_end(struct store_peer *from, uint64_t stream);
void delivery_cancel(struct store_peer *from, uint64_t stream);
void delivery_seen(struct store_peer *from, uint64_t stream);
/* From a sibling: the whole message. */
void delivery_whole(struct store_peer *from, uint64_t stream,
		    const struct ipc_head *h, struct slice body, int fd);
/* From a sibling: the reply for one recipient. */
void delivery_sibling_reply(struct store_node *n, uint64_t stream,
			    const struct ipc_head *h);
void delivery_peer_gone(struct store_peer *from);

/* ---- store_admin.c ---- */
void store_admin(struct store_node *n, int fd, unsigned flags);

/* ---- store_admin_pair.c ---- */
/* false: the command is none of those. */
bool store_admin_pair(struct store_node *n, struct adm *q,
		      const struct ipc_head *h);
/* What is on its way between the nodes: name, full or normal, text. */
void store_admin_transfers(struct store_node *n, struct adm *q);

#endif
