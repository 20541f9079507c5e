#include "tests/lib/cu.h"

#include "tests/unit/auth/fake_env.h"

static const char file_a[] =
	"alice:{PLAIN}secret:5000:5001::/home/%n:/bin/sh:"
	"userdb_mail=sdbox:/mail/%n userdb_quota_rule=*:storage=1G "
	"noreplicate=y\n"
	"bob:{PLAIN}b0b:::::: user=robert\n"
	"nologin:{PLAIN}x:5000:5000:::: nologin reason=Moved\n"
	"nets:{PLAIN}x:5000:5000:::: allow_nets=192.0.2.0/24\n"
	"locked:!:5000:5000\n"
	"nopass::5000:5000\n"
	"free::5000:5000:::: nopassword\n"
	"bad:{NOPE}x:5000:5000\n"
	"evil:{PLAIN}x:5000:5000:::: user=a\x01z\n"
	"lowuid:{PLAIN}x:300:300\n"
	"named:{PLAIN}x:no-such-user:300\n";
static const char file_b[] =
	"carol:{PLAIN}c:5000:5000\n"
	"alice:{PLAIN}other:5000:5000:::: from=b\n"
	"robert:x:5000:5000::/home/robert\n"
	"Zed@EXAMPLE.org:{PLAIN}z:5000:5000\n";

struct bed {
	struct fake_env fake;
	struct auth_db_settings pdb[3], udb[3];
	struct auth_settings set;
	struct auth *auth;
	struct arena *arena;
	struct auth_peer peer;
	struct auth_result r;
	struct err e;
};

static void bed_prepare(struct bed *b)
{
	*b = (struct bed){.e = ERR_NONE};
	fake_init(&b->fake);
	fake_file(&b->fake, "/a", file_a);
	fake_file(&b->fake, "/b", file_b);
	b->arena = arena_new(2048);
	b->peer = (struct auth_peer){.service = "imap", .rip = "192.0.2.7"};
	b->pdb[0] = b->udb[0] = (struct auth_db_settings){
		.driver = "passwd-file", .args = "/a"};
	b->pdb[1] = b->udb[1] = (struct auth_db_settings){
		.driver = "passwd-file", .args = "/b"};
	b->set = (struct auth_settings){
		.mechanisms = "plain login",
		.username_format = "%Lu",
		.username_chars = "abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "01234567890.-_@",
		.passdbs = b->pdb, .n_passdbs = 1,
		.userdbs = b->udb, .n_userdbs = 1,
		.uid = {.first_valid_uid = 500, .first_valid_gid = 1,
			.mail_uid = 5000, .mail_gid = 5000,
			.own_uid = AUTH_NO_UID},
		.expand = {fake_expand, &b->fake},
		.reader = {fake_read, &b->fake},
		.clock = &b->fake.clock,
	};
}

static bool bed_start(struct bed *b)
{
	return CU_OK(auth_new(&b->set, &b->auth, &b->e), &b->e);
}

static void bed_fini(struct bed *b)
{
	auth_unref(b->auth);
	arena_free(b->arena);
}

static enum auth_verdict password(struct bed *b, const char *user,
				  const char *pass)
{
	auth_password_now(b->auth, &b->peer, slice_str(user), slice_str(pass),
			  b->arena, &b->r);
	return b->r.verdict;
}

static enum auth_verdict lookup(struct bed *b, const char *user)
{
	auth_userdb_now(b->auth, &b->peer, slice_str(user), false, b->arena,
			&b->r);
	return b->r.verdict;
}

static void verdicts_have_the_words_of_the_log(void)
{
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_OK);
	CU_EQ_STR(b.r.user, "alice");
	CU_EQ_INT(password(&b, "alice", "wrong"), AUTH_MISMATCH);
	CU_EQ_STR(b.r.e.op, "passwd-file(alice,192.0.2.7): Password mismatch");
	CU_EQ_INT(password(&b, "mallory", "x"), AUTH_UNKNOWN);
	CU_EQ_STR(b.r.e.op, "passwd-file(mallory,192.0.2.7): unknown user");
	b.peer.session = "abc";
	CU_EQ_INT(password(&b, "mallory", "x"), AUTH_UNKNOWN);
	CU_EQ_STR(b.r.e.op,
		  "passwd-file(mallory,192.0.2.7,<abc>): unknown user");
	b.peer = (struct auth_peer){.service = "lmtp"};
	CU_EQ_INT(lookup(&b, "mallory"), AUTH_UNKNOWN);
	CU_EQ_STR(b.r.e.op, "passwd-file(mallory): unknown user");
	bed_fini(&b);
}

