/* pair status. */

#include "tools/adm_pair.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- the node level ------------------------------------------------------------ */

void adm_node_row(struct arena *a, const char *const *cells, size_t n,
		  struct adm_node *to)
{
	struct {
		const char *name;
		uint64_t *number;
		bool *flag;
		const char **text;
	} known[] = {
		{"state", NULL, NULL, &to->state},
		{"link", NULL, NULL, &to->link},
		{"trouble", NULL, NULL, &to->trouble},
		{"since", &to->since, NULL, NULL},
		{"heard", &to->heard, NULL, NULL},
		{"partner lone", &to->partner_lone, NULL, NULL},
		{"partner records behind", &to->partner_behind, NULL, NULL},
		{"partner accounts", &to->partner_accounts, NULL, NULL},
		{"member", NULL, &to->member, NULL},
		{"trusted", NULL, &to->trusted, NULL},
		{"regressed", NULL, &to->regressed, NULL},
		{"partner regressed", NULL, &to->partner_regressed, NULL},
		{"mismatch", NULL, &to->mismatch, NULL},
	};

	if (n != 2)
		return;
	if (strcmp(cells[0], "clock difference ms") == 0)
		to->clock_ms = strtoll(cells[1], NULL, 10);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (strcmp(known[i].name, cells[0]) != 0)
			continue;
		if (known[i].number)
			slice_u64(slice_str(cells[1]), known[i].number);
		else if (known[i].flag)
			*known[i].flag = strcmp(cells[1], "yes") == 0;
		else
			*known[i].text = arena_strdup(a, cells[1]);
	}
}

struct node_reader {
	struct arena *arena;
	struct adm_node *to;
};

static void on_node_row(void *arg, const char *const *cells, size_t n)
{
	struct node_reader *r = arg;

	adm_node_row(r->arena, cells, n, r->to);
}

int adm_node_read(const struct adm_cli *c, struct adm_node *out)
{
	struct node_reader r = {c->arena, out};
	struct adm_ops ops = {.row = on_node_row, .arg = &r};
	struct adm_request q = {.role = ROLE_SYNC, .name = "status"};

	*out = (struct adm_node){.state = "", .link = "", .trouble = ""};
	return adm_call(c, &q, &ops);
}

/* ---- sums --------------------------------------------------------------------------- */

static void add_account(struct adm_sums *s, const struct adm_account *v,
			unsigned index)
{
	*(v->holder < 0 ? &s->nobody : v->holder == (int)index ? &s->here
							       : &s->there) += 1;
	if (adm_account_is(v, "SYNC") || adm_account_is(v, "SINGLE"))
		s->sync++;
	else if (adm_account_is(v, "CATCHUP"))
		s->catchup++;
	else if (adm_account_is(v, "LONE"))
		s->lone++;
	else if (adm_account_is(v, "FORKED"))
		s->forked++;
	else if (adm_account_is(v, "PARKED"))
		s->parked++;
	else
		s->seed++;
	s->stale += v->stale;
	s->records += v->records;
	s->bytes += v->bytes;
	s->unsafe_acks += v->unsafe_acks;
	s->unsafe_bytes += v->unsafe_bytes;
	s->waiting += v->waiting;
	s->mismatch |= v->mismatch;
	if (v->records && v->oldest_unacked &&
	    (!s->oldest || v->oldest_unacked < s->oldest))
		s->oldest = v->oldest_unacked;
}

static bool has_reason(const struct adm_account *v)
{
	return *v->reason && !adm_account_is(v, "SYNC") &&
	       !adm_account_is(v, "SINGLE");
}

/* There are a dozen of reasons at most. */
static const char *common_reason(const struct adm_accounts *a)
{
	struct { const char *text; size_t n; } r[16];
	size_t n = 0, best = 0;

	for (size_t i = 0; i < a->n; i++) {
		size_t k = 0;

		if (!has_reason(&a->v[i]))
			continue;
		while (k < n && strcmp(r[k].text, a->v[i].reason))
			k++;
		if (k == ARRAY_LEN(r))
			continue;
		if (k == n) {
			r[k].text = a->v[i].reason;
			r[k].n = 0;
			n++;
		}
		r[k].n++;
		if (r[k].n > r[best].n)
			best = k;
	}
	return n ? r[best].text : "";
}

void adm_sums_of(const struct adm_accounts *a, struct adm_sums *out)
{
	*out = (struct adm_sums){.accounts = a->n,
				 .reason = common_reason(a)};
	for (size_t i = 0; i < a->n; i++)
		add_account(out, &a->v[i], a->topology.index);
}

