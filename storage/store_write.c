/* Frames in, durable, published: see store_private.h. */

#include "storage/store_private.h"

#include "node/base/digest.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

size_t record_inline_bodies(const struct record *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_ops; i++)
		n += r->ops[i].kind == OP_MSG_ADD &&
		     r->ops[i].msg_add.inline_body;
	return n;
}

static bool needs_stage(const struct op *op)
{
	return op->kind == OP_MSG_ADD && !op->msg_add.inline_body &&
	       op->msg_add.source != SOURCE_COPY;
}

int position_after(const struct position *before, const struct frame *f,
		   const struct record *r, struct position *out, struct err *e)
{
	uint32_t epoch, nonce;

	*out = (struct position){before->epoch, before->nonce, f->seq,
				 f->chain};
	for (size_t i = 0; i < r->n_ops; i++)
		if (r->ops[i].kind == OP_EPOCH_BEGIN &&
		    !position_eq(r->ops[i].epoch_begin.parent, *before))
			return err_set(e, E_CORRUPT, "epoch %u begins elsewhere",
				       f->epoch);
	if (alog_epoch_begun(r, &epoch, &nonce)) {
		if (epoch <= before->epoch)
			return err_set(e, E_CORRUPT, "epoch %u after %u",
				       epoch, before->epoch);
		out->epoch = epoch;
		out->nonce = nonce;
	}
	if (out->epoch != f->epoch || f->epoch == 0)
		return err_set(e, E_CORRUPT, "a frame of epoch %u in epoch %u",
			       f->epoch, out->epoch);
	return 0;
}

/* --- pending frames ------------------------------------------------------------ */

void account_pending_free(struct pending_frame *p)
{
	arena_free(p->arena);	/* p lies in it */
}

struct pending_frame *account_accept(struct account *a, struct slice bytes,
				     struct position pos,
				     const struct frame_bodies *bodies,
				     uint64_t batch, struct err *e)
{
	size_t n = bodies ? bodies->n : 0, want = bytes.n + 4096;
	struct arena *arena;
	struct pending_frame *p;
	struct frame f;

	for (size_t i = 0; i < n; i++)
		want += bodies->data[i].n + 64;
	arena = arena_new(want);
	p = ARENA_NEW(arena, struct pending_frame);
	p->arena = arena;
	p->pos = pos;
	p->batch = batch;
	p->bytes = arena_dup(arena, bytes);
	frame_get(p->bytes, &f, NULL);
	if (record_decode(f.payload, arena, &p->record, e) < 0) {
		arena_free(arena);
		return NULL;
	}
	p->bodies.n = n;
	p->bodies.data = arena_zalloc(arena, (n + 1) * sizeof(struct slice));
	for (size_t i = 0; i < n; i++)
		if (bodies->data[i].p)
			p->bodies.data[i] = arena_dup(arena, bodies->data[i]);
	list_init(&p->node);
	list_append(&a->pending, &p->node);
	head_add(a->head, pos, &p->record);
	a->end = pos;
	return p;
}

static struct pending_frame *pending_at(struct list *l)
{
	return CONTAINER_OF(l, struct pending_frame, node);
}

bool account_durable_upto(struct account *a, uint64_t batch)
{
	struct list *l = a->pending.prev;
	bool any = false;

	/* Those that wait stand at the end. */
	while (l != &a->pending && !pending_at(l)->durable)
		l = l->prev;
	for (l = l->next; l != &a->pending; l = l->next) {
		struct pending_frame *p = pending_at(l);

		if (p->batch > batch)
			return any;
		p->durable = true;
		alog_append(a->log, p->bytes, p->pos);
		a->durable = p->pos;
		any = true;
	}
	list_remove(&a->touched);
	return any;
}

/* --- the journal entry ------------------------------------------------------------- */

/*
 * account 16, bodies u32, zero u32, frame (padded to 8), then for each body
 * length u32 (0xffffffff: not here), then the bodies one after the other.
 */
