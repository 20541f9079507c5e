#include "proto/mime.h"

/* Header fields: finding, unfolding, filtering. */

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Offset behind the line that begins at `at`. */
static size_t line_end(struct slice s, size_t at)
{
	const uint8_t *lf = memchr(s.p + at, '\n', s.n - at);

	return lf ? (size_t)(lf - s.p) + 1 : s.n;
}

static bool is_empty_line(struct slice s, size_t at)
{
	return s.p[at] == '\n' ||
	       (s.p[at] == '\r' && at + 1 < s.n && s.p[at + 1] == '\n');
}

/* "Name" of "Name : value"; empty if the line is no field. */
static struct slice field_name(struct slice line, size_t *colon)
{
	size_t n = 0, end;

	while (n < line.n && line.p[n] > ' ' && line.p[n] < 0x7f &&
	       line.p[n] != ':')
		n++;
	for (end = n; end < line.n && is_blank(line.p[end]); end++)
		;
	if (n == 0 || end == line.n || line.p[end] != ':')
		return SLICE_NONE;
	*colon = end;
	return slice_sub(line, 0, n);
}

bool mime_field_next(struct slice msg, size_t *pos, struct mime_field *out)
{
	size_t at = *pos, end, colon = 0;

	while (at < msg.n) {
		if (is_empty_line(msg, at)) {
			*pos = line_end(msg, at);
			return false;
		}
		end = line_end(msg, at);
		out->name = field_name(slice_sub(msg, at, end), &colon);
		while (end < msg.n && is_blank(msg.p[end]))
			end = line_end(msg, end);
		if (out->name.n == 0) {
			at = end;
			continue;
		}
		out->whole = slice_sub(msg, at, end);
		out->raw = slice_sub(msg, at + colon + 1, end);
		if (out->raw.n && out->raw.p[out->raw.n - 1] == '\n')
			out->raw.n--;
		if (out->raw.n && out->raw.p[out->raw.n - 1] == '\r')
			out->raw.n--;
		*pos = end;
		return true;
	}
	*pos = msg.n;
	return false;
}

struct slice mime_unfold(struct slice raw, struct arena *a)
{
	uint8_t *copy;
	size_t i, n = 0;

	raw = slice_trim(raw);
	if (raw.n > MIME_VALUE_MAX)
		raw.n = MIME_VALUE_MAX;
	if (slice_chr(raw, '\n') < 0 && slice_chr(raw, '\r') < 0)
		return raw;
	copy = arena_alloc(a, raw.n);
	for (i = 0; i < raw.n; i++)
		if (raw.p[i] != '\r' && raw.p[i] != '\n')
			copy[n++] = raw.p[i];
	return slice_of(copy, n);
}

bool mime_field_find(struct slice header, const char *name,
		     struct mime_field *out)
{
	struct slice wanted = slice_str(name);
	struct mime_field f;
	size_t pos = 0;

	while (mime_field_next(header, &pos, &f)) {
		if (slice_eq_ci(f.name, wanted)) {
			*out = f;
			return true;
		}
	}
	return false;
}

void mime_header_filter(struct slice header, const struct mime_section *s,
			struct buf *to)
{
	bool invert = s->kind == MIME_SECTION_HEADER_FIELDS_NOT;
	struct mime_field f;
	size_t pos = 0, i;

	while (mime_field_next(header, &pos, &f)) {
		for (i = 0; i < s->n_fields; i++)
			if (slice_eq_ci(f.name, s->fields[i]))
				break;
		if ((i < s->n_fields) == invert)
			continue;
		buf_slice(to, f.whole);
		if (f.whole.p[f.whole.n - 1] != '\n')
			buf_str(to, "\r\n");
	}
	buf_str(to, "\r\n");
}
