#include "storage/index.h"
#include "storage/rank.h"
#include "tests/lib/cu.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#include <stdlib.h>

static void rank_agrees_with_counting(void)
{
	enum { N = 3000 };
	struct rank r;
	struct simrng rng;
	bool *set = calloc(N, sizeof(*set));

	simrng_init(&rng, 1);
	rank_init(&r);
	for (int round = 0; round < 6; round++) {
		for (int k = 0; k < 300; k++) {
			uint32_t i = (uint32_t)simrng_below(&rng, N);

			rank_set(&r, i);
			set[i] = true;
		}
		uint32_t below = 0, clear = 0;

		for (uint32_t i = 0; i < N; i++) {
			if (!CU_EQ_INT(rank_below(&r, i), below) ||
			    !CU_EQ_INT(rank_get(&r, i), set[i]))
				goto out;
			if (!set[i] &&
			    !CU_EQ_INT(rank_select_clear(&r, clear++), i))
				goto out;
			below += set[i];
		}
		CU_EQ_INT(r.set, below);
	}
out:
	rank_fini(&r);
	free(set);
}

static void rank_without_bits_takes_no_memory(void)
{
	struct rank r;

	rank_init(&r);
	CU_EQ_INT(rank_below(&r, 1000000), 0);
	CU_EQ_INT(rank_select_clear(&r, 1000000), 1000000);
	CU_ASSERT_PTR_NULL(r.bits);
	rank_fini(&r);
}

static struct id128 some_id(void)
{
	return (struct id128){"0123456789abcde"};
}

static void records_survive_growth_and_reopening(void)
{
	struct simdisk *d = simdisk_new(NULL);
	struct index x;
	struct err e = ERR_NONE;

	index_init(&x, simdisk_fs(d));
	CU_OK(index_create(&x, "/i.1", some_id(), 1, index_rec_size(70), &e),
	      &e);
	CU_EQ_INT(x.rec_size, 136);
	for (uint32_t i = 0; i < 1000; i++) {
		CU_EQ_INT(index_reserve(&x, 1), 0);
		struct mrec *m = index_rec(&x, x.n++);

		m->uid = 10 + 2 * i;
		index_keyword_set(&x, m, i % 128, true);
	}
	index_close(&x);
	CU_OK(index_open(&x, "/i.1", some_id(), 1, 136, 1000, &e), &e);
	CU_EQ_INT(index_lower(&x, 0), 0);
	CU_EQ_INT(index_lower(&x, 10), 0);
	CU_EQ_INT(index_lower(&x, 11), 1);
	CU_EQ_INT(index_lower(&x, 10 + 2 * 999), 999);
	CU_EQ_INT(index_lower(&x, 10 + 2 * 999 + 1), 1000);
	CU_CLAIM(index_keyword(&x, index_rec(&x, 127), 127), "bit 127");
	CU_CLAIM(!index_keyword(&x, index_rec(&x, 127), 126), "bit 126");
	CU_CLAIM(!index_keyword(&x, index_rec(&x, 127), 500), "beyond");
	index_close(&x);
	simdisk_free(d);
}

static void a_damaged_or_short_index_is_found(void)
{
	struct simdisk *d = simdisk_new(NULL);
	struct id128 other = {{9}};
	struct index x;
	struct err e = ERR_NONE;

	index_init(&x, simdisk_fs(d));
	CU_OK(index_create(&x, "/i.1", some_id(), 1, 128, &e), &e);
	CU_EQ_INT(index_reserve(&x, 30), 0);
	index_close(&x);
	CU_EQ_INT(index_open(&x, "/i.1", other, 1, 128, 1, &e), E_CORRUPT);
	CU_EQ_INT(index_open(&x, "/i.1", some_id(), 2, 128, 1, &e), E_CORRUPT);
	CU_EQ_INT(index_open(&x, "/i.1", some_id(), 1, 136, 1, &e), E_CORRUPT);
	CU_EQ_INT(index_open(&x, "/i.1", some_id(), 1, 128, 100000, &e),
		  E_CORRUPT);
	CU_EQ_INT(index_open(&x, "/missing", some_id(), 1, 128, 1, &e),
		  E_CORRUPT);
	for (unsigned i = 0; i < 44 * 8; i++) {
		simdisk_flip(d, "/i.1", i / 8, i % 8);
		CU_EQ_INT(index_open(&x, "/i.1", some_id(), 1, 128, 1, &e),
			  E_CORRUPT);
		simdisk_flip(d, "/i.1", i / 8, i % 8);
	}
	CU_OK(index_open(&x, "/i.1", some_id(), 1, 128, 1, &e), &e);
	index_close(&x);
	simdisk_free(d);
}

static void a_full_disk_is_an_error_and_changes_nothing(void)
{
	struct simdisk *d = simdisk_new(NULL);
	struct index x;
	struct err e = ERR_NONE;

	index_init(&x, simdisk_fs(d));
	CU_OK(index_create(&x, "/i.1", some_id(), 1, 128, &e), &e);
	index_rec(&x, 0)->uid = 7;
	x.n = 1;
	simdisk_set_capacity(d, 8192);
	CU_CLAIM(index_reserve(&x, 1000) < 0, "no room");
	CU_EQ_INT(index_rec(&x, 0)->uid, 7);
	simdisk_set_capacity(d, 0);
	CU_EQ_INT(index_reserve(&x, 1000), 0);
	CU_EQ_INT(index_rec(&x, 0)->uid, 7);
	index_close(&x);
	simdisk_free(d);
}

CU_TESTS(CU_CASE(rank_agrees_with_counting),
	 CU_CASE(rank_without_bits_takes_no_memory),
	 CU_CASE(records_survive_growth_and_reopening),
	 CU_CASE(a_damaged_or_short_index_is_found),
	 CU_CASE(a_full_disk_is_an_error_and_changes_nothing))
