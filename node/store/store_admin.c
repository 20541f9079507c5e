/* Admin requests in a store process. */

#include "node/store/store_role.h"
#include "node/base/arena.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "storage/account.h"

#include <stdio.h>
#include <unistd.h>

/* ---- who, kick ------------------------------------------------------------- */

static bool wanted(const struct ipc_head *h, const char *user, const char *rip)
{
	const char *mask = h->n_args > 0 ? h->args[0] : "";
	const char *ip = h->n_args > 1 ? h->args[1] : "";

	return (!*mask || adm_mask(mask, user)) && (!*ip || !strcmp(ip, rip));
}

struct who {
	struct adm *q;
	const struct ipc_head *h;
	struct store *store;
};

static void who_row(void *arg, const char *user, const char *service,
		    const char *rip, bool proxied)
{
	struct who *w = arg;
	char pid[16];
	const char *cells[] = {user, service, pid, rip,
			       proxied ? "partner" : "here"};

	if (!wanted(w->h, user, rip))
		return;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	adm_row(w->q, cells, ARRAY_LEN(cells));
}

static void cmd_who(struct store_node *n, struct adm *q,
		    const struct ipc_head *h)
{
	struct who w = {q, h, n->store};

	for (struct list *i = n->sessions.next; i != &n->sessions;
	     i = i->next) {
		struct session *s = CONTAINER_OF(i, struct session, node);

		if (!s->proxied)
			who_row(&w, s->user, s->service, s->rip, false);
	}
	arrive_each_proxied(n, who_row, &w);
	adm_end(q, ADM_OK, "%s", "");
}

static struct session *victim(struct store_node *n, const struct ipc_head *h)
{
	for (struct list *i = n->sessions.next; i != &n->sessions;
	     i = i->next) {
		struct session *s = CONTAINER_OF(i, struct session, node);

		if (!s->evicting && wanted(h, s->user, s->rip))
			return s;
	}
	return NULL;
}

static void cmd_kick(struct store_node *n, struct adm *q,
		     const struct ipc_head *h)
{
	struct session *s;

	while ((s = victim(n, h))) {
		const char *user = arena_strdup(adm_arena(q), s->user);

		adm_row(q, &user, 1);
		sessions_evict(s, NULL, "Disconnected by the administrator.",
			       false);
	}
	adm_end(q, ADM_OK, "%s", "");
}

/* ---- accounts: rows for replicator and pair status ---------------------------- */

static const char *sync_name(enum account_sync s)
{
	static const char *const names[] = {
		[ACCT_SYNC] = "SYNC", [ACCT_CATCHUP] = "CATCHUP",
		[ACCT_LONE] = "LONE", [ACCT_FORKED] = "FORKED",
		[ACCT_PARKED] = "PARKED", [ACCT_NEEDS_SEED] = "NEEDS_SEED",
		[ACCT_SEEDING] = "SEEDING", [ACCT_SINGLE] = "SINGLE",
	};

	return (unsigned)s < ARRAY_LEN(names) ? names[s] : "?";
}

static const char *reason_name(enum lone_reason r)
{
	static const char *const names[] = {
		[LONE_NONE] = "", [LONE_TIMEOUT] = "timeout",
		[LONE_DISCONNECT] = "disconnect", [LONE_SPACE] = "space",
		[LONE_SLOW] = "slow", [LONE_REGRESSED] = "regressed",
		[LONE_VERSION] = "version", [LONE_OPERATOR] = "operator",
		[LONE_SEEDING] = "seeding", [LONE_START] = "start",
		[LONE_RESIGNED] = "partner's disk failed",
	};

	return (unsigned)r < ARRAY_LEN(names) ? names[r] : "?";
}

static const char *num(struct arena *a, uint64_t v)
{
	return arena_printf(a, "%llu", (unsigned long long)v);
}

/* Cells of an account row; tools/admin_pair.c reads them by place. */
static bool account_row(void *arg, const struct engine_account_status *s)
{
	struct who *w = arg;
	struct arena *a = arena_new(512);
	const char *cells[] = {
		account_name(s->account), sync_name(s->state),
		reason_name(s->reason), num(a, s->since_usec),
		s->holder < 0 ? "-" : s->holder ? "1" : "0",
		num(a, s->epoch), num(a, s->unacked_records),
		num(a, s->unacked_bytes), num(a, s->oldest_unacked_usec),
		num(a, s->unsafe_acks), num(a, s->unsafe_bytes),
		num(a, s->waiting), num(a, s->last_ack_usec),
		num(a, s->last_full_usec), num(a, s->last_equal_usec),
		s->maybe_stale ? "yes" : "no",
		s->parked_why ? s->parked_why : "",
		s->mail ? "yes" : "no", s->unequal ? "yes" : "no",
	};
	const char *mask = w->h->n_args ? w->h->args[0] : "";

	if (!*mask || adm_mask(mask, account_name(s->account)))
		adm_row(w->q, cells, ARRAY_LEN(cells));
	arena_free(a);
	return !adm_gone(w->q);
}

/* One that could not be opened: the engine does not have it. */
static bool closed_row(void *arg, struct id128 id, const char *name,
		       const char *why)
{
	struct who *w = arg;
	const char *mask = w->h->n_args ? w->h->args[0] : "";
	const char *cells[] = {name, "PARKED", "", "0", "-", "0", "0", "0",
			       "0", "0", "0", "0", "0", "0", "0", "no", why,
			       "no", "no"};

	if (!store_account(w->store, id) && (!*mask || adm_mask(mask, name)))
		adm_row(w->q, cells, ARRAY_LEN(cells));
	return !adm_gone(w->q);
}

