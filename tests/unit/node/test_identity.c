/* The identity file: what is kept, what is refused. */

#include "node/super/identity.h"
#include "node/base/clock.h"
#include "node/base/rng.h"
#include "tests/lib/cu.h"

#include <stdlib.h>
#include <unistd.h>

static struct sys sys;
static char dir[CU_DIR_SIZE];

static void end(void)
{
	struct fsio *fs = fsio_system(NULL);

	fsio_remove_tree(fs, dir);
	fsio_system_free(fs);
}

static void begin(void)
{
	sys = (struct sys){.fs = fsio_system(NULL), .clock = clock_system(),
			   .rng = rng_system()};
	if (dir[0])
		return;
	cu_dir(dir, sizeof(dir));
	atexit(end);
}

static struct node_identity sample(void)
{
	struct node_identity id;

	begin();
	identity_new_node(&id, &sys);
	identity_new_pair(&id, &sys, false);
	id.member = true;
	id.n_retired = 2;
	id.retired[1].b[3] = 7;
	id.partner_node_id.b[0] = 9;
	id.partner_incarnation.b[15] = 8;
	return id;
}

static void what_was_written_is_read(void)
{
	struct node_identity a = sample(), b;
	struct err e = ERR_NONE;
	uint8_t one[IDENTITY_SIZE], two[IDENTITY_SIZE];

	CU_OK(identity_write(&sys, dir, &a, &e), &e);
	CU_OK(identity_read(&sys, dir, &b, &e), &e);
	identity_encode(&a, one);
	identity_encode(&b, two);
	CU_EQ_MEM(two, one, IDENTITY_SIZE);
	CU_CLAIM(b.has && b.trusted && b.member && !b.provisional, "flags");
	CU_EQ_INT(b.n_retired, 2);
	CU_EQ_INT(b.retired[1].b[3], 7);
}

static void every_flipped_bit_is_noticed(void)
{
	struct node_identity a = sample(), b;
	uint8_t bytes[IDENTITY_SIZE];

	identity_encode(&a, bytes);
	for (size_t i = 0; i < IDENTITY_SIZE * 8; i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		CU_CLAIM(identity_decode(slice_of(bytes, sizeof(bytes)), &b,
					 NULL) < 0, "bit %zu", i);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	CU_CLAIM(identity_decode(slice_of(bytes, sizeof(bytes) - 1), &b,
				 NULL) < 0, "short file");
}

static void the_pair_cannot_be_changed_under_a_node(void)
{
	struct node_identity a = sample(), b = a;

	CU_EQ_INT(identity_check_change(&a, &b, NULL), 0);
	b.trusted = false;
	CU_EQ_INT(identity_check_change(&a, &b, NULL), 0);
	b = a;
	b.index = 1;
	CU_EQ_INT(identity_check_change(&a, &b, NULL), E_INVALID);
	b = a;
	b.pair_id.b[0] ^= 1;
	CU_EQ_INT(identity_check_change(&a, &b, NULL), E_INVALID);
	b = a;
	b.member = false;
	CU_EQ_INT(identity_check_change(&a, &b, NULL), E_INVALID);
	b = a;
	b.node_id.b[0] ^= 1;
	CU_EQ_INT(identity_check_change(&a, &b, NULL), E_INVALID);
}

static void a_provisional_pair_may_be_dropped(void)
{
	struct node_identity a = sample(), b;

	a.member = false;
	a.provisional = true;
	b = a;
	b.index = 1;
	b.pair_id.b[0] ^= 1;
	b.provisional = false;
	CU_EQ_INT(identity_check_change(&a, &b, NULL), 0);
}

static void a_missing_file_is_told_apart(void)
{
	struct node_identity id;
	struct err e = ERR_NONE;

	begin();
	CU_EQ_INT(identity_read(&sys, "/nonexistent", &id, &e), -2);
}

CU_TESTS(CU_CASE(what_was_written_is_read),
	 CU_CASE(every_flipped_bit_is_noticed),
	 CU_CASE(the_pair_cannot_be_changed_under_a_node),
	 CU_CASE(a_provisional_pair_may_be_dropped),
	 CU_CASE(a_missing_file_is_told_apart))
