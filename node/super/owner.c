/* Which users the roles run as. */

#include "node/super/super.h"
#include "node/base/arena.h"

#include <unistd.h>

/* The value of uid= or gid= in a list of fields, or "". */
static char *word_of(struct arena *a, const char *fields, const char *key)
{
	size_t n = strlen(key);

	while (*fields) {
		size_t len;

		fields += strspn(fields, " \t");
		len = strcspn(fields, " \t");
		if (len > n && strncmp(fields, key, n) == 0 && fields[n] == '=')
			return arena_strndup(a, fields + n + 1, len - n - 1);
		fields += len;
	}
	return arena_strdup(a, "");
}

static int add_owner(const char *uid, const char *gid, const char *where,
		     struct owner *o, struct err *e)
{
	uid_t u;
	gid_t g = (gid_t)-1, own = (gid_t)-1;

	if (!*uid || strchr(uid, '%'))
		return 0;
	if (conf_uid(uid, &u, &own, e) < 0) {
		err_prefix(e, "%s", where);
		return e->code;
	}
	if (*gid && !strchr(gid, '%') && conf_gid(gid, &g, e) < 0) {
		err_prefix(e, "%s", where);
		return e->code;
	}
	if (o->mail_uid != (uid_t)-1 && o->mail_uid != u)
		return err_set(e, E_CONFIG, "%s: uid %s, but elsewhere mail "
			       "belongs to uid %ld; a node has one owner of "
			       "all mail (mail_uid)", where, uid,
			       (long)o->mail_uid);
	o->mail_uid = u;
	if (o->mail_gid == (gid_t)-1)
		o->mail_gid = g != (gid_t)-1 ? g : own;
	return 0;
}

/* mail_uid is often not set: then userdb's fixed uid= says it. */
static int owner_from_userdb(const struct conf *c, struct owner *o,
			     struct err *e)
{
	struct arena *a = arena_new(4096);
	struct conf_db *dbs;
	size_t n;
	int r = 0;

	conf_dbs(c, "userdb", a, &dbs, &n);
	for (size_t i = 0; i < n && r == 0; i++) {
		const char *from[] = {
			dbs[i].override_fields, dbs[i].default_fields,
			strcmp(dbs[i].driver, "static") == 0 ? dbs[i].args
							     : "",
		};

		for (size_t k = 0; k < ARRAY_LEN(from) && r == 0; k++) {
			const char *uid = word_of(a, from[k], "uid");

			r = add_owner(uid, word_of(a, from[k], "gid"),
				      dbs[i].where, o, e);
			if (*uid)
				break;
		}
	}
	arena_free(a);
	return r;
}

static int named(const struct conf *c, const char *setting, uid_t *uid,
		 gid_t *gid, struct err *e)
{
	const char *name = conf_str(c, NULL, setting);

	if (conf_uid(name, uid, gid, e) < 0 || *uid == (uid_t)-1)
		return err_set(e, E_CONFIG, "%s = %s: no such user; create it "
			       "(useradd --system --shell /usr/sbin/nologin "
			       "%s)", setting, name, name);
	return 0;
}

int owner_find(const struct conf *c, struct owner *out, struct err *e)
{
	struct owner o = {
		.mail_uid = (uid_t)-1, .mail_gid = (gid_t)-1,
		.login_uid = getuid(), .login_gid = getgid(),
		.internal_uid = getuid(), .internal_gid = getgid(),
		.root = geteuid() == 0,
	};
	gid_t own = (gid_t)-1;

	if (conf_mail_owner(c, &o.mail_uid, &o.mail_gid, e) < 0)
		return e->code;
	if (o.mail_uid == (uid_t)-1 && owner_from_userdb(c, &o, e) < 0)
		return e->code;
	if (!o.root) {
		if (o.mail_uid != (uid_t)-1 && o.mail_uid != getuid())
			return err_set(e, E_CONFIG, "mail belongs to uid %ld, "
				       "but duetd was started by uid %ld: start "
				       "it as root, or let mail_uid be empty",
				       (long)o.mail_uid, (long)getuid());
		o.mail_uid = getuid();
		o.mail_gid = getgid();
		*out = o;
		return 0;
	}
	if (o.mail_uid == (uid_t)-1 &&
	    conf_uid("vmail", &o.mail_uid, &own, e) < 0)
		return err_set(e, E_CONFIG, "mail_uid is not set, no userdb "
			       "names a uid, and there is no user vmail: "
			       "create one (useradd --system --shell "
			       "/usr/sbin/nologin vmail) or set mail_uid");
	if (o.mail_gid == (gid_t)-1)
		o.mail_gid = own != (gid_t)-1 ? own : (gid_t)o.mail_uid;
	if (named(c, "default_login_user", &o.login_uid, &o.login_gid, e) < 0 ||
	    named(c, "default_internal_user", &o.internal_uid, &o.internal_gid,
		  e) < 0)
		return e->code;
	if (o.mail_uid == 0 || o.mail_uid == o.login_uid ||
	    o.mail_uid == o.internal_uid)
		return err_set(e, E_CONFIG, "mail would belong to uid %ld: "
			       "that may not be root, default_login_user or "
			       "default_internal_user", (long)o.mail_uid);
	if (o.login_uid == 0 || o.internal_uid == 0)
		return err_set(e, E_CONFIG, "default_login_user and "
			       "default_internal_user may not be root");
	*out = o;
	return 0;
}
