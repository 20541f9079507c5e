/*
 * Admin requests that change what the pair does with accounts: switchover,
 * replicate, add, remove, restored; and selftest, which walks through a
 * change's life.  Every row is a name and "ok", or why not; selftest's are its
 * steps.
 */

#include "node/store/store_role.h"
#include "node/base/clock.h"
#include "node/base/digest.h"
#include "node/base/loop.h"
#include "storage/account.h"
#include "storage/mailbox.h"

#include <stdio.h>
#include <stdlib.h>

#define SWITCH_POLL_USEC (200u * 1000)
#define SWITCH_POLLS 50u		/* 10 s */

static void row(struct adm *q, const char *name, const char *text)
{
	adm_pair(q, name, text);
}

/* ---- switchover -------------------------------------------------------------- */

/* Accounts on their way to the partner: sessions have been ended, then each
 * is given as soon as nothing uses it. */
struct switchover {
	struct store_node *n;
	struct adm *q;
	struct loop_timer *timer;
	unsigned polls;
	struct {
		struct id128 id;
		const char *name;
		char why[120];
		bool done;
	} *v;
	size_t n_v, cap;
};

struct match {
	const char *mask;
	struct switchover *sw;
	struct adm *q;
	struct store_node *n;
	size_t count;
};

static bool matches(const struct match *m, const struct engine_account_status *s)
{
	return adm_mask(m->mask, account_name(s->account));
}

static bool held_here(struct store_node *n,
		      const struct engine_account_status *s)
{
	return s->holder == (int)n->role->identity.index;
}

static bool collect(void *arg, const struct engine_account_status *s)
{
	struct match *m = arg;
	struct switchover *sw = m->sw;

	if (!matches(m, s) || !held_here(sw->n, s))
		return true;
	/* Nobody's session is ended for what cannot be. */
	if (s->state != ACCT_SYNC) {
		row(sw->q, account_name(s->account),
		    s->state == ACCT_SINGLE ? "this node has no partner" :
		    "its state is not SYNC: the partner does not have all of "
		    "it");
		return true;
	}
	GROW(sw->v, sw->n_v, sw->cap);
	memset(&sw->v[sw->n_v], 0, sizeof(sw->v[0]));
	sw->v[sw->n_v].id = account_id(s->account);
	sw->v[sw->n_v++].name =
		arena_strdup(adm_arena(sw->q), account_name(s->account));
	return true;
}

struct held {
	const struct id128 *id;
	struct store_node *n;
	struct account *account;
	bool here;
};

static bool find_held(void *arg, const struct engine_account_status *s)
{
	struct held *h = arg;
	struct id128 id = account_id(s->account);

	if (memcmp(id.b, h->id->b, 16) != 0)
		return true;
	h->account = s->account;
	h->here = held_here(h->n, s);
	return false;
}

static struct held held_of(struct store_node *n, const struct id128 *id)
{
	struct held h = {.id = id, .n = n};

	if (n->engine)
		engine_status(n->engine, find_held, &h);
	return h;
}

static void switch_end(struct switchover *sw)
{
	struct adm *q = sw->q;

	for (size_t i = 0; i < sw->n_v; i++)
		row(q, sw->v[i].name, sw->v[i].done ? "ok" : sw->v[i].why);
	loop_timer_free(sw->timer);
	free(sw->v);
	adm_end(q, ADM_OK, "%s", "");
}

static void on_switch_poll(void *arg)
{
	struct switchover *sw = arg;
	size_t left = 0;

	for (size_t i = 0; i < sw->n_v; i++) {
		struct err e = ERR_NONE;
		struct held h;

		if (sw->v[i].done)
			continue;
		h = held_of(sw->n, &sw->v[i].id);
		if (h.account && !h.here) {
			sw->v[i].done = true;
			continue;
		}
		left++;
		snprintf(sw->v[i].why, sizeof(sw->v[i].why), "not taken by "
			 "the partner yet");
		if (!h.account || engine_switchover(sw->n->engine,
						    sw->v[i].id, &e) < 0)
			snprintf(sw->v[i].why, sizeof(sw->v[i].why), "%.110s",
				 h.account ? e.op : "not open");
	}
	if (!left || ++sw->polls >= SWITCH_POLLS || adm_gone(sw->q))
		switch_end(sw);
	else
		loop_timer_set(sw->timer, SWITCH_POLL_USEC);
}

