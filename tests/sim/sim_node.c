/* Nodes: disks, store processes, and their messages with sync. */

#include "tests/sim/sim.h"

#include "node/base/cleanup.h"
#include "node/base/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t no_pair[16];

/* --- waiting until a stopped process runs again ------------------------------- */

bool sim_runs(struct snode *n, simtime_cb *cb, void *arg)
{
	uint64_t now = simtime_now(n->s->time);

	if (!n->stopped)
		return true;
	simtime_at(n->s->time, n->resume_at > now ? n->resume_at - now + 1 : 1,
		   cb, arg);
	return false;
}

/* --- messages between a store process and sync of one node ---------------------- */

struct parcel {
	struct snode *n;
	unsigned process;
	uint64_t life, link_life;
	bool to_store;
	struct buf b;
};

static struct parcel *parcel_new(struct snode *n, unsigned process,
				 const struct link_msg *m)
{
	struct parcel *p = NEW(struct parcel);

	p->n = n;
	p->process = process;
	p->life = n->stores[process].life;
	p->link_life = n->link_life;
	buf_init(&p->b, IPC_MESSAGE_MAX);
	if (link_encode(&p->b, m) < 0)
		SIM_BAD(n->s, "a message that cannot be encoded: %s",
			link_type_name(m->type));
	return p;
}

bool sim_parcel_open(struct sim *s, struct buf *b, struct arena *a,
			struct link_msg *m)
{
	struct ipc_msg ipc;
	struct err err = ERR_NONE;

	if (ipc_decode(buf_all(b), &ipc, &err) <= 0 ||
	    link_decode(&ipc, a, m, &err) < 0) {
		SIM_BAD(s, "a message that cannot be decoded: %s", err.op);
		return false;
	}
	return true;
}

static void parcel_free(struct parcel *p)
{
	buf_fini(&p->b);
	free(p);
}

static void arrive(void *arg)
{
	struct parcel *p = arg;
	struct snode *n = p->n;
	struct sstore *st = &n->stores[p->process];
	struct arena *a;
	struct link_msg m;

	if (!sim_runs(n, arrive, p))
		return;
	a = arena_new(4096);
	if (!p->to_store)
		st->queued -= p->b.n;
	if (p->to_store) {
		if (st->alive && st->life == p->life &&
		    sim_parcel_open(n->s, &p->b, a, &m)) {
			engine_message(st->engine, &m);
			sim_turn(st);
		}
	} else if (n->link && p->link_life == n->link_life &&
		   sim_parcel_open(n->s, &p->b, a, &m)) {
		/* Of a dead process too: its queue lives a while. */
		node_link_from_store(n->link, p->process, &m);
	}
	arena_free(a);
	parcel_free(p);
}

/* As when a queue is full: any message, at any time, without a word. */
static bool dropped(const struct parcel *p, const struct link_msg *m)
{
	struct sim *s = p->n->s;
	bool wanted = s->drop && sim_below(s, 1000) < s->drop;

	if (s->drop_mask && m->type == s->drop_type) {
		wanted |= s->drop_mask & 1;
		s->drop_mask >>= 1;
	}
	if (!wanted)
		return false;
	sim_trace(s, "node %u store %u: %s %s sync is dropped", p->n->i,
		  p->process, link_type_name(m->type),
		  p->to_store ? "from" : "to");
	s->counts[9]++;
	return true;
}

static void engine_sends(void *arg, const struct link_msg *m)
{
	struct sstore *st = arg;
	struct parcel *p = parcel_new(st->n, st->process, m);

	if (st->queued + p->b.n > IPC_QUEUE_MAX)
		SIM_BAD(st->n->s, "the channel to sync is full");
	if (dropped(p, m)) {
		parcel_free(p);
		return;
	}
	st->queued += p->b.n;
	simtime_at(st->n->s->time, 50, arrive, p);
}

static size_t engine_queued(void *arg)
{
	const struct sstore *st = arg;

	return st->queued;
}

void sim_link_to_store(void *arg, int process, const struct link_msg *m)
{
	struct snode *n = arg;

	for (unsigned i = 0; i < SIM_STORES; i++) {
		struct parcel *p;

		if (process >= 0 && i != (unsigned)process)
			continue;
		p = parcel_new(n, i, m);
		p->to_store = true;
		if (dropped(p, m)) {
			parcel_free(p);
			continue;
		}
		simtime_at(n->s->time, 50, arrive, p);
	}
}

/* --- store processes --------------------------------------------------------------- */

