#include "node/base/digest.h"
#include "storage/account_private.h"
#include "storage/dbox.h"
#include "storage/state_private.h"

#include <assert.h>
#include <stdlib.h>

/* The tables of the published state: what fold.c changes and snapshot.c
 * writes down. */

/* --- numbers ------------------------------------------------------------------ */

uint64_t modseq_of(uint32_t epoch, uint64_t counter)
{
	return (uint64_t)(epoch & 0xffff) << 36 | counter;
}

uint64_t uid_parity(uint64_t u, unsigned node)
{
	return (u & 1) == (node & 1) ? u : u + 1;
}

uint64_t jumps_total(const struct state *s)
{
	return s->n_jumps ? s->jumps[s->n_jumps - 1].total : 0;
}

uint64_t jumps_apply(const struct jump *j, size_t n, size_t from, uint64_t u)
{
	if (from >= n)
		return u;
	u = uid_parity(u + j[from].by, j[from].node);
	return u + (j[n - 1].total - j[from].total);
}

uint64_t state_uidnext_since_genesis(const struct state *s)
{
	return jumps_apply(s->jumps, s->n_jumps, 0, 1);
}

void mailbox_set_uidnext(struct mailbox *m, uint64_t uidnext)
{
	m->uidnext = uidnext;
	m->jump_at = m->state->n_jumps;
}

/* --- life ----------------------------------------------------------------------- */

struct state *state_new(const struct state_opts *o)
{
	struct state *s = NEW(struct state);

	s->sys = o->sys;
	s->fs = o->sys->fs;
	s->account = o->account;
	s->id = o->id;
	assert(o->pair_id.n == sizeof(s->pair_id));
	memcpy(s->pair_id, o->pair_id.p, sizeof(s->pair_id));
	s->key = slice_of(s->pair_id, sizeof(s->pair_id));
	s->pair_time = o->pair_time;
	s->uidvalidity_hwm = o->pair_time;
	s->root = xstrdup(o->root);
	s->pos = frame_genesis(s->key, s->id);
	s->holder = -1;
	s->by_id = map_new();
	s->by_name = map_new();
	s->subscriptions = map_new();
	s->deliveries = map_new();
	s->tombstones = map_new();
	buf_init(&s->scratch, 64u << 20);
	buf_init(&s->parsed, CACHE_ENTRY_MAX);
	return s;
}

static void tombstone_free(struct tombstone *t)
{
	if (t)
		free(t->name);
	free(t);
}

static void free_tables(struct state *s)
{
	struct slice key;
	void *v;

	for (size_t i = 0; map_each(s->deliveries, &i, &key, &v);)
		free(v);
	for (size_t i = 0; map_each(s->tombstones, &i, &key, &v);)
		tombstone_free(v);
	map_free(s->by_id);
	map_free(s->by_name);
	map_free(s->subscriptions);
	map_free(s->deliveries);
	map_free(s->tombstones);
}

static void leave(struct mailbox *m)
{
	struct list *next;

	m->gone = true;
	for (struct list *l = m->watches.next; l != &m->watches; l = next) {
		struct mailbox_watch *w =
			CONTAINER_OF(l, struct mailbox_watch, node);

		next = l->next;
		w->changed(w);
	}
}

/* A seed takes its place while sessions are still there. */
static bool referenced(struct state *s)
{
	bool any = false;

	for (size_t i = 0; i < s->n_mboxes; i++)
		any = any || s->mboxes[i]->refs > 0;
	for (size_t i = 0; i < s->n_dead; i++)
		any = any || s->dead[i]->refs > 0;
	if (!any || s->abandoned)
		return any;
	s->abandoned = true;
	for (size_t i = 0; i < s->n_mboxes; i++)
		leave(s->mboxes[i]);
	return true;
}

bool state_broken(const struct state *s)
{
	return s->broken;
}

