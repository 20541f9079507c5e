/* Sessions and deliveries that want to use an account here. */

#include "sync/engine_private.h"

#include <stdlib.h>

#define NOT_HOLDER_TICKS 2u	/* for a HANDOVER that is on its way */

static struct engine_ask *ask(struct engine *e, struct id128 id,
			      const char *name, const char *root, bool create,
			      bool from_partner, bool delivery,
			      engine_answer *cb, void *arg)
{
	struct engine_ask *q;
	struct err err = ERR_NONE;
	struct eacct *ea;

	/* RESIGN was said: whatever the partner holds by now, it is the only
	 * one that can. */
	if (e->failed && e->env.link && !from_partner) {
		cb(arg, ENGINE_PROXY, NULL, NULL);
		return NULL;
	}
	if (engine_open_new(e, id, name, root, create, &ea, &err) < 0) {
		cb(arg, ENGINE_REFUSE, NULL, &err);
		return NULL;
	}
	q = NEW(struct engine_ask);
	q->e = e;
	q->ea = ea;
	q->create = create;
	q->from_partner = from_partner;
	q->delivery = delivery;
	q->tick = e->env.tick;
	q->cb = cb;
	q->arg = arg;
	list_init(&q->node);
	list_append(&ea->asks, &q->node);
	/* What is asked for does not wait for its turn in the background. */
	if (ea->background && e->env.link && ea->peer.gate == GATE_CLOSED) {
		ea->background = false;
		engine_step_simple(ea, EV_GATE);
	} else {
		engine_step_simple(ea, EV_WANTED);
	}
	engine_asks_settle(ea);
	/* Is it still there?  Answered ones are freed. */
	for (struct list *l = ea->asks.next; l != &ea->asks; l = l->next)
		if (CONTAINER_OF(l, struct engine_ask, node) == q)
			return q;
	return NULL;
}

struct engine_ask *engine_ask(struct engine *e, struct id128 id,
			      const char *name, const char *root, bool create,
			      bool from_partner, engine_answer *cb, void *arg)
{
	return ask(e, id, name, root, create, from_partner, false, cb, arg);
}

struct engine_ask *engine_ask_delivery(struct engine *e, struct id128 id,
				       const char *name, const char *root,
				       bool create, bool from_partner,
				       engine_answer *cb, void *arg)
{
	return ask(e, id, name, root, create, from_partner, true, cb, arg);
}

void engine_ask_cancel(struct engine_ask *q)
{
	if (!q)
		return;
	list_remove(&q->node);
	free(q);
}

void engine_leave(struct engine *e, struct account *a)
{
	struct eacct *ea = engine_known(e, account_id(a));

	if (!ea || !ea->a)
		return;
	if (ea->sessions)
		ea->sessions--;
	engine_step_simple(ea, EV_WANTED);
	engine_dirty(ea);
}

/* Somebody of this node waits; did an attempt to connect that was made after
 * one of them came fail? */
bool engine_asks_wanted(const struct eacct *ea, bool *retried_out)
{
	bool any = false;

	*retried_out = false;
	for (struct list *l = ea->asks.next; l != &ea->asks; l = l->next) {
		struct engine_ask *q = CONTAINER_OF(l, struct engine_ask, node);

		/* It asks what it resigned: that is wanted here. */
		if (q->from_partner && !ea->peer.resigned_there)
			continue;
		any = true;
		if (ea->e->dialed_tick >= q->tick)
			*retried_out = true;
	}
	return any;
}

static void answer(struct engine_ask *q, enum engine_verdict v,
		   const struct err *err)
{
	struct eacct *ea = q->ea;

	list_remove(&q->node);
	if (v == ENGINE_SERVE)
		ea->sessions++;
	q->cb(q->arg, v, v == ENGINE_SERVE ? ea->a : NULL, err);
	free(q);
}

static void send_ask(struct engine_ask *q)
{
	struct eacct *ea = q->ea;
	struct link_msg m = {.type = LINK_ASK, .account = ea->id,
			     .gen = ea->peer.gen};

	q->asked_gen = ea->peer.gen;
	q->asked_tick = ea->e->env.tick;
	m.ask.name = slice_str(ea->name);
	m.ask.create = q->create;
	m.ask.login = !q->delivery;
	engine_send(ea->e, &m);
}

