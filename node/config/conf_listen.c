/* Everything that has to listen, and the accounts behind names. */

#include "node/config/conf_int.h"
#include "node/base/cleanup.h"
#include "node/config/conf_services.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- names ------------------------------------------------------------- */

/* 2.3's own accounts read as Duet's where they do not exist. */
static const char *own_name(const char *name)
{
	if (strcmp(name, "dovecot") == 0)
		return "duet";
	if (strcmp(name, "dovenull") == 0)
		return "duetnull";
	return NULL;
}

static int user_by_name(const char *name, uid_t *uid, gid_t *gid)
{
	struct passwd pw, *res = NULL;
	size_t n = 16384;
	AUTO_FREE char *mem = xmalloc(n);
	int r = getpwnam_r(name, &pw, mem, n, &res);

	if (r != 0)
		return -r;
	if (!res)
		return E_NOTFOUND;
	*uid = pw.pw_uid;
	*gid = pw.pw_gid;
	return 0;
}

static gid_t group_of_uid(uid_t uid)
{
	struct passwd pw, *res = NULL;
	size_t n = 16384;
	AUTO_FREE char *mem = xmalloc(n);

	if (getpwuid_r(uid, &pw, mem, n, &res) == 0 && res)
		return pw.pw_gid;
	return (gid_t)-1;
}

int conf_uid(const char *name, uid_t *uid_out, gid_t *gid_out, struct err *e)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	uint32_t n;
	int r = 0;

	if (*name && slice_u32(slice_str(name), &n) == 0) {
		uid = n;
		gid = group_of_uid(uid);
	} else if (*name) {
		r = user_by_name(name, &uid, &gid);
		if (r == E_NOTFOUND && own_name(name))
			r = user_by_name(own_name(name), &uid, &gid);
	}
	if (r == E_NOTFOUND)
		return err_set(e, r, "User doesn't exist: %s", name);
	if (r < 0)
		return err_set(e, r, "looking up user %s failed: %s", name,
			       strerror(-r));
	*uid_out = uid;
	if (gid_out)
		*gid_out = gid;
	return 0;
}

static int group_by_name(const char *name, gid_t *gid)
{
	struct group gr, *res = NULL;
	size_t n = 65536;
	AUTO_FREE char *mem = xmalloc(n);
	int r = getgrnam_r(name, &gr, mem, n, &res);

	if (r != 0)
		return -r;
	if (!res)
		return E_NOTFOUND;
	*gid = gr.gr_gid;
	return 0;
}

int conf_gid(const char *name, gid_t *gid_out, struct err *e)
{
	gid_t gid = (gid_t)-1;
	uint32_t n;
	int r = 0;

	if (*name && slice_u32(slice_str(name), &n) == 0) {
		gid = n;
	} else if (*name) {
		r = group_by_name(name, &gid);
		if (r == E_NOTFOUND && own_name(name))
			r = group_by_name(own_name(name), &gid);
	}
	if (r == E_NOTFOUND)
		return err_set(e, r, "Group doesn't exist: %s", name);
	if (r < 0)
		return err_set(e, r, "looking up group %s failed: %s", name,
			       strerror(-r));
	*gid_out = gid;
	return 0;
}

/* "$default_internal_user" in built-in values, which no parser expanded. */
static const char *dollar(const struct conf *c, const char *text)
{
	if (text[0] == '$' && conf_row_find(text + 1))
		return conf_text(c, NULL, text + 1);
	return text;
}

static int at_line(const struct conf *c, const char *path, struct err *e,
		   const struct err *why)
{
	unsigned line;
	const char *file = conf_where(c, NULL, path, &line);

	return conf_fail(e, *file ? file : c->path, line, "%s", why->op);
}

int conf_mail_owner(const struct conf *c, uid_t *uid_out, gid_t *gid_out,
		    struct err *e)
{
	static const char *const roles[] = {"default_internal_user",
					    "default_login_user"};
	struct err why = ERR_NONE;
	uid_t uid, role;
	gid_t gid, set;