static void cmd_accounts(struct store_node *n, struct adm *q,
			 const struct ipc_head *h)
{
	struct who w = {q, h, n->store};

	if (!store_open_now(n)) {
		adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
		return;
	}
	engine_status(n->engine, account_row, &w);
	store_parked(n->store, closed_row, &w);
	adm_end(q, ADM_OK, "%s", "");
}

static struct id128 id_of(struct store_node *n, const char *user)
{
	return account_id_of(slice_of(n->role->identity.pair_id.b, 16),
			     slice_str(user));
}

static void cmd_takeover(struct store_node *n, struct adm *q,
			 const struct ipc_head *h)
{
	struct account *a;
	struct err e = ERR_NONE;

	if (!store_open_now(n) || h->n_args < 1) {
		adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
		return;
	}
	if (store_account_open(n->store, id_of(n, h->args[0]), h->args[0],
			       NULL, false, &a, &e) < 0) {
		adm_end(q, ADM_NOUSER, "%s", e.op);
		return;
	}
	if (engine_takeover(n->engine, a, ipc_field_get(h, "stale") != NULL,
			    &e) < 0)
		adm_end(q, ADM_TEMPFAIL, "%s", e.op);
	else
		adm_end(q, ADM_OK, "%s", "");
}

static void cmd_unpark(struct store_node *n, struct adm *q,
		       const struct ipc_head *h)
{
	struct err e = ERR_NONE;

	if (!store_open_now(n) || h->n_args < 1)
		adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
	else if (engine_unpark(n->engine, id_of(n, h->args[0]), &e) < 0)
		adm_end(q, ADM_TEMPFAIL, "%s", e.op);
	else
		adm_end(q, ADM_OK, "%s", "");
}

static void cmd_journal(struct store_node *n, struct adm *q)
{
	struct store_status st;
	struct arena *a = adm_arena(q);

	if (!store_open_now(n)) {
		adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
		return;
	}
	store_status(n->store, &st);
	adm_pair(q, "accounts", num(a, st.accounts));
	adm_pair(q, "journal used", num(a, st.journal_used));
	adm_pair(q, "journal size", num(a, st.journal_size));
	adm_pair(q, "batches", num(a, st.batches));
	adm_pair(q, "frames", num(a, st.frames));
	adm_pair(q, "checkpoints", num(a, st.checkpoints));
	adm_pair(q, "low space", st.low_space ? "yes" : "no");
	adm_end(q, ADM_OK, "%s", "");
}

/* Accounts that the store could not bring up to date or open: the engine has
 * none of them, so `accounts` does not show them. */
static bool parked_row(void *arg, struct id128 id, const char *name,
		       const char *why)
{
	struct who *w = arg;
	const char *mask = w->h->n_args ? w->h->args[0] : "";
	const char *cells[] = {name, NULL, why};
	char hex[33];

	hex_of(id.b, 16, hex);
	cells[1] = hex;
	if (!*mask || adm_mask(mask, name))
		adm_row(w->q, cells, ARRAY_LEN(cells));
	return !adm_gone(w->q);
}

static void cmd_parked(struct store_node *n, struct adm *q,
		       const struct ipc_head *h)
{
	struct who w = {q, h, n->store};

	if (!store_open_now(n)) {
		adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
		return;
	}
	store_parked(n->store, parked_row, &w);
	adm_end(q, ADM_OK, "%s", "");
}

static void run(void *arg, struct adm *q, const struct ipc_head *h)
{
	struct store_node *n = arg;

	if (store_admin_pair(n, q, h))
		return;
	if (strcmp(h->name, "accounts") == 0)
		cmd_accounts(n, q, h);
	else if (strcmp(h->name, "who") == 0)
		cmd_who(n, q, h);
	else if (strcmp(h->name, "kick") == 0)
		cmd_kick(n, q, h);
	else if (strcmp(h->name, "takeover") == 0)
		cmd_takeover(n, q, h);
	else if (strcmp(h->name, "transfers") == 0)
		store_admin_transfers(n, q);
	else if (strcmp(h->name, "unpark") == 0)
		cmd_unpark(n, q, h);
	else if (strcmp(h->name, "parked") == 0)
		cmd_parked(n, q, h);
	else if (strcmp(h->name, "journal") == 0)
		cmd_journal(n, q);
	else
		adm_end(q, ADM_USAGE, "store knows no command '%s'", h->name);
}

/* An administrator at the partner acts on the accounts that this node holds;
 * what decides about the node itself is typed where it is. */
static void run_partner(void *arg, struct adm *q, const struct ipc_head *h)
{
	static const char *const here_only[] = {"takeover", "journal",
						"switchover", "restored"};

	for (size_t i = 0; i < ARRAY_LEN(here_only); i++) {
		if (strcmp(h->name, here_only[i]) != 0)
			continue;
		adm_end(q, ADM_NOPERM, "%s is typed on the node that it "
			"concerns", h->name);
		return;
	}
	run(arg, q, h);
}

/* replicator-doveadm may ask for the rows of the status only. */
static void run_status(void *arg, struct adm *q, const struct ipc_head *h)
{
	if (strcmp(h->name, "accounts") == 0)
		cmd_accounts(arg, q, h);
	else if (strcmp(h->name, "transfers") == 0)
		store_admin_transfers(arg, q);
	else
		adm_end(q, ADM_NOPERM, "this socket gives the replicator's "
			"status only");
}

void store_admin(struct store_node *n, int fd, unsigned flags)
{
	adm_new(n->role, fd, flags & ADMIN_REPLICATOR ? run_status :
			     flags & ADMIN_FROM_PARTNER ? run_partner : run, n);
}
