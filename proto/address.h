#ifndef DUET_PROTO_ADDRESS_H
#define DUET_PROTO_ADDRESS_H

/* Addresses of headers (RFC 5322 3.4) and of envelopes (RFC 5321 4.1.2). */

#include "proto/mime.h"

/*
 * An address list, as much of it as can be understood; NULL if there is
 * nothing.  Comments are skipped, except that "addr (Name)" gives a name.
 * Obsolete routes land in .route.  At most MIME_ADDRESSES_MAX.
 */
struct mime_address *address_list_parse(struct slice value, struct arena *a);

/* The same with a budget shared by several fields; it is counted down. */
struct mime_address *address_list_budget(struct slice value, struct arena *a,
					 unsigned *budget);

/* Octets: RFC 5321 4.5.3.1, with some room for long local parts. */
#define ADDRESS_LOCAL_MAX 512u
#define ADDRESS_DOMAIN_MAX 255u

struct address_path {
	bool null_sender;	/* <> */
	struct slice local;	/* unquoted, in the arena or the input */
	struct slice domain;	/* may be empty: a local name alone, or an
				 * address literal "[…]" with its brackets */
};

/*
 * Reads "<local@domain>" at the start of *in and moves behind it.  A source
 * route is dropped.  `bare` also takes an address without angle brackets, up
 * to the next blank.  -EINVAL; E_LIMIT if too long.
 */
int address_path_parse(struct slice *in, bool bare, struct arena *a,
		       struct address_path *out);
/* Appends local@domain, the local part quoted if it needs it (no brackets). */
struct buf;
void address_put(struct buf *to, const struct address_path *p);

#endif
