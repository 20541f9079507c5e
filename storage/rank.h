#ifndef DUET_STORAGE_RANK_H
#define DUET_STORAGE_RANK_H

/*
 * Which records of a mailbox are expunged, for mapping between record and
 * sequence numbers: a bit each, and a Fenwick tree over words of 64.  Nothing
 * is allocated until the first bit is set, so a mailbox without expunged
 * records costs nothing and answers at once.
 *
 * Invariant: tree[i] (1-based) is the sum of set bits of the words it covers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rank {
	uint64_t *bits;
	uint32_t *tree;		/* cap_words + 1 */
	uint32_t cap_words;
	uint32_t set;		/* bits set */
};

void rank_init(struct rank *r);
void rank_fini(struct rank *r);
/* Sets bit i (once; setting it again does nothing).  O(log n). */
void rank_set(struct rank *r, uint32_t i);
bool rank_get(const struct rank *r, uint32_t i);
/* Set bits among [0, i).  O(log n). */
uint32_t rank_below(const struct rank *r, uint32_t i);
/* The position of the i-th (from 0) bit that is not set.  O(log n). */
uint32_t rank_select_clear(const struct rank *r, uint32_t i);

#endif
