/* Files into layers: includes, blocks, filters, values. */

#include "node/config/conf_int.h"
#include "node/config/conf_line.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#include <errno.h>
#include <glob.h>
#include <sys/stat.h>

/* Where we are: one frame per open brace. */
struct frame {
	enum { AT_TOP, IN_BLOCK, IN_FILTER } kind;
	const char *path;	/* prefix with names, "" outside of blocks */
	const char *words;	/* "service { " for errors */
	size_t layer;
	bool free_names;	/* plugin, dict */
	bool ignored;		/* a block of a service that nobody knows */
	const char *file;
	unsigned line;
};

struct parser {
	struct conf *c;
	const struct conf_opts *o;
	struct err *e;
	struct frame at[CONF_SECTION_DEPTH + 1];
	size_t depth;
	const char *file;
	unsigned line;
	unsigned file_mode;	/* permissions of the file being read */
	unsigned includes;
	size_t total;
};

#define FAIL(p, ...) conf_fail((p)->e, (p)->file, (p)->line, __VA_ARGS__)

static struct frame *top(struct parser *p)
{
	return &p->at[p->depth];
}

/* ---- values ------------------------------------------------------------ */

static int unknown(struct parser *p, const char *path, const char *key)
{
	const char *near = conf_row_nearest(path);
	AUTO_FREE char *inside = xprintf("plugin/%s", key);
	const struct conf_row *row = conf_row_find(inside);

	/* The name is right, its block is not. */
	if (near && strcmp(near, strrchr(key, '/') ? strrchr(key, '/') + 1
						   : key) == 0)
		near = NULL;
	if (!strchr(path, '/') && row && !(row->flags & CONF_F_ANY))
		return FAIL(p, "Unknown setting: %s (it belongs inside of "
			       "plugin {})",
			    key);
	return FAIL(p, "Unknown setting: %s%s%s%s%s", top(p)->words, key,
		    near ? " (did you mean " : "", near ? near : "",
		    near ? "?)" : "");
}

static int read_value_file(struct parser *p, struct conf_entry *x,
			   const char *key)
{
	const char *name = x->raw + 1;
	struct buf b;
	unsigned mode = 0;
	int r;

	name += strspn(name, " \t");
	if (*name != '/') {
		const char *slash = strrchr(p->file, '/');

		name = arena_printf(p->c->arena, "%.*s%s",
				    slash ? (int)(slash - p->file + 1) : 0,
				    p->file, name);
	}
	x->from_file = arena_strdup(p->c->arena, name);
	x->text = x->raw;
	x->bytes = slice_str(x->raw);
	if (p->c->flags & CONF_NO_FILES)
		return 0;
	buf_init(&b, CONF_VALUE_FILE_MAX + CONF_READ_BLOCK);
	r = conf_read_file(p->o ? p->o->root : NULL, name, CONF_VALUE_FILE_MAX,
			   &b, &mode);
	if (r == 0 && p->total + b.n > CONF_TOTAL_MAX)
		r = -EFBIG;
	if (r < 0) {
		buf_fini(&b);
		return FAIL(p, "%s: Can't open file %s: %s", key, name,
			    strerror(-r));
	}
	p->total += b.n;
	if ((x->row->flags & (CONF_F_TLS | CONF_F_LINK)) && (mode & 077))
		conf_note_add(p->c, CONF_WARNING, p->file, p->line,
			      "%s: %s is readable by others (mode 0%o): make "
			      "it 0600",
			      key, name, mode & 07777);
	x->bytes = arena_dup(p->c->arena, buf_all(&b));
	/* As text without the last line's end. */
	while (b.n > 0 && (b.p[b.n - 1] == '\n' || b.p[b.n - 1] == '\r'))
		buf_truncate(&b, b.n - 1);
	x->text = arena_strndup(p->c->arena, b.p, b.n);
	buf_fini(&b);
	return 0;
}

static int expand_value(struct parser *p, struct conf_entry *x)
{
	struct arena *a = p->c->arena;
	struct err why = ERR_NONE;
	struct buf text, shown;
	int r;

	buf_init(&text, CONF_LINE_MAX);
	buf_init(&shown, CONF_LINE_MAX);
	r = conf_expand_dollar(p->c, top(p)->layer, x->path, x->raw, &text,
			       &shown, &why);
	if (r < 0)
		r = FAIL(p, "%s", why.op);
	else if (text.failed || shown.failed)
		r = FAIL(p, "Value is too long");
	if (r == 0) {
		x->text = arena_strndup(a, text.n ? (void *)text.p : "",
					text.n);
		x->raw = arena_strndup(a, shown.n ? (void *)shown.p : "",
				       shown.n);
		x->bytes = slice_str(x->text);
	}
	buf_fini(&text);
	buf_fini(&shown);
	return r;
}

