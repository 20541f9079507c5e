#include "auth/scheme_impl.h"

#include <crypt.h>
#include <errno.h>

#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "node/base/rng.h"

/* "!", "*", "x": what passwd and shadow files hold for nobody's password. */
static bool is_locked(struct slice data)
{
	return data.p[0] == '!' || data.p[0] == '*' || slice_is(data, "x");
}

int scheme_crypt_verify(struct slice data, struct slice password,
			struct err *e)
{
	if (!data.n || is_locked(data))
		return 0;
	/* libcrypt refuses longer ones, which therefore nobody can have. */
	if (password.n >= CRYPT_MAX_PASSPHRASE_SIZE)
		return 0;

	AUTO_FREE char *setting = xstrndup(data.p, data.n);
	AUTO_FREE char *phrase = xstrndup(password.p, password.n);
	AUTO_FREE struct crypt_data *cd = NEW(struct crypt_data);
	const char *got = crypt_r(phrase, setting, cd);
	int r;

	if (!got || got[0] == '*')
		r = err_set(e, E_CORRUPT, "libcrypt cannot use the stored "
			    "password (damaged, or a method this system lacks)");
	else
		r = strlen(got) == data.n && digest_equal(got, data.p, data.n);
	explicit_bzero(phrase, password.n);
	explicit_bzero(cd, sizeof(*cd));
	return r;
}

int scheme_crypt_make(const struct scheme *s, struct slice password,
		      unsigned rounds, struct rng *rng, struct buf *out,
		      struct err *e)
{
	AUTO_FREE char *phrase = xstrndup(password.p, password.n);
	AUTO_FREE struct crypt_data *cd = NEW(struct crypt_data);
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char seed[32];
	const char *got = NULL;

	rng->bytes(rng, seed, sizeof(seed));
	errno = 0;
	if (crypt_gensalt_rn(s->param, rounds, seed, sizeof(seed), setting,
			     sizeof(setting)))
		got = crypt_r(phrase, setting, cd);
	explicit_bzero(phrase, password.n);
	if (!got || got[0] == '*')
		return err_set(e, E_UNSUPPORTED, "libcrypt does not make %s: %s",
			       s->name, strerror(errno));
	buf_str(out, got);
	return 0;
}