static void turn(void *arg)
{
	struct sstore *st = arg;

	if (!sim_runs(st->n, turn, st))
		return;
	st->turn_due = false;
	if (!st->alive)
		return;
	engine_turn(st->engine);
	if (st->alive && !st->failed)
		store_turn(st->store);
}

/* The loop comes round. */
void sim_turn(struct sstore *st)
{
	if (st->turn_due || !st->alive)
		return;
	st->turn_due = true;
	simtime_at(st->n->s->time, 20, turn, st);
}

static void evicted(void *arg, struct account *a, const char *why)
{
	struct sstore *st = arg;

	sim_trace(st->n->s, "node %u: sessions of %s end: %s", st->n->i,
		  account_name(a), why);
	sim_work_evicted(st->n->s, st, a);
}

static void happened(void *arg, const char *event, struct account *a,
		     const char *text)
{
	struct sstore *st = arg;
	struct sim *s = st->n->s;

	sim_trace(s, "node %u store %u: %s %s: %s", st->n->i, st->process,
		  event, a ? account_name(a) : "-", text);
	for (unsigned i = 0; a && i < SIM_ACCOUNTS; i++)
		if (!strcmp(event, "account_forked") &&
		    id128_eq(s->acc[i].id, account_id(a))) {
			s->acc[i].forked = true;
			s->counts[0]++;
			if (s->rule_kept && !s->may_fork)
				SIM_BAD(s, "%s FORKED although the kill rule "
					"was kept", s->acc[i].name);
		}
	if (!strcmp(event, "account_parked"))
		SIM_BAD(s, "parked: %s: %s", a ? account_name(a) : "-", text);
	s->counts[1] += !strcmp(event, "account_takeover");
	s->counts[2] += !strcmp(event, "account_received");
	s->counts[3] += !strcmp(event, "account_lone");
	s->counts[4] += !strcmp(event, "account_sync");
	s->counts[5] += !strcmp(event, "unpublished_tail");
	s->counts[6] += !strcmp(event, "account_needs_seed");
}

static void locate(void *arg, struct id128 id, const char *name)
{
	struct sstore *st = arg;
	char root[80];

	snprintf(root, sizeof(root), "/mail/%s", name);
	engine_located(st->engine, id, name, root, NULL);
}

static void store_failed(void *arg, const struct err *e)
{
	struct sstore *st = arg;

	sim_trace(st->n->s, "node %u store %u failed: %s", st->n->i,
		  st->process, e->op);
	st->failed = true;
	engine_failed(st->engine, e);
}

struct ticker {
	struct sstore *st;
	uint64_t life;
};

static void store_ticks(void *arg)
{
	struct ticker *t = arg;
	struct sstore *st = t->st;

	if (!sim_runs(st->n, store_ticks, t))
		return;
	if (!st->alive || st->life != t->life) {
		free(t);
		return;
	}
	engine_tick(st->engine, false);
	sim_turn(st);
	simtime_at(st->n->s->time, SIM_TICK, store_ticks, t);
}

static struct store_opts store_opts_of(struct sstore *st)
{
	struct snode *n = st->n;

	return (struct store_opts){
		.sys = &st->sys, .pair_id = slice_of(n->identity.pair_id.b, 16),
		.pair_time = n->identity.pair_time, .node = n->identity.index,
		.state_dir = "/state", .mail_root = "",
		.process = st->process, .processes = SIM_STORES,
		.journal_size = 8u << 20, .journal_inline = 64 * 1024,
		.reserve = 0, .failed = store_failed, .arg = st};
}

static void start_store(void *arg)
{
	struct sstore *st = arg;
	struct snode *n = st->n;
	struct store_opts so;
	struct engine_opts eo;
	struct engine_out out = {engine_sends, evicted, locate, happened,
				 engine_queued, st};
	struct err err = ERR_NONE;
	struct ticker *t;

	if (!sim_runs(n, start_store, st) || st->alive || !n->powered)
		return;
	if (!n->identity.has ||
	    !memcmp(n->identity.pair_id.b, no_pair, 16)) {
		/* Waits for the identity; sync has it first. */
		simtime_at(n->s->time, 100 * SIM_MS, start_store, st);
		return;
	}
	so = store_opts_of(st);
	if (store_open(&so, &st->store, &err) < 0) {
		SIM_BAD(n->s, "node %u store %u does not open: %s", n->i,
			st->process, err.op);
		return;
	}
	eo = (struct engine_opts){
		.sys = &st->sys, .store = st->store, .pair_id = so.pair_id,
		.pair_time = so.pair_time, .node = so.node,
		.trusted = n->identity.trusted,
		.partner_member = n->identity.member,
		.forgotten = !n->identity.member && n->identity.n_retired,
		.ack_timeout = 8, .takeover_delay = 10, .start_window = 24,
		.handover_interval_usec = 20 * USEC_PER_SEC,
		.seed_records = n->s->seed_records};
	if (n->s->strict)
		memset(eo.degraded, DEGRADED_TEMPFAIL, 3);
	if (engine_new(&eo, &out, &st->engine, &err) < 0) {
		SIM_BAD(n->s, "engine: %s", err.op);
		return;
	}
	st->alive = true;
	st->failed = false;
	st->life++;
	sim_trace(n->s, "node %u store %u started", n->i, st->process);
	if (n->link)
		node_link_store_attached(n->link, st->process);
	t = NEW(struct ticker);
	*t = (struct ticker){st, st->life};
	simtime_at(n->s->time, SIM_TICK / 2, store_ticks, t);
	engine_tick(st->engine, false);
	sim_turn(st);
}

