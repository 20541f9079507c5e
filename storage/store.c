/* Opening, closing, marks: see store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#define LOCK_TRY_USEC 100000u

void store_fail(struct store *s, const struct err *e)
{
	if (s->failed)
		return;
	s->failed = true;
	if (s->o.failed)
		s->o.failed(s->o.arg, e);
}

void store_flight_begin(struct store *s, struct store_flight *f,
			void (*orphan)(struct store_flight *))
{
	f->store = s;
	f->orphan = orphan;
	list_init(&f->node);
	list_append(&s->flights, &f->node);
}

bool store_flight_end(struct store_flight *f)
{
	list_remove(&f->node);
	return f->store != NULL;
}

static void journal_is_broken(void *arg, const struct err *e)
{
	store_fail(arg, e);
}

/* --- marks --------------------------------------------------------------------- */

void store_apply_mark(struct store *s, struct account *a, uint8_t kind,
		      const struct ckmark_lone *m)
{
	struct id128 id = m->account;
	struct ckmark_lone *old;

	if (a) {
		a->mark = kind;
		a->mark_reason = kind == MARK_LONE ? m->reason : 0;
		a->mark_time = m->time;
		a->mark_partner = m->partner;
		account_dirty(a);
	}
	if (kind == MARK_LONE) {
		struct ckmark_lone *copy = NEW(struct ckmark_lone);

		*copy = *m;
		old = map_put(s->lone, id_slice(&id), copy);
	} else {
		old = map_remove(s->lone, id_slice(&id));
	}
	free(old);
}

/* account 16, kind u16, reason u16, zero u32, time u64, partner's position. */
void store_mark(struct store *s, struct account *a, enum mark_kind kind,
		enum lone_reason reason, struct position partner,
		store_marked *done, void *arg)
{
	struct store_wait *w;
	struct slice part;
	struct err e = ERR_NONE;
	struct buf b;
	int r;

	if (s->failed)
		return;
	w = NEW(struct store_wait);
	*w = (struct store_wait){
		.kind = WAIT_MARK, .account = a, .mark_kind = (uint8_t)kind,
		.mark = {a->id, (uint8_t)reason, clock_real(s->o.sys->clock),
			 partner},
		.marked = done, .arg = arg};
	buf_init(&b, 128);
	buf_put(&b, a->id.b, 16);
	buf_le16(&b, (uint16_t)kind);
	buf_le16(&b, (uint16_t)reason);
	buf_le32(&b, 0);
	buf_le64(&b, w->mark.time);
	put_position(&b, partner);
	part = buf_all(&b);
	r = journal_put(s->journal, JOURNAL_MARK, &part, 1,
			JOURNAL_RESERVED |
				(kind == MARK_SYNC && !done ? JOURNAL_LAZY : 0),
			&w->batch);
	buf_fini(&b);
	if (r < 0) {
		free(w);
		err_set(&e, r, "no room for a mark in %s: checkpoints do not "
			"come through", s->mark_path);
		store_fail(s, &e);
		return;
	}
	store_account_ref(a);
	list_init(&w->node);
	list_append(&s->waits, &w->node);
}

enum mark_kind store_last_mark(const struct account *a,
			       enum lone_reason *reason_out, uint64_t *time_out)
{
	if (reason_out)
		*reason_out = a->mark ? a->mark_reason : LONE_START;
	if (time_out)
		*time_out = a->mark_time;
	return a->mark == MARK_SYNC ? MARK_SYNC : MARK_LONE;
}

/* --- what is known of the partner -------------------------------------------------- */

void store_partner_acked(struct store *s, struct account *a,
			 struct position acked)
{
	if (position_eq(a->partner_acked, acked))
		return;
	a->partner_acked = acked;
	head_acked(a->head, acked.seq);
	if (list_empty(&a->acks))
		list_append(&s->acks, &a->acks);
}

struct position store_partner_known(const struct account *a)
{
	return a->partner_acked;
}

/* Goes with the next batch, whatever that is for. */
void store_put_acked(struct store *s)
{
	while (!list_empty(&s->acks)) {
		struct account *a = CONTAINER_OF(s->acks.next, struct account,
						 acks);
		struct slice part;
		struct buf b;
		int r;

		buf_init(&b, 64);
		buf_put(&b, a->id.b, 16);
		put_position(&b, a->partner_acked);
		part = buf_all(&b);
		r = journal_put(s->journal, JOURNAL_ACKED, &part, 1,
				JOURNAL_LAZY, NULL);
		buf_fini(&b);
		if (r < 0)
			return;	/* with a later batch */
		account_dirty(a);
		list_remove(&a->acks);
	}
}

void store_journals(struct store *s, struct journal_id *own)
{
	own->id = journal_id(s->journal);
	own->last_batch = journal_last(s->journal);
}

size_t store_journals_retired(struct store *s, struct journal_id *out,
			      size_t max)
{
	size_t n = s->n_retired < max ? s->n_retired : max;

	memcpy(out, s->retired, n * sizeof(*out));
	return n;
}

