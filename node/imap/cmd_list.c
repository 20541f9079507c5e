#include "node/imap/imap.h"
#include "node/base/map.h"
#include "proto/mailbox_name.h"

#include <stdlib.h>

/*
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9, RFC 5258, RFC 5819, RFC 6154).
 *
 * All names the account knows (mailboxes, subscriptions, the parents of both)
 * are gathered once, sorted, and run against the patterns.
 */

struct entry {
	struct slice name;		/* storage form */
	struct mailbox *mbox;		/* NULL: no such mailbox */
	bool subscribed;
	bool children;			/* some mailbox lies below */
	bool sub_below;			/* some subscribed name lies below */
};

struct listing {
	struct imap *im;
	struct imap_list l;
	bool lsub;
	struct map *by_name;
	struct entry **all;
	size_t n, cap;
};

static struct entry *entry_of(struct listing *g, struct slice name)
{
	struct entry *x = map_get(g->by_name, name);

	if (x)
		return x;
	x = ARENA_NEW(g->im->arena, struct entry);
	x->name = arena_dup(g->im->arena, name);
	map_put(g->by_name, x->name, x);
	GROW(g->all, g->n, g->cap);
	g->all[g->n++] = x;
	return x;
}

static bool add_mailbox(void *arg, struct mailbox *m)
{
	struct listing *g = arg;
	struct slice name = slice_str(mailbox_name(m)), up;

	entry_of(g, name)->mbox = m;
	for (up = mailbox_name_parent(name, '/'); up.n;
	     up = mailbox_name_parent(up, '/'))
		entry_of(g, up)->children = true;
	return true;
}

static bool add_subscription(void *arg, struct slice name)
{
	struct listing *g = arg;
	struct slice up;

	entry_of(g, name)->subscribed = true;
	for (up = mailbox_name_parent(name, '/'); up.n;
	     up = mailbox_name_parent(up, '/'))
		entry_of(g, up)->sub_below = true;
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a;
	const struct entry *y = *(struct entry *const *)b;

	return slice_cmp(x->name, y->name);
}

static void gather(struct listing *g)
{
	g->by_name = map_new();
	account_mailboxes(g->im->s->account, add_mailbox, g);
	account_subscriptions(g->im->s->account, add_subscription, g);
	if (g->n)
		qsort(g->all, g->n, sizeof(*g->all), by_name);
}

/* Patterns and names are compared as the client sees them. */
static bool matches(struct listing *g, struct slice client, bool *below)
{
	struct imap *im = g->im;
	char sep = im->s->conf->separator;

	*below = false;
	for (size_t i = 0; i < g->l.n_patterns; i++) {
		struct slice p = g->l.patterns[i];

		if (g->l.reference.n) {
			char *joined = arena_printf(im->arena, "%.*s%.*s",
				(int)g->l.reference.n, g->l.reference.p,
				(int)p.n, p.p);
			p = slice_str(joined);
		}
		if (mailbox_name_match(p, client, sep))
			return true;
		if (mailbox_name_match_below(p, client, sep))
			*below = true;
	}
	return false;
}

static void put_attr(struct buf *out, bool *first, const char *attr)
{
	if (!*first)
		buf_char(out, ' ');
	buf_str(out, attr);
	*first = false;
}

