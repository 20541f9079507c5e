#include "proto/pop3_parse.h"
#include "node/base/err.h"

#include <errno.h>

int pop3_line(struct pop3_lines *st, struct slice in, struct slice *line,
	      size_t *used)
{
	ptrdiff_t lf = slice_chr(in, '\n');
	size_t from = 0, n;

	*line = SLICE_NONE;
	*used = 0;
	if (st->skipping) {
		/* The tail of a refused line; another may follow it. */
		if (lf < 0) {
			*used = in.n;
			return 0;
		}
		st->skipping = false;
		from = (size_t)lf + 1;
		in = slice_sub(in, from, in.n);
		lf = slice_chr(in, '\n');
	}
	n = lf < 0 ? in.n : (size_t)lf;
	if (lf < 0 && n <= POP3_LINE_MAX + 1) {
		*used = from;
		return 0;
	}
	*used = from + n + (lf >= 0);
	st->skipping = lf < 0;
	if (n && lf >= 0 && in.p[n - 1] == '\r')
		n--;
	if (n > POP3_LINE_MAX)
		return E_LIMIT;
	*line = slice_sub(in, 0, n);
	return 1;
}

static char upper(uint8_t c)
{
	return (char)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c);
}

int pop3_parse(struct slice line, struct pop3_command *out)
{
	size_t n = 0;

	*out = (struct pop3_command){.args = SLICE_NONE};
	if (slice_chr(line, 0) >= 0)
		return E_INVALID;
	while (n < line.n && line.p[n] != ' ') {
		char c = upper(line.p[n]);

		if (n >= POP3_NAME_MAX || c < 'A' || c > 'Z')
			return E_INVALID;
		out->name[n++] = c;
	}
	if (n == 0)
		return E_INVALID;
	out->args = slice_sub(line, n + 1, line.n);
	return 0;
}

int pop3_word(struct slice *args, struct slice *word)
{
	size_t from = 0, to;

	while (from < args->n && args->p[from] == ' ')
		from++;
	to = from;
	while (to < args->n && args->p[to] != ' ')
		to++;
	*word = slice_sub(*args, from, to);
	*args = slice_sub(*args, to, args->n);
	return word->n > 0;
}

int pop3_numbers(struct slice args, int min, int max, uint32_t *out)
{
	struct slice word;
	int n = 0, r;

	while (pop3_word(&args, &word)) {
		if (n == max)
			return E_INVALID;
		r = slice_u32(word, &out[n]);
		if (r == -ERANGE)
			out[n] = UINT32_MAX;
		else if (r < 0)
			return E_INVALID;
		n++;
	}
	return n < min ? E_INVALID : n;
}

/* ---- message octets --------------------------------------------------------- */

size_t pop3_top(struct slice msg, uint32_t lines)
{
	size_t at = 0;
	bool body = false;

	while (at < msg.n && (!body || lines)) {
		struct slice rest = slice_sub(msg, at, msg.n);
		ptrdiff_t lf = slice_chr(rest, '\n');

		if (lf < 0)
			return msg.n;
		at += (size_t)lf + 1;
		if (body)
			lines--;
		else if (lf == 0 || (lf == 1 && rest.p[0] == '\r'))
			body = true;
	}
	return at;
}

void pop3_stuff(struct pop3_stuffing *st, struct slice piece, struct buf *to)
{
	while (piece.n) {
		ptrdiff_t lf = slice_chr(piece, '\n');
		size_t n = lf < 0 ? piece.n : (size_t)lf + 1;

		if (!st->mid && piece.p[0] == '.')
			buf_char(to, '.');
		buf_put(to, piece.p, n);
		st->mid = lf < 0;
		st->cr = piece.p[n - 1] == '\r';
		piece = slice_sub(piece, n, piece.n);
	}
}

void pop3_stuff_end(struct pop3_stuffing *st, struct buf *to)
{
	if (st->mid)
		buf_str(to, st->cr ? "\n" : "\r\n");
	buf_str(to, ".\r\n");
	*st = (struct pop3_stuffing){0};
}
