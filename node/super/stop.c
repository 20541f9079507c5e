/*
 * The orderly end (guide rule 3).
 *
 *   1 fronts   stop accepting, finish the mail transactions that run
 *   2 stores   end sessions, hand every account over, checkpoint, exit
 *   3 fronts   pass on what is left of the sessions' last words; exit,
 *     sync, auth  exit
 *
 * A phase ends when all its processes have said STOPPED or are gone, or at its
 * deadline; whoever is left then is killed: nothing acknowledged depends on it.
 */

#include "node/super/super.h"
#include "node/base/arena.h"
#include "node/base/clock.h"
#include "node/base/loop.h"

#include <signal.h>
#include <stdlib.h>

enum { PHASE_DRAIN, PHASE_STORES, PHASE_REST, PHASE_EXIT };

struct stop {
	unsigned phase;
	int code;
	struct loop_timer *timer;
};

static const struct {
	unsigned seconds;
	unsigned roles;		/* bits */
	unsigned flags;
} phases[] = {
	[PHASE_DRAIN] = {12, 1u << ROLE_FRONT, STOP_ACCEPT},
	[PHASE_STORES] = {40, 1u << ROLE_STORE, STOP_HAND_OVER},
	[PHASE_REST] = {3, 1u << ROLE_FRONT | 1u << ROLE_SYNC | 1u << ROLE_AUTH,
			STOP_NOW},
	[PHASE_EXIT] = {3, ~0u, 0},
};

static void enter(struct super *s, unsigned phase);

static void wait_for(struct super *s)
{
	struct stop *st = s->stop;

	for (unsigned i = 0; i < s->n_children; i++) {
		struct child *c = &s->children[i];

		if (!(phases[st->phase].roles & 1u << c->kind))
			continue;
		if (c->pid > 0 && (!c->drained || st->phase == PHASE_EXIT))
			return;
	}
	if (st->phase == PHASE_EXIT)
		super_ended(s, st->code);
	else
		enter(s, st->phase + 1);
}

/* The process ends when its channel closes. */
static void let_go(struct child *c)
{
	if (c->ipc) {
		ipc_free(c->ipc);
		c->ipc = NULL;
	}
}

static void enter(struct super *s, unsigned phase)
{
	struct ipc_head h = {.flags = phases[phase].flags};

	s->stop->phase = phase;
	loop_timer_set(s->stop->timer, phases[phase].seconds * USEC_PER_SEC);
	for (unsigned i = 0; i < s->n_children; i++) {
		struct child *c = &s->children[i];

		if (!(phases[phase].roles & 1u << c->kind) || c->pid <= 0)
			continue;
		if (phase == PHASE_EXIT) {
			let_go(c);
			continue;
		}
		c->drained = false;
		c->state = CHILD_STOPPING;
		child_tell(c, IPC_STOP, 0, &h, -1);
	}
	wait_for(s);
}

void stop_child_done(struct super *s, struct child *c)
{
	if (!s->stop)
		return;
	if (s->stop->phase == PHASE_STORES && c->kind == ROLE_STORE)
		let_go(c);
	wait_for(s);
}

static void on_deadline(void *arg)
{
	struct super *s = arg;
	struct stop *st = s->stop;

	for (unsigned i = 0; i < s->n_children; i++) {
		struct child *c = &s->children[i];

		if (!(phases[st->phase].roles & 1u << c->kind) || c->pid <= 0)
			continue;
		if (st->phase == PHASE_DRAIN) {
			c->drained = true;
			continue;
		}
		if (c->drained && st->phase != PHASE_EXIT)
			continue;
		log_event(s->log, LOG_WARN, "stop_killed", NULL,
			  "%s process %u did not stop in time, killing it",
			  ipc_role_name(c->kind), c->index);
		kill(c->pid, SIGKILL);
		c->drained = true;
	}
	if (st->phase == PHASE_EXIT)
		super_ended(s, st->code);
	else
		enter(s, st->phase + 1);
}

void super_stop(struct super *s, int code)
{
	if (s->stopping)
		return;
	s->stopping = true;
	loop_notify("STOPPING=1");
	log_event(s->log, LOG_INF, "stopping", NULL, "Stopping");
	s->stop = NEW(struct stop);
	s->stop->code = code;
	s->stop->timer = loop_timer_new(s->loop, UINT32_MAX, on_deadline, s);
	/* No new work from here on; admin connections may ask how it goes. */
	for (size_t i = 0; i < s->n_listeners; i++) {
		struct ipc_head h = {.value = s->listeners[i]->number};

		for (unsigned k = 0; k < s->n_children; k++)
			if (super_listener_for(s->listeners[i],
					       s->children[k].kind) &&
			    s->children[k].kind != ROLE_SYNC)
				child_tell(&s->children[k], IPC_UNLISTEN, 0,
					   &h, -1);
	}
	super_listen_close_all(s);
	enter(s, PHASE_DRAIN);
}

void super_stop_free(struct stop *st)
{
	loop_timer_free(st->timer);
	free(st);
}
