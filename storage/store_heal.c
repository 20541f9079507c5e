/*
 * What was damaged on disk is made again from the account log where that goes
 * back to the first record; else the account is left to a seed.  Damaged files
 * are kept in .duet/quarantine/, a few at a time.
 */

#include "storage/state_private.h"
#include "storage/store_private.h"

#include "node/base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- quarantine ---------------------------------------------------------------- */

#ifdef DUET_TEST_LIMITS
#define QUARANTINE_MAX 4u
#else
#define QUARANTINE_MAX 16u
#endif

struct names {
	char **v;
	size_t n, cap;
};

static bool add_name(void *arg, const char *name)
{
	struct names *l = arg;

	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = xstrdup(name);
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_fini(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
}

/* Names begin with a number of eight hex digits, so that the oldest is first. */
static uint32_t make_room(struct fsio *fs, const char *dir)
{
	struct names l = {0};
	uint32_t next = 1;

	fs->ops->list(fs, dir, add_name, &l);
	if (l.n) {
		qsort(l.v, l.n, sizeof(*l.v), by_name);
		next = (uint32_t)strtoul(l.v[l.n - 1], NULL, 16) + 1;
	}
	for (size_t i = 0; i + QUARANTINE_MAX <= l.n; i++) {
		AUTO_FREE char *path = xprintf("%s/%s", dir, l.v[i]);

		fs->ops->unlink(fs, path);
	}
	names_fini(&l);
	return next;
}

/* A file that is not there is no error. */
static int set_aside(struct account *a, const char *dir, const char *name,
		     struct err *e)
{
	struct fsio *fs = a->store->fs;
	AUTO_FREE char *to_dir = account_dir(a, "quarantine");
	AUTO_FREE char *from = xprintf("%s/%s", dir, name);
	AUTO_FREE char *to = NULL;
	int r = fsio_mkdirs(fs, to_dir, 0700);

	if (r == 0) {
		to = xprintf("%s/%08x.%s", to_dir, make_room(fs, to_dir), name);
		r = fs->ops->rename(fs, from, to);
		if (r == -ENOENT)
			return 0;
	}
	/* Its new name first: it is not to be lost between the two. */
	if (r == 0)
		r = fs->ops->fsync_dir(fs, to_dir);
	if (r == 0)
		r = fs->ops->fsync_dir(fs, dir);
	return r < 0 ? err_set(e, r, "set %s aside: %s", from, err_name(r)) : 0;
}

/* --- the log ------------------------------------------------------------------------ */

int account_heal_log(struct account *a, struct err *e)
{
	AUTO_FREE char *dir = account_dir(a, "state/log");
	const uint32_t *number;
	char text[300];
	size_t n;
	int r = 0;

	number = alog_damaged(a->log, &n);
	if (n == 0)
		return 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%08x", number[i]);
		r = set_aside(a, dir, name, e);
	}
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "segment %08x of its log is damaged or "
		 "missing: set aside with all before it; the log begins at "
		 "position %" PRIu64 " now, no mail is lost", number[n - 1],
		 alog_floor(a->log));
	alog_damaged_done(a->log);
	account_dirty(a);
	store_tell(a->store, STORE_HEALED, a->id, a->name, text);
	return 0;
}

/* --- the state, by fold --------------------------------------------------------------- */

struct fold_pass {
	struct account *a;
	struct err *e;
	uint64_t upto;			/* 0: look only */
	uint64_t safe;
	uint64_t chain;
	int result;
};

/* Every frame continues the one before; which were shown for certain? */
static bool look_one(void *arg, struct slice bytes, struct position pos)
{
	struct fold_pass *x = arg;
	struct account *a = x->a;
	struct arena *arena = arena_new(4096);
	struct record rec;
	struct frame f;

	frame_get(bytes, &f, NULL);
	if (f.chain != frame_chain(pair_slice(a->store), a->id, x->chain, &f))
		x->result = err_set(x->e, E_CORRUPT, "%s: frame %" PRIu64
				    " does not continue the log", a->root,
				    f.seq);
	else
		x->result = record_decode(f.payload, arena, &rec, x->e);
	/* A CHECKPOINT is written when all before it is published. */
	for (size_t i = 0; x->result == 0 && i < rec.n_ops; i++)
		if (rec.ops[i].kind == OP_CHECKPOINT)
			x->safe = pos.seq - 1;
	x->chain = f.chain;
	arena_free(arena);
	return x->result == 0;
}

