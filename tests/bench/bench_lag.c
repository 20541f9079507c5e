/*
 * bench_lag: how long until the other node's clients see it.
 *
 *   mail	LMTP at A: from the final dot to "* n EXISTS" in an IDLE at B
 *   flag	STORE at A: from the command to "* n FETCH" in an IDLE at B
 *
 * A and B may be one node.  What is not seen within 15 s counts as lost and
 * as 15 s.  The acknowledgment at A is measured too: in a pair in SYNC the lag
 * may be shorter than it.
 */
#include "tests/bench/wire.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOST_NSEC (15ull * 1000000000u)

struct bench {
	const char *lmtp, *imap_a, *imap_b, *user, *password, *domain;
	unsigned n, lost;
	struct samples seen, acked;
};

static struct wire *idle_at(const struct bench *b, const char *address)
{
	struct wire *w = wire_imap(address, b->user, b->password);

	wire_cmd(w, false, "SELECT INBOX");
	wire_printf(w, "x IDLE\r\n");
	while (*wire_line(w, NULL) != '+')
		;
	return w;
}

/* Until an untagged line with `word`; when it came. */
static void await(struct bench *b, struct wire *w, const char *word,
		  uint64_t from)
{
	char *line;

	do
		line = wire_line_until(w, NULL, from + LOST_NSEC);
	while (line && !(*line == '*' && strstr(line, word)));
	b->lost += !line;
	samples_add(&b->seen, wire_now_nsec() - from);
}

static void expect(struct wire *w, const char *code)
{
	char *line;

	do
		line = wire_line(w, NULL);
	while (line[3] == '-');
	if (strncmp(line, code, 3))
		wire_die("answered with %s", line);
}

static void report(struct bench *b, const char *what)
{
	printf("lag what=%s samples=%u lost=%u median_ms=%.3f p99_ms=%.3f "
	       "acked_median_ms=%.3f\n", what, b->n, b->lost,
	       samples_msec(&b->seen, 0.5), samples_msec(&b->seen, 0.99),
	       samples_msec(&b->acked, 0.5));
	b->seen.n = b->acked.n = 0;
	b->lost = 0;
}

static void mail_lag(struct bench *b)
{
	struct wire *idle = idle_at(b, b->imap_b), *w = wire_open(b->lmtp);
	unsigned i;

	expect(w, "220");
	wire_printf(w, "LHLO bench.example\r\n");
	expect(w, "250");
	for (i = 0; i < b->n; i++) {
		uint64_t from;

		wire_printf(w, "MAIL FROM:<bench@%s>\r\nRCPT TO:<%s@%s>\r\n"
			    "DATA\r\n", b->domain, b->user, b->domain);
		expect(w, "250");
		expect(w, "250");
		expect(w, "354");
		from = wire_now_nsec();
		wire_printf(w, "From: bench@%s\r\nSubject: lag %u\r\n"
			    "Message-ID: <lag.%lld.%d.%u@%s>\r\n\r\nlag\r\n.\r\n",
			    b->domain, i, (long long)time(NULL), getpid(), i,
			    b->domain);
		expect(w, "250");
		samples_add(&b->acked, wire_now_nsec() - from);
		await(b, idle, " EXISTS", from);
		usleep(5000);
	}
	wire_close(w);
	wire_close(idle);
	report(b, "mail");
}

static void flag_lag(struct bench *b)
{
	struct wire *w = wire_imap(b->imap_a, b->user, b->password);
	struct wire *idle = idle_at(b, b->imap_b);
	unsigned i;

	wire_cmd(w, false, "SELECT INBOX");
	for (i = 0; i < b->n; i++) {
		uint64_t from = wire_now_nsec();

		wire_cmd(w, false, "STORE 1 %cFLAGS (\\Flagged)",
			 i & 1 ? '-' : '+');
		samples_add(&b->acked, wire_now_nsec() - from);
		await(b, idle, " FETCH ", from);
		usleep(5000);
	}
	wire_cmd(w, false, "STORE 1 -FLAGS (\\Flagged)");
	wire_close(w);
	wire_close(idle);
	report(b, "flag");
}

int main(int argc, char **argv)
{
	struct bench b = { .user = "alice", .password = "",
			   .domain = "test.example", .n = 200 };
	int o;

	while ((o = getopt(argc, argv, "n:u:p:d:")) != -1)
		switch (o) {
		case 'n': b.n = wire_number(optarg, 100000); break;
		case 'u': b.user = optarg; break;
		case 'p': b.password = optarg; break;
		case 'd': b.domain = optarg; break;
		default: optind = argc;
		}
	if (optind + 3 != argc) {
		fputs("usage: bench_lag [-n SAMPLES] [-u USER] [-p PASSWORD] "
		      "[-d DOMAIN] LMTP-AT-A IMAP-AT-A IMAP-AT-B\n", stderr);
		return 2;
	}
	b.lmtp = argv[optind];
	b.imap_a = argv[optind + 1];
	b.imap_b = argv[optind + 2];
	samples_init(&b.seen, b.n);
	samples_init(&b.acked, b.n);
	mail_lag(&b);
	flag_lag(&b);
	samples_fini(&b.seen);
	samples_fini(&b.acked);
	return 0;
}