static int put_frame(struct store *s, struct account *a, struct slice bytes,
		     const struct frame_bodies *bodies, uint64_t *batch,
		     struct err *e)
{
	size_t n = bodies ? bodies->n : 0, n_parts = 0, total = bytes.n;
	struct slice *parts = xmalloc((n + 3) * sizeof(*parts));
	struct buf head, lens;
	int r;

	buf_init(&head, 64);
	buf_put(&head, a->id.b, 16);
	buf_le32(&head, (uint32_t)n);
	buf_le32(&head, 0);
	buf_init(&lens, 4 * n + 8);
	parts[n_parts++] = buf_all(&head);
	parts[n_parts++] = bytes;
	n_parts++;
	for (size_t i = 0; i < n; i++) {
		struct slice b = bodies->data[i];

		buf_le32(&lens, b.p ? (uint32_t)b.n : UINT32_MAX);
		if (b.p)
			parts[n_parts++] = b;
		total += b.n;
	}
	parts[2] = buf_all(&lens);
	r = total > STORE_ENTRY_MAX ?
		    E_LIMIT :
		    journal_put(s->journal, JOURNAL_FRAME, parts, n_parts, 0,
				batch);
	buf_fini(&head);
	buf_fini(&lens);
	free(parts);
	if (r == -ENOSPC) {
		s->space_wanted = true;
		store_checkpoint(s, NULL, NULL);
		return err_set(e, E_TEMP, "the journal is full: waiting for a "
			       "checkpoint");
	}
	if (r < 0)
		err_set(e, r == -EIO ? E_TEMP : r, "a record of %zu bytes: %s",
			total, err_name(r));
	return r == -EIO ? E_TEMP : r;
}

bool frame_entry_get(struct slice data, struct arena *a, struct frame_entry *out)
{
	struct cursor c = cursor_of(data);
	struct frame f;
	struct slice lens;
	int size;

	cursor_copy(&c, out->account.b, 16);
	out->n_bodies = cursor_le32(&c);
	cursor_le32(&c);
	if (c.bad || out->n_bodies > cursor_left(&c) / 4)
		return false;
	size = frame_get(slice_of(c.p, cursor_left(&c)), &f, NULL);
	if (size <= 0)
		return false;
	out->frame = cursor_bytes(&c, (size_t)size);
	lens = cursor_bytes(&c, 4 * out->n_bodies);
	if (c.bad)
		return false;
	out->bodies = arena_zalloc(a, (out->n_bodies + 1) *
				      sizeof(*out->bodies));
	for (size_t i = 0; i < out->n_bodies; i++) {
		uint32_t n = le32_at(lens.p + 4 * i);

		if (n == UINT32_MAX)
			continue;
		out->bodies[i] = cursor_bytes(&c, n);
	}
	return cursor_done(&c);
}

/* --- in --------------------------------------------------------------------------------- */

static int may_write(struct store *s, struct account *a, struct err *e)
{
	if (s->failed)
		return err_set(e, E_TEMP, "the journal has failed");
	if (a->resetting)
		return err_set(e, E_TEMP, "the account is being reset");
	if (a->needs_seed)
		return err_set(e, E_TEMP, "the account is damaged here, and "
			       "waits for a copy from the partner");
	if (account_is_hurt(a))
		return err_set(e, E_TEMP, "the account is being made again "
			       "from its log");
	return 0;
}

static int take(struct store *s, struct account *a, struct slice bytes,
		struct position pos, const struct frame_bodies *bodies,
		struct err *e)
{
	uint64_t batch;
	int r = put_frame(s, a, bytes, bodies, &batch, e);

	if (r < 0)
		return r;
	if (!account_accept(a, bytes, pos, bodies, batch, e))
		return E_CORRUPT;	/* decoded before: cannot be */
	list_remove(&a->touched);
	list_append(&s->touched, &a->touched);
	s->stat.frames++;
	store_maybe_checkpoint(s);
	return 0;
}

static uint64_t next_hlc(struct store *s)
{
	uint64_t now = clock_real(s->o.sys->clock) / USEC_PER_MSEC << 16;

	s->last_hlc = now > s->last_hlc ? now : s->last_hlc + 1;
	return s->last_hlc;
}

