/* Loading and unloading accounts: see store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"
#include "node/base/digest.h"

#include <errno.h>
#include <inttypes.h>

char *account_dir(const struct account *a, const char *below)
{
	return xprintf("%s/.duet/%s", a->root, below);
}

void account_dirty(struct account *a)
{
	a->dirty = true;
}

/* --- the snapshot ------------------------------------------------------------ */

/* Did the checkpoint end that wrote it? */
static bool counts(const struct store *s, const struct snapfile *f)
{
	if (f->journal == s->mark.journal)
		return ckmark_counts(&s->mark, f->no);
	for (size_t i = 0; i < s->n_others; i++)
		if (s->others[i].journal == f->journal)
			return ckmark_counts(&s->others[i], f->no);
	return true;	/* a seed, or a journal that is gone */
}

static int remove_others(struct account *a, const uint64_t *numbers, size_t n,
			 uint64_t but, struct err *e)
{
	struct fsio *fs = a->store->fs;
	AUTO_FREE char *dir = account_dir(a, "state/snap");
	bool removed = false;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (numbers[i] == but)
			continue;
		snapfile_remove(fs, dir, numbers[i]);
		removed = true;
	}
	if (removed)
		r = fs->ops->fsync_dir(fs, dir);
	return r < 0 ? err_set(e, r, "%s: %s", dir, err_name(r)) : 0;
}

/*
 * The newest one that counts; E_NOTFOUND if there is none.  All others are
 * removed: they are not to be believed later.  If none counts and this is no
 * new account, they stay: something is damaged.
 */
static int choose(struct account *a, struct buf *b, struct snapfile *out,
		  bool fresh, struct err *e)
{
	struct fsio *fs = a->store->fs;
	AUTO_FREE char *dir = account_dir(a, "state/snap");
	uint64_t *numbers = NULL, chosen = 0;
	size_t n = 0;
	int r = snapfile_list(fs, dir, &numbers, &n);

	if (r == -ENOENT)
		return E_NOTFOUND;
	if (r < 0)
		return err_set(e, r, "%s: %s", dir, err_name(r));
	a->snap_number = n ? numbers[n - 1] : 0;
	r = E_NOTFOUND;
	for (size_t i = n; i > 0 && r == E_NOTFOUND; i--) {
		struct err why = ERR_NONE;

		buf_reset(b);
		r = snapfile_read(fs, dir, numbers[i - 1], b, out, &why);
		if (r == 0 && id128_eq(out->account, a->id) &&
		    counts(a->store, out)) {
			chosen = a->snap_kept = numbers[i - 1];
		} else if (r < 0 && r != E_CORRUPT) {
			*e = why;
		} else {
			if (r < 0)
				*e = why;	/* perhaps the reason */
			r = E_NOTFOUND;
		}
	}
	if ((r == 0 || (r == E_NOTFOUND && fresh)) &&
	    remove_others(a, numbers, n, chosen, e) < 0)
		r = e->code;
	free(numbers);
	return r;
}

/* --- unpublished frames in the log --------------------------------------------- */

struct refill {
	struct account *a;
	struct err *e;
	int result;
};

static const struct op_msg_add *next_inline(const struct record *r, size_t *at)
{
	while (*at < r->n_ops) {
		const struct op *o = &r->ops[(*at)++];

		if (o->kind == OP_MSG_ADD && o->msg_add.inline_body)
			return &o->msg_add;
	}
	return NULL;
}

static bool is_body_of(const struct op_msg_add *m, struct slice body)
{
	uint8_t hash[32];

	sha256(body, hash);
	return body.n == m->size && memcmp(hash, m->body_hash, 32) == 0;
}

/* Inline bodies that a checkpoint wrote beside the log.  One that is missing,
 * or of a frame that was cut, stays empty: it is asked from the partner by its
 * hash. */
static void read_spilled(struct account *a, uint64_t seq,
			 const struct record *r, struct frame_bodies *bodies,
			 struct arena *arena)
{
	struct buf path, text;
	bool any = false;
	size_t at = 0;

