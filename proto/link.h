#ifndef DUET_PROTO_LINK_H
#define DUET_PROTO_LINK_H

/*
 * The messages of the pair link: plain structs and their codec.  Bytes:
 * docs/pair-protocol.md.  A message is one envelope of node/base/ipc.h whose
 * type is an enum link_type, whose head is a duet.link.Head and whose body is
 * raw: frames and message octets are never re-encoded.
 *
 * The same messages run between a store process and the sync process, which
 * passes those for the partner on as they are (it reads the account id only).
 * Types from LINK_LOCAL on never leave the node: a link that carries one is
 * broken (E_PROTO).
 *
 * Slices of a decoded message point into its envelope and into the arena.
 */

#include "node/base/arena.h"
#include "node/base/ipc.h"
#include "proto/record.h"

#define LINK_FORMAT_MAJOR 1u
#define LINK_FORMAT_MINOR 0u
/* Feature bits of Hello; a bit is set only by a build that has all of it. */
#define LINK_FEATURE_BASE 1ull

#define LINK_JOURNALS_MAX 256u
#define LINK_LINEAGE_MAX 4096u		/* newest entries; older ones are cut */
#define LINK_RESIGN_MAX 4096u
#define LINK_DIGESTS_MAX 4096u
#define LINK_TEXT_MAX 400u
#define LINK_FLAGS_MAX 64u
#define LINK_CREDIT (256u * 1024)	/* window of one stream or transfer */
#define LINK_CHUNK (64u * 1024)		/* bytes of one Data message */
/* Frames and bodies in one Records message; a greater record goes in parts. */
#define LINK_RECORDS_MAX (1024u * 1024)
#define LINK_RECORD_WIRE_MAX (64u * 1024 * 1024)

enum link_type {
	LINK_HELLO = 0x100, LINK_IDENTITY, LINK_REFUSE, LINK_HEARTBEAT,
	LINK_POSITION_REQ = 0x110, LINK_POSITION, LINK_RECORDS, LINK_ACK,
	LINK_NACK, LINK_PUBLISHED, LINK_PARK, LINK_FORKINFO,
	LINK_TAIL_REQ, LINK_TAIL_DATA,
	LINK_ASK = 0x120, LINK_ASK_REPLY, LINK_HANDOVER, LINK_NOT_HOLDER,
	LINK_RESIGN, LINK_PRESSURE,
	LINK_BLOB_OFFER = 0x130, LINK_BLOB_WANT, LINK_BLOB_DATA, LINK_BLOB_DONE,
	LINK_SEED_OFFER = 0x140, LINK_SEED_WANT, LINK_SEED_DIFF, LINK_SEED_DONE,
	LINK_DIGEST_REQ, LINK_DIGEST_REPLY,
	LINK_DELIVER = 0x150, LINK_DELIVERED,
	LINK_STREAM_OPEN = 0x160, LINK_STREAM_DATA, LINK_STREAM_CREDIT,
	LINK_STREAM_CLOSE,

	/* Between the store processes and sync of one node only. */
	LINK_LOCAL = 0x180,
	LINK_UP = 0x180, LINK_DOWN, LINK_TICK, LINK_REPORT,
	LINK_TYPE_END,
};

/* Which of the three connections carries a type. */
enum link_channel { CHANNEL_CONTROL, CHANNEL_BULK, CHANNEL_PROXY, CHANNELS,
		    CHANNEL_NONE = CHANNELS };

struct link_journal {
	uint64_t id, last_batch;
};

struct link_limits {		/* test builds differ: refused if unequal */
	uint32_t window, jump, uids;
	uint64_t jump_stale;
};

struct link_hello {
	uint8_t channel;		/* enum link_channel */
	bool has_identity, provisional, trusted, has_accounts, regressed;
	struct id128 pair_id;
	uint32_t pair_time;
	uint8_t index;
	struct id128 node_id;
	struct id128 incarnation;
	/* What it remembers of the receiver: is this the disk it knew? */
	struct id128 partner_node_id, partner_incarnation;
	uint64_t boot;			/* nonce of this life of sync */
	uint32_t major, minor;
	uint64_t features;
	uint64_t clock_usec;		/* wall clock */
	struct link_limits limits;
	struct link_journal *journals;	/* its own */
	size_t n_journals;
	bool partial;			/* not all of them are known now */
	struct id128 set_digest;	/* sum of its account ids mod 2^128 */
	uint64_t accounts;
};

