/*
 * Writes: queued, numbered when the account may be written, complete when
 * everything up to their last record is published (D2).  "No effect" is
 * decided before a record is written (D4); a record that waits when the
 * account leaves SYNC, and whose class does not go alone, has an unknown
 * outcome.
 */

#include "sync/engine_private.h"

#include <stdlib.h>

bool engine_degraded_tempfail(const struct engine *e, enum write_class c)
{
	return !e->env.single && e->o.degraded[c] == DEGRADED_TEMPFAIL;
}

static struct ewrite *ewrite_at(struct list *l)
{
	return CONTAINER_OF(l, struct ewrite, node);
}

/* Its callback runs at the end of the turn. */
void engine_write_due(struct ewrite *ew, int result, bool unknown,
		      const struct err *err)
{
	struct engine *e = ew->ea->e;

	engine_offers_drop(ew->ea, ew, NULL);
	ew->result = result;
	ew->unknown = unknown;
	if (err)
		ew->err = *err;
	ew->left = true;
	list_remove(&ew->node);
	list_append(&e->due_writes, &ew->node);
	engine_dirty(ew->ea);
}

static void refuse(struct ewrite *ew, bool unknown, const char *why)
{
	struct err err = ERR_NONE;

	err_set(&err, E_TEMP, "%s: %s", ew->ea->name, why);
	engine_write_due(ew, E_TEMP, unknown, &err);
}

void engine_write(struct engine *e, struct account *a, struct write *w,
		  engine_done *done, void *arg)
{
	struct eacct *ea = engine_known(e, account_id(a));
	struct ewrite *ew = NEW(struct ewrite);

	ew->ea = ea;
	ew->w = w;
	ew->done = done;
	ew->arg = arg;
	ew->tick = e->env.tick;
	ew->tempfail = engine_degraded_tempfail(e, write_class_of(w));
	list_init(&ew->node);
	list_append(&ea->queue, &ew->node);
	if (e->failed) {
		refuse(ew, false, "the journal of this process failed");
		return;
	}
	/* The partner may have made them: reading creates nothing here. */
	if (w->kind == WRITE_AUTOCREATE && ea->peer.maybe_stale) {
		engine_write_due(ew, 0, false, NULL);
		return;
	}
	engine_step_simple(ea, EV_WANTED);
	engine_dirty(ea);
}

/* The asker, and with it w, goes away now. */
void engine_write_forget(struct engine *e, struct write *w)
{
	size_t i = 0;
	void *v;

	for (struct list *l = e->due_writes.next; l != &e->due_writes;
	     l = l->next)
		if (ewrite_at(l)->w == w)
			ewrite_at(l)->forgotten = true;
	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;
		struct list *l, *next;

		/* What is not written yet is not: each record of a command is
		 * valid if the command stops there. */
		for (l = ea->queue.next; l != &ea->queue; l = next) {
			next = l->next;
			if (ewrite_at(l)->w != w)
				continue;
			engine_offers_drop(ea, ewrite_at(l), NULL);
			list_remove(l);
			free(ewrite_at(l));
			engine_dirty(ea);
		}
		for (l = ea->waiting.next; l != &ea->waiting; l = l->next)
			if (ewrite_at(l)->w == w)
				ewrite_at(l)->forgotten = true;
	}
}

/* --- large bodies first ------------------------------------------------------------ */

/* In SYNC a record never waits for a body: large ones are at the partner
 * before the write is numbered.  True: go on. */
static bool bodies_ready(struct eacct *ea, struct ewrite *ew)
{
	struct write *w = ew->w;

	if (!peer_in_sync(&ea->peer) || ea->peer.gate != GATE_OPEN ||
	    ea->e->env.single) {
		if (ew->blobs)
			engine_offers_drop(ea, ew, NULL);
		ew->blobs = 0;
		return true;
	}
	if (!ew->offered && (w->kind == WRITE_DELIVER ||
			     w->kind == WRITE_APPEND)) {
		ew->offered = true;
		ew->tick = ea->e->env.tick;
		for (size_t i = 0; i < w->n_msgs; i++) {
			if (!w->msgs[i].body.tmp_path)
				continue;
			ew->blobs++;
			engine_blob_offer(ea, w->msgs[i].body.hash,
					  w->msgs[i].body.size, ew, NULL);
		}
	}
	return ew->blobs == 0;
}

/* --- numbering ------------------------------------------------------------------------ */

