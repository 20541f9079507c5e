#include "proto/mailbox_name.h"

#include "node/base/err.h"
#include "proto/mutf7.h"
#include "proto/record.h"

#define INBOX_LEN 5

/* Is the first level INBOX, in any case? */
static bool begins_with_inbox(struct slice name, char sep)
{
	return name.n >= INBOX_LEN &&
	       slice_is_ci(slice_sub(name, 0, INBOX_LEN), "INBOX") &&
	       (name.n == INBOX_LEN || name.p[INBOX_LEN] == (uint8_t)sep);
}

static uint8_t upper(uint8_t c)
{
	return c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c;
}

/*
 * The pattern as a set of places where one may stand in it: alive[i] means
 * that what was read so far matches the first i characters.
 */
struct places {
	bool alive[MBOX_NAME_MAX + 1];
};

/* A wildcard may match nothing. */
static void skip_wildcards(struct slice pattern, struct places *s)
{
	size_t i;

	for (i = 0; i < pattern.n; i++)
		if (s->alive[i] &&
		    (pattern.p[i] == '*' || pattern.p[i] == '%'))
			s->alive[i + 1] = true;
}

static void read_octet(struct slice pattern, struct places *s, uint8_t c,
		       char sep, bool any_case)
{
	struct places next;
	size_t i;

	memset(next.alive, 0, pattern.n + 1);
	for (i = 0; i < pattern.n; i++) {
		uint8_t p = pattern.p[i];

		if (!s->alive[i])
			continue;
		if (p == '*' || (p == '%' && c != (uint8_t)sep))
			next.alive[i] = true;
		else if (p == c || (any_case && upper(p) == upper(c)))
			next.alive[i + 1] = true;
	}
	skip_wildcards(pattern, &next);
	memcpy(s->alive, next.alive, pattern.n + 1);
}

static bool read_name(struct slice pattern, struct slice name, char sep,
		      struct places *s)
{
	bool inbox = begins_with_inbox(name, sep);
	size_t i;

	if (pattern.n > MBOX_NAME_MAX)
		return false;
	memset(s->alive, 0, pattern.n + 1);
	s->alive[0] = true;
	skip_wildcards(pattern, s);
	for (i = 0; i < name.n; i++)
		read_octet(pattern, s, name.p[i], sep,
			   inbox && i < INBOX_LEN);
	return true;
}

bool mailbox_name_match(struct slice pattern, struct slice name, char sep)
{
	struct places s;

	/* By far the most common patterns. */
	if (slice_is(pattern, "*"))
		return true;
	if (slice_is(pattern, "%"))
		return slice_chr(name, (uint8_t)sep) < 0;
	return read_name(pattern, name, sep, &s) && s.alive[pattern.n];
}

bool mailbox_name_match_below(struct slice pattern, struct slice name,
			      char sep)
{
	struct places s;
	size_t i;

	if (!read_name(pattern, name, sep, &s))
		return false;
	read_octet(pattern, &s, (uint8_t)sep, sep, false);
	for (i = 0; i < pattern.n; i++)
		if (s.alive[i])
			return true;
	return false;
}

static int check_level(struct slice level)
{
	struct buf on_disk;
	bool fits;

	if (level.n == 0 || level.n > MAILBOX_LEVEL_MAX)
		return E_INVALID;
	/* "." and "..", hidden files; "~": Dovecot's homes. */
	if (level.p[0] == '.' || level.p[0] == '~')
		return E_INVALID;
	/* The directory of a mailbox's messages, beside its children. */
	if (slice_is(level, "dbox-Mails"))
		return E_INVALID;
	/* On disk a level is one file name, in modified UTF-7. */
	buf_init(&on_disk, MAILBOX_LEVEL_MAX);
	utf8_to_mutf7(level, &on_disk);
	fits = !on_disk.failed;
	buf_fini(&on_disk);
	return fits ? 0 : E_INVALID;
}

int mailbox_name_check(struct slice name, char sep)
{
	size_t i, from = 0;
	unsigned depth = 1;

	if (name.n == 0 || name.n > MBOX_NAME_MAX || !utf8_valid(name))
		return E_INVALID;
	for (i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		if (c < ' ' || c == 0x7f || c == '*' || c == '%')
			return E_INVALID;
		/* C1 controls, U+0080 … U+009F. */
		if (c == 0xc2 && name.p[i + 1] < 0xa0)
			return E_INVALID;
		/* '/' parts directories, whatever the client's separator. */
		if (c != (uint8_t)sep) {
			if (c == '/')
				return E_INVALID;
			continue;
		}
		if (check_level(slice_sub(name, from, i)) < 0)
			return E_INVALID;
		from = i + 1;
		depth++;
	}
	if (depth > MAILBOX_DEPTH_MAX)
		return E_INVALID;
	return check_level(slice_sub(name, from, name.n));
}

bool mailbox_name_is_inbox(struct slice name)
{
	return begins_with_inbox(name, '/');
}

struct slice mailbox_name_parent(struct slice name, char sep)
{
	size_t n = name.n;

	while (n > 0 && name.p[n - 1] != (uint8_t)sep)
		n--;
	return slice_sub(name, 0, n ? n - 1 : 0);
}
