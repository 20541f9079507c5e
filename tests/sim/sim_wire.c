/* The wires between two nodes, and the sync process at each end. */

#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- wires ------------------------------------------------------------------------------ */

struct flight {
	struct wire_end *to;
	struct buf b;
	bool eof;
	size_t reads;			/* that come before it is whole */
	uint64_t read_usec;
};
#define READ_BYTES 16384u		/* a TLS record */

static void wire_unref(struct wire *w)
{
	if (--w->refs)
		return;
	list_remove(&w->node);
	free(w);
}

static void landed(void *arg)
{
	struct flight *f = arg;
	struct wire_end *e = f->to;
	struct snode *n = &e->w->s->n[e->i];
	struct arena *a;
	struct link_msg m;

	if (!sim_runs(n, landed, f))
		return;
	if (e->open && n->link && e->life == n->link_life && !e->w->dead) {
		if (f->reads) {
			f->reads--;
			node_link_input(n->link, e);
			simtime_at(n->s->time, f->read_usec, landed, f);
			return;
		}
		if (f->eof) {
			e->open = false;
			node_link_closed(n->link, e);
		} else {
			a = arena_new(4096);
			if (sim_parcel_open(n->s, &f->b, a, &m))
				node_link_message(n->link, e, &m);
			arena_free(a);
		}
	}
	wire_unref(e->w);
	buf_fini(&f->b);
	free(f);
}

static void fly(struct wire_end *to, const struct link_msg *m, bool eof)
{
	struct sim *s = to->w->s;
	uint64_t now = simtime_now(s->time), at;
	struct flight *f;

	if (s->cut)
		to->w->dead = true;	/* its bytes never arrive */
	if (to->w->dead)
		return;
	f = NEW(struct flight);
	f->to = to;
	f->eof = eof;
	buf_init(&f->b, IPC_MESSAGE_MAX);
	if (m && link_encode(&f->b, m) < 0)
		SIM_BAD(s, "a message that cannot be encoded: %s",
			link_type_name(m->type));
	s->wire_bytes += f->b.n;
	at = now + 100 + sim_below(s, s->delay);
	if (s->rate) {
		uint64_t *busy = &s->busy_until[to->i];

		*busy = (*busy > now ? *busy : now) +
			f->b.n * USEC_PER_SEC / s->rate;
		at += *busy - now;
		f->read_usec = READ_BYTES * USEC_PER_SEC / s->rate;
		f->reads = f->b.n / READ_BYTES;
	}
	if (at <= to->last_at)
		at = to->last_at + 1;	/* in order */
	to->last_at = at;
	to->w->refs++;
	simtime_at(s->time, at - now - f->reads * f->read_usec, landed, f);
}

static void link_sends(void *arg, void *conn, const struct link_msg *m)
{
	struct wire_end *e = conn;

	(void)arg;
	fly(&e->w->end[1 - e->i], m, false);
}

static void link_closes(void *arg, void *conn, const char *why)
{
	struct wire_end *e = conn;
	struct snode *n = arg;

	sim_trace(n->s, "node %u closes a connection: %s", n->i, why);
	if (!e->open)
		return;
	e->open = false;
	fly(&e->w->end[1 - e->i], NULL, true);
	wire_unref(e->w);
}

static void connect_end(struct wire_end *e, bool ours)
{
	struct snode *n = &e->w->s->n[e->i];

	e->open = true;
	e->life = n->link_life;
	node_link_connected(n->link, e, e->w->ch, ours);
}

struct dialling {
	struct snode *n;
	enum link_channel ch;
	uint64_t life;
};

static void dialled(void *arg)
{
	struct dialling *d = arg;
	struct snode *n = d->n, *o = &n->s->n[1 - n->i];
	struct sim *s = n->s;
	struct wire *w;

	if (!sim_runs(n, dialled, d))
		return;
	if (!n->link || n->link_life != d->life) {
		free(d);
		return;
	}
	if (s->cut || !o->link || o->stopped) {
		n->dialing[d->ch] = false;
		node_link_dial_failed(n->link, d->ch);
		free(d);
		return;
	}
	w = NEW(struct wire);
	w->s = s;
	w->ch = d->ch;
	w->dialler = n->i;
	for (unsigned i = 0; i < 2; i++)
		w->end[i] = (struct wire_end){.w = w, .i = i};
	w->refs = 2;
	list_init(&w->node);
	list_append(&s->wires, &w->node);
	n->dialing[d->ch] = false;
	/* Both exist before either speaks. */
	w->end[o->i].open = true;
	w->end[o->i].life = o->link_life;
	connect_end(&w->end[n->i], true);
	if (w->end[o->i].open)
		node_link_connected(o->link, &w->end[o->i], w->ch, false);
	free(d);
}

