#ifndef DUET_SYNC_ENGINE_PRIVATE_H
#define DUET_SYNC_ENGINE_PRIVATE_H

/*
 * What the files of the engine share:
 *   engine.c          life, link up and down, ticks, turns
 *   engine_account.c  accounts known here, facts, lineage, background gates
 *   engine_act.c      steps of the peer and its actions
 *   engine_link.c     messages of the partner about positions and records
 *   engine_send.c     records on their way to the partner
 *   engine_ask.c      sessions
 *   engine_write.c    writes: queue, numbering, completion
 *   engine_forward.c  deliveries carried to the holder
 *   engine_blob.c     bodies by hash, both directions
 *   engine_seed.c     whole copies
 *   engine_status.c   status, reports, checkpoints
 *   engine_admin.c    takeover, switchover, quarantine, restored
 *
 * Invariants:
 *  1. A callback of the caller is never called from inside engine_write(),
 *     engine_ask() or another callback of the engine: all go through e->due
 *     and are run by engine_run_due() at the end of each input.
 *     (engine_ask() may answer at once: its contract says so.)
 *  2. ea->waiting is sorted by seq; each was appended and is not published.
 *  3. Only engine_step() changes a peer.
 */

#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/list.h"
#include "node/base/map.h"
#include "node/base/rng.h"
#include "sync/engine.h"
#include "sync/peer.h"

#define ENGINE_GATES_MAX 64u		/* background exchanges at a time */
/* Records sent and not acked (engine_send.c).  Together they stay below half
 * of IPC_QUEUE_MAX. */
#define ENGINE_PIECE (64u * 1024)	/* of a Records message */
#define ENGINE_WHOLE_MAX (128u * 1024)	/* a larger record goes in parts */
#define ENGINE_LIVE_MAX (256u * 1024)	/* of an account, out of turn */
#define ENGINE_WINDOW_MIN (64u * 1024)	/* of all others together */
#define ENGINE_WINDOW_FIRST (256u * 1024)
#define ENGINE_WINDOW_MAX (4u * 1024 * 1024)
#define ENGINE_SLOW_TICKS 3u		/* an ack that took this long */
#define ENGINE_CREDIT_TICKS 10u		/* without any: they were lost */
#define ENGINE_TRANSFER_TICKS 10u	/* without progress: asked again */
#define ENGINE_TRANSFER_TRIES 6u
#define ENGINE_TRANSFER_STEP (LINK_CREDIT / 4)	/* asked for in advance */
/* Bodies that the partner offers and that are not here: what it offers beyond
 * this is not looked at, and it offers it again. */
#define ENGINE_OFFERS_IN_MAX 256u
/* Bodies that one seed waits for at a time. */
#define ENGINE_SEED_BODIES_MAX 65536u
#define ENGINE_SEED_ROUNDS_MAX 256u
/* Parts of large records, of all accounts together. */
#define ENGINE_PARTS_ROOM (256u * 1024 * 1024)
#define ENGINE_SEED_SIZE_MAX (512u * 1024 * 1024)
/* Snapshots in memory, going out and coming in each: no other begins while
 * they are together beyond this. */
#define ENGINE_SEED_ROOM (512u * 1024 * 1024)
#define ENGINE_REPAIR_SIZE_MAX (64u * 1024 * 1024)
#define ENGINE_FORWARDS_MAX 256u
#define ENGINE_CHECKPOINT_OPS 1000u
#define ENGINE_CHECKPOINT_TICKS 120u	/* after the last change */

struct eacct;
struct transfer;

struct engine_ask {
	struct list node;		/* in eacct.asks, or in engine.due */
	struct engine *e;
	struct eacct *ea;
	bool create, from_partner, delivery;
	bool gated;			/* positions were asked for because of */
	uint64_t not_holder_tick;	/* the partner's NOT_HOLDER, then; or 0 */
	uint64_t asked_gen, asked_tick;	/* when ASK was sent */
	uint64_t tick;			/* when it came */
	engine_answer *cb;
	void *arg;
};