void store_set_partner(struct store *s, const struct journal_id *j, size_t n)
{
	if (n > STORE_PARTNER_JOURNALS_MAX)
		n = STORE_PARTNER_JOURNALS_MAX;
	s->n_partner = 0;
	for (size_t i = 0; i < n; i++) {
		GROW(s->partner, s->n_partner, s->cap_partner);
		s->partner[s->n_partner++] = j[i];
	}
}

void store_partner_journals(struct store *s, const struct journal_id *j,
			    size_t n)
{
	struct slice part;
	struct buf b;

	if (n > STORE_PARTNER_JOURNALS_MAX)
		n = STORE_PARTNER_JOURNALS_MAX;
	if (n == s->n_partner &&
	    (n == 0 || memcmp(j, s->partner, n * sizeof(*j)) == 0))
		return;
	store_set_partner(s, j, n);
	buf_init(&b, 16 * STORE_PARTNER_JOURNALS_MAX);
	for (size_t i = 0; i < n; i++) {
		buf_le64(&b, j[i].id);
		buf_le64(&b, j[i].last_batch);
	}
	part = buf_all(&b);
	/* Without room the list goes with the next mark file. */
	journal_put(s->journal, JOURNAL_JOURNALS, &part, 1, JOURNAL_LAZY, NULL);
	buf_fini(&b);
}

size_t store_partner_journals_known(struct store *s, struct journal_id *out,
				    size_t max)
{
	for (size_t i = 0; i < s->n_partner && i < max; i++)
		out[i] = s->partner[i];
	return s->n_partner;
}

uint64_t store_last_batch_time(struct store *s)
{
	return s->last_batch_time;
}

/* --- opening -------------------------------------------------------------------------- */

static char *journal_path(const struct store *s, unsigned number,
			  const char *suffix)
{
	return xprintf("%s/journal/%u%s", s->state_dir, number, suffix);
}

static int open_journal(struct store *s, bool *made, struct err *e)
{
	AUTO_FREE char *path = journal_path(s, s->number, "");
	struct journal_opts o = {.sys = s->o.sys, .path = path,
				 .size = s->o.journal_size,
				 .durable = store_batch_durable,
				 .failed = journal_is_broken, .arg = s};
	uint64_t waited = 0;
	int r;

	/* The process before this one may still be dying. */
	while ((r = journal_open(&o, &s->journal, made, e)) == E_TEMP &&
	       waited < s->o.lock_wait_usec) {
		usleep(LOCK_TRY_USEC);
		waited += LOCK_TRY_USEC;
	}
	return r;
}

static int load_mark(struct store *s, bool made, struct err *e)
{
	int r = ckmark_load(s->fs, s->mark_path, &s->mark, e);

	if (r == -ENOENT) {
		s->mark.journal = journal_id(s->journal);
		return 0;
	}
	if (r < 0)
		return r;
	if (made || s->mark.journal != journal_id(s->journal))
		return err_set(e, E_CORRUPT, "%s belongs to another journal "
			       "than the one beside it, which was lost or "
			       "replaced: what it held is on the partner only",
			       s->mark_path);
	for (size_t i = 0; i < s->mark.n_lone; i++) {
		struct ckmark_lone *l = NEW(struct ckmark_lone);

		*l = s->mark.lone[i];
		free(map_put(s->lone, id_slice(&l->account), l));
	}
	store_set_partner(s, s->mark.partner, s->mark.n_partner);
	s->last_batch_time = s->mark.time;
	return 0;
}

struct others {
	struct store *s;
	struct err *e;
	int result;
};

/* Of a process that there is none of any more? */
static void note_retired(struct store *s, struct slice number,
			 const struct ckmark *m)
{
	uint32_t v;

	if (s->number == 0 && s->o.processes && slice_u32(number, &v) == 0 &&
	    v >= s->o.processes && s->n_retired < STORE_RETIRED_MAX)
		s->retired[s->n_retired++] =
			(struct journal_id){m->journal, m->batch};
}

/* Marks of the other journals tell which snapshots of accounts that moved
 * here count. */
static bool load_other(void *arg, const char *name)
{
	struct others *x = arg;
	struct store *s = x->s;
	AUTO_FREE char *path = xprintf("%s/journal/%s", s->state_dir, name);
	size_t n = strlen(name);
	struct ckmark m = {0};

	if (n < 6 || strcmp(name + n - 5, ".mark") != 0 ||
	    strcmp(path, s->mark_path) == 0)
		return true;
	x->result = ckmark_load(s->fs, path, &m, x->e);
	if (x->result == -ENOENT)
		x->result = 0;
	/* That journal is corrupt, not the one that is opened. */
	if (x->result == E_CORRUPT)
		x->e->code = x->result = E_TEMP;
	if (x->result == 0) {
		note_retired(s, slice_of(name, n - 5), &m);
		GROW(s->others, s->n_others, s->cap_others);
		s->others[s->n_others++] = m;
	}
	return x->result == 0;
}

