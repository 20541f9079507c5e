/* Frames for the partner: see store.h. */

#include "storage/store_private.h"

#include <errno.h>
#include <inttypes.h>

struct reading {
	struct store *s;
	struct account *a;
	struct list *next;		/* pending frame to be met next */
	size_t left;
	bool stop;
	store_frame_cb *cb;
	void *arg;
};

/* Bodies of a published frame, from the message files.  What is not found
 * (expunged since, damaged) stays empty. */
static void load_bodies(struct reading *x, struct slice bytes,
			struct arena *arena, struct frame_bodies *out)
{
	struct err ignored = ERR_NONE;
	struct record rec;
	struct frame f;
	size_t k = 0;

	frame_get(bytes, &f, NULL);
	if (record_decode(f.payload, arena, &rec, &ignored) < 0)
		return;
	out->n = record_inline_bodies(&rec);
	if (out->n == 0)
		return;
	out->data = arena_zalloc(arena, out->n * sizeof(*out->data));
	for (size_t i = 0; i < rec.n_ops; i++) {
		const struct op_msg_add *m = &rec.ops[i].msg_add;
		struct buf b;

		if (rec.ops[i].kind != OP_MSG_ADD || !m->inline_body)
			continue;
		buf_init(&b, STORE_ENTRY_MAX);
		if (m->size <= STORE_ENTRY_MAX &&
		    store_body_load(x->s, x->a, m->body_hash, m->size, &b,
				    &ignored) == 0)
			out->data[k] = arena_dup(arena, buf_all(&b));
		k++;
		buf_fini(&b);
	}
}

static bool give(struct reading *x, struct slice bytes, struct position pos,
		 const struct frame_bodies *bodies)
{
	struct store_frame f = {bytes, pos, bodies};
	size_t size = bytes.n;

	for (size_t i = 0; bodies && i < bodies->n; i++)
		size += bodies->data[i].n;
	x->left = size < x->left ? x->left - size : 0;
	x->stop = !x->cb(x->arg, &f) || x->left == 0;
	return !x->stop;
}

static bool from_log(void *arg, struct slice bytes, struct position pos)
{
	struct reading *x = arg;
	struct arena *arena;
	struct frame_bodies bodies = {0};
	bool on;

	while (x->next != &x->a->pending) {
		struct pending_frame *p = CONTAINER_OF(x->next,
						       struct pending_frame,
						       node);

		if (p->pos.seq > pos.seq)
			break;
		x->next = x->next->next;
		if (p->pos.seq == pos.seq)
			return give(x, bytes, pos, &p->bodies);
	}
	arena = arena_new(16384);
	load_bodies(x, bytes, arena, &bodies);
	on = give(x, bytes, pos, &bodies);
	arena_free(arena);
	return on;
}

/* History that the state does not need is given up: the partner takes a seed if
 * it needs it. */
static int damaged_below(struct account *a, uint64_t after, struct err *e)
{
	struct err why = ERR_NONE;

	if (!alog_drop_damaged(a->log, a->snap_seq))
		return E_CORRUPT;
	/* What cannot be moved now stays where it is, unread. */
	account_heal_log(a, &why);
	return err_set(e, E_NOTFOUND, "position %" PRIu64 " lies below the "
		       "log's floor %" PRIu64 " now, for what was there is "
		       "damaged", after, alog_floor(a->log));
}

/* What is not shown yet is in memory, whole, whatever has become of the file
 * that has it too. */
static bool in_memory(const struct account *a, uint64_t after_seq)
{
	const struct pending_frame *p =
		CONTAINER_OF(a->pending.next, struct pending_frame, node);

	return !list_empty(&a->pending) && p->pos.seq <= after_seq + 1;
}

int store_read(struct store *s, struct account *a, uint64_t after_seq,
	       size_t max_bytes, store_frame_cb *cb, void *arg, struct err *e)
{
	struct reading x = {.s = s, .a = a, .next = a->pending.next,
			    .left = max_bytes, .cb = cb, .arg = arg};
	struct alog_end end;
	int r;

	alog_end(a->log, &end);
	if (!in_memory(a, after_seq) &&
	    (after_seq < end.pos.seq || after_seq < alog_floor(a->log))) {
		r = alog_read(a->log, after_seq, from_log, &x, e);
		if (r == E_CORRUPT && !x.stop)
			r = damaged_below(a, after_seq, e);
		if (r < 0 || x.stop)
			return r;
		after_seq = end.pos.seq;
	}
	/* Accepted, not durable yet: only in memory. */
	for (struct list *l = x.next; l != &a->pending && !x.stop;
	     l = l->next) {
		struct pending_frame *p = CONTAINER_OF(l, struct pending_frame,
						       node);

		if (p->pos.seq > after_seq)
			give(&x, p->bytes, p->pos, &p->bodies);
	}
	return 0;
}

int store_position_at(struct store *s, struct account *a, uint64_t seq,
		      struct position *out)
{
	struct alog_end end;

	(void)s;
	alog_end(a->log, &end);
	if (seq <= end.pos.seq)
		return alog_position(a->log, seq, out, NULL);
	for (struct list *l = a->pending.prev; l != &a->pending; l = l->prev) {
		struct pending_frame *p = CONTAINER_OF(l, struct pending_frame,
						       node);

		if (p->pos.seq == seq) {
			*out = p->pos;
			return 0;
		}
	}
	return E_NOTFOUND;
}
