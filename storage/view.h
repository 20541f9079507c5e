#ifndef DUET_STORAGE_VIEW_H
#define DUET_STORAGE_VIEW_H

/*
 * What one session has been told of a mailbox: the mapping between message
 * sequence numbers and records.  Messages expunged meanwhile keep their
 * numbers until the session is told (S1: never during FETCH, STORE, SEARCH).
 *
 * A view costs a few words, and four bytes for each expunge not yet told;
 * all calls are logarithmic in the mailbox and linear in what changed.
 *
 * Invariants:
 *  1. Records [0, seen) that are not expunged, or expunged and in `untold`,
 *     are the view's messages, numbered from 1 in this order.
 *  2. `untold` holds rising record numbers < seen.
 *  3. Everything with modseq <= told_modseq has been told.
 */

#include "storage/mailbox.h"

struct view {
	struct mailbox *mbox;		/* a reference is held */
	uint64_t generation;
	uint32_t seen;
	uint64_t known_modseq;		/* untold is complete up to here */
	uint64_t told_modseq;
	uint32_t *untold;
	size_t n_untold, cap_untold;
};

/* Everything published is in the view. */
void view_init(struct view *v, struct mailbox *m);
void view_fini(struct view *v);		/* zeroed or initialised */

uint32_t view_count(struct view *v);	/* EXISTS as the session knows it */
/* Record number of message seq (1 … count), or -ENOENT. */
int view_rec(struct view *v, uint32_t seq, uint32_t *rec_out);
/* 0 if the record is not in the view. */
uint32_t view_seq(struct view *v, uint32_t rec);
/* Record of a UID in the view, or -ENOENT. */
int view_uid(struct view *v, uint32_t uid, uint32_t *rec_out);
/* The highest UID in the view, 0 if it is empty: what "*" means. */
uint32_t view_last_uid(struct view *v);
/* First record in the view with UID >= uid; view->seen if none; and the next
 * one after rec. */
uint32_t view_lower(struct view *v, uint32_t uid);
uint32_t view_next(struct view *v, uint32_t rec);
/* In the view, but gone: FETCH answers what it can, STORE leaves it out. */
bool view_gone(struct view *v, uint32_t rec);
/* Is there something to tell? */
bool view_pending(struct view *v);

struct view_ops {
	/* Called in this order.  expunged: seq as it counts when the line is
	 * sent (each one lowers those after it). */
	void (*expunged)(void *arg, uint32_t seq, uint32_t uid);
	void (*exists)(void *arg, uint32_t count);
	/* Flags (or anything with a modseq) of a message already known. */
	void (*changed)(void *arg, uint32_t seq, uint32_t rec);
};

/* Tells what changed; without `expunges` those wait.  NULL members: not told,
 * but counted as told. */
void view_sync(struct view *v, bool expunges, const struct view_ops *ops,
	       void *arg);

#endif
