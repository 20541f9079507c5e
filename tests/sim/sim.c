/*
 * sim [--seed N] [--seeds N] [--steps M] [--trace] [--faults MASK] [--kept 0|1]
 *
 * Without arguments: what `make check-sim` runs.  A seed that fails is printed
 * with the command that replays it.
 */

#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum fault { F_POWER, F_STORE, F_SYNC, F_STOP, F_CUT, F_RESET, F_CLOCK, F_WIPE,
	     F_RESTORE, F_SLOW, F_FSYNC, F_BOTH, FAULTS };

static const char *const fault_names[FAULTS] = {
	"power", "store-kill", "sync-kill", "stop", "cut", "reset", "clock",
	"wipe", "restore", "slow-disk", "fsync", "both",
};

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

static void run_for(struct sim *s, uint64_t usec)
{
	simtime_run(s->time, simtime_now(s->time) + usec);
}

/* --- nemesis -------------------------------------------------------------------- */

static void power_on(void *arg)
{
	struct snode *n = arg;

	if (!n->powered && !n->s->ended)
		sim_node_start(n);
}

static void heal_cut(void *arg)
{
	sim_cut(arg, false, false);
}

static void normal_disk(void *arg)
{
	struct snode *n = arg;

	for (unsigned k = 0; k < SIM_STORES; k++)
		simdisk_set_latency(n->stores[k].disk, n->s->latency);
}

static void restart_failed(void *arg)
{
	struct sstore *st = arg;

	if (st->alive && st->failed)
		sim_store_kill(st);
}

static uint64_t some_time(struct sim *s)
{
	static const uint64_t ms[] = {200, 900, 2500, 6000, 12000, 20000};

	return ms[sim_below(s, 6)] * SIM_MS + sim_below(s, 500 * SIM_MS);
}

static void take_copy(struct sim *s)
{
	struct snode *n = &s->n[sim_below(s, 2)];

	if (n->powered && !n->stopped && n->identity.trusted && !n->copy[0])
		sim_node_copy(n);
}

static bool do_fault(struct sim *s, enum fault f)
{
	struct snode *n = &s->n[sim_below(s, 2)], *o = &s->n[1 - n->i];
	struct sstore *st = &n->stores[sim_below(s, SIM_STORES)];
	uint64_t t = some_time(s);

	switch (f) {
	case F_POWER:
		if (!n->powered)
			return false;
		sim_node_power_off(n, true);
		simtime_at(s->time, t, power_on, n);
		break;
	case F_BOTH:
		if (!n->powered || !o->powered)
			return false;
		sim_node_power_off(n, true);
		sim_node_power_off(o, true);
		simtime_at(s->time, t, power_on, n);
		simtime_at(s->time, some_time(s), power_on, o);
		break;
	case F_STORE:
		if (!st->alive)
			return false;
		sim_store_kill(st);
		break;
	case F_SYNC:
		if (!n->link)
			return false;
		sim_sync_kill(n);
		break;
	case F_STOP:
		if (!n->powered || n->stopped)
			return false;
		sim_node_stop(n, t);
		break;
	case F_CUT:
	case F_RESET:
		if (s->cut)
			return false;
		/* Both serve when it lasts: that is a true fork. */
		if (s->rule_kept && t > 2 * USEC_PER_SEC)
			t = 2 * USEC_PER_SEC;
		sim_cut(s, true, f == F_RESET);
		simtime_at(s->time, t, heal_cut, s);
		break;
	case F_CLOCK:
		simclock_jump(&n->clock, (int64_t)(sim_below(s, 2) ? 1 : -1) *
			      (int64_t)(sim_below(s, 7200) * USEC_PER_SEC));
		break;
	case F_WIPE:
		/* One disk at a time, and its partner whole: two are a loss
		 * that nothing can mend. */
		if (!sim_in_sync(s))
			return false;
		sim_node_wipe(n);
		break;
	case F_RESTORE:
		/* A copy from before another disk was replaced is refused: a
		 * matter for the operator. */
		if (!n->copy[0] || !sim_in_sync(s) ||
		    /* Both old: nobody can judge (case 47). */
		    (s->restored && s->restored != n->i + 1) ||
		    !id128_eq(n->copy_identity.partner_incarnation,
			      o->identity.incarnation) ||
		    !id128_eq(n->copy_identity.incarnation,
			      n->identity.incarnation))
			return false;
		/* What was in flight when the copy was taken may have been
		 * shown in the life that is lost now: a fork, if it is. */
		s->may_fork = true;
		s->restored = n->i + 1;
		sim_node_restore(n);
		break;
	case F_SLOW:
		for (unsigned k = 0; k < SIM_STORES; k++)
			simdisk_set_latency(n->stores[k].disk,
					    (50 + sim_below(s, 3000)) * SIM_MS);
		simtime_at(s->time, t, normal_disk, n);
		break;
	case F_FSYNC:
		if (!st->alive)
			return false;
		simdisk_fail(st->disk, SIM_FDATASYNC, NULL, 1, 1, 5);
		simtime_at(s->time, t + 3 * USEC_PER_SEC, restart_failed, st);
		break;
	default:
		return false;
	}
	sim_trace(s, "FAULT %s node %u store %u, %" PRIu64 " ms",
		  fault_names[f], n->i, st->process, (uint64_t)(t / SIM_MS));
	s->faults++;
	s->counts[10 + f]++;
	return true;
}

