#ifndef DUET_SYNC_NODE_LINK_PRIVATE_H
#define DUET_SYNC_NODE_LINK_PRIVATE_H

/*
 *   node_link.c        connections, ticks, routing
 *   node_link_hello.c  who is the other, and may it be: Hello, identity
 *   node_link_trust.c  journals, trust, sums, status
 */

#include "node/base/arena.h"
#include "sync/node_link.h"

#define NODE_LINK_HELLO_TICKS 20u	/* a connection that says nothing */
#define NODE_LINK_REPORT_TICKS 20u	/* wait for the stores at the start */
#define NODE_LINK_YIELD_TICKS 2u
#define NODE_LINK_HOLD_TICKS 4u		/* for an own dial under way */
#define NODE_LINK_RETRY_TICKS 10u	/* after a refusal */
#define NODE_LINK_TELL_TICKS 2u		/* a report takes one */
#define NODE_LINK_RESIGN_TICKS 10u
/* The stores are told of the partner's journals: they remember them at once,
 * over a restart of sync too, and write them down with their next batch. */
#define NODE_LINK_JOURNALS_TICKS 2u
#define NODE_LINK_EQUAL_TICKS 3u	/* before a node is trusted */
/* After a regression is over, what was on its way about it is not believed. */
#define NODE_LINK_SETTLE_TICKS 20u

struct conn {
	void *handle;			/* NULL = free place */
	enum link_channel ch;
	bool ours;
	unsigned ticks;			/* since it came */
	bool hello_sent, hello_in;	/* theirs is in `hello` */
	bool fits;			/* checked, identity written */
	bool said_up, heard_up;		/* first heartbeats */
	struct link_hello hello;	/* without journals */
	struct link_journal journals[LINK_JOURNALS_MAX];
	size_t n_journals;
};

struct store_slot {
	bool attached, reported, resigned;
	struct link_report report;	/* lists below */
	struct link_journal journals[1 + NODE_LINK_STORES_MAX];
	struct link_journal partner[LINK_JOURNALS_MAX];
};

struct node_link {
	struct clock *clock;
	struct rng *rng;
	struct node_link_out out;
	struct node_identity id;
	bool writing;			/* the identity is being written */
	struct id128 written_for;	/* incarnation of the partner in it */
	bool has_accounts, refuse_join;
	char *refuse_why;
	uint64_t skew_usec, boot, tick;
	struct conn conns[NODE_LINK_CONNS_MAX];
	struct conn *control;		/* UP */
	struct conn *channel[CHANNELS];	/* UP; [CONTROL] == control */
	bool streams_on_control;	/* proxy came later than the first */
	bool dialing[CHANNELS];
	unsigned dial_ticks[CHANNELS];
	bool dial_counted;
	uint64_t dial_after;		/* tick */
	uint32_t failed;
	uint64_t links;			/* differs for every UP */
	uint64_t told, told_tick;	/* serial of the last UP or DOWN */
	bool journals_moved;		/* the partner's, since it was told */
	unsigned silent;
	bool heard, sent;
	/* the partner, while UP */
	struct link_hello partner;
	struct link_heartbeat beat;
	bool partner_regressed, partner_trusted;
	bool regressed;			/* this node */
	bool regress_heard;		/* the partner knows that it is */
	bool partner_new;		/* its disk: older journals mean nothing */
	/* What the partner's last heartbeat said was durable there.  The
	 * stores write it down every 10 s only. */
	struct link_journal heard_journals[LINK_JOURNALS_MAX];
	size_t n_heard_journals;
	uint64_t settled_tick;		/* a regression was over then */
	unsigned equal_ticks;
	struct store_slot *stores;
	unsigned n_stores;
	uint64_t since_usec, heard_usec;
	int64_t clock_diff;
	uint64_t clock_warned;
	char *refused;
};

void node_link_event(struct node_link *n, const char *event, const char *fmt,
		     ...) __attribute__((format(printf, 3, 4)));
void node_link_drop(struct node_link *n, struct conn *c, const char *why);
void node_link_refuse(struct node_link *n, struct conn *c, enum link_refusal code,
		      const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void node_link_tell_up(struct node_link *n, int process);
void node_link_tell_down(struct node_link *n, int process);
void node_link_write_identity(struct node_link *n);
/* Sends the first heartbeat of a connection whose Hello fits. */
void node_link_ready(struct node_link *n, struct conn *c);

/* node_link_hello.c */
void hello_send(struct node_link *n, struct conn *c);
void hello_received(struct node_link *n, struct conn *c,
		    const struct link_hello *h);
void hello_identity(struct node_link *n, struct conn *c,
		    const struct link_identity *i);
void hello_again(struct node_link *n);		/* after the identity changed */
bool hello_may_send(const struct node_link *n);

/* node_link_trust.c */
size_t trust_journals(const struct node_link *n, struct link_journal *out,
		      size_t max, bool *partial_out);
/* Is the partner behind what it once said? */
bool trust_regressed(const struct node_link *n, const struct link_journal *j,
		     size_t n_j, bool partial);
bool trust_settling(const struct node_link *n);
void trust_heartbeat(struct node_link *n, const struct link_heartbeat *b);
void trust_send_heartbeat(struct node_link *n, struct conn *c);
void trust_sum(const struct node_link *n, struct link_report *sum);
void trust_tick(struct node_link *n);

#endif
