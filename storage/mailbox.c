#include "storage/mailbox.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "proto/mime.h"
#include "storage/dbox.h"
#include "storage/state_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* Bodies up to here are read, larger ones mapped. */
#define BODY_READ_MAX (1024u * 1024)
/* A cache with records that cannot be read shows these. */
static const struct mrec unreadable = {.flags = MREC_EXPUNGED};

/* --- properties ------------------------------------------------------------------ */

struct id128 mailbox_id(const struct mailbox *m)
{
	return m->id;
}

const char *mailbox_name(const struct mailbox *m)
{
	return m->name;
}

uint32_t mailbox_uidvalidity(const struct mailbox *m)
{
	return m->uidvalidity;
}

uint64_t mailbox_uidnext(const struct mailbox *m)
{
	return jumps_apply(m->state->jumps, m->state->n_jumps, m->jump_at,
			   m->uidnext);
}

uint64_t mailbox_highestmodseq(const struct mailbox *m)
{
	if (m->changed_seq < m->state->epoch_seq)
		return modseq_of(m->state->pos.epoch, 1);
	return m->highestmodseq;
}

uint32_t mailbox_special_use(const struct mailbox *m)
{
	return m->special_use;
}

uint32_t mailbox_messages(const struct mailbox *m)
{
	return m->messages;
}

uint32_t mailbox_unseen(const struct mailbox *m)
{
	return m->unseen;
}

uint64_t mailbox_size(const struct mailbox *m)
{
	return m->size;
}

bool mailbox_gone(const struct mailbox *m)
{
	return m->gone;
}

struct account *mailbox_account(const struct mailbox *m)
{
	return m->state->account;
}

void mailbox_ref(struct mailbox *m)
{
	m->refs++;
}

void mailbox_unref(struct mailbox *m)
{
	m->refs--;
	if (m->state->abandoned)
		state_free(m->state);
	else if (m->gone && m->refs == 0 && !m->state->replaying)
		state_reap(m->state);
}

void mailbox_watch_add(struct mailbox *m, struct mailbox_watch *w)
{
	list_append(&m->watches, &w->node);
}

void mailbox_watch_remove(struct mailbox_watch *w)
{
	list_remove(&w->node);
}

/* --- records --------------------------------------------------------------------- */

/* Opening the index on first use changes nothing that callers can see. */
static bool readable(const struct mailbox *m)
{
	return index_is_open(&m->index) ||
	       (m->index.gen &&
		mailbox_index((struct mailbox *)(uintptr_t)m, NULL) == 0);
}

int mailbox_open(struct mailbox *m, struct err *e)
{
	return mailbox_index(m, e);
}

uint64_t mailbox_generation(const struct mailbox *m)
{
	return m->index.gen;
}

uint32_t mailbox_records(const struct mailbox *m)
{
	return m->index.n;
}

const struct mrec *mailbox_rec(const struct mailbox *m, uint32_t i)
{
	return i < m->index.n && readable(m) ? index_rec(&m->index, i) :
					       &unreadable;
}

uint32_t mailbox_lower(const struct mailbox *m, uint32_t uid)
{
	return readable(m) ? index_lower(&m->index, uid) : m->index.n;
}

uint32_t mailbox_expunged_below(const struct mailbox *m, uint32_t i)
{
	mailbox_rank((struct mailbox *)(uintptr_t)m);
	return rank_below(&m->rank, i);
}

uint32_t mailbox_select_live(const struct mailbox *m, uint32_t i)
{
	mailbox_rank((struct mailbox *)(uintptr_t)m);
	return rank_select_clear(&m->rank, i);
}

/* --- keywords ---------------------------------------------------------------------- */

size_t mailbox_keywords(const struct mailbox *m)
{
	return m->n_keywords;
}

const char *mailbox_keyword(const struct mailbox *m, size_t bit)
{
	return bit < m->n_keywords ? m->keywords[bit].spelling : NULL;
}

bool mailbox_has_keyword(const struct mailbox *m, uint32_t rec, size_t bit)
{
	return bit < m->n_keywords && m->keywords[bit].spelling &&
	       rec < m->index.n && readable(m) &&
	       index_keyword(&m->index, index_rec(&m->index, rec), bit);
}

