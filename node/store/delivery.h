#ifndef DUET_NODE_DELIVERY_H
#define DUET_NODE_DELIVERY_H

/*
 * A message on its way to its recipients in this process (private to
 * node/store/).
 *
 *   RECEIVING ── END ──► each recipient: ours, a sibling's, the partner's
 *                        └─ replies, one for each, in any order ─► SEEN
 *
 * Octets up to DELIVERY_MEMORY stay in memory, longer ones go to a nameless
 * file in state_dir/spool: what is not acknowledged may vanish with us.
 */

#include "node/store/store_role.h"
#include "node/store/trace.h"

#define DELIVERY_MEMORY (64u * 1024)
#define DELIVERY_CREDIT (256u * 1024)
/* Ids of read replies that are remembered, see delivery_again(). */
#define DELIVERY_SEEN_MAX 20000u

struct delivery {
	struct list node;
	struct store_node *sn;
	struct store_peer *from;	/* NULL: the asker is gone */
	uint64_t stream;
	struct arena *arena;
	struct ipc_head head;
	struct buf memory;
	int spool;			/* -1 while in memory */
	uint64_t size;
	void *map;			/* of the spool, when complete */
	struct slice message;		/* complete */
	struct trace trace;
	size_t waiting;			/* recipients without a reply */
	bool complete, failed, answered;
	uint8_t (*seen_ids)[32];	/* base ids of stored recipients */
	size_t n_seen_ids;
	char why[200];
};

void delivery_reply(struct delivery *d, uint32_t index, const char *text);
/* How often this base id was delivered and the reply read: such a message is
 * a new one although its octets are the same. */
unsigned delivery_again(struct store_node *n, const uint8_t base[32]);

/* rcpt.c: one recipient whose account is of this process; ends in
 * delivery_reply(). */
void rcpt_deliver(struct delivery *d, const struct ipc_rcpt *r);

#endif