/* The log's first words after its first epoch. */
static bool created(struct eacct *ea)
{
	struct op op = {.kind = OP_ACCOUNT_CREATE};
	struct err err = ERR_NONE;
	size_t n;

	account_lineage(ea->a, &n);
	if (account_end(ea->a).seq != n)
		return true;
	op.account_name = slice_str(ea->name);
	return engine_append_op(ea, &op, 0, &err) == 0;
}

static uint64_t next_modseq(struct eacct *ea)
{
	return (uint64_t)(account_end(ea->a).epoch & 0xffff) << 36 |
	       (account_counter(ea->a) + 1);
}

static void wait_for(struct eacct *ea, struct ewrite *ew, int result,
		     const struct err *err)
{
	ew->seq = account_end(ea->a).seq;
	ew->result = result;
	if (err)
		ew->err = *err;
	ew->left = true;
	list_remove(&ew->node);
	if (account_published(ea->a).seq >= ew->seq)
		engine_write_due(ew, result, false, NULL);
	else
		list_append(&ea->waiting, &ew->node);
}

/* A record whose class may go alone, behind one that may not: without it a
 * write that wants a quiet account would wait for the partner. */
static void push_tail(struct eacct *ea)
{
	struct op op = {.kind = OP_NOOP};
	struct record r = {.ops = &op, .n_ops = 1};

	if (peer_in_sync(&ea->peer) ||
	    ea->peer.lone_limit >= account_end(ea->a).seq ||
	    store_append(ea->e->store, ea->a, &r, NULL, NULL, NULL) < 0)
		return;
	engine_step(ea, &(struct peer_event){.kind = EV_APPENDED,
					     .seq = account_end(ea->a).seq});
}

enum numbered { NUMBERED_MORE, NUMBERED_LEFT, NUMBERED_STOP };

/* One record of ew.  STOP: nothing more can be numbered now; LEFT: this write
 * has nothing more to number. */
static enum numbered number(struct eacct *ea, struct ewrite *ew)
{
	struct engine *e = ea->e;
	struct prepare_ctx ctx = {
		.account = ea->a, .node = e->env.node,
		.dense = e->env.single || !e->env.member,
		.modseq = next_modseq(ea),
		.now = (int64_t)(engine_now(e) / USEC_PER_SEC),
		.rng = e->sys->rng, .pair_time = e->o.pair_time,
	};
	struct frame_bodies bodies = {NULL, 0};
	struct record r = {0};
	struct err err = ERR_NONE;
	int n = prepare_next(&ctx, ew->w, &r, &bodies, &err);

	if (n == PREPARE_WAIT) {
		if (!ew->tempfail)
			push_tail(ea);
		return NUMBERED_STOP;
	}
	if (n == PREPARE_DONE || n < 0) {
		wait_for(ea, ew, n < 0 ? n : 0, n < 0 ? &err : NULL);
		return NUMBERED_LEFT;
	}
	n = store_append(e->store, ea->a, &r, &bodies, NULL, &err);
	if (n < 0) {
		engine_write_due(ew, n, ew->appended, &err);
		return NUMBERED_LEFT;
	}
	ew->appended = true;
	if (ew->w->kind == WRITE_DELIVER || ew->w->kind == WRITE_APPEND)
		ea->mail_seq = account_end(ea->a).seq;
	ea->ops_since += r.n_ops;
	ea->changed_tick = e->env.tick;
	if (!ea->oldest_unacked_usec)
		ea->oldest_unacked_usec = engine_now(e);
	engine_step(ea, &(struct peer_event){
		.kind = EV_APPENDED, .seq = account_end(ea->a).seq,
		.tempfail = ew->tempfail});
	return NUMBERED_MORE;
}

/* Decided before anything is written: then it has no effect. */
static bool refused(struct eacct *ea, struct ewrite *ew)
{
	bool holds = peer_holds(&ea->peer) || ea->peer.state == PEER_FORKED;

	if (ew->appended || !ew->tempfail || !holds || peer_in_sync(&ea->peer))
		return false;
	refuse(ew, false, "not in SYNC, and its setting pair_degraded_* says "
	       "tempfail");
	return true;
}

