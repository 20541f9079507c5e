/* duetconf's output. */

#include "node/config/conf_dump.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/map.h"
#include "node/config/conf_int.h"

#include <stdlib.h>

/* One line of output before it is printed. */
struct item {
	const char *path;
	const struct conf_row *row;
	const struct conf_entry *entry;	/* NULL = default */
};

struct dumping {
	const struct conf *c;
	const struct conf_dump *o;
	struct arena *a;
	struct map *seen;
	struct item *v;
	size_t n, cap;
	unsigned mask;
	struct buf *out;
};

static void collect(struct dumping *d, const char *path,
		    const struct conf_entry *x)
{
	const struct conf_row *row = conf_row_find(path);
	bool all = d->o->what == CONF_DUMP_ALL ||
		   d->o->what == CONF_DUMP_DEFAULTS;

	if (!row || (row->flags & CONF_F_BLOCK))
		return;
	if (d->o->module && !(row->modules & d->mask))
		return;
	if ((row->flags & CONF_F_HIDDEN) && !d->o->hidden &&
	    (all || !x || strchr(path, '/')))
		return;
	if (d->o->what == CONF_DUMP_DEFAULTS)
		x = NULL;
	if (!all && !(row->flags & CONF_F_SHOW_EMPTY)) {
		if (!x)
			return;
		if (d->o->what == CONF_DUMP_SET && !x->from_file &&
		    !(row->flags & CONF_F_ANY) &&
		    strncmp(path, "plugin/", 7) != 0 &&
		    conf_value_same(row, x->text, conf_default(path, row)))
			return;
	}
	if (map_get(d->seen, slice_str(path)))
		return;
	path = arena_strdup(d->a, path);
	map_put(d->seen, slice_str(path), (void *)path);
	GROW(d->v, d->n, d->cap);
	d->v[d->n++] = (struct item){.path = path, .row = row, .entry = x};
}

/* Every row of the block at `path`, whose pattern is `pattern`. */
static void collect_rows(struct dumping *d, const char *pattern,
			 const char *path)
{
	const struct conf_row *r;
	size_t n = strlen(pattern);

	for (size_t i = 0; (r = conf_row_at(i)) != NULL; i++) {
		const char *key = r->name + n + 1;
		AUTO_FREE char *full = NULL;

		if (strncmp(r->name, pattern, n) != 0 || r->name[n] != '/' ||
		    strchr(key, '/') || strchr(key, '*'))
			continue;
		full = xprintf("%s/%s", path, key);
		collect(d, full, conf_lookup(d->c, d->o->ctx, full));
	}
}

static void collect_block(struct dumping *d, const char *block,
			  const char *path)
{
	static const char *const inside[][2] = {
		{"service/*", "unix_listener"}, {"service/*", "fifo_listener"},
		{"service/*", "inet_listener"}, {"namespace/*", "mailbox"},
	};
	AUTO_FREE char *pattern = xprintf("%s/*", block);
	bool builtin = d->o->what == CONF_DUMP_ALL ||
		       d->o->what == CONF_DUMP_DEFAULTS;
	const char **names;
	size_t n = conf_children(d->c, d->o->ctx, path, builtin, d->a, &names);
	size_t n_builtin = conf_builtin_count(path);

	for (size_t i = 0; i < n; i++) {
		AUTO_FREE char *one = xprintf("%s/%s", path, names[i]);

		if (d->o->what == CONF_DUMP_DEFAULTS && i >= n_builtin)
			break;
		collect_rows(d, pattern, one);
		for (size_t j = 0; j < ARRAY_LEN(inside); j++) {
			AUTO_FREE char *b = NULL;
			AUTO_FREE char *p = NULL;

			if (strcmp(inside[j][0], pattern) != 0)
				continue;
			b = xprintf("%s/%s", pattern, inside[j][1]);
			p = xprintf("%s/%s", one, inside[j][1]);
			collect_block(d, b, p);
		}
	}
}

