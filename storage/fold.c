#include "storage/fold.h"
#include "storage/account_private.h"
#include "storage/dbox.h"

#include <stdlib.h>

/* --- step 2: files and room ----------------------------------------------------- */

/* Ops that write to every record of an index that the record does not name. */
static int map_indexes(struct plan *p)
{
	int r = 0;

	for (size_t i = 0; i < p->s->n_mboxes && r == 0; i++)
		if (p->begin && p->begin->uidvalidity_base)
			r = mailbox_index(p->s->mboxes[i], p->e);
	for (size_t i = 0; i < p->r->n_ops && r == 0; i++) {
		const struct op *o = &p->r->ops[i];
		struct mailbox *m = o->kind == OP_TRIM ?
				    state_mailbox(p->s, o->trim.mbox) : NULL;

		if (m && o->trim.what == TRIM_KEYWORD)
			r = mailbox_index(m, p->e);
	}
	return r;
}

static int make_room(struct plan *p)
{
	for (size_t i = 0; i < p->n_boxes; i++) {
		struct plan_box *b = &p->boxes[i];
		int r = 0;

		if (b->is_new || (b->adds && !b->m->dir))
			r = dbox_dir(b->m, p->e);
		if (r == 0 && (b->adds || (b->m->index.gen &&
					   b->keywords > b->m->n_keywords)))
			r = mailbox_index_room(b->m, b->keywords, b->adds,
					       p->e);
		if (r == 0 && b->renumbered && !b->deleted)
			r = mailbox_renumber_begin(b->m, b->uidvalidity,
						   p->r->modseq, &b->again,
						   p->e);
		if (r < 0)
			return r;
	}
	return map_indexes(p);
}

static struct slice body_of(const struct plan *p, const struct op_msg_add *o,
			    size_t *next)
{
	struct slice body = SLICE_NONE;

	if (!o->inline_body)
		return body;
	if (p->bodies && *next < p->bodies->n)
		body = p->bodies->data[*next];
	(*next)++;
	/* An empty message is a body too. */
	if (body.n == 0 && o->size == 0)
		body = SLICE_LIT("");
	return body.n == o->size ? body : SLICE_NONE;
}

