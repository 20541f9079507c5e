#ifndef DUET_PROTO_RECORD_H
#define DUET_PROTO_RECORD_H

/*
 * The payload of a frame: one record, a list of ops with outcomes (design:
 * replication.md, Records).  These are the plain structs; proto/record.c is
 * the only file that knows their protobuf form (proto/record.proto, package
 * duet.record, `Op` = bool ignorable = 1 beside a oneof whose field numbers
 * are the enum values below).
 *
 * A record has one modseq, shared by all its ops: 52 bits, (epoch mod 2^16)
 * << 36 | counter.  Arrays and strings of a decoded record lie in the arena
 * given to record_decode() or point into the payload.
 */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/err.h"

#define RECORD_SIZE_MAX (1024u * 1024)
#ifdef DUET_TEST_LIMITS
#define RECORD_UIDS_MAX 3u
#else
#define RECORD_UIDS_MAX 4096u
#endif
#define ACCOUNT_NAME_MAX 512u
#define MBOX_NAME_MAX 1000u	/* UTF-8 octets */
#define KEYWORD_MAX 255u

struct id128 {
	uint8_t b[16];
};

static inline bool id128_eq(struct id128 a, struct id128 b)
{
	return memcmp(a.b, b.b, 16) == 0;
}

/* Where a log stands. Two logs are at the same place iff all four agree. */
struct position {
	uint32_t epoch, nonce;
	uint64_t seq;
	uint64_t chain;
};

/* An entry of the lineage: one epoch that was written. */
struct lineage_entry {
	uint32_t epoch, nonce;
	uint64_t first_seq, last_seq;
	uint64_t last_counter;		/* last modseq counter in it */
	uint8_t node;
};

enum { MSG_SEEN = 1, MSG_ANSWERED = 2, MSG_FLAGGED = 4, MSG_DELETED = 8,
       MSG_DRAFT = 16, MSG_FLAGS_MASK = 31 };

enum op_kind {
	OP_EPOCH_BEGIN = 16, OP_HANDOVER = 17, OP_REBASE_END = 18,
	OP_CHECKPOINT = 19, OP_TRIM = 20, OP_NOOP = 21,

	OP_ACCOUNT_CREATE = 32, OP_ACCOUNT_DELETE = 33, OP_QUOTA_LIMIT = 34,
	OP_UIDVALIDITY_HWM = 35,

	OP_MBOX_CREATE = 48, OP_MBOX_RENAME = 49, OP_MBOX_DELETE = 50,
	OP_MBOX_RENUMBER = 51, OP_SUBSCRIBE = 52, OP_SPECIALUSE = 53,
	OP_ACL_SET = 54, OP_METADATA_SET = 55, OP_KEYWORD = 56,

	OP_MSG_ADD = 80, OP_MSG_FLAGS = 81, OP_MSG_EXPUNGE = 82,
	OP_MSG_RETIRE = 83, OP_PVT_FLAGS = 84,

	OP_DELIVERY = 112, OP_SIEVE_PUT = 113, OP_SIEVE_DELETE = 114,
	OP_SIEVE_RENAME = 115, OP_SIEVE_ACTIVE = 116, OP_SIEVE_STATE = 117,
	OP_OUTBOX_ADD = 118, OP_OUTBOX_DONE = 119,
};

enum epoch_reason {
	EPOCH_START = 1, EPOCH_START_ALONE, EPOCH_TAKEOVER, EPOCH_RESIGN,
	EPOCH_REGRESSED, EPOCH_HEAL, EPOCH_OPERATOR, EPOCH_COUNTER,
	EPOCH_FORGOTTEN,
};

struct mbox_floor {
	struct id128 mbox;
	uint64_t uidnext;
};

struct op_epoch_begin {
	uint32_t epoch, nonce;
	uint8_t node;			/* who begins it and is holder now */
	struct position parent;
	uint8_t reason;			/* enum epoch_reason */
	uint64_t jump;			/* of UIDNEXT in every mailbox */
	uint32_t uidvalidity_base;	/* not 0: every mailbox renewed */
	struct mbox_floor *floors;	/* heal only, as the next three */
	size_t n_floors;
	struct lineage_entry *joined;
	size_t n_joined;
	uint64_t *joined_fork_modseq;	/* n_joined of them */
	uint32_t *ambiguous;
	size_t n_ambiguous;
};

struct op_handover {
	uint8_t to;			/* node index */
	uint8_t account_digest[16];
	uint64_t counter;		/* modseq counter at this record */
};

struct mbox_digest {
	struct id128 mbox;
	uint8_t digest[16];
};

struct op_checkpoint {
	uint8_t account_digest[16];
	struct mbox_digest *mboxes;	/* those changed since the last one */
	size_t n_mboxes;
};

enum trim_what { TRIM_DELIVERY = 1, TRIM_VANISHED, TRIM_KEYWORD,
		 TRIM_TOMBSTONE, TRIM_RECEIPT, TRIM_SIEVE_STATE };

struct op_trim {
	uint8_t what;
	struct id128 mbox;		/* VANISHED, KEYWORD */
	uint64_t floor;			/* VANISHED: modseq; else a time or seq */
	struct slice name;		/* KEYWORD, TOMBSTONE */
};

