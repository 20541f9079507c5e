#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "storage/account_private.h"
#include "storage/dbox.h"
#include "storage/fold.h"
#include "storage/snapshot.h"

#include <errno.h>
#include <stdlib.h>

/* The state and its files: loading, replay, checkpoints, seeds, sweeps. */

/* An index with fewer expunged records than this is not worth a rewrite. */
#define COMPACT_MIN 256u

int state_dirs(struct state *s, struct err *e)
{
	static const char *const dirs[] = {
		"mailboxes",	       ".duet/state/index", ".duet/state/cache",
		".duet/tmp",	       ".duet/.expunged",   ".duet/orphans",
	};

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		AUTO_FREE char *path = xprintf("%s/%s", s->root, dirs[i]);
		int r = fsio_mkdirs(s->fs, path, 0700);

		if (r < 0)
			return err_set(e, r, "%s: %s", path, strerror(-r));
	}
	return 0;
}

/* --- stale generations ---------------------------------------------------------- */

struct stale {
	struct state *s;
	char **name;
	size_t n, cap;
};

static bool is_current(const struct state *s, const char *name)
{
	struct id128 id;
	struct mailbox *m;
	uint64_t gen;
	size_t n = strlen(name);

	if (n < 34 || name[32] != '.' ||
	    hex_to(slice_of(name, 32), id.b, 16) < 0 ||
	    slice_u64(slice_str(name + 33), &gen) < 0)
		return true;	/* not ours to judge */
	m = state_mailbox(s, id);
	return m && m->index.gen == gen;
}

static bool take_stale(void *arg, const char *name)
{
	struct stale *st = arg;

	if (is_current(st->s, name))
		return true;
	GROW(st->name, st->n, st->cap);
	st->name[st->n++] = xstrdup(name);
	return true;
}

/* Generations made after the snapshot, or left behind by a crash. */
static void remove_stale(struct state *s)
{
	AUTO_FREE char *dir = xprintf("%s/.duet/state/index", s->root);
	struct stale st = {.s = s};

	s->fs->ops->list(s->fs, dir, take_stale, &st);
	for (size_t i = 0; i < st.n; i++) {
		AUTO_FREE char *path = xprintf("%s/%s", dir, st.name[i]);

		s->fs->ops->unlink(s->fs, path);
		free(st.name[i]);
	}
	free(st.name);
}

/* --- loading, replay --------------------------------------------------------------- */

/* Each index must be there with its records, before anything relies on it. */
static int check_indexes(struct state *s, struct err *e)
{
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];
		int r = m->index.gen ? mailbox_index_open(m, e) : 0;

		if (r < 0)
			return r;
		index_close(&m->index);
	}
	return 0;
}

int state_load(const struct state_opts *o, struct slice snapshot, bool clean,
	       struct state **out, struct err *e)
{
	struct state *s = state_new(o);
	int r = snapshot_get(s, snapshot, false, e);

	if (r == 0)
		r = check_indexes(s, e);
	s->saved_seq = s->kept_seq = s->pos.seq;
	if (r == 0) {
		remove_stale(s);
		s->unsettled = !dbox_dirs_settled(s);
		if (!clean)
			r = state_replay_begin(s, e);
		/* The snapshot may be of the middle of another replay, when
		 * the sums of what that one had touched were not right yet. */
		for (size_t i = 0; !clean && i < s->n_mboxes; i++)
			s->mboxes[i]->touched = true;
	}
	if (r < 0) {
		state_free(s);
		return r;
	}
	*out = s;
	return 0;
}

static void forget_found(struct state *s)
{
	for (size_t i = 0; i < s->n_found; i++)
		free(s->found[i].path);
	s->n_found = 0;
}

int state_replay_begin(struct state *s, struct err *e)
{
	int r = state_dirs(s, e);

	if (r == 0)
		r = dbox_scan(s, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];

		free(TAKE(m->dir));
		for (size_t k = 0; k < s->n_found; k++)
			if (s->found[k].numbering == m->numbering &&
			    id128_eq(s->found[k].id, m->id))
				m->dir = xstrdup(s->found[k].path);
	}
	s->replaying = true;
	return 0;
}

static bool claimed(const struct state *s, const struct found_dir *f)
{
	const struct mailbox *m = state_mailbox(s, f->id);

	if (m && m->numbering == f->numbering)
		return true;
	for (size_t i = 0; i < s->n_dead; i++)
		if (id128_eq(s->dead[i]->id, f->id))
			return true;
	return false;
}

