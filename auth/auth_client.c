#include "auth/auth_client.h"

#include <assert.h>

#include "node/base/buf.h"
#include "node/base/digest.h"

void auth_client_init(struct auth_client *c)
{
	*c = (struct auth_client){.arena = arena_new(1024)};
}

void auth_client_fini(struct auth_client *c)
{
	arena_free(c->arena);
	c->arena = NULL;
}

void auth_client_hello(const char *mechs, uint32_t server_pid,
		       uint32_t connection, const uint8_t cookie[16],
		       struct buf *out)
{
	struct slice text = slice_str(mechs), mech;
	char hex[33];

	buf_str(out, "VERSION\t1\t2\n");
	while (fields_word(&text, &mech)) {
		buf_str(out, "MECH\t");
		buf_slice(out, mech);
		buf_str(out, "\tplaintext\n");
	}
	hex_of(cookie, 16, hex);
	buf_printf(out, "SPID\t%u\nCUID\t%u\nCOOKIE\t%s\nDONE\n", server_pid,
		   connection, hex);
}

/* ---- words ------------------------------------------------------------- */

/* Cuts the next word at a tab; the last one leaves nothing.  More is false
 * once nothing is left. */
static struct slice cut(struct slice *line, bool *more)
{
	ptrdiff_t tab = slice_chr(*line, '\t');
	size_t end = tab < 0 ? line->n : (size_t)tab;
	struct slice word = slice_sub(*line, 0, end);

	*more = tab >= 0;
	*line = slice_sub(*line, end + 1, line->n);
	return word;
}

/* Text with \001 escapes undone; NUL is refused (NULL). */
static const char *unescape(struct arena *a, struct slice s)
{
	char *to = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (c == 1 && i + 1 < s.n) {
			c = s.p[++i];
			c = c == '1' ? 1 : c == 't' ? '\t' : c == 'n' ? '\n'
			  : c == 'r' ? '\r' : c == '0' ? 0 : c;
		}
		if (c == 0)
			return NULL;
		to[n++] = (char)c;
	}
	to[n] = 0;
	return to;
}

static void put_escaped(struct buf *out, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case 1:
			buf_str(out, "\0011");
			break;
		case '\t':
			buf_str(out, "\001t");
			break;
		case '\n':
			buf_str(out, "\001n");
			break;
		case '\r':
			buf_str(out, "\001r");
			break;
		default:
			buf_char(out, (uint8_t)*text);
		}
}

static bool decode(struct arena *a, struct slice text, struct slice *out)
{
	uint8_t *raw = arena_alloc(a, text.n + 1);
	int n = base64_get(text, raw, text.n);

	*out = slice_of(raw, n < 0 ? 0 : (size_t)n);
	return n >= 0;
}

/* ---- the dialogs under way --------------------------------------------- */

static ptrdiff_t find(const struct auth_client *c, uint32_t id)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->ids[i].id == id)
			return (ptrdiff_t)i;
	return -1;
}

static void drop(struct auth_client *c, uint32_t id)
{
	ptrdiff_t i = find(c, id);

	assert(i >= 0);
	c->ids[i] = c->ids[--c->n];
}

static void put_fail(uint32_t id, const char *user, const char *code,
		     const char *reason, struct buf *out)
{
	buf_printf(out, "FAIL\t%u", id);
	if (user && *user) {
		buf_str(out, "\tuser=");
		put_escaped(out, user);
	}
	if (reason && *reason) {
		buf_str(out, "\treason=");
		put_escaped(out, reason);
	}
	buf_str(out, code);
	buf_char(out, '\n');
}

#define CODE_TEMP "\tcode=temp_fail\ttemp"
#define CODE_DISABLED "\tcode=user_disabled\tuser_disabled"

void auth_client_challenge(struct auth_client *c, uint32_t id,
			   struct slice text, struct buf *out)
{
	ptrdiff_t i = find(c, id);

