/* charset.c, transfer.c, rfc2047.c, textsearch.c: octets to text. */

#include <errno.h>

#include "node/base/err.h"
#include "proto/charset.h"
#include "proto/rfc2047.h"
#include "proto/textsearch.h"
#include "proto/transfer.h"
#include "tests/lib/cu.h"

static void charsets_become_utf8(void)
{
	static const struct {
		const char *charset, *in, *want;
	} t[] = {
		{"", "abc\xc3\xa4", "abc\xc3\xa4"},
		{"US-ASCII", "abc", "abc"},
		{"iso-8859-1", "K\xe4se", "K\xc3\xa4se"},
		{"windows-1252", "\x80", "\xe2\x82\xac"},
		{"koi8-r", "\xf0\xd2\xc9", "\xd0\x9f\xd1\x80\xd0\xb8"},
		{"iso-2022-jp", "\x1b$B%F%9%H\x1b(B",
		 "\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88"},
		{"Shift_JIS", "\x83\x65", "\xe3\x83\x86"},
		{"gb2312", "\xc4\xe3", "\xe4\xbd\xa0"},
		{"big5", "\xa7\x41", "\xe4\xbd\xa0"},
		{"ks_c_5601-1987", "\xb0\xa1", "\xea\xb0\x80"},
		{"utf-7", "+AOQ-", "\xc3\xa4"},
	};
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&out);
		CU_CLAIM(charset_to_utf8(slice_str(t[i].charset),
					 slice_str(t[i].in), &out) == 0,
			 "refused: %s", t[i].charset);
		CU_EQ_TEXT(buf_all(&out), t[i].want);
	}
	CU_EQ_INT(charset_to_utf8(SLICE_LIT("utf-8"), SLICE_LIT("a\xff"),
				  &out), -EINVAL);
	CU_EQ_INT(charset_to_utf8(SLICE_LIT("utf-8"), SLICE_LIT("a\xc3"),
				  &out), -EINVAL);
	buf_fini(&out);
}

static void only_charsets_of_mail_are_known(void)
{
	static const char *const t[] = {
		"x-unknown", "utf-8//TRANSLIT", "../x", "INTERNAL", "WCHAR_T",
		"utf-16/", "iso-8859-1 ", "IBM1047", "ISO-8859-99",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaa",
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(!charset_known(slice_str(t[i])), "known: %s", t[i]);
	CU_ASSERT(charset_known(SLICE_LIT("ISO-8859-15")));
}

static void pieces_may_be_cut_anywhere(void)
{
	struct charset *c = charset_open(SLICE_LIT("utf-8"));
	struct slice in = SLICE_LIT("\xf0\x9f\x98\x80\xff\xe2\x82");
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < in.n; i++)
		charset_put(c, slice_sub(in, i, i + 1), i + 1 == in.n, &out);
	CU_EQ_TEXT(buf_all(&out),
		   "\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd");
	charset_close(c);
	buf_fini(&out);
}

static void transfer_encodings_are_undone(void)
{
	static const struct {
		const char *encoding, *in, *want;
	} t[] = {
		{"7bit", "a=3D", "a=3D"},
		{"x-foo", "YQ==", "YQ=="},
		{"BASE64", "aGVs\r\nbG8=\r\n", "hello"},
		{"base64", "a G*Vs", "hel"},
		{"base64", "YQ==Yg==", "ab"},
		{"base64", "YQ", "a"},
		{"Quoted-Printable", "K=C3=A4se =\r\nx", "K\xc3\xa4se x"},
		{"quoted-printable", "a=3d=3D", "a=="},
		{"quoted-printable", "a= \t\r\nb", "ab"},
		{"quoted-printable", "a=\nb", "ab"},
		{"quoted-printable", "a=xb=4", "a=xb=4"},
		{"quoted-printable", "a==41", "a=A"},
	};
	struct buf out;
	size_t i, at;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct slice in = slice_str(t[i].in);
		struct transfer x = transfer_of(slice_str(t[i].encoding));

		buf_reset(&out);
		transfer_put(&x, in, true, &out);
		CU_EQ_TEXT(buf_all(&out), t[i].want);
		buf_reset(&out);
		x = transfer_of(slice_str(t[i].encoding));
		for (at = 0; at < in.n; at++)
			transfer_put(&x, slice_sub(in, at, at + 1),
				     at + 1 == in.n, &out);
		CU_EQ_TEXT(buf_all(&out), t[i].want);
	}
	buf_fini(&out);
}

