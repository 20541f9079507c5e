#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/loop.h"
#include "node/base/stream.h"
#include "node/base/tls.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* OpenSSL's own sizes differ under a sanitizer. */
#if defined(__SANITIZE_ADDRESS__)
#define MEASURES_MEMORY 0
#else
#define MEASURES_MEMORY 1
#endif
#define IDLE_SESSION_MAX (20u * 1024)

struct end {
	struct stream *s;
	struct buf got;
	unsigned secured, closed;
	struct err why;
};

struct pair {
	struct loop *l;
	struct buf cert, key;
	struct tls_ctx *server_ctx, *client_ctx;
	struct end server, client;
};

static void on_readable(void *arg)
{
	struct end *t = arg;
	struct slice in = stream_in(t->s);

	buf_slice(&t->got, in);
	stream_consume(t->s, in.n);
}

static void on_closed(void *arg, const struct err *e)
{
	struct end *t = arg;

	t->closed++;
	t->why = *e;
}

static void on_secured(void *arg)
{
	((struct end *)arg)->secured++;
}

static const struct stream_ops ops = {on_readable, NULL, on_closed, on_secured};

static void make_certs(struct pair *p)
{
	struct err e = ERR_NONE;

	buf_init(&p->cert, 65536);
	buf_init(&p->key, 65536);
	CU_OK(tls_self_signed("node.example", 30, &p->cert, &p->key, &e), &e);
}

static struct tls_ctx *context(struct tls_opts o)
{
	struct tls_ctx *c = NULL;
	struct err e = ERR_NONE;

	CU_OK(tls_ctx_new(&o, &c, &e), &e);
	return c;
}

static void connect_ends(struct pair *p)
{
	int fd[2];

	CU_EQ_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	buf_init(&p->server.got, 4 << 20);
	buf_init(&p->client.got, 4 << 20);
	p->server.s = stream_new(p->l, fd[0], 65536, 4 << 20, &ops, &p->server);
	p->client.s = stream_new(p->l, fd[1], 65536, 4 << 20, &ops, &p->client);
}

static void setup(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	CU_EQ_INT(loop_new(&p->l), 0);
	make_certs(p);
	connect_ends(p);
}

static void default_contexts(struct pair *p)
{
	p->server_ctx = context((struct tls_opts){.cert = buf_all(&p->cert),
						  .key = buf_all(&p->key)});
	p->client_ctx = context((struct tls_opts){.ca = buf_all(&p->cert),
						  .verify_peer = true});
}

static void teardown(struct pair *p)
{
	stream_free(p->server.s);
	stream_free(p->client.s);
	tls_ctx_unref(p->server_ctx);
	tls_ctx_unref(p->client_ctx);
	buf_fini(&p->server.got);
	buf_fini(&p->client.got);
	buf_fini(&p->cert);
	buf_fini(&p->key);
	loop_free(p->l);
}

static void settle(struct pair *p)
{
	for (int i = 0; i < 10000 && loop_turn(p->l, 0) > 0; i++)
		;
}

static void start(struct pair *p, const char *hostname)
{
	struct err e = ERR_NONE;

	CU_OK(stream_start_tls(p->server.s, p->server_ctx, true, NULL, &e), &e);
	CU_OK(stream_start_tls(p->client.s, p->client_ctx, false, hostname, &e),
	      &e);
}

static void say(struct end *t, const char *text)
{
	buf_str(stream_out(t->s), text);
	stream_flush(t->s);
}

static void a_verified_session_carries_bytes_both_ways(void)
{
	struct pair p;
	uint8_t a[32], b[32];

	setup(&p);
	default_contexts(&p);
	start(&p, "node.example");
	/* Said before the handshake ends: waits for it. */
	say(&p.client, "early ");
	settle(&p);
	CU_EQ_INT(p.server.secured, 1);
	CU_EQ_INT(p.client.secured, 1);
	CU_ASSERT(stream_secured(p.server.s));
	CU_EQ_STR(stream_tls_text(p.client.s),
		  "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)");
	say(&p.client, "late");
	say(&p.server, "answer");
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.server.got), "early late");
	CU_EQ_TEXT(buf_all(&p.client.got), "answer");
	CU_EQ_INT(stream_tls_exporter(p.server.s, a), 0);
	CU_EQ_INT(stream_tls_exporter(p.client.s, b), 0);
	CU_EQ_MEM(a, b, 32);
	CU_EQ_INT(stream_tls_peer(p.client.s, a), 0);
	CU_EQ_INT(stream_tls_peer(p.server.s, b), -ENOENT);
	CU_EQ_INT(stream_take_fd(p.server.s, &p.server.got), -EBUSY);
	CU_EQ_INT(stream_start_tls(p.server.s, p.server_ctx, true, NULL, NULL),
		  -EALREADY);
	stream_free(p.server.s);
	p.server.s = NULL;
	settle(&p);
	CU_EQ_INT(p.client.closed, 1);
	CU_EQ_INT(p.client.why.code, 0);
	teardown(&p);
}

