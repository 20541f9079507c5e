/* The auth process: life, and the questions of fronts and stores. */

#include "node/auth_role.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"

#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>

#define AUTH_CLIENT_MAX 2000u	/* questions of one channel at a time */
#define AUTH_NAMES_PART 200u

struct auth_client {
	struct list node;
	struct auth_state *st;
	struct ipc *ipc;
	struct list asks;
	unsigned n_asks;
};

/* One question of another role. */
struct auth_ask {
	struct list node;
	struct auth_client *client;	/* NULL: it is gone */
	struct auth_state *st;
	uint64_t stream;
	struct auth_req *req;
	struct arena *arena;
	struct auth_peer peer;
	bool want_userdb;
	const char *login, *mech;	/* of the first half */
};

static void ask_free(struct auth_ask *q)
{
	if (q->client) {
		list_remove(&q->node);
		q->client->n_asks--;
	}
	auth_req_free(q->req);
	arena_free(q->arena);
}

static struct ipc_field *fields_of(struct arena *a,
				   const struct auth_fields *f)
{
	struct ipc_field *v = arena_alloc(a, (f->n + 1) * sizeof(*v));

	for (size_t i = 0; i < f->n; i++)
		v[i] = (struct ipc_field){f->v[i].name, f->v[i].value};
	return v;
}

/* What goes wrong is the operator's to see: always when a backend fails, on
 * auth_verbose also who could not log in. */
static void log_result(struct auth_state *st, const struct auth_result *r)
{
	if (r->verdict == AUTH_OK)
		return;
	if (r->verdict == AUTH_TEMPFAIL)
		log_event(st->role->log, LOG_ERR, "auth_failed", NULL, "%s",
			  r->e.op);
	else if (conf_bool(st->role->conf, NULL, "auth_verbose"))
		log_event(st->role->log, LOG_INF, "auth_refused", NULL, "%s",
			  r->e.op);
}

static void answer(struct auth_ask *q, const struct auth_result *r,
		   bool from_userdb)
{
	struct ipc_head h = {
		.code = r->verdict,
		.user = r->user, .login = q->login ? q->login : r->login,
		.mech = q->mech ? q->mech : r->mech,
		.home = r->home, .value = r->uid, .value2 = r->gid,
		.text = r->e.op, .client = r->e.client,
		.flags = from_userdb ? AUTH_FROM_USERDB : 0,
		.fields = fields_of(q->arena, &r->fields),
		.n_fields = r->fields.n,
	};

	log_result(q->st, r);
	if (q->client)
		ipc_say(q->client->ipc, IPC_AUTH_RESULT, q->stream, &h,
			SLICE_NONE, -1);
}

static void on_challenge(void *arg, struct slice text)
{
	struct auth_ask *q = arg;
	struct ipc_head h = {.data = text};

	ipc_say(q->client->ipc, IPC_AUTH_CHALLENGE, q->stream, &h, SLICE_NONE,
		-1);
}

static void on_userdb(void *arg, const struct auth_result *r)
{
	struct auth_ask *q = arg;
	struct auth_result copy = *r;

	q->req = NULL;
	/* The password was right, so the user is known: a userdb that does
	 * not have it is at odds with the passdb. */
	if (q->want_userdb && r->verdict == AUTH_UNKNOWN) {
		copy.verdict = AUTH_TEMPFAIL;
		err_set(&copy.e, E_TEMP, "userdb does not know %s, which "
			"passdb has let in: check that both list the same "
			"users", r->user);
	}
	answer(q, &copy, true);
	ask_free(q);
}

static const struct auth_req_ops userdb_ops = {.done = on_userdb};

static void on_passdb(void *arg, const struct auth_result *r)
{
	struct auth_ask *q = arg;

	q->req = NULL;
	if (r->verdict != AUTH_OK || !q->want_userdb) {
		answer(q, r, false);
		ask_free(q);
		return;
	}
	q->login = arena_strdup(q->arena, r->login ? r->login : r->user);
	q->mech = arena_strdup(q->arena, r->mech ? r->mech : "");
	q->req = auth_userdb(q->st->pool, &q->peer, slice_str(r->user), true,
			     &userdb_ops, q);
}

static const struct auth_req_ops passdb_ops = {
	.challenge = on_challenge, .done = on_passdb,
};

