/* Dropping a tail, installing a seed: see replication.md, RESET. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"
#include "node/base/digest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

/* How often a cut that waits for room is tried again. */
#define CUT_RETRY_USEC USEC_PER_SEC

/* --- the entry: account 16, kind u16, zero u16, zero u32, token u64, position  */

void store_reset_put(struct buf *to, const struct reset_entry *r)
{
	buf_put(to, r->account.b, 16);
	buf_le16(to, r->kind);
	buf_le16(to, 0);
	buf_le32(to, 0);
	buf_le64(to, r->token);
	put_position(to, r->pos);
}

bool reset_entry_get(struct slice data, struct reset_entry *out)
{
	struct cursor c = cursor_of(data);

	cursor_copy(&c, out->account.b, 16);
	out->kind = (uint8_t)cursor_le16(&c);
	cursor_le16(&c);
	cursor_le32(&c);
	out->token = cursor_le64(&c);
	out->pos = get_position(&c);
	return cursor_done(&c) &&
	       (out->kind == RESET_CUT || out->kind == RESET_REPLACED);
}

/* Queues the entry; reset() is called when it is durable. */
static int put_reset(struct store *s, struct account *a,
		     const struct reset_entry *en,
		     void (*reset)(struct store *, struct store_wait *),
		     void *job, store_reset_done *done, void *arg)
{
	struct store_wait *w = NEW(struct store_wait);
	struct slice part;
	struct buf b;
	int r;

	*w = (struct store_wait){.kind = WAIT_RESET, .account = a,
				 .reset = reset, .job = job,
				 .reset_done = done, .arg = arg};
	buf_init(&b, 128);
	store_reset_put(&b, en);
	part = buf_all(&b);
	r = journal_put(s->journal, JOURNAL_RESET, &part, 1, JOURNAL_RESERVED,
			&w->batch);
	buf_fini(&b);
	if (r < 0) {
		free(w);
		return r == -ENOSPC || r == -EIO ? E_TEMP : r;
	}
	store_account_ref(a);
	list_init(&w->node);
	list_append(&s->waits, &w->node);
	return 0;
}

static void forget_mark(struct store *s, struct account *a)
{
	a->mark = a->mark_reason = 0;
	free(map_remove(s->lone, id_slice(&a->id)));
}

/* --- cut ------------------------------------------------------------------------ */

/* A cut that was asked for. */
struct cut {
	struct list node;		/* in store.cuts: its tail is not saved */
	struct account *a;
	struct position pos;
	bool told;
	struct cut_done {
		store_reset_done *done;
		void *arg;
	} *done;
	size_t n_done, cap_done;
};

static char *tail_path(const struct account *a, uint64_t seq)
{
	return xprintf("%s/.duet/orphans/tail.%" PRIu64 ".%016" PRIx64, a->root,
		       seq + 1, a->end.chain);
}

static int write_tail(struct account *a, int fd, uint64_t seq)
{
	uint64_t at = 0;
	int r = 0;

	for (struct list *l = a->pending.next; l != &a->pending && r == 0;
	     l = l->next) {
		struct pending_frame *p = CONTAINER_OF(l, struct pending_frame,
						       node);
		struct buf b;

		if (p->pos.seq <= seq)
			continue;
		buf_init(&b, 2 * STORE_ENTRY_MAX);
		buf_slice(&b, p->bytes);
		buf_le32(&b, (uint32_t)p->bodies.n);
		for (size_t i = 0; i < p->bodies.n; i++) {
			buf_le32(&b, (uint32_t)p->bodies.data[i].n);
			buf_slice(&b, p->bodies.data[i]);
		}
		r = b.failed ? E_LIMIT :
			       fsio_pwrite_all(a->store->fs, fd, b.p, b.n, at);
		at += b.n;
		buf_fini(&b);
	}
	return r;
}

/*
 * The frames behind seq with their bodies in orphans/, durably and before the
 * RESET: the log loses them with it, below the mark too, and what cannot be
 * saved now (a full disk) can be tried again as long as nothing was written
 * down.  final: a sync failed, which is never tried again.
 */
