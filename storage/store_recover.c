/* Replay of a journal: see replication.md, Recovery, and store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>

/* Where in the journal an account's tree was replaced last: what stands
 * before it is ignored. */
struct replaced {
	uint64_t ordinal;
	uint64_t token;
};

/* The lowest position that a RESET cut an account's log to. */
struct cut {
	uint64_t ordinal;
	struct position pos;
};

struct replay {
	struct store *s;
	struct map *replaced;		/* id → replaced */
	struct map *cuts;		/* id → cut */
	uint64_t ordinal;		/* of the entry, over all batches */
	struct arena *arena;
	struct err *e;
};

static struct id128 id_at(struct slice data)
{
	struct id128 id = {{0}};

	if (data.n >= sizeof(id.b))
		memcpy(id.b, data.p, sizeof(id.b));
	return id;
}

static int broken(struct replay *x, const struct journal_entry *en)
{
	return err_set(x->e, E_CORRUPT, "batch %" PRIu64 " holds an entry of "
		       "type %u that cannot be read", en->batch, en->type);
}

/* --- first pass -------------------------------------------------------------- */

static void note_cut(struct replay *x, const struct reset_entry *reset)
{
	struct cut *c = map_get(x->cuts, id_slice(&reset->account));

	if (!c) {
		c = NEW(struct cut);
		map_put(x->cuts, id_slice(&reset->account), c);
	} else if (c->pos.seq < reset->pos.seq) {
		return;
	}
	c->ordinal = x->ordinal;
	c->pos = reset->pos;
}

static int find_replaced(void *arg, const struct journal_entry *en)
{
	struct replay *x = arg;
	struct reset_entry reset;
	struct replaced *r;

	x->ordinal++;
	if (en->time > x->s->last_batch_time)
		x->s->last_batch_time = en->time;
	if (en->type != JOURNAL_RESET)
		return 0;
	if (!reset_entry_get(en->data, &reset))
		return broken(x, en);
	if (reset.kind == RESET_CUT) {
		note_cut(x, &reset);
		return 0;
	}
	r = map_get(x->replaced, id_slice(&reset.account));
	if (!r) {
		r = NEW(struct replaced);
		map_put(x->replaced, id_slice(&reset.account), r);
	}
	r->ordinal = x->ordinal;
	r->token = reset.token;
	return 0;
}

/* --- second pass -------------------------------------------------------------- */

/* The account, with its tree as the last mark left it. */
static int account_of(struct replay *x, struct id128 id, bool fresh,
		      struct account **out)
{
	struct store *s = x->s;
	struct account *a = store_account(s, id);
	struct replaced *rep = map_get(x->replaced, id_slice(&id));
	struct cut *cut = map_get(x->cuts, id_slice(&id));
	struct account_root root;
	int r;

	if (a) {
		*out = a;
		return 0;
	}
	r = account_root_get(s->fs, s->state_dir, id, &root, x->e);
	if (r < 0)
		return r;
	r = account_root_check(s->fs, pair_slice(s), &root, x->e);
	if (r == E_NOTFOUND)
		r = err_set(x->e, E_TEMP, "%s has no owner's mark, but the "
			    "journal has changes of '%s': is its file system "
			    "mounted?", root.root, root.name);
	if (r == 0 && rep)
		r = store_seed_finish(s, root.root, rep->token, x->e);
	if (r == 0)
		r = account_load(s, &root, fresh, cut ? &cut->pos : NULL, out,
				 x->e);
	if (r < 0)
		err_prefix(x->e, "account '%s'", root.name);
	return r;
}

static int redo_frame(struct replay *x, const struct journal_entry *en)
{
	struct store *s = x->s;
	struct frame_entry fe;
	struct frame_bodies bodies;
	struct pending_frame *p;
	struct position pos;
	struct record rec;
	struct account *a;
	struct frame f;
	int r;

	arena_reset(x->arena);
	if (!frame_entry_get(en->data, x->arena, &fe))
		return broken(x, en);
	frame_get(fe.frame, &f, NULL);
	r = account_of(x, fe.account, f.seq == 1, &a);
	if (r < 0)
		return r;
	if (f.seq != a->end.seq + 1 ||
	    f.chain != frame_chain(pair_slice(s), a->id, a->end.chain, &f))
		return err_set(x->e, E_CORRUPT, "account '%s': frame %" PRIu64
			       " of batch %" PRIu64 " does not continue the log "
			       "at %" PRIu64, a->name, f.seq, en->batch,
			       a->end.seq);
	r = record_decode(f.payload, x->arena, &rec, x->e);
	if (r == 0)
		r = position_after(&a->end, &f, &rec, &pos, x->e);
	if (r < 0)
		return r;
	bodies = (struct frame_bodies){fe.bodies, fe.n_bodies};
	p = account_accept(a, fe.frame, pos, &bodies, en->batch, x->e);
	if (!p)
		return E_CORRUPT;
	account_durable_upto(a, en->batch);
	head_durable(a->head, pos.seq);
	if (f.hlc > s->last_hlc)
		s->last_hlc = f.hlc;
	return 0;
}

