/* Treatment: what no single line shows. */

#include "node/config/conf_int.h"
#include "node/base/cleanup.h"

static void check_dbs(struct conf_checking *k, const char *kind)
{
	struct arena *a = k->c->arena;
	const char **names;
	size_t n = conf_children(k->c, NULL, kind, false, a, &names);

	for (size_t i = 0; i < n; i++) {
		char *base = arena_printf(a, "%s/%s", kind, names[i]);

		if (!*conf_textf(k->c, NULL, "%s/driver", base))
			conf_refuse(k, conf_layer_get(k->c, 0, base),
				    "%s is missing driver", kind);
	}
}

static void check_namespaces(struct conf_checking *k)
{
	struct conf_namespace *ns;
	size_t n, inboxes = 0;
	const struct conf_layer *l = &k->c->layers[0];
	const struct conf_entry *first = NULL;

	conf_namespaces(k->c, NULL, k->c->arena, &ns, &n);
	for (size_t i = 0; i < l->n && !first; i++)
		if (strncmp(l->entries[i]->path, "namespace/", 10) == 0)
			first = l->entries[i];
	for (size_t i = 0; i < n; i++) {
		inboxes += ns[i].inbox;
		for (size_t j = 0; j < i; j++)
			if (strcmp(ns[i].prefix, ns[j].prefix) == 0)
				conf_refuse(k, first,
					    "namespace %s and %s have the same "
					    "prefix '%s'",
					    ns[j].name, ns[i].name,
					    ns[i].prefix);
		if (ns[i].separator != ns[0].separator)
			conf_refuse(k, first,
				    "namespace %s: all namespaces need the "
				    "same separator in this build",
				    ns[i].name);
	}
	if (inboxes == 0)
		conf_refuse(k, first,
			    "namespace: inbox=yes is missing (set it in the "
			    "namespace that holds INBOX)");
	if (inboxes > 1)
		conf_refuse(k, first,
			    "namespace: there can be only one with inbox=yes");
}

static void check_pair(struct conf_checking *k)
{
	struct conf *c = k->c;
	const struct conf_entry *x =
		conf_layer_get(c, 0, "plugin/mail_replica");
	const struct conf_entry *pw = conf_layer_get(c, 0, "doveadm_password");

	if (!x || !*x->text)
		return;
	if (!pw || !*pw->text)
		conf_refuse(k, x,
			    "mail_replica is set, but doveadm_password is "
			    "empty: both nodes prove with it who they are");
	else if (pw->from_file == NULL && strlen(pw->text) < 8)
		conf_remark(k, CONF_WARNING, pw,
			    "doveadm_password is short: it protects all mail "
			    "against whoever reaches the port");
	if (!conf_has_word(c, NULL, "mail_plugins", "replication"))
		conf_remark(k, CONF_WARNING, x,
			    "mail_replica is set, but replication is not in "
			    "mail_plugins: replicating all the same");
}

static void check_protocols(struct conf_checking *k)
{
	struct conf *c = k->c;
	const struct conf_entry *x = conf_layer_get(c, 0, "protocols");

	if (conf_has_word(c, NULL, "protocols", "sieve"))
		conf_remark(k, CONF_NOTE, x,
			    "protocols: sieve is not in this build (comes "
			    "with sieve): no port is opened");
}

static void check_tls(struct conf_checking *k)
{
	struct conf *c = k->c;
	const struct conf_entry *cert = conf_layer_get(c, 0, "ssl_cert");
	const struct conf_entry *key = conf_layer_get(c, 0, "ssl_key");

	if (!cert && strcmp(conf_text(c, NULL, "ssl"), "no") != 0)
		conf_remark(k, CONF_WARNING, NULL,
			    "ssl_cert is not set: clients are offered no TLS, "
			    "and so no login (ssl_cert = </PATH, ssl_key = "
			    "</PATH)");
	if (cert && *cert->text && (!key || !*key->text))
		conf_refuse(k, cert, "ssl_cert is set, but ssl_key is not");
	if (key && *key->text && (!cert || !*cert->text))
		conf_refuse(k, key, "ssl_key is set, but ssl_cert is not");
}

static void check_mail(struct conf_checking *k)
{
	struct conf *c = k->c;

	if (!*conf_text(c, NULL, "mail_location"))
		conf_remark(k, CONF_WARNING, NULL,
			    "mail_location is not set: accounts whose userdb "
			    "gives no mail field are not served (e.g. "
			    "mail_location = sdbox:/var/mail/%%n/)");
}

void conf_check_whole(struct conf_checking *k)
{
	check_protocols(k);
	check_dbs(k, "passdb");
	check_dbs(k, "userdb");
	check_namespaces(k);
	check_tls(k);
	check_pair(k);
	check_mail(k);
}
