#include "node/base/loop.h"
#include "node/base/arena.h"
#include "node/base/list.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <sys/wait.h>
#include <time.h>

/*
 * A turn: sd-event dispatches what is ready, one source at a time, at most
 * TURN_DISPATCH_MAX of them; then the deferred, the posts, and what these
 * deferred.  Were deferred and posts sources of sd-event with a low priority,
 * steady input would starve them.
 */
#define TURN_DISPATCH_MAX 256
#define TIMER_ACCURACY_USEC 1000

struct deferred {
	struct list link;
	loop_cb *cb;
	void *arg;
};

struct loop {
	sd_event *ev;
	int code;
	bool stopped;
	struct list deferred;	/* for the next run_deferred() */
	struct list running;	/* of the present one, not run yet */
	struct deferred *posts;
	size_t n_posts, cap_posts;
	struct list watches;
};

/* The callbacks of sd-event copy what they need out of the handle before they
 * call, and touch it no more: it may be freed meanwhile. */
struct loop_io {
	sd_event_source *src;
	unsigned events;
	loop_io_cb *cb;
	void *arg;
};

/* A time-out that is put off with every sign of life is armed once: when it
 * comes early, it is armed for the rest. */
struct loop_timer {
	sd_event_source *src;
	loop_cb *cb;
	void *arg;
	uint64_t armed;		/* in sd-event; 0 = not */
	uint64_t due;		/* >= armed */
};

/* A signal or child; lives as long as the loop, a child until it ended. */
struct watch {
	struct list link;
	sd_event_source *src;
	loop_cb *cb;
	loop_child_cb *child;
	void *arg;
};

int loop_new(struct loop **out)
{
	struct loop *l = NEW(struct loop);
	int r;

	list_init(&l->deferred);
	list_init(&l->running);
	list_init(&l->watches);
	r = sd_event_new(&l->ev);
	if (r < 0) {
		free(l);
		return r;
	}
	*out = l;
	return 0;
}

static void watch_free(struct watch *w)
{
	list_remove(&w->link);
	sd_event_source_disable_unref(w->src);
	free(w);
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (!list_empty(&l->watches))
		watch_free(CONTAINER_OF(l->watches.next, struct watch, link));
	while (!list_empty(&l->deferred)) {
		struct deferred *d =
			CONTAINER_OF(l->deferred.next, struct deferred, link);

		list_remove(&d->link);
		free(d);
	}
	sd_event_unref(l->ev);
	free(l->posts);
	free(l);
}

static int run_deferred(struct loop *l)
{
	int n = 0;

	/* What these defer waits for the next time. */
	while (!list_empty(&l->deferred)) {
		struct list *first = l->deferred.next;

		list_remove(first);
		list_append(&l->running, first);
	}
	while (!list_empty(&l->running)) {
		struct deferred *d =
			CONTAINER_OF(l->running.next, struct deferred, link);

		list_remove(&d->link);
		d->cb(d->arg);
		free(d);
		n++;
	}
	return n;
}

int loop_turn(struct loop *l, uint64_t usec)
{
	int dispatched = 0, r;

	if (!list_empty(&l->deferred))
		usec = 0;
	do {
		r = sd_event_run(l->ev, dispatched ? 0 : usec);
		if (r == -EINTR)
			r = 0;
		if (r < 0)
			return r;
		dispatched += r > 0;
	} while (r > 0 && dispatched < TURN_DISPATCH_MAX && !l->stopped);
	dispatched += run_deferred(l);
	for (size_t i = 0; i < l->n_posts; i++)
		l->posts[i].cb(l->posts[i].arg);
	dispatched += run_deferred(l);
	return dispatched;
}

int loop_run(struct loop *l)
{
	l->stopped = false;
	while (!l->stopped) {
		int r = loop_turn(l, UINT64_MAX);

		if (r < 0)
			return r;
	}
	return l->code;
}

void loop_stop(struct loop *l, int code)
{
	l->stopped = true;
	l->code = code;
}

static uint32_t to_epoll(unsigned events)
{
	return (events & LOOP_IN ? EPOLLIN : 0u) |
	       (events & LOOP_OUT ? EPOLLOUT : 0u) |
	       (events & LOOP_HUP ? EPOLLRDHUP : 0u);
}

static int on_io(sd_event_source *src, int fd, uint32_t revents, void *arg)
{
	struct loop_io *io = arg;
	unsigned events = (revents & EPOLLIN ? LOOP_IN : 0u) |
			  (revents & EPOLLOUT ? LOOP_OUT : 0u) |
			  (revents & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ?
				   LOOP_HUP : 0u);

	(void)src;
	(void)fd;
	io->cb(io->arg, events);
	return 0;
}

/* Registration fails only for lack of memory or watches (kernel limits), or
 * for a descriptor that cannot be polled: nothing a caller could go on with. */
static void need(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "duet: event loop: %s: %s\n", what,
		strerrordesc_np(-r));
	abort();
}

struct loop_io *loop_io_new(struct loop *l, int fd, unsigned events,
			    loop_io_cb *cb, void *arg)
{
	struct loop_io *io = NEW(struct loop_io);

	*io = (struct loop_io){NULL, events, cb, arg};
	need(sd_event_add_io(l->ev, &io->src, fd, to_epoll(events), on_io, io),
	     "watching a descriptor");
	if (events == 0)
		need(sd_event_source_set_enabled(io->src, SD_EVENT_OFF), "off");
	return io;
}

