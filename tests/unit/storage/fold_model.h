#ifndef DUET_TESTS_FOLD_MODEL_H
#define DUET_TESTS_FOLD_MODEL_H

/* A plain model of an account beside the real one, and random commands for
 * both. */

#include "tests/unit/storage/fold_rig.h"

#define MODEL_BOXES 12
#define MODEL_MSGS 400
#define MODEL_KEYWORDS 3

struct model_msg {
	uint32_t uid, flags, keywords;
	unsigned text;
};

struct model_box {
	char name[64];		/* "": free */
	struct model_msg msgs[MODEL_MSGS];
	size_t n;
};

struct model {
	struct model_box box[MODEL_BOXES];
	unsigned texts;
};

static const char *const model_names[] = {"INBOX", "a",	 "a/b", "a/b/c",
					  "b",	   "x/y", "x"};
static const char *const model_keyword[MODEL_KEYWORDS] = {"$One", "two",
							  "THREE"};

static inline struct model_box *model_find(struct model *m, const char *name)
{
	for (size_t i = 0; i < MODEL_BOXES; i++)
		if (strcmp(m->box[i].name, name) == 0)
			return &m->box[i];
	return NULL;
}

static inline struct model_box *model_make(struct model *m, const char *name)
{
	char parent[64];
	struct model_box *b = model_find(m, name);
	char *slash;

	if (b)
		return b;
	snprintf(parent, sizeof(parent), "%s", name);
	slash = strrchr(parent, '/');
	if (slash) {
		*slash = 0;
		model_make(m, parent);
	}
	b = model_find(m, "");
	if (!b)
		abort();
	memset(b, 0, sizeof(*b));
	snprintf(b->name, sizeof(b->name), "%s", name);
	return b;
}

static inline void model_text(unsigned text, char out[32])
{
	snprintf(out, 32, "text %u", text);
}

static inline void model_add(struct model_box *b, struct model_msg msg)
{
	if (b->n < MODEL_MSGS)
		b->msgs[b->n++] = msg;
}

static inline void model_remove(struct model_box *b, uint32_t first,
				uint32_t last)
{
	size_t k = 0;

	for (size_t i = 0; i < b->n; i++)
		if (b->msgs[i].uid < first || b->msgs[i].uid > last)
			b->msgs[k++] = b->msgs[i];
	b->n = k;
}

/* --- random commands ---------------------------------------------------------------- */

static inline struct model_box *model_any(struct rig *r, struct model *m)
{
	for (int i = 0; i < 20; i++) {
		struct model_box *b =
			&m->box[simrng_below(&r->rng, MODEL_BOXES)];

		if (b->name[0])
			return b;
	}
	return NULL;
}

static inline void model_deliver(struct rig *r, struct model *m)
{
	const char *name = model_names[simrng_below(&r->rng, 7)];
	struct model_box *b = model_make(m, name);
	struct model_msg msg = {.text = m->texts++};
	char text[32];

	model_text(msg.text, text);
	msg.uid = rig_deliver(r, name, text);
	model_add(b, msg);
}

static inline void model_range(struct rig *r, const struct model_box *b,
			       uint32_t *first, uint32_t *last)
{
	uint32_t end = b->n ? b->msgs[b->n - 1].uid : 1;

	*first = 1 + (uint32_t)simrng_below(&r->rng, end);
	*last = *first + (uint32_t)simrng_below(&r->rng, 4);
	if (simrng_chance(&r->rng, 10))
		*last = UINT32_MAX;
}

static inline void model_flags(struct rig *r, struct model *m)
{
	struct model_box *b = model_any(r, m);
	enum flags_mode mode = (enum flags_mode)simrng_below(&r->rng, 3);
	uint32_t flags = (uint32_t)simrng_below(&r->rng, 32), first, last;
	size_t k = (size_t)simrng_below(&r->rng, MODEL_KEYWORDS + 1);
	const char *kw = k < MODEL_KEYWORDS ? model_keyword[k] : NULL;
	uint32_t bit = kw ? 1u << k : 0;

	if (!b)
		return;
	model_range(r, b, &first, &last);
	rig_flags(r, b->name, first, last, mode, flags, kw);
	for (size_t i = 0; i < b->n; i++) {
		struct model_msg *x = &b->msgs[i];

		if (x->uid < first || x->uid > last)
			continue;
		if (mode == FLAGS_ADD) {
			x->flags |= flags;
			x->keywords |= bit;
		} else if (mode == FLAGS_REMOVE) {
			x->flags &= ~flags;
			x->keywords &= ~bit;
		} else {
			x->flags = flags;
			x->keywords = bit;
		}
	}
}

static inline void model_copy(struct rig *r, struct model *m)
{
	struct model_box *b = model_any(r, m), *t = model_any(r, m);
	bool move = simrng_chance(&r->rng, 2);
	uint32_t first, last;
	size_t n;

	if (!b || !t)
		return;
	model_range(r, b, &first, &last);
	uint64_t next = mailbox_uidnext(rig_box(r, t->name));

	rig_copy(r, move ? WRITE_MOVE : WRITE_COPY, b->name, t->name, first,
		 last);
	n = b->n;
	for (size_t i = 0; i < n; i++) {
		struct model_msg x = b->msgs[i];

		if (x.uid < first || x.uid > last)
			continue;
		x.uid = (uint32_t)next++;
		model_add(t, x);
	}
	if (!move)
		return;
	if (b == t) {	/* not the new ones */
		uint32_t old = n ? b->msgs[n - 1].uid : 0;

		model_remove(b, first, last < old ? last : old);
	} else {
		model_remove(b, first, last);
	}
}

