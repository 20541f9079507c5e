#include "node/imap/imap.h"
#include "proto/mailbox_name.h"
#include "storage/account.h"

#include <stdlib.h>

/*
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9, RFC 5258, RFC 5819, RFC 6154).
 *
 * All names the account knows (mailboxes, subscriptions, the levels above
 * both) are gathered at once and sorted; then they are run against the
 * patterns, some at a time.  Between two steps mailboxes may go: they are kept
 * by id.
 */

/*
 * Sorted by name, each name once.  What lies below a name begins with it and
 * '/', so it stands in one piece of the array: that tells of children without
 * another table.
 */
struct entry {
	struct slice name;		/* storage form */
	struct id128 id;
	bool mailbox;			/* there is one of this name */
	bool subscribed;
};

struct listing {
	struct imap_list l;
	bool lsub, percent;
	struct slice *patterns;		/* reference before each */
	struct entry *all;
	size_t n, cap, at;
	struct arena *arena;		/* of the name being looked at */
};

/* ---- gathering ------------------------------------------------------------- */

struct gathering {
	struct imap *im;
	struct listing *g;
	struct slice parent;		/* added last */
};

static struct entry *add(struct gathering *t, struct slice name)
{
	struct listing *g = t->g;
	struct entry *x;

	GROW(g->all, g->n, g->cap);
	x = &g->all[g->n++];
	*x = (struct entry){.name = arena_dup(t->im->arena, name)};
	return x;
}

/* Levels above a name: neighbours have the same, the rest is sorted out
 * later. */
static void add_parents(struct gathering *t, struct slice name)
{
	struct slice up;

	for (up = mailbox_name_parent(name, '/'); up.n;
	     up = mailbox_name_parent(up, '/')) {
		if (slice_eq(up, t->parent))
			return;
		if (up.n == mailbox_name_parent(name, '/').n)
			t->parent = up;
		add(t, up);
	}
}

static bool add_mailbox(void *arg, struct mailbox *m)
{
	struct gathering *t = arg;
	struct entry *x = add(t, slice_str(mailbox_name(m)));

	x->id = mailbox_id(m);
	x->mailbox = true;
	add_parents(t, x->name);
	return true;
}

static bool add_subscription(void *arg, struct slice name)
{
	struct gathering *t = arg;
	struct entry *x = add(t, name);

	x->subscribed = true;
	add_parents(t, x->name);
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return slice_cmp(x->name, y->name);
}

/* Equal names become one. */
static void merge(struct listing *g)
{
	size_t k = 0;

	for (size_t i = 0; i < g->n; i++) {
		struct entry *x = &g->all[i];

		if (k == 0 || !slice_eq(g->all[k - 1].name, x->name)) {
			g->all[k++] = *x;
			continue;
		}
		if (x->mailbox) {
			g->all[k - 1].mailbox = true;
			g->all[k - 1].id = x->id;
		}
		g->all[k - 1].subscribed |= x->subscribed;
	}
	g->n = k;
}

static void gather(struct imap *im, struct listing *g)
{
	struct gathering t = {.im = im, .g = g};

	/* INBOX exists always (RFC 3501 5.1). */
	add(&t, SLICE_LIT("INBOX"));
	account_mailboxes(im->s->account, add_mailbox, &t);
	account_subscriptions(im->s->account, add_subscription, &t);
	qsort(g->all, g->n, sizeof(*g->all), by_name);
	merge(g);
}

/* ---- what lies below ----------------------------------------------------------- */

