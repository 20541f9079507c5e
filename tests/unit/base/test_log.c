#include "tests/lib/cu.h"
#include "node/base/buf.h"
#include "node/base/fsio.h"
#include "node/base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct files {
	char root[64], err[96], info[96];
	struct fsio *f;
};

static void setup(struct files *t)
{
	cu_dir(t->root, sizeof(t->root));
	snprintf(t->err, sizeof(t->err), "%s/err", t->root);
	snprintf(t->info, sizeof(t->info), "%s/info", t->root);
	t->f = fsio_system(NULL);
}

static void teardown(struct files *t)
{
	fsio_remove_tree(t->f, t->root);
	fsio_system_free(t->f);
}

static void file_is(struct files *t, const char *path, const char *want)
{
	struct buf b;

	buf_init(&b, 100000);
	CU_EQ_INT(fsio_read_file(t->f, path, 100000, &b), 0);
	CU_EQ_TEXT(buf_all(&b), want);
	buf_fini(&b);
}

static void levels_go_to_their_files_in_dovecots_form(void)
{
	struct files t;
	struct log_opts o = {.ident = "duet", .role = "lmtp", .timestamp = "T "};
	struct log *l;

	setup(&t);
	o.log_path = t.err;
	o.info_log_path = t.info;
	l = log_new(&o);
	log_event(l, LOG_INF, "delivered", "alice", "saved to %s", "INBOX");
	log_event(l, LOG_WARN, "odd", NULL, "ignoring it");
	log_event(l, LOG_ERR, "bad", "bob", "it failed");
	log_event(l, LOG_DBG, "debug", "bob", "not shown");
	log_set_debug(l, true);
	log_event(l, LOG_DBG, "debug", "bob", "shown");
	log_raw(l, LOG_INF, "login", "alice", "imap-login: Login: user=<alice>");
	log_free(l);
	file_is(&t, t.err, "T duet: lmtp: Warning: ignoring it\n"
			   "T duet: lmtp(bob): Error: it failed\n");
	file_is(&t, t.info, "T duet: lmtp(alice): Info: saved to INBOX\n"
			    "T duet: lmtp(bob): Debug: shown\n"
			    "T duet: imap-login: Login: user=<alice>\n");
	teardown(&t);
}

static void a_client_cannot_write_lines_of_its_own(void)
{
	struct files t;
	struct log_opts o = {.ident = "duet", .role = "imap", .timestamp = "T "};
	struct log *l;

	setup(&t);
	o.log_path = t.err;
	l = log_new(&o);
	log_event(l, LOG_INF, "x", "ev\nil", "a\r\nT duet: b\x1b[0m\tc\x7f");
	log_raw(l, LOG_INF, "x", NULL, "imap-login: \nT duet: fake");
	log_free(l);
	file_is(&t, t.err, "T duet: imap(ev?il): Info: a??T duet: b?[0m?c?\n"
			   "T duet: imap-login: ?T duet: fake\n");
	teardown(&t);
}

static void reopening_writes_to_a_new_file_of_the_same_name(void)
{
	struct files t;
	struct log_opts o = {.role = "x", .timestamp = "T "};
	struct log *l;

	setup(&t);
	o.log_path = t.err;
	l = log_new(&o);
	log_event(l, LOG_INF, "x", NULL, "one");
	CU_EQ_INT(rename(t.err, t.info), 0);
	log_event(l, LOG_INF, "x", NULL, "two");
	log_reopen(l);
	log_event(l, LOG_INF, "x", NULL, "three");
	log_free(l);
	file_is(&t, t.info, "T duet: x: Info: one\nT duet: x: Info: two\n");
	file_is(&t, t.err, "T duet: x: Info: three\n");
	teardown(&t);
}

static void a_descriptor_can_be_passed_down(void)
{
	struct files t;
	struct log_opts o = {.role = "x", .timestamp = "T "};
	char path[32];
	struct log *l;
	int fd;

	setup(&t);
	fd = open(t.err, O_WRONLY | O_CREAT | O_APPEND, 0600);
	snprintf(path, sizeof(path), "fd:%d", fd);
	o.log_path = path;
	l = log_new(&o);
	log_event(l, LOG_INF, "x", NULL, "one");
	log_reopen(l);
	log_event(l, LOG_INF, "x", NULL, "two");
	log_free(l);
	CU_EQ_INT(close(fd), 0);
	file_is(&t, t.err, "T duet: x: Info: one\nT duet: x: Info: two\n");
	teardown(&t);
}

struct caught {
	enum log_level level;
	char line[16000];
};

static void catch(void *arg, enum log_level level, const char *line)
{
	struct caught *c = arg;

	c->level = level;
	snprintf(c->line, sizeof(c->line), "%s", line);
}

static void endless_lines_are_cut(void)
{
	struct log_opts o = {.role = "x", .log_path = "/dev/stderr"};
	static struct caught c;
	static char big[20000];
	struct log *l = log_new(&o);

	memset(big, 'b', sizeof(big) - 1);
	log_capture(l, catch, &c);
	log_event(l, LOG_FATAL, "x", NULL, "%s", big);
	CU_EQ_INT(c.level, LOG_FATAL);
	CU_ASSERT(strncmp(c.line, "x: Fatal: bbb", 13) == 0);
	CU_CLAIM(strlen(c.line) > 6000 && strlen(c.line) < 8000, "%zu",
		 strlen(c.line));
	log_raw(l, LOG_INF, "x", NULL, big);
	CU_CLAIM(strlen(c.line) > 6000 && strlen(c.line) < 8000, "%zu",
		 strlen(c.line));
	/* The journal's form has no word for what is as it should be. */
	log_event(l, LOG_INF, "x", "u", "fine");
	CU_EQ_STR(c.line, "x(u): fine");
	log_free(l);
	log_free(NULL);
}

CU_TESTS(CU_CASE(levels_go_to_their_files_in_dovecots_form),
	 CU_CASE(a_client_cannot_write_lines_of_its_own),
	 CU_CASE(reopening_writes_to_a_new_file_of_the_same_name),
	 CU_CASE(a_descriptor_can_be_passed_down), CU_CASE(endless_lines_are_cut))
