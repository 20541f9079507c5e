#ifndef DUET_BASE_BUF_H
#define DUET_BASE_BUF_H

/*
 * A growing byte buffer with a hard limit.
 *
 * Invariants: n <= cap <= max; once `failed` is set (an append would have
 * passed max) nothing more is appended until buf_reset().  So a writer may
 * append many times and check once.
 */

#include "node/base/slice.h"

struct buf {
	uint8_t *p;
	size_t n, cap, max;
	bool failed;
};

/* No memory is taken until the first append. */
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* Empty again, memory kept, `failed` cleared. */
void buf_reset(struct buf *b);
/* As buf_reset(), but memory beyond `keep` bytes is given back. */
void buf_shrink(struct buf *b, size_t keep);
/* Drop the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Cut to n bytes; n must not exceed b->n. */
void buf_truncate(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *p, size_t n);
void buf_slice(struct buf *b, struct slice s);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, uint8_t c);
void buf_fill(struct buf *b, uint8_t c, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Decimal, without the cost of printf. */
void buf_u64(struct buf *b, uint64_t v);
/* Little-endian integers. */
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
/* Room for n more bytes to be written by the caller, or NULL (then failed);
 * buf_commit() says how many were. */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

static inline struct slice buf_all(const struct buf *b)
{
	return slice_of(b->p, b->n);
}

#endif