	assert(i >= 0 && !c->ids[i].challenged);
	c->ids[i].challenged = true;
	buf_printf(out, "CONT\t%u\t", id);
	base64_put(out, text);
	buf_char(out, '\n');
}

void auth_client_ok(struct auth_client *c, uint32_t id, const char *user,
		    struct buf *out)
{
	drop(c, id);
	buf_printf(out, "OK\t%u\tuser=", id);
	put_escaped(out, user);
	buf_char(out, '\n');
}

void auth_client_fail(struct auth_client *c, uint32_t id, const char *user,
		      enum auth_verdict v, const char *reason, struct buf *out)
{
	drop(c, id);
	put_fail(id, user, v == AUTH_TEMPFAIL ? CODE_TEMP
			 : v == AUTH_DISABLED ? CODE_DISABLED : "",
		 reason, out);
}

/* ---- lines ------------------------------------------------------------- */

static int broken(struct auth_client *c, struct err *e, const char *what)
{
	c->broken = true;
	return err_set(e, E_PROTO, "auth client (pid %u): %s", c->client_pid,
		       what);
}

static int on_version(struct auth_client *c, struct slice rest, struct err *e)
{
	bool more;
	struct slice major = cut(&rest, &more);

	if (c->version)
		return broken(c, e, "VERSION twice");
	if (!slice_is(major, "1"))
		return broken(c, e, "speaks another major version of the "
			      "auth-client protocol than 1");
	c->version = true;
	return 0;
}

static int on_pid(struct auth_client *c, struct slice rest, struct err *e)
{
	bool more;
	uint32_t pid;

	if (!c->version || c->pid)
		return broken(c, e, "CPID out of order");
	if (slice_u32(cut(&rest, &more), &pid) < 0 || !pid)
		return broken(c, e, "CPID is no process id");
	c->client_pid = pid;
	c->pid = true;
	return 0;
}

static unsigned port(const char *value)
{
	uint32_t v;

	return slice_u32(slice_str(value), &v) < 0 || v > 65535 ? 0 : v;
}

/* One parameter but resp=; those that change nothing here are ignored. */
static bool take_param(struct auth_client *c, struct slice word,
		       struct auth_peer *peer)
{
	struct slice name, raw;
	const char *value;

	fields_split(word, &name, &raw);
	value = unescape(c->arena, raw);
	if (!value)
		return false;
	if (slice_is(name, "service"))
		peer->service = value;
	else if (slice_is(name, "rip"))
		peer->rip = value;
	else if (slice_is(name, "lip"))
		peer->lip = value;
	else if (slice_is(name, "rport"))
		peer->rport = port(value);
	else if (slice_is(name, "lport"))
		peer->lport = port(value);
	else if (slice_is(name, "session"))
		peer->session = value;
	else if (slice_is(name, "secured"))
		peer->secured = true;
	return true;
}

static int on_auth(struct auth_client *c, struct slice rest,
		   struct auth_client_msg *msg, struct buf *out, struct err *e)
{
	bool more, good = true;
	unsigned params = 0;

	*msg = (struct auth_client_msg){.what = AUTH_CLIENT_AUTH};
	if (slice_u32(cut(&rest, &more), &msg->id) < 0 || !more)
		return broken(c, e, "AUTH without id and mechanism");
	if (find(c, msg->id) >= 0)
		return broken(c, e, "AUTH with an id that is in use");
	msg->mech = arena_dup(c->arena, cut(&rest, &more));
	while (more) {
		struct slice word;

		if (++params > AUTH_CLIENT_PARAMS_MAX)
			return broken(c, e, "AUTH with too many parameters");
		/* resp= is the last one, whatever it holds. */
		if (slice_starts_ci(rest, "resp=")) {
			msg->has_response = true;
			good = decode(c->arena, slice_sub(rest, 5, rest.n),
				      &msg->response);
			break;
		}
		word = cut(&rest, &more);
		if (!take_param(c, word, &msg->peer))
			return broken(c, e, "parameter with NUL");
	}
	if (!msg->peer.service || !*msg->peer.service)
		return broken(c, e, "AUTH without service=");
	if (!good) {
		put_fail(msg->id, NULL, "",
			 "Invalid base64 data in initial response", out);
		return 0;
	}
	if (c->n == AUTH_CLIENT_PENDING_MAX) {
		put_fail(msg->id, NULL, CODE_TEMP,
			 "Too many authentications at once", out);
		return 0;
	}
	c->ids[c->n].id = msg->id;
	c->ids[c->n++].challenged = false;
	return 1;
}

