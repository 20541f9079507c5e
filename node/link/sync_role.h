#ifndef DUET_NODE_SYNC_ROLE_H
#define DUET_NODE_SYNC_ROLE_H

/*
 * The sync process: the sockets of the pair link around sync/node_link.h,
 * which decides everything.
 *
 *   sync_role.c   life, channels, ticks, identity, status
 *   link_conn.c   one connection: TLS 1.3, SCRAM, messages
 *   link_dial.c   to the partner
 *   proxy.c       client sessions and admin requests carried over the link
 */

#include "node/adm.h"
#include "node/base/list.h"
#include "node/base/scram.h"
#include "node/base/stream.h"
#include "node/base/tls.h"
#include "node/role.h"
#include "sync/node_link.h"

#define SYNC_TICK_USEC 500000u
#define SYNC_STORES_MAX 64u
#define LINK_HANDSHAKE_USEC (3u * 1000 * 1000)
#define LINK_ACCEPTED_MAX 32u		/* that have not finished SCRAM */
#define LINK_IN_MAX (IPC_MESSAGE_MAX + 65536u)
#define LINK_OUT_MAX (80u * 1024 * 1024)
/* Sessions and admin connections that the link carries, both directions. */
#define PROXIES_MAX 20000u

struct loop_timer;
struct loop_io;
struct map;
struct sync_node;

struct sync_peer {
	struct sync_node *node;
	enum ipc_role kind;
	unsigned index;
	struct ipc *ipc;
	bool attached;			/* a store whose engine is open */
};

struct link_listener {
	struct list node;
	struct sync_node *sn;
	uint64_t number;
	int fd;
	struct loop_io *io;
};

struct link_dialer;

#define SYNC_TROUBLES 4u

struct sync_node {
	struct role *role;
	struct node_link *link;		/* NULL: no partner known */
	struct sync_peer stores[SYNC_STORES_MAX], fronts[SYNC_STORES_MAX];
	struct list listeners;
	struct list conns;		/* struct link_conn */
	unsigned n_handshakes;
	struct link_conn *taking;	/* whose message is being handled */
	struct tls_ctx *server_tls, *client_tls;
	struct link_dialer *dialer;
	struct loop_timer *timer;
	bool tick_due;
	unsigned identities_pending;	/* sent to be written */
	struct adm *forgetting;		/* waits for one of them */
	struct loop_timer *forget_late;
	bool has_accounts;
	struct list proxies;
	struct map *proxy_of;		/* number of the stream → it */
	size_t proxies_max;		/* PROXIES_MAX */
	uint64_t last_stream;
	char status[200];
	/* Each is logged once until a connection is made: both nodes dial, and
	 * each way may fail in its own words. */
	char trouble[SYNC_TROUBLES][300];
	unsigned last_trouble;		/* index of the latest */
};

/* ---- sync_role.c ---- */
/* A line that would repeat at every attempt: once until it changes. */
void sync_trouble(struct sync_node *sn, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- link_conn.c ---- */
struct link_conn;
void link_accept(struct sync_node *sn, int fd);
/* done is called once: with NULL (connected, node_link knows it) or why not. */
typedef void link_dialed(void *arg, const char *why);
struct link_conn *link_dial_on(struct sync_node *sn, int fd, const char *ip,
			       enum link_channel ch, link_dialed *done,
			       void *arg);
void link_conn_send(struct link_conn *c, const struct link_msg *m);
void link_conn_close(struct link_conn *c, const char *why);
void link_conns_close_all(struct sync_node *sn);

/* ---- link_dial.c ---- */
struct link_dialer *link_dialer_new(struct sync_node *sn);
void link_dialer_free(struct link_dialer *d);
void link_dialer_target(struct link_dialer *d, const char *host, unsigned port);
void link_dial(struct link_dialer *d, enum link_channel ch);
void link_resolved(struct link_dialer *d, const struct ipc_head *h);

/* ---- proxy.c ---- */
/* LOGIN_* of a front. */
void proxy_from_front(struct sync_peer *p, struct ipc_msg *m,
		      const struct ipc_head *h);
/* LOGIN_SERVE, _REFUSE, _ENDED of a store. */
void proxy_from_store(struct sync_peer *p, struct ipc_msg *m,
		      const struct ipc_head *h);
/* STREAM_* of the partner. */
void proxy_from_link(struct sync_node *sn, const struct link_msg *m);
/* An administrator here asks a role of the partner.  Takes fd; a partner that
 * cannot be asked is the answer. */
void proxy_admin(struct sync_node *sn, int fd, const struct admin_head *to,
		 unsigned flags);
void proxy_peer_gone(struct sync_peer *p);
void proxy_link_lost(struct sync_node *sn);

/* ---- sync_admin.c ---- */
void sync_admin(struct sync_node *sn, int fd, unsigned flags);
/* The identity was written: a partner that was to be forgotten may be. */
void sync_admin_identity(struct sync_node *sn);

#endif
