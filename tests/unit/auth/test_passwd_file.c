#include "tests/lib/cu.h"

#include <fcntl.h>
#include <unistd.h>

#include "auth/passwd_file.h"
#include "tests/unit/auth/fake_env.h"

static const char users[] =
	"# a comment\n"
	"\n"
	"alice:{PLAIN}secret:5000:5001:A. Lice:/home/alice:/bin/sh:"
	"userdb_mail=sdbox:~/m allow_nets=::1\n"
	"bob:pw\r\n"
	"carol\n"
	"alice:second:1:1\n"
	":nobody:1:1\n"
	"#dave:x\n"
	"erin::6000:::/e:";

static void lines_are_taken_apart(void)
{
	struct passwd_text *t = passwd_text_new(slice_str(users));
	struct passwd_entry x;

	CU_EQ_U64(passwd_text_count(t), 4);
	CU_NEED(passwd_text_find(t, SLICE_LIT("alice"), &x));
	CU_EQ_TEXT(x.password, "{PLAIN}secret");
	CU_EQ_TEXT(x.uid, "5000");
	CU_EQ_TEXT(x.gid, "5001");
	CU_EQ_TEXT(x.home, "/home/alice");
	CU_EQ_TEXT(x.extra, "userdb_mail=sdbox:~/m allow_nets=::1");
	CU_NEED(passwd_text_find(t, SLICE_LIT("bob"), &x));
	CU_EQ_TEXT(x.password, "pw");
	CU_EQ_TEXT(x.uid, "");
	CU_NEED(passwd_text_find(t, SLICE_LIT("carol"), &x));
	CU_EQ_TEXT(x.password, "");
	CU_NEED(passwd_text_find(t, SLICE_LIT("erin"), &x));
	CU_EQ_TEXT(x.uid, "6000");
	CU_EQ_TEXT(x.home, "/e");
	CU_EQ_TEXT(passwd_text_user(t, 3), "erin");
	passwd_text_free(t);
}

static void only_whole_names_are_found(void)
{
	struct passwd_text *t = passwd_text_new(slice_str(users));
	static const char *const none[] = {"", "ali", "alice:", "Alice", "dave",
					   "#dave", "nobody", "# a comment"};
	struct passwd_entry x;

	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		CU_CLAIM(!passwd_text_find(t, slice_str(none[i]), &x), "%s",
			 none[i]);
	passwd_text_free(t);
}

static void odd_files_are_no_users(void)
{
	struct passwd_text *t = passwd_text_new(SLICE_NONE);
	char *big = xmalloc(PASSWD_LINE_MAX + 100);
	struct passwd_entry x;

	CU_EQ_U64(passwd_text_count(t), 0);
	passwd_text_free(t);
	memset(big, 'a', PASSWD_LINE_MAX + 90);
	memcpy(big + PASSWD_LINE_MAX + 90, "\nb:x\nc\0:x", 9);
	t = passwd_text_new(slice_of(big, PASSWD_LINE_MAX + 99));
	CU_EQ_U64(passwd_text_count(t), 1);
	CU_CLAIM(passwd_text_find(t, SLICE_LIT("b"), &x), "b");
	passwd_text_free(t);
	free(big);
}

/* One block with its surroundings. */
struct bed {
	struct fake_env fake;
	struct auth_env env;
	struct passwd_file *file;
	struct arena *arena;
	struct passwd_entry entry;
	struct err e;
};

static bool bed_init(struct bed *b, const char *args)
{
	fake_init(&b->fake);
	b->env = fake_auth_env(&b->fake);
	b->arena = arena_new(1024);
	b->e = ERR_NONE;
	b->file = NULL;
	return CU_OK(passwd_file_new(args, &b->env, &b->file, &b->e), &b->e);
}

static void bed_fini(struct bed *b)
{
	passwd_file_free(b->file);
	arena_free(b->arena);
}

static int find(struct bed *b, const char *user)
{
	struct auth_peer peer = {.service = "imap"};
	struct auth_query q = {&peer, user, b->arena};

	return passwd_file_find(b->file, &q, &b->entry, &b->e);
}

static void args_are_read(void)
{
	struct bed b;
	struct passwd_file *f;

	CU_NEED(bed_init(&b, "scheme=SHA512-CRYPT username_format=%n "
			     "/etc/my users"));
	CU_EQ_STR(passwd_file_scheme(b.file), "SHA512-CRYPT");
	fake_file(&b.fake, "/etc/my users", "alice:x\n");
	CU_EQ_INT(find(&b, "alice@example.com"), 1);
	bed_fini(&b);
	CU_EQ_INT(passwd_file_new("", &b.env, &f, &b.e), E_CONFIG);
	CU_EQ_INT(passwd_file_new("scheme=PLAIN", &b.env, &f, &b.e), E_CONFIG);
	CU_EQ_INT(passwd_file_new("users", &b.env, &f, &b.e), E_CONFIG);
}

static void changes_are_seen_within_a_second(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "/u"));
	fake_file(&b.fake, "/u", "alice:one\n");
	CU_EQ_INT(find(&b, "alice"), 1);
	CU_EQ_TEXT(b.entry.password, "one");
	fake_file(&b.fake, "/u", "alice:two\n");
	b.fake.now += 999999;
	CU_EQ_INT(find(&b, "alice"), 1);
	CU_EQ_TEXT(b.entry.password, "one");
	CU_EQ_INT(b.fake.asks, 1);
	b.fake.now += 1;
	CU_EQ_INT(find(&b, "alice"), 1);
	CU_EQ_TEXT(b.entry.password, "two");
	/* Not changed: asked, not read. */
	b.fake.now += 1000000;
	CU_EQ_INT(find(&b, "alice"), 1);
	CU_EQ_INT(b.fake.asks, 3);
	CU_EQ_INT(b.fake.reads, 2);
	bed_fini(&b);
}

