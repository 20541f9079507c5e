#include <stdlib.h>

#include "proto/address.h"

/* Address lists are taken as far as they go; groups are balanced.  A path
 * that is read and written is read as the same. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size), rest = in, text;
	struct arena *a = arena_new(1024);
	struct mime_address *at;
	struct address_path p, again;
	bool in_group = false;
	struct buf out;
	unsigned n = 0;

	for (at = address_list_parse(in, a); at; at = at->next) {
		if (!at->host.p) {
			need((at->mailbox.p != NULL) != in_group);
			in_group = !in_group;
		}
		need(at->mailbox.p || !at->host.p);
		n++;
	}
	need(!in_group);
	need(n <= MIME_ADDRESSES_MAX + 1);
	buf_init(&out, 4096);
	if (address_path_parse(&rest, true, a, &p) == 0) {
		need(rest.n <= in.n);
		buf_char(&out, '<');
		address_put(&out, &p);
		buf_char(&out, '>');
		text = buf_all(&out);
		need(address_path_parse(&text, false, a, &again) == 0);
		need(slice_eq(p.local, again.local));
		need(slice_eq(p.domain, again.domain));
		need(p.null_sender == again.null_sender);
	}
	buf_fini(&out);
	arena_free(a);
	return 0;
}
