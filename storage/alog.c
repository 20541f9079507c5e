/* See alog.h.  Reading is in alog_read.c. */

#include "storage/alog_private.h"

#include "node/base/cursor.h"
#include "node/base/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define MAGIC "DUETLOG1"
#define FORMAT_MAJOR 1u

static_assert(ALOG_HEADER_SIZE == 64, "fixed by the format");

/* --- header --------------------------------------------------------------- */

static void header_put(const struct alog_header *h, uint8_t out[64])
{
	memset(out, 0, 64);
	memcpy(out, MAGIC, 8);
	out[8] = FORMAT_MAJOR;
	le32_to(out + 12, h->segment);
	memcpy(out + 16, h->account.b, 16);
	le32_to(out + 32, h->first_epoch);
	le32_to(out + 36, h->first_nonce);
	le64_to(out + 40, h->first_seq);
	le64_to(out + 48, h->prev_chain);
	out[56] = h->node;
	le32_to(out + 60, crc32c(0, out, 60));
}

int alog_header_get(struct slice in, struct alog_header *out, struct err *e)
{
	if (in.n < ALOG_HEADER_SIZE || memcmp(in.p, MAGIC, 8) != 0 ||
	    le32_at(in.p + 60) != crc32c(0, in.p, 60))
		return err_set(e, E_CORRUPT, "not the head of a log segment");
	if (in.p[8] != FORMAT_MAJOR || in.p[9] != 0)
		return err_set(e, E_VERSION, "log format %u, this program "
			       "reads %u", in.p[8], FORMAT_MAJOR);
	out->segment = le32_at(in.p + 12);
	memcpy(out->account.b, in.p + 16, 16);
	out->first_epoch = le32_at(in.p + 32);
	out->first_nonce = le32_at(in.p + 36);
	out->first_seq = le64_at(in.p + 40);
	out->prev_chain = le64_at(in.p + 48);
	out->node = in.p[56];
	return 0;
}

void alog_path(const struct alog *l, uint32_t segment, struct buf *to)
{
	buf_reset(to);
	buf_printf(to, "%s/%08x", l->dir, segment);
	buf_char(to, 0);
}

/* --- opening ----------------------------------------------------------------- */

struct found {
	uint32_t *items;
	size_t n, cap;
};

