/*
 * Deliveries for accounts that the partner holds.  The forwarder keeps the
 * body until the answer; an answer that is lost is 451 for the MTA, and its
 * retry is recognised by the delivery id (D6).  A forwarded delivery is never
 * forwarded again.
 */

#include "node/base/digest.h"
#include "sync/engine_private.h"

#include <assert.h>
#include <stdlib.h>

/* One that came from the partner. */
struct deliver_in {
	struct list node;		/* engine.delivers */
	struct engine *e;
	struct eacct *ea;
	struct account *a;
	struct id128 id;
	uint64_t request, boot;
	struct arena *arena;
	struct write *w;
};

/* --- out ---------------------------------------------------------------------- */

static void forward_due(struct eforward *f, int result, bool unknown,
			const char *why)
{
	struct engine *e = f->e;
	struct eacct *ea = engine_known(e, f->account);

	if (ea)
		engine_offers_drop(ea, NULL, f);
	f->result = result;
	f->unknown = unknown;
	if (result < 0 && !f->err.code)
		err_set(&f->err, result, "%s: %s", f->name, why);
	list_remove(&f->node);
	list_append(&e->due_forwards, &f->node);
	if (ea)
		engine_dirty(ea);
}

static void send_deliver(struct eforward *f)
{
	struct write *w = f->w;
	struct write_msg *wm = &w->msgs[0];
	struct link_msg m = {.type = LINK_DELIVER, .account = f->account,
			     .id = f->id};
	struct arena *a = arena_new(1024);

	m.deliver = (struct link_deliver){
		.name = slice_str(f->name), .mailbox = w->name,
		.autocreate = w->autocreate, .autosubscribe = w->autosubscribe,
		.body_size = wm->body.size, .internaldate = wm->internaldate,
		.internaldate_zone = wm->internaldate_zone, .flags = wm->flags,
		.keywords = wm->keywords, .n_keywords = wm->n_keywords,
		.n_autos = w->n_autos};
	memcpy(m.deliver.delivery_id, w->delivery_id, 32);
	memcpy(m.deliver.body_hash, wm->body.hash, 32);
	memcpy(m.deliver.traceless, wm->traceless, 16);
	m.deliver.autos = arena_alloc(a, (w->n_autos + 1) * sizeof(struct slice));
	m.deliver.auto_special_use = arena_alloc(a, (w->n_autos + 1) * 4);
	m.deliver.auto_subscribe = arena_alloc(a, w->n_autos + 1);
	for (size_t i = 0; i < w->n_autos; i++) {
		m.deliver.autos[i] = slice_str(w->autos[i].name);
		m.deliver.auto_special_use[i] = w->autos[i].special_use;
		m.deliver.auto_subscribe[i] = w->autos[i].subscribe;
	}
	if (!wm->body.tmp_path)
		m.body = wm->body.data;
	f->sent = true;
	engine_send(f->e, &m);
	arena_free(a);
}

/* Its large body is at the partner (or not, and the partner says so). */
void engine_forward_ready(struct eforward *f)
{
	if (f->e->env.link)
		send_deliver(f);
	else
		forward_due(f, E_TEMP, false, "the partner is away");
}

static void forward_start(struct eforward *f)
{
	struct engine *e = f->e;
	struct eacct *ea = engine_known(e, f->account);
	struct write_msg *wm = &f->w->msgs[0];

	f->sent = false;
	if (!e->env.link)
		forward_due(f, E_TEMP, false, "the partner is away");
	else if (wm->body.tmp_path && e->failed)
		forward_due(f, E_TEMP, false, "this node's disk failed, and "
			    "the message is too large to go without it");
	else if (wm->body.tmp_path && ea && ea->a)
		engine_blob_offer(ea, wm->body.hash, wm->body.size, NULL, f);
	else
		send_deliver(f);
}

void engine_forward(struct engine *e, struct id128 id, const char *name,
		    struct write *w, engine_done *done, void *arg)
{
	struct eforward *f = NEW(struct eforward);

	assert(w->kind == WRITE_DELIVER && w->n_msgs == 1);
	f->e = e;
	f->account = id;
	f->name = xstrdup(name);
	f->id = ++e->next_id;
	f->tick = e->env.tick;
	f->w = w;
	f->done = done;
	f->arg = arg;
	list_init(&f->node);
	list_append(&e->forwards, &f->node);
	if (e->forwards_n >= ENGINE_FORWARDS_MAX) {
		e->forwards_n++;
		forward_due(f, E_TEMP, false, "too many deliveries are on "
			    "their way to the partner");
		return;
	}
	e->forwards_n++;
	forward_start(f);
}

