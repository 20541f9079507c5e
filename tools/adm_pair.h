#ifndef DUET_TOOLS_ADM_PAIR_H
#define DUET_TOOLS_ADM_PAIR_H

/* The node level of the pair, as the sync process tells it. */

#include "tools/adm_accounts.h"

struct adm_node {
	const char *state;		/* SINGLE SYNC CATCHUP DEGRADED … */
	const char *link, *trouble;
	uint64_t since, heard;		/* wall time */
	bool member, trusted, regressed, partner_regressed, mismatch;
	int64_t clock_ms;
	uint64_t partner_lone, partner_behind, partner_accounts;
};

/* From one row (name, value); unknown names are of a later version. */
void adm_node_row(struct arena *a, const char *const *cells, size_t n,
		  struct adm_node *to);
/* An exit status; errors were printed. */
int adm_node_read(const struct adm_cli *c, struct adm_node *out);

/* What accounts add up to. */
struct adm_sums {
	uint64_t accounts, here, there, nobody;
	uint64_t sync, catchup, lone, forked, parked, seed, stale;
	uint64_t records, bytes, oldest, unsafe_acks, unsafe_bytes, waiting;
	const char *reason;		/* of the accounts not in SYNC: the
					 * most frequent; "" */
	bool mismatch;
};
void adm_sums_of(const struct adm_accounts *a, struct adm_sums *out);

/* Exit status of `pair status`: 0 SYNC or SINGLE, 1 CATCHUP, 2 DEGRADED,
 * 3 FORKED or REGRESSED, 4 verification failure. */
enum { PAIR_SYNC, PAIR_CATCHUP, PAIR_DEGRADED, PAIR_FORKED, PAIR_UNEQUAL };
int adm_pair_code(const struct adm_node *n, const struct adm_sums *s);
/* The same for one account. */
int adm_pair_account_code(const struct adm_account *a);
/* What would be missing here of the account if the partner died now; NULL:
 * nothing. */
const char *adm_pair_missing(struct arena *a, const struct adm_account *v,
			     unsigned index, const char *unknown_since);

#endif
