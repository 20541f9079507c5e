#ifndef DUET_STORAGE_MAILBOX_H
#define DUET_STORAGE_MAILBOX_H

/*
 * One mailbox as it was last published: what sessions read.  Nothing here
 * writes; changes go through sync/engine.h.  Pointers to records stay valid
 * until control goes back to the loop.
 *
 * Records stand in UID order and are numbered 0 … mailbox_records()-1
 * (expunged ones included) within one generation.  A session keeps record
 * numbers only together with `generation`; when that changes it maps them
 * again by UID.
 *
 * Message sequence numbers are the session's: see storage/view.h.
 */

#include "node/base/list.h"
#include "proto/record.h"

struct account;
struct mailbox;

#define MREC_EXPUNGED 0x80u	/* beside MSG_* in flags */

/* One message; layout of the index file, 8-byte aligned, little-endian. */
struct mrec {
	uint32_t uid;
	uint8_t flags;			/* MSG_* | MREC_EXPUNGED */
	uint8_t source;
	int16_t internaldate_zone;
	uint64_t modseq;
	int64_t internaldate, savedate;
	uint64_t size;
	struct id128 emailid, threadid;
	uint8_t body_hash[32];
	uint64_t cache_at;		/* offset in the cache file, 0 = none */
	uint64_t spare;
	uint64_t keywords;		/* bits 0…63 of the mailbox's table; more
					 * in a wider generation, see index.h */
};

/* A session's interest in a mailbox. */
struct mailbox_watch {
	struct list node;
	/* Something of it was published: new messages, flags, expunges, name,
	 * deletion (mailbox_gone() then).  Called once per record at most, from
	 * inside publication: note it and act from the loop. */
	void (*changed)(struct mailbox_watch *);
};

/* --- properties --- */
struct id128 mailbox_id(const struct mailbox *m);
const char *mailbox_name(const struct mailbox *m);
uint32_t mailbox_uidvalidity(const struct mailbox *m);
uint64_t mailbox_uidnext(const struct mailbox *m);	/* all jumps included */
uint64_t mailbox_highestmodseq(const struct mailbox *m);
uint32_t mailbox_special_use(const struct mailbox *m);
uint32_t mailbox_messages(const struct mailbox *m);	/* without expunged */
uint32_t mailbox_unseen(const struct mailbox *m);
uint64_t mailbox_size(const struct mailbox *m);		/* sum of octets */
bool mailbox_gone(const struct mailbox *m);
struct account *mailbox_account(const struct mailbox *m);
/* A mailbox stays in memory while referenced, also when it is deleted. */
void mailbox_ref(struct mailbox *m);
void mailbox_unref(struct mailbox *m);
void mailbox_watch_add(struct mailbox *m, struct mailbox_watch *w);
void mailbox_watch_remove(struct mailbox_watch *w);

/* --- records --- */
/*
 * Maps the index; SELECT calls it to learn of an error.  Later calls map it by
 * themselves; one that cannot be read then shows expunged records only.
 */
int mailbox_open(struct mailbox *m, struct err *e);
uint64_t mailbox_generation(const struct mailbox *m);
uint32_t mailbox_records(const struct mailbox *m);
const struct mrec *mailbox_rec(const struct mailbox *m, uint32_t i);
/* Number of the first record with UID >= uid (mailbox_records() if none). */
uint32_t mailbox_lower(const struct mailbox *m, uint32_t uid);
/* Expunged records among [0, i): logarithmic. */
uint32_t mailbox_expunged_below(const struct mailbox *m, uint32_t i);
/* The i-th not expunged record (0 …): logarithmic. */
uint32_t mailbox_select_live(const struct mailbox *m, uint32_t i);

/* --- keywords: spelling as first used; index is the bit --- */
size_t mailbox_keywords(const struct mailbox *m);
const char *mailbox_keyword(const struct mailbox *m, size_t bit);
bool mailbox_has_keyword(const struct mailbox *m, uint32_t rec, size_t bit);

/* --- what changed --- */
typedef void mailbox_uids_cb(void *arg, struct uid_range r);
/* Records with modseq > since, as record numbers, rising or in order of
 * change; O(changes) while since is within recent memory, else a scan. */
typedef void mailbox_rec_cb(void *arg, uint32_t rec);
void mailbox_changed_since(struct mailbox *m, uint64_t since,
			   mailbox_rec_cb *cb, void *arg);
/* Expunged UIDs with modseq > since.  -ENOENT if since lies below the
 * memory's floor: then the caller reports every missing UID (M4). */
int mailbox_vanished_since(struct mailbox *m, uint64_t since,
			   mailbox_uids_cb *cb, void *arg);

/* --- bodies and cache --- */
struct body {
	struct slice data;		/* message octets, CRLF line ends */
	void *map;
	size_t map_n;
};
/* The message file, mapped or read; E_GONE if it is missing, E_CORRUPT if its
 * size is not the record's: the caller asks for read-repair. */
int mailbox_body_open(struct mailbox *m, uint32_t rec, struct body *out,
		      struct err *e);
void mailbox_body_close(struct mailbox *m, struct body *b);
/* Path of the message file. */
void mailbox_body_path(const struct mailbox *m, uint32_t uid, struct buf *to);
/*
 * The parsed form of a message (proto/mime.h, mime_encode) from the cache, or
 * made now from the body and remembered.  Valid until control goes back to
 * the loop.
 */
int mailbox_cached(struct mailbox *m, uint32_t rec, struct slice *out,
		   struct err *e);

#endif