/* A global value set after a filter set it: the filter's stays. */
static void warn_earlier_filter(struct parser *p, size_t layer,
				const char *path, const char *key)
{
	for (size_t i = 1; i < p->c->n_layers; i++) {
		const struct conf_entry *x;

		if (i == layer ||
		    !conf_filter_within(&p->c->layers[i].filter,
					&p->c->layers[layer].filter))
			continue;
		x = conf_layer_get(p->c, i, path);
		if (!x)
			continue;
		conf_note_add(p->c, CONF_WARNING, p->file, p->line,
			      "Global setting %s won't change the setting "
			      "inside an earlier filter at %s line %u (if this "
			      "is intentional, avoid this warning by moving "
			      "the global setting before %s line %u)",
			      key, x->file, x->line, x->file, x->line);
		return;
	}
}

static int set_value(struct parser *p, const char *path, const char *key,
		     const char *value, bool quoted)
{
	struct conf *c = p->c;
	struct conf_entry x = {
		.path = arena_strdup(c->arena, path),
		.row = conf_row_find(path),
		.raw = arena_strdup(c->arena, value),
		.file = p->file,
		.line = p->line,
	};
	size_t layer = top(p)->layer;
	struct err why = ERR_NONE;

	if (!x.row || (x.row->flags & CONF_F_BLOCK))
		return unknown(p, path, key);
	if (c->n_entries >= CONF_ENTRIES_MAX)
		return FAIL(p, "Too many settings (at most %d)",
			    CONF_ENTRIES_MAX);
	x.text = x.raw;
	x.bytes = slice_str(x.raw);
	if (!quoted && value[0] == '<' && value[1]) {
		if (read_value_file(p, &x, key) < 0)
			return E_CONFIG;
	} else if (!quoted && strchr(value, '$')) {
		if (expand_value(p, &x) < 0)
			return E_CONFIG;
	}
	if (!(x.from_file && (c->flags & CONF_NO_FILES)) &&
	    conf_value_parse(x.row, x.text, NULL, &why) < 0)
		return FAIL(p, "%s", why.op);
	if ((x.row->flags & CONF_F_SECRET) && !x.from_file && *x.text &&
	    (p->file_mode & 077))
		conf_note_add(c, CONF_WARNING, p->file, p->line,
			      "%s holds a secret and is readable by others "
			      "(mode 0%o): make it 0600",
			      p->file, p->file_mode & 07777);
	warn_earlier_filter(p, layer, path, key);
	conf_layer_put(c, layer, &x);
	return 0;
}

static int mark_block(struct parser *p, const char *path);

/* Does a component of a typed path read as the same name again?  Plain
 * numbers are unnamed blocks and must be there already. */
static bool good_component(struct arena *a, const char *comp, size_t n)
{
	char *name = conf_path_unescape(a, comp, n);
	struct buf b;
	bool same;

	if (n == 0 || !*name)
		return false;
	buf_init(&b, CONF_LINE_MAX);
	conf_path_add(&b, name);
	same = b.n == n && memcmp(b.p, comp, n) == 0;
	buf_fini(&b);
	return same;
}

/* "service/lmtp/user": its blocks come into being, as if opened. */
static int open_path(struct parser *p, const char *path)
{
	struct arena *a = p->c->arena;
	const char *at = path;

	for (;;) {
		const char *slash = strchr(at, '/'), *name, *end;
		const struct conf_block *b;
		char *upto;

		if (!slash)
			return 0;
		b = conf_block_find(arena_strndup(a, path,
						  (size_t)(slash - path)));
		name = slash + 1;
		if (!b)
			return unknown(p, path, path);
		if (b->naming == CONF_FREE)
			return *name ? 0 : unknown(p, path, path);
		end = strchr(name, '/');
		if (!end)
			return unknown(p, path, path);
		upto = arena_strndup(a, path, (size_t)(end - path));
		if (!conf_layer_get(p->c, top(p)->layer, upto)) {
			if (b->naming == CONF_NEW ||
			    !good_component(a, name, (size_t)(end - name)))
				return unknown(p, path, path);
			if (mark_block(p, upto) < 0)
				return E_CONFIG;
		}
		at = end + 1;
	}
}