static void names_are_made_canonical(void)
{
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "ALICE", "secret"), AUTH_OK);
	CU_EQ_STR(b.r.login, "ALICE");
	CU_EQ_STR(b.r.user, "alice");
	CU_EQ_STR(fields_get(&b.r.fields, "user"), "alice");
	/* The backend's word is the last. */
	CU_EQ_INT(password(&b, "bob", "b0b"), AUTH_OK);
	CU_EQ_STR(b.r.user, "robert");
	CU_EQ_STR(fields_get(&b.r.fields, "user"), "robert");
	bed_fini(&b);

	bed_prepare(&b);
	b.set.username_format = "%Ln";
	CU_NEED(bed_start(&b));
	CU_EQ_INT(lookup(&b, "Alice@Example.com"), AUTH_OK);
	CU_EQ_STR(b.r.user, "alice");
	CU_EQ_STR(b.r.login, "Alice@Example.com");
	bed_fini(&b);
}

static void bad_names_are_refused(void)
{
	char big[AUTH_NAME_MAX + 2];
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "ali ce", "x"), AUTH_MISMATCH);
	CU_EQ_STR(b.r.e.op, "auth(ali ce,192.0.2.7): Username character "
		  "disallowed by auth_username_chars: 0x20 "
		  "(username: ali ce)");
	CU_EQ_INT(lookup(&b, "ali\x01" "ce"), AUTH_UNKNOWN);
	CU_EQ_STR(b.r.login, "ali?ce");
	CU_EQ_INT(lookup(&b, ""), AUTH_UNKNOWN);
	CU_CLAIM(strstr(b.r.e.op, "Empty username"), "%s", b.r.e.op);
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	CU_EQ_INT(lookup(&b, big), AUTH_UNKNOWN);
	CU_CLAIM(strstr(b.r.e.op, "longer than 255"), "%s", b.r.e.op);
	CU_EQ_INT(password(&b, "evil", "x"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "field user"), "%s", b.r.e.op);
	bed_fini(&b);

	bed_prepare(&b);
	b.set.username_chars = "";
	CU_NEED(bed_start(&b));
	CU_EQ_INT(lookup(&b, "ali ce"), AUTH_UNKNOWN);
	CU_CLAIM(strstr(b.r.e.op, "unknown user"), "%s", b.r.e.op);
	CU_EQ_INT(lookup(&b, "a\nb"), AUTH_UNKNOWN);
	CU_CLAIM(strstr(b.r.e.op, "disallowed: 0x0a"), "%s", b.r.e.op);
	bed_fini(&b);
}

static void fields_of_passdb_and_their_force(void)
{
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_OK);
	CU_EQ_STR(fields_get(&b.r.fields, "userdb_mail"), "sdbox:/mail/alice");
	CU_CLAIM(fields_yes(&b.r.fields, "noreplicate"), "noreplicate");
	CU_EQ_STR(fields_get(&b.r.fields, "password"), NULL);
	CU_EQ_INT(password(&b, "nologin", "x"), AUTH_DISABLED);
	CU_EQ_STR(b.r.e.client, "Moved");
	CU_EQ_INT(password(&b, "nologin", "y"), AUTH_MISMATCH);
	CU_EQ_INT(password(&b, "nets", "x"), AUTH_OK);
	b.peer.rip = "198.51.100.1";
	CU_EQ_INT(password(&b, "nets", "x"), AUTH_MISMATCH);
	CU_CLAIM(strstr(b.r.e.op, "allow_nets check failed"), "%s", b.r.e.op);
	b.peer.rip = NULL;
	CU_EQ_INT(password(&b, "nets", "x"), AUTH_MISMATCH);
	CU_EQ_INT(password(&b, "locked", "!"), AUTH_MISMATCH);
	CU_EQ_INT(password(&b, "nopass", ""), AUTH_MISMATCH);
	CU_CLAIM(strstr(b.r.e.op, "no nopassword"), "%s", b.r.e.op);
	CU_EQ_INT(password(&b, "free", "anything"), AUTH_OK);
	CU_EQ_INT(password(&b, "bad", "x"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "Unknown scheme: NOPE"), "%s", b.r.e.op);
	bed_fini(&b);
}

