#include "auth/passwd_file.h"

#include <stdlib.h>

#include "node/base/map.h"

/*
 * Lines are only indexed here and taken apart when asked for: a file of a
 * hundred thousand users is read again at every change.
 */
struct passwd_text {
	char *content;
	struct slice *lines;	/* without the line end */
	size_t n_lines, cap_lines;
	struct map *by_user;	/* to an element of lines[], plus one */
};

static struct slice cut(struct slice *line)
{
	ptrdiff_t colon = slice_chr(*line, ':');
	size_t end = colon < 0 ? line->n : (size_t)colon;
	struct slice field = slice_sub(*line, 0, end);

	*line = slice_sub(*line, end + 1, line->n);
	return field;
}

static void add_line(struct passwd_text *t, struct slice line)
{
	struct slice rest = line, user = cut(&rest);

	if (!user.n || line.p[0] == '#' || line.n > PASSWD_LINE_MAX ||
	    slice_chr(line, 0) >= 0 || map_get(t->by_user, user))
		return;
	GROW(t->lines, t->n_lines, t->cap_lines);
	t->lines[t->n_lines++] = line;
	map_put(t->by_user, user, (void *)(uintptr_t)t->n_lines);
}

struct passwd_text *passwd_text_new(struct slice content)
{
	struct passwd_text *t = NEW(struct passwd_text);

	t->content = xstrndup(content.p, content.n);
	t->by_user = map_new();
	for (struct slice rest = slice_of(t->content, content.n); rest.n;) {
		ptrdiff_t lf = slice_chr(rest, '\n');
		size_t end = lf < 0 ? rest.n : (size_t)lf;

		struct slice line = slice_sub(rest, 0, end);

		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		add_line(t, line);
		rest = slice_sub(rest, end + 1, rest.n);
	}
	return t;
}

void passwd_text_free(struct passwd_text *t)
{
	if (!t)
		return;
	map_free(t->by_user);
	free(t->lines);
	free(t->content);
	free(t);
}

size_t passwd_text_count(const struct passwd_text *t)
{
	return t->n_lines;
}

bool passwd_text_find(const struct passwd_text *t, struct slice user,
		      struct passwd_entry *out)
{
	uintptr_t i = user.n ? (uintptr_t)map_get(t->by_user, user) : 0;

	if (!i)
		return false;

	struct slice rest = t->lines[i - 1];

	out->user = cut(&rest);
	out->password = cut(&rest);
	out->uid = cut(&rest);
	out->gid = cut(&rest);
	cut(&rest);		/* gecos */
	out->home = cut(&rest);
	cut(&rest);		/* shell */
	out->extra = rest;
	return true;
}

struct slice passwd_text_user(const struct passwd_text *t, size_t i)
{
	struct slice line = t->lines[i];

	return cut(&line);
}
