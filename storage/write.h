#ifndef DUET_STORAGE_WRITE_H
#define DUET_STORAGE_WRITE_H

/*
 * What a session or a delivery wants changed: requests.  storage/prepare.h
 * turns them into records with outcomes (UIDs, modseq, final names) at the
 * moment the holder may number them; the result comes back in the same
 * struct after publication.
 *
 * A write is one command.  It may need several records (RECORD_UIDS_MAX);
 * each is valid if the command stops there.
 */

#include "node/base/arena.h"
#include "proto/record.h"

enum write_kind {
	WRITE_DELIVER,		/* LMTP: adds + delivery id */
	WRITE_APPEND,		/* one or more messages to one mailbox */
	WRITE_COPY, WRITE_MOVE,
	WRITE_FLAGS,
	WRITE_EXPUNGE,
	WRITE_CREATE,		/* missing parents too */
	WRITE_DELETE,
	WRITE_RENAME,		/* subtree; INBOX: moves its messages */
	WRITE_SUBSCRIBE,
	WRITE_SPECIALUSE,
	WRITE_AUTOCREATE,	/* automatic mailboxes that are missing */
	WRITE_ACCOUNT_DELETE,
};

/* Policy classes of replication.md, Acknowledgment. */
enum write_class { CLASS_DELIVERY, CLASS_APPEND, CLASS_MAILBOX, CLASS_FLAGS };

/* A body that waits to be named by a record.  Up to 64 KiB in memory; larger
 * ones in a file below the account's .duet/tmp/, complete and fsynced. */
struct write_body {
	struct slice data;		/* inline, else empty */
	char *tmp_path;			/* large, else NULL; see body_stage.h */
	uint64_t size;			/* octets as stored */
	uint8_t hash[32];
};

struct write_msg {
	struct write_body body;
	uint32_t flags;
	struct slice *keywords;		/* as the client spelt them */
	size_t n_keywords;
	int64_t internaldate;
	int16_t internaldate_zone;
	uint8_t traceless[16];
	/* out: */
	uint32_t uid;
};

enum flags_mode { FLAGS_ADD, FLAGS_REMOVE, FLAGS_REPLACE };

struct auto_mailbox {
	const char *name;
	uint32_t special_use;
	bool subscribe;
};

struct write {
	enum write_kind kind;
	struct arena *arena;		/* lives as long as the write */

	/* Mailboxes are named by id where the session has one open, else by
	 * name (UTF-8). */
	struct id128 mbox;		/* source or only mailbox */
	struct slice name, new_name;	/* CREATE DELETE RENAME SUBSCRIBE */
	struct id128 target;		/* COPY, MOVE */
	bool on;			/* SUBSCRIBE */
	uint32_t special_use;		/* CREATE with USE, SPECIALUSE */
	bool autocreate;		/* DELIVER: make the mailbox `name` */
	bool autosubscribe;
	const struct auto_mailbox *autos;
	size_t n_autos;

	struct write_msg *msgs;		/* DELIVER, APPEND */
	size_t n_msgs;
	bool has_delivery_id;
	uint8_t delivery_id[32];

	struct uid_range *uids;		/* COPY MOVE FLAGS EXPUNGE */
	size_t n_uids;
	bool only_deleted;		/* EXPUNGE: those with \Deleted */
	uint8_t flags_mode;
	uint32_t flags;
	struct slice *keywords;
	size_t n_keywords;
	bool has_unchangedsince;
	uint64_t unchangedsince;	/* already through the answer rule */

	/*
	 * Results, in the arena, valid when the write is done: */
	uint64_t modseq;		/* of the last record; 0 = no effect */
	struct id128 result_mbox;	/* target or created mailbox */
	uint32_t uidvalidity;		/* of result_mbox */
	struct uid_range *src_uids, *dst_uids;	/* COPYUID, in this order,
						 * equal number of UIDs */
	size_t n_src_uids, n_dst_uids;
	struct uid_range *modified;	/* failed UNCHANGEDSINCE */
	size_t n_modified;
	bool duplicate;			/* DELIVER: recognised by its id */
	bool single_copy;		/* acknowledged with one copy */

	/* Progress of prepare.h; zero at first. */
	size_t next_item;
	bool prepared_all;
};

#endif
