/* The front process: life, listeners, channels. */

#include "node/front/front.h"
#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "node/base/rng.h"
#include "storage/account.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_BATCH 16		/* connections of one listener in one turn */

/* ---- questions ------------------------------------------------------------ */

struct front_req {
	struct list node;		/* in waiting, or alone */
	struct front *front;
	struct front_peer *to;
	uint64_t id;
	front_answer *cb;
	void *arg;
	struct buf held;		/* encoded head while the role is away */
	enum ipc_type held_type;
	struct loop_timer *timer;
};

static struct slice key_of(const uint64_t *id)
{
	return slice_of(id, sizeof(*id));
}

static void on_held_too_long(void *arg)
{
	struct front_req *q = arg;

	q->cb(q->arg, NULL, NULL);
}

struct front_req *front_ask(struct front *f, struct front_peer *to,
			    enum ipc_type type, const struct ipc_head *h,
			    front_answer *cb, void *arg)
{
	struct front_req *q = NEW(struct front_req);

	q->front = f;
	q->to = to;
	q->id = ++f->last_id;
	q->cb = cb;
	q->arg = arg;
	list_init(&q->node);
	buf_init(&q->held, IPC_MESSAGE_MAX);
	map_put(f->reqs, key_of(&q->id), q);
	if (to->ipc && ipc_say(to->ipc, type, q->id, h, SLICE_NONE, -1) == 0)
		return q;
	ipc_head_encode(h, &q->held);
	q->held_type = type;
	list_append(&f->waiting, &q->node);
	q->timer = loop_timer_new(f->role->loop, FRONT_HOLD_USEC,
				  on_held_too_long, q);
	return q;
}

int front_req_say(struct front_req *q, enum ipc_type type,
		  const struct ipc_head *h, struct slice body, int fd)
{
	int r = q->to->ipc && list_empty(&q->node)
			? ipc_say(q->to->ipc, type, q->id, h, body, fd)
			: E_TEMP;

	if (r < 0 && fd >= 0)
		close(fd);
	return r;
}

size_t front_req_queued(const struct front_req *q)
{
	return q->to->ipc ? ipc_queued(q->to->ipc) : 0;
}

void front_req_free(struct front_req *q)
{
	if (!q)
		return;
	map_remove(q->front->reqs, key_of(&q->id));
	list_remove(&q->node);
	loop_timer_free(q->timer);
	buf_fini(&q->held);
	free(q);
}

void front_req_retarget(struct front_req *q, front_answer *cb, void *arg)
{
	q->cb = cb;
	q->arg = arg;
}

static void release_held(struct front *f, struct front_peer *p)
{
	struct list *i = f->waiting.next;

	while (i != &f->waiting) {
		struct front_req *q = CONTAINER_OF(i, struct front_req, node);
		struct ipc_msg m = {.type = (uint16_t)q->held_type,
				    .stream = q->id, .fd = -1};

		i = i->next;
		if (q->to != p)
			continue;
		m.head = buf_all(&q->held);
		if (ipc_send(p->ipc, &m) < 0)
			return;
		list_remove(&q->node);
		loop_timer_free(TAKE(q->timer));
		buf_fini(&q->held);
		buf_init(&q->held, IPC_MESSAGE_MAX);
	}
}

static void on_peer_message(void *arg, struct ipc_msg *m)
{
	struct front_peer *p = arg;
	struct front *f = p->front;
	struct front_req *q = map_get(f->reqs, key_of(&m->stream));
	struct arena *a;
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (!q || q->to != p) {
		/* Given up meanwhile. */
		if (m->fd >= 0)
			close(m->fd);
		return;
	}
	a = arena_new(1024);
	if (ipc_head_decode(m->head, a, &h, &e) < 0)
		log_event(f->role->log, LOG_ERR, "ipc_broken", NULL, "%s",
			  e.op);
	else
		q->cb(q->arg, m, &h);
	if (m->fd >= 0)
		close(m->fd);
	arena_free(a);
}