	buf_init(&path, 8192);
	buf_init(&text, STORE_ENTRY_MAX);
	for (size_t i = 0; i < bodies->n; i++) {
		const struct op_msg_add *m = next_inline(r, &at);

		body_spill_path(a->root, seq, i, &path);
		buf_reset(&text);
		if (fsio_read_file(a->store->fs, (char *)path.p,
				   STORE_ENTRY_MAX, &text) >= 0) {
			if (is_body_of(m, buf_all(&text)))
				bodies->data[i] = arena_dup(arena,
							    buf_all(&text));
			any = true;
		}
	}
	if (any) {
		GROW(a->spilled, a->n_spilled, a->cap_spilled);
		a->spilled[a->n_spilled++] = (struct spilled){seq, bodies->n};
	}
	buf_fini(&text);
	buf_fini(&path);
}

static bool refill_one(void *arg, struct slice bytes, struct position pos)
{
	struct refill *x = arg;
	struct account *a = x->a;
	struct arena *arena = arena_new(16384);
	struct frame_bodies bodies = {0};
	struct pending_frame *p;
	struct record rec;
	struct frame f;

	frame_get(bytes, &f, NULL);
	if (f.chain != frame_chain(pair_slice(a->store), a->id, a->end.chain,
				   &f)) {
		x->result = err_set(x->e, E_CORRUPT, "%s: frame %" PRIu64
				    " does not continue the log", a->root,
				    f.seq);
		arena_free(arena);
		return false;
	}
	x->result = record_decode(f.payload, arena, &rec, x->e);
	if (x->result == 0) {
		bodies.n = record_inline_bodies(&rec);
		bodies.data = arena_zalloc(arena, (bodies.n + 1) *
						  sizeof(*bodies.data));
		read_spilled(a, pos.seq, &rec, &bodies, arena);
		p = account_accept(a, bytes, pos, &bodies, 0, x->e);
		if (p) {
			p->durable = p->spilled = true;
			a->durable = pos;
			head_durable(a->head, pos.seq);
		} else {
			x->result = E_CORRUPT;
		}
	}
	arena_free(arena);
	return x->result == 0;
}

/* --- the tree --------------------------------------------------------------------- */

struct state_opts account_state_opts(struct account *a)
{
	return (struct state_opts){
		.sys = a->store->o.sys, .account = a, .id = a->id,
		.pair_id = pair_slice(a->store),
		.pair_time = a->store->o.pair_time, .root = a->root};
}

static int load_state(struct account *a, const struct snapfile *f,
		      struct err *e)
{
	struct state_opts o = account_state_opts(a);
	bool clean = f->unclean_until <= f->pos.seq && !a->replayed;
	int r = state_load(&o, f->state, clean, &a->state, e);
	struct position is;

	if (r < 0)
		return r;
	is = state_position(a->state);
	if (!position_eq(is, f->pos))
		return err_set(e, E_CORRUPT, "%s: the snapshot says position "
			       "%" PRIu64 ", its state %" PRIu64, a->root,
			       f->pos.seq, is.seq);
	a->unclean_until = f->unclean_until > f->end.pos.seq ?
				   f->unclean_until : f->end.pos.seq;
	if (clean) {
		a->unclean_until = f->pos.seq;
	} else {
		a->replaying = true;
		a->raw_state = xmalloc(f->state.n);
		memcpy(a->raw_state, f->state.p, f->state.n);
		a->raw_state_n = f->state.n;
	}
	return 0;
}

/* Frames beyond the state's position wait again. */
static int refill(struct account *a, struct err *e)
{
	struct refill x = {a, e, 0};
	int r = alog_read(a->log, a->published.seq, refill_one, &x, e);

	return r < 0 ? r : x.result;
}

static void forget_pending(struct account *a)
{
	while (!list_empty(&a->pending)) {
		struct pending_frame *p = CONTAINER_OF(a->pending.next,
						       struct pending_frame,
						       node);

		list_remove(&p->node);
		account_pending_free(p);
	}
	a->n_spilled = 0;
}

