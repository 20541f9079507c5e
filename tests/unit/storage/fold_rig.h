#ifndef DUET_TESTS_FOLD_RIG_H
#define DUET_TESTS_FOLD_RIG_H

/*
 * One account without store and journal: requests go through prepare, bytes
 * and back, head and fold, as on a holder whose frames are durable and
 * published at once.  The log is kept, so that it can be folded again.
 */

#include "node/base/digest.h"
#include "storage/account_private.h"
#include "storage/prepare.h"
#include "storage/snapshot.h"
#include "tests/lib/cu.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#include <stdlib.h>

#define RIG_PAIR ((struct slice){(const uint8_t *)"0123456789abcdef", 16})
#define RIG_PAIR_TIME 1700000000u
#define RIG_NOW 1800000000

struct rig_frame {
	struct frame frame;
	uint32_t nonce;
	struct buf payload;
	struct slice *bodies;
	size_t n_bodies;
};

struct rig {
	struct simdisk *disk;
	struct simrng rng;
	struct sys sys;
	struct account acc;
	struct rig_frame *log;
	size_t n_log, cap_log;
	uint32_t epoch, nonce;
	unsigned node;
	bool dense;
	bool hold;		/* frames are accepted, but not published */
	int64_t now;
};

static inline struct state_opts rig_opts(struct rig *r, const char *root,
					 struct account *acc)
{
	return (struct state_opts){.sys = &r->sys, .account = acc,
				   .id = r->acc.id, .pair_id = RIG_PAIR,
				   .pair_time = RIG_PAIR_TIME, .root = root};
}

static inline void rig_init(struct rig *r, uint64_t seed)
{
	struct state_opts o;

	*r = (struct rig){.now = RIG_NOW, .dense = true};
	r->disk = simdisk_new(NULL);
	simrng_init(&r->rng, seed);
	r->sys = (struct sys){simdisk_fs(r->disk), NULL, &r->rng.rng};
	fsio_mkdirs(r->sys.fs, "/a", 0700);
	fsio_mkdirs(r->sys.fs, "/b", 0700);
	r->acc.id = account_id_of(RIG_PAIR, SLICE_LIT("bob"));
	list_init(&r->acc.watches);
	list_init(&r->acc.pending);
	o = rig_opts(r, "/a", &r->acc);
	r->acc.state = state_new(&o);
	CU_EQ_INT(state_dirs(r->acc.state, NULL), 0);
	r->acc.head = head_new(r->acc.state);
	r->acc.end = state_position(r->acc.state);
}

static inline void rig_fini(struct rig *r)
{
	for (size_t i = 0; i < r->n_log; i++) {
		buf_fini(&r->log[i].payload);
		for (size_t k = 0; k < r->log[i].n_bodies; k++)
			free((void *)(uintptr_t)r->log[i].bodies[k].p);
		free(r->log[i].bodies);
	}
	free(r->log);
	head_free(r->acc.head);
	state_free(r->acc.state);
	simdisk_free(r->disk);
}

/* Folds frame i of the log into any state. */
static inline int rig_fold(struct rig *r, struct state *s, size_t i, bool replay,
			   struct err *e)
{
	struct rig_frame *f = &r->log[i];
	struct frame_bodies b = {f->bodies, f->n_bodies};
	struct arena *a = arena_new(4096);
	struct record rec;
	int rc = record_decode(buf_all(&f->payload), a, &rec, e);

	if (rc == 0)
		rc = state_apply(s, &f->frame, f->nonce, &rec, &b, replay, e);
	arena_free(a);
	return rc;
}

static inline void rig_publish(struct rig *r)
{
	struct err e = ERR_NONE;

	while (state_position(r->acc.state).seq < r->n_log) {
		size_t i = (size_t)state_position(r->acc.state).seq;

		if (!CU_OK(rig_fold(r, r->acc.state, i, false, &e), &e))
			return;
		head_published(r->acc.head, i + 1);
	}
}

