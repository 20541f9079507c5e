#ifndef DUET_STORAGE_STATE_PRIVATE_H
#define DUET_STORAGE_STATE_PRIVATE_H

/*
 * The published state as the files of storage/ see it that make it up:
 * state.c (tables), fold.c (records), snapshot.c (bytes), dbox.c (message
 * files), mailbox.c (what sessions read).
 */

#include "node/base/map.h"
#include "storage/cache.h"
#include "storage/entry_digest.h"
#include "storage/rank.h"
#include "storage/state.h"

/*
 * Bounds of what a record may say, so that the numbers after it have room.  A
 * UIDNEXT that has passed 2^32 - 2^24 leads to another numbering: beyond that
 * it needs only to hold some jumps.
 */
#define UIDNEXT_MAX ((uint64_t)1 << 40)
#define UIDVALIDITY_MAX (UINT32_MAX - (1u << 24))
#define MBOX_KEYWORDS_MAX 65536u

/* An EPOCH_BEGIN that raised UIDNEXT everywhere.  `total` is what all jumps up
 * to this one add to a UIDNEXT that has the parity of the first one. */
struct jump {
	uint64_t by;
	uint64_t total;
	uint8_t node;
};

struct keyword {
	char *spelling;		/* NULL: trimmed, the bit is not used again */
	char *folded;
};

struct vanished {
	struct uid_range uids;
	uint64_t modseq;
};

/* Recent changes, for CHANGEDSINCE without a scan. */
#define CHANGES_MAX 4096u
struct change {
	uint64_t modseq;
	uint32_t rec;
};

/*
 * Invariants:
 *  1. index.n counts all records, `messages` those without MREC_EXPUNGED.
 *  2. entries = sum of the digests of those messages; extra = that of the
 *     keyword table and VANISHED ranges.  Both hold except during a replay.
 *  3. The rank table has exactly the expunged records, if rank_built.
 *  4. dir is where the message files are now; during a replay, and after a
 *     failed rename, not where `name` wants them.
 */
struct mailbox {
	struct state *state;
	struct id128 id;
	char *name;
	unsigned refs;
	bool gone;
	uint32_t uidvalidity, special_use;
	uint32_t numbering;		/* UIDVALIDITY when its UIDs were given:
					 * together with id names its files */
	uint64_t uidnext;		/* without jumps[jump_at …] */
	size_t jump_at;
	uint64_t highestmodseq;
	uint64_t changed_seq;		/* record that set it */
	uint32_t messages, unseen;
	uint64_t size;
	struct keyword *keywords;
	size_t n_keywords, cap_keywords;
	struct vanished *vanished;
	size_t n_vanished, cap_vanished;
	uint64_t vanished_floor;
	struct sum128 entries, extra;
	struct sum128 part;		/* its share of the account digest */
	bool part_valid;
	uint64_t part_epoch_seq;
	struct index index;
	uint64_t last_gen;		/* greatest ever used */
	struct rank rank;
	bool rank_built;
	struct change *changes;
	size_t n_changes, cap_changes;
	uint64_t changes_floor;		/* complete above this modseq */
	struct cache cache;
	uint64_t cache_gen;
	char *dir;			/* path of dbox-Mails; NULL: none yet */
	struct list watches;
	bool touched;			/* by a record of this replay */
	bool verified;			/* its records add up */
	bool check;			/* changed since the last CHECKPOINT */
	bool notify;			/* by the record being applied */
};

struct delivery {
	uint8_t id[32];
	int64_t time;
	struct id128 mbox;
	uint32_t uid;
};

struct tombstone {
	char *name;
	uint32_t uidvalidity;
	struct id128 id;		/* retired; zero: none */
};

/* A file or directory in .expunged/. */
struct expunged_file {
	struct id128 mbox;
	uint32_t uid;			/* 0: the whole directory */
	uint32_t numbering;		/* then; of a file 0: not known */
	uint64_t seq;
	int64_t time;			/* of the record, seconds */
};

/* A path that only older snapshots need. */
struct garbage {
	char *path;
	bool saved;			/* a snapshot without it was made */
};

/* A body that is not here: fetched from the partner by hash. */
struct missing {
	struct id128 mbox;
	uint32_t uid;
	uint8_t hash[32];
	uint64_t size;
};

/* The large body whose hash was checked last. */
struct verified {
	uint64_t ino, dev;
	int64_t mtime_usec;
	uint64_t size;
};

/* Directories found on disk at the start of a replay. */
struct found_dir {
	struct id128 id;
	uint32_t numbering;
	char *path;
};

struct joined_epoch {
	struct lineage_entry entry;
	uint64_t fork_modseq;
};

struct state {
	struct sys *sys;
	struct fsio *fs;
	struct account *account;
	struct id128 id;
	uint8_t pair_id[16];
	struct slice key;		/* pair_id */
	uint32_t pair_time;
	char *root;