static void collect_all(struct dumping *d)
{
	static const char *const blocks[] = {"service", "namespace", "passdb",
					     "userdb",	"metric",
					     "event_exporter"};
	const struct conf_row *r;

	for (size_t i = 0; (r = conf_row_at(i)) != NULL; i++)
		if (!strchr(r->name, '/'))
			collect(d, r->name,
				conf_lookup(d->c, d->o->ctx, r->name));
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		collect_block(d, blocks[i], blocks[i]);
	if (d->o->what == CONF_DUMP_DEFAULTS)
		return;
	/* Free names: plugin, dict, unknown ones of services. */
	for (size_t i = 0; i < d->c->n_layers; i++) {
		const struct conf_layer *l = &d->c->layers[i];

		if (i > 0 &&
		    (!d->o->ctx || !conf_layer_matches(l, d->o->ctx)))
			continue;
		for (size_t j = 0; j < l->n; j++)
			collect(d, l->entries[j]->path,
				conf_lookup(d->c, d->o->ctx,
					    l->entries[j]->path));
	}
}

static int by_path(const void *a, const void *b)
{
	return conf_path_cmp(((const struct item *)a)->path,
			     ((const struct item *)b)->path);
}

/* ---- printing ---------------------------------------------------------- */

static void put_quoted(struct buf *out, const char *s)
{
	buf_char(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\' || *s == '\'')
			buf_char(out, '\\');
		buf_char(out, (uint8_t)*s);
	}
	buf_char(out, '"');
}

/* The name of a block or filter. */
static void put_block_name(struct buf *out, const char *name)
{
	if (strpbrk(name, " \t\"'{}#\\") || !*name)
		put_quoted(out, name);
	else
		buf_str(out, name);
}

/* Would reading it back give something else?  literal: a '$' or '<' in it is
 * just that. */
static bool needs_quotes(const char *s, bool literal)
{
	size_t n = strlen(s);

	return n > 0 &&
	       (s[0] == ' ' || s[0] == '\t' || s[n - 1] == ' ' ||
		s[n - 1] == '\t' || s[n - 1] == '\\' || strchr(s, '#') ||
		((s[0] == '"' || s[0] == '\'') && n > 1 &&
		 s[n - 1] == s[0]) ||
		(literal && (s[0] == '<' || s[0] == '$' || strstr(s, " $") ||
			     strstr(s, "\t$"))));
}

static void put_value(struct buf *out, const char *s, bool literal)
{
	if (needs_quotes(s, literal))
		put_quoted(out, s);
	else
		buf_str(out, s);
}

/* "password=x" inside of args. */
static char *hide_words(struct arena *a, const char *s)
{
	char *out = arena_strdup(a, "");

	while (*s) {
		size_t n = strcspn(s, " "), blanks = strspn(s + n, " ");

		if (strncmp(s, "password=", 9) == 0 ||
		    strncmp(s, "pass=", 5) == 0)
			out = arena_printf(a, "%s%.*s#hidden_use-P_to_show#%.*s",
					   out, (int)(strcspn(s, "=") + 1), s,
					   (int)blanks, s + n);
		else
			out = arena_printf(a, "%s%.*s", out, (int)(n + blanks),
					   s);
		s += n + blanks;
	}
	return out;
}

static bool is_args(const char *path)
{
	return (strncmp(path, "passdb/", 7) == 0 ||
		strncmp(path, "userdb/", 7) == 0) &&
	       strstr(path, "/args");
}

static void put_item_value(struct dumping *d, const struct item *it)
{
	const struct conf_entry *x = it->entry;
	const char *raw = x ? x->raw : conf_default(it->path, it->row);
	bool literal = x && !x->from_file && x->text == x->raw;
	struct buf b;
	char *text;

	if ((it->row->flags & (CONF_F_SECRET | CONF_F_HIDE_VALUE)) && *raw &&
	    !d->o->passwords) {
		buf_str(d->out, "# hidden, use -P to show it");
		return;
	}
	if (x && d->o->expand) {
		if (x->from_file) {
			buf_slice(d->out, x->bytes);
			return;
		}
		raw = x->text;
	}
	/* A value with `$x` that needs quotes cannot be written as it was. */
	if (x && !x->from_file && !literal && needs_quotes(raw, false)) {
		raw = x->text;
		literal = true;
	}
	if (is_args(it->path) && !d->o->passwords) {
		const char *hidden = hide_words(d->a, raw);

		if (strcmp(hidden, raw) != 0) {
			buf_str(d->out, hidden);
			return;
		}
	}
	buf_init(&b, CONF_LINE_MAX);
	conf_value_print(it->row, raw, &b);
	text = arena_strndup(d->a, b.n ? (void *)b.p : (void *)"", b.n);
	buf_fini(&b);
	if (d->o->values_only)
		buf_str(d->out, text);
	else
		put_value(d->out, text, literal);
}

