/* Layers, entries, notes: the memory of a configuration. */

#include "node/config/conf_int.h"
#include "node/base/buf.h"
#include "node/base/map.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>

#define NOTES_MAX 2000		/* notes kept; more say nothing new */

struct conf *conf_new(const char *path)
{
	struct conf *c = NEW(struct conf);
	struct conf_filter none = {.protocol = NULL};

	c->refs = 1;
	c->arena = arena_new(16384);
	c->path = arena_strdup(c->arena, path);
	conf_layer_for(c, &none, 0);
	c->rows = map_new();
	for (size_t i = 0; conf_row_at(i); i++) {
		const struct conf_row *row = conf_row_at(i);
		struct slice name = slice_str(row->name);

		if (!strchr(row->name, '*') && !map_get(c->rows, name))
			map_put(c->rows, name, (void *)(uintptr_t)row);
	}
	return c;
}

const struct conf_row *conf_row_of(const struct conf *c, const char *path)
{
	const struct conf_row *row = map_get(c->rows, slice_str(path));

	return row ? row : conf_row_find(path);
}

struct conf *conf_ref(struct conf *c)
{
	__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void conf_unref(struct conf *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < c->n_layers; i++) {
		map_free(c->layers[i].map);
		free(c->layers[i].entries);
	}
	map_free(c->rows);
	free(c->layers);
	free(c->notes);
	free(c->files);
	arena_free(c->arena);
	free(c);
}

const char *conf_path(const struct conf *c)
{
	return c->path;
}

size_t conf_notes(const struct conf *c, const struct conf_note **out)
{
	*out = c->notes;
	return c->n_notes;
}

size_t conf_files(const struct conf *c, const char *const **out)
{
	*out = c->files;
	return c->n_files;
}

