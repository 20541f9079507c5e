#ifndef DUET_STORAGE_STATE_H
#define DUET_STORAGE_STATE_H

/*
 * The published state of an account: state = fold(records).  Deterministic,
 * no clock, no look-ahead; the same records give the same state and digest on
 * both nodes.  Views on disk (index files, message files, snapshot) are
 * written here and made durable by the checkpoint of store.h.
 *
 * Private to storage/; sessions see storage/account.h and mailbox.h.
 */

#include "storage/store.h"

struct state;

struct state_opts {
	struct sys *sys;
	struct account *account;	/* for mailbox_account() */
	struct id128 id;
	struct slice pair_id;
	uint32_t pair_time;
	const char *root;		/* account root, marked and ours */
};

/* At genesis. */
struct state *state_new(const struct state_opts *o);
/*
 * From a snapshot.  `clean` false: index pages may hold effects of later
 * frames; records beyond the snapshot's count are cut and digests recomputed
 * by state_replayed() after the frames since were applied again.
 */
int state_load(const struct state_opts *o, struct slice snapshot, bool clean,
	       struct state **out, struct err *e);
/* Mailboxes that sessions refer to are gone for them from now on (their watches
 * are told) and stay readable as far as they are in memory; the last
 * mailbox_unref() frees the rest. */
void state_free(struct state *s);
/* An I/O error left it half applied: it cannot be saved. */
bool state_broken(const struct state *s);

/*
 * Applies the next frame (seq = position + 1): index, message files (created
 * from bodies, or linked from a staged file or the copy source, moved to
 * .expunged), subscriptions, lineage …; tells the watches unless replay.
 * replay: effects may be there already in part; result must be the same.
 * E_CORRUPT: a record that contradicts the state (absent UID, wrong EMAILID):
 * nothing of it was applied; the account is parked by the caller.
 */
int state_apply(struct state *s, const struct frame *f, uint32_t nonce,
		const struct record *r, const struct frame_bodies *bodies,
		bool replay, struct err *e);
/* After the last frame of a replay: digests and rank tables made right. */
int state_replayed(struct state *s, struct err *e);
/* A message file with these octets, in a mailbox or expunged; its path is
 * appended (no NUL).  E_NOTFOUND. */
int state_body_find(struct state *s, const uint8_t hash[32],
		    struct buf *path_out);
/* The position of the last frame applied. */
struct position state_position(const struct state *s);

/* Snapshot bytes (everything that is not in index and message files), naming
 * the index generations.  Also the head of what a seed carries. */
void state_save(struct state *s, struct buf *to);
/* After a checkpoint whose snapshot is durable: older generations and files
 * that only older snapshots needed are removed. */
void state_checkpointed(struct state *s);
/* The whole state with all index records, for a seed; and its reverse into an
 * empty directory tree (root = the seed.tmp tree). */
int state_export(struct state *s, struct buf *to, struct err *e);
int state_import(const struct state_opts *o, struct slice exported,
		 struct state **out, struct err *e);

/* Every message that is there, mailbox by mailbox (for seeds, scrubbing);
 * false stops. */
struct mrec;
typedef bool state_body_cb(void *arg, struct mailbox *m,
			   const struct mrec *rec);
int state_bodies(struct state *s, state_body_cb *cb, void *arg, struct err *e);
/*
 * Puts the message file of a record in place from a file that has its octets
 * at `offset` (a message file, a staged one, or plain octets), replacing what
 * is there: for seeds and read-repair.
 */
int state_place_body(struct state *s, struct mailbox *m, const struct mrec *rec,
		     const char *from, uint64_t offset, struct err *e);
/* Bodies that replay or apply did not find: asked from the partner before the
 * account is served. */
size_t state_missing(const struct state *s);
typedef bool state_missing_cb(void *arg, const uint8_t hash[32], uint64_t size);
bool state_missing_each(struct state *s, state_missing_cb *cb, void *arg);
void state_missing_found(struct state *s, const uint8_t hash[32]);
/* Makes the directories of an account (mailboxes/, .duet/…) that are missing;
 * done by loading, replay and import too. */
int state_dirs(struct state *s, struct err *e);

/* Incremental account digest, and the same recomputed from the index files. */
void state_digest(struct state *s, uint8_t out[16]);
int state_digest_recomputed(struct state *s, uint8_t out[16], struct err *e);
/* Fills the CHECKPOINT op that describes the state as it is now: the account
 * digest and those of mailboxes changed since the last CHECKPOINT. */
void state_checkpoint_op(struct state *s, struct arena *a,
			 struct op_checkpoint *out);
/* Compared by CHECKPOINT records at apply: number of mismatches seen. */
unsigned state_mismatches(const struct state *s);

/* .expunged/ and name tombstone sweeps: files moved there before `before`
 * (seconds) whose record the partner acked (seq <= acked_seq) are removed. */
void state_sweep(struct state *s, int64_t before, uint64_t acked_seq);

#endif