static int load_others(struct store *s, struct err *e)
{
	AUTO_FREE char *dir = xprintf("%s/journal", s->state_dir);
	struct others x = {s, e, 0};
	int r = s->fs->ops->list(s->fs, dir, load_other, &x);

	return r < 0 ? err_set(e, r, "%s: %s", dir, err_name(r)) : x.result;
}

static int make_dirs(struct store *s, struct err *e)
{
	AUTO_FREE char *journal = xprintf("%s/journal", s->state_dir);
	AUTO_FREE char *accounts = xprintf("%s/accounts", s->state_dir);
	int r = account_root_mkdirs(s->fs, journal, 0700);

	if (r == 0)
		r = account_root_mkdirs(s->fs, accounts, 0700);
	return r < 0 ? err_set(e, r, "%s: %s", s->state_dir, err_name(r)) : 0;
}

static int open_all(struct store *s, struct err *e)
{
	bool made = false;
	int r = make_dirs(s, e);

	if (r == 0)
		r = open_journal(s, &made, e);
	if (r == 0)
		r = load_mark(s, made, e);
	if (r == 0)
		r = load_others(s, e);
	if (r == 0)
		r = journal_scan(s->journal, s->mark.batch, s->mark.offset, e);
	if (r == 0)
		r = store_replay(s, e);
	return r;
}

int store_open_number(const struct store_opts *o, unsigned number,
		      struct store **out, struct err *e)
{
	struct store *s = NEW(struct store);
	int r;

	assert(o->pair_id.n == sizeof(s->pair_id));
	s->o = *o;
	s->fs = o->sys->fs;
	s->number = number;
	s->state_dir = xstrdup(o->state_dir);
	s->mail_root = xstrdup(o->mail_root ? o->mail_root : "");
	s->o.state_dir = s->state_dir;
	s->o.mail_root = s->mail_root;
	memcpy(s->pair_id, o->pair_id.p, sizeof(s->pair_id));
	s->o.pair_id = pair_slice(s);
	s->mark_path = journal_path(s, number, ".mark");
	s->accounts = map_new();
	s->lone = map_new();
	s->made = map_new();
	s->parked = map_new();
	list_init(&s->touched);
	list_init(&s->acks);
	list_init(&s->hurt);
	list_init(&s->waits);
	list_init(&s->cuts);
	list_init(&s->flights);
	r = open_all(s, e);
	if (r < 0) {
		store_drop(s);
		return r;
	}
	*out = s;
	return 0;
}

int store_open(const struct store_opts *o, struct store **out, struct err *e)
{
	return store_open_number(o, o->process, out, e);
}

/* --- closing ----------------------------------------------------------------------------- */

static void free_values(struct map *m)
{
	struct slice key;
	void *value;

	for (size_t i = 0; map_each(m, &i, &key, &value);)
		free(value);
	map_free(m);
}

void store_drop(struct store *s)
{
	struct slice key;
	void *value;

	if (!s)
		return;
	s->failed = true;
	store_checkpoint_fini(s);
	while (!list_empty(&s->flights)) {
		struct store_flight *f = CONTAINER_OF(s->flights.next,
						      struct store_flight,
						      node);

		list_remove(&f->node);
		if (f->orphan)
			f->orphan(f);
		f->store = NULL;
	}
	while (!list_empty(&s->waits)) {
		struct list *l = s->waits.next;

		struct store_wait *w = CONTAINER_OF(l, struct store_wait, node);

		list_remove(l);
		if (w->kind == WAIT_RESET)
			store_reset_drop(w);
		free(w);
	}
	store_cuts_fini(s);
	for (size_t i = 0; map_each(s->accounts, &i, &key, &value);)
		account_drop(value);
	map_free(s->accounts);
	free_values(s->lone);
	free_values(s->made);
	store_parked_fini(s);
	journal_free(s->journal);
	ckmark_fini(&s->mark);
	for (size_t i = 0; i < s->n_others; i++)
		ckmark_fini(&s->others[i]);
	free(s->others);
	free(s->partner);
	free(s->done);
	free(s->next_done);
	free(s->mark_path);
	free(s->state_dir);
	free(s->mail_root);
	free(s);
}

void store_close(struct store *s)
{
	struct err ignored = ERR_NONE;

	if (!s)
		return;
	if (!s->failed) {
		s->on_durable = NULL;
		store_put_acked(s);
		/* What fails here is replayed at the next start. */
		if (journal_sync(s->journal) == 0)
			store_checkpoint_now(s, true, &ignored);
	}
	store_drop(s);
}

/* --- status ------------------------------------------------------------------------------- */

void store_status(struct store *s, struct store_status *out)
{
	*out = s->stat;
	out->journal_used = journal_used(s->journal);
	out->journal_size = journal_size(s->journal);
	out->accounts = map_size(s->accounts);
	out->low_space = s->low_space || s->space_short;
}
