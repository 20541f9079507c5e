/* See journal.h. */

#include "storage/journal.h"

#include "node/base/arena.h"
#include "node/base/clock.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "node/base/rng.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define MAGIC_FILE "DUETJRN1"
#define MAGIC_BATCH 0x48425544u		/* "DUBH" */
#define FORMAT_MAJOR 1u
#define BATCH_MAX (32u * 1024 * 1024)
/* How far the ring is filled with zeros before the head, and in what pieces
 * (a piece becomes one unit of the page cache). */
#define ZERO_AHEAD (1024u * 1024)
#define ZERO_PIECE (64u * 1024)

/* A batch that is in the ring and not recycled. */
struct live {
	uint64_t number, offset;
	uint64_t bytes;		/* of ring: with padding and what was skipped */
	uint64_t end;
};

/* Outlives the journal if it is closed while a sync is running. */
struct flight {
	struct journal *journal;
	uint64_t batch;
};

struct journal {
	struct journal_opts o;
	char *path;
	int fd;
	uint64_t id, end;		/* ring is [JOURNAL_BLOCK, end) */
	struct live *live;		/* [first, n_live) */
	size_t first, n_live, cap_live;
	uint64_t head, used;
	uint64_t filled;	/* ring before it was written, by this process */
	uint64_t last_written, last_durable;
	uint64_t tail_offset;		/* after the last recycled batch */
	uint64_t time;
	struct buf gather, flying;
	uint32_t n_gathered;
	/* A batch in `flying` that found no room in the file system (one that
	 * copies on write, a quota): written when there is. */
	uint64_t stuck_at, stuck_size;	/* 0: none */
	bool urgent, want_all, broken;
	struct flight *flight;
};

