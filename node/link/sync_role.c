/* The sync process: life, channels, ticks, identity, status. */

#include "node/link/sync_role.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"
#include "node/base/map.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define CERT_DAYS 3650u

void sync_trouble(struct sync_node *sn, const char *fmt, ...)
{
	char text[sizeof(sn->trouble[0])];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < SYNC_TROUBLES; i++)
		if (strcmp(text, sn->trouble[i]) == 0) {
			sn->last_trouble = i;
			return;
		}
	sn->last_trouble = (sn->last_trouble + 1) % SYNC_TROUBLES;
	memcpy(sn->trouble[sn->last_trouble], text, sizeof(text));
	log_event(sn->role->log, LOG_ERR, "link_trouble", NULL, "%s", text);
}

/* ---- what the link's brain wants -------------------------------------------- */

static void out_send(void *arg, void *conn, const struct link_msg *m)
{
	(void)arg;
	link_conn_send(conn, m);
}

static void out_close(void *arg, void *conn, const char *why)
{
	(void)arg;
	link_conn_close(conn, why);
}

static void out_dial(void *arg, enum link_channel ch)
{
	struct sync_node *sn = arg;

	link_dial(sn->dialer, ch);
}

static void to_one(struct sync_peer *p, const struct ipc_msg *env)
{
	/* Its queue is full: dropped, the account is read again (Nack). */
	if (p->ipc && (!link_is_bulky(env->type) ||
		       ipc_queued(p->ipc) < IPC_QUEUE_MAX / 2))
		ipc_send(p->ipc, env);
}

static void out_to_store(void *arg, int process, const struct link_msg *m)
{
	struct sync_node *sn = arg;
	struct ipc_msg env;
	struct buf b;

	/* Streams that ran over control end with it. */
	if (m->type == LINK_DOWN && process < 0)
		proxy_link_lost(sn);
	buf_init(&b, IPC_MESSAGE_MAX + 64);
	if (link_encode(&b, m) == 0 &&
	    ipc_decode(buf_all(&b), &env, NULL) > 0) {
		env.fd = -1;
		if (process >= 0 && process < (int)SYNC_STORES_MAX)
			to_one(&sn->stores[process], &env);
		for (unsigned i = 0; process < 0 && i < sn->role->n_store; i++)
			to_one(&sn->stores[i], &env);
	}
	buf_fini(&b);
}

static void out_stream(void *arg, const struct link_msg *m)
{
	proxy_from_link(arg, m);
}

static void out_identity(void *arg, const struct node_identity *id)
{
	struct sync_node *sn = arg;
	uint8_t bytes[IDENTITY_SIZE];
	struct ipc_head h = {.data = slice_of(bytes, sizeof(bytes))};

	identity_encode(id, bytes);
	sn->identities_pending++;
	role_tell(sn->role, IPC_IDENTITY_WRITE, 0, &h);
}

static void out_event(void *arg, const char *event, const char *text)
{
	struct sync_node *sn = arg;

	int level = strcmp(event, "pair_refused") == 0 ? LOG_ERR :
		    strcmp(event, "pair_clock") == 0 ? LOG_WARN : LOG_INF;

	log_event(sn->role->log, level, event, NULL, "%s", text);
}

/* ---- the brain itself ----------------------------------------------------------- */

static void partner_of(struct sync_node *sn, struct arena *a,
		       struct conf_replica *out)
{
	conf_replica(sn->role->conf, NULL, a, out);
}

/* A partner is configured, or was once: then there is a link to be had. */
static void link_begin(struct sync_node *sn)
{
	struct role *r = sn->role;
	struct arena *a = arena_new(512);
	struct conf_replica replica;
	struct node_link_opts o = {
		.clock = r->sys.clock, .rng = r->sys.rng,
		.identity = r->identity, .has_accounts = sn->has_accounts,
		.clock_skew_usec = conf_time(r->conf, NULL, "pair_clock_skew"),
		.stores = r->n_store,
	};
	struct node_link_out out = {
		.send = out_send, .close = out_close, .dial = out_dial,
		.to_store = out_to_store, .stream = out_stream,
		.identity = out_identity, .event = out_event, .arg = sn,
	};

	partner_of(sn, a, &replica);
	link_dialer_target(sn->dialer, replica.set ? replica.host : NULL,
			   replica.port);
	if (!sn->link && (replica.set || r->identity.member)) {
		sn->link = node_link_new(&o, &out);
		for (unsigned i = 0; i < r->n_store; i++)
			if (sn->stores[i].attached)
				node_link_store_attached(sn->link, i);
	}
	arena_free(a);
}

