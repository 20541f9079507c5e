#include "tests/lib/cu.h"
#include "node/base/arena.h"

#include <malloc.h>
#include <stdlib.h>

static void allocations_are_aligned_and_do_not_overlap(void)
{
	struct arena *a = arena_new(100);
	struct {
		uint8_t *p;
		size_t n;
	} got[400];

	for (size_t i = 0; i < ARRAY_LEN(got); i++) {
		got[i].n = i * i % 1500;
		got[i].p = arena_alloc(a, got[i].n);
		CU_CLAIM((uintptr_t)got[i].p % 16 == 0, "number %zu", i);
		memset(got[i].p, (int)(i & 0xff), got[i].n);
	}
	for (size_t i = 0; i < ARRAY_LEN(got); i++)
		for (size_t k = 0; k < got[i].n; k++)
			if (got[i].p[k] != (i & 0xff)) {
				CU_CLAIM(false, "number %zu was overwritten", i);
				break;
			}
	arena_free(a);
}

static void reset_keeps_the_first_block_and_gives_back_the_rest(void)
{
	struct arena *a = arena_new(1024);
	void *first = arena_alloc(a, 10);

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++)
			arena_alloc(a, 100);
		arena_alloc(a, 1024 * 1024);
		arena_reset(a);
		CU_ASSERT(arena_alloc(a, 10) == first);
	}
	arena_free(a);
	arena_free(NULL);
}

static void zalloc_is_zero_even_where_memory_was_used(void)
{
	static const uint8_t zero[64];
	struct arena *a = arena_new(256);

	memset(arena_alloc(a, 64), 0xff, 64);
	arena_reset(a);
	CU_EQ_MEM(arena_zalloc(a, 64), zero, 64);
	arena_free(a);
}

static void copies_are_terminated(void)
{
	struct arena *a = arena_new(0);
	struct slice s = arena_dup(a, SLICE_LIT("ab\0c"));
	char *h;

	CU_EQ_SLICE(s, SLICE_LIT("ab\0c"));
	CU_EQ_INT(s.p[4], 0);
	CU_EQ_STR(arena_strdup(a, "text"), "text");
	CU_EQ_STR(arena_strndup(a, "text", 2), "te");
	CU_EQ_STR(arena_strndup(a, NULL, 0), "");
	CU_EQ_STR(arena_printf(a, "%d-%s", 7, "x"), "7-x");
	h = xprintf("%s/%u", "dir", 5u);
	CU_EQ_STR(h, "dir/5");
	free(h);
	h = xstrndup("abc", 1);
	CU_EQ_STR(h, "a");
	free(h);
	arena_free(a);
}

static void growing_arrays_keep_their_content(void)
{
	int *items = NULL;
	size_t n = 0, cap = 0;

	for (int i = 0; i < 1000; i++) {
		GROW(items, n, cap);
		items[n++] = i;
	}
	for (int i = 0; i < 1000; i++)
		CU_EQ_INT(items[i], i);
	free(items);
}

CU_TESTS(CU_CASE(allocations_are_aligned_and_do_not_overlap),
	 CU_CASE(reset_keeps_the_first_block_and_gives_back_the_rest),
	 CU_CASE(zalloc_is_zero_even_where_memory_was_used),
	 CU_CASE(copies_are_terminated), CU_CASE(growing_arrays_keep_their_content))
