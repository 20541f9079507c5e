/* A run of the simulator: begin, come to rest, end. */

#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void sim_bad(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->bad[0])
		return;
	va_start(ap, fmt);
	vsnprintf(s->bad, sizeof(s->bad), fmt, ap);
	va_end(ap);
	sim_trace(s, "BAD: %s", s->bad);
}

void sim_trace(struct sim *s, const char *fmt, ...)
{
	char line[700];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 1;
	/* Two runs of a seed must do the same at the same time. */
	s->hash = (s->hash ^ simtime_now(s->time)) * 0x100000001b3ull;
	for (int i = 0; i < n; i++)
		s->hash = (s->hash ^ (uint8_t)line[i]) * 0x100000001b3ull;
	if (s->trace)
		printf("%10.3f %s\n", (double)simtime_now(s->time) / 1e6, line);
}

uint64_t sim_below(struct sim *s, uint64_t n)
{
	return n ? simrng_below(&s->rng, n) : 0;
}

void sim_run_for(struct sim *s, uint64_t usec)
{
	simtime_run(s->time, simtime_now(s->time) + usec);
}

void sim_power_on(void *arg)
{
	struct snode *n = arg;

	if (!n->powered && !n->s->ended)
		sim_node_start(n);
}

void sim_normal_disk(void *arg)
{
	struct snode *n = arg;

	for (unsigned k = 0; k < SIM_STORES; k++)
		simdisk_set_latency(n->stores[k].disk, n->s->latency);
}

void sim_restart_failed(void *arg)
{
	struct sstore *st = arg;

	if (st->alive && st->failed)
		sim_store_kill(st);
	else
		simdisk_fail(st->disk, 0, NULL, 0, 0, 0);
}

void sim_begin(struct sim *s)
{
	static const char *const names[SIM_ACCOUNTS] = {"anna", "berta", "carl"};

	s->time = simtime_new();
	list_init(&s->wires);
	list_init(&s->ops);
	for (unsigned i = 0; i < 2; i++)
		sim_node_init(s, i);
	for (unsigned i = 0; i < SIM_ACCOUNTS; i++)
		snprintf(s->acc[i].name, sizeof(s->acc[i].name), "%s", names[i]);
	/* The pair finds its identity. */
	for (unsigned k = 0; k < 200 && !s->bad[0] &&
	     !(sim_in_sync(s) && s->n[1].identity.trusted &&
	       s->n[0].identity.trusted); k++)
		sim_run_for(s, 100 * SIM_MS);
	if (!sim_in_sync(s))
		SIM_BAD(s, "the two fresh nodes do not come together");
	for (unsigned i = 0; i < SIM_ACCOUNTS; i++)
		s->acc[i].id = account_id_of(
			slice_of(s->n[0].identity.pair_id.b, 16),
			slice_str(s->acc[i].name));
	sim_check_init(s);
	s->next_fault = simtime_now(s->time) + 2 * USEC_PER_SEC;
}

static bool any_forked(const struct sim *s)
{
	for (unsigned i = 0; i < SIM_ACCOUNTS; i++)
		if (s->acc[i].forked)
			return true;
	return false;
}

static bool print_status(void *arg, const struct engine_account_status *st)
{
	char **p = arg;

	*p += sprintf(*p, " %s=%d/%d/%" PRIu64, account_name(st->account),
		      st->state, st->holder, st->unacked_records);
	return true;
}

/* Faults are over: everything comes to rest within bounded time. */
void sim_settle(struct sim *s)
{
	char text[2000], *p = text;

	sim_trace(s, "settling");
	s->drop = 0;
	sim_cut(s, false, false);
	for (unsigned i = 0; i < 2; i++) {
		struct snode *n = &s->n[i];

		if (n->stopped)
			n->resume_at = simtime_now(s->time);
		sim_power_on(n);
		sim_normal_disk(n);
		for (unsigned k = 0; k < SIM_STORES; k++)
			simdisk_fail(n->stores[k].disk, 0, NULL, 0, 0, 0);
	}
	for (unsigned k = 0, rest = 0; k < 1200 && !s->bad[0] && rest < 8; k++) {
		sim_run_for(s, 200 * SIM_MS);
		for (unsigned i = 0; i < 2; i++)
			for (unsigned j = 0; j < SIM_STORES; j++)
				sim_restart_failed(&s->n[i].stores[j]);
		/* The replica shows it a moment later. */
		if ((sim_in_sync(s) && !sim_work_queued(s)) ||
		    (any_forked(s) && k > 400))
			rest++;
		else
			rest = 0;
	}
	if (s->bad[0] || any_forked(s))
		return;
	if (sim_in_sync(s) && !sim_work_queued(s))
		return;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 0; k < SIM_STORES; k++)
			if (s->n[i].stores[k].alive) {
				p += sprintf(p, " | %u.%u:", i, k);
				engine_status(s->n[i].stores[k].engine,
					      print_status, &p);
			}
	sim_work_print(s);
	SIM_BAD(s, "P10: not at rest after 240 s: %zu ops wait,%s",
		sim_work_queued(s), text);
}

void sim_end(struct sim *s)
{
	s->ended = true;
	for (unsigned i = 0; i < 2; i++)
		sim_node_power_off(&s->n[i], false);
	/* Whatever is under way lands nowhere. */
	while (simtime_step(s->time))
		continue;
	sim_work_free(s);
	for (unsigned i = 0; i < 2; i++)
		sim_node_fini(&s->n[i]);
	sim_wires_free(s);
	sim_check_free(s);
	simtime_free(s->time);
	free(s->tokens);
}

