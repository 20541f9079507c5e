/* who, kick. */

#include "tools/adm_cli.h"
#include "node/base/buf.h"

#include <stdlib.h>
#include <string.h>

/* What who and kick are asked for. */
struct wanted {
	const char *mask;		/* NULL = any user */
	const char *ip;			/* as typed, NULL = any */
	struct adm_net net;
};

struct session_row {
	const char *user, *service, *pid, *ip;
	bool there;			/* its client is connected at the
					 * partner */
	bool partner;			/* served by the other node than that */
	unsigned store;
};

struct sessions {
	struct adm_cli *cli;
	const struct wanted *wanted;
	struct session_row *v;
	size_t n, cap;
	unsigned store;
	bool there;
	bool away;			/* there is a partner, not to be asked */
	struct adm_topology node[2];	/* this one, the partner */
};

/* "MASK", "IP/BITS", "MASK IP", "MASK|IP". */
static int parse_wanted(struct adm_cli *c, struct wanted *w, int argc,
			char **argv)
{
	char *bar;

	for (int i = 0; i < argc; i++) {
		struct adm_net net;

		bar = strchr(argv[i], '|');
		if (bar && adm_net_parse(bar + 1, &w->net)) {
			*bar = 0;
			w->ip = bar + 1;
			w->mask = argv[i];
		} else if (!w->ip && adm_net_parse(argv[i], &net)) {
			w->net = net;
			w->ip = argv[i];
		} else if (!w->mask) {
			w->mask = argv[i];
		} else {
			return adm_usage(c);
		}
	}
	return 0;
}

static void on_session(void *arg, const char *const *cells, size_t n)
{
	struct sessions *s = arg;
	struct arena *a = s->cli->arena;
	const struct wanted *w = s->wanted;

	if (n < 4 || (w->mask && !adm_mask_match(w->mask, cells[0])) ||
	    (w->ip && !adm_net_holds(&w->net, cells[3])))
		return;
	GROW(s->v, s->n, s->cap);
	s->v[s->n++] = (struct session_row){
		.user = arena_strdup(a, cells[0]),
		.service = arena_strdup(a, cells[1]),
		.pid = arena_strdup(a, cells[2]),
		.ip = arena_strdup(a, cells[3]),
		.partner = n > 4 && strcmp(cells[4], "partner") == 0,
		.store = s->store, .there = s->there,
	};
}

static int order(const void *x, const void *y)
{
	const struct session_row *a = x, *b = y;
	int r = strcmp(a->user, b->user);

	if (r == 0)
		r = strcmp(a->service, b->service);
	if (r == 0)
		r = strcmp(a->pid, b->pid);
	return r ? r : strcmp(a->ip, b->ip);
}

static int read_node(struct sessions *s, const struct adm_topology *t,
		     unsigned flags)
{
	struct adm_ops ops = {.row = on_session, .arg = s};
	int r = 0;

	for (s->store = 0; r == 0 && s->store < t->stores; s->store++) {
		struct adm_request q = {.role = ROLE_STORE, .index = s->store,
					.name = "who", .flags = flags};

		r = adm_call(s->cli, &q, &ops);
	}
	return r;
}

/* Those whose client is connected here; both: and those of the partner. */
static int read_sessions(struct sessions *s, bool both)
{
	int r = adm_topology(s->cli, 0, &s->node[0]), more = EX_UNAVAILABLE;

	if (r == 0)
		r = read_node(s, &s->node[0], 0);
	if (r == 0 && both)
		more = adm_partner(s->cli, 0, &s->node[0], &s->node[1]);
	s->there = true;
	if (more == 0)
		more = read_node(s, &s->node[1], CALL_PARTNER | CALL_QUIET);
	s->away = more != 0 && more != EX_UNAVAILABLE;
	if (s->n)
		qsort(s->v, s->n, sizeof(*s->v), order);
	return r;
}

/* ---- who ------------------------------------------------------------------- */

static const struct print_column who_columns[] = {
	{"username", NULL, 0, 0}, {"connections", "#", 0, 0},
	{"service", "proto", 0, 0}, {"pids", "(pids)", 0, 0},
	{"ips", "(ips)", 0, 0},
};

static const struct print_column single_columns[] = {
	{"username", NULL, 20, 0}, {"service", "proto", 0, 0},
	{"pid", NULL, 0, 0}, {"ip", NULL, 0, 0},
};

static void add_word(struct buf *b, const char *word)
{
	struct slice have = slice_sub(buf_all(b), 1, b->n), w = slice_str(word);

	/* Each pid and address once. */
	while (have.n) {
		ptrdiff_t blank = slice_chr(have, ' ');
		size_t n = blank < 0 ? have.n : (size_t)blank;

		if (slice_eq(slice_sub(have, 0, n), w))
			return;
		have = slice_sub(have, blank < 0 ? n : n + 1, have.n);
	}
	if (b->n > 1)
		buf_char(b, ' ');
	buf_slice(b, w);
}

#define WORDS_MAX (1u << 20)

