/* See store_rig.h. */

#include "tests/lib/store_rig.h"

#include "node/base/digest.h"
#include "storage/head.h"

#include <stdio.h>
#include <stdlib.h>

#define START_USEC 1700000000000000ull
#define PAIR "0123456789abcdef"

/* --- set-up --------------------------------------------------------------------- */

static void on_failed(void *arg, const struct err *e)
{
	struct rig *g = arg;

	g->failed = true;
	snprintf(g->failed_why, sizeof(g->failed_why), "%s", e->op);
}

static void on_news(void *arg, enum store_news what, struct id128 id,
		    const char *name, const char *text)
{
	struct rig *g = arg;

	(void)id;
	g->news[what]++;
	snprintf(g->last_news, sizeof(g->last_news), "%s: %s", name, text);
}

static void wire(struct rig *g)
{
	g->fs = simdisk_fs(g->disk);
	g->sys = (struct sys){g->fs, &g->clock.clock, &g->rng.rng};
	g->opts.sys = &g->sys;
	g->opts.arg = g;
}

static void init(struct rig *g, uint64_t seed, uint64_t journal, unsigned node)
{
	struct err e = ERR_NONE;

	memset(g, 0, sizeof(*g));
	g->disk = simdisk_new(NULL);
	g->time = simtime_new();
	simclock_init(&g->clock, g->time, START_USEC);
	simrng_init(&g->rng, seed);
	g->opts = (struct store_opts){
		.pair_id = SLICE_LIT(PAIR), .pair_time = 1600000000,
		.node = node,
		.state_dir = RIG_STATE, .mail_root = RIG_MAIL, .processes = 1,
		.journal_size = journal, .journal_inline = 65536,
		.failed = on_failed, .news = on_news};
	wire(g);
	for (unsigned i = 0; i < RIG_ACCOUNTS; i++) {
		struct rig_account *a = &g->acct[i];

		snprintf(a->name, sizeof(a->name), "user%u", i);
		snprintf(a->root, sizeof(a->root), RIG_MAIL "/user%u", i);
		a->id = account_id_of(SLICE_LIT(PAIR), slice_str(a->name));
		a->cut_to = UINT64_MAX;
	}
	fsio_mkdirs(g->fs, RIG_STATE, 0700);
	node_mark_write(g->fs, RIG_MAIL, SLICE_LIT(PAIR), node, &e);
	g->fs->ops->syncfs(g->fs, "/");
}

void rig_init(struct rig *g, uint64_t seed, uint64_t journal)
{
	init(g, seed, journal, 0);
}

void rig_init_partner(struct rig *g, uint64_t seed, uint64_t journal)
{
	init(g, seed, journal, 1);
}

void rig_fork(struct rig *g, const struct rig *from, struct simdisk *disk)
{
	*g = *from;
	g->disk = disk;
	g->time = simtime_new();
	simclock_init(&g->clock, g->time, START_USEC + 3600 * USEC_PER_SEC);
	g->store = NULL;
	g->failed = g->model = false;
	wire(g);
}

void rig_die(struct rig *g)
{
	simdisk_kill(g->disk);
	store_drop(g->store);
	g->store = NULL;
	g->failed = false;
	simdisk_revive(g->disk);
}

void rig_fini(struct rig *g)
{
	if (g->store) {
		simdisk_kill(g->disk);
		store_drop(g->store);
	}
	for (unsigned i = 0; g->model && i < RIG_ACCOUNTS; i++)
		for (size_t k = 0; k < RIG_SEQS; k++)
			free(g->acct[i].model[k]);
	simdisk_free(g->disk);
	simtime_free(g->time);
}

/* --- the ledger -------------------------------------------------------------------- */

static struct rig_account *ledger(struct rig *g, const struct account *a)
{
	for (unsigned i = 0; i < RIG_ACCOUNTS; i++)
		if (id128_eq(g->acct[i].id, account_id(a)))
			return &g->acct[i];
	return NULL;
}

static void on_durable(void *arg, struct account *a, struct position pos)
{
	ledger(arg, a)->durable = pos;
}

static void on_space(void *arg)
{
	((struct rig *)arg)->spaces++;
}

int rig_open(struct rig *g, struct err *e)
{
	int r;

	g->failed = false;
	r = store_open(&g->opts, &g->store, e);
	if (r < 0) {
		g->store = NULL;
		return r;
	}
	store_on_durable(g->store, on_durable, g);
	store_on_space(g->store, on_space, g);
	return 0;
}

