#include "auth/auth_impl.h"

#include <assert.h>
#include <stdlib.h>

#include "node/base/buf.h"
#include "node/base/loop.h"

struct auth_pool {
	struct loop *loop;
	struct loop_queue *queue;
	struct auth *auth;	/* NULL until auth_pool_use() */
	size_t pending;		/* requests, given up ones included */
};

enum kind { SASL, PASSWORD, PASSDB, USERDB, ITERATE };

/*
 * Invariants:
 *  1. busy: exactly one job of a thread or deferred call holds the request;
 *     only it may free it, others set dead.
 *  2. A thread touches arena, result and names only, and only while busy.
 */
struct auth_req {
	struct auth_pool *pool;
	struct auth *auth;
	const struct auth_req_ops *ops;
	void *arg;
	enum kind kind;
	bool busy, dead, ended;
	struct arena *arena;
	struct auth_peer peer;
	struct slice user, password;	/* in the arena; wiped at the end */
	bool authenticated;
	struct auth_result result;

	struct sasl *sasl;
	bool has_input;
	struct buf input, challenge;
	struct sasl_answer answer;

	auth_names_cb *names_cb;	/* ITERATE */
	const char **names;
	size_t n_names;
	int names_result;
	struct err names_err;
};

struct auth_pool *auth_pool_new(struct loop *l, unsigned threads)
{
	struct auth_pool *p = NEW(struct auth_pool);

	p->loop = l;
	p->queue = loop_queue_new(l, threads);
	return p;
}

void auth_pool_free(struct auth_pool *p)
{
	if (!p)
		return;
	loop_queue_free(p->queue);
	assert(p->pending == 0);
	auth_unref(p->auth);
	free(p);
}

void auth_pool_use(struct auth_pool *p, struct auth *a)
{
	auth_ref(a);
	auth_unref(p->auth);
	p->auth = a;
}

struct auth *auth_pool_auth(struct auth_pool *p)
{
	return p->auth;
}

size_t auth_pool_pending(const struct auth_pool *p)
{
	return p->pending;
}

static void copy_peer(struct auth_req *r, const struct auth_peer *peer)
{
	static const char none[] = "";

	r->peer = *peer;
	r->peer.service = peer->service ? arena_strdup(r->arena, peer->service)
					: none;
	r->peer.rip = peer->rip ? arena_strdup(r->arena, peer->rip) : none;
	r->peer.lip = peer->lip ? arena_strdup(r->arena, peer->lip) : none;
	r->peer.session = peer->session ? arena_strdup(r->arena, peer->session)
					: none;
}

static struct auth_req *req_new(struct auth_pool *p, enum kind kind,
				const struct auth_peer *peer,
				const struct auth_req_ops *ops, void *arg)
{
	struct auth_req *r = NEW(struct auth_req);

	assert(p->auth);
	r->pool = p;
	r->auth = auth_ref(p->auth);
	r->kind = kind;
	r->ops = ops;
	r->arg = arg;
	r->arena = arena_new(2048);
	copy_peer(r, peer);
	buf_init(&r->input, AUTH_SASL_MAX);
	buf_init(&r->challenge, AUTH_SASL_MAX);
	p->pending++;
	return r;
}

static void wipe(const struct slice *s)
{
	if (s->n)
		explicit_bzero((void *)(uintptr_t)s->p, s->n);
}

static void req_destroy(struct auth_req *r)
{
	r->pool->pending--;
	sasl_free(r->sasl);
	if (r->input.p)
		explicit_bzero(r->input.p, r->input.cap);
	buf_fini(&r->input);
	buf_fini(&r->challenge);
	wipe(&r->password);
	arena_free(r->arena);
	auth_unref(r->auth);
	free(r);
}

void auth_req_free(struct auth_req *r)
{
	if (!r || r->ended)
		return;
	r->dead = true;
	if (!r->busy)
		req_destroy(r);
}

/* The last word: tells it unless nobody listens any more. */
static void finish(struct auth_req *r)
{
	r->ended = true;
	if (r->dead)
		;	/* given up */
	else if (r->kind == ITERATE)
		r->names_cb(r->arg, (const char *const *)r->names, r->n_names,
			    r->names_result < 0 ? &r->names_err : NULL);
	else
		r->ops->done(r->arg, &r->result);
	req_destroy(r);
}

static void on_deferred_end(void *arg)
{
	finish(arg);
}

static int work(void *arg)
{
	struct auth_req *r = arg;

	switch (r->kind) {
	case SASL:
		auth_sasl_check_now(r->auth, &r->peer, &r->answer, r->arena,
				    &r->result);
		r->result.mech = sasl_mech(r->sasl);
		break;
	case PASSWORD:
		auth_password_now(r->auth, &r->peer, r->user, r->password,
				  r->arena, &r->result);
		break;
	case PASSDB:
		auth_passdb_now(r->auth, &r->peer, r->user, r->arena,
				&r->result);
		break;
	case USERDB:
		auth_userdb_now(r->auth, &r->peer, r->user, r->authenticated,
				r->arena, &r->result);
		break;
	case ITERATE:
		r->names_result = auth_iterate_now(r->auth, r->arena, &r->names,
						   &r->n_names, &r->names_err);
		break;
	}
	return 0;
}

static void on_worked(void *arg, int result)
{
	(void)result;
	finish(arg);
}

