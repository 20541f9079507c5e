#include "tests/lib/cu.h"

#include "auth/auth_client.h"
#include "node/base/buf.h"

struct bed {
	struct auth_client c;
	struct auth_client_msg msg;
	struct buf out;
	struct slice in;	/* not yet read */
	struct err e;
};

static void bed_init(struct bed *b)
{
	*b = (struct bed){.e = ERR_NONE};
	auth_client_init(&b->c);
	buf_init(&b->out, 65536);
}

static void bed_fini(struct bed *b)
{
	auth_client_fini(&b->c);
	buf_fini(&b->out);
}

static int more(struct bed *b)
{
	size_t used = 0;
	int r = auth_client_read(&b->c, b->in, &used, &b->msg, &b->out, &b->e);

	b->in = slice_sub(b->in, used, b->in.n);
	return r;
}

static int say(struct bed *b, const char *text)
{
	b->in = slice_str(text);
	return more(b);
}

#define HELLO "VERSION\t1\t1\nCPID\t4711\n"

static void hello_is_what_postfix_waits_for(void)
{
	static const uint8_t cookie[16] = {0xab, [15] = 1};
	struct bed b;

	bed_init(&b);
	auth_client_hello("PLAIN LOGIN", 12, 34, cookie, &b.out);
	CU_EQ_TEXT(buf_all(&b.out),
		   "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\n"
		   "MECH\tLOGIN\tplaintext\nSPID\t12\nCUID\t34\n"
		   "COOKIE\tab000000000000000000000000000001\nDONE\n");
	bed_fini(&b);
}

static void postfix_logs_in_by_plain(void)
{
	struct bed b;

	bed_init(&b);
	/* As smtpd sends it: handshake and request in one go. */
	CU_EQ_INT(say(&b, HELLO "AUTH\t1\tPLAIN\tservice=smtp\tnologin\t"
		      "lip=192.0.2.1\trip=192.0.2.7\tsecured\trport=99\t"
		      "resp=AGFsaWNlAHMzY3JldA==\n"), 1);
	CU_EQ_INT(b.msg.what, AUTH_CLIENT_AUTH);
	CU_EQ_INT(b.msg.id, 1);
	CU_EQ_TEXT(b.msg.mech, "PLAIN");
	CU_EQ_STR(b.msg.peer.service, "smtp");
	CU_EQ_STR(b.msg.peer.rip, "192.0.2.7");
	CU_EQ_STR(b.msg.peer.lip, "192.0.2.1");
	CU_EQ_INT(b.msg.peer.rport, 99);
	CU_CLAIM(b.msg.peer.secured, "secured");
	CU_CLAIM(b.msg.has_response, "resp");
	CU_EQ_SLICE(b.msg.response, SLICE_LIT("\0alice\0s3cret"));
	CU_EQ_U64(b.in.n, 0);
	auth_client_ok(&b.c, 1, "alice", &b.out);
	CU_EQ_TEXT(buf_all(&b.out), "OK\t1\tuser=alice\n");
	CU_EQ_U64(b.c.n, 0);
	bed_fini(&b);
}

static void login_goes_to_and_fro(void)
{
	struct bed b;

	bed_init(&b);
	CU_EQ_INT(say(&b, HELLO "AUTH\t7\tLOGIN\tservice=smtp\n"), 1);
	CU_CLAIM(!b.msg.has_response, "resp");
	auth_client_challenge(&b.c, 7, SLICE_LIT("Username:"), &b.out);
	CU_EQ_TEXT(buf_all(&b.out), "CONT\t7\tVXNlcm5hbWU6\n");
	CU_EQ_INT(say(&b, "CONT\t7\tYWxpY2U=\n"), 1);
	CU_EQ_INT(b.msg.what, AUTH_CLIENT_CONT);
	CU_EQ_TEXT(b.msg.response, "alice");
	buf_reset(&b.out);
	auth_client_fail(&b.c, 7, "alice", AUTH_MISMATCH, "", &b.out);
	CU_EQ_TEXT(buf_all(&b.out), "FAIL\t7\tuser=alice\n");
	bed_fini(&b);
}

