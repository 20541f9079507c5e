#include "tests/lib/cu.h"
#include "node/base/arena.h"

#include <errno.h>

static void numbers_are_whole_and_in_range(void)
{
	static const struct {
		const char *text;
		int r64, r32;
		uint64_t value;
	} t[] = {
		{"0", 0, 0, 0},
		{"007", 0, 0, 7},
		{"4294967295", 0, 0, 4294967295u},
		{"4294967296", 0, -ERANGE, 4294967296u},
		{"18446744073709551615", 0, -ERANGE, UINT64_MAX},
		{"18446744073709551616", -ERANGE, -ERANGE, 0},
		{"99999999999999999999", -ERANGE, -ERANGE, 0},
		{"99999999999999999999x", -EINVAL, -EINVAL, 0},
		{"", -EINVAL, -EINVAL, 0},
		{"-1", -EINVAL, -EINVAL, 0},
		{"+1", -EINVAL, -EINVAL, 0},
		{" 1", -EINVAL, -EINVAL, 0},
		{"1 ", -EINVAL, -EINVAL, 0},
		{"0x1", -EINVAL, -EINVAL, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		uint64_t v = 42;
		uint32_t w = 42;
		int r = slice_u64(slice_str(t[i].text), &v);

		CU_CLAIM(r == t[i].r64, "u64 row %zu gives %d", i, r);
		CU_EQ_U64(v, r == 0 ? t[i].value : 42);
		r = slice_u32(slice_str(t[i].text), &w);
		CU_CLAIM(r == t[i].r32, "u32 row %zu gives %d", i, r);
		CU_EQ_U64(w, r == 0 ? t[i].value : 42);
	}
}

static void only_ascii_letters_have_case(void)
{
	CU_ASSERT(slice_is_ci(SLICE_LIT("FeTcH"), "fEtCh"));
	CU_ASSERT(!slice_is_ci(SLICE_LIT("fetch"), "fetc"));
	CU_ASSERT(!slice_is_ci(SLICE_LIT("@"), "`"));
	CU_ASSERT(!slice_is_ci(SLICE_LIT("["), "{"));
	CU_ASSERT(!slice_is_ci(SLICE_LIT("\xc4"), "\xe4"));
	CU_ASSERT(slice_starts_ci(SLICE_LIT("Body.Peek[]"), "BODY.PEEK"));
	CU_ASSERT(!slice_starts_ci(SLICE_LIT("BODY"), "BODY.PEEK"));
	CU_ASSERT(slice_starts_ci(SLICE_NONE, ""));
}

static void empty_slices_are_equal_whatever_they_point_to(void)
{
	CU_ASSERT(slice_eq(SLICE_NONE, SLICE_LIT("")));
	CU_ASSERT(slice_is(SLICE_NONE, ""));
	CU_EQ_INT(slice_cmp(SLICE_NONE, SLICE_LIT("")), 0);
	CU_EQ_INT(slice_chr(SLICE_NONE, 'x'), -1);
	CU_EQ_INT(slice_trim(SLICE_NONE).n, 0);
}

static void order_is_by_bytes_then_by_length(void)
{
	CU_EQ_INT(slice_cmp(SLICE_LIT("a"), SLICE_LIT("b")), -1);
	CU_EQ_INT(slice_cmp(SLICE_LIT("ab"), SLICE_LIT("a")), 1);
	CU_EQ_INT(slice_cmp(SLICE_LIT("a"), SLICE_LIT("ab")), -1);
	CU_EQ_INT(slice_cmp(SLICE_LIT("\xff"), SLICE_LIT("a")), 1);
	CU_EQ_INT(slice_cmp(SLICE_LIT("a\0b"), SLICE_LIT("a\0c")), -1);
}

static void cutting_stays_inside(void)
{
	struct slice s = SLICE_LIT("hello");

	CU_EQ_TEXT(slice_sub(s, 1, 3), "el");
	CU_EQ_TEXT(slice_sub(s, 3, 99), "lo");
	CU_EQ_TEXT(slice_sub(s, 99, 3), "");
	CU_EQ_TEXT(slice_sub(s, 4, 2), "");
	CU_EQ_TEXT(slice_trim(SLICE_LIT(" \t\r\n a b\r\n")), "a b");
	CU_EQ_TEXT(slice_trim(SLICE_LIT(" \t ")), "");
	CU_EQ_INT(slice_chr(SLICE_LIT("a\0b"), 'b'), 2);
}

CU_TESTS(CU_CASE(numbers_are_whole_and_in_range),
	 CU_CASE(only_ascii_letters_have_case),
	 CU_CASE(empty_slices_are_equal_whatever_they_point_to),
	 CU_CASE(order_is_by_bytes_then_by_length), CU_CASE(cutting_stays_inside))