static bool found_add(void *arg, const char *name)
{
	struct found *f = arg;
	char *end;
	unsigned long v = strtoul(name, &end, 16);

	if (strlen(name) != 8 || *end || v == 0 || v > UINT32_MAX)
		return true;
	GROW(f->items, f->n, f->cap);
	f->items[f->n++] = (uint32_t)v;
	return true;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int load_segment(struct alog *l, uint32_t number, struct err *e)
{
	struct fsio *fs = l->fs;
	uint8_t head[ALOG_HEADER_SIZE];
	struct alog_header h;
	struct alog_segment *s;
	struct fsio_stat st;
	struct buf path;
	int fd, r;

	buf_init(&path, 4096);
	alog_path(l, number, &path);
	fd = fs->ops->open(fs, (char *)path.p, O_RDONLY, 0);
	r = fd < 0 ? fd : fsio_pread_all(fs, fd, head, sizeof(head), 0);
	if (r == 0)
		r = fs->ops->fstat(fs, fd, &st);
	if (fd >= 0)
		fs->ops->close(fs, fd);
	if (r == -ENODATA || r == -ENOENT)
		r = E_CORRUPT;
	if (r < 0)
		err_set(e, r, "%s: %s", (char *)path.p, err_name(r));
	else if ((r = alog_header_get(slice_of(head, sizeof(head)), &h, e)) < 0)
		err_prefix(e, "%s", (char *)path.p);
	else if (h.segment != number || !id128_eq(h.account, l->account))
		r = err_set(e, E_CORRUPT, "%s belongs elsewhere",
			    (char *)path.p);
	buf_fini(&path);
	if (r < 0)
		return r;
	GROW(l->segments, l->n_segments, l->cap_segments);
	s = &l->segments[l->n_segments++];
	*s = (struct alog_segment){.head = h, .size = st.size,
				   .flushed = st.size, .mtime = st.mtime_usec};
	buf_init(&s->tail, 2 * ALOG_SEGMENT_MAX + 2 * FRAME_PAYLOAD_MAX);
	return 0;
}

/* Its name is gone when this returns: a crash between two of them must not
 * leave a hole in the numbers. */
static int remove_segment(struct alog *l, uint32_t number)
{
	struct buf path;
	int r;

	buf_init(&path, 4096);
	alog_path(l, number, &path);
	r = l->fs->ops->unlink(l->fs, (char *)path.p);
	buf_fini(&path);
	return r == 0 ? l->fs->ops->fsync_dir(l->fs, l->dir) :
	       r == -ENOENT ? 0 : r;
}

static int truncate_segment(struct alog *l, uint32_t number, uint64_t size)
{
	struct fsio *fs = l->fs;
	struct buf path;
	int fd, r;

	buf_init(&path, 4096);
	alog_path(l, number, &path);
	fd = fs->ops->open(fs, (char *)path.p, O_RDWR, 0);
	r = fd < 0 ? fd : fs->ops->truncate(fs, fd, size);
	if (fd >= 0)
		fs->ops->close(fs, fd);
	buf_fini(&path);
	return r;
}

static int beyond(const struct alog *l, const struct alog_end *end,
		  struct err *e)
{
	return err_set(e, E_CORRUPT, "%s goes on beyond position %" PRIu64
		       ", where its snapshot and the journal say it ends",
		       l->dir, end->pos.seq);
}

static void give_up(struct alog *l, uint32_t number)
{
	GROW(l->damaged, l->n_damaged, l->cap_damaged);
	l->damaged[l->n_damaged++] = number;
}

/* What was loaded so far is below something that cannot be read. */
static void give_up_loaded(struct alog *l)
{
	for (size_t i = 0; i < l->n_segments; i++) {
		give_up(l, l->segments[i].head.segment);
		buf_fini(&l->segments[i].tail);
	}
	l->n_segments = 0;
}

/* All up to the end; what is damaged is left out, with all before it. */
static int load_files(struct alog *l, struct found *f, struct err *why)
{
	uint32_t expected = 0;

	for (size_t i = 0; i < f->n; i++) {
		uint32_t number = f->items[i];
		int r;

		if (expected && number != expected) {
			err_set(why, E_CORRUPT, "%s: segment %08x is missing",
				l->dir, expected);
			give_up_loaded(l);
		}
		r = load_segment(l, number, why);
		if (r < 0 && r != E_CORRUPT)
			return r;
		if (r < 0) {
			give_up_loaded(l);
			give_up(l, number);
		}
		expected = number + 1;
	}
	return 0;
}

/* Is the last segment the one that the snapshot names, and as long? */
static bool has_end(const struct alog *l, const struct alog_end *end)
{
	const struct alog_segment *s = l->n_segments ?
		&l->segments[l->n_segments - 1] : NULL;

	return s && s->head.segment == end->segment && s->size >= end->offset;
}

/* Files beyond the end go; those before it must be there without gaps, as far
 * as the state does not have their frames. */
static int load(struct alog *l, struct found *f, const struct alog_end *end,
		bool cut, uint64_t covered, struct err *e)
{
	struct err why = ERR_NONE;
	struct alog_segment *last;
	int r = 0;

	if (f->n)
		qsort(f->items, f->n, sizeof(*f->items), by_number);
	for (size_t i = f->n; i > 0 && (f->items[i - 1] > end->segment ||
					end->offset == 0); i--) {
		if (!cut)
			return beyond(l, end, e);
		r = remove_segment(l, f->items[i - 1]);
		if (r < 0)
			return err_set(e, r, "%s: cut: %s", l->dir,
				       err_name(r));
		f->n--;
	}
	r = load_files(l, f, &why);
	if (r < 0) {
		*e = why;
		return r;
	}
	l->next_segment = end->segment + 1;
	if (end->offset == 0)
		return 0;
	if (!has_end(l, end)) {
		if (end->pos.seq != covered)
			return err_set(e, E_CORRUPT, "%s ends before position "
				       "%" PRIu64 " of its snapshot%s%s",
				       l->dir, end->pos.seq,
				       why.code ? ": " : "", why.op);
		/* Nothing but history is lost. */
		give_up_loaded(l);
		if (l->n_damaged == 0)
			give_up(l, end->segment);
		return 0;
	}
	if (l->n_damaged && l->segments[0].head.first_seq - 1 > covered) {
		*e = why;
		return E_CORRUPT;
	}
	last = &l->segments[l->n_segments - 1];
	if (last->size > end->offset) {
		if (!cut)
			return beyond(l, end, e);
		r = truncate_segment(l, end->segment, end->offset);
		if (r < 0)
			return err_set(e, r, "%s: cut: %s", l->dir,
				       err_name(r));
	}
	last->size = last->flushed = end->offset;
	return 0;
}

/* Whatever is whole, from the first on. */
static int load_some(struct alog *l, struct found *f, struct err *e)
{
	struct err why = ERR_NONE;
	size_t n = 0;
	int r = 0;

	if (f->n)
		qsort(f->items, f->n, sizeof(*f->items), by_number);
	while (n < f->n && (n == 0 || f->items[n] == f->items[n - 1] + 1)) {
		r = load_segment(l, f->items[n], &why);
		if (r < 0)
			break;
		n++;
	}
	for (size_t i = f->n; i > n; i--) {
		r = remove_segment(l, f->items[i - 1]);
		if (r < 0)
			return err_set(e, r, "%s: cut: %s", l->dir,
				       err_name(r));
	}
	l->next_segment = n ? f->items[n - 1] + 1 : 1;
	return 0;
}

struct alog *alog_new_at(const struct alog_opts *o, struct position pos)
{
	struct alog *l = NEW(struct alog);

	l->fs = o->fs;
	l->dir = xstrdup(o->dir);
	l->account = o->account;
	l->node = o->node;
	l->segment_max = o->segment_max ? o->segment_max : ALOG_SEGMENT_MAX;
	l->fd = -1;
	l->pos = pos;
	l->next_segment = 1;
	buf_init(&l->scratch, 2 * FRAME_PAYLOAD_MAX);
	return l;
}

static int open_log(const struct alog_opts *o, const struct alog_end *end,
		    const struct position *pos, struct alog **out,
		    struct err *e)
{
	struct alog *l = alog_new_at(o, end->pos);
	struct found f = {0};
	int r = o->fs->ops->list(o->fs, o->dir, found_add, &f);

	if (r == -ENOENT)
		r = 0;		/* judged as what it is: all files are missing */
	if (r < 0)
		err_set(e, r, "%s: %s", o->dir, err_name(r));
	else if (!pos)
		r = load(l, &f, end, o->cut, o->covered, e);
	else if ((r = load_some(l, &f, e)) == 0)
		r = alog_cut(l, *pos, e);
	free(f.items);
	if (r < 0) {
		alog_free(l);
		return r;
	}
	*out = l;
	return 0;
}

int alog_open(const struct alog_opts *o, const struct alog_end *end,
	      struct alog **out, struct err *e)
{
	return open_log(o, end, NULL, out, e);
}

int alog_open_cut(const struct alog_opts *o, const struct alog_end *end,
		  struct position pos, struct alog **out, struct err *e)
{
	return open_log(o, end, &pos, out, e);
}

void alog_free(struct alog *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		l->fs->ops->close(l->fs, l->fd);
	for (size_t i = 0; i < l->n_segments; i++)
		buf_fini(&l->segments[i].tail);
	buf_fini(&l->scratch);
	free(l->segments);
	free(l->damaged);
	free(l->dir);
	free(l);
}

/* Files of `f` behind the last loaded segment, and what is behind its end. */
static int cut_files(struct alog *l, struct found *f)
{
	struct alog_segment *s = l->n_segments ?
		&l->segments[l->n_segments - 1] : NULL;
	int r = 0;

	for (size_t i = f->n; i > 0 && r == 0; i--)
		if (!s || f->items[i - 1] > s->head.segment)
			r = remove_segment(l, f->items[i - 1]);
	if (r == 0 && s)
		r = truncate_segment(l, s->head.segment, s->size);
	return r;
}

static int scan_files(struct alog *l, struct found *f, uint64_t first,
		      const struct position *cut, bool *cut_out, struct err *e)
{
	struct err why = ERR_NONE;
	struct position end;
	bool whole = true;
	int r = 0;

	if (f->n)
		qsort(f->items, f->n, sizeof(*f->items), by_number);
	for (size_t i = 0; i < f->n && whole; i++) {
		r = i && f->items[i] != f->items[i - 1] + 1 ? E_CORRUPT :
		    load_segment(l, f->items[i], &why);
		if (r < 0 && r != E_CORRUPT) {
			*e = why;
			return r;
		}
		whole = r == 0;
	}
	if (l->n_segments == 0 || l->segments[0].head.first_seq != 1)
		return err_set(e, E_CORRUPT, "%s does not begin with the first "
			       "record: it was trimmed, or is damaged", l->dir);
	bool all = whole;

	r = alog_scan(l, &whole, &why);
	if (r < 0) {
		*e = why;
		return r;
	}
	l->next_segment = l->n_segments ?
		l->segments[l->n_segments - 1].head.segment + 1 : 1;
	if (!first && all && whole)
		return 0;
	if (first && l->pos.seq + 1 >= first)
		end.seq = first - 1;
	else if (cut && l->pos.seq >= cut->seq)
		*cut_out = true, end.seq = cut->seq;
	else
		return err_set(e, E_CORRUPT, "%s is damaged behind position "
			       "%" PRIu64 "%s%s", l->dir, l->pos.seq,
			       why.code ? ": " : "", why.code ? why.op : "");
	r = cut_files(l, f);
	if (r == 0)
		r = alog_position(l, end.seq, &end, e);
	return r == 0 ? alog_cut(l, end, e) : r;
}

int alog_open_scan(const struct alog_opts *o, uint64_t first,
		   const struct position *cut, bool *cut_out,
		   struct alog **out, struct err *e)
{
	struct alog *l = alog_new_at(o, frame_genesis(o->pair_id, o->account));
	struct found f = {0};
	int r = o->fs->ops->list(o->fs, o->dir, found_add, &f);

	*cut_out = false;
	if (r < 0 && r != -ENOENT)
		err_set(e, r, "%s: %s", o->dir, err_name(r));
	else
		r = scan_files(l, &f, first, cut, cut_out, e);
	free(f.items);
	if (r < 0) {
		alog_free(l);
		return r;
	}
	*out = l;
	return 0;
}

const uint32_t *alog_damaged(const struct alog *l, size_t *n)
{
	*n = l->n_damaged;
	return l->damaged;
}

void alog_damaged_done(struct alog *l)
{
	l->n_damaged = 0;
}

/* --- appending ------------------------------------------------------------------ */

static struct alog_segment *roll(struct alog *l, const struct frame *f,
				 struct position pos)
{
	struct alog_segment *s;

	GROW(l->segments, l->n_segments, l->cap_segments);
	s = &l->segments[l->n_segments++];
	*s = (struct alog_segment){
		.head = {.segment = l->next_segment++, .account = l->account,
			 .first_epoch = pos.epoch, .first_nonce = pos.nonce,
			 .first_seq = f->seq, .prev_chain = l->pos.chain,
			 .node = (uint8_t)l->node},
		.size = ALOG_HEADER_SIZE};
	buf_init(&s->tail, 2 * ALOG_SEGMENT_MAX + 2 * FRAME_PAYLOAD_MAX);
	return s;
}

void alog_append(struct alog *l, struct slice frame, struct position pos)
{
	struct alog_segment *s = l->n_segments ?
					 &l->segments[l->n_segments - 1] : NULL;
	struct frame f;
	uint32_t crc;
	int n = frame_get(frame, &f, NULL);

	assert(n > 0 && (size_t)n == frame.n && f.seq == l->pos.seq + 1);
	if (!s || s->size + frame.n > l->segment_max)
		s = roll(l, &f, pos);
	crc = frame_crc(l->account, s->head.segment, s->size,
			slice_sub(frame, 8, FRAME_HEADER_SIZE + f.payload.n));
	frame_put(&s->tail, &f, crc);
	assert(!s->tail.failed);
	/* As old as its youngest frame, also before the file is there. */
	if (s->mtime < (int64_t)(f.hlc >> 16) * 1000)
		s->mtime = (int64_t)(f.hlc >> 16) * 1000;
	s->size += frame.n;
	l->waiting += frame.n;
	l->pos = pos;
}

/*
 * A new segment.  It is not synced here, in the middle of the event loop: until
 * the checkpoint's syncfs everything in it is in the journal too, and a crash
 * leaves a file, whole or not, beyond the end, which is removed.
 */
static int create_segment(struct alog *l, struct alog_segment *s)
{
	struct fsio *fs = l->fs;
	uint8_t head[ALOG_HEADER_SIZE];
	struct buf path;
	int fd, r;

	buf_init(&path, 4096);
	alog_path(l, s->head.segment, &path);
	fd = fs->ops->open(fs, (char *)path.p, O_RDWR | O_CREAT | O_TRUNC, 0600);
	buf_fini(&path);
	if (fd < 0)
		return fd;
	header_put(&s->head, head);
	r = fsio_pwrite_all(fs, fd, head, sizeof(head), 0);
	if (r < 0) {
		fs->ops->close(fs, fd);
		return r;
	}
	s->flushed = ALOG_HEADER_SIZE;
	l->fd = fd;
	l->fd_segment = s->head.segment;
	return 0;
}

static int flush_segment(struct alog *l, struct alog_segment *s)
{
	struct fsio *fs = l->fs;
	int r = 0;

	if (l->fd >= 0 && l->fd_segment != s->head.segment) {
		fs->ops->close(fs, l->fd);
		l->fd = -1;
	}
	if (s->flushed == 0) {
		r = create_segment(l, s);
	} else if (l->fd < 0) {
		struct buf path;

		buf_init(&path, 4096);
		alog_path(l, s->head.segment, &path);
		l->fd = fs->ops->open(fs, (char *)path.p, O_RDWR, 0);
		l->fd_segment = s->head.segment;
		buf_fini(&path);
		r = l->fd < 0 ? l->fd : 0;
	}
	if (r < 0)
		return r;
	r = fsio_pwrite_all(fs, l->fd, s->tail.p, s->tail.n, s->flushed);
	if (r < 0)
		return r;
	l->waiting -= s->tail.n;
	s->flushed += s->tail.n;
	buf_shrink(&s->tail, 0);
	return 0;
}

int alog_flush(struct alog *l, struct err *e)
{
	for (size_t i = 0; i < l->n_segments; i++) {
		struct alog_segment *s = &l->segments[i];
		int r = s->tail.n ? flush_segment(l, s) : 0;

		if (r < 0)
			return err_set(e, r, "%s/%08x: %s", l->dir,
				       s->head.segment, err_name(r));
	}
	return 0;
}

size_t alog_waiting(const struct alog *l)
{
	return l->waiting;
}

void alog_end(const struct alog *l, struct alog_end *out)
{
	*out = (struct alog_end){.pos = l->pos};
	if (l->n_segments) {
		out->segment = l->segments[l->n_segments - 1].head.segment;
		out->offset = l->segments[l->n_segments - 1].size;
	} else {
		out->segment = l->next_segment - 1;
	}
}

/* --- cutting, trimming ------------------------------------------------------------ */

static void drop_last(struct alog *l)
{
	struct alog_segment *s = &l->segments[--l->n_segments];

	l->waiting -= s->tail.n;
	buf_fini(&s->tail);
	if (l->fd >= 0 && l->fd_segment == s->head.segment) {
		l->fs->ops->close(l->fs, l->fd);
		l->fd = -1;
	}
}

/* The last segment loses what lies beyond offset. */
static int cut_segment(struct alog *l, struct alog_segment *s, uint64_t offset)
{
	size_t keep;
	int r;

	if (offset < s->flushed) {
		r = truncate_segment(l, s->head.segment, offset);
		if (r < 0)
			return r;
		s->flushed = offset;
		keep = 0;
	} else {
		keep = s->flushed ? (size_t)(offset - s->flushed) :
				    (size_t)(offset - ALOG_HEADER_SIZE);
	}
	l->waiting -= s->tail.n - keep;
	buf_truncate(&s->tail, keep);
	s->size = offset;
	return 0;
}

int alog_cut(struct alog *l, struct position pos, struct err *e)
{
	struct position at;
	uint64_t offset;
	int r;

	if (pos.seq >= l->pos.seq)
		return 0;
	if (l->n_segments == 0) {
		/* Nothing is left of it: only its beginning can be meant. */
		l->pos = pos;
		return 0;
	}
	r = alog_locate(l, pos.seq, &at, &offset, e);
	if (r < 0)
		return r;
	if (at.chain != pos.chain)
		return err_set(e, E_CORRUPT, "%s: cut to a position that is "
			       "not in the log", l->dir);
	while (l->n_segments && r == 0) {
		struct alog_segment *s = &l->segments[l->n_segments - 1];

		if (s->head.first_seq <= pos.seq) {
			r = cut_segment(l, s, offset);
			break;
		}
		if (s->flushed)
			r = remove_segment(l, s->head.segment);
		if (r == 0) {
			l->next_segment = s->head.segment;
			drop_last(l);
		}
	}
	if (r < 0)
		return err_set(e, r, "%s: cut: %s", l->dir, err_name(r));
	l->pos = pos;
	return 0;
}

/* With the last segment its end goes too: the next frame begins a new one. */
bool alog_drop_damaged(struct alog *l, uint64_t seq)
{
	size_t n = 0;
	uint64_t last;

	while (n < l->n_segments && l->segments[n].head.segment != l->bad_segment)
		n++;
	if (l->bad_segment == 0 || n == l->n_segments ||
	    l->segments[n].tail.n > 0)
		return false;
	n++;
	last = n < l->n_segments ? l->segments[n].head.first_seq - 1 :
				   l->pos.seq;
	if (last > seq)
		return false;
	if (l->fd >= 0)
		l->fs->ops->close(l->fs, l->fd);
	l->fd = -1;
	for (size_t i = 0; i < n; i++) {
		give_up(l, l->segments[i].head.segment);
		buf_fini(&l->segments[i].tail);
	}
	memmove(l->segments, l->segments + n,
		(l->n_segments - n) * sizeof(*l->segments));
	l->n_segments -= n;
	l->bad_segment = l->hint_segment = 0;
	return true;
}

uint64_t alog_floor(const struct alog *l)
{
	return l->n_segments ? l->segments[0].head.first_seq - 1 : l->pos.seq;
}

void alog_trim(struct alog *l, uint64_t seq, int64_t before_usec,
	       uint64_t size_max)
{
	uint64_t total = 0;
	size_t n = 0;

	for (size_t i = 0; i < l->n_segments; i++)
		total += l->segments[i].size;
	/* The last segment stays: its header tells where the log stands. */
	while (n + 1 < l->n_segments) {
		struct alog_segment *s = &l->segments[n];

		if (l->segments[n + 1].head.first_seq - 1 > seq ||
		    (s->mtime >= before_usec && total <= size_max) ||
		    s->tail.n > 0 || remove_segment(l, s->head.segment) < 0)
			break;
		total -= s->size;
		buf_fini(&s->tail);
		n++;
	}
	memmove(l->segments, l->segments + n,
		(l->n_segments - n) * sizeof(*l->segments));
	l->n_segments -= n;
}
