#include "tests/lib/cu.h"

#include "auth/scheme.h"
#include "node/base/arena.h"
#include "node/base/rng.h"

/* Made by Dovecot 2.3.19 (`doveadm pw`), for the password below. */
static const char password[] = "p\xc3\xa4ssword";

static const char *const vectors[] = {
	"{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=",
	"{SHA1}I7dElEdfX4dJgLdnbVEeI9iG2mQ=",
	"{SHA256}NHgme1YSeRtAmIkGs6eJfrarUB4EuV7TL5nQr99mnZw=",
	"{SHA512}KF3icbSeAO9oGc8Ku/AxXpfCXLo2FhZ8dw78Umxki03hH0sA3HH67TOjEse6"
	"g2kNPtFKqq32tiKqSJlv8H7IpA==",
	"{SMD5}SvxR8p8Ex+dXdaYbpWLeZlrlqCA=",
	"{SSHA}YIX0N56/v0T6EilHFfRMj0PofEygvoRp",
	"{SSHA256}bTGtO0QA5f3Zr4XHRmNTlhNZbQurDuseXPnIHfoo4rS4wJH6",
	"{SSHA512}3ot644fQwcb7gIDSTTwKEGE0t+5gIiNQAl4KL5LMxoLrAVPFa2O+LXdNQBPp"
	"AODGhohQGj+TaP7s8IrKeTJM04zJ/34=",
	"{PBKDF2}$1$kIvS2DytgqFZqMlp$5000$"
	"35e373bb0feca419c56a851aa33065cac761cb6f",
	"{SCRAM-SHA-1}4096,HqMgjOhQ3cvw6OAZZdxaKQ==,"
	"hDojHOddv86vtUp9SAAYgFtdMys=,2lIcC3/vRUAIzdQex6sQT1TtRPA=",
	"{SCRAM-SHA-256}4096,oREndHCalF2uAPbAUsbqEQ==,"
	"OeGtZMS8hHZYLVyap76nOCrncegfsCsV1NCSph3I874=,"
	"3ZccejHjshVnul0rsk/2ZJqo8EujKv0hf+vx37WYzwM=",
	"{MD5}$1$dwPbUsL7$rkbWfDhc0P60Z1gPjYkDz0",
	"{MD5-CRYPT}$1$dwPbUsL7$rkbWfDhc0P60Z1gPjYkDz0",
	"{DES-CRYPT}SLXdDk31SKX/g",
	"{CRYPT}SLXdDk31SKX/g",
	"{SSHA.HEX}460285f74549d006d8464fa7aac09192069bf2ae1b69d1dd",
	"{SHA256.HEX}"
	"3478267b5612791b40988906b3a7897eb6ab501e04b95ed32f99d0afdf669d9c",
	/* Hex without saying so. */
	"{SHA256}"
	"3478267b5612791b40988906b3a7897eb6ab501e04b95ed32f99d0afdf669d9c",
	"{PLAIN.B64}cMOkc3N3b3Jk",
	"{BLF-CRYPT}$2y$04$KTsIsO5iZIbCxkzNylaEaeo4jndaMVPsQgTke4Tcn84tnO6ouZV"
	"Na",
	"{CRYPT}$2y$04$KTsIsO5iZIbCxkzNylaEaeo4jndaMVPsQgTke4Tcn84tnO6ouZVNa",
	"{SHA512-CRYPT}$6$rounds=1000$w0ncW2Vr.QBhwzer$MgV4v8MpqJVxSbf1MORRr1T0"
	"PLTc87ArIk1LpLWZjo/GPRm1.WEAf3CJpz8rxDYot0JHu3pbV5kPGVgEn5D4Y0",
	"{SHA256-CRYPT}$5$rounds=1000$JosMkBsNJxEK22t1$ev2HvLSOLFsg0Wx8wQqqrSi9"
	"/gXAIk7P2ek/41Jco26",
	"{PLAIN}p\xc3\xa4ssword",
	"{cleartext}p\xc3\xa4ssword",
	"{Clear}p\xc3\xa4ssword",
};

static int check(const char *stored, const char *given)
{
	struct err e = ERR_NONE;

	return scheme_verify(slice_str(stored), "CRYPT", slice_str(given), &e);
}

static void every_vector_verifies(void)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct err e = ERR_NONE;
		int r = scheme_verify(slice_str(vectors[i]), "PLAIN",
				      slice_str(password), &e);

		CU_CLAIM(r == 1, "%s: %d %s", vectors[i], r, e.op);
	}
}

static void no_vector_takes_another_password(void)
{
	static const char *const wrong[] = {"", "p", "password",
					    "p\xc3\xa5ssword"};

	for (size_t i = 0; i < ARRAY_LEN(vectors); i++)
		for (size_t k = 0; k < ARRAY_LEN(wrong); k++)
			CU_CLAIM(check(vectors[i], wrong[k]) == 0, "%s: '%s'",
				 vectors[i], wrong[k]);
}