/* The next frame of the log, from a record. */
static inline void rig_append(struct rig *r, const struct record *rec,
			      const struct frame_bodies *bodies)
{
	struct rig_frame f = {.nonce = r->nonce};
	struct position pos;

	buf_init(&f.payload, RECORD_SIZE_MAX);
	CU_EQ_INT(record_encode(rec, &f.payload), 0);
	f.frame = (struct frame){.type = FRAME_RECORD, .epoch = r->epoch,
				 .seq = r->acc.end.seq + 1,
				 .hlc = (uint64_t)r->now * 1000 << 16,
				 .payload = buf_all(&f.payload)};
	f.frame.chain = frame_chain(RIG_PAIR, r->acc.id, r->acc.end.chain,
				    &f.frame);
	if (bodies && bodies->n) {
		f.n_bodies = bodies->n;
		f.bodies = xmalloc(f.n_bodies * sizeof(*f.bodies));
		for (size_t i = 0; i < f.n_bodies; i++)
			f.bodies[i] = slice_of(xstrndup(bodies->data[i].p,
							bodies->data[i].n),
					       bodies->data[i].n);
	}
	pos = (struct position){r->epoch, r->nonce, f.frame.seq,
				f.frame.chain};
	GROW(r->log, r->n_log, r->cap_log);
	r->log[r->n_log++] = f;
	r->acc.end = pos;
	head_add(r->acc.head, pos, rec);
	if (r->hold)
		return;
	head_durable(r->acc.head, pos.seq);
	rig_publish(r);
}

static inline void rig_op(struct rig *r, struct op o)
{
	uint64_t counter = head_counter(r->acc.head) + 1;
	struct record rec = {(uint64_t)r->epoch << 36 | counter, &o, 1};

	rig_append(r, &rec, NULL);
}

static inline void rig_begin(struct rig *r, unsigned node, uint64_t jump)
{
	struct op ops[2] = {
		{.kind = OP_EPOCH_BEGIN,
		 .epoch_begin = {.node = (uint8_t)node, .reason = EPOCH_START,
				 .jump = jump, .parent = r->acc.end}},
		{.kind = OP_ACCOUNT_CREATE, .account_name = SLICE_LIT("bob")},
	};
	struct record rec = {0, ops, r->epoch ? 1 : 2};

	r->epoch += 2 - (r->epoch % 2 != 1 - node);
	if (r->epoch % 2 != node)
		r->epoch++;
	r->nonce = (uint32_t)simrng_u64(&r->rng);
	r->node = node;
	ops[0].epoch_begin.epoch = r->epoch;
	ops[0].epoch_begin.nonce = r->nonce;
	rig_append(r, &rec, NULL);
}

static inline struct prepare_ctx rig_ctx(struct rig *r)
{
	return (struct prepare_ctx){
		.account = &r->acc, .node = r->node, .dense = r->dense,
		.modseq = (uint64_t)r->epoch << 36 |
			  (head_counter(r->acc.head) + 1),
		.now = r->now, .rng = &r->rng.rng,
		.pair_time = RIG_PAIR_TIME};
}

/* Does a write to its end; PREPARE_WAIT is given back. */
static inline int rig_write(struct rig *r, struct write *w, struct err *e)
{
	for (;;) {
		struct prepare_ctx ctx = rig_ctx(r);
		struct frame_bodies bodies;
		struct record rec;
		int rc = prepare_next(&ctx, w, &rec, &bodies, e);

		if (rc != PREPARE_RECORD)
			return rc == PREPARE_DONE ? 0 : rc;
		rig_append(r, &rec, &bodies);
	}
}

static inline struct write *rig_new(struct arena *a, enum write_kind kind)
{
	struct write *w = ARENA_NEW(a, struct write);

	w->kind = kind;
	w->arena = a;
	return w;
}

/* A message with this text as body; into the mailbox by name. */
static inline struct write *rig_message(struct arena *a, enum write_kind kind,
					const char *mbox, const char *text)
{
	struct write *w = rig_new(a, kind);
	char *body = arena_printf(a, "Subject: %s\r\n\r\n%s\r\n", text, text);

	w->name = slice_str(arena_strdup(a, mbox));
	w->msgs = ARENA_NEW(a, struct write_msg);
	w->n_msgs = 1;
	w->msgs[0].body.data = slice_str(body);
	w->msgs[0].body.size = strlen(body);
	sha256(slice_str(body), w->msgs[0].body.hash);
	w->msgs[0].internaldate = RIG_NOW - 5;
	w->msgs[0].internaldate_zone = 60;
	return w;
}

