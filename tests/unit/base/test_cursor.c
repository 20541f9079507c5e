#include "tests/lib/cu.h"
#include "node/base/buf.h"
#include "node/base/cursor.h"

static void what_was_written_is_read(void)
{
	struct buf b;
	struct cursor c;
	char text[3];

	buf_init(&b, 100);
	buf_char(&b, 7);
	buf_le16(&b, 0xfedc);
	buf_le32(&b, 0xfedcba98);
	buf_le64(&b, 0xfedcba9876543210);
	buf_str(&b, "abcde");
	c = cursor_of(buf_all(&b));
	CU_EQ_U64(cursor_u8(&c), 7);
	CU_EQ_U64(cursor_le16(&c), 0xfedc);
	CU_EQ_U64(cursor_le32(&c), 0xfedcba98);
	CU_EQ_U64(cursor_le64(&c), 0xfedcba9876543210);
	CU_EQ_TEXT(cursor_bytes(&c, 2), "ab");
	CU_ASSERT(!cursor_done(&c));
	cursor_copy(&c, text, 3);
	CU_EQ_MEM(text, "cde", 3);
	CU_ASSERT(cursor_done(&c));
	buf_fini(&b);
}

static void one_read_too_many_spoils_all_later_ones(void)
{
	struct cursor c = cursor_of(SLICE_LIT("\1\2\3"));
	uint8_t b[4] = {9, 9, 9, 9};

	CU_EQ_U64(cursor_le32(&c), 0);
	CU_ASSERT(c.bad);
	CU_EQ_U64(cursor_u8(&c), 0);
	CU_EQ_INT(cursor_bytes(&c, 0).n, 0);
	cursor_copy(&c, b, 4);
	CU_EQ_MEM(b, "\0\0\0\0", 4);
	CU_EQ_INT(cursor_left(&c), 0);
	CU_ASSERT(!cursor_done(&c));
}

static void sizes_that_would_wrap_are_refused(void)
{
	struct cursor c = cursor_of(SLICE_LIT("abc"));

	CU_EQ_INT(cursor_bytes(&c, SIZE_MAX).n, 0);
	CU_ASSERT(c.bad);
	c = cursor_of(SLICE_NONE);
	CU_ASSERT(cursor_done(&c));
	CU_EQ_INT(cursor_bytes(&c, 0).n, 0);
	CU_ASSERT(cursor_done(&c));
}

static void stores_and_loads_agree_at_any_alignment(void)
{
	uint8_t b[16];

	for (size_t i = 0; i < 8; i++) {
		le64_to(b + i, 0x0123456789abcdef + i);
		CU_EQ_U64(le64_at(b + i), 0x0123456789abcdef + i);
		le32_to(b + i, (uint32_t)(0x89abcdef + i));
		CU_EQ_U64(le32_at(b + i), 0x89abcdef + i);
	}
	CU_EQ_INT(b[7], 0xf6);
}

CU_TESTS(CU_CASE(what_was_written_is_read),
	 CU_CASE(one_read_too_many_spoils_all_later_ones),
	 CU_CASE(sizes_that_would_wrap_are_refused),
	 CU_CASE(stores_and_loads_agree_at_any_alignment))