void sim_store_start(struct sstore *st)
{
	simtime_at(st->n->s->time, 20 * SIM_MS, start_store, st);
}

/* Without a word: memory is gone, what it wrote is still in the page cache. */
static void store_dies(struct sstore *st)
{
	if (!st->alive)
		return;
	sim_work_lost(st->n->s, st);
	simdisk_kill(st->disk);
	st->alive = false;
	engine_drop(st->engine);
	store_drop(st->store);
	st->engine = NULL;
	st->store = NULL;
	if (st->n->link)
		node_link_store_detached(st->n->link, st->process);
}

void sim_store_kill(struct sstore *st)
{
	if (!st->alive)
		return;
	store_dies(st);
	simdisk_revive(st->disk);
	sim_store_start(st);
}

/* As at SIGTERM, without handing over: everything is closed in order. */
void sim_store_restart(struct sstore *st)
{
	if (!st->alive || st->failed)
		return;
	sim_work_lost(st->n->s, st);
	st->alive = false;
	engine_free(TAKE(st->engine));
	store_close(TAKE(st->store));
	if (st->n->link)
		node_link_store_detached(st->n->link, st->process);
	sim_store_start(st);
}

/* --- nodes ------------------------------------------------------------------------------------- */

void sim_node_init(struct sim *s, unsigned i)
{
	struct snode *n = &s->n[i];

	n->s = s;
	n->i = i;
	simclock_init(&n->clock, s->time, 1700000000ull * USEC_PER_SEC);
	simrng_init(&n->rng, s->seed * 8 + i + 1);
	n->rng.rng.bytes(&n->rng.rng, n->identity.node_id.b, 16);
	n->rng.rng.bytes(&n->rng.rng, n->identity.incarnation.b, 16);
	for (unsigned k = 0; k < SIM_STORES; k++) {
		struct sstore *st = &n->stores[k];

		st->n = n;
		st->process = k;
		st->disk = simdisk_new(s->time);
		simdisk_set_clock(st->disk, &n->clock.clock);
		simdisk_set_latency(st->disk, s->latency);
		simrng_init(&st->rng, s->seed * 8 + i * 2 + k + 3);
		st->sys = (struct sys){simdisk_fs(st->disk), &n->clock.clock,
				       &st->rng.rng};
		fsio_mkdirs(st->sys.fs, "/state", 0700);
		fsio_mkdirs(st->sys.fs, "/mail", 0700);
		st->sys.fs->ops->syncfs(st->sys.fs, "/");
	}
	n->powered = true;
	sim_node_start(n);
}

void sim_node_start(struct snode *n)
{
	n->powered = true;
	sim_sync_start(n);
	for (unsigned k = 0; k < SIM_STORES; k++)
		sim_store_start(&n->stores[k]);
}

static void node_dies(struct snode *n)
{
	n->powered = false;
	n->stopped = false;
	for (unsigned k = 0; k < SIM_STORES; k++) {
		simdisk_set_hang(n->stores[k].disk, false);
		store_dies(&n->stores[k]);
	}
	sim_sync_dies(n, false);
}

void sim_node_power_off(struct snode *n, bool lose)
{
	struct simdisk_keep keep = {KEEP_RANDOM, 0, 0};

	node_dies(n);
	for (unsigned k = 0; k < SIM_STORES; k++) {
		struct simdisk *d = n->stores[k].disk;

		simdisk_kill(d);
		keep.seed = simrng_u64(&n->s->rng);
		keep.kind = lose ? (enum simdisk_keep_kind)
			(sim_below(n->s, 3) == 0 ? KEEP_NONE : KEEP_RANDOM) :
			KEEP_ALL;
		simdisk_power_loss(d, keep);
		simdisk_revive(d);
	}
}

