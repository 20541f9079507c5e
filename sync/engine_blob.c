/*
 * Bodies by hash.  The receiver asks for windows (BLOB_WANT), the sender
 * answers with their bytes and keeps no state; an Offer says that a body is
 * there to be asked for, before a record names it.
 */

#include "node/base/digest.h"
#include "storage/body_stage.h"
#include "sync/engine_private.h"

#include <fcntl.h>
#include <stdlib.h>

/*
 * Time: the bytes of all transfers go through one connection in the order in
 * which they were asked for.  So a transfer that hears nothing waits as long
 * as others hear something; only when all are silent, or it alone for much
 * longer, was something lost on its way.
 */

/* One body coming in. */
struct transfer {
	struct list node;		/* engine.transfers */
	struct eacct *ea;
	uint8_t hash[32];
	uint64_t size, have, asked;	/* asked: end of the window */
	unsigned why;			/* 1 << enum transfer_why */
	bool active, ending, dead;
	unsigned tries;
	uint64_t tick;
	struct body_stage *stage;
	struct buf data;		/* only for a repair */
	struct engine_token *token;	/* while ending */
};

static struct transfer *transfer_at(struct list *l)
{
	return CONTAINER_OF(l, struct transfer, node);
}

struct transfer_key {
	uint8_t account[16], hash[32];
};

static struct transfer_key transfer_key(struct eacct *ea,
					const uint8_t hash[32])
{
	struct transfer_key k;

	memcpy(k.account, ea->id.b, 16);
	memcpy(k.hash, hash, 32);
	return k;
}

static struct transfer *transfer_find(struct eacct *ea, const uint8_t hash[32])
{
	struct transfer_key k = transfer_key(ea, hash);

	return map_get(ea->e->transfer_of, slice_of(&k, sizeof(k)));
}

/* What it counts for while somebody waits for it. */
static void uncount(struct transfer *t)
{
	struct engine *e = t->ea->e;
	struct transfer_key k = transfer_key(t->ea, t->hash);

	if (t->dead)
		return;
	map_remove(e->transfer_of, slice_of(&k, sizeof(k)));
	e->transfers_active -= t->active;
	e->offers_in -= (t->why & 1u << TRANSFER_OFFER) != 0;
}

/* Freed by the callback of its staging file. */
static void transfer_die(struct transfer *t)
{
	uncount(t);
	t->dead = true;
}

static void transfer_free(struct transfer *t)
{
	uncount(t);
	if (t->stage)
		store_stage_abort(t->stage);
	list_remove(&t->node);
	buf_fini(&t->data);
	free(t);
}

/* Those whose staging file is being synced are freed by its callback. */
void engine_transfer_free_all(struct engine *e)
{
	while (!list_empty(&e->transfers)) {
		struct transfer *t = transfer_at(e->transfers.next);

		if (!t->ending) {
			transfer_free(t);
			continue;
		}
		transfer_die(t);
		list_remove(&t->node);
		list_append(&e->token->endings, &t->node);
	}
}

/* No callback will come any more. */
void engine_endings_free(struct engine_token *token)
{
	while (!list_empty(&token->endings))
		transfer_free(transfer_at(token->endings.next));
}

static void ask_for(struct transfer *t, uint64_t offset, uint64_t credit)
{
	struct link_msg m = {.type = LINK_BLOB_WANT, .account = t->ea->id};

	memcpy(m.blob.hash, t->hash, 32);
	m.blob.offset = offset;
	m.blob.credit = credit;
	t->asked = offset + credit;
	engine_send(t->ea->e, &m);
}

static void start_next(struct engine *e)
{
	struct list *l;

	if (!e->env.link)
		return;
	for (l = e->transfers.next; l != &e->transfers &&
	     e->transfers_active < e->o.max_conns; l = l->next) {
		struct transfer *t = transfer_at(l);

		if (t->active || t->dead)
			continue;
		t->active = true;
		e->transfers_active++;
		t->tick = e->env.tick;
		ask_for(t, t->have, LINK_CREDIT);
	}
}

static void tell_done(struct eacct *ea, const uint8_t hash[32], int result)
{
	struct link_msg m = {.type = LINK_BLOB_DONE, .account = ea->id};

	memcpy(m.blob.hash, hash, 32);
	m.blob.result = result;
	engine_send(ea->e, &m);
}

