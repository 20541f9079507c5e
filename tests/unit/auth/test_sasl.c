#include "tests/lib/cu.h"

#include <stdlib.h>

#include "auth/sasl.h"
#include "node/base/buf.h"

struct bed {
	struct sasl_ctx *ctx;
	struct sasl *sasl;
	struct buf out;
	struct sasl_answer answer;
	struct err e;
};

static bool bed_init(struct bed *b, const char *mech)
{
	*b = (struct bed){.e = ERR_NONE};
	buf_init(&b->out, AUTH_SASL_MAX);
	return CU_OK(sasl_ctx_new("plain login", &b->ctx, &b->e), &b->e) &&
	       CU_OK(sasl_new(b->ctx, slice_str(mech), &b->sasl, &b->e), &b->e);
}

static void bed_fini(struct bed *b)
{
	sasl_free(b->sasl);
	sasl_ctx_free(b->ctx);
	buf_fini(&b->out);
}

static enum sasl_step step(struct bed *b, struct slice in)
{
	buf_reset(&b->out);
	return sasl_step(b->sasl, &in, &b->out, &b->answer, &b->e);
}

static enum sasl_step step_nothing(struct bed *b)
{
	buf_reset(&b->out);
	return sasl_step(b->sasl, NULL, &b->out, &b->answer, &b->e);
}

static void mechanisms_are_those_of_the_setting(void)
{
	struct sasl_ctx *c;
	struct err e = ERR_NONE;

	CU_NEED(CU_OK(sasl_ctx_new("LOGIN  plain Plain", &c, &e), &e));
	CU_EQ_STR(sasl_ctx_mechs(c), "LOGIN PLAIN");
	CU_EQ_STR(sasl_ctx_find(c, SLICE_LIT("pLaIn")), "PLAIN");
	CU_EQ_STR(sasl_ctx_find(c, SLICE_LIT("CRAM-MD5")), NULL);
	sasl_ctx_free(c);
	CU_NEED(CU_OK(sasl_ctx_new("plain", &c, &e), &e));
	CU_EQ_STR(sasl_ctx_find(c, SLICE_LIT("LOGIN")), NULL);
	sasl_ctx_free(c);
	CU_EQ_INT(sasl_ctx_new("plain digest-md5", &c, &e), E_CONFIG);
	CU_CLAIM(strstr(e.op, "'digest-md5'"), "%s", e.op);
	CU_EQ_INT(sasl_ctx_new(" ", &c, &e), E_CONFIG);
}

static void plain_with_initial_response(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "plain"));
	CU_EQ_STR(sasl_mech(b.sasl), "PLAIN");
	CU_EQ_INT(step(&b, SLICE_LIT("\0alice\0s3cret")), SASL_CHECK);
	CU_EQ_TEXT(b.answer.authcid, "alice");
	/* GNU SASL puts in the name where the client gave none. */
	CU_CLAIM(!b.answer.authzid.n || slice_is(b.answer.authzid, "alice"),
		 "%.*s", (int)b.answer.authzid.n, b.answer.authzid.p);
	CU_EQ_TEXT(b.answer.password, "s3cret");
	bed_fini(&b);
}

static void plain_asks_with_an_empty_challenge(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "PLAIN"));
	CU_EQ_INT(step_nothing(&b), SASL_CHALLENGE);
	CU_EQ_U64(b.out.n, 0);
	CU_EQ_INT(step(&b, SLICE_LIT("boss\0alice\0p\xc3\xa4ss")),
		  SASL_CHECK);
	CU_EQ_TEXT(b.answer.authcid, "alice");
	CU_EQ_TEXT(b.answer.authzid, "boss");
	CU_EQ_TEXT(b.answer.password, "p\xc3\xa4ss");
	/* The dialog is over. */
	CU_EQ_INT(step(&b, SLICE_LIT("x")), SASL_FAILED);
	bed_fini(&b);
}

