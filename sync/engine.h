#ifndef DUET_SYNC_ENGINE_H
#define DUET_SYNC_ENGINE_H

/*
 * The replicator of one store process: for each account the step function of
 * sync/peer.h, connected to storage below and to the partner above.  No
 * sockets, no clocks, no threads: inputs are calls, outputs the functions of
 * struct engine_out.  It runs unchanged in the daemon and in the simulator.
 *
 * Who may write an account, when a change is visible, when it is acknowledged:
 * all decided here (replication.md, Holder, The link, Acknowledgment).
 */

#include "storage/prepare.h"
#include "storage/store.h"

struct engine;
struct link_msg;	/* proto/link.h */
struct link_journal;

#define ENGINE_CONNS_DEFAULT 10u
#define ENGINE_CONNS_MAX 100u

enum degraded_policy { DEGRADED_ACK, DEGRADED_TEMPFAIL };

struct engine_opts {
	struct sys *sys;
	struct store *store;
	struct slice pair_id;
	uint32_t pair_time;
	unsigned node;			/* index */
	bool single;			/* no partner configured, none joined */
	bool trusted, partner_member;	/* as the identity file says */
	/* There was a partner, and it is written off (engine_forget_peer()). */
	bool forgotten;
	bool manual;			/* pair_partition = manual */
	/* replication_max_conns: bodies, and seeds, coming in at a time; 0 =
	 * ENGINE_CONNS_DEFAULT, at most ENGINE_CONNS_MAX. */
	unsigned max_conns;
	/* In ticks of 500 ms: */
	unsigned ack_timeout, takeover_delay, start_window;
	uint64_t handover_interval_usec;
	uint8_t degraded[4];		/* by enum write_class */
	/* An empty log this many records behind is seeded; 0 = 1,000. */
	unsigned seed_records;
};

struct engine_out {
	/* To the partner (through the sync process).  Copied. */
	void (*send)(void *arg, const struct link_msg *m);
	/* An account's holder changed or was lost: its sessions here get BYE. */
	void (*evict)(void *arg, struct account *a, const char *why);
	/* An account of the partner that this node does not know: ask the
	 * userdb where it lies, then engine_located().  NULL: such accounts
	 * are refused. */
	void (*locate)(void *arg, struct id128 id, const char *name);
	/* A transition worth a log line. */
	void (*event)(void *arg, const char *event, struct account *a,
		      const char *text);
	/* Bytes on their way to the sync process; NULL: none ever wait.  Large
	 * messages use half of that queue, so that the others find room. */
	size_t (*queued)(void *arg);
	void *arg;
};

int engine_new(const struct engine_opts *o, const struct engine_out *out,
	       struct engine **e_out, struct err *err);
/* Before store_close(): the store is still there.  No callback of the caller
 * is called any more. */
void engine_free(struct engine *e);
/* Before store_drop(): no callback of the store comes any more either. */
void engine_drop(struct engine *e);
/* Settings that may change on reload. */
void engine_reconfigure(struct engine *e, const struct engine_opts *o);

/* --- inputs from the sync process -------------------------------------- */
/*
 * engine_message() takes every message of the store-sync channel: the
 * partner's, and LINK_UP, LINK_DOWN, LINK_TICK of this node's sync (they call
 * the first three functions below).  LINK_REPORT goes out through send().
 * After sync died: engine_link_down().
 */
struct engine_link {
	bool partner_trusted, partner_regressed, partner_empty;
	bool partner_lost;		/* its disk is not the one it had */
	bool trusted, regressed;	/* this node */
	uint64_t partner_boot, link;	/* another one after every break */
	const struct link_journal *journals;	/* the partner's */
	size_t n_journals;
};
void engine_link_up(struct engine *e, const struct engine_link *l);
void engine_link_down(struct engine *e);
/* Every 500 ms; heard: something came from the partner since the last. */
void engine_tick(struct engine *e, bool heard);
void engine_message(struct engine *e, const struct link_msg *m);
/* After all input of a turn: sends what gathered (acks, published).  Call
 * store_turn() after it. */
void engine_turn(struct engine *e);
/* Answer to locate(): where the account lies by this node's userdb, or NULL
 * and why not. */
void engine_located(struct engine *e, struct id128 id, const char *name,
		    const char *root, const struct err *why);
/* The store failed (store_opts.failed): everything is resigned; what waits
 * ends with an unknown outcome. */
void engine_failed(struct engine *e, const struct err *why);
/*
 * pair forget-peer: from now on a pair without a second member.  Called by
 * engine_message() when a LINK_DOWN of this node's sync says `forgotten', so
 * node_link_forget_peer() is all that a command needs; a process that starts
 * later is told by engine_opts.forgotten, and a call that comes again does
 * nothing.
 *
 * Every account that is whole here, whoever held it, is begun anew with an
 * epoch that jumps R (at once if it has a log, else with its first change):
 * UIDs that the partner showed and this node never heard of are not used
 * again.  What only the partner had is lost, and a branch of a fork that it
 * kept.  NEEDS_SEED and quarantine stay: such a copy is not whole.
 */
void engine_forget_peer(struct engine *e);

/* --- sessions and deliveries ----------------------------------------------- */
enum engine_verdict {
	ENGINE_SERVE,		/* this node is the holder, the gate is open */
	ENGINE_PROXY,		/* the partner is: open a stream there */
	ENGINE_REFUSE,		/* err says why (E_TEMP …) */
};
struct engine_ask;
typedef void engine_answer(void *arg, enum engine_verdict v, struct account *a,
			   const struct err *err);