static void put_entry(struct listing *g, const struct entry *x,
		      bool childinfo)
{
	struct imap *im = g->im;
	struct buf *out = imap_out(im);
	bool first = true;
	uint32_t use = x->mbox ? mailbox_special_use(x->mbox) : 0;

	buf_str(out, g->lsub ? "* LSUB (" : "* LIST (");
	if (g->lsub) {
		if (!x->subscribed)
			put_attr(out, &first, "\\Noselect");
	} else {
		if (!x->mbox)
			put_attr(out, &first, g->l.extended ? "\\NonExistent"
							    : "\\Noselect");
		put_attr(out, &first, x->children ? "\\HasChildren"
						  : "\\HasNoChildren");
		if (x->subscribed && ((g->l.ret | g->l.select) &
				      IMAP_LIST_SUBSCRIBED))
			put_attr(out, &first, "\\Subscribed");
		if (use) {
			if (!first)
				buf_char(out, ' ');
			imap_put_special_use(out, use);
			first = false;
		}
	}
	buf_str(out, ") \"");
	if (im->s->conf->separator == '\\')
		buf_char(out, '\\');
	buf_char(out, (uint8_t)im->s->conf->separator);
	buf_str(out, "\" ");
	imap_put_name(im, out, x->name);
	if (childinfo)
		buf_str(out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	buf_str(out, "\r\n");
	if (x->mbox && (g->l.ret & IMAP_LIST_STATUS))
		imap_put_status(im, x->mbox, g->l.status_items);
}

/* RFC 5258 3: which of the matching names the selection options let pass. */
static bool selected(const struct listing *g, const struct entry *x,
		     bool *childinfo)
{
	bool rec = g->l.select & IMAP_LIST_RECURSIVEMATCH;

	*childinfo = false;
	if (g->l.select & IMAP_LIST_SPECIAL_USE) {
		if (!x->mbox || !mailbox_special_use(x->mbox))
			return false;
	}
	if (g->l.select & IMAP_LIST_SUBSCRIBED) {
		*childinfo = rec && x->sub_below;
		return x->subscribed || *childinfo;
	}
	/* A name without a mailbox is there only for what lies below. */
	return x->mbox || x->children;
}

static void list_entry(struct listing *g, const struct entry *x)
{
	struct slice client = imap_name_in(g->im, x->name);
	bool below, childinfo;

	if (!matches(g, client, &below))
		return;
	if (g->lsub) {
		/* RFC 3501 6.3.9: with "%", a parent of a subscribed name. */
		if (x->subscribed || x->sub_below)
			put_entry(g, x, false);
		return;
	}
	if (selected(g, x, &childinfo))
		put_entry(g, x, childinfo);
}

static bool has_percent(const struct listing *g)
{
	for (size_t i = 0; i < g->l.n_patterns; i++)
		if (slice_chr(g->l.patterns[i], '%') >= 0)
			return true;
	return false;
}

static void list(struct imap *im, const struct imap_command *cmd, bool lsub)
{
	struct listing g = {.im = im, .lsub = lsub};
	struct err e;

	if (imap_list_parse(cmd, im->arena, &g.l, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (g.l.ret & IMAP_LIST_STATUS &&
	    g.l.status_items & IMAP_STATUS_HIGHESTMODSEQ)
		imap_condstore_on(im);
	/* RFC 3501 6.3.8: an empty name asks for the separator and the root. */
	if (!g.l.extended && g.l.n_patterns == 1 && g.l.patterns[0].n == 0) {
		imap_untagged(im, "%s (\\Noselect) \"%s%c\" \"\"",
			      lsub ? "LSUB" : "LIST",
			      im->s->conf->separator == '\\' ? "\\" : "",
			      im->s->conf->separator);
		imap_reply(im, "OK", NULL, "%s completed.",
			   lsub ? "Lsub" : "List");
		return;
	}
	if (im->state == IMAP_SELECTED && (g.l.ret & IMAP_LIST_STATUS))
		imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	gather(&g);
	for (size_t i = 0; i < g.n; i++) {
		/* Parents that exist only as a level are listed by LSUB for
		 * "%" only. */
		if (lsub && !g.all[i]->subscribed && !has_percent(&g))
			continue;
		list_entry(&g, g.all[i]);
	}
	map_free(g.by_name);
	free(g.all);
	imap_reply(im, "OK", NULL, "%s completed.", lsub ? "Lsub" : "List");
}

void cmd_list(struct imap *im, const struct imap_command *cmd)
{
	list(im, cmd, false);
}

void cmd_lsub(struct imap *im, const struct imap_command *cmd)
{
	list(im, cmd, true);
}