static void megabytes_pass_through_small_buffers(void)
{
	struct pair p;
	bool same = true;
	size_t n = 3 << 20;

	setup(&p);
	default_contexts(&p);
	start(&p, NULL);
	for (size_t i = 0; i < n; i++)
		buf_char(stream_out(p.server.s), (uint8_t)(i * 31 >> 3));
	stream_flush(p.server.s);
	settle(&p);
	CU_EQ_INT(p.client.got.n, n);
	for (size_t i = 0; i < p.client.got.n && same; i++)
		same = p.client.got.p[i] == (uint8_t)(i * 31 >> 3);
	CU_ASSERT(same);
	teardown(&p);
}

static void what_was_pipelined_before_starttls_is_dropped(void)
{
	struct pair p;
	struct err e = ERR_NONE;

	setup(&p);
	default_contexts(&p);
	/* The server has not read the injected command when it answers. */
	stream_pause(p.server.s);
	say(&p.client, "a STARTTLS");
	settle(&p);
	stream_resume(p.server.s);
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.server.got), "a STARTTLS");
	say(&p.server, "a OK begin");
	CU_OK(stream_start_tls(p.server.s, p.server_ctx, true, NULL, &e), &e);
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.client.got), "a OK begin");
	CU_OK(stream_start_tls(p.client.s, p.client_ctx, false, NULL, &e), &e);
	settle(&p);
	CU_ASSERT(stream_secured(p.server.s));
	say(&p.client, "b NOOP");
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.server.got), "a STARTTLSb NOOP");
	teardown(&p);
}

static void injected(void *arg)
{
	/* Consumes the first command only, as a line parser would. */
	struct end *t = arg;
	struct slice in = stream_in(t->s);

	if (in.n >= 11 && t->got.n == 0) {
		buf_slice(&t->got, slice_sub(in, 0, 11));
		stream_consume(t->s, 11);
	} else if (stream_secured(t->s)) {
		on_readable(arg);
	}
}

static void an_injected_command_is_never_seen(void)
{
	static const struct stream_ops one = {injected, NULL, on_closed, on_secured};
	struct pair p;
	struct err e = ERR_NONE;

	setup(&p);
	default_contexts(&p);
	stream_set_ops(p.server.s, &one, &p.server);
	say(&p.client, "a STARTTLS\n" "b DELETE x\n");
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.server.got), "a STARTTLS\n");
	CU_EQ_TEXT(stream_in(p.server.s), "b DELETE x\n");
	start(&p, NULL);
	settle(&p);
	CU_OK(stream_secured(p.server.s) ? 0 : -1, &e);
	say(&p.client, "c NOOP\n");
	settle(&p);
	CU_EQ_TEXT(buf_all(&p.server.got), "a STARTTLS\nc NOOP\n");
	teardown(&p);
}

static void a_wrong_name_or_an_unknown_ca_is_refused(void)
{
	for (int k = 0; k < 2; k++) {
		struct pair p, other;

		setup(&p);
		default_contexts(&p);
		memset(&other, 0, sizeof(other));
		make_certs(&other);
		if (k) {
			tls_ctx_unref(p.client_ctx);
			p.client_ctx = context((struct tls_opts){
				.ca = buf_all(&other.cert), .verify_peer = true});
		}
		start(&p, k ? "node.example" : "else.example");
		settle(&p);
		CU_EQ_INT(p.client.secured, 0);
		CU_EQ_INT(p.client.closed, 1);
		CU_EQ_INT(p.client.why.code, E_AUTH);
		CU_CLAIM(p.server.closed == 1 && p.server.why.code == E_PROTO,
			 "%d: %s", p.server.why.code, p.server.why.op);
		buf_fini(&other.cert);
		buf_fini(&other.key);
		teardown(&p);
	}
}

static void a_server_can_ask_for_a_certificate_and_take_any(void)
{
	struct pair p;
	uint8_t a[32], b[32];

	setup(&p);
	p.server_ctx = context((struct tls_opts){.cert = buf_all(&p.cert),
						 .key = buf_all(&p.key),
						 .request_peer = true,
						 .min_protocol = "TLSv1.3"});
	p.client_ctx = context((struct tls_opts){.cert = buf_all(&p.cert),
						 .key = buf_all(&p.key),
						 .min_protocol = "LATEST"});
	start(&p, NULL);
	settle(&p);
	CU_EQ_INT(p.server.secured, 1);
	CU_EQ_INT(stream_tls_peer(p.server.s, a), 0);
	CU_EQ_INT(stream_tls_peer(p.client.s, b), 0);
	CU_EQ_MEM(a, b, 32);
	teardown(&p);
}

