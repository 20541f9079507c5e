/* Life of the engine, the link as sync reports it, ticks and turns. */

#include "sync/engine_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A journal whose last stamp is older than this may be a restored copy. */
#define STALE_USEC (15 * 60 * USEC_PER_SEC)
/* Turns of new work made by callbacks, before the rest waits for more input. */
#define TURNS_MAX 1000u
#define HAND_OVER_TICKS 60u

uint64_t engine_random(struct engine *e)
{
	uint64_t v = rng_u64(e->sys->rng);

	return v ? v : 1;
}

uint64_t engine_now(struct engine *e)
{
	return clock_real(e->sys->clock);
}

void engine_send(struct engine *e, struct link_msg *m)
{
	if (e->env.link)
		e->out.send(e->out.arg, m);
}

void engine_event(struct engine *e, struct eacct *ea, const char *name,
		  const char *text)
{
	if (e->out.event)
		e->out.event(e->out.arg, name, ea ? ea->a : NULL, text);
}

/* --- life ----------------------------------------------------------------------- */

static void durable(void *arg, struct account *a, struct position pos)
{
	struct engine *e = arg;
	struct eacct *ea = engine_known(e, account_id(a));

	(void)pos;
	if (!ea || !ea->a)
		return;
	engine_step_simple(ea, EV_DURABLE);
	engine_dirty(ea);
}

static void space(void *arg)
{
	struct engine *e = arg;
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (ea->a && (ea->retry_work || !list_empty(&ea->queue)))
			engine_dirty(ea);
	}
}

static void damaged(void *arg, struct account *a, const char *why)
{
	struct eacct *ea = engine_known(arg, account_id(a));

	(void)why;
	if (ea && ea->a)
		engine_step_simple(ea, EV_DAMAGED);
}

static bool known(void *arg, struct id128 id, const char *name, const char *root)
{
	(void)root;
	engine_add(arg, id, name);
	return true;
}

static bool stale(struct engine *e)
{
	uint64_t last = store_last_batch_time(e->store), now = engine_now(e);

	return last && (last > now + 60 * USEC_PER_SEC ||
			now - last > STALE_USEC);
}

void engine_reconfigure(struct engine *e, const struct engine_opts *o)
{
	memcpy(e->o.degraded, o->degraded, sizeof(e->o.degraded));
	e->o.ack_timeout = e->env.ack_timeout = o->ack_timeout;
	e->o.takeover_delay = e->env.takeover_delay = o->takeover_delay;
	e->o.start_window = e->env.start_window = o->start_window;
	e->o.handover_interval_usec = o->handover_interval_usec;
	e->env.handover_interval =
		(unsigned)(o->handover_interval_usec / (500 * USEC_PER_MSEC));
	e->o.manual = e->env.manual = o->manual;
	e->o.max_conns = o->max_conns ? o->max_conns : ENGINE_CONNS_DEFAULT;
	if (e->o.max_conns > ENGINE_CONNS_MAX)
		e->o.max_conns = ENGINE_CONNS_MAX;
	e->env.seed_records = o->seed_records;
}

int engine_new(const struct engine_opts *o, const struct engine_out *out,
	       struct engine **e_out, struct err *err)
{
	struct engine *e;

	if (o->pair_id.n != 16 || o->node > 1)
		return err_set(err, E_INVALID, "pair id of %zu bytes, index %u",
			       o->pair_id.n, o->node);
	e = NEW(struct engine);
	e->o = *o;
	e->out = *out;
	e->sys = o->sys;
	e->store = o->store;
	memcpy(e->pair_id, o->pair_id.p, 16);
	e->o.pair_id = slice_of(e->pair_id, 16);
	e->env.node = o->node;
	e->env.trusted = o->trusted;
	e->env.member = o->partner_member;
	/* Without a partner in the settings and none that ever joined. */
	e->env.single = !o->partner_member;
	e->env.forgotten = o->forgotten;
	e->accounts = map_new();
	list_init(&e->dirty);
	list_init(&e->pushing);
	e->window = ENGINE_WINDOW_FIRST;
	e->seed_room = ENGINE_SEED_ROOM;
	e->offers_max = ENGINE_OFFERS_IN_MAX;
	e->seed_bodies_max = ENGINE_SEED_BODIES_MAX;
	e->parts_room = ENGINE_PARTS_ROOM;
	list_init(&e->due_writes);
	list_init(&e->due_quiets);
	list_init(&e->due_repairs);
	list_init(&e->due_forwards);
	list_init(&e->forwards);
	list_init(&e->delivers);
	e->token = NEW(struct engine_token);
	e->token->e = e;
	list_init(&e->token->marks);
	list_init(&e->token->endings);
	list_init(&e->transfers);
	e->transfer_of = map_new();
	buf_init(&e->report_last, IPC_MESSAGE_MAX);
	engine_reconfigure(e, o);
	e->env.stale = stale(e);
	e->nonce = engine_random(e);
	e->next_id = e->nonce >> 1;
	store_on_durable(e->store, durable, e);
	store_on_space(e->store, space, e);
	store_on_damaged(e->store, damaged, e);
	store_accounts(e->store, known, e);
	*e_out = e;
	return 0;
}

