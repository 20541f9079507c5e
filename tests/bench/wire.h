#ifndef DUET_BENCH_WIRE_H
#define DUET_BENCH_WIRE_H

/*
 * What the load generators share: addresses, blocking lines, clocks, medians.
 * They end the program with a message when anything goes wrong: a figure of
 * a run that failed is worth nothing.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "HOST:PORT" with a numeric host, or "/path" of a UNIX socket.  A blocking
 * socket, TCP_NODELAY on. */
int wire_connect(const char *address);

uint64_t wire_now_nsec(void);		/* CLOCK_MONOTONIC */

void wire_die(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));

/* Positive decimal number of an option, or the end. */
unsigned wire_number(const char *text, unsigned max);

/* ---- a blocking connection with a large input window -------------------- */

#define WIRE_IN_MAX (1u << 20)

struct ssl_st;

struct wire {
	int fd;
	struct ssl_st *ssl;		/* NULL: plain */
	size_t have, at;		/* in[at..have) was not looked at yet */
	uint64_t received;		/* bytes, ever */
	char in[WIRE_IN_MAX];
};

/* Heap, freed by wire_close. */
struct wire *wire_open(const char *address);
void wire_close(struct wire *w);
/* Whole output or the end of the program. */
void wire_write(struct wire *w, const void *p, size_t n);
void wire_printf(struct wire *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * The next line without its CRLF, NUL-terminated in the window; valid until
 * the next call.  Literals are not understood: their lines come as lines.
 */
char *wire_line(struct wire *w, size_t *n_out);
/* As wire_line, but gives up at `deadline` (CLOCK_MONOTONIC) with NULL. */
char *wire_line_until(struct wire *w, size_t *n_out, uint64_t deadline);

/* ---- IMAP --------------------------------------------------------------- */

/* Connects, reads the greeting, logs in. */
struct wire *wire_imap(const char *address, const char *user,
		       const char *password);
/*
 * Sends `x CMD`, skips the responses up to "x OK" in whole literals, gives
 * the number of untagged responses.  Another answer ends the program unless
 * `may_fail`, then it is -1.
 */
long wire_cmd(struct wire *w, bool may_fail, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Only the answer of a command that was sent. */
long wire_tagged(struct wire *w, bool may_fail, const char *what);

/* ---- samples ------------------------------------------------------------ */

struct samples {
	uint64_t *nsec;
	size_t n, max;
};

void samples_init(struct samples *s, size_t max);
void samples_add(struct samples *s, uint64_t nsec);
void samples_fini(struct samples *s);
/* In milliseconds, of what was added; share 0.5 is the median.  Sorts. */
double samples_msec(struct samples *s, double share);

#endif
