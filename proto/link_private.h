#ifndef DUET_PROTO_LINK_PRIVATE_H
#define DUET_PROTO_LINK_PRIVATE_H

/* What the files of the link codec share; generated types stop here. */

#include "proto/link.h"
#include "proto/link.pb-c.h"

/* Greatest head: a bound on what its decoding may allocate. */
#define LINK_HEAD_MAX (256u * 1024)

struct link_type_info {
	uint16_t type;
	uint8_t channel;
	bool account;
	uint8_t rest;		/* field of Head that must be there, 0 = none */
	const char *name;
};
const struct link_type_info *link_type_info(unsigned type);

/* Fills h (its account, gen and rest) from m; memory from a. */
void link_pack(const struct link_msg *m, struct arena *a, Duet__Link__Head *h);
/* E_PROTO as link_decode(). */
int link_unpack(const Duet__Link__Head *h, struct arena *a,
		struct link_msg *out, struct err *e);

#endif