static int place_bodies(struct plan *p)
{
	size_t next = 0;

	for (size_t i = 0; i < p->r->n_ops; i++) {
		const struct op *o = &p->r->ops[i];
		struct plan_box *b;
		int r;

		if (o->kind != OP_MSG_ADD)
			continue;
		b = plan_box(p, o->msg_add.mbox);
		if (!b) {	/* deleted later in this record */
			body_of(p, &o->msg_add, &next);
			continue;
		}
		r = dbox_place(b->m, &o->msg_add,
			       body_of(p, &o->msg_add, &next), p->e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- step 3: lineage and account --------------------------------------------------- */

static void fold_jump(struct state *s, uint64_t by, uint8_t node)
{
	struct jump j = {.by = by, .node = node};

	if (s->n_jumps) {
		const struct jump *last = &s->jumps[s->n_jumps - 1];

		j.total = last->total +
			  (uid_parity(last->node + by, node) - last->node);
	}
	GROW(s->jumps, s->n_jumps, s->cap_jumps);
	s->jumps[s->n_jumps++] = j;
}

/* The modseq's 16 bits of the epoch begin anew: new UIDVALIDITY everywhere,
 * so that no client compares modseqs of before (Epochs and the start rule). */
static void fold_wrap(struct state *s, uint32_t uidvalidity, uint64_t modseq)
{
	for (size_t i = 0; i < s->n_mboxes; i++) {
		struct mailbox *m = s->mboxes[i];

		m->uidvalidity = uidvalidity;
		mailbox_vanished_trim(m, UINT64_MAX);
		m->vanished_floor = 0;
		m->touched = m->check = m->notify = true;
		m->part_valid = false;
		if (mailbox_index(m, NULL) < 0) {
			s->broken = true;
			continue;
		}
		for (uint32_t k = 0; k < m->index.n; k++)
			index_rec(&m->index, k)->modseq = modseq;
		m->highestmodseq = modseq;
		if (!s->replaying && mailbox_recount(m, NULL) < 0)
			s->broken = true;
	}
	if (uidvalidity > s->uidvalidity_hwm)
		s->uidvalidity_hwm = uidvalidity;
}

static void fold_begin(struct plan *p, const struct op_epoch_begin *o)
{
	struct state *s = p->s;
	struct lineage_entry l = {o->epoch, o->nonce, p->frame->seq,
				  p->frame->seq, 1, o->node};

	for (size_t i = 0; i < o->n_floors; i++) {
		struct mailbox *m = state_mailbox(s, o->floors[i].mbox);

		if (mailbox_uidnext(m) < o->floors[i].uidnext)
			mailbox_set_uidnext(m, o->floors[i].uidnext);
		m->touched = m->check = true;
		m->part_valid = false;
	}
	if (o->jump)
		fold_jump(s, o->jump, o->node);
	for (size_t i = 0; i < o->n_joined; i++) {
		GROW(s->joined, s->n_joined, s->cap_joined);
		s->joined[s->n_joined++] = (struct joined_epoch){
			o->joined[i], o->joined_fork_modseq[i]};
	}
	for (size_t i = 0; i < o->n_ambiguous; i++) {
		GROW(s->ambiguous, s->n_ambiguous, s->cap_ambiguous);
		s->ambiguous[s->n_ambiguous++] = o->ambiguous[i];
	}
	GROW(s->lineage, s->n_lineage, s->cap_lineage);
	s->lineage[s->n_lineage++] = l;
	s->epoch_seq = p->frame->seq;
	s->counter = 1;
	s->holder = o->node;
	s->pos.epoch = o->epoch;
	if (o->uidvalidity_base)
		fold_wrap(s, o->uidvalidity_base, modseq_of(o->epoch, 1));
	for (size_t i = 0; i < s->n_mboxes; i++)
		s->mboxes[i]->notify = true;
}

static void fold_check_digest(struct state *s, const uint8_t want[16])
{
	uint8_t is[16];

	if (s->replaying)
		return;
	state_digest(s, is);
	if (memcmp(is, want, 16) != 0)
		s->mismatches++;
}

static void fold_trim(struct state *s, const struct op_trim *o)
{
	struct mailbox *m = state_mailbox(s, o->mbox);
	int bit;

	switch (o->what) {
	case TRIM_DELIVERY:
		state_trim_deliveries(s, (int64_t)o->floor);
		break;
	case TRIM_TOMBSTONE:
		state_tombstone_drop(s, o->name);
		break;
	case TRIM_VANISHED:
		if (m) {
			mailbox_vanished_trim(m, o->floor);
			m->touched = m->check = true;
		}
		break;
	case TRIM_KEYWORD:
		bit = m ? keyword_find(m, o->name) : -1;
		if (bit >= 0) {
			keyword_drop(m, (size_t)bit);
			m->touched = m->check = true;
			/* Its bit counts in no digest from now on. */
			if (!s->replaying && mailbox_recount(m, NULL) < 0)
				s->broken = true;
		}
		break;
	default:		/* receipts, Sieve: nothing is kept yet */
		break;
	}
}

/* --- mailboxes ------------------------------------------------------------------------ */

/* Its index goes where its message files go: whoever asks for one of these
 * bodies by hash finds it there.  Failing costs a seed at worst. */
static void keep_index(struct state *s, struct mailbox *m, const char *index)
{
	struct buf to;

	if (mailbox_index(m, NULL) < 0)
		return;
	index_note(&m->index, s->pos.seq);
	buf_init(&to, 8192);
	dbox_expunged_index(s, m->id, &to);
	/* One of an earlier life need not be whole. */
	s->fs->ops->unlink(s->fs, (char *)to.p);
	s->fs->ops->link(s->fs, index, (char *)to.p);
	buf_fini(&to);
}

static void bury(struct plan *p, struct mailbox *m)
{
	struct state *s = p->s;
	struct buf path;

	mailbox_entomb(s, slice_str(m->name), m->uidvalidity, m->id);
	state_take_out(s, m);
	m->gone = m->notify = true;
	body_table_free(s->bodies);
	s->bodies = NULL;
	buf_init(&path, 8192);
	if (m->index.gen) {
		index_path(&path, s->root, m->id, m->index.gen);
		buf_char(&path, 0);
		keep_index(s, m, (char *)path.p);
		garbage_add(s, (char *)path.p);
		buf_reset(&path);
	}
	cache_path(&path, s->root, m->id, m->cache_gen);
	buf_char(&path, 0);
	garbage_add(s, (char *)path.p);
	buf_fini(&path);
	GROW(s->expunged, s->n_expunged, s->cap_expunged);
	s->expunged[s->n_expunged++] = (struct expunged_file){
		.mbox = m->id, .numbering = m->numbering,
		.seq = p->frame->seq,
		.time = (int64_t)((p->frame->hlc >> 16) / 1000)};
	GROW(s->dead, s->n_dead, s->cap_dead);
	s->dead[s->n_dead++] = m;
}

static void fold_wipe(struct plan *p)
{
	struct state *s = p->s;
	struct slice key;
	void *v;

	while (s->n_mboxes)
		bury(p, s->mboxes[s->n_mboxes - 1]);
	for (size_t i = 0; map_each(s->subscriptions, &i, &key, &v);) {
		sum128_sub(&s->rest, entry_digest(s->key, DIGEST_SUBSCRIPTION,
						  &key, 1));
		map_remove(s->subscriptions, key);
	}
	state_trim_deliveries(s, INT64_MAX);
	s->exists = false;
}

static void fold_create(struct plan *p, const struct op_mbox_create *o)
{
	struct plan_box *b = plan_box(p, o->id);
	struct mailbox *m = b->m;
	uint64_t uidnext = m->uidnext;

	state_insert(p->s, m);
	/* All jumps so far are in it. */
	mailbox_set_uidnext(m, uidnext);
	m->highestmodseq = p->r->modseq ? p->r->modseq :
					  modseq_of(p->frame->epoch, 1);
	m->changed_seq = p->frame->seq;
	m->changes_floor = 0;
	m->cache_gen = 1;
	m->touched = m->check = true;
	if (o->uidvalidity > p->s->uidvalidity_hwm)
		p->s->uidvalidity_hwm = o->uidvalidity;
}

static void fold_rename(struct state *s, const struct op_mbox_rename *o)
{
	static const struct id128 none;

	for (size_t i = 0; i < o->n_items; i++) {
		struct mailbox *m = state_mailbox(s, o->items[i].id);

		mailbox_entomb(s, slice_str(m->name), m->uidvalidity, none);
		state_take_out(s, m);
		/* Found again below, although out of the list. */
		map_put(s->by_id, slice_of(m->id.b, 16), m);
	}
	for (size_t i = 0; i < o->n_items; i++) {
		struct mailbox *m = state_mailbox(s, o->items[i].id);

		m->uidvalidity = o->items[i].uidvalidity;
		if (m->uidvalidity > s->uidvalidity_hwm)
			s->uidvalidity_hwm = m->uidvalidity;
		state_reposition(s, m, o->items[i].name);
		m->touched = m->check = m->notify = true;
	}
}

static void fold_renumber(struct plan *p, const struct op_mbox_renumber *o)
{
	struct state *s = p->s;
	struct plan_box *b = plan_box_any(p, o->id);
	struct mailbox *m = b->m;
	struct expunged_file x = {.mbox = m->id, .numbering = m->numbering,
				  .seq = p->frame->seq};

	/* One that is deleted later in this record goes as it is. */
	if (b->again.begun) {
		mailbox_renumber_end(m, o->uidvalidity, p->r->modseq,
				     &b->again);
		x.time = (int64_t)((p->frame->hlc >> 16) / 1000);
		GROW(s->expunged, s->n_expunged, s->cap_expunged);
		s->expunged[s->n_expunged++] = x;
	}
	m->uidvalidity = o->uidvalidity;
	if (o->uidvalidity > s->uidvalidity_hwm)
		s->uidvalidity_hwm = o->uidvalidity;
	m->highestmodseq = p->r->modseq;
	m->changed_seq = p->frame->seq;
	m->touched = m->check = m->notify = true;
	if (!s->replaying && mailbox_recount(m, NULL) < 0)
		s->broken = true;
}

/* --- messages ----------------------------------------------------------------------------- */

static void changed(struct plan *p, struct mailbox *m)
{
	m->highestmodseq = p->r->modseq;
	m->changed_seq = p->frame->seq;
	m->part_valid = false;
	m->touched = m->check = m->notify = true;
}

static void note_change(struct mailbox *m, uint32_t rec, uint64_t modseq)
{
	if (m->n_changes == 2 * CHANGES_MAX) {
		m->changes_floor = m->changes[CHANGES_MAX - 1].modseq;
		memmove(m->changes, m->changes + CHANGES_MAX,
			CHANGES_MAX * sizeof(*m->changes));
		m->n_changes = CHANGES_MAX;
	}
	GROW(m->changes, m->n_changes, m->cap_changes);
	m->changes[m->n_changes++] = (struct change){modseq, rec};
}

static void set_keywords(struct mailbox *m, struct mrec *rec,
			 const struct slice *kw, size_t n, bool on)
{
	for (size_t i = 0; i < n; i++) {
		int bit = keyword_find(m, kw[i]);

		if (bit >= 0)
			index_keyword_set(&m->index, rec, (size_t)bit, on);
	}
}

static void fold_add(struct plan *p, const struct op_msg_add *o,
		     struct slice body)
{
	struct state *s = p->s;
	struct mailbox *m = state_mailbox(s, o->mbox);
	uint32_t i = m->index.n;
	struct mrec *rec = index_rec(&m->index, i);

	memset(rec, 0, m->index.rec_size);
	rec->uid = o->uid;
	rec->flags = (uint8_t)o->flags;
	rec->source = o->source;
	rec->internaldate_zone = o->internaldate_zone;
	rec->modseq = p->r->modseq;
	rec->internaldate = o->internaldate;
	rec->savedate = o->savedate;
	rec->size = o->size;
	rec->emailid = o->emailid;
	rec->threadid = o->threadid;
	memcpy(rec->body_hash, o->body_hash, 32);
	set_keywords(m, rec, o->keywords, o->n_keywords, true);
	m->index.n++;
	mailbox_set_uidnext(m, (uint64_t)o->uid + 1);
	changed(p, m);
	if (s->bodies)
		body_table_add(s->bodies, m, i);
	if (s->replaying)
		return;
	m->messages++;
	m->size += o->size;
	if (!(o->flags & MSG_SEEN))
		m->unseen++;
	sum128_add(&m->entries, entry_digest_message(m, rec));
	note_change(m, i, p->r->modseq);
	if (body.p)
		mailbox_cache_fill(m, i, body);
}

static void fold_flags_one(struct plan *p, struct mailbox *m, uint32_t i,
			   const struct op_msg_flags *o)
{
	struct mrec *rec = index_rec(&m->index, i);
	bool live = !(rec->flags & MREC_EXPUNGED) && !p->s->replaying;
	uint8_t was = rec->flags;

	if (live)
		sum128_sub(&m->entries, entry_digest_message(m, rec));
	rec->flags = (uint8_t)((rec->flags & ~o->remove) | o->add);
	set_keywords(m, rec, o->kw_remove, o->n_kw_remove, false);
	set_keywords(m, rec, o->kw_add, o->n_kw_add, true);
	if (live && rec->modseq != p->r->modseq)
		note_change(m, i, p->r->modseq);
	rec->modseq = p->r->modseq;
	if (!live)
		return;
	sum128_add(&m->entries, entry_digest_message(m, rec));
	if ((was ^ rec->flags) & MSG_SEEN)
		m->unseen += rec->flags & MSG_SEEN ? -1u : 1u;
}

static void fold_flags(struct plan *p, const struct op_msg_flags *o)
{
	struct mailbox *m = state_mailbox(p->s, o->mbox);

	for (size_t k = 0; k < o->n_uids; k++) {
		uint32_t i = index_lower(&m->index, o->uids[k].first);

		for (; i < m->index.n &&
		       index_rec(&m->index, i)->uid <= o->uids[k].last; i++)
			fold_flags_one(p, m, i, o);
	}
	changed(p, m);
}

/* Bit first, then the file: only the log says what exists. */
static void fold_gone(struct plan *p, struct mailbox *m, uint32_t uid)
{
	struct state *s = p->s;
	uint32_t i = index_lower(&m->index, uid);
	struct mrec *rec = index_rec(&m->index, i);

	if (!s->replaying) {
		sum128_sub(&m->entries, entry_digest_message(m, rec));
		m->messages--;
		m->size -= rec->size;
		if (!(rec->flags & MSG_SEEN))
			m->unseen--;
		/* Without any expunged record so far there is nothing to
		 * gather. */
		mailbox_rank(m);
		rank_set(&m->rank, i);
	}
	rec->flags |= MREC_EXPUNGED;
	rec->modseq = p->r->modseq;
	mailbox_vanish(m, (struct uid_range){uid, uid}, p->r->modseq);
	dbox_expunge(m, uid);
	GROW(s->expunged, s->n_expunged, s->cap_expunged);
	s->expunged[s->n_expunged++] = (struct expunged_file){
		.mbox = m->id, .uid = uid, .numbering = m->numbering,
		.seq = p->frame->seq,
		.time = (int64_t)((p->frame->hlc >> 16) / 1000)};
}

static void fold_expunge(struct plan *p, const struct op_msg_expunge *o)
{
	struct mailbox *m = state_mailbox(p->s, o->mbox);

	for (size_t i = 0; i < o->n_items; i++)
		fold_gone(p, m, o->items[i].uid);
	changed(p, m);
}

/* --- all ops ------------------------------------------------------------------------------ */

static int fold_account_op(struct plan *p, const struct op *o)
{
	struct state *s = p->s;
	struct mailbox *m;

	switch (o->kind) {
	case OP_EPOCH_BEGIN:
		fold_begin(p, &o->epoch_begin);
		break;
	case OP_HANDOVER:
		fold_check_digest(s, o->handover.account_digest);
		s->holder = o->handover.to;
		break;
	case OP_CHECKPOINT:
		fold_check_digest(s, o->checkpoint.account_digest);
		for (size_t i = 0; i < s->n_mboxes; i++)
			s->mboxes[i]->check = false;
		break;
	case OP_TRIM:
		fold_trim(s, &o->trim);
		break;
	case OP_ACCOUNT_CREATE:
		s->exists = true;
		free(s->name);
		s->name = xstrndup(o->account_name.p, o->account_name.n);
		break;
	case OP_ACCOUNT_DELETE:
		fold_wipe(p);
		break;
	case OP_UIDVALIDITY_HWM:
		if (o->uidvalidity_hwm > s->uidvalidity_hwm)
			s->uidvalidity_hwm = o->uidvalidity_hwm;
		break;
	case OP_SUBSCRIBE:
		state_subscribe(s, o->subscribe.name, o->subscribe.on);
		break;
	case OP_SPECIALUSE:
		m = state_mailbox(s, o->specialuse.id);
		m->special_use = o->specialuse.set;
		m->part_valid = false;
		m->touched = m->check = m->notify = true;
		break;
	case OP_KEYWORD:
		m = state_mailbox(s, o->keyword.mbox);
		struct buf *b = &s->scratch;

		buf_reset(b);
		buf_slice(b, o->keyword.spelling);
		for (size_t i = 0; i < b->n; i++)
			if (b->p[i] >= 'A' && b->p[i] <= 'Z')
				b->p[i] = (uint8_t)(b->p[i] - 'A' + 'a');
		if (keyword_find(m, buf_all(b)) < 0)
			keyword_add(m, o->keyword.spelling);
		m->touched = m->check = m->notify = true;
		break;
	default:		/* NOOP, and what may be skipped */
		break;
	}
	return 0;
}

static int fold_op(struct plan *p, const struct op *o, size_t *next_body)
{
	struct delivery d;
	struct mailbox *m;

	switch (o->kind) {
	case OP_MBOX_CREATE:
		fold_create(p, &o->mbox_create);
		return 0;
	case OP_MBOX_RENAME:
		fold_rename(p->s, &o->mbox_rename);
		return 0;
	case OP_MBOX_DELETE:
		bury(p, state_mailbox(p->s, o->mbox_delete.id));
		return 0;
	case OP_MBOX_RENUMBER:
		fold_renumber(p, &o->mbox_renumber);
		return 0;
	case OP_MSG_ADD:
		fold_add(p, &o->msg_add, body_of(p, &o->msg_add, next_body));
		return 0;
	case OP_MSG_FLAGS:
		fold_flags(p, &o->msg_flags);
		return 0;
	case OP_MSG_EXPUNGE:
		fold_expunge(p, &o->msg_expunge);
		return 0;
	case OP_MSG_RETIRE:
		m = state_mailbox(p->s, o->msg_retire.mbox);
		fold_gone(p, m, o->msg_retire.uid);
		changed(p, m);
		return 0;
	case OP_DELIVERY:
		d = (struct delivery){.time = o->delivery.time,
				      .mbox = o->delivery.mbox,
				      .uid = o->delivery.uid};
		memcpy(d.id, o->delivery.id, 32);
		state_put_delivery(p->s, &d);
		return 0;
	default:
		return fold_account_op(p, o);
	}
}

/* --- after a record ----------------------------------------------------------------------- */

static void notify_one(struct mailbox *m)
{
	struct list *next;

	if (!m->notify)
		return;
	m->notify = false;
	if (m->state->replaying)
		return;
	for (struct list *l = m->watches.next; l != &m->watches; l = next) {
		struct mailbox_watch *w =
			CONTAINER_OF(l, struct mailbox_watch, node);

		next = l->next;
		w->changed(w);
	}
}

static void notify(struct plan *p)
{
	struct state *s = p->s;
	struct list *next, *head;

	for (size_t i = 0; i < s->n_mboxes; i++)
		notify_one(s->mboxes[i]);
	for (size_t i = 0; i < s->n_dead; i++)
		notify_one(s->dead[i]);
	if (s->replaying || !s->account)
		return;
	head = &s->account->watches;
	for (struct list *l = head->next; l != head; l = next) {
		struct account_watch *w =
			CONTAINER_OF(l, struct account_watch, node);

		next = l->next;
		w->changed(w, p->r);
	}
}

void state_reap(struct state *s)
{
	size_t k = 0;

	for (size_t i = 0; i < s->n_dead; i++) {
		if (s->dead[i]->refs == 0)
			mailbox_free(s->dead[i]);
		else
			s->dead[k++] = s->dead[i];
	}
	s->n_dead = k;
}

static bool moves_dirs(const struct record *r)
{
	for (size_t i = 0; i < r->n_ops; i++)
		if (r->ops[i].kind == OP_MBOX_RENAME ||
		    r->ops[i].kind == OP_MBOX_DELETE ||
		    r->ops[i].kind == OP_ACCOUNT_DELETE)
			return true;
	return false;
}

static int fold(struct plan *p)
{
	struct state *s = p->s;
	size_t next_body = 0;
	int r = 0;

	if (p->r->modseq)
		s->counter = p->r->modseq & ((1ull << 36) - 1);
	for (size_t i = 0; i < p->r->n_ops && r == 0; i++)
		r = fold_op(p, &p->r->ops[i], &next_body);
	if (p->r->modseq)
		s->counter = p->r->modseq & ((1ull << 36) - 1);
	s->pos = (struct position){p->frame->epoch, p->nonce, p->frame->seq,
				   p->frame->chain};
	if (s->n_lineage) {
		struct lineage_entry *l = &s->lineage[s->n_lineage - 1];

		l->last_seq = p->frame->seq;
		l->last_counter = s->counter;
	}
	return r;
}

int state_apply(struct state *s, const struct frame *f, uint32_t nonce,
		const struct record *r, const struct frame_bodies *bodies,
		bool replay, struct err *e)
{
	struct plan p = {.s = s, .frame = f, .nonce = nonce, .r = r,
			 .bodies = bodies, .e = e};
	int rc = 0;

	if (s->broken)
		return err_set(e, E_TEMP, "account at seq %llu was left half "
			       "written by an I/O error; it is read again at "
			       "the next start",
			       (unsigned long long)s->pos.seq);
	if (replay && !s->replaying)
		rc = state_replay_begin(s, e);
	if (rc < 0)
		return rc;
	p.a = arena_new(1024);
	rc = plan_check(&p);
	if (rc == 0)
		rc = make_room(&p);
	if (rc == 0)
		rc = place_bodies(&p);
	if (rc == 0)
		rc = fold(&p);
	plan_fini(&p);
	arena_free(p.a);
	if (rc < 0)
		return rc;
	if (!s->replaying && (moves_dirs(r) || s->unsettled))
		state_settle_dirs(s);
	notify(&p);
	if (!s->replaying)
		state_reap(s);
	return s->broken ? err_set(e, E_TEMP, "an index could not be read") : 0;
}
