/* See simclock.h. */

#include "tests/lib/simclock.h"

#include "node/base/arena.h"

#include <stdlib.h>

struct event {
	uint64_t at, id;
	simtime_cb *cb;
	void *arg;
};

/* A binary heap ordered by (at, id). */
struct simtime {
	uint64_t now, last_id;
	struct event *items;
	size_t n_items, cap_items;
};

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->id < b->id;
}

static void swap(struct simtime *t, size_t i, size_t j)
{
	struct event e = t->items[i];

	t->items[i] = t->items[j];
	t->items[j] = e;
}

static void sift_up(struct simtime *t, size_t i)
{
	for (; i > 0 && before(&t->items[i], &t->items[(i - 1) / 2]);
	     i = (i - 1) / 2)
		swap(t, i, (i - 1) / 2);
}

static void sift_down(struct simtime *t, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t k = 2 * i + 1; k <= 2 * i + 2; k++)
			if (k < t->n_items &&
			    before(&t->items[k], &t->items[least]))
				least = k;
		if (least == i)
			return;
		swap(t, i, least);
		i = least;
	}
}

static void take(struct simtime *t, size_t i)
{
	t->items[i] = t->items[--t->n_items];
	if (i < t->n_items) {
		sift_up(t, i);
		sift_down(t, i);
	}
}

struct simtime *simtime_new(void)
{
	return NEW(struct simtime);
}

void simtime_free(struct simtime *t)
{
	if (!t)
		return;
	free(t->items);
	free(t);
}

uint64_t simtime_now(const struct simtime *t)
{
	return t->now;
}

uint64_t simtime_at(struct simtime *t, uint64_t usec, simtime_cb *cb, void *arg)
{
	GROW(t->items, t->n_items, t->cap_items);
	t->items[t->n_items] = (struct event){t->now + usec, ++t->last_id, cb,
					      arg};
	sift_up(t, t->n_items++);
	return t->last_id;
}

void simtime_cancel(struct simtime *t, uint64_t id)
{
	for (size_t i = 0; i < t->n_items; i++)
		if (t->items[i].id == id) {
			take(t, i);
			return;
		}
}

size_t simtime_waiting(const struct simtime *t)
{
	return t->n_items;
}

uint64_t simtime_next(const struct simtime *t)
{
	return t->n_items ? t->items[0].at : UINT64_MAX;
}

bool simtime_step(struct simtime *t)
{
	struct event e;

	if (t->n_items == 0)
		return false;
	e = t->items[0];
	take(t, 0);
	if (e.at > t->now)
		t->now = e.at;
	e.cb(e.arg);
	return true;
}

void simtime_run(struct simtime *t, uint64_t until)
{
	while (simtime_next(t) <= until)
		simtime_step(t);
	if (until > t->now)
		t->now = until;
}

static uint64_t simclock_mono(struct clock *c)
{
	return ((struct simclock *)(void *)c)->time->now;
}

static uint64_t simclock_real(struct clock *c)
{
	struct simclock *s = (struct simclock *)(void *)c;

	return s->real_base + s->time->now;
}

void simclock_init(struct simclock *c, struct simtime *t, uint64_t real_usec)
{
	c->clock = (struct clock){simclock_mono, simclock_real};
	c->time = t;
	c->real_base = real_usec - t->now;
}

void simclock_jump(struct simclock *c, int64_t usec)
{
	c->real_base += (uint64_t)usec;
}