/* The sessions of one user and protocol; gives how many. */
static size_t print_user(struct print *p, const struct session_row *v, size_t n)
{
	struct buf pids, ips;
	size_t same = 0;
	char count[24];

	buf_init(&pids, WORDS_MAX);
	buf_init(&ips, WORDS_MAX);
	buf_char(&pids, '(');
	buf_char(&ips, '(');
	while (same < n && !strcmp(v[same].user, v->user) &&
	       !strcmp(v[same].service, v->service)) {
		add_word(&pids, v[same].pid);
		add_word(&ips, v[same].ip);
		same++;
	}
	buf_put(&pids, ")", 2);
	buf_put(&ips, ")", 2);
	snprintf(count, sizeof(count), "%zu", same);
	print_row(p, (const char *[]){v->user, count, v->service,
				      pids.failed ? "(...)" : (char *)pids.p,
				      ips.failed ? "(...)" : (char *)ips.p});
	buf_fini(&pids);
	buf_fini(&ips);
	return same;
}

int adm_cmd_who(struct adm_cli *c, int argc, char **argv)
{
	struct wanted w = {.mask = NULL};
	struct sessions s = {.cli = c, .wanted = &w};
	struct print *p;
	bool single = false;
	int ch, r;

	while ((ch = adm_getopt(c, argc, argv, "a:1", NULL)) != -1) {
		if (ch == 'a')
			c->socket = optarg;
		else if (ch == '1')
			single = true;
		else
			return adm_usage(c);
	}
	r = parse_wanted(c, &w, argc - optind, argv + optind);
	if (r == 0)
		r = read_sessions(&s, false);
	p = r ? NULL : single ? adm_print(c, "table", single_columns, 4, 1)
			      : adm_print(c, "table", who_columns, 5, 1);
	for (size_t i = 0; r == 0 && i < s.n;) {
		if (!single) {
			i += print_user(p, s.v + i, s.n - i);
			continue;
		}
		print_row(p, (const char *[]){s.v[i].user, s.v[i].service,
					      s.v[i].pid, s.v[i].ip});
		i++;
	}
	if (p)
		print_end(p);
	free(s.v);
	return r;
}

/* ---- kick ------------------------------------------------------------------- */

static const struct print_column kick_columns[] = {
	{"result", NULL, 0, PRINT_HIDE_TITLE},
};

struct kicked {
	struct arena *arena;
	const char **v;
	size_t n, cap;
};

static void on_kicked(void *arg, const char *const *cells, size_t n)
{
	struct kicked *k = arg;

	for (size_t i = 0; n && i < k->n; i++)
		if (!strcmp(k->v[i], cells[0]))
			return;
	if (!n)
		return;
	GROW(k->v, k->n, k->cap);
	k->v[k->n++] = arena_strdup(k->arena, cells[0]);
}

/* Every user and address found; a mask of the node compares whole addresses
 * only, so each is named.  A session is ended by the node that serves it. */
static int kick_all(const struct sessions *s, struct kicked *k)
{
	struct adm_ops ops = {.row = on_kicked, .arg = k};
	int worst = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct session_row *v = &s->v[i];
		const char *args[] = {v->user, v->ip};
		bool there = v->there != v->partner;
		struct adm_request q = {
			.role = ROLE_STORE, .index = v->store, .name = "kick",
			.args = args, .n_args = 2,
			.flags = there ? CALL_PARTNER : 0};
		int r;

		if (i && !strcmp(v[-1].user, v->user) &&
		    !strcmp(v[-1].ip, v->ip) && v[-1].store == v->store &&
		    v[-1].there == v->there && v[-1].partner == v->partner)
			continue;
		/* The nodes need not have the same number of processes. */
		r = v->partner ? adm_each_store(s->cli, &s->node[there], &q,
						&ops)
			       : adm_call(s->cli, &q, &ops);
		worst = r ? r : worst;
	}
	return worst;
}

static int kick(struct adm_cli *c, struct sessions *s, struct kicked *k)
{
	struct print *p;
	int r = read_sessions(s, true);

	if (r)
		return r;
	r = kick_all(s, k);
	if (s->away)
		r = adm_error(c, EX_TEMPFAIL, "the partner cannot be asked "
			      "now: sessions that it serves go on; type the "
			      "same command there, or again when `%s pair "
			      "status' shows the link up", c->program);
	if (!k->n && r == 0 && !c->formatter) {
		fputs("no users kicked\n", c->out);
		return EX_NOTFOUND;
	}
	if (k->n && !c->formatter)
		fputs("kicked connections from the following users:\n",
		      c->out);
	p = adm_print(c, "flow", kick_columns, 1, 1);
	for (size_t i = 0; i < k->n; i++)
		print_row(p, &k->v[i]);
	print_end(p);
	return k->n || r ? r : EX_NOTFOUND;
}

int adm_cmd_kick(struct adm_cli *c, int argc, char **argv)
{
	struct wanted w = {.mask = NULL};
	struct sessions s = {.cli = c, .wanted = &w};
	struct kicked k = {.arena = c->arena};
	int ch, r;

	while ((ch = adm_getopt(c, argc, argv, "a:", NULL)) != -1) {
		if (ch != 'a')
			return adm_usage(c);
		c->socket = optarg;
	}
	r = parse_wanted(c, &w, argc - optind, argv + optind);
	if (r == 0 && !w.mask && !w.ip)
		r = adm_error(c, EX_USAGE, "user and/or ip[/bits] must be "
			      "specified.");
	if (r == 0)
		r = kick(c, &s, &k);
	free(s.v);
	free(k.v);
	return r;
}
