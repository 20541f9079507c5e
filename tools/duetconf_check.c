/* duetconf check: the configuration, and the machine it would run on. */

#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/err.h"
#include "node/config/conf_vars.h"
#include "tools/duetconf.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

static void say(const char *word, const struct conf_note *n)
{
	if (n->line)
		printf("%s: %s line %u: %s\n", word, n->file, n->line, n->text);
	else
		printf("%s: %s\n", word, n->text);
}

/* The mail root belongs to the mail account and nobody else. */
static unsigned check_mail_root(const struct conf *c, struct arena *a)
{
	struct conf_location loc;
	struct err e = ERR_NONE;
	const char *root;
	uid_t uid;
	gid_t gid;
	struct stat st;
	unsigned wrong = 0;

	if (conf_location_parse(conf_str(c, NULL, "mail_location"), a, &loc,
				&e) < 0 ||
	    !*loc.path)
		return 0;
	root = conf_mail_root(loc.path, a);
	if (!*root)
		return 0;
	if (conf_mail_owner(c, &uid, &gid, &e) < 0) {
		printf("Error: %s\n", e.op);
		return 1;
	}
	if (stat(root, &st) < 0) {
		printf("Error: mail root %s: %s\n", root, strerror(errno));
		return 1;
	}
	if (!S_ISDIR(st.st_mode)) {
		printf("Error: mail root %s is not a directory\n", root);
		return 1;
	}
	if (uid != (uid_t)-1 && st.st_uid != uid) {
		printf("Error: mail root %s belongs to uid %u, mail_uid is "
		       "%u\n",
		       root, (unsigned)st.st_uid, (unsigned)uid);
		wrong++;
	}
	if ((st.st_mode & 07777) != 0700)
		printf("Warning: mail root %s has mode 0%o, expected 0700\n",
		       root, (unsigned)(st.st_mode & 07777));
	return wrong;
}

static unsigned check_accounts(const struct conf *c)
{
	static const char *const roles[] = {"default_internal_user",
					    "default_login_user"};
	unsigned wrong = 0;
	uid_t uid;
	gid_t gid;

	/* Only a start by root changes to them. */
	for (size_t i = 0; i < ARRAY_LEN(roles) && geteuid() == 0; i++) {
		struct err e = ERR_NONE;

		if (conf_uid(conf_str(c, NULL, roles[i]), &uid, &gid, &e) < 0) {
			printf("Error: %s: %s\n", roles[i], e.op);
			wrong++;
		}
	}
	return wrong;
}

static unsigned check_listeners(const struct conf *c, struct arena *a)
{
	struct conf_listener *v;
	struct err e = ERR_NONE;
	size_t n;

	if (conf_listeners(c, a, &v, &n, &e) < 0) {
		printf("Error: %s\n", e.op);
		return 1;
	}
	return 0;
}

static unsigned check_state_dir(const struct conf *c)
{
	const char *dir = conf_str(c, NULL, "state_dir");
	struct stat st;

	if (stat(dir, &st) < 0 && errno != ENOENT) {
		printf("Error: state_dir %s: %s\n", dir, strerror(errno));
		return 1;
	}
	return 0;
}

int duetconf_check(const char *path, struct conf_opts *opts)
{
	struct err e = ERR_NONE;
	struct conf *c;
	const struct conf_note *v;
	struct arena *a;
	unsigned wrong = 0;
	size_t n;

	opts->flags = CONF_NO_TREATMENT;
	if (conf_load(path, opts, &c, &e) < 0)
		return duetconf_fatal(e.op);
	conf_check(c, &e);
	n = conf_notes(c, &v);
	for (size_t i = 0; i < n; i++) {
		say(v[i].severity == CONF_REFUSED   ? "Error"
		    : v[i].severity == CONF_WARNING ? "Warning"
						    : "Note",
		    &v[i]);
		wrong += v[i].severity == CONF_REFUSED;
	}
	a = arena_new(4096);
	if (wrong == 0) {
		wrong += check_listeners(c, a);
		wrong += check_accounts(c);
		wrong += check_mail_root(c, a);
		wrong += check_state_dir(c);
	}
	if (*conf_str(c, NULL, "ssl_cert"))
		printf("Note: name, dates, key and chain of certificates are "
		       "not checked by this build\n");
	arena_free(a);
	conf_unref(c);
	if (wrong == 0)
		return 0;
	printf("%u errors: this configuration does not start\n", wrong);
	return DUETCONF_FATAL;
}