void loop_io_events(struct loop_io *io, unsigned events)
{
	if (events == io->events)
		return;
	/* epoll reports a hang-up even when asked for nothing: off is off. */
	if (events)
		need(sd_event_source_set_io_events(io->src, to_epoll(events)),
		     "changing events");
	if (!events || !io->events)
		need(sd_event_source_set_enabled(io->src, events ? SD_EVENT_ON :
							SD_EVENT_OFF),
		     "changing events");
	io->events = events;
}

void loop_io_free(struct loop_io *io)
{
	if (!io)
		return;
	sd_event_source_disable_unref(io->src);
	free(io);
}

static uint64_t deadline(uint64_t usec)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	return usec > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + usec;
}

static void arm(struct loop_timer *t)
{
	t->armed = t->due;
	need(sd_event_source_set_time(t->src, t->due), "timer");
	need(sd_event_source_set_enabled(t->src, SD_EVENT_ONESHOT), "timer");
}

static int on_timer(sd_event_source *src, uint64_t usec, void *arg)
{
	struct loop_timer *t = arg;

	(void)src;
	(void)usec;
	if (t->due > t->armed) {
		arm(t);
		return 0;
	}
	t->armed = 0;
	t->cb(t->arg);
	return 0;
}

struct loop_timer *loop_timer_new(struct loop *l, uint64_t usec, loop_cb *cb,
				  void *arg)
{
	struct loop_timer *t = NEW(struct loop_timer);

	*t = (struct loop_timer){.cb = cb, .arg = arg};
	t->armed = t->due = deadline(usec);
	need(sd_event_add_time(l->ev, &t->src, CLOCK_MONOTONIC, t->due,
			       TIMER_ACCURACY_USEC, on_timer, t), "timer");
	return t;
}

void loop_timer_set(struct loop_timer *t, uint64_t usec)
{
	t->due = deadline(usec);
	if (!t->armed || t->due < t->armed)
		arm(t);
}

void loop_timer_off(struct loop_timer *t)
{
	t->armed = 0;
	need(sd_event_source_set_enabled(t->src, SD_EVENT_OFF), "timer");
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	sd_event_source_disable_unref(t->src);
	free(t);
}

void loop_defer(struct loop *l, loop_cb *cb, void *arg)
{
	struct deferred *d = NEW(struct deferred);

	*d = (struct deferred){.cb = cb, .arg = arg};
	list_append(&l->deferred, &d->link);
}

static bool undefer_from(struct list *head, loop_cb *cb, const void *arg)
{
	for (struct list *n = head->next; n != head; n = n->next) {
		struct deferred *d = CONTAINER_OF(n, struct deferred, link);

		if (d->cb != cb || d->arg != arg)
			continue;
		list_remove(&d->link);
		free(d);
		return true;
	}
	return false;
}

void loop_undefer(struct loop *l, loop_cb *cb, void *arg)
{
	if (!undefer_from(&l->running, cb, arg))
		undefer_from(&l->deferred, cb, arg);
}

void loop_post(struct loop *l, loop_cb *cb, void *arg)
{
	GROW(l->posts, l->n_posts, l->cap_posts);
	l->posts[l->n_posts++] = (struct deferred){.cb = cb, .arg = arg};
}

static int block(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int on_signal(sd_event_source *src, const struct signalfd_siginfo *si,
		     void *arg)
{
	struct watch *w = arg;

	(void)src;
	(void)si;
	w->cb(w->arg);
	return 0;
}

int loop_signal(struct loop *l, int sig, loop_cb *cb, void *arg)
{
	struct watch *w;
	int r = block(sig);

	if (r < 0)
		return r;
	w = NEW(struct watch);
	list_init(&w->link);
	w->cb = cb;
	w->arg = arg;
	r = sd_event_add_signal(l->ev, &w->src, sig, on_signal, w);
	if (r < 0) {
		watch_free(w);
		return r;
	}
	list_append(&l->watches, &w->link);
	return 0;
}

static int on_child(sd_event_source *src, const siginfo_t *si, void *arg)
{
	struct watch *w = arg;
	loop_child_cb *cb = w->child;
	void *cb_arg = w->arg;
	/* As waitpid() would tell it. */
	int status = si->si_code == CLD_EXITED ? (si->si_status & 0xff) << 8 :
		     si->si_code == CLD_DUMPED ? si->si_status | 0x80 :
						 si->si_status;
	pid_t pid = si->si_pid;

	(void)src;
	watch_free(w);
	cb(cb_arg, pid, status);
	return 0;
}

int loop_child(struct loop *l, pid_t pid, loop_child_cb *cb, void *arg)
{
	struct watch *w;
	int r = block(SIGCHLD);

	if (r < 0)
		return r;
	w = NEW(struct watch);
	list_init(&w->link);
	w->child = cb;
	w->arg = arg;
	r = sd_event_add_child(l->ev, &w->src, pid, WEXITED, on_child, w);
	if (r < 0) {
		watch_free(w);
		return r;
	}
	list_append(&l->watches, &w->link);
	return 0;
}

void loop_notify(const char *state)
{
	/* Nobody to tell is not an error, and nothing else can be done. */
	(void)sd_notify(0, state);
}

void loop_watchdog(struct loop *l)
{
	(void)sd_event_set_watchdog(l->ev, 1);
}

int loop_listen_fds(void)
{
	int n = sd_listen_fds(1);

	return n < 0 ? 0 : n;
}
