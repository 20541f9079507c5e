/* Accounts this process knows: opening, facts for the peer, exchanges in the
 * background. */

#include "sync/engine_private.h"

#include <inttypes.h>
#include <stdlib.h>

struct eacct *engine_known(struct engine *e, struct id128 id)
{
	return map_get(e->accounts, slice_of(id.b, 16));
}

/* sum += id, mod 2^128, little-endian. */
static void set_add(struct id128 *sum, const struct id128 *id)
{
	unsigned carry = 0;

	for (size_t i = 0; i < 16; i++) {
		carry += sum->b[i] + id->b[i];
		sum->b[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

struct eacct *engine_add(struct engine *e, struct id128 id, const char *name)
{
	struct eacct *ea = engine_known(e, id);

	if (ea)
		return ea;
	ea = NEW(struct eacct);
	ea->e = e;
	ea->id = id;
	ea->name = xstrdup(name);
	peer_init(&ea->peer);
	list_init(&ea->asks);
	list_init(&ea->queue);
	list_init(&ea->waiting);
	list_init(&ea->quiets);
	list_init(&ea->offers);
	list_init(&ea->repairs);
	list_init(&ea->dirty_node);
	list_init(&ea->push_node);
	buf_init(&ea->part, LINK_RECORD_WIRE_MAX);
	buf_init(&ea->seed_in, ENGINE_SEED_SIZE_MAX);
	buf_init(&ea->seed_out, ENGINE_SEED_SIZE_MAX);
	ea->state_since_usec = engine_now(e);
	ea->background = true;
	map_put(e->accounts, slice_of(id.b, 16), ea);
	set_add(&e->set_digest, &id);
	e->n_accounts++;
	return ea;
}

void engine_account_free(struct eacct *ea)
{
	engine_seed_fini(ea);
	engine_unsend(ea);
	engine_parts_drop(ea);
	buf_fini(&ea->part);
	buf_fini(&ea->seed_in);
	buf_fini(&ea->seed_out);
	free(ea->name);
	free(ea->parked_why);
	free(ea);
}

void engine_dirty(struct eacct *ea)
{
	if (list_empty(&ea->dirty_node))
		list_append(&ea->e->dirty, &ea->dirty_node);
}

/* The last seq that cannot be read any more; 0 when everything is there. */
uint64_t engine_floor(struct eacct *ea)
{
	uint64_t low = 0, high = account_end(ea->a).seq;
	struct position p;

	if (ea->floor_known)
		return ea->floor;
	if (high && store_position_at(ea->e->store, ea->a, 1, &p) < 0) {
		/* Readable from some point on: find it. */
		while (low + 1 < high) {
			uint64_t mid = low + (high - low) / 2;

			if (store_position_at(ea->e->store, ea->a, mid, &p) < 0)
				low = mid;
			else
				high = mid;
		}
	}
	ea->floor = low;
	ea->floor_known = true;
	return ea->floor;
}

/* --- opening ---------------------------------------------------------------- */

static void open_as(struct eacct *ea, struct account *a)
{
	struct engine *e = ea->e;

	store_account_ref(a);
	ea->a = a;
	ea->background = false;
	ea->opened_end = account_end(a).seq;
	ea->floor_known = false;
	ea->written_off = e->env.forgotten && engine_written_off(ea);
	if (account_needs_seed(a))
		engine_step_simple(ea, EV_DAMAGED);
	/* The gate, if the link is there: nothing else may come first. */
	if (e->env.link && ea->peer.gate == GATE_CLOSED)
		engine_step(ea, &(struct peer_event){
			.kind = EV_GATE, .random = engine_random(e)});
	else
		engine_step_simple(ea, EV_WANTED);
}

/* Damaged beyond what the log can mend, and there is a partner to ask. */
static int open_damaged(struct engine *e, struct id128 id, int r,
			struct account **out, struct err *err)
{
	struct err mine = ERR_NONE;

	if (r != E_CORRUPT || e->env.single ||
	    store_account_open_damaged(e->store, id, out, &mine) < 0)
		return r;
	*err = ERR_NONE;
	return 0;
}

int engine_open(struct eacct *ea, const char *root, bool create, struct err *err)
{
	struct engine *e = ea->e;
	struct account *a;
	int r;

	if (ea->a)
		return 0;
	if (e->failed)
		return err_set(err, E_TEMP, "the disk of this node "
			       "failed, and the partner is not there");
	r = store_account_open(e->store, ea->id, ea->name, root, create, &a, err);
	r = open_damaged(e, ea->id, r, &a, err);
	if (r < 0)
		return r;
	open_as(ea, a);
	return 0;
}

/* An account is known from the moment it could be opened or made. */
int engine_open_new(struct engine *e, struct id128 id, const char *name,
		    const char *root, bool create, struct eacct **out,
		    struct err *err)
{
	struct account *a;
	int r;

	*out = engine_known(e, id);
	if (*out)
		return engine_open(*out, root, create, err);
	if (e->failed)
		return err_set(err, E_TEMP, "the disk of this node "
			       "failed, and the partner is not there");
	r = store_account_open(e->store, id, name, root, create, &a, err);
	r = open_damaged(e, id, r, &a, err);
	if (r < 0)
		return r;
	*out = engine_add(e, id, name);
	open_as(*out, a);
	return 0;
}

void engine_facts(struct eacct *ea, struct peer_facts *f)
{
	struct account *a = ea->a;
	bool retried;

	*f = (struct peer_facts){
		.end = account_end(a), .durable = account_durable(a),
		.published = account_published(a),
		.floor = ea->floor_known ? ea->floor : 0,
		.holder = account_holder(a),
		.first_holder = ea->id.b[15] & 1,
		.counter = account_counter(a),
		.partner_known = store_partner_known(a),
		.writing = !list_empty(&ea->queue),
		.written_off = ea->written_off,
		.replayed = account_published(a).seq >= ea->opened_end ||
			    account_quiet(a),
	};
	f->lineage = account_lineage(a, &f->n_lineage);
	f->wanted = engine_asks_wanted(ea, &retried);
	f->retried = retried;
	f->busy = ea->sessions || ea->forwards_in || f->writing ||
		  !list_empty(&ea->waiting) || !list_empty(&ea->asks);
	f->mark = store_last_mark(a, NULL, NULL);
}

/* Opens the gates of accounts that nobody asked for, some at a time. */
void engine_background(struct engine *e)
{
	unsigned open = 0;
	size_t i;
	void *v;

	if (!e->env.link || e->failed)
		return;
	for (i = 0; map_each(e->accounts, &i, NULL, &v);) {
		struct eacct *ea = v;

		open += ea->a && ea->peer.gate == GATE_ASKING;
	}
	for (i = 0; open < ENGINE_GATES_MAX &&
	     map_each(e->accounts, &i, NULL, &v);) {
		struct eacct *ea = v;
		struct err err = ERR_NONE;

		if (!ea->background)
			continue;
		ea->background = false;
		if (!ea->a) {
			if (engine_open(ea, NULL, false, &err) < 0) {
				engine_event(e, ea, "account_not_opened",
					     err.op);
				continue;
			}
		} else if (ea->peer.gate == GATE_CLOSED) {
			engine_step(ea, &(struct peer_event){
				.kind = EV_GATE, .random = engine_random(e)});
		}
		open++;
	}
}