static void fill_failure(struct auth_req *r, enum auth_verdict v)
{
	struct auth_result *to = &r->result;

	to->verdict = v;
	to->login = auth_printable(r->arena, r->user);
	to->user = to->login;
	to->mech = r->sasl ? sasl_mech(r->sasl) : "";
	to->uid = to->gid = AUTH_NO_UID;
	to->home = "";
}

static void submit(struct auth_req *r)
{
	r->busy = true;
	if (r->pool->pending <= AUTH_PENDING_MAX) {
		loop_worker(r->pool->queue, work, on_worked, r);
		return;
	}
	fill_failure(r, AUTH_TEMPFAIL);
	r->names_result = err_set(&r->names_err, E_LIMIT, "%d questions wait "
				  "for an answer of the backends already",
				  AUTH_PENDING_MAX);
	r->result.e = r->names_err;
	loop_defer(r->pool->loop, on_deferred_end, r);
}

/* ---- SASL -------------------------------------------------------------- */

static void sasl_failed(struct auth_req *r, enum auth_verdict v,
			const struct err *e)
{
	struct auth_query q = {&r->peer, "", r->arena};

	fill_failure(r, v);
	r->result.e = *e;
	auth_say_prefix(&r->result.e, "auth", &q);
	finish(r);
}

static void on_step(void *arg)
{
	struct auth_req *r = arg;
	struct slice in = buf_all(&r->input);
	struct err e = ERR_NONE;
	enum sasl_step step;

	if (r->dead) {
		finish(r);
		return;
	}
	if (r->result.e.code) {		/* found out before */
		e = r->result.e;
		sasl_failed(r, AUTH_MISMATCH, &e);
		return;
	}
	buf_reset(&r->challenge);
	step = sasl_step(r->sasl, r->has_input ? &in : NULL, &r->challenge,
			 &r->answer, &e);
	r->busy = false;
	if (step == SASL_CHECK)
		submit(r);
	else if (step == SASL_FAILED)
		sasl_failed(r, AUTH_MISMATCH, &e);
	else	/* may free r */
		r->ops->challenge(r->arg, buf_all(&r->challenge));
}

static void step_later(struct auth_req *r)
{
	r->busy = true;
	loop_defer(r->pool->loop, on_step, r);
}

static void take_input(struct auth_req *r, struct slice in)
{
	r->has_input = true;
	buf_reset(&r->input);
	buf_slice(&r->input, in);
	if (r->input.failed)
		err_set(&r->result.e, E_LIMIT, "response is longer than %d "
			"bytes", AUTH_SASL_MAX);
}

struct auth_req *auth_sasl(struct auth_pool *p, const struct auth_peer *peer,
			   struct slice mech, const struct slice *initial,
			   const struct auth_req_ops *ops, void *arg)
{
	struct auth_req *r = req_new(p, SASL, peer, ops, arg);

	if (sasl_new(r->auth->sasl, mech, &r->sasl, &r->result.e) == 0 &&
	    initial)
		take_input(r, *initial);
	step_later(r);
	return r;
}

void auth_sasl_answer(struct auth_req *r, struct slice response)
{
	assert(r->kind == SASL && !r->busy);
	take_input(r, response);
	step_later(r);
}

void auth_sasl_abort(struct auth_req *r)
{
	assert(r->kind == SASL && !r->busy);
	err_set(&r->result.e, E_AUTH, "aborted by client");
	err_client(&r->result.e, "Authentication aborted by client.");
	step_later(r);
}

/* ---- the others -------------------------------------------------------- */

/* More than the limit and one byte is not kept: enough to be refused. */
static struct slice keep(struct arena *a, struct slice s, size_t max)
{
	return arena_dup(a, slice_sub(s, 0, max + 1));
}

struct auth_req *auth_password(struct auth_pool *p,
			       const struct auth_peer *peer, struct slice user,
			       struct slice password,
			       const struct auth_req_ops *ops, void *arg)
{
	struct auth_req *r = req_new(p, PASSWORD, peer, ops, arg);

	r->user = keep(r->arena, user, AUTH_NAME_MAX);
	r->password = keep(r->arena, password, AUTH_PASSWORD_MAX);
	submit(r);
	return r;
}

struct auth_req *auth_passdb(struct auth_pool *p, const struct auth_peer *peer,
			     struct slice user, const struct auth_req_ops *ops,
			     void *arg)
{
	struct auth_req *r = req_new(p, PASSDB, peer, ops, arg);

	r->user = keep(r->arena, user, AUTH_NAME_MAX);
	submit(r);
	return r;
}

struct auth_req *auth_userdb(struct auth_pool *p, const struct auth_peer *peer,
			     struct slice user, bool authenticated,
			     const struct auth_req_ops *ops, void *arg)
{
	struct auth_req *r = req_new(p, USERDB, peer, ops, arg);

	r->user = keep(r->arena, user, AUTH_NAME_MAX);
	r->authenticated = authenticated;
	submit(r);
	return r;
}

void auth_iterate(struct auth_pool *p, auth_names_cb *cb, void *arg)
{
	static const struct auth_peer nobody = {.service = "doveadm"};
	struct auth_req *r = req_new(p, ITERATE, &nobody, NULL, arg);

	r->names_cb = cb;
	submit(r);
}
