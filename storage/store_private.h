#ifndef DUET_STORAGE_STORE_PRIVATE_H
#define DUET_STORAGE_STORE_PRIVATE_H

/*
 * What the files of the store share:
 *   store.c             opening, closing, marks, the partner's journals
 *   store_account.c     loading and unloading accounts
 *   store_made.c        new accounts, until they are durable
 *   store_write.c       append, accept, durable, publish
 *   store_checkpoint.c  checkpoints
 *   store_recover.c     replay of a journal
 *   store_parked.c      entries of accounts that could not be replayed
 *   store_read.c        frames for the partner
 *   store_reset.c       cut, seeds
 *   store_body.c        bodies by hash, staging
 *   store_heal.c        damaged views are made again, or left to a seed
 *
 * Invariants:
 *  1. A frame is in the account log (memory or file) only if it is durable.
 *  2. A batch is recycled only after the mark that covers it is durable, and
 *     that only after a sync of every view it names.
 *  3. Marks take effect when they are durable.
 */

#include "node/base/arena.h"
#include "node/base/clock.h"
#include "node/base/map.h"
#include "node/base/rng.h"
#include "storage/account_private.h"
#include "storage/account_root.h"
#include "storage/alog.h"
#include "storage/body_stage.h"
#include "storage/ckmark.h"
#include "storage/journal.h"
#include "storage/snapfile.h"

/* Inline bodies and frame of one record together. */
#define STORE_ENTRY_MAX (8u * 1024 * 1024)
#define STORE_PARTNER_JOURNALS_MAX 256u

enum wait_kind { WAIT_MARK, WAIT_RESET };

/* Something to be done when a batch is durable, in order. */
struct store_wait {
	struct list node;
	enum wait_kind kind;
	uint64_t batch;
	struct account *account;	/* referenced */
	struct ckmark_lone mark;	/* WAIT_MARK */
	uint8_t mark_kind;
	store_marked *marked;
	void (*reset)(struct store *s, struct store_wait *w);
	void *job, *arg;		/* WAIT_RESET */
	store_reset_done *reset_done;
};

struct store_file_system {
	uint64_t dev;
	char *path;
};

/* A checkpoint on its way. */
struct checkpoint {
	bool running;
	struct ckmark mark;
	struct account **accounts;	/* referenced */
	uint64_t *snap_seq;		/* of the snapshots written for them */
	uint64_t *tokens;		/* seed_token of their trees then */
	bool *saved;			/* by state_save() */
	size_t n_accounts, cap_accounts;
	struct store_file_system *file_systems;
	size_t n_file_systems, cap_file_systems;
	size_t syncs_open;
	uint64_t serial;		/* kept from one to the next */
	int result;
};

/*
 * Something that waits for a started sync.  The callback may come after the
 * store is gone: then store is NULL and only the memory is left to free.
 */
struct store_flight {
	struct list node;
	struct store *store;
	/* The store goes: release what belongs to it. */
	void (*orphan)(struct store_flight *f);
};

struct store_done {
	void (*done)(void *arg);
	void *arg;
};

struct store {
	struct store_opts o;		/* strings below */
	struct fsio *fs;
	char *state_dir, *mail_root;
	uint8_t pair_id[16];
	unsigned number;		/* of the journal */
	char *mark_path;
	struct journal *journal;
	struct ckmark mark;		/* as last loaded or stored */
	struct ckmark *others;		/* marks of the other journals */
	size_t n_others, cap_others;
	struct journal_id retired[STORE_RETIRED_MAX];
	size_t n_retired;
	struct map *accounts;		/* id → account */
	struct list touched;		/* account.touched: frames not durable */
	struct list acks;		/* account.acks */
	struct list hurt;		/* account.hurt */
	store_damaged *on_damaged;
	void *on_damaged_arg;
	struct list flights;		/* store_flight */
	struct map *parked;		/* id → parked_account */
	struct list waits;		/* store_wait, oldest first */
	struct list cuts;		/* those that wait for room */
	uint64_t cut_retry_usec;	/* mono */
	struct map *lone;		/* id → ckmark_lone: durable LONE marks */
	struct map *made;		/* id → made_account */
	struct journal_id *partner;
	size_t n_partner, cap_partner;
	store_durable *on_durable;
	void *on_durable_arg;
	store_space *on_space;
	void *on_space_arg;
	bool space_wanted;
	struct checkpoint ck;
	struct store_done *done, *next_done;	/* of this, the next checkpoint */
	size_t n_done, cap_done, n_next, cap_next;
	bool failed, recovering, low_space;
	bool space_short;		/* low for some account, or all */
	uint64_t space_usec;		/* when low_space was found out */
	/* The callbacks of a durable batch run: a checkpoint to that batch would
	 * recycle marks and resets that were not applied yet. */
	bool landing, checkpoint_wanted;
	uint64_t last_hlc, last_batch_time;
	struct store_policy policy;
	struct err read_only;		/* .code: the process fails for it */
	uint64_t batch_usec;		/* mono: of the last batch */
	struct store_status stat;
	uint64_t ck_retry_usec;		/* mono: not before, after a failure */
};

