/* Headers of delivery. */

#include "node/store/trace.h"
#include "node/base/buf.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"

#include <string.h>

/* One header field at `at`, folded lines included; its end, or at itself at
 * the end of the header. */
static size_t field_end(struct slice m, size_t at)
{
	size_t p = at;

	if (at >= m.n || m.p[at] == '\r' || m.p[at] == '\n')
		return at;
	for (;;) {
		const uint8_t *nl = memchr(m.p + p, '\n', m.n - p);

		if (!nl)
			return m.n;
		p = (size_t)(nl - m.p) + 1;
		if (p >= m.n || (m.p[p] != ' ' && m.p[p] != '\t'))
			return p;
	}
}

static bool named(struct slice field, const char *name, struct slice *value)
{
	size_t n = strlen(name);

	if (field.n <= n || field.p[n] != ':' ||
	    !slice_eq_ci(slice_sub(field, 0, n), slice_str(name)))
		return false;
	*value = slice_trim(slice_sub(field, n + 1, field.n));
	return true;
}

static const char *line_of(struct arena *a, struct slice v)
{
	char *s;

	if (v.n > 998)
		v.n = 998;
	s = arena_strndup(a, v.p, v.n);
	for (char *p = s; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return s;
}

static bool is_trace(struct slice field)
{
	static const char *const names[] = {
		"Received", "Return-Path", "Delivered-To", "X-Original-To",
	};
	struct slice v;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (named(field, names[i], &v))
			return true;
	return false;
}

/* " id WORD" of a Received line, outside of the date. */
static bool has_id(struct slice v)
{
	for (size_t i = 0; i + 4 < v.n; i++)
		if ((v.p[i] == ' ' || v.p[i] == '\t' || v.p[i] == '\n') &&
		    (v.p[i + 1] | 32) == 'i' && (v.p[i + 2] | 32) == 'd' &&
		    v.p[i + 3] == ' ')
			return true;
	return false;
}

void trace_parse(struct slice message, struct arena *a, struct trace *out)
{
	struct slice head = slice_sub(message, 0, TRACE_HEADER_MAX), v;
	bool in_trace = true, received = false;
	size_t at = 0, end;

	*out = (struct trace){.message_id = "", .subject = "", .from = ""};
	while ((end = field_end(head, at)) > at) {
		struct slice f = slice_sub(head, at, end);

		if (in_trace && is_trace(f))
			out->body_at = end;
		else
			in_trace = false;
		if (!received && named(f, "Received", &v)) {
			received = true;
			out->queue_id = has_id(v);
		} else if (!*out->message_id && named(f, "Message-ID", &v)) {
			out->message_id = line_of(a, v);
		} else if (!*out->subject && named(f, "Subject", &v)) {
			out->subject = line_of(a, v);
		} else if (!*out->from && named(f, "From", &v)) {
			out->from = line_of(a, v);
		}
		at = end;
	}
}

void trace_put(struct buf *to, const struct trace_rcpt *r)
{
	buf_printf(to, "Return-Path: <%s>\r\n", r->sender);
	if (strcmp(r->delivered_to, "final") == 0)
		buf_printf(to, "Delivered-To: %s\r\n", r->final);
	else if (strcmp(r->delivered_to, "original") == 0)
		buf_printf(to, "Delivered-To: %s\r\n", r->original);
	buf_str(to, r->received);
}

static void add_text(struct digest_sha256 *d, const char *s)
{
	/* With its NUL: ("ab", "c") is not ("a", "bc"). */
	digest_sha256_add(d, slice_of(s, strlen(s) + 1));
}

void trace_delivery_id(const uint8_t account[16], const char *sender,
		       const char *rcpt, struct slice message, unsigned again,
		       uint8_t out[32])
{
	struct digest_sha256 *d = digest_sha256_new();
	uint8_t n[4];

	digest_sha256_add(d, slice_of(account, 16));
	add_text(d, sender);
	add_text(d, rcpt);
	digest_sha256_add(d, message);
	if (again) {
		le32_to(n, again);
		digest_sha256_add(d, slice_of(n, 4));
	}
	digest_sha256_end(d, out);
}

void trace_less(struct slice message, const struct trace *t, uint8_t out[16])
{
	uint8_t full[SHA256_SIZE];

	sha256(slice_sub(message, t->body_at, message.n), full);
	memcpy(out, full, 16);
}