static void oversized_password_is_a_mismatch(void)
{
	char big[AUTH_PASSWORD_MAX + 2];
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	CU_EQ_INT(password(&b, "free", big), AUTH_MISMATCH);
	CU_CLAIM(strstr(b.r.e.op, "too long"), "%s", b.r.e.op);
	bed_fini(&b);
}

static void passdbs_are_asked_in_turn(void)
{
	struct bed b;

	bed_prepare(&b);
	b.set.n_passdbs = 2;
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "carol", "c"), AUTH_OK);
	/* A wrong password in the first may be right in the second. */
	CU_EQ_INT(password(&b, "alice", "other"), AUTH_OK);
	CU_EQ_STR(fields_get(&b.r.fields, "from"), "b");
	CU_EQ_STR(fields_get(&b.r.fields, "noreplicate"), NULL);
	/* Known to one: a mismatch, not an unknown user. */
	CU_EQ_INT(password(&b, "bob", "x"), AUTH_MISMATCH);
	CU_EQ_INT(password(&b, "carol", "x"), AUTH_MISMATCH);
	CU_EQ_INT(password(&b, "mallory", "x"), AUTH_UNKNOWN);
	/* One out of order: the other still answers; else "later". */
	fake_file(&b.fake, "/b", NULL);
	b.fake.now += 2000000;
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_OK);
	CU_EQ_INT(password(&b, "alice", "other"), AUTH_TEMPFAIL);
	CU_EQ_INT(password(&b, "mallory", "x"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "/b"), "%s", b.r.e.op);
	bed_fini(&b);
}

static void templates_give_and_override(void)
{
	struct bed b;

	bed_prepare(&b);
	b.pdb[0].default_fields = "a=default%n noreplicate=default";
	b.pdb[0].override_fields = "userdb_mail=sdbox:/over/%n user=%n";
	b.udb[0].default_fields = "home=/default/%n quota_rule=none";
	b.udb[0].override_fields = "gid=5002 mail=sdbox:/o/%n";
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_OK);
	CU_EQ_STR(fields_get(&b.r.fields, "a"), "defaultalice");
	CU_EQ_STR(fields_get(&b.r.fields, "noreplicate"), "y");
	CU_EQ_STR(fields_get(&b.r.fields, "userdb_mail"), "sdbox:/over/alice");
	CU_EQ_INT(lookup(&b, "alice"), AUTH_OK);
	CU_EQ_U64(b.r.uid, 5000);
	CU_EQ_U64(b.r.gid, 5002);
	CU_EQ_STR(fields_get(&b.r.fields, "quota_rule"), "*:storage=1G");
	CU_EQ_STR(fields_get(&b.r.fields, "mail"), "sdbox:/o/alice");
	CU_EQ_INT(lookup(&b, "free"), AUTH_OK);
	CU_EQ_STR(b.r.home, "/default/free");
	bed_fini(&b);
}

static void password_may_come_from_a_template(void)
{
	struct bed b;

	bed_prepare(&b);
	b.pdb[0].override_fields = "password={PLAIN}master";
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "master"), AUTH_OK);
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_MISMATCH);
	bed_fini(&b);

	bed_prepare(&b);
	b.pdb[0].default_fields = "password={PLAIN}dflt";
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "dflt"), AUTH_MISMATCH);
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_OK);
	CU_EQ_INT(password(&b, "nopass", "dflt"), AUTH_OK);
	bed_fini(&b);
}

static void userdb_gives_an_account(void)
{
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	CU_EQ_INT(lookup(&b, "alice"), AUTH_OK);
	CU_EQ_U64(b.r.uid, 5000);
	CU_EQ_U64(b.r.gid, 5001);
	/* The file's own home field is taken as it stands. */
	CU_EQ_STR(b.r.home, "/home/%n");
	CU_EQ_STR(b.r.fields.v[0].name, "uid");
	CU_EQ_STR(b.r.fields.v[0].value, "5000");
	CU_EQ_STR(b.r.fields.v[1].name, "gid");
	CU_EQ_STR(b.r.fields.v[2].name, "home");
	CU_EQ_STR(fields_get(&b.r.fields, "mail"), "sdbox:/mail/alice");
	CU_EQ_STR(fields_get(&b.r.fields, "noreplicate"), NULL);
	/* No uid of its own: the node's. */
	CU_EQ_INT(lookup(&b, "bob"), AUTH_OK);
	CU_EQ_U64(b.r.uid, 5000);
	CU_EQ_STR(b.r.user, "bob");
	bed_fini(&b);
}

