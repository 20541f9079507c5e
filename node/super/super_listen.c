/* Listening sockets: opened by the supervisor, served by fronts, sync, auth;
 * the admin sockets by the supervisor itself. */

#include "node/super/super.h"
#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/loop.h"
#include "node/base/stream.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool served_here(const struct listener *l)
{
	return l->conf.purpose == CONF_FOR_ADMIN ||
	       l->conf.purpose == CONF_FOR_REPLICATOR;
}

bool super_listener_for(const struct listener *l, enum ipc_role kind)
{
	switch (l->conf.purpose) {
	case CONF_FOR_IMAP:
	case CONF_FOR_POP3:
	case CONF_FOR_LMTP:
		return kind == ROLE_FRONT;
	case CONF_FOR_LINK:
		return kind == ROLE_SYNC;
	case CONF_FOR_AUTH_CLIENT:
	case CONF_FOR_AUTH_USERDB:
		return kind == ROLE_AUTH;
	case CONF_FOR_ADMIN:
	case CONF_FOR_REPLICATOR:
		return false;
	}
	return false;
}

/* The same socket, whatever its owner and mode. */
static bool same_place(const struct conf_listener *a,
		       const struct conf_listener *b)
{
	if (a->is_unix != b->is_unix || a->purpose != b->purpose)
		return false;
	if (a->is_unix)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && a->ssl == b->ssl &&
	       strcmp(a->address, b->address) == 0 &&
	       strcmp(a->service, b->service) == 0;
}

static void listener_free(struct listener *l)
{
	if (!l)
		return;
	loop_io_free(l->io);
	if (l->fd >= 0)
		close(l->fd);
	arena_free(l->arena);
}

static struct listener *listener_new(struct super *s,
				     const struct conf_listener *c)
{
	struct arena *a = arena_new(512);
	struct listener *l = ARENA_NEW(a, struct listener);

	l->arena = a;
	l->super = s;
	l->fd = -1;
	l->number = ++s->next_number;
	l->conf = *c;
	l->conf.service = arena_strdup(a, c->service);
	l->conf.name = arena_strdup(a, c->name);
	l->conf.path = arena_strdup(a, c->path ? c->path : "");
	l->conf.address = arena_strdup(a, c->address ? c->address : "");
	l->conf.file = arena_strdup(a, c->file ? c->file : "");
	return l;
}

static void where(const struct listener *l, struct err *e)
{
	if (l->conf.file[0])
		err_prefix(e, "%s line %u: service %s", l->conf.file,
			   l->conf.line, l->conf.service);
	else
		err_prefix(e, "service %s", l->conf.service);
}

static int open_unix(struct super *s, struct listener *l, struct err *e)
{
	const struct conf_listener *c = &l->conf;
	int uid = (int)c->uid, gid = (int)c->gid;
	struct stat st;

	if (!s->owner.root) {
		/* Only root gives sockets away: ours then, never wider. */
		if ((c->uid != (uid_t)-1 && c->uid != geteuid()) ||
		    (c->gid != (gid_t)-1 && c->gid != getegid()))
			log_event(s->log, LOG_WARN, "listener_owner", NULL,
				  "%s: owner cannot be set without root; it "
				  "belongs to uid %ld", c->path,
				  (long)geteuid());
		uid = gid = -1;
	}
	if (stream_listen_unix(c->path, c->mode, uid, gid, &l->fd, e) < 0)
		return e->code;
	if (stat(c->path, &st) == 0)
		l->inode = st.st_ino;
	return 0;
}

static int listener_open(struct super *s, struct listener *l, struct err *e)
{
	const struct conf_listener *c = &l->conf;
	int r = c->is_unix ? open_unix(s, l, e)
			   : stream_listen_inet(c->address, c->port, &l->fd, e);

	if (r < 0) {
		l->fd = -1;
		where(l, e);
	}
	return r;
}

int super_listen_prepare(struct super *s, const struct conf *c,
			 struct listen_change *out, struct err *e)
{
	struct arena *a = arena_new(4096);
	struct conf_listener *want;
	size_t n;
	int r = 0;

