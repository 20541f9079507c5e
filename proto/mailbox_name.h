#ifndef DUET_PROTO_MAILBOX_NAME_H
#define DUET_PROTO_MAILBOX_NAME_H

/* Rules of mailbox names, all in UTF-8. */

#include "node/base/slice.h"

/* Octets of one level, in UTF-8 and in modified UTF-7 (its file name); with
 * MBOX_NAME_MAX of record.h for the whole. */
#define MAILBOX_LEVEL_MAX 255u
#define MAILBOX_DEPTH_MAX 50u

/*
 * LIST patterns (RFC 3501 6.3.8): '*' matches anything, '%' anything but the
 * separator.  INBOX as the first level matches in any case.  Time is bounded
 * by pattern length × name length.
 */
bool mailbox_name_match(struct slice pattern, struct slice name, char sep);
/* Does some name below `name` (name + sep + …) possibly match? */
bool mailbox_name_match_below(struct slice pattern, struct slice name,
			      char sep);

/*
 * May this name be created?  0, or E_INVALID: empty, not UTF-8, control
 * characters, empty levels (leading, trailing or doubled separator), levels
 * "." or ".." or beginning with "." or "~", a level "dbox-Mails" (which is
 * where messages lie), wildcards, too long or deep.
 */
int mailbox_name_check(struct slice name, char sep);
/* "inbox", "INBOX/x" with the first level in any case → true. */
bool mailbox_name_is_inbox(struct slice name);
/* The name one level up, or an empty slice. */
struct slice mailbox_name_parent(struct slice name, char sep);

#endif
