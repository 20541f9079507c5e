/* From the configuration to the settings of auth/auth.h. */

#include "node/auth_role.h"
#include "node/base/buf.h"
#include "node/config/conf_vars.h"

#include <stdlib.h>
#include <unistd.h>

struct field_source {
	const struct auth_fields *fields;
};

static const char *field(void *arg, const char *kind, const char *name)
{
	const struct field_source *s = arg;

	(void)kind;
	return s->fields ? fields_get(s->fields, name) : NULL;
}

static void vars_of(const struct auth_vars *v, struct field_source *src,
		    struct conf_vars *out)
{
	const struct auth_peer *p = v->peer;

	*out = (struct conf_vars){
		.user = v->user, .home = v->home, .uid = (unsigned)-1,
		.field = field, .arg = src,
	};
	if (p) {
		out->service = p->service;
		out->rip = p->rip;
		out->lip = p->lip;
		out->rport = p->rport;
		out->lport = p->lport;
		out->session = p->session;
	}
}

static int expand(void *arg, const char *text, const struct auth_vars *v,
		  bool path, struct buf *out, struct err *e)
{
	struct field_source src = {.fields = v->fields};
	struct conf_vars cv;

	(void)arg;
	vars_of(v, &src, &cv);
	return conf_expand(text, &cv, path ? CONF_VARS_PATH : 0, out, e);
}

static struct auth_db_settings *dbs_of(const struct conf *c, const char *kind,
				       struct arena *a, size_t *n)
{
	struct auth_db_settings *out;
	struct conf_db *dbs;

	conf_dbs(c, kind, a, &dbs, n);
	out = arena_zalloc(a, (*n + 1) * sizeof(*out));
	for (size_t i = 0; i < *n; i++)
		out[i] = (struct auth_db_settings){
			.driver = dbs[i].driver, .args = dbs[i].args,
			.default_fields = dbs[i].default_fields,
			.override_fields = dbs[i].override_fields,
			.where = dbs[i].where,
		};
	return out;
}

static uint32_t own_uid(const struct role *r)
{
	return r->mail_uid;
}

int auth_conf_new(struct auth_state *st, struct conf *c, struct auth **out,
		  struct err *e)
{
	struct arena *a = arena_new(4096);
	uid_t uid;
	gid_t gid;
	struct auth_settings s = {
		.mechanisms = conf_str(c, NULL, "auth_mechanisms"),
		.username_format = conf_str(c, NULL, "auth_username_format"),
		.username_chars = conf_str(c, NULL, "auth_username_chars"),
		.default_scheme = "CRYPT",
		.expand = {expand, NULL},
		.reader = {auth_files_read, st->files},
	};
	int r = conf_mail_owner(c, &uid, &gid, e);

	if (r == 0) {
		s.passdbs = dbs_of(c, "passdb", a, &s.n_passdbs);
		s.userdbs = dbs_of(c, "userdb", a, &s.n_userdbs);
		s.uid = (struct auth_uid_rules){
			.first_valid_uid = (uint32_t)conf_u64(
				c, NULL, "first_valid_uid"),
			.last_valid_uid = (uint32_t)conf_u64(
				c, NULL, "last_valid_uid"),
			.first_valid_gid = (uint32_t)conf_u64(
				c, NULL, "first_valid_gid"),
			.last_valid_gid = (uint32_t)conf_u64(
				c, NULL, "last_valid_gid"),
			.mail_uid = uid, .mail_gid = gid,
			.own_uid = own_uid(st->role),
		};
		r = auth_new(&s, out, e);
	}
	arena_free(a);
	return r;
}

int auth_conf_location(const struct conf *c, const struct auth_result *r,
		       const struct auth_peer *peer, struct arena *a,
		       const char **out, struct err *e)
{
	const char *mail = fields_get(&r->fields, "mail");
	struct auth_vars v = {.user = r->user, .home = r->home, .peer = peer,
			      .fields = &r->fields};
	struct buf b;
	int rc;

	if (!mail || !*mail)
		mail = conf_str(c, NULL, "mail_location");
	buf_init(&b, CONF_VARS_MAX);
	rc = expand(NULL, mail, &v, true, &b, e);
	if (rc >= 0)
		*out = arena_strndup(a, b.p ? b.p : (const uint8_t *)"", b.n);
	buf_fini(&b);
	return rc < 0 ? rc : 0;
}