struct link_identity {		/* the receiver's identity from now on */
	struct id128 pair_id;
	uint32_t pair_time;
	uint8_t index;			/* of the receiver */
};

enum link_refusal {
	REFUSE_OTHER_PAIR = 1, REFUSE_SAME_INDEX, REFUSE_OWN_NODE,
	REFUSE_VERSION, REFUSE_LIMITS, REFUSE_CLOCK, REFUSE_INCARNATION,
	REFUSE_NO_IDENTITY, REFUSE_FORGOTTEN, REFUSE_PROTOCOL, REFUSE_SPARE,
	REFUSE_BOTH_EMPTY,
};

struct link_heartbeat {
	uint32_t heard_ticks;		/* since something came from the partner */
	bool trusted, regressed;
	bool you_regressed;		/* the receiver fell behind its word */
	uint64_t clock_usec;
	struct link_journal *journals;
	size_t n_journals;
	bool partial;
	struct id128 set_digest, node_digest;
	uint64_t accounts, lone, records_behind;
};

enum link_copy {		/* of an account at its sender */
	COPY_WHOLE = 1, COPY_SEEDING, COPY_NEEDS_SEED, COPY_PARKED, COPY_FORKED,
};

/* POSITION_REQ, POSITION */
struct link_position {
	struct slice name;		/* canonical; empty in POSITION */
	struct position end;		/* accepted and durable */
	struct position acked;		/* last known acked by the receiver */
	uint64_t published, floor;	/* seq; trimmed up to */
	uint8_t mark;			/* enum mark_kind */
	uint8_t copy;			/* enum link_copy */
	bool regressed, trusted;
	int8_t holder;			/* by the sender's log; -1 genesis */
	struct lineage_entry *lineage;	/* ascending */
	size_t n_lineage;
};

/*
 * Body: for each record u32 number of inline bodies, u32 length of the frame,
 * the frame, then for each body u32 length (0xffffffff: it does not come along)
 * and octets.  A record that is too large alone goes in parts:
 * `part` counts from 1, `parts` of them; else both are 0.
 */
struct link_records {
	uint64_t first_seq, count;
	uint64_t published;		/* the holder's, piggy-backed */
	uint32_t first_nonce;
	uint32_t part, parts;
};

struct link_nack {
	uint64_t expected;		/* seq it wants next */
	uint8_t lagging;		/* 1: it dropped frames for want of room */
};

struct link_blob {
	uint8_t hash[32];
	uint64_t size, offset;
	uint64_t credit;		/* WANT: bytes it may get beyond offset */
	int32_t result;			/* DONE: 0, or an E_* code */
};

struct link_ask {
	struct slice name;
	bool create;
	bool login;			/* no delivery: may be handed over */
	bool switchover;		/* wants the hand-over now */
};

enum link_verdict { ASK_PROXY = 1, ASK_HANDOVER, ASK_NOT_HOLDER, ASK_REFUSED };

struct link_ask_reply {
	uint8_t verdict;
	int32_t code;
	struct position end;
};

struct link_resigned {
	struct id128 account;
	struct position end;
};

struct link_resign {
	uint64_t nonce;			/* of the resigned life of the process */
	uint8_t cause;
	/* Not 0: every account with bytes 0-7 of its id mod processes =
	 * process, positions unknown. */
	uint32_t process, processes;
	struct link_resigned *items;
	size_t n_items;
};

enum { PRESSURE_NONE, PRESSURE_SPACE, PRESSURE_RESIGNED };

struct link_text {		/* REFUSE, PARK, PRESSURE, STREAM_CLOSE */
	int32_t code;
	struct slice text;		/* what to do about it */
};

/* Both send it when their logs differ after a common position. */
struct link_forkinfo {
	struct position fork;
	bool wrote;			/* the sender wrote of its tail itself */
	bool changes;			/* more than lineage records in it */
	bool known;			/* the two above could be found out */
	bool shown;			/* some of it may have been published */
};

struct link_seed {
	struct position pos;
	uint64_t size, offset, credit;
	uint8_t digest[16];		/* of the account at pos */
	int32_t result;
};

struct link_digest {
	struct id128 account;
	uint64_t seq;
	uint8_t digest[16];
};

struct link_digests {
	struct link_digest *items;
	size_t n_items;
};

/* A forwarded delivery.  Body up to LINK_CHUNK: in the message; else staged
 * before under its hash (blob). */
