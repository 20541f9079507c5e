/* Errors, options, names of users. */

#include "tools/adm_cli.h"
#include "node/base/buf.h"
#include "node/base/clock.h"
#include "node/base/fsio.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

static void say(const struct adm_cli *c, const char *word, const char *fmt,
		va_list ap)
{
	fflush(c->out);
	fprintf(stderr, "%s: %s", c->program, word);
	vfprintf(stderr, fmt, ap);
	putc('\n', stderr);
}

int adm_error(const struct adm_cli *c, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, "Error: ", fmt, ap);
	va_end(ap);
	return code;
}

void adm_warn(const struct adm_cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(c, "Warning: ", fmt, ap);
	va_end(ap);
}

void adm_debug(const struct adm_cli *c, const char *fmt, ...)
{
	va_list ap;

	if (!c->debug)
		return;
	va_start(ap, fmt);
	say(c, "Debug: ", fmt, ap);
	va_end(ap);
}

/* ---- commands and options --------------------------------------------------- */

/* Words of a name that argv begins with, 0 if it does not. */
static int words_in(const char *name, int argc, char *const *argv)
{
	int n = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (n == argc || strlen(argv[n]) != len ||
		    memcmp(name, argv[n], len) != 0)
			return 0;
		n++;
		name += len + (name[len] == ' ');
	}
	return n;
}

const struct adm_command *adm_find(int argc, char *const *argv, int *words_out)
{
	const struct adm_command *best = NULL;

	*words_out = 0;
	for (const struct adm_command *k = adm_commands; k->name; k++) {
		int n = words_in(k->name, argc, argv);

		if (n > *words_out) {
			*words_out = n;
			best = k;
		}
	}
	return best;
}

enum { OPT_JSON = 1000, OPT_HELP, OPTIONS_MAX = 8 };

int adm_getopt(struct adm_cli *c, int argc, char **argv, const char *opts,
	       const struct option *extra)
{
	struct option longs[OPTIONS_MAX + 3] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"help", no_argument, NULL, OPT_HELP},
	};
	size_t n = 2;
	int ch;

	for (; extra && extra->name && n < OPTIONS_MAX + 2; extra++)
		longs[n++] = *extra;
	while ((ch = getopt_long(argc, argv, opts, longs, NULL)) == OPT_JSON)
		c->formatter = "json";
	if (ch == OPT_HELP) {
		c->helped = true;
		return '?';
	}
	return ch;
}

int adm_usage(const struct adm_cli *c)
{
	adm_help_command(c, c->cmd, c->helped ? c->out : stderr);
	return c->helped ? EX_OK : EX_USAGE;
}

struct print *adm_print(const struct adm_cli *c, const char *fallback,
			const struct print_column *cols, size_t n,
			unsigned gap)
{
	return print_new(c->formatter ? c->formatter : fallback, cols, n, gap,
			 c->out);
}

/* ---- users -------------------------------------------------------------------- */

void adm_users_add(struct adm_users *u, const char *mask)
{
	GROW(u->masks, u->n, u->cap);
	u->masks[u->n++] = mask;
}

void adm_users_lines(struct adm_cli *c, struct adm_users *u, struct slice text)
{
	while (text.n) {
		ptrdiff_t nl = slice_chr(text, '\n');
		size_t n = nl < 0 ? text.n : (size_t)nl;
		struct slice line = slice_trim(slice_sub(text, 0, n));

		if (line.n)
			adm_users_add(u, arena_strndup(c->arena, line.p,
						       line.n));
		text = slice_sub(text, nl < 0 ? n : n + 1, text.n);
	}
}

int adm_users_option(struct adm_cli *c, struct adm_users *u, int ch,
		     const char *value)
{
	struct buf text;
	int r;

	if (ch == 'A') {
		adm_users_add(u, "*");
		return 0;
	}
	if (ch == 'u') {
		adm_users_add(u, value);
		return 0;
	}
	buf_init(&text, ADM_NAMES_FILE_MAX);
	r = fsio_read_file(fsio_system(NULL), value, ADM_NAMES_FILE_MAX, &text);
	if (r < 0)
		r = adm_error(c, EX_NOINPUT, "-F %s: %s", value, strerror(-r));
	else
		adm_users_lines(c, u, buf_all(&text));
	buf_fini(&text);
	return r > 0 ? r : 0;
}

bool adm_users_match(const struct adm_users *u, const char *name)
{
	for (size_t i = 0; i < u->n; i++)
		if (adm_mask_match(u->masks[i], name))
			return true;
	return false;
}

void adm_users_fini(struct adm_users *u)
{
	free(u->masks);
	*u = (struct adm_users){.n = 0};
}

bool adm_mask_match(const char *mask, const char *name)
{
	const char *star = NULL, *from = NULL;

	while (*name) {
		if (*mask == '*') {
			star = ++mask;
			from = name;
		} else if (*mask && (*mask == '?' || *mask == *name)) {
			mask++;
			name++;
		} else if (star) {
			mask = star;
			name = ++from;
		} else {
			return false;
		}
	}
	mask += strspn(mask, "*");
	return !*mask;
}

/* ---- addresses ------------------------------------------------------------------ */

bool adm_net_parse(const char *text, struct adm_net *out)
{
	char host[INET6_ADDRSTRLEN];
	size_t n = strcspn(text, "/");
	struct adm_net net = {.bits = 0};
	uint32_t bits;

	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	net.v6 = strchr(host, ':') != NULL;
	if (inet_pton(net.v6 ? AF_INET6 : AF_INET, host, net.addr) != 1)
		return false;
	net.bits = net.v6 ? 128 : 32;
	if (text[n]) {
		if (slice_u32(slice_str(text + n + 1), &bits) < 0 ||
		    bits > net.bits)
			return false;
		net.bits = bits;
	}
	*out = net;
	return true;
}

bool adm_net_holds(const struct adm_net *n, const char *ip)
{
	struct adm_net a;
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (!adm_net_parse(ip, &a) || a.v6 != n->v6)
		return false;
	return memcmp(a.addr, n->addr, whole) == 0 &&
	       (!rest || ((a.addr[whole] ^ n->addr[whole]) >> (8 - rest)) == 0);
}

/* ---- times ------------------------------------------------------------------------ */

uint64_t adm_now(void)
{
	return clock_real(clock_system());
}

const char *adm_age(struct arena *a, uint64_t usec)
{
	uint64_t s = usec / USEC_PER_SEC;

	return arena_printf(a, "%02llu:%02u:%02u",
			    (unsigned long long)(s / 3600),
			    (unsigned)(s / 60 % 60), (unsigned)(s % 60));
}

const char *adm_age_since(struct arena *a, uint64_t then, uint64_t now)
{
	if (!then)
		return "-";
	/* A clock set back gives 0, not centuries. */
	return adm_age(a, now > then ? now - then : 0);
}

const char *adm_time(struct arena *a, uint64_t usec)
{
	time_t t = (time_t)(usec / USEC_PER_SEC);
	struct tm tm;

	if (!usec || !localtime_r(&t, &tm))
		return "-";
	return arena_printf(a, "%04d-%02d-%02d %02d:%02d:%02d",
			    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			    tm.tm_hour, tm.tm_min, tm.tm_sec);
}
