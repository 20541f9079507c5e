#include "auth/sasl.h"

#include <gsasl.h>
#include <stdlib.h>

#include "node/base/buf.h"

/* The one file of auth/ that includes gsasl.h. */

static const char *const supported[] = {"PLAIN", "LOGIN"};

struct sasl_ctx {
	Gsasl *gs;
	struct buf mechs;		/* with a NUL */
	bool offered[ARRAY_LEN(supported)];
};

struct sasl {
	Gsasl_session *gs;
	const char *mech;
	unsigned steps;
	bool ended;
	char *authcid, *authzid, *password;	/* when gsasl has them */
};

static char *property(Gsasl_session *gs, Gsasl_property p)
{
	const char *value = gsasl_property_fast(gs, p);

	return xstrdup(value ? value : "");
}

/* gsasl asks whether the password is right; that takes long and is answered
 * by the caller of sasl_step(), so it is only noted here. */
static int on_property(Gsasl *ctx, Gsasl_session *gs, Gsasl_property p)
{
	struct sasl *s;

	(void)ctx;
	if (!gs || p != GSASL_VALIDATE_SIMPLE)
		return GSASL_NO_CALLBACK;
	s = gsasl_session_hook_get(gs);
	if (s->password)
		return GSASL_AUTHENTICATION_ERROR;
	s->authcid = property(gs, GSASL_AUTHID);
	s->authzid = property(gs, GSASL_AUTHZID);
	s->password = property(gs, GSASL_PASSWORD);
	return GSASL_OK;
}

static int add_mech(struct sasl_ctx *c, struct slice word, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(supported); i++) {
		if (!slice_is_ci(word, supported[i]))
			continue;
		if (!gsasl_server_support_p(c->gs, supported[i]))
			break;
		if (!c->offered[i])
			buf_printf(&c->mechs, "%s%s", c->mechs.n ? " " : "",
				   supported[i]);
		c->offered[i] = true;
		return 0;
	}
	return err_set(e, E_CONFIG, "auth_mechanisms: mechanism '%.*s' is not "
		       "in this build (plain, login are)",
		       word.n > 40 ? 40 : (int)word.n, (const char *)word.p);
}

