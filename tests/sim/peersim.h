#ifndef DUET_TESTS_PEERSIM_H
#define DUET_TESTS_PEERSIM_H

/*
 * The model around sync/peer.c: two nodes with logs in memory.
 *
 *   peersim.c        what happens next, the oracle at rest, options
 *   peersim_node.c   log, journal, actions and messages of a node
 *   peersim_life.c   disks, crashes, connections, clients
 */

/* Small windows, so that short runs cross them; in every file of it. */
#ifndef DUET_TEST_LIMITS
#define DUET_TEST_LIMITS
#endif
#include "storage/prepare.h"
#include "sync/peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MAX 4096
#define UIDS 4
#define SHOWN_MAX (1u << 20)
#define QUEUE_MAX 512

struct rec {
	uint32_t epoch, nonce;
	uint64_t seq, chain;
	enum { R_ADD, R_BEGIN, R_HANDOVER } kind;
	unsigned n;
	uint64_t uid[UIDS];
	uint32_t body[UIDS];
	uint8_t node;
	uint64_t jump;
};

/* Of the journal: a record's end, a mark, or what the partner acked. */
struct jentry {
	enum { J_REC, J_MARK, J_KNOWN } kind;
	uint64_t seq;
	enum mark_kind mark;
	uint64_t serial;
};

enum mtype { M_REQ, M_POSITION, M_RECORD, M_ACK, M_NACK, M_PUBLISHED,
	     M_FORKINFO, M_ASK, M_ASK_REPLY, M_HEARTBEAT };
struct msg {
	enum mtype type;
	uint64_t gen, seq, published;
	struct rec rec;
	struct link_position pos;
	struct lineage_entry *lineage;
	bool wrote, changes, known, shown;
	uint8_t verdict;
};

struct node {
	unsigned i;
	struct rec log[LOG_MAX];
	uint64_t end, durable, published;
	struct jentry j[LOG_MAX * 4];
	size_t nj, synced;
	enum mark_kind mark;		/* on disk */
	uint64_t known;			/* on disk */
	struct peer peer;
	struct peer_env env;
	bool wanted, writing, want_ack, retried;
	uint64_t send_from;		/* 0 = not sending */
	bool old;			/* restored from a copy */
	struct lineage_entry lin[256];
	size_t n_lin;
	uint64_t seen_pub;		/* highest seq ever published here */
	bool asked;
	uint64_t told;
};

struct sim {
	uint64_t rng;
	uint64_t seed;
	uint64_t p_cut;		/* swarm: how often the link breaks */
	struct node n[2];
	struct msg q[2][QUEUE_MAX];	/* to node i */
	size_t nq[2];
	bool link;			/* bytes flow */
	struct { uint32_t body; } shown[2];
	uint32_t bodies;
	bool trace, forked, restored;
	const char *bad;
	/* oracle */
	uint32_t *shown_body;		/* by uid */
	uint8_t *acked_body;		/* by body: acknowledged */
	uint8_t *lost_body;
	struct rec (*contents)[1];
	uint64_t cl_next[3];
	struct rec copy[LOG_MAX];
	uint64_t copy_end, copy_known;
	enum mark_kind copy_mark;
	int copy_of;
	uint64_t forks, handovers, takeovers, lones, syncs;
	struct rec all[LOG_MAX * 4];
	size_t n_all;
};

uint64_t peersim_rnd(struct sim *s, uint64_t n);
/* The first finding of a run counts. */
void peersim_bad(struct sim *s, const char *what);

/* peersim_node.c */
void peersim_step(struct sim *s, struct node *x, struct peer_event ev);
void peersim_simple(struct sim *s, struct node *x, enum peer_event_kind k);
struct peer_facts peersim_facts(struct node *x);
uint64_t peersim_up_to(uint64_t uid, unsigned parity);
uint64_t peersim_uidnext(const struct node *x, uint64_t seq);
int peersim_holder_of(const struct node *x, uint64_t seq);
void peersim_append(struct sim *s, struct node *x, struct rec r);
bool peersim_lone_on_disk(const struct node *x);
void peersim_send(struct sim *s, struct node *x, struct msg m);
void peersim_drop_queue(struct sim *s, unsigned i);
/* The first message queued for node i arrives. */
void peersim_deliver(struct sim *s, unsigned i);
/* What gathered: acks, the published position. */
void peersim_turn(struct sim *s, struct node *x);

/* peersim_life.c */
void peersim_fsync_some(struct sim *s, struct node *x);
void peersim_begin_life(struct sim *s, struct node *x);
void peersim_crash(struct sim *s, struct node *x);
/* keep_link: only the store process dies; the sync processes and what they
 * carry live on. */
void peersim_crash_of(struct sim *s, struct node *x, bool keep_link);
void peersim_notice_down(struct sim *s, struct node *x);
void peersim_connect(struct sim *s);
void peersim_tick(struct sim *s, struct node *x);
void peersim_look(struct sim *s, struct node *x);
void peersim_client(struct sim *s, struct node *x);
void peersim_restore(struct sim *s);
bool peersim_same_logs(const struct sim *s);

#endif