/* ---- ticks: after all input of the turn --------------------------------------------- */

static void tell_status(struct sync_node *sn)
{
	struct node_link_status st;
	struct ipc_head h = {0};
	char text[200];

	node_link_status(sn->link, &st);
	snprintf(text, sizeof(text), "pair %s, link %s",
		 node_state_name(st.state), st.up ? "up" : "down");
	if (strcmp(text, sn->status) == 0)
		return;
	snprintf(sn->status, sizeof(sn->status), "%s", text);
	h.text = text;
	role_tell(sn->role, IPC_STATUS, 0, &h);
	log_event(sn->role->log, LOG_INF, "pair_state", NULL, "%s", text);
}

static void on_turn(void *arg)
{
	struct sync_node *sn = arg;

	if (!sn->tick_due)
		return;
	sn->tick_due = false;
	if (!sn->link)
		return;
	node_link_tick(sn->link);
	tell_status(sn);
}

static void on_timer(void *arg)
{
	struct sync_node *sn = arg;

	loop_timer_set(sn->timer, SYNC_TICK_USEC);
	sn->tick_due = true;
}

/* ---- channels --------------------------------------------------------------------------- */

static void from_store(struct sync_peer *p, const struct ipc_msg *env)
{
	struct sync_node *sn = p->node;
	struct arena *a = arena_new(2048);
	struct err e = ERR_NONE;
	struct link_msg m;

	if (link_decode(env, a, &m, &e) < 0) {
		log_event(sn->role->log, LOG_ERR, "link_message_broken", NULL,
			  "store %u: %s", p->index, e.op);
	} else if (sn->link) {
		node_link_from_store(sn->link, p->index, &m);
	}
	arena_free(a);
}

static void attach(struct sync_peer *p, bool open)
{
	struct node_link *l = p->node->link;

	if (l && open && !p->attached)
		node_link_store_attached(l, p->index);
	else if (l && !open && p->attached)
		node_link_store_detached(l, p->index);
	p->attached = open;
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct sync_peer *p = arg;
	struct arena *a;
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (m->type >= LINK_HELLO && m->type < LINK_TYPE_END) {
		if (p->kind == ROLE_STORE)
			from_store(p, m);
		return;
	}
	a = arena_new(1024);
	if (p->kind == ROLE_STORE && (m->type == IPC_STORE_OPEN ||
				      m->type == IPC_STORE_SHUT))
		attach(p, m->type == IPC_STORE_OPEN);
	else if (ipc_head_decode(m->head, a, &h, &e) < 0)
		log_event(p->node->role->log, LOG_ERR, "ipc_broken", NULL,
			  "%s", e.op);
	else if (p->kind == ROLE_FRONT)
		proxy_from_front(p, m, &h);
	else
		proxy_from_store(p, m, &h);
	if (m->fd >= 0)
		close(m->fd);
	arena_free(a);
}

static void on_closed(void *arg, const struct err *e)
{
	struct sync_peer *p = arg;
	(void)e;
	ipc_free(TAKE(p->ipc));
	proxy_peer_gone(p);
	if (p->kind == ROLE_STORE)
		attach(p, false);
}

static const struct ipc_ops peer_ops = {
	.message = on_message, .closed = on_closed,
};