static void nemesis(struct sim *s)
{
	unsigned total = 0, k;
	uint64_t at;

	if (sim_below(s, 60) == 0)
		take_copy(s);
	if (simtime_now(s->time) < s->next_fault)
		return;
	/* The kill rule: the next one only when the pair is whole again. */
	if (s->rule_kept && !sim_in_sync(s))
		return;
	for (k = 0; k < FAULTS; k++)
		total += s->fault_weight[k];
	if (!total)
		return;
	at = sim_below(s, total);
	for (k = 0; at >= s->fault_weight[k]; k++)
		at -= s->fault_weight[k];
	if (do_fault(s, (enum fault)k))
		s->next_fault = simtime_now(s->time) +
				sim_below(s, 8 * USEC_PER_SEC);
}

/* --- a run ------------------------------------------------------------------------------ */

static void swarm(struct sim *s, uint64_t mask, int kept)
{
	static const unsigned usual[W_KINDS] = {30, 15, 20, 8, 6, 6, 4, 2, 2, 3,
						20, 3};
	static const unsigned faults[FAULTS] = {10, 10, 10, 6, 10, 8, 3, 1, 2,
						4, 2, 2};

	for (unsigned k = 0; k < W_KINDS; k++)
		s->weight[k] = sim_below(s, 4) ? usual[k] : 0;
	s->weight[W_DELIVER] = usual[W_DELIVER];
	s->weight[W_LOOK] = usual[W_LOOK];
	for (unsigned k = 0; k < FAULTS; k++)
		s->fault_weight[k] = mask & 1u << k && sim_below(s, 3) ?
				     faults[k] : 0;
	/* Two disks lost one after the other are the operator's business. */
	if (s->fault_weight[F_WIPE] && s->fault_weight[F_RESTORE])
		s->fault_weight[sim_below(s, 2) ? F_WIPE : F_RESTORE] = 0;
	s->rule_kept = sim_below(s, 4) != 0;
	if (kept >= 0)
		s->rule_kept = kept;
	s->strict = sim_below(s, 4) == 0;
	s->latency = (1 + sim_below(s, 15)) * SIM_MS;
	s->delay = 200 + sim_below(s, 20 * SIM_MS);
}

