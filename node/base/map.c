#include "node/base/map.h"
#include "node/base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

/*
 * Entries stand in an array in the order of their insertion; a separate table
 * of slots finds them by hash.  So iteration follows from the calls alone,
 * whatever the seed: a simulation replays exactly.
 *
 * Invariants:
 *  1. slots[] has a power of two of elements, at most 3/4 of them in use.
 *  2. A slot is FREE, GONE (its entry was removed; probing goes on), or the
 *     index of an entry.
 *  3. A removed entry has key NULL and stays until the next rebuild, which
 *     only map_put() does: map_remove() during map_each() moves nothing.
 */
enum { FREE = -1, GONE = -2 };

struct entry {
	uint8_t *key;
	size_t key_n;
	uint64_t hash;
	void *value;
};

struct map {
	uint64_t seed[2];
	struct entry *entries;
	size_t n_entries, cap_entries, live;
	int32_t *slots;
	size_t n_slots;
};

#define SLOTS_MIN 16
#define ENTRIES_MAX ((size_t)INT32_MAX / 2)

static uint64_t rotl(uint64_t x, unsigned b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

/* SipHash-1-3: names come from outside, collisions must not be to order. */
static uint64_t hash_of(const struct map *m, struct slice key)
{
	uint64_t v[4] = {
		m->seed[0] ^ 0x736f6d6570736575u, m->seed[1] ^ 0x646f72616e646f6du,
		m->seed[0] ^ 0x6c7967656e657261u, m->seed[1] ^ 0x7465646279746573u,
	};
	uint64_t word;
	size_t i = 0;

	for (; i + 8 <= key.n; i += 8) {
		memcpy(&word, key.p + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)key.n << 56;
	for (size_t k = 0; i + k < key.n; k++)
		word |= (uint64_t)key.p[i + k] << (8 * k);
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map *map_new(void)
{
	struct map *m = NEW(struct map);

	/* Early in boot there may be no entropy yet; a weak seed still works. */
	if (getrandom(m->seed, sizeof(m->seed), GRND_NONBLOCK) < 0)
		m->seed[0] = (uintptr_t)m;
	return m;
}

void map_free(struct map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_entries; i++)
		free(m->entries[i].key);
	free(m->entries);
	free(m->slots);
	free(m);
}

size_t map_size(const struct map *m)
{
	return m->live;
}

/* The slot that holds key, or NULL. */
static int32_t *find(const struct map *m, struct slice key, uint64_t hash)
{
	if (m->n_slots == 0)
		return NULL;
	for (size_t at = hash & (m->n_slots - 1);; at = (at + 1) & (m->n_slots - 1)) {
		int32_t i = m->slots[at];
		const struct entry *e;

		if (i == FREE)
			return NULL;
		if (i == GONE)
			continue;
		e = &m->entries[i];
		if (e->hash == hash &&
		    slice_eq(slice_of(e->key, e->key_n), key))
			return &m->slots[at];
	}
}

static void place(struct map *m, int32_t index)
{
	size_t at = m->entries[index].hash & (m->n_slots - 1);

	while (m->slots[at] != FREE)
		at = (at + 1) & (m->n_slots - 1);
	m->slots[at] = index;
}

/* Drops what was removed and makes the table fit for one more entry. */
static void rebuild(struct map *m)
{
	size_t n = 0, want = SLOTS_MIN;

	for (size_t i = 0; i < m->n_entries; i++)
		if (m->entries[i].key)
			m->entries[n++] = m->entries[i];
	m->n_entries = n;
	assert(n < ENTRIES_MAX);
	while (want / 2 < n + 1)
		want *= 2;
	m->slots = xrealloc(m->slots, want * sizeof(*m->slots));
	m->n_slots = want;
	for (size_t i = 0; i < want; i++)
		m->slots[i] = FREE;
	for (size_t i = 0; i < n; i++)
		place(m, (int32_t)i);
}

void *map_get(const struct map *m, struct slice key)
{
	int32_t *slot = find(m, key, hash_of(m, key));

	return slot ? m->entries[*slot].value : NULL;
}

void *map_put(struct map *m, struct slice key, void *value)
{
	uint64_t hash = hash_of(m, key);
	int32_t *slot = find(m, key, hash);
	void *old;

	assert(value);
	if (slot) {
		old = m->entries[*slot].value;
		m->entries[*slot].value = value;
		return old;
	}
	/* Entries, the removed included, never outnumber used slots. */
	if ((m->n_entries + 1) * 4 > m->n_slots * 3)
		rebuild(m);
	GROW(m->entries, m->n_entries, m->cap_entries);
	m->entries[m->n_entries] = (struct entry){
		.key = (uint8_t *)xstrndup(key.p, key.n),
		.key_n = key.n,
		.hash = hash,
		.value = value,
	};
	place(m, (int32_t)m->n_entries);
	m->n_entries++;
	m->live++;
	return NULL;
}

void *map_remove(struct map *m, struct slice key)
{
	int32_t *slot = find(m, key, hash_of(m, key));
	struct entry *e;

	if (!slot)
		return NULL;
	e = &m->entries[*slot];
	*slot = GONE;
	free(e->key);
	e->key = NULL;
	m->live--;
	return e->value;
}

bool map_each(const struct map *m, size_t *i, struct slice *key, void **value)
{
	while (*i < m->n_entries) {
		const struct entry *e = &m->entries[(*i)++];

		if (!e->key)
			continue;
		if (key)
			*key = slice_of(e->key, e->key_n);
		if (value)
			*value = e->value;
		return true;
	}
	return false;
}