static void free_list(struct list *head, size_t offset)
{
	while (!list_empty(head)) {
		struct list *l = head->next;

		list_remove(l);
		free((char *)l - offset);
	}
}

static void free_all(struct engine *e)
{
	size_t i = 0;
	void *v;

	engine_transfer_free_all(e);
	map_free(e->transfer_of);
	free_list(&e->due_writes, offsetof(struct ewrite, node));
	free_list(&e->due_quiets, offsetof(struct equiet, node));
	free_list(&e->due_repairs, offsetof(struct erepair, node));
	while (!list_empty(&e->forwards)) {
		struct list *l = e->forwards.next;

		list_remove(l);
		list_append(&e->due_forwards, l);
	}
	while (!list_empty(&e->due_forwards)) {
		struct eforward *f = CONTAINER_OF(e->due_forwards.next,
						  struct eforward, node);

		list_remove(&f->node);
		free(f->name);
		free(f);
	}
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		free_list(&ea->asks, offsetof(struct engine_ask, node));
		free_list(&ea->queue, offsetof(struct ewrite, node));
		free_list(&ea->waiting, offsetof(struct ewrite, node));
		free_list(&ea->quiets, offsetof(struct equiet, node));
		free_list(&ea->offers, offsetof(struct offer, node));
		free_list(&ea->repairs, offsetof(struct erepair, node));
		if (ea->a && !e->failed)
			store_account_unref(ea->a);
		engine_account_free(ea);
	}
	engine_delivers_free(e);
	map_free(e->accounts);
	buf_fini(&e->report_last);
	free(e);
}

void engine_free(struct engine *e)
{
	struct engine_token *t;

	if (!e)
		return;
	t = e->token;
	store_on_durable(e->store, NULL, NULL);
	store_on_space(e->store, NULL, NULL);
	t->refs++;
	t->e = NULL;
	free_all(e);
	engine_token_put(t);
}

void engine_drop(struct engine *e)
{
	struct engine_token *t;

	if (!e)
		return;
	t = e->token;
	free_all(e);
	engine_endings_free(t);
	/* The marks' nodes are their first members. */
	free_list(&t->marks, 0);
	free(t);
}

/* --- link ------------------------------------------------------------------------ */

static void each(struct engine *e, enum peer_event_kind k)
{
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (!ea->a)
			continue;
		engine_step_simple(ea, k);
		engine_dirty(ea);
	}
}

enum news { NEWS_NONE, NEWS_PARTNER, NEWS_OWN };

/* OWN: what this node says of itself in its Positions changed. */
static enum news partner_is(struct engine *e, const struct engine_link *l)
{
	enum news news = NEWS_NONE;
	struct journal_id j[LINK_JOURNALS_MAX];
	size_t n = l->n_journals < LINK_JOURNALS_MAX ? l->n_journals :
		   LINK_JOURNALS_MAX;

	if (e->env.partner_trusted != l->partner_trusted ||
	    e->env.partner_regressed != l->partner_regressed ||
	    e->env.partner_empty != l->partner_empty ||
	    e->env.partner_lost != l->partner_lost)
		news = NEWS_PARTNER;
	if (e->env.trusted != l->trusted || e->env.regressed != l->regressed)
		news = NEWS_OWN;
	e->env.partner_trusted = l->partner_trusted;
	e->env.partner_regressed = l->partner_regressed;
	e->env.partner_empty = l->partner_empty;
	e->env.partner_lost = l->partner_lost;
	e->env.trusted = l->trusted;
	e->env.regressed = l->regressed;
	if (l->partner_trusted)
		e->env.partner_seen = true;
	for (size_t i = 0; i < n; i++)
		j[i] = (struct journal_id){l->journals[i].id,
					   l->journals[i].last_batch};
	if (n)
		store_partner_journals(e->store, j, n);
	return news;
}

