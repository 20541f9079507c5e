#include "proto/message_fields.h"

#include "node/base/digest.h"

void message_fields_get(struct slice msg, struct arena *a,
			struct message_fields *out)
{
	const struct {
		const char *name;
		struct slice *to;
	} wanted[] = {
		{"Message-ID", &out->message_id},
		{"In-Reply-To", &out->in_reply_to},
		{"References", &out->references},
		{"Date", &out->date},
		{"From", &out->from},
		{"Sender", &out->sender},
		{"To", &out->to},
		{"Cc", &out->cc},
		{"Subject", &out->subject},
		{"Received", &out->received},
	};
	struct mime_field f;
	size_t pos = 0, i;

	memset(out, 0, sizeof(*out));
	while (mime_field_next(msg, &pos, &f)) {
		for (i = 0; i < ARRAY_LEN(wanted); i++)
			if (slice_is_ci(f.name, wanted[i].name))
				break;
		if (i < ARRAY_LEN(wanted) && !wanted[i].to->p)
			*wanted[i].to = mime_unfold(f.raw, a);
	}
	out->header_size = pos;
	out->has_date = out->date.p &&
			date_parse_rfc5322(out->date, &out->date_value) == 0;
}

/*
 * What relays, filters and delivery put on top.  DKIM-Signature is not here:
 * it is the sender's, and equal in all copies of a mail.  "X-" and "ARC-"
 * stand for all fields that begin so.
 */
static const char *const trace_fields[] = {
	"Received", "Return-Path", "Delivered-To", "Delivery-Date",
	"Envelope-To", "Original-Recipient", "Received-SPF",
	"Authentication-Results",
};

static bool is_trace(struct slice name)
{
	size_t i;

	if (slice_starts_ci(name, "X-") || slice_starts_ci(name, "ARC-"))
		return true;
	for (i = 0; i < ARRAY_LEN(trace_fields); i++)
		if (slice_is_ci(name, trace_fields[i]))
			return true;
	return false;
}

size_t message_trace_end(struct slice msg)
{
	struct mime_field f;
	size_t pos = 0, end = 0;

	while (mime_field_next(msg, &pos, &f)) {
		if (!is_trace(f.name))
			return (size_t)(f.whole.p - msg.p);
		end = pos;
	}
	return end;
}

void message_traceless_hash(struct slice msg, uint8_t out[32])
{
	size_t from = message_trace_end(msg);

	sha256(from ? slice_sub(msg, from, msg.n) : msg, out);
}