static struct auth_ask *ask_new(struct auth_client *c, uint64_t stream,
				const struct ipc_head *h)
{
	struct arena *a = arena_new(1024);
	struct auth_ask *q = ARENA_NEW(a, struct auth_ask);

	q->arena = a;
	q->client = c;
	q->st = c->st;
	q->stream = stream;
	q->want_userdb = h->flags & AUTH_USERDB;
	q->peer = (struct auth_peer){
		.service = arena_strdup(a, h->service),
		.rip = arena_strdup(a, h->rip), .lip = arena_strdup(a, h->lip),
		.rport = h->rport, .lport = h->lport,
		.session = arena_strdup(a, h->session),
		.secured = h->flags & AUTH_SECURED,
	};
	list_append(&c->asks, &q->node);
	c->n_asks++;
	return q;
}

static struct auth_ask *ask_find(struct auth_client *c, uint64_t stream)
{
	for (struct list *i = c->asks.next; i != &c->asks; i = i->next) {
		struct auth_ask *q = CONTAINER_OF(i, struct auth_ask, node);

		if (q->stream == stream)
			return q;
	}
	return NULL;
}

/* ---- names --------------------------------------------------------------- */

static void on_names(void *arg, const char *const *names, size_t n,
		     const struct err *e)
{
	struct auth_ask *q = arg;
	struct ipc_head end = {.code = e ? e->code : 0,
			       .text = e ? e->op : ""};

	for (size_t i = 0; q->client && i < n; i += AUTH_NAMES_PART) {
		struct ipc_head h = {
			.args = names + i,
			.n_args = n - i < AUTH_NAMES_PART ? n - i
							  : AUTH_NAMES_PART,
		};

		ipc_say(q->client->ipc, IPC_AUTH_NAMES_PART, q->stream, &h,
			SLICE_NONE, -1);
	}
	if (q->client)
		ipc_say(q->client->ipc, IPC_AUTH_NAMES_END, q->stream, &end,
			SLICE_NONE, -1);
	ask_free(q);
}

/* ---- messages -------------------------------------------------------------- */

static void refuse_busy(struct auth_client *c, uint64_t stream)
{
	struct ipc_head h = {.code = AUTH_TEMPFAIL,
			     .text = "too many authentication requests wait"};

	ipc_say(c->ipc, IPC_AUTH_RESULT, stream, &h, SLICE_NONE, -1);
}

static void start_ask(struct auth_client *c, const struct ipc_msg *m,
		      const struct ipc_head *h)
{
	struct auth_ask *q;

	if (c->n_asks >= AUTH_CLIENT_MAX) {
		refuse_busy(c, m->stream);
		return;
	}
	q = ask_new(c, m->stream, h);
	switch (m->type) {
	case IPC_AUTH_SASL:
		q->req = auth_sasl(c->st->pool, &q->peer, slice_str(h->mech),
				   h->flags & AUTH_INITIAL ? &h->data : NULL,
				   &passdb_ops, q);
		break;
	case IPC_AUTH_PASSWORD:
		q->req = auth_password(c->st->pool, &q->peer,
				       slice_str(h->login), h->data,
				       &passdb_ops, q);
		break;
	case IPC_AUTH_USERDB_GET:
		q->want_userdb = false;
		q->req = auth_userdb(c->st->pool, &q->peer,
				     slice_str(h->login),
				     h->flags & AUTH_AUTHENTICATED,
				     &userdb_ops, q);
		break;
	case IPC_AUTH_NAMES:
		auth_iterate(c->st->pool, on_names, q);
		break;
	}
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct auth_client *c = arg;
	struct arena *a = arena_new(1024);
	struct err e = ERR_NONE;
	struct ipc_head h;
	struct auth_ask *q;

	if (m->fd >= 0)
		close(m->fd);
	if (ipc_head_decode(m->head, a, &h, &e) < 0) {
		log_event(c->st->role->log, LOG_ERR, "ipc_broken", NULL, "%s",
			  e.op);
		arena_free(a);
		return;
	}
	switch (m->type) {
	case IPC_AUTH_SASL:
	case IPC_AUTH_PASSWORD:
	case IPC_AUTH_USERDB_GET:
	case IPC_AUTH_NAMES:
		start_ask(c, m, &h);
		break;
	case IPC_AUTH_ANSWER:
		q = ask_find(c, m->stream);
		if (q && q->req)
			auth_sasl_answer(q->req, h.data);
		break;
	case IPC_AUTH_CANCEL:
		q = ask_find(c, m->stream);
		if (q && q->req)
			ask_free(q);
		break;
	}
	arena_free(a);
}

static void on_closed(void *arg, const struct err *e)
{
	struct auth_client *c = arg;

	(void)e;
	while (!list_empty(&c->asks)) {
		struct auth_ask *q = CONTAINER_OF(c->asks.next,
						  struct auth_ask, node);

		if (q->req) {
			ask_free(q);
			continue;
		}
		/* A listing cannot be given up: it ends without a listener. */
		list_remove(&q->node);
		q->client = NULL;
	}
	list_remove(&c->node);
	ipc_free(c->ipc);
	free(c);
}