/* --- what changed -------------------------------------------------------------------- */

void mailbox_changed_since(struct mailbox *m, uint64_t since,
			   mailbox_rec_cb *cb, void *arg)
{
	size_t lo = 0, hi = m->n_changes;

	if (since >= mailbox_highestmodseq(m) || !readable(m))
		return;
	if (since < m->changes_floor) {
		for (uint32_t i = 0; i < m->index.n; i++) {
			const struct mrec *r = index_rec(&m->index, i);

			if (r->modseq > since && !(r->flags & MREC_EXPUNGED))
				cb(arg, i);
		}
		return;
	}
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->changes[mid].modseq > since)
			hi = mid;
		else
			lo = mid + 1;
	}
	for (; lo < m->n_changes; lo++) {
		const struct mrec *r = index_rec(&m->index,
						 m->changes[lo].rec);

		/* Changed again later: that entry counts. */
		if (r->modseq == m->changes[lo].modseq &&
		    !(r->flags & MREC_EXPUNGED))
			cb(arg, m->changes[lo].rec);
	}
}

int mailbox_vanished_since(struct mailbox *m, uint64_t since,
			   mailbox_uids_cb *cb, void *arg)
{
	size_t lo = 0, hi = m->n_vanished;

	if (since < m->vanished_floor)
		return -ENOENT;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->vanished[mid].modseq > since)
			hi = mid;
		else
			lo = mid + 1;
	}
	for (; lo < m->n_vanished; lo++)
		cb(arg, m->vanished[lo].uids);
	return 0;
}

/* --- bodies ---------------------------------------------------------------------------- */

void mailbox_body_path(const struct mailbox *m, uint32_t uid, struct buf *to)
{
	dbox_path(m, uid, to);
}

static int open_file(struct mailbox *m, const struct mrec *rec,
		     struct dbox_file *f, struct buf *path)
{
	int r;

	dbox_path(m, rec->uid, path);
	r = m->dir ? dbox_open(m->state->fs, (char *)path->p, f) : -ENOENT;
	if (r == -ENOENT && (rec->flags & MREC_EXPUNGED)) {
		buf_reset(path);
		dbox_expunged_path(m, rec->uid, path);
		r = dbox_open(m->state->fs, (char *)path->p, f);
	}
	return r;
}

/* The mapping begins at the start of the file: mmap wants whole pages. */
static int load(struct fsio *fs, const struct dbox_file *f, const char *path,
		struct body *out)
{
	void *p;
	int r;

	if (f->size <= BODY_READ_MAX) {
		p = xmalloc((size_t)f->size + 1);
		r = fsio_pread_all(fs, f->fd, p, (size_t)f->size, f->offset);
		if (r < 0) {
			free(p);
			return r;
		}
		*out = (struct body){slice_of(p, (size_t)f->size), p, 0};
		return 0;
	}
	int fd = fs->ops->open(fs, path, O_RDWR, 0);

	if (fd < 0)
		return fd;
	size_t n = (size_t)(f->offset + f->size);

	r = fs->ops->map(fs, fd, n, &p);
	fs->ops->close(fs, fd);
	if (r < 0)
		return r;
	*out = (struct body){slice_of((uint8_t *)p + f->offset,
				      (size_t)f->size), p, n};
	return 0;
}

/* Hashing a large body once is enough while its file does not change. */
static bool was_verified(const struct mailbox *m, const struct dbox_file *f)
{
	const struct verified *v = &m->state->verified;

	return v->ino == f->ino && v->dev == f->dev &&
	       v->mtime_usec == f->mtime_usec && v->size == f->size;
}

static int verify(struct mailbox *m, const struct mrec *rec,
		  const struct dbox_file *f, struct slice data)
{
	uint8_t hash[SHA256_SIZE];

	if (was_verified(m, f))
		return 0;
	sha256(data, hash);
	if (memcmp(hash, rec->body_hash, SHA256_SIZE) != 0)
		return E_CORRUPT;
	if (f->size > BODY_READ_MAX)
		m->state->verified = (struct verified){
			f->ino, f->dev, f->mtime_usec, f->size};
	return 0;
}

