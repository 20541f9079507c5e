#ifndef DUET_BASE_CLOCK_H
#define DUET_BASE_CLOCK_H

/*
 * Time through a vtable, so that tests own it.  mono: for timers and
 * back-off, never goes back.  real: for INTERNALDATE, SAVEDATE, HLC, log lines;
 * may jump, decides nothing.
 */

#include <stdint.h>

#define USEC_PER_SEC 1000000ull
#define USEC_PER_MSEC 1000ull

struct clock {
	uint64_t (*mono_usec)(struct clock *);
	uint64_t (*real_usec)(struct clock *);
};

/* The system's clocks. */
struct clock *clock_system(void);

static inline uint64_t clock_mono(struct clock *c)
{
	return c->mono_usec(c);
}

static inline uint64_t clock_real(struct clock *c)
{
	return c->real_usec(c);
}

#endif