static bool fold_one(void *arg, struct slice bytes, struct position pos)
{
	struct fold_pass *x = arg;
	struct arena *arena;
	struct record rec;
	struct frame f;

	if (pos.seq > x->upto)
		return false;
	arena = arena_new(4096);
	frame_get(bytes, &f, NULL);
	x->result = record_decode(f.payload, arena, &rec, x->e);
	if (x->result == 0)
		x->result = state_apply(x->a->state, &f, pos.nonce, &rec, NULL,
					true, x->e);
	if (x->result == 0)
		x->a->published = pos;
	arena_free(arena);
	return x->result == 0;
}

static int each(struct account *a, struct fold_pass *x, alog_cb *cb,
		struct err *e)
{
	int r = alog_read(a->log, 0, cb, x, e);

	return r < 0 ? r : x->result;
}

/* Views that the fold makes again; damaged ones (named by why) are kept. */
static int clear_views(struct account *a, const char *below, const char *why,
		       struct err *e)
{
	struct fsio *fs = a->store->fs;
	AUTO_FREE char *dir = account_dir(a, below);
	struct names l = {0};
	int r = fs->ops->list(fs, dir, add_name, &l);

	if (r == -ENOENT)
		r = 0;
	else if (r < 0)
		err_set(e, r, "%s: %s", dir, err_name(r));
	for (size_t i = 0; i < l.n && r == 0; i++) {
		AUTO_FREE char *path = xprintf("%s/%s", dir, l.v[i]);

		if (why && !strstr(why, l.v[i]))
			fs->ops->unlink(fs, path);
		else
			r = set_aside(a, dir, l.v[i], e);
	}
	names_fini(&l);
	return r;
}

static int make_dirs(struct account *a, struct err *e)
{
	static const char *const dirs[] = {"state/log", "state/snap"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs) && r == 0; i++) {
		AUTO_FREE char *dir = account_dir(a, dirs[i]);

		r = fsio_mkdirs(a->store->fs, dir, 0700);
		if (r < 0)
			err_set(e, r, "%s: %s", dir, err_name(r));
	}
	return r;
}

/* The log, as far as it can be believed. */
static int open_whole_log(struct account *a, const struct alog_opts *lo,
			  const struct alog_end *end, struct err *e)
{
	bool cut = false;
	int r;

	/* With a snapshot its end is known. */
	if (end)
		r = alog_open(lo, end, &a->log, e);
	else
		r = alog_open_scan(lo, a->first_frame, a->cut_at, &cut,
				   &a->log, e);
	if (r == 0 && alog_floor(a->log) > 0)
		r = err_set(e, E_CORRUPT, "%s begins behind position %" PRIu64,
			    lo->dir, alog_floor(a->log));
	a->cut_loaded = a->cut_loaded || cut;
	return r;
}

/* What the mark says was durable must be there. */
static int check_end(struct account *a, struct err *e)
{
	const struct ckmark *m = &a->store->mark;
	struct alog_end is;

	alog_end(a->log, &is);
	for (size_t i = 0; i < m->n_ends && !a->first_frame; i++)
		if (id128_eq(m->ends[i].account, a->id) &&
		    m->ends[i].end.pos.seq > is.pos.seq)
			return err_set(e, E_CORRUPT, "%s: the log ends at "
				       "%" PRIu64 ", and once had %" PRIu64,
				       a->root, is.pos.seq,
				       m->ends[i].end.pos.seq);
	return 0;
}

int account_rebuild(struct account *a, const struct alog_opts *lo,
		    const struct state_opts *so, const struct snapfile *snap,
		    const char *why, struct err *e)
{
	struct position genesis = frame_genesis(pair_slice(a->store), a->id);
	struct fold_pass look = {.a = a, .e = e, .chain = genesis.chain};
	struct fold_pass fold = {.a = a, .e = e};
	struct alog_end end;
	char text[440];
	int r = open_whole_log(a, lo, snap ? &snap->end : NULL, e);

	if (r == 0 && !snap)
		r = check_end(a, e);
	/* All of it is read before anything is changed. */
	if (r == 0)
		r = each(a, &look, look_one, e);
	if (r < 0)
		return r;
	alog_end(a->log, &end);
	fold.upto = look.safe;
	if (snap && snap->pos.seq > fold.upto)
		fold.upto = snap->pos.seq;
	/* Snapshots first, durably: they name index files that are made again
	 * under the same numbers. */
	r = clear_views(a, "state/snap", NULL, e);
	if (r == 0)
		r = clear_views(a, "state/index", why, e);
	if (r == 0)
		r = clear_views(a, "state/cache", "", e);
	if (r == 0)
		r = make_dirs(a, e);
	if (r < 0)
		return r;
	a->state = state_new(so);
	a->published = genesis;
	r = state_replay_begin(a->state, e);
	if (r == 0)
		r = each(a, &fold, fold_one, e);
	if (r < 0)
		return r;
	a->replaying = true;
	a->unclean_until = end.pos.seq;
	a->snap_seq = 0;
	a->dirty = true;
	snprintf(text, sizeof(text), "%.240s: made again from %" PRIu64
		 " records of its log; what was damaged is kept in "
		 ".duet/quarantine", why, end.pos.seq);
	store_tell(a->store, STORE_HEALED, a->id, a->name, text);
	return 0;
}