static void repaired(struct eacct *ea, const uint8_t hash[32], int result)
{
	struct list *l, *next;

	for (l = ea->repairs.next; l != &ea->repairs; l = next) {
		struct erepair *r = CONTAINER_OF(l, struct erepair, node);

		next = l->next;
		if (memcmp(r->hash, hash, 32))
			continue;
		r->result = result;
		list_remove(l);
		list_append(&ea->e->due_repairs, l);
	}
	engine_dirty(ea);
}

/* The end of one, good or bad: everybody who wanted it is told. */
static void finished(struct transfer *t, int result)
{
	struct eacct *ea = t->ea;
	struct engine *e = ea->e;
	unsigned why = t->why;
	uint8_t hash[32];
	struct err err = ERR_NONE;

	memcpy(hash, t->hash, 32);
	if (result == 0 && (why & 1u << TRANSFER_REPAIR))
		result = store_body_repair(e->store, ea->a, hash,
					   buf_all(&t->data), &err);
	transfer_free(t);
	if (why & 1u << TRANSFER_OFFER)
		tell_done(ea, hash, result);
	if (why & 1u << TRANSFER_REPAIR)
		repaired(ea, hash, result);
	if (why & 1u << TRANSFER_SEED)
		engine_seed_body(ea, result);
	if (why & 1u << TRANSFER_RECORD && result == E_NOTFOUND &&
	    ea->missing_set && !memcmp(ea->missing, hash, 32)) {
		/* The holder cannot give what its record names. */
		engine_event(e, ea, "body_not_there", "a record cannot follow: "
			     "the partner has no body for it; a whole copy is "
			     "fetched");
		ea->missing_set = false;
		engine_step_simple(ea, EV_NEEDS_SEED);
	} else if (why & 1u << TRANSFER_RECORD) {
		engine_accept_again(ea);
	}
	start_next(e);
}

static void staged(void *arg, int result, const uint8_t hash[32], uint64_t size,
		   const char *tmp_path)
{
	struct transfer *t = arg;
	struct engine_token *token = TAKE(t->token);

	(void)tmp_path;
	if (t->dead) {
		transfer_free(t);
		engine_token_put(token);
		return;
	}
	engine_token_put(token);
	if (result == 0 && (memcmp(hash, t->hash, 32) || size != t->size))
		result = E_CORRUPT;
	finished(t, result);
}

void engine_blob_want(struct eacct *ea, const uint8_t hash[32], uint64_t size,
		      enum transfer_why why)
{
	struct transfer_key k = transfer_key(ea, hash);
	struct transfer *t = transfer_find(ea, hash);

	if (!t) {
		t = NEW(struct transfer);
		t->ea = ea;
		memcpy(t->hash, hash, 32);
		t->size = size;
		buf_init(&t->data, ENGINE_REPAIR_SIZE_MAX);
		list_init(&t->node);
		list_append(&ea->e->transfers, &t->node);
		map_put(ea->e->transfer_of, slice_of(&k, sizeof(k)), t);
	}
	if (why == TRANSFER_OFFER && !(t->why & 1u << TRANSFER_OFFER))
		ea->e->offers_in++;
	t->why |= 1u << why;
	start_next(ea->e);
}

/* One reason less; without any it ends, at once or when its file has. */
static void unwant(struct transfer *t, unsigned why)
{
	t->ea->e->offers_in -= (t->why & why & 1u << TRANSFER_OFFER) != 0;
	t->why &= ~why;
	if (t->why || t->dead)
		return;
	if (t->ending)
		transfer_die(t);
	else
		transfer_free(t);
}

void engine_blob_unwant(struct eacct *ea, const uint8_t hash[32],
			enum transfer_why why)
{
	struct transfer *t = transfer_find(ea, hash);

	if (t)
		unwant(t, 1u << why);
	start_next(ea->e);
}

/* --- what comes ------------------------------------------------------------------- */