static void cmd_switchover(struct store_node *n, struct adm *q,
			   const struct ipc_head *h)
{
	struct switchover *sw = ARENA_NEW(adm_arena(q), struct switchover);
	struct match m = {.mask = h->args[0], .sw = sw};

	sw->n = n;
	sw->q = q;
	engine_status(n->engine, collect, &m);
	for (size_t i = 0; i < sw->n_v; i++) {
		struct held a = held_of(n, &sw->v[i].id);

		if (a.account)
			sessions_evict_account(n, a.account, "Your mail moves "
					       "to the other server.");
	}
	sw->timer = loop_timer_new(n->role->loop, 0, on_switch_poll, sw);
}

/* ---- replicate, add, remove ------------------------------------------------------ */

/* The pair replicates by itself and at once; what an operator can hasten is
 * an account in quarantine, and with `full` its comparison. */
static bool retry(void *arg, const struct engine_account_status *s)
{
	struct match *m = arg;

	if (!matches(m, s))
		return true;
	GROW(m->sw->v, m->sw->n_v, m->sw->cap);
	memset(&m->sw->v[m->sw->n_v], 0, sizeof(m->sw->v[0]));
	m->sw->v[m->sw->n_v].id = account_id(s->account);
	m->sw->v[m->sw->n_v].done = s->state != ACCT_PARKED;
	m->sw->v[m->sw->n_v++].name =
		arena_strdup(adm_arena(m->q), account_name(s->account));
	return true;
}

/* One that could not be opened. */
static bool retry_closed(void *arg, struct id128 id, const char *name,
			 const char *why)
{
	struct match *m = arg;
	struct switchover *l = m->sw;

	(void)why;
	if (!adm_mask(m->mask, name) || store_account(m->n->store, id))
		return true;
	GROW(l->v, l->n_v, l->cap);
	memset(&l->v[l->n_v], 0, sizeof(l->v[0]));
	l->v[l->n_v].id = id;
	l->v[l->n_v++].name = arena_strdup(adm_arena(m->q), name);
	return true;
}

static void cmd_replicate(struct store_node *n, struct adm *q,
			  const struct ipc_head *h)
{
	struct switchover list = {.n = n};
	struct match m = {.mask = h->args[0], .q = q, .sw = &list, .n = n};

	engine_status(n->engine, retry, &m);
	store_parked(n->store, retry_closed, &m);
	for (size_t i = 0; i < list.n_v; i++) {
		struct err e = ERR_NONE;
		struct id128 id = list.v[i].id;
		struct account *a;
		int r = 0;

		if (!store_account(n->store, id))
			r = store_account_open(n->store, id, list.v[i].name,
					       NULL, false, &a, &e);
		else if (!list.v[i].done)
			r = engine_unpark(n->engine, id, &e);
		if (r == 0 && ipc_field_get(h, "full") &&
		    store_account(n->store, id))
			r = engine_compare(n->engine, id, &e);
		row(q, list.v[i].name, r < 0 ? e.op : "ok");
	}
	free(list.v);
	adm_end(q, ADM_OK, "%s", "");
}

static bool off_queue(void *arg, const struct engine_account_status *s)
{
	struct match *m = arg;

	if (strcmp(m->mask, account_name(s->account)) != 0)
		return true;
	row(m->q, m->mask, s->unacked_records || s->waiting
		? "it has changes that only this node holds; they are never "
		  "held back" : "ok");
	return false;
}

static void cmd_remove(struct store_node *n, struct adm *q,
		       const struct ipc_head *h)
{
	struct match m = {.mask = h->args[0], .q = q};

	engine_status(n->engine, off_queue, &m);
	adm_end(q, ADM_OK, "%s", "");
}

/* ---- restored ------------------------------------------------------------------- */

/* Every account is opened, which takes its time: some in a turn, so that the
 * process goes on answering. */
