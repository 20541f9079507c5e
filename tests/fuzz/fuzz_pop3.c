#include <stdlib.h>

#include "node/base/err.h"
#include "proto/pop3_parse.h"

/*
 * POP3 lines and commands; and message octets: what a client takes the dots
 * out of again is the message, however it was cut.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void lines(struct slice in)
{
	struct pop3_lines st = {0};
	struct pop3_command c;
	struct slice line, word;
	uint32_t n[2];
	size_t used;
	int r;

	while ((r = pop3_line(&st, in, &line, &used)) != 0) {
		need(used > 0 && used <= in.n);
		need(r == 1 || r == E_LIMIT);
		need(line.n <= POP3_LINE_MAX);
		if (r == 1 && pop3_parse(line, &c) == 0) {
			need(c.name[0] && c.args.n < line.n);
			need(pop3_numbers(c.args, 0, 2, n) <= 2);
			while (pop3_word(&c.args, &word))
				need(word.n > 0);
		}
		in = slice_sub(in, used, in.n);
	}
	need(used <= in.n);
}

static void unstuff(struct slice in, struct slice msg)
{
	size_t at = 0, k = 0;

	need(in.n >= 3 && slice_is(slice_sub(in, in.n - 3, in.n), ".\r\n"));
	in.n -= 3;
	while (at < in.n) {
		/* The only line that is a dot is the last. */
		need(in.p[at] != '.' || (at + 1 < in.n && in.p[at + 1] == '.'));
		at += in.p[at] == '.';
		for (bool end = false; at < in.n && !end; at++, k++) {
			end = in.p[at] == '\n';
			need(k >= msg.n || in.p[at] == msg.p[k]);
		}
	}
	need(k >= msg.n && k <= msg.n + 2);
}

static void octets(struct slice msg, size_t piece, uint32_t top)
{
	struct pop3_stuffing st = {0};
	struct buf out;
	size_t n = pop3_top(msg, top);

	need(n <= msg.n && pop3_top(msg, UINT32_MAX) == msg.n);
	buf_init(&out, msg.n * 2 + 8);
	for (size_t at = 0; at < msg.n; at += piece)
		pop3_stuff(&st, slice_sub(msg, at, at + piece), &out);
	pop3_stuff_end(&st, &out);
	need(!out.failed);
	unstuff(buf_all(&out), msg);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	lines(slice_of(data + 1, size - 1));
	octets(slice_of(data + 1, size - 1), data[0] % 16 + 1u, data[0]);
	return 0;
}
