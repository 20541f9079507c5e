/* Rows of `accounts`. */

#include "tools/adm_accounts.h"

#include <stdlib.h>
#include <string.h>

enum { C_NAME, C_STATE, C_REASON, C_SINCE, C_HOLDER, C_EPOCH, C_RECORDS,
       C_BYTES, C_OLDEST, C_UNSAFE_ACKS, C_UNSAFE_BYTES, C_WAITING,
       C_LAST_ACK, C_LAST_DONE, C_LAST_EQUAL, C_STALE, C_PARKED_WHY,
       C_LEAST, C_MAIL = C_LEAST, C_MISMATCH };

static uint64_t number(const char *cell)
{
	uint64_t v = 0;

	slice_u64(slice_str(cell), &v);
	return v;
}

static bool yes(const char *const *cells, size_t n, size_t i)
{
	return i < n && strcmp(cells[i], "yes") == 0;
}

bool adm_account_row(struct arena *a, const char *const *cells, size_t n,
		     struct adm_account *out)
{
	uint32_t holder;

	if (n < C_LEAST)
		return false;
	*out = (struct adm_account){
		.name = arena_strdup(a, cells[C_NAME]),
		.state = arena_strdup(a, cells[C_STATE]),
		.reason = arena_strdup(a, cells[C_REASON]),
		.parked_why = arena_strdup(a, cells[C_PARKED_WHY]),
		.holder = slice_u32(slice_str(cells[C_HOLDER]), &holder) < 0
				  ? -1 : (int)(holder & 1),
		.since = number(cells[C_SINCE]),
		.epoch = number(cells[C_EPOCH]),
		.records = number(cells[C_RECORDS]),
		.bytes = number(cells[C_BYTES]),
		.oldest_unacked = number(cells[C_OLDEST]),
		.unsafe_acks = number(cells[C_UNSAFE_ACKS]),
		.unsafe_bytes = number(cells[C_UNSAFE_BYTES]),
		.waiting = number(cells[C_WAITING]),
		.last_ack = number(cells[C_LAST_ACK]),
		.last_done = number(cells[C_LAST_DONE]),
		.last_equal = number(cells[C_LAST_EQUAL]),
		.stale = yes(cells, n, C_STALE),
		.mail = yes(cells, n, C_MAIL),
		.mismatch = yes(cells, n, C_MISMATCH),
	};
	return true;
}

static void on_row(void *arg, const char *const *cells, size_t n)
{
	struct adm_accounts *a = arg;

	if (n == 0 || (a->users && a->users->n &&
		       !adm_users_match(a->users, cells[0])))
		return;
	GROW(a->v, a->n, a->cap);
	if (!adm_account_row(a->arena, cells, n, &a->v[a->n]))
		return;
	a->v[a->n].at_partner = a->at_partner;
	a->v[a->n++].store = a->store;
}

static int by_name(const void *x, const void *y)
{
	const struct adm_account *a = x, *b = y;
	int r = strcmp(a->name, b->name);

	return r ? r : a->at_partner - b->at_partner;
}

/* How much a state keeps an account from going on by itself. */
static int trouble(const struct adm_account *v)
{
	return adm_account_failed(v) ? 2 :
	       adm_account_is(v, "NEEDS_SEED") ||
	       adm_account_is(v, "SEEDING") ? 1 : 0;
}

void adm_account_join(struct arena *a, struct adm_account *here,
		      const struct adm_account *there, unsigned index)
{
	struct adm_account own = *here;
	bool theirs = here->holder != (int)index &&
		      there->holder == (int)!index;
	const struct adm_account *other = theirs ? &own : there;

	if (theirs)
		*here = *there;
	here->own = own.state;
	here->mismatch |= other->mismatch;
	if (other->last_equal > here->last_equal)
		here->last_equal = other->last_equal;
	if (trouble(other) <= trouble(here))
		return;
	here->state = other->state;
	here->since = other->since;
	if (*other->parked_why)
		here->parked_why = arena_printf(a, "%s: %s", theirs ? "here" :
						"at the partner",
						other->parked_why);
}

