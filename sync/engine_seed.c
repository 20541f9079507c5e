/*
 * A whole copy of an account, while its holder serves.
 *
 *	receiver                              sender
 *	SEED_WANT{no position} ─────────────►  snapshot pinned at a position
 *	◄──── SEED_OFFER{position, size, digest}
 *	SEED_WANT{position, offset, credit} ─►
 *	◄──── SEED_DIFF{offset} …                 as far as the credit goes
 *	(the bytes have a connection of their own: they come after the answer)
 *	missing bodies by hash (BLOB_WANT) ──►
 *	RESET, exchange of trees, digest checked
 *	SEED_DONE{result} ───────────────────►  snapshot let go
 *	PositionReq: records from there
 *
 * Installed only over a log that did not move meanwhile and is an ancestor of
 * the seed's position, or empty: a local branch, or what this node has that its
 * partner lost, is never overwritten (replication.md, Seed).  A node that is
 * not trusted gives none.
 */

#include "sync/engine_private.h"
#include "storage/frame.h"

#include <stdlib.h>

void engine_seed_fini(struct eacct *ea)
{
	buf_fini(&ea->seed_in);
	buf_fini(&ea->seed_out);
	buf_init(&ea->seed_in, ENGINE_SEED_SIZE_MAX);
	buf_init(&ea->seed_out, ENGINE_SEED_SIZE_MAX);
	ea->seed_running = ea->seed_pinned = false;
}

static unsigned running(struct engine *e)
{
	unsigned n = 0;
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v))
		n += ((struct eacct *)v)->seed_running;
	return n;
}

/* May one more snapshot of size bytes be kept beside those of the others?  A
 * single one always may. */
static bool room(struct engine *e, bool out, uint64_t size)
{
	uint64_t sum = 0;
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		const struct eacct *ea = v;

		sum += out ? ea->seed_out.n : ea->seed_size;
	}
	return !sum || sum + size < e->seed_room;
}

static void want(struct eacct *ea)
{
	struct link_msg m = {.type = LINK_SEED_WANT, .account = ea->id,
			     .gen = ea->peer.gen};

	m.seed.pos = ea->seed_pos;
	m.seed.size = ea->seed_size;
	m.seed.offset = ea->seed_in.n;
	m.seed.credit = LINK_CREDIT;
	ea->seed_tick = ea->e->env.tick;
	engine_send(ea->e, &m);
}

static void forget(struct eacct *ea)
{
	buf_shrink(&ea->seed_in, 0);
	buf_reset(&ea->seed_in);
	ea->seed_size = 0;
	ea->seed_pos = (struct position){0};
	ea->seed_whole = ea->seed_more = false;
	ea->seed_rounds = 0;
}

/* The peer says that this copy must be replaced. */
void engine_seed_start(struct eacct *ea)
{
	ea->seed_wanted = true;
	/* What waits here is in a log that will be replaced. */
	engine_unknown(ea, true, account_published(ea->a).seq);
	if (ea->seed_installing)
		return;
	if (!ea->seed_running && running(ea->e) >= ea->e->o.max_conns)
		return;			/* the tick tries again */
	ea->seed_running = true;
	if (!ea->seed_whole)
		want(ea);
}

static void done_to_partner(struct eacct *ea, int result)
{
	struct link_msg m = {.type = LINK_SEED_DONE, .account = ea->id,
			     .gen = ea->peer.gen};

	m.seed.pos = ea->seed_pos;
	m.seed.result = result;
	engine_send(ea->e, &m);
}

static void seed_end(struct eacct *ea, int result)
{
	ea->seed_installing = ea->seed_running = false;
	if (result == 0)
		ea->seed_wanted = ea->seed_refused = false;
	done_to_partner(ea, result);
	forget(ea);
	engine_step(ea, &(struct peer_event){.kind = EV_SEEDED,
					     .result = result,
					     .random = engine_random(ea->e)});
	engine_dirty(ea);
}

static void installed(void *arg, struct account *a, int result)
{
	struct engine_token *t = arg;
	struct engine *e = t->e;
	struct eacct *ea = e ? engine_known(e, account_id(a)) : NULL;
	uint8_t digest[16];

	engine_token_put(t);
	if (!ea || !ea->a || !ea->seed_installing)
		return;
	if (result == 0) {
		ea->floor_known = false;
		account_digest(a, digest);
		if (memcmp(digest, ea->seed_digest, 16)) {
			seed_end(ea, E_CORRUPT);
			engine_park(ea, "a seeded copy does not have the digest "
				    "of its source");
			return;
		}
		ea->last_equal_usec = engine_now(e);
		ea->unequal = false;
		/* The holder is told that it is over. */
		ea->compare_due = true;
	}
	seed_end(ea, result);
}