/* True if the ask was answered (and freed). */
static bool settle(struct engine_ask *q)
{
	struct eacct *ea = q->ea;
	struct engine *e = ea->e;
	struct peer_facts f;
	struct err err = ERR_NONE;
	const char *why = "";

	if (ea->peer.state == PEER_RESIGNED && e->env.link &&
	    !q->from_partner) {
		answer(q, ENGINE_PROXY, NULL);
		return true;
	}
	engine_facts(ea, &f);
	switch (peer_verdict(&ea->peer, &e->env, &f, &why)) {
	case VERDICT_SERVE:
		if (!f.end.seq && !q->create) {
			err_set(&err, E_NOTFOUND, "no such account");
			answer(q, ENGINE_REFUSE, &err);
		} else {
			answer(q, ENGINE_SERVE, NULL);
		}
		return true;
	case VERDICT_REFUSE:
		err_set(&err, E_TEMP, "%s: %s", ea->name, why);
		answer(q, ENGINE_REFUSE, &err);
		return true;
	case VERDICT_ASK:
		if (q->from_partner) {
			err_set(&err, E_NOTHOLDER, "%s: the other node holds "
				"this account", ea->name);
			answer(q, ENGINE_REFUSE, &err);
			return true;
		}
		if (q->asked_gen != ea->peer.gen ||
		    e->env.tick - q->asked_tick >= PEER_ASK_TICKS)
			send_ask(q);
		return false;
	case VERDICT_WAIT:
		return false;
	}
	return false;
}

void engine_asks_settle(struct eacct *ea)
{
	struct list *l;

	if (!ea->a)
		return;
again:
	for (l = ea->asks.next; l != &ea->asks; l = l->next)
		/* The callback may have changed the list. */
		if (settle(CONTAINER_OF(l, struct engine_ask, node)))
			goto again;
}

/* Each node thinks the other holds: a HANDOVER was lost. */
static bool handover_lost(const struct engine_ask *q)
{
	const struct engine *e = q->e;

	return q->not_holder_tick && !q->gated &&
	       e->env.tick - q->not_holder_tick >= NOT_HOLDER_TICKS &&
	       account_holder(q->ea->a) != (int)e->env.node;
}

/* Held no longer than a client or an MTA waits. */
void engine_asks_tick(struct eacct *ea)
{
	struct engine *e = ea->e;
	struct err err = ERR_NONE;
	bool gate = false;
	struct list *l;

again:
	for (l = ea->asks.next; l != &ea->asks; l = l->next) {
		struct engine_ask *q = CONTAINER_OF(l, struct engine_ask, node);

		if (ea->a && handover_lost(q)) {
			q->gated = gate = true;
			q->asked_gen = 0;
		}
		if (e->env.tick - q->tick <= 2 * (uint64_t)e->o.takeover_delay)
			continue;
		err_set(&err, E_TEMP, "%s: no answer from the partner, and "
			"this node may not serve it alone", ea->name);
		answer(q, ENGINE_REFUSE, &err);
		goto again;
	}
	if (gate)
		engine_step_simple(ea, EV_GATE);
	engine_asks_settle(ea);
}

void engine_ask_reply(struct engine *e, const struct link_msg *m)
{
	struct eacct *ea = engine_known(e, m->account);
	unsigned verdict = m->type == LINK_NOT_HOLDER ? ASK_NOT_HOLDER :
			   m->ask_reply.verdict;
	struct err err = ERR_NONE;
	struct list *l;

	if (!ea || !ea->a || m->gen != ea->peer.gen)
		return;
again:
	for (l = ea->asks.next; l != &ea->asks; l = l->next) {
		struct engine_ask *q = CONTAINER_OF(l, struct engine_ask, node);

		if (q->from_partner || q->asked_gen != m->gen)
			continue;
		switch (verdict) {
		case ASK_PROXY:
			answer(q, ENGINE_PROXY, NULL);
			goto again;
		case ASK_HANDOVER:
			break;		/* the record comes, then it is served */
		case ASK_NOT_HOLDER:
			/* Its HANDOVER and this answer may pass each other,
			 * and a new generation would drop it: positions ship
			 * it only if it does not come. */
			if (!q->gated) {
				if (!q->not_holder_tick)
					q->not_holder_tick = e->env.tick;
				break;
			}
			/* fall through */
		default:
			err_set(&err, E_TEMP, "%s: no node holds it now",
				ea->name);
			answer(q, ENGINE_REFUSE, &err);
			goto again;
		}
	}
	engine_dirty(ea);
}