	struct position pos;
	uint64_t counter;		/* of the modseq */
	uint64_t saved_seq;		/* position of the last state_save() */
	uint64_t kept_seq;		/* of the last durable snapshot */
	uint64_t epoch_seq;		/* record of the last EPOCH_BEGIN */
	int holder;
	struct lineage_entry *lineage;
	size_t n_lineage, cap_lineage;
	struct joined_epoch *joined;
	size_t n_joined, cap_joined;
	uint32_t *ambiguous;
	size_t n_ambiguous, cap_ambiguous;
	struct jump *jumps;
	size_t n_jumps, cap_jumps;
	bool exists;			/* ACCOUNT_CREATE without _DELETE */
	char *name;			/* as created, or NULL */
	uint32_t uidvalidity_hwm;

	struct mailbox **mboxes;	/* sorted by name */
	size_t n_mboxes, cap_mboxes;
	struct map *by_id, *by_name;
	struct map *subscriptions;	/* name → (void *)1 */
	struct map *deliveries;		/* id → struct delivery */
	struct map *tombstones;		/* name → struct tombstone */
	struct sum128 rest;		/* of these three */

	struct expunged_file *expunged;
	size_t n_expunged, cap_expunged;
	struct garbage *garbage;
	size_t n_garbage, cap_garbage;
	struct missing *missing;
	size_t n_missing, cap_missing;
	struct found_dir *found;
	size_t n_found, cap_found;
	struct mailbox **dead;		/* referenced or not yet settled */
	size_t n_dead, cap_dead;
	struct body_table *bodies;	/* by hash; made when first asked for */

	unsigned mismatches;
	bool replaying;			/* sums are not kept */
	bool broken;			/* an I/O error left it half applied */
	/* A directory is not where it belongs.  It is moved with the next
	 * record: a crash then finds a replay, which looks for directories. */
	bool unsettled;
	bool abandoned;			/* freed, but for what is referenced */
	struct verified verified;
	struct buf scratch;
	struct buf parsed;		/* of a message that has no cache */
};

/* --- state.c --- */
uint64_t modseq_of(uint32_t epoch, uint64_t counter);
uint64_t uid_parity(uint64_t u, unsigned node);	/* smallest >= u of it */
uint64_t jumps_total(const struct state *s);
uint64_t jumps_apply(const struct jump *j, size_t n, size_t from, uint64_t u);
uint64_t state_uidnext_since_genesis(const struct state *s);
struct mailbox *state_mailbox(const struct state *s, struct id128 id);
struct mailbox *state_mailbox_named(const struct state *s, struct slice name);
struct mailbox *mailbox_new(struct state *s, struct id128 id, struct slice name);
void mailbox_free(struct mailbox *m);
void state_insert(struct state *s, struct mailbox *m);
void state_take_out(struct state *s, struct mailbox *m);
void state_reposition(struct state *s, struct mailbox *m, struct slice name);
void mailbox_set_uidnext(struct mailbox *m, uint64_t uidnext);
void mailbox_entomb(struct state *s, struct slice name, uint32_t uidvalidity,
		    struct id128 id);
const struct tombstone *state_tombstone(const struct state *s,
					struct slice name);
const struct delivery *state_delivery(const struct state *s,
				      const uint8_t id[32]);
void state_put_delivery(struct state *s, const struct delivery *d);
void state_subscribe(struct state *s, struct slice name, bool on);
void state_tombstone_drop(struct state *s, struct slice name);
void state_trim_deliveries(struct state *s, int64_t before);
void state_recount_rest(struct state *s);
void keyword_drop(struct mailbox *m, size_t bit);
void mailbox_vanished_trim(struct mailbox *m, uint64_t floor);
int keyword_find(const struct mailbox *m, struct slice folded);   /* -1 */
size_t keyword_add(struct mailbox *m, struct slice spelling);
void garbage_add(struct state *s, const char *path);
void missing_add(struct state *s, const struct mailbox *m, uint32_t uid,
		 const uint8_t hash[32], uint64_t size);
/*
 * The mailbox's index, mapped; the first time since the account was loaded its
 * records are added up.  E_CORRUPT: damaged; the account is told of
 * (account_hurt), so that it is healed when the loop comes round.
 */
int mailbox_index(struct mailbox *m, struct err *e);
/* Head and length only. */
int mailbox_index_open(struct mailbox *m, struct err *e);
/* Its cache file, mapped; 0 or -errno. */
int mailbox_cache(struct mailbox *m);
/* Remembers the parsed form of a body; failing only costs time later. */
void mailbox_cache_fill(struct mailbox *m, uint32_t rec, struct slice body);
void mailbox_rank(struct mailbox *m);
void mailbox_digest_of(struct mailbox *m, uint8_t out[16]);
/* Sums and rank from the index itself. */
int mailbox_recount(struct mailbox *m, struct err *e);
void mailbox_vanish(struct mailbox *m, struct uid_range r, uint64_t modseq);

/* --- fold.c --- */
/* Frees deleted mailboxes that nobody refers to. */
void state_reap(struct state *s);

/* --- snapshot.c --- */
/* Directories are found; sums are not kept until state_replayed(). */
int state_replay_begin(struct state *s, struct err *e);

/* --- body_table.c --- */
void body_table_free(struct body_table *t);
void body_table_add(struct body_table *t, struct mailbox *m, uint32_t rec);

#endif