static int on_cont(struct auth_client *c, struct slice rest,
		   struct auth_client_msg *msg, struct buf *out, struct err *e)
{
	bool more;
	ptrdiff_t i;

	*msg = (struct auth_client_msg){.what = AUTH_CLIENT_CONT,
					.has_response = true};
	if (slice_u32(cut(&rest, &more), &msg->id) < 0 || !more)
		return broken(c, e, "CONT without id and data");
	i = find(c, msg->id);
	if (i < 0) {	/* ours has ended meanwhile */
		put_fail(msg->id, NULL, "", "Authentication request timed out",
			 out);
		return 0;
	}
	if (!c->ids[i].challenged)
		return broken(c, e, "CONT that was not asked for");
	c->ids[i].challenged = false;
	if (decode(c->arena, cut(&rest, &more), &msg->response))
		return 1;
	/* The dialog at our end is to go as well. */
	put_fail(msg->id, NULL, "", "Invalid base64 data in continued response",
		 out);
	drop(c, msg->id);
	msg->what = AUTH_CLIENT_CANCEL;
	return 1;
}

static int on_cancel(struct auth_client *c, struct slice rest,
		     struct auth_client_msg *msg, struct err *e)
{
	bool more;

	*msg = (struct auth_client_msg){.what = AUTH_CLIENT_CANCEL};
	if (slice_u32(cut(&rest, &more), &msg->id) < 0)
		return broken(c, e, "CANCEL without id");
	if (find(c, msg->id) < 0)
		return 0;
	drop(c, msg->id);
	return 1;
}

static int on_line(struct auth_client *c, struct slice line,
		   struct auth_client_msg *msg, struct buf *out, struct err *e)
{
	bool more;
	struct slice command = cut(&line, &more);

	if (slice_is(command, "VERSION"))
		return on_version(c, line, e);
	if (slice_is(command, "CPID"))
		return on_pid(c, line, e);
	if (!c->version || !c->pid)
		return broken(c, e, "command before VERSION and CPID");
	if (slice_is(command, "AUTH"))
		return on_auth(c, line, msg, out, e);
	if (slice_is(command, "CONT"))
		return on_cont(c, line, msg, out, e);
	if (slice_is(command, "CANCEL"))
		return on_cancel(c, line, msg, e);
	return broken(c, e, "unknown command");
}

int auth_client_read(struct auth_client *c, struct slice in, size_t *used_out,
		     struct auth_client_msg *msg, struct buf *out,
		     struct err *e)
{
	int r = 0;

	*used_out = 0;
	if (c->broken)
		return broken(c, e, "input after the end");
	while (r == 0) {
		struct slice rest = slice_sub(in, *used_out, in.n);
		struct slice window = slice_sub(rest, 0, AUTH_CLIENT_LINE_MAX);
		ptrdiff_t lf = slice_chr(window, '\n');

		if (lf < 0 && window.n == AUTH_CLIENT_LINE_MAX) {
			c->broken = true;
			return err_set(e, E_LIMIT, "auth client (pid %u): line "
				       "is longer than %d bytes",
				       c->client_pid, AUTH_CLIENT_LINE_MAX);
		}
		if (lf < 0)
			break;
		*used_out += (size_t)lf + 1;
		arena_reset(c->arena);
		r = on_line(c, slice_sub(rest, 0, (size_t)lf), msg, out, e);
	}
	return r;
}
