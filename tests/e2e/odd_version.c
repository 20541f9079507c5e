/* Linked into a duetd of the tests with --wrap=link_encode: it says that it
 * speaks the next major format of the link. */
#include "proto/link.h"

int __real_link_encode(struct buf *to, const struct link_msg *m);
int __wrap_link_encode(struct buf *to, const struct link_msg *m);

int __wrap_link_encode(struct buf *to, const struct link_msg *m)
{
	struct link_msg next = *m;

	if (m->type == LINK_HELLO)
		next.hello.major++;
	return __real_link_encode(to, &next);
}
