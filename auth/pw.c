#include "auth/pw.h"

#include "auth/scheme.h"

void pw_list(struct buf *out)
{
	const char *name;

	for (size_t i = 0; (name = scheme_name(i)); i++) {
		if (i)
			buf_char(out, ' ');
		buf_str(out, name);
	}
	buf_char(out, '\n');
}

int pw_make(const char *scheme, unsigned rounds, struct slice password,
	    struct rng *rng, struct buf *out, struct err *e)
{
	struct buf made;

	buf_init(&made, 4 * SCHEME_DATA_MAX);
	if (!scheme)
		scheme = PW_DEFAULT_SCHEME;

	int r = scheme_make(scheme, password, rounds, rng, &made, e);

	if (r == 0)
		r = scheme_verify(buf_all(&made), scheme, password, e);
	if (r == 0)
		r = err_set(e, E_CORRUPT, "reverse password verification check "
			    "failed: Password mismatch");
	if (r > 0)
		buf_slice(out, buf_all(&made));
	buf_fini(&made);
	return r < 0 ? r : 0;
}

int pw_test(struct slice hash, struct slice password, struct buf *out,
	    struct err *e)
{
	struct slice name, data;

	scheme_split(hash, &name, &data);
	if (!name.n)
		return err_set(e, E_INVALID,
			       "Missing {scheme} prefix from hash");

	int r = scheme_verify(hash, "", password, e);

	if (r < 0) {
		err_prefix(e, "reverse decode check failed");
		return r;
	}
	if (r == 0)
		return err_set(e, E_AUTH, "reverse password verification check "
			       "failed: Password mismatch");
	buf_slice(out, hash);
	buf_str(out, " (verified)");
	return 0;
}
