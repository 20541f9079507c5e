/* Admin requests in the sync process: the node level of `pair status`, and what
 * an administrator at the partner must know of this node to ask it. */

#include "node/link/sync_role.h"
#include "node/base/arena.h"
#include "node/base/digest.h"

#include <stdio.h>

static const char *num(struct arena *a, uint64_t v)
{
	return arena_printf(a, "%llu", (unsigned long long)v);
}

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

static void cmd_status(struct sync_node *sn, struct adm *q)
{
	struct arena *a = adm_arena(q);
	struct node_link_status st;

	if (!sn->link) {
		adm_pair(q, "state", "SINGLE");
		adm_end(q, ADM_OK, "%s", "");
		return;
	}
	node_link_status(sn->link, &st);
	adm_pair(q, "state", node_state_name(st.state));
	adm_pair(q, "link", st.up ? "up" : "down");
	adm_pair(q, "since", num(a, st.since_usec));
	adm_pair(q, "heard", num(a, st.heard_usec));
	adm_pair(q, "suspect", yes(st.suspect));
	adm_pair(q, "member", yes(st.member));
	adm_pair(q, "trusted", yes(st.trusted));
	adm_pair(q, "regressed", yes(st.regressed));
	adm_pair(q, "partner trusted", yes(st.partner_trusted));
	adm_pair(q, "partner regressed", yes(st.partner_regressed));
	adm_pair(q, "failed dials", num(a, st.failed_dials));
	adm_pair(q, "accounts", num(a, st.sum.accounts));
	adm_pair(q, "lone", num(a, st.sum.lone));
	adm_pair(q, "catchup", num(a, st.sum.catchup));
	adm_pair(q, "forked", num(a, st.sum.forked));
	adm_pair(q, "parked", num(a, st.sum.parked));
	adm_pair(q, "needs seed", num(a, st.sum.needs_seed));
	adm_pair(q, "records behind", num(a, st.sum.records_behind));
	adm_pair(q, "partner accounts", num(a, st.partner.accounts));
	adm_pair(q, "partner lone", num(a, st.partner.lone));
	adm_pair(q, "partner records behind",
		 num(a, st.partner.records_behind));
	adm_pair(q, "clock difference ms",
		 arena_printf(a, "%lld",
			      (long long)(st.clock_diff_usec / 1000)));
	adm_pair(q, "index", num(a, st.identity->index));
	adm_pair(q, "trouble", st.refused ? st.refused : sn->last_trouble);
	adm_end(q, ADM_OK, "%s", "");
}

/* As the supervisor's, of what concerns the pair. */
static void cmd_topology(struct sync_node *sn, struct adm *q)
{
	const struct node_identity *id = &sn->role->identity;
	struct arena *a = adm_arena(q);
	char hex[33];

	hex_of(id->pair_id.b, 16, hex);
	adm_pair(q, "stores", num(a, sn->role->n_store));
	adm_pair(q, "pair_id", id->has ? hex : "");
	adm_pair(q, "index", num(a, id->index));
	adm_pair(q, "member", yes(id->member));
	adm_pair(q, "version", DUET_VERSION);
	adm_end(q, ADM_OK, "%s", "");
}

static void run_status(void *arg, struct adm *q, const struct ipc_head *h)
{
	if (strcmp(h->name, "topology") == 0)
		cmd_topology(arg, q);
	else
		adm_end(q, ADM_NOPERM, "this socket gives the replicator's "
			"status only");
}

static void run(void *arg, struct adm *q, const struct ipc_head *h)
{
	if (strcmp(h->name, "status") == 0)
		cmd_status(arg, q);
	else if (strcmp(h->name, "topology") == 0)
		cmd_topology(arg, q);
	else
		adm_end(q, ADM_USAGE, "sync knows no command '%s'", h->name);
}

void sync_admin(struct sync_node *sn, int fd, unsigned flags)
{
	adm_new(sn->role, fd, flags & ADMIN_REPLICATOR ? run_status : run, sn);
}