#define RESTORE_TURN 16u
#define RESTORE_POLL_USEC (200u * 1000)
#define RESTORE_POLLS 100u		/* 20 s */

struct restore {
	struct store_node *n;
	struct adm *q;
	struct loop_timer *timer;
	struct {
		struct id128 id;
		const char *name;
	} *v;
	size_t n_v, cap, next;
	unsigned polls;
};

static bool restore_one(void *arg, struct id128 id, const char *name,
			const char *root)
{
	struct restore *t = arg;

	(void)root;
	GROW(t->v, t->n_v, t->cap);
	t->v[t->n_v].id = id;
	t->v[t->n_v++].name = arena_strdup(adm_arena(t->q), name);
	return true;
}

static void restore_end(struct restore *t, size_t left)
{
	struct adm *q = t->q;

	loop_timer_free(t->timer);
	free(t->v);
	if (left)
		adm_end(q, ADM_TEMPFAIL, "%zu accounts wait: their new epoch "
			"begins when the partner has answered or was silent "
			"for pair_takeover_delay; it comes by itself unless "
			"the node is stopped before", left);
	else
		adm_end(q, ADM_OK, "%s", "");
}

static void on_restore(void *arg)
{
	struct restore *t = arg;
	size_t left;

	if (!store_open_now(t->n)) {
		restore_end(t, t->n_v - t->next + 1);
		return;
	}
	for (unsigned i = 0; i < RESTORE_TURN && t->next < t->n_v; i++) {
		struct err e = ERR_NONE;
		int r = engine_restored(t->n->engine, t->v[t->next].id, &e);

		row(t->q, t->v[t->next].name, r < 0 ? e.op : "ok");
		t->next++;
	}
	if (t->next < t->n_v) {
		loop_timer_set(t->timer, 0);
		return;
	}
	left = engine_restoring(t->n->engine);
	if (!left || ++t->polls >= RESTORE_POLLS)
		restore_end(t, left);
	else
		loop_timer_set(t->timer, RESTORE_POLL_USEC);
}

static void cmd_restored(struct store_node *n, struct adm *q,
			 const struct ipc_head *h)
{
	struct restore *t = ARENA_NEW(adm_arena(q), struct restore);

	(void)h;
	t->n = n;
	t->q = q;
	log_event(n->role->log, LOG_WARN, "restored", NULL, "the operator says "
		  "that this disk is an older copy: every account begins a "
		  "new epoch");
	store_accounts(n->store, restore_one, t);
	t->timer = loop_timer_new(n->role->loop, 0, on_restore, t);
}

/* ---- transfers ------------------------------------------------------------------ */

static bool transfer_row(void *arg, const struct engine_transfer *t)
{
	struct adm *q = arg;
	struct arena *a = arena_new(512);
	const char *text = t->receiving ? "Receiving" : "Sending";

	if (t->bodies)
		text = arena_printf(a, "%s messages of a new copy: %zu left",
				    text, t->bodies);
	else if (t->installing)
		text = t->full ? "Installing a new copy" : "Checking a message";
	else if (!t->size)
		text = arena_printf(a, "%s a new copy: not begun", text);
	else if (t->receiving)
		text = arena_printf(a, "%s %s: %llu of %llu bytes", text,
				    t->full ? "a new copy" : "a message",
				    (unsigned long long)t->done,
				    (unsigned long long)t->size);
	else
		text = arena_printf(a, "%s a new copy: %llu bytes", text,
				    (unsigned long long)t->size);
	adm_row(q, (const char *[]){t->name, t->full ? "full" : "normal", text},
		3);
	arena_free(a);
	return !adm_gone(q);
}

void store_admin_transfers(struct store_node *n, struct adm *q)
{
	if (!store_open_now(n)) {
		adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
		return;
	}
	engine_transfers(n->engine, transfer_row, q);
	adm_end(q, ADM_OK, "%s", "");
}

/* ---- selftest ---------------------------------------------------------------------- */

#define SELFTEST_BOX "duet-selftest"

static const char selftest_mail[] =
	"From: duetadm <postmaster@localhost>\r\n"
	"Subject: pair selftest\r\n"
	"\r\n"
	"This message is removed when the test ends.\r\n";

