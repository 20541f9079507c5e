/* Reading an account log: see alog.h. */

#include "storage/alog_private.h"

#include "node/base/cursor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* Read from the file at once. */
#define CHUNK (64u * 1024)

/* A walk through the frames of one segment. */
struct walk {
	struct alog *l;
	struct alog_segment *s;
	int fd;			/* -1 until needed */
	uint64_t offset;	/* of the next frame */
	struct position pos;	/* before it */
	uint64_t chunk_at;	/* what scratch holds */
};

bool alog_epoch_begun(const struct record *r, uint32_t *epoch_out,
		      uint32_t *nonce_out)
{
	for (size_t i = 0; i < r->n_ops; i++)
		if (r->ops[i].kind == OP_EPOCH_BEGIN) {
			*epoch_out = r->ops[i].epoch_begin.epoch;
			*nonce_out = r->ops[i].epoch_begin.nonce;
			return true;
		}
	return false;
}

static int nonce_of(const struct frame *f, uint32_t *nonce, struct err *e)
{
	struct arena *a = arena_new(4096);
	struct record rec;
	uint32_t epoch;
	int r = record_decode(f->payload, a, &rec, e);

	if (r == 0 && (!alog_epoch_begun(&rec, &epoch, nonce) ||
		       epoch != f->epoch))
		r = err_set(e, E_CORRUPT, "epoch %u begins without its record",
			    f->epoch);
	arena_free(a);
	return r;
}

/* n bytes at offset: from the tail, or from the file through scratch. */
static int bytes_at(struct walk *w, uint64_t offset, size_t n,
		    struct slice *out)
{
	struct alog *l = w->l;
	struct fsio *fs = l->fs;
	uint64_t from = w->s->flushed ? w->s->flushed : ALOG_HEADER_SIZE;
	size_t want;
	int r;

	if (offset >= from) {
		*out = slice_sub(buf_all(&w->s->tail),
				 (size_t)(offset - from),
				 (size_t)(offset - from) + n);
		return out->n == n ? 0 : E_CORRUPT;
	}
	if (offset + n > w->s->flushed)
		return E_CORRUPT;	/* frames never straddle the two */
	if (l->scratch.n == 0 || offset < w->chunk_at ||
	    offset + n > w->chunk_at + l->scratch.n) {
		if (w->fd < 0) {
			struct buf path;

			buf_init(&path, 4096);
			alog_path(l, w->s->head.segment, &path);
			w->fd = fs->ops->open(fs, (char *)path.p, O_RDONLY, 0);
			buf_fini(&path);
			if (w->fd < 0)
				return w->fd;
		}
		want = n > CHUNK ? n : CHUNK;
		if (want > w->s->flushed - offset)
			want = (size_t)(w->s->flushed - offset);
		buf_reset(&l->scratch);
		r = fsio_pread_all(fs, w->fd, buf_room(&l->scratch, want), want,
				   offset);
		if (r < 0)
			return r;
		buf_commit(&l->scratch, want);
		w->chunk_at = offset;
	}
	*out = slice_sub(buf_all(&l->scratch), (size_t)(offset - w->chunk_at),
			 (size_t)(offset - w->chunk_at) + n);
	return 0;
}

static int bad(struct walk *w, int code, struct err *e)
{
	if (code == -ENODATA || code == -ENOENT)
		code = E_CORRUPT;
	if (code == E_CORRUPT)
		w->l->bad_segment = w->s->head.segment;
	return err_set(e, code, "%s/%08x, offset %" PRIu64 ": %s", w->l->dir,
		       w->s->head.segment, w->offset, err_name(code));
}

