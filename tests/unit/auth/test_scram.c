#include "tests/lib/cu.h"

#include "node/base/scram.h"

static const uint8_t tls_a[SCRAM_BINDING_SIZE] = {1, 2, 3};
static const uint8_t tls_b[SCRAM_BINDING_SIZE] = {1, 2, 4};

struct run {
	struct buf msg[5];	/* [i] was made by step i */
	int client, server;	/* last result of each end */
	struct err client_err, server_err;
};

/* Lets both ends talk until one fails or both are done.  flip: message in
 * which one character is changed, -1 = none. */
static void talk(struct run *t, const char *client_secret,
		 const char *server_secret, const uint8_t *server_tls, int flip)
{
	struct scram *c = NULL, *s = NULL;
	struct slice in = SLICE_NONE;

	*t = (struct run){.client_err = ERR_NONE};
	for (int i = 0; i < 5; i++)
		buf_init(&t->msg[i], SCRAM_MESSAGE_MAX);
	CU_OK(scram_start(SCRAM_CLIENT, slice_str(client_secret), tls_a, &c,
			  &t->client_err), &t->client_err);
	CU_OK(scram_start(SCRAM_SERVER, slice_str(server_secret), server_tls,
			  &s, &t->server_err), &t->server_err);
	for (int i = 0; c && s && i < 5; i++) {
		int r = i % 2 ? scram_step(s, in, &t->msg[i], &t->server_err)
			      : scram_step(c, in, &t->msg[i], &t->client_err);

		*(i % 2 ? &t->server : &t->client) = r;
		if (r < 0)
			break;
		in = buf_all(&t->msg[i]);
		/* Not the last character of base64: some of its bits say
		 * nothing. */
		if (flip == i && in.n > 5)
			t->msg[i].p[in.n - 5] =
				in.p[in.n - 5] == 'A' ? 'B' : 'A';
	}
	scram_free(c);
	scram_free(s);
}

static void end(struct run *t)
{
	for (int i = 0; i < 5; i++)
		buf_fini(&t->msg[i]);
}

static void one_secret_proves_both(void)
{
	struct run t;

	talk(&t, "s3cret phrase", "s3cret phrase", tls_a, -1);
	CU_EQ_INT(t.client, 1);
	CU_EQ_INT(t.server, 1);
	CU_CLAIM(slice_starts_ci(buf_all(&t.msg[0]), "p=tls-exporter,,n=pair,"),
		 "%.*s", (int)t.msg[0].n, t.msg[0].p);
	CU_CLAIM(memmem(t.msg[1].p, t.msg[1].n, ",i=4096", 7) != NULL, "%.*s",
		 (int)t.msg[1].n, t.msg[1].p);
	CU_CLAIM(slice_starts_ci(buf_all(&t.msg[3]), "v="), "%.*s",
		 (int)t.msg[3].n, t.msg[3].p);
	end(&t);
}

static void other_secret_is_refused_by_the_server(void)
{
	struct run t;

	talk(&t, "s3cret", "s3creT", tls_a, -1);
	CU_EQ_INT(t.server, E_AUTH);
	CU_EQ_INT(t.client, 0);
	CU_EQ_U64(t.msg[3].n, 0);
	CU_CLAIM(strstr(t.server_err.op, "doveadm_password"), "%s",
		 t.server_err.op);
	end(&t);
}

static void other_connection_is_refused(void)
{
	struct run t;

	talk(&t, "s3cret", "s3cret", tls_b, -1);
	CU_EQ_INT(t.server, E_AUTH);
	CU_EQ_INT(t.client, 0);
	end(&t);
}

/* A server that does not know the secret cannot make the last message. */
static void false_server_is_refused_by_the_client(void)
{
	struct run t;

	talk(&t, "s3cret", "s3cret", tls_a, 3);
	CU_EQ_INT(t.server, 1);
	CU_CLAIM(t.client < 0, "%d", t.client);
	end(&t);
}

static void changed_messages_are_refused(void)
{
	for (int i = 0; i < 3; i++) {
		struct run t;

		talk(&t, "s3cret", "s3cret", tls_a, i);
		CU_CLAIM(t.client < 0 || t.server < 0, "message %d: %d %d", i,
			 t.client, t.server);
		CU_CLAIM(t.client != 1, "message %d", i);
		end(&t);
	}
}

