#ifndef DUET_PROTO_MESSAGE_FIELDS_H
#define DUET_PROTO_MESSAGE_FIELDS_H

/* The fields of a message that the node itself looks at. */

#include "proto/date.h"
#include "proto/mime.h"

/* First occurrence of each; values unfolded, p == NULL if missing. */
struct message_fields {
	struct slice message_id;	/* with its angle brackets */
	struct slice in_reply_to, references;
	struct slice date, from, sender, to, cc, subject;
	struct slice received;		/* the topmost Received */
	bool has_date;
	struct date date_value;		/* valid if has_date */
	size_t header_size;		/* blank line included */
};

void message_fields_get(struct slice msg, struct arena *a,
			struct message_fields *out);

/*
 * Offset of the first field below the trace block: the fields at the top that
 * transport adds (Received, Return-Path, Delivered-To, X-Original-To,
 * Envelope-To, Authentication-Results, Received-SPF, ARC-*, DKIM-Signature is
 * not among them …, the table is in message_fields.c).
 */
size_t message_trace_end(struct slice msg);
/* SHA-256 over the octets from there on (replication-cases.md, case 4). */
void message_traceless_hash(struct slice msg, uint8_t out[32]);

#endif
