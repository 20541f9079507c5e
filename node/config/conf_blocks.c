/* namespace, mailbox, passdb, userdb blocks. */

#include "node/config/conf_int.h"
#include "node/base/cleanup.h"

#include <stdlib.h>

static bool yes(const struct conf *c, const struct conf_ctx *ctx,
		const char *base, const char *key)
{
	AUTO_FREE char *path = xprintf("%s/%s", base, key);

	return conf_bool(c, ctx, path);
}

static void fill_mailbox(const struct conf *c, const struct conf_ctx *ctx,
			 const char *base, struct conf_mailbox *m)
{
	const char *s = conf_textf(c, ctx, "%s/auto", base);
	AUTO_FREE char *expunge = xprintf("%s/autoexpunge", base);
	AUTO_FREE char *most = xprintf("%s/autoexpunge_max_mails", base);

	m->autocreate = strcmp(s, "create") == 0      ? CONF_AUTO_CREATE
			: strcmp(s, "subscribe") == 0 ? CONF_AUTO_SUBSCRIBE
						      : CONF_AUTO_NO;
	m->special_use = conf_textf(c, ctx, "%s/special_use", base);
	m->comment = conf_textf(c, ctx, "%s/comment", base);
	m->autoexpunge_usec = conf_time(c, ctx, expunge);
	m->autoexpunge_max_mails = conf_u64(c, ctx, most);
}

static void fill_mailboxes(const struct conf *c, const struct conf_ctx *ctx,
			   const char *base, struct arena *a,
			   struct conf_namespace *ns)
{
	const char **names;
	char *path = arena_printf(a, "%s/mailbox", base);
	size_t n = conf_children(c, ctx, path, false, a, &names);
	struct conf_mailbox *m = arena_zalloc(a, (n + 1) * sizeof(*m));

	for (size_t i = 0; i < n; i++) {
		char *one = arena_printf(a, "%s/%s", path, names[i]);

		m[i].name = conf_path_unescape(a, names[i], strlen(names[i]));
		fill_mailbox(c, ctx, one, &m[i]);
	}
	ns->mailboxes = m;
	ns->n_mailboxes = n;
}

static bool is_number(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == '\0';
}

/* The separator of all but Maildir++ is '/'. */
static char separator(const char *text)
{
	return *text ? *text : '/';
}

void conf_namespaces(const struct conf *c, const struct conf_ctx *ctx,
		     struct arena *a, struct conf_namespace **out,
		     size_t *n_out)
{
	const char **names;
	size_t n = conf_children(c, ctx, "namespace", false, a, &names), k = 0;
	struct conf_namespace *ns = arena_zalloc(a, (n + 1) * sizeof(*ns));

	for (size_t i = 0; i < n; i++) {
		char *base = arena_printf(a, "namespace/%s", names[i]);
		struct conf_namespace *x = &ns[k];
		const char *list;

		if (yes(c, ctx, base, "disabled"))
			continue;
		k++;
		x->name = is_number(names[i])
				  ? ""
				  : conf_path_unescape(a, names[i],
						       strlen(names[i]));
		x->type = conf_textf(c, ctx, "%s/type", base);
		x->prefix = conf_textf(c, ctx, "%s/prefix", base);
		x->separator = separator(
			conf_textf(c, ctx, "%s/separator", base));
		x->inbox = yes(c, ctx, base, "inbox");
		x->hidden = yes(c, ctx, base, "hidden");
		x->subscriptions = yes(c, ctx, base, "subscriptions");
		list = conf_textf(c, ctx, "%s/list", base);
		x->list = strcmp(list, "no") == 0	  ? CONF_LIST_NO
			  : strcmp(list, "children") == 0 ? CONF_LIST_CHILDREN
							  : CONF_LIST_YES;
		x->order = conf_u64(c, ctx, arena_printf(a, "%s/order", base));
		fill_mailboxes(c, ctx, base, a, x);
	}
	if (k == 0)
		ns[k++] = (struct conf_namespace){
			.name = "",
			.type = "private",
			.prefix = "",
			.separator = '/',
			.inbox = true,
			.subscriptions = true,
			.list = CONF_LIST_YES,
		};
	*out = ns;
	*n_out = k;
}

void conf_dbs(const struct conf *c, const char *kind, struct arena *a,
	      struct conf_db **out, size_t *n_out)
{
	bool pass = strcmp(kind, "passdb") == 0;
	const char **names;
	size_t n = conf_children(c, NULL, kind, false, a, &names);
	struct conf_db *db = arena_zalloc(a, (n + 1) * sizeof(*db));

	for (size_t i = 0; i < n; i++) {
		char *base = arena_printf(a, "%s/%s", kind, names[i]);
		const struct conf_entry *mark = conf_layer_get(c, 0, base);
		struct conf_db *d = &db[i];

		d->driver = conf_textf(c, NULL, "%s/driver", base);
		d->args = conf_textf(c, NULL, "%s/args", base);
		d->default_fields =
			conf_textf(c, NULL, "%s/default_fields", base);
		d->override_fields =
			conf_textf(c, NULL, "%s/override_fields", base);
		d->skip = conf_textf(c, NULL, "%s/skip", base);
		d->result_success =
			conf_textf(c, NULL, "%s/result_success", base);
		d->result_failure =
			conf_textf(c, NULL, "%s/result_failure", base);
		d->result_internalfail =
			conf_textf(c, NULL, "%s/result_internalfail", base);
		d->name = conf_textf(c, NULL, "%s/name", base);
		d->username_filter = d->mechanisms = "";
		if (pass) {
			d->username_filter = conf_textf(
				c, NULL, "%s/username_filter", base);
			d->mechanisms =
				conf_textf(c, NULL, "%s/mechanisms", base);
			d->deny = yes(c, NULL, base, "deny");
			d->master = yes(c, NULL, base, "master");
			d->pass = yes(c, NULL, base, "pass");
		}
		d->where = mark && mark->line
				   ? arena_printf(a, "%s line %u", mark->file,
						  mark->line)
				   : "";
	}
	*out = db;
	*n_out = n;
}
