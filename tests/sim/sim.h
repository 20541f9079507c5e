#ifndef DUET_TESTS_SIM_H
#define DUET_TESTS_SIM_H

/*
 * Two whole nodes in one process, one thread, virtual time: the real storage
 * and sync code on disks, wires and clocks that fail as a seed says.
 *
 *   sim.c        nemesis, options
 *   sim_run.c    begin, come to rest, end
 *   sim_node.c   nodes: disks, store processes
 *   sim_wire.c   the wires between them, and sync at each end
 *   sim_work.c   what sessions and MTAs do, and what they were told
 *   sim_check.c  the oracle: what must be true
 *   sim_cache.c  clients that keep a copy, and what they are told
 *
 * A node has one disk for each store process (their accounts are disjoint),
 * so that a process can lose power alone.  What the supervisor keeps (the
 * identity file) is durable at once.
 */

#include "node/base/arena.h"
#include "node/base/list.h"
#include "node/base/map.h"
#include "storage/account_private.h"
#include "storage/frame.h"
#include "storage/view.h"
#include "sync/engine.h"
#include "sync/node_link.h"
#include "tests/lib/simclock.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#define SIM_ACCOUNTS 3
#define SIM_STORES 2
#define SIM_TICK (500 * USEC_PER_MSEC)
#define SIM_MS USEC_PER_MSEC

struct sim;
struct snode;

struct sstore {
	struct snode *n;
	unsigned process;
	struct simdisk *disk;
	struct simrng rng;
	struct sys sys;
	struct store *store;
	struct engine *engine;
	uint64_t life;			/* counts starts; 0 = never */
	bool alive, turn_due, failed;
	uint64_t ready_at;
	size_t queued;			/* bytes on the way to sync */
};

struct wire;

struct snode {
	struct sim *s;
	unsigned i;
	struct simclock clock;
	struct simrng rng;
	struct sstore stores[SIM_STORES];
	struct node_identity identity;
	struct node_link *link;
	uint64_t link_life;
	bool powered, stopped;		/* stopped: SIGSTOP */
	uint64_t resume_at;
	bool was_stopped;
	bool wiped;
	/* dialling */
	bool dialing[CHANNELS];
	/* a copy of the disks, to be restored later */
	struct simdisk *copy[SIM_STORES];
	struct node_identity copy_identity;
};

/* One connection between the nodes. */
struct wire {
	struct list node;
	struct sim *s;
	enum link_channel ch;
	unsigned dialler;
	struct wire_end {
		struct wire *w;
		unsigned i;		/* node that reads here */
		bool open;		/* known to its node_link */
		bool closing;		/* EOF behind what is queued */
		uint64_t life;
		uint64_t last_at;	/* arrival of the newest message */
	} end[2];
	bool dead;			/* swallows everything */
	unsigned refs;
};

enum op_kind_sim { W_DELIVER, W_APPEND, W_FLAGS, W_EXPUNGE, W_COPY, W_MOVE,
		   W_CREATE, W_DELETE, W_RENAME, W_SUBSCRIBE, W_LOOK, W_IDLE,
		   W_KINDS };

struct sim_idle;

/* A message body that was ever made; what clients were told about it. */
struct token {
	unsigned account;
	uint8_t hash[32];
	bool lmtp;
	bool acked, seen;		/* some client saw it, or was told OK */
	bool removal_tried, removal_acked, copied, may_be_twice;
	bool destroyed;			/* only a destroyed disk had it */
	bool flag_known, flag;		/* \Flagged, as last acknowledged */
	uint64_t flag_op;		/* the last op that changes it */
	unsigned flag_flying;		/* such ops not yet answered */
	char text[40];
};

/* What a client was told. */
struct outcome {
	bool done, unknown, single_copy, duplicate;
	int result;
	uint32_t uid;
	uint64_t at_usec;
};

struct sop {
	struct list node;
	struct outcome *out;		/* or NULL */
	bool once;			/* an MTA that does not try again */
	struct sim *s;
	enum op_kind_sim kind;
	unsigned account, at, host;	/* client's node; who executes it */
	uint64_t at_life, host_life;	/* of the store processes */
	bool served, forwarded, writing;
	bool waiting;			/* in the MTA's queue */
	struct account *a;
	struct engine_ask *ask;
	struct sim_idle *idle;
	struct arena *arena;
	struct write w;
	size_t *tokens;			/* touched by it */
	size_t n_tokens;
	bool flag;
	unsigned tries;
	uint64_t id;
};

/* How a client learns what changed in a mailbox it has a copy of. */
enum client_style {
	CLIENT_POLLER,			/* UIDNEXT, all flags, all UIDs */
	CLIENT_CONDSTORE,		/* CHANGEDSINCE, all UIDs */
	CLIENT_QRESYNC,			/* CHANGEDSINCE and VANISHED of all */
	CLIENT_QRESYNC_UIDS,		/* of the UIDs it names; UIDNEXT */
	CLIENT_POP3,			/* UIDL = uidvalidity.uid, of INBOX */
	CLIENT_IDLE,			/* QRESYNC, then what it is told */
	SIM_CLIENTS
};

struct cache_msg {
	uint32_t uidvalidity, uid;
	struct id128 emailid;
	uint32_t flags;
};

/* What one client knows of one mailbox. */
struct ccache {
	bool valid, open;		/* open: a session of it goes on */
	struct id128 mbox;
	uint32_t uidvalidity;
	uint64_t uidnext, modseq;
	struct cache_msg *msgs;
	size_t n, cap;
	enum client_style style;
};

