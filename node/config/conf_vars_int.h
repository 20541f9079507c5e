#ifndef DUET_NODE_CONF_VARS_INT_H
#define DUET_NODE_CONF_VARS_INT_H

/* Shared by conf_vars.c and conf_if.c. */

#include "node/config/conf_vars.h"

struct expansion {
	const struct conf_vars *v;
	unsigned flags;
	unsigned depth;		/* of %{if} */
	struct arena *arena;
	struct buf *out;
	struct err *e;
};

int conf_expand_in(struct expansion *x, const char *text);
/* body: behind "if;".  The chosen branch, expanded. */
int conf_if(struct expansion *x, struct slice body, char **out);
/* RFC 1321; for %N and %M, which promise no secrecy. */
void conf_md5(struct slice data, uint8_t out[16]);

#endif