static void login_asks_twice(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "LOGIN"));
	CU_EQ_INT(step_nothing(&b), SASL_CHALLENGE);
	CU_EQ_TEXT(buf_all(&b.out), "Username:");
	CU_EQ_INT(step(&b, SLICE_LIT("alice")), SASL_CHALLENGE);
	CU_EQ_TEXT(buf_all(&b.out), "Password:");
	CU_EQ_INT(step(&b, SLICE_LIT("s3cret")), SASL_CHECK);
	CU_EQ_TEXT(b.answer.authcid, "alice");
	CU_EQ_TEXT(b.answer.password, "s3cret");
	bed_fini(&b);
}

static void login_takes_the_name_at_once(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "login"));
	CU_EQ_INT(step(&b, SLICE_LIT("alice")), SASL_CHALLENGE);
	CU_EQ_TEXT(buf_all(&b.out), "Password:");
	CU_EQ_INT(step(&b, SLICE_LIT("s3cret")), SASL_CHECK);
	CU_EQ_TEXT(b.answer.authcid, "alice");
	bed_fini(&b);
}

static void bad_responses_fail(void)
{
	static const struct slice bad[] = {
		{(const uint8_t *)"", 0},
		{(const uint8_t *)"alice", 5},
		{(const uint8_t *)"\0alice", 6},
		{(const uint8_t *)"\0\0", 2},
		{(const uint8_t *)"\0\0secret", 8},
		{(const uint8_t *)"\0alice\0se\0cret", 14},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct bed b;

		CU_NEED(bed_init(&b, "PLAIN"));
		enum sasl_step r = step(&b, bad[i]);
		CU_CLAIM(r == SASL_FAILED, "%zu: %d %s", i, r, b.e.op);
		bed_fini(&b);
	}
}

static void login_without_a_name_fails(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "LOGIN"));
	CU_EQ_INT(step_nothing(&b), SASL_CHALLENGE);
	CU_EQ_INT(step(&b, SLICE_LIT("")), SASL_FAILED);
	bed_fini(&b);
}

static void limits_hold(void)
{
	struct slice big = slice_of(xzalloc(AUTH_SASL_MAX + 1),
				    AUTH_SASL_MAX + 1);
	struct bed b;

	CU_NEED(bed_init(&b, "PLAIN"));
	CU_EQ_INT(step(&b, big), SASL_FAILED);
	CU_EQ_STR(b.e.op, "response is too long");
	bed_fini(&b);

	memset((uint8_t *)(uintptr_t)big.p, 'a', big.n);
	memcpy((uint8_t *)(uintptr_t)big.p, "\0u\0", 3);
	CU_NEED(bed_init(&b, "PLAIN"));
	CU_EQ_INT(step(&b, slice_sub(big, 0, AUTH_PASSWORD_MAX + 4)),
		  SASL_FAILED);
	CU_EQ_STR(b.e.op, "password is too long");
	bed_fini(&b);
	free((void *)(uintptr_t)big.p);
}

static void unknown_mechanism_is_refused(void)
{
	struct bed b;
	struct sasl *s;

	CU_NEED(bed_init(&b, "PLAIN"));
	CU_EQ_INT(sasl_new(b.ctx, SLICE_LIT("GSSAPI"), &s, &b.e),
		  E_UNSUPPORTED);
	CU_EQ_STR(b.e.client, "Unsupported authentication mechanism.");
	bed_fini(&b);
}

CU_TESTS(CU_CASE(mechanisms_are_those_of_the_setting),
	 CU_CASE(plain_with_initial_response),
	 CU_CASE(plain_asks_with_an_empty_challenge),
	 CU_CASE(login_asks_twice), CU_CASE(login_takes_the_name_at_once),
	 CU_CASE(login_without_a_name_fails), CU_CASE(bad_responses_fail), CU_CASE(limits_hold),
	 CU_CASE(unknown_mechanism_is_refused))
