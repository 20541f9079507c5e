/* What sessions and MTAs do, and what they were told (the ledger). */

#include "tests/sim/sim.h"

#include "node/base/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const kinds[W_KINDS] = {
	"deliver", "append", "flags", "expunge", "copy", "move", "create",
	"delete", "rename", "subscribe", "look", "idle",
};

static const char *const boxes[] = {"INBOX", "Work", "Archive", "Work/Old"};

static void start(struct sop *o);
static void finish(struct sop *o, int result, bool unknown);

/* The answer may have come at once, and the op be gone or further on. */
static void asked(struct sim *s, uint64_t id, struct engine_ask *q)
{
	for (struct list *l = s->ops.next; q && l != &s->ops; l = l->next) {
		struct sop *o = CONTAINER_OF(l, struct sop, node);

		if (o->id == id)
			o->ask = q;
	}
}

/* --- tokens ------------------------------------------------------------------- */

struct token *sim_token(struct sim *s, const uint8_t hash[32])
{
	for (size_t i = s->n_tokens; i-- > 0;)
		if (!memcmp(s->tokens[i].hash, hash, 32))
			return &s->tokens[i];
	return NULL;
}

static size_t token_new(struct sim *s, unsigned account)
{
	struct token *t;

	GROW(s->tokens, s->n_tokens, s->cap_tokens);
	t = &s->tokens[s->n_tokens];
	*t = (struct token){.account = account, .flag_known = true};
	return s->n_tokens++;
}

static void touch(struct sop *o, size_t token)
{
	size_t *more = arena_alloc(o->arena, (o->n_tokens + 1) * sizeof(*more));

	if (o->n_tokens)
		memcpy(more, o->tokens, o->n_tokens * sizeof(*more));
	more[o->n_tokens++] = token;
	o->tokens = more;
}

/* --- making writes -------------------------------------------------------------- */

static struct slice body_of(struct sop *o, size_t token)
{
	struct sim *s = o->s;
	struct token *t = &s->tokens[token];
	char *text;
	size_t n;

	snprintf(t->text, sizeof(t->text), "%" PRIu64 ".%zu", s->seed, token);
	text = arena_printf(o->arena, "Message-ID: <%s@sim>\r\nSubject: %s\r\n"
			    "\r\nbody %s\r\n", t->text, t->text, t->text);
	n = strlen(text);
	if (s->pad) {
		char *more = arena_alloc(o->arena, n + s->pad);

		memcpy(more, text, n);
		memset(more + n, 'a' + (int)(token % 26), s->pad);
		text = more;
		n += s->pad;
	}
	sha256(slice_of(text, n), t->hash);
	return slice_of(text, n);
}

static void new_messages(struct sop *o, size_t n)
{
	struct write *w = &o->w;

	w->msgs = arena_zalloc(o->arena, n * sizeof(*w->msgs));
	w->n_msgs = n;
	for (size_t i = 0; i < n; i++) {
		size_t t = token_new(o->s, o->account);
		struct slice body = body_of(o, t);

		w->msgs[i].body.data = body;
		w->msgs[i].body.size = body.n;
		memcpy(w->msgs[i].body.hash, o->s->tokens[t].hash, 32);
		w->msgs[i].internaldate = 1700000000;
		touch(o, t);
	}
}

struct pick {
	struct sim *s;
	struct mailbox *m[16];
	size_t n;
};

static bool pick_box(void *arg, struct mailbox *m)
{
	struct pick *p = arg;

	if (p->n < ARRAY_LEN(p->m))
		p->m[p->n++] = m;
	return true;
}

static struct mailbox *any_box(struct sop *o, bool inbox)
{
	struct pick p = {.s = o->s};
	struct mailbox *m;

	account_mailboxes(o->a, pick_box, &p);
	if (!p.n)
		return NULL;
	m = p.m[sim_below(o->s, p.n)];
	return !inbox && !strcmp(mailbox_name(m), "INBOX") ? NULL : m;
}

