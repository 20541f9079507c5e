/* The model ran with small windows; so does what numbers here. */
#ifndef DUET_TEST_LIMITS
#define DUET_TEST_LIMITS
#endif
#include "storage/head.c"

#include "tests/unit/storage/fold_rig.h"

#include <inttypes.h>

/*
 * The numbering of this code against uid_model.py, the design's model of it:
 * what befell each node there (numbering.py says how) befalls an account here,
 * and every number must be the model's.
 */

#define BOX "Work"
#define LINE_MAX_ 4096			/* a line of the table */
#define WORDS_MAX 64

static struct rig rig;

/* The model's log begins with EPOCH_BEGIN; here the mailbox is made after it. */
static uint64_t seq_of(uint64_t model)
{
	return model + (model > 0);
}

static void anew(uint64_t seed, unsigned node)
{
	struct err e = ERR_NONE;

	if (rig.disk)
		rig_fini(&rig);
	rig_init(&rig, seed + 1);
	rig.dense = false;
	rig_begin(&rig, 0, 0);
	CU_OK(rig_mbox_write(&rig, WRITE_CREATE, BOX, NULL, &e), &e);
	rig.hold = true;
	rig.node = node;
	head_acked(rig.acc.head, rig.acc.end.seq);
}

static struct id128 box(void)
{
	return mailbox_id(rig_box(&rig, BOX));
}

/* --- records of others ---------------------------------------------------- */

static void append(struct op *ops, size_t n, const struct frame_bodies *b)
{
	struct record rec = {(uint64_t)rig.epoch << 36 |
			     (head_counter(rig.acc.head) + 1), ops, n};

	rig_append(&rig, &rec, b);
}

static void begin(unsigned node, uint64_t jump, uint64_t floor)
{
	struct mbox_floor f = {box(), floor};
	struct op o = {.kind = OP_EPOCH_BEGIN,
		       .epoch_begin = {.node = (uint8_t)node, .jump = jump,
				       .reason = EPOCH_START,
				       .parent = rig.acc.end}};

	rig.epoch += 1 + (rig.epoch % 2 == node);
	rig.nonce = (uint32_t)simrng_u64(&rig.rng);
	o.epoch_begin.epoch = rig.epoch;
	o.epoch_begin.nonce = rig.nonce;
	if (floor) {
		o.epoch_begin.floors = &f;
		o.epoch_begin.n_floors = 1;
	}
	append(&o, 1, NULL);
}

static void add(const uint64_t *uids, size_t n)
{
	static const char text[] = "Subject: x\r\n\r\nx\r\n";
	struct op o[WORDS_MAX] = {{0}};
	struct slice bodies[WORDS_MAX];
	struct frame_bodies b = {bodies, n};

	for (size_t i = 0; i < n; i++) {
		struct op_msg_add *m = &o[i].msg_add;

		bodies[i] = slice_str(text);
		o[i].kind = OP_MSG_ADD;
		m->mbox = box();
		m->uid = (uint32_t)uids[i];
		rig.rng.rng.bytes(&rig.rng.rng, m->emailid.b, 16);
		m->size = bodies[i].n;
		sha256(bodies[i], m->body_hash);
		m->source = SOURCE_APPEND;
		m->inline_body = true;
	}
	append(o, n, &b);
}

static void retire(const uint64_t *uids, size_t n)
{
	struct op o[WORDS_MAX] = {{0}};

	for (size_t i = 0; i < n; i++) {
		o[i].kind = OP_MSG_RETIRE;
		o[i].msg_retire.mbox = box();
		o[i].msg_retire.uid = (uint32_t)uids[i];
	}
	append(o, n, NULL);
}

static void cut(uint64_t seq)
{
	struct frame *f;

	while (rig.n_log > seq) {
		struct rig_frame *x = &rig.log[--rig.n_log];

		buf_fini(&x->payload);
		for (size_t k = 0; k < x->n_bodies; k++)
			free((void *)(uintptr_t)x->bodies[k].p);
		free(x->bodies);
	}
	head_cut(rig.acc.head, seq);
	f = &rig.log[seq - 1].frame;
	rig.epoch = f->epoch;
	rig.nonce = rig.log[seq - 1].nonce;
	rig.acc.end = (struct position){rig.epoch, rig.nonce, seq, f->chain};
}

