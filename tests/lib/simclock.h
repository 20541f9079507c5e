#ifndef DUET_TESTS_SIMCLOCK_H
#define DUET_TESTS_SIMCLOCK_H

/*
 * Virtual time: one queue of events for a whole simulation (struct simtime),
 * and for each node a clock that reads it (struct simclock), with its own
 * wall time that may jump.  Events at one moment run in the order in which
 * they were queued, so a run is a function of its seed.
 */

#include "node/base/clock.h"
#include <stdbool.h>
#include <stddef.h>

struct simtime;
typedef void simtime_cb(void *arg);

struct simtime *simtime_new(void);
void simtime_free(struct simtime *t);	/* events that wait are dropped */
uint64_t simtime_now(const struct simtime *t);
/* Runs cb at now + usec; gives an id for simtime_cancel(), never 0. */
uint64_t simtime_at(struct simtime *t, uint64_t usec, simtime_cb *cb, void *arg);
void simtime_cancel(struct simtime *t, uint64_t id);
size_t simtime_waiting(const struct simtime *t);
/* When the next event is due, UINT64_MAX if there is none. */
uint64_t simtime_next(const struct simtime *t);
/* Moves on to the next event and runs it; false if there is none. */
bool simtime_step(struct simtime *t);
/* Runs everything due up to `until` and stands there. */
void simtime_run(struct simtime *t, uint64_t until);

struct simclock {
	struct clock clock;	/* first: pass &c.clock to the code under test */
	struct simtime *time;
	uint64_t real_base;	/* wall time at mono 0 */
};

/* real_usec: the wall time now. */
void simclock_init(struct simclock *c, struct simtime *t, uint64_t real_usec);
/* The wall time jumps. */
void simclock_jump(struct simclock *c, int64_t usec);

#endif
