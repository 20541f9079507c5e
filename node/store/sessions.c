/* The running sessions of a store process: what node/session.h promises. */

#include "node/store/store_role.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/loop.h"
#include "node/config/conf_vars.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

struct repair {
	struct list node;
	struct session *session;	/* NULL: nobody waits any more */
	session_repair_done *done;
	void *arg;
};

static struct store_node *node_of(const struct session *s)
{
	return CONTAINER_OF(s->host, struct store_node, host);
}

const char *session_field(const struct session *s, const char *name)
{
	for (size_t i = 0; i < s->n_fields; i++)
		if (strcmp(s->fields[i].name, name) == 0)
			return s->fields[i].value;
	return NULL;
}

struct session *sessions_new(struct store_node *n, struct store_peer *from,
			     uint64_t stream, const struct ipc_head *h,
			     struct account *a, int fd)
{
	struct arena *ar = arena_new(1024);
	struct session_origin *o = ARENA_NEW(ar, struct session_origin);
	struct session *s = ARENA_NEW(ar, struct session);
	struct session_field *f =
		arena_alloc(ar, (h->n_fields + 1) * sizeof(*f));

	for (size_t i = 0; i < h->n_fields; i++)
		f[i] = (struct session_field){
			arena_strdup(ar, h->fields[i].name),
			arena_strdup(ar, h->fields[i].value)};
	o->arena = ar;
	o->from = from;
	o->stream = stream;
	list_init(&o->repairs);
	*s = (struct session){
		.host = &n->host,
		.conf = store_conf_ref(n->conf),
		.service = arena_strdup(ar, h->service),
		.fd = fd,
		.login_tag = arena_strdup(ar, h->tag),
		.account = a,
		.user = arena_strdup(ar, h->user),
		.home = arena_strdup(ar, h->home),
		.rip = arena_strdup(ar, h->rip),
		.lip = arena_strdup(ar, h->lip),
		.rport = h->rport, .lport = h->lport,
		.id = arena_strdup(ar, h->session),
		.secured = h->flags & LOGIN_SECURED,
		.tls = h->flags & LOGIN_TLS,
		.proxied = h->flags & LOGIN_FROM_PARTNER,
		.fields = f, .n_fields = h->n_fields,
		.started_usec = clock_mono(n->role->sys.clock),
		.host_data = o,
	};
	list_append(&n->sessions, &s->node);
	return s;
}

static void free_session(struct session *s)
{
	struct store_node *n = node_of(s);
	struct session_origin *o = s->host_data;
	struct account *a = s->account;

	for (struct list *i = o->repairs.next; i != &o->repairs; i = i->next)
		CONTAINER_OF(i, struct repair, node)->session = NULL;
	/* The repairs themselves end by their own callbacks. */
	while (!list_empty(&o->repairs))
		list_remove(o->repairs.next);
	list_remove(&s->node);
	loop_timer_free(s->evict_timer);
	if (o->from && o->from->ipc)
		ipc_note(o->from->ipc, IPC_LOGIN_ENDED, o->stream);
	if (!s->proxied)
		arrive_count(n, s->user, s->service, s->rip, -1);
	store_conf_unref(s->conf);
	arena_free(o->arena);
	engine_leave(n->engine, a);
	store_maybe_quiet(n);
}

void sessions_drop(struct session *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free_session(s);
}

void session_ended(struct session *s, enum session_end how, const char *text,
		   const char *stats)
{
	(void)how;
	session_log(s, LOG_INF, "session_ended", "Disconnected: %s%s%s", text,
		    stats && *stats ? " " : "", stats ? stats : "");
	free_session(s);
}

bool session_has_sibling(const struct session *s)
{
	const struct list *all = &node_of(s)->sessions;

	for (const struct list *i = all->next; i != all; i = i->next) {
		const struct session *o = CONTAINER_OF(i, struct session,
						       node);

		if (o != s && o->account == s->account &&
		    strcmp(o->service, s->service) == 0)
			return true;
	}
	return false;
}

