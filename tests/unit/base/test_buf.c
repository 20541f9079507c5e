#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/buf.h"

static void nothing_is_added_after_the_limit_was_passed(void)
{
	struct buf b;

	buf_init(&b, 5);
	buf_str(&b, "abc");
	buf_str(&b, "def");
	CU_ASSERT(b.failed);
	buf_char(&b, 'x');
	CU_EQ_TEXT(buf_all(&b), "abc");
	buf_reset(&b);
	CU_ASSERT(!b.failed);
	buf_str(&b, "12345");
	CU_ASSERT(!b.failed);
	CU_EQ_TEXT(buf_all(&b), "12345");
	buf_char(&b, '6');
	CU_ASSERT(b.failed);
	buf_fini(&b);
}

static void memory_stays_below_the_limit(void)
{
	struct buf b;

	buf_init(&b, 100);
	CU_ASSERT(b.p == NULL);
	for (int i = 0; i < 100; i++)
		buf_char(&b, (uint8_t)i);
	CU_ASSERT(!b.failed);
	CU_CLAIM(b.cap <= b.max, "cap %zu", b.cap);
	buf_shrink(&b, 10);
	CU_EQ_INT(b.n, 0);
	CU_EQ_INT(b.cap, 10);
	buf_shrink(&b, 0);
	CU_ASSERT(b.p == NULL);
	buf_str(&b, "again");
	CU_EQ_TEXT(buf_all(&b), "again");
	buf_fini(&b);
}

static void printf_may_fill_the_buffer_to_its_last_byte(void)
{
	for (size_t max = 0; max < 12; max++) {
		struct buf b;

		buf_init(&b, max);
		buf_printf(&b, "%s-%d", "abcd", 12345);
		CU_CLAIM(b.failed == (max < 10), "max %zu", max);
		CU_EQ_TEXT(buf_all(&b), max < 10 ? "" : "abcd-12345");
		buf_fini(&b);
	}
}

static void numbers_are_written_as_printf_would(void)
{
	static const uint64_t v[] = {0, 9, 10, 99, 100, 4294967296u, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		char want[32];
		struct buf b;

		buf_init(&b, 100);
		buf_u64(&b, v[i]);
		snprintf(want, sizeof(want), "%ju", (uintmax_t)v[i]);
		CU_EQ_TEXT(buf_all(&b), want);
		buf_fini(&b);
	}
}

static void integers_are_little_endian(void)
{
	struct buf b;

	buf_init(&b, 100);
	buf_le16(&b, 0x0102);
	buf_le32(&b, 0x03040506);
	buf_le64(&b, 0x0708090a0b0c0d0e);
	CU_EQ_SLICE(buf_all(&b), SLICE_LIT("\x02\x01\x06\x05\x04\x03"
					   "\x0e\x0d\x0c\x0b\x0a\x09\x08\x07"));
	buf_fini(&b);
}

static void bytes_leave_at_both_ends(void)
{
	struct buf b;
	uint8_t *room;

	buf_init(&b, 100);
	buf_str(&b, "0123456789");
	buf_consume(&b, 3);
	buf_truncate(&b, 4);
	CU_EQ_TEXT(buf_all(&b), "3456");
	room = buf_room(&b, 3);
	CU_NEED(room);
	memcpy(room, "xyz", 3);
	buf_commit(&b, 2);
	buf_fill(&b, '=', 3);
	CU_EQ_TEXT(buf_all(&b), "3456xy===");
	CU_ASSERT(buf_room(&b, 92) == NULL);
	CU_ASSERT(b.failed);
	buf_fini(&b);
}

CU_TESTS(CU_CASE(nothing_is_added_after_the_limit_was_passed),
	 CU_CASE(memory_stays_below_the_limit),
	 CU_CASE(printf_may_fill_the_buffer_to_its_last_byte),
	 CU_CASE(numbers_are_written_as_printf_would),
	 CU_CASE(integers_are_little_endian), CU_CASE(bytes_leave_at_both_ends))