/* Some messages of m; false if there are none. */
static bool some_uids(struct sop *o, struct mailbox *m)
{
	uint32_t n = mailbox_messages(m), k;
	struct write *w = &o->w;

	if (!n)
		return false;
	k = 1 + (uint32_t)sim_below(o->s, 3);
	if (k > n)
		k = n;
	w->uids = arena_zalloc(o->arena, k * sizeof(*w->uids));
	for (uint32_t i = 0, at = (uint32_t)sim_below(o->s, n - k + 1); i < k;
	     i++, at++) {
		const struct mrec *r = mailbox_rec(m, mailbox_select_live(m, at));
		struct token *t = sim_token(o->s, r->body_hash);

		w->uids[w->n_uids++] = (struct uid_range){r->uid, r->uid};
		if (t)
			touch(o, (size_t)(t - o->s->tokens));
	}
	w->mbox = mailbox_id(m);
	return true;
}

/* The write as decided at the holder; false: nothing to do. */
static bool make(struct sop *o)
{
	struct write *w = &o->w;
	struct sim *s = o->s;
	struct mailbox *m = NULL, *to;

	switch (o->kind) {
	case W_APPEND:
		w->kind = WRITE_APPEND;
		m = any_box(o, true);
		if (!m)
			return false;
		w->mbox = mailbox_id(m);
		new_messages(o, 1 + sim_below(s, 3));
		for (size_t i = 0; i < o->n_tokens; i++)
			s->tokens[o->tokens[i]].copied =
				strcmp(mailbox_name(m), "INBOX") != 0;
		return true;
	case W_FLAGS:
		w->kind = WRITE_FLAGS;
		o->flag = sim_below(s, 2);
		w->flags_mode = o->flag ? FLAGS_ADD : FLAGS_REMOVE;
		w->flags = MSG_FLAGGED;
		m = any_box(o, true);
		if (!m || !some_uids(o, m))
			return false;
		for (size_t i = 0; i < o->n_tokens; i++) {
			s->tokens[o->tokens[i]].flag_known = false;
			s->tokens[o->tokens[i]].flag_op = o->id;
			s->tokens[o->tokens[i]].flag_flying++;
		}
		return true;
	case W_EXPUNGE:
		w->kind = WRITE_EXPUNGE;
		m = any_box(o, true);
		if (!m || !some_uids(o, m))
			return false;
		for (size_t i = 0; i < o->n_tokens; i++)
			s->tokens[o->tokens[i]].removal_tried = true;
		return true;
	case W_COPY:
	case W_MOVE:
		w->kind = o->kind == W_COPY ? WRITE_COPY : WRITE_MOVE;
		m = any_box(o, true);
		to = any_box(o, true);
		if (!m || !to || m == to || !some_uids(o, m))
			return false;
		w->target = mailbox_id(to);
		for (size_t i = 0; i < o->n_tokens; i++) {
			s->tokens[o->tokens[i]].copied = true;
			s->tokens[o->tokens[i]].flag_known = false;
		}
		return true;
	case W_CREATE:
		w->kind = WRITE_CREATE;
		w->name = slice_str(boxes[1 + sim_below(s, 3)]);
		return true;
	case W_DELETE:
		w->kind = WRITE_DELETE;
		m = any_box(o, false);
		if (!m)
			return false;
		w->mbox = mailbox_id(m);
		/* Whatever is or may come to lie in it goes with it. */
		for (size_t i = 0; i < s->n_tokens; i++)
			if (s->tokens[i].account == o->account &&
			    s->tokens[i].copied)
				s->tokens[i].removal_tried = true;
		return true;
	case W_RENAME:
		w->kind = WRITE_RENAME;
		m = any_box(o, false);
		if (!m)
			return false;
		w->name = slice_str(arena_strdup(o->arena, mailbox_name(m)));
		w->new_name = slice_str(boxes[1 + sim_below(s, 3)]);
		return true;
	case W_SUBSCRIBE:
		w->kind = WRITE_SUBSCRIBE;
		w->name = slice_str(boxes[sim_below(s, 4)]);
		w->on = sim_below(s, 2);
		return true;
	default:
		return false;
	}
}

static void make_delivery(struct sop *o)
{
	struct write *w = &o->w;

	if (w->n_msgs) {
		/* A retry: the same bytes under the same id. */
		w->next_item = 0;
		w->prepared_all = false;
		w->duplicate = w->single_copy = false;
		return;
	}
	w->kind = WRITE_DELIVER;
	w->name = SLICE_LIT("INBOX");
	w->autocreate = true;
	new_messages(o, 1);
	w->has_delivery_id = true;
	memcpy(w->delivery_id, w->msgs[0].body.hash, 32);
	o->s->tokens[o->tokens[0]].lmtp = true;
}

