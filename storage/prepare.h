#ifndef DUET_STORAGE_PREPARE_H
#define DUET_STORAGE_PREPARE_H

/*
 * From requests to records.  Called by the holder when it may number: decides
 * outcomes at the end of the log (published state plus what is pending),
 * emits one record, remembers in the write how far it got.
 *
 * Numbering (replication.md U1, U2): the next UID of a mailbox is its UIDNEXT
 * if that is < acked UIDNEXT + W, else the smallest value >= UIDNEXT of the own
 * parity.  `dense` (no living second member) numbers densely always.
 */

#include "storage/store.h"

#ifdef DUET_TEST_LIMITS
#define UID_WINDOW 4u
#define UID_JUMP 16u
#define UID_JUMP_STALE (1u << 14)
#else
#define UID_WINDOW 4096u
#define UID_JUMP 65536u
#define UID_JUMP_STALE (1u << 20)
#endif

struct prepare_ctx {
	struct account *account;
	unsigned node;			/* parity */
	bool dense;
	uint64_t modseq;		/* for this record */
	int64_t now;			/* seconds, SAVEDATE, UIDVALIDITY */
	struct rng *rng;
	uint32_t pair_time;
};

enum prepare_result {
	PREPARE_RECORD = 1,	/* out is filled; maybe more to come */
	PREPARE_DONE = 2,	/* nothing (more) to write; results are filled */
	PREPARE_WAIT = 3,	/* wait until the account is quiet, or until fewer
				 * than UID_WINDOW UIDs lie beyond the own disk */
};

/*
 * out and bodies lie in w->arena.  Negative: the write has no effect (E_NOTFOUND
 * no such mailbox, E_EXISTS, E_INVALID name, E_LIMIT, E_GONE) and e says why.
 * Structural writes (CREATE DELETE RENAME AUTOCREATE SPECIALUSE) and those with
 * has_unchangedsince want a quiet account, and later writes wait for them.
 */
int prepare_next(const struct prepare_ctx *ctx, struct write *w,
		 struct record *out, struct frame_bodies *bodies,
		 struct err *e);
enum write_class write_class_of(const struct write *w);

#endif
