/* The envelope of IPC and link: what is decoded and encoded again is the same,
 * and nothing outside of the input is touched. */

#include "node/base/ipc.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);

	while (in.n) {
		struct ipc_msg m;
		struct buf again;
		int n = ipc_decode(in, &m, NULL);

		if (n <= 0)
			break;
		buf_init(&again, IPC_MESSAGE_MAX);
		ipc_encode(&again, &m);
		if (!slice_eq(buf_all(&again), slice_sub(in, 0, (size_t)n)))
			abort();
		buf_fini(&again);
		in = slice_sub(in, (size_t)n, in.n);
	}
	return 0;
}