static inline void model_rename(struct rig *r, struct model *m)
{
	struct model_box *b = model_any(r, m);
	const char *to = model_names[1 + simrng_below(&r->rng, 6)];
	struct err e = ERR_NONE;
	char from[64];
	size_t n;

	if (!b)
		return;
	memcpy(from, b->name, sizeof(from));
	n = strlen(from);
	if (strcmp(from, "INBOX") == 0) {
		if (model_find(m, to) || rig_mbox_write(r, WRITE_RENAME, from,
							to, &e) < 0)
			return;
		struct model_box *t = model_make(m, to);

		for (size_t i = 0; i < b->n; i++) {
			t->msgs[i] = b->msgs[i];
			t->msgs[i].uid = (uint32_t)i + 1;
		}
		t->n = b->n;
		b->n = 0;
		return;
	}
	if (rig_mbox_write(r, WRITE_RENAME, from, to, &e) < 0)
		return;
	for (size_t i = 0; i < MODEL_BOXES; i++) {
		char name[128];

		if (strncmp(m->box[i].name, from, n) != 0 ||
		    (m->box[i].name[n] && m->box[i].name[n] != '/'))
			continue;
		snprintf(name, sizeof(name), "%s%s", to, m->box[i].name + n);
		snprintf(m->box[i].name, sizeof(m->box[i].name), "%.63s",
			 name);
	}
	/* Parents of the new name. */
	char parent[64];

	snprintf(parent, sizeof(parent), "%s", to);
	if (strrchr(parent, '/')) {
		*strrchr(parent, '/') = 0;
		model_make(m, parent);
	}
}

static inline void model_step(struct rig *r, struct model *m)
{
	struct model_box *b;
	uint32_t first, last;
	struct err e = ERR_NONE;
	uint64_t what = simrng_below(&r->rng, 100);

	if (what < 40) {
		model_deliver(r, m);
	} else if (what < 62) {
		model_flags(r, m);
	} else if (what < 76) {
		b = model_any(r, m);
		if (!b)
			return;
		model_range(r, b, &first, &last);
		rig_expunge(r, b->name, first, last);
		model_remove(b, first, last);
	} else if (what < 88) {
		model_copy(r, m);
	} else if (what < 93) {
		model_rename(r, m);
	} else if (what < 96) {
		b = model_any(r, m);
		if (b && rig_mbox_write(r, WRITE_DELETE, b->name, NULL, &e) ==
				 0)
			b->name[0] = 0;
	} else if (what < 98) {
		struct arena *a = arena_new(1024);
		struct write *w = rig_new(a, WRITE_SUBSCRIBE);

		w->name = slice_str(model_names[simrng_below(&r->rng, 7)]);
		w->on = simrng_chance(&r->rng, 2);
		CU_OK(rig_write(r, w, &e), &e);
		arena_free(a);
	} else {
		rig_begin(r, (unsigned)simrng_below(&r->rng, 2),
			  simrng_chance(&r->rng, 2) ? UID_JUMP : 0);
	}
}

/* --- comparing ------------------------------------------------------------------------ */

static inline bool model_msg_holds(struct mailbox *m, uint32_t i,
				   const struct model_msg *x, bool bodies)
{
	const struct mrec *rec = mailbox_rec(m, i);
	uint32_t keywords = 0;
	char text[32];

	for (size_t b = 0; b < mailbox_keywords(m); b++)
		for (size_t k = 0; k < MODEL_KEYWORDS; k++)
			if (mailbox_has_keyword(m, i, b) &&
			    strcmp(mailbox_keyword(m, b), model_keyword[k]) ==
				    0)
				keywords |= 1u << k;
	if (!CU_EQ_INT(rec->uid, x->uid) || !CU_EQ_INT(rec->flags, x->flags) ||
	    !CU_EQ_INT(keywords, x->keywords))
		return false;
	model_text(x->text, text);
	return !bodies || rig_has(m, rec->uid, text);
}

static inline bool model_holds(const struct model *model, struct state *s,
			       bool bodies)
{
	size_t boxes = 0;

	for (size_t k = 0; k < MODEL_BOXES; k++) {
		const struct model_box *b = &model->box[k];
		struct mailbox *m;
		uint32_t unseen = 0;

		if (!b->name[0])
			continue;
		boxes++;
		m = state_mailbox_named(s, slice_str(b->name));
		if (!CU_CLAIM(m != NULL, "mailbox %s", b->name) ||
		    !CU_EQ_INT(mailbox_messages(m), b->n))
			return false;
		for (size_t i = 0; i < b->n; i++) {
			unseen += !(b->msgs[i].flags & MSG_SEEN);
			if (!model_msg_holds(m,
					     mailbox_select_live(m,
								 (uint32_t)i),
					     &b->msgs[i], bodies))
				return CU_CLAIM(false, "in %s", b->name);
		}
		if (!CU_EQ_INT(mailbox_unseen(m), unseen))
			return false;
	}
	return CU_EQ_INT(s->n_mboxes, boxes);
}

#endif
