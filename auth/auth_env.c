#include "auth/auth_env.h"

#include <arpa/inet.h>
#include <grp.h>
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/base/buf.h"

int auth_expand_text(const struct auth_env *env, const struct auth_query *q,
		     const struct auth_fields *fields, const char *text,
		     bool path, const char **out, struct err *e)
{
	struct auth_vars v = {.user = q->user, .peer = q->peer,
			      .fields = fields};
	struct buf b;
	int r = 0;

	if (!strchr(text, '%')) {
		*out = arena_strdup(q->arena, text);
		return 0;
	}
	if (fields)
		v.home = fields_get(fields, "home");
	buf_init(&b, AUTH_FIELD_MAX);
	r = env->expand.expand(env->expand.arg, text, &v, path, &b, e);
	if (r >= 0 && b.failed)
		r = err_set(e, E_LIMIT, "'%.100s' expands to more than %d "
			    "bytes", text, AUTH_FIELD_MAX);
	if (r >= 0 && slice_chr(buf_all(&b), 0) >= 0)
		r = err_set(e, E_INVALID, "'%.100s' expands to a text with "
			    "NUL", text);
	if (r >= 0)
		*out = b.n ? arena_strndup(q->arena, b.p, b.n) : "";
	buf_fini(&b);
	return r < 0 ? r : 0;
}

static bool is_path_field(const char *name)
{
	if (strncmp(name, "userdb_", 7) == 0)
		name += 7;
	return strcmp(name, "home") == 0 || strcmp(name, "mail") == 0 ||
	       strcmp(name, "mail_location") == 0;
}

int auth_expand_field(const struct auth_env *env, const struct auth_query *q,
		      struct auth_fields *fields, const char *name,
		      const char *text, struct err *e)
{
	const char *value;
	int r = auth_expand_text(env, q, fields, text, is_path_field(name),
				 &value, e);

	if (r < 0) {
		err_prefix(e, "field %.60s", name);
		return r;
	}
	return fields_set(fields, q->arena, name, value, e);
}

int auth_expand_fields(const struct auth_env *env, const struct auth_query *q,
		       const struct auth_fields *templ,
		       struct auth_fields *fields, struct err *e)
{
	for (size_t i = 0; i < templ->n; i++) {
		int r = auth_expand_field(env, q, fields, templ->v[i].name,
					  templ->v[i].value, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *who(const char *driver, const struct auth_query *q,
		       char *to, size_t n)
{
	const char *ip = q->peer->rip, *session = q->peer->session;

	snprintf(to, n, "%s(%s%s%s%s%s%s)", driver,
		 q->user[0] ? q->user : "?", ip && *ip ? "," : "",
		 ip && *ip ? ip : "", session && *session ? ",<" : "",
		 session && *session ? session : "",
		 session && *session ? ">" : "");
	return to;
}

#define WHO_SIZE (AUTH_NAME_MAX + 160)

void auth_say(struct err *e, int code, const char *driver,
	      const struct auth_query *q, const char *fmt, ...)
{
	char name[WHO_SIZE], text[sizeof(e->op)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(e, code, "%s: %s", who(driver, q, name, sizeof(name)), text);
}

void auth_say_prefix(struct err *e, const char *driver,
		     const struct auth_query *q)
{
	char name[WHO_SIZE];

	err_prefix(e, "%s", who(driver, q, name, sizeof(name)));
}

struct ip {
	uint8_t b[16];		/* v4 is mapped: ::ffff:a.b.c.d */
	bool v4;
};

static bool parse_ip(const char *text, struct ip *out)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (inet_pton(AF_INET6, text, out->b) == 1) {
		out->v4 = memcmp(out->b, mapped, sizeof(mapped)) == 0;
		return true;
	}
	memcpy(out->b, mapped, sizeof(mapped));
	out->v4 = true;
	return inet_pton(AF_INET, text, out->b + 12) == 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned bytes = bits / 8, rest = bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return !rest || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

static bool net_matches(struct slice net, const struct ip *ip)
{
	char text[INET6_ADDRSTRLEN];
	ptrdiff_t slash = slice_chr(net, '/');
	struct slice addr = slash < 0 ? net : slice_sub(net, 0, (size_t)slash);
	struct ip base;
	uint32_t bits;

	if (!addr.n || addr.n >= sizeof(text))
		return false;
	memcpy(text, addr.p, addr.n);
	text[addr.n] = 0;
	if (!parse_ip(text, &base) || base.v4 != ip->v4)
		return false;

	bool dotted = !strchr(text, ':');

	bits = dotted ? 32 : 128;
	if (slash >= 0) {
		uint32_t n;

		if (slice_u32(slice_sub(net, (size_t)slash + 1, net.n), &n) < 0 ||
		    n > bits)
			return false;
		bits = n;
	}
	return same_bits(base.b, ip->b, dotted ? bits + 96 : bits);
}

bool auth_nets_match(const char *nets, const char *ip)
{
	struct slice rest = slice_str(nets);
	struct ip addr;
	bool has_ip = ip && *ip && parse_ip(ip, &addr);
	bool none = !ip || !*ip;

	while (rest.n) {
		ptrdiff_t comma = slice_chr(rest, ',');
		size_t end = comma < 0 ? rest.n : (size_t)comma;
		struct slice net = slice_trim(slice_sub(rest, 0, end));

		if (none ? slice_is(net, "local")
			 : has_ip && net_matches(net, &addr))
			return true;
		rest = slice_sub(rest, end + 1, rest.n);
	}
	return false;
}

#define NSS_BUF 65536

int auth_resolve_uid(const char *text, uint32_t *uid_out,
		     uint32_t *primary_out, struct err *e)
{
	struct passwd pw, *found = NULL;

	if (primary_out)
		*primary_out = AUTH_NO_UID;
	if (slice_u32(slice_str(text), uid_out) == 0 && *uid_out != AUTH_NO_UID)
		return 0;

	char *b = xmalloc(NSS_BUF);
	int r = getpwnam_r(text, &pw, b, NSS_BUF, &found);

	if (found) {
		*uid_out = pw.pw_uid;
		if (primary_out)
			*primary_out = pw.pw_gid;
	}
	free(b);
	if (found)
		return 0;
	return r ? err_set(e, E_TEMP, "looking up uid '%.100s': %s", text,
			   strerror(r))
		 : err_set(e, E_NOTFOUND, "invalid uid '%.100s': no such "
			   "system user", text);
}

int auth_resolve_gid(const char *text, uint32_t *gid_out, struct err *e)
{
	struct group gr, *found = NULL;

	if (slice_u32(slice_str(text), gid_out) == 0 && *gid_out != AUTH_NO_UID)
		return 0;

	char *b = xmalloc(NSS_BUF);
	int r = getgrnam_r(text, &gr, b, NSS_BUF, &found);

	if (found)
		*gid_out = gr.gr_gid;
	free(b);
	if (found)
		return 0;
	return r ? err_set(e, E_TEMP, "looking up gid '%.100s': %s", text,
			   strerror(r))
		 : err_set(e, E_NOTFOUND, "invalid gid '%.100s': no such "
			   "system group", text);
}
