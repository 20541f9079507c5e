#ifndef DUET_TESTS_STORE_RIG_H
#define DUET_TESTS_STORE_RIG_H

/*
 * One store on a simulated disk, with what was promised about it written down,
 * for tests of storage/.  Everything follows from the seed: two runs make the
 * same records.
 *
 * Calls go on quietly when the disk is dead: a scenario reads as if nothing
 * could fail, and crash.h looks at the ledger afterwards.
 */

#include "storage/account_private.h"
#include "storage/store_private.h"
#include "tests/lib/rig_model.h"
#include "tests/lib/simclock.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#define RIG_ACCOUNTS 4
#define RIG_SEQS 128
#define RIG_STATE "/state"
#define RIG_MAIL "/mail"

struct rig_account {
	struct id128 id;
	char name[16], root[32];
	bool wanted;			/* opened at least once, acknowledged */
	/* The ledger. */
	struct position durable;	/* reported by store_on_durable */
	struct position chain[RIG_SEQS];	/* by seq, as accepted */
	uint64_t accepted;		/* seq */
	uint64_t cut_to;		/* lowest position of a cut under way or
					 * done; UINT64_MAX = none */
	bool cut_done;
	uint64_t publishing;		/* at most this may be visible */
	uint64_t published;		/* store_publish() came back */
	uint8_t mark_asked, mark_durable;	/* enum mark_kind */
	bool replaced;			/* a seed was installed, or may be */
	uint8_t digest[RIG_SEQS][16];	/* after publication of seq */
	bool has_digest[RIG_SEQS];
	struct rig_model *model[RIG_SEQS];	/* by seq, if rig.model is on */
};

struct rig {
	struct simdisk *disk;
	struct fsio *fs;
	struct simtime *time;
	struct simclock clock;
	struct simrng rng;
	struct sys sys;
	struct store_opts opts;
	struct store *store;		/* NULL: not open */
	bool failed;			/* store_opts.failed was called */
	/* A file that is no message's any more may lie in the tree: a call
	 * that failed, not a crash, kept it from going to .expunged. */
	bool leftovers;
	char failed_why[480];
	unsigned news[4];		/* store_opts.news calls, by kind */
	char last_news[480];
	unsigned spaces;		/* store_on_space calls */
	unsigned resets;		/* done with 0 */
	struct rig_account acct[RIG_ACCOUNTS];
	bool trims;			/* the log may lose its beginning */
	bool model;			/* what each record must show is kept */
};

/* An empty disk with a marked mail root, of node 0. journal: bytes. */
void rig_init(struct rig *g, uint64_t seed, uint64_t journal);
/* The same of the partner, node 1. */
void rig_init_partner(struct rig *g, uint64_t seed, uint64_t journal);
/* The same rig on another disk, nothing open (ledger copied). */
void rig_fork(struct rig *g, const struct rig *from, struct simdisk *disk);
void rig_fini(struct rig *g);

int rig_open(struct rig *g, struct err *e);
void rig_close(struct rig *g);		/* clean */
void rig_die(struct rig *g);		/* the process is killed; disk revived */
/* The account, opened (made) if needed; NULL if the disk is dead. */
struct account *rig_account(struct rig *g, unsigned i);
struct id128 rig_mbox(unsigned i, const char *name);

/* --- records; all append, none waits ------------------------------------------ */
/* EPOCH_BEGIN; the first one also makes account and INBOX. */
int rig_epoch(struct rig *g, unsigned i);
int rig_takeover(struct rig *g, unsigned i, uint64_t jump);
/* ACCOUNT_DELETE; ACCOUNT_CREATE with another INBOX, whose id has this name
 * ("INBOX" lies in the tombstones). */
#define RIG_INBOX_2 "INBOX again"
int rig_account_delete(struct rig *g, unsigned i);
int rig_account_create(struct rig *g, unsigned i);
/* Every frame of the partner that is not here. */
void rig_receive(struct rig *g, unsigned i, struct rig *partner);
int rig_append(struct rig *g, unsigned i, const struct record *r,
	       const struct frame_bodies *bodies);
int rig_noop(struct rig *g, unsigned i);
int rig_add(struct rig *g, unsigned i, const char *mbox, const char *text);
/* Through a staged file, of n octets. */
int rig_add_large(struct rig *g, unsigned i, const char *mbox, size_t n);
int rig_flags(struct rig *g, unsigned i, const char *mbox, uint32_t uid,
	      uint32_t add);
int rig_expunge(struct rig *g, unsigned i, const char *mbox, uint32_t uid);
int rig_copy(struct rig *g, unsigned i, const char *from, uint32_t uid,
	     const char *to, bool move);
int rig_create(struct rig *g, unsigned i, const char *name);
int rig_rename(struct rig *g, unsigned i, const char *id_name, const char *to);
int rig_delete(struct rig *g, unsigned i, const char *id_name,
	       const char *now_named);
int rig_renumber(struct rig *g, unsigned i, const char *mbox);
/* TRIM of the VANISHED memory up to the modseq that the account has now. */
int rig_trim_vanished(struct rig *g, unsigned i, const char *mbox);

/* --- going on ------------------------------------------------------------------------- */
/* Sends the batch, completes syncs until nothing is under way. */
void rig_turn(struct rig *g);
void rig_publish(struct rig *g, unsigned i, uint64_t upto);
void rig_publish_all(struct rig *g);	/* everything durable */
void rig_mark(struct rig *g, unsigned i, enum mark_kind kind);
void rig_cut(struct rig *g, unsigned i, uint64_t seq);
void rig_checkpoint(struct rig *g);	/* starts it; rig_turn() ends it */
/* store_periodic() `usec` later. */
void rig_later(struct rig *g, uint64_t usec);
/* Octets of a body made by rig_add_large(). */
void rig_octets(uint8_t *to, size_t n, uint64_t salt);

#endif
