#include "node/base/cursor.h"

struct slice cursor_bytes(struct cursor *c, size_t n)
{
	struct slice s;

	if (c->bad || n > cursor_left(c)) {
		/* Sticky: a shorter read later must not succeed by chance. */
		c->bad = true;
		c->p = c->end;
		return SLICE_NONE;
	}
	s = slice_of(c->p, n);
	c->p += n;
	return s;
}

static uint64_t le(struct cursor *c, size_t n)
{
	struct slice s = cursor_bytes(c, n);
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++)
		v |= (uint64_t)s.p[i] << (8 * i);
	return v;
}

uint8_t cursor_u8(struct cursor *c)
{
	return (uint8_t)le(c, 1);
}

uint16_t cursor_le16(struct cursor *c)
{
	return (uint16_t)le(c, 2);
}

uint32_t cursor_le32(struct cursor *c)
{
	return (uint32_t)le(c, 4);
}

uint64_t cursor_le64(struct cursor *c)
{
	return le(c, 8);
}

void cursor_copy(struct cursor *c, void *to, size_t n)
{
	struct slice s = cursor_bytes(c, n);

	if (s.n)
		memcpy(to, s.p, s.n);
	else if (n)
		memset(to, 0, n);
}