/* Would the seed drop records that this log has?  A longer log is sent to the
 * partner first; a fork is no matter for seeds. */
static bool overwrites(struct eacct *ea)
{
	struct position end = account_end(ea->a);
	const struct position *to = &ea->seed_pos;

	return to->seq < end.seq ||
	       (to->seq == end.seq && to->seq && !position_eq(*to, end)) ||
	       ea->peer.their_common != ea->peer.their_end.seq;
}

/* A later snapshot may fit. */
static bool refused(struct eacct *ea)
{
	if (!overwrites(ea))
		return false;
	if (!ea->seed_refused)
		engine_event(ea->e, ea, "seed_refused", "the copy that the "
			     "partner offers lacks records that this node has");
	ea->seed_refused = true;
	seed_end(ea, E_TEMP);
	return true;
}

static void install(struct eacct *ea)
{
	if (refused(ea))
		return;
	ea->seed_installing = true;
	engine_step_simple(ea, EV_SEED_START);
	if (ea->peer.state != PEER_SEEDING) {
		/* Things changed meanwhile: positions decide anew. */
		ea->seed_installing = ea->seed_running = false;
		forget(ea);
		return;
	}
	ea->e->token->refs++;
	store_seed_install(ea->e->store, ea->a, buf_all(&ea->seed_in),
			   installed, ea->e->token);
}

static bool missing_one(void *arg, const uint8_t hash[32], uint64_t size)
{
	struct eacct *ea = arg;

	if (ea->seed_missing > ea->e->seed_bodies_max) {
		ea->seed_more = true;
		return false;
	}
	ea->seed_missing++;
	engine_blob_want(ea, hash, size, TRANSFER_SEED);
	return true;
}

/* All bytes are here; bodies next. */
static void bodies(struct eacct *ea)
{
	struct err err = ERR_NONE;

	ea->seed_whole = true;
	ea->seed_more = false;
	/* Counted with one more, so that a body that is there at once does
	 * not install before the list is complete. */
	ea->seed_missing = 1;
	if (store_seed_missing(ea->e->store, ea->a, buf_all(&ea->seed_in),
			       missing_one, ea, &err) < 0) {
		seed_end(ea, E_CORRUPT);
		return;
	}
	engine_seed_body(ea, 0);
}

void engine_seed_body(struct eacct *ea, int result)
{
	if (!ea->seed_whole || !ea->seed_missing)
		return;
	ea->seed_tick = ea->e->env.tick;
	if (result < 0) {
		/* Expunged meanwhile at the sender, or damaged: take a newer
		 * snapshot. */
		ea->seed_missing = 0;
		forget(ea);
		return;
	}
	if (--ea->seed_missing)
		return;
	if (!ea->seed_more)
		install(ea);
	else if (++ea->seed_rounds < ENGINE_SEED_ROUNDS_MAX)
		bodies(ea);
	else
		seed_end(ea, E_LIMIT);
}

/* --- sender ---------------------------------------------------------------- */

static int pin(struct eacct *ea)
{
	struct err err = ERR_NONE;
	int n;

	buf_reset(&ea->seed_out);
	n = store_snapshot(ea->e->store, ea->a, &ea->seed_out, &err);
	if (n < 0 || ea->seed_out.failed)
		return n < 0 ? n : E_LIMIT;
	ea->seed_pinned = true;
	ea->seed_out_pos = account_published(ea->a);
	account_digest(ea->a, ea->seed_out_digest);
	return 0;
}

