#include "tests/lib/cu.h"

#include "auth/pw.h"
#include "node/base/rng.h"

static void list_names_schemes(void)
{
	struct buf b;

	buf_init(&b, 4096);
	pw_list(&b);
	buf_char(&b, 0);
	const char *text = (const char *)b.p;
	CU_CLAIM(strstr(text, "SHA512-CRYPT "), "%s", text);
	CU_CLAIM(strstr(text, "BLF-CRYPT "), "%s", text);
	CU_EQ_INT(b.p[b.n - 2], '\n');
	/* Only what can be made is listed. */
	CU_CLAIM(!strstr(text, "ARGON2"), "%s", text);
	buf_fini(&b);
}

static void default_is_blowfish_under_crypt(void)
{
	struct err e = ERR_NONE;
	struct buf b;

	buf_init(&b, 4096);
	CU_OK(pw_make(NULL, 0, SLICE_LIT("secret"), rng_system(), &b, &e), &e);
	CU_CLAIM(slice_starts_ci(buf_all(&b), "{CRYPT}$2y$05$"), "%.*s",
		 (int)b.n, b.p);
	buf_fini(&b);
}

static void test_says_verified_or_why_not(void)
{
	struct err e = ERR_NONE;
	struct buf b;

	buf_init(&b, 4096);
	CU_OK(pw_test(SLICE_LIT("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="),
		      SLICE_LIT("test"), &b, &e), &e);
	CU_EQ_TEXT(buf_all(&b),
		   "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M= (verified)");
	CU_EQ_INT(pw_test(SLICE_LIT("{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="),
			  SLICE_LIT("tesT"), &b, &e), E_AUTH);
	CU_EQ_STR(e.op, "reverse password verification check failed: "
		  "Password mismatch");
	CU_EQ_INT(pw_test(SLICE_LIT("{NOPE}x"), SLICE_LIT("t"), &b, &e),
		  E_UNSUPPORTED);
	CU_EQ_STR(e.op, "reverse decode check failed: Unknown scheme: NOPE");
	CU_EQ_INT(pw_test(SLICE_LIT("abc"), SLICE_LIT("t"), &b, &e),
		  E_INVALID);
	CU_EQ_STR(e.op, "Missing {scheme} prefix from hash");
	buf_fini(&b);
}

CU_TESTS(CU_CASE(list_names_schemes), CU_CASE(default_is_blowfish_under_crypt),
	 CU_CASE(test_says_verified_or_why_not))