static void on_peer_closed(void *arg, const struct err *e)
{
	struct front_peer *p = arg;
	struct front *f = p->front;
	struct slice key;
	struct front_req **broken;
	void *v;
	size_t n = 0;

	(void)e;
	ipc_free(TAKE(p->ipc));
	broken = xzalloc((map_size(f->reqs) + 1) * sizeof(*broken));
	for (size_t i = 0; map_each(f->reqs, &i, &key, &v);) {
		struct front_req *q = v;

		if (q->to == p && list_empty(&q->node))
			broken[n++] = q;
	}
	for (size_t i = 0; i < n; i++)
		broken[i]->cb(broken[i]->arg, NULL, NULL);
	free(broken);
}

static const struct ipc_ops peer_ops = {
	.message = on_peer_message, .closed = on_peer_closed,
};

struct front_peer *front_store(struct front *f, const char *user,
			       struct id128 *id_out)
{
	const struct node_identity *id = &f->role->identity;

	if (!id->has)
		return NULL;
	*id_out = account_id_of(slice_of(id->pair_id.b, 16), slice_str(user));
	return &f->stores[role_store_of(f->role, *id_out)];
}

/* ---- configuration --------------------------------------------------------- */

static int tls_of(struct conf *c, struct tls_ctx **out, struct err *e)
{
	const char *opts = conf_str(c, NULL, "ssl_options");
	struct tls_opts o = {
		.cert = conf_content(c, NULL, "ssl_cert", NULL),
		.key = conf_content(c, NULL, "ssl_key", NULL),
		.dh = conf_content(c, NULL, "ssl_dh", NULL),
		.min_protocol = conf_str(c, NULL, "ssl_min_protocol"),
		.cipher_list = conf_str(c, NULL, "ssl_cipher_list"),
		.cipher_suites = conf_str(c, NULL, "ssl_cipher_suites"),
		.curve_list = conf_str(c, NULL, "ssl_curve_list"),
		.prefer_server_ciphers =
			conf_bool(c, NULL, "ssl_prefer_server_ciphers"),
		.no_ticket = strstr(opts, "no_ticket") != NULL,
		.no_compression = strstr(opts, "no_compression") != NULL,
	};

	if (strcmp(conf_str(c, NULL, "ssl"), "no") == 0)
		return 0;
	/* As in 2.3: ssl = yes without a certificate offers no TLS. */
	if (o.cert.n == 0 && o.key.n == 0)
		return 0;
	if (o.cert.n == 0 || o.key.n == 0)
		return err_set(e, E_CONFIG, "%s is set, but %s is not",
			       o.cert.n ? "ssl_cert" : "ssl_key",
			       o.cert.n ? "ssl_key" : "ssl_cert");
	if (tls_ctx_new(&o, out, e) < 0) {
		err_prefix(e, "ssl");
		return e->code;
	}
	return 0;
}

static const char *upper_words(struct arena *a, const char *s)
{
	char *p = arena_strdup(a, s);

	for (char *c = p; *c; c++)
		if (*c >= 'a' && *c <= 'z')
			*c -= 'a' - 'A';
	return p;
}

static const char *own_hostname(struct arena *a, struct conf *c)
{
	const char *set = conf_str(c, NULL, "hostname");
	char name[256] = "localhost";

	if (*set)
		return arena_strdup(a, set);
	gethostname(name, sizeof(name) - 1);
	return arena_strdup(a, name);
}

struct front_conf *front_conf_new(struct role *r, struct conf *c,
				  struct err *e)
{
	struct arena *a = arena_new(1024);
	struct front_conf *fc = ARENA_NEW(a, struct front_conf);
	static const char *const services[LOGIN_SERVICES] = {
		[LOGIN_IMAP] = "imap-login", [LOGIN_POP3] = "pop3-login",
	};