/* --- answers ------------------------------------------------------------------------ */

static void release(struct sop *o)
{
	struct sstore *st = sim_store_of(&o->s->n[o->host], o->account);

	if (o->served && st->alive && st->life == o->host_life) {
		engine_leave(st->engine, o->a);
		sim_turn(st);
	}
	o->served = false;
}

static void done(void *arg, struct write *w, int result, bool unknown,
		 const struct err *err)
{
	struct sop *o = arg;

	sim_trace(o->s, "op %" PRIu64 " %s %s at node %u: %d%s %s", o->id,
		  kinds[o->kind], o->s->acc[o->account].name, o->host, result,
		  unknown ? " unknown" : "", err ? err->op : "");
	for (size_t i = 0; i < o->n_tokens; i++)
		sim_trace(o->s, "    %s: token %s uid %u%s", kinds[o->kind],
			  o->s->tokens[o->tokens[i]].text,
			  i < w->n_msgs ? w->msgs[i].uid : 0,
			  w->duplicate ? " duplicate" : "");
	o->writing = false;
	release(o);
	finish(o, result, unknown);
}

static void idle_end(void *arg)
{
	struct sop *o = arg;

	if (o->s->ended)
		return;
	/* Closed already if its process is gone. */
	sim_idle_close(&o->idle, false);
	release(o);
	finish(o, 0, false);
}

/* A node that has just woken may answer from what it knew: how fresh reads are
 * is the witness's business. */
static bool is_fresh(const struct sim *s, const struct snode *n)
{
	return !n->was_stopped || simtime_now(s->time) >
					  n->resume_at + 5 * USEC_PER_SEC;
}

static void served(struct sop *o)
{
	struct sim *s = o->s;
	struct sstore *st = sim_store_of(&s->n[o->host], o->account);

	if (o->kind == W_LOOK) {
		if (is_fresh(s, &s->n[o->host]))
			sim_check_look(s, o->account, o->a,
				       (unsigned)sim_below(s, SIM_CLIENTS));
		release(o);
		finish(o, 0, false);
		return;
	}
	if (o->kind == W_IDLE) {
		if (is_fresh(s, &s->n[o->host]))
			sim_idle_open(s, &s->acc[o->account], o->a, &o->idle);
		simtime_at(s->time, (1 + sim_below(s, 4)) * USEC_PER_SEC,
			   idle_end, o);
		return;
	}
	if (o->kind == W_DELIVER) {
		make_delivery(o);
	} else if (!make(o)) {
		release(o);
		finish(o, 0, false);
		return;
	}
	o->writing = true;
	engine_write(st->engine, o->a, &o->w, done, o);
	sim_turn(st);
}

static void answered_there(void *arg, enum engine_verdict v, struct account *a,
			   const struct err *err)
{
	struct sop *o = arg;

	(void)err;
	o->ask = NULL;
	if (v != ENGINE_SERVE) {
		finish(o, E_TEMP, false);
		return;
	}
	o->served = true;
	o->a = a;
	served(o);
}

static void ask_there(void *arg)
{
	struct sop *o = arg;
	struct sim *s = o->s;
	struct sstore *st;
	uint64_t id;

	if (o->s->ended)
		return;
	id = o->id;
	o->host = 1 - o->at;
	st = sim_store_of(&s->n[o->host], o->account);
	if (!st->alive || s->cut || s->n[o->host].stopped) {
		finish(o, E_TEMP, false);
		return;
	}
	o->host_life = st->life;
	asked(s, id, engine_ask(st->engine, s->acc[o->account].id,
				s->acc[o->account].name, NULL, false, true,
				answered_there, o));
	sim_turn(st);
}

