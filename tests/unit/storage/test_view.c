#include "storage/view.h"
#include "tests/unit/storage/fold_rig.h"

/* A client that believes what it is told, beside the view that tells it. */

#define CLIENT_MAX 2000

struct client {
	struct view view;
	uint32_t uids[CLIENT_MAX], flags[CLIENT_MAX];
	size_t n;
	unsigned told;
};

static struct rig rig;

static void on_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	struct client *c = arg;

	c->told++;
	if (!CU_CLAIM(seq >= 1 && seq <= c->n, "seq %u of %zu", seq, c->n))
		return;
	CU_EQ_INT(c->uids[seq - 1], uid);
	memmove(c->uids + seq - 1, c->uids + seq,
		(c->n - seq) * sizeof(*c->uids));
	memmove(c->flags + seq - 1, c->flags + seq,
		(c->n - seq) * sizeof(*c->flags));
	c->n--;
}

static void fetch(struct client *c, size_t i)
{
	uint32_t rec;

	if (!CU_EQ_INT(view_rec(&c->view, (uint32_t)i + 1, &rec), 0))
		return;
	c->uids[i] = mailbox_rec(c->view.mbox, rec)->uid;
	c->flags[i] = mailbox_rec(c->view.mbox, rec)->flags;
}

static void on_exists(void *arg, uint32_t count)
{
	struct client *c = arg;
	size_t was = c->n;

	c->told++;
	if (!CU_CLAIM(count >= c->n && count < CLIENT_MAX, "EXISTS %u", count))
		return;
	c->n = count;
	for (size_t i = was; i < count; i++)
		fetch(c, i);
}

static void on_changed(void *arg, uint32_t seq, uint32_t rec)
{
	struct client *c = arg;

	c->told++;
	if (CU_CLAIM(seq >= 1 && seq <= c->n, "FETCH %u", seq)) {
		CU_EQ_INT(c->uids[seq - 1],
			  mailbox_rec(c->view.mbox, rec)->uid);
		c->flags[seq - 1] = mailbox_rec(c->view.mbox, rec)->flags;
	}
}

static const struct view_ops ops = {on_expunged, on_exists, on_changed};

static void client_open(struct client *c, const char *name)
{
	memset(c, 0, sizeof(*c));
	view_init(&c->view, rig_box(&rig, name));
	c->n = view_count(&c->view);
	for (size_t i = 0; i < c->n; i++)
		fetch(c, i);
}

/* What the view answers is what the client believes. */
static bool mapping_holds(struct client *c)
{
	uint32_t rec, at = 0;

	if (!CU_EQ_INT(view_count(&c->view), c->n))
		return false;
	at = view_lower(&c->view, 1);
	for (size_t i = 0; i < c->n; i++) {
		if (!CU_EQ_INT(view_rec(&c->view, (uint32_t)i + 1, &rec), 0) ||
		    !CU_EQ_INT(mailbox_rec(c->view.mbox, rec)->uid,
			       c->uids[i]) ||
		    !CU_EQ_INT(view_seq(&c->view, rec), i + 1) ||
		    !CU_EQ_INT(at, rec) ||
		    !CU_EQ_INT(view_uid(&c->view, c->uids[i], &rec), 0) ||
		    !CU_EQ_INT(rec, at))
			return false;
		at = view_next(&c->view, at);
	}
	CU_EQ_INT(at, c->view.seen);
	CU_EQ_INT(view_rec(&c->view, (uint32_t)c->n + 1, &rec), -2);
	CU_EQ_INT(view_rec(&c->view, 0, &rec), -2);
	return CU_EQ_INT(view_last_uid(&c->view),
			 c->n ? c->uids[c->n - 1] : 0);
}

/* After everything was told the client knows the mailbox. */
static bool is_up_to_date(struct client *c)
{
	struct mailbox *m = c->view.mbox;

	if (!CU_EQ_INT(c->n, mailbox_messages(m)))
		return false;
	for (size_t i = 0; i < c->n; i++) {
		const struct mrec *r = rig_rec(m, c->uids[i]);

		if (!CU_CLAIM(r != NULL, "UID %u", c->uids[i]) ||
		    !CU_EQ_INT(c->flags[i], r->flags))
			return false;
	}
	return CU_CLAIM(!view_pending(&c->view), "nothing pends");
}

static void change_something(void)
{
	uint32_t last = (uint32_t)mailbox_uidnext(rig_box(&rig, "INBOX"));
	uint32_t first = 1 + (uint32_t)simrng_below(&rig.rng, last);
	uint32_t end = first + (uint32_t)simrng_below(&rig.rng, 3);

	switch (simrng_below(&rig.rng, 4)) {
	case 0: case 1:
		rig_deliver(&rig, "INBOX", "x");
		break;
	case 2:
		rig_flags(&rig, "INBOX", first, end, FLAGS_ADD,
			  (uint32_t)simrng_below(&rig.rng, 32), NULL);
		break;
	default:
		rig_expunge(&rig, "INBOX", first, end);
		break;
	}
}