	fc->arena = a;
	fc->refs = 1;
	if (tls_of(c, &fc->tls, e) < 0) {
		arena_free(a);
		return NULL;
	}
	fc->conf = conf_ref(c);
	fc->ssl_required = strcmp(conf_str(c, NULL, "ssl"), "required") == 0;
	fc->plaintext_disabled = conf_bool(c, NULL, "disable_plaintext_auth");
	fc->failure_delay_usec = conf_time(c, NULL, "auth_failure_delay");
	fc->mechanisms = upper_words(a, conf_str(c, NULL, "auth_mechanisms"));
	fc->greeting = arena_strdup(a, conf_str(c, NULL, "login_greeting"));
	fc->hostname = arena_strdup(a, own_hostname(a, c));
	for (size_t i = 0; i < LOGIN_SERVICES; i++) {
		uint64_t cap = conf_process_limit(c, services[i]);

		fc->unauth_max[i] = (cap ? cap : FRONT_UNAUTH_DEFAULT) /
				    (r->n_front ? r->n_front : 1);
		if (fc->unauth_max[i] == 0)
			fc->unauth_max[i] = 1;
	}
	return fc;
}

struct front_conf *front_conf_ref(struct front_conf *c)
{
	c->refs++;
	return c;
}

void front_conf_unref(struct front_conf *c)
{
	if (!c || --c->refs)
		return;
	conf_unref(c->conf);
	tls_ctx_unref(c->tls);
	arena_free(c->arena);
}

/* ---- connections ------------------------------------------------------------- */

void front_addr_of(int fd, struct front_addr *a)
{
	stream_peer_text(fd, a->rip, sizeof(a->rip), &a->rport);
	stream_local_text(fd, a->lip, sizeof(a->lip), &a->lport);
}

bool front_secured(const struct front_conf *c, const struct front_addr *a,
		   bool tls)
{
	if (tls)
		return true;
	/* Not “loopback”: through NAT, 127.0.0.1 may be anybody. */
	if (a->rip[0] && strcmp(a->rip, a->lip) == 0)
		return true;
	return a->rip[0] && conf_in_networks(c->conf, NULL,
					     "login_trusted_networks", a->rip);
}

void front_session_id(struct front *f, char out[17])
{
	uint8_t raw[12];
	struct buf b;

	f->role->sys.rng->bytes(f->role->sys.rng, raw, sizeof(raw));
	buf_init(&b, 32);
	base64_put(&b, slice_of(raw, sizeof(raw)));
	memcpy(out, b.p, 16);
	out[16] = 0;
	buf_fini(&b);
}

static void on_accept(void *arg, unsigned events)
{
	struct front_listener *l = arg;
	struct front *f = l->front;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR &&
			    errno != ECONNABORTED)
				log_event(f->role->log, LOG_ERR,
					  "accept_failed", NULL, "accept: %s",
					  strerror(errno));
			return;
		}
		if (l->purpose == CONF_FOR_LMTP)
			lmtp_accept(f, f->conf, fd, l->tls);
		else
			login_accept(f, f->conf,
				     l->purpose == CONF_FOR_POP3 ? &login_pop3
								 : &login_imap,
				     fd, l->tls);
	}
}

static void listener_start(struct front_listener *l)
{
	if (!l->io && l->front->accepting)
		l->io = loop_io_new(l->front->role->loop, l->fd, LOOP_IN,
				    on_accept, l);
}

static void listener_free(struct front_listener *l)
{
	list_remove(&l->node);
	loop_io_free(l->io);
	close(l->fd);
	free(l);
}

/* ---- the role ------------------------------------------------------------------ */

static void peer_init(struct front *f, struct front_peer *p, enum ipc_role kind,
		      unsigned index)
{
	*p = (struct front_peer){.front = f, .kind = kind, .index = index};
}

static struct front *front_new(struct role *r)
{
	struct front *f = NEW(struct front);