/* A write of this node's sessions and deliveries. */
struct ewrite {
	struct list node;		/* queue, waiting or due */
	struct eacct *ea;
	struct write *w;
	engine_done *done;
	void *arg;
	bool forgotten, appended, tempfail;
	bool left;			/* the queue: nothing more to number */
	uint64_t seq;			/* complete when this is published */
	uint64_t tick;
	int result;
	bool unknown;
	struct err err;
	unsigned blobs;			/* large bodies not yet at the partner */
	bool offered;
};

struct equiet {
	struct list node;
	uint64_t seq;
	engine_quiet *cb;
	void *arg;
};

struct erepair {
	struct list node;
	uint8_t hash[32];
	void (*done)(void *, int);
	void *arg;
	struct eacct *ea;
	int result;
};

/* A delivery carried to the partner. */
struct eforward {
	struct list node;		/* engine.forwards, or due */
	struct engine *e;
	struct id128 account;
	char *name;
	uint64_t id, tick;
	struct write *w;
	engine_done *done;
	void *arg;
	bool forgotten, sent, retried;
	struct engine_ask *ask;
	bool *answered;			/* while it is being asked */
	int result;
	bool unknown;
	struct err err;
};

/* A body that the partner may ask for although no record names it yet. */
struct offer {
	struct list node;		/* eacct.offers */
	uint8_t hash[32];
	uint64_t size;
	struct ewrite *write;		/* or */
	struct eforward *forward;
	uint64_t tick, said_tick;	/* heard of it; offered */
	bool asked;			/* the partner wants it */
};

/* Records sent and not acked. */
struct sent {
	uint64_t seq;			/* the last of them */
	size_t bytes;
	uint64_t tick;
	bool fair;			/* counts in engine.in_flight */
	bool part;			/* of a record that goes in parts */
};

struct eacct {
	struct engine *e;
	struct id128 id;
	char *name;
	struct account *a;		/* NULL until opened; referenced */
	struct peer peer;
	uint64_t opened_end;		/* of the log when it was opened: until
					 * that is published again nobody looks */
	struct list asks, queue, waiting, quiets, offers;
	struct list repairs;
	unsigned sessions;		/* own and the partner's */
	unsigned forwards_in;		/* deliveries of the partner under way */
	uint64_t floor;			/* of the log */
	bool floor_known;
	/* sending */
	uint64_t send_next;		/* 0 = not sending */
	struct sent *sent;		/* ascending */
	size_t n_sent, cap_sent;
	uint64_t sent_bytes;		/* their sum */
	struct list push_node;		/* in engine.pushing */
	uint64_t told_published;
	bool ack_due, dirty, retry_work;
	struct list dirty_node;
	/* receiving */
	struct buf part;		/* a record in several messages */
	uint32_t part_next;		/* 0 = none of part_seq is here */
	uint64_t part_seq;
	uint64_t parts_in;		/* not yet credited */
	bool nacked;			/* until the expected one comes */
	bool body_out;			/* the partner waits for a body */
	uint8_t missing[32];		/* body that accepting waits for */
	bool missing_set;
	/* seeds */
	struct buf seed_in;
	struct position seed_pos;
	uint8_t seed_digest[16];
	uint64_t seed_size;
	bool seed_wanted, seed_running, seed_installing, seed_whole;
	bool seed_refused;		/* said so already */
	uint64_t seed_tick;
	unsigned seed_missing, seed_rounds;
	bool seed_more;			/* bodies are missing beyond these */
	struct buf seed_out;
	bool seed_pinned;
	struct position seed_out_pos;
	uint8_t seed_out_digest[16];
	uint64_t seed_out_tick;
	/* checkpoint and digests */
	bool publish_waits;		/* no room to show what is durable */
	uint64_t ops_since, changed_tick;
	uint8_t last_digest[16];
	uint64_t last_digest_seq;
	bool compare_due;		/* asked for, or after a new copy */
	bool unequal;			/* until a comparison comes out equal */
	uint64_t mail_seq;		/* of the last new message of this life */
	/* status */
	uint64_t state_since_usec, last_ack_usec, last_full_usec;
	uint64_t last_equal_usec, unsafe_acks, unsafe_bytes;
	uint64_t oldest_unacked_usec;
	bool background;		/* gate not asked for yet */
	bool written_off;		/* peer_facts.written_off, at opening */
	bool parked_sent;
	char *parked_why;
};

/*
 * What callbacks of the store hold on to: it outlives the engine for as long
 * as they may still come (store_close() runs some).
 */
