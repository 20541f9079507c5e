#ifndef DUET_PROTO_RFC2047_H
#define DUET_PROTO_RFC2047_H

/* Encoded words in headers (RFC 2047) to UTF-8. */

#include "node/base/buf.h"

/*
 * Appends the value as UTF-8, folds removed.  Words in an unknown charset or
 * encoding stay as they are; octets that are not UTF-8 become U+FFFD.
 */
void rfc2047_decode(struct slice value, struct buf *to);

#endif
