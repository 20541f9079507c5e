#ifndef DUET_STORAGE_STORE_H
#define DUET_STORAGE_STORE_H

/*
 * The storage of one store process: its journal, its accounts, checkpoints.
 * What it guarantees to sync/ is the list in replication.md, Storage contract.
 * All calls come from one thread; completion comes through fsio's callbacks.
 */

#include "node/base/fsio.h"
#include "storage/account.h"
#include "storage/write.h"

struct store;

/* What happened to one account that people should hear of. */
enum store_news {
	STORE_PARKED,		/* set aside, with its changes: text says why */
	STORE_HEALED,		/* something was damaged, and was made again */
	STORE_DAMAGED,		/* it cannot be: only a seed helps */
	STORE_WAITS,		/* something waits until there is room again */
};
typedef void store_news_cb(void *arg, enum store_news what, struct id128 id,
			   const char *name, const char *text);

struct store_opts {
	struct sys *sys;
	struct slice pair_id;		/* 16 bytes */
	uint32_t pair_time;
	unsigned node;			/* index 0 or 1 */
	const char *state_dir;		/* journal/ and accounts/ live there */
	const char *mail_root;		/* "" = none; holds .duet-node */
	unsigned process, processes;	/* this one of n */
	uint64_t journal_size;		/* pair_journal_size */
	uint32_t journal_inline;	/* pair_journal_inline */
	uint64_t reserve;		/* pair_reserve */
	uint64_t log_segment;		/* largest log segment; 0 = 4 MiB */
	/* How long store_open() waits (blocking) for the journal's lock; 0 in
	 * simulations, 10 s in a store process. */
	uint64_t lock_wait_usec;
	/* store_recover_all(): a corrupt or lost journal is set aside, and
	 * progress is told; else it refuses the start. */
	bool accept_loss;
	/* Something became fatal (fsync failed, journal corrupt): no call but
	 * store_close() is allowed afterwards. */
	void (*failed)(void *arg, const struct err *e);
	/* May be NULL.  It must not call the store. */
	store_news_cb *news;
	void *arg;
};

/* state_dir/journal/N is opened (made if missing), locked, and replayed into
 * the accounts it names.  E_TEMP if locked by another process. */
int store_open(const struct store_opts *o, struct store **out, struct err *e);
void store_close(struct store *s);
/* Frees everything without any I/O: the process died, or its disk did. */
void store_drop(struct store *s);
/*
 * The recovery process: replays *every* journal present, whatever their
 * number, then leaves a clean mark in each.  progress may be NULL; it is told
 * of each journal.  Accounts that were parked are told to opts.news.  A disk too
 * full for the marks is an error only if the number of processes is another
 * than before.
 */
int store_recover_all(const struct store_opts *o,
		      void (*progress)(void *arg, const char *text), void *arg,
		      struct err *e);

/*
 * After E_CORRUPT from one of the two above: journal `number` and its mark get
 * names bad.X and bad.X.mark, X random, so that the next open begins a new one.
 * What it held is lost here; the partner sees the missing id as REGRESSED.
 * Accounts whose views are ahead of their last checkpoint give E_CORRUPT when
 * they are opened and have to be seeded.
 */
int store_set_aside(const struct store_opts *o, unsigned number,
		    struct err *e);

/*
 * Accounts that could not be brought up to date at the start, or opened since,
 * and why.  Changes that the journal had of them wait, durably, in
 * state_dir/parked/; opening one tries again and applies them.  The others are
 * not hindered.  name: "" if even that is not known.  False stops.
 */
typedef bool store_parked_cb(void *arg, struct id128 id, const char *name,
			     const char *why);
void store_parked(struct store *s, store_parked_cb *cb, void *arg);

/* Accounts known to state_dir/accounts whose process is this one. */
typedef bool store_account_cb(void *arg, struct id128 id, const char *name,
			      const char *root);
void store_accounts(struct store *s, store_account_cb *cb, void *arg);
/*
 * Loads an account (from memory if it is there).  root: where it lies by this
 * node's userdb, NULL = as remembered.  Errors: E_NOTFOUND (unknown here and
 * create is false), E_FOREIGN, E_EXISTS (root belongs to another name), E_TEMP
 * (mail root's mark missing), E_CORRUPT.  create writes accounts/XX/ID and the
 * owner mark, and begins an empty log at genesis; it emits no record.
 */
int store_account_open(struct store *s, struct id128 id, const char *name,
		       const char *root, bool create, struct account **out,
		       struct err *e);