struct engine_token {
	struct engine *e;		/* NULL: it is gone */
	unsigned refs;			/* callbacks under way */
	struct list marks;		/* LONE marks on their way to disk */
	struct list endings;		/* transfers whose staging file ends */
};

/* A record on its way in parts: one at a time. */
struct big {
	struct eacct *ea;		/* NULL = none */
	struct buf all;
	size_t at;
	struct link_records r;
};

struct engine {
	struct engine_opts o;
	struct engine_out out;
	struct sys *sys;
	struct store *store;
	uint8_t pair_id[16];
	struct peer_env env;
	struct map *accounts;		/* id → eacct */
	struct list dirty;		/* eacct with work for the turn */
	struct list pushing;		/* eacct with records to send, in turn */
	uint64_t in_flight, window;	/* bytes that took turns, not acked */
	uint64_t round, rtt8;		/* acked since it grew; ticks * 8 */
	uint64_t shrunk_tick, credit_tick;
	bool limited;			/* the window was full */
	struct big big;
	struct list due_writes, due_quiets, due_repairs, due_forwards;
	struct list forwards, delivers;
	struct engine_token *token;
	struct list transfers;		/* struct transfer, coming in */
	struct map *transfer_of;	/* account and hash → it, unless dead */
	unsigned transfers_active;
	size_t offers_in;		/* … offered by the partner */
	uint64_t bulk_in_tick;		/* bytes of any of them came */
	uint64_t bulk_out_tick;		/* the partner took some */
	struct id128 set_digest;
	size_t n_accounts, next_background;
	uint64_t next_id, nonce;
	uint32_t failed_there;		/* attempts to connect, as sync counts */
	uint64_t dialed_tick;		/* when the last of them began */
	bool heard, failed, low_space;
	struct buf report_last;
	uint64_t report_tick;
	void (*handed_over)(void *);
	void *handed_over_arg;
	uint64_t hand_over_tick;
	size_t forwards_n;
	uint64_t seed_room;		/* ENGINE_SEED_ROOM */
	size_t offers_max;		/* ENGINE_OFFERS_IN_MAX */
	size_t seed_bodies_max;		/* ENGINE_SEED_BODIES_MAX */
	size_t parts_room;		/* ENGINE_PARTS_ROOM */
	size_t parts_bytes;
	uint64_t partner_boot, link_id;
	uint64_t link_serial;		/* of the last UP or DOWN */
};

/* --- engine.c --- */
void engine_send(struct engine *e, struct link_msg *m);
/* Runs the caller's callbacks that are due. */
void engine_run_due(struct engine *e);
void engine_event(struct engine *e, struct eacct *ea, const char *name,
		  const char *text);
uint64_t engine_random(struct engine *e);
uint64_t engine_now(struct engine *e);		/* wall clock, usec */

/* --- engine_account.c --- */
struct eacct *engine_known(struct engine *e, struct id128 id);
struct eacct *engine_add(struct engine *e, struct id128 id, const char *name);
void engine_account_free(struct eacct *ea);
/* Loads it; root NULL = as remembered. */
int engine_open(struct eacct *ea, const char *root, bool create, struct err *err);
int engine_open_new(struct engine *e, struct id128 id, const char *name,
		    const char *root, bool create, struct eacct **out,
		    struct err *err);
void engine_facts(struct eacct *ea, struct peer_facts *f);
uint64_t engine_floor(struct eacct *ea);
void engine_background(struct engine *e);
void engine_dirty(struct eacct *ea);

/* --- engine_act.c --- */
void engine_step(struct eacct *ea, const struct peer_event *ev);
void engine_step_simple(struct eacct *ea, enum peer_event_kind k);
void engine_park(struct eacct *ea, const char *why);
bool engine_written_off(struct eacct *ea);
/* One callback fewer; goes with the last one when the engine is gone. */
void engine_token_put(struct engine_token *t);
/* A lineage or bookkeeping record of this node; 0 or negative. */
int engine_append_op(struct eacct *ea, const struct op *op, uint64_t modseq,
		     struct err *err);

