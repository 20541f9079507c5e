#ifndef DUET_PROTO_IMAP_PARSE_H
#define DUET_PROTO_IMAP_PARSE_H

/*
 * Reads IMAP commands (RFC 3501 section 9, RFC 7888 literals) from a stream
 * of octets, whatever its chunks.  No I/O: the session feeds what it has.
 *
 *	struct slice in = <what was received>;
 *	for (;;) {
 *		switch (imap_reader_next(r, &in, arena, &ev)) {
 *		case IMAP_MORE:      all of `in` is used: wait for more input
 *		case IMAP_COMMAND:   run ev.cmd; then arena_reset()
 *		case IMAP_CONTINUE:  send "+ OK\r\n"
 *		case IMAP_LITERAL:   a message of APPEND is announced: answer with
 *		                     imap_reader_accept() (after sending "+ OK" if
 *		                     ev.literal.sync) or imap_reader_refuse()
 *		case IMAP_DATA:      ev.data is the next piece of that literal
 *		case IMAP_DATA_END:  that literal is complete
 *		case IMAP_LINE:      a raw line asked for by imap_reader_want_line()
 *		case IMAP_BAD:       send "TAG BAD text" ("*" if no tag is known);
 *		                     if ev.fatal, send BYE and close
 *		}
 *	}
 *
 * `in` moves past what was used; each call stops at the first event, so
 * pipelined commands stay in `in` until the session asks for them.  The tree
 * lies wholly in the arena; the same arena must be given from the first octet
 * of a command to its end, and not be reset between.  Reset it only after
 * IMAP_COMMAND (when the command is done), IMAP_BAD or imap_reader_refuse().
 * An idle reader holds no memory beyond itself.
 */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/err.h"

struct imap_limits {
	size_t line_max;	/* octets of a command outside of literals */
	size_t literal_inline;	/* one literal kept in memory */
	size_t literal_total;	/* all kept literals of one command */
	uint64_t literal_max;	/* one streamed literal (APPEND) */
	unsigned depth_max;	/* nesting of lists */
	uint64_t nonsync_max;	/* one literal that comes unasked, 0 = as the
				 * others (LITERAL-, RFC 7888 section 5) */
};
#define IMAP_LITERAL_MINUS_MAX	4096u

#define IMAP_LINE_MAX		(64u * 1024)
#define IMAP_LITERAL_INLINE_MAX	(64u * 1024)
#define IMAP_LITERAL_TOTAL_MAX	(256u * 1024)
#define IMAP_LIST_DEPTH_MAX	50u
#define IMAP_LIMITS_DEFAULT                                                   \
	((struct imap_limits){IMAP_LINE_MAX, IMAP_LITERAL_INLINE_MAX,         \
			      IMAP_LITERAL_TOTAL_MAX, UINT32_MAX,             \
			      IMAP_LIST_DEPTH_MAX, 0})

enum imap_arg_type {
	IMAP_ARG_ATOM,		/* also NIL, flags, numbers, patterns */
	IMAP_ARG_QUOTED,	/* text is unescaped */
	IMAP_ARG_LITERAL,	/* text is what was sent; may hold anything */
	IMAP_ARG_STREAM,	/* a literal that went by as IMAP_DATA */
	IMAP_ARG_LIST,		/* ( child ... ) */
	IMAP_ARG_SECTION,	/* text[ child ... ]<suffix>, FETCH only */
};

struct imap_arg {
	enum imap_arg_type type;
	bool literal8;		/* ~{N} */
	struct slice text;
	struct slice suffix;	/* SECTION: between < and >, or empty */
	uint64_t size;		/* STREAM */
	struct imap_arg *child;	/* LIST, SECTION: the first; NULL if empty */
	struct imap_arg *next;	/* the next in the same list */
};

struct imap_command {
	const char *tag;
	const char *name;	/* upper case; of UID FETCH it is FETCH */
	bool uid;		/* was prefixed by UID */
	struct imap_arg *args;	/* NULL without arguments */
};

enum imap_event_type {
	IMAP_MORE,
	IMAP_COMMAND,
	IMAP_CONTINUE,
	IMAP_LITERAL,
	IMAP_DATA,
	IMAP_DATA_END,
	IMAP_LINE,
	IMAP_BAD,
};

struct imap_event {
	/* COMMAND, LITERAL.  At LITERAL it holds the arguments so far, the
	 * last one being the STREAM that is announced. */
	const struct imap_command *cmd;
	struct {
		uint64_t size;
		bool sync;	/* client waits for "+" */
	} literal;		/* LITERAL */
	struct slice data;	/* DATA: in the input; LINE: without line end,
				 * valid until the next call */
	const char *tag;	/* BAD: or NULL; in the arena */
	const char *text;	/* BAD: static, for the client */
	bool fatal;		/* BAD: where the next command begins is unknown */
};

struct imap_reader;

struct imap_reader *imap_reader_new(const struct imap_limits *limits);
void imap_reader_free(struct imap_reader *r);	/* NULL is fine */
enum imap_event_type imap_reader_next(struct imap_reader *r, struct slice *in,
				      struct arena *a, struct imap_event *ev);
/* After IMAP_LITERAL, exactly one of these.  A refused command is over: the
 * session sends its tagged reply now, and the reader skips what the client
 * sends of it without being asked (non-synchronising literals, the rest of
 * the line). */
void imap_reader_accept(struct imap_reader *r);
void imap_reader_refuse(struct imap_reader *r);
/* The next octets are one raw line (AUTHENTICATE's answers, IDLE's DONE);
 * they come as IMAP_LINE.  Too long a line is IMAP_BAD. */
void imap_reader_want_line(struct imap_reader *r);
/* Between commands, nothing begun: the session may be handed over or parked. */
bool imap_reader_idle(const struct imap_reader *r);

/* --- the tree --- */
/* Atom, quoted or literal; -EINVAL otherwise (NULL too), and for a NUL in it
 * (RFC 3501 CHAR8): names and passwords never hold one. */
int imap_arg_astring(const struct imap_arg *arg, struct slice *out);
/* Quoted or literal or NIL (then SLICE_NONE, p == NULL). */
int imap_arg_nstring(const struct imap_arg *arg, struct slice *out);
int imap_arg_number(const struct imap_arg *arg, uint32_t *out);
int imap_arg_number64(const struct imap_arg *arg, uint64_t *out);
/* True for an atom that is `word` in any ASCII case. */
bool imap_arg_is(const struct imap_arg *arg, const char *word);
size_t imap_arg_count(const struct imap_arg *first);
/* A mailbox name: astring in modified UTF-7 → UTF-8 in the arena; INBOX in
 * any case becomes "INBOX".  E_INVALID if it is not valid (mailbox_name.h
 * has the rules for names that are to be created). */
int imap_arg_mailbox(const struct imap_arg *arg, struct arena *a,
		     struct slice *out);
/* Puts text, for operator and client, in e; returns E_INVALID: what the parsers
 * of arguments fail with, and the session answers as "BAD text". */
int imap_bad(struct err *e, const char *text);

#endif