/*
 * After E_CORRUPT from store_account_open(): what is damaged could not be made
 * again from the account's log.  Gives it at genesis, account_needs_seed():
 * nothing is served, appended, accepted or checkpointed, but a seed can be
 * installed, and makes it whole.
 */
int store_account_open_damaged(struct store *s, struct id128 id,
			       struct account **out, struct err *e);
/* An account that was open became such a one (in store_turn). */
typedef void store_damaged(void *arg, struct account *a, const char *why);
void store_on_damaged(struct store *s, store_damaged *cb, void *arg);
/* Loaded accounts. */
struct account *store_account(struct store *s, struct id128 id);
/* May be unloaded when idle (a reference count, for sessions and the peer). */
void store_account_ref(struct account *a);
void store_account_unref(struct account *a);

/* --- writing frames ---------------------------------------------------- */

/* Bodies that a frame brings: one for each MSG_ADD with inline_body, in
 * order; large ones named by hash were staged before (body_stage.h). */
struct frame_bodies {
	struct slice *data;
	size_t n;
};

/* pos.seq and all before it of this account are durable, bodies included.
 * Never called after a failed sync. */
typedef void store_durable(void *arg, struct account *a, struct position pos);
void store_on_durable(struct store *s, store_durable *cb, void *arg);
/* There is room in the journal again after store_append() or store_accept()
 * gave E_TEMP. */
typedef void store_space(void *arg);
void store_on_space(struct store *s, store_space *cb, void *arg);

/*
 * Holder: numbers the frame (seq, chain, hlc) after the end of the log and
 * accepts it.  The bytes as they go to the partner are appended to wire_out
 * if not NULL.  The record is copied.
 */
int store_append(struct store *s, struct account *a, const struct record *r,
		 const struct frame_bodies *bodies, struct buf *wire_out,
		 struct err *e);
/*
 * Replica: accepts a frame from the partner iff it continues the log (seq,
 * chain, epoch rules).  E_EXISTS: seen already; -ERANGE: a gap; E_CORRUPT: the
 * chain differs; E_NOTFOUND with missing_hash filled: a body is not here.
 */
int store_accept(struct store *s, struct account *a, struct slice frame_bytes,
		 const struct frame_bodies *bodies, uint8_t missing_hash[32],
		 struct err *e);
/*
 * Published up to seq (must be <= durable): folds into state, index, message
 * files, and tells the watches.  E_NOSPACE, E_TEMP: a full or read-only disk,
 * too many files; nothing is lost, it may be tried again.  Anything else is a
 * matter of this account for good.
 */
int store_publish(struct store *s, struct account *a, uint64_t seq,
		  struct err *e);
/* The batch that is being gathered is written when the loop comes round;
 * call once per turn after all input (loop_post). */
void store_turn(struct store *s);

enum mark_kind { MARK_SYNC = 1, MARK_LONE = 2 };
enum lone_reason { LONE_NONE, LONE_TIMEOUT, LONE_DISCONNECT, LONE_SPACE,
		   LONE_SLOW, LONE_REGRESSED, LONE_VERSION, LONE_OPERATOR,
		   LONE_SEEDING, LONE_START, LONE_RESIGNED };
typedef void store_marked(void *arg, struct account *a);
/* done may be NULL (SYNC marks are lazy: no flush of their own). */
void store_mark(struct store *s, struct account *a, enum mark_kind kind,
		enum lone_reason reason, struct position partner,
		store_marked *done, void *arg);
/* The last durable mark of the account; MARK_LONE if none was ever written. */
enum mark_kind store_last_mark(const struct account *a,
			       enum lone_reason *reason_out, uint64_t *time_out);
/* What the partner said about itself; written with the next batch. */
void store_partner_acked(struct store *s, struct account *a,
			 struct position acked);
struct position store_partner_known(const struct account *a);
struct journal_id {
	uint64_t id;
	uint64_t last_batch;
};
void store_journals(struct store *s, struct journal_id *own);
/*
 * Journals in state_dir whose number no process has any more (a start with
 * fewer of them), as their last checkpoint says: they were replayed into the
 * accounts, and belong into the list that the partner is told, or it would
 * take this node for one that went back in time.  Only process 0 knows them.
 */
#define STORE_RETIRED_MAX 64u
size_t store_journals_retired(struct store *s, struct journal_id *out,
			      size_t max);
void store_partner_journals(struct store *s, const struct journal_id *j,
			    size_t n);
size_t store_partner_journals_known(struct store *s, struct journal_id *out,
				    size_t max);
/* Wall time of the last batch before this start (0: none): tells a stale
 * copy. */
uint64_t store_last_batch_time(struct store *s);

