/*
 * A login arrives.
 *
 *   ASKED ── engine_ask ──► SERVE ── LOGIN_FD ──► mailboxes ──► session
 *                      └──► PROXY: counted until LOGIN_GONE
 *                      └──► REFUSE
 */

#include "node/store/store_role.h"
#include "node/base/arena.h"
#include "node/base/cleanup.h"

#include <stdio.h>
#include <unistd.h>

struct arrival {
	struct list node;
	struct store_node *sn;
	struct store_peer *from;
	uint64_t stream;
	struct arena *arena;
	struct ipc_head head;		/* in arena */
	struct place place;
	struct engine_ask *ask;
	struct account *account;	/* a session count is held */
	bool proxied, counted;
	bool *answered;			/* set during engine_ask() */
};

/* ---- counts: user NUL service NUL address ---------------------------------- */

unsigned arrive_count(struct store_node *n, const char *user,
		      const char *service, const char *rip, int delta)
{
	char key[1200];
	int len = snprintf(key, sizeof(key), "%s\n%s\n%s", user, service, rip);
	struct slice k = slice_of(key, (size_t)len < sizeof(key)
					       ? (size_t)len
					       : sizeof(key) - 1);
	uintptr_t v = (uintptr_t)map_get(n->counts, k);

	if (delta == 0)
		return (unsigned)v;
	v = (uintptr_t)((intptr_t)v + delta);
	if (v)
		map_put(n->counts, k, (void *)v);
	else
		map_remove(n->counts, k);
	return (unsigned)v;
}

static void uncount(struct arrival *a)
{
	if (a->counted)
		arrive_count(a->sn, a->head.user, a->head.service,
			     a->head.rip, -1);
	a->counted = false;
}

static void arrival_free(struct arrival *a)
{
	struct store_node *n = a->sn;

	uncount(a);
	list_remove(&a->node);
	engine_ask_cancel(a->ask);
	if (a->account)
		engine_leave(n->engine, a->account);
	arena_free(a->arena);
	store_maybe_quiet(n);
}

static struct arrival *find(struct store_peer *from, uint64_t stream)
{
	struct list *all = &from->node->arrivals;

	for (struct list *i = all->next; i != all; i = i->next) {
		struct arrival *a = CONTAINER_OF(i, struct arrival, node);

		if (a->from == from && a->stream == stream)
			return a;
	}
	return NULL;
}

static void say(struct store_peer *to, uint64_t stream, enum ipc_type type,
		const struct ipc_head *h)
{
	if (to && to->ipc)
		ipc_say(to->ipc, type, stream, h, SLICE_NONE, -1);
}

static void refuse(struct store_peer *from, uint64_t stream,
		   const struct err *e)
{
	struct ipc_head h = {.code = e->code, .text = e->op,
			     .client = e->client};

	say(from, stream, IPC_LOGIN_REFUSE, &h);
}

/* ---- asking ------------------------------------------------------------------- */

static void on_answer(void *arg, enum engine_verdict v, struct account *acc,
		      const struct err *err)
{
	struct arrival *a = arg;
	struct ipc_head h = {0};

	a->ask = NULL;
	if (a->answered)
		*a->answered = true;
	switch (v) {
	case ENGINE_SERVE:
		a->account = acc;
		h.value = (uint64_t)getpid();
		say(a->from, a->stream, IPC_LOGIN_SERVE, &h);
		break;
	case ENGINE_PROXY:
		a->proxied = true;
		say(a->from, a->stream, IPC_LOGIN_PROXY, &h);
		break;
	case ENGINE_REFUSE:
		refuse(a->from, a->stream, err);
		arrival_free(a);
		break;
	}
}

static int limit_check(struct store_node *n, const struct ipc_head *h,
		       struct err *e)
{
	struct conf_ctx ctx = {.protocol = h->service};
	uint64_t max = conf_u64(store_conf_of(n->conf), &ctx,
				"mail_max_userip_connections");

	if (max == 0 || (h->flags & LOGIN_FROM_PARTNER) ||
	    arrive_count(n, h->user, h->service, h->rip, 0) < max)
		return 0;
	err_set(e, E_LIMIT, "%s from %s: maximum number of connections from "
		"user+IP exceeded (mail_max_userip_connections=%llu)", h->user,
		h->rip, (unsigned long long)max);
	err_client(e, "Maximum number of connections from user+IP exceeded "
		   "(mail_max_userip_connections=%llu)",
		   (unsigned long long)max);
	return e->code;
}

static void copy_head(struct arena *a, const struct ipc_head *h,
		      struct ipc_head *out)
{
	struct ipc_field *f = arena_alloc(a, (h->n_fields + 1) * sizeof(*f));

	for (size_t i = 0; i < h->n_fields; i++)
		f[i] = (struct ipc_field){arena_strdup(a, h->fields[i].name),
					  arena_strdup(a, h->fields[i].value)};
	*out = (struct ipc_head){
		.flags = h->flags, .rport = h->rport, .lport = h->lport,
		.user = arena_strdup(a, h->user),
		.login = arena_strdup(a, h->login),
		.home = arena_strdup(a, h->home),
		.service = arena_strdup(a, h->service),
		.session = arena_strdup(a, h->session),
		.tag = arena_strdup(a, h->tag),
		.mech = arena_strdup(a, h->mech),
		.rip = arena_strdup(a, h->rip), .lip = arena_strdup(a, h->lip),
		.fields = f, .n_fields = h->n_fields,
	};
}

