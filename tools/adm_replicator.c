/* replicator …: the forms of 2.3 over what the pair really does. */

#include "tools/adm_accounts.h"

#include <stdlib.h>
#include <string.h>

#define FULL_INTERVAL_USEC (86400ull * 1000 * 1000)	/* compiled-in default */

static const struct print_column overview_columns[] = {
	{"field", NULL, 29, PRINT_HIDE_TITLE},
	{"value", NULL, 0, PRINT_HIDE_TITLE},
};

static const struct print_column status_columns[] = {
	{"username", NULL, 14, 0}, {"priority", NULL, 0, 0},
	{"fast sync", NULL, 0, 0}, {"full sync", NULL, 0, 0},
	{"success sync", NULL, 0, 0}, {"failed", NULL, 0, 0},
};

/* replication_full_sync_interval, where this caller may read it. */
static uint64_t full_interval(const struct adm_cli *c)
{
	struct err e = ERR_NONE;
	struct conf *conf = adm_conf(c, &e);
	uint64_t v = FULL_INTERVAL_USEC;

	if (conf)
		v = conf_time(conf, NULL, "replication_full_sync_interval");
	conf_unref(conf);
	return v;
}

/* ---- how many users ------------------------------------------------------- */

struct names {
	const char **v;
	size_t n, cap;
	struct arena *arena;
};

static void add_name(void *arg, const char *const *cells, size_t n)
{
	struct names *s = arg;

	if (n != 1)
		return;
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = arena_strdup(s->arena, cells[0]);
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(const char *const *)x, *(const char *const *)y);
}

static void say_debug(void *arg, const char *line)
{
	(void)arg;
	(void)line;
}

/* Users listed by userdb, and those known from their logs. */
static size_t known_users(const struct adm_cli *c, const struct adm_accounts *a)
{
	static const char *const all[] = {"*"};
	struct names s = {.arena = c->arena};
	struct adm_ops ops = {add_name, say_debug, &s};
	struct adm_request q = {.role = ROLE_AUTH, .name = "user",
				.args = all, .n_args = 1, .flags = CALL_STATUS};
	size_t n = 0;

	for (size_t i = 0; i < a->n; i++)
		add_name(&s, &a->v[i].name, 1);
	if (adm_call(c, &q, &ops) != 0)
		adm_warn(c, "userdb could not be listed: only users known "
			 "from their logs are counted");
	if (s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_text);
	for (size_t i = 0; i < s.n; i++)
		n += i == 0 || strcmp(s.v[i - 1], s.v[i]) != 0;
	free(s.v);
	return n;
}

/* ---- status ----------------------------------------------------------------- */

static void pair_of(struct adm_cli *c, struct print *p, const char *name,
		    uint64_t value)
{
	const char *cells[] = {
		name, arena_printf(c->arena, "%llu",
				   (unsigned long long)value)};

	print_row(p, cells);
}

static void overview(struct adm_cli *c, const struct adm_accounts *a)
{
	uint64_t now = adm_now(), interval = full_interval(c);
	uint64_t sync = 0, high = 0, low = 0, retried = 0, resync = 0, parked = 0;
	size_t users = known_users(c, a);
	struct print *p = adm_print(c, "table", overview_columns, 2, 1);

	for (size_t i = 0; i < a->n; i++) {
		const struct adm_account *v = &a->v[i];

		sync += v->waiting;
		if (v->records)
			*(v->mail ? &high : &low) += 1;
		if (adm_account_failed(v))
			parked++;
		else if (v->parked_why && *v->parked_why)
			retried++;
		resync += adm_account_resync_due(v, now, interval);
	}
	pair_of(c, p, "Queued 'sync' requests", sync);
	pair_of(c, p, "Queued 'high' requests", high);
	pair_of(c, p, "Queued 'low' requests", low);
	pair_of(c, p, "Queued 'failed' requests", retried);
	pair_of(c, p, "Queued 'full resync' requests", resync);
	pair_of(c, p, "Waiting 'failed' requests", parked);
	pair_of(c, p, "Total number of known users", users);
	print_end(p);
}

static void accounts_table(struct adm_cli *c, const struct adm_accounts *a)
{
	struct print *p = adm_print(c, "table", status_columns, 6, 2);
	uint64_t now = adm_now();

	for (size_t i = 0; i < a->n; i++) {
		const struct adm_account *v = &a->v[i];
		struct arena *t = arena_new(256);
		const char *cells[] = {
			v->name, adm_account_priority(v),
			adm_age_since(t, v->last_ack, now),
			adm_age_since(t, v->last_equal, now),
			adm_age_since(t, v->last_done, now),
			adm_account_failed(v) ? "y" : "-",
		};

		print_row(p, cells);
		arena_free(t);
	}
	print_end(p);
}