static const struct ipc_ops client_ops = {
	.message = on_message, .closed = on_closed,
};

/* ---- names of hosts -------------------------------------------------------- */

struct resolve {
	struct auth_state *st;
	uint64_t stream;
	char *host;
	char *address[8];
	size_t n;
	char why[200];
};

static int resolve_work(void *arg)
{
	struct resolve *r = arg;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int rc = getaddrinfo(r->host, NULL, &hints, &list);

	if (rc != 0) {
		snprintf(r->why, sizeof(r->why), "%s: %s", r->host,
			 gai_strerror(rc));
		return -1;
	}
	for (struct addrinfo *i = list; i && r->n < ARRAY_LEN(r->address);
	     i = i->ai_next) {
		char text[NI_MAXHOST];

		if (getnameinfo(i->ai_addr, i->ai_addrlen, text, sizeof(text),
				NULL, 0, NI_NUMERICHOST) == 0)
			r->address[r->n++] = xstrdup(text);
	}
	freeaddrinfo(list);
	return 0;
}

static void resolve_done(void *arg, int result)
{
	struct resolve *r = arg;
	struct ipc_head h = {.code = result, .text = r->why,
			     .args = (const char *const *)r->address,
			     .n_args = r->n};

	role_tell(r->st->role, IPC_RESOLVED, r->stream, &h);
	for (size_t i = 0; i < r->n; i++)
		free(r->address[i]);
	free(r->host);
	free(r);
}

/* ---- the role ---------------------------------------------------------------- */

static int auth_prepare(struct role *r, struct conf *c, bool reload,
			struct err *e)
{
	struct auth_state *st = r->impl;

	(void)reload;
	if (!st) {
		st = NEW(struct auth_state);
		st->role = r;
		r->impl = st;
		st->files = auth_files_new();
		list_init(&st->clients);
		list_init(&st->listeners);
		list_init(&st->admins);
	}
	return auth_conf_new(st, c, &st->next, e);
}

static void auth_commit(struct role *r)
{
	struct auth_state *st = r->impl;

	if (!st->pool)
		st->pool = auth_pool_new(r->loop, AUTH_THREADS);
	auth_pool_use(st->pool, st->next);
	auth_unref(TAKE(st->next));
}

static void auth_abort(struct role *r)
{
	struct auth_state *st = r->impl;

	auth_unref(TAKE(st->next));
}

static void auth_peer(struct role *r, enum ipc_role kind, unsigned index,
		      int fd)
{
	struct auth_state *st = r->impl;
	struct auth_client *c;

	(void)index;
	if (kind == ROLE_SUPER) {
		auth_files_use(st->files, fd);
		return;
	}
	c = NEW(struct auth_client);
	c->st = st;
	list_init(&c->asks);
	list_append(&st->clients, &c->node);
	c->ipc = ipc_new(r->loop, fd, &client_ops, c);
}

static void auth_listen(struct role *r, const struct ipc_head *h, int fd)
{
	auth_smtp_listen(r->impl, h, fd);
}

static void auth_unlisten(struct role *r, uint64_t number)
{
	auth_smtp_unlisten(r->impl, number);
}

static int auth_go(struct role *r, struct err *e)
{
	struct auth_state *st = r->impl;

	(void)e;
	st->resolver = loop_queue_new(r->loop, 1);
	role_tell(r, IPC_READY, 0, NULL);
	return 0;
}

static void auth_stop(struct role *r, unsigned flags)
{
	(void)flags;
	role_stopped(r);
}

static void auth_on_admin(struct role *r, int fd, const struct ipc_head *h)
{
	auth_admin(r->impl, fd, h->flags);
}

static void auth_message(struct role *r, struct ipc_msg *m,
			 const struct ipc_head *h, struct arena *a)
{
	struct auth_state *st = r->impl;
	struct resolve *q;

	(void)a;
	if (m->type != IPC_RESOLVE || !st->resolver)
		return;
	q = NEW(struct resolve);
	q->st = st;
	q->stream = m->stream;
	q->host = xstrdup(h->name);
	loop_worker(st->resolver, resolve_work, resolve_done, q);
}

const struct role_ops *auth_role(void)
{
	static const struct role_ops ops = {
		.prepare = auth_prepare, .commit = auth_commit,
		.abort = auth_abort, .peer = auth_peer,
		.listen = auth_listen, .unlisten = auth_unlisten,
		.go = auth_go, .stop = auth_stop, .admin = auth_on_admin,
		.message = auth_message,
	};

	return &ops;
}
