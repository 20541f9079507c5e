#ifndef DUET_STORAGE_PREPARE_PRIVATE_H
#define DUET_STORAGE_PREPARE_PRIVATE_H

/* What the files prepare*.c share: a record that is being made. */

#include "node/base/rng.h"
#include "storage/account_private.h"
#include "storage/prepare.h"
#include "storage/state_private.h"

/* Messages that one record changes: long enough to be cheap, short enough
 * that other sessions are not kept waiting. */
#define PREPARE_CHANGES_MAX RECORD_UIDS_MAX
/* Encoded size at which a record is ended; the rest is room for one more op
 * and for the expunges of a MOVE. */
#define PREPARE_SIZE_MAX (RECORD_SIZE_MAX - 256u * 1024)
/* Keywords of one mailbox that clients may make. */
#define PREPARE_KEYWORDS_MAX 1000u
/* UIDNEXT from which on a mailbox is renumbered. */
#define PREPARE_UIDS_END ((1ull << 32) - (1u << 24))

struct draft {
	const struct prepare_ctx *ctx;
	struct write *w;
	struct account *acc;
	struct state *s;
	struct head *h;
	struct arena *a;
	struct err *e;
	struct op *ops;
	size_t n, cap;
	struct slice *bodies;
	size_t n_bodies, cap_bodies;
	size_t size;			/* estimate of the encoded bytes */
	uint32_t uidvalidity_hwm;	/* as the record goes on */
	bool exhausted;			/* there is none left above it */
	/* The mailbox that gets messages, and its numbers so far. */
	struct id128 target;
	const struct mailbox *target_box;	/* NULL: made by this record */
	uint64_t uidnext;
	struct slice *new_keywords;	/* folded, in this record */
	size_t n_new_keywords, cap_new_keywords;
};

struct op *draft_op(struct draft *d, enum op_kind kind, size_t size);
/* Its name as stored; E_INVALID. */
int draft_name(struct draft *d, struct slice in, struct slice *out);
/* A mailbox by id, or by name if the id is zero; E_NOTFOUND, E_GONE. */
int draft_mailbox(struct draft *d, struct id128 id, struct slice name,
		  struct mailbox **out);
/* Adds MBOX_CREATE, with missing parents; gives the new id. */
int draft_create(struct draft *d, struct slice name, uint32_t special_use,
		 bool derived, struct id128 *id_out, uint32_t *uidvalidity_out);
uint32_t draft_uidvalidity(struct draft *d);
bool draft_quiet(const struct draft *d);
/* The folded form of each keyword that the target shall have; KEYWORD ops for
 * those it has not.  E_LIMIT, E_INVALID. */
int draft_keywords(struct draft *d, const struct slice *spelt, size_t n,
		   struct slice **out, size_t *n_out);
/* All of the list is on record: the result of prepare_next(). */
int draft_end(struct draft *d, struct record *out, struct frame_bodies *bodies);

/* Appends one UID to a list of ranges in the arena. */
struct ranges {
	struct uid_range *r;
	size_t n, cap;
};
void ranges_add(struct ranges *l, struct arena *a, uint32_t uid);
/* list := list + more, as results are kept. */
void ranges_append(struct uid_range **list, size_t *n, const struct ranges *more,
		   struct arena *a);

int prepare_add(struct draft *d);	/* DELIVER, APPEND */
int prepare_copy(struct draft *d);	/* COPY, MOVE, RENAME of INBOX */
int prepare_flags(struct draft *d);
int prepare_expunge(struct draft *d);
int prepare_create(struct draft *d);
int prepare_delete(struct draft *d);
int prepare_rename(struct draft *d);
int prepare_subscribe(struct draft *d);
int prepare_specialuse(struct draft *d);
int prepare_autocreate(struct draft *d);
int prepare_account_delete(struct draft *d);
/* PREPARE_DONE if the mailbox has UIDs left, PREPARE_RECORD if it is renumbered
 * by this record, PREPARE_WAIT. */
int prepare_uids_left(struct draft *d, const struct mailbox *m);

#endif