/* --- engine_link.c --- */
void engine_account_message(struct engine *e, const struct link_msg *m);
void engine_accept_again(struct eacct *ea);	/* a missing body came */
void engine_parts_drop(struct eacct *ea);	/* of an unfinished record */
void engine_send_pressure(struct eacct *ea);
void engine_send_position(struct eacct *ea, uint16_t type, uint64_t gen);

/* --- engine_send.c --- */
/* What clients wait for goes at once, the rest takes turns. */
void engine_push(struct eacct *ea);
void engine_push_fair(struct engine *e);
/* The partner has everything up to seq, and so many parts of a record. */
void engine_sent_acked(struct eacct *ea, uint64_t seq, uint64_t parts);
/* Nothing that was sent will be acked. */
void engine_unsend(struct eacct *ea);
/* Was it sent so lately that its ack may still come? */
bool engine_on_its_way(const struct eacct *ea, uint64_t seq);
/* Catching up, and others are sent first: that is no time-out of its own. */
bool engine_waits_its_turn(const struct eacct *ea);
void engine_send_tick(struct engine *e);
/* Is there room for large messages on the way to sync? */
bool engine_channel_free(const struct engine *e);
void engine_turn_account(struct eacct *ea);

/* --- engine_ask.c --- */
void engine_asks_settle(struct eacct *ea);
void engine_asks_tick(struct eacct *ea);
void engine_ask_reply(struct engine *e, const struct link_msg *m);
bool engine_asks_wanted(const struct eacct *ea, bool *retried_out);

/* --- engine_write.c --- */
void engine_pump(struct eacct *ea);
void engine_published(struct eacct *ea);
void engine_unknown(struct eacct *ea, bool all, uint64_t beyond);
/* All that wait for publication, with this code. */
void engine_unknown_code(struct eacct *ea, int code, const char *why);
void engine_writes_tick(struct eacct *ea);
void engine_write_due(struct ewrite *ew, int result, bool unknown,
		      const struct err *err);
bool engine_degraded_tempfail(const struct engine *e, enum write_class c);

/* --- engine_forward.c --- */
void engine_forward_ready(struct eforward *f);
void engine_deliver(struct engine *e, const struct link_msg *m);
void engine_delivered(struct engine *e, const struct link_msg *m);
void engine_forwards_lost(struct engine *e);
void engine_forwards_tick(struct engine *e);
void engine_delivers_free(struct engine *e);

/* --- engine_blob.c --- */
void engine_blob_message(struct eacct *ea, const struct link_msg *m);
/* Wants a body; why: what happens when it is here. */
enum transfer_why { TRANSFER_RECORD, TRANSFER_SEED, TRANSFER_OFFER,
		    TRANSFER_REPAIR };
void engine_blob_want(struct eacct *ea, const uint8_t hash[32], uint64_t size,
		      enum transfer_why why);
/* Nobody waits for it for this reason any more. */
void engine_blob_unwant(struct eacct *ea, const uint8_t hash[32],
			enum transfer_why why);
void engine_blob_offer(struct eacct *ea, const uint8_t hash[32], uint64_t size,
		       struct ewrite *ew, struct eforward *ef);
void engine_offers_drop(struct eacct *ea, struct ewrite *ew,
			struct eforward *ef);
void engine_blobs_tick(struct engine *e);
/* Since tick nothing came of one thing that was asked for, and nothing that
 * it may have come behind: it was lost. */
bool engine_bulk_silent(const struct engine *e, uint64_t tick);
void engine_blobs_reset(struct engine *e, struct eacct *ea);
void engine_transfer_free_all(struct engine *e);
void engine_endings_free(struct engine_token *t);
bool engine_blob_transfers(struct engine *e, engine_transfer_cb *cb, void *arg);
char *engine_staged_path(struct eacct *ea, const uint8_t hash[32],
			 uint64_t *size_out);

/* --- engine_seed.c --- */
void engine_seed_start(struct eacct *ea);
void engine_seed_message(struct eacct *ea, const struct link_msg *m);
void engine_seed_tick(struct eacct *ea);
void engine_seed_body(struct eacct *ea, int result);
void engine_seed_fini(struct eacct *ea);

/* --- engine_status.c --- */
void engine_report(struct engine *e);
void engine_checkpoint_tick(struct eacct *ea);
uint8_t engine_copy(const struct eacct *ea);
void engine_digest_message(struct engine *e, const struct link_msg *m);

#endif
