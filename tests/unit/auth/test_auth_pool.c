#include "tests/lib/cu.h"

#include "node/base/loop.h"
#include "tests/unit/auth/fake_env.h"

/* A pool over real threads; the loop turns until the answer is there. */
struct bed {
	struct fake_env fake;
	struct auth_db_settings db;
	struct auth_settings set;
	struct auth *auth;
	struct loop *loop;
	struct auth_pool *pool;
	struct auth_peer peer;
	struct err e;

	struct auth_req *req;
	unsigned challenges, answers, failures;
	char challenge[64];
	enum auth_verdict verdict;
	char user[64], mech[16], op[480];
	const char *reply[3];		/* to the challenges; NULL aborts */
	size_t n_names;
	int names_code;
};

static bool bed_init(struct bed *b)
{
	*b = (struct bed){.e = ERR_NONE};
	fake_init(&b->fake);
	fake_file(&b->fake, "/u", "alice:{PLAIN}secret:5000:5000\n"
				  "bob:{PLAIN}b:5000:5000\n");
	b->db = (struct auth_db_settings){.driver = "passwd-file",
					  .args = "/u"};
	b->peer = (struct auth_peer){.service = "imap", .rip = "192.0.2.7"};
	b->set = (struct auth_settings){
		.mechanisms = "plain login", .username_format = "%Lu",
		.passdbs = &b->db, .n_passdbs = 1,
		.userdbs = &b->db, .n_userdbs = 1,
		.uid = {500, 0, 1, 0, 5000, 5000, AUTH_NO_UID},
		.expand = {fake_expand, &b->fake},
		.reader = {fake_read, &b->fake},
		.clock = &b->fake.clock,
	};
	if (!CU_OK(auth_new(&b->set, &b->auth, &b->e), &b->e) ||
	    loop_new(&b->loop) < 0)
		return false;
	b->pool = auth_pool_new(b->loop, 2);
	auth_pool_use(b->pool, b->auth);
	auth_unref(b->auth);
	return true;
}

static void bed_fini(struct bed *b)
{
	CU_EQ_U64(auth_pool_pending(b->pool), 0);
	auth_pool_free(b->pool);
	loop_free(b->loop);
}

static void on_challenge(void *arg, struct slice text)
{
	struct bed *b = arg;
	const char *reply = b->reply[b->challenges++];

	snprintf(b->challenge, sizeof(b->challenge), "%.*s", (int)text.n,
		 (const char *)text.p);
	if (reply)
		auth_sasl_answer(b->req, slice_str(reply));
	else
		auth_sasl_abort(b->req);
}

static void on_done(void *arg, const struct auth_result *r)
{
	struct bed *b = arg;

	b->answers++;
	b->verdict = r->verdict;
	b->failures += r->verdict == AUTH_TEMPFAIL &&
		       strstr(r->e.op, "wait for an answer") != NULL;
	snprintf(b->user, sizeof(b->user), "%s", r->user);
	snprintf(b->mech, sizeof(b->mech), "%s", r->mech);
	snprintf(b->op, sizeof(b->op), "%s", r->e.op);
	/* Harmless: it is freed behind this call anyway. */
	auth_req_free(b->req);
}

static const struct auth_req_ops ops = {on_challenge, on_done};

/* Until `want` answers are there, or nothing happens any more. */
static void run(struct bed *b, unsigned want)
{
	for (int i = 0; i < 1000 && b->answers < want; i++)
		loop_turn(b->loop, 1000000);
	CU_EQ_INT(b->answers, want);
}

static void plain_at_once(void)
{
	struct bed b;
	struct slice ir = SLICE_LIT("\0Alice\0secret");

	CU_NEED(bed_init(&b));
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("plain"), &ir, &ops, &b);
	CU_EQ_INT(b.answers, 0);
	run(&b, 1);
	CU_EQ_INT(b.verdict, AUTH_OK);
	CU_EQ_STR(b.user, "alice");
	CU_EQ_STR(b.mech, "PLAIN");
	CU_EQ_INT(b.challenges, 0);
	bed_fini(&b);
}

static void login_in_three_turns(void)
{
	struct bed b;

	CU_NEED(bed_init(&b));
	b.reply[0] = "alice";
	b.reply[1] = "secret";
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("LOGIN"), NULL, &ops, &b);
	run(&b, 1);
	CU_EQ_INT(b.verdict, AUTH_OK);
	CU_EQ_INT(b.challenges, 2);
	CU_EQ_STR(b.challenge, "Password:");
	CU_EQ_STR(b.mech, "LOGIN");
	bed_fini(&b);
}

static void failures_of_dialogs(void)
{
	struct slice ir = SLICE_LIT("\0alice\0wrong");
	struct slice other = SLICE_LIT("bob\0alice\0secret");
	struct slice same = SLICE_LIT("ALICE\0alice\0secret");
	struct slice junk = SLICE_LIT("junk");
	struct bed b;

	CU_NEED(bed_init(&b));
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), &ir, &ops, &b);
	run(&b, 1);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	CU_EQ_STR(b.op, "passwd-file(alice,192.0.2.7): Password mismatch");
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), &other, &ops,
			  &b);
	run(&b, 2);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	CU_CLAIM(strstr(b.op, "identity bob"), "%s", b.op);
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), &same, &ops, &b);
	run(&b, 3);
	CU_EQ_INT(b.verdict, AUTH_OK);
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), &junk, &ops, &b);
	run(&b, 4);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("GSSAPI"), NULL, &ops, &b);
	run(&b, 5);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	CU_CLAIM(strstr(b.op, "not offered"), "%s", b.op);
	/* "*" */
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), NULL, &ops, &b);
	run(&b, 6);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	CU_CLAIM(strstr(b.op, "aborted by client"), "%s", b.op);
	bed_fini(&b);
}