/* The first entry not less than name + '/'. */
static size_t first_below(const struct listing *g, size_t i)
{
	struct slice name = g->all[i].name;
	size_t lo = i + 1, hi = g->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct slice x = g->all[mid].name;
		int c = slice_cmp(slice_sub(x, 0, name.n), name);

		if (c < 0 || (c == 0 && (x.n <= name.n ||
					 x.p[name.n] < (uint8_t)'/')))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_below(const struct listing *g, size_t j, struct slice name)
{
	struct slice x = g->all[j].name;

	return x.n > name.n && x.p[name.n] == '/' &&
	       slice_eq(slice_sub(x, 0, name.n), name);
}

static bool below(const struct listing *g, size_t i, bool subscribed)
{
	for (size_t j = first_below(g, i);
	     j < g->n && is_below(g, j, g->all[i].name); j++)
		if (subscribed ? g->all[j].subscribed : g->all[j].mailbox)
			return true;
	return false;
}

/* ---- output ------------------------------------------------------------------- */

static void attr(struct buf *out, bool *first, const char *text)
{
	if (!*first)
		buf_char(out, ' ');
	buf_str(out, text);
	*first = false;
}

static void put_list_attrs(struct imap *im, struct listing *g,
			   const struct entry *x, struct mailbox *m,
			   bool children)
{
	struct buf *out = imap_out(im);
	uint32_t use = m ? imap_box_use(im, m) : 0;
	bool first = true, inbox = slice_is(x->name, "INBOX");

	if (!m && !inbox)
		/* RFC 5258 3: a level above others is there, if not as a
		 * mailbox; a name that is only subscribed is not. */
		attr(out, &first, children || !g->l.extended ?
		     "\\Noselect" : "\\NonExistent");
	attr(out, &first, children ? "\\HasChildren" : "\\HasNoChildren");
	if (x->subscribed &&
	    ((g->l.ret | g->l.select) & IMAP_LIST_SUBSCRIBED))
		attr(out, &first, "\\Subscribed");
	if (use) {
		buf_char(out, ' ');
		imap_put_special_use(out, use);
	}
}

static void put_entry(struct imap *im, struct listing *g, size_t i,
		      bool childinfo)
{
	const struct entry *x = &g->all[i];
	struct mailbox *m = x->mailbox ?
		account_mailbox_id(im->s->account, x->id) : NULL;
	struct buf *out = imap_out(im);

	buf_str(out, g->lsub ? "* LSUB (" : "* LIST (");
	if (!g->lsub)
		put_list_attrs(im, g, x, m, below(g, i, false));
	else if (!x->subscribed)
		buf_str(out, "\\Noselect");
	buf_str(out, ") ");
	imap_put_separator(im, out);
	buf_char(out, ' ');
	imap_put_name(im, out, x->name);
	if (childinfo)
		buf_str(out, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	buf_str(out, "\r\n");
	if (m && (g->l.ret & IMAP_LIST_STATUS))
		imap_put_status(im, m, g->l.status_items);
}

/* ---- selection ------------------------------------------------------------------- */

/* Patterns and names are compared as the client sees them. */
static bool matches(struct imap *im, struct listing *g, struct slice name)
{
	struct slice client;
	bool found = false;

	arena_reset(g->arena);
	client = imap_name_out(im, name, g->arena);
	for (size_t i = 0; i < g->l.n_patterns && !found; i++)
		found = mailbox_name_match(g->patterns[i], client,
					   im->s->conf->separator);
	return found;
}

/* RFC 5258 3: which of the matching names the selection options let pass. */
static bool selected(struct imap *im, const struct listing *g, size_t i,
		     bool *childinfo)
{
	const struct entry *x = &g->all[i];
	struct mailbox *m;

	*childinfo = false;
	if (g->lsub)
		/* RFC 3501 6.3.9: with "%", a level above a subscribed name. */
		return x->subscribed || (g->percent && below(g, i, true));
	if (g->l.select & IMAP_LIST_SPECIAL_USE) {
		m = x->mailbox ? account_mailbox_id(im->s->account, x->id)
			       : NULL;
		if (!m || !imap_box_use(im, m))
			return false;
	}
	if (g->l.select & IMAP_LIST_SUBSCRIBED) {
		*childinfo = (g->l.select & IMAP_LIST_RECURSIVEMATCH) &&
			     below(g, i, true);
		return x->subscribed || *childinfo;
	}
	/* A name without a mailbox is there only for what lies below. */
	return x->mailbox || slice_is(x->name, "INBOX") || below(g, i, false);
}

static void list_fini(struct imap *im)
{
	struct listing *g = im->cmd_data;

	free(g->all);
	arena_free(g->arena);
}

static bool list_step(struct imap *im)
{
	struct listing *g = im->cmd_data;
	unsigned budget = IMAP_STEP_NAMES;
	bool childinfo;

	for (; g->at < g->n; g->at++) {
		if (imap_out_full(im) || budget-- == 0)
			return false;
		if (matches(im, g, g->all[g->at].name) &&
		    selected(im, g, g->at, &childinfo))
			put_entry(im, g, g->at, childinfo);
	}
	imap_reply(im, "OK", NULL, "%s completed.", g->lsub ? "Lsub" : "List");
	return true;
}

/* ---- the commands -------------------------------------------------------------- */

static void join_patterns(struct imap *im, struct listing *g)
{
	struct slice ref = g->l.reference;

	g->patterns = arena_alloc(im->arena, (g->l.n_patterns + 1) *
				  sizeof(*g->patterns));
	for (size_t i = 0; i < g->l.n_patterns; i++) {
		struct slice p = g->l.patterns[i];
		uint8_t *b = arena_alloc(im->arena, ref.n + p.n + 1);

		if (ref.n)
			memcpy(b, ref.p, ref.n);
		if (p.n)
			memcpy(b + ref.n, p.p, p.n);
		g->patterns[i] = slice_of(b, ref.n + p.n);
		g->percent |= slice_chr(p, '%') >= 0;
	}
}

/* RFC 3501 6.3.8: an empty name asks for the separator and the root. */
static void put_root(struct imap *im, bool lsub)
{
	struct buf *out = imap_out(im);

	buf_str(out, lsub ? "* LSUB (\\Noselect) " : "* LIST (\\Noselect) ");
	imap_put_separator(im, out);
	buf_str(out, " \"\"\r\n");
	imap_reply(im, "OK", NULL, "%s completed.", lsub ? "Lsub" : "List");
}

static void list(struct imap *im, const struct imap_command *cmd, bool lsub)
{
	struct listing *g = ARENA_NEW(im->arena, struct listing);
	struct err e;

	g->lsub = lsub;
	if (imap_list_parse(cmd, im->arena, &g->l, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (!g->l.extended && g->l.n_patterns == 1 && g->l.patterns[0].n == 0) {
		put_root(im, lsub);
		return;
	}
	if (g->l.ret & IMAP_LIST_STATUS) {
		if (g->l.status_items & IMAP_STATUS_HIGHESTMODSEQ)
			imap_condstore_on(im);
		/* Nothing of the selected one is counted before it was told. */
		if (im->state == IMAP_SELECTED)
			imap_tell(im, true);
		if (im->state == IMAP_ENDED)
			return;
	}
	join_patterns(im, g);
	g->arena = arena_new(256);
	gather(im, g);
	imap_run(im, list_step, g, list_fini);
}

void cmd_list(struct imap *im, const struct imap_command *cmd)
{
	list(im, cmd, false);
}

void cmd_lsub(struct imap *im, const struct imap_command *cmd)
{
	list(im, cmd, true);
}
