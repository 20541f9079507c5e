#include <stdlib.h>

#include "node/base/arena.h"
#include "proto/mailbox_name.h"
#include "proto/mutf7.h"

/* Every valid name has one form: both directions give it back. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct slice first = slice_sub(in, 0, size / 2);
	struct slice rest = slice_sub(in, size / 2, size);
	struct buf one, two;

	buf_init(&one, 1u << 20);
	buf_init(&two, 1u << 20);
	if (mutf7_to_utf8(in, &one) == 0) {
		need(utf8_valid(buf_all(&one)));
		need(utf8_to_mutf7(buf_all(&one), &two) == 0);
		need(slice_eq(buf_all(&two), in));
	}
	buf_reset(&one);
	buf_reset(&two);
	need((utf8_to_mutf7(in, &one) == 0) == utf8_valid(in));
	if (utf8_valid(in)) {
		need(mutf7_to_utf8(buf_all(&one), &two) == 0);
		need(slice_eq(buf_all(&two), in));
	}
	if (mailbox_name_check(in, '/') == 0)
		need(mailbox_name_match(SLICE_LIT("*"), in, '/'));
	/* What is below a name matches only if the name lets it. */
	if (mailbox_name_match(first, rest, '/'))
		need(mailbox_name_match_below(
			     first, mailbox_name_parent(rest, '/'), '/') ||
		     mailbox_name_parent(rest, '/').n == 0 ||
		     rest.p[rest.n - 1] == '/');
	buf_fini(&one);
	buf_fini(&two);
	return 0;
}
