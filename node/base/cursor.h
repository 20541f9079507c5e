#ifndef DUET_BASE_CURSOR_H
#define DUET_BASE_CURSOR_H

/*
 * Reading binary input: every read past the end sets `bad` and gives zero,
 * so twenty reads need one check.  cursor_done() also demands that nothing
 * is left over.  All integers are little-endian.
 */

#include "node/base/slice.h"

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct cursor cursor_of(struct slice s)
{
	return (struct cursor){s.p, s.p + s.n, false};
}

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_le16(struct cursor *c);
uint32_t cursor_le32(struct cursor *c);
uint64_t cursor_le64(struct cursor *c);
struct slice cursor_bytes(struct cursor *c, size_t n);
void cursor_copy(struct cursor *c, void *to, size_t n);
static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}
/* True if all was read and nothing failed. */
static inline bool cursor_done(const struct cursor *c)
{
	return !c->bad && c->p == c->end;
}

/* Stores and loads at an address, any alignment. */
static inline uint32_t le32_at(const void *p)
{
	const uint8_t *b = p;

	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	       (uint32_t)b[3] << 24;
}

static inline uint64_t le64_at(const void *p)
{
	return le32_at(p) | (uint64_t)le32_at((const uint8_t *)p + 4) << 32;
}

static inline void le32_to(void *p, uint32_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
	b[2] = (uint8_t)(v >> 16);
	b[3] = (uint8_t)(v >> 24);
}

static inline void le64_to(void *p, uint64_t v)
{
	le32_to(p, (uint32_t)v);
	le32_to((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

#endif