static void md5_forms_of_test(void)
{
	/* MD5("test"). */
	CU_EQ_INT(check("{PLAIN-MD5}098f6bcd4621d373cade4e832627b4f6", "test"),
		  1);
	CU_EQ_INT(check("{PLAIN-MD5}098F6BCD4621D373CADE4E832627B4F6", "test"),
		  1);
	CU_EQ_INT(check("{MD5}098f6bcd4621d373cade4e832627b4f6", "test"), 1);
	CU_EQ_INT(check("{LDAP-MD5}CY9rzUYh03PK3k6DJie09g==", "test"), 1);
	CU_EQ_INT(check("{LDAP-MD5}098f6bcd4621d373cade4e832627b4f6", "test"),
		  1);
	CU_EQ_INT(check("{PLAIN-MD5}098f6bcd4621d373cade4e832627b4f7", "test"),
		  0);
}

static void scram_vector_of_rfc_7677(void)
{
	/* User "user", password "pencil", salt and rounds of the example; the
	 * keys follow from them by RFC 5802 section 3. */
	struct err e = ERR_NONE;
	const char *stored =
		"{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,"
		"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

	CU_EQ_INT(scheme_verify(slice_str(stored), "", SLICE_LIT("pencil"),
				&e), 1);
	CU_EQ_INT(scheme_verify(slice_str(stored), "", SLICE_LIT("Pencil"),
				&e), 0);
}

static void default_scheme_is_for_bare_data(void)
{
	struct err e = ERR_NONE;

	CU_EQ_INT(scheme_verify(SLICE_LIT("secret"), "PLAIN",
				SLICE_LIT("secret"), &e), 1);
	CU_EQ_INT(scheme_verify(SLICE_LIT("SLXdDk31SKX/g"), "CRYPT",
				slice_str(password), &e), 1);
	/* A brace that opens nothing is data. */
	CU_EQ_INT(scheme_verify(SLICE_LIT("{secret"), "PLAIN",
				SLICE_LIT("{secret"), &e), 1);
	CU_EQ_INT(scheme_verify(SLICE_LIT("secret"), "NOPE",
				SLICE_LIT("secret"), &e), E_UNSUPPORTED);
}

static void locked_and_empty_are_nobodys(void)
{
	CU_EQ_INT(check("{CRYPT}!", "!"), 0);
	CU_EQ_INT(check("{CRYPT}*", "*"), 0);
	CU_EQ_INT(check("{CRYPT}!$6$abc$def", "x"), 0);
	CU_EQ_INT(check("x", "x"), 0);
	CU_EQ_INT(check("{PLAIN}", ""), 0);
	CU_EQ_INT(check("{CRYPT}", ""), 0);
	CU_EQ_INT(check("", ""), 0);
}

static void damaged_data_is_an_error(void)
{
	static const struct {
		const char *stored;
		int r;
	} t[] = {
		{"{NOPE}abc", E_UNSUPPORTED},
		{"{SHA.ROT13}abc", E_UNSUPPORTED},
		{"{}abc", E_CORRUPT},
		{"{SHA}abc", E_CORRUPT},
		{"{SHA}YWJj", E_CORRUPT},
		{"{SHA.HEX}0", E_CORRUPT},
		{"{SHA.HEX}zz", E_CORRUPT},
		{"{SSHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=", E_CORRUPT},
		{"{PLAIN-MD5}12", E_CORRUPT},
		{"{MD5}12", E_CORRUPT},
		{"{PBKDF2}", 0},
		{"{PBKDF2}$2$salt$1$35e373bb0feca419c56a851aa33065cac761cb6f",
		 E_CORRUPT},
		{"{PBKDF2}$1$salt$0$35e373bb0feca419c56a851aa33065cac761cb6f",
		 E_CORRUPT},
		{"{PBKDF2}$1$salt$99999999$"
		 "35e373bb0feca419c56a851aa33065cac761cb6f", E_CORRUPT},
		{"{PBKDF2}$1$salt$10$35e373", E_CORRUPT},
		{"{SCRAM-SHA-1}4096", E_CORRUPT},
		{"{SCRAM-SHA-1}4096,HqMgjOhQ3cvw6OAZZdxaKQ==,YWJj,YWJj",
		 E_CORRUPT},
		{"{SHA512-CRYPT}$6", E_CORRUPT},
		{"{CRYPT}$9$abc$def", E_CORRUPT},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct err e = ERR_NONE;
		int r = scheme_verify(slice_str(t[i].stored), "CRYPT",
				      SLICE_LIT("secret"), &e);

		CU_CLAIM(r == t[i].r, "%s: %d %s", t[i].stored, r, e.op);
		CU_CLAIM((r < 0) == (e.op[0] != 0), "%s: text", t[i].stored);
	}
}

