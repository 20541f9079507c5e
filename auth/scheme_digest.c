#include "auth/scheme_impl.h"

#include "node/base/arena.h"
#include "node/base/digest.h"
#include "node/base/rng.h"

static const char salt_chars[] =
	"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static int no_digest(const struct scheme *s, struct err *e)
{
	return err_set(e, E_UNSUPPORTED, "OpenSSL here does not give %s, which "
		       "%s needs", s->param, s->name);
}

static int damaged(const struct scheme *s, const char *expected, struct err *e)
{
	return err_set(e, E_CORRUPT, "stored %s password is damaged: expected "
		       "%s", s->name, expected);
}

static int digest2(const struct scheme *s, struct slice a, struct slice b,
		   uint8_t out[SCHEME_DIGEST_MAX], struct err *e)
{
	const struct slice parts[] = {a, b};
	bool ok = digest_hash(s->param, parts, 2, out, SCHEME_DIGEST_MAX) ==
		  (int)s->size;

	return ok ? 0 : no_digest(s, e);
}

int scheme_hash_verify(const struct scheme *s, struct slice data,
		       struct slice password, struct err *e)
{
	uint8_t got[SCHEME_DIGEST_MAX];

	if (s->kind == SCHEME_HASH ? data.n != s->size : data.n <= s->size)
		return err_set(e, E_CORRUPT, "stored %s password has %zu bytes, "
			       "expected %s%u", s->name, data.n,
			       s->kind == SCHEME_HASH ? "" : "more than ",
			       s->size);

	struct slice salt = slice_sub(data, s->size, data.n);
	int r = digest2(s, password, salt, got, e);

	return r < 0 ? r : digest_equal(got, data.p, s->size);
}

int scheme_hash_make(const struct scheme *s, struct slice password,
		     struct rng *rng, struct buf *out, struct err *e)
{
	uint8_t got[SCHEME_DIGEST_MAX], salt[SCHEME_SALT_SIZE];
	size_t salt_n = s->kind == SCHEME_SALTED ? sizeof(salt) : 0;

	rng->bytes(rng, salt, sizeof(salt));

	int r = digest2(s, password, slice_of(salt, salt_n), got, e);

	if (r < 0)
		return r;
	buf_put(out, got, s->size);
	buf_put(out, salt, salt_n);
	return 0;
}

static int pbkdf2(const struct scheme *s, struct slice password,
		  struct slice salt, unsigned rounds,
		  uint8_t out[SCHEME_DIGEST_MAX], struct err *e)
{
	if (digest_pbkdf2(s->param, password, salt, rounds, out, s->size) < 0)
		return no_digest(s, e);
	return 0;
}

/* Cuts the text before `end` off *s; false if there is no such byte. */
static bool cut(struct slice *s, uint8_t end, struct slice *out)
{
	ptrdiff_t i = slice_chr(*s, end);

	if (i < 0)
		return false;
	*out = slice_sub(*s, 0, (size_t)i);
	*s = slice_sub(*s, (size_t)i + 1, s->n);
	return true;
}

static bool get_rounds(struct slice text, unsigned *out)
{
	uint32_t v;

	if (slice_u32(text, &v) < 0 || !v || v > SCHEME_PBKDF2_ROUNDS_MAX)
		return false;
	*out = v;
	return true;
}

int scheme_pbkdf2_verify(const struct scheme *s, struct slice data,
			 struct slice password, struct err *e)
{
	uint8_t got[SCHEME_DIGEST_MAX], want[SCHEME_DIGEST_MAX];
	struct slice none, kind, salt, rounds_text;
	unsigned rounds;

	if (!cut(&data, '$', &none) || none.n || !cut(&data, '$', &kind) ||
	    !slice_is(kind, "1") || !cut(&data, '$', &salt) ||
	    !cut(&data, '$', &rounds_text) ||
	    !get_rounds(rounds_text, &rounds) || data.n != 2 * s->size ||
	    hex_to(data, want, s->size) < 0)
		return damaged(s, "$1$SALT$ROUNDS$HEX", e);

	int r = pbkdf2(s, password, salt, rounds, got, e);

	return r < 0 ? r : digest_equal(got, want, s->size);
}