/* "service/lmtp/user = x" at the top is the same as inside the block. */
static int set_line(struct parser *p, const struct conf_line *l)
{
	const struct frame *f = top(p);
	AUTO_FREE char *path = NULL;

	if (f->ignored)
		return 0;
	if (*f->path && strchr(l->key, '/'))
		return unknown(p, l->key, l->key);
	if (strchr(l->key, '/') && open_path(p, l->key) < 0)
		return E_CONFIG;
	path = *f->path ? xprintf("%s/%s", f->path, l->key) : xstrdup(l->key);
	return set_value(p, path, l->key, l->value, l->quoted);
}

/* ---- braces ------------------------------------------------------------ */

static int push(struct parser *p, struct frame f)
{
	if (p->depth >= CONF_SECTION_DEPTH)
		return FAIL(p, "Sections are nested too deeply");
	f.file = p->file;
	f.line = p->line;
	p->at[++p->depth] = f;
	return 0;
}

static int filter_rank(const char *key)
{
	static const char *const kinds[] = {"local", "local_name", "remote",
					    "protocol"};

	for (int i = 0; i < 4; i++)
		if (strcmp(key, kinds[i]) == 0)
			return i;
	return -1;
}

static const char *innermost(const struct conf_filter *f, int *rank)
{
	*rank = f->protocol	? 3
		: f->remote.text ? 2
		: f->local_name	 ? 1
		: f->local.text	 ? 0
				 : -1;
	return *rank == 3   ? "protocol"
	       : *rank == 2 ? "remote"
	       : *rank == 1 ? "local_name"
			    : "local";
}

static int narrow(struct parser *p, struct conf_net *net, const char *key,
		  const char *text)
{
	struct conf_net outer = *net;
	struct err why = ERR_NONE;

	if (conf_net_parse_in(p->c->arena, text, net, &why) < 0)
		return FAIL(p, "%s", why.op);
	if (outer.text && !conf_net_inside(net, &outer))
		return FAIL(p,
			    "%s net1 { %s net2 { .. } } requires net2 to be "
			    "inside net1",
			    key, key);
	return 0;
}

static int open_filter(struct parser *p, const struct conf_line *l, int rank)
{
	struct frame f = {.kind = IN_FILTER, .path = "", .words = ""};
	struct conf_filter filter = p->c->layers[top(p)->layer].filter;
	int outer_rank;
	const char *outer = innermost(&filter, &outer_rank);
	const char *text = arena_strdup(p->c->arena, l->value);

	if (top(p)->kind == IN_BLOCK)
		return FAIL(p, "Unknown setting: %s%s", top(p)->words, l->key);
	if (!*text)
		return FAIL(p, "Section %s is missing a name", l->key);
	if (rank == 3 && outer_rank == 3)
		return FAIL(p, "Nested protocol { protocol { .. } } block not "
			       "allowed");
	if (rank == 1 && outer_rank == 1)
		return FAIL(p, "Nested local_name { local_name { .. } } block "
			       "not allowed");
	if (rank < outer_rank)
		return FAIL(p,
			    "%s { %s { .. } } not allowed (use %s { %s { .. } "
			    "} instead)",
			    outer, l->key, l->key, outer);
	if (rank == 0 && narrow(p, &filter.local, l->key, text) < 0)
		return E_CONFIG;
	if (rank == 2 && narrow(p, &filter.remote, l->key, text) < 0)
		return E_CONFIG;
	if (rank == 1)
		filter.local_name = text;
	if (rank == 3)
		filter.protocol = text;
	if (p->c->n_layers >= CONF_FILES_MAX)
		return FAIL(p, "Too many filters");
	f.layer = conf_layer_for(p->c, &filter, top(p)->layer);
	return push(p, f);
}

/* The next number for an unnamed block below path, in this layer and those
 * around it. */
static unsigned next_index(const struct conf *c, size_t layer,
			   const char *path)
{
	unsigned n = 0;

	for (;; layer = c->layers[layer].parent) {
		const struct conf_layer *l = &c->layers[layer];
		size_t len = strlen(path);

		for (size_t i = 0; i < l->n; i++) {
			const char *x = l->entries[i]->path;
			unsigned v = 0;
			size_t d;

			if (strncmp(x, path, len) != 0 || x[len] != '/')
				continue;
			x += len + 1;
			d = strspn(x, "0123456789");
			if (d == 0 || d > 6 || (x[d] && x[d] != '/'))
				continue;
			while (d--)
				v = v * 10 + (unsigned)(*x++ - '0');
			if (v >= n)
				n = v + 1;
		}
		if (layer == 0)
			return n;
	}
}