static void failures_say_what_to_do(void)
{
	struct bed b;

	bed_init(&b);
	say(&b, HELLO "AUTH\t1\tPLAIN\tservice=smtp\n");
	say(&b, "AUTH\t2\tPLAIN\tservice=smtp\n");
	auth_client_fail(&b.c, 1, "", AUTH_TEMPFAIL, "", &b.out);
	auth_client_fail(&b.c, 2, "a", AUTH_DISABLED, "Moved\taway\n", &b.out);
	CU_EQ_TEXT(buf_all(&b.out),
		   "FAIL\t1\tcode=temp_fail\ttemp\n"
		   "FAIL\t2\tuser=a\treason=Moved\001taway\001n"
		   "\tcode=user_disabled\tuser_disabled\n");
	bed_fini(&b);
}

static void lines_come_in_pieces(void)
{
	static const char text[] = HELLO "AUTH\t1\tPLAIN\tservice=smtp\t"
				   "resp==\nAUTH\t2\tPLAIN\tservice=x\n";
	unsigned got = 0;
	struct bed b;
	size_t from = 0;

	bed_init(&b);
	for (size_t n = 1; n < sizeof(text); n++) {
		size_t used;

		int r = auth_client_read(&b.c, slice_of(text + from, n - from),
					 &used, &b.msg, &b.out, &b.e);
		CU_CLAIM(r >= 0, "%s", b.e.op);
		got += r == 1;
		from += used;
	}
	/* "=" is no base64: answered without the caller. */
	CU_EQ_INT(got, 1);
	CU_EQ_U64(from, sizeof(text) - 1);
	CU_EQ_TEXT(buf_all(&b.out), "FAIL\t1\treason=Invalid base64 data in "
		   "initial response\n");
	bed_fini(&b);
}

static void empty_response_is_a_response(void)
{
	struct bed b;

	bed_init(&b);
	CU_EQ_INT(say(&b, HELLO "AUTH\t1\tPLAIN\tservice=smtp\tresp=\n"), 1);
	CU_CLAIM(b.msg.has_response, "resp");
	CU_EQ_U64(b.msg.response.n, 0);
	auth_client_challenge(&b.c, 1, SLICE_NONE, &b.out);
	CU_EQ_TEXT(buf_all(&b.out), "CONT\t1\t\n");
	CU_EQ_INT(say(&b, "CONT\t1\t\n"), 1);
	CU_EQ_U64(b.msg.response.n, 0);
	bed_fini(&b);
}

static void escapes_are_undone(void)
{
	struct bed b;

	bed_init(&b);
	CU_EQ_INT(say(&b, HELLO "AUTH\t1\tPLAIN\tservice=a\001tb\0011\001x\n"),
		  1);
	CU_EQ_STR(b.msg.peer.service, "a\tb\001x");
	bed_fini(&b);
}

static void protocol_errors_close(void)
{
	static const char *const bad[] = {
		"VERSION\t2\t0\n",
		"VERSION\t1\t1\nVERSION\t1\t1\n",
		"CPID\t1\n",
		"AUTH\t1\tPLAIN\tservice=x\n",
		"VERSION\t1\t1\nAUTH\t1\tPLAIN\tservice=x\n",
		"VERSION\t1\t1\nCPID\tx\n",
		"VERSION\t1\t1\nCPID\t0\n",
		HELLO "CPID\t4711\n",
		HELLO "\n",
		HELLO "auth\t1\tPLAIN\tservice=x\n",
		HELLO "AUTH\n",
		HELLO "AUTH\t1\n",
		HELLO "AUTH\t-1\tPLAIN\tservice=x\n",
		HELLO "AUTH\t4294967296\tPLAIN\tservice=x\n",
		HELLO "AUTH\t1\tPLAIN\n",
		HELLO "AUTH\t1\tPLAIN\tservice=\n",
		HELLO "AUTH\t1\tPLAIN\tservice=x\001" "0\n",
		HELLO "CONT\t1\n",
		HELLO "CONT\tx\ty\n",
		HELLO "CANCEL\n",
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct bed b;
		int r;

		bed_init(&b);
		r = say(&b, bad[i]);
		CU_CLAIM(r == E_PROTO, "%zu: %d", i, r);
		CU_CLAIM(b.e.op[0], "%zu", i);
		/* For good. */
		CU_EQ_INT(say(&b, HELLO), E_PROTO);
		bed_fini(&b);
	}
}