int scheme_pbkdf2_make(const struct scheme *s, struct slice password,
		       unsigned rounds, struct rng *rng, struct buf *out,
		       struct err *e)
{
	uint8_t got[SCHEME_DIGEST_MAX];
	char salt[SCHEME_SALT_SIZE], hex[2 * SCHEME_DIGEST_MAX + 1];

	rng->bytes(rng, salt, sizeof(salt));
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = salt_chars[(uint8_t)salt[i] % 64];

	int r = pbkdf2(s, password, slice_of(salt, sizeof(salt)), rounds, got,
		       e);

	if (r < 0)
		return r;
	hex_of(got, s->size, hex);
	buf_printf(out, "$1$%.*s$%u$%s", (int)sizeof(salt), salt, rounds, hex);
	return 0;
}

/* RFC 5802 section 3: StoredKey and ServerKey from a password.  Passwords
 * are taken as they are; those that SASLprep would change cannot log in by
 * SCRAM, only by PLAIN. */
static int scram_keys(const struct scheme *s, struct slice password,
		      struct slice salt, unsigned rounds,
		      uint8_t stored[SCHEME_DIGEST_MAX],
		      uint8_t server[SCHEME_DIGEST_MAX], struct err *e)
{
	uint8_t salted[SCHEME_DIGEST_MAX], client[SCHEME_DIGEST_MAX];
	struct slice key = slice_of(salted, s->size);
	int r = pbkdf2(s, password, salt, rounds, salted, e);

	if (r < 0)
		return r;
	if (digest_hmac(s->param, key, SLICE_LIT("Client Key"), client,
			SCHEME_DIGEST_MAX) < 0 ||
	    digest_hmac(s->param, key, SLICE_LIT("Server Key"), server,
			SCHEME_DIGEST_MAX) < 0)
		return no_digest(s, e);
	return digest2(s, slice_of(client, s->size), SLICE_NONE, stored, e);
}

int scheme_scram_verify(const struct scheme *s, struct slice data,
			struct slice password, struct err *e)
{
	static const char form[] = "ROUNDS,SALT,STOREDKEY,SERVERKEY";
	uint8_t stored[SCHEME_DIGEST_MAX], server[SCHEME_DIGEST_MAX];
	uint8_t salt[SCHEME_DATA_MAX];
	uint8_t want[2][SCHEME_DIGEST_MAX];
	struct slice rounds_text, salt_text, stored_text;
	unsigned rounds;
	int salt_n;

	if (!cut(&data, ',', &rounds_text) ||
	    !get_rounds(rounds_text, &rounds) || !cut(&data, ',', &salt_text) ||
	    !cut(&data, ',', &stored_text))
		return damaged(s, form, e);
	salt_n = base64_get(salt_text, salt, sizeof(salt));
	if (salt_n <= 0 ||
	    base64_get(stored_text, want[0], SCHEME_DIGEST_MAX) !=
		    (int)s->size ||
	    base64_get(data, want[1], SCHEME_DIGEST_MAX) != (int)s->size)
		return damaged(s, form, e);

	int r = scram_keys(s, password, slice_of(salt, (size_t)salt_n), rounds,
			   stored, server, e);

	if (r < 0)
		return r;

	/* Both are compared whatever the first says: the time tells nothing. */
	bool stored_same = digest_equal(stored, want[0], s->size);
	bool server_same = digest_equal(server, want[1], s->size);

	return stored_same && server_same;
}

int scheme_scram_make(const struct scheme *s, struct slice password,
		      unsigned rounds, struct rng *rng, struct buf *out,
		      struct err *e)
{
	uint8_t stored[SCHEME_DIGEST_MAX], server[SCHEME_DIGEST_MAX];
	uint8_t salt[SCHEME_SALT_SIZE];

	rng->bytes(rng, salt, sizeof(salt));

	int r = scram_keys(s, password, slice_of(salt, sizeof(salt)), rounds,
			   stored, server, e);

	if (r < 0)
		return r;
	buf_printf(out, "%u,", rounds);
	base64_put(out, slice_of(salt, sizeof(salt)));
	buf_char(out, ',');
	base64_put(out, slice_of(stored, s->size));
	buf_char(out, ',');
	base64_put(out, slice_of(server, s->size));
	return 0;
}