static int check_bodies(struct store *s, struct account *a,
			const struct record *r,
			const struct frame_bodies *bodies, struct err *e)
{
	size_t n = record_inline_bodies(r), k = 0;

	if ((bodies ? bodies->n : 0) != n)
		return err_set(e, E_INVALID, "%zu bodies for a record with "
			       "%zu inline ones", bodies ? bodies->n : 0, n);
	for (size_t i = 0; i < r->n_ops; i++) {
		const struct op_msg_add *m = &r->ops[i].msg_add;

		if (r->ops[i].kind == OP_MSG_ADD && m->inline_body &&
		    bodies->data[k++].n != m->size)
			return err_set(e, E_INVALID, "a body of another size "
				       "than its record says");
		if (needs_stage(&r->ops[i])) {
			uint64_t offset, size;
			struct buf path;
			int got;

			buf_init(&path, 8192);
			got = store_body_find(s, a, m->body_hash, &path,
					      &offset, &size);
			buf_fini(&path);
			if (got < 0)
				return err_set(e, E_NOTFOUND, "a record names "
					       "a body that is not here");
			if (size != m->size)
				return err_set(e, E_INVALID, "a body of another "
					       "size than its record says");
		}
	}
	return 0;
}

static bool adds_mail(const struct record *r)
{
	for (size_t i = 0; i < r->n_ops; i++)
		if (r->ops[i].kind == OP_MSG_ADD)
			return true;
	return false;
}

int store_append(struct store *s, struct account *a, const struct record *r,
		 const struct frame_bodies *bodies, struct buf *wire_out,
		 struct err *e)
{
	struct frame f = {.type = FRAME_RECORD, .epoch = a->end.epoch,
			  .seq = a->end.seq + 1};
	struct position pos;
	struct buf payload, bytes;
	uint32_t nonce;
	int n = may_write(s, a, e);

	if (n == 0 && adds_mail(r) && store_low_space(s, a))
		n = err_set(e, E_NOSPACE, "less than pair_reserve is free: no "
			    "new mail");
	if (n == 0)
		n = check_bodies(s, a, r, bodies, e);
	if (n < 0)
		return n;
	buf_init(&payload, RECORD_SIZE_MAX);
	buf_init(&bytes, frame_size(RECORD_SIZE_MAX));
	n = record_encode(r, &payload);
	if (n < 0) {
		err_set(e, n, "record: %s", err_name(n));
	} else {
		alog_epoch_begun(r, &f.epoch, &nonce);
		f.hlc = next_hlc(s);
		f.payload = buf_all(&payload);
		f.chain = frame_chain(pair_slice(s), a->id, a->end.chain, &f);
		frame_put(&bytes, &f, 0);
		n = position_after(&a->end, &f, r, &pos, e);
	}
	if (n == 0)
		n = take(s, a, buf_all(&bytes), pos, bodies, e);
	if (n == 0 && wire_out)
		buf_slice(wire_out, buf_all(&bytes));
	buf_fini(&payload);
	buf_fini(&bytes);
	return n;
}

static int continues(struct store *s, struct account *a, const struct frame *f,
		     struct err *e)
{
	if (f->seq < a->end.seq)
		return E_EXISTS;
	if (f->seq == a->end.seq)
		return f->chain == a->end.chain ?
			       E_EXISTS :
			       err_set(e, E_CORRUPT, "another frame %" PRIu64,
				       f->seq);
	if (f->seq > a->end.seq + 1)
		return -ERANGE;
	if (f->chain != frame_chain(pair_slice(s), a->id, a->end.chain, f))
		return err_set(e, E_CORRUPT, "frame %" PRIu64 " does not "
			       "continue this log", f->seq);
	return 0;
}

/* Bodies of a frame from the partner: those that came along are checked, the
 * others must be here. */