static void every_client_ends_with_a_sound_cache(void)
{
	static struct client c[3];

	for (uint64_t seed = 1; seed <= 12; seed++) {
		rig_init(&rig, seed);
		rig_begin(&rig, 0, 0);
		for (int i = 0; i < 30; i++)
			rig_deliver(&rig, "INBOX", "x");
		for (int k = 0; k < 3; k++)
			client_open(&c[k], "INBOX");
		for (int i = 0; i < 200; i++) {
			struct client *x = &c[simrng_below(&rig.rng, 3)];
			bool expunges = simrng_chance(&rig.rng, 2);

			change_something();
			if (simrng_chance(&rig.rng, 3))
				continue;
			view_sync(&x->view, expunges, &ops, x);
			if (!mapping_holds(x))
				return;
			if (expunges && !is_up_to_date(x))
				return;
		}
		for (int k = 0; k < 3; k++) {
			view_sync(&c[k].view, true, &ops, &c[k]);
			CU_CLAIM(is_up_to_date(&c[k]), "seed %d", (int)seed);
			view_fini(&c[k].view);
		}
		rig_fini(&rig);
	}
}

static void an_idle_view_costs_a_few_words(void)
{
	static struct client c;

	rig_init(&rig, 50);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "x");
	client_open(&c, "INBOX");
	for (int i = 0; i < 50; i++)
		rig_deliver(&rig, "INBOX", "x");
	rig_expunge(&rig, "INBOX", 2, 40);
	/* Came and went between: never told. */
	CU_CLAIM(view_pending(&c.view), "pends");
	CU_ASSERT_PTR_NULL(c.view.untold);
	view_sync(&c.view, true, &ops, &c);
	CU_EQ_INT(c.n, 12);
	CU_CLAIM(is_up_to_date(&c), "sound");
	CU_CLAIM(sizeof(struct view) <= 96, "%zu", sizeof(struct view));
	view_fini(&c.view);
	rig_fini(&rig);
}

static void gone_messages_keep_their_numbers_until_told(void)
{
	static struct client c;
	struct body b = {0};
	struct err e = ERR_NONE;
	uint32_t rec;

	rig_init(&rig, 51);
	rig_begin(&rig, 0, 0);
	for (int i = 0; i < 4; i++)
		rig_deliver(&rig, "INBOX", "x");
	client_open(&c, "INBOX");
	rig_expunge(&rig, "INBOX", 2, 2);
	CU_EQ_INT(view_count(&c.view), 4);
	CU_EQ_INT(view_rec(&c.view, 2, &rec), 0);
	CU_CLAIM(view_gone(&c.view, rec), "gone");
	CU_OK(mailbox_body_open(c.view.mbox, rec, &b, &e), &e);
	mailbox_body_close(c.view.mbox, &b);
	view_sync(&c.view, false, &ops, &c);
	CU_CLAIM(mapping_holds(&c), "mapping");
	CU_CLAIM(view_pending(&c.view), "still to be told");
	view_sync(&c.view, true, &ops, &c);
	CU_EQ_INT(c.n, 3);
	view_fini(&c.view);
	rig_fini(&rig);
}

static void trimmed_memory_still_tells_every_expunge(void)
{
	static struct client c;
	struct mailbox *m;

	rig_init(&rig, 52);
	rig_begin(&rig, 0, 0);
	for (int i = 0; i < 9; i++)
		rig_deliver(&rig, "INBOX", "x");
	client_open(&c, "INBOX");
	m = c.view.mbox;
	rig_expunge(&rig, "INBOX", 2, 4);
	rig_op(&rig, (struct op){.kind = OP_TRIM,
				 .trim = {TRIM_VANISHED, mailbox_id(m),
					  mailbox_highestmodseq(m),
					  SLICE_NONE}});
	CU_EQ_INT(mailbox_vanished_since(m, 1, NULL, NULL), -2);
	view_sync(&c.view, true, &ops, &c);
	CU_CLAIM(is_up_to_date(&c), "sound");
	rig_digest_holds(rig.acc.state);
	view_fini(&c.view);
	rig_fini(&rig);
}

/* --- changed since, far and near ------------------------------------------------------ */

static void count_rec(void *arg, uint32_t rec)
{
	unsigned *n = arg;

	(void)rec;
	++*n;
}

static void changed_since_is_complete_beyond_recent_memory(void)
{
	struct mailbox *m;
	unsigned n = 0;
	uint64_t first;

	rig_init(&rig, 53);
	rig_begin(&rig, 0, 0);
	for (int i = 0; i < 40; i++)
		rig_deliver(&rig, "INBOX", "x");
	m = rig_box(&rig, "INBOX");
	first = mailbox_highestmodseq(m);
	for (unsigned i = 0; i < 2 * CHANGES_MAX + 50; i++)
		rig_flags(&rig, "INBOX", 1 + i % 7, 1 + i % 7,
			  i / 7 % 2 ? FLAGS_REMOVE : FLAGS_ADD, MSG_SEEN,
			  NULL);
	CU_CLAIM(m->changes_floor > first, "memory was cut");
	mailbox_changed_since(m, first, count_rec, &n);
	CU_EQ_INT(n, 7);
	n = 0;
	mailbox_changed_since(m, mailbox_highestmodseq(m) - 3, count_rec, &n);
	CU_EQ_INT(n, 3);
	n = 0;
	mailbox_changed_since(m, mailbox_highestmodseq(m), count_rec, &n);
	CU_EQ_INT(n, 0);
	n = 0;
	mailbox_changed_since(m, 0, count_rec, &n);
	CU_EQ_INT(n, 40);
	rig_fini(&rig);
}

CU_TESTS(CU_CASE(every_client_ends_with_a_sound_cache),
	 CU_CASE(an_idle_view_costs_a_few_words),
	 CU_CASE(gone_messages_keep_their_numbers_until_told),
	 CU_CASE(trimmed_memory_still_tells_every_expunge),
	 CU_CASE(changed_since_is_complete_beyond_recent_memory))
