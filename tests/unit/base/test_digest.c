#include "tests/lib/cu.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/digest.h"
#include "node/base/rng.h"

#include <errno.h>

static void check_hex(const uint8_t *is, size_t n, const char *want)
{
	char text[2 * DIGEST_MAX + 1];

	hex_of(is, n, text);
	CU_EQ_STR(text, want);
}

/* Values by Python's hashlib. */
static void hashes_are_those_of_others(void)
{
	uint8_t out[DIGEST_MAX];
	struct slice abc[] = {SLICE_LIT("a"), SLICE_NONE, SLICE_LIT("bc")};
	struct digest_sha256 *d = digest_sha256_new();

	sha256(SLICE_LIT("abc"), out);
	check_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223"
			   "b00361a396177a9cb410ff61f20015ad");
	digest_sha256_add(d, SLICE_LIT("ab"));
	digest_sha256_add(d, SLICE_LIT("c"));
	memset(out, 0, sizeof(out));
	digest_sha256_end(d, out);
	check_hex(out, 4, "ba7816bf");
	digest_sha256_free(NULL);
	digest_sha256_free(digest_sha256_new());

	CU_EQ_INT(digest_hash("MD5", abc, 3, out, sizeof(out)), 16);
	check_hex(out, 16, "900150983cd24fb0d6963f7d28e17f72");
	CU_EQ_INT(digest_hash("SHA512", abc, 3, out, sizeof(out)), 64);
	CU_EQ_INT(digest_hash("SHA512", abc, 3, out, 63), -ENOBUFS);
	CU_EQ_INT(digest_hash("NO-SUCH", abc, 3, out, 64), -ENOENT);
	CU_EQ_INT(digest_hmac("SHA1", SLICE_LIT("key"), SLICE_LIT("data"), out,
			      64), 20);
	check_hex(out, 20, "104152c5bfdca07bc633eebd46199f0255c9f49d");
	CU_EQ_INT(digest_hmac("SHA256", SLICE_NONE, SLICE_LIT("data"), out, 64), 32);
	check_hex(out, 4, "e528c4d9");
	CU_EQ_INT(digest_pbkdf2("SHA1", SLICE_LIT("password"), SLICE_LIT("salt"),
				2, out, 20), 0);
	check_hex(out, 20, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957");
	CU_EQ_INT(digest_pbkdf2("SHA1", SLICE_NONE, SLICE_NONE, 0, out, 20),
		  -EINVAL);
	CU_EQ_INT(digest_pbkdf2("NO-SUCH", SLICE_NONE, SLICE_NONE, 1, out, 20),
		  -ENOENT);
}

static void keyed_blake2b_depends_on_its_output_length(void)
{
	static const char *const want[] = {
		"f69bc0ecaafd2aad", "3bc453b79112d82d", "b713c6426c6a6314",
		"856f26fdbed4917e5f7ea63293c5b9ca",
		"083aac7ba77bc664005d821eb8bfa4d9",
		"e335fb13d7f14d814e718d54f0d9845e",
	};
	uint8_t key[64], out[16];
	struct slice six[50], x = SLICE_LIT("x");

	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_LEN(six); i++)
		six[i] = SLICE_LIT("abcdef");
	for (size_t k = 0; k < 2; k++) {
		size_t n = k ? 16 : 8;

		blake2b_mac(slice_of(key, 16), six, 50, out, n);
		check_hex(out, n, want[3 * k]);
		blake2b_mac(slice_of(key, 16), NULL, 0, out, n);
		check_hex(out, n, want[3 * k + 1]);
		blake2b_mac(slice_of(key, 64), &x, 1, out, n);
		check_hex(out, n, want[3 * k + 2]);
	}
}

