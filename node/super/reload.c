/*
 * Reload: whole or not at all.
 *
 *   read and check ─► open new sockets ─► every child prepares
 *        └ error: nothing changed            ├ all OK: COMMIT, sockets change
 *                                            └ one not: ABORT, new ones closed
 */

#include "node/super/super.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define RELOAD_WAIT_USEC (15u * 1000 * 1000)

struct reload {
	struct super *super;
	struct conf *conf;
	struct listen_change change;
	struct buf notes;
	struct loop_timer *timer;
	reload_done *done;
	void *arg;
	struct err e;
};

const struct conf *reload_conf(const struct super *s)
{
	return s->reload ? s->reload->conf : NULL;
}

static void finish(struct super *s, struct reload *r)
{
	loop_notify("READY=1");
	if (r->e.code < 0)
		log_event(s->log, LOG_ERR, "reload_failed", NULL,
			  "Reload failed, the old configuration stays in "
			  "force: %s", r->e.op);
	else
		log_event(s->log, LOG_INF, "reloaded", NULL,
			  "Configuration reloaded");
	buf_char(&r->notes, 0);
	if (r->done)
		r->done(r->arg, &r->e, r->notes.p ? (char *)r->notes.p : "");
	conf_unref(r->conf);
	loop_timer_free(r->timer);
	buf_fini(&r->notes);
	free(r);
}

static void fail(struct super *s, struct reload *r)
{
	for (unsigned i = 0; i < s->n_children; i++)
		if (child_alive(&s->children[i]))
			child_tell(&s->children[i], IPC_ABORT, 0, NULL, -1);
	super_listen_abort(&r->change);
	s->reload = NULL;
	finish(s, r);
}

static void succeed(struct super *s, struct reload *r)
{
	struct conf *old = s->conf;

	s->conf = conf_ref(r->conf);
	for (unsigned i = 0; i < s->n_children; i++)
		if (child_alive(&s->children[i]))
			child_tell(&s->children[i], IPC_COMMIT, 0, NULL, -1);
	super_listen_commit(s, &r->change);
	conf_unref(old);
	s->reload = NULL;
	finish(s, r);
}

static void advance(struct super *s)
{
	struct reload *r = s->reload;

	for (unsigned i = 0; i < s->n_children; i++)
		if (s->children[i].config_pending)
			return;
	if (r->e.code < 0)
		fail(s, r);
	else
		succeed(s, r);
}

void reload_answer(struct super *s, struct child *c, bool ok, const char *text)
{
	if (!s->reload || !c->config_pending)
		return;
	c->config_pending = false;
	if (!ok && s->reload->e.code == 0)
		err_set(&s->reload->e, E_CONFIG, "%s", text);
	advance(s);
}

void reload_child_gone(struct super *s, struct child *c)
{
	if (!s->reload || !c->config_pending)
		return;
	/* Its successor starts with whatever is in force then. */
	c->config_pending = false;
	advance(s);
}

static void on_timer(void *arg)
{
	struct super *s = arg;

	for (unsigned i = 0; i < s->n_children; i++)
		s->children[i].config_pending = false;
	if (s->reload->e.code == 0)
		err_set(&s->reload->e, E_TEMP, "a process did not answer to "
			"the new configuration");
	advance(s);
}

/* Every note and warning, and what waits for a restart. */
static void take_notes(struct super *s, struct reload *r)
{
	const struct conf_note *notes;
	struct conf_change *ch;
	struct arena *a = arena_new(4096);
	size_t n = conf_notes(r->conf, &notes);

	for (size_t i = 0; i < n; i++) {
		log_event(s->log, notes[i].severity == CONF_WARNING ? LOG_WARN
								    : LOG_INF,
			  "config_note", NULL, "%s", notes[i].text);
		if (notes[i].severity == CONF_WARNING)
			buf_printf(&r->notes, "Warning: %s\n", notes[i].text);
	}
	n = conf_diff(s->conf, r->conf, a, &ch);
	for (size_t i = 0; i < n; i++) {
		if (ch[i].reload != CONF_RELOAD_RESTART)
			continue;
		buf_printf(&r->notes, "Warning: %s takes effect after a "
			   "restart\n", ch[i].name);
		log_event(s->log, LOG_WARN, "config_restart", NULL,
			  "%s takes effect after a restart", ch[i].name);
	}
	arena_free(a);
}

void super_reload(struct super *s, reload_done *done, void *arg)
{
	struct conf_opts o = {.over = s->over, .n_over = s->n_over};
	struct owner owner;
	struct reload *r;
	char text[64];

	if (s->reload || s->stopping) {
		struct err e = ERR_NONE;

		err_set(&e, E_TEMP, s->stopping ? "duetd is stopping"
						: "a reload is running already");
		if (done)
			done(arg, &e, "");
		return;
	}
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)clock_mono(s->sys.clock));
	loop_notify(text);
	r = NEW(struct reload);
	r->super = s;
	r->done = done;
	r->arg = arg;
	buf_init(&r->notes, 65536);
	if (conf_load(s->path, &o, &r->conf, &r->e) < 0 ||
	    owner_find(r->conf, &owner, &r->e) < 0 ||
	    super_listen_prepare(s, r->conf, &r->change, &r->e) < 0) {
		finish(s, r);
		return;
	}
	take_notes(s, r);
	s->reload = r;
	r->timer = loop_timer_new(s->loop, RELOAD_WAIT_USEC, on_timer, s);
	for (unsigned i = 0; i < s->n_children; i++) {
		struct child *c = &s->children[i];

		if (!child_alive(c))
			continue;
		if (child_send_config(c, r->conf, true, &r->e) == 0)
			c->config_pending = true;
	}
	advance(s);
}

/* ---- log files ---------------------------------------------------------- */

static int open_log(const struct conf *c, unsigned which)
{
	const char *path = role_log_path(c, which);

	if (!role_log_is_file(path))
		return -1;
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
		    0600);
}

void super_open_logs(struct super *s)
{
	for (unsigned i = 0; i < ROLE_LOGS; i++)
		s->log_fds[i] = open_log(s->conf, i);
}

void super_reopen_logs(struct super *s)
{
	for (unsigned i = 0; i < ROLE_LOGS; i++) {
		int fd = open_log(s->conf, i);
		struct ipc_head h = {.index = i};

		if (fd < 0)
			continue;
		if (s->log_fds[i] >= 0)
			close(s->log_fds[i]);
		s->log_fds[i] = fd;
		for (unsigned k = 0; k < s->n_children; k++)
			if (child_alive(&s->children[k]))
				child_tell(&s->children[k], IPC_REOPEN, 0, &h,
					   dup(fd));
	}
	log_reopen(s->log);
	for (unsigned k = 0; k < s->n_children; k++)
		if (child_alive(&s->children[k]))
			child_tell(&s->children[k], IPC_REOPEN, 0, NULL, -1);
}
