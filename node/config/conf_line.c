/* Lines: comments, continuation, quotes, braces. */

#include "node/config/conf_line.h"
#include "node/base/buf.h"
#include "node/config/conf.h"

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Length without comment and trailing blanks.  A '#' inside of quotes is no
 * comment, nor is one behind a quote that is never closed, as in 2.3. */
static size_t cut_comment(const char *s, size_t n, bool *odd)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\'') {
			char q = s[i++];

			while (i < n && s[i] != q)
				i += s[i] == '\\' && i + 1 < n ? 2 : 1;
		} else if (s[i] == '#') {
			if (i > 0 && !blank(s[i - 1]) && s[i - 1] != '=')
				*odd = true;
			n = i;
		}
	}
	while (n > 0 && blank(s[n - 1]))
		n--;
	return n;
}

bool conf_line_next(struct slice *rest, unsigned *line, struct buf *joined,
		    bool *odd_comment, bool *too_long)
{
	bool more = true, first = true;

	buf_reset(joined);
	*odd_comment = false;
	*too_long = false;
	if (rest->n == 0)
		return false;
	while (more && rest->n > 0) {
		const char *s = (const char *)rest->p;
		const char *nl = memchr(s, '\n', rest->n);
		size_t n = nl ? (size_t)(nl - s) : rest->n;

		*rest = slice_sub(*rest, n + (nl != NULL), rest->n);
		++*line;
		while (n > 0 && blank(*s)) {
			s++;
			n--;
		}
		/* A comment line inside a continuation ends it, as in 2.3. */
		n = cut_comment(s, n, odd_comment);
		more = n > 0 && s[n - 1] == '\\';
		if (more)
			n--;
		while (more && n > 0 && blank(s[n - 1]))
			n--;
		if (!first && n > 0 && joined->n > 0)
			buf_char(joined, ' ');
		buf_put(joined, s, n);
		first = false;
	}
	/* A NUL would hide the rest of the line. */
	for (size_t i = 0; i < joined->n; i++)
		if (joined->p[i] == '\0')
			joined->p[i] = '?';
	buf_char(joined, '\0');
	if (joined->failed) {
		*too_long = true;
		return false;
	}
	return true;
}

static char *skip_blank(char *p)
{
	while (blank(*p))
		p++;
	return p;
}

static void trim_end(char *p)
{
	size_t n = strlen(p);

	while (n > 0 && blank(p[n - 1]))
		p[--n] = '\0';
}

/* In place: quotes at both ends go, "\x" becomes x. */
static bool unquote(char *p)
{
	size_t n = strlen(p);
	char *to = p;

	if (n < 2 || (p[0] != '"' && p[0] != '\'') || p[n - 1] != p[0])
		return false;
	for (size_t i = 1; i < n - 1; i++) {
		if (p[i] == '\\' && i + 1 < n - 1)
			i++;
		*to++ = p[i];
	}
	*to = '\0';
	return true;
}

static void bad(struct conf_line *out, const char *why)
{
	out->kind = CONF_L_BAD;
	out->error = why;
}

/* p: behind the key, at what should be "[name] {". */
static void parse_open(char *p, struct conf_line *out)
{
	out->kind = CONF_L_OPEN;
	out->value = "";
	if (*p != '{') {
		char *end;

		if (*p == '"' || *p == '\'') {
			end = p + 1;
			while (*end && *end != *p)
				end += *end == '\\' && end[1] ? 2 : 1;
			if (*end)
				end++;
		} else {
			end = p;
			while (*end && !blank(*end))
				end++;
		}
		if (!blank(*end)) {
			bad(out, "Expecting '{'");
			return;
		}
		*end = '\0';
		out->value = p;
		out->has_name = true;
		unquote(p);
		p = skip_blank(end + 1);
	}
	if (*p != '{') {
		bad(out, "Expecting '{'");
		return;
	}
	if (*skip_blank(p + 1))
		bad(out, "Garbage after '{'");
}

void conf_line_parse(char *text, struct conf_line *out)
{
	char *p = skip_blank(text), *key = p;
	bool odd = out->odd_comment;

	*out = (struct conf_line){.odd_comment = odd, .value = ""};
	trim_end(p);
	if (!*p)
		return;
	if (strcmp(p, "}") == 0) {
		out->kind = CONF_L_CLOSE;
		return;
	}
	if (*p == '=') {
		bad(out, "Missing key name ('=' at the beginning of line)");
		return;
	}
	while (*p && !blank(*p) && *p != '=')
		p++;
	out->key = key;
	if (blank(*p)) {
		*p++ = '\0';
		p = skip_blank(p);
	}
	if (*p == '=') {
		*p++ = '\0';
		p = skip_blank(p);
		out->kind = CONF_L_SET;
		out->quoted = unquote(p);
		out->value = p;
		return;
	}
	if (strcmp(key, "!include") == 0 || strcmp(key, "!include_try") == 0) {
		out->kind = CONF_L_INCLUDE;
		out->try = key[8] != '\0';
		unquote(p);
		out->value = p;
		return;
	}
	parse_open(p, out);
}