struct selftest {
	struct store_node *n;
	struct adm *q;
	const char *user;
	struct engine_ask *ask;
	struct account *account;
	unsigned step;
	uint64_t began;
	uint32_t uid;
	bool failed;
	struct write *w;
	struct write_msg msg;
	struct uid_range range;
	struct loop_timer *timer;
};

static uint64_t mono(struct selftest *t)
{
	return clock_mono(t->n->role->sys.clock);
}

static void step_row(struct selftest *t, const char *step, const char *result)
{
	uint64_t usec = mono(t) - t->began;
	char ms[32];
	const char *cells[] = {step, ms, result};

	snprintf(ms, sizeof(ms), "%llu.%03llu", (unsigned long long)usec / 1000,
		 (unsigned long long)usec % 1000);
	adm_row(t->q, cells, ARRAY_LEN(cells));
	t->began = mono(t);
}

static void selftest_end(struct selftest *t, int code, const char *why)
{
	struct adm *q = t->q;

	loop_timer_free(t->timer);
	if (t->account)
		engine_leave(t->n->engine, t->account);
	adm_end(q, code, "%s", why);
}

static struct mailbox *box(struct selftest *t)
{
	return account_mailbox(t->account, SLICE_LIT(SELFTEST_BOX));
}

/* The message as a client would get it here. */
static const char *read_here(struct selftest *t)
{
	struct mailbox *m = box(t);
	struct err e = ERR_NONE;
	struct body b;
	uint32_t i;
	bool same;

	if (!m)
		return "the mailbox is not there";
	i = mailbox_lower(m, t->uid);
	if (i >= mailbox_records(m) || mailbox_rec(m, i)->uid != t->uid ||
	    !(mailbox_rec(m, i)->flags & MSG_FLAGGED))
		return "the message or its flag is not there";
	if (mailbox_body_open(m, i, &b, &e) < 0)
		return "the message cannot be read";
	same = slice_is(b.data, selftest_mail);
	mailbox_body_close(m, &b);
	return same ? NULL : "the message is another one";
}

struct copy {
	struct account *account;
	const char *text;
	bool both;
};

static bool on_copy(void *arg, const struct engine_account_status *s)
{
	struct copy *c = arg;

	if (s->account != c->account)
		return true;
	c->both = s->state == ACCT_SYNC && s->unacked_records == 0;
	c->text = c->both ? "durable on both nodes" :
		  s->state == ACCT_SINGLE ? "this node has no partner" :
					    "NOT there: this node is alone";
	return false;
}

static void selftest_step(struct selftest *t);

static void on_written(void *arg, struct write *w, int result, bool unknown,
		       const struct err *err)
{
	static const char *const names[] = {"create mailbox", "add message",
					    "flag", "expunge",
					    "delete mailbox"};
	struct selftest *t = arg;

	if (result < 0) {
		step_row(t, names[t->step], unknown ? "outcome unknown"
						    : err->op);
		/* What was begun is taken away again as far as it goes. */
		t->failed = true;
		if (unknown || t->step >= 3) {
			selftest_end(t, ADM_TEMPFAIL, "the test failed");
			return;
		}
		t->step = 4;
		selftest_step(t);
		return;
	}
	step_row(t, names[t->step], "ok");
	if (t->step == 1)
		t->uid = w->msgs[0].uid;
	if (t->step == 2) {
		const char *bad = read_here(t);
		struct copy c = {.account = t->account, .text = "?"};

		t->failed |= bad != NULL;
		step_row(t, "read back", bad ? bad : "ok");
		engine_status(t->n->engine, on_copy, &c);
		step_row(t, "second copy", c.text);
	}
	if (t->step == 4) {
		selftest_end(t, t->failed ? ADM_TEMPFAIL : ADM_OK,
			     t->failed ? "the test failed" : "");
		return;
	}
	t->step++;
	selftest_step(t);
}

