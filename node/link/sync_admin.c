/* Admin requests in the sync process: the node level of `pair status`, and what
 * an administrator at the partner must know of this node to ask it. */

#include "node/link/sync_role.h"
#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "node/base/loop.h"

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
	adm_pair(q, "trouble", st.refused ? st.refused :
		 sn->trouble[sn->last_trouble]);
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

/* ---- forget-peer ------------------------------------------------------------ */

#define FORGET_LATE_USEC (20u * 1000 * 1000)

static void forget_end(struct sync_node *sn, int code, const char *why)
{
	loop_timer_free(TAKE(sn->forget_late));
	adm_end(TAKE(sn->forgetting), code, "%s", why);
}

static void on_forget_late(void *arg)
{
	forget_end(arg, ADM_TEMPFAIL, "the identity file could not be written; "
		   "the node's log says why.  Nothing is forgotten until it "
		   "is: try again");
}

void sync_admin_identity(struct sync_node *sn)
{
	if (sn->forgetting && !sn->role->identity.member)
		forget_end(sn, ADM_OK, "");
}

/* It cannot be taken back: a partner that is there is not gone. */
static void cmd_forget_peer(struct sync_node *sn, struct adm *q)
{
	struct node_link_status st;

	if (!sn->link || !sn->role->identity.member) {
		adm_end(q, ADM_NOTFOUND, "there is no partner to forget: none "
			"has joined, or it was forgotten already");
		return;
	}
	node_link_status(sn->link, &st);
	if (st.up) {
		adm_end(q, ADM_TEMPFAIL, "the partner is connected, so it is "
			"not lost: stop it for good first; nothing was "
			"changed");
		return;
	}
	if (sn->forgetting) {
		adm_end(q, ADM_TEMPFAIL, "it is being done already");
		return;
	}
	sn->forgetting = q;
	sn->forget_late = loop_timer_new(sn->role->loop, FORGET_LATE_USEC,
					 on_forget_late, sn);
	log_event(sn->role->log, LOG_WARN, "partner_forgotten", NULL,
		  "the operator writes the partner off: what only it had is "
		  "lost");
	node_link_forget_peer(sn->link);
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
	else if (strcmp(h->name, "forget-peer") == 0)
		cmd_forget_peer(arg, q);
	else
		adm_end(q, ADM_USAGE, "sync knows no command '%s'", h->name);
}

static void run_partner(void *arg, struct adm *q, const struct ipc_head *h)
{
	if (strcmp(h->name, "forget-peer") == 0)
		adm_end(q, ADM_NOPERM, "forget-peer is typed on the node that "
			"stays");
	else
		run(arg, q, h);
}

void sync_admin(struct sync_node *sn, int fd, unsigned flags)
{
	adm_new(sn->role, fd, flags & ADMIN_REPLICATOR ? run_status :
			      flags & ADMIN_FROM_PARTNER ? run_partner : run,
		sn);
}
