#include "storage/dbox.h"
#include "storage/fold.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Does a record fit the state?  What prepare leaves out is corruption here
 * (replication.md, Records).  During a replay the index may show effects of
 * later records: expunged records still count then.
 */

static int bad(struct plan *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int bad(struct plan *p, const char *fmt, ...)
{
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(p->e, E_CORRUPT, "record %u.%llu contradicts the "
		       "state: %s", p->frame->epoch,
		       (unsigned long long)p->frame->seq, what);
}

/* --- mailboxes the record names ---------------------------------------------- */

static struct plan_box *box_add(struct plan *p, struct mailbox *m)
{
	struct plan_box b = {.m = m, .keywords = m->n_keywords};

	b.uidnext = mailbox_uidnext(m);
	if (p->begin && p->begin->jump)
		b.uidnext = uid_parity(b.uidnext + p->begin->jump,
				       p->begin->node);
	GROW(p->boxes, p->n_boxes, p->cap_boxes);
	p->boxes[p->n_boxes] = b;
	return &p->boxes[p->n_boxes++];
}

struct plan_box *plan_box(struct plan *p, struct id128 id)
{
	struct mailbox *m;

	/* The last one is the one, nearly always. */
	for (size_t i = p->n_boxes; i-- > 0;)
		if (id128_eq(p->boxes[i].m->id, id))
			return p->boxes[i].deleted ? NULL : &p->boxes[i];
	m = p->wiped ? NULL : state_mailbox(p->s, id);
	return m ? box_add(p, m) : NULL;
}

struct plan_box *plan_box_any(struct plan *p, struct id128 id)
{
	for (size_t i = p->n_boxes; i-- > 0;)
		if (id128_eq(p->boxes[i].m->id, id))
			return &p->boxes[i];
	return NULL;
}

void plan_fini(struct plan *p)
{
	for (size_t i = 0; i < p->n_boxes; i++) {
		free(p->boxes[i].new_keywords);
		mailbox_renumber_drop(p->boxes[i].m, &p->boxes[i].again);
		/* One that was not inserted has no table. */
		if (p->boxes[i].is_new &&
		    state_mailbox(p->s, p->boxes[i].m->id) != p->boxes[i].m &&
		    !p->boxes[i].m->gone)
			mailbox_free(p->boxes[i].m);
	}
	free(p->boxes);
	free(p->renamed);
	free(p->gone);
}

/* Its name after the ops so far. */
static struct slice name_of(const struct plan *p, const struct mailbox *m)
{
	for (size_t i = p->n_renamed; i-- > 0;)
		if (p->renamed[i].m == m)
			return p->renamed[i].name;
	return slice_str(m->name);
}

/* The mailbox of that name after the ops so far. */
static struct mailbox *box_named(struct plan *p, struct slice name)
{
	struct mailbox *m = p->wiped ? NULL : state_mailbox_named(p->s, name);

	if (m && !slice_eq(name_of(p, m), name))
		m = NULL;
	for (size_t i = 0; i < p->n_boxes; i++) {
		struct plan_box *b = &p->boxes[i];

		if (b->m == m && b->deleted)
			m = NULL;
		if (!m && !b->deleted && (b->is_new || p->n_renamed) &&
		    slice_eq(name_of(p, b->m), name))
			return b->m;
	}
	return m;
}

/* A retired id is not used again: its files lie in .expunged/ (I8). */
static bool is_retired(const struct plan *p, struct id128 id)
{
	struct slice key;
	void *v;

	for (size_t i = 0; map_each(p->s->tombstones, &i, &key, &v);)
		if (id128_eq(((const struct tombstone *)v)->id, id))
			return true;
	return p->wiped && state_mailbox(p->s, id);
}

/* May this name show that UIDVALIDITY (I5)?  before: that of its mailbox. */
static bool uidvalidity_fits(const struct plan *p, struct slice name,
			     uint32_t before, uint32_t v)
{
	const struct tombstone *t = state_tombstone(p->s, name);

	return v >= before && v <= UIDVALIDITY_MAX &&
	       !(t && t->uidvalidity >= v);
}

static int check_create(struct plan *p, const struct op_mbox_create *o)
{
	struct plan_box *b;
	struct mailbox *m;

	if (plan_box(p, o->id) || (!p->wiped && state_mailbox(p->s, o->id)))
		return bad(p, "a mailbox of that id exists");
	if (is_retired(p, o->id))
		return bad(p, "the id of a mailbox that is gone");
	if (!uidvalidity_fits(p, o->name, 0, o->uidvalidity))
		return bad(p, "UIDVALIDITY %u, which the name has had",
			   o->uidvalidity);
	if (dbox_name_check(p->s, o->name) < 0)
		return bad(p, "a mailbox name that no node may create");
	if (box_named(p, o->name))
		return bad(p, "a mailbox of that name exists");
	m = mailbox_new(p->s, o->id, o->name);
	m->uidvalidity = m->numbering = o->uidvalidity;
	m->special_use = o->special_use;
	b = box_add(p, m);
	b->is_new = true;
	b->uidnext = 1;
	if (o->derived) {
		b->uidnext = state_uidnext_since_genesis(p->s);
		if (p->begin && p->begin->jump)
			b->uidnext = uid_parity(b->uidnext + p->begin->jump,
						p->begin->node);
	}
	m->uidnext = b->uidnext;
	return 0;
}

static bool renames(const struct op_mbox_rename *o, struct id128 id)
{
	for (size_t i = 0; i < o->n_items; i++)
		if (id128_eq(o->items[i].id, id))
			return true;
	return false;
}

static int by_name(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return slice_cmp(*x, *y);
}

static int check_distinct(struct plan *p, struct slice *s, size_t n,
			  const char *what)
{
	qsort(s, n, sizeof(*s), by_name);
	for (size_t i = 1; i < n; i++)
		if (slice_eq(s[i - 1], s[i]))
			return bad(p, "rename of %s", what);
	return 0;
}

static int check_rename(struct plan *p, const struct op_mbox_rename *o)
{
	struct slice *names =
		arena_alloc(p->a, o->n_items * sizeof(*names));
	struct slice *ids = arena_alloc(p->a, o->n_items * sizeof(*ids));
	int r;

	for (size_t i = 0; i < o->n_items; i++) {
		struct slice name = o->items[i].name;
		struct plan_box *b = plan_box(p, o->items[i].id);
		struct mailbox *at;

		if (!b)
			return bad(p, "rename of a mailbox that is not there");
		if (b->is_new)
			return bad(p, "rename of a mailbox just created");
		if (dbox_name_check(p->s, name) < 0)
			return bad(p, "a mailbox name that no node may create");
		at = box_named(p, name);
		if (at && !renames(o, at->id))
			return bad(p, "rename onto a mailbox");
		if (!uidvalidity_fits(p, name, b->m->uidvalidity,
				      o->items[i].uidvalidity))
			return bad(p, "rename to UIDVALIDITY %u",
				   o->items[i].uidvalidity);
		names[i] = name;
		ids[i] = slice_of(o->items[i].id.b, 16);
	}
	r = check_distinct(p, names, o->n_items, "two mailboxes to one name");
	if (r == 0)
		r = check_distinct(p, ids, o->n_items, "one mailbox to two "
				   "names");
	if (r < 0)
		return r;
	for (size_t i = 0; i < o->n_items; i++) {
		GROW(p->renamed, p->n_renamed, p->cap_renamed);
		p->renamed[p->n_renamed++] = (struct plan_name){
			plan_box(p, o->items[i].id)->m, o->items[i].name};
	}
	return 0;
}

/* --- messages ---------------------------------------------------------------------- */

/* The mailbox whose UIDs an op names; NULL if it is not there, or if they have
 * just become others. */
static struct plan_box *uids_of(struct plan *p, struct id128 id)
{
	struct plan_box *b = plan_box(p, id);

	if (!b || b->renumbered || p->r->modseq == 0)
		return NULL;
	b->named = true;
	return b;
}

/* Number of the record of a UID that is there. */
static int find_rec(struct plan *p, struct plan_box *b, uint32_t uid,
		    uint32_t *rec)
{
	struct mailbox *m = b->m;
	const struct mrec *r;

	if (m->index.gen == 0)
		return E_NOTFOUND;
	if (!index_is_open(&m->index)) {
		int rc = mailbox_index(m, p->e);

		if (rc < 0)
			return rc;
	}
	*rec = index_lower(&m->index, uid);
	if (*rec >= m->index.n)
		return E_NOTFOUND;
	r = index_rec(&m->index, *rec);
	if (r->uid != uid || ((r->flags & MREC_EXPUNGED) && !p->s->replaying))
		return E_NOTFOUND;
	return 0;
}

static bool keyword_known(const struct plan_box *b, struct slice kw)
{
	for (size_t i = 0; i < b->n_new_keywords; i++)
		if (slice_eq(b->new_keywords[i], kw))
			return true;
	return keyword_find(b->m, kw) >= 0;
}

static int check_keywords(struct plan *p, const struct plan_box *b,
			  const struct slice *kw, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!keyword_known(b, kw[i]))
			return bad(p, "a keyword without its KEYWORD op");
	return 0;
}

