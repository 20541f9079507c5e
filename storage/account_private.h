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
	bool spilled;			/* bodies are in .duet/tmp/b.SEQ.I too */
};

/* Inline bodies that a checkpoint wrote to .duet/tmp/b.SEQ.0 … b.SEQ.n-1;
 * they go when a durable snapshot lies beyond seq. */
struct spilled {
	uint64_t seq;
	size_t n;
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
	uint64_t dev;			/* the file system of root; 0 unknown */
	bool low_space;			/* less than the reserve is free there, */
	uint64_t space_usec;		/* as of then */
	bool full;			/* the last publication found no room */
	/* Something of its views was found damaged while it was served: healed
	 * in store_turn(). */
	struct list hurt;		/* in store.hurt */
	char *hurt_why;
	/* Its first frame since the mark, as the journal has it; while it is
	 * loaded at recovery. 0: none. */
	uint64_t first_frame;
	/* Nothing here can be served or added to: it takes a seed only. */
	bool needs_seed;
	bool dirty;			/* changed since the last checkpoint */
	/* Marks (durable ones) and what is known of the partner. */
	uint8_t mark, mark_reason;	/* enum mark_kind, lone_reason; 0 = none */
	uint64_t mark_time;
	struct position mark_partner;
	struct position partner_acked;
	struct list acks;		/* in store.acks: not in the journal yet */
	/* store_*.c only: */
	struct list touched;		/* in store.touched: waits for a batch */
	bool resetting;			/* a RESET is on its way */
	bool replayed;			/* named by the journal since the mark */
	const struct position *cut_at;	/* a RESET after the mark cut the log here */
	bool cut_loaded;		/* and the log was opened so */
	uint64_t snap_number;		/* greatest file snap.N ever written */
	uint64_t snap_kept;		/* the last one that is durable */
	uint64_t snap_seq;		/* position of the last durable one */
	uint8_t *raw_state;		/* its bytes, while nothing was published
					 * since it was loaded unclean */
	size_t raw_state_n;
	uint64_t seed_token;
	/* Entries of the journal that waited in state_dir/parked/ for the
	 * account to be replayed, and are in it now. */
	struct parked_file *parked;
	size_t n_parked;
	struct spilled *spilled;	/* rising */
	size_t n_spilled, cap_spilled;
	/* Staged bodies: there may be some; the last published frame that named
	 * one. */
	bool has_stages;
	uint64_t stage_seq;
	uint64_t used_usec;		/* last reference given back */
	void *engine;			/* sync/ keeps its peer here */
};

/* a may be NULL. */
void account_hurt(struct account *a, const char *why);

#endif
