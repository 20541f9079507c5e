#ifndef DUET_PROTO_MIME_H
#define DUET_PROTO_MIME_H

/*
 * MIME structure of a whole message in memory (RFC 5322, RFC 2045-2049).
 * One pass, nothing of the message is copied but header values that were
 * folded; slices of the tree point into the message or the arena.  Broken
 * input never fails: what cannot be understood is text/plain or
 * application/octet-stream, what passes a limit is left as one opaque part.
 *
 * Line ends are CRLF (design: Octets); bare LF is accepted too.
 */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "proto/mime_section.h"

#define MIME_DEPTH_MAX 100u		/* nesting of multiparts and messages */
#define MIME_PARTS_MAX 10000u
#define MIME_PARAMS_MAX 100u		/* of one field */
#define MIME_VALUE_MAX (64u * 1024)	/* octets of one unfolded header value */
#define MIME_ADDRESSES_MAX 10000u	/* of one field, and of one message */
#define MIME_PARAMS_TOTAL_MAX 50000u	/* of one message */

struct mime_param {
	struct mime_param *next;
	struct slice name;		/* as spelled */
	struct slice value;		/* unquoted; RFC 2231 is left raw */
};

/* One element of an address list as in ENVELOPE: p == NULL is NIL.  A group
 * is a start (only mailbox: its name), its members, and an end (all NIL). */
struct mime_address {
	struct mime_address *next;
	struct slice name, route, mailbox, host;
};

/* Values unfolded, otherwise raw (encoded words stay); p == NULL is NIL. */
struct mime_envelope {
	struct slice date, subject;
	struct mime_address *from, *sender, *reply_to, *to, *cc, *bcc;
	struct slice in_reply_to, message_id;
};

enum mime_kind {
	MIME_LEAF,
	MIME_MULTIPART,		/* children: the parts */
	MIME_MESSAGE,		/* message/rfc822 or /global: envelope and one
				 * child, the body of the inner message */
};

/*
 * Invariants:
 *  1. [header_at, header_at + header_size) ends with the blank line, if there
 *     is one; body_at == header_at + header_size.
 *  2. Children lie within the body of their parent, in order.
 *  3. MIME_MULTIPART has at least one child; a multipart without any boundary
 *     line has one empty text/plain child.
 */
struct mime_part {
	struct mime_part *parent, *child, *next;
	enum mime_kind kind;
	uint64_t header_at, header_size;
	uint64_t body_at, body_size;
	uint64_t header_lines, body_lines;	/* line ends in them */
	struct slice type, subtype;	/* upper case not forced */
	struct mime_param *params;
	struct slice id, description;	/* p == NULL: none */
	struct slice encoding;		/* p == NULL: 7BIT */
	struct slice md5;
	struct slice disposition;	/* p == NULL: none */
	struct mime_param *disposition_params;
	struct mime_param *languages;	/* only .value is used */
	struct slice location;
	struct mime_envelope *envelope;	/* MIME_MESSAGE: of the inner message */
};

struct mime_message {
	struct mime_envelope envelope;
	struct mime_part *root;
	size_t n_parts;
	uint64_t size;
	bool truncated;		/* a limit was met */
	struct slice kept;	/* mime_kept() of the header */
};

/* Never NULL; all in the arena, or pointing into msg. */
struct mime_message *mime_parse(struct slice msg, struct arena *a);

/*
 * The serialised form for the cache: all that ENVELOPE, BODY, BODYSTRUCTURE,
 * section lookup and most HEADER.FIELDS need, without the message.  Decoding checks everything
 * (limits, offsets within size): E_CORRUPT.  Decoded slices point into `in`.
 * decode(encode(m)) prints the same and encodes to the same octets.
 */
#define MIME_FORMAT_VERSION 2
int mime_encode(const struct mime_message *m, struct buf *to);
int mime_decode(struct slice in, struct arena *a, struct mime_message **out);
/* Was it written by this version?  If not it is made again, not decoded. */
bool mime_encoded_now(struct slice in);
/* `kept` alone, without decoding the rest: E_NOTFOUND if it was too long,
 * E_CORRUPT. */
int mime_decode_kept(struct slice in, struct slice *out);

/* --- sections --- */
/* Part by number path; NULL if there is none.  The 1 of a message that is not
 * multipart is its body. */
const struct mime_part *mime_part_at(const struct mime_message *m,
				     const uint32_t *path, size_t n_path);

/* Where a section lies.  For HEADER_FIELDS(.NOT) the range is the header that
 * mime_header_filter() has to go over. */
struct mime_range {
	uint64_t at, size;
};
/* 0, or E_NOTFOUND: the part does not exist or has no such piece (the reply
 * is then NIL). */
int mime_section_find(const struct mime_message *m,
		      const struct mime_section *s, struct mime_range *out);
/* Appends the wanted header fields and the blank line. */
void mime_header_filter(struct slice header, const struct mime_section *s,
			struct buf *to);

/* --- header fields --- */
struct mime_field {
	struct slice name;	/* without blanks before the colon */
	struct slice raw;	/* after the colon, folds and all, without the
				 * last line end */
	struct slice whole;	/* name to line end, included */
};
/* Goes from field to field: *pos starts at 0.  False at the blank line or the
 * end; *pos is then the offset behind the blank line.  Lines that are no
 * field are passed over. */
bool mime_field_next(struct slice msg, size_t *pos, struct mime_field *out);
/* Blanks trimmed, line ends of folds removed.  Points into raw where that is
 * possible, else into the arena. Cut at MIME_VALUE_MAX. */
struct slice mime_unfold(struct slice raw, struct arena *a);
/*
 * The kept fields of a message's header, one after the other as they stand
 * there, without the blank line: all but those that are long and that nobody
 * asks for (signatures, most of X-…).  Whether a field is kept is said by its
 * name alone, so for names that are kept, filtering and searching this gives
 * what filtering and searching the header would give.  p == NULL: they are
 * longer than MIME_KEPT_MAX, look at the message.
 */
#define MIME_KEPT_MAX (16u * 1024)
struct slice mime_kept(struct slice header, struct arena *a);
bool mime_field_is_kept(struct slice name);
/* BODY[HEADER.FIELDS (…)] with kept names only. */
bool mime_section_is_kept(const struct mime_section *s);
/* The first field of that name; false if there is none. */
bool mime_field_find(struct slice header, const char *name,
		     struct mime_field *out);

#endif
