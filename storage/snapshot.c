#include "storage/snapshot.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "storage/dbox.h"
#include "storage/fold.h"

#include <stdlib.h>

/* --- writing ------------------------------------------------------------------ */

static void put_text(struct buf *to, struct slice s)
{
	buf_le32(to, (uint32_t)s.n);
	buf_slice(to, s);
}

static void put_position(struct buf *to, const struct position *p)
{
	buf_le32(to, p->epoch);
	buf_le32(to, p->nonce);
	buf_le64(to, p->seq);
	buf_le64(to, p->chain);
}

static void put_lineage(struct buf *to, const struct lineage_entry *l)
{
	buf_le32(to, l->epoch);
	buf_le32(to, l->nonce);
	buf_le64(to, l->first_seq);
	buf_le64(to, l->last_seq);
	buf_le64(to, l->last_counter);
	buf_char(to, l->node);
}

static void put_account(const struct state *s, struct buf *to)
{
	buf_put(to, s->id.b, 16);
	put_position(to, &s->pos);
	buf_le64(to, s->counter);
	buf_le64(to, s->epoch_seq);
	buf_le32(to, (uint32_t)s->holder);
	buf_char(to, s->exists);
	put_text(to, slice_str(s->name));
	buf_le32(to, s->uidvalidity_hwm);
	buf_le32(to, (uint32_t)s->n_lineage);
	for (size_t i = 0; i < s->n_lineage; i++)
		put_lineage(to, &s->lineage[i]);
	buf_le32(to, (uint32_t)s->n_joined);
	for (size_t i = 0; i < s->n_joined; i++) {
		put_lineage(to, &s->joined[i].entry);
		buf_le64(to, s->joined[i].fork_modseq);
	}
	buf_le32(to, (uint32_t)s->n_ambiguous);
	for (size_t i = 0; i < s->n_ambiguous; i++)
		buf_le32(to, s->ambiguous[i]);
	buf_le32(to, (uint32_t)s->n_jumps);
	for (size_t i = 0; i < s->n_jumps; i++) {
		buf_le64(to, s->jumps[i].by);
		buf_le64(to, s->jumps[i].total);
		buf_char(to, s->jumps[i].node);
	}
}

static void put_tables(const struct state *s, struct buf *to)
{
	struct slice key;
	void *v;

	buf_le32(to, (uint32_t)map_size(s->subscriptions));
	for (size_t i = 0; map_each(s->subscriptions, &i, &key, &v);)
		put_text(to, key);
	buf_le32(to, (uint32_t)map_size(s->deliveries));
	for (size_t i = 0; map_each(s->deliveries, &i, &key, &v);) {
		const struct delivery *d = v;

		buf_put(to, d->id, 32);
		buf_le64(to, (uint64_t)d->time);
		buf_put(to, d->mbox.b, 16);
		buf_le32(to, d->uid);
	}
	buf_le32(to, (uint32_t)map_size(s->tombstones));
	for (size_t i = 0; map_each(s->tombstones, &i, &key, &v);) {
		const struct tombstone *t = v;

		put_text(to, slice_str(t->name));
		buf_le32(to, t->uidvalidity);
		buf_put(to, t->id.b, 16);
	}
}

static void put_sum(struct buf *to, struct sum128 s)
{
	uint8_t b[16];

	sum128_put(s, b);
	buf_put(to, b, 16);
}

static void put_mailbox(const struct mailbox *m, struct buf *to)
{
	buf_put(to, m->id.b, 16);
	put_text(to, slice_str(m->name));
	buf_le32(to, m->uidvalidity);
	buf_le32(to, m->special_use);
	buf_le32(to, m->numbering);
	buf_le64(to, m->uidnext);
	buf_le64(to, m->jump_at);
	buf_le64(to, m->highestmodseq);
	buf_le64(to, m->changed_seq);
	buf_char(to, m->check);
	buf_le32(to, (uint32_t)m->n_keywords);
	for (size_t i = 0; i < m->n_keywords; i++)
		put_text(to, slice_str(m->keywords[i].spelling));
	buf_le64(to, m->vanished_floor);
	buf_le32(to, (uint32_t)m->n_vanished);
	for (size_t i = 0; i < m->n_vanished; i++) {
		buf_le32(to, m->vanished[i].uids.first);
		buf_le32(to, m->vanished[i].uids.last);
		buf_le64(to, m->vanished[i].modseq);
	}
	buf_le32(to, m->index.rec_size);
}