static void resign(struct engine *e);

void engine_link_up(struct engine *e, const struct engine_link *l)
{
	bool again = e->env.link && l->partner_boot == e->partner_boot &&
		     l->link == e->link_id;
	enum news news;
	size_t i = 0;
	void *v;

	if (e->failed) {
		/* The partner forgets who resigned when the link breaks. */
		e->env.link = true;
		e->partner_boot = l->partner_boot;
		e->link_id = l->link;
		if (!again)
			resign(e);
		return;
	}
	e->env.member = true;
	e->env.single = e->env.forgotten = false;
	news = partner_is(e, l);
	if (again) {
		/* Only what is known of one of them changed.  What this node
		 * may do is part of its Position: the partner must see it
		 * before anything is done with it.  Mostly it is journals. */
		if (news)
			each(e, news == NEWS_OWN ? EV_GATE : EV_WANTED);
		return;
	}
	if (e->env.link)
		engine_link_down(e);
	e->env.link = true;
	e->partner_boot = l->partner_boot;
	e->link_id = l->link;
	e->env.silent = 0;
	e->heard = true;
	each(e, EV_LINK_UP);
	/* What somebody waits for first, the rest in the background. */
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		ea->background = true;
		if (ea->a && (!list_empty(&ea->asks) || ea->sessions ||
			      !list_empty(&ea->queue) ||
			      !list_empty(&ea->waiting))) {
			ea->background = false;
			engine_step(ea, &(struct peer_event){
				.kind = EV_GATE, .random = engine_random(e)});
		}
	}
	engine_background(e);
}

void engine_link_down(struct engine *e)
{
	if (!e->env.link)
		return;
	e->env.link = false;
	e->window = ENGINE_WINDOW_FIRST;
	engine_blobs_reset(e, NULL);
	engine_forwards_lost(e);
	each(e, EV_LINK_DOWN);
}

static void resigned(struct engine *e, const struct link_resign *r)
{
	size_t i = 0;
	void *v;

	for (size_t k = 0; k < r->n_items; k++) {
		struct eacct *ea = engine_known(e, r->items[k].account);

		if (ea && ea->a)
			engine_step(ea, &(struct peer_event){
				.kind = EV_RESIGN, .seq = r->items[k].end.seq});
	}
	while (r->processes && map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;
		uint64_t bits = 0;

		for (size_t k = 8; k-- > 0;)
			bits = bits << 8 | ea->id.b[k];
		if (ea->a && bits % r->processes == r->process)
			engine_step(ea, &(struct peer_event){
				.kind = EV_RESIGN, .seq = UINT64_MAX});
	}
}

/* The answer to a question that this process cannot answer any more; it may
 * have had no such account open when it said RESIGN. */
static void resign_one(struct engine *e, struct id128 id)
{
	struct eacct *ea = engine_known(e, id);
	struct link_resigned item = {.account = id};
	struct link_msg m = {.type = LINK_RESIGN};

	item.end.seq = UINT64_MAX;
	if (ea && ea->a)
		item.end = account_durable(ea->a);
	m.resign.nonce = e->nonce;
	m.resign.cause = 1;
	m.resign.items = &item;
	m.resign.n_items = 1;
	engine_send(e, &m);
}

/* Sync says the same again: the report that answers it was lost. */
static bool told(struct engine *e, uint64_t serial)
{
	if (!serial || serial != e->link_serial) {
		e->link_serial = serial;
		return false;
	}
	buf_reset(&e->report_last);
	engine_report(e);
	return true;
}

