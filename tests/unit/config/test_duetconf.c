/* The program duetconf: options, exit codes, check, default-tree.  Skipped
 * where it has not been built. */

#include "tests/unit/config/conf_test.h"

#include <sys/wait.h>

/* Runs duetconf with up to six arguments; output and errors together. */
static char *run(int *status, const char *const *args)
{
	const char *dir = getenv("BUILDDIR");
	AUTO_FREE char *path = xprintf("%s/duetconf", dir ? dir : ".");
	const char *argv[8] = {"duetconf"};
	int fds[2];
	struct buf b;
	uint8_t *room;
	ssize_t n;
	pid_t pid;
	char *s;

	for (size_t i = 0; i < 6 && args[i]; i++)
		argv[i + 1] = args[i];
	if (access(path, X_OK) < 0)
		return NULL;
	if (pipe(fds) < 0)
		return NULL;
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		close(fds[0]);
		execv(path, (char *const *)argv);
		_exit(127);
	}
	close(fds[1]);
	buf_init(&b, 8u << 20);
	while ((room = buf_room(&b, 4096)) &&
	       (n = read(fds[0], room, 4096)) > 0)
		buf_commit(&b, (size_t)n);
	close(fds[0]);
	waitpid(pid, status, 0);
	*status = WIFEXITED(*status) ? WEXITSTATUS(*status) : -1;
	s = xstrndup(b.n ? (void *)b.p : "", b.n);
	buf_fini(&b);
	return s;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool built(void)
{
	int status;
	AUTO_FREE char *s = run(&status, ARGS("--version"));

	if (!s)
		fprintf(stderr, "SKIPPED: duetconf is not built\n");
	return s != NULL;
}

/* want: a part of the output; "=x": all of it. */
static void claim_run(const char *const *args, int code, const char *want)
{
	int status = -1;
	AUTO_FREE char *s = run(&status, args);

	CU_NEED(s != NULL);
	CU_CLAIM(status == code, "%s %s: exit %d, want %d: %s", args[0],
		 args[1] ? args[1] : "", status, code, s);
	if (want[0] == '=')
		CU_EQ_STR(s, want + 1);
	else
		CU_CLAIM(strstr(s, want) != NULL, "'%s' is not in: %s", want,
			 s);
}

static void options_do_what_doveconfs_do(void)
{
	char *dir = tree_new();
	AUTO_FREE char *good = tree_write(
		dir, "good.conf",
		CLEAN "doveadm_password = geheim12\n"
		      "protocol imap {\n mail_debug = yes\n}\n",
		0600);
	AUTO_FREE char *bad = tree_write(dir, "bad.conf", "mail_nfs_index = y\n"
				 "lmtp_proxy = yes\n", 0600);
	AUTO_FREE char *broken =
		tree_write(dir, "broken.conf", "premier_uid_valide = 1\n",
			   0600);
	AUTO_FREE char *text = xprintf(
		"=duetconf: Fatal: Error in configuration file %s line 1: "
		"Unknown setting: premier_uid_valide (did you mean "
		"first_valid_uid?)\n",
		broken);
	AUTO_FREE char *header = xprintf("# %s (%s): %s\n# OS: ", DUET_VERSION,
					 DUET_REVISION, good);

	if (built()) {
		claim_run(ARGS("-n", "-c", good), 0, header);
		claim_run(ARGS("-n", "-c", good), 0,
			  "doveadm_password = # hidden, use -P to show it\n");
		claim_run(ARGS("-nP", "-c", good), 0,
			  "doveadm_password = geheim12\n");
		claim_run(ARGS("-h", "-c", good, "mail_location"), 0,
			  "=sdbox:/var/mail/%n/\n");
		claim_run(ARGS("-h", "mail_location", "-c", good), 0,
			  "=sdbox:/var/mail/%n/\n");
		claim_run(ARGS("-f", "protocol=imap", "-c", good,
			       "mail_debug"),
			  0, "=mail_debug = yes\n");
		claim_run(ARGS("-c", good, "-o", "mail_debug=yes",
			       "mail_debug"),
			  0, "=mail_debug = yes\n");
		claim_run(ARGS("-f", "foo=x", "-c", good, "ssl"), 89,
			  "Unknown filter argument: foo=x");
		claim_run(ARGS("-d", "ssl"), 0, "=ssl = yes\n");
		claim_run(ARGS("--help"), 0, "Usage: duetconf");
		claim_run(ARGS("-z"), 89, "Usage: duetconf");
		claim_run(ARGS("-n", "-c", "/nonexistent"), 89,
			  "=duetconf: Fatal: open(/nonexistent) failed: No "
			  "such file or directory\n");
		claim_run(ARGS("-n", "-c", broken), 89, text);
		claim_run(ARGS("-n", "-c", bad), 89, "lmtp_proxy = yes\n");
		claim_run(ARGS("-n", "-c", bad), 89,
			  "duetconf: Fatal: Error in configuration file");
		claim_run(ARGS("-c", good, "mail_debugg"), 89,
			  "(did you mean mail_debug?)");
	}
	tree_free(dir);
}

static void check_lists_everything_and_says_whether_it_starts(void)
{
	char *dir = tree_new();
	AUTO_FREE char *bad = tree_write(dir, "bad.conf",
					 "mail_nfs_index = y\n"
					 "lmtp_proxy = yes\n"
					 "mmap_disable = yes\n",
					 0600);

	if (built()) {
		claim_run(ARGS("check", "-c", bad), 89, "line 1: mail_nfs");
		claim_run(ARGS("check", "-c", bad), 89, "line 2: lmtp_proxy");
		claim_run(ARGS("check", "-c", bad), 89,
			  "Note: ");
		claim_run(ARGS("-c", bad, "check"), 89,
			  "2 errors: this configuration does not start");
	}
	tree_free(dir);
}

static void default_tree_is_the_one_in_docs(void)
{
	static const char *const files[] = {
		"duet.conf", "conf.d/10-mail.conf", "conf.d/10-master.conf",
		"conf.d/15-mailboxes.conf", "conf.d/auth-passwdfile.conf.ext"};
	char *dir = tree_new();
	AUTO_FREE char *to = xprintf("%s/etc", dir);
	AUTO_FREE char *main = xprintf("%s/duet.conf", to);

	if (built()) {
		claim_run(ARGS("default-tree", to), 0, "=");
		/* Never over what is there. */
		claim_run(ARGS("default-tree", to), 89, "File exists");
		claim_run(ARGS("-n", "-c", main), 0, "first_valid_uid = 1000");
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			AUTO_FREE char *a = xprintf("%s/%s", to, files[i]);
			AUTO_FREE char *b = xprintf("%s/docs/example-config/%s",
						    source_dir(), files[i]);
			AUTO_FREE char *x = read_all(a);
			AUTO_FREE char *y = read_all(b);

			CU_NEED(x && y);
			CU_CLAIM(strcmp(x, y) == 0,
				 "%s differs: run tools/gen-tree", files[i]);
		}
	}
	tree_free(dir);
}

CU_TESTS(CU_CASE(options_do_what_doveconfs_do),
	 CU_CASE(check_lists_everything_and_says_whether_it_starts),
	 CU_CASE(default_tree_is_the_one_in_docs))
