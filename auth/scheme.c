#include "auth/scheme_impl.h"

#include "node/base/arena.h"
#include "node/base/digest.h"

/* In the order of `pw -l`. */
static const struct scheme schemes[] = {
	{"CRYPT", SCHEME_CRYPT, SCHEME_TEXT, "$2y$", 0, 0, 4, 31},
	{"BLF-CRYPT", SCHEME_CRYPT, SCHEME_TEXT, "$2y$", 0, 0, 4, 31},
	{"SHA512-CRYPT", SCHEME_CRYPT, SCHEME_TEXT, "$6$", 0, 0, 1000,
	 999999999},
	{"SHA256-CRYPT", SCHEME_CRYPT, SCHEME_TEXT, "$5$", 0, 0, 1000,
	 999999999},
	{"MD5-CRYPT", SCHEME_CRYPT, SCHEME_TEXT, "$1$", 0, 0, 0, 0},
	{"DES-CRYPT", SCHEME_CRYPT, SCHEME_TEXT, "", 0, 0, 0, 0},
	{"MD5", SCHEME_MD5, SCHEME_TEXT, "$1$", 0, 0, 0, 0},
	{"PBKDF2", SCHEME_PBKDF2, SCHEME_TEXT, "SHA1", 20, 5000, 1,
	 SCHEME_PBKDF2_ROUNDS_MAX},
	{"SCRAM-SHA-1", SCHEME_SCRAM, SCHEME_TEXT, "SHA1", 20, 4096, 4096,
	 SCHEME_PBKDF2_ROUNDS_MAX},
	{"SCRAM-SHA-256", SCHEME_SCRAM, SCHEME_TEXT, "SHA256", 32, 4096, 4096,
	 SCHEME_PBKDF2_ROUNDS_MAX},
	{"SSHA512", SCHEME_SALTED, SCHEME_B64, "SHA512", 64, 0, 0, 0},
	{"SSHA256", SCHEME_SALTED, SCHEME_B64, "SHA256", 32, 0, 0, 0},
	{"SSHA", SCHEME_SALTED, SCHEME_B64, "SHA1", 20, 0, 0, 0},
	{"SMD5", SCHEME_SALTED, SCHEME_B64, "MD5", 16, 0, 0, 0},
	{"SHA512", SCHEME_HASH, SCHEME_B64, "SHA512", 64, 0, 0, 0},
	{"SHA256", SCHEME_HASH, SCHEME_B64, "SHA256", 32, 0, 0, 0},
	{"SHA1", SCHEME_HASH, SCHEME_B64, "SHA1", 20, 0, 0, 0},
	{"SHA", SCHEME_HASH, SCHEME_B64, "SHA1", 20, 0, 0, 0},
	{"LDAP-MD5", SCHEME_HASH, SCHEME_B64, "MD5", 16, 0, 0, 0},
	{"PLAIN-MD5", SCHEME_HASH, SCHEME_HEX, "MD5", 16, 0, 0, 0},
	{"PLAIN", SCHEME_PLAIN, SCHEME_TEXT, NULL, 0, 0, 0, 0},
	{"CLEARTEXT", SCHEME_PLAIN, SCHEME_TEXT, NULL, 0, 0, 0, 0},
	{"CLEAR", SCHEME_PLAIN, SCHEME_TEXT, NULL, 0, 0, 0, 0},
};

/* The hex form that {MD5} also takes. */
static const struct scheme plain_md5 = {
	"PLAIN-MD5", SCHEME_HASH, SCHEME_HEX, "MD5", 16, 0, 0, 0};

const char *scheme_name(size_t i)
{
	return i < ARRAY_LEN(schemes) ? schemes[i].name : NULL;
}