	if (conf_uid(conf_text(c, NULL, "mail_uid"), &uid, &gid, &why) < 0)
		return at_line(c, "mail_uid", e, &why);
	if (conf_gid(conf_text(c, NULL, "mail_gid"), &set, &why) < 0)
		return at_line(c, "mail_gid", e, &why);
	if (set != (gid_t)-1)
		gid = set;
	if (uid == 0) {
		err_set(&why, E_CONFIG, "mail_uid: mail is never owned by "
					"root");
		return at_line(c, "mail_uid", e, &why);
	}
	for (size_t i = 0; i < ARRAY_LEN(roles) && uid != (uid_t)-1; i++) {
		/* A role's account that does not exist clashes with nobody. */
		if (conf_uid(conf_text(c, NULL, roles[i]), &role, NULL, NULL) <
			    0 ||
		    role != uid)
			continue;
		err_set(&why, E_CONFIG,
			"mail_uid = %s: the account that owns mail must not "
			"be %s",
			conf_text(c, NULL, "mail_uid"), roles[i]);
		return at_line(c, "mail_uid", e, &why);
	}
	*uid_out = uid;
	*gid_out = gid;
	return 0;
}

/* ---- what this build opens --------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

bool conf_service_purpose(const char *service, const char *path, bool inet,
			  enum conf_purpose *out)
{
	if (strcmp(service, "imap-login") == 0 && inet)
		*out = CONF_FOR_IMAP;
	else if (strcmp(service, "pop3-login") == 0 && inet)
		*out = CONF_FOR_POP3;
	else if (strcmp(service, "lmtp") == 0)
		*out = CONF_FOR_LMTP;
	else if (strcmp(service, "doveadm") == 0)
		*out = inet ? CONF_FOR_LINK : CONF_FOR_ADMIN;
	else if (strcmp(service, "replicator") == 0 && !inet &&
		 ends_with(path, "replicator-doveadm"))
		*out = CONF_FOR_REPLICATOR;
	else if (strcmp(service, "auth") == 0 && !inet) {
		/* As 2.3: what is behind the last '-' decides. */
		if (strcmp(path, "login/login") == 0 ||
		    strcmp(path, "token-login/tokenlogin") == 0 ||
		    strcmp(path, "auth-login") == 0)
			return false;
		*out = ends_with(path, "-userdb") || ends_with(path, "-master")
			       ? CONF_FOR_AUTH_USERDB
			       : CONF_FOR_AUTH_CLIENT;
	} else {
		return false;
	}
	return true;
}

struct listing {
	const struct conf *c;
	struct arena *a;
	struct err *e;
	struct conf_listener *v;
	size_t n, cap;
};

static bool same_listener(const struct conf_listener *a,
			  const struct conf_listener *b)
{
	if (a->is_unix != b->is_unix)
		return false;
	if (a->is_unix)
		return strcmp(a->path, b->path) == 0;
	return a->port == b->port && strcmp(a->address, b->address) == 0;
}

static int add(struct listing *l, const struct conf_listener *x)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!same_listener(&l->v[i], x))
			continue;
		if (strcmp(l->v[i].service, x->service) == 0 &&
		    l->v[i].ssl == x->ssl)
			return 0;
		if (x->is_unix)
			return conf_fail(l->e, x->file, x->line,
					 "%s is a listener of service %s too",
					 x->path, l->v[i].service);
		return conf_fail(l->e, *x->file ? x->file : l->c->path, x->line,
				 "%s port %u is a listener of service %s too",
				 x->address, x->port, l->v[i].service);
	}
	GROW(l->v, l->n, l->cap);
	l->v[l->n++] = *x;
	return 0;
}

/* A name that the administrator wrote must exist, unless the node is started
 * by somebody who could not give a socket away anyhow. */
static bool must_exist(const struct conf *c, const char *path)
{
	unsigned line;

	conf_where(c, NULL, path, &line);
	return line > 0 && geteuid() == 0;
}

static int add_unix(struct listing *l, const char *base, const char *name,
		    struct conf_listener x)
{
	AUTO_FREE char *mode = xprintf("%s/mode", base);
	AUTO_FREE char *user = xprintf("%s/user", base);
	AUTO_FREE char *group = xprintf("%s/group", base);
	struct err why = ERR_NONE;
	gid_t unused;

