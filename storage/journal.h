#ifndef DUET_STORAGE_JOURNAL_H
#define DUET_STORAGE_JOURNAL_H

/*
 * The journal of one store process: a preallocated file used as a ring of
 * numbered batches (replication.md, Storage contract; bytes in
 * docs/store-format.md).  Private to storage/.
 *
 *	head block (4 KiB) | ring: batch batch … (each at a 4 KiB boundary)
 *
 * Invariants:
 *  1. Batch n+1 is written only after the sync of batch n returned; entries
 *     gather meanwhile (group commit).  One write and one sync a batch.
 *  2. The batches that live (not recycled) have numbers without gaps and never
 *     overlap in the ring.
 *  3. After a failed write or sync nothing more is written, and nothing is
 *     reported durable.
 */

#include "node/base/buf.h"
#include "node/base/err.h"
#include "node/base/fsio.h"

#define JOURNAL_BLOCK 4096u
#define JOURNAL_BATCH_HEADER 32u
#define JOURNAL_ENTRY_HEADER 8u
/* Smallest journal: the head block and 15 blocks of ring. */
#define JOURNAL_SIZE_MIN (16u * JOURNAL_BLOCK)

enum journal_type {
	JOURNAL_FRAME = 1,	/* account, frame, bodies */
	JOURNAL_MARK = 2,	/* LONE or SYNC */
	JOURNAL_RESET = 3,
	JOURNAL_ACKED = 4,	/* the partner's position of an account */
	JOURNAL_JOURNALS = 5,	/* the partner's journals */
	JOURNAL_TIME = 6,	/* nothing: the batch's time counts */
	JOURNAL_ACCOUNT = 7,	/* one that is made: its name and root */
};

struct journal;

struct journal_opts {
	struct sys *sys;
	const char *path;
	uint64_t size;		/* of a new one; an old one keeps its size */
	/* Batches up to `batch` are durable. */
	void (*durable)(void *arg, uint64_t batch);
	/* A write or sync failed; called once. */
	void (*failed)(void *arg, const struct err *e);
	void *arg;
};

/* Opens or makes the file and locks it.  E_TEMP: locked by another process;
 * E_CORRUPT: not a journal. made_out: it is new (may be NULL). */
int journal_open(const struct journal_opts *o, struct journal **out,
		 bool *made_out, struct err *e);
/* No I/O but close; what was gathered is dropped.  NULL is fine. */
void journal_free(struct journal *j);

/*
 * Recovery: finds the valid batches after `batch`, whose successor is expected
 * at `offset` (0 and 0 for a journal without a mark).  A torn tail is dropped;
 * E_CORRUPT for a valid batch beyond an invalid one.  Everything found has
 * been synced when this returns.
 */
int journal_scan(struct journal *j, uint64_t batch, uint64_t offset,
		 struct err *e);
struct journal_entry {
	uint64_t batch, time;
	uint16_t type, flags;
	struct slice data;
};
/* Negative ends the walk and is given back. */
typedef int journal_entry_cb(void *arg, const struct journal_entry *en);
/* Every entry of every living batch, in order. */
int journal_each(struct journal *j, journal_entry_cb *cb, void *arg,
		 struct err *e);

enum {
	JOURNAL_LAZY = 1,	/* waits for other entries */
	JOURNAL_RESERVED = 2,	/* may use the space kept for marks */
};
/*
 * Gathers an entry; gives the number of its batch.  -ENOSPC: no room until a
 * checkpoint is through; E_LIMIT: larger than a quarter of the ring; -EIO:
 * the journal has failed.
 */
int journal_put(struct journal *j, enum journal_type type,
		const struct slice *parts, size_t n_parts, unsigned how,
		uint64_t *batch_out);
/* Writes what was gathered if something in it is not lazy, or all is true.
 * While a batch is in flight this happens after it.  One that finds no room in
 * the file system (which copies on write, or has quotas) is written by a later
 * call. */
void journal_flush(struct journal *j, bool all);
/* Everything gathered is durable when this returns (blocks).  -ENOSPC: not yet;
 * -EIO: never. */
int journal_sync(struct journal *j);
/* Batches <= upto may be overwritten. */
void journal_recycle(struct journal *j, uint64_t upto);

uint64_t journal_id(const struct journal *j);
uint64_t journal_last(const struct journal *j);		/* durable */
/* Where the batch after `batch` is expected; batch lives, or is the last. */
uint64_t journal_offset_after(const struct journal *j, uint64_t batch);
uint64_t journal_time(const struct journal *j);	/* of the last batch found */
uint64_t journal_used(const struct journal *j);
uint64_t journal_size(const struct journal *j);		/* of the ring */
bool journal_failed(const struct journal *j);
bool journal_busy(const struct journal *j);	/* a batch is in flight */

/* For tools: reads without locking or changing anything. */
struct journal_head {
	uint64_t id, size;
};
int journal_head_get(struct slice block, struct journal_head *out,
		     struct err *e);
struct journal_batch {
	uint64_t number, time;
	uint32_t bytes, entries;
};
/* The header at the start of in; false if it is none. The CRC is checked if
 * the whole batch is in `in`. */
bool journal_batch_get(struct slice in, uint64_t id, struct journal_batch *out,
		       bool *whole_out);
/* The next entry of a batch's body; false at its end or when broken. */
bool journal_entry_get(struct slice *body, struct journal_entry *out);

#endif
