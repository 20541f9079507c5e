#include "tests/lib/cu.h"

#include "auth/auth_env.h"

static struct auth_fields parse(struct arena *a, const char *text)
{
	struct auth_fields f = {0};
	struct err e = ERR_NONE;

	CU_OK(fields_parse(&f, a, slice_str(text), &e), &e);
	return f;
}

static void words_become_fields(void)
{
	struct arena *a = arena_new(256);
	struct auth_fields f = parse(a, "  uid=vmail\tgid=8  nopassword "
					"home=/a=b/%n empty=");

	CU_EQ_U64(f.n, 5);
	CU_EQ_STR(fields_get(&f, "uid"), "vmail");
	CU_EQ_STR(fields_get(&f, "home"), "/a=b/%n");
	CU_EQ_STR(fields_get(&f, "nopassword"), "");
	CU_EQ_STR(fields_get(&f, "empty"), "");
	CU_EQ_STR(fields_get(&f, "UID"), NULL);
	arena_free(a);
}

static void booleans_need_no_value(void)
{
	struct arena *a = arena_new(256);
	struct auth_fields f = parse(a, "a b=yes c=no d=0 e=N f=NO g=1");

	CU_CLAIM(fields_yes(&f, "a") && fields_yes(&f, "b") &&
		 fields_yes(&f, "g"), "yes");
	CU_CLAIM(!fields_yes(&f, "c") && !fields_yes(&f, "d") &&
		 !fields_yes(&f, "e") && !fields_yes(&f, "f") &&
		 !fields_yes(&f, "z"), "no");
	arena_free(a);
}

static void later_values_win_in_place(void)
{
	struct arena *a = arena_new(256);
	struct auth_fields f = parse(a, "a=1 b=2 a=3");

	CU_EQ_U64(f.n, 2);
	CU_EQ_STR(f.v[0].value, "3");
	fields_remove(&f, "a");
	fields_remove(&f, "nothing");
	CU_EQ_U64(f.n, 1);
	CU_EQ_STR(f.v[0].name, "b");
	arena_free(a);
}

static void count_is_limited(void)
{
	struct arena *a = arena_new(4096);
	struct auth_fields f = {0};
	struct err e = ERR_NONE;

	for (int i = 0; i < FIELDS_MAX; i++)
		CU_OK(fields_set(&f, a, arena_printf(a, "f%d", i), "", &e),
		      &e);
	CU_EQ_INT(fields_set(&f, a, "more", "", &e), E_LIMIT);
	CU_EQ_INT(fields_set(&f, a, "f7", "new", &e), 0);
	CU_EQ_STR(fields_get(&f, "f7"), "new");
	CU_EQ_INT(fields_parse(&f, a, SLICE_LIT("=x"), &e), E_INVALID);
	arena_free(a);
}

static void networks_match(void)
{
	static const struct {
		const char *nets, *ip;
		bool match;
	} t[] = {
		{"192.0.2.7", "192.0.2.7", true},
		{"192.0.2.7", "192.0.2.8", false},
		{"192.0.2.0/24", "192.0.2.200", true},
		{"192.0.2.0/24", "192.0.3.1", false},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"192.0.2.128/25", "192.0.2.129", true},
		{"0.0.0.0/0", "198.51.100.1", true},
		{"0.0.0.0/0", "2001:db8::1", false},
		{"::/0", "2001:db8::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
		{"2001:db8::/32", "2001:db8:8000::1", true},
		{"10.0.0.0/8, 2001:db8::1", "2001:db8::1", true},
		{"192.0.2.7", "::ffff:192.0.2.7", true},
		{"local", "", true},
		{"local", "127.0.0.1", false},
		{"127.0.0.1", "", false},
		{"127.0.0.1,local", NULL, true},
		{"", "127.0.0.1", false},
		{"127.0.0.1/33", "127.0.0.1", false},
		{"127.0.0.1/", "127.0.0.1", false},
		{"127.0.0.1/x", "127.0.0.1", false},
		{"junk,,127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "junk", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		CU_CLAIM(auth_nets_match(t[i].nets, t[i].ip) == t[i].match,
			 "'%s' '%s'", t[i].nets, t[i].ip ? t[i].ip : "NULL");
}

static void numbers_and_names_resolve(void)
{
	struct err e = ERR_NONE;
	uint32_t id = 7, primary = 7;

	CU_EQ_INT(auth_resolve_uid("5000", &id, &primary, &e), 0);
	CU_EQ_U64(id, 5000);
	CU_EQ_U64(primary, AUTH_NO_UID);
	CU_EQ_INT(auth_resolve_uid("root", &id, &primary, &e), 0);
	CU_EQ_U64(id, 0);
	CU_EQ_U64(primary, 0);
	CU_EQ_INT(auth_resolve_gid("root", &id, &e), 0);
	CU_EQ_U64(id, 0);
	CU_EQ_INT(auth_resolve_uid("no-such-user", &id, NULL, &e),
		  E_NOTFOUND);
	CU_CLAIM(strstr(e.op, "no-such-user"), "%s", e.op);
	/* -1 in 32 bits means "none" and is no uid. */
	CU_CLAIM(auth_resolve_uid("4294967295", &id, NULL, &e) < 0, "-1");
	CU_CLAIM(auth_resolve_gid("-1", &id, &e) < 0, "-1");
}

CU_TESTS(CU_CASE(words_become_fields), CU_CASE(booleans_need_no_value),
	 CU_CASE(later_values_win_in_place), CU_CASE(count_is_limited),
	 CU_CASE(networks_match), CU_CASE(numbers_and_names_resolve))
