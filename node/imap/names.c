#include "node/imap/imap.h"
#include "proto/mailbox_name.h"
#include "proto/mutf7.h"
#include "storage/account.h"

/*
 * Names.  In storage '/' stands between levels; clients see the namespace's
 * separator.  The parsers have turned modified UTF-7 into UTF-8 already.
 */

#define SHOWN_NAME_MAX 200u

/* '/' and the separator change places: its own inverse. */
static struct slice swap(struct imap *im, struct slice name, struct arena *a)
{
	uint8_t sep = (uint8_t)im->s->conf->separator;
	uint8_t *p;

	if (sep == '/' || name.n == 0)
		return name;
	p = arena_alloc(a, name.n);
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		p[i] = c == sep ? '/' : c == '/' ? sep : c;
	}
	return slice_of(p, name.n);
}

struct slice imap_name_in(struct imap *im, struct slice client)
{
	struct slice name = swap(im, client, im->arena);
	uint8_t canonical[MBOX_NAME_MAX];
	size_t n = mailbox_name_canonical(name, canonical);

	/* Too long: nothing has that name, and making it is refused. */
	return n ? arena_dup(im->arena, slice_of(canonical, n)) : name;
}

struct slice imap_name_out(struct imap *im, struct slice name, struct arena *a)
{
	return swap(im, name, a);
}

void imap_put_name(struct imap *im, struct buf *to, struct slice name)
{
	imap_put_mailbox(to, imap_name_out(im, name, im->arena));
}

void imap_put_separator(struct imap *im, struct buf *to)
{
	uint8_t sep = (uint8_t)im->s->conf->separator;

	buf_char(to, '"');
	if (sep == '\\' || sep == '"')
		buf_char(to, '\\');
	buf_char(to, sep);
	buf_char(to, '"');
}

bool imap_name_check(struct imap *im, struct slice name)
{
	const char *prefix = im->s->conf->prefix ? im->s->conf->prefix : "";
	struct slice want = swap(im, slice_str(prefix), im->arena);

	if (mailbox_name_check(name, '/') < 0) {
		imap_reply(im, "NO", "CANNOT", "Invalid mailbox name.");
		return false;
	}
	if (!slice_eq(slice_sub(name, 0, want.n), want)) {
		imap_reply(im, "NO", "CANNOT", "Mailbox names must begin "
			   "with %s", prefix);
		return false;
	}
	return true;
}

uint32_t imap_box_use(struct imap *im, struct mailbox *m)
{
	const struct session_conf *c = im->s->conf;
	uint32_t use = mailbox_special_use(m);

	for (size_t i = 0; use == 0 && i < c->n_boxes; i++)
		if (c->boxes[i].special_use &&
		    strcmp(c->boxes[i].name, mailbox_name(m)) == 0)
			return c->boxes[i].special_use;
	return use;
}

struct mailbox *imap_mailbox(struct imap *im, struct slice client,
			     const char *code)
{
	struct slice name = imap_name_in(im, client);
	struct mailbox *m = account_mailbox(im->s->account, name);
	struct buf shown;

	if (m)
		return m;
	/* It exists always; making it was not possible here yet. */
	if (slice_is(name, "INBOX")) {
		imap_reply(im, "NO", "UNAVAILABLE",
			   "INBOX can't be made here at the moment.");
		return NULL;
	}
	buf_init(&shown, 4 * MBOX_NAME_MAX);
	if (utf8_to_mutf7(client, &shown) < 0)
		buf_reset(&shown);
	imap_reply(im, "NO", code, "Mailbox doesn't exist: %.*s",
		   (int)(shown.n > SHOWN_NAME_MAX ? SHOWN_NAME_MAX : shown.n),
		   shown.n ? (const char *)shown.p : "");
	buf_fini(&shown);
	return NULL;
}
