#ifndef DUET_STORAGE_CKMARK_H
#define DUET_STORAGE_CKMARK_H

/*
 * The mark file of a journal, journal/N.mark: everything up to batch n is in
 * the views, durably (replication.md, Checkpoint).  Replaced as a whole; bytes
 * in docs/store-format.md.  Private to storage/.
 */

#include "node/base/fsio.h"
#include "node/base/cursor.h"
#include "storage/alog.h"
#include "storage/store.h"

/* An account whose last mark is LONE. */
struct ckmark_lone {
	struct id128 account;
	uint8_t reason;			/* enum lone_reason */
	uint64_t time;			/* microseconds, wall clock */
	struct position partner;
};

/* Where the log of an account ended that was written since the mark before. */
struct ckmark_end {
	struct id128 account;
	struct alog_end end;
};

/*
 * Which checkpoint: its batch, and a count of those to the same batch (what
 * is published between them leaves no trace in the journal).
 */
struct ckmark_no {
	uint64_t batch;
	uint32_t sub;
};

/*
 * Checkpoints that never ended: those after `from`, up to `to`, `to_sub`.
 * One for each unclean stop; a snapshot file of such a checkpoint does not
 * count, even when the mark has passed it since.
 */
struct ckmark_dead {
	struct ckmark_no from;
	uint64_t to;
	uint32_t to_sub;
};
/* More than there ever are to one batch. */
#define CKMARK_SUB_END 0x7fffffffu

#define CKMARK_DEAD_MAX 65536u

struct ckmark {
	uint64_t journal;		/* the journal's random id */
	uint64_t batch;
	uint32_t sub;
	bool clean;			/* nothing was done after it */
	uint64_t offset;		/* where batch + 1 is expected */
	uint64_t time;			/* of batch `batch`, wall clock */
	struct ckmark_lone *lone;
	size_t n_lone, cap_lone;
	struct ckmark_end *ends;
	size_t n_ends, cap_ends;
	struct journal_id *partner;	/* the partner's journals as last heard */
	size_t n_partner, cap_partner;
	struct ckmark_dead *dead;
	size_t n_dead, cap_dead;
};

/* Did this checkpoint of the journal end? */
bool ckmark_counts(const struct ckmark *m, struct ckmark_no no);

void ckmark_fini(struct ckmark *m);
void ckmark_encode(const struct ckmark *m, struct buf *to);
int ckmark_decode(struct slice in, struct ckmark *out, struct err *e);
/* -ENOENT if there is none. */
int ckmark_load(struct fsio *fs, const char *path, struct ckmark *out,
		struct err *e);
/* Durable when it returns. */
int ckmark_store(struct fsio *fs, const char *path, const struct ckmark *m,
		 struct err *e);

/* Positions and account ids in the store's own files. */
void put_position(struct buf *to, struct position p);
struct position get_position(struct cursor *c);

#endif