/* It moved meanwhile: ask once more, then serve, carry or give up. */
static void moved_answer(void *arg, enum engine_verdict v, struct account *a,
			 const struct err *err)
{
	struct eforward *f = arg;
	struct engine *e = f->e;

	(void)err;
	f->ask = NULL;
	if (f->answered)
		*f->answered = true;
	f->answered = NULL;
	if (v == ENGINE_PROXY) {
		forward_start(f);
	} else if (v == ENGINE_SERVE) {
		list_remove(&f->node);
		e->forwards_n--;
		/* The write keeps the account busy; no session is counted. */
		engine_write(e, a, f->w, f->done, f->arg);
		engine_leave(e, a);
		free(f->name);
		free(f);
	} else {
		forward_due(f, E_TEMP, false, "no node holds it now");
	}
}

static void ask_again(struct eforward *f)
{
	bool answered = false;
	struct engine_ask *q;

	/* An answer at once may have freed it. */
	f->answered = &answered;
	q = engine_ask_delivery(f->e, f->account, f->name, NULL, true, false,
				moved_answer, f);
	if (answered)
		return;
	f->answered = NULL;
	f->ask = q;
}

void engine_delivered(struct engine *e, const struct link_msg *m)
{
	const struct link_delivered *d = &m->delivered;

	for (struct list *l = e->forwards.next; l != &e->forwards; l = l->next) {
		struct eforward *f = CONTAINER_OF(l, struct eforward, node);
		struct eacct *ea;

		if (f->id != m->id || !f->sent)
			continue;
		ea = engine_known(e, f->account);
		if (d->result == E_NOTHOLDER && !f->retried && ea && ea->a) {
			/* Its HANDOVER is here by now or was lost; a new
			 * generation, which would cost the epoch, only if
			 * the one that is asked says so too. */
			f->retried = true;
			f->sent = false;
			ask_again(f);
			return;
		}
		f->w->duplicate = d->duplicate;
		f->w->single_copy = d->single_copy;
		f->w->uidvalidity = d->uidvalidity;
		f->w->msgs[0].uid = d->uid;
		if (d->result < 0) {
			err_set(&f->err, d->result, "%s: at the partner: %.*s",
				f->name, (int)d->text.n, d->text.p);
			err_client(&f->err, "%.*s", (int)d->text.n, d->text.p);
		}
		/* A refusal has no effect, unless it says otherwise. */
		forward_due(f, d->result == E_NOTHOLDER ? E_TEMP : d->result,
			    d->unknown, "moved");
		return;
	}
}

/* The link went down: what was sent may have been done. */
void engine_forwards_lost(struct engine *e)
{
	struct list *l, *next;

	for (l = e->forwards.next; l != &e->forwards; l = next) {
		struct eforward *f = CONTAINER_OF(l, struct eforward, node);

		next = l->next;
		if (f->ask)
			continue;
		forward_due(f, E_TEMP, f->sent, "the partner went away");
	}
}

void engine_forwards_tick(struct engine *e)
{
	struct list *l, *next;

	for (l = e->forwards.next; l != &e->forwards; l = next) {
		struct eforward *f = CONTAINER_OF(l, struct eforward, node);

		next = l->next;
		if (f->ask || e->env.tick - f->tick <
				      3 * (uint64_t)e->o.takeover_delay)
			continue;
		forward_due(f, E_TEMP, f->sent, "the partner did not answer");
	}
}

/* --- in ------------------------------------------------------------------------- */

static void deliver_reply(struct engine *e, struct id128 account, uint64_t id,
			  int result, const char *text)
{
	struct link_msg m = {.type = LINK_DELIVERED, .account = account,
			     .id = id};

	m.delivered.result = result;
	m.delivered.text = slice_sub(slice_str(text), 0, LINK_TEXT_MAX);
	engine_send(e, &m);
}

static void deliver_free(struct deliver_in *d)
{
	list_remove(&d->node);
	arena_free(d->arena);
	free(d);
}

static void deliver_done(void *arg, struct write *w, int result, bool unknown,
			 const struct err *err)
{
	struct deliver_in *d = arg;
	struct engine *e = d->e;
	struct link_msg m = {.type = LINK_DELIVERED, .account = d->id,
			     .id = d->request};

	m.delivered.result = result;
	m.delivered.unknown = unknown;
	m.delivered.duplicate = w->duplicate;
	m.delivered.single_copy = w->single_copy;
	m.delivered.uid = w->msgs[0].uid;
	m.delivered.uidvalidity = w->uidvalidity;
	m.delivered.end = account_end(d->a);
	if (result < 0 && err)
		m.delivered.text = slice_sub(slice_str(err->client), 0,
					     LINK_TEXT_MAX);
	engine_send(e, &m);
	if (d->ea->forwards_in)
		d->ea->forwards_in--;
	engine_leave(e, d->a);
	deliver_free(d);
}