static void start(struct sim *s)
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
		run_for(s, 100 * SIM_MS);
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
static void settle(struct sim *s)
{
	char text[2000], *p = text;

	sim_trace(s, "settling");
	sim_cut(s, false, false);
	for (unsigned i = 0; i < 2; i++) {
		struct snode *n = &s->n[i];

		if (n->stopped)
			n->resume_at = simtime_now(s->time);
		power_on(n);
		normal_disk(n);
		for (unsigned k = 0; k < SIM_STORES; k++)
			simdisk_fail(n->stores[k].disk, 0, NULL, 0, 0, 0);
	}
	for (unsigned k = 0, rest = 0; k < 1200 && !s->bad[0] && rest < 8; k++) {
		run_for(s, 200 * SIM_MS);
		for (unsigned i = 0; i < 2; i++)
			for (unsigned p = 0; p < SIM_STORES; p++)
				restart_failed(&s->n[i].stores[p]);
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

static void end(struct sim *s)
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

static void run(struct sim *s, uint64_t seed, unsigned steps, uint64_t mask,
		int kept)
{
	s->seed = seed;
	simrng_init(&s->rng, seed);
	swarm(s, mask, kept);
	start(s);
	for (unsigned i = 0; i < steps && !s->bad[0]; i++) {
		uint64_t p = sim_below(s, 100);

		if (sim_work_queued(s) < 40)
			sim_work_step(s);
		nemesis(s);
		run_for(s, p < 70 ? sim_below(s, 20 * SIM_MS) :
			p < 97 ? sim_below(s, 300 * SIM_MS) :
				 sim_below(s, 3 * USEC_PER_SEC));
	}
	if (!s->bad[0])
		settle(s);
	if (!s->bad[0])
		sim_check_end(s);
	end(s);
}

int main(int argc, char **argv)
{
	uint64_t seeds = 400, first = 1, mask = UINT64_MAX, failed = 0;
	uint64_t counts[32] = {0}, ops = 0, ok = 0;
	unsigned steps = 1000;
	bool trace = false;
	int kept = -1;
	struct sim *s = xzalloc(sizeof(*s));

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace"))
			trace = true;
		else if (i + 1 >= argc)
			break;
		else if (!strcmp(argv[i], "--seed"))
			first = strtoull(argv[++i], NULL, 10), seeds = 1;
		else if (!strcmp(argv[i], "--first"))
			first = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--seeds"))
			seeds = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--steps"))
			steps = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--faults"))
			mask = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--kept"))
			kept = atoi(argv[++i]);
	}
	for (uint64_t k = first; k < first + seeds; k++) {
		memset(s, 0, sizeof(*s));
		s->trace = trace;
		run(s, k, steps, mask, kept);
		if (s->bad[0]) {
			printf("sim --seed %" PRIu64 " --steps %u: %s\n", k,
			       steps, s->bad);
			fflush(stdout);
			if (++failed >= 10)
				break;
		}
		for (unsigned i = 0; i < 32; i++)
			counts[i] += s->counts[i];
		ops += s->ops_done;
		ok += s->ops_ok;
		if (seeds == 1)
			printf("hash %016" PRIx64 "\n", s->hash);
	}
	printf("%" PRIu64 " ops, %" PRIu64 " ok; forks %" PRIu64 ", takeovers %"
	       PRIu64 ", hand-overs %" PRIu64 ", lone %" PRIu64 ", sync %" PRIu64
	       ", dropped tails %" PRIu64 ", seeds %" PRIu64 ", regressed %"
	       PRIu64 "\nfaults:", ops, ok, counts[0], counts[1], counts[2],
	       counts[3], counts[4], counts[5], counts[6], counts[7]);
	for (unsigned k = 0; k < FAULTS; k++)
		printf(" %s %" PRIu64, fault_names[k], counts[10 + k]);
	printf("\nsim: %" PRIu64 " passed, %" PRIu64 " failed\n", seeds - failed,
	       failed);
	free(s);
	return failed != 0;
}