static void indent(struct buf *out, unsigned depth)
{
	buf_fill(out, ' ', 2u * depth);
}

static void put_name(struct dumping *d, const char *comp, size_t n)
{
	char *name = conf_path_unescape(d->a, comp, n);

	/* A plain number is an unnamed block. */
	if (comp[0] != '\\' && comp[strspn(comp, "0123456789")] == '/')
		return;
	buf_char(d->out, ' ');
	put_block_name(d->out, name);
}

/* Offsets in path where a block's inner part begins: "service/x/" … */
static unsigned block_ends(const char *path, size_t *ends, unsigned max)
{
	unsigned n = 0;
	const char *p = path;

	while (n < max) {
		const char *slash = strchr(p, '/');
		bool free = strncmp(p, "plugin/", 7) == 0 ||
			    strncmp(p, "dict/", 5) == 0;

		if (!slash)
			return n;
		if (p == path && free) {
			ends[n++] = (size_t)(slash + 1 - path);
			return n;
		}
		slash = strchr(slash + 1, '/');
		if (!slash)
			return n;
		ends[n++] = (size_t)(slash + 1 - path);
		p = slash + 1;
	}
	return n;
}

static void open_block(struct dumping *d, const char *from, size_t n,
		       unsigned depth)
{
	size_t kind = strcspn(from, "/");

	indent(d->out, depth);
	buf_put(d->out, from, kind);
	if (kind + 1 < n)
		put_name(d, from + kind + 1, n - kind - 2);
	buf_str(d->out, " {\n");
}

static void put_tree(struct dumping *d, unsigned depth)
{
	const char *last = "";
	size_t open[8] = {0};
	unsigned n_open = 0;

	for (size_t i = 0; i < d->n; i++) {
		const char *path = d->v[i].path;
		size_t ends[8];
		unsigned n = block_ends(path, ends, 8), same = 0;

		while (same < n && same < n_open && ends[same] == open[same] &&
		       memcmp(path, last, ends[same]) == 0)
			same++;
		while (n_open > same) {
			n_open--;
			indent(d->out, depth + n_open);
			buf_str(d->out, "}\n");
		}
		while (n_open < n) {
			size_t from = n_open ? ends[n_open - 1] : 0;

			open_block(d, path + from, ends[n_open] - from,
				   depth + n_open);
			open[n_open] = ends[n_open];
			n_open++;
		}
		indent(d->out, depth + n);
		buf_str(d->out, path + (n ? ends[n - 1] : 0));
		buf_str(d->out, " = ");
		put_item_value(d, &d->v[i]);
		buf_char(d->out, '\n');
		last = path;
	}
	while (n_open > 0) {
		n_open--;
		indent(d->out, depth + n_open);
		buf_str(d->out, "}\n");
	}
}

static void put_machine(struct dumping *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (!d->o->values_only) {
			buf_str(d->out, d->v[i].path);
			buf_char(d->out, '=');
		}
		put_item_value(d, &d->v[i]);
		buf_char(d->out, '\n');
	}
}

static void put_items(struct dumping *d, unsigned depth)
{
	if (d->n)
		qsort(d->v, d->n, sizeof(*d->v), by_path);
	if (d->o->machine || d->o->values_only)
		put_machine(d);
	else
		put_tree(d, depth);
}

static void reset(struct dumping *d)
{
	map_free(d->seen);
	d->seen = map_new();
	d->n = 0;
}

