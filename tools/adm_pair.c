/* pair …: the life of the two nodes, as it is and as the operator wants it. */

#include "tools/adm_pair.h"

#include <stdlib.h>
#include <string.h>

/* Options that most of these commands share; 0: go on, else exit status + 1. */
static int users_of(struct adm_cli *c, int argc, char **argv,
		    struct adm_users *u, const struct option *extra,
		    bool *extra_out)
{
	int ch, r = 0;

	while (r == 0 &&
	       (ch = adm_getopt(c, argc, argv, "u:AF:", extra)) != -1) {
		if (ch == '?')
			return adm_usage(c) + 1;
		if (ch > 255)
			*extra_out = true;
		else
			r = adm_users_option(c, u, ch, optarg);
	}
	for (; optind < argc; optind++)
		adm_users_add(u, argv[optind]);
	return r ? r + 1 : 0;
}

static const char *num(struct adm_cli *c, uint64_t v)
{
	return arena_printf(c->arena, "%llu", (unsigned long long)v);
}

/* ---- the commands that change something ----------------------------------------- */

static const struct option stale_option[] = {
	{"accept-stale", no_argument, NULL, 1100}, {0},
};

static int takeover(struct adm_cli *c, const struct adm_account *a, bool stale)
{
	struct ipc_field field = {"stale", "yes"};
	struct adm_request q = {.role = ROLE_STORE, .index = a->store,
				.name = "takeover", .args = &a->name,
				.n_args = 1, .fields = stale ? &field : NULL,
				.n_fields = stale};
	int r = adm_call(c, &q, NULL);

	if (r)
		adm_error(c, r, "%s was not taken over", a->name);
	else if (c->verbose)
		fprintf(c->out, "%s is taken over\n", a->name);
	return r;
}

int adm_cmd_pair_takeover(struct adm_cli *c, int argc, char **argv)
{
	struct adm_users u = {.n = 0};
	struct adm_accounts a = {.n = 0};
	bool stale = false;
	int r = users_of(c, argc, argv, &u, stale_option, &stale), worst = 0;

	if (r) {
		adm_users_fini(&u);
		return r - 1;
	}
	r = u.n ? adm_accounts_read(c, &u, CALL_HERE, &a) : adm_usage(c);
	if (r == 0 && a.n == 0)
		r = adm_error(c, EX_NOUSER, "no account of this name is known "
			      "on this node; names are canonical ones, as "
			      "`%s pair status '*'' shows them", c->program);
	for (size_t i = 0; r == 0 && i < a.n; i++) {
		int one = takeover(c, &a.v[i], stale);

		worst = one ? one : worst;
	}
	adm_accounts_fini(&a);
	adm_users_fini(&u);
	return r ? r : worst;
}

static const struct print_column result_columns[] = {
	{"username", NULL, 14, 0}, {"result", NULL, 0, 0},
};

struct results {
	struct adm_cli *cli;
	struct print *print;
	size_t n;
	int worst;
};

static void on_result(void *arg, const char *const *cells, size_t n)
{
	struct results *s = arg;
	bool ok = n > 1 && strcmp(cells[1], "ok") == 0;

	if (n < 2)
		return;
	s->n++;
	if (!ok)
		s->worst = EX_TEMPFAIL;
	print_row(s->print, (const char *[]){cells[0], ok ? "given to the "
					     "partner" : cells[1]});
}

int adm_cmd_pair_switchover(struct adm_cli *c, int argc, char **argv)
{
	static const char *const all[] = {"*"};
	struct adm_users u = {.n = 0};
	struct results s = {.cli = c};
	struct adm_ops ops = {.row = on_result, .arg = &s};
	struct adm_topology t;
	int r = users_of(c, argc, argv, &u, NULL, NULL);
	size_t n = u.n ? u.n : 1;

	if (r == 0)
		r = adm_topology(c, 0, &t);
	else
		r--;
	if (r == 0 && !c->helped)
		s.print = adm_print(c, "table", result_columns, 2, 2);
	for (size_t m = 0; s.print && r == 0 && m < n; m++)
		for (unsigned i = 0; r == 0 && i < t.stores; i++) {
			struct adm_request q = {
				.role = ROLE_STORE, .index = i,
				.name = "switchover",
				.args = u.n ? &u.masks[m] : all, .n_args = 1};

			r = adm_call(c, &q, &ops);
		}
	if (s.print)
		print_end(s.print);
	/* A name that is spelt out is meant. */
	for (size_t m = 0; r == 0 && s.n == 0 && m < u.n; m++)
		if (!strpbrk(u.masks[m], "*?"))
			r = adm_error(c, EX_NOUSER, "this node does not hold "
				      "%s: `%s pair status %s' shows who does, "
				      "and the command is typed there",
				      u.masks[m], c->program, u.masks[m]);
	adm_users_fini(&u);
	return r ? r : s.worst;
}

