#ifndef DUET_NODE_TRACE_H
#define DUET_NODE_TRACE_H

/* What delivery needs to know of a message's header, and what it puts before
 * it.  Only the first TRACE_HEADER_MAX octets are looked at. */

#include "node/base/arena.h"
#include "node/base/slice.h"

struct buf;

#define TRACE_HEADER_MAX (256u * 1024)

struct trace {
	const char *message_id, *subject, *from;	/* "" if absent */
	/* The topmost Received line names an id: the same octets with it are
	 * the same delivery. */
	bool queue_id;
	size_t body_at;		/* first octet below the trace headers */
};

void trace_parse(struct slice message, struct arena *a, struct trace *out);

struct trace_rcpt {
	const char *sender;		/* "" = <> */
	const char *final, *original;	/* addresses of Delivered-To */
	const char *delivered_to;	/* "none", "final", "original" */
	const char *received;		/* whole lines, or "" */
};
/* Return-Path, Delivered-To, Received. */
void trace_put(struct buf *to, const struct trace_rcpt *r);

/* SHA-256 over account id, sender, recipient, octets; `again` tells apart
 * deliveries that are known to be new ones. */
struct id128;
void trace_delivery_id(const uint8_t account[16], const char *sender,
		       const char *rcpt, struct slice message, unsigned again,
		       uint8_t out[32]);
/* First 16 bytes of the SHA-256 of what lies below the trace headers. */
void trace_less(struct slice message, const struct trace *t, uint8_t out[16]);

#endif