void rig_close(struct rig *g)
{
	store_close(g->store);
	g->store = NULL;
}

struct account *rig_account(struct rig *g, unsigned i)
{
	struct rig_account *x = &g->acct[i];
	struct account *a = NULL;
	struct err e = ERR_NONE;

	if (!g->store || g->failed || simdisk_dead(g->disk))
		return NULL;
	if (store_account_open(g->store, x->id, x->name, x->root, true, &a,
			       &e) < 0) {
		if (!simdisk_dead(g->disk))
			fprintf(stderr, "rig: %s: %s\n", x->name, e.op);
		return NULL;
	}
	x->wanted = true;
	return a;
}

struct id128 rig_mbox(unsigned i, const char *name)
{
	struct id128 id = {{0}};
	uint8_t h[SHA256_SIZE];

	sha256(slice_str(name), h);
	memcpy(id.b, h, 16);
	id.b[0] = (uint8_t)i;
	return id;
}

/* --- records -------------------------------------------------------------------------- */

/* The model of the record that was accepted last. */
static void model(struct rig_account *x, struct rig_model *m)
{
	free(x->model[x->accepted]);
	x->model[x->accepted] = m;
}

int rig_append(struct rig *g, unsigned i, const struct record *r,
	       const struct frame_bodies *bodies)
{
	struct account *a = rig_account(g, i);
	struct rig_account *x = &g->acct[i];
	struct err e = ERR_NONE;
	int n;

	if (!a)
		return E_TEMP;
	n = store_append(g->store, a, r, bodies, NULL, &e);
	if (n < 0) {
		if (n != E_TEMP && !simdisk_dead(g->disk))
			fprintf(stderr, "rig: append: %s\n", e.op);
		return n;
	}
	x->accepted = account_end(a).seq;
	if (x->accepted >= RIG_SEQS)
		return 0;
	x->chain[x->accepted] = account_end(a);
	if (g->model)
		model(x, rig_model_next(x->model[x->accepted - 1], r));
	return 0;
}

struct receipt {
	struct rig *g;
	unsigned i;
	const struct rig_account *from;
};

static bool receive(void *arg, const struct store_frame *f)
{
	struct receipt *c = arg;
	struct rig_account *x = &c->g->acct[c->i];
	struct account *a = rig_account(c->g, c->i);
	struct err e = ERR_NONE;
	uint8_t missing[32];

	if (!a)
		return false;
	if (store_accept(c->g->store, a, f->bytes, f->bodies, missing, &e) < 0) {
		if (!simdisk_dead(c->g->disk))
			fprintf(stderr, "rig: accept: %s\n", e.op);
		return false;
	}
	x->accepted = f->pos.seq;
	if (x->accepted >= RIG_SEQS)
		return true;
	x->chain[x->accepted] = f->pos;
	if (c->g->model)
		model(x, rig_model_copy(c->from->model[x->accepted]));
	return true;
}

void rig_receive(struct rig *g, unsigned i, struct rig *partner)
{
	struct account *a = rig_account(g, i), *b = rig_account(partner, i);
	struct receipt c = {g, i, &partner->acct[i]};
	struct err e = ERR_NONE;

	if (a && store_read(partner->store, b, account_end(a).seq, SIZE_MAX,
			    receive, &c, &e) < 0)
		fprintf(stderr, "rig: read: %s\n", e.op);
}

static uint64_t modseq(const struct account *a)
{
	return (uint64_t)(a->end.epoch & 0xffff) << 36 |
	       (head_counter(a->head) + 1);
}

static int begin(struct rig *g, unsigned i, enum epoch_reason reason,
		 uint64_t jump)
{
	struct account *a = rig_account(g, i);
	struct op ops[3] = {{0}};
	struct record r = {.ops = ops, .n_ops = 1};
	struct op_epoch_begin *b = &ops[0].epoch_begin;

	if (!a)
		return E_TEMP;
	ops[0].kind = OP_EPOCH_BEGIN;
	/* The next of the node's parity. */
	b->epoch = a->end.epoch + 1;
	b->epoch += (b->epoch & 1) != g->opts.node;
	b->node = (uint8_t)g->opts.node;
	b->jump = jump;
	b->nonce = rng_u32(g->sys.rng);
	b->parent = a->end;
	b->reason = (uint8_t)reason;
	if (a->end.seq == 0) {
		ops[1].kind = OP_ACCOUNT_CREATE;
		ops[1].account_name = slice_str(a->name);
		ops[2].kind = OP_MBOX_CREATE;
		ops[2].mbox_create = (struct op_mbox_create){
			.id = rig_mbox(i, "INBOX"), .name = SLICE_LIT("INBOX"),
			.uidvalidity = 1600000000, .derived = true};
		r.n_ops = 3;
		r.modseq = (uint64_t)b->epoch << 36 | 2;
	}
	return rig_append(g, i, &r, NULL);
}

