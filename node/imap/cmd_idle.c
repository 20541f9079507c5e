#include "node/imap/imap.h"

/*
 * IDLE (RFC 2177).  While idling no command runs as far as the session is
 * concerned (`tag` is empty, the arena is gone): an idle session costs its
 * struct, its stream and its view.
 */

void cmd_idle(struct imap *im, const struct imap_command *cmd)
{
	struct err e;

	if (imap_no_args(cmd, &e) < 0) {
		imap_reply_bad(im, &e);
		return;
	}
	if (strlen(im->tag) >= sizeof(im->idle_tag)) {
		imap_reply(im, "BAD", NULL, "Tag is too long.");
		return;
	}
	snprintf(im->idle_tag, sizeof(im->idle_tag), "%s", im->tag);
	/* News from before the IDLE first. */
	if (im->state == IMAP_SELECTED)
		imap_tell(im, true);
	if (im->state == IMAP_ENDED)
		return;
	buf_str(imap_out(im), "+ idling\r\n");
	imap_reader_want_line(im->reader);
	im->idling = true;
	imap_park(im);
}

void imap_idle_line(struct imap *im, struct slice line)
{
	im->idling = false;
	im->tag = arena_strdup(im->arena, im->idle_tag);
	im->cmd = imap_command_find("IDLE");
	if (slice_is_ci(line, "DONE"))
		imap_reply(im, "OK", NULL, "Idle completed.");
	else
		imap_reply(im, "BAD", NULL, "Expected DONE.");
}
