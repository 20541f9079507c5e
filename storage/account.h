#ifndef DUET_STORAGE_ACCOUNT_H
#define DUET_STORAGE_ACCOUNT_H

/*
 * One account: the published state (mailboxes, subscriptions, lineage, …),
 * its log, and the frames that are accepted but not yet published.
 *
 *   genesis … trimmed … [snapshot] … published <= durable <= end
 *
 * Invariants:
 *  1. state = fold(all frames up to `published`), nothing more.
 *  2. Frames beyond `published` wait in memory with their bodies.
 *  3. end.seq - published.seq frames wait; seq has no gaps.
 */

#include "storage/frame.h"
#include "storage/mailbox.h"

struct account;
struct store;

struct id128 account_id_of(struct slice pair_id, struct slice canonical_name);

struct id128 account_id(const struct account *a);
const char *account_name(const struct account *a);
const char *account_root(const struct account *a);
struct position account_end(const struct account *a);		/* accepted */
struct position account_durable(const struct account *a);
struct position account_published(const struct account *a);
/* Everything accepted is published. */
bool account_quiet(const struct account *a);
/* Node index that the last EPOCH_BEGIN or HANDOVER up to the end of the log
 * (not only the published part) names; -1 at genesis. */
int account_holder(const struct account *a);
const struct lineage_entry *account_lineage(const struct account *a, size_t *n);
uint64_t account_counter(const struct account *a);	/* modseq, at the end */
/* The modseq a client presented, as the answer rule sees it
 * (replication.md, Numbering). */
uint64_t account_answer_modseq(const struct account *a, uint64_t modseq);
void account_digest(struct account *a, uint8_t out[16]);
/* CHECKPOINTs folded in this life whose digest this copy did not have. */
unsigned account_mismatches(const struct account *a);
/* Only a seed helps: see store_account_open_damaged(). */
bool account_needs_seed(const struct account *a);
/* The published state has an ACCOUNT_CREATE that no ACCOUNT_DELETE followed. */
bool account_exists(const struct account *a);
/* The CHECKPOINT that describes the published state; use it when quiet. */
void account_checkpoint_op(struct account *a, struct arena *arena,
			   struct op_checkpoint *out);

/* --- mailboxes: by name (UTF-8; INBOX in any case), by id --- */
struct mailbox *account_mailbox(struct account *a, struct slice name);
struct mailbox *account_mailbox_id(struct account *a, struct id128 id);
/* A name as it is stored: INBOX as first level in capitals.  Gives its length,
 * 0 if it is empty or too long. */
size_t mailbox_name_canonical(struct slice name, uint8_t to[MBOX_NAME_MAX]);
/* Sorted by name; false stops. */
typedef bool account_mailbox_cb(void *arg, struct mailbox *m);
void account_mailboxes(struct account *a, account_mailbox_cb *cb, void *arg);
typedef bool account_name_cb(void *arg, struct slice name);
void account_subscriptions(struct account *a, account_name_cb *cb, void *arg);
bool account_subscribed(struct account *a, struct slice name);
uint64_t account_usage(const struct account *a, uint64_t *messages_out);

/* Watches of the whole account (LIST changes, NOTIFY, status). */
struct account_watch {
	struct list node;
	void (*changed)(struct account_watch *, const struct record *r);
};
void account_watch_add(struct account *a, struct account_watch *w);
void account_watch_remove(struct account_watch *w);

#endif