static void oversized_response_fails(void)
{
	struct slice big = slice_of(xzalloc(AUTH_SASL_MAX + 1),
				    AUTH_SASL_MAX + 1);
	struct bed b;

	CU_NEED(bed_init(&b));
	b.req = auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), &big, &ops, &b);
	run(&b, 1);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	CU_CLAIM(strstr(b.op, "longer than"), "%s", b.op);
	free((void *)(uintptr_t)big.p);
	bed_fini(&b);
}

static void lookups_and_passwords(void)
{
	struct bed b;

	CU_NEED(bed_init(&b));
	b.req = auth_password(b.pool, &b.peer, SLICE_LIT("alice"),
			      SLICE_LIT("secret"), &ops, &b);
	run(&b, 1);
	CU_EQ_INT(b.verdict, AUTH_OK);
	b.req = auth_userdb(b.pool, &b.peer, SLICE_LIT("bob"), false, &ops, &b);
	run(&b, 2);
	CU_EQ_INT(b.verdict, AUTH_OK);
	CU_EQ_STR(b.user, "bob");
	b.req = auth_passdb(b.pool, &b.peer, SLICE_LIT("eve"), &ops, &b);
	run(&b, 3);
	CU_EQ_INT(b.verdict, AUTH_UNKNOWN);
	bed_fini(&b);
}

static void nobody_listens_any_more(void)
{
	struct bed b;
	struct slice ir = SLICE_LIT("\0alice\0secret");

	CU_NEED(bed_init(&b));
	auth_req_free(auth_password(b.pool, &b.peer, SLICE_LIT("alice"),
				    SLICE_LIT("secret"), &ops, &b));
	auth_req_free(auth_sasl(b.pool, &b.peer, SLICE_LIT("PLAIN"), &ir, &ops,
				&b));
	auth_req_free(NULL);
	for (int i = 0; i < 1000 && auth_pool_pending(b.pool); i++)
		loop_turn(b.loop, 1000000);
	CU_EQ_INT(b.answers, 0);
	bed_fini(&b);
}

static void requests_keep_their_configuration(void)
{
	struct bed b;
	struct auth *next;

	CU_NEED(bed_init(&b));
	b.req = auth_password(b.pool, &b.peer, SLICE_LIT("alice"),
			      SLICE_LIT("secret"), &ops, &b);
	b.db.driver = "static";
	b.db.args = "password=new";
	CU_NEED(auth_new(&b.set, &next, &b.e) == 0);
	auth_pool_use(b.pool, next);
	auth_unref(next);
	run(&b, 1);
	CU_EQ_INT(b.verdict, AUTH_OK);
	b.req = auth_password(b.pool, &b.peer, SLICE_LIT("alice"),
			      SLICE_LIT("secret"), &ops, &b);
	run(&b, 2);
	CU_EQ_INT(b.verdict, AUTH_MISMATCH);
	bed_fini(&b);
}

static void too_many_questions_are_told_later(void)
{
	struct bed b;
	unsigned n = AUTH_PENDING_MAX + 5;

	CU_NEED(bed_init(&b));
	b.req = NULL;
	for (unsigned i = 0; i < n; i++)
		auth_password(b.pool, &b.peer, SLICE_LIT("alice"),
			      SLICE_LIT("secret"), &ops, &b);
	for (int i = 0; i < 100000 && b.answers < n; i++)
		loop_turn(b.loop, 1000000);
	CU_EQ_INT(b.answers, n);
	CU_EQ_INT(b.failures, 5);
	bed_fini(&b);
}

static void on_names(void *arg, const char *const *names, size_t n,
		     const struct err *e)
{
	struct bed *b = arg;

	b->answers++;
	b->n_names = n;
	b->names_code = e ? e->code : 0;
	if (n)
		snprintf(b->user, sizeof(b->user), "%s", names[0]);
}

static void names_come_in_one_call(void)
{
	struct bed b;

	CU_NEED(bed_init(&b));
	auth_iterate(b.pool, on_names, &b);
	run(&b, 1);
	CU_EQ_U64(b.n_names, 2);
	CU_EQ_INT(b.names_code, 0);
	CU_EQ_STR(b.user, "alice");
	b.fake.fail = -EACCES;
	b.fake.now += 2000000;
	auth_iterate(b.pool, on_names, &b);
	run(&b, 2);
	CU_EQ_U64(b.n_names, 0);
	CU_EQ_INT(b.names_code, -EACCES);
	bed_fini(&b);
}

CU_TESTS(CU_CASE(plain_at_once), CU_CASE(login_in_three_turns),
	 CU_CASE(failures_of_dialogs), CU_CASE(oversized_response_fails),
	 CU_CASE(lookups_and_passwords), CU_CASE(nobody_listens_any_more),
	 CU_CASE(requests_keep_their_configuration),
	 CU_CASE(too_many_questions_are_told_later),
	 CU_CASE(names_come_in_one_call))