static inline struct slice pair_slice(const struct store *s)
{
	return slice_of(s->pair_id, sizeof(s->pair_id));
}

static inline struct slice id_slice(const struct id128 *id)
{
	return slice_of(id->b, sizeof(id->b));
}

/* --- store.c --- */
void store_flight_begin(struct store *s, struct store_flight *f,
			void (*orphan)(struct store_flight *));
/* At the callback; false: the store is gone, free the memory and return. */
bool store_flight_end(struct store_flight *f);
/* Without a process's duties: the journal of that number, replayed. */
int store_open_number(const struct store_opts *o, unsigned number,
		      struct store **out, struct err *e);
void store_fail(struct store *s, const struct err *e);
/* A mark has become durable (or was found at recovery). */
void store_apply_mark(struct store *s, struct account *a, uint8_t kind,
		      const struct ckmark_lone *m);
void store_set_partner(struct store *s, const struct journal_id *j, size_t n);
void store_put_acked(struct store *s);

/* --- store_made.c --- */
/*
 * An account is made without waiting for a disk.  Its directories, its owner's
 * mark and its line in the registry are durable with the next checkpoint; until
 * then an entry of the journal, before its first frame, has what is needed to
 * make them again.  The registry is written by the checkpoint only, when the
 * entry is durable: who is in the registry has a tree, or the journal makes it.
 */
struct made_account {
	struct account_root root;
	uint64_t batch;			/* of its entry */
	bool names_durable;		/* of .duet and all above it */
};
int store_made_begin(struct store *s, const struct account_root *root,
		     struct err *e);
int store_made_replay(struct store *s, const struct journal_entry *en,
		      struct err *e);
/* Before something in its tree is relied on that the journal does not have: the
 * names that lead to it are synced.  Nothing to do for older accounts. */
int store_made_sync(struct store *s, struct id128 id);
/* Such an entry waits in parked/. */
bool store_made_parked(struct store *s, struct id128 id);
/* After a replay, and by a checkpoint to that batch. */
int store_made_put(struct store *s, uint64_t batch, struct err *e);
/* The checkpoint to that batch is durable. */
void store_made_done(struct store *s, uint64_t batch);
/* account_root_get(), those included. */
int store_root_get(struct store *s, struct id128 id, struct account_root *out,
		   struct err *e);

/* --- store_account.c --- */
/* Reads the newest snapshot that counts and the log behind it.  fresh: it may
 * have neither (its first frame is in the journal, or it is being made). */
int account_load(struct store *s, const struct account_root *root, bool fresh,
		 const struct position *cut_at, uint64_t first_frame,
		 struct account **out, struct err *e);
/* Nothing is read yet; not in the map. */
struct account *account_new(struct store *s, const struct account_root *root);
struct state_opts account_state_opts(struct account *a);
void account_drop(struct account *a);	/* frees, no I/O; not in the map */
char *account_dir(const struct account *a, const char *below);
/* State, log and head as a (new) tree has them. */
int account_read_tree(struct account *a, bool fresh, struct err *e);
/* The same by fold of its whole log; snap: what a valid snapshot says, or
 * NULL; why: what is damaged. */
int account_read_again(struct account *a, const struct snapfile *snap,
		       const char *why, struct err *e);
void account_forget_tree(struct account *a);
void account_dirty(struct account *a);

/* --- store_write.c --- */
/* Takes the frame as the next one.  bodies are copied.  The position must
 * have been checked. */
struct pending_frame *account_accept(struct account *a, struct slice bytes,
				     struct position pos,
				     const struct frame_bodies *bodies,
				     uint64_t batch, struct err *e);
void account_pending_free(struct pending_frame *p);
/* Marks pending frames up to batch durable: log, head. */
bool account_durable_upto(struct account *a, uint64_t batch);
void store_batch_durable(void *arg, uint64_t batch);
size_t record_inline_bodies(const struct record *r);
/* The position that a frame with this record leads to. */
int position_after(const struct position *before, const struct frame *f,
		   const struct record *r, struct position *out, struct err *e);