void arrive_ask(struct store_peer *from, uint64_t stream,
		const struct ipc_head *h)
{
	struct store_node *n = from->node;
	struct err e = ERR_NONE;
	struct arena *ar;
	struct engine_ask *ask;
	struct arrival *a;
	struct id128 id;
	bool answered = false;

	if (!n->engine || n->stopping) {
		err_set(&e, E_TEMP, n->stopping ? "this node is stopping"
						: "the store is not open");
		refuse(from, stream, &e);
		return;
	}
	ar = arena_new(1024);
	a = ARENA_NEW(ar, struct arrival);
	a->arena = ar;
	a->sn = n;
	a->from = from;
	a->stream = stream;
	copy_head(ar, h, &a->head);
	if (limit_check(n, h, &e) < 0 ||
	    locate(n, a->head.user, a->head.home, a->head.fields,
		   a->head.n_fields, ar, &a->place, &e) < 0) {
		refuse(from, stream, &e);
		arena_free(ar);
		return;
	}
	a->head.home = a->place.home;
	list_append(&n->arrivals, &a->node);
	if (!(h->flags & LOGIN_FROM_PARTNER)) {
		arrive_count(n, a->head.user, a->head.service, a->head.rip, 1);
		a->counted = true;
	}
	id = account_id_of(slice_of(n->role->identity.pair_id.b, 16),
			   slice_str(a->head.user));
	a->answered = &answered;
	ask = engine_ask(n->engine, id, a->head.user, a->place.root, true,
			 h->flags & LOGIN_FROM_PARTNER, on_answer, a);
	/* An answer at once may have freed a. */
	if (!answered)
		a->ask = ask;
	if (!answered || find(from, stream) == a)
		a->answered = NULL;
}

void arrive_cancel(struct store_peer *from, uint64_t stream)
{
	struct arrival *a = find(from, stream);

	if (a)
		arrival_free(a);
}

void arrive_peer_gone(struct store_peer *from)
{
	struct list *all = &from->node->arrivals, *i = all->next;

	while (i != all) {
		struct arrival *a = CONTAINER_OF(i, struct arrival, node);

		i = i->next;
		if (a->from == from)
			arrival_free(a);
	}
}

void arrive_each_proxied(struct store_node *n, arrive_cb *cb, void *arg)
{
	for (struct list *i = n->arrivals.next; i != &n->arrivals;
	     i = i->next) {
		struct arrival *a = CONTAINER_OF(i, struct arrival, node);

		if (a->proxied)
			cb(arg, a->head.user, a->head.service, a->head.rip,
			   true);
	}
}

/* ---- the session begins ---------------------------------------------------------- */

struct beginning {
	struct session *session;
	struct write write;
	struct arena *arena;
	char *left;
	size_t left_n;
};

static void start_session(struct beginning *b)
{
	struct session *s = b->session;
	struct err e = ERR_NONE;

	s->leftover = slice_of(b->left, b->left_n);
	if ((strcmp(s->service, "pop3") == 0 ? pop3_session_start(s, &e)
					     : imap_session_start(s, &e)) < 0) {
		session_log(s, LOG_ERR, "session_not_started", "%s", e.op);
		s->fd = -1;
		sessions_drop(s);
	} else {
		s->leftover = SLICE_NONE;
	}
	arena_free(b->arena);
}

static void on_boxes(void *arg, struct write *w, int result, bool unknown,
		     const struct err *err)
{
	struct beginning *b = arg;
	struct session *s = b->session;

	(void)w;
	/* The automatic mailboxes can wait for a better day; the login not. */
	if (result < 0)
		session_log(s, LOG_ERR, "autocreate_failed",
			    "Automatic mailboxes: %s", err->op);
	if (s->evicting || unknown) {
		arena_free(b->arena);
		sessions_drop(s);
		return;
	}
	start_session(b);
}

void arrive_fd(struct store_peer *from, uint64_t stream, int fd,
	       struct slice left)
{
	struct arrival *a = find(from, stream);
	struct store_node *n = from->node;
	struct beginning *b;
	struct arena *ar;

	if (!a || !a->account || fd < 0 || left.n > SESSION_LEFTOVER_MAX) {
		if (fd >= 0)
			close(fd);
		if (a)
			arrival_free(a);
		return;
	}
	ar = arena_new(2048);
	b = ARENA_NEW(ar, struct beginning);
	b->arena = ar;
	b->left = arena_strndup(ar, left.n ? left.p : (const void *)"",
				left.n);
	b->left_n = left.n;
	b->session = sessions_new(n, from, stream, &a->head, a->account, fd);
	/* Count and account go over to the session. */
	a->account = NULL;
	a->counted = false;
	arrival_free(a);
	if (!sessions_missing_boxes(b->session->conf, b->session->account)) {
		start_session(b);
		return;
	}
	b->write = (struct write){
		.kind = WRITE_AUTOCREATE, .arena = ar,
		.autos = b->session->conf->autos,
		.n_autos = b->session->conf->n_autos,
	};
	engine_write(n->engine, b->session->account, &b->write, on_boxes, b);
}
