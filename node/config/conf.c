/* Loading, and values by name. */

#include "node/config/conf_int.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/* plugin { replication_sync_timeout = 2 } sets pair_ack_timeout, unless that
 * is set itself. */
static int alias_ack_timeout(struct conf *c, struct err *e)
{
	static const char old[] = "plugin/replication_sync_timeout";
	struct conf_entry *x = conf_layer_get(c, 0, old), y;
	struct err why = ERR_NONE;
	uint64_t secs;

	if (!x || conf_layer_get(c, 0, "pair_ack_timeout"))
		return 0;
	y = *x;
	y.path = "pair_ack_timeout";
	y.row = conf_row_find(y.path);
	/* Plain seconds there, as in every plugin {}. */
	if (slice_u64(slice_str(x->text), &secs) == 0)
		y.text = arena_printf(c->arena, "%s secs", x->text);
	y.raw = y.text;
	y.bytes = slice_str(y.text);
	y.from_file = NULL;
	if (conf_value_parse(y.row, y.text, NULL, &why) < 0)
		return conf_fail(e, x->file, x->line,
				 "replication_sync_timeout: %s", why.op);
	conf_layer_put(c, 0, &y);
	return 0;
}

static void fix_base_dir(struct conf *c)
{
	const char *dir = conf_text(c, NULL, "base_dir");
	size_t n;

	if (strncmp(dir, "/var/run/", 9) == 0)
		dir += 4;
	n = strlen(dir);
	while (n > 1 && dir[n - 1] == '/')
		n--;
	c->base_dir = arena_strndup(c->arena, dir, n);
}

static int finish_load(struct conf *c, const struct conf_opts *o, int r,
		       struct conf **out, struct err *e)
{
	for (size_t i = 0; r == 0 && o && i < o->n_over; i++)
		r = conf_set_override(c, o->over[i].name, o->over[i].value, e);
	if (r == 0)
		r = alias_ack_timeout(c, e);
	if (r == 0) {
		fix_base_dir(c);
		if (!(c->flags & CONF_NO_TREATMENT))
			r = conf_check(c, e);
	}
	if (r < 0) {
		conf_unref(c);
		return E_CONFIG;
	}
	*out = c;
	return 0;
}

int conf_load(const char *path, const struct conf_opts *opts,
	      struct conf **out, struct err *e)
{
	struct conf *c = conf_new(path);

	c->flags = opts ? opts->flags : 0;
	return finish_load(c, opts, conf_parse_file(c, path, opts, e), out, e);
}

int conf_load_text(const char *path, struct slice text,
		   const struct conf_opts *opts, struct conf **out,
		   struct err *e)
{
	struct conf *c = conf_new(path);

	c->flags = opts ? opts->flags : 0;
	return finish_load(c, opts, conf_parse_text(c, path, text, opts, e),
			   out, e);
}

/* ---- typed values ------------------------------------------------------ */

static const struct conf_row *row_of(const struct conf *c, const char *name)
{
	const struct conf_row *row = conf_row_of(c, name);

	assert(row && !(row->flags & CONF_F_BLOCK));
	return row;
}

static uint64_t number(const struct conf *c, const struct conf_ctx *ctx,
		       const char *name, const struct conf_row *row)
{
	uint64_t n = 0;

	/* Unread "</path" under CONF_NO_FILES falls back to the default. */
	if (conf_value_parse(row, conf_text(c, ctx, name), &n, NULL) < 0 &&
	    conf_value_parse(row, conf_default(name, row), &n, NULL) < 0)
		n = 0;
	return n;
}

const char *conf_str(const struct conf *c, const struct conf_ctx *ctx,
		     const char *name)
{
	row_of(c, name);
	return conf_text(c, ctx, name);
}

bool conf_bool(const struct conf *c, const struct conf_ctx *ctx,
	       const char *name)
{
	const struct conf_row *row = row_of(c, name);

	assert(row->type == CONF_T_BOOL);
	return number(c, ctx, name, row) != 0;
}

uint64_t conf_u64(const struct conf *c, const struct conf_ctx *ctx,
		  const char *name)
{
	const struct conf_row *row = row_of(c, name);

	assert(row->type == CONF_T_UINT || row->type == CONF_T_OCT ||
	       row->type == CONF_T_PORT || row->type == CONF_T_PERCENT);
	return number(c, ctx, name, row);
}

uint64_t conf_time(const struct conf *c, const struct conf_ctx *ctx,
		   const char *name)
{
	const struct conf_row *row = row_of(c, name);

	assert(row->type == CONF_T_TIME || row->type == CONF_T_MSECS);
	return number(c, ctx, name, row);
}

uint64_t conf_size(const struct conf *c, const struct conf_ctx *ctx,
		   const char *name)
{
	const struct conf_row *row = row_of(c, name);

	assert(row->type == CONF_T_SIZE);
	return number(c, ctx, name, row);
}

bool conf_is_set(const struct conf *c, const struct conf_ctx *ctx,
		 const char *name)
{
	const struct conf_row *row = row_of(c, name);

	return !conf_value_same(row, conf_text(c, ctx, name),
				conf_default(name, row));
}

