#ifndef DUET_PROTO_IMAP_WRITE_H
#define DUET_PROTO_IMAP_WRITE_H

/*
 * Pieces of IMAP replies, appended to a buffer.  None fails by itself: the
 * buffer's `failed` says whether its limit was met.
 */

#include "node/base/buf.h"
#include "proto/date.h"
#include "proto/imap_set.h"
#include "proto/mime.h"

/* Quoted if short and free of CR, LF, NUL, 8-bit octets; else a literal. */
void imap_put_string(struct buf *to, struct slice s);
/* NIL if s.p is NULL, else as imap_put_string(). */
void imap_put_nstring(struct buf *to, struct slice s);
/* An atom where that is possible, else as imap_put_string(). */
void imap_put_astring(struct buf *to, struct slice s);
/* A mailbox name, UTF-8 → modified UTF-7, as an astring. */
void imap_put_mailbox(struct buf *to, struct slice utf8);
/* "(\Seen \Deleted $Keyword)"; recent adds \Recent. */
void imap_put_flags(struct buf *to, uint32_t system, bool recent,
		    const struct slice *keywords, size_t n_keywords);
/* Without parentheses, for PERMANENTFLAGS and the like: leading blank before
 * each but the first. */
void imap_put_flag_names(struct buf *to, uint32_t system, bool recent,
			 const struct slice *keywords, size_t n_keywords);
/* "\"17-Jul-1996 02:44:25 -0700\"" */
void imap_put_internaldate(struct buf *to, int64_t seconds, int zone_minutes);
/* "1:3,5"; nothing for an empty set. */
void imap_put_set(struct buf *to, const struct uid_range *ranges, size_t n);
/* Adds v to a growing set text: a writer of long sets without an array.
 * Values rise; end with imap_set_writer_end(). */
struct imap_set_writer {
	struct buf *to;
	uint32_t first, last;	/* the open range; first 0: none */
	bool any;
};
void imap_set_writer_add(struct imap_set_writer *w, uint32_t v);
void imap_set_writer_end(struct imap_set_writer *w);
/* The names of SPECIALUSE_* bits, blanks between. */
void imap_put_special_use(struct buf *to, uint32_t bits);

/* RFC 3501 envelope, body structures with and without extension data. */
void imap_put_envelope(struct buf *to, const struct mime_envelope *env);
void imap_put_body(struct buf *to, const struct mime_part *part);
void imap_put_bodystructure(struct buf *to, const struct mime_part *part);

#endif