static void resumed(void *arg)
{
	struct snode *n = arg;

	if (!n->stopped || simtime_now(n->s->time) < n->resume_at)
		return;
	n->stopped = false;
	for (unsigned k = 0; k < SIM_STORES; k++)
		simdisk_set_hang(n->stores[k].disk, false);
}

void sim_node_stop(struct snode *n, uint64_t usec)
{
	if (!n->powered || n->stopped)
		return;
	n->stopped = n->was_stopped = true;
	n->resume_at = simtime_now(n->s->time) + usec;
	for (unsigned k = 0; k < SIM_STORES; k++)
		simdisk_set_hang(n->stores[k].disk, true);
	simtime_at(n->s->time, usec, resumed, n);
}

static void new_disks(struct snode *n)
{
	for (unsigned k = 0; k < SIM_STORES; k++) {
		struct sstore *st = &n->stores[k];

		simdisk_free(st->disk);
		st->disk = simdisk_new(n->s->time);
		simdisk_set_clock(st->disk, &n->clock.clock);
		simdisk_set_latency(st->disk, n->s->latency);
		st->sys.fs = simdisk_fs(st->disk);
		fsio_mkdirs(st->sys.fs, "/state", 0700);
		fsio_mkdirs(st->sys.fs, "/mail", 0700);
		st->sys.fs->ops->syncfs(st->sys.fs, "/");
	}
}

/* A new disk: nothing is left, not even the identity. */
void sim_node_wipe(struct snode *n)
{
	node_dies(n);
	sim_check_destroyed(n->s, n);
	new_disks(n);
	/* Whoever replaces a disk sets the clock, or the join is refused. */
	simclock_jump(&n->clock, (int64_t)(
		clock_real(&n->s->n[1 - n->i].clock.clock) -
		clock_real(&n->clock.clock)));
	n->identity = (struct node_identity){.node_id = n->identity.node_id};
	n->rng.rng.bytes(&n->rng.rng, n->identity.incarnation.b, 16);
	n->wiped = true;
	sim_node_start(n);
}

void sim_node_copy(struct snode *n)
{
	for (unsigned k = 0; k < SIM_STORES; k++) {
		simdisk_free(n->copy[k]);
		n->copy[k] = simdisk_clone(n->stores[k].disk);
		simdisk_kill(n->copy[k]);
		simdisk_power_loss(n->copy[k],
				   (struct simdisk_keep){KEEP_NONE, 0, 0});
		simdisk_revive(n->copy[k]);
	}
	n->copy_identity = n->identity;
}

void sim_node_restore(struct snode *n)
{
	node_dies(n);
	sim_check_destroyed(n->s, n);
	for (unsigned k = 0; k < SIM_STORES; k++) {
		struct sstore *st = &n->stores[k];

		simdisk_free(st->disk);
		st->disk = n->copy[k];
		n->copy[k] = NULL;
		simdisk_set_clock(st->disk, &n->clock.clock);
		simdisk_set_latency(st->disk, n->s->latency);
		st->sys.fs = simdisk_fs(st->disk);
	}
	n->identity = n->copy_identity;
	sim_node_start(n);
}

void sim_node_fini(struct snode *n)
{
	node_dies(n);
	for (unsigned k = 0; k < SIM_STORES; k++) {
		simdisk_free(n->copy[k]);
		simdisk_free(n->stores[k].disk);
	}
}

struct sstore *sim_store_of(struct snode *n, unsigned account)
{
	return &n->stores[node_link_process_of(n->s->acc[account].id,
					       SIM_STORES)];
}

static bool settled(void *arg, const struct engine_account_status *st)
{
	bool *all = arg;

	if (st->state != ACCT_SYNC || st->unacked_records)
		*all = false;
	return *all;
}

/* Both nodes say SYNC, and every process is there. */
bool sim_in_sync(struct sim *s)
{
	bool all = true;

	if (s->cut)
		return false;
	/* A connection that a cut has killed, and nobody has noticed yet. */
	for (struct list *l = s->wires.next; l != &s->wires; l = l->next) {
		struct wire *w = CONTAINER_OF(l, struct wire, node);

		if (w->dead && (w->end[0].open || w->end[1].open))
			return false;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct snode *n = &s->n[i];
		struct node_link_status st;

		if (!n->powered || n->stopped || !n->link)
			return false;
		node_link_status(n->link, &st);
		if (st.state != NODE_SYNC || !st.up || st.sum.incomplete)
			return false;
		for (unsigned k = 0; k < SIM_STORES; k++) {
			if (!n->stores[k].alive || n->stores[k].failed)
				return false;
			engine_status(n->stores[k].engine, settled, &all);
		}
	}
	return all;
}
