/* Message headers at delivery, and the heads of IPC messages: both hold what
 * strangers wrote. */

#include "node/store/trace.h"
#include "proto/ipc_msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1024);
	struct slice in = slice_of(data, size);
	struct ipc_head h;
	struct trace t;
	uint8_t hash[16];

	trace_parse(in, a, &t);
	if (t.body_at > size || strpbrk(t.message_id, "\r\n") ||
	    strpbrk(t.subject, "\r\n") || strpbrk(t.from, "\r\n"))
		abort();
	trace_less(in, &t, hash);
	(void)ipc_head_decode(in, a, &h, NULL);
	arena_free(a);
	return 0;
}
