/* A store process: life, channels, ticks, orderly stop. */

#include "node/store/store_role.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "auth/auth.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- engine: what it wants said and done ---------------------------------- */

static void out_send(void *arg, const struct link_msg *m)
{
	struct store_node *n = arg;
	struct buf b;
	struct ipc_msg env;

	if (!n->sync.ipc)
		return;
	buf_init(&b, IPC_MESSAGE_MAX + 64);
	if (link_encode(&b, m) == 0 &&
	    ipc_decode(buf_all(&b), &env, NULL) > 0) {
		env.fd = -1;
		/* Full: dropped, as a link would; it is read again (Nack). */
		ipc_send(n->sync.ipc, &env);
	}
	buf_fini(&b);
}

static size_t out_queued(void *arg)
{
	struct store_node *n = arg;

	return n->sync.ipc ? ipc_queued(n->sync.ipc) : 0;
}

static void out_evict(void *arg, struct account *a, const char *why)
{
	sessions_evict_account(arg, a, why);
}

/* Where somebody has to do something; the rest is the pair's daily life. */
static int level_of(const char *event)
{
	static const char *const bad[] = {
		"space_low", "publish_waits", "account_parked",
		"account_forked", "digest_mismatch",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (strcmp(event, bad[i]) == 0)
			return LOG_ERR;
	return LOG_INF;
}

static void out_event(void *arg, const char *event, struct account *a,
		      const char *text)
{
	struct store_node *n = arg;

	log_event(n->role->log, level_of(event), event, a ? account_name(a) : NULL,
		  "%s", text);
}

/* An account of the partner's that is new here: userdb says where it goes. */
static void out_locate(void *arg, struct id128 id, const char *name)
{
	struct store_node *n = arg;
	struct ipc_head h = {.login = name, .service = "doveadm",
			     .flags = AUTH_AUTHENTICATED | AUTH_SECURED};
	struct store_lookup *l = NEW(struct store_lookup);
	struct err e = ERR_NONE;

	l->id = id;
	l->name = xstrdup(name);
	l->stream = ++n->last_stream;
	if (!n->auth.ipc || ipc_say(n->auth.ipc, IPC_AUTH_USERDB_GET,
				    l->stream, &h, SLICE_NONE, -1) < 0) {
		err_set(&e, E_TEMP, "%s: the auth process is away", name);
		engine_located(n->engine, id, name, NULL, &e);
		free(l->name);
		free(l);
		return;
	}
	list_append(&n->lookups, &l->node);
}

static void lookup_end(struct store_node *n, struct store_lookup *l,
		       const char *root, const struct err *e)
{
	list_remove(&l->node);
	if (n->engine)
		engine_located(n->engine, l->id, l->name, root, e);
	free(l->name);
	free(l);
}

static void on_userdb(struct store_node *n, uint64_t stream,
		      const struct ipc_head *h)
{
	for (struct list *i = n->lookups.next; i != &n->lookups; i = i->next) {
		struct store_lookup *l =
			CONTAINER_OF(i, struct store_lookup, node);
		struct err e = ERR_NONE;
		struct arena *a;
		struct place p;

		if (l->stream != stream)
			continue;
		a = arena_new(1024);
		if (h->code == AUTH_OK &&
		    locate(n, l->name, h->home, h->fields, h->n_fields, a, &p,
			   &e) == 0) {
			lookup_end(n, l, p.root, NULL);
		} else {
			if (h->code == AUTH_UNKNOWN)
				err_set(&e, E_NOTFOUND, "unknown user on this "
					"node");
			else if (e.code == 0)
				err_set(&e, E_TEMP, "%s", h->text);
			lookup_end(n, l, NULL, &e);
		}
		arena_free(a);
		return;
	}
}

static void store_failed(void *arg, const struct err *e)
{
	struct store_node *n = arg;

	if (n->failed)
		return;
	n->failed = true;
	log_event(n->role->log, LOG_FATAL, "store_failed", NULL, "%s", e->op);
	/* Resigned at the partner, so that it takes the accounts over; the
	 * process goes on to send clients and mail there. */
	if (n->engine)
		engine_failed(n->engine, e);
}

static void store_news(void *arg, enum store_news what, struct id128 id,
		       const char *name, const char *text)
{
	static const char *const events[] = {
		[STORE_PARKED] = "account_parked",
		[STORE_HEALED] = "account_healed",
		[STORE_DAMAGED] = "account_damaged",
		[STORE_WAITS] = "cut_waits",
	};
	struct store_node *n = arg;
	char hex[33];

	hex_of(id.b, 16, hex);
	log_event(n->role->log, what == STORE_HEALED ? LOG_WARN : LOG_ERR,
		  events[what], *name ? name : hex, "%s", text);
}

/* ---- opening ------------------------------------------------------------------ */

static void engine_opts_of(struct store_node *n, struct engine_opts *o)
{
	struct conf *c = n->role->conf;
	const struct node_identity *id = &n->role->identity;
	static const char *const policies[4] = {
		"pair_degraded_delivery", "pair_degraded_append",
		"pair_degraded_mailbox", "pair_degraded_flags",
	};
	struct arena *a = arena_new(512);
	struct conf_replica replica;

	conf_replica(c, NULL, a, &replica);
	*o = (struct engine_opts){
		.sys = &n->role->sys, .store = n->store,
		.pair_id = slice_of(n->role->identity.pair_id.b, 16),
		.pair_time = id->pair_time, .node = id->index,
		.single = !replica.set && !id->member,
		.trusted = id->trusted, .partner_member = id->member,
		.forgotten = !id->member && id->n_retired,
		.manual = strcmp(conf_str(c, NULL, "pair_partition"),
				 "manual") == 0,
		.max_conns = (unsigned)conf_u64(c, NULL,
						"replication_max_conns"),
		.ack_timeout = (unsigned)(
			conf_time(c, NULL, "pair_ack_timeout") /
			STORE_TICK_USEC),
		.takeover_delay = (unsigned)(
			conf_time(c, NULL, "pair_takeover_delay") /
			STORE_TICK_USEC),
		.start_window = (unsigned)(
			conf_time(c, NULL, "pair_start_window") /
			STORE_TICK_USEC),
		.handover_interval_usec =
			conf_time(c, NULL, "pair_handover_interval"),
	};
	for (int i = 0; i < 4; i++)
		o->degraded[i] = strcmp(conf_str(c, NULL, policies[i]),
					"tempfail") == 0 ? DEGRADED_TEMPFAIL
							 : DEGRADED_ACK;
	arena_free(a);
}

/* Only now may the link's news come: before there is nobody to take them. */
static void tell_sync(struct store_node *n)
{
	if (n->sync.ipc)
		ipc_note(n->sync.ipc,
			 n->engine ? IPC_STORE_OPEN : IPC_STORE_SHUT, 0);
}

static void set_policy(struct store_node *n)
{
	struct conf *c = n->role->conf;
	struct store_policy p = {
		.expunged_keep_usec = conf_time(c, NULL, "pair_expunged_keep"),
		.log_keep_usec = conf_time(c, NULL, "pair_log_keep"),
		.log_size = conf_size(c, NULL, "pair_log_size"),
		.partner = n->role->identity.member,
	};

	store_set_policy(n->store, &p);
}

static int open_store(struct store_node *n, struct err *e)
{
	struct role *r = n->role;
	struct conf *c = r->conf;
	struct store_opts so = {
		.sys = &r->sys,
		.pair_id = slice_of(r->identity.pair_id.b, 16),
		.pair_time = r->identity.pair_time,
		.node = r->identity.index,
		.state_dir = conf_str(c, NULL, "state_dir"),
		.mail_root = r->mail_root,
		.process = r->index, .processes = r->n_store,
		.journal_size = conf_size(c, NULL, "pair_journal_size"),
		.journal_inline =
			(uint32_t)conf_size(c, NULL, "pair_journal_inline"),
		.reserve = conf_size(c, NULL, "pair_reserve"),
		.failed = store_failed, .news = store_news, .arg = n,
	};
	struct engine_out out = {
		.send = out_send, .evict = out_evict, .locate = out_locate,
		.event = out_event, .queued = out_queued, .arg = n,
	};
	struct engine_opts eo;

	if (store_open(&so, &n->store, e) < 0)
		return e->code;
	engine_opts_of(n, &eo);
	if (engine_new(&eo, &out, &n->engine, e) < 0) {
		store_close(TAKE(n->store));
		return e->code;
	}
	set_policy(n);
	memcpy(n->opened_pair, r->identity.pair_id.b, 16);
	n->opened_index = r->identity.index;
	n->host = (struct session_host){
		.loop = r->loop, .sys = &r->sys, .log = r->log,
		.store = n->store, .engine = n->engine,
		.imap_shared = n->host.imap_shared,
		.version = DUET_VERSION, .single = eo.single,
		.started_seconds = (int64_t)(clock_real(r->sys.clock) /
					     USEC_PER_SEC),
	};
	tell_sync(n);
	return 0;
}

bool store_open_now(struct store_node *n)
{
	return n->engine && !n->failed;
}

const char *store_shut_why(const struct store_node *n)
{
	return n->failed ? "the disk of this node failed and nothing more is "
			   "written to it; the log says what failed.  Mend it "
			   "and start duetd again" : "the store is not open";
}

static void close_store(struct store_node *n)
{
	engine_free(TAKE(n->engine));
	store_close(TAKE(n->store));
	tell_sync(n);
}

/* ---- turns and ticks ------------------------------------------------------------ */

static void on_turn(void *arg)
{
	struct store_node *n = arg;

	if (!n->engine)
		return;
	if (n->tick_due)
		engine_tick(n->engine, false);
	n->tick_due = false;
	engine_turn(n->engine);
	if (!n->failed)
		store_turn(n->store);
}

/* A tick is counted in the turn's end, after all input: a process that slept
 * reads what came meanwhile before it counts the silence.  What sync heard of
 * the partner comes as LINK_TICK; a dead sync is silence too. */
static void on_tick(void *arg)
{
	struct store_node *n = arg;

	loop_timer_set(n->tick, STORE_TICK_USEC);
	n->tick_due = true;
}

static void on_periodic(void *arg)
{
	struct store_node *n = arg;

	loop_timer_set(n->periodic, STORE_PERIODIC_USEC);
	if (store_open_now(n))
		store_periodic(n->store);
}

/* ---- channels ---------------------------------------------------------------------- */

static void from_front(struct store_peer *p, struct ipc_msg *m,
		       const struct ipc_head *h)
{
	struct store_node *n = p->node;
	int fd = m->fd;

	switch (m->type) {
	case IPC_ADMIN:
		if (p->kind != ROLE_SYNC)
			break;
		m->fd = -1;
		store_admin(n, fd, h->flags | ADMIN_FROM_PARTNER);
		break;
	case IPC_LOGIN_ASK:
		arrive_ask(p, m->stream, h);
		break;
	case IPC_LOGIN_CANCEL:
	case IPC_LOGIN_GONE:
		arrive_cancel(p, m->stream);
		break;
	case IPC_LOGIN_FD:
		m->fd = -1;
		arrive_fd(p, m->stream, fd, m->body);
		break;
	case IPC_DELIVER:
		delivery_begin(p, m->stream, h);
		break;
	case IPC_DELIVER_DATA:
		delivery_data(p, m->stream, m->body);
		break;
	case IPC_DELIVER_END:
		delivery_end(p, m->stream);
		break;
	case IPC_DELIVER_CANCEL:
		delivery_cancel(p, m->stream);
		break;
	case IPC_DELIVER_SEEN:
		delivery_seen(p, m->stream);
		break;
	case IPC_DELIVER_WHOLE:
		m->fd = -1;
		delivery_whole(p, m->stream, h, m->body, fd);
		break;
	case IPC_DELIVER_REPLY:
		delivery_sibling_reply(n, m->stream, h);
		break;
	case IPC_AUTH_RESULT:
		on_userdb(n, m->stream, h);
		break;
	}
}

static void from_link(struct store_node *n, const struct ipc_msg *m)
{
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct link_msg lm;

	if (link_decode(m, a, &lm, &e) < 0) {
		log_event(n->role->log, LOG_ERR, "link_message_broken", NULL,
			  "%s", e.op);
	} else if (n->engine) {
		engine_message(n->engine, &lm);
	}
	arena_free(a);
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct store_peer *p = arg;
	struct arena *a;
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (m->type >= LINK_HELLO && m->type < LINK_TYPE_END) {
		from_link(p->node, m);
		return;
	}
	a = arena_new(2048);
	if (ipc_head_decode(m->head, a, &h, &e) < 0)
		log_event(p->node->role->log, LOG_ERR, "ipc_broken", NULL,
			  "%s", e.op);
	else
		from_front(p, m, &h);
	if (m->fd >= 0)
		close(m->fd);
	arena_free(a);
}

static void fail_lookups(struct store_node *n)
{
	struct err e = ERR_NONE;

	err_set(&e, E_TEMP, "the auth process went away");
	while (!list_empty(&n->lookups))
		lookup_end(n, CONTAINER_OF(n->lookups.next,
					   struct store_lookup, node),
			   NULL, &e);
}

static void on_closed(void *arg, const struct err *e)
{
	struct store_peer *p = arg;
	struct store_node *n = p->node;

	(void)e;
	ipc_free(TAKE(p->ipc));
	arrive_peer_gone(p);
	sessions_peer_gone(p);
	delivery_peer_gone(p);
	if (p->kind == ROLE_AUTH)
		fail_lookups(n);
	if (p->kind == ROLE_SYNC && n->engine)
		engine_link_down(n->engine);
}

static const struct ipc_ops peer_ops = {
	.message = on_message, .closed = on_closed,
};

struct store_peer *store_sibling(struct store_node *n, unsigned index)
{
	return index < STORE_PEERS_MAX ? &n->stores[index] : NULL;
}

static struct store_peer *peer_of(struct store_node *n, enum ipc_role kind,
				  unsigned index)
{
	switch (kind) {
	case ROLE_AUTH:
		return &n->auth;
	case ROLE_SYNC:
		return &n->sync;
	case ROLE_FRONT:
		return index < STORE_PEERS_MAX ? &n->fronts[index] : NULL;
	case ROLE_STORE:
		return index < STORE_PEERS_MAX ? &n->stores[index] : NULL;
	default:
		return NULL;
	}
}

static void store_peer_new(struct role *r, enum ipc_role kind, unsigned index,
			   int fd)
{
	struct store_node *n = r->impl;
	struct store_peer *p = peer_of(n, kind, index);
	struct err e = ERR_NONE;

	if (!p) {
		close(fd);
		return;
	}
	if (p->ipc)
		on_closed(p, &e);
	p->ipc = ipc_new(r->loop, fd, &peer_ops, p);
	if (kind == ROLE_SYNC && n->engine)
		tell_sync(n);
}

/* ---- orderly stop -------------------------------------------------------------------- */

/* Engine and store call back from inside themselves: what comes next waits
 * until they are done. */
static void close_and_go(void *arg)
{
	struct store_node *n = arg;

	close_store(n);
	imap_shared_free(&n->host);
	role_stopped(n->role);
}

static void on_checkpointed(void *arg)
{
	struct store_node *n = arg;

	loop_defer(n->role->loop, close_and_go, n);
}

static void start_checkpoint(void *arg)
{
	struct store_node *n = arg;

	if (n->failed)
		role_stopped(n->role);
	else
		store_checkpoint(n->store, on_checkpointed, n);
}

static void on_handed_over(void *arg)
{
	struct store_node *n = arg;

	loop_defer(n->role->loop, start_checkpoint, n);
}

static void start_hand_over(struct store_node *n)
{
	if (n->handing_over)
		return;
	n->handing_over = true;
	loop_timer_free(TAKE(n->stop_timer));
	engine_hand_over_all(n->engine, on_handed_over, n);
}

void store_maybe_quiet(struct store_node *n)
{
	if (!n->stopping || n->handing_over || !n->engine)
		return;
	if (list_empty(&n->sessions) && list_empty(&n->deliveries) &&
	    list_empty(&n->siblings))
		start_hand_over(n);
}

static void on_stop_late(void *arg)
{
	start_hand_over(arg);
}

static void store_stop(struct role *r, unsigned flags)
{
	struct store_node *n = r->impl;

	(void)flags;
	n->stopping = true;
	if (!store_open_now(n)) {
		role_stopped(r);
		return;
	}
	n->stop_timer = loop_timer_new(r->loop, STORE_STOP_SESSIONS_USEC,
				       on_stop_late, n);
	sessions_evict_all(n, "UNAVAILABLE", "Server is going down, connect "
			   "again.");
	store_maybe_quiet(n);
}

/* ---- the role -------------------------------------------------------------------------- */

static void peer_init(struct store_node *n, struct store_peer *p,
		      enum ipc_role kind, unsigned index)
{
	*p = (struct store_peer){.node = n, .kind = kind, .index = index};
}

static struct store_node *node_new(struct role *r)
{
	struct store_node *n = NEW(struct store_node);

	n->role = r;
	list_init(&n->sessions);
	list_init(&n->arrivals);
	list_init(&n->deliveries);
	list_init(&n->siblings);
	list_init(&n->lookups);
	n->counts = map_new();
	n->seen = map_new();
	peer_init(n, &n->auth, ROLE_AUTH, 0);
	peer_init(n, &n->sync, ROLE_SYNC, 0);
	for (unsigned i = 0; i < STORE_PEERS_MAX; i++) {
		peer_init(n, &n->fronts[i], ROLE_FRONT, i);
		peer_init(n, &n->stores[i], ROLE_STORE, i);
	}
	/* What is made below a mail root is for its owner alone. */
	umask(077);
	return n;
}

static int store_prepare(struct role *r, struct conf *c, bool reload,
			 struct err *e)
{
	struct store_node *n = r->impl;

	(void)reload;
	if (!n)
		r->impl = n = node_new(r);
	n->next = store_conf_new(r, c, e);
	return n->next ? 0 : e->code;
}

static void store_commit(struct role *r)
{
	struct store_node *n = r->impl;
	struct engine_opts eo;

	store_conf_unref(n->conf);
	n->conf = TAKE(n->next);
	if (n->engine) {
		engine_opts_of(n, &eo);
		engine_reconfigure(n->engine, &eo);
		set_policy(n);
		n->host.single = eo.single;
	}
}

static void store_abort(struct role *r)
{
	struct store_node *n = r->impl;

	store_conf_unref(TAKE(n->next));
}

/* Before there is an identity nothing is served; when the provisional one of
 * a node alone is dropped, its (empty) store is opened anew. */
static void store_identity(struct role *r)
{
	struct store_node *n = r->impl;
	struct engine_opts eo;
	struct err e = ERR_NONE;

	if (n->engine && (r->identity.index != n->opened_index ||
			  memcmp(r->identity.pair_id.b, n->opened_pair, 16)))
		close_store(n);
	if (n->engine) {
		engine_opts_of(n, &eo);
		engine_reconfigure(n->engine, &eo);
		set_policy(n);
		n->host.single = eo.single;
		return;
	}
	if (!r->started || !r->identity.has)
		return;
	if (open_store(n, &e) < 0)
		role_fatal(r, &e);
}

static int store_go(struct role *r, struct err *e)
{
	struct store_node *n = r->impl;

	if (r->identity.has && !n->engine && open_store(n, e) < 0)
		return e->code;
	loop_post(r->loop, on_turn, n);
	n->tick = loop_timer_new(r->loop, STORE_TICK_USEC, on_tick, n);
	n->periodic = loop_timer_new(r->loop, STORE_PERIODIC_USEC, on_periodic,
				     n);
	role_tell(r, IPC_READY, 0, NULL);
	return 0;
}

static void store_on_admin(struct role *r, int fd, const struct ipc_head *h)
{
	store_admin(r->impl, fd, h->flags);
}

const struct role_ops *store_role(void)
{
	static const struct role_ops ops = {
		.prepare = store_prepare, .commit = store_commit,
		.abort = store_abort, .peer = store_peer_new,
		.go = store_go, .identity = store_identity,
		.stop = store_stop, .admin = store_on_admin,
	};

	return &ops;
}
