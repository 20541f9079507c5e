#ifndef DUET_PROTO_MUTF7_H
#define DUET_PROTO_MUTF7_H

/*
 * Modified UTF-7 of mailbox names (RFC 3501 5.1.3).  Only the one canonical
 * form of each name is accepted: no encoded printable ASCII, no needless
 * shifts ("&-&" next to each other inside one run), no lone surrogates.
 */

#include "node/base/buf.h"

/* Appends.  -EINVAL if `in` is not valid; `to` may then hold a part. */
int mutf7_to_utf8(struct slice in, struct buf *to);
int utf8_to_mutf7(struct slice in, struct buf *to);
/* Shortest forms only, no surrogates, at most U+10FFFF, no NUL. */
bool utf8_valid(struct slice s);
/* The first character: its length (1-4) and code point; 0: `n` octets are the
 * beginning of one; -1: they are not. NUL is a character here. */
int utf8_take(const uint8_t *p, size_t n, uint32_t *cp);
void utf8_put(struct buf *to, uint32_t cp);

#endif
