#include "node/imap/imap.h"

/* CHECK, ENABLE, ID, LOGOUT, NAMESPACE, NOOP: the small ones. */

void cmd_noop(struct imap *im, const struct imap_command *cmd)
{
	struct err e;

	if (imap_no_args(cmd, &e) < 0)
		imap_reply_bad(im, &e);
	else
		imap_reply(im, "OK", NULL, "NOOP completed.");
}

/* RFC 3501 6.4.1: everything acknowledged is on disk already. */
void cmd_check(struct imap *im, const struct imap_command *cmd)
{
	struct err e;

	if (imap_no_args(cmd, &e) < 0)
		imap_reply_bad(im, &e);
	else
		imap_reply(im, "OK", NULL, "Check completed.");
}

void cmd_logout(struct imap *im, const struct imap_command *cmd)
{
	struct err e;
	const char *tag = im->tag;

	if (imap_no_args(cmd, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	imap_untagged(im, "BYE Logging out");
	buf_printf(imap_out(im), "%s OK Logout completed.\r\n", tag);
	imap_end(im, SESSION_LOGOUT, "Logged out");
}

/* RFC 5161; RFC 7162 3.1 and 3.2.3 for what the two mean. */
void cmd_enable(struct imap *im, const struct imap_command *cmd)
{
	uint32_t what;
	struct err e;
	struct buf *out = imap_out(im);

	if (imap_enable_parse(cmd, &what, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (what & IMAP_ENABLE_QRESYNC)
		im->qresync = true;
	if (what)
		imap_condstore_on(im);
	/* Also what was on already, by SELECT (CONDSTORE) or before: clients
	 * look for the name. */
	buf_str(out, "* ENABLED");
	if ((what & IMAP_ENABLE_CONDSTORE))
		buf_str(out, " CONDSTORE");
	if ((what & IMAP_ENABLE_QRESYNC))
		buf_str(out, " QRESYNC");
	buf_str(out, "\r\n");
	imap_reply(im, "OK", NULL, "Enabled.");
}

/* RFC 2971.  imap_id_send: pairs "name value", "*" = the built-in value. */
static void put_id(struct imap *im, struct buf *out)
{
	struct slice s = slice_trim(slice_str(im->s->conf->imap_id_send));
	bool any = false;

	buf_str(out, "* ID (");
	while (s.n) {
		ptrdiff_t sp = slice_chr(s, ' ');
		size_t n = sp < 0 ? s.n : (size_t)sp;
		struct slice key = slice_sub(s, 0, n), value;

		s = slice_trim(slice_sub(s, n, s.n));
		sp = slice_chr(s, ' ');
		n = sp < 0 ? s.n : (size_t)sp;
		value = slice_sub(s, 0, n);
		s = slice_trim(slice_sub(s, n, s.n));
		if (slice_is(value, "*")) {
			if (slice_is_ci(key, "name"))
				value = SLICE_LIT("Duet");
			else if (slice_is_ci(key, "version"))
				value = slice_str(im->s->host->version);
			else
				continue;
		}
		if (any)
			buf_char(out, ' ');
		imap_put_string(out, key);
		buf_char(out, ' ');
		imap_put_nstring(out, value);
		any = true;
	}
	if (!any)
		buf_str(out, "\"name\" \"Duet\"");
	buf_str(out, ")\r\n");
}

void cmd_id(struct imap *im, const struct imap_command *cmd)
{
	struct imap_id id;
	struct err e;
	const char *log = im->s->conf->imap_id_log;

	if (imap_id_parse(cmd, &id, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (log[0] && id.n) {
		struct buf line;

		buf_init(&line, 2000);
		for (size_t i = 0; i < id.n; i++) {
			if (i)
				buf_str(&line, ", ");
			buf_slice(&line, id.key[i]);
			buf_char(&line, '=');
			buf_slice(&line, id.value[i]);
		}
		session_log(im->s, LOG_INF, "imap_id_received", "ID sent: %.*s",
			    (int)line.n, (const char *)line.p);
		buf_fini(&line);
	}
	put_id(im, imap_out(im));
	imap_reply(im, "OK", NULL, "ID completed.");
}

/* RFC 2342: one personal namespace. */
void cmd_namespace(struct imap *im, const struct imap_command *cmd)
{
	const char *prefix = im->s->conf->prefix;
	struct buf *out = imap_out(im);
	struct err e;

	if (imap_no_args(cmd, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	buf_str(out, "* NAMESPACE ((");
	imap_put_string(out, slice_str(prefix ? prefix : ""));
	buf_char(out, ' ');
	imap_put_separator(im, out);
	buf_str(out, ")) NIL NIL\r\n");
	imap_reply(im, "OK", NULL, "Namespace completed.");
}