struct saccount {
	char name[32];
	struct id128 id;
	bool tainted;			/* lone data was lost with a disk */
	bool forked;
	struct map *uids;		/* uidvalidity, uid, name → emailid */
	struct ccache clients[SIM_CLIENTS];
};

struct sim {
	uint64_t seed;
	struct simrng rng;
	struct simtime *time;
	struct snode n[2];
	struct list wires;
	struct list ops;
	struct saccount acc[SIM_ACCOUNTS];
	struct token *tokens;
	size_t n_tokens, cap_tokens;
	bool cut;			/* no bytes pass between the nodes */
	bool trace, verbose;
	char bad[512];
	uint64_t ops_done, ops_ok, faults, next_op;
	uint64_t hash;			/* of everything that happened */
	/* swarm */
	unsigned weight[W_KINDS];
	unsigned fault_weight[16];
	bool rule_kept;			/* the next fault waits for SYNC */
	bool strict;			/* pair_degraded_* = tempfail */
	uint64_t latency, delay;
	uint64_t rate;			/* of a wire, bytes/s; 0 = no limit */
	uint64_t busy_until[2];		/* to node i */
	size_t pad;			/* bytes more in a body */
	unsigned drop;			/* of 1,000 messages store - sync */
	/* Of the next messages of this type, those whose bits are set. */
	uint16_t drop_type;
	uint64_t drop_mask;
	unsigned seed_records;
	uint64_t counts[32];
	uint64_t cache_looks[SIM_CLIENTS], idle_told;
	uint64_t next_fault;
	uint64_t armed_until;		/* a disk that fails at its next sync */
	uint64_t wire_bytes;		/* between the nodes */
	bool ended, may_fork;
	unsigned restored;		/* node index + 1 */
};

#define SIM_BAD(s, ...) sim_bad((s), __VA_ARGS__)
void sim_bad(struct sim *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
uint64_t sim_below(struct sim *s, uint64_t n);

/* sim_run.c */
void sim_run_for(struct sim *s, uint64_t usec);
void sim_begin(struct sim *s);			/* two fresh nodes, until SYNC */
void sim_settle(struct sim *s);			/* faults end; until at rest */
void sim_end(struct sim *s);
void sim_power_on(void *node);
void sim_normal_disk(void *node);
void sim_restart_failed(void *store);

/* sim_node.c */
void sim_node_init(struct sim *s, unsigned i);
void sim_node_fini(struct snode *n);
void sim_node_start(struct snode *n);
void sim_node_power_off(struct snode *n, bool lose);
void sim_store_start(struct sstore *st);
void sim_store_kill(struct sstore *st);		/* kill -9: no data is lost */
void sim_store_restart(struct sstore *st);
void sim_node_stop(struct snode *n, uint64_t usec);
void sim_node_wipe(struct snode *n);
void sim_node_copy(struct snode *n);
void sim_node_restore(struct snode *n);
void sim_turn(struct sstore *st);
bool sim_in_sync(struct sim *s);
struct sstore *sim_store_of(struct snode *n, unsigned account);

/* Does the node run?  If not, cb is called again when it does. */
bool sim_runs(struct snode *n, simtime_cb *cb, void *arg);
bool sim_parcel_open(struct sim *s, struct buf *b, struct arena *a,
		     struct link_msg *m);
void sim_link_to_store(void *node, int process, const struct link_msg *m);

/* sim_wire.c */
void sim_sync_start(struct snode *n);
void sim_sync_kill(struct snode *n);
/* reset: its sockets are closed; else the machine says nothing. */
void sim_sync_dies(struct snode *n, bool reset);
void sim_cut(struct sim *s, bool on, bool reset);
void sim_wires_free(struct sim *s);

/* sim_work.c */
void sim_work_step(struct sim *s);
/* One op; out is filled when it is done, or NULL. */
void sim_op(struct sim *s, enum op_kind_sim kind, unsigned account, unsigned at,
	    struct outcome *out);
/* A delivery of a message that was tried before: the same bytes and id. */
void sim_redeliver(struct sim *s, size_t token, unsigned at,
		   struct outcome *out);
/* Ops whose store process is gone: their connections are closed. */
void sim_work_lost(struct sim *s, struct sstore *st);
void sim_work_free(struct sim *s);
/* Sessions of the account at this process end: it moves, or is replaced. */
void sim_work_evicted(struct sim *s, struct sstore *st, struct account *a);
size_t sim_work_queued(struct sim *s);
void sim_work_print(struct sim *s);

/* sim_check.c */
void sim_check_init(struct sim *s);
void sim_check_look(struct sim *s, unsigned account, struct account *a,
		    unsigned client);
void sim_check_end(struct sim *s);
void sim_check_free(struct sim *s);
void sim_check_destroyed(struct sim *s, struct snode *n);
struct token *sim_token(struct sim *s, const uint8_t hash[32]);

/* sim_cache.c */
void sim_cache_look(struct sim *s, struct saccount *acc, struct account *a,
		    unsigned client);
/* A session of the IDLE client; *out is NULL if it has one, or no mailbox. */
void sim_idle_open(struct sim *s, struct saccount *acc, struct account *a,
		   struct sim_idle **out);
/* Clears it; lost: the connection is cut, nothing more is told. */
void sim_idle_close(struct sim_idle **idle, bool lost);

#endif