/* A filter's own settings, whatever their value: they override. */
static void put_layer(struct dumping *d, size_t i)
{
	const struct conf_layer *l = &d->c->layers[i];
	const struct {
		const char *kind, *text;
	} f[] = {
		{"local", l->filter.local.text},
		{"local_name", l->filter.local_name},
		{"remote", l->filter.remote.text},
		{"protocol", l->filter.protocol},
	};
	unsigned depth = 0;

	reset(d);
	for (size_t j = 0; j < l->n; j++) {
		const struct conf_entry *x = l->entries[j];

		if (x->row->flags & (CONF_F_BLOCK | CONF_F_HIDDEN))
			continue;
		if (d->o->module && !(x->row->modules & d->mask))
			continue;
		GROW(d->v, d->n, d->cap);
		d->v[d->n++] = (struct item){
			.path = x->path, .row = x->row, .entry = x};
	}
	if (d->n == 0)
		return;
	for (size_t k = 0; k < ARRAY_LEN(f); k++) {
		if (!f[k].text)
			continue;
		indent(d->out, depth++);
		buf_str(d->out, f[k].kind);
		buf_char(d->out, ' ');
		put_block_name(d->out, f[k].text);
		buf_str(d->out, " {\n");
	}
	put_items(d, depth);
	while (depth > 0) {
		indent(d->out, --depth);
		buf_str(d->out, "}\n");
	}
}

static struct dumping start(const struct conf *c, const struct conf_dump *o,
			    struct buf *out)
{
	return (struct dumping){
		.c = c,
		.o = o,
		.a = arena_new(8192),
		.seen = map_new(),
		.mask = o->module ? conf_module_mask(o->module) : 0,
		.out = out,
	};
}

static void finish(struct dumping *d)
{
	map_free(d->seen);
	free(d->v);
	arena_free(d->a);
}

void conf_dump(const struct conf *c, const struct conf_dump *o,
	       struct buf *out)
{
	struct dumping d = start(c, o, out);

	collect_all(&d);
	put_items(&d, 0);
	if (o->what != CONF_DUMP_DEFAULTS && !o->machine && !o->values_only)
		for (size_t i = 1; i < c->n_layers; i++)
			put_layer(&d, i);
	finish(&d);
}

/* "namespace/inbox/mailbox/a b/auto" as typed has its blanks escaped. */
static char *typed_path(struct arena *a, const char *name)
{
	struct buf b;
	char *s;

	buf_init(&b, 4096);
	for (; *name; name++) {
		if (*name == ' ')
			buf_str(&b, "\\_");
		else
			buf_char(&b, (uint8_t)*name);
	}
	s = arena_strndup(a, b.n ? (void *)b.p : (void *)"", b.n);
	buf_fini(&b);
	return s;
}

/* Is it a setting with a value, or only the name of a row? */
static bool has_value(const struct conf *c, const struct conf_dump *o,
		      const char *path, const struct conf_row *row)
{
	if (!row || (row->flags & CONF_F_BLOCK))
		return false;
	return !(row->flags & CONF_F_ANY || strncmp(path, "plugin/", 7) == 0) ||
	       conf_lookup(c, o->ctx, path);
}

int conf_dump_name(const struct conf *c, const struct conf_dump *o,
		   const char *name, struct buf *out, struct err *e)
{
	struct dumping d = start(c, o, out);
	char *path = typed_path(d.a, name);
	const struct conf_row *row = conf_row_find(path);
	size_t n = strlen(path), kept = 0;
	int r = 0;

	if (has_value(c, o, path, row)) {
		struct item it = {.path = path, .row = row};

		if (o->what != CONF_DUMP_DEFAULTS)
			it.entry = conf_lookup(c, o->ctx, path);
		if (!o->values_only) {
			buf_str(out, name);
			buf_str(out, o->machine ? "=" : " = ");
		}
		put_item_value(&d, &it);
		buf_char(out, '\n');
		finish(&d);
		return 0;
	}
	collect_all(&d);
	for (size_t i = 0; i < d.n; i++)
		if (strncmp(d.v[i].path, path, n) == 0 && d.v[i].path[n] == '/')
			d.v[kept++] = d.v[i];
	d.n = kept;
	if (kept == 0 && !conf_block_find(path)) {
		const char *near = conf_row_nearest(path);

		r = err_set(e, E_NOTFOUND, "Unknown setting: %s%s%s%s", name,
			    near ? " (did you mean " : "", near ? near : "",
			    near ? "?)" : "");
	}
	put_items(&d, 0);
	finish(&d);
	return r;
}