static void garbage_is_a_protocol_error(void)
{
	static const char *const bad[] = {"", "n,,n=pair,r=abc", "x",
					  "p=tls-unique,,n=pair,r=abc",
					  "p=tls-exporter,,n=pair",
					  "y,,n=pair,r=abc", "\x16\x03\x01"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = ERR_NONE;
		struct scram *s;
		struct buf out;
		int r;

		buf_init(&out, SCRAM_MESSAGE_MAX);
		CU_NEED(scram_start(SCRAM_SERVER, SLICE_LIT("x"), tls_a, &s,
				    &e) == 0);
		r = scram_step(s, slice_str(bad[i]), &out, &e);
		/* Never done; an empty message may ask for one. */
		CU_CLAIM(r < 0 || (r == 0 && !*bad[i]), "'%s': %d", bad[i], r);
		/* And after a failure never again. */
		if (r < 0)
			CU_EQ_INT(scram_step(s, SLICE_LIT("n,,n=a,r=b"), &out,
					     &e), E_PROTO);
		scram_free(s);
		buf_fini(&out);
	}
}

static void client_bounds_the_work(void)
{
	static const char *const bad[] = {",s=QUJD,i=2000000000",
					  ",s=QUJD,i=100001", ",s=QUJD,i=1",
					  ",s=QUJD,i=x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = ERR_NONE;
		struct scram *c;
		struct buf out, first;
		const uint8_t *nonce;

		buf_init(&out, SCRAM_MESSAGE_MAX);
		buf_init(&first, SCRAM_MESSAGE_MAX);
		CU_NEED(scram_start(SCRAM_CLIENT, SLICE_LIT("x"), tls_a, &c,
				    &e) == 0);
		CU_EQ_INT(scram_step(c, SLICE_NONE, &out, &e), 0);
		buf_char(&out, 0);
		nonce = (const uint8_t *)strstr((const char *)out.p, ",r=");
		CU_NEED(nonce != NULL);
		buf_printf(&first, "%sxyz%s", (const char *)nonce + 1, bad[i]);
		CU_EQ_INT(scram_step(c, buf_all(&first), &out, &e), E_PROTO);
		scram_free(c);
		buf_fini(&out);
		buf_fini(&first);
	}
}

static void oversized_message_is_refused(void)
{
	uint8_t big[SCRAM_MESSAGE_MAX + 1];
	struct err e = ERR_NONE;
	struct scram *s;
	struct buf out;

	memset(big, 'a', sizeof(big));
	buf_init(&out, SCRAM_MESSAGE_MAX);
	CU_NEED(scram_start(SCRAM_SERVER, SLICE_LIT("x"), tls_a, &s, &e) == 0);
	CU_EQ_INT(scram_step(s, slice_of(big, sizeof(big)), &out, &e),
		  E_PROTO);
	scram_free(s);
	buf_fini(&out);
}

static void unusable_secrets_are_named(void)
{
	struct err e = ERR_NONE;
	struct scram *s;

	CU_EQ_INT(scram_start(SCRAM_CLIENT, SLICE_LIT(""), tls_a, &s, &e),
		  E_CONFIG);
	CU_CLAIM(strstr(e.op, "doveadm_password"), "%s", e.op);
	CU_EQ_INT(scram_start(SCRAM_CLIENT, SLICE_LIT("a\0b"), tls_a, &s, &e),
		  E_CONFIG);
	CU_EQ_INT(scram_start(SCRAM_CLIENT, SLICE_LIT("\xff\xfe"), tls_a, &s,
			      &e), E_CONFIG);
}

CU_TESTS(CU_CASE(one_secret_proves_both),
	 CU_CASE(other_secret_is_refused_by_the_server),
	 CU_CASE(other_connection_is_refused),
	 CU_CASE(false_server_is_refused_by_the_client),
	 CU_CASE(changed_messages_are_refused),
	 CU_CASE(garbage_is_a_protocol_error), CU_CASE(client_bounds_the_work),
	 CU_CASE(oversized_message_is_refused),
	 CU_CASE(unusable_secrets_are_named))