static void answered(void *arg, enum engine_verdict v, struct account *a,
		     const struct err *err)
{
	struct sop *o = arg;
	struct sim *s = o->s;
	struct sstore *st = sim_store_of(&s->n[o->at], o->account);

	o->ask = NULL;
	if (v == ENGINE_REFUSE) {
		sim_trace(s, "op %" PRIu64 " %s %s at node %u refused: %s",
			  o->id, kinds[o->kind], s->acc[o->account].name,
			  o->at, err ? err->op : "");
		finish(o, E_TEMP, false);
		return;
	}
	if (v == ENGINE_SERVE) {
		o->host = o->at;
		o->host_life = o->at_life;
		o->served = true;
		o->a = a;
		served(o);
		return;
	}
	if (o->kind == W_DELIVER) {
		o->host = o->at;
		o->host_life = o->at_life;
		o->forwarded = true;
		o->writing = true;
		make_delivery(o);
		engine_forward(st->engine, s->acc[o->account].id,
			       s->acc[o->account].name, &o->w, done, o);
		sim_turn(st);
		return;
	}
	simtime_at(s->time, 500, ask_there, o);
}

/* --- outcomes ------------------------------------------------------------------------ */

static void told_ok(struct sop *o)
{
	struct sim *s = o->s;

	s->ops_ok++;
	for (size_t i = 0; i < o->n_tokens; i++) {
		struct token *t = &s->tokens[o->tokens[i]];

		switch (o->kind) {
		case W_DELIVER:
		case W_APPEND:
			t->acked = true;
			break;
		case W_FLAGS:
			/* Only if nothing else changed it meanwhile.  What had
			 * no effect left no record: with a second holder, the
			 * other one's change is not ordered against it. */
			t->flag_known = !t->copied && t->flag_op == o->id &&
					t->flag_flying == 1 &&
					(o->w.modseq || s->rule_kept);
			t->flag = o->flag;
			break;
		case W_EXPUNGE:
			if (!t->copied)
				t->removal_acked = true;
			break;
		default:
			break;
		}
	}
}

static void again(void *arg)
{
	struct sop *o = arg;

	if (o->s->ended)
		return;
	o->at = (unsigned)sim_below(o->s, 2);
	start(o);
}

static void op_free(struct sop *o)
{
	sim_idle_close(&o->idle, true);
	list_remove(&o->node);
	arena_free(o->arena);
	free(o);
}

static void finish(struct sop *o, int result, bool unknown)
{
	struct sim *s = o->s;

	if (result == 0)
		told_ok(o);
	if (o->out) {
		*o->out = (struct outcome){
			.done = true, .unknown = unknown,
			.single_copy = o->w.single_copy,
			.duplicate = o->w.duplicate, .result = result,
			.uid = o->w.n_msgs ? o->w.msgs[0].uid : 0,
			.at_usec = simtime_now(s->time)};
	}
	if (result < 0 && o->kind == W_DELIVER && o->w.n_msgs && !o->once) {
		/* 4xx or a cut connection: the MTA keeps it. */
		o->forwarded = o->served = o->writing = false;
		o->waiting = true;
		o->tries++;
		simtime_at(s->time, (1 + sim_below(s, 8)) * 500 * SIM_MS, again,
			   o);
		return;
	}
	for (size_t i = 0; o->kind == W_FLAGS && i < o->n_tokens; i++)
		if (s->tokens[o->tokens[i]].flag_flying)
			s->tokens[o->tokens[i]].flag_flying--;
	s->ops_done++;
	op_free(o);
}

static void start(struct sop *o)
{
	struct sim *s = o->s;
	struct sstore *st = sim_store_of(&s->n[o->at], o->account);
	uint64_t id = o->id;
	char root[80];

	o->waiting = false;
	if (!st->alive || st->failed || s->n[o->at].stopped) {
		finish(o, E_TEMP, false);
		return;
	}
	o->at_life = o->host_life = st->life;
	o->host = o->at;
	snprintf(root, sizeof(root), "/mail/%s", s->acc[o->account].name);
	if (o->kind == W_DELIVER)
		asked(s, id, engine_ask_delivery(
			st->engine, s->acc[o->account].id,
			s->acc[o->account].name, root, true, false, answered,
			o));
	else
		asked(s, id, engine_ask(st->engine, s->acc[o->account].id,
					s->acc[o->account].name, root, true,
					false, answered, o));
	sim_turn(st);
}

static struct sop *op_new(struct sim *s, enum op_kind_sim kind,
			  unsigned account, unsigned at)
{
	struct sop *o = NEW(struct sop);

	o->s = s;
	o->kind = kind;
	o->account = account;
	o->at = at;
	o->arena = arena_new(1024);
	o->w.arena = o->arena;
	o->id = ++s->next_op;
	list_init(&o->node);
	list_append(&s->ops, &o->node);
	return o;
}