int adm_cmd_replicator_status(struct adm_cli *c, int argc, char **argv)
{
	struct adm_users u = {.n = 0};
	struct adm_accounts a;
	int ch, r = 0;

	while (r == 0 &&
	       (ch = adm_getopt(c, argc, argv, "a:u:AF:", NULL)) != -1) {
		if (ch == 'a')
			c->socket = optarg;
		else if (ch == '?')
			return adm_usage(c);
		else
			r = adm_users_option(c, &u, ch, optarg);
	}
	for (; optind < argc; optind++)
		adm_users_add(&u, argv[optind]);
	if (r == 0) {
		r = adm_accounts_read(c, &u, CALL_STATUS, &a);
		if (r == 0 && u.n)
			accounts_table(c, &a);
		else if (r == 0)
			overview(c, &a);
		adm_accounts_fini(&a);
	}
	adm_users_fini(&u);
	return r;
}

/* ---- dsync-status ------------------------------------------------------------- */

static const struct print_column dsync_columns[] = {
	{"username", NULL, 14, 0}, {"type", NULL, 6, 0}, {"status", NULL, 0, 0},
};

struct transfers {
	struct print *print;
	const char **names;		/* shown already */
	size_t n, cap;
	struct arena *arena;
};

static void on_transfer(void *arg, const char *const *cells, size_t n)
{
	struct transfers *t = arg;

	if (n < 3)
		return;
	GROW(t->names, t->n, t->cap);
	t->names[t->n++] = arena_strdup(t->arena, cells[0]);
	print_row(t->print, cells);
}

/* Records on their way; copies and messages are told by the transfers. */
static void catching_up(struct adm_cli *c, struct transfers *t,
			const struct adm_accounts *a)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct adm_account *v = &a->v[i];
		bool here = v->holder == (int)a->topology.index, shown = false;
		const char *cells[] = {v->name, "normal", ""};

		for (size_t k = 0; k < t->n; k++)
			shown |= strcmp(t->names[k], v->name) == 0;
		if (shown || !v->records || !adm_account_is(v, "CATCHUP"))
			continue;
		cells[2] = arena_printf(c->arena, "%s %llu changes",
					here ? "Sending" : "Receiving",
					(unsigned long long)v->records);
		print_row(t->print, cells);
	}
}

/* Both ends of a transfer know it: this node's are all there are. */
int adm_cmd_replicator_dsync_status(struct adm_cli *c, int argc, char **argv)
{
	struct adm_accounts a;
	struct transfers t = {.arena = c->arena};
	struct adm_ops ops = {.row = on_transfer, .arg = &t};
	struct adm_request q = {.name = "transfers", .flags = CALL_STATUS};
	int ch, r;

	while ((ch = adm_getopt(c, argc, argv, "a:", NULL)) != -1) {
		if (ch != 'a')
			return adm_usage(c);
		c->socket = optarg;
	}
	if (optind < argc)
		return adm_usage(c);
	r = adm_accounts_read(c, NULL, CALL_STATUS | CALL_HERE, &a);
	if (r == 0) {
		t.print = adm_print(c, "table", dsync_columns, 3, 2);
		r = adm_each_store(c, &a.topology, &q, &ops);
		if (r == 0)
			catching_up(c, &t, &a);
		print_end(t.print);
	}
	free(t.names);
	adm_accounts_fini(&a);
	return r;
}

/* ---- replicate, add, remove ------------------------------------------------------ */

struct told {
	struct adm_cli *cli;
	const char **ok;		/* names; one may come from both */
	size_t n, cap;
	bool partner;
	int worst;
};

/* name, and "ok" or why not. */
static void on_told(void *arg, const char *const *cells, size_t n)
{
	struct told *t = arg;

	if (n < 2)
		return;
	if (strcmp(cells[1], "ok") != 0) {
		t->worst = adm_error(t->cli, EX_TEMPFAIL, "%s: %s%s", cells[0],
				     t->partner ? "at the partner: " : "",
				     cells[1]);
		return;
	}
	GROW(t->ok, t->n, t->cap);
	t->ok[t->n++] = arena_strdup(t->cli->arena, cells[0]);
}

/* How many accounts that was. */
static size_t told_names(struct told *t)
{
	size_t n = 0;

	if (t->n)
		qsort(t->ok, t->n, sizeof(*t->ok), by_text);
	for (size_t i = 0; i < t->n; i++)
		n += i == 0 || strcmp(t->ok[i - 1], t->ok[i]) != 0;
	free(t->ok);
	return n;
}