static void selftest_step(struct selftest *t)
{
	static const enum write_kind kinds[] = {WRITE_CREATE, WRITE_APPEND,
						WRITE_FLAGS, WRITE_EXPUNGE,
						WRITE_DELETE};
	struct arena *a = adm_arena(t->q);
	struct write *w = t->w = ARENA_NEW(a, struct write);
	struct mailbox *m = box(t);

	w->kind = kinds[t->step];
	w->arena = a;
	if (w->kind == WRITE_CREATE || w->kind == WRITE_DELETE)
		w->name = SLICE_LIT(SELFTEST_BOX);
	else if (m)
		w->mbox = mailbox_id(m);
	if (w->kind == WRITE_APPEND) {
		t->msg = (struct write_msg){.internaldate = (int64_t)(
			clock_real(t->n->role->sys.clock) / USEC_PER_SEC)};
		t->msg.body.data = SLICE_LIT(selftest_mail);
		t->msg.body.size = t->msg.body.data.n;
		sha256(t->msg.body.data, t->msg.body.hash);
		w->msgs = &t->msg;
		w->n_msgs = 1;
	}
	t->range = (struct uid_range){t->uid, t->uid};
	if (w->kind == WRITE_FLAGS || w->kind == WRITE_EXPUNGE) {
		w->uids = &t->range;
		w->n_uids = 1;
	}
	if (w->kind == WRITE_FLAGS) {
		w->flags_mode = FLAGS_ADD;
		w->flags = MSG_FLAGGED;
	}
	engine_write(t->n->engine, t->account, w, on_written, t);
}

/* Not from inside engine_ask(): its answer may come at once. */
static void on_selftest_begin(void *arg)
{
	struct selftest *t = arg;

	if (box(t)) {
		t->step = 4;	/* left behind by a test that was cut off */
		t->failed = true;
	}
	selftest_step(t);
}

static void on_asked(void *arg, enum engine_verdict v, struct account *a,
		     const struct err *err)
{
	struct selftest *t = arg;

	t->ask = NULL;
	if (v == ENGINE_SERVE) {
		t->account = a;
		step_row(t, "holder", "this node");
		t->timer = loop_timer_new(t->n->role->loop, 0,
					  on_selftest_begin, t);
	} else if (v == ENGINE_PROXY) {
		step_row(t, "holder", "the partner");
		selftest_end(t, ADM_TEMPFAIL, "the account moves to the partner "
			     "just now; try again");
	} else {
		selftest_end(t, ADM_TEMPFAIL, err->op);
	}
}

static void cmd_selftest(struct store_node *n, struct adm *q,
			 const struct ipc_head *h)
{
	struct selftest *t = ARENA_NEW(adm_arena(q), struct selftest);
	struct slice pair = slice_of(n->role->identity.pair_id.b, 16);
	struct id128 id = account_id_of(pair, slice_str(h->args[0]));
	struct held known = held_of(n, &id);

	t->n = n;
	t->q = q;
	t->user = arena_strdup(adm_arena(q), h->args[0]);
	t->began = mono(t);
	if (!known.account) {
		adm_end(q, ADM_NOUSER, "%s is not an account of this node",
			t->user);
		return;
	}
	t->ask = engine_ask(n->engine, id, t->user,
			    account_root(known.account), false, false,
			    on_asked, t);
}

/* ---- finding the command --------------------------------------------------------------- */

bool store_admin_pair(struct store_node *n, struct adm *q,
		      const struct ipc_head *h)
{
	static const struct {
		const char *name;
		void (*run)(struct store_node *n, struct adm *q,
			    const struct ipc_head *h);
		size_t args;
	} commands[] = {
		{"switchover", cmd_switchover, 1},
		{"replicate", cmd_replicate, 1},
		{"add", cmd_replicate, 1}, {"remove", cmd_remove, 1},
		{"restored", cmd_restored, 0}, {"selftest", cmd_selftest, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (strcmp(commands[i].name, h->name) != 0)
			continue;
		if (!store_open_now(n))
			adm_end(q, ADM_TEMPFAIL, "%s", store_shut_why(n));
		else if (h->n_args != commands[i].args)
			adm_end(q, ADM_USAGE, "%s needs %s", h->name,
				commands[i].args ? "a name" : "no name");
		else
			commands[i].run(n, q, h);
		return true;
	}
	return false;
}
