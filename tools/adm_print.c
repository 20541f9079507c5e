/* Formatters. */

#include "tools/adm_print.h"
#include "node/base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct form {
	const char *name;
	void (*begin)(struct print *p);
	void (*row)(struct print *p, const char *const *cells);
	void (*end)(struct print *p);
};

struct print {
	const struct form *form;
	const struct print_column *cols;
	size_t n;
	unsigned gap;
	FILE *out;
	size_t rows;
	/* table */
	struct arena *kept;
	const char **cells;
	size_t n_cells, cap_cells;
	unsigned width[PRINT_COLUMNS_MAX];
	bool fixed;
};

static const char *title(const struct print_column *c)
{
	return c->title ? c->title : c->key;
}

static const char *text_of(const char *cell)
{
	return cell ? cell : "";
}

/* What is shown to people: no control character gets through. */
static void put_plain(FILE *out, const char *s)
{
	for (; *s; s++) {
		uint8_t ch = (uint8_t)*s;

		putc(ch < 0x20 || ch == 0x7f ? '?' : ch, out);
	}
}

static bool titled(const struct print *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!(p->cols[i].flags & PRINT_HIDE_TITLE))
			return true;
	return false;
}

/* ---- table --------------------------------------------------------------- */

/* Places on a terminal, close enough: continuation bytes take none. */
static unsigned places(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += ((uint8_t)*s & 0xc0) != 0x80;
	return n;
}

static void widen(struct print *p, const char *const *cells)
{
	for (size_t i = 0; i < p->n; i++) {
		unsigned w = places(text_of(cells[i]));

		if (w > p->width[i])
			p->width[i] = w;
	}
}

static void table_line(struct print *p, const char *const *cells)
{
	size_t last = p->n;

	/* No blanks at the end of a line. */
	while (last > 1 && !*text_of(cells[last - 1]))
		last--;
	for (size_t i = 0; i < last; i++) {
		const char *s = text_of(cells[i]);
		unsigned w = places(s);
		unsigned fill = w < p->width[i] ? p->width[i] - w : 0;
		bool right = p->cols[i].flags & PRINT_RIGHT;

		if (right)
			fprintf(p->out, "%*s", (int)fill, "");
		put_plain(p->out, s);
		if (i + 1 < last)
			fprintf(p->out, "%*s",
				(int)((right ? 0 : fill) + p->gap), "");
	}
	putc('\n', p->out);
}

static void table_fix(struct print *p)
{
	const char *titles[PRINT_COLUMNS_MAX];

	for (size_t i = 0; i < p->n; i++)
		titles[i] = title(&p->cols[i]);
	if (titled(p)) {
		widen(p, titles);
		table_line(p, titles);
	}
	for (size_t i = 0; i < p->n_cells; i += p->n)
		table_line(p, p->cells + i);
	p->n_cells = 0;
	p->fixed = true;
	arena_free(p->kept);
	p->kept = NULL;
}

static void table_begin(struct print *p)
{
	p->kept = arena_new(4096);
	for (size_t i = 0; i < p->n; i++)
		p->width[i] = p->cols[i].width;
}

static void table_row(struct print *p, const char *const *cells)
{
	if (p->fixed) {
		table_line(p, cells);
		return;
	}
	widen(p, cells);
	for (size_t i = 0; i < p->n; i++) {
		GROW(p->cells, p->n_cells, p->cap_cells);
		p->cells[p->n_cells++] =
			arena_strdup(p->kept, text_of(cells[i]));
	}
	if (p->rows >= PRINT_TABLE_ROWS)
		table_fix(p);
}

static void table_end(struct print *p)
{
	if (!p->fixed)
		table_fix(p);
	free(p->cells);
}

/* ---- tab ------------------------------------------------------------------ */

static void put_tab(FILE *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '\t': fputs("\\t", out); break;
		case '\n': fputs("\\n", out); break;
		case '\r': fputs("\\r", out); break;
		case '\\': fputs("\\\\", out); break;
		default: putc(*s, out);
		}
	}
}