static void sync_peer_new(struct role *r, enum ipc_role kind, unsigned index,
			  int fd)
{
	struct sync_node *sn = r->impl;
	struct sync_peer *p = index >= SYNC_STORES_MAX ? NULL :
			      kind == ROLE_STORE ? &sn->stores[index] :
			      kind == ROLE_FRONT ? &sn->fronts[index] : NULL;
	struct err e = ERR_NONE;

	if (!p) {
		close(fd);
		return;
	}
	if (p->ipc)
		on_closed(p, &e);
	p->ipc = ipc_new(r->loop, fd, &peer_ops, p);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static void on_accept(void *arg, unsigned events)
{
	struct link_listener *l = arg;
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		link_accept(l->sn, fd);
}

static void sync_listen(struct role *r, const struct ipc_head *h, int fd)
{
	struct sync_node *sn = r->impl;
	struct link_listener *l = NEW(struct link_listener);

	l->sn = sn;
	l->number = h->value;
	l->fd = fd;
	list_append(&sn->listeners, &l->node);
	l->io = loop_io_new(r->loop, fd, LOOP_IN, on_accept, l);
}

static void sync_unlisten(struct role *r, uint64_t number)
{
	struct sync_node *sn = r->impl;

	for (struct list *i = sn->listeners.next; i != &sn->listeners;
	     i = i->next) {
		struct link_listener *l =
			CONTAINER_OF(i, struct link_listener, node);

		if (l->number != number)
			continue;
		list_remove(&l->node);
		loop_io_free(l->io);
		close(l->fd);
		free(l);
		return;
	}
}

/* ---- the role -------------------------------------------------------------------------------- */

/* Both ends prove the secret bound to the channel: a certificate of our own
 * making suffices. */
static int tls_new(struct sync_node *sn, struct err *e)
{
	struct tls_opts server = {.min_protocol = "TLSv1.3"};
	struct tls_opts client = {.min_protocol = "TLSv1.3"};
	struct buf cert, key;
	int r;

	buf_init(&cert, 65536);
	buf_init(&key, 65536);
	r = tls_self_signed("duet-node", CERT_DAYS, &cert, &key, e);
	server.cert = buf_all(&cert);
	server.key = buf_all(&key);
	if (r == 0)
		r = tls_ctx_new(&server, &sn->server_tls, e);
	if (r == 0)
		r = tls_ctx_new(&client, &sn->client_tls, e);
	buf_fini(&cert);
	buf_fini(&key);
	return r;
}

static int sync_prepare(struct role *r, struct conf *c, bool reload,
			struct err *e)
{
	struct sync_node *sn = r->impl;

	(void)c;
	(void)reload;
	if (sn)
		return 0;
	r->impl = sn = NEW(struct sync_node);
	sn->role = r;
	list_init(&sn->listeners);
	list_init(&sn->conns);
	list_init(&sn->proxies);
	sn->proxy_of = map_new();
	sn->proxies_max = PROXIES_MAX;
	for (unsigned i = 0; i < SYNC_STORES_MAX; i++) {
		sn->stores[i] = (struct sync_peer){.node = sn, .kind = ROLE_STORE,
						   .index = i};
		sn->fronts[i] = (struct sync_peer){.node = sn, .kind = ROLE_FRONT,
						   .index = i};
	}
	sn->dialer = link_dialer_new(sn);
	sn->has_accounts = r->had_accounts;
	return tls_new(sn, e);
}

static void sync_commit(struct role *r)
{
	struct sync_node *sn = r->impl;

	if (r->started)
		link_begin(sn);
}

static void sync_abort(struct role *r)
{
	(void)r;
}

static void sync_identity(struct role *r)
{
	struct sync_node *sn = r->impl;

	if (sn->identities_pending && sn->link) {
		sn->identities_pending--;
		node_link_identity_written(sn->link);
	}
	sync_admin_identity(sn);
}

static int sync_go(struct role *r, struct err *e)
{
	struct sync_node *sn = r->impl;

	(void)e;
	link_begin(sn);
	loop_post(r->loop, on_turn, sn);
	sn->timer = loop_timer_new(r->loop, SYNC_TICK_USEC, on_timer, sn);
	role_tell(r, IPC_READY, 0, NULL);
	return 0;
}

static void sync_stop(struct role *r, unsigned flags)
{
	struct sync_node *sn = r->impl;

	(void)flags;
	/* The stores have handed over: what is queued goes out in order. */
	proxy_link_lost(sn);
	link_conns_close_all(sn);
	role_stopped(r);
}

static void sync_on_admin(struct role *r, int fd, const struct ipc_head *h)
{
	struct admin_head to;

	if (h->data.n != ADMIN_HEAD_SIZE || admin_head_get(h->data.p, &to) < 0)
		close(fd);
	else if (to.partner)
		proxy_admin(r->impl, fd, &to, h->flags);
	else
		sync_admin(r->impl, fd, h->flags);
}

static void sync_message(struct role *r, struct ipc_msg *m,
			 const struct ipc_head *h, struct arena *a)
{
	struct sync_node *sn = r->impl;
	struct link_resign resign = {.cause = 1};

	(void)a;
	if (m->type == IPC_RESOLVED)
		link_resolved(sn->dialer, h);
	else if (m->type == IPC_RESIGN && sn->link)
		node_link_resign(sn->link, h->index, &resign);
}

const struct role_ops *sync_role(void)
{
	static const struct role_ops ops = {
		.prepare = sync_prepare, .commit = sync_commit,
		.abort = sync_abort, .peer = sync_peer_new,
		.listen = sync_listen, .unlisten = sync_unlisten,
		.go = sync_go, .identity = sync_identity, .stop = sync_stop,
		.admin = sync_on_admin, .message = sync_message,
	};

	return &ops;
}