void state_free(struct state *s)
{
	if (!s || referenced(s))
		return;
	for (size_t i = 0; i < s->n_mboxes; i++)
		mailbox_free(s->mboxes[i]);
	for (size_t i = 0; i < s->n_dead; i++)
		mailbox_free(s->dead[i]);
	free_tables(s);
	for (size_t i = 0; i < s->n_garbage; i++)
		free(s->garbage[i].path);
	for (size_t i = 0; i < s->n_found; i++)
		free(s->found[i].path);
	body_table_free(s->bodies);
	free(s->mboxes);
	free(s->dead);
	free(s->lineage);
	free(s->joined);
	free(s->ambiguous);
	free(s->jumps);
	free(s->expunged);
	free(s->garbage);
	free(s->missing);
	free(s->found);
	free(s->name);
	free(s->root);
	buf_fini(&s->scratch);
	buf_fini(&s->parsed);
	free(s);
}

struct mailbox *mailbox_new(struct state *s, struct id128 id, struct slice name)
{
	struct mailbox *m = NEW(struct mailbox);

	m->state = s;
	m->id = id;
	m->name = xstrndup(name.p, name.n);
	mailbox_set_uidnext(m, 1);
	index_init(&m->index, s->fs);
	cache_init(&m->cache, s->fs);
	rank_init(&m->rank);
	list_init(&m->watches);
	return m;
}

void mailbox_free(struct mailbox *m)
{
	if (!m)
		return;
	while (!list_empty(&m->watches))
		list_remove(m->watches.next);
	for (size_t i = 0; i < m->n_keywords; i++) {
		free(m->keywords[i].spelling);
		free(m->keywords[i].folded);
	}
	free(m->keywords);
	free(m->vanished);
	free(m->changes);
	index_close(&m->index);
	cache_close(&m->cache);
	rank_fini(&m->rank);
	free(m->dir);
	free(m->name);
	free(m);
}

/* --- the mailbox list -------------------------------------------------------------- */

struct mailbox *state_mailbox(const struct state *s, struct id128 id)
{
	return map_get(s->by_id, slice_of(id.b, 16));
}

struct mailbox *state_mailbox_named(const struct state *s, struct slice name)
{
	return map_get(s->by_name, name);
}

