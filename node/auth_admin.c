/* duetadm user, auth test, auth lookup, in the auth process. */

#include "node/auth_role.h"
#include "node/adm.h"

#include <stdio.h>

struct auth_command {
	struct auth_state *st;
	struct adm *q;
	const struct ipc_head *h;
	struct auth_peer peer;
	size_t next;			/* argument at work */
	int worst;			/* exit status so far */
};

static void next_user(struct auth_command *c);

/* -x NAME=VALUE of `auth test`. */
static void peer_of(struct auth_command *c)
{
	const char *v;

	c->peer.service = (v = ipc_field_get(c->h, "service")) ? v : "doveadm";
	c->peer.rip = (v = ipc_field_get(c->h, "rip")) ? v : "";
	c->peer.lip = (v = ipc_field_get(c->h, "lip")) ? v : "";
	c->peer.session = "";
	c->peer.secured = true;
}

static void number(struct auth_command *c, const char *name, uint32_t v)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", v);
	adm_pair(c->q, name, text);
}

static void show_fields(struct auth_command *c, const struct auth_result *r)
{
	const char *mail = "";
	struct err e = ERR_NONE;

	number(c, "uid", r->uid);
	number(c, "gid", r->gid);
	adm_pair(c->q, "home", r->home ? r->home : "");
	if (auth_conf_location(c->st->role->conf, r, &c->peer,
			       adm_arena(c->q), &mail, &e) < 0)
		adm_text(c->q, "mail: %s", e.op);
	adm_pair(c->q, "mail", mail);
	for (size_t i = 0; i < r->fields.n; i++) {
		const char *name = r->fields.v[i].name;

		if (strcmp(name, "uid") && strcmp(name, "gid") &&
		    strcmp(name, "home") && strcmp(name, "mail") &&
		    strcmp(name, "user"))
			adm_pair(c->q, name, r->fields.v[i].value);
	}
}

static void fail(struct auth_command *c, const char *user,
		 const struct auth_result *r)
{
	int code = r->verdict == AUTH_UNKNOWN ? ADM_NOUSER : ADM_TEMPFAIL;

	if (r->verdict == AUTH_UNKNOWN)
		adm_text(c->q, "userdb lookup: user %s doesn't exist", user);
	else
		adm_text(c->q, "userdb lookup for %s failed: %s", user,
			 r->e.op);
	c->worst = code;
}

static void on_user(void *arg, const struct auth_result *r)
{
	struct auth_command *c = arg;
	const char *user = c->h->args[c->next++];

	if (r->verdict == AUTH_OK)
		show_fields(c, r);
	else
		fail(c, user, r);
	next_user(c);
}

static const struct auth_req_ops user_ops = {.done = on_user};

static void on_names(void *arg, const char *const *names, size_t n,
		     const struct err *e)
{
	struct auth_command *c = arg;
	const char *mask = c->h->args[c->next++];

	for (size_t i = 0; i < n; i++)
		if (adm_mask(mask, names[i]))
			adm_row(c->q, &names[i], 1);
	if (e && e->code < 0) {
		adm_text(c->q, "listing is not complete: %s", e->op);
		c->worst = ADM_TEMPFAIL;
	}
	next_user(c);
}

static void next_user(struct auth_command *c)
{
	const char *user;

	if (c->next >= c->h->n_args || adm_gone(c->q)) {
		adm_end(c->q, c->worst, "%s", "");
		return;
	}
	user = c->h->args[c->next];
	if (strpbrk(user, "*?"))
		auth_iterate(c->st->pool, on_names, c);
	else
		auth_userdb(c->st->pool, &c->peer, slice_str(user), false,
			    &user_ops, c);
}

/* ---- auth test, auth lookup ---------------------------------------------- */

