#ifndef DUET_PROTO_TEXTSEARCH_H
#define DUET_PROTO_TEXTSEARCH_H

/*
 * Substring search in messages under a folding like i;unicode-casemap
 * (RFC 5051): compatibility decomposition and case folding by utf8proc.
 * Transfer encodings and charsets are undone.  Memory of a search is bounded
 * by the needle, not by the message.
 */

#include "proto/mime.h"

#define TEXTSEARCH_NEEDLE_MAX (64u * 1024)

struct textsearch;

/* utf8: as of imap_search_key.text.  An empty needle is found everywhere.
 * NULL if it is not UTF-8 or too long. */
struct textsearch *textsearch_new(struct slice utf8);
void textsearch_free(struct textsearch *t);	/* NULL is fine */

/* In plain UTF-8. */
bool textsearch_in(struct textsearch *t, struct slice utf8);
/* In the value of any field of that name, encoded words decoded. */
bool textsearch_in_field(struct textsearch *t, struct slice header,
			 struct slice name);
/* In all header fields, names included. */
bool textsearch_in_header(struct textsearch *t, struct slice header);
/*
 * In the bodies of all text parts and the headers of inner messages and
 * parts (BODY); with_header: the message's own header too (TEXT).  msg are
 * the octets that m was parsed from.
 */
bool textsearch_in_message(struct textsearch *t, struct slice msg,
			   const struct mime_message *m, bool with_header);

/* Appends the folded form; -EINVAL if s is not UTF-8. */
struct buf;
int textsearch_fold(struct slice s, struct buf *to);

#endif
