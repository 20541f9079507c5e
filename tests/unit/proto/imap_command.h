#ifndef DUET_TESTS_IMAP_COMMAND_H
#define DUET_TESTS_IMAP_COMMAND_H

/* One IMAP command from text, for tests of the argument parsers. */

#include "proto/imap_parse.h"

/* text: without tag and line end; literals must be {N+}.  At an APPEND
 * literal it stops, as a session would.  NULL if it is no command. */
static const struct imap_command *command_of(struct arena *a,
					     const char *text)
{
	struct imap_limits limits = IMAP_LIMITS_DEFAULT;
	struct imap_reader *r = imap_reader_new(&limits);
	const struct imap_command *cmd = NULL;
	struct imap_event ev;
	enum imap_event_type type;
	struct slice in = slice_str(arena_printf(a, "t %s\r\n", text));

	while ((type = imap_reader_next(r, &in, a, &ev)) != IMAP_MORE) {
		if (type == IMAP_COMMAND)
			cmd = ev.cmd;
		if (type == IMAP_LITERAL)
			imap_reader_accept(r);
	}
	imap_reader_free(r);
	return cmd;
}

#endif
