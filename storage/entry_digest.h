#ifndef DUET_STORAGE_ENTRY_DIGEST_H
#define DUET_STORAGE_ENTRY_DIGEST_H

/*
 * Hashes that prove two copies equal (replication.md, Digests): sums mod 2^128
 * of a keyed hash of each entry, so that a change costs the same in a mailbox
 * of ten and of a million messages.  Every kind of entry has its own first
 * byte, so an absent kind adds nothing.
 */

#include "storage/index.h"

struct sum128 {
	unsigned __int128 v;
};

enum digest_kind {
	DIGEST_MESSAGE = 'M', DIGEST_KEYWORD = 'K', DIGEST_VANISHED = 'V',
	DIGEST_FLOOR = 'F', DIGEST_MAILBOX = 'B', DIGEST_SUBSCRIPTION = 'S',
	DIGEST_DELIVERY = 'D', DIGEST_TOMBSTONE = 'T', DIGEST_ACCOUNT = 'A',
	DIGEST_ENTRIES = 'E',
};

static inline void sum128_add(struct sum128 *s, struct sum128 x)
{
	s->v += x.v;
}

static inline void sum128_sub(struct sum128 *s, struct sum128 x)
{
	s->v -= x.v;
}

static inline bool sum128_eq(struct sum128 a, struct sum128 b)
{
	return a.v == b.v;
}

void sum128_put(struct sum128 s, uint8_t out[16]);   /* little-endian */
struct sum128 sum128_of(const uint8_t in[16]);

/* The hash of kind || the parts, as a number; key = pair id. */
struct sum128 entry_digest(struct slice key, enum digest_kind kind,
			   const struct slice *parts, size_t n_parts);

struct mailbox;
/* Of one message: uid, emailid, body hash, size, dates, flags, folded keywords
 * in byte order, modseq. */
struct sum128 entry_digest_message(const struct mailbox *m,
				   const struct mrec *rec);
/* Of a keyword of the table, and of one VANISHED range. */
struct sum128 entry_digest_keyword(struct slice key, struct slice spelling);
struct sum128 entry_digest_vanished(struct slice key, struct uid_range r,
				    uint64_t modseq);

#endif