void sim_op(struct sim *s, enum op_kind_sim kind, unsigned account, unsigned at,
	    struct outcome *out)
{
	struct sop *o = op_new(s, kind, account, at);

	o->out = out;
	o->once = true;
	if (out)
		*out = (struct outcome){.done = false};
	start(o);
}

void sim_redeliver(struct sim *s, size_t token, unsigned at,
		   struct outcome *out)
{
	struct sop *o = op_new(s, W_DELIVER, s->tokens[token].account, at);
	struct write *w = &o->w;
	struct slice body = body_of(o, token);

	w->kind = WRITE_DELIVER;
	w->name = SLICE_LIT("INBOX");
	w->autocreate = w->has_delivery_id = true;
	w->msgs = arena_zalloc(o->arena, sizeof(*w->msgs));
	w->n_msgs = 1;
	w->msgs[0].body.data = body;
	w->msgs[0].body.size = body.n;
	memcpy(w->msgs[0].body.hash, s->tokens[token].hash, 32);
	w->msgs[0].internaldate = 1700000000;
	memcpy(w->delivery_id, s->tokens[token].hash, 32);
	touch(o, token);
	o->out = out;
	o->once = true;
	*out = (struct outcome){.done = false};
	start(o);
}

void sim_work_step(struct sim *s)
{
	unsigned total = 0, k;
	uint64_t at;
	struct sop *o;

	for (k = 0; k < W_KINDS; k++)
		total += s->weight[k];
	at = sim_below(s, total);
	for (k = 0; at >= s->weight[k]; k++)
		at -= s->weight[k];
	o = op_new(s, (enum op_kind_sim)k,
		   (unsigned)sim_below(s, SIM_ACCOUNTS),
		   (unsigned)sim_below(s, 2));
	start(o);
}

/* The process is gone: connections of its clients close. */
void sim_work_lost(struct sim *s, struct sstore *st)
{
	struct list *l, *next;

	for (l = s->ops.next; l != &s->ops; l = next) {
		struct sop *o = CONTAINER_OF(l, struct sop, node);
		struct sstore *host = sim_store_of(&s->n[o->host], o->account);
		struct sstore *at = sim_store_of(&s->n[o->at], o->account);

		next = l->next;
		if (host == st)
			sim_idle_close(&o->idle, true);
		if (o->waiting)
			continue;
		if (host == st && o->host_life == st->life &&
		    (o->ask || o->writing)) {
			o->ask = NULL;
			o->writing = o->served = false;
			finish(o, E_TEMP, true);
		} else if (at == st && o->at_life == st->life && o->ask) {
			/* The proxied session's client is gone. */
			engine_ask_cancel(o->ask);
			o->ask = NULL;
			finish(o, E_TEMP, true);
		}
	}
}

void sim_work_evicted(struct sim *s, struct sstore *st, struct account *a)
{
	for (struct list *l = s->ops.next; l != &s->ops; l = l->next) {
		struct sop *o = CONTAINER_OF(l, struct sop, node);

		if (o->a == a && sim_store_of(&s->n[o->host], o->account) == st)
			sim_idle_close(&o->idle, true);
	}
}

size_t sim_work_queued(struct sim *s)
{
	size_t n = 0;

	for (struct list *l = s->ops.next; l != &s->ops; l = l->next)
		n++;
	return n;
}

void sim_work_free(struct sim *s)
{
	while (!list_empty(&s->ops))
		op_free(CONTAINER_OF(s->ops.next, struct sop, node));
}

void sim_work_print(struct sim *s)
{
	for (struct list *l = s->ops.next; l != &s->ops; l = l->next) {
		struct sop *o = CONTAINER_OF(l, struct sop, node);

		sim_trace(s, "op %" PRIu64 " %s %s waits: at %u host %u%s%s%s%s%s",
			  o->id, kinds[o->kind], s->acc[o->account].name, o->at,
			  o->host, o->ask ? " ask" : "",
			  o->served ? " served" : "",
			  o->writing ? " writing" : "",
			  o->forwarded ? " forwarded" : "",
			  o->waiting ? " queued" : "");
	}
}
