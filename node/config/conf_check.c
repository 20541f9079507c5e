/*
 * Treatment: what this build does with each value that was set.  Nothing is
 * dropped in silence: a value is in force, or there is a note, or the
 * configuration is refused.
 */

#include "node/config/conf_int.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/config/conf_vars.h"

#include <stdarg.h>

void conf_refuse(struct conf_checking *k, const struct conf_entry *x,
		 const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (k->refused++ == 0)
		conf_fail(k->e, x ? x->file : k->c->path, x ? x->line : 0, "%s",
			  text);
	conf_note_add(k->c, CONF_REFUSED, x ? x->file : k->c->path,
		      x ? x->line : 0, "%s", text);
}

void conf_remark(struct conf_checking *k, enum conf_severity sev,
		 const struct conf_entry *x, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	conf_note_add(k->c, sev, x ? x->file : "", x ? x->line : 0, "%s",
		      text);
}

/* "service/lmtp/unix_listener/lmtp/mode" as an administrator sees it. */
const char *conf_entry_name(struct conf_checking *k,
			    const struct conf_entry *x)
{
	struct arena *a = k->c->arena;
	char *s = arena_strdup(a, "");
	const char *p = x->path;
	bool block = true;

	if (strncmp(p, "plugin/", 7) == 0 || strncmp(p, "dict/", 5) == 0)
		return arena_printf(a, "%.*s { %s",
				    (int)strcspn(p, "/"), p, strchr(p, '/') + 1);
	for (;;) {
		size_t n = strcspn(p, "/");
		char *comp = conf_path_unescape(a, p, n);

		if (!p[n]) {
			s = arena_printf(a, "%s%s", s, comp);
			return s;
		}
		if (block)
			s = arena_printf(a, "%s%s ", s, comp);
		else if (comp[strspn(comp, "0123456789")])
			s = arena_printf(a, "%s%s { ", s, comp);
		else
			s = arena_printf(a, "%s{ ", s);
		block = !block;
		p += n + 1;
	}
}

/* " = value", but nothing of secrets. */
static const char *value_of(struct conf_checking *k, const struct conf_entry *x)
{
	if (x->row->flags & (CONF_F_SECRET | CONF_F_HIDE_VALUE))
		return "";
	if (strlen(x->raw) > 200)
		return "";
	return arena_printf(k->c->arena, " = %s", x->raw);
}

static void by_row(struct conf_checking *k, const struct conf_entry *x)
{
	const struct conf_row *row = x->row;
	const char *name = conf_entry_name(k, x), *value = value_of(k, x);
	enum conf_severity sev =
		row->flags & CONF_F_WARN ? CONF_WARNING : CONF_NOTE;

	switch ((enum conf_treat)row->treat) {
	case CONF_TR_USED:
		return;
	case CONF_TR_NOTE:
		if (row->flags & CONF_F_ANY)
			conf_remark(k, CONF_NOTE, x,
				    "%s: not known to Duet, ignoring it",
				    name);
		else
			conf_remark(k, sev, x, "%s%s has no effect%s%s", name,
				    value, row->instead ? ": " : "",
				    row->instead ? row->instead : "");
		return;
	case CONF_TR_LATER:
		conf_remark(k, sev, x,
			    "%s%s is not in force in this build (comes with "
			    "%s)%s%s",
			    name, value, conf_area_name(row->area),
			    row->instead ? ": " : "",
			    row->instead ? row->instead : "");
		return;
	case CONF_TR_REFUSE:
		conf_refuse(k, x, "%s%s is refused: %s", name, value,
			    row->instead ? row->instead
					 : "it is not in this build");
		return;
	}
}

static void check_vars(struct conf_checking *k, const struct conf_entry *x)
{
	static const char *const whole[] = {"mail_location", "mail_home",
					    "auth_username_format"};
	struct conf_vars v = {.user = "user@example.com",
			      .home = "/home",
			      .service = "imap",
			      .uid = 1000,
			      .hostname = "localhost"};
	struct err why = ERR_NONE;
	struct buf b;

	if (conf_vars_check(x->text, &why) < 0) {
		conf_refuse(k, x, "%s: %s", conf_entry_name(k, x), why.op);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
		if (strcmp(x->path, whole[i]) != 0)
			continue;
		buf_init(&b, CONF_VARS_MAX);
		if (conf_expand(x->text, &v, 0, &b, &why) < 0)
			conf_refuse(k, x, "%s: %s", x->path, why.op);
		buf_fini(&b);
	}
}

static void check_entry(struct conf_checking *k, size_t layer,
			const struct conf_entry *x)
{
	bool unread = x->from_file && (k->c->flags & CONF_NO_FILES);

	if (layer > 0 && (strncmp(x->path, "passdb/", 7) == 0 ||
			  strncmp(x->path, "userdb/", 7) == 0)) {
		if (x->row->flags & CONF_F_BLOCK)
			conf_refuse(k, x,
				    "%.6s inside of %s {} is not in this "
				    "build: it would count for everybody",
				    x->path,
				    conf_filter_text(&k->c->layers[layer].filter,
						     k->c->arena));
		return;
	}
	if (conf_check_service(k, layer, x))
		return;
	if (x->row->flags & (CONF_F_BLOCK | CONF_F_HIDDEN) &&
	    x->row->treat == CONF_TR_USED)
		return;
	if (unread)
		return;
	if (x->row->flags & CONF_F_VARS)
		check_vars(k, x);
	if (conf_check_special(k, layer, x))
		return;
	if (x->row->flags & CONF_F_ANY ||
	    strncmp(x->path, "plugin/", 7) == 0 ||
	    !conf_value_same(x->row, x->text, conf_default(x->path, x->row)))
		by_row(k, x);
}

int conf_check(struct conf *c, struct err *e)
{
	struct err first = ERR_NONE;
	struct conf_checking k = {.c = c, .e = &first};

	for (size_t i = 0; i < c->n_layers; i++)
		for (size_t j = 0; j < c->layers[i].n; j++)
			check_entry(&k, i, c->layers[i].entries[j]);
	conf_check_helpers(&k);
	conf_check_whole(&k);
	if (k.refused == 0)
		return 0;
	if (k.refused > 1)
		return err_set(e, E_CONFIG, "%.400s (and %u more: see duetconf "
					    "check)",
			       first.op, k.refused - 1);
	return err_set(e, E_CONFIG, "%s", first.op);
}