/* Delivers; gives the UID. */
static inline uint32_t rig_deliver(struct rig *r, const char *mbox,
				   const char *text)
{
	struct arena *a = arena_new(4096);
	struct write *w = rig_message(a, WRITE_DELIVER, mbox, text);
	struct err e = ERR_NONE;
	uint32_t uid;

	w->autocreate = true;
	CU_OK(rig_write(r, w, &e), &e);
	uid = w->msgs[0].uid;
	arena_free(a);
	return uid;
}

static inline struct mailbox *rig_box(struct rig *r, const char *name)
{
	return account_mailbox(&r->acc, slice_str(name));
}

static inline int rig_mbox_write(struct rig *r, enum write_kind kind,
				 const char *name, const char *new_name,
				 struct err *e)
{
	struct arena *a = arena_new(4096);
	struct write *w = rig_new(a, kind);
	int rc;

	w->name = slice_str(name);
	w->new_name = slice_str(new_name);
	rc = rig_write(r, w, e);
	arena_free(a);
	return rc;
}

/* A change of one range of UIDs of a mailbox. */
static inline struct write *rig_change(struct rig *r, struct arena *a,
				       enum write_kind kind, const char *mbox,
				       uint32_t first, uint32_t last)
{
	struct write *w = rig_new(a, kind);

	w->mbox = mailbox_id(rig_box(r, mbox));
	w->uids = ARENA_NEW(a, struct uid_range);
	w->uids[0] = (struct uid_range){first, last};
	w->n_uids = 1;
	return w;
}

static inline int rig_flags(struct rig *r, const char *mbox, uint32_t first,
			    uint32_t last, enum flags_mode mode, uint32_t flags,
			    const char *keyword)
{
	struct arena *a = arena_new(4096);
	struct write *w = rig_change(r, a, WRITE_FLAGS, mbox, first, last);
	struct slice kw = slice_str(keyword);
	struct err e = ERR_NONE;
	int rc;

	w->flags_mode = (uint8_t)mode;
	w->flags = flags;
	w->keywords = &kw;
	w->n_keywords = keyword ? 1 : 0;
	rc = rig_write(r, w, &e);
	CU_OK(rc, &e);
	arena_free(a);
	return rc;
}

static inline int rig_expunge(struct rig *r, const char *mbox, uint32_t first,
			      uint32_t last)
{
	struct arena *a = arena_new(4096);
	struct write *w = rig_change(r, a, WRITE_EXPUNGE, mbox, first, last);
	struct err e = ERR_NONE;
	int rc = rig_write(r, w, &e);

	CU_OK(rc, &e);
	arena_free(a);
	return rc;
}

static inline int rig_copy(struct rig *r, enum write_kind kind,
			   const char *from, const char *to, uint32_t first,
			   uint32_t last)
{
	struct arena *a = arena_new(4096);
	struct write *w = rig_change(r, a, kind, from, first, last);
	struct err e = ERR_NONE;
	int rc;

	w->target = mailbox_id(rig_box(r, to));
	rc = rig_write(r, w, &e);
	CU_OK(rc, &e);
	arena_free(a);
	return rc;
}

/* The record of a UID that is there, or NULL. */
static inline const struct mrec *rig_rec(struct mailbox *m, uint32_t uid)
{
	uint32_t i = mailbox_lower(m, uid);
	const struct mrec *rec = mailbox_rec(m, i);

	return i < mailbox_records(m) && rec->uid == uid &&
			       !(rec->flags & MREC_EXPUNGED) ? rec : NULL;
}

/* The text of a message made by rig_message(), compared. */
static inline bool rig_has(struct mailbox *m, uint32_t uid, const char *text)
{
	char *want = xprintf("Subject: %s\r\n\r\n%s\r\n", text, text);
	struct err e = ERR_NONE;
	struct body b = {0};
	bool ok;

	ok = CU_OK(mailbox_body_open(m, mailbox_lower(m, uid), &b, &e), &e) &&
	     CU_EQ_TEXT(b.data, want);
	if (b.map)
		mailbox_body_close(m, &b);
	free(want);
	return ok;
}

/* The incremental digest is the one of the files. */
static inline void rig_digest_holds(struct state *s)
{
	uint8_t live[16], disk[16];
	struct err e = ERR_NONE;

	state_digest(s, live);
	CU_OK(state_digest_recomputed(s, disk, &e), &e);
	CU_EQ_MEM(live, disk, 16);
}

#endif