/* --- while it is served ------------------------------------------------------------------ */

void account_hurt(struct account *a, const char *why)
{
	if (!a || a->needs_seed || !list_empty(&a->hurt))
		return;
	free(a->hurt_why);
	a->hurt_why = xstrdup(why);
	list_append(&a->store->hurt, &a->hurt);
}

bool account_is_hurt(const struct account *a)
{
	return !list_empty(&a->hurt);
}

/* Nothing of it may be on its way. */
static bool at_rest(const struct account *a)
{
	return !a->resetting && !a->store->ck.running &&
	       list_empty(&a->touched) && a->durable.seq == a->end.seq;
}

static int heal(struct account *a, struct err *e)
{
	struct snapfile at = {.pos = a->published};
	AUTO_FREE char *why = TAKE(a->hurt_why);
	int r = alog_flush(a->log, e);

	if (r == 0)
		r = account_spill(a, e);
	if (r < 0) {
		a->hurt_why = TAKE(why);
		return r;
	}
	alog_end(a->log, &at.end);
	account_forget_tree(a);
	return account_read_again(a, &at, why, e);
}

void store_heal_turn(struct store *s)
{
	struct list *next;

	for (struct list *l = s->hurt.next; l != &s->hurt && !s->failed;
	     l = next) {
		struct account *a = CONTAINER_OF(l, struct account, hurt);
		struct err e = ERR_NONE;
		int r;

		next = l->next;
		if (!at_rest(a))
			continue;
		r = heal(a, &e);
		if (a->state && a->hurt_why)
			continue;	/* not begun: the disk is full */
		list_remove(&a->hurt);
		if (r < 0) {
			account_make_shell(a);
			store_tell(s, STORE_DAMAGED, a->id, a->name, e.op);
			if (s->on_damaged)
				s->on_damaged(s->on_damaged_arg, a, e.op);
		}
	}
}

/* --- an account that only takes a seed ------------------------------------------------------ */

void account_make_shell(struct account *a)
{
	struct store *s = a->store;
	struct position genesis = frame_genesis(pair_slice(s), a->id);
	struct alog_opts lo = {.fs = s->fs, .dir = a->root, .account = a->id,
			       .pair_id = pair_slice(s), .node = s->o.node};
	struct state_opts so = account_state_opts(a);

	account_forget_tree(a);
	a->needs_seed = true;
	a->dirty = false;
	a->state = state_new(&so);
	a->head = head_new(a->state);
	a->log = alog_new_at(&lo, genesis);
	a->end = a->durable = a->published = genesis;
}

int store_account_open_damaged(struct store *s, struct id128 id,
			       struct account **out, struct err *e)
{
	struct account_root root;
	struct account *a;
	bool left;
	int r;

	if (s->failed || store_account(s, id))
		return err_set(e, E_TEMP, "not now");
	r = store_root_get(s, id, &root, e);
	if (r == 0)
		r = account_root_check(s->fs, pair_slice(s), &root, e);
	if (r < 0)
		return r;
	a = account_new(s, &root);
	/* What waited for it is in the seed, or lost: it goes with that. */
	r = account_parked_files(a, SLICE_NONE, &left, e);
	account_make_shell(a);
	if (r == 0)
		r = make_dirs(a, e);
	if (r == 0)
		r = state_dirs(a->state, e);
	if (r < 0) {
		account_drop(a);
		return r;
	}
	map_put(s->accounts, id_slice(&id), a);
	store_unparked(s, id);
	*out = a;
	return 0;
}

bool account_needs_seed(const struct account *a)
{
	return a->needs_seed;
}

void store_on_damaged(struct store *s, store_damaged *cb, void *arg)
{
	s->on_damaged = cb;
	s->on_damaged_arg = arg;
}