/* What only this node knows of a mailbox. */
static void put_local(const struct mailbox *m, struct buf *to)
{
	size_t root = strlen(m->state->root) + 1;

	buf_le64(to, m->index.gen);
	buf_le32(to, m->index.n);
	buf_le64(to, m->last_gen);
	buf_le64(to, m->cache_gen);
	buf_le32(to, m->messages);
	buf_le32(to, m->unseen);
	buf_le64(to, m->size);
	put_sum(to, m->entries);
	put_sum(to, m->extra);
	put_text(to, m->dir ? slice_str(m->dir + root) : SLICE_NONE);
}

static int put_records(struct mailbox *m, struct buf *to, struct err *e)
{
	int r = mailbox_index(m, e);

	buf_le32(to, m->messages);
	for (uint32_t i = 0; r == 0 && i < m->index.n; i++) {
		const struct mrec *rec = index_rec(&m->index, i);
		size_t at = to->n;

		if (rec->flags & MREC_EXPUNGED)
			continue;
		buf_put(to, rec, m->index.rec_size);
		if (!to->failed)
			le64_to(to->p + at + offsetof(struct mrec, cache_at),
				0);
	}
	return r;
}

static void put_files(const struct state *s, struct buf *to)
{
	put_sum(to, s->rest);
	buf_le32(to, (uint32_t)s->n_expunged);
	for (size_t i = 0; i < s->n_expunged; i++) {
		const struct expunged_file *x = &s->expunged[i];

		buf_put(to, x->mbox.b, 16);
		buf_le32(to, x->uid);
		buf_le32(to, x->numbering);
		buf_le64(to, x->seq);
		buf_le64(to, (uint64_t)x->time);
	}
	buf_le32(to, (uint32_t)s->n_missing);
	for (size_t i = 0; i < s->n_missing; i++) {
		const struct missing *x = &s->missing[i];

		buf_put(to, x->mbox.b, 16);
		buf_le32(to, x->uid);
		buf_put(to, x->hash, 32);
		buf_le64(to, x->size);
	}
}

int snapshot_put(struct state *s, struct buf *to, bool records, struct err *e)
{
	size_t start = to->n;
	int r = 0;

	buf_str(to, records ? "DUETEXP1" : "DUETSNP1");
	buf_le32(to, SNAPSHOT_VERSION);
	put_account(s, to);
	put_tables(s, to);
	buf_le32(to, (uint32_t)s->n_mboxes);
	for (size_t i = 0; i < s->n_mboxes && r == 0; i++) {
		put_mailbox(s->mboxes[i], to);
		if (records)
			r = put_records(s->mboxes[i], to, e);
		else
			put_local(s->mboxes[i], to);
	}
	if (!records)
		put_files(s, to);
	if (to->failed)
		return err_set(e, E_LIMIT, "snapshot of more than %zu bytes",
			       to->max);
	buf_le32(to, crc32c(0, to->p + start, to->n - start));
	return r;
}

/* --- reading -------------------------------------------------------------------- */

static struct slice get_text(struct cursor *c, size_t max)
{
	uint32_t n = cursor_le32(c);

	if (n > max)
		c->bad = true;
	return cursor_bytes(c, c->bad ? 0 : n);
}

/* A count of things that take at least `least` bytes each. */
static size_t get_count(struct cursor *c, size_t least)
{
	uint32_t n = cursor_le32(c);

	if (n > cursor_left(c) / least)
		c->bad = true;
	return c->bad ? 0 : n;
}

static struct lineage_entry get_lineage(struct cursor *c)
{
	struct lineage_entry l;

	l.epoch = cursor_le32(c);
	l.nonce = cursor_le32(c);
	l.first_seq = cursor_le64(c);
	l.last_seq = cursor_le64(c);
	l.last_counter = cursor_le64(c);
	l.node = cursor_u8(c);
	return l;
}

static struct sum128 get_sum(struct cursor *c)
{
	uint8_t b[16] = {0};

	cursor_copy(c, b, 16);
	return sum128_of(b);
}