/* Finds "NAME" or "NAME.SUFFIX"; *given is true with a suffix. */
static const struct scheme *find(struct slice name, enum scheme_encoding *enc,
				 bool *given)
{
	ptrdiff_t dot = slice_chr(name, '.');
	struct slice base = dot < 0 ? name : slice_sub(name, 0, (size_t)dot);
	const struct scheme *s = NULL;

	for (size_t i = 0; i < ARRAY_LEN(schemes) && !s; i++)
		if (slice_is_ci(base, schemes[i].name))
			s = &schemes[i];
	if (!s)
		return NULL;
	*enc = s->encoding;
	*given = dot >= 0;
	if (dot >= 0) {
		struct slice suffix = slice_sub(name, (size_t)dot + 1, name.n);

		if (slice_is_ci(suffix, "HEX"))
			*enc = SCHEME_HEX;
		else if (slice_is_ci(suffix, "B64") ||
			 slice_is_ci(suffix, "BASE64"))
			*enc = SCHEME_B64;
		else
			return NULL;
	}
	return s;
}

bool scheme_known(struct slice name)
{
	enum scheme_encoding enc;
	bool given;

	return find(name, &enc, &given) != NULL;
}

void scheme_split(struct slice stored, struct slice *name, struct slice *data)
{
	ptrdiff_t end = slice_chr(stored, '}');

	*name = SLICE_NONE;
	*data = stored;
	if (stored.n && stored.p[0] == '{' && end > 1) {
		*name = slice_sub(stored, 1, (size_t)end);
		*data = slice_sub(stored, (size_t)end + 1, stored.n);
	}
}

/* Hashes of known size are taken in hex or base64, whatever the name says,
 * unless a suffix does: passwords come from many programs. */
static int decode(const struct scheme *s, struct slice data,
		  enum scheme_encoding enc, bool given, uint8_t *raw,
		  struct slice *out, struct err *e)
{
	int n = -1;

	if (!given && s->kind == SCHEME_HASH)
		enc = data.n == 2 * (size_t)s->size ? SCHEME_HEX : SCHEME_B64;
	switch (enc) {
	case SCHEME_TEXT:
		*out = data;
		return 0;
	case SCHEME_HEX:
		n = (int)(data.n / 2);
		if (data.n % 2 || hex_to(data, raw, data.n / 2) < 0)
			n = -1;
		break;
	case SCHEME_B64:
		n = base64_get(data, raw, SCHEME_DATA_MAX);
		break;
	}
	if (n < 0)
		return err_set(e, E_CORRUPT,
			       "stored %s password is not valid %s", s->name,
			       enc == SCHEME_HEX ? "hex" : "base64");
	*out = slice_of(raw, (size_t)n);
	return 0;
}

static int verify_plain(struct slice data, struct slice password)
{
	return data.n == password.n &&
	       digest_equal(data.p, password.p, data.n);
}

static int verify(const struct scheme *s, struct slice data,
		  struct slice password, struct err *e)
{
	switch (s->kind) {
	case SCHEME_PLAIN:
		return verify_plain(data, password);
	case SCHEME_CRYPT:
		return scheme_crypt_verify(data, password, e);
	case SCHEME_MD5:
		break;
	case SCHEME_HASH:
	case SCHEME_SALTED:
		return scheme_hash_verify(s, data, password, e);
	case SCHEME_PBKDF2:
		return scheme_pbkdf2_verify(s, data, password, e);
	case SCHEME_SCRAM:
		return scheme_scram_verify(s, data, password, e);
	}
	if (slice_starts_ci(data, "$1$"))
		return scheme_crypt_verify(data, password, e);

	uint8_t raw[SCHEME_DATA_MAX];
	int r = decode(&plain_md5, data, SCHEME_HEX, true, raw, &data, e);

	return r < 0 ? r : scheme_hash_verify(&plain_md5, data, password, e);
}

static int unknown(struct slice name, struct err *e)
{
	return err_set(e, E_UNSUPPORTED, "Unknown scheme: %.*s",
		       name.n > 64 ? 64 : (int)name.n, (const char *)name.p);
}