static int keep(struct transfer *t, struct slice data)
{
	struct engine *e = t->ea->e;
	struct err err = ERR_NONE;
	int n;

	if (t->why & 1u << TRANSFER_REPAIR) {
		buf_slice(&t->data, data);
		if (t->data.failed)
			return E_LIMIT;
	}
	if (t->why == 1u << TRANSFER_REPAIR)
		return 0;
	if (!t->stage) {
		n = store_stage_begin(e->store, t->ea->a, t->size, &t->stage,
				      &err);
		if (n < 0)
			return n;
	}
	return store_stage_add(t->stage, data, &err);
}

static int whole(struct transfer *t)
{
	uint8_t hash[32];

	if (t->why == 1u << TRANSFER_REPAIR) {
		sha256(buf_all(&t->data), hash);
		finished(t, memcmp(hash, t->hash, 32) ? E_CORRUPT : 0);
		return 0;
	}
	t->ending = true;
	if (!t->stage) {		/* empty body */
		int n = keep(t, SLICE_NONE);

		if (n < 0)
			return n;
	}
	t->token = t->ea->e->token;
	t->token->refs++;
	store_stage_end(TAKE(t->stage), staged, t);
	return 0;
}

static void blob_data(struct eacct *ea, const struct link_msg *m)
{
	struct transfer *t = transfer_find(ea, m->blob.hash);
	struct slice data = m->body;
	int n;

	ea->e->bulk_in_tick = ea->e->env.tick;
	if (!t || !t->active || t->ending)
		return;
	if (m->blob.result < 0) {
		finished(t, m->blob.result);
		return;
	}
	/* Windows asked for twice overlap; a gap is asked for again. */
	if (m->blob.offset > t->have || m->blob.offset + data.n < t->have ||
	    m->blob.offset + data.n > m->blob.size)
		return;
	if (!t->have)
		t->size = m->blob.size;
	if (t->size != m->blob.size) {
		finished(t, E_PROTO);
		return;
	}
	data = slice_sub(data, t->have - m->blob.offset, data.n);
	n = data.n ? keep(t, data) : 0;
	t->have += data.n;
	t->tick = ea->e->env.tick;
	t->tries = 0;
	if (n == 0 && t->have == t->size)
		n = whole(t);
	else if (n == 0 && t->asked < t->size &&
		 t->asked - t->have <= LINK_CREDIT - ENGINE_TRANSFER_STEP)
		ask_for(t, t->asked, ENGINE_TRANSFER_STEP);
	if (n < 0)
		finished(t, n);
}

static void offered(struct eacct *ea, const struct link_msg *m)
{
	uint64_t offset, size;
	struct buf path;
	int n;

	if (m->blob.size > BODY_SIZE_MAX) {
		tell_done(ea, m->blob.hash, E_LIMIT);
		return;
	}
	buf_init(&path, 8192);
	n = store_body_find(ea->e->store, ea->a, m->blob.hash, &path, &offset,
			    &size);
	buf_fini(&path);
	if (n == 0)
		tell_done(ea, m->blob.hash, 0);
	else if (ea->e->offers_in < ea->e->offers_max)
		engine_blob_want(ea, m->blob.hash, m->blob.size, TRANSFER_OFFER);
	/* Else it is offered again when some of them are here. */
}

/* --- what goes ----------------------------------------------------------------------- */

static struct offer *offer_find(struct eacct *ea, const uint8_t hash[32])
{
	for (struct list *l = ea->offers.next; l != &ea->offers; l = l->next) {
		struct offer *o = CONTAINER_OF(l, struct offer, node);

		if (!memcmp(o->hash, hash, 32))
			return o;
	}
	return NULL;
}

static int send_window(struct eacct *ea, const struct link_blob *want)
{
	struct engine *e = ea->e;
	struct fsio *fs = e->sys->fs;
	struct link_msg m = {.type = LINK_BLOB_DATA, .account = ea->id};
	uint64_t start, size, at = want->offset, end;
	struct buf path;
	uint8_t *chunk;
	int fd, n;

	buf_init(&path, 8192);
	n = store_body_find(e->store, ea->a, want->hash, &path, &start, &size);
	buf_char(&path, 0);
	if (n < 0 || path.failed || want->offset > size) {
		buf_fini(&path);
		return n < 0 ? n : E_PROTO;
	}
	fd = fs->ops->open(fs, (const char *)path.p, O_RDONLY, 0);
	buf_fini(&path);
	if (fd < 0)
		return fd;
	end = want->credit < size - at ? at + want->credit : size;
	memcpy(m.blob.hash, want->hash, 32);
	m.blob.size = size;
	chunk = xmalloc(LINK_CHUNK);
	do {
		size_t k = end - at < LINK_CHUNK ? (size_t)(end - at) :
			   LINK_CHUNK;

		n = k ? fsio_pread_all(fs, fd, chunk, k, start + at) : 0;
		if (n < 0)
			break;
		m.blob.offset = at;
		m.body = slice_of(chunk, k);
		engine_send(e, &m);
		at += k;
	} while (at < end);
	free(chunk);
	fs->ops->close(fs, fd);
	return n < 0 ? n : 0;
}