struct op_mbox_create {
	struct id128 id;
	struct slice name;		/* UTF-8, '/' between levels */
	uint32_t uidvalidity;
	bool derived;			/* INBOX or automatic, first in this log:
					 * begins at the UIDNEXT since genesis */
	uint32_t special_use;		/* SPECIALUSE_* bits */
};

struct mbox_rename {
	struct id128 id;
	struct slice name;
	uint32_t uidvalidity;
};

struct op_mbox_rename {
	struct mbox_rename *items;	/* a subtree is one record */
	size_t n_items;
};

struct op_mbox_delete {
	struct id128 id;
	struct slice name;
	uint64_t uidnext;		/* what the deleter saw */
	uint8_t digest[16];
};

struct op_mbox_renumber {
	struct id128 id;
	uint32_t uidvalidity;
};

struct op_subscribe {
	struct slice name;
	bool on;
};

enum { SPECIALUSE_ALL = 1, SPECIALUSE_ARCHIVE = 2, SPECIALUSE_DRAFTS = 4,
       SPECIALUSE_FLAGGED = 8, SPECIALUSE_JUNK = 16, SPECIALUSE_SENT = 32,
       SPECIALUSE_TRASH = 64, SPECIALUSE_IMPORTANT = 128 };

struct op_specialuse {
	struct id128 id;
	uint32_t set;
};

struct op_keyword {
	struct id128 mbox;
	struct slice spelling;		/* folded form: ASCII lower case */
};

enum msg_source { SOURCE_LMTP = 1, SOURCE_APPEND, SOURCE_COPY, SOURCE_UNDELETE,
		  SOURCE_HEAL };

struct origin {			/* heal only: the tail record this came from */
	uint32_t epoch, nonce;
	uint64_t seq;
	uint32_t index;
};

struct op_msg_add {
	struct id128 mbox;
	uint32_t uid;
	struct id128 emailid, threadid;
	uint8_t body_hash[32];		/* SHA-256 of the octets as stored */
	uint64_t size;			/* octets as stored, CRLF line ends */
	uint8_t traceless[16];		/* LMTP: hash below the trace headers */
	int64_t internaldate;		/* seconds */
	int16_t internaldate_zone;	/* minutes east of UTC */
	int64_t savedate;
	uint32_t flags;
	struct slice *keywords;		/* folded */
	size_t n_keywords;
	uint8_t source;
	struct id128 src_mbox;		/* SOURCE_COPY: where a body is */
	uint32_t src_uid;
	bool has_origin;
	struct origin origin;
	bool inline_body;		/* the body travels with this frame */
};

struct uid_range {
	uint32_t first, last;		/* both included */
};

struct op_msg_flags {
	struct id128 mbox;
	struct uid_range *uids;		/* rising, disjoint; all exist */
	size_t n_uids;
	uint32_t add, remove;
	struct slice *kw_add, *kw_remove;
	size_t n_kw_add, n_kw_remove;
};

struct expunged {
	uint32_t uid;
	struct id128 emailid;
};

struct op_msg_expunge {
	struct id128 mbox;
	struct expunged *items;		/* rising uid */
	size_t n_items;
};

struct op_msg_retire {
	struct id128 mbox;
	uint32_t uid, new_uid;
};

struct op_delivery {
	uint8_t id[32];
	int64_t time;			/* holder's clock, for TRIM only */
	struct id128 mbox;		/* where it was stored */
	uint32_t uid;
};

/* Ops of later areas: kept as their protobuf bytes, dumped, never emitted. */
struct op_raw {
	uint32_t field;
	struct slice bytes;
};

struct op {
	uint8_t kind;			/* enum op_kind; 0 = unknown: see raw */
	bool ignorable;
	union {
		struct op_epoch_begin epoch_begin;
		struct op_handover handover;
		struct op_checkpoint checkpoint;
		struct op_trim trim;
		struct slice account_name;	/* ACCOUNT_CREATE */
		struct id128 delete_op;		/* ACCOUNT_DELETE */
		uint32_t uidvalidity_hwm;
		struct op_mbox_create mbox_create;
		struct op_mbox_rename mbox_rename;
		struct op_mbox_delete mbox_delete;
		struct op_mbox_renumber mbox_renumber;
		struct op_subscribe subscribe;
		struct op_specialuse specialuse;
		struct op_keyword keyword;
		struct op_msg_add msg_add;
		struct op_msg_flags msg_flags;
		struct op_msg_expunge msg_expunge;
		struct op_msg_retire msg_retire;
		struct op_delivery delivery;
		struct op_raw raw;
	};
};

struct record {
	uint64_t modseq;		/* 0 in a record without visible change */
	struct op *ops;
	size_t n_ops;
};

/* Appends the payload.  E_LIMIT beyond RECORD_SIZE_MAX. */
int record_encode(const struct record *r, struct buf *to);
/*
 * E_CORRUPT for bytes that are not a record or break a bound of this page
 * (name lengths, hash sizes, falling UID ranges); E_VERSION for an op that is
 * unknown and not ignorable.  Strings point into payload.
 */
int record_decode(struct slice payload, struct arena *a, struct record *out,
		  struct err *e);
/* One line per op, for people. */
void record_print(const struct record *r, struct buf *to);

#endif