static int check_add(struct plan *p, const struct op_msg_add *o)
{
	struct plan_box *b = uids_of(p, o->mbox);

	if (!b)
		return bad(p, "a message without mailbox or modseq");
	if (o->uid < b->uidnext)
		return bad(p, "UID %u below UIDNEXT %llu", o->uid,
			   (unsigned long long)b->uidnext);
	b->uidnext = (uint64_t)o->uid + 1;
	b->adds++;
	return check_keywords(p, b, o->keywords, o->n_keywords);
}

static int check_flags(struct plan *p, const struct op_msg_flags *o)
{
	struct plan_box *b = uids_of(p, o->mbox);
	uint32_t rec;
	int r;

	if (!b)
		return bad(p, "flags without mailbox or modseq");
	for (size_t i = 0; i < o->n_uids; i++) {
		for (uint64_t u = o->uids[i].first; u <= o->uids[i].last; u++) {
			r = find_rec(p, b, (uint32_t)u, &rec);
			if (r == E_NOTFOUND)
				return bad(p, "flags of UID %llu, which is "
					   "not there", (unsigned long long)u);
			if (r < 0)
				return r;
		}
	}
	r = check_keywords(p, b, o->kw_add, o->n_kw_add);
	return r < 0 ? r : check_keywords(p, b, o->kw_remove, o->n_kw_remove);
}