static int read_log(struct account *a, struct alog_opts *lo,
		    const struct alog_end *end, struct err *e)
{
	struct err why = ERR_NONE;
	int r;

	a->durable = a->end = a->published;
	a->head = head_new(a->state);
	r = alog_open(lo, end, &a->log, &why);
	if (r == 0)
		r = refill(a, &why);
	if (r == 0 && !position_eq(a->end, end->pos))
		r = err_set(&why, E_CORRUPT, "%s does not end where its "
			    "snapshot says", lo->dir);
	/* A RESET since the mark dropped frames that the mark counts, and what
	 * came after it may stand in their place. */
	if (r == E_CORRUPT && a->cut_at && a->cut_at->seq < end->pos.seq &&
	    a->cut_at->seq >= a->published.seq) {
		alog_free(a->log);
		a->log = NULL;
		forget_pending(a);
		head_free(a->head);
		a->durable = a->end = a->published;
		a->head = head_new(a->state);
		a->cut_loaded = true;
		why = ERR_NONE;
		r = alog_open_cut(lo, end, *a->cut_at, &a->log, &why);
		if (r == 0)
			r = refill(a, &why);
	}
	if (r < 0)
		*e = why;
	return r;
}

/* What a snapshot says besides the state. */
static void take_header(struct account *a, const struct snapfile *f)
{
	a->snap_seq = f->pos.seq;
	a->seed_token = f->token;
	a->partner_acked = f->acked;
	if (a->mark == 0) {
		a->mark = f->mark;
		a->mark_reason = f->mark_reason;
		a->mark_time = f->mark_time;
	}
}

static int all_is_read(struct account *a, struct err *e)
{
	int r = 0;

	if (a->partner_acked.seq)
		head_acked(a->head, a->partner_acked.seq);
	if (a->replaying && a->published.seq >= a->unclean_until &&
	    !a->store->recovering) {
		a->replaying = false;
		r = state_replayed(a->state, e);
	}
	return r;
}

/* has_snap: out is what the snapshot says, whatever else is wrong. */
static int read_tree(struct account *a, bool fresh, struct snapfile *out,
		     bool *has_snap, struct err *e)
{
	struct store *s = a->store;
	AUTO_FREE char *log = account_dir(a, "state/log");
	struct alog_opts lo = {s->fs, log, a->id, pair_slice(s), s->o.node,
			       false, s->o.log_segment, 0};
	struct state_opts so = account_state_opts(a);
	struct snapfile f = {0};
	bool parked = false;
	struct buf b;
	int r, listed;

	*has_snap = false;
	buf_init(&b, SNAPFILE_MAX);
	r = choose(a, &b, &f, fresh, e);
	if (r == 0 || r == E_NOTFOUND) {
		listed = account_parked_files(a, f.parked, &parked, e);
		if (listed < 0)
			r = listed;
		else if (r == E_NOTFOUND && parked)
			fresh = fresh || store_parked_fresh(s, a->id,
							    a->parked);
	}
	if (parked)
		a->replayed = true;
	lo.cut = a->replayed || fresh;
	if (r == 0) {
		*has_snap = true;
		take_header(a, &f);
		r = load_state(a, &f, e);
		f.state = f.parked = SLICE_NONE;
		*out = f;
	} else if (r == E_NOTFOUND && fresh) {
		f = (struct snapfile){0};
		f.pos = f.end.pos = frame_genesis(pair_slice(s), a->id);
		a->state = state_new(&so);
		r = 0;
		if (a->replayed)
			a->replaying = true;
	} else if (r == E_NOTFOUND) {
		r = e->code == E_CORRUPT ? E_CORRUPT :
		    err_set(e, E_CORRUPT, "%s has no snapshot that counts",
			    a->root);
	}
	buf_fini(&b);
	if (r < 0)
		return r;
	a->published = f.pos;
	lo.covered = f.pos.seq;
	r = read_log(a, &lo, &f.end, e);
	if (r == 0)
		r = account_heal_log(a, e);
	return r < 0 ? r : all_is_read(a, e);
}

