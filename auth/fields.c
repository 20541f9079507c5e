#include "auth/fields.h"

static struct auth_field *find(const struct auth_fields *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return &f->v[i];
	return NULL;
}

const char *fields_get(const struct auth_fields *f, const char *name)
{
	const struct auth_field *x = find(f, name);

	return x ? x->value : NULL;
}

bool fields_yes(const struct auth_fields *f, const char *name)
{
	const char *value = fields_get(f, name);

	return value && !slice_is_ci(slice_str(value), "no") &&
	       !slice_is_ci(slice_str(value), "n") && strcmp(value, "0") != 0;
}

int fields_set(struct auth_fields *f, struct arena *a, const char *name,
	       const char *value, struct err *e)
{
	struct auth_field *x = find(f, name);

	if (x) {
		x->value = arena_strdup(a, value);
		return 0;
	}
	if (f->n == FIELDS_MAX)
		return err_set(e, E_LIMIT, "more than %d fields", FIELDS_MAX);
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 8;
		struct auth_field *v = arena_alloc(a, cap * sizeof(*v));

		if (f->n)
			memcpy(v, f->v, f->n * sizeof(*v));
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = (struct auth_field){arena_strdup(a, name),
					   arena_strdup(a, value)};
	return 0;
}

void fields_remove(struct auth_fields *f, const char *name)
{
	struct auth_field *x = find(f, name);

	if (!x)
		return;
	size_t i = (size_t)(x - f->v);

	memmove(x, x + 1, (f->n - i - 1) * sizeof(*x));
	f->n--;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

bool fields_word(struct slice *text, struct slice *word_out)
{
	size_t from = 0, to;

	while (from < text->n && is_blank(text->p[from]))
		from++;
	for (to = from; to < text->n && !is_blank(text->p[to]);)
		to++;
	if (to == from)
		return false;
	*word_out = slice_sub(*text, from, to);
	*text = slice_sub(*text, to, text->n);
	return true;
}

void fields_split(struct slice word, struct slice *name, struct slice *value)
{
	ptrdiff_t eq = slice_chr(word, '=');

	*name = eq < 0 ? word : slice_sub(word, 0, (size_t)eq);
	*value = eq < 0 ? SLICE_NONE : slice_sub(word, (size_t)eq + 1, word.n);
}

int fields_parse(struct auth_fields *f, struct arena *a, struct slice text,
		 struct err *e)
{
	struct slice word, name, value;

	while (fields_word(&text, &word)) {
		fields_split(word, &name, &value);
		if (!name.n)
			return err_set(e, E_INVALID, "field without a name");

		int r = fields_set(f, a, arena_strndup(a, name.p, name.n),
				   value.n ? arena_strndup(a, value.p, value.n)
					   : "", e);
		if (r < 0)
			return r;
	}
	return 0;
}