static int mark_block(struct parser *p, const char *path)
{
	struct conf_entry x = {
		.path = arena_strdup(p->c->arena, path),
		.row = conf_row_find(path),
		.raw = "",
		.text = "",
		.file = p->file,
		.line = p->line,
	};

	if (p->c->n_entries >= CONF_ENTRIES_MAX)
		return FAIL(p, "Too many settings (at most %d)",
			    CONF_ENTRIES_MAX);
	if (!conf_layer_get(p->c, top(p)->layer, path))
		conf_layer_put(p->c, top(p)->layer, &x);
	return 0;
}

static int open_block(struct parser *p, const struct conf_line *l)
{
	const struct frame *at = top(p);
	struct arena *a = p->c->arena;
	struct frame f = {.kind = IN_BLOCK, .layer = at->layer};
	const char *path = *at->path
				   ? arena_printf(a, "%s/%s", at->path, l->key)
				   : arena_strdup(a, l->key);
	const struct conf_block *b = conf_block_find(path);
	bool named = l->has_name && *l->value;
	struct buf name;

	f.words = arena_printf(a, "%s%s { ", at->words, l->key);
	if (at->ignored) {
		f.ignored = true;
		f.path = path;
		return push(p, f);
	}
	if (at->free_names)
		return FAIL(p, "Section not allowed here");
	if (!b && strncmp(path, "service/", 8) == 0) {
		/* Services take any name: kept, not understood. */
		f.path = path;
		f.ignored = true;
		conf_note_add(p->c, CONF_NOTE, p->file, p->line,
			      "%s%s {}: a block not known to Duet, ignoring it",
			      at->words, l->key);
		return push(p, f);
	}
	if (!b) {
		const char *near = conf_row_nearest(path);

		return FAIL(p, "Unknown setting: %s%s { %s%s%s%s", at->words,
			    l->key, l->key, near ? " (did you mean " : "",
			    near ? near : "", near ? "?)" : "");
	}
	if (b->naming == CONF_FREE) {
		f.path = path;
		f.free_names = true;
		return push(p, f);
	}
	if (!named && strcmp(path, "service") == 0)
		return FAIL(p, "Service is missing name");
	if (named && b->naming == CONF_NAMED) {
		buf_init(&name, CONF_LINE_MAX);
		conf_path_add(&name, l->value);
		f.path = arena_printf(a, "%s/%.*s", path, (int)name.n,
				      (const char *)name.p);
		buf_fini(&name);
	} else {
		f.path = arena_printf(a, "%s/%u", path,
				      next_index(p->c, at->layer, path));
	}
	if (mark_block(p, f.path) < 0 || push(p, f) < 0)
		return E_CONFIG;
	if (named && b->naming == CONF_NEW)
		return set_value(p, arena_printf(a, "%s/name", f.path), "name",
				 l->value, true);
	return 0;
}

/* ---- files ------------------------------------------------------------- */

static int parse_file(struct parser *p, const char *path, bool included);

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int include(struct parser *p, const struct conf_line *l)
{
	const char *slash = strrchr(p->file, '/');
	const char *root = p->o && p->o->root ? p->o->root : "";
	AUTO_FREE char *pattern = NULL;
	glob_t g;
	int r = 0;

	if (!*l->value)
		return FAIL(p, "Missing file name");
	if (p->includes >= CONF_INCLUDE_DEPTH)
		return FAIL(p, "Recursive include file: %s", l->value);
	if (l->value[0] == '/')
		pattern = xprintf("%s%s", root, l->value);
	else
		pattern = xprintf("%s%.*s%s", root,
				  slash ? (int)(slash - p->file + 1) : 0,
				  p->file, l->value);
	switch (glob(pattern, GLOB_BRACE | GLOB_NOSORT, NULL, &g)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		return l->try ? 0 : FAIL(p, "No matches");
	default:
		return FAIL(p, "Can't list %s", pattern);
	}
	qsort(g.gl_pathv, g.gl_pathc, sizeof(*g.gl_pathv), by_text);
	for (size_t i = 0; i < g.gl_pathc && r == 0; i++)
		r = parse_file(p, g.gl_pathv[i] + strlen(root), true);
	globfree(&g);
	return r;
}