static void wanted(struct eacct *ea, const struct link_msg *m)
{
	struct link_msg out = {.type = LINK_SEED_OFFER, .account = ea->id,
			       .gen = m->gen};
	uint64_t at = m->seed.offset, end;
	bool begin = !ea->seed_pinned ||
		     !position_eq(m->seed.pos, ea->seed_out_pos);

	if (begin && (!ea->seed_pinned || at == 0)) {
		int n;

		ea->seed_pinned = false;
		buf_reset(&ea->seed_out);
		if (!room(ea->e, true, 0))
			return;			/* it asks again */
		n = pin(ea);
		if (n < 0) {
			out.type = LINK_SEED_DONE;
			out.seed.result = n;
			engine_send(ea->e, &out);
			return;
		}
	}
	ea->seed_out_tick = ea->e->env.tick;
	if (m->gen == ea->peer.gen)
		engine_step_simple(ea, EV_SEEDING_THERE);
	out.seed.pos = ea->seed_out_pos;
	out.seed.size = ea->seed_out.n;
	memcpy(out.seed.digest, ea->seed_out_digest, 16);
	if (begin) {
		engine_send(ea->e, &out);
		return;
	}
	if (!engine_channel_free(ea->e))
		return;				/* it asks again */
	out.type = LINK_SEED_DIFF;
	end = at + (m->seed.credit < LINK_CREDIT ? m->seed.credit : LINK_CREDIT);
	if (end > ea->seed_out.n)
		end = ea->seed_out.n;
	while (at < end) {
		size_t k = end - at < LINK_CHUNK ? (size_t)(end - at) :
			   LINK_CHUNK;

		out.seed.offset = at;
		out.body = slice_of(ea->seed_out.p + at, k);
		engine_send(ea->e, &out);
		at += k;
	}
}

/* --- receiver ------------------------------------------------------------------- */

static void diff(struct eacct *ea, const struct link_msg *m)
{
	if (!ea->seed_running || ea->seed_whole || !ea->seed_size ||
	    !position_eq(m->seed.pos, ea->seed_pos) ||
	    m->seed.offset != ea->seed_in.n ||
	    m->body.n > ea->seed_size - ea->seed_in.n)
		return;
	buf_slice(&ea->seed_in, m->body);
	ea->seed_tick = ea->e->bulk_in_tick = ea->e->env.tick;
	if (ea->seed_in.failed)
		seed_end(ea, E_LIMIT);
	else if (ea->seed_in.n == ea->seed_size)
		bodies(ea);
	else if (ea->seed_in.n % LINK_CREDIT == 0)
		want(ea);
}

void engine_seed_message(struct eacct *ea, const struct link_msg *m)
{
	switch (m->type) {
	case LINK_SEED_WANT:
		if (engine_copy(ea) == COPY_WHOLE && ea->e->env.trusted &&
		    !ea->e->env.regressed)
			wanted(ea, m);
		break;
	case LINK_SEED_OFFER:
		if (!ea->seed_running || ea->seed_whole ||
		    (ea->seed_size && position_eq(m->seed.pos, ea->seed_pos)))
			break;
		if (m->seed.size > ENGINE_SEED_SIZE_MAX || !m->seed.size) {
			seed_end(ea, E_LIMIT);
			break;
		}
		forget(ea);
		if (!room(ea->e, false, m->seed.size)) {
			ea->seed_running = false;
			break;			/* the tick tries again */
		}
		ea->seed_pos = m->seed.pos;
		ea->seed_size = m->seed.size;
		memcpy(ea->seed_digest, m->seed.digest, 16);
		if (!refused(ea))
			want(ea);
		break;
	case LINK_SEED_DIFF:
		diff(ea, m);
		break;
	case LINK_SEED_DONE:
		/* To the sender: the snapshot may go. To the receiver: there
		 * is none. */
		if (ea->seed_pinned) {
			ea->seed_pinned = false;
			buf_shrink(&ea->seed_out, 0);
			buf_reset(&ea->seed_out);
		}
		if (ea->seed_running && !ea->seed_installing && m->seed.result)
			seed_end(ea, m->seed.result);
		break;
	default:
		break;
	}
}

void engine_seed_tick(struct eacct *ea)
{
	struct engine *e = ea->e;

	if (ea->seed_pinned && e->env.tick - ea->seed_out_tick > 240) {
		ea->seed_pinned = false;
		buf_shrink(&ea->seed_out, 0);
		buf_reset(&ea->seed_out);
	}
	if (!ea->seed_wanted || ea->seed_installing || !e->env.link ||
	    ea->peer.gate != GATE_OPEN)
		return;
	if (ea->peer.state != PEER_NEEDS_SEED) {
		ea->seed_wanted = ea->seed_running = false;
		forget(ea);
		return;
	}
	if (!ea->seed_running) {
		if (!ea->seed_refused ||
		    e->env.tick - ea->seed_tick >= ENGINE_TRANSFER_TICKS)
			engine_seed_start(ea);
	} else if (engine_bulk_silent(e, ea->seed_tick)) {
		if (ea->seed_whole) {
			ea->seed_tick = e->env.tick;
			bodies(ea);
		} else {
			want(ea);
		}
	}
}
