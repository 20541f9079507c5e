#ifndef DUET_PROTO_TRANSFER_H
#define DUET_PROTO_TRANSFER_H

/*
 * Content-Transfer-Encoding undone (RFC 2045 6), in pieces of any size.
 * Lenient: what is not of the encoding is passed over (base64) or passed on
 * (quoted-printable).
 */

#include "node/base/buf.h"

enum transfer_kind { TRANSFER_PLAIN, TRANSFER_BASE64, TRANSFER_QP };

struct transfer {
	enum transfer_kind kind;
	uint32_t bits;		/* base64 */
	unsigned n_bits;
	uint8_t held[2];	/* quoted-printable: "=" or "=X" */
	unsigned n_held;
};

/* 7bit, 8bit, binary and what is unknown are TRANSFER_PLAIN. */
struct transfer transfer_of(struct slice encoding);
/* Appends at most in.n + 2 octets. */
void transfer_put(struct transfer *t, struct slice in, bool last,
		  struct buf *to);

#endif
