/*
 * bench_lmtp: deliveries a second and their latency over N connections.
 *
 * Each connection is one MTA: MAIL, RCPT and DATA in one packet, the mail
 * after 354, the next one after its reply.  One process, one epoll; a mail is
 * a short head of its own and one body shared by all, so that nothing is
 * allocated or copied on the way.  Every mail has its own Message-ID.
 *
 * Latency: from MAIL FROM to the reply of the recipient.
 */
#include "tests/bench/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define CONN_MAX 4096u
#define HEAD_MAX 512

/* Replies to come, in this order; a mail takes four. */
enum stage { AT_GREETING, AT_LHLO, AT_MAIL, AT_RCPT, AT_DATA, AT_REPLY };

struct conn {
	int fd;
	enum stage stage;
	uint64_t began;
	bool partial;			/* output did not go out whole */
	size_t out_at;			/* of head and body together */
	size_t head_n;
	char head[HEAD_MAX];
	size_t in_n;
	char in[1024];
};

struct bench {
	const char *address, *user, *domain;
	unsigned n_conn, n_mails, size, n_users;
	unsigned begun, done;
	unsigned seconds;		/* no new mail after that, 0 = no limit */
	uint64_t start, until;
	bool cut_is_end;		/* the server is killed under us: report */
	uint64_t stamp;			/* makes Message-IDs of runs differ */
	int epoll;
	char *body;
	size_t body_n;
	struct samples lat;
	struct conn *conns;
};

/* Lines of 72 letters; the end of the mail is part of it. */
static void make_body(struct bench *b)
{
	static const char line[] =
	    "The quick brown fox jumps over the lazy dog while we count each letter\r\n";
	size_t n = 0;

	b->body = malloc(b->size + sizeof(line) + 8);
	if (!b->body)
		wire_die("out of memory");
	while (n + sizeof(line) - 1 <= b->size) {
		memcpy(b->body + n, line, sizeof(line) - 1);
		n += sizeof(line) - 1;
	}
	memcpy(b->body + n, ".\r\n", 3);
	b->body_n = n + 3;
}

static void report(struct bench *b)
{
	double seconds = (double)(wire_now_nsec() - b->start) / 1e9;

	printf("lmtp connections=%u mails=%u bytes=%u users=%u "
	       "per_second=%.1f median_ms=%.3f p99_ms=%.3f max_ms=%.3f\n",
	       b->n_conn, b->done, b->size, b->n_users, b->done / seconds,
	       samples_msec(&b->lat, 0.5), samples_msec(&b->lat, 0.99),
	       samples_msec(&b->lat, 1));
}

/* The server went away. */
static void cut(struct bench *b, const char *what, int error)
{
	if (!b->cut_is_end)
		wire_die("%s: %s", what, strerror(error));
	report(b);
	exit(0);
}

