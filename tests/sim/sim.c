/*
 * sim [--seed N] [--first N] [--seeds N] [--steps M] [--trace] [--jobs N]
 *     [--faults MASK] [--kept 0|1] [--drop N]
 *
 * --drop: of 1,000 messages between store and sync this many are lost.
 *
 * Without arguments: what `make check-sim` runs.  A seed that fails is printed
 * with the command that replays it.
 */

#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum fault { F_POWER, F_STORE, F_SYNC, F_STOP, F_CUT, F_RESET, F_CLOCK, F_WIPE,
	     F_RESTORE, F_SLOW, F_FSYNC, F_BOTH, FAULTS };

static const char *const fault_names[FAULTS] = {
	"power", "store-kill", "sync-kill", "stop", "cut", "reset", "clock",
	"wipe", "restore", "slow-disk", "fsync", "both",
};

/* --- nemesis -------------------------------------------------------------------- */

static void heal_cut(void *arg)
{
	sim_cut(arg, false, false);
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

/* What a fault may strike. */
struct target {
	struct snode *n, *o;
	struct sstore *st;
	uint64_t t;			/* how long */
};

static bool fault_node(struct sim *s, enum fault f, const struct target *x)
{
	struct snode *n = x->n, *o = x->o;

	switch (f) {
	case F_POWER:
		if (!n->powered)
			return false;
		sim_node_power_off(n, true);
		simtime_at(s->time, x->t, sim_power_on, n);
		return true;
	case F_BOTH:
		if (!n->powered || !o->powered)
			return false;
		sim_node_power_off(n, true);
		sim_node_power_off(o, true);
		simtime_at(s->time, x->t, sim_power_on, n);
		simtime_at(s->time, some_time(s), sim_power_on, o);
		return true;
	case F_STOP:
		if (!n->powered || n->stopped)
			return false;
		sim_node_stop(n, x->t);
		return true;
	default:
		simclock_jump(&n->clock, (int64_t)(sim_below(s, 2) ? 1 : -1) *
			      (int64_t)(sim_below(s, 7200) * USEC_PER_SEC));
		return true;
	}
}

static bool fault_process(struct sim *s, enum fault f, const struct target *x)
{
	if (f == F_SYNC) {
		if (!x->n->link)
			return false;
		sim_sync_kill(x->n);
		return true;
	}
	if (!x->st->alive || x->n->stopped)
		return false;
	if (sim_below(s, 3))
		sim_store_kill(x->st);
	else
		sim_store_restart(x->st);
	return true;
}

static bool fault_link(struct sim *s, enum fault f, struct target *x)
{
	if (s->cut)
		return false;
	/* Both serve when it lasts: that is a true fork. */
	if (s->rule_kept && x->t > 2 * USEC_PER_SEC)
		x->t = 2 * USEC_PER_SEC;
	sim_cut(s, true, f == F_RESET);
	simtime_at(s->time, x->t, heal_cut, s);
	return true;
}

static bool fault_restore(struct sim *s, const struct target *x)
{
	struct snode *n = x->n;

	/* A copy from before another disk was replaced is refused: a matter
	 * for the operator. */
	if (!n->copy[0] || !sim_in_sync(s) ||
	    /* Both old: nobody can judge (case 47). */
	    (s->restored && s->restored != n->i + 1) ||
	    !id128_eq(n->copy_identity.partner_incarnation,
		      x->o->identity.incarnation) ||
	    !id128_eq(n->copy_identity.incarnation, n->identity.incarnation))
		return false;
	/* What was in flight when the copy was taken may have been shown in
	 * the life that is lost now: a fork, if it is. */
	s->may_fork = true;
	s->restored = n->i + 1;
	sim_node_restore(n);
	return true;
}

static bool fault_disk(struct sim *s, enum fault f, const struct target *x)
{
	struct snode *n = x->n;

	switch (f) {
	case F_WIPE:
		/* One disk at a time, and its partner whole: two are a loss
		 * that nothing can mend. */
		if (!sim_in_sync(s))
			return false;
		sim_node_wipe(n);
		return true;
	case F_RESTORE:
		return fault_restore(s, x);
	case F_SLOW:
		for (unsigned k = 0; k < SIM_STORES; k++)
			simdisk_set_latency(n->stores[k].disk,
					    (50 + sim_below(s, 3000)) * SIM_MS);
		simtime_at(s->time, x->t, sim_normal_disk, n);
		return true;
	default:
		if (!x->st->alive)
			return false;
		simdisk_fail(x->st->disk, SIM_FDATASYNC, NULL, 1, 1, 5);
		s->armed_until = simtime_now(s->time) + x->t + 3 * USEC_PER_SEC;
		simtime_at(s->time, x->t + 3 * USEC_PER_SEC, sim_restart_failed,
			   x->st);
		return true;
	}
}

static bool do_fault(struct sim *s, enum fault f)
{
	struct snode *n = &s->n[sim_below(s, 2)];
	struct target x = {n, &s->n[1 - n->i],
			   &n->stores[sim_below(s, SIM_STORES)], some_time(s)};
	bool done = f == F_POWER || f == F_BOTH || f == F_STOP || f == F_CLOCK ?
		    fault_node(s, f, &x) :
		    f == F_STORE || f == F_SYNC ? fault_process(s, f, &x) :
		    f == F_CUT || f == F_RESET ? fault_link(s, f, &x) :
		    fault_disk(s, f, &x);

	if (!done)
		return false;
	sim_trace(s, "FAULT %s node %u store %u, %" PRIu64 " ms",
		  fault_names[f], n->i, x.st->process,
		  (uint64_t)(x.t / SIM_MS));
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
	if (s->rule_kept && (!sim_in_sync(s) ||
			     simtime_now(s->time) < s->armed_until))
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

struct options {
	uint64_t seeds, first, mask;
	unsigned steps, jobs;
	bool trace;
	int kept, drop;			/* -1 = as the seed says */
};

static void swarm(struct sim *s, const struct options *o)
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
		s->fault_weight[k] = o->mask & 1u << k && sim_below(s, 3) ?
				     faults[k] : 0;
	/* Two disks lost one after the other are the operator's business. */
	if (s->fault_weight[F_WIPE] && s->fault_weight[F_RESTORE])
		s->fault_weight[sim_below(s, 2) ? F_WIPE : F_RESTORE] = 0;
	s->rule_kept = sim_below(s, 4) != 0;
	if (o->kept >= 0)
		s->rule_kept = o->kept;
	s->strict = sim_below(s, 4) == 0;
	s->drop = sim_below(s, 3) ? 0 : 10;
	if (o->drop >= 0)
		s->drop = (unsigned)o->drop;
	s->pad = sim_below(s, 8) == 0 ? 50000 : 0;
	s->seed_records = sim_below(s, 2) ? 20 : 0;
	s->latency = (1 + sim_below(s, 15)) * SIM_MS;
	s->delay = 200 + sim_below(s, 20 * SIM_MS);
}

static void run(struct sim *s, uint64_t seed, const struct options *o)
{
	s->seed = seed;
	simrng_init(&s->rng, seed);
	swarm(s, o);
	sim_begin(s);
	for (unsigned i = 0; i < o->steps && !s->bad[0]; i++) {
		uint64_t p = sim_below(s, 100);

		if (sim_work_queued(s) < 40)
			sim_work_step(s);
		nemesis(s);
		sim_run_for(s, p < 70 ? sim_below(s, 20 * SIM_MS) :
			p < 97 ? sim_below(s, 300 * SIM_MS) :
				 sim_below(s, 3 * USEC_PER_SEC));
	}
	if (!s->bad[0])
		sim_settle(s);
	if (!s->bad[0])
		sim_check_end(s);
	sim_end(s);
}

struct totals {
	uint64_t failed, ops, ok, counts[32];
	uint64_t looks[SIM_CLIENTS], told;
};

/* Every jobs-th seed. */
static void run_seeds(const struct options *o, unsigned job, struct totals *t)
{
	struct sim *s = xzalloc(sizeof(*s));

	for (uint64_t k = o->first + job; k < o->first + o->seeds; k += o->jobs) {
		uint64_t hash = 0;

		/* The first seed runs twice: the same, or nothing can be
		 * replayed. */
		for (int again = 0; again < (k == o->first ? 2 : 1); again++) {
			memset(s, 0, sizeof(*s));
			s->trace = o->trace && !again;
			run(s, k, o);
			if (again && s->hash != hash && !s->bad[0])
				snprintf(s->bad, sizeof(s->bad),
					 "two runs of it differ");
			hash = s->hash;
		}
		if (s->bad[0]) {
			printf("sim --seed %" PRIu64 " --steps %u", k,
			       o->steps);
			if (o->drop >= 0)
				printf(" --drop %d", o->drop);
			if (o->kept >= 0)
				printf(" --kept %d", o->kept);
			if (o->mask != UINT64_MAX)
				printf(" --faults %#" PRIx64, o->mask);
			printf(": %s\n", s->bad);
			fflush(stdout);
			if (++t->failed >= 10)
				break;
		}
		for (unsigned i = 0; i < 32; i++)
			t->counts[i] += s->counts[i];
		for (unsigned i = 0; i < SIM_CLIENTS; i++)
			t->looks[i] += s->cache_looks[i];
		t->told += s->idle_told;
		t->ops += s->ops_done;
		t->ok += s->ops_ok;
	}
	free(s);
}

static void add(struct totals *sum, const struct totals *t)
{
	sum->failed += t->failed;
	sum->ops += t->ops;
	sum->ok += t->ok;
	for (unsigned i = 0; i < 32; i++)
		sum->counts[i] += t->counts[i];
	for (unsigned i = 0; i < SIM_CLIENTS; i++)
		sum->looks[i] += t->looks[i];
	sum->told += t->told;
}

static void run_jobs(const struct options *o, struct totals *sum)
{
	int pipes[8][2];

	if (o->jobs == 1) {
		run_seeds(o, 0, sum);
		return;
	}
	for (unsigned j = 0; j < o->jobs; j++) {
		struct totals t = {0};

		fflush(stdout);
		if (pipe(pipes[j]) < 0)
			abort();
		if (fork())
			continue;
		run_seeds(o, j, &t);
		_exit(write(pipes[j][1], &t, sizeof(t)) != sizeof(t));
	}
	for (unsigned j = 0; j < o->jobs; j++) {
		struct totals t = {.failed = 1};

		close(pipes[j][1]);
		/* One that died says nothing: that is a failure. */
		if (read(pipes[j][0], &t, sizeof(t)) != sizeof(t))
			printf("sim: job %u died\n", j);
		close(pipes[j][0]);
		wait(NULL);
		add(sum, &t);
	}
}

/* A run that never came to these proves nothing. */
static void must_happen(const struct options *o, struct totals *t)
{
	static const char *const what[] = {"forks", "takeovers", "hand-overs",
		"lone", "sync", "dropped tails", "seeds", "regressed",
		"link downs",
		"dropped messages"};

	printf("%" PRIu64 " ops, %" PRIu64 " ok;", t->ops, t->ok);
	for (unsigned k = 0; k < ARRAY_LEN(what); k++)
		printf(" %s %" PRIu64, what[k], t->counts[k]);
	printf("\nvisits of each client:");
	for (unsigned k = 0; k < SIM_CLIENTS; k++)
		printf(" %" PRIu64, t->looks[k]);
	printf(", told in IDLE %" PRIu64, t->told);
	printf("\nfaults:");
	for (unsigned k = 0; k < FAULTS; k++)
		printf(" %s %" PRIu64, fault_names[k], t->counts[10 + k]);
	printf("\n");
	for (unsigned k = 0; o->seeds >= 1000 && o->mask == UINT64_MAX &&
	     k < 10 + FAULTS; k++)
		if (!t->counts[k] && (k < ARRAY_LEN(what) || k >= 10)) {
			printf("never happened: %s\n", k < 10 ? what[k] :
			       fault_names[k - 10]);
			t->failed++;
		}
	for (unsigned k = 0; o->seeds >= 1000 && k < SIM_CLIENTS; k++)
		t->failed += !t->looks[k] || !t->told;
}

int main(int argc, char **argv)
{
	struct options o = {.seeds = 2000, .first = 1, .mask = UINT64_MAX,
			    .steps = 1000, .kept = -1, .drop = -1};
	struct totals t = {0};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	o.jobs = cpus < 1 ? 1 : cpus > 8 ? 8 : (unsigned)cpus;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace"))
			o.trace = true;
		else if (i + 1 >= argc)
			break;
		else if (!strcmp(argv[i], "--seed"))
			o.first = strtoull(argv[++i], NULL, 10), o.seeds = 1;
		else if (!strcmp(argv[i], "--first"))
			o.first = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--seeds"))
			o.seeds = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--steps"))
			o.steps = (unsigned)strtoul(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--faults"))
			o.mask = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--kept"))
			o.kept = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--drop"))
			o.drop = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--jobs"))
			o.jobs = (unsigned)atoi(argv[++i]);
	}
	if (o.seeds == 1 || o.jobs < 1 || o.jobs > 8)
		o.jobs = 1;
	run_jobs(&o, &t);
	must_happen(&o, &t);
	printf("sim: %" PRIu64 " passed, %" PRIu64 " failed\n",
	       o.seeds - t.failed, t.failed);
	return t.failed != 0;
}
