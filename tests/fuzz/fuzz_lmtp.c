#include <stdlib.h>

#include "node/base/err.h"
#include "proto/lmtp_parse.h"

/*
 * LMTP lines and DATA.  What comes out of DATA has CRLF only and no NUL, and
 * does not depend on how the input is cut.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void lines(struct slice in)
{
	struct arena *a = arena_new(1024);
	struct lmtp_command c;
	struct address_path again;
	bool skipping = false;
	struct slice line, text;
	const char *reply = NULL;
	struct buf out;
	size_t used;
	int rc;

	buf_init(&out, 4096);
	while ((rc = lmtp_line(in, &skipping, &line, &used)) != 0) {
		need(used > 0 && used <= in.n);
		if (rc == 1 && lmtp_parse(line, a, &c, &reply) < 0)
			need(reply != NULL);
		else if (rc == 1 && c.verb == LMTP_RCPT) {
			buf_reset(&out);
			buf_char(&out, '<');
			address_put(&out, &c.path);
			buf_char(&out, '>');
			text = buf_all(&out);
			need(address_path_parse(&text, false, a, &again) ==
			     0);
			need(slice_eq(again.local, c.path.local));
			need(slice_eq(again.domain, c.path.domain));
		}
		in = slice_sub(in, used, in.n);
	}
	need(used <= in.n);
	buf_fini(&out);
	arena_free(a);
}

static size_t decode(struct slice in, size_t piece, struct lmtp_data *d,
		     struct buf *to)
{
	size_t at = 0, used;
	int rc;

	while (at < in.n) {
		size_t end = in.n - at > piece ? at + piece : in.n;

		rc = lmtp_data_put(d, slice_sub(in, at, end), &used, to);
		at += used;
		need(rc >= 0 && (rc == 1 || at == end));
		if (rc == 1)
			break;
	}
	need(d->size == to->n);
	return at;
}

static void data_stream(struct slice in, size_t piece)
{
	struct lmtp_data one = LMTP_DATA_START, two = LMTP_DATA_START;
	struct buf whole, pieces;
	size_t i;

	buf_init(&whole, in.n * 2 + 2);
	buf_init(&pieces, in.n * 2 + 2);
	need(decode(in, SIZE_MAX, &one, &whole) ==
	     decode(in, piece, &two, &pieces));
	need(slice_eq(buf_all(&whole), buf_all(&pieces)));
	need(one.nul == two.nul && one.eight_bit == two.eight_bit &&
	     one.bare_newline == two.bare_newline && one.state == two.state);
	for (i = 0; i < whole.n; i++) {
		need(whole.p[i] != 0);
		need(whole.p[i] != '\n' || (i && whole.p[i - 1] == '\r'));
		need(whole.p[i] != '\r' ||
		     (i + 1 < whole.n && whole.p[i + 1] == '\n'));
	}
	buf_fini(&whole);
	buf_fini(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	lines(slice_of(data + 1, size - 1));
	data_stream(slice_of(data + 1, size - 1), data[0] % 16 + 1u);
	return 0;
}
