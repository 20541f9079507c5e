#ifndef DUET_TESTS_RIG_MODEL_H
#define DUET_TESTS_RIG_MODEL_H

/*
 * What an account must show after each record: a plain table of mailboxes and
 * messages, folded beside the store from the same records and from nothing
 * else.  It shares no code with storage/fold.c.
 *
 * Bounded (RIG_MODEL_BOXES, RIG_MODEL_MSGS); abort() beyond that.
 */

#include "storage/account_private.h"
#include "proto/record.h"

struct rig_model;

/* The account after one more record; before: NULL at genesis, not changed. */
struct rig_model *rig_model_next(const struct rig_model *before,
				 const struct record *r);
struct rig_model *rig_model_copy(const struct rig_model *m);
/* One line per mailbox, sorted by name: id, UIDVALIDITY, UIDNEXT, and each
 * message with EMAILID, flags and the head of its body's hash. */
void rig_model_print(const struct rig_model *m, struct buf *to);
/* The same of what the store has published. */
void rig_model_print_account(struct account *a, struct buf *to);

#endif
