/* Replay of a journal: see replication.md, Recovery, and store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>

/* What a pass meets of one account: first its parked entries, then those of
 * the journal. */
struct mine {
	uint64_t n;			/* entries met in this pass */
	bool begun;			/* in the second pass */
	/* Its tree was replaced last by the entry of this number: what stands
	 * before is ignored. */
	uint64_t replaced_at, token;
	/* The lowest position that a RESET cut its log to. */
	uint64_t cut_at;
	struct position cut;
	struct parked_file *files;	/* of earlier recoveries */
	size_t n_files;
	/* It cannot be brought up to date: the entries are kept. */
	bool parked, fresh;
	bool genesis;			/* its first frame is among them */
	uint64_t first;			/* seq of the first of its frames there */
	struct buf entries;
};

struct replay {
	struct store *s;
	struct map *mine;		/* id → mine */
	struct arena *arena;
	struct err *e;
	bool refuse;			/* not a matter of one account */
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

static bool has_account(const struct journal_entry *en)
{
	return en->type != JOURNAL_TIME && en->type != JOURNAL_JOURNALS;
}

/* --- first pass -------------------------------------------------------------- */

static int note_reset(struct replay *x, struct mine *m,
		      const struct journal_entry *en)
{
	struct reset_entry reset;

	if (!reset_entry_get(en->data, &reset))
		return broken(x, en);
	if (reset.kind == RESET_REPLACED) {
		m->replaced_at = m->n;
		m->first = 0;
		m->token = reset.token;
	} else if (m->cut_at == 0 || reset.pos.seq <= m->cut.seq) {
		m->cut_at = m->n;
		m->cut = reset.pos;
	}
	return 0;
}

struct one {
	struct replay *x;
	struct mine *m;
	bool skip;			/* count only */
};

static void note_frame(struct mine *m, const struct journal_entry *en)
{
	struct frame f;

	if (en->type != JOURNAL_FRAME || en->data.n <= 24 ||
	    frame_get(slice_sub(en->data, 24, en->data.n), &f, NULL) <= 0)
		return;
	if (f.seq == 1)
		m->genesis = true;
	if (m->first == 0)
		m->first = f.seq;
}

static int note_parked(void *arg, const struct journal_entry *en)
{
	struct one *o = arg;

	o->m->n++;
	note_frame(o->m, en);
	return en->type == JOURNAL_RESET ? note_reset(o->x, o->m, en) : 0;
}

static void park(struct replay *x, struct id128 id, struct mine *m)
{
	struct store *s = x->s;
	struct account *a = map_remove(s->accounts, id_slice(&id));

	account_drop(a);
	m->parked = true;
	store_park(s, id, x->e->op);
	*x->e = ERR_NONE;
}

/* Files of parked entries that cannot be read are a matter of that account. */
static int mine_of(struct replay *x, struct id128 id, struct mine **out)
{
	struct mine *m = map_get(x->mine, id_slice(&id));
	int r = 0;

	*out = m;
	if (m)
		return 0;
	*out = m = NEW(struct mine);
	map_put(x->mine, id_slice(&id), m);
	store_parked_begin(&m->entries);
	r = store_parked_list(x->s, id, &m->files, &m->n_files, x->e);
	for (size_t i = 0; i < m->n_files && r == 0; i++)
		r = store_parked_each(x->s, id, &m->files[i], note_parked,
				      &(struct one){x, m, false}, x->e);
	return r;
}

static int note(void *arg, const struct journal_entry *en)
{
	struct replay *x = arg;
	struct id128 id = id_at(en->data);
	struct mine *m;
	int r;

	if (en->time > x->s->last_batch_time)
		x->s->last_batch_time = en->time;
	if (!has_account(en))
		return 0;
	r = mine_of(x, id, &m);
	if (r == 0 && !m->parked) {
		m->n++;
		note_frame(m, en);
		if (en->type == JOURNAL_RESET)
			r = note_reset(x, m, en);
	}
	if (r < 0)
		park(x, id, m);
	return 0;
}

/* --- second pass -------------------------------------------------------------- */

static bool any_name(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return false;
}

/* A log that no snapshot covers is damaged, not new. */
static bool has_segments(struct store *s, const char *root)
{
	AUTO_FREE char *dir = xprintf("%s/.duet/state/log", root);
	bool has = false;

	s->fs->ops->list(s->fs, dir, any_name, &has);
	return has;
}

/* The account, with its tree as the last mark left it. */
static int load_account(struct replay *x, struct id128 id, struct mine *m,
			bool fresh)
{
	struct store *s = x->s;
	struct account_root root;
	struct account *a;
	int r = store_root_get(s, id, &root, x->e);

	if (r < 0)
		return r;
	r = account_root_check(s->fs, pair_slice(s), &root, x->e);
	if (r == E_NOTFOUND)
		r = err_set(x->e, E_TEMP, "%s has no owner's mark, but the "
			    "journal has changes of '%s': is its file system "
			    "mounted?", root.root, root.name);
	if (r == 0 && m->replaced_at)
		r = store_seed_finish(s, root.root, m->token, x->e);
	fresh = fresh && (m->genesis || !has_segments(s, root.root));
	if (r == 0)
		r = account_load(s, &root, fresh, m->cut_at ? &m->cut : NULL,
				 m->first, &a, x->e);
	if (r < 0)
		err_prefix(x->e, "account '%s'", root.name);
	return r;
}

static int redo_frame(struct replay *x, struct account *a,
		      const struct journal_entry *en)
{
	struct store *s = x->s;
	struct frame_entry fe;
	struct frame_bodies bodies;
	struct pending_frame *p;
	struct position pos;
	struct record rec;
	struct frame f;
	int r;

	arena_reset(x->arena);
	if (!frame_entry_get(en->data, x->arena, &fe))
		return broken(x, en);
	frame_get(fe.frame, &f, NULL);
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

static int redo_mark(struct replay *x, struct account *a,
		     const struct journal_entry *en)
{
	struct cursor c = cursor_of(en->data);
	struct ckmark_lone m;
	uint16_t kind;

	cursor_copy(&c, m.account.b, 16);
	kind = cursor_le16(&c);
	m.reason = (uint8_t)cursor_le16(&c);
	cursor_le32(&c);
	m.time = cursor_le64(&c);
	m.partner = get_position(&c);
	if (!cursor_done(&c) || (kind != MARK_SYNC && kind != MARK_LONE))
		return broken(x, en);
	store_apply_mark(x->s, a, (uint8_t)kind, &m);
	return 0;
}

static int redo_acked(struct replay *x, struct account *a,
		      const struct journal_entry *en)
{
	struct cursor c = cursor_of(en->data);
	struct position pos;

	cursor_bytes(&c, 16);
	pos = get_position(&c);
	if (!cursor_done(&c))
		return broken(x, en);
	a->partner_acked = pos;
	head_acked(a->head, pos.seq);
	return 0;
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

static int redo_one(struct replay *x, struct id128 id, struct mine *m,
		    const struct journal_entry *en)
{
	struct account *a;
	int r;

	m->n++;
	if (en->type == JOURNAL_ACCOUNT)
		return store_made_replay(x->s, en, x->e);
	if (m->n < m->replaced_at)
		return 0;
	a = store_account(x->s, id);
	if (!a) {
		r = load_account(x, id, m, is_first_frame(en));
		if (r < 0)
			return r;
		a = store_account(x->s, id);
	}
	if (a->cut_loaded && m->n < m->cut_at)
		return 0;	/* dropped by that RESET, and gone already */
	switch (en->type) {
	case JOURNAL_FRAME:
		return redo_frame(x, a, en);
	case JOURNAL_MARK:
		return redo_mark(x, a, en);
	case JOURNAL_ACKED:
		return redo_acked(x, a, en);
	case JOURNAL_RESET:
		return store_reset_replay(x->s, a, en, x->e);
	}
	x->refuse = true;
	return err_set(x->e, E_VERSION, "batch %" PRIu64 " holds an entry of "
		       "type %u: written by a newer version", en->batch,
		       en->type);
}

static int redo_parked_one(void *arg, const struct journal_entry *en)
{
	struct one *o = arg;

	if (o->skip) {
		o->m->n++;
		return 0;
	}
	return redo_one(o->x, id_at(en->data), o->m, en);
}

static int make_again_one(void *arg, const struct journal_entry *en)
{
	struct one *o = arg;

	return en->type == JOURNAL_ACCOUNT ?
		       store_made_replay(o->x->s, en, o->x->e) : 0;
}

/* The parked entries that are not in the account yet.  It is loaded first,
 * for its snapshot tells which. */
static int redo_parked(struct replay *x, struct id128 id, struct mine *m)
{
	struct account *a;
	int r = 0;

	m->begun = true;
	m->n = 0;
	if (m->n_files == 0)
		return 0;
	for (size_t i = 0; r == 0 && i < m->n_files; i++)
		r = store_parked_each(x->s, id, &m->files[i], make_again_one,
				      &(struct one){x, m, false}, x->e);
	if (r == 0)
		r = load_account(x, id, m, false);
	a = store_account(x->s, id);
	for (size_t i = 0; r == 0 && i < a->n_parked; i++) {
		struct one o = {x, m, a->parked[i].included};

		r = store_parked_each(x->s, id, &a->parked[i], redo_parked_one,
				      &o, x->e);
	}
	for (size_t i = 0; r == 0 && i < a->n_parked; i++)
		a->parked[i].included = true;
	return r;
}

static int redo(void *arg, const struct journal_entry *en)
{
	struct replay *x = arg;
	struct id128 id = id_at(en->data);
	struct mine *m;
	int r = 0;

	if (en->type == JOURNAL_TIME)
		return 0;
	if (en->type == JOURNAL_JOURNALS)
		return redo_journals(x, en);
	m = map_get(x->mine, id_slice(&id));
	if (m->parked)
		return 0;
	if (!m->begun)
		r = redo_parked(x, id, m);
	if (r == 0)
		r = redo_one(x, id, m, en);
	if (r < 0 && !x->refuse) {
		park(x, id, m);
		r = 0;
	}
	return r;
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
		r = state_replayed(a->state, e);
		a->replaying = r < 0;
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
		(struct ckmark_dead){{m->batch, m->sub}, last, CKMARK_SUB_END};
}

static void settle_all(struct replay *x)
{
	struct slice key;
	void *value;

	for (size_t i = 0; map_each(x->mine, &i, &key, &value);) {
		struct id128 id = id_at(key);
		struct account *a = store_account(x->s, id);

		if (a && settle(a, x->e) < 0)
			park(x, id, value);
	}
}

/* --- what is kept of accounts that could not be replayed ------------------------------ */

static int keep(void *arg, const struct journal_entry *en)
{
	struct replay *x = arg;
	struct id128 id = id_at(en->data);
	struct mine *m = has_account(en) ? map_get(x->mine, id_slice(&id)) :
					   NULL;

	if (!m || !m->parked)
		return 0;
	m->fresh = m->genesis;
	store_parked_put(&m->entries, en);
	return 0;
}

/* Durably, before their batches can go. */
static int keep_parked(struct replay *x)
{
	struct store *s = x->s;
	struct slice key;
	void *value;
	int r = 0;

	if (map_size(s->parked) == 0)
		return 0;
	r = journal_each(s->journal, keep, x, x->e);
	for (size_t i = 0; r == 0 && map_each(x->mine, &i, &key, &value);) {
		struct mine *m = value;

		if (m->parked)
			r = store_parked_write(s, id_at(key), &m->entries,
					       m->fresh, x->e);
	}
	return r;
}

static void replay_begin(struct replay *x, struct store *s, struct err *e)
{
	*x = (struct replay){.s = s, .mine = map_new(),
			     .arena = arena_new(65536), .e = e};
	s->recovering = true;
}

static void replay_end(struct replay *x)
{
	struct slice key;
	void *value;

	x->s->recovering = false;
	for (size_t i = 0; map_each(x->mine, &i, &key, &value);) {
		struct mine *m = value;

		free(m->files);
		buf_fini(&m->entries);
		free(m);
	}
	map_free(x->mine);
	arena_free(x->arena);
}

int store_unpark(struct store *s, const struct account_root *root, bool fresh,
		 struct account **out, struct err *e)
{
	struct id128 id = root->id;
	struct account *a;
	struct replay x;
	struct mine *m;
	int r;

	replay_begin(&x, s, e);
	r = mine_of(&x, id, &m);
	if (r == 0 && m->n_files == 0) {
		replay_end(&x);
		return account_load(s, root, fresh, NULL, 0, out, e);
	}
	if (r == 0)
		r = redo_parked(&x, id, m);
	a = store_account(s, id);
	if (r == 0)
		r = settle(a, e);
	replay_end(&x);
	if (r < 0) {
		map_remove(s->accounts, id_slice(&id));
		account_drop(a);
		err_prefix(e, "%s/parked holds changes of '%s' that cannot be "
			   "applied", s->state_dir, root->name);
		return r;
	}
	store_unparked(s, id);
	*out = a;
	return 0;
}

/* --- the journal of this process ------------------------------------------------------ */

int store_replay(struct store *s, struct err *e)
{
	struct replay x;
	int r;

	replay_begin(&x, s, e);
	r = journal_each(s->journal, note, &x, e);
	if (r == 0)
		r = journal_each(s->journal, redo, &x, e);
	if (r == 0) {
		settle_all(&x);
		r = keep_parked(&x);
	}
	if (r == 0)
		r = store_made_put(s, journal_last(s->journal), e);
	replay_end(&x);
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

/* Also one of which only the mark is left. */
static bool add_traces(void *arg, const char *name)
{
	struct present *p = arg;
	struct slice n = slice_str(name);
	uint32_t v;

	if (n.n > 5 && memcmp(name + n.n - 5, ".mark", 5) == 0)
		n = slice_sub(n, 0, n.n - 5);
	if (slice_u32(n, &v) < 0)
		return true;
	for (size_t i = 0; i < p->n; i++)
		if (p->items[i] == v)
			return true;
	GROW(p->items, p->n, p->cap);
	p->items[p->n++] = v;
	return true;
}

/* Each is opened once to see: what else is wrong shows itself later. */
static int set_corrupt_aside(const struct store_opts *o, const char *dir,
			     void (*progress)(void *arg, const char *text),
			     void *arg, struct err *e)
{
	struct present p = {0};
	int r = o->sys->fs->ops->list(o->sys->fs, dir, add_traces, &p);

	if (r == -ENOENT)
		r = 0;
	else if (r < 0)
		err_set(e, r, "%s: %s", dir, err_name(r));
	for (size_t i = 0; i < p.n && r == 0; i++) {
		struct err why = ERR_NONE;
		struct store *s = NULL;
		AUTO_FREE char *text = NULL;

		if (store_open_number(o, p.items[i], &s, &why) != E_CORRUPT) {
			store_drop(s);
			continue;
		}
		r = store_set_aside(o, p.items[i], e);
		text = xprintf("journal %u is set aside, and what only it held "
			       "is lost here: %s", p.items[i], why.op);
		if (r == 0 && progress)
			progress(arg, text);
	}
	free(p.items);
	return r;
}

static bool no_room(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == E_NOSPACE;
}

/*
 * same: the journals belong to the processes that start now.  Then a full disk
 * is no obstacle: without the checkpoint each process replays its own, and
 * mail can be read and removed.  Else another process would serve an account
 * without what its old journal has.
 */
static int recover_one(const struct store_opts *o, unsigned number, bool same,
		       void (*progress)(void *arg, const char *text), void *arg,
		       struct err *e)
{
	struct err full = ERR_NONE;
	struct store *s = NULL;
	int r = store_open_number(o, number, &s, e);

	if (r < 0) {
		err_prefix(e, "journal %u", number);
		return r;
	}
	r = store_checkpoint_now(s, true, &full);
	if (no_room(r) && same) {
		r = 0;
		if (progress)
			progress(arg, full.op);
	} else if (r < 0) {
		err_set(e, r, "%s", full.op);
	} else if (progress) {
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
	bool same;
	int r = o->accept_loss ? set_corrupt_aside(o, dir, progress, arg, e) :
				 0;

	if (r < 0)
		return r;
	r = o->sys->fs->ops->list(o->sys->fs, dir, add_present, &p);

	if (r == -ENOENT)
		r = 0;		/* a first start */
	else if (r < 0)
		err_set(e, r, "%s: %s", dir, err_name(r));
	same = p.n == o->processes;
	for (size_t i = 0; i < p.n; i++)
		same = same && p.items[i] < o->processes;
	for (size_t i = 0; i < p.n && r == 0; i++)
		r = recover_one(o, p.items[i], same, progress, arg, e);
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