static void foreign_uids_are_a_temporary_failure(void)
{
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	CU_EQ_INT(lookup(&b, "lowuid"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "first_valid_uid = 500") &&
		 strstr(b.r.e.op, "UID 300"), "%s", b.r.e.op);
	CU_EQ_INT(lookup(&b, "named"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "no-such-user"), "%s", b.r.e.op);
	bed_fini(&b);
}

static void static_userdb_asks_whether_the_user_exists(void)
{
	struct bed b;

	bed_prepare(&b);
	b.udb[0] = (struct auth_db_settings){
		.driver = "static",
		.args = "uid=5000 gid=5000 home=/var/mail/%n/"};
	CU_NEED(bed_start(&b));
	CU_EQ_INT(lookup(&b, "alice"), AUTH_OK);
	CU_EQ_STR(b.r.home, "/var/mail/alice/");
	CU_EQ_INT(lookup(&b, "mallory"), AUTH_UNKNOWN);
	/* Without a password he exists all the same. */
	CU_EQ_INT(lookup(&b, "nopass"), AUTH_OK);
	/* The passdb's name for him leads to his home. */
	CU_EQ_INT(lookup(&b, "bob"), AUTH_OK);
	CU_EQ_STR(b.r.user, "robert");
	CU_EQ_STR(b.r.home, "/var/mail/robert/");
	fake_file(&b.fake, "/a", NULL);
	b.fake.now += 2000000;
	CU_EQ_INT(lookup(&b, "alice"), AUTH_TEMPFAIL);
	/* After a login nobody is asked. */
	auth_userdb_now(b.auth, &b.peer, SLICE_LIT("Mallory"), true, b.arena,
			&b.r);
	CU_EQ_INT(b.r.verdict, AUTH_OK);
	CU_EQ_STR(b.r.user, "Mallory");
	bed_fini(&b);

	bed_prepare(&b);
	b.udb[0] = (struct auth_db_settings){
		.driver = "static",
		.args = "allow_all_users=yes home=/var/mail/%n/"};
	CU_NEED(bed_start(&b));
	CU_EQ_INT(lookup(&b, "mallory"), AUTH_OK);
	CU_EQ_STR(fields_get(&b.r.fields, "allow_all_users"), NULL);
	/* A name that would leave the directory is nobody's. */
	CU_EQ_INT(lookup(&b, ".."), AUTH_UNKNOWN);
	bed_fini(&b);
}

static void static_passdb_has_one_password(void)
{
	struct bed b;

	bed_prepare(&b);
	b.pdb[0] = (struct auth_db_settings){
		.driver = "static", .args = "password=pw-%n x=%r"};
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "any", "pw-any"), AUTH_OK);
	CU_EQ_STR(fields_get(&b.r.fields, "x"), "192.0.2.7");
	CU_EQ_INT(password(&b, "any", "pw-other"), AUTH_MISMATCH);
	CU_EQ_STR(b.r.e.op, "static(any,192.0.2.7): Password mismatch");
	bed_fini(&b);

	bed_prepare(&b);
	b.pdb[0] = (struct auth_db_settings){.driver = "static",
					     .args = "nopassword=y"};
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "any", "what"), AUTH_OK);
	bed_fini(&b);

	bed_prepare(&b);
	b.pdb[0] = (struct auth_db_settings){.driver = "static"};
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "any", ""), AUTH_MISMATCH);
	bed_fini(&b);
}

static void passdb_lookup_shows_fields(void)
{
	struct bed b;

	bed_prepare(&b);
	CU_NEED(bed_start(&b));
	auth_passdb_now(b.auth, &b.peer, SLICE_LIT("alice"), b.arena, &b.r);
	CU_EQ_INT(b.r.verdict, AUTH_OK);
	CU_EQ_STR(fields_get(&b.r.fields, "password"), "{PLAIN}secret");
	CU_EQ_STR(fields_get(&b.r.fields, "user"), "alice");
	auth_passdb_now(b.auth, &b.peer, SLICE_LIT("locked"), b.arena, &b.r);
	CU_EQ_STR(fields_get(&b.r.fields, "password"), "{CRYPT}!");
	auth_passdb_now(b.auth, &b.peer, SLICE_LIT("mallory"), b.arena, &b.r);
	CU_EQ_INT(b.r.verdict, AUTH_UNKNOWN);
	bed_fini(&b);
}

