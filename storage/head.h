#ifndef DUET_STORAGE_HEAD_H
#define DUET_STORAGE_HEAD_H

/*
 * What stands at the end of the log beyond the published state: the overlay
 * that numbering and prepare need while records wait.  It holds no copy of
 * the state: per mailbox the UIDNEXT at the end, at the own durable position
 * and at the position the partner acked, and the UIDs that pending records
 * expunge; and for the account the epoch, counter and holder at the end.
 *
 * Private to storage/.
 */

#include "storage/prepare.h"
#include "storage/state.h"

struct head;

struct head *head_new(struct state *published);
void head_free(struct head *h);
/* A record was accepted at pos (in order). */
void head_add(struct head *h, struct position pos, const struct record *r);
/* Everything up to seq: is durable here / acked by the partner / published
 * (state_apply was called). */
void head_durable(struct head *h, uint64_t seq);
void head_acked(struct head *h, uint64_t seq);
void head_published(struct head *h, uint64_t seq);
/* Records after seq are dropped (RESET). */
void head_cut(struct head *h, uint64_t seq);

struct position head_position(const struct head *h);
int head_holder(const struct head *h);
uint64_t head_counter(const struct head *h);	/* modseq counter at the end */
/* At the end of the log: */
uint64_t head_uidnext(const struct head *h, struct id128 mbox);
bool head_expunged(const struct head *h, struct id128 mbox, uint32_t uid);
bool head_quiet(const struct head *h);
/* The number for one more message (U1); head_full() is U2: UID_WINDOW UIDs of
 * the mailbox lie beyond the durable position already. `used` = UIDs given in
 * the record being made. */
uint64_t head_number(const struct head *h, struct id128 mbox, uint64_t uidnext,
		     unsigned node, bool dense);
bool head_full(const struct head *h, struct id128 mbox);

/* What pending records do, for prepare: whether one of them … */
/* … creates, renames, deletes mailboxes, or the account */
bool head_structural(const struct head *h);
/* … changes flags of the mailbox, or names a keyword for the first time */
bool head_flags(const struct head *h, struct id128 mbox);
bool head_keyword(const struct head *h, struct id128 mbox);
bool head_delivery(const struct head *h, const uint8_t id[32]);
/* … begins an epoch and is not durable here yet: nothing is numbered (U2) */
bool head_begin_waits(const struct head *h);
/* The lineage at the end of the log. */
const struct lineage_entry *head_lineage(const struct head *h, size_t *n);

#endif
