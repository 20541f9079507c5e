#ifndef DUET_PROTO_CHARSET_H
#define DUET_PROTO_CHARSET_H

/* Conversion to UTF-8: the only door to iconv. */

#include "node/base/buf.h"

/* Names longer than this are unknown. */
#define CHARSET_NAME_MAX 64u

struct charset;		/* a running conversion */

/* NULL if the charset is unknown.  An empty name is US-ASCII, taken as UTF-8
 * where it is valid. */
struct charset *charset_open(struct slice name);
void charset_close(struct charset *c);	/* NULL is fine */
/* Appends; what cannot be converted becomes U+FFFD.  Pieces may be cut
 * anywhere; `last` flushes. */
void charset_put(struct charset *c, struct slice in, bool last,
		 struct buf *to);
bool charset_known(struct slice name);
/* All at once and strict: E_UNSUPPORTED for an unknown charset, -EINVAL for
 * octets that are not text in it. */
int charset_to_utf8(struct slice charset, struct slice in, struct buf *to);

#endif