int account_read_again(struct account *a, const struct snapfile *snap,
		       const char *why, struct err *e)
{
	struct store *s = a->store;
	AUTO_FREE char *log = account_dir(a, "state/log");
	struct alog_opts lo = {s->fs, log, a->id, pair_slice(s), s->o.node,
			       a->replayed, s->o.log_segment, 0};
	struct state_opts so = account_state_opts(a);
	struct err mine = ERR_NONE;
	int r;

	account_forget_tree(a);
	r = account_rebuild(a, &lo, &so, snap, why, &mine);
	if (r == 0) {
		a->durable = a->end = a->published;
		a->head = head_new(a->state);
		r = refill(a, &mine);
	}
	if (r == 0)
		r = all_is_read(a, &mine);
	if (r < 0)
		err_set(e, r, "%.200s; it cannot be made again here: %.200s",
			why, mine.op);
	return r;
}

int account_read_tree(struct account *a, bool fresh, struct err *e)
{
	struct snapfile snap;
	bool has_snap;
	int r = read_tree(a, fresh, &snap, &has_snap, e);

	if (r == E_CORRUPT) {
		AUTO_FREE char *why = xstrdup(e->op);

		*e = ERR_NONE;
		r = account_read_again(a, has_snap ? &snap : NULL, why, e);
		/* The journal that the snapshot belongs to was lost: what the
		 * log has behind it was durable all the same. */
		if (r == E_CORRUPT && has_snap && snap.journal &&
		    snap.journal != journal_id(a->store->journal) &&
		    !a->replayed) {
			*e = ERR_NONE;
			r = account_read_again(a, NULL, why, e);
		}
	}
	return r;
}

void account_forget_tree(struct account *a)
{
	forget_pending(a);
	list_remove(&a->touched);
	list_remove(&a->acks);
	alog_free(a->log);
	if (a->head)
		head_free(a->head);
	if (a->state)
		state_free(a->state);
	free(a->raw_state);
	free(a->spilled);
	a->log = NULL;
	a->head = NULL;
	a->state = NULL;
	a->raw_state = NULL;
	a->spilled = NULL;
	a->n_spilled = a->cap_spilled = 0;
	a->replaying = false;
	a->unclean_until = 0;
}

void account_drop(struct account *a)
{
	if (!a)
		return;
	account_forget_tree(a);
	list_remove(&a->hurt);
	free(a->hurt_why);
	free(a->parked);
	free(a->name);
	free(a->root);
	free(a);
}

struct account *account_new(struct store *s, const struct account_root *root)
{
	struct account *a = NEW(struct account);
	struct ckmark_lone *lone = map_get(s->lone, id_slice(&root->id));

	a->store = s;
	a->id = root->id;
	a->name = xstrdup(root->name);
	a->root = xstrdup(root->root);
	a->has_stages = true;	/* of an earlier life, perhaps */
	list_init(&a->pending);
	list_init(&a->watches);
	list_init(&a->touched);
	list_init(&a->acks);
	list_init(&a->hurt);
	if (lone) {
		a->mark = MARK_LONE;
		a->mark_reason = lone->reason;
		a->mark_time = lone->time;
		a->mark_partner = lone->partner;
	}
	return a;
}

int account_load(struct store *s, const struct account_root *root, bool fresh,
		 const struct position *cut_at, uint64_t first_frame,
		 struct account **out, struct err *e)
{
	struct account *a = account_new(s, root);
	int r;

	a->replayed = s->recovering;
	a->cut_at = cut_at;
	a->first_frame = first_frame;
	r = account_read_tree(a, fresh, e);
	a->cut_at = NULL;
	a->first_frame = 0;
	if (r < 0) {
		account_drop(a);
		return r;
	}
	map_put(s->accounts, id_slice(&a->id), a);
	*out = a;
	return 0;
}

/* --- opening --------------------------------------------------------------------------- */

static int check_mail_root(struct store *s, struct err *e)
{
	if (s->mail_root[0] == '\0')
		return 0;
	return node_mark_check(s->fs, s->mail_root, pair_slice(s), s->o.node,
			       e);
}