/* The command for each mask at each store process of both nodes: an account
 * may be in quarantine on either.  What cannot reach the partner is said, and
 * done here. */
static int tell_all(struct told *t, const char *name, const struct adm_users *u,
		    const struct ipc_field *fields, size_t n_fields)
{
	struct adm_topology here, there;
	struct adm_ops ops = {.row = on_told, .arg = t};
	int r = adm_topology(t->cli, 0, &here), there_r = 0;

	if (r == 0)
		there_r = adm_partner(t->cli, 0, &here, &there);
	for (size_t m = 0; r == 0 && m < u->n; m++) {
		struct adm_request q = {
			.name = name, .args = &u->masks[m], .n_args = 1,
			.fields = fields, .n_fields = n_fields,
		};

		t->partner = false;
		r = adm_each_store(t->cli, &here, &q, &ops);
		t->partner = true;
		q.flags = CALL_PARTNER;
		if (r == 0 && there_r == 0)
			r = adm_each_store(t->cli, &there, &q, &ops);
	}
	if (r == 0 && there_r == EX_TEMPFAIL)
		r = adm_error(t->cli, EX_TEMPFAIL, "the partner cannot be "
			      "asked now: only this node's copies were "
			      "reached; `%s pair status' shows the link",
			      t->cli->program);
	return r ? r : t->worst;
}

/* A name that is spelt out is meant; a mask may match nothing. */
static int nobody(const struct adm_cli *c, const struct adm_users *u)
{
	for (size_t i = 0; i < u->n; i++)
		if (!strpbrk(u->masks[i], "*?"))
			return adm_error(c, EX_NOUSER, "User not found: %s is "
					 "not an account of this pair (`%s "
					 "replicator status '*'' lists them; "
					 "an account is made by its first "
					 "login or mail)", u->masks[i],
					 c->program);
	return EX_OK;
}

int adm_cmd_replicator_replicate(struct adm_cli *c, int argc, char **argv)
{
	struct adm_users u = {.n = 0};
	struct ipc_field fields[2];
	struct told t = {.cli = c};
	const char *priority = "low";
	bool full = false;
	size_t n = 0;
	int ch, r = 0;

	while (r == 0 &&
	       (ch = adm_getopt(c, argc, argv, "a:fp:u:AF:", NULL)) != -1) {
		if (ch == 'a')
			c->socket = optarg;
		else if (ch == 'f')
			full = true;
		else if (ch == 'p')
			priority = optarg;
		else if (ch == '?')
			return adm_usage(c);
		else
			r = adm_users_option(c, &u, ch, optarg);
	}
	for (; optind < argc; optind++)
		adm_users_add(&u, argv[optind]);
	if (r == 0 && u.n == 0)
		r = adm_usage(c);
	else if (r == 0 && strcmp(priority, "high") && strcmp(priority, "low"))
		r = adm_error(c, EX_USAGE, "Invalid priority: %s (high or low)",
			      priority);
	if (r == 0) {
		fields[n++] = (struct ipc_field){"priority", priority};
		if (full)
			fields[n++] = (struct ipc_field){"full", "yes"};
		r = tell_all(&t, "replicate", &u, fields, n);
		n = told_names(&t);
		if (r == 0 || n)
			fprintf(c->out, "%zu users updated\n", n);
		if (r == 0 && n == 0)
			r = nobody(c, &u);
	}
	adm_users_fini(&u);
	return r;
}

/* add, remove: one mask. */
static int one_mask(struct adm_cli *c, int argc, char **argv, const char *name,
		    struct told *t)
{
	struct adm_users u = {.n = 0};
	int ch, r;

	while ((ch = adm_getopt(c, argc, argv, "a:", NULL)) != -1) {
		if (ch != 'a')
			return adm_usage(c);
		c->socket = optarg;
	}
	if (argc - optind != 1)
		return adm_usage(c);
	adm_users_add(&u, argv[optind]);
	r = tell_all(t, name, &u, NULL, 0);
	if (told_names(t) == 0 && r == 0)
		r = nobody(c, &u);
	adm_users_fini(&u);
	return r;
}

int adm_cmd_replicator_add(struct adm_cli *c, int argc, char **argv)
{
	struct told t = {.cli = c};

	return one_mask(c, argc, argv, "add", &t);
}

int adm_cmd_replicator_remove(struct adm_cli *c, int argc, char **argv)
{
	struct told t = {.cli = c};

	return one_mask(c, argc, argv, "remove", &t);
}
