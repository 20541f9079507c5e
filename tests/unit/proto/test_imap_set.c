#include "proto/imap_set.h"

#include "node/base/err.h"
#include "proto/imap_write.h"
#include "tests/lib/cu.h"

static void resolved_sets_rise(void)
{
	static const struct {
		const char *text;
		uint32_t star;
		const char *want;
	} t[] = {
		{"1", 5, "1"},
		{"*", 5, "5"},
		{"*:4,5:7", 15, "4:15"},	/* RFC 3501 section 9 */
		{"2,4:7,9,12:*", 15, "2,4:7,9,12:15"},
		{"3:1", 5, "1:3"},
		{"7:*", 5, "5:7"},
		{"1,2,3", 5, "1:3"},
		{"5,1,3:4,2", 9, "1:5"},
		{"1:10,3:4,10:12", 9, "1:12"},
		{"*", 0, ""},
		{"5:*,3", 0, "3"},
		{"4294967295,4294967294", 9, "4294967294:4294967295"},
		{"*:*", 7, "7"},
	};
	struct arena *a = arena_new(512);
	struct imap_set s;
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CU_EQ_INT(imap_set_parse(slice_str(t[i].text), a, &s), 0);
		imap_set_resolve(&s, t[i].star);
		buf_reset(&out);
		imap_put_set(&out, s.ranges, s.n);
		CU_EQ_TEXT(buf_all(&out), t[i].want);
	}
	buf_fini(&out);
	arena_free(a);
}

static void bad_sets_are_refused(void)
{
	static const char *const t[] = {
		"", "0", "1:", ":1", "1,", ",1", "1,,2", "a", "1:2:3", "-1",
		"4294967296", "1 2", "0:5", "$", "1:0",
	};
	struct arena *a = arena_new(512);
	struct imap_set s;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(imap_set_parse(slice_str(t[i]), a, &s) < 0,
			 "\"%s\" was taken", t[i]);
	arena_free(a);
}

static void too_many_ranges_are_refused(void)
{
	struct arena *a = arena_new(512);
	struct imap_set s;
	struct buf text;
	unsigned i;

	buf_init(&text, 1u << 20);
	for (i = 0; i < IMAP_SET_RANGES_MAX; i++)
		buf_str(&text, "1,");
	buf_str(&text, "1");
	CU_EQ_INT(imap_set_parse(buf_all(&text), a, &s), E_LIMIT);
	buf_fini(&text);
	arena_free(a);
}

static void membership_is_exact(void)
{
	struct arena *a = arena_new(512);
	struct imap_set s;
	uint32_t v;

	CU_EQ_INT(imap_set_parse(SLICE_LIT("2,4:7,9,12:*"), a, &s), 0);
	imap_set_resolve(&s, 15);
	for (v = 0; v < 20; v++)
		CU_CLAIM(imap_set_has(&s, v) ==
				 (v == 2 || (v >= 4 && v <= 7) || v == 9 ||
				  (v >= 12 && v <= 15)), "wrong about %u", v);
	CU_EQ_U64(imap_set_count(&s), 10);
	arena_free(a);
}

static void writer_joins_neighbours(void)
{
	static const uint32_t v[] = {1, 2, 3, 5, 9, 10, 4294967295u};
	struct imap_set_writer w = {.to = NULL};
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	w.to = &out;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		imap_set_writer_add(&w, v[i]);
	imap_set_writer_end(&w);
	CU_EQ_TEXT(buf_all(&out), "1:3,5,9:10,4294967295");
	buf_fini(&out);
}

CU_TESTS(CU_CASE(resolved_sets_rise),
	 CU_CASE(bad_sets_are_refused),
	 CU_CASE(too_many_ranges_are_refused),
	 CU_CASE(membership_is_exact),
	 CU_CASE(writer_joins_neighbours))