/* Sorted rows: the two of one account become one. */
static void join_all(struct adm_accounts *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++) {
		struct adm_account *last = n ? &a->v[n - 1] : NULL;

		if (last && a->v[i].at_partner && !last->at_partner &&
		    strcmp(last->name, a->v[i].name) == 0) {
			adm_account_join(a->arena, last, &a->v[i],
					 a->topology.index);
			continue;
		}
		a->v[n++] = a->v[i];
		if (a->v[i].at_partner)
			a->v[n - 1].own = "";
	}
	a->n = n;
}

static int read_node(const struct adm_cli *c, const struct adm_topology *t,
		     unsigned flags, struct adm_accounts *out)
{
	struct adm_ops ops = {.row = on_row, .arg = out};
	/* One mask is left to the node, several are compared here. */
	bool one = out->users && out->users->n == 1;
	int r = 0;

	for (out->store = 0; r == 0 && out->store < t->stores; out->store++) {
		struct adm_request q = {
			.role = ROLE_STORE, .index = out->store,
			.name = "accounts", .flags = flags,
			.args = one ? out->users->masks : NULL,
			.n_args = one,
		};

		r = adm_call(c, &q, &ops);
	}
	return r;
}

static void read_partner(const struct adm_cli *c, unsigned flags,
			 struct adm_accounts *out)
{
	struct adm_topology there;
	size_t n = out->n;
	int r = adm_partner(c, flags, &out->topology, &there);

	out->at_partner = true;
	if (r == 0)
		r = read_node(c, &there, (flags & CALL_STATUS) | CALL_PARTNER |
				  CALL_QUIET, out);
	/* Half an answer is none. */
	if (r)
		out->n = n;
	out->away = r && r != EX_UNAVAILABLE;
}

int adm_accounts_read(const struct adm_cli *c, const struct adm_users *users,
		      unsigned flags, struct adm_accounts *out)
{
	int r;

	*out = (struct adm_accounts){.users = users, .arena = c->arena};
	r = adm_topology(c, flags & CALL_STATUS, &out->topology);
	if (r == 0)
		r = read_node(c, &out->topology, flags & CALL_STATUS, out);
	if (r == 0 && !(flags & CALL_HERE))
		read_partner(c, flags, out);
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), by_name);
	join_all(out);
	return r;
}

void adm_accounts_fini(struct adm_accounts *a)
{
	free(a->v);
	a->v = NULL;
	a->n = 0;
}

static bool is_there(const struct adm_accounts *a, const char *name)
{
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i].name, name) == 0)
			return true;
	return false;
}

int adm_users_missing(const struct adm_cli *c, const struct adm_users *u,
		      const struct adm_accounts *a)
{
	for (size_t i = 0; i < u->n; i++)
		if (!strpbrk(u->masks[i], "*?") && !is_there(a, u->masks[i]))
			return adm_error(c, EX_NOUSER, "%s is not an account "
					 "of this pair (`%s pair status '*'' "
					 "lists them; an account is made by "
					 "its first login or mail)",
					 u->masks[i], c->program);
	return 0;
}

bool adm_account_is(const struct adm_account *a, const char *state)
{
	return strcmp(a->state, state) == 0;
}

const char *adm_account_priority(const struct adm_account *a)
{
	if (a->waiting)
		return "sync";
	if (a->records)
		return a->mail ? "high" : "low";
	return "none";
}

bool adm_account_failed(const struct adm_account *a)
{
	return adm_account_is(a, "PARKED") || adm_account_is(a, "FORKED");
}

bool adm_account_resync_due(const struct adm_account *a, uint64_t now,
			    uint64_t interval_usec)
{
	if (adm_account_is(a, "SINGLE"))
		return false;
	if (adm_account_is(a, "NEEDS_SEED") || adm_account_is(a, "SEEDING"))
		return true;
	return !a->last_equal || (now > a->last_equal &&
				  now - a->last_equal > interval_usec);
}
