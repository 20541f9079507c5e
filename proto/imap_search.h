#ifndef DUET_PROTO_IMAP_SEARCH_H
#define DUET_PROTO_IMAP_SEARCH_H

/*
 * The SEARCH program (RFC 3501 6.4.4, MODSEQ of RFC 7162, EMAILID and
 * THREADID of RFC 8474) as a tree in the arena.  Text is converted to UTF-8
 * from the charset given; it is not folded (see textsearch.h).
 */

#include "proto/imap_parse.h"
#include "proto/imap_fetch.h"	/* imap_arg_set() */

enum imap_search_type {
	IMAP_SEARCH_ALL,
	IMAP_SEARCH_AND,	/* children; none: true */
	IMAP_SEARCH_OR,		/* two children */
	IMAP_SEARCH_NOT,	/* one child */
	IMAP_SEARCH_SEQ,	/* set: message sequence numbers */
	IMAP_SEARCH_UID,	/* set: UIDs */
	IMAP_SEARCH_FLAG,	/* flag: one of MSG_* is set */
	IMAP_SEARCH_KEYWORD,	/* text: the keyword */
	IMAP_SEARCH_NEW,	/* RECENT and not SEEN */
	IMAP_SEARCH_RECENT,
	IMAP_SEARCH_LARGER,	/* number */
	IMAP_SEARCH_SMALLER,
	/* `day`: days since 1970-01-01, as written (no zone is applied) */
	IMAP_SEARCH_BEFORE,	/* INTERNALDATE, in its own zone */
	IMAP_SEARCH_ON,
	IMAP_SEARCH_SINCE,
	IMAP_SEARCH_SENTBEFORE,	/* Date: header, in its own zone */
	IMAP_SEARCH_SENTON,
	IMAP_SEARCH_SENTSINCE,
	IMAP_SEARCH_HEADER,	/* field, text; also FROM TO CC BCC SUBJECT;
				 * empty text: the field exists */
	IMAP_SEARCH_BODY,	/* text */
	IMAP_SEARCH_TEXT,	/* text, header included */
	IMAP_SEARCH_MODSEQ,	/* number: modseq >= it */
	IMAP_SEARCH_EMAILID,	/* text */
	IMAP_SEARCH_THREADID,
};

/* UNSEEN, UNANSWERED, UNKEYWORD, OLD … come as NOT of the positive key. */
struct imap_search_key {
	enum imap_search_type type;
	struct imap_search_key *child, *next;
	struct imap_set set;	/* as parsed: resolve before use */
	uint32_t flag;
	struct slice field;	/* header name as spelled */
	struct slice text;	/* UTF-8 */
	int64_t day;
	uint64_t number;
};

#define IMAP_SEARCH_KEYS_MAX 1000u
#define IMAP_SEARCH_DEPTH_MAX 100u

struct imap_search {
	struct imap_search_key *root;	/* AND of all top keys */
	bool modseq;		/* the reply carries the highest MODSEQ */
	bool needs_header, needs_body;	/* what must be read of messages */
};

/*
 * E_INVALID: BAD; E_UNSUPPORTED: the charset is unknown, the reply is
 * "NO [BADCHARSET (…)]"; E_LIMIT: too many keys or too deep.
 */
int imap_search_parse(const struct imap_command *cmd, struct arena *a,
		      struct imap_search *out, struct err *e);
/* Resolve "*" in all SEQ and UID sets of the tree. */
void imap_search_resolve(struct imap_search *s, uint32_t max_seq,
			 uint32_t max_uid);

#endif