	*out = (struct listen_change){0};
	if (conf_listeners(c, a, &want, &n, e) < 0) {
		arena_free(a);
		return e->code;
	}
	out->add = xzalloc((n + 1) * sizeof(*out->add));
	out->drop = xzalloc((s->n_listeners + 1) * sizeof(*out->drop));
	for (size_t i = 0; i < s->n_listeners; i++) {
		bool keep = false;

		for (size_t k = 0; k < n && !keep; k++)
			keep = same_place(&s->listeners[i]->conf, &want[k]);
		if (!keep)
			out->drop[out->n_drop++] = s->listeners[i];
	}
	for (size_t k = 0; k < n && r >= 0; k++) {
		struct listener *l = NULL;

		for (size_t i = 0; i < s->n_listeners && !l; i++)
			if (same_place(&s->listeners[i]->conf, &want[k]))
				l = s->listeners[i];
		if (l) {
			l->conf.mode = want[k].mode;
			l->conf.uid = want[k].uid;
			l->conf.gid = want[k].gid;
			continue;
		}
		l = listener_new(s, &want[k]);
		out->add[out->n_add++] = l;
		r = listener_open(s, l, e);
	}
	arena_free(a);
	if (r < 0) {
		super_listen_abort(out);
		return r;
	}
	return 0;
}

static void remove_name(const struct listener *l)
{
	struct stat st;

	if (l->conf.is_unix && stat(l->conf.path, &st) == 0 &&
	    st.st_ino == l->inode)
		unlink(l->conf.path);
}

void super_listen_abort(struct listen_change *ch)
{
	for (size_t i = 0; i < ch->n_add; i++) {
		if (ch->add[i]->fd >= 0)
			remove_name(ch->add[i]);
		listener_free(ch->add[i]);
	}
	free(TAKE(ch->add));
	free(TAKE(ch->drop));
	ch->n_add = ch->n_drop = 0;
}

static void forget(struct super *s, struct listener *l)
{
	for (size_t i = 0; i < s->n_listeners; i++)
		if (s->listeners[i] == l) {
			s->listeners[i] = s->listeners[--s->n_listeners];
			return;
		}
}

static void on_admin(void *arg, unsigned events)
{
	struct listener *l = arg;

	(void)events;
	super_admin_accept(l->super, l);
}

static void adopt(struct super *s, struct listener *l)
{
	GROW(s->listeners, s->n_listeners, s->cap_listeners);
	s->listeners[s->n_listeners++] = l;
	if (served_here(l)) {
		l->io = loop_io_new(s->loop, l->fd, LOOP_IN, on_admin, l);
		return;
	}
	for (unsigned i = 0; s->serving && i < s->n_children; i++)
		if (super_listener_for(l, s->children[i].kind) &&
		    child_alive(&s->children[i]))
			super_listen_send(s, &s->children[i], l);
}

/* Owner and mode of sockets that stay may have changed. */
static void renew_modes(struct super *s)
{
	for (size_t i = 0; i < s->n_listeners; i++) {
		const struct conf_listener *c = &s->listeners[i]->conf;

		if (!c->is_unix)
			continue;
		if (s->owner.root && lchown(c->path, c->uid, c->gid) < 0)
			log_event(s->log, LOG_WARN, "listener_owner", NULL,
				  "%s: chown: %s", c->path, strerror(errno));
		if (chmod(c->path, c->mode) < 0)
			log_event(s->log, LOG_WARN, "listener_owner", NULL,
				  "%s: chmod: %s", c->path, strerror(errno));
	}
}

void super_listen_commit(struct super *s, struct listen_change *ch)
{
	renew_modes(s);
	for (size_t i = 0; i < ch->n_drop; i++) {
		struct listener *l = ch->drop[i];
		struct ipc_head h = {.value = l->number};

		for (unsigned k = 0; k < s->n_children; k++)
			if (super_listener_for(l, s->children[k].kind))
				child_tell(&s->children[k], IPC_UNLISTEN, 0,
					   &h, -1);
		remove_name(l);
		forget(s, l);
		listener_free(l);
	}
	for (size_t i = 0; i < ch->n_add; i++)
		adopt(s, ch->add[i]);
	free(TAKE(ch->add));
	free(TAKE(ch->drop));
}

void super_listen_send(struct super *s, struct child *c,
		       const struct listener *l)
{
	struct ipc_head h = {
		.value = l->number, .code = (int)l->conf.purpose,
		.name = l->conf.name, .service = l->conf.service,
		.flags = l->conf.ssl ? LISTEN_TLS : 0,
	};
	int fd = dup(l->fd);

	if (fd < 0) {
		log_event(s->log, LOG_ERR, "listener_not_passed", NULL,
			  "dup: %s", strerror(errno));
		return;
	}
	child_tell(c, IPC_LISTEN, 0, &h, fd);
}

void super_listen_close_all(struct super *s)
{
	while (s->n_listeners) {
		struct listener *l = s->listeners[--s->n_listeners];

		remove_name(l);
		listener_free(l);
	}
	free(TAKE(s->listeners));
}