/* Directories of mailboxes the log does not know, except deleted ones. */
static void orphan_unclaimed(struct state *s)
{
	AUTO_FREE char *keep = xprintf("%s/.duet/.expunged/", s->root);

	for (size_t i = 0; i < s->n_found; i++) {
		const struct found_dir *f = &s->found[i];
		char hex[33];

		if (claimed(s, f) ||
		    strncmp(f->path, keep, strlen(keep)) == 0 ||
		    dbox_to_expunged(s, f->path, f->id, f->numbering))
			continue;
		hex_of(f->id.b, 16, hex);
		AUTO_FREE char *to = xprintf("%s/.duet/orphans/%s.n%u.%llu",
					     s->root, hex, f->numbering,
					     (unsigned long long)s->pos.seq);
		s->fs->ops->rename(s->fs, f->path, to);
	}
}

/* A body that no message needs any more is not missed. */
static void forget_unneeded(struct state *s)
{
	size_t k = 0;

	for (size_t i = 0; i < s->n_missing; i++) {
		const struct missing *x = &s->missing[i];
		struct mailbox *m = state_mailbox(s, x->mbox);
		uint32_t rec = m ? mailbox_lower(m, x->uid) : 0;
		const struct mrec *r = m ? mailbox_rec(m, rec) : NULL;

		if (r && r->uid == x->uid && !(r->flags & MREC_EXPUNGED))
			s->missing[k++] = *x;
	}
	s->n_missing = k;
}

int state_replayed(struct state *s, struct err *e)
{
	int r = 0;

	if (!s->replaying)
		return 0;
	for (size_t i = 0; i < s->n_mboxes && r == 0; i++) {
		struct mailbox *m = s->mboxes[i];

		if (m->touched)
			r = mailbox_recount(m, e);
		m->touched = false;
		m->notify = false;
		/* One whose directory is gone gets a new one; its bodies are
		 * asked for when they are read. */
		if (r == 0 && !m->dir)
			r = dbox_dir(m, e);
	}
	if (r < 0)
		return r;
	/* By the paths of the scan: before another directory is moved there. */
	orphan_unclaimed(s);
	forget_found(s);
	state_settle_dirs(s);
	forget_unneeded(s);
	s->replaying = false;
	state_reap(s);
	return 0;
}

/* --- checkpoints ---------------------------------------------------------------------- */

void state_save(struct state *s, struct buf *to)
{
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];

		if (index_is_open(&m->index)) {
			growmap_settle(&m->index.map);
			index_note(&m->index, s->pos.seq);
		}
		if (cache_is_open(&m->cache))
			growmap_settle(&m->cache.map);
	}
	snapshot_put(s, to, false, NULL);
	s->saved_seq = s->pos.seq;
	for (size_t i = 0; i < s->n_garbage; i++)
		s->garbage[i].saved = true;
}

/* Expunged messages whose file is still there keep their record, by which
 * their body is found. */
static uint32_t unswept(const struct state *s, const struct mailbox *m)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->n_expunged; i++)
		n += s->expunged[i].uid && id128_eq(s->expunged[i].mbox, m->id);
	return n;
}

static bool worth_compacting(const struct state *s, const struct mailbox *m)
{
	uint32_t gone = m->index.n - m->messages;

	/* Sessions keep record numbers. */
	if (m->refs || gone < COMPACT_MIN || gone < m->index.n / 4)
		return false;
	/* Of an older numbering there may be others: this is a guess. */
	gone -= gone < unswept(s, m) ? gone : unswept(s, m);
	return gone >= COMPACT_MIN && gone >= m->index.n / 4;
}

static void compact_idle(struct state *s)
{
	for (size_t i = 0; i < s->n_mboxes; i++)
		if (worth_compacting(s, s->mboxes[i]))
			mailbox_compact(s->mboxes[i], NULL);
}

void state_checkpointed(struct state *s)
{
	size_t k = 0;

	for (size_t i = 0; i < s->n_garbage; i++) {
		struct garbage *g = &s->garbage[i];

		if (g->saved) {
			s->fs->ops->unlink(s->fs, g->path);
			free(g->path);
		} else {
			s->garbage[k++] = *g;
		}
	}
	s->n_garbage = k;
	s->kept_seq = s->saved_seq;
	if (!s->replaying && !s->broken)
		compact_idle(s);
}

/* --- seeds ------------------------------------------------------------------------------- */

int state_export(struct state *s, struct buf *to, struct err *e)
{
	return snapshot_put(s, to, true, e);
}

int state_import(const struct state_opts *o, struct slice exported,
		 struct state **out, struct err *e)
{
	struct state *s = state_new(o);
	int r = state_dirs(s, e);

	if (r == 0)
		r = snapshot_get(s, exported, true, e);
	if (r < 0) {
		state_free(s);
		return r;
	}
	*out = s;
	return 0;
}

