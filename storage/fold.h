#ifndef DUET_STORAGE_FOLD_H
#define DUET_STORAGE_FOLD_H

/*
 * Applying one record in three steps, so that what contradicts the state or
 * does not fit on the disk changes nothing:
 *  1. fold_check.c: every op against the state and the ops before it
 *  2. resources: directories, message files, room in the index
 *  3. the tables and index records, which cannot fail any more
 * Private to storage/.
 */

#include "storage/state_private.h"

/* Another numbering of a mailbox, made and not yet in use. */
struct renumbering {
	bool begun;
	struct index next;
	char *dir;
};

/* A mailbox that the record names. */
struct plan_box {
	struct mailbox *m;
	bool is_new, deleted;
	bool renumbered;		/* its UIDs mean others after that op */
	bool named;			/* by flags, expunges or adds */
	uint64_t uidnext;
	size_t adds;
	size_t keywords;		/* of its table, after the record */
	struct slice *new_keywords;	/* folded */
	size_t n_new_keywords, cap_new_keywords;
	uint32_t uidvalidity;		/* after the renumbering */
	struct renumbering again;
};

/* A name that the record gives to a mailbox. */
struct plan_name {
	struct mailbox *m;
	struct slice name;
};

/* A message that the record takes away. */
struct plan_gone {
	struct mailbox *m;
	uint32_t uid;
};

struct plan {
	struct state *s;
	const struct frame *frame;
	uint32_t nonce;
	const struct record *r;
	const struct frame_bodies *bodies;
	struct arena *a;
	struct err *e;
	struct plan_box *boxes;
	size_t n_boxes, cap_boxes;
	struct plan_name *renamed;	/* the last one of a mailbox counts */
	size_t n_renamed, cap_renamed;
	struct plan_gone *gone;
	size_t n_gone, cap_gone;
	const struct op_epoch_begin *begin;
	bool wiped;			/* ACCOUNT_DELETE came */
};

/* New mailboxes are made (not yet inserted).  0 or E_CORRUPT, E_VERSION. */
int plan_check(struct plan *p);
struct plan_box *plan_box(struct plan *p, struct id128 id);
/* Also one that the record deletes; NULL if it names none of that id. */
struct plan_box *plan_box_any(struct plan *p, struct id128 id);
void plan_fini(struct plan *p);

/* --- index_gen.c: new generations of an index --- */
/* So that `keywords` bits fit and `more` records can be added. */
int mailbox_index_room(struct mailbox *m, size_t keywords, size_t more,
		       struct err *e);
/* Without the expunged records whose files were swept. */
int mailbox_compact(struct mailbox *m, struct err *e);
/*
 * UIDs 1 … n in order, all with this modseq; message files follow.  begin makes
 * the new index and a directory with all files beside the old ones, which are
 * as they were if it fails or is dropped; end cannot fail.
 */
int mailbox_renumber_begin(struct mailbox *m, uint32_t uidvalidity,
			   uint64_t modseq, struct renumbering *out,
			   struct err *e);
void mailbox_renumber_end(struct mailbox *m, uint32_t uidvalidity,
			  uint64_t modseq, struct renumbering *r);
void mailbox_renumber_drop(struct mailbox *m, struct renumbering *r);

#endif
