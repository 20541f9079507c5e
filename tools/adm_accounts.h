#ifndef DUET_TOOLS_ADM_ACCOUNTS_H
#define DUET_TOOLS_ADM_ACCOUNTS_H

/*
 * The replication state of the accounts: the rows of store's command
 * `accounts` (docs/admin-protocol.md), read from every store process of this
 * node and, if it can be asked, of the partner, sorted by name.
 *
 * An account's state is kept by its holder alone, so of two rows that of the
 * holder counts, and both nodes show the same.  What only the other one knows
 * is joined to it: quarantine, a copy that is being made, a failed comparison.
 */

#include "tools/adm_cli.h"

struct adm_account {
	const char *name, *state, *reason;
	unsigned store;			/* process … */
	bool at_partner;		/* … of the partner: the row is its */
	const char *own;		/* state of this node's copy; NULL: as
					 * state; "": the partner alone has it */
	int holder;			/* index of a node, -1 none */
	uint64_t since, oldest_unacked;	/* wall time, 0 = never */
	uint64_t last_ack;		/* … the partner acknowledged a record */
	uint64_t last_done;		/* … nothing was outstanding */
	uint64_t last_equal;		/* … digests were compared and equal */
	uint64_t epoch, records, bytes;	/* unacknowledged, or missing here */
	uint64_t unsafe_acks, unsafe_bytes, waiting;
	bool stale;			/* taken over, partner not heard yet */
	bool mail;			/* new mail is among the records */
	bool mismatch;			/* digests differ at one position */
	const char *parked_why;
};

struct adm_accounts {
	struct adm_topology topology;
	struct adm_account *v;
	size_t n, cap;
	struct arena *arena;
	const struct adm_users *users;	/* NULL = all */
	unsigned store;			/* being read */
	bool at_partner;
	/* The partner could not be asked: what it holds is shown as this node
	 * knows it. */
	bool away;
};

/* From the cells of one row; false if they are too few. */
bool adm_account_row(struct arena *a, const char *const *cells, size_t n,
		     struct adm_account *out);
/* Of one account: `here` becomes the whole of both rows.  index: this node. */
void adm_account_join(struct arena *a, struct adm_account *here,
		      const struct adm_account *there, unsigned index);
/* An exit status; errors were printed.  flags: CALL_STATUS, CALL_HERE. */
int adm_accounts_read(const struct adm_cli *c, const struct adm_users *users,
		      unsigned flags, struct adm_accounts *out);
/* A name that is spelt out is meant: EX_NOUSER with a line for the first that
 * is none of the accounts, else 0.  A mask may match nothing. */
int adm_users_missing(const struct adm_cli *c, const struct adm_users *u,
		      const struct adm_accounts *a);
void adm_accounts_fini(struct adm_accounts *a);
/* Is it in this state ("SYNC")? */
bool adm_account_is(const struct adm_account *a, const char *state);
/* How G8 calls what the account waits for: none, low, high, sync. */
const char *adm_account_priority(const struct adm_account *a);
/* In quarantine or forked: it does not go on by itself. */
bool adm_account_failed(const struct adm_account *a);
/* Waits for a comparison or a new copy. */
bool adm_account_resync_due(const struct adm_account *a, uint64_t now,
			    uint64_t interval_usec);

#endif
