#ifndef DUET_PROTO_IMAP_SET_H
#define DUET_PROTO_IMAP_SET_H

/*
 * Sequence and UID sets (RFC 3501 sequence-set).  As parsed, ranges stand in
 * the client's order and 0 means "*"; imap_set_resolve() makes them rising,
 * disjoint, not touching each other, first <= last, without "*".
 */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "proto/record.h"	/* struct uid_range */

/* Bounded by the command's length; this bounds other users of the parser. */
#define IMAP_SET_RANGES_MAX 65536u

struct imap_set {
	struct uid_range *ranges;
	size_t n;
};

/* -EINVAL for bad syntax or a zero, E_LIMIT for too many ranges. */
int imap_set_parse(struct slice text, struct arena *a, struct imap_set *out);
/* star: the highest number in use, 0 if there is none: then "*" is nothing
 * and "5:*" too. */
void imap_set_resolve(struct imap_set *s, uint32_t star);
/* Of a resolved set. */
bool imap_set_has(const struct imap_set *s, uint32_t v);
/* Numbers in a resolved set. */
uint64_t imap_set_count(const struct imap_set *s);

#endif