static int get_account(struct state *s, struct cursor *c)
{
	struct id128 id = {{0}};
	struct slice name;
	size_t n;

	cursor_copy(c, id.b, 16);
	if (!c->bad && !id128_eq(id, s->id))
		return -1;
	s->pos.epoch = cursor_le32(c);
	s->pos.nonce = cursor_le32(c);
	s->pos.seq = cursor_le64(c);
	s->pos.chain = cursor_le64(c);
	s->counter = cursor_le64(c);
	s->epoch_seq = cursor_le64(c);
	s->holder = (int)cursor_le32(c);
	s->exists = cursor_u8(c) != 0;
	name = get_text(c, ACCOUNT_NAME_MAX);
	s->name = name.n ? xstrndup(name.p, name.n) : NULL;
	s->uidvalidity_hwm = cursor_le32(c);
	n = get_count(c, 33);
	for (size_t i = 0; i < n; i++) {
		GROW(s->lineage, s->n_lineage, s->cap_lineage);
		s->lineage[s->n_lineage++] = get_lineage(c);
	}
	n = get_count(c, 41);
	for (size_t i = 0; i < n; i++) {
		struct joined_epoch j = {get_lineage(c), 0};

		j.fork_modseq = cursor_le64(c);
		GROW(s->joined, s->n_joined, s->cap_joined);
		s->joined[s->n_joined++] = j;
	}
	n = get_count(c, 4);
	for (size_t i = 0; i < n; i++) {
		GROW(s->ambiguous, s->n_ambiguous, s->cap_ambiguous);
		s->ambiguous[s->n_ambiguous++] = cursor_le32(c);
	}
	n = get_count(c, 17);
	for (size_t i = 0; i < n; i++) {
		struct jump j = {.by = cursor_le64(c)};

		j.total = cursor_le64(c);
		j.node = cursor_u8(c);
		GROW(s->jumps, s->n_jumps, s->cap_jumps);
		s->jumps[s->n_jumps++] = j;
	}
	return c->bad ? -1 : 0;
}

static void get_tables(struct state *s, struct cursor *c)
{
	size_t n = get_count(c, 4);

	for (size_t i = 0; i < n; i++) {
		struct slice name = get_text(c, MBOX_NAME_MAX);

		if (!c->bad)
			state_subscribe(s, name, true);
	}
	n = get_count(c, 60);
	for (size_t i = 0; i < n; i++) {
		struct delivery d;

		cursor_copy(c, d.id, 32);
		d.time = (int64_t)cursor_le64(c);
		cursor_copy(c, d.mbox.b, 16);
		d.uid = cursor_le32(c);
		if (!c->bad)
			state_put_delivery(s, &d);
	}
	n = get_count(c, 24);
	for (size_t i = 0; i < n; i++) {
		struct slice name = get_text(c, MBOX_NAME_MAX);
		uint32_t v = cursor_le32(c);
		struct id128 id = {{0}};

		cursor_copy(c, id.b, 16);
		if (!c->bad)
			mailbox_entomb(s, name, v, id);
	}
}

static void get_keywords(struct mailbox *m, struct cursor *c)
{
	size_t n = get_count(c, 4);

	for (size_t i = 0; i < n && !c->bad; i++) {
		struct slice k = get_text(c, KEYWORD_MAX);

		if (k.n) {
			keyword_add(m, k);
			continue;
		}
		GROW(m->keywords, m->n_keywords, m->cap_keywords);
		m->keywords[m->n_keywords++] = (struct keyword){0};
	}
}

static struct mailbox *get_mailbox(struct state *s, struct cursor *c)
{
	struct id128 id = {{0}};
	struct mailbox *m;
	struct slice name;
	size_t n;

	cursor_copy(c, id.b, 16);
	name = get_text(c, MBOX_NAME_MAX);
	if (c->bad || dbox_name_check(s, name) < 0 || state_mailbox(s, id) ||
	    state_mailbox_named(s, name)) {
		c->bad = true;
		return NULL;
	}
	m = mailbox_new(s, id, name);
	m->uidvalidity = cursor_le32(c);
	m->special_use = cursor_le32(c);
	m->numbering = cursor_le32(c);
	m->uidnext = cursor_le64(c);
	m->jump_at = (size_t)cursor_le64(c);
	m->highestmodseq = cursor_le64(c);
	m->changed_seq = cursor_le64(c);
	m->check = cursor_u8(c) != 0;
	get_keywords(m, c);
	m->vanished_floor = cursor_le64(c);
	n = get_count(c, 16);
	for (size_t i = 0; i < n; i++) {
		struct uid_range r = {cursor_le32(c), 0};

		r.last = cursor_le32(c);
		mailbox_vanish(m, r, cursor_le64(c));
	}
	m->index.rec_size = cursor_le32(c);
	if (m->jump_at > s->n_jumps || m->index.rec_size < index_rec_size(0) ||
	    m->index.rec_size > index_rec_size(1u << 20) ||
	    m->index.rec_size % 8 ||
	    INDEX_KEYWORDS(m->index.rec_size) < m->n_keywords)
		c->bad = true;
	m->changes_floor = m->highestmodseq;
	m->cache_gen = 1;
	state_insert(s, m);
	return m;
}

