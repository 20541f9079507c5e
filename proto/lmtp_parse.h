#ifndef DUET_PROTO_LMTP_PARSE_H
#define DUET_PROTO_LMTP_PARSE_H

/* LMTP (RFC 2033): command lines, and the stream behind DATA. */

#include "proto/address.h"

/* RFC 5321 4.5.3.1.4 says 512; parameters of extensions make it longer. */
#define LMTP_LINE_MAX 4096u

enum lmtp_verb {
	LMTP_LHLO, LMTP_MAIL, LMTP_RCPT, LMTP_DATA, LMTP_RSET, LMTP_NOOP,
	LMTP_QUIT, LMTP_VRFY, LMTP_STARTTLS,
	LMTP_HELO,	/* HELO or EHLO: "500 use LHLO" */
	LMTP_UNKNOWN,
};

enum lmtp_body { LMTP_BODY_NONE, LMTP_BODY_7BIT, LMTP_BODY_8BITMIME };

struct lmtp_command {
	enum lmtp_verb verb;
	struct slice text;		/* LHLO: the name; NOOP, VRFY: the rest */
	struct address_path path;	/* MAIL, RCPT */
	bool has_size;
	uint64_t size;			/* MAIL SIZE= */
	enum lmtp_body body;		/* MAIL BODY= */
};

/*
 * line: without its line end.  0, or a negative code with the reply in
 * *reply_out (static text, "501 5.5.4 …", without line end): bad syntax or an
 * ESMTP parameter that was not advertised (555).  LMTP_UNKNOWN is no error
 * here.  Results lie in the arena or the line.
 */
int lmtp_parse(struct slice line, struct arena *a, struct lmtp_command *out,
	       const char **reply_out);
/*
 * The next line of input.  In every case the caller drops *used octets when it
 * is done with *line.  1: *line is one, without its line end; 0: none is here
 * yet (*used is then what belongs to a line already refused); E_LIMIT: the
 * line is longer than LMTP_LINE_MAX, said once, its rest is skipped by later
 * calls.  Start with *skipping false and keep it.
 */
int lmtp_line(struct slice in, bool *skipping, struct slice *line,
	      size_t *used);

/*
 * DATA: removes dot-stuffing, finds the end "CRLF . CRLF", turns bare LF and
 * bare CR into CRLF, counts.  Only CRLF "." CRLF ends the data (a bare LF
 * before or after the dot does not: no smuggling).  Any chunk boundaries.
 */
enum lmtp_data_state {		/* where in a line; internal */
	LMTP_AT_START, LMTP_IN_LINE, LMTP_CR, LMTP_DOT, LMTP_DOT_CR,
	LMTP_LF_START, LMTP_DONE,
};

struct lmtp_data {
	enum lmtp_data_state state;
	bool nul;		/* a NUL was seen; it is left out */
	bool bare_newline;	/* a bare LF or CR was turned into CRLF */
	bool eight_bit;
	uint64_t size;		/* octets put out so far */
};

#define LMTP_DATA_START ((struct lmtp_data){.state = LMTP_AT_START})

/*
 * Decodes some of `in` to `to`; *used says how much of it.  1: the end was
 * found (the rest of `in` is the next command); 0: more is wanted;
 * E_LIMIT: `to` is full (to->failed).  `to` needs room for in.n * 2 + 2.
 */
int lmtp_data_put(struct lmtp_data *d, struct slice in, size_t *used,
		  struct buf *to);

#endif
