/* Frames: bytes, limits, chain, local CRC. */

#include "tests/lib/cu.h"

#include "node/base/digest.h"
#include "storage/frame.h"

static const struct id128 acct = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
				   14, 15, 16}};
#define PAIR SLICE_LIT("0123456789abcdef")

static struct frame sample(void)
{
	return (struct frame){.type = FRAME_RECORD, .epoch = 3, .seq = 7,
			      .hlc = 0x1122334455667788ull,
			      .chain = 0x99aabbccddeeff00ull,
			      .payload = SLICE_LIT("payload")};
}

static void put_then_get_gives_the_same_frame(void)
{
	struct frame f = sample(), g;
	struct buf b;
	uint32_t crc = 0;

	buf_init(&b, 1000);
	frame_put(&b, &f, 0xabcd);
	CU_EQ_INT(b.n, 48);
	CU_EQ_INT(frame_get(buf_all(&b), &g, &crc), 48);
	CU_EQ_U64(crc, 0xabcd);
	CU_EQ_U64(g.seq, 7);
	CU_EQ_U64(g.epoch, 3);
	CU_EQ_U64(g.hlc, f.hlc);
	CU_EQ_U64(g.chain, f.chain);
	CU_EQ_INT(g.type, FRAME_RECORD);
	CU_EQ_TEXT(g.payload, "payload");
	/* Byte by byte as replication.md says. */
	CU_EQ_MEM(b.p, "\x07\0\0\0\xcd\xab\0\0\x01\0\0\0\x03\0\0\0\x07", 17);
	buf_fini(&b);
}

static void a_cut_frame_wants_more_bytes(void)
{
	struct frame f = sample(), g;
	struct buf b;

	buf_init(&b, 1000);
	frame_put(&b, &f, 0);
	for (size_t n = 0; n < b.n; n++)
		CU_EQ_INT(frame_get(slice_of(b.p, n), &g, NULL), 0);
	buf_fini(&b);
}

static void impossible_headers_are_corrupt(void)
{
	static const struct {
		size_t at;
		uint8_t value;
	} cases[] = {
		{0, 0},		/* no payload */
		{3, 0x7f},	/* too long */
		{8, 3},		/* unknown type */
		{10, 2},	/* unknown flag */
		{12, 0},	/* epoch 0 is genesis */
		{16, 0},	/* so is seq 0 */
		{47, 1},	/* padding */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct frame f = sample(), g;
		struct buf b;

		buf_init(&b, 1000);
		frame_put(&b, &f, 0);
		b.p[cases[i].at] = cases[i].value;
		CU_EQ_INT(frame_get(buf_all(&b), &g, NULL), E_CORRUPT);
		buf_fini(&b);
	}
}

static void chain_covers_all_but_the_crc(void)
{
	struct frame f = sample();
	uint64_t base = frame_chain(PAIR, acct, 1, &f);
	struct id128 other = acct;

	CU_CLAIM(frame_chain(PAIR, acct, 2, &f) != base, "previous chain");
	other.b[15] ^= 1;
	CU_CLAIM(frame_chain(PAIR, other, 1, &f) != base, "account");
	CU_CLAIM(frame_chain(SLICE_LIT("0123456789abcdeF"), acct, 1, &f) !=
			 base, "pair");
	f.seq++;
	CU_CLAIM(frame_chain(PAIR, acct, 1, &f) != base, "seq");
	f = sample();
	f.payload = SLICE_LIT("payloaD");
	CU_CLAIM(frame_chain(PAIR, acct, 1, &f) != base, "payload");
	f = sample();
	f.chain = 0;	/* its own old value is not an input */
	CU_EQ_U64(frame_chain(PAIR, acct, 1, &f), base);
}

static void genesis_differs_by_account_and_pair(void)
{
	struct id128 other = acct;
	struct position a = frame_genesis(PAIR, acct), b;

	CU_EQ_U64(a.seq, 0);
	CU_EQ_U64(a.epoch, 0);
	other.b[0] ^= 1;
	b = frame_genesis(PAIR, other);
	CU_CLAIM(a.chain != b.chain, "same genesis for two accounts");
	b = frame_genesis(SLICE_LIT("x"), acct);
	CU_CLAIM(a.chain != b.chain, "same genesis for two pairs");
	CU_CLAIM(position_eq(a, frame_genesis(PAIR, acct)), "not stable");
}

static void local_crc_knows_its_place(void)
{
	uint32_t base = frame_crc(acct, 1, 64, SLICE_LIT("x"));

	CU_CLAIM(frame_crc(acct, 2, 64, SLICE_LIT("x")) != base, "segment");
	CU_CLAIM(frame_crc(acct, 1, 72, SLICE_LIT("x")) != base, "offset");
	CU_CLAIM(frame_crc(acct, 1, 64, SLICE_LIT("y")) != base, "bytes");
}

CU_TESTS(CU_CASE(put_then_get_gives_the_same_frame),
	 CU_CASE(a_cut_frame_wants_more_bytes),
	 CU_CASE(impossible_headers_are_corrupt),
	 CU_CASE(chain_covers_all_but_the_crc),
	 CU_CASE(genesis_differs_by_account_and_pair),
	 CU_CASE(local_crc_knows_its_place))
