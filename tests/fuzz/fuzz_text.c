#include <stdlib.h>

#include "proto/charset.h"
#include "proto/mutf7.h"
#include "proto/rfc2047.h"
#include "proto/textsearch.h"
#include "proto/transfer.h"

/*
 * Transfer decoding and charsets: the result does not depend on how the input
 * is cut and is UTF-8.  The first octet chooses the charset, the second the
 * pieces.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
	"", "utf-8", "iso-8859-1", "iso-2022-jp", "gb18030", "big5", "utf-7",
	"utf-16", "shift_jis", "euc-kr", "koi8-r", "windows-1252",
};

static void need(bool ok)
{
	if (!ok)
		abort();
}

static bool is_utf8(struct slice s)
{
	uint32_t cp;
	size_t at;
	int n;

	for (at = 0; at < s.n; at += (size_t)n) {
		n = utf8_take(s.p + at, s.n - at, &cp);
		if (n <= 0)
			return false;
	}
	return true;
}

static void convert(struct slice in, size_t piece, const char *name,
		    struct buf *to)
{
	struct charset *c = charset_open(slice_str(name));
	size_t at = 0, end;

	need(c != NULL);
	do {
		end = in.n - at > piece ? at + piece : in.n;
		charset_put(c, slice_sub(in, at, end), end == in.n, to);
		at = end;
	} while (at < in.n);
	charset_close(c);
}

static void undo(struct slice in, size_t piece, const char *encoding,
		 struct buf *to)
{
	struct transfer t = transfer_of(slice_str(encoding));
	size_t at = 0, end;

	do {
		end = in.n - at > piece ? at + piece : in.n;
		transfer_put(&t, slice_sub(in, at, end), end == in.n, to);
		at = end;
	} while (at < in.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one, two;
	struct slice in;
	size_t piece;
	const char *name;

	if (size < 2)
		return 0;
	name = names[data[0] % (sizeof(names) / sizeof(names[0]))];
	piece = data[1] % 32 + 1u;
	in = slice_of(data + 2, size - 2);
	buf_init(&one, 1u << 24);
	buf_init(&two, 1u << 24);
	convert(in, SIZE_MAX, name, &one);
	convert(in, piece, name, &two);
	need(is_utf8(buf_all(&one)));
	need(slice_eq(buf_all(&one), buf_all(&two)));
	buf_reset(&one);
	buf_reset(&two);
	undo(in, SIZE_MAX, data[0] & 1 ? "base64" : "quoted-printable", &one);
	undo(in, piece, data[0] & 1 ? "base64" : "quoted-printable", &two);
	need(slice_eq(buf_all(&one), buf_all(&two)));
	need(one.n <= in.n + 2);
	buf_reset(&one);
	buf_reset(&two);
	rfc2047_decode(in, &one);
	need(is_utf8(buf_all(&one)));
	need((textsearch_fold(in, &two) == 0) == is_utf8(in));
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