static int gather_bodies(struct store *s, struct account *a,
			 const struct record *r,
			 const struct frame_bodies *in,
			 struct frame_bodies *out, struct arena *arena,
			 uint8_t missing[32], struct err *e)
{
	size_t k = 0;
	uint64_t inlined = 0;

	out->n = record_inline_bodies(r);
	out->data = arena_zalloc(arena, (out->n + 1) * sizeof(*out->data));
	for (size_t i = 0; i < r->n_ops; i++) {
		const struct op_msg_add *m = &r->ops[i].msg_add;
		uint8_t hash[32];
		struct buf b;
		int got = 0;

		if (r->ops[i].kind != OP_MSG_ADD ||
		    (!m->inline_body && !needs_stage(&r->ops[i])))
			continue;
		/* No entry of the journal holds more: nothing is loaded. */
		if (m->inline_body &&
		    (m->size > STORE_ENTRY_MAX ||
		     (inlined += m->size) > STORE_ENTRY_MAX))
			return err_set(e, E_LIMIT, "a record with more than %u "
				       "bytes of bodies", STORE_ENTRY_MAX);
		if (m->inline_body && in && k < in->n && in->data[k].p) {
			sha256(in->data[k], hash);
			if (!digest_equal(hash, m->body_hash, 32) ||
			    in->data[k].n != m->size)
				return err_set(e, E_CORRUPT, "a body that is "
					       "not what its record says");
			out->data[k] = in->data[k];
			k++;
			continue;
		}
		if (m->inline_body) {
			buf_init(&b, (size_t)m->size + 1);
			got = store_body_load(s, a, m->body_hash, m->size, &b,
					      e);
			if (got == 0)
				out->data[k++] = arena_dup(arena, buf_all(&b));
			buf_fini(&b);
		} else {
			uint64_t offset, size;

			buf_init(&b, 8192);
			got = store_body_find(s, a, m->body_hash, &b, &offset,
					      &size);
			buf_fini(&b);
			if (got == 0 && size != m->size)
				return err_set(e, E_CORRUPT, "a body of another "
					       "size than its record says");
		}
		if (got < 0) {
			if (missing)
				memcpy(missing, m->body_hash, 32);
			return err_set(e, E_NOTFOUND, "a body is not here");
		}
	}
	return 0;
}

int store_accept(struct store *s, struct account *a, struct slice frame_bytes,
		 const struct frame_bodies *bodies, uint8_t missing_hash[32],
		 struct err *e)
{
	struct frame_bodies own;
	struct position pos;
	struct record rec;
	struct frame f;
	struct arena *arena;
	uint32_t crc = 0;
	int r = may_write(s, a, e);

	if (r < 0)
		return r;
	r = frame_get(frame_bytes, &f, &crc);
	if (r <= 0 || (size_t)r != frame_bytes.n || crc != 0)
		return err_set(e, E_CORRUPT, "not a frame");
	if (f.type != FRAME_RECORD || f.flags != 0)
		return err_set(e, E_VERSION, "a frame of a kind this build "
			       "does not read");
	r = continues(s, a, &f, e);
	if (r < 0)
		return r;
	arena = arena_new(16384);
	r = record_decode(f.payload, arena, &rec, e);
	if (r == 0)
		r = position_after(&a->end, &f, &rec, &pos, e);
	if (r == 0)
		r = gather_bodies(s, a, &rec, bodies, &own, arena,
				  missing_hash, e);
	if (r == 0)
		r = take(s, a, frame_bytes, pos, &own, e);
	arena_free(arena);
	return r;
}

/* --- durable --------------------------------------------------------------------------- */

static void run_waits(struct store *s, uint64_t batch)
{
	while (!list_empty(&s->waits) && !s->failed) {
		struct store_wait *w = CONTAINER_OF(s->waits.next,
						    struct store_wait, node);
		struct account *a = w->account;

		if (w->batch > batch)
			return;
		list_remove(&w->node);
		if (w->kind == WAIT_MARK) {
			store_apply_mark(s, a, w->mark_kind, &w->mark);
			if (w->marked)
				w->marked(w->arg, a);
		} else {
			w->reset(s, w);
		}
		store_account_unref(a);
		free(w);
	}
}

/* The log may be written when enough waits; what fails is tried again at the
 * checkpoint. */
static void flush_if_much(struct account *a)
{
	struct err ignored = ERR_NONE;

	if (alog_waiting(a->log) >= ALOG_FLUSH_SIZE)
		alog_flush(a->log, &ignored);
}