static void crc32c_is_castagnolis(void)
{
	static const char text[] = "123456789";
	uint8_t data[300];
	uint32_t whole;

	CU_EQ_U64(crc32c(0, text, 9), 0xe3069283);
	CU_EQ_U64(crc32c_portable(0, text, 9), 0xe3069283);
	CU_EQ_U64(crc32c(0, NULL, 0), 0);
	memset(data, 0, 32);
	CU_EQ_U64(crc32c(0, data, 32), 0x8a9136aa);   /* RFC 3720 B.4 */
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + 3);
	whole = crc32c(0, data, sizeof(data));
	for (size_t i = 0; i <= sizeof(data); i++) {
		uint32_t c = crc32c(0, data, i);

		CU_EQ_U64(c, crc32c_portable(0, data, i));
		CU_EQ_U64(crc32c(c, data + i, sizeof(data) - i), whole);
	}
}

static void hex_takes_exactly_what_it_gives(void)
{
	static const struct {
		const char *text;
		int r;
	} t[] = {
		{"00ff7A", 0},	   {"00FF7a", 0},      {"00ff7", -EINVAL},
		{"00ff7aa", -EINVAL}, {"00ff7g", -EINVAL}, {"", -EINVAL},
		{"00ff 7", -EINVAL}, {"00ff7@", -EINVAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		uint8_t out[3] = {1, 2, 3};
		int r = hex_to(slice_str(t[i].text), out, 3);

		CU_CLAIM(r == t[i].r, "row %zu gives %d", i, r);
		CU_EQ_MEM(out, r == 0 ? "\x00\xff\x7a" : "\1\2\3", 3);
	}
}

static void base64_has_one_text_for_one_value(void)
{
	static const struct {
		const char *text, *bytes;
		int r;
	} t[] = {
		{"", "", 0},	       {"Zg==", "f", 1},
		{"Zm8=", "fo", 2},     {"Zm9v", "foo", 3},
		{"Zm9vYmFy", "foobar", 6}, {"Zh==", "", -EINVAL},
		{"Zm9=", "", -EINVAL}, {"Zg=", "", -EINVAL},
		{"Zg", "", -EINVAL},   {"Z===", "", -EINVAL},
		{"====", "", -EINVAL}, {"Zg==Zg==", "", -EINVAL},
		{"Zm 9", "", -EINVAL}, {"Zm9v\n", "", -EINVAL},
		{"Zm9vYmFyZm9v", "", -EINVAL},   /* beyond out_max */
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		uint8_t out[8];
		struct buf b;
		int r = base64_get(slice_str(t[i].text), out, sizeof(out));

		CU_CLAIM(r == t[i].r, "row %zu gives %d", i, r);
		if (r < 0)
			continue;
		CU_EQ_MEM(out, t[i].bytes, (size_t)r);
		buf_init(&b, 100);
		base64_put(&b, slice_of(out, (size_t)r));
		CU_EQ_TEXT(buf_all(&b), t[i].text);
		buf_fini(&b);
	}
}

static void random_bytes_differ_and_comparison_sees_it(void)
{
	struct rng *r = rng_system();
	uint8_t a[32], b[32];

	r->bytes(r, a, sizeof(a));
	r->bytes(r, b, sizeof(b));
	CU_ASSERT(!digest_equal(a, b, sizeof(a)));
	CU_ASSERT(digest_equal(a, a, sizeof(a)));
	CU_ASSERT(digest_equal(NULL, NULL, 0));
	CU_ASSERT(rng_u64(r) != rng_u64(r));
	CU_ASSERT(rng_u32(r) != rng_u32(r) || rng_u32(r) != rng_u32(r));
}

CU_TESTS(CU_CASE(hashes_are_those_of_others),
	 CU_CASE(keyed_blake2b_depends_on_its_output_length),
	 CU_CASE(crc32c_is_castagnolis), CU_CASE(hex_takes_exactly_what_it_gives),
	 CU_CASE(base64_has_one_text_for_one_value),
	 CU_CASE(random_bytes_differ_and_comparison_sees_it))
