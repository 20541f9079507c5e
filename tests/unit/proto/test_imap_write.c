#include "proto/imap_write.h"

#include "proto/record.h"
#include "tests/lib/cu.h"

static void strings_are_quoted_where_that_is_allowed(void)
{
	static const struct {
		const char *in, *string, *astring;
	} t[] = {
		{"", "\"\"", "\"\""},
		{"a", "\"a\"", "a"},
		{"a b", "\"a b\"", "\"a b\""},
		{"a\"b\\", "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\""},
		{"a\r\nb", "{4}\r\na\r\nb", "{4}\r\na\r\nb"},
		{"\xc3\xa4", "{2}\r\n\xc3\xa4", "{2}\r\n\xc3\xa4"},
		{"nil", "\"nil\"", "\"nil\""},
		{"a]b", "\"a]b\"", "a]b"},
		{"a%", "\"a%\"", "\"a%\""},
		{"a\tb", "\"a\tb\"", "\"a\tb\""},
	};
	struct buf out;
	size_t i;

	buf_init(&out, 8192);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&out);
		imap_put_string(&out, slice_str(t[i].in));
		CU_EQ_TEXT(buf_all(&out), t[i].string);
		buf_reset(&out);
		imap_put_astring(&out, slice_str(t[i].in));
		CU_EQ_TEXT(buf_all(&out), t[i].astring);
	}
	buf_reset(&out);
	imap_put_nstring(&out, SLICE_NONE);
	imap_put_string(&out, SLICE_LIT("a\0b"));
	CU_EQ_TEXT(buf_all(&out), "NIL{3}\r\na?b");
	buf_fini(&out);
}

static void mailbox_names_are_modified_utf7(void)
{
	struct buf out;

	buf_init(&out, 4096);
	imap_put_mailbox(&out, SLICE_LIT("Entw\xc3\xbcrfe"));
	buf_char(&out, ' ');
	imap_put_mailbox(&out, SLICE_LIT("a b"));
	CU_EQ_TEXT(buf_all(&out), "Entw&APw-rfe \"a b\"");
	buf_fini(&out);
}

static void flags_and_dates_are_printed(void)
{
	struct slice keywords[] = {SLICE_LIT("$a"), SLICE_LIT("b")};
	struct buf out;

	buf_init(&out, 4096);
	imap_put_flags(&out, 0, false, NULL, 0);
	imap_put_flags(&out, MSG_SEEN | MSG_DELETED, true, keywords, 2);
	imap_put_flags(&out, 0, false, keywords, 1);
	CU_EQ_TEXT(buf_all(&out), "()(\\Deleted \\Seen \\Recent $a b)($a)");
	buf_reset(&out);
	imap_put_internaldate(&out, 837596665, -420);
	CU_EQ_TEXT(buf_all(&out), "\"17-Jul-1996 02:44:25 -0700\"");
	buf_reset(&out);
	imap_put_special_use(&out, SPECIALUSE_SENT | SPECIALUSE_ALL);
	CU_EQ_TEXT(buf_all(&out), "\\All \\Sent");
	buf_fini(&out);
}

static void a_full_buffer_says_so(void)
{
	struct buf out;

	buf_init(&out, 5);
	imap_put_string(&out, SLICE_LIT("abcdef"));
	CU_ASSERT(out.failed);
	buf_reset(&out);
	imap_put_string(&out, SLICE_LIT("\xff\xff\xff"));
	CU_ASSERT(out.failed);
	buf_fini(&out);
}

CU_TESTS(CU_CASE(strings_are_quoted_where_that_is_allowed),
	 CU_CASE(mailbox_names_are_modified_utf7),
	 CU_CASE(flags_and_dates_are_printed),
	 CU_CASE(a_full_buffer_says_so))