struct link_deliver {
	struct slice name;		/* account */
	struct slice mailbox;
	bool autocreate, autosubscribe;
	uint8_t delivery_id[32];
	uint8_t body_hash[32];
	uint64_t body_size;
	uint8_t traceless[16];
	int64_t internaldate;
	int32_t internaldate_zone;
	uint32_t flags;
	struct slice *keywords;
	size_t n_keywords;
	struct slice *autos;		/* automatic mailboxes, with … */
	uint32_t *auto_special_use;
	bool *auto_subscribe;
	size_t n_autos;
};

struct link_delivered {
	int32_t result;
	bool unknown, duplicate, single_copy;
	uint32_t uid, uidvalidity;
	struct slice text;		/* client text of an error */
	struct position end;
};

struct link_stream {
	struct slice name;		/* OPEN: account */
	struct slice service;		/* OPEN: "imap" */
	struct slice remote;		/* OPEN: client's address, for logs */
	struct slice extra;		/* OPEN: service's own words */
	struct position end;		/* OPEN: the sender's position */
	uint64_t credit;		/* CREDIT */
};

struct link_up {
	bool partner_trusted, partner_regressed, partner_empty, partner_lost;
	bool trusted, regressed;	/* this node */
	uint64_t partner_boot;
	uint64_t link;			/* differs after every break */
	uint64_t serial;		/* of what was last told, UP or DOWN */
	struct link_journal *journals;	/* the partner's, to be written down */
	size_t n_journals;
};

struct link_down {
	uint32_t failed;		/* attempts to connect that failed so far */
	uint32_t lasted;		/* ticks that the last of them took */
	bool member;			/* the pair has a second member */
	bool trusted;
	bool forgotten;			/* it had one, and that is written off */
	uint64_t serial;
};

/* A store process to sync, at every tick that something changed. */
struct link_report {
	struct link_journal *journals;	/* own */
	size_t n_journals;
	struct link_journal *partner;	/* as remembered */
	size_t n_partner;
	struct id128 set_digest, node_digest;
	uint64_t accounts, incomplete, lone, catchup, forked, parked, needs_seed;
	uint64_t records_behind;
	bool failed;			/* resigned */
	uint64_t serial;		/* of the last UP or DOWN that came; another
					 * one is told again */
};

struct link_msg {
	uint16_t type;
	struct id128 account;		/* zero where none is meant */
	uint64_t gen;			/* generation of the account, or 0 */
	uint64_t id;			/* request, transfer or stream */
	union {
		struct link_hello hello;
		struct link_identity identity;
		struct link_heartbeat heartbeat;
		struct link_position position;
		struct link_records records;
		struct position ack;		/* ACK, HANDOVER, NOT_HOLDER */
		struct link_nack nack;
		uint64_t published;
		struct link_blob blob;
		struct link_ask ask;
		struct link_ask_reply ask_reply;
		struct link_resign resign;
		struct link_text text;
		struct link_forkinfo forkinfo;
		struct link_seed seed;
		struct link_digests digests;
		struct link_deliver deliver;
		struct link_delivered delivered;
		struct link_stream stream;
		struct link_up up;
		struct link_down down;
		uint32_t tick_heard;		/* TICK: 1 if something came */
		struct link_report report;
	};
	struct slice body;
};

/* Appends the whole envelope; E_LIMIT beyond the envelope's limit. */
int link_encode(struct buf *to, const struct link_msg *m);
/*
 * From an envelope.  E_PROTO: unknown type, wrong field sizes, a list or text
 * beyond its limit.  Lists lie in the arena.
 */
int link_decode(const struct ipc_msg *in, struct arena *a, struct link_msg *out,
		struct err *e);
const char *link_type_name(unsigned type);	/* "?" if unknown */
enum link_channel link_channel_of(unsigned type);
/* Large, and asked for again when it is lost: such messages leave the others
 * half of every queue. */
bool link_is_bulky(unsigned type);
/* Is the type meant for one account, so that it is routed by its id? */
bool link_has_account(unsigned type);

/* One record at the start of a Records body; whole size, 0 at the end, or
 * E_PROTO.  Bodies lie in the arena. */
struct link_record {
	struct slice frame;
	struct slice *bodies;
	size_t n_bodies;
};
int link_record_get(struct slice in, struct arena *a, struct link_record *out);
void link_record_put(struct buf *to, struct slice frame,
		     const struct slice *bodies, size_t n_bodies);

#endif