static void link_dials(void *arg, enum link_channel ch)
{
	struct snode *n = arg;
	struct dialling *d = NEW(struct dialling);

	n->dialing[ch] = true;
	*d = (struct dialling){n, ch, n->link_life};
	simtime_at(n->s->time, 1000 + sim_below(n->s, n->s->delay), dialled, d);
}

static void link_streams(void *arg, const struct link_msg *m)
{
	(void)arg;
	(void)m;
}

struct writing {
	struct snode *n;
	uint64_t life;
};

static void written(void *arg)
{
	struct writing *w = arg;

	if (!sim_runs(w->n, written, w))
		return;
	if (w->n->link && w->n->link_life == w->life)
		node_link_identity_written(w->n->link);
	free(w);
}

static void link_identity(void *arg, const struct node_identity *id)
{
	struct snode *n = arg;
	struct writing *w = NEW(struct writing);

	n->identity = *id;
	*w = (struct writing){n, n->link_life};
	simtime_at(n->s->time, 2 * SIM_MS, written, w);
}

static void link_event(void *arg, const char *event, const char *text)
{
	struct snode *n = arg;

	sim_trace(n->s, "node %u: %s: %s", n->i, event, text);
	if (!strcmp(event, "pair_regressed"))
		n->s->counts[7]++;
	if (!strcmp(event, "pair_link_down"))
		n->s->counts[8]++;
}

/* --- sync ------------------------------------------------------------------------------------ */

struct linktick {
	struct snode *n;
	uint64_t life;
};

static void link_ticks(void *arg)
{
	struct linktick *t = arg;

	if (!sim_runs(t->n, link_ticks, t))
		return;
	if (!t->n->link || t->n->link_life != t->life) {
		free(t);
		return;
	}
	node_link_tick(t->n->link);
	simtime_at(t->n->s->time, SIM_TICK, link_ticks, t);
}

static void start_sync(void *arg)
{
	struct snode *n = arg;
	struct node_link_out out = {link_sends, link_closes, link_dials,
				    sim_link_to_store, link_streams, link_identity,
				    link_event, n};
	struct node_link_opts o = {
		.clock = &n->clock.clock, .rng = &n->rng.rng,
		.identity = n->identity, .clock_skew_usec = 60 * USEC_PER_SEC,
		.stores = SIM_STORES};
	struct linktick *t;

	if (!sim_runs(n, start_sync, n) || n->link || !n->powered)
		return;
	o.has_accounts = n->identity.has && n->identity.member &&
			 n->identity.trusted;
	n->link = node_link_new(&o, &out);
	n->link_life++;
	for (unsigned i = 0; i < SIM_STORES; i++)
		if (n->stores[i].alive)
			node_link_store_attached(n->link, i);
	t = NEW(struct linktick);
	*t = (struct linktick){n, n->link_life};
	simtime_at(n->s->time, 1000 + sim_below(n->s, 20 * SIM_MS), link_ticks,
		   t);
}

void sim_sync_start(struct snode *n)
{
	simtime_at(n->s->time, 5 * SIM_MS, start_sync, n);
}

void sim_sync_dies(struct snode *n, bool reset)
{
	struct list *l, *next;

	if (!n->link)
		return;
	node_link_free(n->link);
	n->link = NULL;
	for (l = n->s->wires.next; l != &n->s->wires; l = next) {
		struct wire *w = CONTAINER_OF(l, struct wire, node);

		next = l->next;
		if (!w->end[n->i].open)
			continue;
		w->end[n->i].open = false;
		/* The kernel closes a dead process's sockets; a dead machine
		 * says nothing. */
		if (reset)
			fly(&w->end[1 - n->i], NULL, true);
		else
			w->dead = true;
		wire_unref(w);
	}
	for (unsigned i = 0; i < SIM_STORES; i++)
		if (n->stores[i].alive) {
			engine_link_down(n->stores[i].engine);
			sim_turn(&n->stores[i]);
		}
}

void sim_sync_kill(struct snode *n)
{
	sim_sync_dies(n, true);
	sim_sync_start(n);
}

void sim_cut(struct sim *s, bool on, bool reset)
{
	struct list *l;

	s->cut = on;
	if (!on)
		return;
	for (l = s->wires.next; l != &s->wires; l = l->next) {
		struct wire *w = CONTAINER_OF(l, struct wire, node);

		if (reset)
			for (unsigned i = 0; i < 2; i++) {
				s->cut = false;
				fly(&w->end[i], NULL, true);
				s->cut = true;
			}
		else
			w->dead = true;
	}
}

void sim_wires_free(struct sim *s)
{
	while (!list_empty(&s->wires)) {
		struct wire *w = CONTAINER_OF(s->wires.next, struct wire, node);

		list_remove(&w->node);
		free(w);
	}
}
