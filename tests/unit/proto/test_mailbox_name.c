#include "proto/mailbox_name.h"

#include "node/base/buf.h"
#include "proto/record.h"
#include "tests/lib/cu.h"

static void wildcards_match(void)
{
	static const struct {
		const char *pattern, *name;
		bool match, below;
	} t[] = {
		{"*", "a/b", true, true},
		{"%", "a", true, false},
		{"%", "a/b", false, false},
		{"%/%", "a", false, true},
		{"%/%", "a/b", true, false},
		{"a/%", "a", false, true},
		{"a*", "a/b", true, true},
		{"a*", "b", false, false},
		{"a/b", "a", false, true},
		{"a/b/c", "a", false, true},
		{"a/b", "a/b", true, false},
		{"*b", "a/b", true, true},
		{"*b", "a", false, true},
		{"%b", "a/b", false, false},
		{"%a%", "bab", true, false},
		{"%a%/c", "bab/c", true, false},
		{"*%*%*x", "aaaaaaa/x", true, true},
		{"", "", true, false},
		{"", "a", false, false},
		{"inbox", "INBOX", true, false},
		{"iN%", "INBOX", true, false},
		{"inbox/x", "INBOX/x", true, false},
		{"inbox/X", "INBOX/x", false, false},
		{"inboxes", "INBOXES", false, false},
		{"A", "a", false, false},
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct slice p = slice_str(t[i].pattern);
		struct slice n = slice_str(t[i].name);

		CU_CLAIM(mailbox_name_match(p, n, '/') == t[i].match,
			 "match %s %s", t[i].pattern, t[i].name);
		CU_CLAIM(mailbox_name_match_below(p, n, '/') == t[i].below,
			 "below %s %s", t[i].pattern, t[i].name);
	}
}

/* The definition, word by word; exponential. */
static bool plain_match(const char *p, const char *n)
{
	if (!*p)
		return !*n;
	if (*p == '*' || *p == '%')
		return plain_match(p + 1, n) ||
		       (*n && (*p == '*' || *n != '/') &&
			plain_match(p, n + 1));
	return *p == *n && plain_match(p + 1, n + 1);
}

static void matching_is_what_the_definition_says(void)
{
	static const char pc[] = "ab/*%", nc[] = "ab/";
	char p[6], n[6];
	unsigned i, j, k, v;

	for (i = 0; i < 5 * 5 * 5 * 5; i++) {
		for (k = 0, v = i; k < 4; k++, v /= 5)
			p[k] = pc[v % 5];
		p[4] = 0;
		for (j = 0; j < 3 * 3 * 3 * 3 * 3; j++) {
			for (k = 0, v = j; k < 5; k++, v /= 3)
				n[k] = nc[v % 3];
			n[5] = 0;
			if (mailbox_name_match(slice_str(p), slice_str(n),
					       '/') != plain_match(p, n)) {
				CU_CLAIM(false, "%s %s", p, n);
				return;
			}
		}
	}
}

static void names_that_may_be_created(void)
{
	static const char *const good[] = {
		"a", "INBOX", "a/b", "a b", "a.b", "\xc3\xa4", "a&b", "a~",
		"a\\b", "#x", "dbox-mails", "dbox-Mails2", "\xe2\x80\x8b",
	};
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "a/../b",
		".a", "a/.b", "~", "~a", "a*", "a%b", "a\x01", "a\x7f",
		"a\n", "\xff", "\xc2\x80", "dbox-Mails", "a/dbox-Mails",
	};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CU_CLAIM(mailbox_name_check(slice_str(good[i]), '/') == 0,
			 "refused: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_CLAIM(mailbox_name_check(slice_str(bad[i]), '/') < 0,
			 "taken: %s", bad[i]);
	CU_ASSERT(mailbox_name_check(SLICE_LIT("a\0b"), '/') < 0);
	/* With another separator '/' would still part directories. */
	CU_ASSERT(mailbox_name_check(SLICE_LIT("a/b"), '.') < 0);
	CU_EQ_INT(mailbox_name_check(SLICE_LIT("a.b"), '.'), 0);
}

static void names_are_bounded(void)
{
	uint8_t name[MBOX_NAME_MAX + 1];
	unsigned i;

	memset(name, 'x', sizeof(name));
	CU_EQ_INT(mailbox_name_check(slice_of(name, MAILBOX_LEVEL_MAX), '/'),
		  0);
	CU_ASSERT(mailbox_name_check(slice_of(name, MAILBOX_LEVEL_MAX + 1),
				     '/') < 0);
	for (i = 100; i < sizeof(name); i += 101)
		name[i] = '/';
	CU_EQ_INT(mailbox_name_check(slice_of(name, MBOX_NAME_MAX), '/'), 0);
	CU_ASSERT(mailbox_name_check(slice_of(name, MBOX_NAME_MAX + 1), '/') <
		  0);
	for (i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '/' : 'x';
	CU_EQ_INT(mailbox_name_check(
			  slice_of(name, 2 * MAILBOX_DEPTH_MAX - 1), '/'), 0);
	CU_ASSERT(mailbox_name_check(
			  slice_of(name, 2 * MAILBOX_DEPTH_MAX + 1), '/') <
		  0);
}

static void a_level_fits_a_file_name(void)
{
	struct buf name;
	unsigned i;

	/* 3 octets each here, 6 in modified UTF-7. */
	buf_init(&name, 1000);
	for (i = 0; i < 42; i++)
		buf_str(&name, "\xc3\xa4x");
	CU_EQ_INT(mailbox_name_check(buf_all(&name), '/'), 0);
	buf_str(&name, "\xc3\xa4x");
	CU_ASSERT(mailbox_name_check(buf_all(&name), '/') < 0);
	buf_fini(&name);
}

static void parents_are_found(void)
{
	CU_EQ_TEXT(mailbox_name_parent(SLICE_LIT("a/b/c"), '/'), "a/b");
	CU_EQ_TEXT(mailbox_name_parent(SLICE_LIT("a"), '/'), "");
	CU_ASSERT(mailbox_name_is_inbox(SLICE_LIT("inBox")));
	CU_ASSERT(mailbox_name_is_inbox(SLICE_LIT("inBox/Sent")));
	CU_ASSERT(!mailbox_name_is_inbox(SLICE_LIT("inboxes")));
}

CU_TESTS(CU_CASE(wildcards_match),
	 CU_CASE(matching_is_what_the_definition_says),
	 CU_CASE(names_that_may_be_created),
	 CU_CASE(names_are_bounded),
	 CU_CASE(a_level_fits_a_file_name),
	 CU_CASE(parents_are_found))