static int redo_mark(struct replay *x, const struct journal_entry *en)
{
	struct cursor c = cursor_of(en->data);
	struct ckmark_lone m;
	struct account *a;
	uint16_t kind;
	int r;

	cursor_copy(&c, m.account.b, 16);
	kind = cursor_le16(&c);
	m.reason = (uint8_t)cursor_le16(&c);
	cursor_le32(&c);
	m.time = cursor_le64(&c);
	m.partner = get_position(&c);
	if (!cursor_done(&c) || (kind != MARK_SYNC && kind != MARK_LONE))
		return broken(x, en);
	r = account_of(x, m.account, true, &a);
	if (r == 0)
		store_apply_mark(x->s, a, (uint8_t)kind, &m);
	return r;
}

static int redo_acked(struct replay *x, const struct journal_entry *en)
{
	struct cursor c = cursor_of(en->data);
	struct position pos;
	struct account *a;
	struct id128 id;
	int r;

	cursor_copy(&c, id.b, 16);
	pos = get_position(&c);
	if (!cursor_done(&c))
		return broken(x, en);
	r = account_of(x, id, true, &a);
	if (r == 0) {
		a->partner_acked = pos;
		head_acked(a->head, pos.seq);
	}
	return r;
}

static int redo_journals(struct replay *x, const struct journal_entry *en)
{
	struct cursor c = cursor_of(en->data);
	struct journal_id ids[STORE_PARTNER_JOURNALS_MAX];
	size_t n = 0;

	while (cursor_left(&c) > 0 && !c.bad && n < ARRAY_LEN(ids)) {
		ids[n].id = cursor_le64(&c);
		ids[n].last_batch = cursor_le64(&c);
		n++;
	}
	if (!cursor_done(&c))
		return broken(x, en);
	store_set_partner(x->s, ids, n);
	return 0;
}

/* Then the account may have nothing on disk yet; marks and positions stand
 * behind its first frame, or behind a mark. */
static bool is_first_frame(const struct journal_entry *en)
{
	struct frame f;

	if (en->type != JOURNAL_FRAME)
		return en->type != JOURNAL_RESET;
	return en->data.n > 24 &&
	       frame_get(slice_sub(en->data, 24, en->data.n), &f, NULL) > 0 &&
	       f.seq == 1;
}

static int redo(void *arg, const struct journal_entry *en)
{
	struct replay *x = arg;
	struct id128 id = id_at(en->data);
	struct replaced *rep;
	struct cut *cut;
	struct account *a;
	int r;

	x->ordinal++;
	if (en->type == JOURNAL_TIME)
		return 0;
	if (en->type == JOURNAL_JOURNALS)
		return redo_journals(x, en);
	rep = map_get(x->replaced, id_slice(&id));
	if (rep && x->ordinal < rep->ordinal)
		return 0;
	r = account_of(x, id, is_first_frame(en), &a);
	if (r < 0)
		return r;
	cut = map_get(x->cuts, id_slice(&id));
	if (a->cut_loaded && cut && x->ordinal < cut->ordinal)
		return 0;	/* dropped by that RESET, and gone already */
	switch (en->type) {
	case JOURNAL_FRAME:
		return redo_frame(x, en);
	case JOURNAL_MARK:
		return redo_mark(x, en);
	case JOURNAL_ACKED:
		return redo_acked(x, en);
	case JOURNAL_RESET:
		return store_reset_replay(x->s, a, en, x->e);
	}
	return err_set(x->e, E_VERSION, "batch %" PRIu64 " holds an entry of "
		       "type %u: written by a newer version", en->batch,
		       en->type);
}

/* --- the end ----------------------------------------------------------------------- */

/* What was published before the crash may be in the index already: everything
 * that can have been is applied again when it is published. */
static int settle(struct account *a, struct err *e)
{
	int r = 0;

	a->replayed = false;
	a->dirty = true;
	if (a->unclean_until < a->end.seq)
		a->unclean_until = a->end.seq;
	if (a->replaying && a->published.seq >= a->unclean_until) {
		a->replaying = false;
		r = state_replayed(a->state, e);
		if (r < 0)
			err_prefix(e, "account '%s'", a->name);
	}
	return r;
}