static void deliver_answer(void *arg, enum engine_verdict v, struct account *a,
			   const struct err *err)
{
	struct deliver_in *d = arg;
	struct engine *e = d->e;
	struct write_msg *wm = &d->w->msgs[0];

	if (v != ENGINE_SERVE) {
		deliver_reply(e, d->id, d->request, err ? err->code : E_TEMP,
			      err ? err->client : "");
		deliver_free(d);
		return;
	}
	d->a = a;
	d->ea = engine_known(e, d->id);
	if (!wm->body.data.p && wm->body.size) {
		char *path = engine_staged_path(d->ea, wm->body.hash,
						&wm->body.size);

		if (!path) {
			deliver_reply(e, d->id, d->request, E_TEMP,
				      "its body did not arrive");
			engine_leave(e, a);
			deliver_free(d);
			return;
		}
		wm->body.tmp_path = arena_strdup(d->arena, path);
		free(path);
	}
	d->ea->forwards_in++;
	engine_write(e, a, d->w, deliver_done, d);
}

static struct write *deliver_write(struct arena *a, const struct link_msg *m)
{
	const struct link_deliver *in = &m->deliver;
	struct write *w = ARENA_NEW(a, struct write);
	struct auto_mailbox *autos =
		arena_alloc(a, (in->n_autos + 1) * sizeof(*autos));
	struct write_msg *wm = ARENA_NEW(a, struct write_msg);

	w->kind = WRITE_DELIVER;
	w->arena = a;
	w->name = arena_dup(a, in->mailbox);
	w->autocreate = in->autocreate;
	w->autosubscribe = in->autosubscribe;
	w->has_delivery_id = true;
	memcpy(w->delivery_id, in->delivery_id, 32);
	for (size_t i = 0; i < in->n_autos; i++)
		autos[i] = (struct auto_mailbox){
			arena_strndup(a, in->autos[i].p, in->autos[i].n),
			in->auto_special_use[i], in->auto_subscribe[i]};
	w->autos = autos;
	w->n_autos = in->n_autos;
	w->msgs = wm;
	w->n_msgs = 1;
	if (m->body.n || !in->body_size)
		wm->body.data = slice_of(m->body.n ?
			arena_dup(a, m->body).p : (const uint8_t *)"",
			m->body.n);
	wm->body.size = in->body_size;
	memcpy(wm->body.hash, in->body_hash, 32);
	memcpy(wm->traceless, in->traceless, 16);
	wm->flags = in->flags;
	wm->internaldate = in->internaldate;
	wm->internaldate_zone = (int16_t)in->internaldate_zone;
	wm->keywords = arena_alloc(a, (in->n_keywords + 1) *
				      sizeof(*wm->keywords));
	wm->n_keywords = in->n_keywords;
	for (size_t i = 0; i < in->n_keywords; i++)
		wm->keywords[i] = arena_dup(a, in->keywords[i]);
	return w;
}

/* What came is what it says it is; a body that lies is the partner's fault. */
static bool body_fits(const struct link_msg *m)
{
	uint8_t hash[32];

	if (m->body.n != m->deliver.body_size)
		return m->body.n == 0;
	sha256(m->body, hash);
	return memcmp(hash, m->deliver.body_hash, 32) == 0;
}

void engine_deliver(struct engine *e, const struct link_msg *m)
{
	struct deliver_in *d;
	size_t waiting = 0;
	char *name;

	for (struct list *l = e->delivers.next; l != &e->delivers; l = l->next)
		waiting++;
	if (waiting >= ENGINE_FORWARDS_MAX || !body_fits(m)) {
		deliver_reply(e, m->account, m->id, E_TEMP, "not taken");
		return;
	}
	name = xstrndup(m->deliver.name.p, m->deliver.name.n);
	if (strlen(name) != m->deliver.name.n ||
	    !id128_eq(account_id_of(slice_of(e->pair_id, 16), m->deliver.name),
		      m->account)) {
		deliver_reply(e, m->account, m->id, E_INVALID, "bad name");
		free(name);
		return;
	}
	if (!engine_known(e, m->account)) {
		/* The MTA comes again; by then the account is here. */
		if (e->out.locate)
			e->out.locate(e->out.arg, m->account, name);
		if (!engine_known(e, m->account)) {
			deliver_reply(e, m->account, m->id, E_TEMP,
				      "account not open yet");
			free(name);
			return;
		}
	}
	d = NEW(struct deliver_in);
	d->e = e;
	d->id = m->account;
	d->request = m->id;
	d->arena = arena_new(4096);
	d->w = deliver_write(d->arena, m);
	list_init(&d->node);
	list_append(&e->delivers, &d->node);
	engine_ask_delivery(e, d->id, name, NULL, true, true, deliver_answer, d);
	free(name);
}

void engine_delivers_free(struct engine *e)
{
	while (!list_empty(&e->delivers))
		deliver_free(CONTAINER_OF(e->delivers.next, struct deliver_in,
					  node));
}