void conf_note_add(struct conf *c, enum conf_severity sev, const char *file,
		   unsigned line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (c->n_notes >= NOTES_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	GROW(c->notes, c->n_notes, c->cap_notes);
	c->notes[c->n_notes++] = (struct conf_note){
		.severity = sev,
		.text = arena_strdup(c->arena, text),
		.file = file ? file : "",
		.line = line,
	};
}

int conf_fail(struct err *e, const char *file, unsigned line, const char *fmt,
	      ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (line)
		return err_set(e, E_CONFIG,
			       "Error in configuration file %s line %u: %s",
			       file, line, text);
	return err_set(e, E_CONFIG, "Error in configuration file %s: %s", file,
		       text);
}

/* ---- filters ----------------------------------------------------------- */

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool net_equal(const struct conf_net *a, const struct conf_net *b)
{
	if (!a->text || !b->text)
		return !a->text && !b->text;
	return a->bits == b->bits && conf_net_inside(a, b);
}

bool conf_filter_equal(const struct conf_filter *a, const struct conf_filter *b)
{
	return net_equal(&a->local, &b->local) &&
	       net_equal(&a->remote, &b->remote) &&
	       text_equal(a->local_name, b->local_name) &&
	       text_equal(a->protocol, b->protocol);
}

static bool net_within(const struct conf_net *a, const struct conf_net *b)
{
	return !b->text || (a->text && conf_net_inside(a, b));
}

/* Everything that matches a matches b too. */
bool conf_filter_within(const struct conf_filter *a, const struct conf_filter *b)
{
	return net_within(&a->local, &b->local) &&
	       net_within(&a->remote, &b->remote) &&
	       (!b->local_name || text_equal(a->local_name, b->local_name)) &&
	       (!b->protocol || text_equal(a->protocol, b->protocol));
}

bool conf_layer_matches(const struct conf_layer *l, const struct conf_ctx *ctx)
{
	const struct conf_filter *f = &l->filter;

	if (f->protocol) {
		bool not = f->protocol[0] == '!';

		if (!ctx || !ctx->protocol || !*ctx->protocol)
			return false;
		if ((strcmp(f->protocol + not, ctx->protocol) == 0) == not)
			return false;
	}
	if (f->local.text && (!ctx || !conf_net_has(&f->local, ctx->local_ip)))
		return false;
	if (f->remote.text &&
	    (!ctx || !conf_net_has(&f->remote, ctx->remote_ip)))
		return false;
	if (f->local_name &&
	    (!ctx || !conf_name_matches(f->local_name, ctx->local_name)))
		return false;
	return true;
}

char *conf_filter_text(const struct conf_filter *f, struct arena *a)
{
	char *s = arena_strdup(a, "");
	const char *sep = "";
	const struct {
		const char *kind, *text;
	} t[] = {
		{"local", f->local.text},
		{"local_name", f->local_name},
		{"remote", f->remote.text},
		{"protocol", f->protocol},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		if (!t[i].text)
			continue;
		s = arena_printf(a, "%s%s%s %s", s, sep, t[i].kind, t[i].text);
		sep = " { ";
	}
	return s;
}

/* ---- layers and entries ------------------------------------------------ */

size_t conf_layer_for(struct conf *c, const struct conf_filter *f,
		      size_t parent)
{
	for (size_t i = 0; i < c->n_layers; i++)
		if (conf_filter_equal(&c->layers[i].filter, f))
			return i;
	GROW(c->layers, c->n_layers, c->cap_layers);
	c->layers[c->n_layers] = (struct conf_layer){
		.filter = *f,
		.parent = parent,
		.map = map_new(),
	};
	return c->n_layers++;
}

struct conf_entry *conf_layer_get(const struct conf *c, size_t layer,
				  const char *path)
{
	return map_get(c->layers[layer].map, slice_str(path));
}

struct conf_entry *conf_layer_put(struct conf *c, size_t layer,
				  const struct conf_entry *entry)
{
	struct conf_layer *l = &c->layers[layer];
	struct conf_entry *old = map_get(l->map, slice_str(entry->path));

	if (old) {
		const char *path = old->path;

		*old = *entry;
		old->path = path;
		return old;
	}
	old = ARENA_NEW(c->arena, struct conf_entry);
	*old = *entry;
	GROW(l->entries, l->n, l->cap);
	l->entries[l->n++] = old;
	map_put(l->map, slice_str(old->path), old);
	c->n_entries++;
	return old;
}

void conf_layer_drop(struct conf *c, size_t layer, const char *path)
{
	struct conf_layer *l = &c->layers[layer];
	struct conf_entry *old = map_remove(l->map, slice_str(path));

	for (size_t i = 0; old && i < l->n; i++) {
		if (l->entries[i] == old) {
			memmove(&l->entries[i], &l->entries[i + 1],
				(l->n - i - 1) * sizeof(*l->entries));
			l->n--;
			break;
		}
	}
}

/* The most specific matching filter wins; of two that do not contain each
 * other the first in the files. */
const struct conf_entry *conf_lookup(const struct conf *c,
				     const struct conf_ctx *ctx,
				     const char *path)
{
	const struct conf_entry *best = conf_layer_get(c, 0, path);
	size_t best_layer = 0;

	for (size_t i = 1; ctx && i < c->n_layers; i++) {
		const struct conf_entry *x;

		if (!conf_layer_matches(&c->layers[i], ctx))
			continue;
		x = conf_layer_get(c, i, path);
		if (x && (!best ||
			  conf_filter_within(&c->layers[i].filter,
					     &c->layers[best_layer].filter))) {
			best = x;
			best_layer = i;
		}
	}
	return best;
}

const char *conf_default(const char *path, const struct conf_row *row)
{
	const char *def = conf_service_default(path);

	if (def)
		return def;
	return row ? row->def : "";
}

static const char *override(const struct conf_ctx *ctx, const char *path)
{
	const char *found = NULL, *alias = NULL;

	if (!ctx)
		return NULL;
	if (strcmp(path, "mail_location") == 0)
		alias = "mail";		/* userdb's name for it */
	else if (strncmp(path, "plugin/", 7) == 0)
		alias = path + 7;
	for (size_t i = 0; i < ctx->n_over; i++) {
		const char *n = ctx->over[i].name;

		if (strcmp(n, path) == 0 || (alias && strcmp(n, alias) == 0))
			found = ctx->over[i].value;
	}
	return found;
}

const char *conf_text(const struct conf *c, const struct conf_ctx *ctx,
		      const char *path)
{
	const char *over = override(ctx, path);
	const struct conf_entry *x;
	const struct conf_row *row;

	if (over) {
		row = conf_row_of(c, path);
		if (!row || conf_value_parse(row, over, NULL, NULL) == 0)
			return over;
	}
	x = conf_lookup(c, ctx, path);
	if (x)
		return x->text;
	return conf_default(path, conf_row_of(c, path));
}

const char *conf_textf(const struct conf *c, const struct conf_ctx *ctx,
		       const char *fmt, ...)
{
	char path[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return conf_text(c, ctx, path);
}

/* ---- blocks ------------------------------------------------------------ */

struct children {
	struct arena *arena;
	struct map *seen;
	const char **v;
	size_t n, cap;
};

static void child_add(struct children *k, const char *name, size_t len)
{
	char *copy;

	if (map_get(k->seen, slice_of(name, len)))
		return;
	copy = arena_strndup(k->arena, name, len);
	map_put(k->seen, slice_of(name, len), copy);
	GROW(k->v, k->n, k->cap);
	k->v[k->n++] = copy;
}

static void builtin_children(struct children *k, const char *path)
{
	if (strcmp(path, "service") == 0) {
		for (size_t i = 0; i < conf_services_n; i++)
			child_add(k, conf_services[i].name,
				  strlen(conf_services[i].name));
		return;
	}
	for (size_t i = 0; i < conf_services_n; i++) {
		const struct conf_service *s = &conf_services[i];
		const struct conf_service_listener *l = s->listeners;
		size_t n = strlen(s->name);
		struct buf b;

		if (strncmp(path, "service/", 8) != 0 ||
		    strncmp(path + 8, s->name, n) != 0 || path[8 + n] != '/')
			continue;
		for (; l && l->kind; l++) {
			if (l->kind != path[9 + n])
				continue;
			buf_init(&b, 4096);
			conf_path_add(&b, l->name);
			child_add(k, (const char *)b.p, b.n);
			buf_fini(&b);
		}
	}
}

size_t conf_builtin_count(const char *path)
{
	struct arena *a = arena_new(1024);
	struct children k = {.arena = a, .seen = map_new()};

	builtin_children(&k, path);
	free(k.v);
	map_free(k.seen);
	arena_free(a);
	return k.n;
}

size_t conf_children(const struct conf *c, const struct conf_ctx *ctx,
		     const char *path, bool builtin, struct arena *a,
		     const char ***out)
{
	struct children k = {.arena = a, .seen = map_new()};
	size_t plen = strlen(path), n;

	if (builtin)
		builtin_children(&k, path);
	for (size_t i = 0; i < c->n_layers; i++) {
		const struct conf_layer *l = &c->layers[i];

		if (i > 0 && (!ctx || !conf_layer_matches(l, ctx)))
			continue;
		for (size_t j = 0; j < l->n; j++) {
			const char *p = l->entries[j]->path;

			if (strncmp(p, path, plen) != 0 || p[plen] != '/')
				continue;
			p += plen + 1;
			child_add(&k, p, strcspn(p, "/"));
		}
	}
	n = k.n;
	*out = arena_alloc(a, (n + 1) * sizeof(**out));
	if (n)
		memcpy(*out, k.v, n * sizeof(**out));
	free(k.v);
	map_free(k.seen);
	return n;
}