static int make_account(struct store *s, const struct account_root *root,
			struct err *e)
{
	int r = account_root_check(s->fs, pair_slice(s), root, e);

	if (r == 0 && account_root_has_log(s->fs, root->root))
		return err_set(e, E_FOREIGN, "%s holds the mail of '%s', but "
			       "%s/accounts does not know it: is this the "
			       "state directory of that mail?", root->root,
			       root->name, s->state_dir);
	if (r < 0 && r != E_NOTFOUND)
		return r;
	return store_made_begin(s, root, e);
}

static int check_known(struct store *s, const struct account_root *known,
		       const char *root, struct err *e)
{
	int r;

	if (root && strcmp(root, known->root) != 0)
		return err_set(e, E_TEMP, "the mail of '%s' lies in %s, its "
			       "mail_location now says %s: move the tree, or "
			       "correct the location", known->name, known->root,
			       root);
	r = account_root_check(s->fs, pair_slice(s), known, e);
	/* Its tree could not be made again at the start; all of it waits. */
	if (r == E_NOTFOUND && store_made_parked(s, known->id))
		r = 0;
	if (r == E_NOTFOUND)
		r = err_set(e, E_TEMP, "%s has no owner's mark, but held the "
			    "mail of '%s': is its file system mounted?",
			    known->root, known->name);
	if (r < 0)
		store_park(s, known->id, e->op);
	return r;
}

static bool fits_text(const char *text, size_t size)
{
	return text && text[0] && strlen(text) < size && !strchr(text, '\n');
}

int store_account_open(struct store *s, struct id128 id, const char *name,
		       const char *root, bool create, struct account **out,
		       struct err *e)
{
	struct account *a = store_account(s, id);
	struct account_root known;
	bool fresh;
	int r;

	if (s->failed)
		return err_set(e, E_TEMP, "the journal has failed");
	if (a) {
		if (root && strcmp(root, a->root) != 0)
			return err_set(e, E_TEMP, "the mail of '%s' lies in "
				       "%s, its mail_location now says %s",
				       a->name, a->root, root);
		*out = a;
		return 0;
	}
	r = check_mail_root(s, e);
	if (r < 0)
		return r;
	r = store_root_get(s, id, &known, e);
	if (r == 0) {
		r = check_known(s, &known, root, e);
	} else if (r == E_NOTFOUND && create) {
		if (!fits_text(name, sizeof(known.name)) ||
		    !fits_text(root, sizeof(known.root)))
			return err_set(e, E_INVALID, "a new account needs a "
				       "name and a root of sensible length");
		memcpy(known.name, name, strlen(name) + 1);
		memcpy(known.root, root, strlen(root) + 1);
		r = make_account(s, &known, e);
	}
	if (r < 0)
		return r;
	fresh = !account_root_has_log(s->fs, known.root);
	r = store_unpark(s, &known, fresh, out, e);
	if (r == 0)
		store_unparked(s, id);
	else if (r != E_TEMP || map_get(s->parked, id_slice(&id)))
		store_park(s, id, e->op);
	return r;
}

struct account *store_account(struct store *s, struct id128 id)
{
	return map_get(s->accounts, id_slice(&id));
}

void store_account_ref(struct account *a)
{
	a->refs++;
}

void store_account_unref(struct account *a)
{
	a->refs--;
	a->used_usec = clock_mono(a->store->o.sys->clock);
}

struct accounts_each {
	struct store *s;
	store_account_cb *cb;
	void *arg;
};

static bool one_account(void *arg, const struct account_root *a)
{
	struct accounts_each *x = arg;
	uint64_t n = x->s->o.processes;

	if (n > 1 && le64_at(a->id.b) % n != x->s->o.process)
		return true;
	return x->cb(x->arg, a->id, a->name, a->root);
}

void store_accounts(struct store *s, store_account_cb *cb, void *arg)
{
	struct accounts_each x = {s, cb, arg};
	struct err e = ERR_NONE;

	/* An unreadable entry ends the list; opening that account says why. */
	account_root_each(s->fs, s->state_dir, one_account, &x, &e);
}
