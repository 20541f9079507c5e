#ifndef DUET_STORAGE_SNAPFILE_H
#define DUET_STORAGE_SNAPFILE_H

/*
 * Snapshot files, .duet/state/snap/snap.N (N rises): what a checkpoint keeps
 * of an account besides index and message files.  The bytes of the state are
 * state.h's; around them stands what storage must know:
 *
 *  - the checkpoint it belongs to (journal id, number).  It counts only when
 *    that journal's mark says that the checkpoint ended, or for an account
 *    that has moved to another journal since;
 *  - where the log ended then, and how far the index may be ahead of the state
 *    (unclean_until);
 *  - the account's last mark, if SYNC, and the partner's acked position.
 *
 * Private to storage/.
 */

#include "storage/ckmark.h"

struct snapfile {
	struct id128 account;
	uint64_t journal;		/* 0: a seed, always counts */
	struct ckmark_no no;
	struct position pos;		/* of the state */
	struct alog_end end;
	uint64_t unclean_until;		/* seq; <= pos.seq: clean */
	uint8_t mark, mark_reason;	/* enum mark_kind, 0 = none */
	uint64_t mark_time;
	struct position acked;		/* what the partner said it has */
	uint64_t token;			/* of the seed it came from, 0 = none */
	struct slice state;
	/* Files of parked entries that are in the account: for each the
	 * journal's id u64 and batch u64. */
	struct slice parked;
};

void snapfile_encode(const struct snapfile *f, struct buf *to);
/* out->state points into `in`. */
int snapfile_decode(struct slice in, struct snapfile *out, struct err *e);
/* The numbers present, rising; free() the result. */
int snapfile_list(struct fsio *fs, const char *dir, uint64_t **out, size_t *n);
int snapfile_remove(struct fsio *fs, const char *dir, uint64_t number);
/* Without any sync: the checkpoint does that. */
int snapfile_write(struct fsio *fs, const char *dir, uint64_t number,
		   const struct snapfile *f, struct err *e);
/* Appends the file's bytes. */
int snapfile_read(struct fsio *fs, const char *dir, uint64_t number,
		  struct buf *to, struct snapfile *out, struct err *e);

#define SNAPFILE_MAX (1024u * 1024 * 1024)

#endif