void engine_message(struct engine *e, const struct link_msg *m)
{
	struct engine_link l;

	switch (m->type) {
	case LINK_UP:
		if (told(e, m->up.serial))
			return;
		l = (struct engine_link){
			m->up.partner_trusted, m->up.partner_regressed,
			m->up.partner_empty, m->up.partner_lost,
			m->up.trusted, m->up.regressed, m->up.partner_boot,
			m->up.link, m->up.journals, m->up.n_journals};
		engine_link_up(e, &l);
		return;
	case LINK_DOWN:
		if (told(e, m->down.serial))
			return;
		/* A sync that was restarted counts from 0. */
		if (m->down.failed != e->failed_there && m->down.failed &&
		    e->env.tick > m->down.lasted)
			e->dialed_tick = e->env.tick - m->down.lasted;
		e->failed_there = m->down.failed;
		e->env.trusted = m->down.trusted;
		if (m->down.member) {
			e->env.member = true;
			e->env.single = false;
		}
		engine_link_down(e);
		if (m->down.forgotten)
			engine_forget_peer(e);
		each(e, EV_WANTED);
		/* It may be a sync that has just started: it needs to know. */
		buf_reset(&e->report_last);
		engine_report(e);
		return;
	case LINK_TICK:
		if (m->tick_heard)
			e->heard = true;
		return;
	case LINK_RESIGN:
		if (!e->failed)
			resigned(e, &m->resign);
		return;
	default:
		break;
	}
	if (e->failed) {
		if (m->type == LINK_POSITION_REQ)
			resign_one(e, m->account);
		else if (m->type == LINK_DELIVERED)
			engine_delivered(e, m);
		return;
	}
	e->heard = true;
	engine_account_message(e, m);
}

/* Said at the failure, and to a partner that did not hear it then. */
static void resign(struct engine *e)
{
	struct link_resigned *items = xmalloc(LINK_RESIGN_MAX * sizeof(*items));
	struct link_msg m = {.type = LINK_RESIGN};
	size_t i = 0, n = 0;
	void *v;

	m.resign.nonce = e->nonce;
	m.resign.cause = 1;
	m.resign.items = items;
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (!ea->a)
			continue;
		items[n].account = ea->id;
		items[n].end = account_durable(ea->a);
		if (++n < LINK_RESIGN_MAX)
			continue;
		m.resign.n_items = n;
		engine_send(e, &m);
		n = 0;
	}
	m.resign.n_items = n;
	if (n)
		engine_send(e, &m);
	free(items);
}

void engine_failed(struct engine *e, const struct err *why)
{
	size_t i = 0;
	void *v;

	(void)why;
	if (e->failed)
		return;
	resign(e);
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (ea->a)
			engine_step(ea, &(struct peer_event){
				.kind = EV_FAILED,
				.text = "its journal cannot be written"});
	}
	e->failed = true;
	engine_report(e);
}

void engine_forget_peer(struct engine *e)
{
	if (e->env.forgotten)
		return;
	engine_link_down(e);
	e->env.member = false;
	e->env.single = true;
	e->env.forgotten = true;
	if (!e->failed)
		each(e, EV_FORGOTTEN);
}

/* --- time --------------------------------------------------------------------------- */

static bool idle(const struct engine *e, const struct eacct *ea)
{
	if (e->env.silent >= PEER_SUSPECT_TICKS || !list_empty(&ea->asks) ||
	    !list_empty(&ea->queue) || !list_empty(&ea->waiting) ||
	    ea->retry_work || ea->seed_wanted || ea->seed_pinned ||
	    ea->ops_since)
		return false;
	if (ea->peer.gate != GATE_OPEN || ea->peer.begun_seq)
		return false;
	return (ea->peer.state == PEER_REPLICA &&
		ea->peer.their_published >= account_end(ea->a).seq) ||
	       (ea->peer.state == PEER_SYNC &&
		ea->peer.acked == account_end(ea->a).seq);
}

static void tick_account(struct eacct *ea)
{
	if (engine_waits_its_turn(ea))
		engine_step_simple(ea, EV_PROGRESS);
	engine_step_simple(ea, EV_TICK);
	engine_asks_tick(ea);
	engine_writes_tick(ea);
	engine_seed_tick(ea);
	engine_checkpoint_tick(ea);
	if (ea->retry_work) {
		ea->retry_work = false;
		engine_accept_again(ea);
		if (peer_accepts(&ea->peer, ea->peer.gen)) {
			struct link_msg m = {.type = LINK_NACK,
					     .account = ea->id,
					     .gen = ea->peer.gen};

			m.nack.expected = account_end(ea->a).seq + 1;
			m.nack.lagging = 1;
			engine_send(ea->e, &m);
		}
	}
	engine_dirty(ea);
}

