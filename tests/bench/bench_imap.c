/*
 * bench_imap: how long the operations of a mail client take.
 *
 *   login	connect, LOGIN, SELECT INBOX, LOGOUT, one after the other
 *   ops	the operations below on mailboxes made and filled for it,
 *		each round with new ones: what is first asked of a mailbox is
 *		measured as such, what is asked again is measured `again` times
 *
 * A response is read whole and not looked into, so the client costs a memcpy.
 */
#include "tests/bench/wire.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum op {
	OP_APPEND, OP_SELECT, OP_FLAGS, OP_ENVELOPE_1, OP_ENVELOPE_2,
	OP_STRUCTURE_1, OP_STRUCTURE_2, OP_HEADER_1, OP_HEADER_2, OP_BODY_ONE,
	OP_BODIES, OP_SEARCH_HEADER, OP_SEARCH_HEADER_2, OP_SEARCH_BODY,
	OP_SEARCH_FLAG, OP_STORE_ONE, OP_STORE, OP_COPY_ONE, OP_COPY, OP_MOVE,
	OP_EXPUNGE, OP_DELETE, N_OPS
};

static const char *const op_names[N_OPS] = {
	"append", "select", "fetch-flags", "envelope-first", "envelope-second",
	"bodystructure-first", "bodystructure-second", "headers-first",
	"headers-second", "body-one", "bodies", "search-header-first",
	"search-header-second", "search-body", "search-flag", "store-one",
	"store-all", "copy-one", "copy-all", "move-all", "expunge-all",
	"delete-mailbox",
};

struct bench {
	const char *address, *user, *password;
	unsigned n_mails, size, rounds, again;
	struct samples op[N_OPS];
	struct wire *w;
};

/* A command whose answer must have at least `want` untagged responses. */
#define timed_all(b, which, want, ...) do { \
	uint64_t timed_from = wire_now_nsec(); \
	long timed_got = wire_cmd((b)->w, false, __VA_ARGS__); \
	samples_add(&(b)->op[which], wire_now_nsec() - timed_from); \
	if (timed_got < (long)(want)) \
		wire_die("%s: %ld responses, expected %ld", op_names[which], \
			 timed_got, (long)(want)); \
} while (0)
#define timed(b, which, ...) timed_all(b, which, 0, __VA_ARGS__)

/* ---- what is in the mailbox ------------------------------------------------ */