static void ids_are_watched(void)
{
	struct bed b;

	bed_init(&b);
	CU_EQ_INT(say(&b, HELLO "AUTH\t1\tPLAIN\tservice=x\n"), 1);
	CU_EQ_INT(say(&b, "AUTH\t1\tPLAIN\tservice=x\n"), E_PROTO);
	bed_fini(&b);

	bed_init(&b);
	CU_EQ_INT(say(&b, HELLO "AUTH\t1\tPLAIN\tservice=x\n"), 1);
	/* We did not ask. */
	CU_EQ_INT(say(&b, "CONT\t1\t\n"), E_PROTO);
	bed_fini(&b);

	bed_init(&b);
	/* We no longer know. */
	CU_EQ_INT(say(&b, HELLO "CONT\t1\t\n"), 0);
	CU_EQ_TEXT(buf_all(&b.out),
		   "FAIL\t1\treason=Authentication request timed out\n");
	CU_EQ_INT(say(&b, "CANCEL\t1\n"), 0);
	CU_EQ_INT(say(&b, "AUTH\t1\tPLAIN\tservice=x\n"), 1);
	CU_EQ_INT(say(&b, "CANCEL\t1\n"), 1);
	CU_EQ_INT(b.msg.what, AUTH_CLIENT_CANCEL);
	CU_EQ_U64(b.c.n, 0);
	/* The id is free again. */
	CU_EQ_INT(say(&b, "AUTH\t1\tPLAIN\tservice=x\n"), 1);
	auth_client_challenge(&b.c, 1, SLICE_NONE, &b.out);
	buf_reset(&b.out);
	CU_EQ_INT(say(&b, "CONT\t1\t!\n"), 1);
	CU_EQ_INT(b.msg.what, AUTH_CLIENT_CANCEL);
	CU_EQ_TEXT(buf_all(&b.out), "FAIL\t1\treason=Invalid base64 data in "
		   "continued response\n");
	CU_EQ_U64(b.c.n, 0);
	bed_fini(&b);
}

static void limits_hold(void)
{
	struct bed b;
	struct buf line;

	bed_init(&b);
	buf_init(&line, 1u << 20);
	CU_EQ_INT(say(&b, HELLO), 0);
	for (unsigned i = 0; i < AUTH_CLIENT_PENDING_MAX + 1; i++) {
		buf_reset(&line);
		buf_printf(&line, "AUTH\t%u\tPLAIN\tservice=x\n", i);
		b.in = buf_all(&line);
		CU_EQ_INT(more(&b), i < AUTH_CLIENT_PENDING_MAX);
	}
	CU_EQ_TEXT(buf_all(&b.out), "FAIL\t64\treason=Too many authentications "
		   "at once\tcode=temp_fail\ttemp\n");
	buf_reset(&line);
	buf_str(&line, "AUTH\t99\tPLAIN\tservice=x");
	for (unsigned i = 0; i < AUTH_CLIENT_PARAMS_MAX; i++)
		buf_str(&line, "\ty");
	buf_char(&line, '\n');
	b.in = buf_all(&line);
	CU_EQ_INT(more(&b), E_PROTO);
	bed_fini(&b);

	bed_init(&b);
	buf_reset(&line);
	buf_fill(&line, 'a', AUTH_CLIENT_LINE_MAX - 1);
	b.in = buf_all(&line);
	CU_EQ_INT(more(&b), 0);
	buf_char(&line, 'a');
	b.in = buf_all(&line);
	CU_EQ_INT(more(&b), E_LIMIT);
	bed_fini(&b);
	buf_fini(&line);
}

CU_TESTS(CU_CASE(hello_is_what_postfix_waits_for),
	 CU_CASE(postfix_logs_in_by_plain), CU_CASE(login_goes_to_and_fro),
	 CU_CASE(failures_say_what_to_do), CU_CASE(lines_come_in_pieces),
	 CU_CASE(empty_response_is_a_response), CU_CASE(escapes_are_undone),
	 CU_CASE(protocol_errors_close), CU_CASE(ids_are_watched),
	 CU_CASE(limits_hold))