static uint64_t blocks(uint64_t n)
{
	return (n + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK;
}

static uint64_t ring_size(const struct journal *j)
{
	return j->end - JOURNAL_BLOCK;
}

/* --- the file ----------------------------------------------------------------- */

int journal_head_get(struct slice block, struct journal_head *out,
		     struct err *e)
{
	struct cursor c = cursor_of(block);
	struct slice magic = cursor_bytes(&c, 8);
	uint16_t major = cursor_le16(&c);
	uint32_t crc;

	cursor_le16(&c);	/* minor: readable by every reader of major */
	if (cursor_le32(&c) != JOURNAL_BLOCK)
		c.bad = true;
	out->id = cursor_le64(&c);
	out->size = cursor_le64(&c);
	crc = cursor_le32(&c);
	if (c.bad || !slice_is(magic, MAGIC_FILE) ||
	    crc != crc32c(0, block.p, 32))
		return err_set(e, E_CORRUPT, "not a journal, or damaged head");
	if (major != FORMAT_MAJOR)
		return err_set(e, E_VERSION,
			       "journal format %u, this program reads %u",
			       major, FORMAT_MAJOR);
	if (out->size < JOURNAL_SIZE_MIN || out->size % JOURNAL_BLOCK != 0)
		return err_set(e, E_CORRUPT, "journal size %" PRIu64,
			       out->size);
	return 0;
}

static int write_head(struct journal *j)
{
	struct fsio *fs = j->o.sys->fs;
	uint8_t block[JOURNAL_BLOCK] = {0};
	uint64_t size = blocks(j->o.size);
	int r;

	if (size < JOURNAL_SIZE_MIN)
		size = JOURNAL_SIZE_MIN;
	memcpy(block, MAGIC_FILE, 8);
	block[8] = FORMAT_MAJOR;
	le32_to(block + 12, JOURNAL_BLOCK);
	le64_to(block + 16, rng_u64(j->o.sys->rng));
	le64_to(block + 24, size);
	le32_to(block + 32, crc32c(0, block, 32));
	r = fs->ops->allocate(fs, j->fd, 0, size);
	if (r == -EOPNOTSUPP)
		r = fs->ops->truncate(fs, j->fd, size);
	if (r == 0)
		r = fsio_pwrite_all(fs, j->fd, block, sizeof(block), 0);
	if (r == 0)
		r = fs->ops->fsync(fs, j->fd);
	return r;
}

static int sync_parent(struct fsio *fs, const char *path)
{
	char *dir = xstrdup(path), *slash = strrchr(dir, '/');
	int r;

	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	r = fs->ops->fsync_dir(fs, slash ? dir : ".");
	free(dir);
	return r;
}

/* Head and size become durable together: without either the file was being
 * made when a crash came, and never used. */
static bool never_used(const uint8_t *block, uint64_t size)
{
	struct journal_head h;
	struct err ignored = ERR_NONE;

	if (journal_head_get(slice_of(block, JOURNAL_BLOCK), &h, &ignored) == 0)
		return size < h.size;
	for (size_t i = 0; i < JOURNAL_BLOCK; i++)
		if (block[i] != 0)
			return false;
	return true;
}

static int open_file(struct journal *j, bool *made_out, struct err *e)
{
	struct fsio *fs = j->o.sys->fs;
	uint8_t block[JOURNAL_BLOCK] = {0};
	struct journal_head h;
	struct fsio_stat st;
	ssize_t n;
	int r;

	j->fd = fs->ops->open(fs, j->path, O_RDWR | O_CREAT, 0600);
	if (j->fd < 0)
		return err_set(e, j->fd, "%s: %s", j->path, err_name(j->fd));
	r = fs->ops->lock(fs, j->fd);
	if (r == -EAGAIN)
		return err_set(e, E_TEMP, "%s is locked: another process of "
			       "this node is running", j->path);
	if (r < 0)
		return err_set(e, r, "lock %s: %s", j->path, err_name(r));
	n = fs->ops->pread(fs, j->fd, block, sizeof(block), 0);
	if (n < 0)
		return err_set(e, (int)n, "%s: %s", j->path, err_name((int)n));
	r = fs->ops->fstat(fs, j->fd, &st);
	if (r < 0)
		return err_set(e, r, "%s: %s", j->path, err_name(r));
	*made_out = never_used(block, st.size);
	if (*made_out) {
		r = write_head(j);
		if (r == 0)
			r = sync_parent(fs, j->path);
		if (r == 0)
			r = fsio_pread_all(fs, j->fd, block, sizeof(block), 0);
		if (r < 0)
			return err_set(e, r, "make %s: %s", j->path,
				       err_name(r));
	}
	r = journal_head_get(slice_of(block, sizeof(block)), &h, e);
	if (r < 0) {
		err_prefix(e, "%s", j->path);
		return r;
	}
	j->id = h.id;
	j->end = h.size;
	return 0;
}

int journal_open(const struct journal_opts *o, struct journal **out,
		 bool *made_out, struct err *e)
{
	struct journal *j = NEW(struct journal);
	bool made;
	int r;

	j->o = *o;
	j->path = xstrdup(o->path);
	j->fd = -1;
	j->head = j->tail_offset = j->filled = JOURNAL_BLOCK;
	r = open_file(j, &made, e);
	if (r < 0) {
		journal_free(j);
		return r;
	}
	/* A batch is at most a quarter of the ring, so that one can gather
	 * while another is in flight and a third is being recycled. */
	buf_init(&j->gather, BATCH_MAX);
	buf_init(&j->flying, BATCH_MAX);
	if (made_out)
		*made_out = made;
	*out = j;
	return 0;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	if (j->flight)
		j->flight->journal = NULL;
	if (j->fd >= 0)
		j->o.sys->fs->ops->close(j->o.sys->fs, j->fd);
	buf_fini(&j->gather);
	buf_fini(&j->flying);
	free(j->live);
	free(j->path);
	free(j);
}

static void fail(struct journal *j, int code, const char *what)
{
	struct err e = ERR_NONE;

	if (j->broken)
		return;
	j->broken = true;
	err_set(&e, code, "%s %s: %s; nothing more is written by this process. "
		"Check the disk before it is started again", what, j->path,
		err_name(code));
	if (j->o.failed)
		j->o.failed(j->o.arg, &e);
}

/* --- batches ------------------------------------------------------------------- */

static uint32_t batch_crc(uint64_t id, const uint8_t *batch, size_t n)
{
	uint8_t seed[8];

	le64_to(seed, id);
	return crc32c(crc32c(0, seed, sizeof(seed)), batch + 8, n - 8);
}

bool journal_batch_get(struct slice in, uint64_t id, struct journal_batch *out,
		       bool *whole_out)
{
	if (in.n < JOURNAL_BATCH_HEADER || le32_at(in.p) != MAGIC_BATCH)
		return false;
	out->number = le64_at(in.p + 8);
	out->bytes = le32_at(in.p + 16);
	out->entries = le32_at(in.p + 20);
	out->time = le64_at(in.p + 24);
	if (out->number == 0 || out->bytes < JOURNAL_BATCH_HEADER ||
	    out->bytes > BATCH_MAX)
		return false;
	*whole_out = in.n >= out->bytes &&
		     le32_at(in.p + 4) == batch_crc(id, in.p, out->bytes);
	return true;
}

bool journal_entry_get(struct slice *body, struct journal_entry *out)
{
	struct cursor c = cursor_of(*body);
	size_t len;

	out->type = cursor_le16(&c);
	out->flags = cursor_le16(&c);
	len = cursor_le32(&c);
	if (c.bad || len > cursor_left(&c))
		return false;
	out->data = cursor_bytes(&c, len);
	cursor_bytes(&c, (8 - len % 8) % 8);
	if (c.bad)
		return false;
	*body = slice_of(c.p, cursor_left(&c));
	return true;
}

/* Reads the batch at offset if there is a valid one with that number (or, if
 * number is 0, with one greater than `above`). */
static int batch_at(struct journal *j, uint64_t offset, uint64_t number,
		    uint64_t above, struct buf *to, struct journal_batch *out)
{
	struct fsio *fs = j->o.sys->fs;
	uint8_t head[JOURNAL_BATCH_HEADER];
	bool whole;
	int r;

	if (offset + JOURNAL_BLOCK > j->end)
		return 0;
	r = fsio_pread_all(fs, j->fd, head, sizeof(head), offset);
	if (r < 0)
		return r;
	if (!journal_batch_get(slice_of(head, sizeof(head)), j->id, out,
			       &whole) ||
	    (number ? out->number != number : out->number <= above) ||
	    offset + out->bytes > j->end)
		return 0;
	buf_reset(to);
	r = fsio_pread_all(fs, j->fd, buf_room(to, out->bytes), out->bytes,
			   offset);
	if (r < 0)
		return r;
	buf_commit(to, out->bytes);
	journal_batch_get(buf_all(to), j->id, out, &whole);
	return whole;
}

static void live_add(struct journal *j, uint64_t number, uint64_t offset,
		     uint64_t size)
{
	uint64_t skipped = offset < j->head ? j->end - j->head : 0;

	if (j->first > 0 && j->n_live == j->cap_live) {
		memmove(j->live, j->live + j->first,
			(j->n_live - j->first) * sizeof(*j->live));
		j->n_live -= j->first;
		j->first = 0;
	}
	GROW(j->live, j->n_live, j->cap_live);
	j->live[j->n_live++] = (struct live){number, offset, skipped + size,
					     offset + size};
	j->used += skipped + size;
	j->head = offset + size;
}

static int refuse_later(struct journal *j, struct buf *b, struct err *e)
{
	struct journal_batch h;
	int r;

	for (uint64_t at = JOURNAL_BLOCK; at < j->end; at += JOURNAL_BLOCK) {
		r = batch_at(j, at, 0, j->last_durable, b, &h);
		if (r < 0)
			return err_set(e, r, "read %s: %s", j->path,
				       err_name(r));
		if (r > 0)
			return err_set(e, E_CORRUPT, "%s: batch %" PRIu64
				       " is damaged, but batch %" PRIu64
				       " after it is whole: this was on disk "
				       "and is not any more", j->path,
				       j->last_durable + 1, h.number);
	}
	return 0;
}

int journal_scan(struct journal *j, uint64_t batch, uint64_t offset,
		 struct err *e)
{
	struct fsio *fs = j->o.sys->fs;
	struct journal_batch h;
	struct buf b;
	int r;

	assert(j->n_live == 0 && j->last_written == 0);
	if (offset == 0)
		offset = JOURNAL_BLOCK;
	if (offset % JOURNAL_BLOCK != 0 || offset > j->end)
		return err_set(e, E_CORRUPT, "%s: impossible offset in its mark",
			       j->path);
	buf_init(&b, BATCH_MAX);
	j->head = j->tail_offset = offset;
	j->last_written = j->last_durable = batch;
	for (;;) {
		uint64_t at = j->head;

		r = batch_at(j, at, j->last_durable + 1, 0, &b, &h);
		if (r == 0 && at != JOURNAL_BLOCK) {
			at = JOURNAL_BLOCK;
			r = batch_at(j, at, j->last_durable + 1, 0, &b, &h);
		}
		if (r <= 0)
			break;
		live_add(j, h.number, at, blocks(h.bytes));
		j->last_written = ++j->last_durable;
		j->time = h.time;
	}
	if (r < 0)
		err_set(e, r, "read %s: %s", j->path, err_name(r));
	else
		r = refuse_later(j, &b, e);
	/* The process before this one may have died between write and sync:
	 * what is read here may be in memory only. */
	if (r == 0 && j->n_live > 0) {
		r = fs->ops->fsync(fs, j->fd);
		if (r < 0)
			err_set(e, r, "fsync %s: %s", j->path, err_name(r));
	}
	buf_fini(&b);
	return r;
}

int journal_each(struct journal *j, journal_entry_cb *cb, void *arg,
		 struct err *e)
{
	struct buf b;
	int r = 0;

	buf_init(&b, BATCH_MAX);
	for (size_t i = j->first; i < j->n_live && r == 0; i++) {
		struct journal_batch h;
		struct journal_entry en;
		struct slice body;

		r = batch_at(j, j->live[i].offset, j->live[i].number, 0, &b,
			     &h);
		if (r <= 0) {
			r = err_set(e, r < 0 ? r : E_CORRUPT,
				    "%s: batch %" PRIu64 " cannot be read again",
				    j->path, j->live[i].number);
			break;
		}
		r = 0;
		body = slice_sub(buf_all(&b), JOURNAL_BATCH_HEADER, b.n);
		for (uint32_t k = 0; k < h.entries && r == 0; k++) {
			if (!journal_entry_get(&body, &en)) {
				r = err_set(e, E_CORRUPT, "%s: batch %" PRIu64
					    ", entry %u is broken", j->path,
					    h.number, k);
				break;
			}
			en.batch = h.number;
			en.time = h.time;
			r = cb(arg, &en);
		}
	}
	buf_fini(&b);
	return r;
}

/* --- writing ---------------------------------------------------------------------- */

static bool fits(const struct journal *j, uint64_t batch, bool reserved)
{
	uint64_t spare = reserved ? 0 : ring_size(j) / 8;
	uint64_t skipped = j->head + batch > j->end ? j->end - j->head : 0;

	return j->used + skipped + batch + spare <= ring_size(j);
}

int journal_put(struct journal *j, enum journal_type type,
		const struct slice *parts, size_t n_parts, unsigned how,
		uint64_t *batch_out)
{
	size_t n = 0, entry, at;

	if (j->broken)
		return -EIO;
	for (size_t i = 0; i < n_parts; i++)
		n += parts[i].n;
	entry = JOURNAL_ENTRY_HEADER + (n + 7) / 8 * 8;
	if (entry + JOURNAL_BATCH_HEADER > ring_size(j) / 4 ||
	    entry + JOURNAL_BATCH_HEADER > BATCH_MAX / 2)
		return E_LIMIT;
	at = j->gather.n ? j->gather.n : JOURNAL_BATCH_HEADER;
	if (at + entry > BATCH_MAX ||
	    !fits(j, blocks(at + entry), how & JOURNAL_RESERVED))
		return -ENOSPC;
	if (j->gather.n == 0)	/* filled in by write_batch() */
		buf_fill(&j->gather, 0, JOURNAL_BATCH_HEADER);
	buf_le16(&j->gather, (uint16_t)type);
	buf_le16(&j->gather, 0);
	buf_le32(&j->gather, (uint32_t)n);
	for (size_t i = 0; i < n_parts; i++)
		buf_slice(&j->gather, parts[i]);
	buf_fill(&j->gather, 0, entry - JOURNAL_ENTRY_HEADER - n);
	assert(!j->gather.failed);
	j->n_gathered++;
	if (!(how & JOURNAL_LAZY))
		j->urgent = true;
	if (batch_out)
		*batch_out = j->last_written + 1;
	return 0;
}

/*
 * A block that is only allocated becomes a written one in the file system's
 * own journal: then fdatasync waits for a commit there, and that for the data
 * of every file made since, which are our message files.  So zeros are written
 * ahead of the head, once for every MiB of the first pass over the ring; what
 * they overwrite was recycled or never used.
 */
static void fill_ahead(struct journal *j)
{
	static const uint8_t zeros[ZERO_PIECE];
	uint64_t at = j->head, to = at + ZERO_AHEAD;
	int r = 0;

	if (at <= j->filled)
		return;
	if (to > j->end)
		to = j->end;
	/* The oldest batch, if the ring has come round to it. */
	if (j->live[j->first].offset >= at && to > j->live[j->first].offset)
		to = j->live[j->first].offset;
	while (at < to && r == 0) {
		uint64_t n = to - at < ZERO_PIECE ? to - at : ZERO_PIECE;

		r = fsio_pwrite_all(j->o.sys->fs, j->fd, zeros, n, at);
		at += n;
	}
	/* Only for speed: what fails will show itself with a batch. */
	j->filled = at;
}

/* No sync has failed: written again, it is what it would have been. */
static int write_flying(struct journal *j, uint64_t offset, uint64_t size)
{
	int r = fsio_pwrite_all(j->o.sys->fs, j->fd, j->flying.p, size,
				offset);

	j->stuck_at = j->stuck_size = 0;
	if (r == -ENOSPC || r == -EDQUOT) {
		j->stuck_at = offset;
		j->stuck_size = size;
	} else if (r < 0) {
		fail(j, r, "write");
	} else {
		fill_ahead(j);
	}
	return r;
}

/* The gathered entries become a batch in the file. */
static int write_batch(struct journal *j)
{
	struct buf swap = j->flying;
	uint64_t size, offset;
	uint8_t *p;

	j->flying = j->gather;
	j->gather = swap;
	buf_shrink(&j->gather, 1024 * 1024);
	p = j->flying.p;
	le32_to(p, MAGIC_BATCH);
	le64_to(p + 8, j->last_written + 1);
	le32_to(p + 16, (uint32_t)j->flying.n);
	le32_to(p + 20, j->n_gathered);
	le64_to(p + 24, clock_real(j->o.sys->clock));
	le32_to(p + 4, batch_crc(j->id, p, j->flying.n));
	size = blocks(j->flying.n);
	buf_fill(&j->flying, 0, size - j->flying.n);
	j->n_gathered = 0;
	j->urgent = j->want_all = false;
	offset = j->head + size > j->end ? JOURNAL_BLOCK : j->head;
	live_add(j, ++j->last_written, offset, size);
	return write_flying(j, offset, size);
}

static int write_next(struct journal *j)
{
	return j->stuck_size ? write_flying(j, j->stuck_at, j->stuck_size) :
			       write_batch(j);
}

static void durable(struct journal *j, uint64_t batch)
{
	assert(batch == j->last_durable + 1);
	j->last_durable = batch;
	if (j->o.durable)
		j->o.durable(j->o.arg, batch);
}

static void landed(void *arg, int result)
{
	struct flight *f = arg;
	struct journal *j = f->journal;
	uint64_t batch = f->batch;

	free(f);
	if (!j)
		return;
	j->flight = NULL;
	if (result < 0) {
		fail(j, result, "fdatasync");
		return;
	}
	/* The next batch leaves before the callbacks do their work; if that
	 * fails, nothing is reported any more. */
	if (j->urgent || j->want_all)
		journal_flush(j, j->want_all);
	if (!j->broken)
		durable(j, batch);
}

void journal_flush(struct journal *j, bool all)
{
	struct fsio *fs = j->o.sys->fs;
	struct flight *f;
	int r;

	if (j->broken || (!j->stuck_size &&
			  (j->gather.n == 0 || (!j->urgent && !all))))
		return;
	if (j->flight) {
		j->want_all |= all;
		return;
	}
	if (write_next(j) < 0)
		return;
	f = NEW(struct flight);
	*f = (struct flight){j, j->last_written};
	j->flight = f;
	r = fs->ops->fdatasync_start(fs, j->fd, landed, f);
	if (r < 0) {
		j->flight = NULL;
		free(f);
		fail(j, r, "fdatasync");
	}
}

int journal_sync(struct journal *j)
{
	struct fsio *fs = j->o.sys->fs;
	int r;

	if (j->broken)
		return -EIO;
	/* A batch in flight first: invariant 1. */
	if (j->flight) {
		uint64_t batch = j->flight->batch;

		j->flight->journal = NULL;
		j->flight = NULL;
		r = fs->ops->fsync(fs, j->fd);
		if (r < 0) {
			fail(j, r, "fsync");
			return r;
		}
		durable(j, batch);
	}
	while (j->stuck_size || j->gather.n > 0) {
		r = write_next(j);
		if (r < 0)
			return j->broken ? -EIO : r;
		r = fs->ops->fsync(fs, j->fd);
		if (r < 0) {
			fail(j, r, "fsync");
			return r;
		}
		durable(j, j->last_written);
	}
	return 0;
}

void journal_recycle(struct journal *j, uint64_t upto)
{
	while (j->first < j->n_live && j->live[j->first].number <= upto) {
		j->used -= j->live[j->first].bytes;
		j->tail_offset = j->live[j->first].end;
		j->first++;
	}
	if (j->first == j->n_live)
		j->first = j->n_live = 0;
}

/* --- looking ------------------------------------------------------------------------ */

uint64_t journal_offset_after(const struct journal *j, uint64_t batch)
{
	for (size_t i = j->first; i < j->n_live; i++)
		if (j->live[i].number == batch)
			return j->live[i].end;
	return j->tail_offset;
}

uint64_t journal_id(const struct journal *j) { return j->id; }
uint64_t journal_last(const struct journal *j) { return j->last_durable; }
uint64_t journal_time(const struct journal *j) { return j->time; }
uint64_t journal_used(const struct journal *j) { return j->used; }
uint64_t journal_size(const struct journal *j) { return ring_size(j); }
bool journal_failed(const struct journal *j) { return j->broken; }
bool journal_busy(const struct journal *j) { return j->flight != NULL; }