static void on_restored(void *arg, const char *const *cells, size_t n)
{
	struct results *s = arg;

	if (n < 2)
		return;
	if (strcmp(cells[1], "ok") == 0)
		s->n++;
	else
		s->worst = adm_error(s->cli, EX_TEMPFAIL, "%s: %s", cells[0],
				     cells[1]);
}

int adm_cmd_pair_restored(struct adm_cli *c, int argc, char **argv)
{
	struct results s = {.cli = c};
	struct adm_ops ops = {.row = on_restored, .arg = &s};
	struct adm_request q = {.name = "restored"};
	struct adm_topology t;
	int r;

	if (adm_getopt(c, argc, argv, "", NULL) != -1 || optind < argc)
		return adm_usage(c);
	r = adm_topology(c, 0, &t);
	if (r == 0)
		r = adm_each_store(c, &t, &q, &ops);
	if (r == 0 || s.n)
		fprintf(c->out, "%zu accounts were told: those held here go "
			"on with numbers that were never used\n", s.n);
	return r ? r : s.worst;
}

/* What cannot be taken back wants a word more. */
int adm_cmd_pair_forget_peer(struct adm_cli *c, int argc, char **argv)
{
	static const struct option longs[] = {
		{"yes", no_argument, NULL, 1100}, {0},
	};
	struct adm_request q = {.role = ROLE_SYNC, .name = "forget-peer"};
	bool sure = false;
	int ch, r;

	while ((ch = adm_getopt(c, argc, argv, "", longs)) != -1) {
		if (ch == '?')
			return adm_usage(c);
		sure = true;
	}
	if (optind < argc)
		return adm_usage(c);
	if (!sure)
		return adm_error(c, EX_USAGE, "what only the partner has is "
				 "lost by this, and it cannot be taken back; "
				 "`%s pair ready' shows what may be missing. "
				 "If the partner's disk is gone for good, say "
				 "`%s pair forget-peer --yes'", c->program,
				 c->program);
	r = adm_call(c, &q, NULL);
	if (r == 0)
		fprintf(c->out, "The partner is written off: this node goes on "
			"alone and holds every account. A new partner joins "
			"with empty state and mail directories; the old one "
			"is refused.\n");
	return r;
}

/* ---- selftest ------------------------------------------------------------------- */

static const struct print_column selftest_columns[] = {
	{"step", NULL, 24, 0}, {"ms", NULL, 8, PRINT_RIGHT},
	{"result", NULL, 0, 0},
};

struct steps {
	struct print *print;
	bool at_partner;
};

/* The holder calls itself this node. */
static void on_step(void *arg, const char *const *cells, size_t n)
{
	struct steps *s = arg;

	if (n >= 3 && s->at_partner && strcmp(cells[2], "this node") == 0)
		print_row(s->print, (const char *[]){cells[0], cells[1],
						     "the partner"});
	else if (n >= 3)
		print_row(s->print, cells);
}