/* ---- exit status ------------------------------------------------------------------------ */

static int code_of(const char *state)
{
	static const struct { const char *state; int code; } codes[] = {
		{"SINGLE", PAIR_SYNC}, {"SYNC", PAIR_SYNC},
		{"CATCHUP", PAIR_CATCHUP}, {"SEEDING", PAIR_CATCHUP},
		{"NEEDS_SEED", PAIR_CATCHUP}, {"EMPTY", PAIR_CATCHUP},
		{"FORKED", PAIR_FORKED}, {"REGRESSED", PAIR_FORKED},
	};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (strcmp(codes[i].state, state) == 0)
			return codes[i].code;
	/* DEGRADED, LONE, PARKED, REFUSED, and words of a later version. */
	return PAIR_DEGRADED;
}

int adm_pair_code(const struct adm_node *n, const struct adm_sums *s)
{
	if (n->mismatch || s->mismatch)
		return PAIR_UNEQUAL;
	if (s->forked)
		return PAIR_FORKED;
	return code_of(n->state);
}

int adm_pair_account_code(const struct adm_account *a)
{
	return a->mismatch ? PAIR_UNEQUAL : code_of(a->state);
}

/* ---- showing ------------------------------------------------------------------------------ */

static const struct print_column overview_columns[] = {
	{"field", NULL, 22, PRINT_HIDE_TITLE},
	{"value", NULL, 0, PRINT_HIDE_TITLE},
};

struct show {
	struct adm_cli *c;
	struct print *p;
};

