#include "proto/mutf7.h"

#include "tests/lib/cu.h"

static void names_have_one_form_in_both_directions(void)
{
	static const struct {
		const char *wire, *utf8;
	} t[] = {
		{"", ""},
		{"INBOX", "INBOX"},
		{"&-", "&"},
		{"a&-b&-", "a&b&"},
		/* RFC 3501 5.1.3 */
		{"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		 "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/"
		 "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
		{"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
		{"&AOQ-&-&AOQ-", "\xc3\xa4&\xc3\xa4"},
		{"&2D3eAA-", "\xf0\x9f\x98\x80"},	/* U+1F600 */
		{"&AAk-x", "\tx"},
		{"&AH8-", "\x7f"},
		{"&AOQA9gD8-", "\xc3\xa4\xc3\xb6\xc3\xbc"},
	};
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&out);
		CU_EQ_INT(mutf7_to_utf8(slice_str(t[i].wire), &out), 0);
		CU_EQ_TEXT(buf_all(&out), t[i].utf8);
		buf_reset(&out);
		CU_EQ_INT(utf8_to_mutf7(slice_str(t[i].utf8), &out), 0);
		CU_EQ_TEXT(buf_all(&out), t[i].wire);
	}
	buf_fini(&out);
}

static void other_forms_are_refused(void)
{
	static const char *const t[] = {
		"&", "a&b", "&Jjo", "&Jjo!", "&AGE-" /* 'a' encoded */,
		"&U,BTFw-&ZeVnLIqe-" /* needless shift */, "\xc3\xa4", "\x01",
		"a\x7f", "&AA-", "&AAA-" /* NUL */, "&2D0-" /* half a pair */,
		"&3gA-", "&AOR-" /* bits left over */, "&AOQAA-",
		"&AOQ/-", "&2D0A5A-", "&AOQ--&" ,
	};
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(mutf7_to_utf8(slice_str(t[i]), &out) < 0,
			 "taken: %s", t[i]);
	CU_ASSERT(utf8_to_mutf7(SLICE_LIT("a\xff"), &out) < 0);
	CU_ASSERT(utf8_to_mutf7(SLICE_LIT("a\0b"), &out) < 0);
	buf_fini(&out);
}

static void utf8_is_checked_strictly(void)
{
	static const struct {
		const char *s;
		bool valid;
	} t[] = {
		{"", true}, {"a\xc3\xa4", true}, {"\xf4\x8f\xbf\xbf", true},
		{"\xc0\x80", false}, {"\xc1\xbf", false},
		{"\xe0\x80\x80", false}, {"\xe0\x9f\xbf", false},
		{"\xed\xa0\x80", false}, {"\xed\x9f\xbf", true},
		{"\xf0\x8f\xbf\xbf", false}, {"\xf4\x90\x80\x80", false},
		{"\xf5\x80\x80\x80", false}, {"\x80", false}, {"\xc3", false},
		{"\xc3(", false}, {"\xef\xbf\xbd", true},
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(utf8_valid(slice_str(t[i].s)) == t[i].valid,
			 "row %zu", i);
	CU_ASSERT(!utf8_valid(SLICE_LIT("a\0")));
}

static void a_cut_character_is_not_an_error(void)
{
	uint32_t cp = 0;

	CU_EQ_INT(utf8_take((const uint8_t *)"\xf0\x9f\x98", 3, &cp), 0);
	CU_EQ_INT(utf8_take((const uint8_t *)"\xf0\x9f\x98\x80", 4, &cp), 4);
	CU_EQ_U64(cp, 0x1f600);
	CU_EQ_INT(utf8_take((const uint8_t *)"\xf0\x80", 2, &cp), -1);
}

CU_TESTS(CU_CASE(names_have_one_form_in_both_directions),
	 CU_CASE(other_forms_are_refused),
	 CU_CASE(utf8_is_checked_strictly),
	 CU_CASE(a_cut_character_is_not_an_error))
