#ifndef DUET_PROTO_RFC5322_H
#define DUET_PROTO_RFC5322_H

/* Words of structured header values (RFC 5322 3.2, RFC 2045 5.1). */

#include "node/base/arena.h"

struct words {
	struct slice s;		/* unfolded */
	size_t at;		/* never beyond s.n */
};

/* The next octet, 0 at the end. */
static inline uint8_t words_peek(const struct words *w)
{
	return w->at < w->s.n ? w->s.p[w->at] : 0;
}

/* Blanks and nested comments; the inside of the last comment goes to
 * *comment if that is not NULL.  An open comment ends with the value. */
void words_skip(struct words *w, struct slice *comment);
/* At a '"': moves behind the closing one (or to the end). The inside, still
 * escaped. */
struct slice words_quoted(struct words *w);
/* "\x" → "x"; the same slice if there is nothing to do. */
struct slice words_unescape(struct slice s, struct arena *a);
/* RFC 2045 token, leniently: up to a blank or one of ;="(), — empty if there
 * is none. */
struct slice words_token(struct words *w);

#endif