struct slice conf_content(const struct conf *c, const struct conf_ctx *ctx,
			  const char *name, const char **path_out)
{
	const struct conf_entry *x = conf_lookup(c, ctx, name);

	if (path_out)
		*path_out = x && x->from_file ? x->from_file : "";
	if (x)
		return x->bytes;
	return slice_str(conf_default(name, row_of(c, name)));
}

const char *conf_where(const struct conf *c, const struct conf_ctx *ctx,
		       const char *name, unsigned *line_out)
{
	const struct conf_entry *x = conf_lookup(c, ctx, name);

	if (line_out)
		*line_out = x ? x->line : 0;
	return x ? x->file : "";
}

int conf_check_value(const char *name, const char *value, struct err *e)
{
	const struct conf_row *row = conf_row_find(name);
	struct err why = ERR_NONE;

	if (!row || (row->flags & CONF_F_BLOCK))
		return err_set(e, E_INVALID, "Unknown setting: %s", name);
	if (conf_value_parse(row, value, NULL, &why) < 0)
		return err_set(e, E_INVALID, "%s: %s", name, why.op);
	return 0;
}

/* ---- lists ------------------------------------------------------------- */

bool conf_has_word(const struct conf *c, const struct conf_ctx *ctx,
		   const char *name, const char *word)
{
	const char *p = conf_str(c, ctx, name);
	size_t n = strlen(word);

	while (*(p += strspn(p, " ,\t")) != '\0') {
		size_t len = strcspn(p, " ,\t");

		if (len == n && strncasecmp(p, word, n) == 0)
			return true;
		p += len;
	}
	return false;
}

bool conf_in_networks(const struct conf *c, const struct conf_ctx *ctx,
		      const char *name, const char *ip)
{
	const char *p = conf_str(c, ctx, name);

	while (*(p += strspn(p, " ,\t")) != '\0') {
		size_t len = strcspn(p, " ,\t");
		AUTO_FREE char *one = xstrndup(p, len);
		struct conf_net net;

		if (strspn(one, "0123456789abcdefABCDEF:./[]") == len &&
		    conf_net_parse(one, &net, NULL) == 0 &&
		    conf_net_has(&net, ip))
			return true;
		p += len;
	}
	return false;
}

/* ---- plugin {} --------------------------------------------------------- */

const char *conf_plugin(const struct conf *c, const struct conf_ctx *ctx,
			const char *name)
{
	AUTO_FREE char *path = xprintf("plugin/%s", name);
	const struct conf_entry *x = conf_lookup(c, ctx, path);

	for (size_t i = 0; ctx && i < ctx->n_over; i++) {
		const char *n = ctx->over[i].name;

		if (strcmp(n, name) == 0 || strcmp(n, path) == 0)
			return ctx->over[i].value;
	}
	return x ? x->text : NULL;
}

void conf_plugin_each(const struct conf *c, const struct conf_ctx *ctx,
		      conf_plugin_cb *cb, void *arg)
{
	struct arena *a = arena_new(1024);
	const char **names;
	size_t n = conf_children(c, ctx, "plugin", false, a, &names);

	for (size_t i = 0; i < n; i++)
		cb(arg, names[i], conf_plugin(c, ctx, names[i]));
	arena_free(a);
}

/* ---- node-wide --------------------------------------------------------- */

const char *conf_base_dir(const struct conf *c)
{
	return c->base_dir;
}

uint64_t conf_process_limit(const struct conf *c, const char *service)
{
	AUTO_FREE char *path = xprintf("service/%s/process_limit", service);

	return conf_u64(c, NULL, path);
}

static const char *net_address(struct arena *a, const struct conf_net *net)
{
	return net->text ? arena_strndup(a, net->text,
					 strcspn(net->text, "/"))
			 : NULL;
}

size_t conf_tls_names(const struct conf *c, struct arena *a,
		      struct conf_tls_name **out)
{
	struct conf_tls_name *v = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 1; i < c->n_layers; i++) {
		const struct conf_filter *f = &c->layers[i].filter;
		struct conf_tls_name x = {
			.ctx = {.protocol = f->protocol,
				.local_ip = net_address(a, &f->local),
				.remote_ip = net_address(a, &f->remote)},
		};
		const char *p = f->local_name;

		if (!conf_layer_get(c, i, "ssl_cert"))
			continue;
		if (!p && f->local.text) {
			x.pattern = x.ctx.local_ip;
			GROW(v, n, cap);
			v[n++] = x;
		}
		while (p && *(p += strspn(p, " ,")) != '\0') {
			size_t len = strcspn(p, " ,");

			x.pattern = x.ctx.local_name =
				arena_strndup(a, p, len);
			GROW(v, n, cap);
			v[n++] = x;
			p += len;
		}
	}
	*out = arena_alloc(a, (n + 1) * sizeof(*v));
	if (n)
		memcpy(*out, v, n * sizeof(*v));
	free(v);
	return n;
}
