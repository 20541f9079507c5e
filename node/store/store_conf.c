/* What sessions see of the configuration. */

#include "node/store/store_role.h"
#include "node/base/arena.h"
#include "proto/imap_args.h"

#include <stdlib.h>
#include <unistd.h>

struct store_conf {
	struct session_conf pub;	/* first: the same address */
	struct conf *conf;
	struct arena *arena;
};

/* "\Sent \Archive" as bits. */
static uint32_t special_use(const char *words)
{
	uint32_t set = 0;

	while (*words) {
		size_t n = strcspn(words, " \t");

		set |= imap_special_use(slice_of(words, n));
		words += n;
		words += strspn(words, " \t");
	}
	return set;
}

/* Prefix and name; levels are separated by '/' in storage. */
static const char *whole_name(struct arena *a, const struct conf_namespace *ns,
			      const char *name)
{
	char *s = arena_printf(a, "%s%s", ns->prefix, name);

	for (char *p = s; ns->separator && ns->separator != '/' && *p; p++)
		if (*p == ns->separator)
			*p = '/';
	return s;
}

static void boxes_of(struct store_conf *sc, const struct conf_namespace *ns,
		     size_t n_ns)
{
	struct arena *a = sc->arena;
	struct session_box *boxes;
	struct auto_mailbox *autos;
	size_t n = 0, cap = 0, k = 0;

	for (size_t i = 0; i < n_ns; i++)
		cap += ns[i].n_mailboxes;
	boxes = arena_zalloc(a, (cap + 1) * sizeof(*boxes));
	autos = arena_zalloc(a, (cap + 1) * sizeof(*autos));
	/* INBOX is always there. */
	autos[k++].name = "INBOX";
	for (size_t i = 0; i < n_ns; i++)
		for (size_t m = 0; m < ns[i].n_mailboxes; m++) {
			const struct conf_mailbox *c = &ns[i].mailboxes[m];
			struct session_box *b;

			if (strpbrk(c->name, "*?"))
				continue;
			b = &boxes[n++];
			b->name = whole_name(a, &ns[i], c->name);
			b->special_use = special_use(c->special_use);
			b->create = c->autocreate != CONF_AUTO_NO;
			b->subscribe = c->autocreate == CONF_AUTO_SUBSCRIBE;
			if (!b->create || strcasecmp(b->name, "INBOX") == 0)
				continue;
			autos[k++] = (struct auto_mailbox){
				.name = b->name,
				.special_use = b->special_use,
				.subscribe = b->subscribe,
			};
		}
	sc->pub.boxes = boxes;
	sc->pub.n_boxes = n;
	sc->pub.autos = autos;
	sc->pub.n_autos = k;
}

static const char *hostname_of(struct arena *a, struct conf *c)
{
	const char *set = conf_str(c, NULL, "hostname");
	char name[256] = "localhost";

	if (!*set)
		gethostname(name, sizeof(name) - 1);
	return arena_strdup(a, *set ? set : name);
}

struct session_conf *store_conf_new(struct role *r, struct conf *c,
				    struct err *e)
{
	struct conf_ctx ctx = {.protocol = "imap"};
	struct conf_ctx pop3 = {.protocol = "pop3"};
	struct arena *a = arena_new(4096);
	struct store_conf *sc = ARENA_NEW(a, struct store_conf);
	struct session_conf *p = &sc->pub;
	struct conf_namespace *ns;
	size_t n;

	(void)r;
	(void)e;
	sc->arena = a;
	sc->conf = conf_ref(c);
	p->refs = 1;
	conf_namespaces(c, &ctx, a, &ns, &n);
	p->separator = '/';
	for (size_t i = 0; i < n; i++)
		if (ns[i].inbox || i == 0) {
			p->separator = ns[i].separator;
			p->prefix = ns[i].prefix;
		}
	boxes_of(sc, ns, n);
	p->hostname = hostname_of(a, c);
	p->mail_log_prefix = conf_str(c, &ctx, "mail_log_prefix");
	p->imap_capability = conf_str(c, &ctx, "imap_capability");
	p->imap_client_workarounds =
		conf_str(c, &ctx, "imap_client_workarounds");
	p->imap_id_send = conf_str(c, &ctx, "imap_id_send");
	p->imap_id_log = conf_str(c, &ctx, "imap_id_log");
	p->imap_logout_format = conf_str(c, &ctx, "imap_logout_format");
	p->imap_idle_notify_usec =
		conf_time(c, &ctx, "imap_idle_notify_interval");
	p->imap_max_line_length =
		(size_t)conf_size(c, &ctx, "imap_max_line_length");
	p->imap_literal_minus = conf_bool(c, &ctx, "imap_literal_minus");
	p->pop3_log_prefix = conf_str(c, &pop3, "mail_log_prefix");
	p->pop3_logout_format = conf_str(c, &pop3, "pop3_logout_format");
	p->pop3_uidl_format = conf_str(c, &pop3, "pop3_uidl_format");
	p->pop3_lock_session = conf_bool(c, &pop3, "pop3_lock_session");
	p->pop3_no_flag_updates = conf_bool(c, &pop3, "pop3_no_flag_updates");
	p->mail_max_keyword_length =
		(unsigned)conf_u64(c, &ctx, "mail_max_keyword_length");
	return p;
}

/* The count is ours although what it counts is constant for everyone. */
static struct store_conf *own(const struct session_conf *c)
{
	return (struct store_conf *)(uintptr_t)c;
}

const struct session_conf *store_conf_ref(const struct session_conf *c)
{
	own(c)->pub.refs++;
	return c;
}

void store_conf_unref(const struct session_conf *c)
{
	if (!c || --own(c)->pub.refs)
		return;
	conf_unref(own(c)->conf);
	arena_free(own(c)->arena);
}

struct conf *store_conf_of(const struct session_conf *c)
{
	return own(c)->conf;
}
