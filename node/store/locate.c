/* Where an account lies: userdb's `mail`, else mail_location, expanded. */

#include "node/store/store_role.h"
#include "node/base/arena.h"
#include "node/config/conf_vars.h"

#include <stdlib.h>

struct fields {
	const struct ipc_field *v;
	size_t n;
};

static const char *value(const struct fields *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->v[i].name, name) == 0)
			return f->v[i].value;
	return NULL;
}

static const char *lookup(void *arg, const char *kind, const char *name)
{
	return strcmp(kind, "userdb") == 0 ? value(arg, name) : NULL;
}

/* Rule 10: one owner of all mail.  auth has compared with mail_uid already;
 * this is what the process really is. */
static int check_uid(struct store_node *n, const char *user,
		     const struct fields *f, struct err *e)
{
	const char *uid = value(f, "uid");
	uint32_t u;

	if (!uid || !n->role->root_start ||
	    slice_u32(slice_str(uid), &u) < 0 || u == n->role->mail_uid)
		return 0;
	return err_set(e, E_CONFIG, "userdb gives %s uid %s, but all mail of "
		       "this node belongs to uid %ld (mail_uid)", user, uid,
		       (long)n->role->mail_uid);
}

int locate(struct store_node *n, const char *user, const char *home,
	   const struct ipc_field *fields, size_t n_fields, struct arena *a,
	   struct place *out, struct err *e)
{
	struct conf *c = store_conf_of(n->conf);
	struct fields f = {fields, n_fields};
	struct conf_override *over =
		arena_zalloc(a, (n_fields + 1) * sizeof(*over));
	struct conf_ctx ctx = {.over = over, .n_over = n_fields};
	struct conf_vars v = {.user = user, .uid = (unsigned)-1,
			      .field = lookup, .arg = &f};
	const char *mail = value(&f, "mail");
	struct conf_location loc;
	char *path;

	for (size_t i = 0; i < n_fields; i++)
		over[i] = (struct conf_override){fields[i].name,
						 fields[i].value};
	if (check_uid(n, user, &f, e) < 0)
		return e->code;
	if (!home || !*home) {
		const char *tmpl = conf_str(c, &ctx, "mail_home");

		if (*tmpl && conf_expand_path(tmpl, &v, a, &path, e) < 0) {
			err_prefix(e, "mail_home of %s", user);
			return e->code;
		}
		home = *tmpl ? path : "";
	}
	v.home = *home ? home : NULL;
	if (!mail || !*mail)
		mail = conf_str(c, &ctx, "mail_location");
	if (conf_location_parse(mail, a, &loc, e) < 0 ||
	    conf_expand_path(loc.path, &v, a, &path, e) < 0) {
		err_prefix(e, "mail location of %s", user);
		return e->code;
	}
	out->root = path;
	out->home = home;
	return 0;
}