void store_batch_durable(void *arg, uint64_t batch)
{
	struct store *s = arg;
	struct account **done = NULL;
	size_t n_done = 0, cap_done = 0;

	s->stat.batches++;
	s->batch_usec = clock_mono(s->o.sys->clock);
	s->landing = true;
	for (struct list *l = s->touched.next; l != &s->touched;) {
		struct account *a = CONTAINER_OF(l, struct account, touched);

		l = l->next;
		if (!account_durable_upto(a, batch))
			continue;
		head_durable(a->head, a->durable.seq);
		account_dirty(a);
		flush_if_much(a);
		store_account_ref(a);
		GROW(done, n_done, cap_done);
		done[n_done++] = a;
	}
	for (size_t i = 0; i < n_done; i++) {
		if (s->on_durable && !s->failed)
			s->on_durable(s->on_durable_arg, done[i],
				      done[i]->durable);
		store_account_unref(done[i]);
	}
	free(done);
	run_waits(s, batch);
	s->landing = false;
	if (s->checkpoint_wanted && !s->failed)
		store_checkpoint(s, NULL, NULL);
	else
		store_maybe_checkpoint(s);
}

void store_turn(struct store *s)
{
	if (!s->failed && s->read_only.code)
		store_fail(s, &s->read_only);
	if (s->failed)
		return;
	store_heal_turn(s);
	store_cuts_turn(s);
	store_put_acked(s);
	journal_flush(s->journal, false);
}

/* --- publish ----------------------------------------------------------------------------- */

static int publish_one(struct account *a, struct pending_frame *p,
		       struct err *e)
{
	struct frame f;
	int r;

	frame_get(p->bytes, &f, NULL);
	r = state_apply(a->state, &f, p->pos.nonce, &p->record, &p->bodies,
			a->replaying, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < p->record.n_ops; i++)
		if (needs_stage(&p->record.ops[i]))
			a->stage_seq = p->pos.seq;
	a->published = p->pos;
	head_published(a->head, p->pos.seq);
	free(a->raw_state);
	a->raw_state = NULL;
	account_dirty(a);
	list_remove(&p->node);
	account_pending_free(p);
	return 0;
}

/*
 * What passes by itself or when room is made: files are written before anything
 * of a record is applied, so that it can be tried again.
 */
static int as_temporary(struct account *a, int r, struct err *e)
{
	struct store *s = a->store;

	/* A partner can serve what this disk takes no more.  Said at the next
	 * turn: whoever publishes now is in the middle of something. */
	if (r == -EROFS && s->policy.partner && !s->read_only.code)
		err_set(&s->read_only, r, "%.300s; nothing more is written by "
			"this process.  Make the file system writable and "
			"start duetd again", e ? e->op : "mail");
	if (r == E_CORRUPT && account_is_hurt(a))
		r = E_TEMP;	/* not the record: see store_heal_turn() */
	switch (r) {
	case -ENOSPC:
	case -EDQUOT:
		r = E_NOSPACE;
		break;
	case -EROFS:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		r = E_TEMP;
		break;
	}
	a->full = r == E_NOSPACE;
	if (r < 0 && e)
		e->code = r;
	return r;
}

int store_publish(struct store *s, struct account *a, uint64_t seq,
		  struct err *e)
{
	int r = 0;

	if (s->failed)
		return err_set(e, E_TEMP, "the journal has failed");
	if (seq > a->durable.seq)
		return err_set(e, E_INVALID, "position %" PRIu64 " is not "
			       "durable yet", seq);
	while (r == 0 && a->published.seq < seq)
		r = publish_one(a, pending_at(a->pending.next), e);
	if (r == 0 && a->replaying && a->published.seq >= a->unclean_until) {
		/* Until that came through its sums and counts are not right. */
		r = state_replayed(a->state, e);
		a->replaying = r < 0;
	}
	return as_temporary(a, r, e);
}

void store_on_durable(struct store *s, store_durable *cb, void *arg)
{
	s->on_durable = cb;
	s->on_durable_arg = arg;
}

void store_on_space(struct store *s, store_space *cb, void *arg)
{
	s->on_space = cb;
	s->on_space_arg = arg;
}
