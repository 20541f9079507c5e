#include "storage/rank.h"
#include "node/base/arena.h"

#include <stdlib.h>

void rank_init(struct rank *r)
{
	*r = (struct rank){0};
}

void rank_fini(struct rank *r)
{
	free(r->bits);
	free(r->tree);
	rank_init(r);
}

static void tree_add(struct rank *r, uint32_t word, uint32_t by)
{
	for (uint32_t i = word + 1; i <= r->cap_words; i += i & -i)
		r->tree[i] += by;
}

static void grow(struct rank *r, uint32_t words)
{
	uint32_t cap = r->cap_words ? r->cap_words : 8;

	while (cap < words)
		cap *= 2;
	r->bits = xrealloc(r->bits, cap * sizeof(*r->bits));
	memset(r->bits + r->cap_words, 0,
	       (cap - r->cap_words) * sizeof(*r->bits));
	r->tree = xrealloc(r->tree, (cap + 1) * sizeof(*r->tree));
	memset(r->tree, 0, (cap + 1) * sizeof(*r->tree));
	r->cap_words = cap;
	/* Linear rebuild: each node hands its sum to its parent. */
	for (uint32_t i = 1; i <= cap; i++) {
		uint32_t up = i + (i & -i);

		r->tree[i] += (uint32_t)__builtin_popcountll(r->bits[i - 1]);
		if (up <= cap)
			r->tree[up] += r->tree[i];
	}
}

void rank_set(struct rank *r, uint32_t i)
{
	uint32_t word = i / 64;
	uint64_t bit = 1ull << i % 64;

	if (word >= r->cap_words)
		grow(r, word + 1);
	if (r->bits[word] & bit)
		return;
	r->bits[word] |= bit;
	r->set++;
	tree_add(r, word, 1);
}

bool rank_get(const struct rank *r, uint32_t i)
{
	return i / 64 < r->cap_words && (r->bits[i / 64] >> i % 64 & 1);
}

uint32_t rank_below(const struct rank *r, uint32_t i)
{
	uint32_t word = i / 64, sum = 0;

	if (r->set == 0)
		return 0;
	if (word >= r->cap_words)
		return r->set;
	for (uint32_t k = word; k > 0; k -= k & -k)
		sum += r->tree[k];
	if (i % 64)
		sum += (uint32_t)__builtin_popcountll(
			r->bits[word] & ((1ull << i % 64) - 1));
	return sum;
}

uint32_t rank_select_clear(const struct rank *r, uint32_t i)
{
	uint32_t word = 0, step = r->cap_words, left = i;

	if (r->set == 0)
		return i;
	/* cap_words is a power of two times eight: descend the tree.  Each
	 * node of size `step` covers step * 64 records. */
	for (; step > 0; step /= 2) {
		uint32_t next = word + step;

		if (next > r->cap_words)
			continue;
		uint32_t clear = step * 64 - r->tree[next];

		if (clear <= left) {
			left -= clear;
			word = next;
		}
	}
	if (word >= r->cap_words)
		return word * 64 + left;
	uint64_t clear = ~r->bits[word];

	while (left--)
		clear &= clear - 1;
	return word * 64 + (uint32_t)__builtin_ctzll(clear);
}
