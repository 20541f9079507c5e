/* Checkpoints: see replication.md, Checkpoint, and store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

#define RETRY_USEC USEC_PER_SEC

/* A started syncfs; of another checkpoint than the one that runs: nobody
 * waits for it any more. */
struct checkpoint_sync {
	struct store_flight flight;
	uint64_t serial;
};

/* --- views of one account ----------------------------------------------------- */

static int write_file(struct fsio *fs, const char *path, struct slice data)
{
	int fd = fs->ops->open(fs, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int r;

	if (fd < 0)
		return fd;
	r = fsio_pwrite_all(fs, fd, data.p, data.n, 0);
	fs->ops->close(fs, fd);
	return r;
}

/* The bodies of unpublished frames are in the batches that will go. */
int account_spill(struct account *a, struct err *e)
{
	struct buf path;
	int r = 0;

	buf_init(&path, 8192);
	for (struct list *l = a->pending.next; l != &a->pending && r == 0;
	     l = l->next) {
		struct pending_frame *p = CONTAINER_OF(l, struct pending_frame,
						       node);
		size_t n = 0;

		if (!p->durable)
			break;
		if (p->spilled)
			continue;
		for (size_t i = 0; i < p->bodies.n && r == 0; i++) {
			if (!p->bodies.data[i].p)
				continue;
			body_spill_path(a->root, p->pos.seq, i, &path);
			r = write_file(a->store->fs, (char *)path.p,
				       p->bodies.data[i]);
			n = i + 1;
		}
		if (n > 0) {
			GROW(a->spilled, a->n_spilled, a->cap_spilled);
			a->spilled[a->n_spilled++] =
				(struct spilled){p->pos.seq, n};
		}
		p->spilled = r == 0;
	}
	if (r < 0)
		err_set(e, r, "%s: %s", (char *)path.p, err_name(r));
	buf_fini(&path);
	return r;
}

void account_unspill(struct account *a, uint64_t upto)
{
	struct buf path;
	size_t n = 0;

	if (a->n_spilled == 0)
		return;
	buf_init(&path, 8192);
	for (; n < a->n_spilled && a->spilled[n].seq <= upto; n++)
		for (size_t i = 0; i < a->spilled[n].n; i++) {
			body_spill_path(a->root, a->spilled[n].seq, i, &path);
			a->store->fs->ops->unlink(a->store->fs, (char *)path.p);
		}
	memmove(a->spilled, a->spilled + n,
		(a->n_spilled - n) * sizeof(*a->spilled));
	a->n_spilled -= n;
	buf_fini(&path);
}

/* saved_out: the state itself was saved, not its bytes of the last time. */
static int write_snapshot(struct account *a, struct ckmark_no no,
			  bool *saved_out, struct err *e)
{
	AUTO_FREE char *dir = account_dir(a, "state/snap");
	struct snapfile f = {.account = a->id,
			     .journal = journal_id(a->store->journal),
			     .no = no, .pos = a->published,
			     .mark = a->mark, .mark_reason = a->mark_reason,
			     .mark_time = a->mark_time,
			     .acked = a->partner_acked, .token = a->seed_token};
	struct buf b, parked;
	int r;

	alog_end(a->log, &f.end);
	f.unclean_until = a->replaying ? a->unclean_until : 0;
	if (f.unclean_until < f.end.pos.seq)
		f.unclean_until = f.end.pos.seq;
	buf_init(&b, SNAPFILE_MAX);
	buf_init(&parked, SNAPFILE_MAX);
	account_parked_put(a, &parked);
	f.parked = buf_all(&parked);
	*saved_out = !a->raw_state;
	if (a->raw_state) {
		f.state = slice_of(a->raw_state, a->raw_state_n);
	} else {
		state_save(a->state, &b);
		f.state = buf_all(&b);
	}
	r = b.failed ? err_set(e, E_LIMIT, "%s: the state is too large",
			       a->root) :
		       snapfile_write(a->store->fs, dir, ++a->snap_number, &f,
				      e);
	buf_fini(&parked);
	buf_fini(&b);
	return r;
}

static int add_file_system(struct checkpoint *ck, struct fsio *fs,
			   const char *path, struct err *e)
{
	struct fsio_stat st;
	int r = fs->ops->stat(fs, path, &st);

	if (r < 0)
		return err_set(e, r, "%s: %s", path, err_name(r));
	for (size_t i = 0; i < ck->n_file_systems; i++)
		if (ck->file_systems[i].dev == st.dev)
			return 0;
	GROW(ck->file_systems, ck->n_file_systems, ck->cap_file_systems);
	ck->file_systems[ck->n_file_systems++] =
		(struct store_file_system){st.dev, xstrdup(path)};
	return 0;
}

static int write_views(struct store *s, struct account *a, struct err *e)
{
	struct checkpoint *ck = &s->ck;
	struct ckmark_end end = {.account = a->id};
	size_t i;
	int r = alog_flush(a->log, e);

	/* A snapshot would vouch for it: replay makes the state whole. */
	if (r == 0 && !a->raw_state && state_broken(a->state))
		r = err_set(e, E_TEMP, "%s: a record is applied in part only; "
			    "this process ends and replays it",
			    a->root);
	if (r == 0)
		r = account_spill(a, e);
	if (r == 0)
		r = add_file_system(ck, s->fs, a->root, e);
	if (r < 0)
		return r;
	if (ck->n_accounts == ck->cap_accounts) {
		ck->cap_accounts = ck->cap_accounts ? 2 * ck->cap_accounts : 16;
		ck->accounts = xrealloc(ck->accounts, ck->cap_accounts *
						      sizeof(*ck->accounts));
		ck->snap_seq = xrealloc(ck->snap_seq, ck->cap_accounts *
						      sizeof(*ck->snap_seq));
		ck->saved = xrealloc(ck->saved, ck->cap_accounts *
						sizeof(*ck->saved));
		ck->tokens = xrealloc(ck->tokens, ck->cap_accounts *
						  sizeof(*ck->tokens));
	}
	i = ck->n_accounts;
	r = write_snapshot(a, (struct ckmark_no){ck->mark.batch, ck->mark.sub},
			   &ck->saved[i], e);
	if (r < 0)
		return r;
	store_account_ref(a);
	ck->accounts[i] = a;
	ck->snap_seq[i] = a->published.seq;
	ck->tokens[i] = a->seed_token;
	ck->n_accounts++;
	a->dirty = false;
	alog_end(a->log, &end.end);
	GROW(ck->mark.ends, ck->mark.n_ends, ck->mark.cap_ends);
	ck->mark.ends[ck->mark.n_ends++] = end;
	return 0;
}

/* --- the whole ------------------------------------------------------------------- */

static void fill_mark(struct store *s, struct ckmark *m)
{
	struct slice key;
	void *value;

	*m = (struct ckmark){.journal = journal_id(s->journal),
			     .batch = journal_last(s->journal),
			     .time = clock_real(s->o.sys->clock)};
	m->offset = journal_offset_after(s->journal, m->batch);
	m->sub = m->batch == s->mark.batch ? s->mark.sub + 1 : 0;
	/* A full journal is let go at its start, before any batch of this life:
	 * not under a number of the last one. */
	for (size_t i = 0; i < s->mark.n_dead; i++)
		if (s->mark.dead[i].to == m->batch &&
		    s->mark.dead[i].to_sub >= m->sub)
			m->sub = s->mark.dead[i].to_sub + 1;
	for (size_t i = 0; map_each(s->lone, &i, &key, &value);) {
		GROW(m->lone, m->n_lone, m->cap_lone);
		m->lone[m->n_lone++] = *(struct ckmark_lone *)value;
	}
	for (size_t i = 0; i < s->n_partner; i++) {
		GROW(m->partner, m->n_partner, m->cap_partner);
		m->partner[m->n_partner++] = s->partner[i];
	}
	for (size_t i = 0; i < s->mark.n_dead; i++) {
		GROW(m->dead, m->n_dead, m->cap_dead);
		m->dead[m->n_dead++] = s->mark.dead[i];
	}
}

static void clear(struct store *s, bool ended)
{
	struct checkpoint *ck = &s->ck;

	for (size_t i = 0; i < ck->n_accounts; i++) {
		if (!ended)
			ck->accounts[i]->dirty = true;
		store_account_unref(ck->accounts[i]);
	}
	for (size_t i = 0; i < ck->n_file_systems; i++)
		free(ck->file_systems[i].path);
	ckmark_fini(&ck->mark);
	free(ck->accounts);
	free(ck->snap_seq);
	free(ck->saved);
	free(ck->tokens);
	free(ck->file_systems);
	*ck = (struct checkpoint){.serial = ck->serial + 1};
}

void store_checkpoint_fini(struct store *s)
{
	clear(s, false);
}

/* New accounts: the registry, and trees that nothing was written to yet. */
static int write_made(struct store *s, struct err *e)
{
	AUTO_FREE char *accounts = xprintf("%s/accounts", s->state_dir);
	struct slice key;
	void *value;
	int r;

	if (map_size(s->made) == 0)
		return 0;
	r = store_made_put(s, s->ck.mark.batch, e);
	if (r == 0)
		r = add_file_system(&s->ck, s->fs, accounts, e);
	for (size_t i = 0; r == 0 && map_each(s->made, &i, &key, &value);) {
		struct made_account *m = value;

		/* One that cannot be reached is parked, and made again when it
		 * is opened. */
		if (fsio_exists(s->fs, m->root.root))
			r = add_file_system(&s->ck, s->fs, m->root.root, e);
	}
	return r;
}

/* Writes all views; they are not synced yet. */
static int begin(struct store *s, struct err *e)
{
	struct slice key;
	void *value;
	int r = 0;

	assert(!s->ck.running);
	s->ck.running = true;
	fill_mark(s, &s->ck.mark);
	for (size_t i = 0; r == 0 && map_each(s->accounts, &i, &key, &value);) {
		struct account *a = value;

		if (a->dirty && a->state && !a->needs_seed)
			r = write_views(s, a, e);
	}
	if (r == 0)
		r = write_made(s, e);
	if (r < 0)
		clear(s, false);
	return r;
}

static void after_account(struct store *s, size_t i)
{
	struct account *a = s->ck.accounts[i];
	AUTO_FREE char *dir = account_dir(a, "state/snap");
	uint64_t newest;

	/* A seed took its place meanwhile: nothing here is of that tree. */
	if (a->seed_token != s->ck.tokens[i])
		return;
	/* The number written for this checkpoint is the greatest, for only one
	 * runs at a time. */
	newest = a->snap_number;
	for (uint64_t n = a->snap_kept ? a->snap_kept : 1; n < newest; n++)
		snapfile_remove(s->fs, dir, n);
	a->snap_kept = newest;
	a->snap_seq = s->ck.snap_seq[i];
	account_unspill(a, a->snap_seq);
	account_parked_done(a);
	if (s->ck.saved[i])
		state_checkpointed(a->state);
	store_sweep_stages(s, a);
}

static void call_done(struct store *s)
{
	struct store_done *list = s->done;
	size_t n = s->n_done;

	s->done = NULL;
	s->n_done = s->cap_done = 0;
	for (size_t i = 0; i < n; i++)
		list[i].done(list[i].arg);
	free(list);
	if (s->space_wanted) {
		s->space_wanted = false;
		if (s->on_space)
			s->on_space(s->on_space_arg);
	}
}

/* Everything is synced: the mark, then what only older marks needed goes. */
static int finish(struct store *s, struct err *e)
{
	struct checkpoint *ck = &s->ck;
	uint64_t batch = ck->mark.batch;
	int r = ckmark_store(s->fs, s->mark_path, &ck->mark, e);

	if (r < 0) {
		clear(s, false);
		return r;
	}
	ckmark_fini(&s->mark);
	s->mark = ck->mark;
	ck->mark = (struct ckmark){0};
	journal_recycle(s->journal, batch);
	store_made_done(s, batch);
	for (size_t i = 0; i < ck->n_accounts; i++)
		after_account(s, i);
	clear(s, true);
	s->stat.checkpoints++;
	return 0;
}

/* A checkpoint did not come through: the disk is full, or it failed. */
static void give_up(struct store *s, int r, const struct err *e)
{
	s->ck_retry_usec = clock_mono(s->o.sys->clock) + RETRY_USEC;
	if (r != -ENOSPC && r != -EDQUOT && r != E_NOSPACE && r != E_LIMIT)
		store_fail(s, e);
}

static void synced(void *arg, int result)
{
	struct checkpoint_sync *c = arg;
	struct store *s = c->flight.store;
	bool mine = store_flight_end(&c->flight) && c->serial == s->ck.serial;
	struct err e = ERR_NONE;
	int r;

	free(c);
	if (!mine || s->failed)
		return;
	if (result < 0 && s->ck.result == 0)
		s->ck.result = result;
	if (--s->ck.syncs_open > 0)
		return;
	if (s->ck.result < 0) {
		/* Dirty pages may be gone: nothing may be written again. */
		err_set(&e, s->ck.result, "syncfs: %s; nothing more is written "
			"by this process", err_name(s->ck.result));
		store_fail(s, &e);
		return;
	}
	r = finish(s, &e);
	if (r < 0) {
		give_up(s, r, &e);
		return;
	}
	call_done(s);
	if (s->n_next > 0 && !s->failed) {
		free(s->done);
		s->done = s->next_done;
		s->n_done = s->n_next;
		s->cap_done = s->cap_next;
		s->next_done = NULL;
		s->n_next = s->cap_next = 0;
		store_checkpoint(s, NULL, NULL);
	}
}

static int start_syncs(struct store *s, struct err *e)
{
	struct checkpoint *ck = &s->ck;

	for (size_t i = 0; i < ck->n_file_systems; i++) {
		struct checkpoint_sync *c = NEW(struct checkpoint_sync);
		int r;

		c->serial = ck->serial;
		store_flight_begin(s, &c->flight, NULL);
		r = s->fs->ops->syncfs_start(s->fs, ck->file_systems[i].path,
					     synced, c);
		if (r < 0) {
			store_flight_end(&c->flight);
			free(c);
			clear(s, false);
			return err_set(e, r, "syncfs: %s", err_name(r));
		}
		ck->syncs_open++;
	}
	return 0;
}

void store_checkpoint(struct store *s, void (*done)(void *arg), void *arg)
{
	struct err e = ERR_NONE;
	int r;

	if (s->failed)
		return;
	if (done && s->ck.running) {
		GROW(s->next_done, s->n_next, s->cap_next);
		s->next_done[s->n_next++] = (struct store_done){done, arg};
	} else if (done) {
		GROW(s->done, s->n_done, s->cap_done);
		s->done[s->n_done++] = (struct store_done){done, arg};
	}
	s->checkpoint_wanted = s->landing;
	if (s->landing || s->ck.running ||
	    clock_mono(s->o.sys->clock) < s->ck_retry_usec)
		return;
	r = begin(s, &e);
	if (r == 0 && s->ck.n_file_systems == 0)
		r = finish(s, &e);
	else if (r == 0)
		r = start_syncs(s, &e);
	if (r < 0)
		give_up(s, r, &e);
	else if (!s->ck.running)
		call_done(s);
}

void store_maybe_checkpoint(struct store *s)
{
	if (!s->recovering && !s->failed &&
	    journal_used(s->journal) > journal_size(s->journal) / 2)
		store_checkpoint(s, NULL, NULL);
}

int store_checkpoint_now(struct store *s, bool last, struct err *e)
{
	int r;

	if (s->ck.running)
		clear(s, false);
	r = begin(s, e);
	s->ck.mark.clean = last;
	for (size_t i = 0; r == 0 && i < s->ck.n_file_systems; i++) {
		r = s->fs->ops->syncfs(s->fs, s->ck.file_systems[i].path);
		if (r < 0)
			err_set(e, r, "syncfs: %s", err_name(r));
	}
	if (r == 0)
		return finish(s, e);
	if (s->ck.running)
		clear(s, false);
	return r;
}