void session_log(const struct session *s, enum log_level level,
		 const char *event, const char *fmt, ...)
{
	static const char *const words[] = {
		[LOG_DBG] = "Debug: ", [LOG_INF] = "Info: ",
		[LOG_WARN] = "Warning: ", [LOG_ERR] = "Error: ",
		[LOG_FATAL] = "Fatal: ",
	};
	char text[2000], pid[16];
	struct conf_var extra[] = {{'p', "pid", pid}};
	struct conf_vars v = {
		.user = s->user, .home = s->home, .service = s->service,
		.lip = s->lip, .rip = s->rip, .session = s->id,
		.uid = (unsigned)-1, .extra = extra, .n_extra = 1,
	};
	struct buf b;
	va_list ap;

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&b, 8192);
	if (conf_expand(strcmp(s->service, "pop3") == 0
				? s->conf->pop3_log_prefix
				: s->conf->mail_log_prefix,
			&v, 0, &b, NULL) < 0) {
		buf_reset(&b);
		buf_printf(&b, "%s(%s): ", s->service, s->user);
	}
	buf_str(&b, words[level]);
	buf_str(&b, text);
	buf_char(&b, 0);
	log_raw(s->host->log, level, event, s->user, (const char *)b.p);
	buf_fini(&b);
}

/* ---- eviction ------------------------------------------------------------ */

static void on_evict_late(void *arg)
{
	struct session *s = arg;

	/* One that has not begun ends when its mailboxes are made. */
	if (s->ops)
		s->ops->kill(s);
}

void sessions_evict(struct session *s, const char *code, const char *text,
		    bool holder_lost)
{
	if (!s->evict_timer)
		s->evict_timer = loop_timer_new(s->host->loop,
						SESSION_EVICT_USEC,
						on_evict_late, s);
	s->evicting = true;
	if (s->ops)
		s->ops->evict(s, code, text, holder_lost);
}

/* A session may end, and others with it, while the list is walked: so the
 * walk begins anew after each. */
static struct session *next_victim(struct store_node *n, struct account *a)
{
	for (struct list *i = n->sessions.next; i != &n->sessions;
	     i = i->next) {
		struct session *s = CONTAINER_OF(i, struct session, node);

		if (!s->evicting && (!a || s->account == a))
			return s;
	}
	return NULL;
}

void sessions_evict_account(struct store_node *n, struct account *a,
			    const char *why)
{
	struct session *s;

	while ((s = next_victim(n, a)))
		sessions_evict(s, "UNAVAILABLE", why, true);
}

void sessions_evict_all(struct store_node *n, const char *code,
			const char *text)
{
	struct session *s;

	while ((s = next_victim(n, NULL)))
		sessions_evict(s, code, text, false);
}

void sessions_peer_gone(struct store_peer *from)
{
	for (struct list *i = from->node->sessions.next;
	     i != &from->node->sessions; i = i->next) {
		struct session_origin *o =
			CONTAINER_OF(i, struct session, node)->host_data;

		/* Bare sockets live on without the front that passed them. */
		if (o->from == from)
			o->from = NULL;
	}
}

size_t sessions_missing_boxes(const struct session_conf *c, struct account *a)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_autos; i++)
		if (!account_mailbox(a, slice_str(c->autos[i].name)))
			n++;
	return n;
}

/* ---- read-repair ------------------------------------------------------------ */

static void on_repaired(void *arg, int result)
{
	struct repair *r = arg;

	list_remove(&r->node);
	if (r->session)
		r->done(r->arg, result);
	free(r);
}

void session_repair(struct session *s, struct mailbox *m, uint32_t rec,
		    session_repair_done *done, void *arg)
{
	struct session_origin *o = s->host_data;
	struct repair *r = NEW(struct repair);

	*r = (struct repair){.session = s, .done = done, .arg = arg};
	list_append(&o->repairs, &r->node);
	session_log(s, LOG_ERR, "body_damaged", "%s UID %u: message file is "
		    "missing or damaged%s", mailbox_name(m),
		    mailbox_rec(m, rec)->uid, engine_is_single(s->host->engine) ?
		    "; without a partner it can only come from a backup" :
		    ", asking the partner for it");
	engine_repair_body(s->host->engine, s->account,
			   mailbox_rec(m, rec)->body_hash, on_repaired, r);
}

void session_repair_forget(struct session *s, void *arg)
{
	struct session_origin *o = s->host_data;

	for (struct list *i = o->repairs.next; i != &o->repairs; i = i->next) {
		struct repair *r = CONTAINER_OF(i, struct repair, node);

		if (r->arg == arg)
			r->session = NULL;
	}
}