static void publish(uint64_t seq)
{
	struct err e = ERR_NONE;

	while (state_position(rig.acc.state).seq < seq) {
		uint64_t i = state_position(rig.acc.state).seq;

		if (!CU_OK(rig_fold(&rig, rig.acc.state, i, false, &e), &e))
			return;
		head_published(rig.acc.head, i + 1);
	}
}

/* --- what is numbered here -------------------------------------------------- */

static int number(struct arena *a, size_t n, struct write **out)
{
	struct write *w = rig_message(a, WRITE_APPEND, BOX, "x");
	struct write_msg *one = w->msgs;
	struct err e = ERR_NONE;

	w->msgs = arena_zalloc(a, n * sizeof(*w->msgs));
	w->n_msgs = n;
	for (size_t i = 0; i < n; i++)
		w->msgs[i] = *one;
	*out = w;
	return rig_write(&rig, w, &e);
}

static bool numbered(const uint64_t *uids, size_t n)
{
	struct arena *a = arena_new(4096);
	struct write *w;
	bool ok = CU_EQ_INT(number(a, n, &w), 0);

	for (size_t i = 0; i < n && ok; i++)
		ok = CU_EQ_U64(w->msgs[i].uid, uids[i]);
	arena_free(a);
	return ok;
}

static bool waits(void)
{
	struct arena *a = arena_new(4096);
	struct write *w;
	bool ok = CU_EQ_INT(number(a, 1, &w), PREPARE_WAIT);

	arena_free(a);
	return ok;
}

/* --- the table ---------------------------------------------------------------- */

static bool play(char kind, const uint64_t *v, size_t n)
{
	switch (kind) {
	case 'L':
		return CU_EQ_INT(n, 1) && CU_EQ_U64(v[0], UID_WINDOW);
	case 'S':
		anew(v[0], (unsigned)v[1]);
		break;
	case 'C':
		cut(seq_of(v[0]));
		break;
	case 'B':
		begin((unsigned)v[0], v[1], v[2]);
		break;
	case 'A':
		add(v, n);
		break;
	case 'X':
		retire(v, n);
		break;
	case 'N':
		append(&(struct op){.kind = OP_NOOP}, 1, NULL);
		break;
	case 'D':
		head_durable(rig.acc.head, seq_of(v[0]));
		break;
	case 'K':
		head_acked(rig.acc.head, seq_of(v[0]));
		break;
	case 'P':
		publish(seq_of(v[0]));
		break;
	case 'F':
		return waits();
	case 'W':
		return numbered(v, n);
	case 'U':
		return CU_EQ_U64(head_uidnext(rig.acc.head, box()), v[0]);
	default:
		return CU_CLAIM(false, "unknown line %c", kind);
	}
	return true;
}

static void numbers_are_those_of_the_model(void)
{
	const char *dir = getenv("SRCDIR"), *named = getenv("DUET_NUMBERING");
	char *path = named ? xstrdup(named) :
		     xprintf("%s/tests/unit/storage/numbering.txt",
			     dir ? dir : ".");
	FILE *f = fopen(path, "re");
	char line[LINE_MAX_];
	unsigned at = 0, decisions = 0;
	bool ok = true;

	CU_CLAIM(f != NULL, "%s", path);
	while (f && ok && fgets(line, sizeof(line), f)) {
		uint64_t v[WORDS_MAX];
		size_t n = 0;
		char *p = line + 1, *end;

		for (; n < WORDS_MAX; p = end, n++) {
			v[n] = strtoull(p, &end, 10);
			if (end == p)
				break;
		}
		at++;
		decisions += line[0] == 'W' || line[0] == 'F';
		ok = CU_CLAIM(*p == '\n' && play(line[0], v, n),
			      "%s:%u: %s", path, at, line);
	}
	CU_CLAIM(decisions > 500, "%u decisions", decisions);
	if (rig.disk)
		rig_fini(&rig);
	if (f)
		fclose(f);
	free(path);
}

CU_TESTS(CU_CASE(numbers_are_those_of_the_model))
