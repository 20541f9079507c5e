#include "node/base/scram.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/base/arena.h"
#include "node/base/digest.h"

#define MECHANISM "SCRAM-SHA-256-PLUS"
/* There is one secret for one pair, so the name says nothing. */
#define PAIR_NAME "pair"

struct scram {
	Gsasl *ctx;
	Gsasl_session *gs;
	enum scram_role role;
	unsigned steps;
	bool ended;
	char *secret, *binding;		/* the latter in base64 */
};

static int set(Gsasl_session *gs, Gsasl_property p, const char *value)
{
	return gsasl_property_set(gs, p, value);
}

static int on_property(Gsasl *ctx, Gsasl_session *gs, Gsasl_property p)
{
	struct scram *s = gs ? gsasl_session_hook_get(gs) : NULL;
	char rounds[16];

	(void)ctx;
	if (!s)
		return GSASL_NO_CALLBACK;
	switch (p) {
	case GSASL_AUTHID:
		return set(gs, p, PAIR_NAME);
	case GSASL_PASSWORD:
		return set(gs, p, s->secret);
	case GSASL_CB_TLS_EXPORTER:
		return set(gs, p, s->binding);
	case GSASL_SCRAM_ITER:
		snprintf(rounds, sizeof(rounds), "%d", SCRAM_ROUNDS);
		return set(gs, p, rounds);
	default:
		return GSASL_NO_CALLBACK;
	}
}

static int check_secret(struct slice secret, struct err *e)
{
	char *text = secret.n ? xstrndup(secret.p, secret.n) : NULL;
	char *prepared = NULL;
	bool ok = text && slice_chr(secret, 0) < 0 &&
		  gsasl_saslprep(text, 0, &prepared, NULL) == GSASL_OK;

	if (text)
		explicit_bzero(text, secret.n);
	free(text);
	gsasl_free(prepared);
	return ok ? 0 : err_set(e, E_CONFIG, "the secret of the pair "
				"(doveadm_password) is empty or not plain "
				"UTF-8 text");
}

static int start(struct scram *s, struct err *e)
{
	int g = gsasl_init(&s->ctx);

	if (g != GSASL_OK) {
		s->ctx = NULL;
		return err_set(e, E_UNSUPPORTED, "GNU SASL does not start: %s",
			       gsasl_strerror(g));
	}
	gsasl_callback_set(s->ctx, on_property);
	g = s->role == SCRAM_CLIENT
		    ? gsasl_client_start(s->ctx, MECHANISM, &s->gs)
		    : gsasl_server_start(s->ctx, MECHANISM, &s->gs);
	if (g != GSASL_OK) {
		s->gs = NULL;
		return err_set(e, E_UNSUPPORTED, "GNU SASL does not start "
			       MECHANISM ": %s", gsasl_strerror(g));
	}
	gsasl_session_hook_set(s->gs, s);
	return 0;
}

int scram_start(enum scram_role role, struct slice secret,
		const uint8_t binding[SCRAM_BINDING_SIZE], struct scram **out,
		struct err *e)
{
	struct scram *s;
	struct buf b;
	int r = check_secret(secret, e);

	if (r < 0)
		return r;
	s = NEW(struct scram);
	s->role = role;
	s->secret = xstrndup(secret.p, secret.n);
	buf_init(&b, 128);
	base64_put(&b, slice_of(binding, SCRAM_BINDING_SIZE));
	s->binding = xstrndup(b.p, b.n);
	buf_fini(&b);
	r = start(s, e);
	if (r < 0) {
		scram_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void scram_free(struct scram *s)
{
	if (!s)
		return;
	if (s->gs)
		gsasl_finish(s->gs);
	if (s->ctx)
		gsasl_done(s->ctx);
	if (s->secret)
		explicit_bzero(s->secret, strlen(s->secret));
	free(s->secret);
	free(s->binding);
	free(s);
}

/* gsasl takes any "i=" that a server sends; a false partner must not keep us
 * busy for minutes (RFC 5802 section 9 leaves the limit to us). */
static bool asks_too_much(struct slice in)
{
	for (size_t i = 0; i + 2 < in.n; i++) {
		uint32_t rounds;
		struct slice text;
		size_t to = i + 3;

		if (memcmp(in.p + i, ",i=", 3) != 0)
			continue;
		while (to < in.n && in.p[to] != ',')
			to++;
		text = slice_sub(in, i + 3, to);
		if (slice_u32(text, &rounds) < 0 || rounds > SCRAM_ROUNDS_MAX ||
		    rounds < SCRAM_ROUNDS)
			return true;
	}
	return false;
}

static int failed(struct scram *s, int g, struct err *e)
{
	const char *which = s->role == SCRAM_CLIENT ? "server" : "client";

	s->ended = true;
	if (g == GSASL_AUTHENTICATION_ERROR)
		return err_set(e, E_AUTH, "the partner (SCRAM %s) has not "
			       "proved that it knows our doveadm_password, or "
			       "somebody stands between us", which);
	return err_set(e, E_PROTO, "SCRAM with the partner failed: %s",
		       gsasl_strerror(g));
}

int scram_step(struct scram *s, struct slice in, struct buf *out,
	       struct err *e)
{
	char *text = NULL;
	size_t n = 0;
	int g;

	if (s->ended || in.n > SCRAM_MESSAGE_MAX ||
	    (s->role == SCRAM_CLIENT && s->steps == 1 && asks_too_much(in))) {
		s->ended = true;
		return err_set(e, E_PROTO, "SCRAM message from the partner is "
			       "out of order, too long, or asks for more than "
			       "%d or fewer than %d rounds", SCRAM_ROUNDS_MAX,
			       SCRAM_ROUNDS);
	}
	s->steps++;
	g = gsasl_step(s->gs, in.n ? (const char *)in.p : "", in.n, &text, &n);
	if (g != GSASL_OK && g != GSASL_NEEDS_MORE)
		return failed(s, g, e);
	if (n)
		buf_put(out, text, n);
	gsasl_free(text);
	if (out->failed) {
		s->ended = true;
		return err_set(e, E_LIMIT, "no room for a SCRAM message");
	}
	s->ended = g == GSASL_OK;
	return s->ended;
}