static int do_line(struct parser *p, char *text, bool odd)
{
	struct conf_line l = {.odd_comment = odd};
	int rank;

	if (odd)
		conf_note_add(p->c, CONF_WARNING, p->file, p->line,
			      "Ambiguous '#' character in line, treating it as "
			      "comment. Add a space before it to remove this "
			      "warning.");
	conf_line_parse(text, &l);
	switch (l.kind) {
	case CONF_L_EMPTY:
		return 0;
	case CONF_L_BAD:
		return FAIL(p, "%s", l.error);
	case CONF_L_INCLUDE:
		return include(p, &l);
	case CONF_L_SET:
		return set_line(p, &l);
	case CONF_L_CLOSE:
		if (p->depth == 0 || top(p)->file != p->file)
			return FAIL(p, "Unexpected '}'");
		p->depth--;
		return 0;
	case CONF_L_OPEN:
		rank = filter_rank(l.key);
		return rank >= 0 ? open_filter(p, &l, rank)
				 : open_block(p, &l);
	}
	return 0;
}

static int parse_bytes(struct parser *p, const char *path, struct slice text)
{
	const char *outer_file = p->file;
	unsigned outer_line = p->line;
	size_t depth = p->depth;
	struct buf joined;
	bool odd, too_long = false;
	int r = 0;

	p->file = arena_strdup(p->c->arena, path);
	p->line = 0;
	buf_init(&joined, CONF_LINE_MAX);
	while (r == 0 &&
	       conf_line_next(&text, &p->line, &joined, &odd, &too_long))
		r = do_line(p, (char *)joined.p, odd);
	if (r == 0 && too_long)
		r = FAIL(p, "Line is too long (at most %d bytes)",
			 CONF_LINE_MAX);
	buf_fini(&joined);
	if (r == 0 && p->depth != depth)
		r = conf_fail(p->e, p->file, 0,
			      "Missing '}' (section started at %s:%u)",
			      top(p)->file, top(p)->line);
	p->file = outer_file;
	p->line = outer_line;
	return r;
}

static int parse_file(struct parser *p, const char *path, bool included)
{
	struct conf *c = p->c;
	unsigned outer_mode = p->file_mode, mode = 0;
	struct buf b;
	int r;

	if (c->n_files >= CONF_FILES_MAX)
		return FAIL(p, "Too many files (at most %d)", CONF_FILES_MAX);
	buf_init(&b, CONF_FILE_MAX + CONF_READ_BLOCK);
	r = conf_read_file(p->o ? p->o->root : NULL, path, CONF_FILE_MAX, &b,
			   &mode);
	p->total += b.n;
	if (r == 0 && p->total > CONF_TOTAL_MAX)
		r = -EFBIG;
	if (r < 0 && included)
		r = FAIL(p, "Couldn't open include file %s: %s", path,
			 strerror(-r));
	else if (r < 0)
		r = err_set(p->e, E_CONFIG, "open(%s) failed: %s", path,
			    strerror(-r));
	if (r == 0) {
		GROW(c->files, c->n_files, c->cap_files);
		c->files[c->n_files++] = arena_strdup(c->arena, path);
		p->includes++;
		p->file_mode = mode;
		r = parse_bytes(p, path, buf_all(&b));
		p->file_mode = outer_mode;
		p->includes--;
	}
	buf_fini(&b);
	return r;
}

static struct parser parser_for(struct conf *c, const struct conf_opts *o,
				struct err *e)
{
	struct parser p = {.c = c, .o = o, .e = e, .file = c->path};

	p.at[0] = (struct frame){.path = "", .words = ""};
	return p;
}

int conf_parse_file(struct conf *c, const char *path,
		    const struct conf_opts *o, struct err *e)
{
	struct parser p = parser_for(c, o, e);

	return parse_file(&p, path, false);
}

int conf_parse_text(struct conf *c, const char *path, struct slice text,
		    const struct conf_opts *o, struct err *e)
{
	struct parser p = parser_for(c, o, e);

	return parse_bytes(&p, path, text);
}

int conf_set_override(struct conf *c, const char *name, const char *value,
		      struct err *e)
{
	struct parser p = parser_for(c, NULL, e);

	p.file = "-o";
	/* It wins over filters too. */
	for (size_t i = 1; i < c->n_layers; i++)
		conf_layer_drop(c, i, name);
	if (strchr(name, '/') && open_path(&p, name) < 0)
		return E_CONFIG;
	return set_value(&p, name, name, value, true);
}