static size_t place_of(const struct state *s, struct slice name)
{
	size_t lo = 0, hi = s->n_mboxes;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (slice_cmp(slice_str(s->mboxes[mid]->name), name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void state_insert(struct state *s, struct mailbox *m)
{
	size_t at = place_of(s, slice_str(m->name));

	GROW(s->mboxes, s->n_mboxes, s->cap_mboxes);
	memmove(s->mboxes + at + 1, s->mboxes + at,
		(s->n_mboxes - at) * sizeof(*s->mboxes));
	s->mboxes[at] = m;
	s->n_mboxes++;
	map_put(s->by_id, slice_of(m->id.b, 16), m);
	map_put(s->by_name, slice_str(m->name), m);
}

void state_take_out(struct state *s, struct mailbox *m)
{
	size_t at = place_of(s, slice_str(m->name));

	assert(at < s->n_mboxes && s->mboxes[at] == m);
	memmove(s->mboxes + at, s->mboxes + at + 1,
		(s->n_mboxes - at - 1) * sizeof(*s->mboxes));
	s->n_mboxes--;
	map_remove(s->by_id, slice_of(m->id.b, 16));
	map_remove(s->by_name, slice_str(m->name));
}

void state_reposition(struct state *s, struct mailbox *m, struct slice name)
{
	free(m->name);
	m->name = xstrndup(name.p, name.n);
	m->part_valid = false;
	state_insert(s, m);
}

/* --- names, subscriptions, deliveries ---------------------------------------------- */

static struct sum128 tombstone_digest(const struct state *s,
				      const struct tombstone *t)
{
	uint8_t v[4];
	struct slice parts[3] = {slice_of(t->id.b, 16), slice_of(v, 4),
				 slice_str(t->name)};

	for (int i = 0; i < 4; i++)
		v[i] = (uint8_t)(t->uidvalidity >> 8 * i);
	return entry_digest(s->key, DIGEST_TOMBSTONE, parts, 3);
}

const struct tombstone *state_tombstone(const struct state *s,
					struct slice name)
{
	return map_get(s->tombstones, name);
}

void mailbox_entomb(struct state *s, struct slice name, uint32_t uidvalidity,
		    struct id128 id)
{
	static const struct id128 none;
	struct tombstone *t = map_get(s->tombstones, name);

	if (t) {
		sum128_sub(&s->rest, tombstone_digest(s, t));
	} else {
		t = NEW(struct tombstone);
		t->name = xstrndup(name.p, name.n);
		map_put(s->tombstones, name, t);
	}
	if (uidvalidity > t->uidvalidity)
		t->uidvalidity = uidvalidity;
	if (!id128_eq(id, none))
		t->id = id;
	sum128_add(&s->rest, tombstone_digest(s, t));
}

void state_tombstone_drop(struct state *s, struct slice name)
{
	struct tombstone *t = map_remove(s->tombstones, name);

	if (t)
		sum128_sub(&s->rest, tombstone_digest(s, t));
	tombstone_free(t);
}

void state_subscribe(struct state *s, struct slice name, bool on)
{
	struct sum128 d = entry_digest(s->key, DIGEST_SUBSCRIPTION, &name, 1);
	bool was = map_get(s->subscriptions, name) != NULL;

	if (was == on)
		return;
	if (on) {
		map_put(s->subscriptions, name, s);
		sum128_add(&s->rest, d);
	} else {
		map_remove(s->subscriptions, name);
		sum128_sub(&s->rest, d);
	}
}

static struct sum128 delivery_digest(const struct state *s,
				     const struct delivery *d)
{
	uint8_t v[12];
	struct slice parts[3] = {slice_of(d->id, 32), slice_of(d->mbox.b, 16),
				 slice_of(v, 12)};

	for (int i = 0; i < 8; i++)
		v[i] = (uint8_t)((uint64_t)d->time >> 8 * i);
	for (int i = 0; i < 4; i++)
		v[8 + i] = (uint8_t)(d->uid >> 8 * i);
	return entry_digest(s->key, DIGEST_DELIVERY, parts, 3);
}

const struct delivery *state_delivery(const struct state *s,
				      const uint8_t id[32])
{
	return map_get(s->deliveries, slice_of(id, 32));
}

void state_put_delivery(struct state *s, const struct delivery *d)
{
	struct delivery *mine;

	if (state_delivery(s, d->id))
		return;
	mine = NEW(struct delivery);
	*mine = *d;
	map_put(s->deliveries, slice_of(d->id, 32), mine);
	sum128_add(&s->rest, delivery_digest(s, mine));
}

void state_trim_deliveries(struct state *s, int64_t before)
{
	struct slice key;
	void *v;

	for (size_t i = 0; map_each(s->deliveries, &i, &key, &v);) {
		struct delivery *d = v;

		if (d->time >= before)
			continue;
		sum128_sub(&s->rest, delivery_digest(s, d));
		/* The key may be the map's own copy: not used after this. */
		uint8_t id[32];

		memcpy(id, d->id, 32);
		map_remove(s->deliveries, slice_of(id, 32));
		free(d);
	}
}

/* --- keywords, VANISHED -------------------------------------------------------------- */

int keyword_find(const struct mailbox *m, struct slice folded)
{
	for (size_t i = 0; i < m->n_keywords; i++)
		if (m->keywords[i].folded &&
		    slice_is(folded, m->keywords[i].folded))
			return (int)i;
	return -1;
}

size_t keyword_add(struct mailbox *m, struct slice spelling)
{
	struct keyword k = {xstrndup(spelling.p, spelling.n),
			    xstrndup(spelling.p, spelling.n)};

	for (char *p = k.folded; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	GROW(m->keywords, m->n_keywords, m->cap_keywords);
	m->keywords[m->n_keywords++] = k;
	sum128_add(&m->extra, entry_digest_keyword(m->state->key, spelling));
	m->part_valid = false;
	return m->n_keywords - 1;
}

void keyword_drop(struct mailbox *m, size_t bit)
{
	struct keyword *k = &m->keywords[bit];

	sum128_sub(&m->extra, entry_digest_keyword(m->state->key,
						   slice_str(k->spelling)));
	free(k->spelling);
	free(k->folded);
	*k = (struct keyword){0};
	m->part_valid = false;
}

void mailbox_vanish(struct mailbox *m, struct uid_range r, uint64_t modseq)
{
	struct vanished *last = m->n_vanished ?
					&m->vanished[m->n_vanished - 1] : NULL;

	/* Neighbours of one record become one range, whatever the ops were. */
	if (last && last->modseq == modseq && last->uids.last + 1 == r.first) {
		sum128_sub(&m->extra,
			   entry_digest_vanished(m->state->key, last->uids,
						 modseq));
		last->uids.last = r.last;
		r = last->uids;
	} else {
		GROW(m->vanished, m->n_vanished, m->cap_vanished);
		m->vanished[m->n_vanished++] = (struct vanished){r, modseq};
	}
	sum128_add(&m->extra, entry_digest_vanished(m->state->key, r, modseq));
}

void mailbox_vanished_trim(struct mailbox *m, uint64_t floor)
{
	size_t k = 0;

	if (floor <= m->vanished_floor)
		return;
	while (k < m->n_vanished && m->vanished[k].modseq <= floor) {
		sum128_sub(&m->extra,
			   entry_digest_vanished(m->state->key,
						 m->vanished[k].uids,
						 m->vanished[k].modseq));
		k++;
	}
	if (k)
		memmove(m->vanished, m->vanished + k,
			(m->n_vanished - k) * sizeof(*m->vanished));
	m->n_vanished -= k;
	m->vanished_floor = floor;
	m->part_valid = false;
}

/* --- lists of files ---------------------------------------------------------------------- */

void garbage_add(struct state *s, const char *path)
{
	GROW(s->garbage, s->n_garbage, s->cap_garbage);
	s->garbage[s->n_garbage++] = (struct garbage){xstrdup(path), false};
}

void missing_add(struct state *s, const struct mailbox *m, uint32_t uid,
		 const uint8_t hash[32], uint64_t size)
{
	struct missing x = {.mbox = m->id, .uid = uid, .size = size};

	memcpy(x.hash, hash, 32);
	GROW(s->missing, s->n_missing, s->cap_missing);
	s->missing[s->n_missing++] = x;
}

/* --- index, sums ------------------------------------------------------------------------- */

static void sum_open(struct mailbox *m, struct sum128 *out, uint32_t *live);

int mailbox_index_open(struct mailbox *m, struct err *e)
{
	struct buf path;
	int r;

	/* Another tree stands in the place of its own. */
	if (m->state->abandoned)
		return err_set(e, E_GONE, "%s was replaced", m->name);
	buf_init(&path, 8192);
	index_path(&path, m->state->root, m->id, m->index.gen);
	buf_char(&path, 0);
	r = index_open(&m->index, (char *)path.p, m->id, m->index.gen,
		       m->index.rec_size, m->index.n, e);
	buf_fini(&path);
	return r;
}

/* The records must add up to what the snapshot says of them.  During a replay
 * they need not yet; what is replayed is counted anew afterwards. */
static int verify(struct mailbox *m, struct err *e)
{
	struct sum128 sum = {0};
	uint8_t is[16], want[16];
	uint32_t live = 0;

	sum_open(m, &sum, &live);
	sum128_put(sum, is);
	sum128_put(m->entries, want);
	if (live == m->messages && memcmp(is, want, 16) == 0)
		return 0;
	err_set(e, E_CORRUPT, "%s: the records of '%s' are not those that were "
		"written", m->index.map.path, m->name);
	return E_CORRUPT;
}

int mailbox_index(struct mailbox *m, struct err *e)
{
	struct err why = ERR_NONE;
	int r;

	if (m->index.gen == 0 || index_is_open(&m->index))
		return 0;
	r = mailbox_index_open(m, &why);
	if (r == 0 && !m->state->replaying && !m->verified) {
		r = verify(m, &why);
		if (r < 0)
			index_close(&m->index);
		m->verified = r == 0;
	}
	if (r == E_CORRUPT && !m->state->abandoned)
		account_hurt(m->state->account, why.op);
	if (r < 0 && e)
		*e = why;
	return r;
}

void mailbox_rank(struct mailbox *m)
{
	if (m->rank_built)
		return;
	m->rank_built = true;
	if (m->index.n == m->messages || mailbox_index(m, NULL) < 0)
		return;
	for (uint32_t i = 0; i < m->index.n; i++)
		if (index_rec(&m->index, i)->flags & MREC_EXPUNGED)
			rank_set(&m->rank, i);
}

/* live: UINT32_MAX if the UIDs do not rise. */
static void sum_open(struct mailbox *m, struct sum128 *out, uint32_t *live)
{
	struct sum128 sum = {0};
	uint32_t before = 0;

	*live = 0;
	for (uint32_t i = 0; i < m->index.n; i++) {
		const struct mrec *rec = index_rec(&m->index, i);

		/* Also of those that no sum has the order must be right. */
		if (rec->uid <= before) {
			*live = UINT32_MAX;
			break;
		}
		before = rec->uid;
		if (rec->flags & MREC_EXPUNGED)
			continue;
		sum128_add(&sum, entry_digest_message(m, rec));
		++*live;
	}
	*out = sum;
}

/* Sum of the entries as they are in the index now. */
static int sum_entries(struct mailbox *m, struct sum128 *out, bool count,
		       struct err *e)
{
	struct sum128 sum = {0};
	int r = mailbox_index(m, e);

	if (r < 0)
		return r;
	if (count) {
		m->messages = m->unseen = 0;
		m->size = 0;
	}
	for (uint32_t i = 0; i < m->index.n; i++) {
		const struct mrec *rec = index_rec(&m->index, i);

		if (rec->flags & MREC_EXPUNGED)
			continue;
		sum128_add(&sum, entry_digest_message(m, rec));
		if (!count)
			continue;
		m->messages++;
		m->size += rec->size;
		if (!(rec->flags & MSG_SEEN))
			m->unseen++;
	}
	*out = sum;
	return 0;
}

int mailbox_recount(struct mailbox *m, struct err *e)
{
	int r = sum_entries(m, &m->entries, true, e);

	rank_fini(&m->rank);
	m->rank_built = false;
	m->n_changes = 0;
	m->changes_floor = m->highestmodseq;
	m->part_valid = false;
	return r;
}

static struct sum128 sum_extra(const struct mailbox *m)
{
	struct sum128 sum = {0};

	for (size_t i = 0; i < m->n_keywords; i++)
		if (m->keywords[i].folded)
			sum128_add(&sum, entry_digest_keyword(
						 m->state->key,
						 slice_str(m->keywords[i]
								   .spelling)));
	for (size_t i = 0; i < m->n_vanished; i++)
		sum128_add(&sum, entry_digest_vanished(m->state->key,
						       m->vanished[i].uids,
						       m->vanished[i].modseq));
	return sum;
}

static struct sum128 mailbox_sum(const struct mailbox *m, struct sum128 entries,
				 struct sum128 extra)
{
	uint8_t f[8];
	struct slice part = slice_of(f, 8);

	sum128_add(&entries, extra);
	for (int i = 0; i < 8; i++)
		f[i] = (uint8_t)(m->vanished_floor >> 8 * i);
	if (m->vanished_floor)
		sum128_add(&entries, entry_digest(m->state->key, DIGEST_FLOOR,
						  &part, 1));
	return entries;
}

void mailbox_digest_of(struct mailbox *m, uint8_t out[16])
{
	sum128_put(mailbox_sum(m, m->entries, m->extra), out);
}

/* Its share of the account digest. */
static struct sum128 mailbox_part(const struct mailbox *m, struct sum128 sum)
{
	uint8_t f[24], d[16];
	struct slice parts[4] = {slice_of(m->id.b, 16), slice_of(f, 24),
				 slice_of(d, 16), slice_str(m->name)};
	uint64_t next = mailbox_uidnext(m), high = mailbox_highestmodseq(m);

	sum128_put(sum, d);
	for (int i = 0; i < 8; i++) {
		f[i] = (uint8_t)(next >> 8 * i);
		f[8 + i] = (uint8_t)(high >> 8 * i);
	}
	for (int i = 0; i < 4; i++) {
		f[16 + i] = (uint8_t)(m->uidvalidity >> 8 * i);
		f[20 + i] = (uint8_t)(m->special_use >> 8 * i);
	}
	return entry_digest(m->state->key, DIGEST_MAILBOX, parts, 4);
}

static void digest_end(struct state *s, struct sum128 rest, uint8_t out[16])
{
	uint8_t r[16];
	struct slice parts[2] = {buf_all(&s->scratch), slice_of(r, 16)};

	sum128_put(rest, r);
	sum128_put(entry_digest(s->key, DIGEST_ACCOUNT, parts, 2), out);
}

void state_digest(struct state *s, uint8_t out[16])
{
	uint8_t b[16];

	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];

		if (m->part_valid && m->part_epoch_seq == s->epoch_seq)
			continue;
		m->part = mailbox_part(m, mailbox_sum(m, m->entries, m->extra));
		m->part_epoch_seq = s->epoch_seq;
		m->part_valid = true;
	}
	buf_reset(&s->scratch);
	for (size_t i = 0; i < s->n_mboxes; i++) {
		sum128_put(s->mboxes[i]->part, b);
		buf_put(&s->scratch, b, 16);
	}
	digest_end(s, s->rest, out);
}

static struct sum128 sum_rest(struct state *s)
{
	struct sum128 sum = {0};
	struct slice key;
	void *v;

	for (size_t i = 0; map_each(s->subscriptions, &i, &key, &v);)
		sum128_add(&sum, entry_digest(s->key, DIGEST_SUBSCRIPTION,
					      &key, 1));
	for (size_t i = 0; map_each(s->deliveries, &i, &key, &v);)
		sum128_add(&sum, delivery_digest(s, v));
	for (size_t i = 0; map_each(s->tombstones, &i, &key, &v);)
		sum128_add(&sum, tombstone_digest(s, v));
	return sum;
}

int state_digest_recomputed(struct state *s, uint8_t out[16], struct err *e)
{
	struct buf parts;
	uint8_t b[16];
	int r = 0;

	buf_init(&parts, 64u << 20);
	for (size_t i = 0; i < s->n_mboxes && r == 0; i++) {
		struct mailbox *m = s->mboxes[i];
		struct sum128 entries;

		r = sum_entries(m, &entries, false, e);
		if (r == 0) {
			sum128_put(mailbox_part(m, mailbox_sum(m, entries,
							       sum_extra(m))),
				   b);
			buf_put(&parts, b, 16);
		}
	}
	if (r == 0) {
		buf_reset(&s->scratch);
		buf_slice(&s->scratch, buf_all(&parts));
		digest_end(s, sum_rest(s), out);
	}
	buf_fini(&parts);
	return r;
}

void state_recount_rest(struct state *s)
{
	s->rest = sum_rest(s);
	for (size_t i = 0; i < s->n_mboxes; i++)
		s->mboxes[i]->extra = sum_extra(s->mboxes[i]);
}

void state_checkpoint_op(struct state *s, struct arena *a,
			 struct op_checkpoint *out)
{
	state_digest(s, out->account_digest);
	out->n_mboxes = 0;
	out->mboxes = arena_alloc(a, (s->n_mboxes + 1) * sizeof(*out->mboxes));
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mbox_digest *d = &out->mboxes[out->n_mboxes];

		if (!s->mboxes[i]->check)
			continue;
		d->mbox = s->mboxes[i]->id;
		mailbox_digest_of(s->mboxes[i], d->digest);
		out->n_mboxes++;
	}
}

unsigned state_mismatches(const struct state *s)
{
	return s->mismatches;
}

struct position state_position(const struct state *s)
{
	return s->pos;
}
