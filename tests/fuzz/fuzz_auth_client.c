#include "auth/auth_client.h"

#include <stdlib.h>

#include "node/base/buf.h"

/* What an MTA sends: read whole and in pieces (the first byte says how long),
 * the messages must be the same; each is answered in one of the ways. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct auth_client *c, const struct auth_client_msg *m,
		   struct buf *out)
{
	if (m->what == AUTH_CLIENT_CANCEL)
		return;
	if (m->response.n % 3 == 0)
		auth_client_challenge(c, m->id, m->response, out);
	else if (m->response.n % 3 == 1)
		auth_client_ok(c, m->id, "user\t1", out);
	else
		auth_client_fail(c, m->id, "u", AUTH_TEMPFAIL, "why", out);
}

static void note(const struct auth_client_msg *m, struct buf *seen)
{
	buf_printf(seen, "%d %u %s %s %d ", m->what, m->id,
		   m->peer.service ? m->peer.service : "",
		   m->peer.rip ? m->peer.rip : "", m->has_response);
	buf_slice(seen, m->mech);
	buf_slice(seen, m->response);
	buf_char(seen, '\n');
}

static void run(struct slice all, size_t piece, struct buf *seen)
{
	struct auth_client c;
	struct auth_client_msg m;
	struct buf out;
	size_t from = 0, to = 0;
	int r = 0;

	auth_client_init(&c);
	buf_init(&out, 1u << 20);
	while (r >= 0) {
		size_t used;

		r = auth_client_read(&c, slice_sub(all, from, to), &used, &m,
				     &out, NULL);
		if (used > to - from)
			abort();
		from += used;
		if (r == 1) {
			note(&m, seen);
			answer(&c, &m, &out);
		} else if (r == 0 && to == all.n) {
			break;
		} else if (r == 0) {
			to = all.n - to < piece ? all.n : to + piece;
		}
	}
	buf_slice(seen, buf_all(&out));
	buf_fini(&out);
	auth_client_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 1)
		return 0;
	buf_init(&whole, 4u << 20);
	buf_init(&pieces, 4u << 20);
	run(slice_of(data + 1, size - 1), size, &whole);
	run(slice_of(data + 1, size - 1), (size_t)data[0] % 64 + 1, &pieces);
	if (!slice_eq(buf_all(&whole), buf_all(&pieces)))
		abort();
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
