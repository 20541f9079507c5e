#include "node/imap/imap.h"
#include "proto/mailbox_name.h"

/*
 * Names.  In storage '/' stands between levels; clients see the namespace's
 * separator.  The parsers have turned modified UTF-7 into UTF-8 already.
 */

struct slice imap_name_in(struct imap *im, struct slice client)
{
	char sep = im->s->conf->separator;
	uint8_t *p;

	if (sep == '/' || client.n == 0)
		return client;
	p = arena_alloc(im->arena, client.n);
	for (size_t i = 0; i < client.n; i++) {
		uint8_t c = client.p[i];

		p[i] = c == (uint8_t)sep ? '/' : c == '/' ? (uint8_t)sep : c;
	}
	return slice_of(p, client.n);
}

void imap_put_name(struct imap *im, struct buf *to, struct slice name)
{
	/* The mapping is its own inverse. */
	imap_put_mailbox(to, imap_name_in(im, name));
}

struct mailbox *imap_mailbox(struct imap *im, struct slice client,
			     const char *code)
{
	struct mailbox *m = account_mailbox(im->s->account,
					    imap_name_in(im, client));

	if (!m)
		imap_reply(im, "NO", code, "Mailbox doesn't exist: %.*s",
			   (int)(client.n > 200 ? 200 : client.n), client.p);
	return m;
}