static int save_tail(struct account *a, uint64_t seq, bool *final,
		     struct err *e)
{
	struct fsio *fs = a->store->fs;
	AUTO_FREE char *path = tail_path(a, seq);
	AUTO_FREE char *dir = account_dir(a, "orphans");
	int fd = fs->ops->open(fs, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int r = fd < 0 ? fd : write_tail(a, fd, seq);

	*final = false;
	if (r == 0) {
		r = fs->ops->fsync(fs, fd);
		if (r == 0)
			r = fs->ops->fsync_dir(fs, dir);
		if (r == 0)
			r = store_made_sync(a->store, a->id);
		*final = r < 0 && r != -ENOSPC && r != -EDQUOT;
	}
	if (fd >= 0)
		fs->ops->close(fs, fd);
	if (r < 0 && fd >= 0)
		fs->ops->unlink(fs, path);
	return r < 0 ? err_set(e, r, "%s: %s", path, err_name(r)) : 0;
}

/* The tail is saved. */
static int cut(struct store *s, struct account *a, struct position pos,
	       struct err *e)
{
	int r = alog_cut(a->log, pos, e);

	if (r < 0)
		return r;
	while (!list_empty(&a->pending)) {
		struct pending_frame *p = CONTAINER_OF(a->pending.prev,
						       struct pending_frame,
						       node);

		if (p->pos.seq <= pos.seq)
			break;
		list_remove(&p->node);
		account_pending_free(p);
	}
	list_remove(&a->touched);
	head_cut(a->head, pos.seq);
	a->end = a->durable = pos;
	if (a->unclean_until > pos.seq)
		a->unclean_until = pos.seq;
	forget_mark(s, a);
	account_dirty(a);
	if (!s->recovering && a->replaying &&
	    a->published.seq >= a->unclean_until) {
		a->replaying = false;
		return state_replayed(a->state, e);
	}
	return 0;
}

static void cut_free(struct cut *c)
{
	list_remove(&c->node);
	free(c->done);
	free(c);
}

/* The account is free again. */
static void cut_end(struct cut *c, int result)
{
	c->a->resetting = false;
	for (size_t i = 0; i < c->n_done; i++)
		c->done[i].done(c->done[i].arg, c->a, result);
	cut_free(c);
}

static void cut_durable(struct store *s, struct store_wait *w)
{
	struct cut *c = w->job;
	struct err e = ERR_NONE;
	int r = cut(s, w->account, c->pos, &e);

	if (r < 0) {
		/* The journal says that it was done: only a replay can. */
		w->account->resetting = false;
		cut_free(c);
		store_fail(s, &e);
		return;
	}
	cut_end(c, 0);
}

/* False: it waits for room, in the journal or on the disk. */
static bool cut_try(struct store *s, struct cut *c)
{
	struct account *a = c->a;
	struct reset_entry en = {.account = a->id, .kind = RESET_CUT,
				 .pos = c->pos};
	struct err e = ERR_NONE;
	bool final = false;
	int r = a->end.seq > c->pos.seq ?
			save_tail(a, c->pos.seq, &final, &e) : 0;

	if (r == 0) {
		r = put_reset(s, a, &en, cut_durable, c, NULL, NULL);
		if (r == 0)
			return true;
		err_set(&e, r, "no room for a RESET in the journal");
	}
	if (final)
		store_fail(s, &e);
	if (s->failed || r == E_LIMIT) {
		cut_end(c, r);
		return true;
	}
	if (!c->told)
		store_tell(s, STORE_WAITS, a->id, a->name, e.op);
	c->told = true;
	return false;
}

void store_cuts_turn(struct store *s)
{
	uint64_t now = clock_mono(s->o.sys->clock);
	struct list *next;

	if (now < s->cut_retry_usec)
		return;
	for (struct list *l = s->cuts.next; l != &s->cuts && !s->failed;
	     l = next) {
		struct cut *c = CONTAINER_OF(l, struct cut, node);
		struct account *a = c->a;

		next = l->next;
		list_remove(&c->node);
		if (cut_try(s, c))
			store_account_unref(a);
		else
			list_append(next, &c->node);	/* in its place */
	}
	s->cut_retry_usec = now + CUT_RETRY_USEC;
}

void store_cuts_fini(struct store *s)
{
	while (!list_empty(&s->cuts))
		cut_free(CONTAINER_OF(s->cuts.next, struct cut, node));
}

static struct cut *waiting_cut(struct store *s, const struct account *a)
{
	for (struct list *l = s->cuts.next; l != &s->cuts; l = l->next) {
		struct cut *c = CONTAINER_OF(l, struct cut, node);

		if (c->a == a)
			return c;
	}
	return NULL;
}

static void cut_add_done(struct cut *c, store_reset_done *done, void *arg)
{
	if (!done)
		return;
	GROW(c->done, c->n_done, c->cap_done);
	c->done[c->n_done++] = (struct cut_done){done, arg};
}

void store_cut(struct store *s, struct account *a, uint64_t seq,
	       store_reset_done *done, void *arg)
{
	struct cut *c = waiting_cut(s, a);
	struct position pos;
	int r = s->failed || (a->resetting && !c) ? E_TEMP :
		seq < a->published.seq || seq > a->end.seq ? E_INVALID :
		seq == a->published.seq ? 0 :
		store_position_at(s, a, seq, &pos);

	if (r < 0) {
		if (done)
			done(arg, a, r);
		return;
	}
	if (seq == a->published.seq)
		pos = a->published;
	if (c) {		/* it has not begun: the last word counts */
		c->pos = pos;
		cut_add_done(c, done, arg);
		return;
	}
	c = NEW(struct cut);
	*c = (struct cut){.a = a, .pos = pos};
	list_init(&c->node);
	cut_add_done(c, done, arg);
	a->resetting = true;
	if (!cut_try(s, c)) {
		store_account_ref(a);
		list_append(&s->cuts, &c->node);
		s->cut_retry_usec = clock_mono(s->o.sys->clock) +
				    CUT_RETRY_USEC;
	}
}

/* A replay may meet one that was saved before; its name tells. */
static int replay_cut(struct store *s, struct account *a, struct position pos,
		      struct err *e)
{
	AUTO_FREE char *path = tail_path(a, pos.seq);
	bool final;
	int r = 0;

