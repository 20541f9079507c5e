/* Sessions whose client is here and whose account is at the partner: the
 * store counts them (user and address) until we know that they ended. */

#include "node/front/front.h"

#include <stdlib.h>

struct proxied {
	struct front_req *counted;	/* at our own store; NULL: it is gone */
	struct front_req *session;	/* at sync */
};

static void end(struct proxied *p)
{
	if (p->counted)
		front_req_say(p->counted, IPC_LOGIN_GONE, NULL, SLICE_NONE,
			      -1);
	front_req_free(p->counted);
	front_req_free(p->session);
	free(p);
}

static void on_session(void *arg, struct ipc_msg *m, const struct ipc_head *h)
{
	(void)h;
	if (!m || m->type == IPC_LOGIN_ENDED)
		end(arg);
}

static void on_counted(void *arg, struct ipc_msg *m, const struct ipc_head *h)
{
	struct proxied *p = arg;

	(void)h;
	if (!m) {
		front_req_free(p->counted);
		p->counted = NULL;
	}
}

void proxied_new(struct front_req *counted, struct front_req *session)
{
	struct proxied *p = NEW(struct proxied);

	p->counted = counted;
	p->session = session;
	front_req_retarget(counted, on_counted, p);
	front_req_retarget(session, on_session, p);
}
