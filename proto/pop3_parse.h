#ifndef DUET_PROTO_POP3_PARSE_H
#define DUET_PROTO_POP3_PARSE_H

/* POP3 (RFC 1939, 2449, 5034): command lines in, message octets out. */

#include "node/base/buf.h"
#include "node/base/slice.h"

/* RFC 5034 4: a line of base64 may be this long; commands have 255. */
#define POP3_LINE_MAX 12288u

/* Why a line is none.  Keep it from call to call, start with false. */
struct pop3_lines {
	bool skipping;			/* the rest of one too long */
};

/*
 * The next line of input.  The caller drops *used octets when it is done with
 * *line.  1: *line is one, without its CRLF (a bare LF does); 0: none is here
 * yet (*used: of a line already refused); E_LIMIT: longer than POP3_LINE_MAX,
 * said once, its rest is skipped by later calls.
 */
int pop3_line(struct pop3_lines *st, struct slice in, struct slice *line,
	      size_t *used);

#define POP3_NAME_MAX 15u

struct pop3_command {
	char name[POP3_NAME_MAX + 1];	/* in capitals */
	/* All that follows the one blank behind the name, as it stands: a
	 * password may hold blanks. */
	struct slice args;
};

/* E_INVALID: no name, one that is none, a NUL in the line. */
int pop3_parse(struct slice line, struct pop3_command *out);

/* The next word of the arguments, and 1; 0 if there is none. */
int pop3_word(struct slice *args, struct slice *word);
/*
 * `max` numbers, of which `min` must be there, and nothing else (RFC 1939 3:
 * decimal).  Their count, or E_INVALID; one too large for 32 bits reads as
 * UINT32_MAX.
 */
int pop3_numbers(struct slice args, int min, int max, uint32_t *out);

/* ---- message octets --------------------------------------------------------- */

/* How much of a message TOP shows: its header with the empty line, and
 * `lines` lines of the body. */
size_t pop3_top(struct slice msg, uint32_t lines);

/* Dot-stuffing (RFC 1939 3), piece by piece. */
struct pop3_stuffing {
	bool mid;			/* not at the start of a line */
	bool cr;			/* the last octet was a CR */
};
/* At most twice as much goes to `to`. */
void pop3_stuff(struct pop3_stuffing *st, struct slice piece, struct buf *to);
/* The end: a line end, if the last line has none, and ".". */
void pop3_stuff_end(struct pop3_stuffing *st, struct buf *to);

#endif
