#ifndef DUET_STORAGE_ACCOUNT_PRIVATE_H
#define DUET_STORAGE_ACCOUNT_PRIVATE_H

/* What the files of storage/ share about an account. */

#include "node/base/list.h"
#include "storage/head.h"
#include "storage/state.h"

struct alog;

/* A frame that is accepted and not yet both published and written to the
 * log file. Owned by the account; bodies are copied (inline ones). */
struct pending_frame {
	struct list node;
	struct position pos;
	struct slice bytes;		/* as on the wire */
	struct arena *arena;		/* holds bytes, record, bodies */
	struct record record;
	struct frame_bodies bodies;
	uint64_t batch;			/* journal batch it went into, 0 = none yet */
	bool durable;
};

struct account {
	struct store *store;
	struct id128 id;
	char *name, *root;
	unsigned refs;
	struct state *state;		/* published */
	struct head *head;
	struct alog *log;
	struct position end, durable, published;
	struct list pending;		/* pending_frame, oldest first */
	struct list watches;		/* account_watch */
	bool replaying;			/* published < unclean_until */
	uint64_t unclean_until;
	bool dirty;			/* changed since the last checkpoint */
	/* marks and what is known of the partner */
	uint8_t mark, mark_reason;	/* enum mark_kind, lone_reason */
	uint64_t mark_time;
	struct position partner_acked;
	void *engine;			/* sync/ keeps its peer here */
};

#endif