	x.is_unix = true;
	x.mode = (mode_t)conf_u64(l->c, NULL, mode);
	if (x.mode == 0)
		return 0;
	x.path = name[0] == '/'
			 ? arena_strdup(l->a, name)
			 : arena_printf(l->a, "%s/%s", l->c->base_dir, name);
	if (strlen(x.path) > 107)
		return conf_fail(l->e, x.file, x.line,
				 "unix_listener %s: the path is too long (at "
				 "most 107 bytes)",
				 x.path);
	if (conf_uid(dollar(l->c, conf_text(l->c, NULL, user)), &x.uid, &unused,
		     &why) < 0) {
		if (must_exist(l->c, user))
			return at_line(l->c, user, l->e, &why);
		x.uid = (uid_t)-1;
	}
	if (conf_gid(dollar(l->c, conf_text(l->c, NULL, group)), &x.gid,
		     &why) < 0) {
		if (must_exist(l->c, group))
			return at_line(l->c, group, l->e, &why);
		x.gid = (gid_t)-1;
	}
	return add(l, &x);
}

static int add_inet(struct listing *l, const char *base,
		    struct conf_listener x)
{
	AUTO_FREE char *port = xprintf("%s/port", base);
	AUTO_FREE char *ssl = xprintf("%s/ssl", base);
	const char *list = conf_textf(l->c, NULL, "%s/address", base);
	int r = 0;

	x.port = (uint16_t)conf_u64(l->c, NULL, port);
	x.ssl = conf_bool(l->c, NULL, ssl);
	if (x.port == 0)
		return 0;
	/* `ssl = no` opens no TLS port. */
	if (x.ssl && x.purpose != CONF_FOR_LINK &&
	    strcmp(conf_text(l->c, NULL, "ssl"), "no") == 0)
		return 0;
	if (!*list)
		list = conf_text(l->c, NULL, "listen");
	while (r == 0 && *(list += strspn(list, " ,\t")) != '\0') {
		size_t n = strcspn(list, " ,\t");
		char *one = arena_strndup(l->a, list, n);
		struct conf_net net;
		struct err why = ERR_NONE;
		char text[INET6_ADDRSTRLEN];

		list += n;
		if (strcmp(one, "*") == 0) {
			x.address = "0.0.0.0";
		} else if (conf_net_parse(one, &net, &why) < 0) {
			return conf_fail(l->e, *x.file ? x.file : l->c->path,
					 x.line, "%s", why.op);
		} else {
			inet_ntop(net.family, net.addr, text, sizeof(text));
			x.address = arena_strdup(l->a, text);
		}
		r = add(l, &x);
	}
	return r;
}

static int add_service(struct listing *l, const char *service)
{
	static const char *const kinds[] = {"inet_listener", "unix_listener"};

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		char *path = arena_printf(l->a, "service/%s/%s", service,
					  kinds[k]);
		const char **names;
		size_t n = conf_children(l->c, NULL, path, true, l->a, &names);

		for (size_t i = 0; i < n; i++) {
			char *base = arena_printf(l->a, "%s/%s", path,
						  names[i]);
			char *name = conf_path_unescape(l->a, names[i],
							strlen(names[i]));
			struct conf_listener x = {.service = service,
						  .name = name};
			int r;

			if (!conf_service_purpose(service, name, k == 0,
						  &x.purpose))
				continue;
			if (name[strspn(name, "0123456789")] == '\0' &&
			    names[i][0] != '\\')
				x.name = "";
			x.file = conf_where(l->c, NULL, base, &x.line);
			r = k == 0 ? add_inet(l, base, x)
				   : add_unix(l, base, name, x);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int conf_listeners(const struct conf *c, struct arena *a,
		   struct conf_listener **out, size_t *n_out, struct err *e)
{
	static const struct {
		const char *service, *protocol;
	} built[] = {
		{"imap-login", "imap"}, {"pop3-login", "pop3"},
		{"lmtp", "lmtp"},	{"doveadm", NULL},
		{"replicator", NULL},	{"auth", NULL},
	};
	struct listing l = {.c = c, .a = a, .e = e};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(built) && r == 0; i++) {
		if (built[i].protocol &&
		    !conf_has_word(c, NULL, "protocols", built[i].protocol))
			continue;
		r = add_service(&l, built[i].service);
	}
	if (r == 0) {
		*out = arena_alloc(a, (l.n + 1) * sizeof(**out));
		if (l.n)
			memcpy(*out, l.v, l.n * sizeof(**out));
		*n_out = l.n;
	}
	free(l.v);
	return r;
}