static void every_user_is_listed_once(void)
{
	const char **names;
	struct bed b;
	size_t n;

	bed_prepare(&b);
	b.set.n_userdbs = 2;
	CU_NEED(bed_start(&b));
	CU_OK(auth_iterate_now(b.auth, b.arena, &names, &n, &b.e), &b.e);
	CU_NEED(n == 14);
	CU_EQ_STR(names[0], "alice");
	CU_EQ_STR(names[1], "bad");
	CU_EQ_STR(names[3], "carol");
	CU_EQ_STR(names[13], "zed@example.org");
	bed_fini(&b);

	bed_prepare(&b);
	b.udb[1] = (struct auth_db_settings){.driver = "static"};
	b.set.n_userdbs = 2;
	CU_NEED(bed_start(&b));
	CU_EQ_INT(auth_iterate_now(b.auth, b.arena, &names, &n, &b.e),
		  E_UNSUPPORTED);
	CU_EQ_U64(n, 11);
	CU_CLAIM(strstr(b.e.op, "static"), "%s", b.e.op);
	bed_fini(&b);
}

static void wrong_settings_are_named(void)
{
	static const struct {
		const char *driver, *args, *fields, *text;
	} t[] = {
		{"pam", "", "", "driver = pam is not in this build"},
		{"ldap", "/x", "", "driver = ldap"},
		{"passwd-file", "", "", "absolute path"},
		{"static", "uid=no-such-user", "", "no-such-user"},
		{"static", "", "uid=no-such-user", "override_fields: "},
		{"static", "=x", "", "args of driver static"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct bed b;

		bed_prepare(&b);
		b.udb[0] = (struct auth_db_settings){
			.driver = t[i].driver, .args = t[i].args,
			.override_fields = t[i].fields,
			.where = "/etc/x line 7"};
		CU_EQ_INT(auth_new(&b.set, &b.auth, &b.e), E_CONFIG);
		CU_CLAIM(strstr(b.e.op, t[i].text), "%s", b.e.op);
		CU_CLAIM(strstr(b.e.op, "/etc/x line 7: userdb"), "%s",
			 b.e.op);
		b.auth = NULL;
		bed_fini(&b);
	}
}

static void without_backends_nobody_is_known(void)
{
	struct bed b;

	bed_prepare(&b);
	b.set.n_passdbs = b.set.n_userdbs = 0;
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "no passdb"), "%s", b.r.e.op);
	CU_EQ_INT(lookup(&b, "alice"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "no userdb"), "%s", b.r.e.op);
	bed_fini(&b);
}

static void broken_template_is_a_temporary_failure(void)
{
	struct bed b;

	bed_prepare(&b);
	b.pdb[0].override_fields = "x=%Q";
	b.udb[0].override_fields = "x=%Q";
	CU_NEED(bed_start(&b));
	CU_EQ_INT(password(&b, "alice", "secret"), AUTH_TEMPFAIL);
	CU_CLAIM(strstr(b.r.e.op, "field x"), "%s", b.r.e.op);
	CU_EQ_INT(lookup(&b, "alice"), AUTH_TEMPFAIL);
	bed_fini(&b);
}

CU_TESTS(CU_CASE(verdicts_have_the_words_of_the_log),
	 CU_CASE(names_are_made_canonical), CU_CASE(bad_names_are_refused),
	 CU_CASE(fields_of_passdb_and_their_force),
	 CU_CASE(oversized_password_is_a_mismatch),
	 CU_CASE(passdbs_are_asked_in_turn),
	 CU_CASE(templates_give_and_override),
	 CU_CASE(password_may_come_from_a_template),
	 CU_CASE(userdb_gives_an_account),
	 CU_CASE(foreign_uids_are_a_temporary_failure),
	 CU_CASE(static_userdb_asks_whether_the_user_exists),
	 CU_CASE(static_passdb_has_one_password),
	 CU_CASE(passdb_lookup_shows_fields),
	 CU_CASE(every_user_is_listed_once), CU_CASE(wrong_settings_are_named),
	 CU_CASE(without_backends_nobody_is_known),
	 CU_CASE(broken_template_is_a_temporary_failure))
