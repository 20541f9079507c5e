#include "proto/transfer.h"

struct transfer transfer_of(struct slice encoding)
{
	struct transfer t = {.kind = TRANSFER_PLAIN};

	if (slice_is_ci(encoding, "base64"))
		t.kind = TRANSFER_BASE64;
	else if (slice_is_ci(encoding, "quoted-printable"))
		t.kind = TRANSFER_QP;
	return t;
}

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void put_base64(struct transfer *t, struct slice in, struct buf *to)
{
	size_t i;

	for (i = 0; i < in.n; i++) {
		int v = base64_value(in.p[i]);

		if (in.p[i] == '=') {	/* padding: a unit ends */
			t->n_bits = 0;
			continue;
		}
		if (v < 0)
			continue;
		t->bits = t->bits << 6 | (uint32_t)v;
		t->n_bits += 6;
		if (t->n_bits >= 8) {
			t->n_bits -= 8;
			buf_char(to, (uint8_t)(t->bits >> t->n_bits));
		}
	}
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What was held turned out to be no escape. */
static void release(struct transfer *t, struct buf *to)
{
	buf_put(to, t->held, t->n_held);
	t->n_held = 0;
}

/* An octet while "=" or "=X" is held; false if it is to be looked at anew. */
static bool put_held(struct transfer *t, uint8_t c, struct buf *to)
{
	if (t->n_held == 1) {
		if (c == '\n') {	/* soft line break */
			t->n_held = 0;
			return true;
		}
		if (hex_value(c) >= 0 || c == '\r' || c == ' ' || c == '\t') {
			t->held[t->n_held++] = c;
			return true;
		}
		release(t, to);
		return false;
	}
	if (hex_value(t->held[1]) >= 0) {
		if (hex_value(c) < 0) {
			release(t, to);
			return false;
		}
		buf_char(to, (uint8_t)(hex_value(t->held[1]) << 4 |
				       hex_value(c)));
		t->n_held = 0;
		return true;
	}
	/* "=", blanks, line end: blanks added on the way are not kept. */
	if (c == '\n') {
		t->n_held = 0;
		return true;
	}
	if (c == ' ' || c == '\t' || c == '\r')
		return true;
	release(t, to);
	return false;
}

static void put_qp(struct transfer *t, struct slice in, struct buf *to)
{
	size_t i, from;

	for (i = 0; i < in.n;) {
		if (t->n_held) {
			i += put_held(t, in.p[i], to);
			continue;
		}
		from = i;
		while (i < in.n && in.p[i] != '=')
			i++;
		buf_put(to, in.p + from, i - from);
		if (i < in.n) {
			t->held[0] = '=';
			t->n_held = 1;
			i++;
		}
	}
}

void transfer_put(struct transfer *t, struct slice in, bool last,
		  struct buf *to)
{
	switch (t->kind) {
	case TRANSFER_PLAIN:
		buf_slice(to, in);
		break;
	case TRANSFER_BASE64:
		put_base64(t, in, to);
		break;
	case TRANSFER_QP:
		put_qp(t, in, to);
		if (last)
			release(t, to);
		break;
	}
}
