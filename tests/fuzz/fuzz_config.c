#include <netdb.h>
#include <stdlib.h>

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/err.h"
#include "node/config/conf.h"
#include "node/config/conf_dump.h"
#include "node/config/conf_vars.h"

/*
 * The first byte chooses: a configuration file, a text with %variables, or
 * the bytes a child process gets.  What was read, printed and read again is
 * the same; what was encoded and decoded too.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No names are looked up from here. */
int getaddrinfo(const char *restrict node, const char *restrict service,
		const struct addrinfo *restrict hints,
		struct addrinfo **restrict res)
{
	(void)node;
	(void)service;
	(void)hints;
	(void)res;
	return EAI_NONAME;
}

static void need(bool ok)
{
	if (!ok)
		abort();
}

/* Files are kept unread, includes find nothing. */
static struct conf *load(struct slice text)
{
	static const struct conf_opts o = {
		.flags = CONF_NO_FILES | CONF_NO_TREATMENT,
		.root = "/nonexistent/duet-fuzz",
	};
	struct conf *c = NULL;
	struct err e = ERR_NONE;

	if (conf_load_text("/fuzz.conf", text, &o, &c, &e) < 0)
		return NULL;
	return c;
}

static void same(const struct conf *a, const struct conf *b)
{
	struct arena *arena = arena_new(1024);
	struct conf_change *v;

	need(conf_diff(a, b, arena, &v) == 0);
	arena_free(arena);
}

static void blocks(const struct conf *c)
{
	struct arena *a = arena_new(1024);
	struct conf_ctx ctx = {.protocol = "imap",
			       .local_ip = "10.0.0.1",
			       .remote_ip = "::1",
			       .local_name = "mail.example.com"};
	struct conf_namespace *ns;
	struct conf_db *db;
	struct conf_tls_name *names;
	struct conf_replica r;
	size_t n;

	conf_namespaces(c, &ctx, a, &ns, &n);
	need(n > 0);
	conf_dbs(c, "passdb", a, &db, &n);
	conf_dbs(c, "userdb", a, &db, &n);
	conf_tls_names(c, a, &names);
	conf_replica(c, &ctx, a, &r);
	arena_free(a);
}

static void one_file(struct slice text)
{
	static const struct conf_dump o = {.what = CONF_DUMP_SET,
					   .passwords = true};
	struct conf *a = load(text), *b = NULL;
	struct err e = ERR_NONE;
	struct buf one, two;

	if (!a)
		return;
	buf_init(&one, CONF_TOTAL_MAX);
	buf_init(&two, CONF_TOTAL_MAX);
	conf_dump(a, &o, &one);
	b = load(buf_all(&one));
	need(b != NULL);
	conf_dump(b, &o, &two);
	need(slice_eq(buf_all(&one), buf_all(&two)));
	same(a, b);
	conf_unref(b);
	buf_reset(&one);
	need(conf_encode(a, CONF_SECRET_ALL, &one, &e) == 0);
	need(conf_decode(buf_all(&one), &b, &e) == 0);
	same(a, b);
	blocks(a);
	(void)conf_check(a, &e);
	conf_unref(a);
	conf_unref(b);
	buf_fini(&one);
	buf_fini(&two);
}

static void variables(struct slice text)
{
	struct conf_vars v = {.user = "alice@example.com",
			      .home = "/home/alice",
			      .service = "imap",
			      .uid = 1000,
			      .hostname = "h"};
	struct arena *a = arena_new(1024);
	char *s = arena_strndup(a, text.p, text.n), *path = NULL;
	struct err e = ERR_NONE;
	struct buf out;

	buf_init(&out, CONF_VARS_MAX);
	(void)conf_expand(s, &v, 0, &out, &e);
	buf_fini(&out);
	if (conf_expand_path(s, &v, a, &path, &e) == 0) {
		need(path[0] == '/');
		need(!strstr(path, "/../") && !strstr(path, "//"));
	}
	(void)conf_vars_check(s, &e);
	(void)conf_vars_used(s, 'h', "home");
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct conf *c = NULL;
	struct err e = ERR_NONE;

	if (size == 0 || size > 20000)
		return 0;
	in = slice_sub(in, 1, in.n);
	switch (data[0]) {
	case 'v':
		variables(in);
		break;
	case 'b':
		if (conf_decode(in, &c, &e) == 0)
			blocks(c);
		conf_unref(c);
		break;
	default:
		one_file(in);
	}
	return 0;
}
