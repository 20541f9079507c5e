#include "auth/auth.h"

/* Guide G4 and rule 10: the uid after override_fields decides. */

static int not_permitted(const char *kind, uint32_t id, const char *setting,
			 uint32_t value, const char *user, struct err *e)
{
	return err_set(e, E_PERM, "Mail access for users with %s %u not "
		       "permitted (see %s = %u in config file, %s of user %s "
		       "from userdb lookup)", kind, id, setting, value, kind,
		       user);
}

static int check_range(const char *kind, uint32_t id, uint32_t first,
		       uint32_t last, const char *user, struct err *e)
{
	bool is_uid = kind[0] == 'U';

	if (id < first)
		return not_permitted(kind, id, is_uid ? "first_valid_uid"
						      : "first_valid_gid",
				     first, user, e);
	if (last && id > last)
		return not_permitted(kind, id, is_uid ? "last_valid_uid"
						      : "last_valid_gid",
				     last, user, e);
	return 0;
}

static int check_owner(const struct auth_uid_rules *r, const char *user,
		       uint32_t uid, struct err *e)
{
	bool fixed = r->mail_uid != AUTH_NO_UID;
	uint32_t owner = fixed ? r->mail_uid : r->own_uid;

	if (owner == AUTH_NO_UID || uid == owner)
		return 0;
	return err_set(e, E_PERM, "userdb gives user %s the uid %u, but all "
		       "mail of this node belongs to uid %u (%s); let userdb "
		       "return that uid, or none", user, uid, owner,
		       fixed ? "mail_uid" : "of the store processes");
}

int auth_check_uid(const struct auth_uid_rules *r, const char *user,
		   uint32_t *uid, uint32_t *gid, struct err *e)
{
	uint32_t u = *uid, g = *gid;
	int c;

	if (u == AUTH_NO_UID)
		u = r->mail_uid != AUTH_NO_UID ? r->mail_uid : r->own_uid;
	if (u == AUTH_NO_UID)
		return err_set(e, E_CONFIG, "User %s is missing UID (see "
			       "mail_uid setting)", user);
	if (g == AUTH_NO_UID)
		g = r->mail_gid;
	if (u == 0)
		return err_set(e, E_PERM, "Mail access for users with UID 0 "
			       "not permitted, whatever first_valid_uid = %u "
			       "says (UID of user %s from userdb lookup)",
			       r->first_valid_uid, user);
	c = check_range("UID", u, r->first_valid_uid, r->last_valid_uid, user,
			e);
	if (c == 0 && g != AUTH_NO_UID)
		c = check_range("GID", g, r->first_valid_gid,
				r->last_valid_gid, user, e);
	if (c == 0)
		c = check_owner(r, user, u, e);
	if (c < 0)
		return c;
	*uid = u;
	*gid = g;
	return 0;
}