int state_bodies(struct state *s, state_body_cb *cb, void *arg, struct err *e)
{
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];
		int r = mailbox_index(m, e);

		if (r < 0)
			return r;
		for (uint32_t k = 0; k < m->index.n; k++) {
			const struct mrec *rec = index_rec(&m->index, k);

			if (!(rec->flags & MREC_EXPUNGED) &&
			    !cb(arg, m, rec))
				return 0;
		}
	}
	return 0;
}

int state_place_body(struct state *s, struct mailbox *m, const struct mrec *rec,
		     const char *from, uint64_t offset, struct err *e)
{
	struct op_msg_add o = {.mbox = m->id, .uid = rec->uid,
			       .emailid = rec->emailid, .size = rec->size,
			       .internaldate = rec->internaldate};
	int r = s->broken ? E_TEMP : dbox_dir(m, e);

	memcpy(o.body_hash, rec->body_hash, 32);
	return r < 0 ? r : dbox_place_from(m, &o, from, offset, e);
}

size_t state_missing(const struct state *s)
{
	return s->n_missing;
}

bool state_missing_each(struct state *s, state_missing_cb *cb, void *arg)
{
	for (size_t i = 0; i < s->n_missing; i++)
		if (!cb(arg, s->missing[i].hash, s->missing[i].size))
			return false;
	return true;
}

void state_missing_found(struct state *s, const uint8_t hash[32])
{
	size_t k = 0;

	for (size_t i = 0; i < s->n_missing; i++)
		if (memcmp(s->missing[i].hash, hash, 32) != 0)
			s->missing[k++] = s->missing[i];
	s->n_missing = k;
}

/* --- sweeps -------------------------------------------------------------------------------- */

/* What could not be moved to .expunged is where it was; a UID never comes
 * back under one numbering.  Of older snapshots the numbering is not known. */
static int sweep_left_file(struct state *s, const struct expunged_file *x)
{
	struct mailbox *m = state_mailbox(s, x->mbox);
	struct buf path;
	int r;

	if (!m || !m->dir || x->numbering == 0 || x->numbering != m->numbering)
		return 0;
	buf_init(&path, 8192);
	dbox_path(m, x->uid, &path);
	r = s->fs->ops->unlink(s->fs, (char *)path.p);
	buf_fini(&path);
	return r == -ENOENT ? 0 : r;
}

static int sweep_left_dir(struct state *s, const struct expunged_file *x)
{
	struct mailbox *m = state_mailbox(s, x->mbox);
	int r;

	if (m && m->numbering == x->numbering)
		return 0;
	r = dbox_scan(s, NULL);
	for (size_t i = 0; i < s->n_found && r == 0; i++)
		if (id128_eq(s->found[i].id, x->mbox) &&
		    s->found[i].numbering == x->numbering)
			r = fsio_remove_tree(s->fs, s->found[i].path);
	forget_found(s);
	return r;
}

static int sweep_file(struct state *s, const struct expunged_file *x,
		      const char *hex)
{
	AUTO_FREE char *path = xprintf("%s/.duet/.expunged/%s.%u", s->root, hex,
				       x->uid);
	int r = s->fs->ops->unlink(s->fs, path);

	return r == -ENOENT ? sweep_left_file(s, x) : r;
}

/* Of a deleted mailbox, or of an older numbering. */
static int sweep_dir(struct state *s, const struct expunged_file *x,
		     const char *hex)
{
	AUTO_FREE char *dir = xprintf("%s/.duet/.expunged/%s", s->root, hex);
	AUTO_FREE char *old = xprintf("%s.n%u", dir, x->numbering);
	AUTO_FREE char *index = xprintf("%s.index", dir);
	bool gone = !state_mailbox(s, x->mbox);
	bool there = fsio_exists(s->fs, old) ||
		     (gone && fsio_exists(s->fs, dir));
	int r = there ? fsio_remove_tree(s->fs, old) : sweep_left_dir(s, x);

	if (r == 0 && gone)
		r = fsio_remove_tree(s->fs, dir);
	if (r == 0 && gone)
		r = s->fs->ops->unlink(s->fs, index);
	return r == -ENOENT ? 0 : r;
}

/* False: not now, it is tried again. */
static bool sweep_one(struct state *s, const struct expunged_file *x)
{
	char hex[33];

	hex_of(x->mbox.b, 16, hex);
	return (x->uid ? sweep_file(s, x, hex) : sweep_dir(s, x, hex)) == 0;
}

void state_sweep(struct state *s, int64_t before, uint64_t acked_seq)
{
	size_t k = 0;

	for (size_t i = 0; i < s->n_expunged; i++) {
		struct expunged_file *x = &s->expunged[i];

		/* What replaced it (a copy, another numbering) must be
		 * durable too. */
		if (x->time >= before || x->seq > acked_seq ||
		    x->seq > s->kept_seq || !sweep_one(s, x))
			s->expunged[k++] = *x;
	}
	s->n_expunged = k;
}