	if (a->end.seq > pos.seq && !fsio_exists(s->fs, path))
		r = save_tail(a, pos.seq, &final, e);
	return r < 0 ? r : cut(s, a, pos, e);
}

int store_reset_replay(struct store *s, struct account *a,
		       const struct journal_entry *en, struct err *e)
{
	struct reset_entry reset;

	if (!reset_entry_get(en->data, &reset))
		return err_set(e, E_CORRUPT, "a broken RESET");
	if (reset.kind == RESET_CUT) {
		if (reset.pos.seq > a->end.seq ||
		    reset.pos.seq < a->published.seq)
			return err_set(e, E_CORRUPT, "account '%s': a cut to "
				       "%" PRIu64 " of a log that ends at "
				       "%" PRIu64, a->name, reset.pos.seq,
				       a->end.seq);
		return replay_cut(s, a, reset.pos, e);
	}
	/* store_seed_finish() has put the new tree in place before it was
	 * read. */
	if (!position_eq(reset.pos, a->end))
		return err_set(e, E_CORRUPT, "account '%s': the seed of "
			       "position %" PRIu64 " is not in place", a->name,
			       reset.pos.seq);
	forget_mark(s, a);
	return 0;
}

/* --- seeds: the tree --------------------------------------------------------------- */

#define SEED_MARK ".duet-seed"

struct seed {
	struct store_flight flight;	/* while it is synced */
	struct store *s;
	struct account *a;
	char *tree;			/* ROOT/.duet/seed.tmp */
	uint64_t token;
	struct position pos;
	struct state *state;		/* while it is being built */
	store_reset_done *done;
	void *arg;
};

int store_snapshot(struct store *s, struct account *a, struct buf *to,
		   struct err *e)
{
	(void)s;
	if (a->needs_seed || account_is_hurt(a))
		return err_set(e, E_TEMP, "'%s' is damaged here", a->name);
	if (a->replaying)
		return err_set(e, E_TEMP, "'%s' is still being replayed",
			       a->name);
	return state_export(a->state, to, e);
}

/* The snapshot as a tree without bodies. */
static int build_tree(struct seed *d, struct slice snapshot, struct err *e)
{
	struct store *s = d->s;
	struct state_opts o = {.sys = s->o.sys, .account = d->a,
			       .id = d->a->id, .pair_id = pair_slice(s),
			       .pair_time = s->o.pair_time, .root = d->tree};
	static const char *const dirs[] = {"mailboxes", ".duet/state/log",
					   ".duet/state/snap",
					   ".duet/state/index",
					   ".duet/state/cache", ".duet/tmp"};
	int r = fsio_remove_tree(s->fs, d->tree);

	for (size_t i = 0; i < ARRAY_LEN(dirs) && r >= 0; i++) {
		AUTO_FREE char *dir = xprintf("%s/%s", d->tree, dirs[i]);

		r = fsio_mkdirs(s->fs, dir, 0700);
	}
	if (r < 0)
		return err_set(e, r, "%s: %s", d->tree, err_name(r));
	r = state_import(&o, snapshot, &d->state, e);
	if (r == 0)
		d->pos = state_position(d->state);
	return r;
}

struct missing_walk {
	struct seed *d;
	struct map *seen;
	store_hash_cb *cb;		/* NULL: place bodies instead */
	void *arg;
	struct err *e;
	int result;
};

static bool missing_one(void *arg, struct mailbox *m, const struct mrec *rec)
{
	struct missing_walk *x = arg;
	struct slice hash = slice_of(rec->body_hash, 32);
	uint64_t offset, size;
	struct buf path;
	bool on = true;
	int r;

	buf_init(&path, 8192);
	r = store_body_find(x->d->s, x->d->a, rec->body_hash, &path, &offset,
			    &size);
	if (r == 0 && size != rec->size)
		r = E_CORRUPT;
	if (x->cb) {
		if (r < 0 && !map_put(x->seen, hash, x))
			on = x->cb(x->arg, rec->body_hash, rec->size);
	} else {
		if (r == 0)
			r = state_place_body(x->d->state, m, rec,
					     (char *)path.p, offset, x->e);
		else
			err_set(x->e, r, "a body of the seed is not here");
		x->result = r;
		on = r == 0;
	}
	buf_fini(&path);
	return on;
}

static void seed_free(struct seed *d)
{
	if (d->state)
		state_free(d->state);
	free(d->tree);
	free(d);
}

static struct seed *seed_new(struct store *s, struct account *a)
{
	struct seed *d = NEW(struct seed);