static int check_gone(struct plan *p, struct plan_box *b, uint32_t uid,
		      const struct id128 *emailid)
{
	uint32_t rec;
	int r = find_rec(p, b, uid, &rec);

	if (r < 0 && r != E_NOTFOUND)
		return r;
	if (r == E_NOTFOUND)
		return bad(p, "expunge of UID %u, which is not there", uid);
	if (emailid && !id128_eq(index_rec(&b->m->index, rec)->emailid,
				 *emailid))
		return bad(p, "expunge of UID %u with another EMAILID", uid);
	GROW(p->gone, p->n_gone, p->cap_gone);
	p->gone[p->n_gone++] = (struct plan_gone){b->m, uid};
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct plan_gone *x = a, *y = b;

	if (x->m != y->m)
		return (uintptr_t)x->m < (uintptr_t)y->m ? -1 : 1;
	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Each message goes once, whatever ops say so. */
static int check_all_gone(struct plan *p)
{
	if (p->n_gone > 1)
		qsort(p->gone, p->n_gone, sizeof(*p->gone), by_place);
	for (size_t i = 1; i < p->n_gone; i++)
		if (by_place(&p->gone[i - 1], &p->gone[i]) == 0)
			return bad(p, "UID %u is expunged twice",
				   p->gone[i].uid);
	return 0;
}

static int check_expunge(struct plan *p, const struct op_msg_expunge *o)
{
	struct plan_box *b = uids_of(p, o->mbox);
	int r = 0;

	if (!b)
		return bad(p, "expunge without mailbox or modseq");
	for (size_t i = 0; i < o->n_items && r == 0; i++)
		r = check_gone(p, b, o->items[i].uid, &o->items[i].emailid);
	return r;
}

static int check_keyword(struct plan *p, const struct op_keyword *o)
{
	struct plan_box *b = plan_box(p, o->mbox);
	struct slice folded = arena_dup(p->a, o->spelling);
	uint8_t *c = (uint8_t *)(uintptr_t)folded.p;

	if (!b)
		return bad(p, "a keyword of a mailbox that is not there");
	for (size_t i = 0; i < folded.n; i++)
		if (c[i] >= 'A' && c[i] <= 'Z')
			c[i] = (uint8_t)(c[i] - 'A' + 'a');
	if (keyword_known(b, folded))
		return 0;
	if (b->keywords >= MBOX_KEYWORDS_MAX)
		return bad(p, "more than %u keywords", MBOX_KEYWORDS_MAX);
	GROW(b->new_keywords, b->n_new_keywords, b->cap_new_keywords);
	b->new_keywords[b->n_new_keywords++] = folded;
	b->keywords++;
	return 0;
}

/* --- lineage ----------------------------------------------------------------------- */

static int check_begin(struct plan *p, const struct op_epoch_begin *o)
{
	if (p->n_boxes || p->begin)
		return bad(p, "EPOCH_BEGIN that is not the first op");
	if (o->epoch <= p->s->pos.epoch || o->epoch != p->frame->epoch ||
	    o->nonce != p->nonce)
		return bad(p, "EPOCH_BEGIN %u after epoch %u", o->epoch,
			   p->s->pos.epoch);
	for (size_t i = 0; i < o->n_floors; i++)
		if (!state_mailbox(p->s, o->floors[i].mbox) ||
		    o->floors[i].uidnext > UIDNEXT_MAX)
			return bad(p, "a floor of a mailbox that is not "
				   "there, or beyond all UIDs");
	if (o->uidvalidity_base > UIDVALIDITY_MAX)
		return bad(p, "UIDVALIDITY %u", o->uidvalidity_base);
	for (size_t i = 0; o->uidvalidity_base && i < p->s->n_mboxes; i++)
		if (p->s->mboxes[i]->uidvalidity >= o->uidvalidity_base)
			return bad(p, "UIDVALIDITY %u, which a mailbox has "
				   "had", o->uidvalidity_base);
	if (jumps_total(p->s) > UIDNEXT_MAX - o->jump)
		return bad(p, "a jump beyond all UIDs");
	p->begin = o;
	return 0;
}

static int check_modseq(struct plan *p)
{
	uint64_t counter = p->r->modseq & ((1ull << 36) - 1);

	if (p->r->modseq == 0)
		return 0;
	if (p->r->modseq >> 36 != (p->frame->epoch & 0xffff))
		return bad(p, "modseq of another epoch");
	if (counter == 0 || (!p->begin && counter <= p->s->counter))
		return bad(p, "modseq that does not rise");
	return 0;
}

/* Its numbering names its directory: it must be another one (I5, and no file
 * of before is written over). */
static int check_renumber(struct plan *p, const struct op_mbox_renumber *o)
{
	struct plan_box *b = plan_box(p, o->id);

	if (!b || b->is_new || b->named || b->renumbered || p->r->modseq == 0)
		return bad(p, "renumbering of a mailbox that is not there or "
			   "not quiet");
	if (o->uidvalidity <= b->m->uidvalidity ||
	    o->uidvalidity <= b->m->numbering ||
	    o->uidvalidity > UIDVALIDITY_MAX)
		return bad(p, "renumbering under UIDVALIDITY %u after %u",
			   o->uidvalidity, b->m->uidvalidity);
	b->renumbered = true;
	b->uidvalidity = o->uidvalidity;
	return 0;
}

static int check_op(struct plan *p, const struct op *o)
{
	struct plan_box *b;

	switch (o->kind) {
	case OP_EPOCH_BEGIN:
		return check_begin(p, &o->epoch_begin);
	case OP_HANDOVER: case OP_CHECKPOINT: case OP_TRIM: case OP_NOOP:
	case OP_ACCOUNT_CREATE: case OP_SUBSCRIBE: case OP_DELIVERY:
		return 0;
	case OP_UIDVALIDITY_HWM:
		return o->uidvalidity_hwm <= UIDVALIDITY_MAX ? 0 :
		       bad(p, "UIDVALIDITY %u", o->uidvalidity_hwm);
	case OP_ACCOUNT_DELETE:
		if (p->n_boxes)
			return bad(p, "ACCOUNT_DELETE among other ops");
		p->wiped = true;
		return 0;
	case OP_MBOX_CREATE:
		return check_create(p, &o->mbox_create);
	case OP_MBOX_RENAME:
		return check_rename(p, &o->mbox_rename);
	case OP_MBOX_DELETE:
		b = plan_box(p, o->mbox_delete.id);
		if (!b || b->is_new)
			return bad(p, "delete of a mailbox that is not there");
		b->deleted = true;
		return 0;
	case OP_MBOX_RENUMBER:
		return check_renumber(p, &o->mbox_renumber);
	case OP_SPECIALUSE:
		if (!plan_box(p, o->specialuse.id))
			return bad(p, "special-use of no mailbox");
		return 0;
	case OP_KEYWORD:
		return check_keyword(p, &o->keyword);
	case OP_MSG_ADD:
		return check_add(p, &o->msg_add);
	case OP_MSG_FLAGS:
		return check_flags(p, &o->msg_flags);
	case OP_MSG_EXPUNGE:
		return check_expunge(p, &o->msg_expunge);
	case OP_MSG_RETIRE:
		b = uids_of(p, o->msg_retire.mbox);
		if (!b)
			return bad(p, "MSG_RETIRE without mailbox or modseq");
		return check_gone(p, b, o->msg_retire.uid, NULL);
	default:
		if (o->ignorable)
			return 0;
		return err_set(p->e, E_VERSION, "record %u.%llu: op %u is "
			       "not understood by this version",
			       p->frame->epoch,
			       (unsigned long long)p->frame->seq,
			       o->kind ? o->kind : (unsigned)o->raw.field);
	}
}

int plan_check(struct plan *p)
{
	int r = 0;

	if (p->frame->seq != p->s->pos.seq + 1)
		return bad(p, "seq after %llu",
			   (unsigned long long)p->s->pos.seq);
	for (size_t i = 0; i < p->r->n_ops && r == 0; i++)
		r = check_op(p, &p->r->ops[i]);
	if (r == 0 && !p->begin &&
	    (p->frame->epoch != p->s->pos.epoch ||
	     p->nonce != p->s->pos.nonce))
		r = bad(p, "an epoch without its EPOCH_BEGIN");
	if (r == 0)
		r = check_all_gone(p);
	return r < 0 ? r : check_modseq(p);
}