static void show_test(struct auth_command *c, const struct auth_result *r,
		      const char *login)
{
	bool ok = r->verdict == AUTH_OK;

	adm_text(c->q, "passdb: %s auth %s", login,
		 ok ? "succeeded" : r->verdict == AUTH_TEMPFAIL
			? "failed (temporary failure)" : "failed");
	if (!ok)
		adm_text(c->q, "%s", r->e.op);
	adm_text(c->q, "extra fields:");
	adm_text(c->q, "  user=%s", r->user ? r->user : login);
	for (size_t i = 0; ok && i < r->fields.n; i++)
		if (strcmp(r->fields.v[i].name, "user") &&
		    strcmp(r->fields.v[i].name, "password"))
			adm_text(c->q, "  %s=%s", r->fields.v[i].name,
				 r->fields.v[i].value);
	adm_end(c->q, ok ? ADM_OK : r->verdict == AUTH_TEMPFAIL ? ADM_TEMPFAIL
								: ADM_NOPERM,
		"%s", "");
}

static void on_test(void *arg, const struct auth_result *r)
{
	struct auth_command *c = arg;

	show_test(c, r, c->h->login);
}

static void next_lookup(struct auth_command *c);

static void on_lookup(void *arg, const struct auth_result *r)
{
	struct auth_command *c = arg;
	const char *user = c->h->args[c->next++];

	if (r->verdict == AUTH_OK) {
		adm_text(c->q, "passdb: %s", user);
		adm_text(c->q, "  %-10s: %s", "user", r->user);
		for (size_t i = 0; i < r->fields.n; i++)
			if (strcmp(r->fields.v[i].name, "user") &&
			    strcmp(r->fields.v[i].name, "password"))
				adm_text(c->q, "  %-10s: %s",
					 r->fields.v[i].name,
					 r->fields.v[i].value);
	} else if (r->verdict == AUTH_UNKNOWN) {
		adm_text(c->q, "passdb lookup: user %s doesn't exist", user);
		c->worst = ADM_NOUSER;
	} else {
		adm_text(c->q, "passdb lookup for %s failed: %s", user,
			 r->e.op);
		c->worst = ADM_TEMPFAIL;
	}
	next_lookup(c);
}

static const struct auth_req_ops test_ops = {.done = on_test};
static const struct auth_req_ops lookup_ops = {.done = on_lookup};

static void next_lookup(struct auth_command *c)
{
	if (c->next >= c->h->n_args || adm_gone(c->q)) {
		adm_end(c->q, c->worst, "%s", "");
		return;
	}
	auth_passdb(c->st->pool, &c->peer, slice_str(c->h->args[c->next]),
		    &lookup_ops, c);
}

static void run(void *arg, struct adm *q, const struct ipc_head *h)
{
	struct auth_command *c = ARENA_NEW(adm_arena(q), struct auth_command);

	c->st = arg;
	c->q = q;
	c->h = arena_alloc(adm_arena(q), sizeof(*h));
	memcpy((void *)(uintptr_t)c->h, h, sizeof(*h));
	peer_of(c);
	if (strcmp(h->name, "user") == 0)
		next_user(c);
	else if (strcmp(h->name, "auth lookup") == 0)
		next_lookup(c);
	else if (strcmp(h->name, "auth test") == 0)
		auth_password(c->st->pool, &c->peer, slice_str(h->login),
			      h->data, &test_ops, c);
	else
		adm_end(q, ADM_USAGE, "auth knows no command '%s'", h->name);
}

/* replicator-doveadm may count the users, no more. */
static void run_status(void *arg, struct adm *q, const struct ipc_head *h)
{
	if (strcmp(h->name, "user") == 0 && h->n_args == 1 &&
	    strpbrk(h->args[0], "*?"))
		run(arg, q, h);
	else
		adm_end(q, ADM_NOPERM, "this socket gives the replicator's "
			"status only");
}

void auth_admin(struct auth_state *st, int fd, unsigned flags)
{
	adm_new(st->role, fd, flags & ADMIN_REPLICATOR ? run_status : run,
		st);
}
