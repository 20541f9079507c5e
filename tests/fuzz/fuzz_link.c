#include "proto/link.h"

#include <stdlib.h>

/* Bytes from the partner as an envelope with a message of the link: what
 * decodes must encode to something that decodes to the same bytes again; the
 * body of RECORDS is taken apart. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_apart(struct slice body, struct arena *a)
{
	struct link_record r;
	struct buf b;
	int n;

	while ((n = link_record_get(body, a, &r)) > 0) {
		if ((size_t)n > body.n)
			abort();
		buf_init(&b, 2 * IPC_MESSAGE_MAX);
		link_record_put(&b, r.frame, r.bodies, r.n_bodies);
		if (!slice_eq(buf_all(&b), slice_sub(body, 0, (size_t)n)))
			abort();
		buf_fini(&b);
		body = slice_sub(body, (size_t)n, body.n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(4096);
	struct ipc_msg env, again;
	struct link_msg m, m2;
	struct buf one, two;
	struct err e;
	int n = ipc_decode(slice_of(data, size), &env, &e);

	buf_init(&one, 2 * IPC_MESSAGE_MAX);
	buf_init(&two, 2 * IPC_MESSAGE_MAX);
	if (n > 0 && link_decode(&env, a, &m, &e) == 0 &&
	    link_encode(&one, &m) == 0) {
		if (ipc_decode(buf_all(&one), &again, &e) <= 0 ||
		    link_decode(&again, a, &m2, &e) < 0 ||
		    link_encode(&two, &m2) < 0 ||
		    !slice_eq(buf_all(&one), buf_all(&two)))
			abort();
		if (m.type == LINK_RECORDS)
			take_apart(m.body, a);
	}
	buf_fini(&one);
	buf_fini(&two);
	arena_free(a);
	return 0;
}