	d->s = s;
	d->a = a;
	d->tree = account_dir(a, "seed.tmp");
	do
		d->token = rng_u64(s->o.sys->rng);
	while (d->token == 0);
	return d;
}

int store_seed_missing(struct store *s, struct account *a, struct slice snapshot,
		       store_hash_cb *cb, void *arg, struct err *e)
{
	struct seed *d = seed_new(s, a);
	struct missing_walk x = {.d = d, .seen = map_new(), .cb = cb,
				 .arg = arg, .e = e};
	/* One that is being installed stands in the same place. */
	int r = a->resetting ? err_set(e, E_TEMP, "the account is being reset") :
			       build_tree(d, snapshot, e);

	if (r == 0)
		r = state_bodies(d->state, missing_one, &x, e);
	map_free(x.seen);
	seed_free(d);
	return r;
}

/* The snapshot file that makes the new tree an account at its position. */
static int write_seed(struct seed *d, struct err *e)
{
	AUTO_FREE char *snap = xprintf("%s/.duet/state/snap", d->tree);
	AUTO_FREE char *mark = xprintf("%s/mailboxes/" SEED_MARK, d->tree);
	struct snapfile f = {.account = d->a->id, .pos = d->pos,
			     .end = {.pos = d->pos}, .token = d->token};
	struct fsio *fs = d->s->fs;
	uint8_t token[8];
	struct buf b, parked;
	int fd, r;

	buf_init(&b, SNAPFILE_MAX);
	state_save(d->state, &b);
	f.state = buf_all(&b);
	buf_init(&parked, SNAPFILE_MAX);
	account_parked_put(d->a, &parked);
	f.parked = buf_all(&parked);
	r = b.failed ? E_LIMIT : snapfile_write(fs, snap, 1, &f, e);
	buf_fini(&parked);
	buf_fini(&b);
	if (r < 0)
		return r;
	le64_to(token, d->token);
	fd = fs->ops->open(fs, mark, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	r = fd < 0 ? fd : fsio_pwrite_all(fs, fd, token, sizeof(token), 0);
	if (fd >= 0)
		fs->ops->close(fs, fd);
	return r < 0 ? err_set(e, r, "%s: %s", mark, err_name(r)) : 0;
}

/* --- seeds: the exchange --------------------------------------------------------------- */

static bool has_seed_mark(struct fsio *fs, const char *mailboxes, uint64_t token)
{
	AUTO_FREE char *path = xprintf("%s/" SEED_MARK, mailboxes);
	struct buf b;
	bool has;

	buf_init(&b, 64);
	has = fsio_read_file(fs, path, 64, &b) >= 0 && b.n == 8 &&
	      le64_at(b.p) == token;
	buf_fini(&b);
	return has;
}

static bool has_token(struct fsio *fs, const char *state, uint64_t token)
{
	AUTO_FREE char *dir = xprintf("%s/snap", state);
	uint64_t *numbers = NULL;
	size_t n = 0;
	bool has = false;

	if (snapfile_list(fs, dir, &numbers, &n) < 0)
		return false;
	for (size_t i = 0; i < n && !has; i++) {
		struct err ignored = ERR_NONE;
		struct snapfile f;
		struct buf b;

		buf_init(&b, SNAPFILE_MAX);
		has = snapfile_read(fs, dir, numbers[i], &b, &f, &ignored) ==
			      0 && f.token == token;
		buf_fini(&b);
	}
	free(numbers);
	return has;
}

static int sync_parents(struct fsio *fs, const char *root, const char *below)
{
	AUTO_FREE char *a = xprintf("%s%s", root, below);
	AUTO_FREE char *b = xprintf("%s/.duet/seed.tmp%s", root, below);
	int r = fs->ops->fsync_dir(fs, a);

	return r < 0 ? r : fs->ops->fsync_dir(fs, b);
}

/*
 * NAME below root, and below the seed's tree, change places.  Without
 * RENAME_EXCHANGE in three steps (NAME -> NAME.old, new -> NAME, NAME.old ->
 * the seed's tree), any of which may have been done before; each is durable
 * before the next, or a tree could be lost between two names.
 */
static int swap_dirs(struct fsio *fs, const char *root, const char *below,
		     const char *name, bool done)
{
	AUTO_FREE char *a = xprintf("%s%s/%s", root, below, name);
	AUTO_FREE char *b = xprintf("%s/.duet/seed.tmp%s/%s", root, below,
				    name);
	AUTO_FREE char *old = xprintf("%s.old", a);
	bool halfway = fsio_exists(fs, old);
	int r = 0;

	if (!done && !halfway) {
		r = fs->ops->exchange(fs, a, b);
		if (r == 0)
			return sync_parents(fs, root, below);
		if (r != -EINVAL && r != -ENOSYS && r != -EOPNOTSUPP)
			return r;
		r = fs->ops->rename(fs, a, old);
		halfway = true;
	}
	if (r == 0 && halfway)
		r = sync_parents(fs, root, below);
	if (r == 0 && halfway && !fsio_exists(fs, a)) {
		r = fs->ops->rename(fs, b, a);
		if (r == 0)
			r = sync_parents(fs, root, below);
	}
	if (r == 0 && halfway && !fsio_exists(fs, b))
		r = fs->ops->rename(fs, old, b);
	return r < 0 ? r : sync_parents(fs, root, below);
}

static int exchange(struct fsio *fs, const char *root, uint64_t token)
{
	AUTO_FREE char *mail = xprintf("%s/mailboxes", root);
	AUTO_FREE char *state = xprintf("%s/.duet/state", root);
	AUTO_FREE char *tree = xprintf("%s/.duet/seed.tmp", root);
	AUTO_FREE char *orphan = xprintf("%s/.duet/orphans/seed.%016" PRIx64,
					 root, token);
	AUTO_FREE char *orphans = xprintf("%s/.duet/orphans", root);
	AUTO_FREE char *duet = xprintf("%s/.duet", root);
	AUTO_FREE char *mark = xprintf("%s/" SEED_MARK, mail);
	AUTO_FREE char *new_state = xprintf("%s/.duet/state", tree);
	AUTO_FREE char *old = xprintf("%s.old", state);
	bool installed;
	int r;

	if (!fsio_exists(fs, tree))
		return 0;
	/* It was installed before, and the next one is being built there. */
	installed = has_token(fs, state, token);
	if (!installed ? !has_token(fs, new_state, token) :
			 fsio_exists(fs, orphan) && !fsio_exists(fs, old))
		return 0;
	/* First all of the mail, then the state, which says that it is done. */
	r = swap_dirs(fs, root, "", "mailboxes",
		      has_seed_mark(fs, mail, token) ||
			      has_token(fs, state, token));
	if (r == 0)
		r = swap_dirs(fs, root, "/.duet", "state",
			      has_token(fs, state, token));
	if (r < 0)
		return r;
	fs->ops->unlink(fs, mark);
	r = fs->ops->rename(fs, tree, orphan);
	if (r == 0)
		r = fs->ops->fsync_dir(fs, orphans);
	return r < 0 ? r : fs->ops->fsync_dir(fs, duet);
}

int store_seed_finish(struct store *s, const char *root, uint64_t token,
		      struct err *e)
{
	int r = exchange(s->fs, root, token);

	return r < 0 ? err_set(e, r, "install the seed in %s: %s", root,
			       err_name(r)) : 0;
}

static void install_durable(struct store *s, struct store_wait *w)
{
	struct account *a = w->account;
	struct seed *d = w->job;
	struct err e = ERR_NONE;
	int r;

	account_forget_tree(a);
	a->needs_seed = false;
	list_remove(&a->hurt);
	r = store_seed_finish(s, a->root, d->token, &e);
	if (r == 0) {
		a->snap_number = a->snap_kept = 0;
		forget_mark(s, a);
		a->partner_acked = (struct position){0};
		r = account_read_tree(a, false, &e);
	}
	a->resetting = false;
	if (r < 0) {
		store_fail(s, &e);
	} else {
		account_dirty(a);
		if (d->done)
			d->done(d->arg, a, 0);
	}
	seed_free(d);
}

static void seed_end(struct seed *d, int r)
{
	d->a->resetting = false;
	if (d->done)
		d->done(d->arg, d->a, r);
	store_account_unref(d->a);
	seed_free(d);
}

static void seed_orphan(struct store_flight *f)
{
	free(CONTAINER_OF(f, struct seed, flight)->tree);
}

static void seed_synced(void *arg, int result)
{
	struct seed *d = arg;
	struct reset_entry en = {.account = d->a->id, .kind = RESET_REPLACED,
				 .token = d->token, .pos = d->pos};
	struct err e = ERR_NONE;

	if (!store_flight_end(&d->flight)) {
		free(d);
		return;
	}
	if (d->s->failed) {
		seed_end(d, E_TEMP);
		return;
	}
	if (result < 0) {
		err_set(&e, result, "syncfs: %s", err_name(result));
		store_fail(d->s, &e);
		seed_end(d, result);
		return;
	}
	result = put_reset(d->s, d->a, &en, install_durable, d, NULL, NULL);
	if (result < 0) {
		seed_end(d, result);
		return;
	}
	store_account_unref(d->a);	/* put_reset() holds one */
	journal_flush(d->s->journal, false);
}

void store_reset_drop(struct store_wait *w)
{
	if (w->reset == install_durable)
		seed_free(w->job);
	else
		cut_free(w->job);
}

void store_seed_install(struct store *s, struct account *a,
			struct slice snapshot, store_reset_done *done, void *arg)
{
	struct seed *d = seed_new(s, a);
	struct err e = ERR_NONE;
	struct missing_walk x = {.d = d, .e = &e};
	int r = s->failed || a->resetting ? E_TEMP :
					    build_tree(d, snapshot, &e);

	d->done = done;
	d->arg = arg;
	if (r == 0)
		r = state_bodies(d->state, missing_one, &x, &e);
	if (r == 0)
		r = x.result;
	if (r == 0)
		r = write_seed(d, &e);
	if (d->state)
		state_free(d->state);
	d->state = NULL;
	if (r == 0) {
		a->resetting = true;
		store_account_ref(a);
		store_flight_begin(s, &d->flight, seed_orphan);
		r = s->fs->ops->syncfs_start(s->fs, a->root, seed_synced, d);
		if (r < 0) {
			store_flight_end(&d->flight);
			a->resetting = false;
			store_account_unref(a);
		}
	}
	if (r < 0) {
		if (done)
			done(arg, a, r);
		seed_free(d);
	}
}
