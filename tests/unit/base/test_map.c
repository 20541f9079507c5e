#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/map.h"

#include <stdlib.h>

#define N 5000

static struct slice name(char to[16], int i)
{
	snprintf(to, 16, "user%d", i);
	return slice_str(to);
}

static void it_agrees_with_a_plain_array(void)
{
	static char values[N];
	bool in[N] = {false};
	struct map *m = map_new();
	size_t live = 0;
	uint32_t seed = 1;
	char key[16];

	for (int step = 0; step < 60000; step++) {
		int i;
		void *old;

		seed = seed * 1103515245 + 12345;
		i = (int)(seed >> 8) % N;
		/* Phases of growth and of shrinking. */
		if ((seed >> 4 & 3) > (unsigned)(step / 10000 & 1) + 1) {
			old = map_put(m, name(key, i), &values[i]);
			live += !in[i];
			CU_ASSERT(old == (in[i] ? &values[i] : NULL));
			in[i] = true;
		} else {
			old = map_remove(m, name(key, i));
			live -= in[i];
			CU_ASSERT(old == (in[i] ? &values[i] : NULL));
			in[i] = false;
		}
		if (map_size(m) != live) {
			CU_CLAIM(false, "size %zu, want %zu", map_size(m), live);
			break;
		}
	}
	for (int i = 0; i < N; i++)
		CU_ASSERT(map_get(m, name(key, i)) == (in[i] ? &values[i] : NULL));
	map_free(m);
}

static void it_goes_round_in_order_of_insertion(void)
{
	static int v[100];
	struct map *m = map_new();
	struct slice k;
	void *value;
	char key[16];
	int want = 1;

	for (int i = 0; i < 100; i++)
		map_put(m, name(key, i), &v[i]);
	/* The current one may be removed. */
	for (size_t i = 0; map_each(m, &i, &k, &value);) {
		if ((int *)value - v == 0 || ((int *)value - v) % 3 == 0)
			CU_ASSERT(map_remove(m, k) == value);
	}
	for (size_t i = 0; map_each(m, &i, NULL, &value);) {
		CU_EQ_INT((int *)value - v, want);
		want += want % 3 == 2 ? 2 : 1;
	}
	CU_EQ_INT(want, 100);
	CU_EQ_INT(map_size(m), 66);
	map_free(m);
}

static void keys_are_bytes(void)
{
	struct map *m = map_new();
	int a, b, c;

	CU_ASSERT(map_get(m, SLICE_LIT("x")) == NULL);
	CU_ASSERT(map_remove(m, SLICE_LIT("x")) == NULL);
	map_put(m, SLICE_NONE, &a);
	map_put(m, SLICE_LIT("a\0b"), &b);
	map_put(m, SLICE_LIT("a"), &c);
	CU_ASSERT(map_get(m, SLICE_LIT("")) == &a);
	CU_ASSERT(map_get(m, SLICE_LIT("a\0b")) == &b);
	CU_ASSERT(map_get(m, SLICE_LIT("a")) == &c);
	CU_ASSERT(map_put(m, SLICE_LIT("a"), &a) == &c);
	CU_EQ_INT(map_size(m), 3);
	map_free(m);
	map_free(NULL);
}

static void churn_needs_no_memory(void)
{
	struct map *m = map_new();
	char key[16];
	int v;

	/* Ten at a time, a hundred thousand in all; ends, and finds all. */
	for (int i = 0; i < 100000; i++) {
		map_put(m, name(key, i), &v);
		if (i >= 10)
			CU_ASSERT(map_remove(m, name(key, i - 10)) == &v);
	}
	CU_EQ_INT(map_size(m), 10);
	map_free(m);
}

CU_TESTS(CU_CASE(it_agrees_with_a_plain_array),
	 CU_CASE(it_goes_round_in_order_of_insertion), CU_CASE(keys_are_bytes),
	 CU_CASE(churn_needs_no_memory))