/* Snapshots of checkpoints that the last life began and did not end. */
static void bury(struct store *s)
{
	struct ckmark *m = &s->mark;
	uint64_t last = journal_last(s->journal);

	if ((last == m->batch && m->clean) || last == 0 ||
	    m->n_dead >= CKMARK_DEAD_MAX)
		return;
	GROW(m->dead, m->n_dead, m->cap_dead);
	m->dead[m->n_dead++] =
		(struct ckmark_dead){{m->batch, m->sub}, last};
}

static int walk(struct store *s, struct replay *x)
{
	int r = journal_each(s->journal, find_replaced, x, x->e);
	struct slice key;
	void *value;

	x->ordinal = 0;
	if (r == 0)
		r = journal_each(s->journal, redo, x, x->e);
	for (size_t i = 0; r == 0 && map_each(s->accounts, &i, &key, &value);)
		r = settle(value, x->e);
	return r;
}

int store_replay(struct store *s, struct err *e)
{
	struct replay x = {.s = s, .replaced = map_new(), .cuts = map_new(),
			   .arena = arena_new(65536), .e = e};
	struct slice key;
	void *value;
	int r;

	s->recovering = true;
	r = walk(s, &x);
	s->recovering = false;
	for (size_t i = 0; map_each(x.replaced, &i, &key, &value);)
		free(value);
	map_free(x.replaced);
	for (size_t i = 0; map_each(x.cuts, &i, &key, &value);)
		free(value);
	map_free(x.cuts);
	arena_free(x.arena);
	if (r < 0)
		return r;
	bury(s);
	/* No checkpoint of this life shares its batch with one of the last. */
	if (journal_last(s->journal) > 0) {
		r = journal_put(s->journal, JOURNAL_TIME, NULL, 0,
				JOURNAL_RESERVED, NULL);
		if (r == -ENOSPC) {
			/* Full of marks: the views are as good as replayed. */
			r = store_checkpoint_now(s, false, e);
			return r;
		}
		if (r == 0)
			r = journal_sync(s->journal);
		if (r < 0)
			return err_set(e, r, "journal %u: %s", s->number,
				       err_name(r));
	}
	return 0;
}

/* --- the recovery process ------------------------------------------------------------ */

struct present {
	unsigned *items;
	size_t n, cap;
};

static bool add_present(void *arg, const char *name)
{
	struct present *p = arg;
	uint32_t v;

	if (slice_u32(slice_str(name), &v) < 0)
		return true;
	GROW(p->items, p->n, p->cap);
	p->items[p->n++] = v;
	return true;
}

static int recover_one(const struct store_opts *o, unsigned number,
		       void (*progress)(void *arg, const char *text), void *arg,
		       struct err *e)
{
	struct store *s = NULL;
	int r = store_open_number(o, number, &s, e);

	if (r < 0) {
		err_prefix(e, "journal %u", number);
		return r;
	}
	r = store_checkpoint_now(s, true, e);
	if (progress && r == 0) {
		AUTO_FREE char *text = xprintf(
			"journal %u: %zu accounts brought up to batch %" PRIu64,
			number, map_size(s->accounts),
			journal_last(s->journal));

		progress(arg, text);
	}
	store_drop(s);
	return r;
}

int store_recover_all(const struct store_opts *o,
		      void (*progress)(void *arg, const char *text), void *arg,
		      struct err *e)
{
	AUTO_FREE char *dir = xprintf("%s/journal", o->state_dir);
	struct present p = {0};
	int r = o->sys->fs->ops->list(o->sys->fs, dir, add_present, &p);

	if (r == -ENOENT)
		r = 0;		/* a first start */
	else if (r < 0)
		err_set(e, r, "%s: %s", dir, err_name(r));
	for (size_t i = 0; i < p.n && r == 0; i++)
		r = recover_one(o, p.items[i], progress, arg, e);
	free(p.items);
	return r;
}

int store_set_aside(const struct store_opts *o, unsigned number, struct err *e)
{
	struct fsio *fs = o->sys->fs;
	AUTO_FREE char *dir = xprintf("%s/journal", o->state_dir);
	AUTO_FREE char *from = xprintf("%s/%u", dir, number);
	AUTO_FREE char *mark = xprintf("%s.mark", from);
	AUTO_FREE char *to = xprintf("%s/bad.%016" PRIx64, dir,
				     rng_u64(o->sys->rng));
	AUTO_FREE char *mark_to = xprintf("%s.mark", to);
	/* The mark last: while it is there, the loss is not forgotten. */
	int r = fs->ops->rename(fs, from, to);

	if (r == 0 || r == -ENOENT)
		r = fs->ops->fsync_dir(fs, dir);
	if (r == 0)
		r = fs->ops->rename(fs, mark, mark_to);
	if (r == 0 || r == -ENOENT)
		r = fs->ops->fsync_dir(fs, dir);
	return r < 0 ? err_set(e, r, "set %s aside: %s", from, err_name(r)) : 0;
}