/* Three kinds in turn: plain text, text and HTML, text with an attachment. */
static size_t make_mail(char *p, size_t max, unsigned i, unsigned size)
{
	static const char line[] =
	    "Seventy-two letters make a line of text that nobody will ever read, so\r\n";
	const char *kind = i % 3 == 0 ? "text/plain; charset=utf-8" :
	    i % 3 == 1 ? "multipart/alternative; boundary=\"=_b\"" :
	    "multipart/mixed; boundary=\"=_b\"";
	const char *second = i % 3 == 1 ?
	    "\r\n--=_b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" :
	    "\r\n--=_b\r\nContent-Type: application/octet-stream\r\n"
	    "Content-Disposition: attachment; filename=\"a.bin\"\r\n\r\n";
	size_t n;
	bool split = false;

	n = (size_t)snprintf(p, max,
	    "Return-Path: <sender%u@example.org>\r\n"
	    "Received: from mx.example.org (mx.example.org [192.0.2.25])\r\n"
	    "\tby node.example.net with ESMTPS id %08x; "
	    "Mon, 2 Nov 2026 10:%02u:%02u +0100\r\n"
	    "From: \"Sender, Number %u\" <sender%u@example.org>\r\n"
	    "To: Reader <reader@example.net>\r\n"
	    "Cc: Other <other%u@example.net>, Third <third@example.net>\r\n"
	    "Subject: Re: message %u of thread %u%s\r\n"
	    "Date: Mon, 2 Nov 2026 10:%02u:%02u +0100\r\n"
	    "Message-ID: <%u.bench@example.org>\r\n"
	    "In-Reply-To: <%u.bench@example.org>\r\n"
	    "References: <%u.bench@example.org>\r\n"
	    "MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n",
	    i % 97, i, i / 60 % 60, i % 60, i % 97, i % 97, i % 13, i, i / 7,
	    i % 100 == 42 ? " with a needle" : "", i / 60 % 60, i % 60, i, i / 7,
	    i / 7, kind);
	if (i % 3)
		n += (size_t)snprintf(p + n, max - n,
		    "--=_b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
	while (n + sizeof(line) < size) {
		if (i % 3 && !split && n > size / 2) {
			split = true;
			n += (size_t)snprintf(p + n, max - n, "%s", second);
		}
		memcpy(p + n, line, sizeof(line) - 1);
		n += sizeof(line) - 1;
	}
	if (i % 100 == 17)
		n += (size_t)snprintf(p + n, max - n, "a haystack word\r\n");
	if (i % 3)
		n += (size_t)snprintf(p + n, max - n, "\r\n--=_b--\r\n");
	return n;
}

/* MULTIAPPEND by fifties, LITERAL+: no round trip but the last of a command. */
static void fill(struct bench *b, const char *box)
{
	size_t max = b->size + 4096, room = 50 * (max + 64) + 256;
	char *mail = malloc(max), *out = malloc(room);
	unsigned i, k;

	if (!mail || !out)
		wire_die("out of memory");
	for (i = 0; i < b->n_mails; i += 50) {
		size_t n = (size_t)snprintf(out, room, "x APPEND %s", box);
		uint64_t began = wire_now_nsec();

		for (k = i; k < i + 50 && k < b->n_mails; k++) {
			size_t len = make_mail(mail, max, k, b->size);

			n += (size_t)snprintf(out + n, room - n, " () {%zu+}\r\n",
					      len);
			memcpy(out + n, mail, len);
			n += len;
		}
		memcpy(out + n, "\r\n", 2);
		wire_write(b->w, out, n + 2);
		wire_tagged(b->w, false, "APPEND");
		samples_add(&b->op[OP_APPEND],
			    (wire_now_nsec() - began) / (k - i));
	}
	free(mail);
	free(out);
}

/* ---- rounds ---------------------------------------------------------------- */

static void reconnect(struct bench *b, const char *box)
{
	if (b->w) {
		wire_cmd(b->w, true, "LOGOUT");
		wire_close(b->w);
	}
	b->w = wire_imap(b->address, b->user, b->password);
	if (box)
		wire_cmd(b->w, false, "SELECT %s", box);
}

static void reading(struct bench *b, const char *box)
{
	static const char headers[] =
	    "BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE REFERENCES)]";
	unsigned i;

	for (i = 0; i < b->again; i++) {
		reconnect(b, NULL);
		timed_all(b, OP_SELECT, 1, "SELECT %s", box);
	}
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_FLAGS, b->n_mails, "FETCH 1:* (FLAGS)");
	timed_all(b, OP_ENVELOPE_1, b->n_mails, "FETCH 1:* (ENVELOPE)");
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_ENVELOPE_2, b->n_mails, "FETCH 1:* (ENVELOPE)");
	timed_all(b, OP_STRUCTURE_1, b->n_mails, "FETCH 1:* (BODYSTRUCTURE)");
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_STRUCTURE_2, b->n_mails, "FETCH 1:* (BODYSTRUCTURE)");
	timed_all(b, OP_HEADER_1, b->n_mails, "FETCH 1:* (%s)", headers);
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_HEADER_2, b->n_mails, "FETCH 1:* (%s)", headers);
	for (i = 0; i < 20; i++)
		timed_all(b, OP_BODY_ONE, 1, "FETCH %u (BODY.PEEK[])",
		      1 + i * (b->n_mails / 20));
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_BODIES, b->n_mails, "FETCH 1:* (BODY.PEEK[])");
	timed_all(b, OP_SEARCH_HEADER, 1, "SEARCH HEADER SUBJECT needle");
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_SEARCH_HEADER_2, 1, "SEARCH HEADER SUBJECT needle");
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_SEARCH_BODY, 1, "SEARCH BODY haystack");
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_SEARCH_FLAG, 1, "SEARCH UNSEEN");
}