static void hand_over_tick(struct engine *e)
{
	void (*done)(void *) = e->handed_over;
	bool any = false;
	size_t i = 0;
	void *v;

	if (!done)
		return;
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (!ea->a || e->failed)
			continue;
		engine_step_simple(ea, EV_SWITCHOVER);
		engine_dirty(ea);
		/* SYNC: may still be given; GIVING: not durable yet; and the
		 * partner's ack says that it has the HANDOVER. */
		if (e->env.link && ea->peer.gate == GATE_OPEN &&
		    account_end(ea->a).seq &&
		    (ea->peer.state == PEER_SYNC ||
		     ea->peer.state == PEER_CATCHUP ||
		     ea->peer.state == PEER_GIVING))
			any = true;
	}
	if (any && e->env.tick - e->hand_over_tick < HAND_OVER_TICKS)
		return;
	e->handed_over = NULL;
	done(e->handed_over_arg);
}

void engine_hand_over_all(struct engine *e, void (*done)(void *arg), void *arg)
{
	e->env.stopping = true;
	e->handed_over = done;
	e->handed_over_arg = arg;
	e->hand_over_tick = e->env.tick;
}

static void space_tick(struct engine *e)
{
	bool low = store_low_space(e->store, NULL);
	size_t i = 0;
	void *v;

	if (low == e->low_space)
		return;
	e->low_space = low;
	engine_event(e, NULL, low ? "space_low" : "space_enough",
		     low ? "less than pair_reserve is free for mail or state: "
			   "new mail is refused until there is" :
			   "pair_reserve is free again: new mail is taken");
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (ea->a && ea->peer.gate == GATE_OPEN)
			engine_send_pressure(ea);
	}
}

void engine_tick(struct engine *e, bool heard)
{
	size_t i = 0;
	void *v;

	e->env.tick++;
	if ((heard || e->heard) && e->env.link)
		e->env.silent = 0;
	else
		e->env.silent++;
	e->heard = false;
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (ea->a && !e->failed && !idle(e, ea))
			tick_account(ea);
	}
	engine_forwards_tick(e);
	if (!e->failed) {
		engine_send_tick(e);
		engine_blobs_tick(e);
		engine_background(e);
		space_tick(e);
	}
	hand_over_tick(e);
	engine_report(e);
}

/* --- turns ------------------------------------------------------------------------------- */

void engine_run_due(struct engine *e)
{
	while (!list_empty(&e->due_writes)) {
		struct ewrite *ew = CONTAINER_OF(e->due_writes.next,
						 struct ewrite, node);

		list_remove(&ew->node);
		if (!ew->forgotten)
			ew->done(ew->arg, ew->w, ew->result, ew->unknown,
				 ew->result < 0 ? &ew->err : NULL);
		free(ew);
	}
	while (!list_empty(&e->due_forwards)) {
		struct eforward *f = CONTAINER_OF(e->due_forwards.next,
						  struct eforward, node);

		list_remove(&f->node);
		e->forwards_n--;
		if (!f->forgotten)
			f->done(f->arg, f->w, f->result, f->unknown,
				f->result < 0 ? &f->err : NULL);
		free(f->name);
		free(f);
	}
	while (!list_empty(&e->due_quiets)) {
		struct equiet *q = CONTAINER_OF(e->due_quiets.next,
						struct equiet, node);

		list_remove(&q->node);
		q->cb(q->arg);
		free(q);
	}
	while (!list_empty(&e->due_repairs)) {
		struct erepair *r = CONTAINER_OF(e->due_repairs.next,
						 struct erepair, node);

		list_remove(&r->node);
		r->done(r->arg, r->result);
		free(r);
	}
}

void engine_turn(struct engine *e)
{
	for (unsigned i = 0; i < TURNS_MAX; i++) {
		while (!list_empty(&e->dirty)) {
			struct eacct *ea = CONTAINER_OF(e->dirty.next,
							struct eacct,
							dirty_node);

			list_remove(&ea->dirty_node);
			engine_turn_account(ea);
		}
		if (!e->failed)
			engine_push_fair(e);
		engine_run_due(e);
		if (list_empty(&e->dirty))
			break;
	}
}

bool engine_is_single(const struct engine *e)
{
	return e->env.single;
}
