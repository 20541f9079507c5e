/*
 * What clients answer in a SASL dialog, and what the other end of the link
 * says in SCRAM.  The first byte chooses the mechanism or the role; the rest
 * are responses, each behind its length (one byte).
 */

#include "auth/sasl.h"
#include "node/base/scram.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next response; false at the end. */
static bool next(struct slice *in, struct slice *out)
{
	size_t n;

	if (in->n == 0)
		return false;
	n = in->p[0];
	if (n > in->n - 1)
		n = in->n - 1;
	*out = slice_sub(*in, 1, 1 + n);
	*in = slice_sub(*in, 1 + n, in->n);
	return true;
}

static void use(struct slice s)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (uint8_t)(sum + s.p[i]);
}

static void dialog(struct slice mech, bool initial, struct slice in)
{
	struct sasl_ctx *ctx;
	struct sasl_answer a = {0};
	struct sasl *s;
	struct err e = ERR_NONE;
	struct slice response;
	enum sasl_step r = SASL_CHALLENGE;
	struct buf out;
	unsigned steps = 0;

	if (sasl_ctx_new("plain login", &ctx, &e) < 0 ||
	    sasl_new(ctx, mech, &s, &e) < 0)
		abort();
	buf_init(&out, 1u << 20);
	if (!initial)
		r = sasl_step(s, NULL, &out, &a, &e);
	while (r == SASL_CHALLENGE && next(&in, &response)) {
		r = sasl_step(s, &response, &out, &a, &e);
		if (r == SASL_CHALLENGE && ++steps > SASL_STEPS_MAX)
			abort();
	}
	/* The answer lives as long as the dialog. */
	if (r == SASL_CHECK) {
		use(a.authcid);
		use(a.authzid);
		use(a.password);
	}
	buf_fini(&out);
	sasl_free(s);
	sasl_ctx_free(ctx);
}

static void link(enum scram_role role, struct slice in)
{
	static const uint8_t binding[SCRAM_BINDING_SIZE] = {1, 2, 3};
	struct err e = ERR_NONE;
	struct scram *s;
	struct buf out;
	struct slice msg;
	int r = 0;

	if (scram_start(role, SLICE_LIT("secret"), binding, &s, &e) < 0)
		abort();
	buf_init(&out, 1u << 20);
	if (role == SCRAM_CLIENT)
		r = scram_step(s, SLICE_LIT(""), &out, &e);
	while (r == 0 && next(&in, &msg))
		r = scram_step(s, msg, &out, &e);
	/* Without the secret nobody proves anything. */
	if (r == 1)
		abort();
	buf_fini(&out);
	scram_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in;

	if (size < 1)
		return 0;
	in = slice_of(data + 1, size - 1);
	switch (data[0] % 6) {
	case 0: dialog(SLICE_LIT("PLAIN"), true, in); break;
	case 1: dialog(SLICE_LIT("PLAIN"), false, in); break;
	case 2: dialog(SLICE_LIT("LOGIN"), true, in); break;
	case 3: dialog(SLICE_LIT("LOGIN"), false, in); break;
	case 4: link(SCRAM_SERVER, in); break;
	case 5: link(SCRAM_CLIENT, in); break;
	}
	return 0;
}