	f->role = r;
	f->reqs = map_new();
	list_init(&f->listeners);
	list_init(&f->waiting);
	list_init(&f->logins);
	list_init(&f->lmtps);
	list_init(&f->relays);
	peer_init(f, &f->auth, ROLE_AUTH, 0);
	peer_init(f, &f->sync, ROLE_SYNC, 0);
	for (unsigned i = 0; i < ARRAY_LEN(f->stores); i++)
		peer_init(f, &f->stores[i], ROLE_STORE, i);
	return f;
}

static int front_prepare(struct role *r, struct conf *c, bool reload,
			 struct err *e)
{
	struct front *f = r->impl;

	(void)reload;
	if (!f)
		r->impl = f = front_new(r);
	f->next = front_conf_new(r, c, e);
	return f->next ? 0 : e->code;
}

static void front_commit(struct role *r)
{
	struct front *f = r->impl;

	front_conf_unref(f->conf);
	f->conf = TAKE(f->next);
}

static void front_abort(struct role *r)
{
	struct front *f = r->impl;

	front_conf_unref(TAKE(f->next));
}

static void front_on_peer(struct role *r, enum ipc_role kind, unsigned index,
			  int fd)
{
	struct front *f = r->impl;
	struct front_peer *p = kind == ROLE_AUTH ? &f->auth :
			       kind == ROLE_SYNC ? &f->sync :
			       index < ARRAY_LEN(f->stores)
				       ? &f->stores[index] : NULL;
	struct err e = ERR_NONE;

	if (!p) {
		close(fd);
		return;
	}
	if (p->ipc)
		on_peer_closed(p, &e);
	p->ipc = ipc_new(r->loop, fd, &peer_ops, p);
	release_held(f, p);
}

static void front_listen(struct role *r, const struct ipc_head *h, int fd)
{
	struct front *f = r->impl;
	struct front_listener *l = NEW(struct front_listener);

	l->front = f;
	l->number = h->value;
	l->fd = fd;
	l->purpose = (enum conf_purpose)h->code;
	l->tls = h->flags & LISTEN_TLS;
	list_append(&f->listeners, &l->node);
	listener_start(l);
}

static void front_unlisten(struct role *r, uint64_t number)
{
	struct front *f = r->impl;

	for (struct list *i = f->listeners.next; i != &f->listeners;
	     i = i->next) {
		struct front_listener *l =
			CONTAINER_OF(i, struct front_listener, node);

		if (l->number == number) {
			listener_free(l);
			return;
		}
	}
}

static int front_go(struct role *r, struct err *e)
{
	struct front *f = r->impl;

	(void)e;
	f->accepting = true;
	for (struct list *i = f->listeners.next; i != &f->listeners;
	     i = i->next)
		listener_start(CONTAINER_OF(i, struct front_listener, node));
	role_tell(r, IPC_READY, 0, NULL);
	return 0;
}

void front_maybe_drained(struct front *f)
{
	if (f->draining && !f->stopped && lmtp_idle(f)) {
		f->stopped = true;
		role_stopped(f->role);
	}
}

static void say_stopped(void *arg)
{
	role_stopped(arg);
}

static void front_stop(struct role *r, unsigned flags)
{
	struct front *f = r->impl;

	f->accepting = false;
	while (!list_empty(&f->listeners))
		listener_free(CONTAINER_OF(f->listeners.next,
					   struct front_listener, node));
	if (flags & STOP_ACCEPT) {
		f->draining = true;
		login_drain(f);
		lmtp_drain(f);
		front_maybe_drained(f);
		return;
	}
	relay_finish_all(f);
	/* One turn for the last words to leave. */
	loop_defer(r->loop, say_stopped, r);
}

static void front_admin(struct role *r, int fd, const struct ipc_head *h)
{
	(void)r;
	(void)h;
	close(fd);
}

const struct role_ops *front_role(void)
{
	static const struct role_ops ops = {
		.prepare = front_prepare, .commit = front_commit,
		.abort = front_abort, .peer = front_on_peer,
		.listen = front_listen, .unlisten = front_unlisten,
		.go = front_go, .stop = front_stop, .admin = front_admin,
	};

	return &ops;
}
