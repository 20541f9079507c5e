#include "tests/lib/cu.h"

#include "auth/auth.h"

static const struct auth_uid_rules rules = {
	.first_valid_uid = 500,
	.last_valid_uid = 0,
	.first_valid_gid = 1,
	.last_valid_gid = 0,
	.mail_uid = AUTH_NO_UID,
	.mail_gid = AUTH_NO_UID,
	.own_uid = AUTH_NO_UID,
};

static int check(const struct auth_uid_rules *r, uint32_t uid, uint32_t gid,
		 struct err *e)
{
	*e = ERR_NONE;
	return auth_check_uid(r, "alice", &uid, &gid, e);
}

static void first_valid_uid_is_named_with_value_and_uid(void)
{
	struct err e;

	CU_EQ_INT(check(&rules, 499, 499, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "first_valid_uid = 500"), "%s", e.op);
	CU_CLAIM(strstr(e.op, "UID 499"), "%s", e.op);
	CU_CLAIM(strstr(e.op, "alice"), "%s", e.op);
	CU_EQ_INT(check(&rules, 500, 500, &e), 0);
}

static void last_valid_uid_counts_if_set(void)
{
	struct auth_uid_rules r = rules;
	struct err e;

	CU_EQ_INT(check(&r, 4000000000u, 1, &e), 0);
	r.last_valid_uid = 1000;
	CU_EQ_INT(check(&r, 1000, 1, &e), 0);
	CU_EQ_INT(check(&r, 1001, 1, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "last_valid_uid = 1000"), "%s", e.op);
}

static void groups_have_a_range_too(void)
{
	struct auth_uid_rules r = rules;
	struct err e;

	CU_EQ_INT(check(&r, 5000, 0, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "first_valid_gid = 1"), "%s", e.op);
	r.last_valid_gid = 100;
	CU_EQ_INT(check(&r, 5000, 101, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "last_valid_gid = 100"), "%s", e.op);
	CU_EQ_INT(check(&r, 5000, 100, &e), 0);
}

static void root_never_logs_in(void)
{
	struct auth_uid_rules r = rules;
	struct err e;

	r.first_valid_uid = 0;
	CU_EQ_INT(check(&r, 0, 5, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "UID 0"), "%s", e.op);
	r.mail_uid = 0;
	CU_EQ_INT(check(&r, AUTH_NO_UID, 5, &e), E_PERM);
}

static void one_uid_owns_all_mail(void)
{
	struct auth_uid_rules r = rules;
	uint32_t uid = AUTH_NO_UID, gid = AUTH_NO_UID;
	struct err e = ERR_NONE;

	r.mail_uid = 5000;
	r.mail_gid = 5001;
	CU_EQ_INT(auth_check_uid(&r, "alice", &uid, &gid, &e), 0);
	CU_EQ_U64(uid, 5000);
	CU_EQ_U64(gid, 5001);
	CU_EQ_INT(check(&r, 5000, 6000, &e), 0);
	CU_EQ_INT(check(&r, 1000, 1000, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "1000") && strstr(e.op, "5000") &&
		 strstr(e.op, "mail_uid"), "%s", e.op);
	r.mail_uid = AUTH_NO_UID;
	r.own_uid = 7000;
	CU_EQ_INT(check(&r, 1000, 1000, &e), E_PERM);
	CU_CLAIM(strstr(e.op, "7000"), "%s", e.op);
	CU_EQ_INT(check(&r, 7000, 1000, &e), 0);
}

static void no_uid_anywhere_is_an_error(void)
{
	struct err e;

	CU_EQ_INT(check(&rules, AUTH_NO_UID, AUTH_NO_UID, &e), E_CONFIG);
	CU_CLAIM(strstr(e.op, "mail_uid"), "%s", e.op);
	/* A group is not needed. */
	CU_EQ_INT(check(&rules, 5000, AUTH_NO_UID, &e), 0);
}

CU_TESTS(CU_CASE(first_valid_uid_is_named_with_value_and_uid),
	 CU_CASE(last_valid_uid_counts_if_set),
	 CU_CASE(groups_have_a_range_too), CU_CASE(root_never_logs_in),
	 CU_CASE(one_uid_owns_all_mail), CU_CASE(no_uid_anywhere_is_an_error))