/* --- store_checkpoint.c --- */
/* Blocks.  last: the store is dropped when it returns. */
int store_checkpoint_now(struct store *s, bool last, struct err *e);
void store_maybe_checkpoint(struct store *s);
void store_checkpoint_fini(struct store *s);
void account_unspill(struct account *a, uint64_t upto);

/* Bodies of durable frames that are not published, beside the log. */
int account_spill(struct account *a, struct err *e);

/* --- store_heal.c --- */
/* Segments that the log gave up are set aside, and told of. */
int account_heal_log(struct account *a, struct err *e);
/* Log and state, from genesis as far as is certain to have been shown; frames
 * behind that are not read yet.  E_CORRUPT: the log does not go back there, or
 * is damaged too; then nothing was changed. */
int account_rebuild(struct account *a, const struct alog_opts *lo,
		    const struct state_opts *so, const struct snapfile *snap,
		    const char *why, struct err *e);
/* Accounts that were found damaged while they were served. */
void store_heal_turn(struct store *s);
bool account_is_hurt(const struct account *a);
/* At genesis, for a seed and nothing else. */
void account_make_shell(struct account *a);

/* --- store_recover.c --- */
int store_replay(struct store *s, struct err *e);
/* As account_load() for an account with parked entries: these are applied. */
int store_unpark(struct store *s, const struct account_root *root, bool fresh,
		 struct account **out, struct err *e);

/* --- store_parked.c --- */
/*
 * An account that recovery cannot bring up to date (its file system is not
 * mounted, its log is damaged, …) must not keep the others from starting, nor
 * the journal from being recycled.  Its entries go to a file of their own,
 * durable before the checkpoint; opening the account applies them.  Its
 * snapshots then say that they are in it, and the next checkpoint removes the
 * file.
 */
struct parked_file {
	uint32_t order;			/* of the files of one account */
	uint64_t journal, batch;	/* the journal, and its mark then */
	bool included;			/* in the account's snapshot */
};
/* Why an account cannot be served; name: as the registry has it, or "". */
struct parked_account {
	char *name, *why;
};
void store_park(struct store *s, struct id128 id, const char *why);
void store_unparked(struct store *s, struct id128 id);
void store_parked_fini(struct store *s);
void store_tell(struct store *s, enum store_news what, struct id128 id,
		const char *name, const char *text);
/* In order; free() the result. */
int store_parked_list(struct store *s, struct id128 id,
		      struct parked_file **out, size_t *n_out, struct err *e);
int store_parked_each(struct store *s, struct id128 id,
		      const struct parked_file *f, journal_entry_cb *cb,
		      void *arg, struct err *e);
/* It begins with the account's first frame. */
bool store_parked_fresh(struct store *s, struct id128 id,
			const struct parked_file *f);
void store_parked_begin(struct buf *b);
void store_parked_put(struct buf *b, const struct journal_entry *en);
int store_parked_write(struct store *s, struct id128 id, struct buf *b,
		       bool fresh, struct err *e);
/* Fills a->parked; left: some are not in the snapshot that names `included`. */
int account_parked_files(struct account *a, struct slice included,
			 bool *left_out, struct err *e);
void account_parked_put(const struct account *a, struct buf *to);
void account_parked_done(struct account *a);

/* --- store_reset.c --- */
/* Cuts that found no room are tried again. */
void store_cuts_turn(struct store *s);
void store_cuts_fini(struct store *s);
int store_reset_replay(struct store *s, struct account *a,
		       const struct journal_entry *en, struct err *e);
/* Completes an exchange that a crash interrupted, before the tree is read. */
int store_seed_finish(struct store *s, const char *root, uint64_t token,
		      struct err *e);
enum reset_kind { RESET_CUT = 1, RESET_REPLACED = 2 };
struct reset_entry {
	struct id128 account;
	uint8_t kind;
	uint64_t token;
	struct position pos;
};
bool reset_entry_get(struct slice data, struct reset_entry *out);

/* --- store_body.c --- */
/* Staged files nobody needs. */
void store_sweep_stages(struct store *s, struct account *a);
int store_body_load(struct store *s, struct account *a, const uint8_t hash[32],
		    uint64_t size_max, struct buf *to, struct err *e);

/* --- store_reset.c, store_periodic.c --- */
/* A wait that will not be served any more. */
void store_reset_drop(struct store_wait *w);
void store_reset_put(struct buf *to, const struct reset_entry *r);

/* --- journal entries --- */
struct frame_entry {
	struct id128 account;
	struct slice frame;
	struct slice *bodies;		/* in the arena */
	size_t n_bodies;
};
bool frame_entry_get(struct slice data, struct arena *a, struct frame_entry *out);

#endif
