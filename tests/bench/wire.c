#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void wire_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

uint64_t wire_now_nsec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

unsigned wire_number(const char *text, unsigned max)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !v || v > max)
		wire_die("%s: not a number from 1 to %u", text, max);
	return (unsigned)v;
}

static int connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path))
		wire_die("%s: too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path));
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) < 0)
		wire_die("%s: %s", path, strerror(errno));
	return fd;
}

int wire_connect(const char *address)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	const char *colon = strrchr(address, ':');
	char host[64];
	int fd, on = 1;

	if (*address == '/')
		return connect_unix(address);
	if (!colon || (size_t)(colon - address) >= sizeof(host))
		wire_die("%s: not HOST:PORT and not /PATH", address);
	memcpy(host, address, (size_t)(colon - address));
	host[colon - address] = '\0';
	if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
		wire_die("%s: not an IPv4 address", host);
	a.sin_port = htons((uint16_t)wire_number(colon + 1, 65535));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (void *)&a, sizeof(a)) < 0)
		wire_die("%s: %s", address, strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* ---- lines ---------------------------------------------------------------- */

struct wire *wire_open(const char *address)
{
	struct wire *w = malloc(sizeof(*w));

	if (!w)
		wire_die("out of memory");
	w->ssl = NULL;
	w->have = w->at = 0;
	w->received = 0;
	w->fd = wire_connect(address);
	return w;
}

void wire_close(struct wire *w)
{
	if (w->ssl)
		SSL_free(w->ssl);
	close(w->fd);
	free(w);
}

void wire_write(struct wire *w, const void *p, size_t n)
{
	const char *at = p;
	ssize_t k;

	for (; n; at += k, n -= (size_t)k) {
		k = w->ssl ? SSL_write(w->ssl, at, (int)n)
			   : send(w->fd, at, n, MSG_NOSIGNAL);
		if (k <= 0)
			wire_die("write: %s", strerror(errno));
	}
}

static int format(char **out, const char *fmt, va_list ap)
{
	int n = vasprintf(out, fmt, ap);

	if (n < 0)
		wire_die("out of memory");
	return n;
}

void wire_printf(struct wire *w, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = format(&text, fmt, ap);
	va_end(ap);
	wire_write(w, text, (size_t)n);
	free(text);
}

/* False when the deadline passed first. */
static bool await(const struct wire *w, uint64_t deadline)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	uint64_t now;

	if (deadline == UINT64_MAX || (w->ssl && SSL_pending(w->ssl)))
		return true;
	now = wire_now_nsec();
	return now < deadline &&
	       poll(&p, 1, (int)((deadline - now) / 1000000 + 1)) > 0;
}

static bool fill(struct wire *w, uint64_t deadline)
{
	ssize_t n;

	if (w->at) {
		memmove(w->in, w->in + w->at, w->have - w->at);
		w->have -= w->at;
		w->at = 0;
	}
	if (w->have == sizeof(w->in) - 1)
		wire_die("line too long");
	if (!await(w, deadline))
		return false;
	n = w->ssl ? SSL_read(w->ssl, w->in + w->have,
			      (int)(sizeof(w->in) - 1 - w->have))
		   : recv(w->fd, w->in + w->have,
			  sizeof(w->in) - 1 - w->have, 0);
	if (n <= 0)
		wire_die("read: %s", n ? strerror(errno) : "closed by the server");
	w->have += (size_t)n;
	w->received += (size_t)n;
	return true;
}

char *wire_line_until(struct wire *w, size_t *n_out, uint64_t deadline)
{
	size_t seen = 0;

	for (;;) {
		char *line = w->in + w->at, *nl;
		size_t n = w->have - w->at;

		nl = n > seen ? memchr(line + seen, '\n', n - seen) : NULL;
		if (nl) {
			w->at += (size_t)(nl - line) + 1;
			if (nl > line && nl[-1] == '\r')
				nl--;
			*nl = '\0';
			if (n_out)
				*n_out = (size_t)(nl - line);
			return line;
		}
		seen = n;
		if (!fill(w, deadline))
			return NULL;
	}
}

char *wire_line(struct wire *w, size_t *n_out)
{
	return wire_line_until(w, n_out, UINT64_MAX);
}

/* ---- IMAP ----------------------------------------------------------------- */

static void skip(struct wire *w, size_t n)
{
	while (n) {
		size_t k = w->have - w->at;

		if (!k) {
			w->at = w->have = 0;
			fill(w, UINT64_MAX);
			continue;
		}
		k = k < n ? k : n;
		w->at += k;
		n -= k;
	}
}

/* "… {123}" at the end of a line: its number, else -1. */
static long literal_of(const char *line, size_t n)
{
	size_t i = n;
	char *end;
	long v;

	if (n < 3 || line[n - 1] != '}')
		return -1;
	for (i = n - 1; i && line[i - 1] >= '0' && line[i - 1] <= '9'; i--)
		;
	if (!i || line[i - 1] != '{' || i == n - 1)
		return -1;
	v = strtol(line + i, &end, 10);
	return *end == '}' ? v : -1;
}

long wire_tagged(struct wire *w, bool may_fail, const char *what)
{
	bool inside = false;
	long count = 0;

	for (;;) {
		size_t n;
		char *line = wire_line(w, &n);
		long literal = literal_of(line, n);

		if (!inside && !strncmp(line, "x ", 2)) {
			if (!strncmp(line, "x OK", 4))
				return count;
			if (may_fail)
				return -1;
			wire_die("%s: answered with %s", what, line);
		}
		count += !inside && *line == '*';
		inside = literal >= 0;
		if (inside)
			skip(w, (size_t)literal);
	}
}

long wire_cmd(struct wire *w, bool may_fail, const char *fmt, ...)
{
	char *text;
	va_list ap;
	long n;

	va_start(ap, fmt);
	format(&text, fmt, ap);
	va_end(ap);
	wire_printf(w, "x %s\r\n", text);
	n = wire_tagged(w, may_fail, text);
	free(text);
	return n;
}

struct wire *wire_imap(const char *address, const char *user,
		       const char *password)
{
	struct wire *w = wire_open(address);

	wire_line(w, NULL);
	wire_cmd(w, false, "LOGIN \"%s\" \"%s\"", user, password);
	return w;
}

/* ---- samples -------------------------------------------------------------- */

void samples_init(struct samples *s, size_t max)
{
	s->n = 0;
	s->max = max;
	s->nsec = calloc(max, sizeof(*s->nsec));
	if (!s->nsec)
		wire_die("out of memory");
}

void samples_add(struct samples *s, uint64_t nsec)
{
	if (s->n < s->max)
		s->nsec[s->n++] = nsec;
}

void samples_fini(struct samples *s)
{
	free(s->nsec);
	s->nsec = NULL;
	s->n = 0;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double samples_msec(struct samples *s, double share)
{
	if (!s->n)
		return 0;
	qsort(s->nsec, s->n, sizeof(*s->nsec), compare);
	return (double)s->nsec[(size_t)((double)(s->n - 1) * share)] / 1e6;
}