int scheme_verify(struct slice stored, const char *default_scheme,
		  struct slice password, struct err *e)
{
	uint8_t raw[SCHEME_DATA_MAX];
	enum scheme_encoding enc;
	struct slice name, data;
	bool given;

	scheme_split(stored, &name, &data);
	if (!name.n)
		name = slice_str(default_scheme);

	const struct scheme *s = find(name, &enc, &given);

	if (!s)
		return unknown(name, e);
	if (data.n > SCHEME_DATA_MAX)
		return err_set(e, E_CORRUPT, "stored %s password is longer "
			       "than %d bytes", s->name, SCHEME_DATA_MAX);
	if (!data.n || password.n > SCHEME_PASSWORD_MAX ||
	    slice_chr(password, 0) >= 0)
		return 0;

	int r = decode(s, data, enc, given, raw, &data, e);

	return r < 0 ? r : verify(s, data, password, e);
}

static int make(const struct scheme *s, struct slice password, unsigned rounds,
		struct rng *rng, struct buf *out, struct err *e)
{
	switch (s->kind) {
	case SCHEME_PLAIN:
		buf_slice(out, password);
		return 0;
	case SCHEME_CRYPT:
	case SCHEME_MD5:
		return scheme_crypt_make(s, password, rounds, rng, out, e);
	case SCHEME_HASH:
	case SCHEME_SALTED:
		return scheme_hash_make(s, password, rng, out, e);
	case SCHEME_PBKDF2:
		return scheme_pbkdf2_make(s, password, rounds, rng, out, e);
	case SCHEME_SCRAM:
		return scheme_scram_make(s, password, rounds, rng, out, e);
	}
	return E_UNSUPPORTED;
}

static void put_encoded(enum scheme_encoding enc, struct slice raw,
			struct buf *out)
{
	char hex[2 * SCHEME_DATA_MAX + 1];

	switch (enc) {
	case SCHEME_TEXT:
		buf_slice(out, raw);
		break;
	case SCHEME_HEX:
		hex_of(raw.p, raw.n, hex);
		buf_put(out, hex, 2 * raw.n);
		break;
	case SCHEME_B64:
		base64_put(out, raw);
		break;
	}
}

static int check_rounds(const struct scheme *s, unsigned rounds, struct err *e)
{
	if (!rounds || (rounds >= s->rounds_min && rounds <= s->rounds_max))
		return 0;
	if (!s->rounds_max)
		return err_set(e, E_INVALID, "%s has no rounds", s->name);
	return err_set(e, E_INVALID, "%s takes %u to %u rounds, not %u",
		       s->name, s->rounds_min, s->rounds_max, rounds);
}

int scheme_make(const char *scheme, struct slice password, unsigned rounds,
		struct rng *rng, struct buf *out, struct err *e)
{
	struct slice name = slice_str(scheme);
	enum scheme_encoding enc;
	bool given;
	const struct scheme *s = find(name, &enc, &given);

	if (!s)
		return unknown(name, e);
	if (!password.n || password.n > SCHEME_PASSWORD_MAX ||
	    slice_chr(password, 0) >= 0)
		return err_set(e, E_INVALID, "a password has 1 to %d bytes and "
			       "no NUL", SCHEME_PASSWORD_MAX);

	int r = check_rounds(s, rounds, e);

	if (r < 0)
		return r;

	struct buf raw;

	buf_init(&raw, SCHEME_DATA_MAX);
	r = make(s, password, rounds ? rounds : s->rounds, rng, &raw, e);
	if (r == 0 && raw.failed)
		r = err_set(e, E_LIMIT, "%s gives more than %d bytes", s->name,
			    SCHEME_DATA_MAX);
	if (r == 0) {
		buf_printf(out, "{%s%s}", s->name,
			   !given ? "" : enc == SCHEME_HEX ? ".HEX" : ".B64");
		put_encoded(enc, buf_all(&raw), out);
	}
	buf_fini(&raw);
	return r;
}