static void writing(struct bench *b, const char *box, const char *two,
		    const char *three)
{
	unsigned i;

	for (i = 0; i < 40; i++)
		timed_all(b, OP_STORE_ONE, 1, "STORE %u %cFLAGS (\\Flagged)",
		      1 + i / 2 * (b->n_mails / 20), i & 1 ? '-' : '+');
	for (i = 0; i < b->again; i++)
		timed_all(b, OP_STORE, b->n_mails, "STORE 1:* %cFLAGS (\\Seen)",
		      i & 1 ? '-' : '+');
	for (i = 0; i < 20; i++)
		timed(b, OP_COPY_ONE, "COPY %u %s", 1 + i, three);
	timed(b, OP_COPY, "COPY 1:* %s", two);
	wire_cmd(b->w, false, "SELECT %s", two);
	timed_all(b, OP_MOVE, b->n_mails, "MOVE 1:* %s", three);
	wire_cmd(b->w, false, "SELECT %s", box);
	wire_cmd(b->w, false, "STORE 1:* +FLAGS.SILENT (\\Deleted)");
	timed_all(b, OP_EXPUNGE, b->n_mails, "EXPUNGE");
	wire_cmd(b->w, false, "UNSELECT");
	timed(b, OP_DELETE, "DELETE %s", three);
}

static void round_of(struct bench *b, unsigned round)
{
	char box[3][64];
	unsigned i;

	reconnect(b, NULL);
	for (i = 0; i < 3; i++) {
		snprintf(box[i], sizeof(box[i]), "bench%d-%u-%u", getpid(),
			 round, i);
		wire_cmd(b->w, false, "CREATE %s", box[i]);
	}
	fill(b, box[0]);
	reading(b, box[0]);
	writing(b, box[0], box[1], box[2]);
	wire_cmd(b->w, true, "DELETE %s", box[0]);
	wire_cmd(b->w, true, "DELETE %s", box[1]);
}

static void ops(struct bench *b)
{
	unsigned i;

	for (i = 0; i < N_OPS; i++)
		samples_init(&b->op[i], 1000000);
	for (i = 0; i < b->rounds; i++)
		round_of(b, i);
	for (i = 0; i < N_OPS; i++) {
		size_t n = b->op[i].n;

		printf("imap op=%s messages=%u bytes=%u samples=%zu "
		       "median_ms=%.3f p99_ms=%.3f\n", op_names[i],
		       b->n_mails, b->size, n, samples_msec(&b->op[i], 0.5),
		       samples_msec(&b->op[i], 0.99));
		samples_fini(&b->op[i]);
	}
}

static void login(struct bench *b, unsigned n)
{
	struct samples s;
	uint64_t began = wire_now_nsec();
	double seconds;
	unsigned i;

	samples_init(&s, n);
	for (i = 0; i < n; i++) {
		uint64_t from = wire_now_nsec();
		struct wire *w = wire_imap(b->address, b->user, b->password);

		wire_cmd(w, false, "SELECT INBOX");
		wire_cmd(w, false, "LOGOUT");
		wire_close(w);
		samples_add(&s, wire_now_nsec() - from);
	}
	seconds = (double)(wire_now_nsec() - began) / 1e9;
	printf("imap op=login samples=%u per_second=%.1f median_ms=%.3f "
	       "p99_ms=%.3f\n", n, n / seconds, samples_msec(&s, 0.5),
	       samples_msec(&s, 0.99));
	samples_fini(&s);
}

int main(int argc, char **argv)
{
	struct bench b = { .user = "alice", .password = "", .n_mails = 5000,
			   .size = 4096, .rounds = 1, .again = 5 };
	unsigned logins = 0;
	int o;

	while ((o = getopt(argc, argv, "l:n:s:r:a:u:p:")) != -1)
		switch (o) {
		case 'l': logins = wire_number(optarg, 1000000); break;
		case 'n': b.n_mails = wire_number(optarg, 10000000); break;
		case 's': b.size = wire_number(optarg, 1 << 20); break;
		case 'r': b.rounds = wire_number(optarg, 1000); break;
		case 'a': b.again = wire_number(optarg, 1000); break;
		case 'u': b.user = optarg; break;
		case 'p': b.password = optarg; break;
		default: optind = argc;
		}
	if (optind + 1 != argc || (!logins && b.n_mails < 20)) {
		fputs("usage: bench_imap [-u USER] [-p PASSWORD] "
		      "{-l LOGINS | [-n MESSAGES] [-s BYTES] [-r ROUNDS] "
		      "[-a AGAIN]} ADDRESS\n", stderr);
		return 2;
	}
	b.address = argv[optind];
	if (logins)
		login(&b, logins);
	else
		ops(&b);
	return 0;
}
