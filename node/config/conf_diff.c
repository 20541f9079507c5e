/* What a reload changes. */

#include "node/config/conf_int.h"
#include "node/base/map.h"

#include <stdlib.h>

struct diff {
	struct arena *a;
	struct conf_change *v;
	size_t n, cap;
};

static void changed(struct diff *d, const struct conf_entry *x,
		    const char *filter)
{
	if (x->row->flags & CONF_F_BLOCK)
		return;		/* its settings are listed */
	GROW(d->v, d->n, d->cap);
	d->v[d->n++] = (struct conf_change){
		.name = arena_strdup(d->a, x->path),
		.filter = filter,
		.reload = x->row->reload,
	};
}

static ssize_t find_layer(const struct conf *c, const struct conf_filter *f)
{
	for (size_t i = 0; i < c->n_layers; i++)
		if (conf_filter_equal(&c->layers[i].filter, f))
			return (ssize_t)i;
	return -1;
}

/* Entries of layer i of a that b has not, or (both) with another value. */
static void one_way(struct diff *d, const struct conf *a, size_t i,
		    const struct conf *b, bool both)
{
	const struct conf_layer *l = &a->layers[i];
	ssize_t other = find_layer(b, &l->filter);
	const char *filter = conf_filter_text(&l->filter, d->a);

	for (size_t j = 0; j < l->n; j++) {
		const struct conf_entry *x = l->entries[j];
		const struct conf_entry *y =
			other < 0 ? NULL
				  : conf_layer_get(b, (size_t)other, x->path);

		if (y) {
			if (both && (!conf_value_same(x->row, x->text,
						      y->text) ||
				     !slice_eq(x->bytes, y->bytes)) &&
			    !(x->row->type != CONF_T_STR &&
			      conf_value_same(x->row, x->text, y->text)))
				changed(d, x, filter);
			continue;
		}
		/* A default written out in the global layer is no change. */
		if (i == 0 &&
		    conf_value_same(x->row, x->text,
				    conf_default(x->path, x->row)) &&
		    !(x->row->flags & CONF_F_ANY))
			continue;
		changed(d, x, filter);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct conf_change *x = a, *y = b;
	int c = conf_path_cmp(x->name, y->name);

	return c ? c : strcmp(x->filter, y->filter);
}

size_t conf_diff(const struct conf *from, const struct conf *to,
		 struct arena *a, struct conf_change **out)
{
	struct diff d = {.a = a};

	for (size_t i = 0; i < from->n_layers; i++)
		one_way(&d, from, i, to, true);
	for (size_t i = 0; i < to->n_layers; i++)
		one_way(&d, to, i, from, false);
	if (d.n)
		qsort(d.v, d.n, sizeof(*d.v), by_name);
	*out = arena_alloc(a, (d.n + 1) * sizeof(**out));
	if (d.n)
		memcpy(*out, d.v, d.n * sizeof(**out));
	free(d.v);
	return d.n;
}