int mailbox_body_open(struct mailbox *m, uint32_t rec, struct body *out,
		      struct err *e)
{
	const struct mrec *r = mailbox_rec(m, rec);
	struct fsio *fs = m->state->fs;
	struct dbox_file f;
	struct buf path;
	int rc;

	buf_init(&path, 8192);
	rc = open_file(m, r, &f, &path);
	if (rc == -ENOENT || rc == -ENOTDIR) {
		rc = err_set(e, E_GONE, "%s: message file is missing",
			     (char *)path.p);
	} else if (rc < 0) {
		err_set(e, rc, "%s: %s", (char *)path.p,
			rc == E_CORRUPT ? "not a message file, or too short" :
					  strerror(-rc));
	} else {
		rc = f.size == r->size ? load(fs, &f, (char *)path.p, out) :
					 E_CORRUPT;
		fs->ops->close(fs, f.fd);
		if (rc == 0) {
			rc = verify(m, r, &f, out->data);
			if (rc < 0)
				mailbox_body_close(m, out);
		}
		if (rc == E_CORRUPT)
			err_set(e, rc, "%s: size or hash is not the record's",
				(char *)path.p);
		else if (rc < 0)
			err_set(e, rc, "%s: %s", (char *)path.p,
				strerror(-rc));
	}
	buf_fini(&path);
	return rc;
}

void mailbox_body_close(struct mailbox *m, struct body *b)
{
	if (b->map_n)
		m->state->fs->ops->unmap(m->state->fs, b->map, b->map_n);
	else
		free(b->map);
	*b = (struct body){0};
}

/* --- cache -------------------------------------------------------------------------------- */

int mailbox_cache(struct mailbox *m)
{
	struct buf path;
	int r;

	if (cache_is_open(&m->cache))
		return 0;
	if (m->gone)
		return -ENOENT;
	buf_init(&path, 8192);
	cache_path(&path, m->state->root, m->id, m->cache_gen);
	buf_char(&path, 0);
	r = cache_open(&m->cache, (char *)path.p);
	buf_fini(&path);
	return r;
}

static void parse(struct slice body, struct buf *to)
{
	struct arena *a = arena_new(16 * 1024);

	if (mime_encode(mime_parse(body, a), to) < 0)
		to->failed = true;
	arena_free(a);
}

void mailbox_cache_fill(struct mailbox *m, uint32_t rec, struct slice body)
{
	struct buf *b = &m->state->scratch;
	struct mrec *r;
	int64_t at;

	buf_reset(b);
	parse(body, b);
	if (b->failed || mailbox_cache(m) < 0)
		return;
	r = index_rec(&m->index, rec);
	at = cache_put(&m->cache, r->emailid, buf_all(b));
	if (at > 0)
		r->cache_at = (uint64_t)at;
}

int mailbox_cached(struct mailbox *m, uint32_t rec, struct slice *out,
		   struct err *e)
{
	const struct mrec *r = mailbox_rec(m, rec);
	struct body body;
	int rc;

	if (r->cache_at && mailbox_cache(m) == 0 &&
	    cache_get(&m->cache, r->cache_at, r->emailid, out) == 0 &&
	    mime_encoded_now(*out))
		return 0;
	rc = mailbox_body_open(m, rec, &body, e);
	if (rc < 0)
		return rc;
	mailbox_cache_fill(m, rec, body.data);
	if (cache_is_open(&m->cache) &&
	    cache_get(&m->cache, r->cache_at, r->emailid, out) == 0) {
		mailbox_body_close(m, &body);
		return 0;
	}
	/* No room for a cache: the parsed form lives until the next one. */
	buf_reset(&m->state->parsed);
	parse(body.data, &m->state->parsed);
	mailbox_body_close(m, &body);
	*out = buf_all(&m->state->parsed);
	return m->state->parsed.failed ?
		       err_set(e, E_LIMIT, "structure of UID %u of %s is too "
			       "large", r->uid, m->name) : 0;
}