/* The frame at w->offset; moves on.  bytes_out: with its local crc. */
static int next(struct walk *w, struct slice *bytes_out, struct err *e)
{
	struct slice head, all;
	struct frame f;
	uint32_t crc;
	size_t size;
	int r = bytes_at(w, w->offset, FRAME_HEADER_SIZE, &head);

	if (r < 0)
		return bad(w, r, e);
	if (le32_at(head.p) > FRAME_PAYLOAD_MAX)
		return bad(w, E_CORRUPT, e);
	size = frame_size(le32_at(head.p));
	r = bytes_at(w, w->offset, size, &all);
	if (r < 0)
		return bad(w, r, e);
	r = frame_get(all, &f, &crc);
	if (r <= 0 || f.seq != w->pos.seq + 1 ||
	    crc != frame_crc(w->l->account, w->s->head.segment, w->offset,
			     slice_sub(all, 8,
				       FRAME_HEADER_SIZE + f.payload.n)))
		return bad(w, E_CORRUPT, e);
	if (f.epoch != w->pos.epoch) {
		r = nonce_of(&f, &w->pos.nonce, e);
		if (r < 0)
			return r;
		w->pos.epoch = f.epoch;
	}
	w->pos.seq = f.seq;
	w->pos.chain = f.chain;
	w->offset += size;
	*bytes_out = all;
	return 0;
}

static void walk_begin(struct walk *w, struct alog *l, size_t i)
{
	struct alog_segment *s = &l->segments[i];

	*w = (struct walk){.l = l, .s = s, .fd = -1,
			   .offset = ALOG_HEADER_SIZE,
			   .pos = {s->head.first_epoch, s->head.first_nonce,
				   s->head.first_seq - 1, s->head.prev_chain}};
	buf_reset(&l->scratch);
}

static void walk_end(struct walk *w)
{
	if (w->fd >= 0)
		w->l->fs->ops->close(w->l->fs, w->fd);
	buf_shrink(&w->l->scratch, CHUNK);
}

/* The segment that holds the frame after seq, or the last one. */
static size_t segment_after(const struct alog *l, uint64_t seq)
{
	size_t i = l->n_segments - 1;

	while (i > 0 && l->segments[i].head.first_seq > seq + 1)
		i--;
	return i;
}

static void use_hint(struct walk *w, uint64_t seq)
{
	struct alog *l = w->l;

	if (l->hint_segment == w->s->head.segment && l->hint_offset > 0 &&
	    l->hint_pos.seq <= seq && l->hint_offset <= w->s->size) {
		w->pos = l->hint_pos;
		w->offset = l->hint_offset;
	}
}

static void keep_hint(struct walk *w)
{
	w->l->hint_segment = w->s->head.segment;
	w->l->hint_offset = w->offset;
	w->l->hint_pos = w->pos;
}

/* The position before a segment: that of its first frame, unless this begins
 * an epoch; then its parent. */
static int before_first(struct walk *w, struct err *e)
{
	uint64_t seq = w->s->head.first_seq, chain = w->s->head.prev_chain;
	struct arena *a;
	struct slice bytes;
	struct frame f;
	struct record rec;
	int r;

	if (seq == 1) {
		w->pos = (struct position){.chain = chain};
		return 0;
	}
	r = next(w, &bytes, e);
	if (r < 0)
		return r;
	frame_get(bytes, &f, NULL);
	a = arena_new(4096);
	r = record_decode(f.payload, a, &rec, e);
	for (size_t i = 0; r == 0 && i < rec.n_ops; i++)
		if (rec.ops[i].kind == OP_EPOCH_BEGIN) {
			w->pos.epoch = rec.ops[i].epoch_begin.parent.epoch;
			w->pos.nonce = rec.ops[i].epoch_begin.parent.nonce;
		}
	arena_free(a);
	w->pos.seq = seq - 1;
	w->pos.chain = chain;
	w->offset = ALOG_HEADER_SIZE;
	return r;
}