static void get_local(struct mailbox *m, struct cursor *c)
{
	struct slice dir;

	m->index.gen = cursor_le64(c);
	m->index.n = cursor_le32(c);
	m->last_gen = cursor_le64(c);
	m->cache_gen = cursor_le64(c);
	m->messages = cursor_le32(c);
	m->unseen = cursor_le32(c);
	m->size = cursor_le64(c);
	m->entries = get_sum(c);
	m->extra = get_sum(c);
	dir = get_text(c, 8192);
	if (dir.n)
		m->dir = xprintf("%s/%.*s", m->state->root, (int)dir.n,
				 (const char *)dir.p);
	if (m->messages > m->index.n)
		c->bad = true;
}

/* Records of a seed, checked: a partner's bug must not become ours. */
static int get_records(struct mailbox *m, struct cursor *c, struct err *e)
{
	uint32_t size = m->index.rec_size;
	size_t n = get_count(c, size);
	uint64_t before = 0, next = mailbox_uidnext(m);
	int r;

	if (c->bad)
		return 0;
	r = dbox_dir(m, e);
	if (r < 0 || n == 0)
		return r;
	r = mailbox_index_room(m, m->n_keywords, n, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct slice raw = cursor_bytes(c, size);
		struct mrec *rec = index_rec(&m->index, (uint32_t)i);

		memset(rec, 0, m->index.rec_size);
		memcpy(rec, raw.p,
		       size < m->index.rec_size ? size : m->index.rec_size);
		if (rec->uid <= before || rec->uid >= next ||
		    (rec->flags & ~MSG_FLAGS_MASK)) {
			c->bad = true;
			break;
		}
		rec->cache_at = 0;
		before = rec->uid;
		m->index.n++;
	}
	return r < 0 ? r : mailbox_recount(m, e);
}

static void get_files(struct state *s, struct cursor *c)
{
	size_t n;

	s->rest = get_sum(c);
	n = get_count(c, 40);
	for (size_t i = 0; i < n; i++) {
		struct expunged_file x;

		cursor_copy(c, x.mbox.b, 16);
		x.uid = cursor_le32(c);
		x.numbering = cursor_le32(c);
		x.seq = cursor_le64(c);
		x.time = (int64_t)cursor_le64(c);
		GROW(s->expunged, s->n_expunged, s->cap_expunged);
		s->expunged[s->n_expunged++] = x;
	}
	n = get_count(c, 60);
	for (size_t i = 0; i < n; i++) {
		struct missing x;

		cursor_copy(c, x.mbox.b, 16);
		x.uid = cursor_le32(c);
		cursor_copy(c, x.hash, 32);
		x.size = cursor_le64(c);
		GROW(s->missing, s->n_missing, s->cap_missing);
		s->missing[s->n_missing++] = x;
	}
}

int snapshot_get(struct state *s, struct slice in, bool records, struct err *e)
{
	struct slice magic = records ? SLICE_LIT("DUETEXP1") :
				       SLICE_LIT("DUETSNP1");
	struct cursor c = cursor_of(slice_sub(in, 0, in.n < 4 ? 0 : in.n - 4));
	size_t n;
	int r = 0;

	if (in.n < 4 || le32_at(in.p + in.n - 4) != crc32c(0, in.p, in.n - 4))
		return err_set(e, E_CORRUPT, "snapshot: checksum");
	if (!slice_eq(cursor_bytes(&c, 8), magic))
		return err_set(e, E_CORRUPT, "snapshot: not one");
	if (cursor_le32(&c) != SNAPSHOT_VERSION)
		return err_set(e, E_VERSION, "snapshot: of another version");
	if (get_account(s, &c) < 0)
		return err_set(e, E_CORRUPT, "snapshot: of another account, "
			       "or damaged");
	get_tables(s, &c);
	n = get_count(&c, 100);
	for (size_t i = 0; i < n && !c.bad && r == 0; i++) {
		struct mailbox *m = get_mailbox(s, &c);

		if (!m || c.bad)
			break;
		if (records)
			r = get_records(m, &c, e);
		else
			get_local(m, &c);
	}
	if (r < 0)
		return r;
	if (!records)
		get_files(s, &c);
	if (!cursor_done(&c))
		return err_set(e, E_CORRUPT, "snapshot: damaged");
	return 0;
}