static void tab_row(struct print *p, const char *const *cells)
{
	for (size_t i = 0; i < p->n; i++) {
		put_tab(p->out, text_of(cells[i]));
		putc(i + 1 < p->n ? '\t' : '\n', p->out);
	}
}

/* 2.3 prints the header also where the table hides it. */
static void tab_begin(struct print *p)
{
	const char *titles[PRINT_COLUMNS_MAX];

	for (size_t i = 0; i < p->n; i++)
		titles[i] = title(&p->cols[i]);
	tab_row(p, titles);
}

/* ---- flow, pager ------------------------------------------------------------ */

static void flow_row(struct print *p, const char *const *cells)
{
	for (size_t i = 0; i < p->n; i++) {
		if (i)
			putc(' ', p->out);
		if (!(p->cols[i].flags & PRINT_HIDE_TITLE))
			fprintf(p->out, "%s=", title(&p->cols[i]));
		put_plain(p->out, text_of(cells[i]));
	}
	putc('\n', p->out);
}

static void pager_row(struct print *p, const char *const *cells)
{
	if (p->rows > 1)
		fputs("\f\n", p->out);
	for (size_t i = 0; i < p->n; i++) {
		if (!(p->cols[i].flags & PRINT_HIDE_TITLE))
			fprintf(p->out, "%s: ", title(&p->cols[i]));
		put_plain(p->out, text_of(cells[i]));
		putc('\n', p->out);
	}
}

/* ---- json -------------------------------------------------------------------- */

/* Length of the UTF-8 sequence at s, 0 if it is none. */
static size_t utf8_at(const uint8_t *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 :
		   s[0] >= 0xe0 && s[0] < 0xf0 ? 3 :
		   s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if (n == 3 && ((s[0] == 0xe0 && s[1] < 0xa0) ||
		       (s[0] == 0xed && s[1] >= 0xa0)))
		return 0;
	if (n == 4 && ((s[0] == 0xf0 && s[1] < 0x90) ||
		       (s[0] == 0xf4 && s[1] >= 0x90)))
		return 0;
	return n;
}

static void put_json(FILE *out, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;

	putc('"', out);
	while (*s) {
		size_t n = utf8_at(s);

		if (!n)
			fputs("\\ufffd", out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(out, "\\u%04x", *s);
		else
			fwrite(s, 1, n, out);
		s += n ? n : 1;
	}
	putc('"', out);
}

static void json_begin(struct print *p)
{
	putc('[', p->out);
}

static void json_row(struct print *p, const char *const *cells)
{
	fputs(p->rows > 1 ? ",{" : "{", p->out);
	for (size_t i = 0; i < p->n; i++) {
		if (i)
			putc(',', p->out);
		put_json(p->out, p->cols[i].key);
		putc(':', p->out);
		put_json(p->out, text_of(cells[i]));
	}
	putc('}', p->out);
}

static void json_end(struct print *p)
{
	fputs("]\n", p->out);
}

/* ---- the printer ---------------------------------------------------------------- */

static const struct form forms[] = {
	{"table", table_begin, table_row, table_end},
	{"tab", tab_begin, tab_row, NULL},
	{"flow", NULL, flow_row, NULL},
	{"pager", NULL, pager_row, NULL},
	{"json", json_begin, json_row, json_end},
};

static const struct form *form_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (strcmp(forms[i].name, name) == 0)
			return &forms[i];
	return NULL;
}

bool print_known(const char *formatter)
{
	return form_of(formatter) != NULL;
}

struct print *print_new(const char *formatter, const struct print_column *cols,
			size_t n, unsigned gap, FILE *out)
{
	struct print *p = NEW(struct print);

	assert(n > 0 && n <= PRINT_COLUMNS_MAX);
	*p = (struct print){.form = form_of(formatter), .cols = cols, .n = n,
			    .gap = gap, .out = out};
	assert(p->form);
	if (p->form->begin)
		p->form->begin(p);
	return p;
}

void print_row(struct print *p, const char *const *cells)
{
	p->rows++;
	p->form->row(p, cells);
}

void print_end(struct print *p)
{
	if (p->form->end)
		p->form->end(p);
	free(p);
}
