#include "proto/record.h"

#include <stdlib.h>

/* Bytes from the partner, a log or a journal as a record: what decodes must
 * encode, and decode to the same again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(4096);
	struct record r, again;
	struct buf one, two;
	struct err e;

	buf_init(&one, 2 * RECORD_SIZE_MAX);
	buf_init(&two, 16u << 20);
	if (record_decode(slice_of(data, size), a, &r, &e) == 0) {
		record_print(&r, &two);
		buf_reset(&two);
		if (record_encode(&r, &one) == 0) {
			if (record_decode(buf_all(&one), a, &again, &e) < 0)
				abort();
			if (record_encode(&again, &two) < 0 ||
			    !slice_eq(buf_all(&one), buf_all(&two)))
				abort();
		}
	}
	buf_fini(&one);
	buf_fini(&two);
	arena_free(a);
	return 0;
}