static void limits_hold(void)
{
	char long_text[SCHEME_DATA_MAX + 16];
	struct err e = ERR_NONE;

	memset(long_text, 'a', sizeof(long_text));
	CU_EQ_INT(scheme_verify(slice_of(long_text, sizeof(long_text)), "PLAIN",
				SLICE_LIT("a"), &e), E_CORRUPT);
	CU_EQ_INT(scheme_verify(SLICE_LIT("{PLAIN}a"), "PLAIN",
				slice_of(long_text, sizeof(long_text)), &e), 0);
	/* libcrypt's own limit is lower. */
	CU_EQ_INT(scheme_verify(slice_str(vectors[13]), "PLAIN",
				slice_of(long_text, 600), &e), 0);
	CU_EQ_INT(scheme_verify(SLICE_LIT("{PLAIN}a\0b"), "PLAIN",
				SLICE_LIT("a\0b"), &e), 0);
}

static void what_is_made_verifies(void)
{
	struct rng *rng = rng_system();
	const char *name;

	for (size_t i = 0; (name = scheme_name(i)); i++) {
		struct buf a, b;
		struct err e = ERR_NONE;

		buf_init(&a, 4096);
		buf_init(&b, 4096);
		CU_OK(scheme_make(name, slice_str(password), 0, rng, &a, &e),
		      &e);
		CU_OK(scheme_make(name, slice_str(password), 0, rng, &b, &e),
		      &e);
		CU_CLAIM(scheme_verify(buf_all(&a), "", slice_str(password),
				       &e) == 1, "%s: %s", name, e.op);
		CU_CLAIM(scheme_verify(buf_all(&a), "", SLICE_LIT("other"),
				       &e) == 0, "%s: %s", name, e.op);
		/* Those with a salt never give the same twice. */
		bool salted = !strstr("SHA SHA1 SHA256 SHA512 PLAIN CLEAR "
				      "CLEARTEXT PLAIN-MD5 LDAP-MD5", name);
		CU_CLAIM(!salted || !slice_eq(buf_all(&a), buf_all(&b)),
			 "%s: same salt", name);
		buf_fini(&a);
		buf_fini(&b);
	}
}

static void suffixes_are_made(void)
{
	struct err e = ERR_NONE;
	struct buf b;

	buf_init(&b, 4096);
	CU_OK(scheme_make("sha256.hex", slice_str(password), 0, rng_system(),
			  &b, &e), &e);
	CU_EQ_TEXT(buf_all(&b), vectors[16]);
	buf_reset(&b);
	CU_OK(scheme_make("PLAIN.b64", slice_str(password), 0, rng_system(),
			  &b, &e), &e);
	CU_EQ_TEXT(buf_all(&b), vectors[18]);
	buf_fini(&b);
}

static void rounds_are_checked(void)
{
	struct rng *rng = rng_system();
	struct err e = ERR_NONE;
	struct buf b;

	buf_init(&b, 4096);
	CU_OK(scheme_make("SHA512-CRYPT", SLICE_LIT("a"), 1500, rng, &b, &e),
	      &e);
	CU_CLAIM(slice_starts_ci(buf_all(&b), "{SHA512-CRYPT}$6$rounds=1500$"),
		 "%.*s", (int)b.n, b.p);
	buf_reset(&b);
	CU_OK(scheme_make("BLF-CRYPT", SLICE_LIT("a"), 4, rng, &b, &e), &e);
	CU_CLAIM(slice_starts_ci(buf_all(&b), "{BLF-CRYPT}$2y$04$"), "%.*s",
		 (int)b.n, b.p);
	buf_reset(&b);
	CU_EQ_INT(scheme_make("BLF-CRYPT", SLICE_LIT("a"), 3, rng, &b, &e),
		  E_INVALID);
	CU_EQ_STR(e.op, "BLF-CRYPT takes 4 to 31 rounds, not 3");
	CU_EQ_INT(scheme_make("SHA", SLICE_LIT("a"), 7, rng, &b, &e),
		  E_INVALID);
	CU_EQ_STR(e.op, "SHA has no rounds");
	CU_EQ_INT(scheme_make("NOPE", SLICE_LIT("a"), 0, rng, &b, &e),
		  E_UNSUPPORTED);
	CU_EQ_STR(e.op, "Unknown scheme: NOPE");
	CU_EQ_INT(scheme_make("SHA", SLICE_LIT(""), 0, rng, &b, &e),
		  E_INVALID);
	CU_EQ_U64(b.n, 0);
	buf_fini(&b);
}

CU_TESTS(CU_CASE(every_vector_verifies),
	 CU_CASE(no_vector_takes_another_password), CU_CASE(md5_forms_of_test),
	 CU_CASE(scram_vector_of_rfc_7677),
	 CU_CASE(default_scheme_is_for_bare_data),
	 CU_CASE(locked_and_empty_are_nobodys),
	 CU_CASE(damaged_data_is_an_error), CU_CASE(limits_hold),
	 CU_CASE(what_is_made_verifies), CU_CASE(suffixes_are_made),
	 CU_CASE(rounds_are_checked))