int alog_locate(struct alog *l, uint64_t seq, struct position *pos_out,
		uint64_t *offset_out, struct err *e)
{
	struct walk w;
	struct slice bytes;
	size_t i;
	int r = 0;

	if (seq < alog_floor(l) || seq > l->pos.seq)
		return err_set(e, E_NOTFOUND, "position %" PRIu64 " is not in "
			       "the log", seq);
	l->hint_segment = 0;
	if (seq == l->pos.seq && l->n_segments == 0) {
		*pos_out = l->pos;
		*offset_out = 0;
		return 0;
	}
	/* The segment of the frame itself, where the offset behind it is. */
	i = segment_after(l, seq ? seq - 1 : 0);
	walk_begin(&w, l, i);
	if (seq == l->segments[i].head.first_seq - 1)
		r = before_first(&w, e);
	while (r == 0 && w.pos.seq < seq)
		r = next(&w, &bytes, e);
	walk_end(&w);
	if (r < 0)
		return r;
	*pos_out = w.pos;
	*offset_out = w.offset;
	return 0;
}

int alog_position(struct alog *l, uint64_t seq, struct position *out,
		  struct err *e)
{
	uint64_t offset;

	if (seq == l->pos.seq) {
		*out = l->pos;
		return 0;
	}
	return alog_locate(l, seq, out, &offset, e);
}

/* Gives one frame to the caller, with the crc field cleared. */
static bool give(struct slice bytes, struct position pos, struct buf *copy,
		 alog_cb *cb, void *arg)
{
	buf_reset(copy);
	buf_slice(copy, bytes);
	memset(copy->p + 4, 0, 4);
	return cb(arg, buf_all(copy), pos);
}

int alog_read(struct alog *l, uint64_t after, alog_cb *cb, void *arg,
	      struct err *e)
{
	struct buf copy;
	bool on = true;
	int r = 0;

	if (after < alog_floor(l))
		return err_set(e, E_NOTFOUND, "position %" PRIu64 " lies below "
			       "the log's floor %" PRIu64, after,
			       alog_floor(l));
	if (l->n_segments == 0 || after >= l->pos.seq)
		return 0;
	buf_init(&copy, frame_size(FRAME_PAYLOAD_MAX));
	for (size_t i = segment_after(l, after);
	     i < l->n_segments && on && r == 0; i++) {
		struct walk w;
		struct slice bytes;

		walk_begin(&w, l, i);
		use_hint(&w, after);
		while (on && r == 0 && w.offset < w.s->size) {
			r = next(&w, &bytes, e);
			if (r == 0 && w.pos.seq > after)
				on = give(bytes, w.pos, &copy, cb, arg);
		}
		if (r == 0)
			keep_hint(&w);
		walk_end(&w);
	}
	buf_fini(&copy);
	return r;
}

/* --- from the first frame on ---------------------------------------------------- */

static void drop_from(struct alog *l, size_t i)
{
	while (l->n_segments > i)
		buf_fini(&l->segments[--l->n_segments].tail);
}

int alog_scan(struct alog *l, bool *whole_out, struct err *e)
{
	*whole_out = true;
	for (size_t i = 0; i < l->n_segments && *whole_out; i++) {
		struct alog_segment *s = &l->segments[i];
		struct walk w;
		struct slice bytes;
		int r = 0;

		if (s->head.first_seq != l->pos.seq + 1 ||
		    s->head.prev_chain != l->pos.chain) {
			*whole_out = false;
			drop_from(l, i);
			break;
		}
		walk_begin(&w, l, i);
		while (r == 0 && w.offset < s->size)
			r = next(&w, &bytes, e);
		walk_end(&w);
		if (r < 0 && r != E_CORRUPT)
			return r;
		/* A segment without a frame tells only where one began. */
		if (w.offset > ALOG_HEADER_SIZE)
			l->pos = w.pos;
		if (r == 0)
			continue;
		*whole_out = false;
		s->size = s->flushed = w.offset;
		drop_from(l, i + (w.offset > ALOG_HEADER_SIZE));
	}
	return 0;
}
