/*
 * The administration protocol: the 16 bytes before it, requests and rows (heads
 * of IPC messages), masks.  What is taken is the same when sent again.
 */

#include "node/adm.h"
#include "proto/ipc_msg.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void first_bytes(const uint8_t *data)
{
	uint8_t again[ADMIN_HEAD_SIZE];
	struct admin_head h;

	if (admin_head_get(data, &h) < 0)
		return;
	admin_head_put(&h, again);
	if (memcmp(data, again, sizeof(again)) != 0)
		abort();
}

static void request(struct slice in, struct arena *a)
{
	struct ipc_head h, h2;
	struct buf one, two;

	if (ipc_head_decode(in, a, &h, NULL) < 0)
		return;
	buf_init(&one, 16u << 20);
	buf_init(&two, 16u << 20);
	ipc_head_encode(&h, &one);
	if (ipc_head_decode(buf_all(&one), a, &h2, NULL) < 0)
		abort();
	ipc_head_encode(&h2, &two);
	if (!slice_eq(buf_all(&one), buf_all(&two)))
		abort();
	for (size_t i = 0; i < h.n_args; i++)
		if (strlen(h.args[i]) < 40)
			(void)adm_mask(h.args[i], h.name);
	(void)ipc_field_get(&h, "service");
	buf_fini(&one);
	buf_fini(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1024);

	if (size >= ADMIN_HEAD_SIZE)
		first_bytes(data);
	request(slice_of(data, size), a);
	arena_free(a);
	return 0;
}
