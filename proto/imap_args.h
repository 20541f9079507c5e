#ifndef DUET_PROTO_IMAP_ARGS_H
#define DUET_PROTO_IMAP_ARGS_H

/*
 * Arguments of the other IMAP commands.  All functions return 0 or E_INVALID
 * (the reply is "BAD " and e->client); results lie in the arena or point into
 * the command.  Mailbox names come out in UTF-8, "INBOX" in upper case.
 */

#include "proto/date.h"
#include "proto/imap_fetch.h"
#include "proto/imap_parse.h"

/* --- STATUS (RFC 3501, RFC 7162, RFC 8438, RFC 8474) --- */
enum {
	IMAP_STATUS_MESSAGES = 1 << 0,
	IMAP_STATUS_RECENT = 1 << 1,
	IMAP_STATUS_UIDNEXT = 1 << 2,
	IMAP_STATUS_UIDVALIDITY = 1 << 3,
	IMAP_STATUS_UNSEEN = 1 << 4,
	IMAP_STATUS_SIZE = 1 << 5,
	IMAP_STATUS_HIGHESTMODSEQ = 1 << 6,
	IMAP_STATUS_MAILBOXID = 1 << 7,
};

struct imap_status {
	struct slice mailbox;
	uint32_t items;
};

int imap_status_parse(const struct imap_command *cmd, struct arena *a,
		      struct imap_status *out, struct err *e);

/* --- LIST, LSUB (RFC 3501, RFC 5258, RFC 5819, RFC 6154) --- */
enum {	/* selection options and RETURN options */
	IMAP_LIST_SUBSCRIBED = 1 << 0,
	IMAP_LIST_SPECIAL_USE = 1 << 1,
	IMAP_LIST_CHILDREN = 1 << 2,	/* RETURN only */
	IMAP_LIST_STATUS = 1 << 3,	/* RETURN only */
	IMAP_LIST_RECURSIVEMATCH = 1 << 4,	/* selection only */
	IMAP_LIST_REMOTE = 1 << 5,	/* selection only; changes nothing */
};

#define IMAP_LIST_PATTERNS_MAX 100u

struct imap_list {
	struct slice reference;		/* UTF-8 */
	struct slice *patterns;		/* UTF-8, wildcards in place */
	size_t n_patterns;
	bool extended;			/* any option or a pattern list */
	uint32_t select, ret;
	uint32_t status_items;		/* of RETURN (STATUS (…)) */
};

/* For both commands; options in LSUB are E_INVALID. */
int imap_list_parse(const struct imap_command *cmd, struct arena *a,
		    struct imap_list *out, struct err *e);

/* --- SELECT, EXAMINE (RFC 7162) --- */
struct imap_select {
	struct slice mailbox;
	bool condstore;			/* QRESYNC implies it */
	bool qresync;
	uint32_t uidvalidity;
	uint64_t modseq;
	bool has_known_uids;
	struct imap_set known_uids;	/* as written by the client */
	bool has_match;			/* message sequence match data */
	struct imap_set match_seqs, match_uids;
};

int imap_select_parse(const struct imap_command *cmd, struct arena *a,
		      struct imap_select *out, struct err *e);

/* --- APPEND (RFC 3501, RFC 3502) --- */
struct imap_append_msg {
	struct imap_flags flags;
	bool has_date;
	struct date date;
	uint64_t size;			/* of the STREAM argument */
};

/* The mailbox and the first message argument (at IMAP_LITERAL or at the end).
 */
int imap_append_mailbox(const struct imap_command *cmd, struct arena *a,
			struct slice *mailbox, struct err *e);
/*
 * The last announced message: at IMAP_LITERAL its flags, date and size.  Call
 * it at each IMAP_LITERAL.  At IMAP_COMMAND call imap_append_end(): E_INVALID
 * if something without a message follows the last one, or none came.
 */
int imap_append_last(const struct imap_command *cmd, struct arena *a,
		     struct imap_append_msg *out, struct err *e);
int imap_append_end(const struct imap_command *cmd, struct err *e);

/* --- ENABLE (RFC 5161): the capabilities known here, others are skipped --- */
enum { IMAP_ENABLE_CONDSTORE = 1, IMAP_ENABLE_QRESYNC = 2 };
int imap_enable_parse(const struct imap_command *cmd, uint32_t *out,
		      struct err *e);

/* --- ID (RFC 2971): at most 30 pairs, keys ≤ 30, values ≤ 1024 octets --- */
#define IMAP_ID_PAIRS_MAX 30u

struct imap_id {
	struct slice key[IMAP_ID_PAIRS_MAX], value[IMAP_ID_PAIRS_MAX];
	size_t n;		/* 0 for NIL; a NIL value has p == NULL */
};

int imap_id_parse(const struct imap_command *cmd, struct imap_id *out,
		  struct err *e);

/* --- CREATE (RFC 3501, RFC 6154 USE) --- */
struct imap_create {
	struct slice mailbox;	/* without the trailing separator */
	bool trailing_separator;
	uint32_t special_use;	/* SPECIALUSE_* of record.h */
};

int imap_create_parse(const struct imap_command *cmd, struct arena *a,
		      char separator, struct imap_create *out, struct err *e);
/* "\Sent" in any case → SPECIALUSE_SENT; 0 if unknown. */
uint32_t imap_special_use(struct slice text);

/* --- simple shapes --- */
/* Exactly one mailbox: DELETE, SUBSCRIBE, UNSUBSCRIBE. */
int imap_one_mailbox(const struct imap_command *cmd, struct arena *a,
		     struct slice *mailbox, struct err *e);
/* Exactly two: RENAME. */
int imap_two_mailboxes(const struct imap_command *cmd, struct arena *a,
		       struct slice *from, struct slice *to, struct err *e);
/* A set and a mailbox: COPY, MOVE. */
int imap_set_and_mailbox(const struct imap_command *cmd, struct arena *a,
			 struct imap_set *set, struct slice *mailbox,
			 struct err *e);
/* One set: UID EXPUNGE. */
int imap_one_set(const struct imap_command *cmd, struct arena *a,
		 struct imap_set *set, struct err *e);
/* None: NOOP, CHECK, CLOSE … */
int imap_no_args(const struct imap_command *cmd, struct err *e);
/* LOGIN: two astrings, pointing into the command. */
int imap_login_parse(const struct imap_command *cmd, struct slice *user,
		     struct slice *password, struct err *e);
/* AUTHENTICATE mechanism [initial response]; "=" is an empty one (RFC 4959).
 */
struct imap_authenticate {
	struct slice mechanism;
	bool has_initial;
	struct slice initial;	/* still base64 */
};
int imap_authenticate_parse(const struct imap_command *cmd,
			    struct imap_authenticate *out, struct err *e);

#endif