int rig_epoch(struct rig *g, unsigned i)
{
	return begin(g, i, EPOCH_START, 0);
}

int rig_takeover(struct rig *g, unsigned i, uint64_t jump)
{
	return begin(g, i, EPOCH_TAKEOVER, jump);
}

/* Above all that were given, whatever the journal holds. */
static uint32_t next_uidvalidity(const struct account *a)
{
	return 1600000002 + 2 * (uint32_t)a->end.seq;
}

int rig_account_delete(struct rig *g, unsigned i)
{
	struct op op = {.kind = OP_ACCOUNT_DELETE,
			.delete_op = rig_mbox(i, "op")};
	struct record r = {.ops = &op, .n_ops = 1};

	return rig_append(g, i, &r, NULL);
}

int rig_account_create(struct rig *g, unsigned i)
{
	struct account *a = rig_account(g, i);
	struct op ops[2] = {
		{.kind = OP_ACCOUNT_CREATE},
		{.kind = OP_MBOX_CREATE,
		 .mbox_create = {.id = rig_mbox(i, RIG_INBOX_2),
				 .name = SLICE_LIT("INBOX"),
				 .uidvalidity = 0}}};
	struct record r = {.ops = ops, .n_ops = 2};

	if (!a)
		return E_TEMP;
	ops[0].account_name = slice_str(a->name);
	ops[1].mbox_create.uidvalidity = next_uidvalidity(a);
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_noop(struct rig *g, unsigned i)
{
	struct op op = {.kind = OP_NOOP};
	struct record r = {.ops = &op, .n_ops = 1};

	return rig_append(g, i, &r, NULL);
}

static void fill_add(struct rig *g, struct account *a, struct op *op,
		     struct id128 mbox, uint64_t size, const uint8_t hash[32])
{
	struct op_msg_add *m = &op->msg_add;

	op->kind = OP_MSG_ADD;
	m->mbox = mbox;
	m->uid = (uint32_t)head_uidnext(a->head, mbox);
	if (m->uid == 0)
		m->uid = 1;
	rng_u64(g->sys.rng);
	g->sys.rng->bytes(g->sys.rng, m->emailid.b, 16);
	g->sys.rng->bytes(g->sys.rng, m->threadid.b, 16);
	memcpy(m->body_hash, hash, 32);
	m->size = size;
	m->internaldate = m->savedate = 1600000000;
	m->source = SOURCE_APPEND;
}

int rig_add(struct rig *g, unsigned i, const char *mbox, const char *text)
{
	struct account *a = rig_account(g, i);
	struct op op = {0};
	struct record r = {.ops = &op, .n_ops = 1};
	struct slice body = slice_str(text);
	struct frame_bodies bodies = {&body, 1};
	uint8_t hash[32];

	if (!a)
		return E_TEMP;
	sha256(body, hash);
	fill_add(g, a, &op, rig_mbox(i, mbox), body.n, hash);
	op.msg_add.inline_body = true;
	r.modseq = modseq(a);
	return rig_append(g, i, &r, &bodies);
}

void rig_octets(uint8_t *to, size_t n, uint64_t salt)
{
	for (size_t k = 0; k < n; k++)
		to[k] = (uint8_t)('a' + (k * 7 + salt * 13 + k / 61) % 26);
}

static void staged(void *arg, int result, const uint8_t hash[32], uint64_t size,
		   const char *path)
{
	(void)hash;
	(void)size;
	(void)path;
	*(int *)arg = result;
}

int rig_add_large(struct rig *g, unsigned i, const char *mbox, size_t n)
{
	struct account *a = rig_account(g, i);
	struct op op = {0};
	struct record r = {.ops = &op, .n_ops = 1};
	struct body_stage *b;
	struct err e = ERR_NONE;
	uint8_t *octets, hash[32];
	int result = 1;

	if (!a || store_stage_begin(g->store, a, 0, &b, &e) < 0)
		return E_TEMP;
	octets = xmalloc(n);
	rig_octets(octets, n, n);
	sha256(slice_of(octets, n), hash);
	if (store_stage_add(b, slice_of(octets, n), &e) < 0) {
		store_stage_abort(b);
		free(octets);
		return E_TEMP;
	}
	free(octets);
	store_stage_end(b, staged, &result);
	while (result == 1 && simdisk_complete(g->disk, 1) > 0)
		;
	if (result != 0)
		return E_TEMP;
	fill_add(g, a, &op, rig_mbox(i, mbox), n, hash);
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_flags(struct rig *g, unsigned i, const char *mbox, uint32_t uid,
	      uint32_t add)
{
	struct account *a = rig_account(g, i);
	struct uid_range u = {uid, uid};
	struct op op = {.kind = OP_MSG_FLAGS,
			.msg_flags = {.mbox = rig_mbox(i, mbox), .uids = &u,
				      .n_uids = 1, .add = add}};
	struct record r = {.ops = &op, .n_ops = 1};

	if (!a)
		return E_TEMP;
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

/* EMAILID of a published message; false if it is not there. */
static bool find(struct account *a, struct id128 mbox, uint32_t uid,
		 struct mrec *out)
{
	struct mailbox *m = account_mailbox_id(a, mbox);
	uint32_t k = m ? mailbox_lower(m, uid) : 0;

	if (!m || k >= mailbox_records(m) || mailbox_rec(m, k)->uid != uid)
		return false;
	*out = *mailbox_rec(m, k);
	return true;
}

int rig_expunge(struct rig *g, unsigned i, const char *mbox, uint32_t uid)
{
	struct account *a = rig_account(g, i);
	struct expunged x = {.uid = uid};
	struct op op = {.kind = OP_MSG_EXPUNGE,
			.msg_expunge = {rig_mbox(i, mbox), &x, 1}};
	struct record r = {.ops = &op, .n_ops = 1};
	struct mrec rec;

	if (!a || !find(a, rig_mbox(i, mbox), uid, &rec))
		return E_TEMP;
	x.emailid = rec.emailid;
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_copy(struct rig *g, unsigned i, const char *from, uint32_t uid,
	     const char *to, bool move)
{
	struct account *a = rig_account(g, i);
	struct expunged x = {.uid = uid};
	struct op ops[2] = {{0}};
	struct record r = {.ops = ops, .n_ops = move ? 2 : 1};
	struct mrec rec;

	if (!a || !find(a, rig_mbox(i, from), uid, &rec))
		return E_TEMP;
	fill_add(g, a, &ops[0], rig_mbox(i, to), rec.size, rec.body_hash);
	ops[0].msg_add.emailid = rec.emailid;
	ops[0].msg_add.threadid = rec.threadid;
	ops[0].msg_add.source = SOURCE_COPY;
	ops[0].msg_add.src_mbox = rig_mbox(i, from);
	ops[0].msg_add.src_uid = uid;
	x.emailid = rec.emailid;
	ops[1].kind = OP_MSG_EXPUNGE;
	ops[1].msg_expunge = (struct op_msg_expunge){rig_mbox(i, from), &x, 1};
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_create(struct rig *g, unsigned i, const char *name)
{
	struct account *a = rig_account(g, i);
	struct op op = {.kind = OP_MBOX_CREATE,
			.mbox_create = {.id = rig_mbox(i, name),
					.name = slice_str(name),
					.uidvalidity = 0}};
	struct record r = {.ops = &op, .n_ops = 1};

	if (!a)
		return E_TEMP;
	op.mbox_create.uidvalidity = next_uidvalidity(a);
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_rename(struct rig *g, unsigned i, const char *id_name, const char *to)
{
	struct account *a = rig_account(g, i);
	struct mbox_rename item = {rig_mbox(i, id_name), slice_str(to), 0};
	struct op op = {.kind = OP_MBOX_RENAME, .mbox_rename = {&item, 1}};
	struct record r = {.ops = &op, .n_ops = 1};

	if (!a)
		return E_TEMP;
	item.uidvalidity = next_uidvalidity(a);
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_delete(struct rig *g, unsigned i, const char *id_name,
	       const char *now_named)
{
	struct account *a = rig_account(g, i);
	struct op op = {.kind = OP_MBOX_DELETE,
			.mbox_delete = {.id = rig_mbox(i, id_name),
					.name = slice_str(now_named)}};
	struct record r = {.ops = &op, .n_ops = 1};

	if (!a)
		return E_TEMP;
	op.mbox_delete.uidnext = head_uidnext(a->head, rig_mbox(i, id_name));
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_renumber(struct rig *g, unsigned i, const char *mbox)
{
	struct account *a = rig_account(g, i);
	struct mailbox *m = a ? account_mailbox_id(a, rig_mbox(i, mbox)) : NULL;
	struct op op = {.kind = OP_MBOX_RENUMBER,
			.mbox_renumber = {.id = rig_mbox(i, mbox)}};
	struct record r = {.ops = &op, .n_ops = 1};

	if (!m)
		return E_TEMP;
	op.mbox_renumber.uidvalidity = next_uidvalidity(a);
	r.modseq = modseq(a);
	return rig_append(g, i, &r, NULL);
}

int rig_trim_vanished(struct rig *g, unsigned i, const char *mbox)
{
	struct account *a = rig_account(g, i);
	struct op op = {.kind = OP_TRIM,
			.trim = {.what = TRIM_VANISHED,
				 .mbox = rig_mbox(i, mbox)}};
	struct record r = {.ops = &op, .n_ops = 1};

	if (!a)
		return E_TEMP;
	op.trim.floor = modseq(a) - 1;
	return rig_append(g, i, &r, NULL);
}

/* --- going on ----------------------------------------------------------------------------- */

void rig_turn(struct rig *g)
{
	if (!g->store || simdisk_dead(g->disk) || g->failed)
		return;
	store_turn(g->store);
	while (simdisk_complete(g->disk, 1) > 0 && !g->failed)
		store_turn(g->store);
}

void rig_publish(struct rig *g, unsigned i, uint64_t upto)
{
	struct account *a = rig_account(g, i);
	struct rig_account *x = &g->acct[i];
	struct err e = ERR_NONE;

	if (!a)
		return;
	while (account_published(a).seq < upto) {
		uint64_t seq = account_published(a).seq + 1;

		x->publishing = seq;
		if (store_publish(g->store, a, seq, &e) < 0) {
			if (!simdisk_dead(g->disk))
				fprintf(stderr, "rig: publish %s: %s\n",
					x->name, e.op);
			return;
		}
		if (simdisk_dead(g->disk))
			return;
		x->published = seq;
		if (seq < RIG_SEQS && !a->replaying) {
			account_digest(a, x->digest[seq]);
			x->has_digest[seq] = true;
		}
	}
}

void rig_publish_all(struct rig *g)
{
	for (unsigned i = 0; i < RIG_ACCOUNTS; i++)
		if (g->acct[i].wanted) {
			struct account *a = rig_account(g, i);

			if (a)
				rig_publish(g, i, account_durable(a).seq);
		}
}

static void on_marked(void *arg, struct account *a)
{
	struct rig *g = arg;

	ledger(g, a)->mark_durable = ledger(g, a)->mark_asked;
}

void rig_mark(struct rig *g, unsigned i, enum mark_kind kind)
{
	struct account *a = rig_account(g, i);

	if (!a)
		return;
	g->acct[i].mark_asked = (uint8_t)kind;
	store_mark(g->store, a, kind, LONE_TIMEOUT, account_end(a), on_marked,
		   g);
}

static void on_cut(void *arg, struct account *a, int result)
{
	struct rig *g = arg;

	if (result == 0) {
		ledger(g, a)->cut_done = true;
		ledger(g, a)->accepted = account_end(a).seq;
		ledger(g, a)->durable = account_durable(a);
		g->resets++;
	}
}

void rig_cut(struct rig *g, unsigned i, uint64_t seq)
{
	struct account *a = rig_account(g, i);

	if (!a)
		return;
	g->acct[i].cut_to = seq;
	store_cut(g->store, a, seq, on_cut, g);
}

void rig_later(struct rig *g, uint64_t usec)
{
	simtime_run(g->time, simtime_now(g->time) + usec);
	if (g->store && !g->failed && !simdisk_dead(g->disk))
		store_periodic(g->store);
}

void rig_checkpoint(struct rig *g)
{
	if (g->store && !g->failed && !simdisk_dead(g->disk))
		store_checkpoint(g->store, NULL, NULL);
}