int adm_cmd_pair_selftest(struct adm_cli *c, int argc, char **argv)
{
	struct adm_users u = {.n = 0};
	struct adm_accounts a = {.n = 0};
	struct steps steps;
	struct adm_ops ops = {.row = on_step, .arg = &steps};
	int r = users_of(c, argc, argv, &u, NULL, NULL);

	if (r || u.n != 1) {
		adm_users_fini(&u);
		return r ? r - 1 : adm_usage(c);
	}
	r = adm_accounts_read(c, &u, 0, &a);
	if (r == 0 && a.n != 1)
		r = adm_error(c, EX_NOUSER, "%s: one account known on this "
			      "node is needed, there are %zu; a new account "
			      "is made by its first login or mail", u.masks[0],
			      a.n);
	if (r == 0) {
		/* It acts at the holder, wherever it was typed. */
		struct adm_request q = {.role = ROLE_STORE,
					.index = a.v[0].store,
					.name = "selftest",
					.args = &a.v[0].name, .n_args = 1,
					.flags = a.v[0].at_partner ?
						 CALL_PARTNER : 0};

		steps.print = adm_print(c, "table", selftest_columns, 3, 2);
		steps.at_partner = a.v[0].at_partner;
		r = adm_call(c, &q, &ops);
		print_end(steps.print);
	}
	adm_accounts_fini(&a);
	adm_users_fini(&u);
	return r;
}

/* ---- ready ------------------------------------------------------------------------ */

static const struct print_column ready_columns[] = {
	{"username", NULL, 14, 0}, {"state", NULL, 0, 0},
	{"missing here", NULL, 0, 0},
};


/* What would be missing of it if the partner died now; NULL: nothing. */
const char *adm_pair_missing(struct arena *a, const struct adm_account *v,
			     unsigned index, const char *unknown_since)
{
	const char *own = v->own ? v->own : v->state;

	if (!*own)
		return "all of it: this node has no copy yet";
	if (!strcmp(own, "NEEDS_SEED") || !strcmp(own, "SEEDING"))
		return "all that the copy here does not have yet";
	if (adm_account_is(v, "FORKED"))
		return "the partner's branch";
	if (v->mismatch && v->holder != (int)index)
		return "unknown: comparison failed, the copies differ";
	if (adm_account_is(v, "SINGLE") || v->holder == (int)index)
		return v->stale ? arena_printf(a, "what the partner had "
					       "beyond this copy (unknown "
					       "since %s)", unknown_since)
				: NULL;
	if (adm_account_is(v, "PARKED"))
		return arena_printf(a, "unknown: in quarantine%s%s",
				    *v->parked_why ? ", " : "",
				    v->parked_why);
	/* Held by the partner: its own count, if it could be asked. */
	if (!v->records && (v->at_partner || adm_account_is(v, "SYNC")))
		return NULL;
	if (v->records)
		return arena_printf(a, "%llu changes",
				    (unsigned long long)v->records);
	return arena_printf(a, "unknown since %s", unknown_since);
}

int adm_cmd_pair_ready(struct adm_cli *c, int argc, char **argv)
{
	struct adm_users u = {.n = 0};
	struct adm_accounts a = {.n = 0};
	struct adm_node node;
	struct print *p = NULL;
	int r = users_of(c, argc, argv, &u, NULL, NULL);
	size_t missing = 0;

	if (r) {
		adm_users_fini(&u);
		return r - 1;
	}
	r = adm_node_read(c, &node);
	if (r == 0)
		r = adm_accounts_read(c, &u, 0, &a);
	if (r == 0)
		r = adm_users_missing(c, &u, &a);
	if (r == 0 && c->formatter)
		p = adm_print(c, "table", ready_columns, 3, 2);
	for (size_t i = 0; r == 0 && i < a.n; i++) {
		const char *what = adm_pair_missing(
			c->arena, &a.v[i], a.topology.index,
			adm_time(c->arena, node.heard));

		/* A copy that looks whole, and nobody to compare it with. */
		if (!what && a.away && a.v[i].holder != (int)a.topology.index)
			what = arena_printf(c->arena, "unknown since %s",
					    adm_time(c->arena, node.heard));
		if (!what)
			continue;
		if (!p)
			p = adm_print(c, "table", ready_columns, 3, 2);
		print_row(p, (const char *[]){a.v[i].name, a.v[i].state, what});
		missing++;
	}
	if (p)
		print_end(p);
	if (r == 0 && !missing && !c->formatter)
		fprintf(c->out, "ready: nothing would be missing here if the "
			"partner died now (%s accounts)\n", num(c, a.n));
	else if (r == 0 && missing)
		adm_error(c, 1, "not ready: %zu of %zu accounts", missing, a.n);
	adm_accounts_fini(&a);
	adm_users_fini(&u);
	return r ? r : missing ? 1 : 0;
}
