#ifndef DUET_STORAGE_INDEX_H
#define DUET_STORAGE_INDEX_H

/*
 * The index file of a mailbox, one per generation:
 * .duet/state/index/MAILBOXIDHEX.GEN.  Little-endian.
 *
 *   0 magic "DUETIDX1"          40 crc     u32  CRC-32C of bytes 0-39
 *   8 version  u32              44 count   u32  at the last snapshot, for
 *  12 rec_size u32                              people; what counts is in
 *  16 mailbox id 16                             the snapshot
 *  32 generation u64            48 seq     u64  position of it
 * 128 records of rec_size bytes: struct mrec, and in a generation that is
 *     wider than 128 bytes further words of keyword bits behind it
 *
 * Records never move within a generation, and nothing is written to an older
 * one, so a snapshot that names it stays usable.
 */

#include "storage/growmap.h"
#include "storage/mailbox.h"

#define INDEX_HEADER_SIZE 128u
#define INDEX_VERSION 1u
/* Keyword bits of a generation with records of this size. */
#define INDEX_KEYWORDS(rec_size) (((rec_size) - 120u) * 8u)

struct index {
	struct growmap map;
	uint64_t gen;		/* 0: there is no file yet */
	uint32_t rec_size;
	uint32_t n;		/* records */
};

/* Record size for so many keywords. */
uint32_t index_rec_size(size_t keywords);
void index_path(struct buf *to, const char *root, struct id128 id,
		uint64_t gen);

void index_init(struct index *x, struct fsio *fs);
/* Makes a new file (an old one of that name is stale: removed). */
int index_create(struct index *x, const char *path, struct id128 id,
		 uint64_t gen, uint32_t rec_size, struct err *e);
/* Maps an existing one that must hold n records; E_CORRUPT if it does not. */
int index_open(struct index *x, const char *path, struct id128 id, uint64_t gen,
	       uint32_t rec_size, uint32_t n, struct err *e);
/* One of which only the file tells gen, record size and count (index_note()).
 * -errno, E_CORRUPT. */
int index_open_any(struct index *x, const char *path, struct id128 id);
bool index_is_open(const struct index *x);
int index_reserve(struct index *x, size_t more);
void index_note(struct index *x, uint64_t seq);
void index_close(struct index *x);

static inline struct mrec *index_rec(const struct index *x, uint32_t i)
{
	return (struct mrec *)(void *)(x->map.p + INDEX_HEADER_SIZE +
				       (size_t)i * x->rec_size);
}

/* Number of the first record with UID >= uid among the first n. */
uint32_t index_lower(const struct index *x, uint32_t uid);
bool index_keyword(const struct index *x, const struct mrec *m, size_t bit);
void index_keyword_set(const struct index *x, struct mrec *m, size_t bit,
		       bool on);

#endif
