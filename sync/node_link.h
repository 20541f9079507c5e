#ifndef DUET_SYNC_NODE_LINK_H
#define DUET_SYNC_NODE_LINK_H

/*
 * The node level of the pair link, without sockets: which connections stand,
 * who the partner is, whether it is there.  The sync process gives it
 * connections that have finished TLS and SCRAM, their messages, and a tick
 * every 500 ms; it says what to send, close, dial, tell the store processes
 * and write into the identity file.  The simulator does the same with queues.
 *
 *   DOWN ── dial / accepted ──► HELLO ── both Hellos fit ──► UP
 *     ▲                                                      │ silent 4 ticks,
 *     └──────────────── closed, refused ◄────────────────────┘ or closed
 *
 * Invariants:
 *  1. At most one control connection is UP: of two, the one dialled by the
 *     node with the smaller node id stays.
 *  2. Nothing but Hello, Identity and Refuse is sent or taken before UP.
 *  3. A message of a store is sent on the connection of the present UP, or
 *     dropped: generations make drops harmless.
 *  4. Time is counted in ticks that were really run (replication.md, Ticks).
 */

#include "node/base/clock.h"
#include "node/base/rng.h"
#include "proto/link.h"

#define NODE_LINK_SUSPECT_TICKS 4u
#define NODE_LINK_DIAL_TICKS 4u		/* an attempt that takes longer failed */
#define NODE_LINK_CONNS_MAX 16u
#define NODE_LINK_STORES_MAX 64u

struct node_link;

/* The identity file, as the supervisor keeps it (replication.md, Identity). */
struct node_identity {
	bool has;			/* else only node_id and incarnation count */
	bool provisional, trusted;
	struct id128 pair_id;
	uint32_t pair_time;
	uint8_t index;
	struct id128 node_id;		/* random, made once */
	struct id128 incarnation;	/* random per disk */
	bool member;			/* a partner has joined */
	struct id128 partner_node_id;
	struct id128 partner_incarnation;
	struct id128 retired[8];	/* incarnations written off */
	size_t n_retired;
};

struct node_link_opts {
	struct clock *clock;
	struct rng *rng;
	struct node_identity identity;
	bool has_accounts;		/* the node has accounts on disk */
	uint64_t clock_skew_usec;	/* pair_clock_skew */
	unsigned stores;		/* number of store processes */
	bool refuse_join;		/* accounts without identity, unmounted … */
	const char *refuse_why;
};

struct node_link_out {
	/* conn: what node_link_connected() was given. */
	void (*send)(void *arg, void *conn, const struct link_msg *m);
	/* No message may come from conn afterwards. */
	void (*close)(void *arg, void *conn, const char *why);
	/* Open one connection of this channel to the partner, unless an attempt
	 * is under way; ends in connected() or dial_failed(). */
	void (*dial)(void *arg, enum link_channel ch);
	/* To one store process, or to all (process < 0): UP, DOWN, TICK and
	 * whatever the partner sent for an account. */
	void (*to_store)(void *arg, int process, const struct link_msg *m);
	/* Messages of the proxy channel, STREAM_*. */
	void (*stream)(void *arg, const struct link_msg *m);
	/* Write this identity; call node_link_identity_written() when it is
	 * durable.  Until then the link goes no further. */
	void (*identity)(void *arg, const struct node_identity *id);
	/* A line worth logging: stable name and text. */
	void (*event)(void *arg, const char *event, const char *text);
	void *arg;
};

struct node_link *node_link_new(const struct node_link_opts *o,
				const struct node_link_out *out);
void node_link_free(struct node_link *n);

/* A connection is authenticated; ours: this node dialled it. */
void node_link_connected(struct node_link *n, void *conn, enum link_channel ch,
			 bool ours);
void node_link_closed(struct node_link *n, void *conn);
void node_link_dial_failed(struct node_link *n, enum link_channel ch);
void node_link_message(struct node_link *n, void *conn, const struct link_msg *m);
/* Bytes came on conn, of a whole message or not: a sign of life, once the
 * connection is UP.  On a slow link one message takes longer than silence is
 * borne. */
void node_link_input(struct node_link *n, const void *conn);
void node_link_identity_written(struct node_link *n);
/* Every 500 ms, after all input of the turn was read. */
void node_link_tick(struct node_link *n);

/* A store process (re)started, or went away. */
void node_link_store_attached(struct node_link *n, unsigned process);
void node_link_store_detached(struct node_link *n, unsigned process);
/* What a store process sends: for the partner, or a REPORT. */
void node_link_from_store(struct node_link *n, unsigned process,
			  const struct link_msg *m);
/* STREAM_* of this node.  false: the channel is down. */
bool node_link_send_stream(struct node_link *n, const struct link_msg *m);
/* The supervisor's word that a store process failed for good (Resign). */
void node_link_resign(struct node_link *n, unsigned process,
		      const struct link_resign *r);
/* The first account was made: a provisional identity is one no longer. */
void node_link_has_accounts(struct node_link *n);
/* pair forget-peer: the member is written off. */
void node_link_forget_peer(struct node_link *n);

/* Store process of an account: bytes 0–7 of its id mod n. */
unsigned node_link_process_of(struct id128 account, unsigned stores);

enum node_state { NODE_SINGLE, NODE_SYNC, NODE_CATCHUP, NODE_DEGRADED,
		  NODE_FORKED, NODE_REGRESSED, NODE_EMPTY, NODE_REFUSED };
struct node_link_status {
	enum node_state state;
	bool up, suspect, member, trusted, regressed;
	bool partner_trusted, partner_regressed;
	unsigned silent_ticks, failed_dials;
	uint64_t since_usec, heard_usec;	/* wall clock */
	int64_t clock_diff_usec;
	struct link_report sum;		/* over the store processes */
	struct link_heartbeat partner;	/* its last one, without journals */
	const struct node_identity *identity;
	const char *refused;		/* why, or NULL */
};
void node_link_status(const struct node_link *n, struct node_link_status *out);
const char *node_state_name(enum node_state s);

#endif