static void encoded_words_are_decoded(void)
{
	static const struct {
		const char *in, *want;
	} t[] = {
		/* RFC 2047 section 8 */
		{"=?ISO-8859-1?Q?a?=", "a"},
		{"=?ISO-8859-1?Q?a?= b", "a b"},
		{"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
		{"=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=", "ab"},
		{"=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=", "ab"},
		{"=?ISO-8859-1?Q?a_b?=", "a b"},
		{"=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"},
		{"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>",
		 "Keith Moore <moore@cs.utk.edu>"},
		{"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=",
		 "Keld J\xc3\xb8rn Simonsen"},
		{"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n"
		 " =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
		 "If you can read this you understand the example."},
		/* RFC 2231 section 5 */
		{"=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"},
		{"=?utf-8?q?a=5Fb?=", "a_b"},
		/* A character cut between words. */
		{"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "\xc3\xa4"},
		{"=?x-klingon?q?a?= b", "=?x-klingon?q?a?= b"},
		{"=?utf-8?x?a?=", "=?utf-8?x?a?="},
		{"=?utf-8?q?open", "=?utf-8?q?open"},
		{"a=?", "a=?"},
		{"plain\r\n folded", "plain folded"},
		{"raw \xe4", "raw \xef\xbf\xbd"},
		{"", ""},
	};
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_reset(&out);
		rfc2047_decode(slice_str(t[i].in), &out);
		CU_EQ_TEXT(buf_all(&out), t[i].want);
	}
	buf_fini(&out);
}

static bool finds(const char *needle, const char *text)
{
	struct textsearch *t = textsearch_new(slice_str(needle));
	bool found = textsearch_in(t, slice_str(text));

	textsearch_free(t);
	return found;
}

static void search_ignores_case_as_unicode_does(void)
{
	CU_ASSERT(finds("smith", "John SMITH"));
	CU_ASSERT(finds("SMITH", "john smith"));
	CU_ASSERT(!finds("smith", "smit"));
	CU_ASSERT(finds("", ""));
	CU_ASSERT(finds("\xc3\xa4", "\xc3\x84"));		/* ä Ä */
	CU_ASSERT(finds("a\xcc\x88", "x\xc3\x84x"));		/* a + ¨ */
	CU_ASSERT(finds("strasse", "STRA\xc3\x9f" "E"));	/* ß */
	CU_ASSERT(finds("\xce\xa3", "\xcf\x82"));		/* Σ ς */
	CU_ASSERT(finds("fi", "\xef\xac\x81"));			/* ligature */
	CU_ASSERT(finds("\xd0\x96", "\xd0\xb6"));		/* Ж ж */
	CU_ASSERT(finds("aab", "aaab"));
	CU_ASSERT(finds("abab\xc3\xa9", "ababab\xc3\x89"));
	CU_ASSERT(!finds("abc", "ab\xff" "c"));
	CU_ASSERT(textsearch_new(SLICE_LIT("\xff")) == NULL);
}

static void long_needles_are_refused(void)
{
	struct textsearch *t;
	struct buf b;

	buf_init(&b, 1u << 20);
	buf_fill(&b, 'x', TEXTSEARCH_NEEDLE_MAX);
	t = textsearch_new(buf_all(&b));
	CU_ASSERT(t != NULL);
	textsearch_free(t);
	buf_char(&b, 'x');
	CU_ASSERT(textsearch_new(buf_all(&b)) == NULL);
	buf_fini(&b);
}

#define MAIL                                                                  \
	"Subject: =?iso-8859-1?q?K=E4se?=\r\n =?iso-8859-1?q?brot?=\r\n"      \
	"From: Alice <alice@x>\r\n"                                           \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"                   \
	"preamble word\r\n"                                                   \
	"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"             \
	"Content-Transfer-Encoding: quoted-printable\r\n\r\n"                 \
	"Gr=FC=\r\n=DFe\r\n"                                                  \
	"--b\r\nContent-Type: text/html; charset=utf-8\r\n"                   \
	"Content-Transfer-Encoding: base64\r\n\r\n"                           \
	"PGI+aGVsbG8gd29ybGQ8L2I+\r\n"                                        \
	"--b\r\nContent-Type: application/octet-stream\r\n\r\n"               \
	"attached\r\n"                                                        \
	"--b\r\nContent-Type: message/rfc822\r\n\r\n"                         \
	"Subject: inner subject\r\n\r\ninner body\r\n"                        \
	"--b--\r\n"

static bool in_mail(const char *needle, bool with_header)
{
	struct arena *a = arena_new(1024);
	struct slice msg = SLICE_LIT(MAIL);
	struct textsearch *t = textsearch_new(slice_str(needle));
	bool found = textsearch_in_message(t, msg, mime_parse(msg, a),
					   with_header);

	textsearch_free(t);
	arena_free(a);
	return found;
}

static void messages_are_searched_as_they_read(void)
{
	CU_ASSERT(in_mail("gr\xc3\xbc\xc3\x9f" "e", false));
	CU_ASSERT(in_mail("Hello World", false));
	CU_ASSERT(in_mail("inner SUBJECT", false));
	CU_ASSERT(in_mail("inner body", false));
	CU_ASSERT(!in_mail("attached", false));
	CU_ASSERT(!in_mail("K\xc3\xa4se", false));
	CU_ASSERT(!in_mail("alice", false));
	CU_ASSERT(in_mail("K\xc3\xa4sebrot", true));
	CU_ASSERT(in_mail("from: alice", true));
	CU_ASSERT(!in_mail("aGVsbG8", true));
	CU_ASSERT(in_mail("", false));
}

static void fields_are_searched_by_name(void)
{
	struct textsearch *t = textsearch_new(SLICE_LIT("k\xc3\x84se"));
	struct textsearch *empty = textsearch_new(SLICE_NONE);
	struct slice msg = SLICE_LIT(MAIL);

	CU_ASSERT(textsearch_in_field(t, msg, SLICE_LIT("subject")));
	CU_ASSERT(!textsearch_in_field(t, msg, SLICE_LIT("from")));
	CU_ASSERT(textsearch_in_header(t, msg));
	/* HEADER name "": the field exists. */
	CU_ASSERT(textsearch_in_field(empty, msg, SLICE_LIT("FROM")));
	CU_ASSERT(!textsearch_in_field(empty, msg, SLICE_LIT("To")));
	textsearch_free(t);
	textsearch_free(empty);
}

static void matches_over_piece_ends_are_found(void)
{
	struct arena *a = arena_new(1024);
	struct textsearch *t = textsearch_new(SLICE_LIT("n\xc3\xa4" "dle"));
	struct buf msg;
	size_t pad;

	buf_init(&msg, 1u << 20);
	for (pad = 4085; pad < 4100; pad++) {
		buf_reset(&msg);
		buf_str(&msg, "Content-Type: text/plain; charset=utf-8\r\n"
			      "\r\n");
		buf_fill(&msg, 'n', pad);
		CU_ASSERT(!textsearch_in_message(
			t, buf_all(&msg), mime_parse(buf_all(&msg), a),
			true));
		buf_str(&msg, "n\xc3\xa4" "dle");
		CU_CLAIM(textsearch_in_message(t, buf_all(&msg),
					       mime_parse(buf_all(&msg), a),
					       true), "after %zu", pad);
	}
	buf_fini(&msg);
	textsearch_free(t);
	arena_free(a);
}

CU_TESTS(CU_CASE(charsets_become_utf8),
	 CU_CASE(only_charsets_of_mail_are_known),
	 CU_CASE(pieces_may_be_cut_anywhere),
	 CU_CASE(transfer_encodings_are_undone),
	 CU_CASE(encoded_words_are_decoded),
	 CU_CASE(search_ignores_case_as_unicode_does),
	 CU_CASE(long_needles_are_refused),
	 CU_CASE(messages_are_searched_as_they_read),
	 CU_CASE(fields_are_searched_by_name),
	 CU_CASE(matches_over_piece_ends_are_found))