static void a_server_that_verifies_wants_a_certificate(void)
{
	struct pair p;

	setup(&p);
	p.server_ctx = context((struct tls_opts){.cert = buf_all(&p.cert),
						 .key = buf_all(&p.key),
						 .ca = buf_all(&p.cert),
						 .verify_peer = true});
	p.client_ctx = context((struct tls_opts){0});
	start(&p, NULL);
	settle(&p);
	CU_EQ_INT(p.server.secured, 0);
	CU_EQ_INT(p.server.closed, 1);
	CU_EQ_INT(p.client.closed, 1);
	teardown(&p);
}

static void garbage_instead_of_a_handshake_is_an_error(void)
{
	struct pair p;
	struct err e = ERR_NONE;

	setup(&p);
	default_contexts(&p);
	CU_OK(stream_start_tls(p.server.s, p.server_ctx, true, NULL, &e), &e);
	say(&p.client, "GET / HTTP/1.0\r\n\r\n");
	settle(&p);
	CU_EQ_INT(p.server.closed, 1);
	CU_EQ_INT(p.server.why.code, E_PROTO);
	teardown(&p);
}

static void unusable_settings_are_named(void)
{
	struct pair p;
	struct slice junk = SLICE_LIT("junk");
	struct buf cert2, key2;

	memset(&p, 0, sizeof(p));
	make_certs(&p);
	buf_init(&cert2, 65536);
	buf_init(&key2, 65536);
	CU_EQ_INT(tls_self_signed("127.0.0.1", 1, &cert2, &key2, NULL), 0);
	const struct {
		struct tls_opts o;
		const char *word;
	} t[] = {
		{{.cert = junk, .key = buf_all(&p.key)}, "certificate"},
		{{.cert = buf_all(&p.cert), .key = junk}, "private key"},
		{{.cert = buf_all(&p.cert), .key = buf_all(&key2)}, "belong"},
		{{.cert = buf_all(&p.cert)}, "needs its key"},
		{{.ca = junk}, "CA"},
		{{.dh = junk}, "DH"},
		{{.min_protocol = "SSLv2"}, "SSLv2"},
		{{.cipher_list = "NO-SUCH"}, "cipher list"},
		{{.cipher_suites = "NO-SUCH"}, "cipher suites"},
		{{.curve_list = "NO-SUCH"}, "curve"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct tls_ctx *c = NULL;
		struct err e = ERR_NONE;
		int r = tls_ctx_new(&t[i].o, &c, &e);

		CU_CLAIM(r == E_CONFIG && !c, "row %zu gives %d", i, r);
		CU_CLAIM(strstr(e.op, t[i].word), "row %zu says: %s", i, e.op);
		tls_ctx_unref(c);
	}
	CU_EQ_INT(tls_self_signed("a,DNS:b", 1, &cert2, &key2, NULL), E_INVALID);
	CU_EQ_INT(tls_self_signed("", 1, &cert2, &key2, NULL), E_INVALID);
	buf_fini(&cert2);
	buf_fini(&key2);
	buf_fini(&p.cert);
	buf_fini(&p.key);
}

/* Both ends of a number of sessions live here; what one costs is half of what
 * a pair does. */
static void an_idle_session_stays_small(void)
{
	enum { N = 50 };
	static struct pair all[N];
	struct pair first;
	size_t before, after;

	setup(&first);
	default_contexts(&first);
	start(&first, NULL);
	settle(&first);
	before = mallinfo2().uordblks;
	for (int i = 0; i < N; i++) {
		memset(&all[i], 0, sizeof(all[i]));
		all[i].l = first.l;
		all[i].server_ctx = first.server_ctx;
		all[i].client_ctx = first.client_ctx;
		connect_ends(&all[i]);
		start(&all[i], NULL);
		say(&all[i].client, "a NOOP\r\n");
		say(&all[i].server, "a OK\r\n");
		settle(&all[i]);
		CU_ASSERT(stream_secured(all[i].server.s));
		buf_fini(&all[i].server.got);
		buf_fini(&all[i].client.got);
	}
	after = mallinfo2().uordblks;
	printf("an idle session takes %zu bytes\n", (after - before) / (2 * N));
	if (MEASURES_MEMORY)
		CU_CLAIM((after - before) / (2 * N) <= IDLE_SESSION_MAX,
			 "%zu bytes", (after - before) / (2 * N));
	for (int i = 0; i < N; i++) {
		stream_free(all[i].server.s);
		stream_free(all[i].client.s);
	}
	teardown(&first);
}

CU_TESTS(CU_CASE(a_verified_session_carries_bytes_both_ways),
	 CU_CASE(megabytes_pass_through_small_buffers),
	 CU_CASE(what_was_pipelined_before_starttls_is_dropped),
	 CU_CASE(an_injected_command_is_never_seen),
	 CU_CASE(a_wrong_name_or_an_unknown_ca_is_refused),
	 CU_CASE(a_server_can_ask_for_a_certificate_and_take_any),
	 CU_CASE(a_server_that_verifies_wants_a_certificate),
	 CU_CASE(garbage_instead_of_a_handshake_is_an_error),
	 CU_CASE(unusable_settings_are_named), CU_CASE(an_idle_session_stays_small))
