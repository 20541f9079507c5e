#ifndef DUET_PROTO_IMAP_FETCH_H
#define DUET_PROTO_IMAP_FETCH_H

/*
 * Arguments of FETCH (RFC 3501 6.4.5, RFC 7162, RFC 8474) and STORE
 * (RFC 3501 6.4.6, RFC 7162).  Functions return 0 or E_INVALID with a client
 * text that fits behind "BAD "; results lie in the arena.
 */

#include "proto/imap_parse.h"
#include "proto/imap_set.h"
#include "proto/mime_section.h"

enum {
	IMAP_FETCH_FLAGS = 1 << 0,
	IMAP_FETCH_INTERNALDATE = 1 << 1,
	IMAP_FETCH_RFC822_SIZE = 1 << 2,
	IMAP_FETCH_ENVELOPE = 1 << 3,
	IMAP_FETCH_BODY = 1 << 4,		/* without extension data */
	IMAP_FETCH_BODYSTRUCTURE = 1 << 5,
	IMAP_FETCH_UID = 1 << 6,
	IMAP_FETCH_MODSEQ = 1 << 7,		/* also by CHANGEDSINCE */
	IMAP_FETCH_EMAILID = 1 << 8,
	IMAP_FETCH_THREADID = 1 << 9,
	/* ALL, FAST and FULL are expanded. */
};

#define IMAP_FETCH_SECTIONS_MAX 1000u
#define IMAP_FETCH_FIELDS_MAX 500u	/* of one HEADER.FIELDS */

/* BODY[...], RFC822, RFC822.HEADER, RFC822.TEXT */
struct imap_fetch_section {
	struct imap_fetch_section *next;
	struct mime_section section;
	bool peek;		/* does not set \Seen */
	bool kept;		/* mime_section_is_kept() */
	bool partial;
	uint32_t offset, length;	/* length > 0 */
	/* As it is named in the reply: "RFC822" or
	 * "BODY[HEADER.FIELDS (DATE FROM)]<0>". */
	struct slice label;
};

struct imap_fetch {
	struct imap_set set;	/* as parsed, "*" not resolved */
	uint32_t items;		/* UID FETCH: UID is always in it */
	struct imap_fetch_section *sections;	/* in the order asked for */
	bool has_changedsince;
	uint64_t changedsince;
	bool vanished;		/* only with UID and CHANGEDSINCE */
};

int imap_fetch_parse(const struct imap_command *cmd, struct arena *a,
		     struct imap_fetch *out, struct err *e);
/* A set as an argument. */
int imap_arg_set(const struct imap_arg *arg, struct arena *a,
		 struct imap_set *out, struct err *e);
/* True if answering sets \Seen. */
bool imap_fetch_marks_seen(const struct imap_fetch *f);

/* Flags of one command. */
#define IMAP_FLAGS_MAX 500u

struct imap_flags {
	uint32_t system;	/* MSG_* of record.h */
	struct slice *keywords;	/* as spelled, no doubles (ASCII case) */
	size_t n_keywords;
};

/* A parenthesised list, or (loose) the flags from `first` on without one.
 * \Recent is ignored; other unknown \Flags are E_INVALID. */
int imap_flags_parse(const struct imap_arg *first, bool loose, struct arena *a,
		     struct imap_flags *out, struct err *e);

enum imap_store_mode { IMAP_STORE_REPLACE, IMAP_STORE_ADD, IMAP_STORE_REMOVE };

struct imap_store {
	struct imap_set set;
	enum imap_store_mode mode;
	bool silent;
	bool has_unchangedsince;
	uint64_t unchangedsince;
	struct imap_flags flags;
};

int imap_store_parse(const struct imap_command *cmd, struct arena *a,
		     struct imap_store *out, struct err *e);

#endif