/* Goes on with head and body from where the socket was full. */
static void send_more(struct bench *b, struct conn *c, bool body)
{
	size_t total = c->head_n + (body ? b->body_n : 0);
	struct epoll_event ev = { .data.ptr = c };
	bool partial;

	while (c->out_at < total) {
		struct iovec v[2];
		size_t k = 0;
		ssize_t n;

		if (c->out_at < c->head_n)
			v[k++] = (struct iovec){ c->head + c->out_at,
						 c->head_n - c->out_at };
		if (body) {
			size_t skip = c->out_at > c->head_n ?
				      c->out_at - c->head_n : 0;

			v[k++] = (struct iovec){ b->body + skip,
						 b->body_n - skip };
		}
		n = writev(c->fd, v, (int)k);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			cut(b, "write", errno);
		c->out_at += (size_t)n;
	}
	partial = c->out_at < total;
	if (partial == c->partial)
		return;
	c->partial = partial;
	ev.events = EPOLLIN | (partial ? EPOLLOUT : 0u);
	epoll_ctl(b->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

static void put_head(struct conn *c, int n)
{
	if (n < 0 || n >= HEAD_MAX)
		wire_die("names too long");
	c->head_n = (size_t)n;
	c->out_at = 0;
}

static void begin_mail(struct bench *b, struct conn *c)
{
	unsigned i;

	c->stage = AT_MAIL;
	if (b->begun == b->n_mails || (b->until && wire_now_nsec() >= b->until))
		return;
	i = b->begun++;
	c->began = wire_now_nsec();
	if (b->n_users > 1)
		put_head(c, snprintf(c->head, HEAD_MAX,
		    "MAIL FROM:<bench@%s>\r\nRCPT TO:<%s%u@%s>\r\nDATA\r\n",
		    b->domain, b->user, i % b->n_users, b->domain));
	else
		put_head(c, snprintf(c->head, HEAD_MAX,
		    "MAIL FROM:<bench@%s>\r\nRCPT TO:<%s@%s>\r\nDATA\r\n",
		    b->domain, b->user, b->domain));
	send_more(b, c, false);
}

static void send_mail(struct bench *b, struct conn *c)
{
	char date[64];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	put_head(c, snprintf(c->head, HEAD_MAX,
	    "From: Bench <bench@%s>\r\nTo: Reader <%s@%s>\r\n"
	    "Subject: message %u of the bench\r\nDate: %s\r\n"
	    "Message-ID: <%llx.%u.%d@%s>\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n\r\n",
	    b->domain, b->user, b->domain, b->begun, date,
	    (unsigned long long)b->stamp + (unsigned long long)c->began,
	    b->begun, c->fd, b->domain));
	send_more(b, c, true);
}

static void reply(struct bench *b, struct conn *c, const char *line)
{
	static const char *const want[] = { "220", "250", "250", "250", "354",
					    "250" };

	if (line[3] == '-')
		return;
	if (strncmp(line, want[c->stage], 3))
		wire_die("answered with %s", line);
	switch (c->stage) {
	case AT_GREETING:
		put_head(c, snprintf(c->head, HEAD_MAX, "LHLO bench.example\r\n"));
		send_more(b, c, false);
		c->stage = AT_LHLO;
		return;
	case AT_LHLO:
		c->stage = AT_MAIL;
		return;			/* the clock starts when all are here */
	case AT_DATA:
		send_mail(b, c);
		c->stage = AT_REPLY;
		return;
	case AT_REPLY:
		samples_add(&b->lat, wire_now_nsec() - c->began);
		b->done++;
		begin_mail(b, c);
		return;
	default:
		c->stage++;
	}
}

static void readable(struct bench *b, struct conn *c)
{
	ssize_t n = read(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n);
	char *line = c->in, *nl;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		cut(b, "read", n ? errno : ECONNRESET);
	c->in_n += (size_t)n;
	while ((nl = memchr(line, '\n', c->in_n - (size_t)(line - c->in)))) {
		*nl = '\0';
		reply(b, c, line);
		line = nl + 1;
	}
	c->in_n -= (size_t)(line - c->in);
	memmove(c->in, line, c->in_n);
	if (c->in_n == sizeof(c->in))
		wire_die("reply line too long");
}

static void open_all(struct bench *b)
{
	unsigned i, ready = 0;

	b->epoll = epoll_create1(EPOLL_CLOEXEC);
	b->conns = calloc(b->n_conn, sizeof(*b->conns));
	if (b->epoll < 0 || !b->conns)
		wire_die("out of memory");
	for (i = 0; i < b->n_conn; i++) {
		struct conn *c = &b->conns[i];
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

		c->fd = wire_connect(b->address);
		fcntl(c->fd, F_SETFL, O_NONBLOCK);
		epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &ev);
	}
	while (ready < b->n_conn) {
		struct epoll_event ev;

		if (epoll_wait(b->epoll, &ev, 1, 30000) != 1)
			wire_die("no greeting within 30 s");
		readable(b, ev.data.ptr);
		ready += ((struct conn *)ev.data.ptr)->stage == AT_MAIL;
	}
}

static void run(struct bench *b)
{
	struct epoll_event ev[256];
	unsigned i;

	b->start = wire_now_nsec();
	if (b->seconds)
		b->until = b->start + (uint64_t)b->seconds * 1000000000u;
	for (i = 0; i < b->n_conn; i++)
		begin_mail(b, &b->conns[i]);
	while (b->done < b->begun) {
		int k, n = epoll_wait(b->epoll, ev, 256, 60000);

		if (n <= 0)
			wire_die("no reply within 60 s after %u deliveries",
				 b->done);
		for (k = 0; k < n; k++) {
			struct conn *c = ev[k].data.ptr;

			if (ev[k].events & EPOLLOUT)
				send_more(b, c, c->stage == AT_REPLY);
			if (ev[k].events & ~(uint32_t)EPOLLOUT)
				readable(b, c);
		}
	}
	report(b);
}

static void usage(void)
{
	fputs("usage: bench_lmtp [-c CONNECTIONS] [-n MAILS] [-t SECONDS] [-s BYTES] "
	      "[-k] [-u USER | -u PREFIX -U USERS] [-d DOMAIN] ADDRESS\n"
	      "ADDRESS is HOST:PORT or /PATH; with -U the recipients are "
	      "PREFIX0, PREFIX1, ... in turn;\n"
	      "with -k a server that goes away ends the run, not in failure\n", stderr);
	exit(2);
}

int main(int argc, char **argv)
{
	struct bench b = { .user = "alice", .domain = "test.example",
			   .n_conn = 1, .n_mails = 1000000,
			   .size = 4096, .n_users = 1 };
	int o;

	while ((o = getopt(argc, argv, "c:n:t:s:u:U:d:k")) != -1)
		switch (o) {
		case 'c': b.n_conn = wire_number(optarg, CONN_MAX); break;
		case 'n': b.n_mails = wire_number(optarg, 10000000); break;
		case 't': b.seconds = wire_number(optarg, 3600); break;
		case 'k': b.cut_is_end = true; break;
		case 's': b.size = wire_number(optarg, 100000000); break;
		case 'u': b.user = optarg; break;
		case 'U': b.n_users = wire_number(optarg, 1000000); break;
		case 'd': b.domain = optarg; break;
		default: usage();
		}
	if (optind + 1 != argc)
		usage();
	b.address = argv[optind];
	b.stamp = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
	make_body(&b);
	samples_init(&b.lat, b.n_mails);
	open_all(&b);
	run(&b);
	return 0;
}