static void line(struct show *s, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void line(struct show *s, const char *name, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_row(s->p, (const char *[]){name, text});
}

static void count(struct show *s, const char *name, uint64_t n)
{
	line(s, name, "%llu", (unsigned long long)n);
}

static void moment(struct show *s, const char *name, uint64_t then)
{
	struct arena *a = s->c->arena;

	if (!then)
		line(s, name, "-");
	else
		line(s, name, "%s (%s ago)", adm_time(a, then),
		     adm_age_since(a, then, adm_now()));
}

static void lag(struct show *s, const struct adm_sums *u)
{
	uint64_t now = adm_now();

	count(s, "Lag seconds", u->oldest && now > u->oldest
					? (now - u->oldest) / 1000000 : 0);
	count(s, "Lag changes", u->records);
	count(s, "Lag bytes", u->bytes);
	count(s, "Waiting now", u->waiting);
	count(s, "Unsafe acks", u->unsafe_acks);
	count(s, "Unsafe bytes", u->unsafe_bytes);
}

static const char *reason_of(const struct adm_node *n, const struct adm_sums *u)
{
	if (code_of(n->state) == PAIR_SYNC)
		return "";
	if (n->regressed || n->partner_regressed)
		return "regressed";
	/* Why there is no link says more than that there is none. */
	if (*n->trouble &&
	    (strcmp(n->link, "up") != 0 || !*u->reason))
		return n->trouble;
	return *u->reason ? u->reason : "disconnect";
}

/* What the operator does next; NULL: nothing. */
static const char *advice(const struct adm_node *n, const struct adm_sums *u)
{
	if (n->mismatch || u->mismatch)
		return "the copies differ at an equal position: the holder "
		       "serves, the other node is given a new copy";
	if (u->forked)
		return "forked accounts keep both branches whole, each served "
		       "by its node; this build cannot join them yet: save "
		       "what one node has and ask for help before anything "
		       "is deleted";
	if (u->parked)
		return "accounts in quarantine: `pair status '*'' says why; "
		       "then `replicator replicate USER'";
	if (!strcmp(n->state, "REGRESSED"))
		return "this node's disk is older than what the pair knew: it "
		       "catches up by itself when the partner is there";
	if (code_of(n->state) == PAIR_DEGRADED && strcmp(n->link, "up"))
		return "start or reach the partner; if it never comes back: "
		       "`pair forget-peer'";
	return NULL;
}

static void overview(struct adm_cli *c, const struct adm_node *n,
		     const struct adm_accounts *a, const struct adm_sums *u)
{
	struct show s = {c, adm_print(c, "table", overview_columns, 2, 2)};
	bool pair = strcmp(n->state, "SINGLE") != 0;
	const char *todo = advice(n, u);

	line(&s, "State", "%s", n->state);
	moment(&s, "Since", n->since);
	line(&s, "Reason", "%s", *reason_of(n, u) ? reason_of(n, u) : "-");
	if (pair) {
		line(&s, "This node", "%u", a->topology.index);
		line(&s, "Link", "%s", n->link);
		moment(&s, "Partner heard", n->heard);
		line(&s, "Clock difference", "%lld ms",
		     (long long)n->clock_ms);
		lag(&s, u);
	}
	count(&s, "Accounts", u->accounts);
	count(&s, "Held here", u->here);
	if (pair) {
		count(&s, "Held by the partner", u->there);
		count(&s, "Held by nobody", u->nobody);
		count(&s, "In SYNC", u->sync);
		count(&s, "CATCHUP", u->catchup);
		count(&s, "LONE", u->lone);
		count(&s, "Being seeded", u->seed);
		count(&s, "Maybe stale", u->stale);
		count(&s, "LONE at the partner", n->partner_lone);
	}
	count(&s, "FORKED", u->forked);
	count(&s, "In quarantine", u->parked);
	if (*n->trouble)
		line(&s, "Trouble", "%s", n->trouble);
	if (todo)
		line(&s, "What to do", "%s", todo);
	print_end(s.p);
}

static const struct print_column account_columns[] = {
	{"username", NULL, 14, 0}, {"state", NULL, 0, 0},
	{"since", NULL, 0, 0}, {"reason", NULL, 0, 0},
	{"holder", NULL, 0, 0}, {"epoch", NULL, 0, PRINT_RIGHT},
	{"lag s", NULL, 0, PRINT_RIGHT}, {"changes", NULL, 0, PRINT_RIGHT},
	{"bytes", NULL, 0, PRINT_RIGHT},
	{"unsafe acks", NULL, 0, PRINT_RIGHT},
	{"unsafe bytes", NULL, 0, PRINT_RIGHT},
	{"waiting", NULL, 0, PRINT_RIGHT}, {"note", NULL, 0, 0},
};

static const char *number(struct arena *a, uint64_t v)
{
	return arena_printf(a, "%llu", (unsigned long long)v);
}

static const char *or_dash(const char *s)
{
	return *s ? s : "-";
}

static void account_line(struct print *p, const struct adm_account *v,
			 unsigned index)
{
	struct arena *t = arena_new(512);
	uint64_t now = adm_now();

	print_row(p, (const char *[]){
		v->name, v->state, adm_time(t, v->since),
		or_dash(v->reason),
		v->holder < 0 ? "-" : v->holder == (int)index ? "here"
							      : "partner",
		number(t, v->epoch),
		number(t, v->records && now > v->oldest_unacked &&
			  v->oldest_unacked
				  ? (now - v->oldest_unacked) / 1000000 : 0),
		number(t, v->records), number(t, v->bytes),
		number(t, v->unsafe_acks), number(t, v->unsafe_bytes),
		number(t, v->waiting),
		v->mismatch ? "comparison failed: the copies differ"
		: *v->parked_why ? v->parked_why
			       : v->stale ? "maybe stale: taken over, the "
					    "partner was not heard since"
					  : "-"});
	arena_free(t);
}

static int accounts(struct adm_cli *c, const struct adm_accounts *a)
{
	struct print *p = adm_print(c, "table", account_columns,
				    ARRAY_LEN(account_columns), 2);
	int worst = PAIR_SYNC;

	for (size_t i = 0; i < a->n; i++) {
		int code = adm_pair_account_code(&a->v[i]);

		account_line(p, &a->v[i], a->topology.index);
		worst = code > worst ? code : worst;
	}
	print_end(p);
	return worst;
}

int adm_cmd_pair_status(struct adm_cli *c, int argc, char **argv)
{
	struct adm_users u = {.n = 0};
	struct adm_accounts a = {.n = 0};
	struct adm_node node;
	struct adm_sums sums;
	int ch, r = 0, worst;

	while (r == 0 &&
	       (ch = adm_getopt(c, argc, argv, "u:AF:", NULL)) != -1) {
		if (ch == '?')
			return adm_usage(c);
		r = adm_users_option(c, &u, ch, optarg);
	}
	for (; optind < argc; optind++)
		adm_users_add(&u, argv[optind]);
	if (r == 0)
		r = adm_node_read(c, &node);
	if (r == 0)
		r = adm_accounts_read(c, &u, 0, &a);
	if (r == 0 && u.n) {
		r = adm_users_missing(c, &u, &a);
		worst = accounts(c, &a);
		r = r ? r : worst;
	} else if (r == 0) {
		adm_sums_of(&a, &sums);
		overview(c, &node, &a, &sums);
		r = adm_pair_code(&node, &sums);
	}
	adm_accounts_fini(&a);
	adm_users_fini(&u);
	return r;
}