int sasl_ctx_new(const char *mechs, struct sasl_ctx **out, struct err *e)
{
	struct sasl_ctx *c = NEW(struct sasl_ctx);
	struct slice text = slice_str(mechs), word;
	int r = 0, g;

	buf_init(&c->mechs, 256);
	g = gsasl_init(&c->gs);
	if (g != GSASL_OK) {
		c->gs = NULL;
		r = err_set(e, E_UNSUPPORTED, "GNU SASL does not start: %s",
			    gsasl_strerror(g));
	} else {
		gsasl_callback_set(c->gs, on_property);
	}
	while (r == 0 && fields_word(&text, &word))
		r = add_mech(c, word, e);
	if (r == 0 && !c->mechs.n)
		r = err_set(e, E_CONFIG, "auth_mechanisms is empty: nobody "
			    "could log in");
	buf_char(&c->mechs, 0);
	if (r < 0) {
		sasl_ctx_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void sasl_ctx_free(struct sasl_ctx *c)
{
	if (!c)
		return;
	if (c->gs)
		gsasl_done(c->gs);
	buf_fini(&c->mechs);
	free(c);
}

const char *sasl_ctx_mechs(const struct sasl_ctx *c)
{
	return (const char *)c->mechs.p;
}

const char *sasl_ctx_find(const struct sasl_ctx *c, struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(supported); i++)
		if (c->offered[i] && slice_is_ci(name, supported[i]))
			return supported[i];
	return NULL;
}

int sasl_new(struct sasl_ctx *c, struct slice mech, struct sasl **out,
	     struct err *e)
{
	const char *name = sasl_ctx_find(c, mech);
	struct sasl *s;
	int g;

	if (!name) {
		err_set(e, E_UNSUPPORTED, "mechanism is not offered");
		err_client(e, "Unsupported authentication mechanism.");
		return E_UNSUPPORTED;
	}
	s = NEW(struct sasl);
	s->mech = name;
	g = gsasl_server_start(c->gs, name, &s->gs);
	if (g != GSASL_OK) {
		free(s);
		return err_set(e, E_TEMP, "GNU SASL does not start %s: %s",
			       name, gsasl_strerror(g));
	}
	gsasl_session_hook_set(s->gs, s);
	*out = s;
	return 0;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

void sasl_free(struct sasl *s)
{
	if (!s)
		return;
	gsasl_finish(s->gs);
	free(s->authcid);
	free(s->authzid);
	wipe(s->password);
	free(s);
}

const char *sasl_mech(const struct sasl *s)
{
	return s->mech;
}

/* LOGIN has no specification, only clients: a few of them read the words,
 * and those are the words that Dovecot and others send. */
static void put_challenge(const struct sasl *s, const char *text, size_t n,
			  struct buf *out)
{
	if (strcmp(s->mech, "LOGIN") == 0)
		buf_str(out, s->steps <= 1 ? "Username:" : "Password:");
	else
		buf_put(out, text, n);
}

static enum sasl_step failed(struct sasl *s, struct err *e, const char *why)
{
	s->ended = true;
	err_set(e, E_PROTO, "%s", why);
	err_client(e, "Invalid base64 data or SASL response.");
	return SASL_FAILED;
}

static enum sasl_step finished(struct sasl *s, struct sasl_answer *answer,
			       struct err *e)
{
	if (!s->password)
		return failed(s, e, "mechanism ended without a password");
	s->ended = true;
	if (!*s->authcid)
		return failed(s, e, "user name is empty");
	if (strlen(s->password) > AUTH_PASSWORD_MAX)
		return failed(s, e, "password is too long");
	answer->authcid = slice_str(s->authcid);
	answer->authzid = slice_str(s->authzid);
	answer->password = slice_str(s->password);
	return SASL_CHECK;
}

static enum sasl_step step(struct sasl *s, const struct slice *in,
			   struct buf *out, struct sasl_answer *answer,
			   struct err *e)
{
	char *text = NULL;
	size_t n = 0;
	int g;

	if (s->ended || s->steps >= SASL_STEPS_MAX)
		return failed(s, e, "more responses than the mechanism has");
	if (in && in->n > AUTH_SASL_MAX)
		return failed(s, e, "response is too long");
	/* gsasl would ask once more, and the client waits for an answer. */
	if (in && !in->n && strcmp(s->mech, "PLAIN") == 0)
		return failed(s, e, "response is empty");
	s->steps++;
	g = gsasl_step(s->gs, in ? (const char *)in->p : NULL, in ? in->n : 0,
		       &text, &n);
	if (g == GSASL_NEEDS_MORE && out)
		put_challenge(s, text, n, out);
	if (g == GSASL_NEEDS_MORE || g == GSASL_OK)
		gsasl_free(text);
	if (g == GSASL_NEEDS_MORE)
		return SASL_CHALLENGE;
	if (g == GSASL_OK)
		return finished(s, answer, e);
	return failed(s, e, gsasl_strerror(g));
}

enum sasl_step sasl_step(struct sasl *s, const struct slice *in,
			 struct buf *out, struct sasl_answer *answer,
			 struct err *e)
{
	/* An empty response is not "no response". */
	struct slice empty = slice_of("", 0);

	if (in && !in->p)
		in = &empty;
	/* gsasl's LOGIN always asks first; many clients do not wait. */
	if (s->steps == 0 && in && in->n && strcmp(s->mech, "LOGIN") == 0 &&
	    step(s, NULL, NULL, answer, e) == SASL_FAILED)
		return SASL_FAILED;
	return step(s, in, out, answer, e);
}