static void wanted(struct eacct *ea, const struct link_msg *m)
{
	struct offer *o = offer_find(ea, m->blob.hash);
	struct link_blob want = m->blob;
	int n;

	if (want.credit > LINK_CREDIT)
		want.credit = LINK_CREDIT;
	if (o)
		o->asked = true;
	/* Bytes flow: the account makes progress, and with it all whose bytes
	 * come behind these (at the tick). */
	ea->body_out = true;
	ea->e->bulk_out_tick = ea->e->env.tick;
	engine_step_simple(ea, EV_PROGRESS);
	if (!engine_channel_free(ea->e))
		return;			/* it asks again */
	n = send_window(ea, &want);
	if (n < 0) {
		struct link_msg no = {.type = LINK_BLOB_DATA,
				      .account = ea->id};

		memcpy(no.blob.hash, want.hash, 32);
		no.blob.result = E_NOTFOUND;
		engine_send(ea->e, &no);
	}
}

static void say_offer(struct eacct *ea, struct offer *o)
{
	struct link_msg m = {.type = LINK_BLOB_OFFER, .account = ea->id};

	memcpy(m.blob.hash, o->hash, 32);
	m.blob.size = o->size;
	o->said_tick = ea->e->env.tick;
	engine_send(ea->e, &m);
}

void engine_blob_offer(struct eacct *ea, const uint8_t hash[32], uint64_t size,
		       struct ewrite *ew, struct eforward *ef)
{
	struct offer *o = NEW(struct offer);

	memcpy(o->hash, hash, 32);
	o->size = size;
	o->write = ew;
	o->forward = ef;
	o->tick = ea->e->env.tick;
	list_init(&o->node);
	list_append(&ea->offers, &o->node);
	say_offer(ea, o);
}

void engine_offers_drop(struct eacct *ea, struct ewrite *ew, struct eforward *ef)
{
	struct list *l, *next;

	for (l = ea->offers.next; l != &ea->offers; l = next) {
		struct offer *o = CONTAINER_OF(l, struct offer, node);

		next = l->next;
		if ((ew && o->write == ew) || (ef && o->forward == ef)) {
			list_remove(l);
			free(o);
		}
	}
}

/* The body is there, or will not be: either way what waited goes on. */
static void offer_end(struct eacct *ea, struct offer *o)
{
	struct ewrite *ew = o->write;
	struct eforward *ef = o->forward;

	list_remove(&o->node);
	free(o);
	if (ew && ew->blobs)
		ew->blobs--;
	engine_dirty(ea);
	if (ef)
		engine_forward_ready(ef);
}

void engine_blob_message(struct eacct *ea, const struct link_msg *m)
{
	struct list *l;

	switch (m->type) {
	case LINK_BLOB_OFFER:
		offered(ea, m);
		break;
	case LINK_BLOB_WANT:
		wanted(ea, m);
		break;
	case LINK_BLOB_DATA:
		blob_data(ea, m);
		break;
	case LINK_BLOB_DONE:
		ea->body_out = false;
again:
		for (l = ea->offers.next; l != &ea->offers; l = l->next) {
			struct offer *o = CONTAINER_OF(l, struct offer, node);

			if (memcmp(o->hash, m->blob.hash, 32))
				continue;
			offer_end(ea, o);
			goto again;
		}
		engine_step_simple(ea, EV_PROGRESS);
		break;
	default:
		break;
	}
}

/* --- time --------------------------------------------------------------------------------- */

/* While the partner takes bodies it comes to this one too; that it heard of it
 * is not sure before it asks. */