static void a_file_gone_is_a_failure_until_it_is_back(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "/u"));
	CU_EQ_INT(find(&b, "alice"), -ENOENT);
	CU_EQ_STR(b.e.op, "open(/u) failed: No such file or directory");
	/* Failures are not asked for again and again either. */
	CU_EQ_INT(find(&b, "alice"), -ENOENT);
	CU_EQ_INT(b.fake.asks, 1);
	fake_file(&b.fake, "/u", "alice:one\n");
	b.fake.now += PASSWD_CHECK_USEC;
	CU_EQ_INT(find(&b, "alice"), 1);
	b.fake.now += PASSWD_CHECK_USEC;
	b.fake.fail = -EACCES;
	CU_EQ_INT(find(&b, "alice"), -EACCES);
	b.fake.now += PASSWD_CHECK_USEC;
	b.fake.fail = 0;
	CU_EQ_INT(find(&b, "alice"), 1);
	bed_fini(&b);
}

static void paths_with_variables_are_safe(void)
{
	struct bed b;

	CU_NEED(bed_init(&b, "username_format=%n /d/%d/users"));
	fake_file(&b.fake, "/d/a.example/users", "alice:a\n");
	fake_file(&b.fake, "/d/b.example/users", "alice:b\n");
	fake_file(&b.fake, "/d/../users", "alice:c\n");
	CU_EQ_INT(find(&b, "alice@b.example"), 1);
	CU_EQ_TEXT(b.entry.password, "b");
	CU_EQ_INT(find(&b, "alice@a.example"), 1);
	CU_EQ_TEXT(b.entry.password, "a");
	CU_EQ_INT(find(&b, "alice@c.example"), 0);
	CU_EQ_INT(find(&b, "alice@.."), 0);
	CU_EQ_INT(find(&b, "alice@x/y"), 0);
	CU_EQ_INT(find(&b, "alice"), 0);
	CU_EQ_INT(passwd_file_each(b.file, NULL, NULL, &b.e), E_UNSUPPORTED);
	bed_fini(&b);
}

static void many_files_do_not_pile_up(void)
{
	static char paths[FAKE_FILES][32], names[FAKE_FILES][32];
	struct bed b;

	CU_NEED(bed_init(&b, "username_format=%n /d/%d"));
	for (size_t i = 0; i < FAKE_FILES; i++) {
		snprintf(paths[i], sizeof(paths[i]), "/d/x%zu", i);
		snprintf(names[i], sizeof(names[i]), "a@x%zu", i);
		fake_file(&b.fake, paths[i], "a:1\n");
		b.fake.now++;
		CU_EQ_INT(find(&b, names[i]), 1);
	}
	/* The last are kept, the first made room. */
	CU_EQ_INT(b.fake.reads, FAKE_FILES);
	CU_EQ_INT(find(&b, names[FAKE_FILES - 1]), 1);
	CU_EQ_INT(b.fake.reads, FAKE_FILES);
	CU_EQ_INT(find(&b, names[0]), 1);
	CU_EQ_INT(b.fake.reads, FAKE_FILES + 1);
	bed_fini(&b);
}

static void real_files_are_read_when_they_change(void)
{
	char dir[CU_DIR_SIZE], path[CU_DIR_SIZE + 8];
	int fd;
	struct auth_stamp stamp = {0};
	struct err e = ERR_NONE;
	struct buf b;

	cu_dir(dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/users", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CU_NEED(fd >= 0);
	buf_init(&b, PASSWD_FILE_MAX);
	CU_EQ_INT(write(fd, "alice:x\n", 8), 8);
	CU_EQ_INT(auth_read_file(NULL, path, &stamp, &b, &e), 1);
	CU_EQ_TEXT(buf_all(&b), "alice:x\n");
	CU_EQ_INT(auth_read_file(NULL, path, &stamp, &b, &e), 0);
	CU_EQ_INT(write(fd, "bob:y\n", 6), 6);
	buf_reset(&b);
	CU_EQ_INT(auth_read_file(NULL, path, &stamp, &b, &e), 1);
	CU_EQ_TEXT(buf_all(&b), "alice:x\nbob:y\n");
	close(fd);
	unlink(path);
	CU_EQ_INT(auth_read_file(NULL, path, &stamp, &b, &e), -ENOENT);
	CU_CLAIM(strstr(e.op, path), "%s", e.op);
	CU_CLAIM(auth_read_file(NULL, dir, &stamp, &b, &e) < 0, "%s", dir);
	rmdir(dir);
	buf_fini(&b);
}

CU_TESTS(CU_CASE(lines_are_taken_apart), CU_CASE(only_whole_names_are_found),
	 CU_CASE(odd_files_are_no_users), CU_CASE(args_are_read),
	 CU_CASE(changes_are_seen_within_a_second),
	 CU_CASE(a_file_gone_is_a_failure_until_it_is_back),
	 CU_CASE(paths_with_variables_are_safe),
	 CU_CASE(many_files_do_not_pile_up),
	 CU_CASE(real_files_are_read_when_they_change))