/* --- reading frames ----------------------------------------------------- */

/*
 * Frames after position seq, oldest first, also those not in the log file
 * yet; bodies of frames not yet checkpointed come along where the record has
 * inline_body (otherwise the receiver asks for them by hash).  Stops when cb
 * says false or max_bytes were given.  E_NOTFOUND if seq lies below the trim
 * floor.
 */
struct store_frame {
	struct slice bytes;		/* header with crc 0, payload, padding */
	struct position pos;
	const struct frame_bodies *bodies;
};
typedef bool store_frame_cb(void *arg, const struct store_frame *f);
int store_read(struct store *s, struct account *a, uint64_t after_seq,
	       size_t max_bytes, store_frame_cb *cb, void *arg, struct err *e);
/* The position at seq, for comparing with the partner's; E_NOTFOUND below the
 * floor. */
int store_position_at(struct store *s, struct account *a, uint64_t seq,
		      struct position *out);

/* --- dropping, seeding -------------------------------------------------- */

/*
 * RESET(cut): drops the unpublished frames after seq; their frames and bodies
 * go to orphans/.  Durable when done is called.  Without room it waits, and the
 * account takes no frames meanwhile; another call moves one that waits to the
 * new seq, and done of both is called.
 */
typedef void store_reset_done(void *arg, struct account *a, int result);
void store_cut(struct store *s, struct account *a, uint64_t seq,
	       store_reset_done *done, void *arg);
/* A consistent copy of the state at the published position, as bytes that
 * store_seed_install() takes (without bodies: those are asked by hash). */
int store_snapshot(struct store *s, struct account *a, struct buf *to,
		   struct err *e);
/* RESET(replaced): installs a snapshot after all bodies it names are here
 * (staged by hash or linkable); the old tree goes to orphans/. */
void store_seed_install(struct store *s, struct account *a,
			struct slice snapshot, store_reset_done *done, void *arg);
/* Hashes of a snapshot whose bodies are not here. */
typedef bool store_hash_cb(void *arg, const uint8_t hash[32], uint64_t size);
int store_seed_missing(struct store *s, struct account *a, struct slice snapshot,
		       store_hash_cb *cb, void *arg, struct err *e);

/* --- bodies by hash ------------------------------------------------------ */

/* A file with these octets (message file, or staged), for sending it. */
int store_body_find(struct store *s, struct account *a, const uint8_t hash[32],
		    struct buf *path_out, uint64_t *offset_out,
		    uint64_t *size_out);
/* A staging file being written: data in order, then end (fsynced, checked
 * against the hash, done called) or abort. */
struct body_stage;
int store_stage_begin(struct store *s, struct account *a, uint64_t size,
		      struct body_stage **out, struct err *e);
int store_stage_add(struct body_stage *b, struct slice data, struct err *e);
typedef void store_staged(void *arg, int result, const uint8_t hash[32],
			  uint64_t size, const char *tmp_path);
/* Frees b; done comes later. */
void store_stage_end(struct body_stage *b, store_staged *done, void *arg);
void store_stage_abort(struct body_stage *b);
/* Puts a sound copy of a body in the place of every damaged or missing file
 * of the account whose record names the hash. */
int store_body_repair(struct store *s, struct account *a,
		      const uint8_t hash[32], struct slice data, struct err *e);

/* --- housekeeping --------------------------------------------------------- */

/* How long things are kept; may be set again at any time. */
struct store_policy {
	uint64_t expunged_keep_usec;	/* pair_expunged_keep */
	uint64_t log_keep_usec;		/* pair_log_keep */
	uint64_t log_size;		/* pair_log_size, per account */
	/* A second member exists: what it has not acked is kept. */
	bool partner;
};
void store_set_policy(struct store *s, const struct store_policy *p);
/* Starts a checkpoint; if one runs, done waits for another after it.  done may
 * be NULL. */
void store_checkpoint(struct store *s, void (*done)(void *arg), void *arg);
/* Once in a while (a minute): time stamp batch, sweeps of .expunged, idle
 * accounts unloaded, trimming. */
void store_periodic(struct store *s);
/*
 * Is less than pair_reserve free below state_dir, or where a lies?  Then new
 * mail is refused with E_NOSPACE; everything else goes on.  Asked before each
 * message, and by the engine at each tick (a NULL: the mail root); cheap.
 */
bool store_low_space(struct store *s, struct account *a);
struct store_status {
	uint64_t journal_used, journal_size, batches, frames, checkpoints;
	uint64_t syncs, bytes;
	size_t accounts;
	bool low_space;
};
void store_status(struct store *s, struct store_status *out);

#endif