static void offers_tick(struct eacct *ea)
{
	struct engine *e = ea->e;
	struct list *l;

again:
	for (l = ea->offers.next; l != &ea->offers; l = l->next) {
		struct offer *o = CONTAINER_OF(l, struct offer, node);

		if (o->tick < e->bulk_out_tick)
			o->tick = e->bulk_out_tick;
		if (!e->env.link ||
		    e->env.tick - o->tick >= e->o.ack_timeout) {
			offer_end(ea, o);
			goto again;
		}
		if (o->forward)
			o->forward->tick = e->env.tick;
		if (!o->asked && e->env.tick - o->said_tick >=
				 ENGINE_TRANSFER_TICKS)
			say_offer(ea, o);
	}
}

bool engine_bulk_silent(const struct engine *e, uint64_t tick)
{
	uint64_t quiet = e->env.tick - tick;

	return quiet >= ENGINE_TRANSFER_TICKS &&
	       (e->env.tick - e->bulk_in_tick >= ENGINE_TRANSFER_TICKS ||
		quiet >= (uint64_t)ENGINE_TRANSFER_TICKS * e->o.max_conns);
}

void engine_blobs_tick(struct engine *e)
{
	struct list *l, *next;
	size_t i = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		if (ea->body_out && e->bulk_out_tick + 1 >= e->env.tick)
			engine_step_simple(ea, EV_PROGRESS);
		if (!list_empty(&ea->offers))
			offers_tick(ea);
	}
	for (l = e->transfers.next; l != &e->transfers; l = next) {
		struct transfer *t = transfer_at(l);

		next = l->next;
		if (!t->active || t->ending || t->dead || !e->env.link ||
		    !engine_bulk_silent(e, t->tick))
			continue;
		t->tick = e->env.tick;
		if (++t->tries < ENGINE_TRANSFER_TRIES) {
			ask_for(t, t->have, LINK_CREDIT);
			continue;
		}
		finished(t, E_TEMP);
		next = e->transfers.next;
	}
}

/* The link went down: what comes next begins where this stopped; what nobody
 * waits for any more goes.  ea NULL: all accounts. */
void engine_blobs_reset(struct engine *e, struct eacct *ea)
{
	struct list *l, *next;

	for (l = e->transfers.next; l != &e->transfers; l = next) {
		struct transfer *t = transfer_at(l);

		next = l->next;
		if (ea && t->ea != ea)
			continue;
		if (!t->dead)
			e->transfers_active -= t->active;
		t->active = false;
		t->tries = 0;
		unwant(t, 1u << TRANSFER_RECORD | 1u << TRANSFER_OFFER);
	}
}

char *engine_staged_path(struct eacct *ea, const uint8_t hash[32],
			 uint64_t *size_out)
{
	uint64_t offset;
	struct buf path;
	char *p = NULL;

	buf_init(&path, 8192);
	if (store_body_find(ea->e->store, ea->a, hash, &path, &offset,
			    size_out) == 0)
		p = xstrndup(path.p, path.n);
	buf_fini(&path);
	return p;
}

void engine_repair_body(struct engine *e, struct account *a,
			const uint8_t hash[32], void (*done)(void *, int),
			void *arg)
{
	struct eacct *ea = engine_known(e, account_id(a));
	struct erepair *r = NEW(struct erepair);

	memcpy(r->hash, hash, 32);
	r->done = done;
	r->arg = arg;
	r->ea = ea;
	list_init(&r->node);
	if (!e->env.link) {
		r->result = E_TEMP;
		list_append(&e->due_repairs, &r->node);
		engine_dirty(ea);
		return;
	}
	list_append(&ea->repairs, &r->node);
	engine_blob_want(ea, hash, 0, TRANSFER_REPAIR);
}

/* false: cb wants no more. */
bool engine_blob_transfers(struct engine *e, engine_transfer_cb *cb, void *arg)
{
	struct list *l;

	for (l = e->transfers.next; l != &e->transfers; l = l->next) {
		struct transfer *t = transfer_at(l);
		struct engine_transfer out = {
			.name = t->ea->name, .receiving = true,
			.installing = t->ending, .done = t->have,
			.size = t->size};

		/* Those of a copy are counted with it. */
		if (t->active && !t->dead &&
		    t->why != 1u << TRANSFER_SEED && !cb(arg, &out))
			return false;
	}
	return true;
}
