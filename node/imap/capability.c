#include "node/imap/imap.h"

/* What is whole, and nothing else.  The front adds STARTTLS, AUTH= and
 * LOGINDISABLED before login. */
static const char *const built_in[] = {
	"IMAP4rev1", "SASL-IR", "ID", "ENABLE", "IDLE",
	"NAMESPACE", "UIDPLUS", "UNSELECT", "CHILDREN", "LIST-EXTENDED",
	"LIST-STATUS", "SPECIAL-USE", "CREATE-SPECIAL-USE", "STATUS=SIZE",
	"MULTIAPPEND", "MOVE", "CONDSTORE", "QRESYNC", "OBJECTID",
};

static bool known(struct slice word)
{
	if (slice_is_ci(word, "LITERAL+") || slice_is_ci(word, "LITERAL-"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
		if (slice_is_ci(word, built_in[i]))
			return true;
	return false;
}

void imap_put_capability(struct imap *im, struct buf *to)
{
	const char *set = im->s->conf->imap_capability;
	bool first = true;

	/* imap_capability without '+' replaces the list: of its words only
	 * those that are built are sent (RFC 3501: never promise more). */
	if (set[0] && set[0] != '+') {
		struct slice s = slice_str(set);

		while (s.n) {
			ptrdiff_t at = slice_chr(s, ' ');
			size_t n = at < 0 ? s.n : (size_t)at;
			struct slice word = slice_sub(s, 0, n);

			if (word.n && known(word)) {
				if (!first)
					buf_char(to, ' ');
				buf_slice(to, word);
				first = false;
			}
			s = slice_sub(s, n + 1, s.n);
		}
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++) {
		if (!first)
			buf_char(to, ' ');
		buf_str(to, built_in[i]);
		first = false;
		if (i == 0)
			buf_str(to, im->s->conf->imap_literal_minus ?
				" LITERAL-" : " LITERAL+");
	}
}

void cmd_capability(struct imap *im, const struct imap_command *cmd)
{
	struct err e;

	if (imap_no_args(cmd, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	buf_str(imap_out(im), "* CAPABILITY ");
	imap_put_capability(im, imap_out(im));
	buf_str(imap_out(im), "\r\n");
	imap_reply(im, "OK", NULL, "Capability completed.");
}
