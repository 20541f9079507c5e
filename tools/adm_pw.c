/* pw: makes and tests hashes of passwords, without a node. */

#include "tools/adm_cli.h"
#include "auth/pw.h"
#include "node/base/buf.h"
#include "node/base/rng.h"

#include <string.h>

#define OUTPUT_MAX 65536u

struct pw {
	const char *scheme, *password, *hash;
	unsigned rounds;
	bool list;
};

/* 0: go on; else exit status + 1. */
static int options(struct adm_cli *c, struct pw *p, int argc, char **argv)
{
	int ch;

	while ((ch = adm_getopt(c, argc, argv, "+lp:r:s:t:u:V", NULL)) != -1) {
		switch (ch) {
		case 'l': p->list = true; break;
		case 'p': p->password = optarg; break;
		case 's': p->scheme = optarg; break;
		case 't': p->hash = optarg; break;
		case 'r':
			if (slice_u32(slice_str(optarg), &p->rounds) < 0)
				return adm_error(c, EX_USAGE, "-r needs a "
						 "number") + 1;
			break;
		/* Schemes that hash the name as well are not built; -V: what
		 * is made is always verified. */
		case 'u': case 'V': break;
		default: return adm_usage(c) + 1;
		}
	}
	return optind < argc ? adm_usage(c) + 1 : 0;
}

static const char *ask_new(struct adm_cli *c)
{
	const char *one = adm_ask_password(c, "Enter new password: "), *two;

	if (!one)
		return NULL;
	two = adm_ask_password(c, "Retype new password: ");
	if (!two || strcmp(one, two) != 0) {
		adm_error(c, EX_DATAERR, "Passwords don't match!");
		return NULL;
	}
	return one;
}

static int work(struct adm_cli *c, struct pw *p, struct buf *out)
{
	struct err e = ERR_NONE;
	int r;

	if (!p->password)
		p->password = p->hash ? adm_ask_password(c, "Enter password "
							 "to verify: ")
				      : ask_new(c);
	if (!p->password)
		return adm_error(c, EX_NOINPUT, "no password was given");
	if (p->hash)
		r = pw_test(slice_str(p->hash), slice_str(p->password), out,
			    &e);
	else
		r = pw_make(p->scheme, p->rounds, slice_str(p->password),
			    rng_system(), out, &e);
	if (r < 0)
		return adm_error(c, r == E_INVALID ? EX_USAGE : EX_TEMPFAIL,
				 "%s", e.op);
	buf_char(out, '\n');
	return 0;
}

int adm_cmd_pw(struct adm_cli *c, int argc, char **argv)
{
	struct pw p = {.scheme = NULL};
	struct buf out;
	int r = options(c, &p, argc, argv);

	if (r)
		return r - 1;
	buf_init(&out, OUTPUT_MAX);
	if (p.list)
		pw_list(&out);
	else
		r = work(c, &p, &out);
	fwrite(out.p, 1, out.n, c->out);
	buf_fini(&out);
	return r;
}