/*
 * May this account be served here?  Answers at once or after hand-over, gate,
 * takeover or the hold time-out.  create: begin the account if it is new.
 * from_partner: this is a proxied or forwarded request; never answered with
 * PROXY (E_NOTHOLDER instead).  With SERVE the asker holds a session count:
 * engine_leave() when it ends.
 */
struct engine_ask *engine_ask(struct engine *e, struct id128 id,
			      const char *name, const char *root, bool create,
			      bool from_partner, engine_answer *cb, void *arg);
/* As engine_ask(), for a delivery: no hand-over is made for it. */
struct engine_ask *engine_ask_delivery(struct engine *e, struct id128 id,
				       const char *name, const char *root,
				       bool create, bool from_partner,
				       engine_answer *cb, void *arg);
void engine_ask_cancel(struct engine_ask *q);
void engine_leave(struct engine *e, struct account *a);

/*
 * Does a write: waits its turn, numbers, makes durable on both nodes (or marks
 * LONE), publishes, then calls done.  result 0, or negative with err and no
 * effect (D4), or E_TEMP with *unknown = true: the connection must be closed
 * without a tagged reply.  w and its arena must live until done.
 * WRITE_AUTOCREATE does nothing, with result 0, while the account is
 * maybe_stale.
 */
typedef void engine_done(void *arg, struct write *w, int result, bool unknown,
			 const struct err *err);
void engine_write(struct engine *e, struct account *a, struct write *w,
		  engine_done *done, void *arg);
/*
 * A delivery (WRITE_DELIVER with one message and a delivery id) for an account
 * that the partner holds, after the verdict PROXY: carried there, done as by
 * engine_write().  An answer that is lost is E_TEMP with unknown.
 */
void engine_forward(struct engine *e, struct id128 id, const char *name,
		    struct write *w, engine_done *done, void *arg);
/* The asker went away; done is not called, the write may still happen. */
void engine_write_forget(struct engine *e, struct write *w);
/* Calls done when everything that is in the log now is published (D2). */
typedef void engine_quiet(void *arg);
void engine_when_quiet(struct engine *e, struct account *a, engine_quiet *cb,
		       void *arg);
/* Read-repair: asks the partner for a body; done with 0 when it is in place. */
void engine_repair_body(struct engine *e, struct account *a,
			const uint8_t hash[32], void (*done)(void *, int),
			void *arg);

/* No partner holds a copy of anything: none was ever joined, or it was written
 * off. */
bool engine_is_single(const struct engine *e);

/* --- administration --------------------------------------------------------- */
enum account_sync { ACCT_SYNC, ACCT_CATCHUP, ACCT_LONE, ACCT_FORKED,
		    ACCT_PARKED, ACCT_NEEDS_SEED, ACCT_SEEDING, ACCT_SINGLE };
struct engine_account_status {
	struct account *account;
	enum account_sync state;
	enum lone_reason reason;
	uint64_t since_usec;		/* wall time of the last transition */
	int holder;			/* -1 none */
	uint32_t epoch;
	uint64_t unacked_records, unacked_bytes, oldest_unacked_usec;
	uint64_t unsafe_acks, unsafe_bytes;
	uint64_t waiting;		/* writes waiting for the partner */
	uint64_t last_ack_usec, last_full_usec, last_equal_usec;
	bool maybe_stale;
	bool mail;			/* new mail is among the unacked ones,
					 * as far as this life knows */
	bool unequal;			/* the last comparison failed */
	const char *parked_why;
};
typedef bool engine_status_cb(void *arg, const struct engine_account_status *s);
void engine_status(struct engine *e, engine_status_cb *cb, void *arg);
/* Orderly stop or switchover: hand every account held here to a partner in
 * SYNC; done when all are given or cannot be. */
void engine_hand_over_all(struct engine *e, void (*done)(void *arg), void *arg);
/* Give one account to the partner as soon as nothing uses it. */
int engine_switchover(struct engine *e, struct id128 id, struct err *err);
/* Takes an account out of quarantine: positions are exchanged anew. */
int engine_unpark(struct engine *e, struct id128 id, struct err *err);
/* Compares the account with the partner as soon as it is quiet: the outcome is
 * last_equal_usec, or unequal and a new copy for the replica. */
int engine_compare(struct engine *e, struct id128 id, struct err *err);
int engine_takeover(struct engine *e, struct account *a, bool accept_stale,
		    struct err *err);
/*
 * pair restored: this disk is an older copy of itself.  The account is opened;
 * if this node holds it, an epoch with the jump R, which skips 128 numbers, is
 * begun at once (with a partner: as soon as the rules let it write), else with
 * the next takeover in the life of this process.
 */
int engine_restored(struct engine *e, struct id128 id, struct err *err);
/* Accounts held here whose epoch has not been begun, or is not durable. */
size_t engine_restoring(struct engine *e);
/* Copies and bodies that are on their way now, in either direction. */
struct engine_transfer {
	const char *name;
	bool full;			/* a whole copy, else one message */
	bool receiving;
	bool installing;		/* all is here */
	uint64_t done, size;		/* bytes; size 0 = not known yet */
	size_t bodies;			/* that a copy waits for */
};
typedef bool engine_transfer_cb(void *arg, const struct engine_transfer *t);
void engine_transfers(struct engine *e, engine_transfer_cb *cb, void *arg);

#endif