void engine_pump(struct eacct *ea)
{
	struct list *l;
	struct peer_facts f;

	if (!ea->a || ea->e->failed)
		return;
	for (l = ea->queue.next; l != &ea->queue;) {
		struct ewrite *ew = ewrite_at(l);
		enum numbered n = NUMBERED_MORE;

		l = l->next;
		if (refused(ea, ew))
			continue;
		engine_facts(ea, &f);
		if (!peer_may_append(&ea->peer, &ea->e->env, &f))
			return;
		if (!bodies_ready(ea, ew))
			continue;
		if (!created(ea))
			return;
		/* All records of one write, then the next one. */
		while (n == NUMBERED_MORE && !ew->left) {
			engine_facts(ea, &f);
			if (!peer_may_append(&ea->peer, &ea->e->env, &f))
				return;
			n = number(ea, ew);
		}
		if (n == NUMBERED_STOP)
			return;
		l = ea->queue.next;
	}
}

/* --- completion ----------------------------------------------------------------------- */

void engine_published(struct eacct *ea)
{
	uint64_t at = account_published(ea->a).seq;
	struct list *l;

	while ((l = ea->waiting.next) != &ea->waiting &&
	       ewrite_at(l)->seq <= at) {
		struct ewrite *ew = ewrite_at(l);

		if (ew->appended && !ea->e->env.single &&
		    ew->seq > ea->peer.acked &&
		    (peer_holds(&ea->peer) ||
		     ea->peer.state == PEER_FORKED)) {
			if (!ew->forgotten)
				ew->w->single_copy = true;
			ea->unsafe_acks++;
			for (size_t i = 0; !ew->forgotten && i < ew->w->n_msgs;
			     i++)
				ea->unsafe_bytes += ew->w->msgs[i].body.size;
		}
		engine_write_due(ew, ew->result, false, NULL);
	}
	while ((l = ea->quiets.next) != &ea->quiets &&
	       CONTAINER_OF(l, struct equiet, node)->seq <= at) {
		list_remove(l);
		list_append(&ea->e->due_quiets, l);
	}
}

/* The account left SYNC (those of a class that does not go alone), or cannot
 * be written any more (all beyond a position). */
void engine_unknown(struct eacct *ea, bool all, uint64_t beyond)
{
	uint64_t at = account_published(ea->a).seq;
	struct list *l, *next;

	for (l = ea->waiting.next; l != &ea->waiting; l = next) {
		struct ewrite *ew = ewrite_at(l);

		next = l->next;
		if (ew->seq <= at || (all ? ew->seq <= beyond : !ew->tempfail))
			continue;
		refuse(ew, ew->appended, "left SYNC while this change waited");
	}
	for (l = ea->queue.next; l != &ea->queue; l = next) {
		struct ewrite *ew = ewrite_at(l);

		next = l->next;
		if (all || (ew->tempfail && ew->appended))
			refuse(ew, ew->appended, "cannot be written here now");
	}
}

void engine_unknown_code(struct eacct *ea, int code, const char *why)
{
	uint64_t at = account_published(ea->a).seq;
	struct err err = ERR_NONE;
	struct list *l, *next;

	err_set(&err, code, "%s", why);
	for (l = ea->waiting.next; l != &ea->waiting; l = next) {
		struct ewrite *ew = ewrite_at(l);

		next = l->next;
		if (ew->seq > at)
			engine_write_due(ew, code, ew->appended, &err);
	}
}

/* Writes that nothing will let through are not kept for ever. */
void engine_writes_tick(struct eacct *ea)
{
	struct engine *e = ea->e;
	struct list *l, *next;

	for (l = ea->queue.next; l != &ea->queue; l = next) {
		struct ewrite *ew = ewrite_at(l);

		next = l->next;
		if (!ew->blobs && !peer_holds(&ea->peer) &&
		    ea->peer.state != PEER_FORKED &&
		    e->env.tick - ew->tick > 2 * (uint64_t)e->o.takeover_delay)
			refuse(ew, ew->appended, "this node does not hold the "
			       "account");
	}
	if (!list_empty(&ea->queue))
		engine_dirty(ea);
}

void engine_when_quiet(struct engine *e, struct account *a, engine_quiet *cb,
		       void *arg)
{
	struct eacct *ea = engine_known(e, account_id(a));
	struct equiet *q = NEW(struct equiet);

	q->seq = account_end(a).seq;
	q->cb = cb;
	q->arg = arg;
	list_init(&q->node);
	if (account_published(a).seq >= q->seq)
		list_append(&e->due_quiets, &q->node);
	else
		list_append(&ea->quiets, &q->node);
	engine_dirty(ea);
}
