#ifndef DUET_TEST_CONF_TEST_H
#define DUET_TEST_CONF_TEST_H

/* Shared by the tests of node/config: texts into configurations, trees of
 * files in a directory of their own. */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/err.h"
#include "node/config/conf.h"
#include "tests/lib/cu.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNUSED_FN __attribute__((unused))

/* Enough to keep the notes about unset things away. */
#define CLEAN                                   \
	"mail_location = sdbox:/var/mail/%n/\n" \
	"ssl = no\n"                            \
	"protocols = imap lmtp\n"

UNUSED_FN static struct conf *load_flags(const char *text, unsigned flags,
					 struct err *e)
{
	struct conf_opts o = {.flags = flags};
	struct conf *c = NULL;

	if (conf_load_text("t.conf", slice_str(text), &o, &c, e) < 0)
		return NULL;
	return c;
}

/* NULL and a failed claim if it does not load. */
UNUSED_FN static struct conf *load_ok(const char *text)
{
	struct err e = ERR_NONE;
	struct conf *c = load_flags(text, 0, &e);

	CU_CLAIM(c != NULL, "loading failed: %s", e.op);
	return c;
}

/* The whole error of a text that must not load. */
UNUSED_FN static void claim_error(const char *text, const char *want)
{
	struct err e = ERR_NONE;
	struct conf *c = load_flags(text, 0, &e);

	CU_CLAIM(c == NULL, "loads although it should not: %s", text);
	if (!c)
		CU_EQ_STR(e.op, want);
	conf_unref(c);
}

/* A text that must not load, and a part of the error. */
UNUSED_FN static void claim_refused(const char *text, const char *part)
{
	struct err e = ERR_NONE;
	struct conf *c = load_flags(text, 0, &e);

	CU_CLAIM(c == NULL, "loads although it should not: %s", text);
	if (!c)
		CU_CLAIM(strstr(e.op, part) != NULL, "'%s' is not in '%s'",
			 part, e.op);
	conf_unref(c);
}

UNUSED_FN static bool has_note(const struct conf *c, enum conf_severity sev,
			       const char *part)
{
	const struct conf_note *v;
	size_t n = conf_notes(c, &v);

	for (size_t i = 0; i < n; i++)
		if (v[i].severity == sev && strstr(v[i].text, part))
			return true;
	return false;
}

UNUSED_FN static void claim_note(const char *text, enum conf_severity sev,
				 const char *part)
{
	struct conf *c = load_ok(text);
	const struct conf_note *v;
	size_t n;

	if (!c)
		return;
	n = conf_notes(c, &v);
	CU_CLAIM(has_note(c, sev, part), "no note '%s' for: %s (first of %zu: "
					 "%s)",
		 part, text, n, n ? v[0].text : "");
	conf_unref(c);
}

/* ---- trees ------------------------------------------------------------- */

UNUSED_FN static char *tree_new(void)
{
	char *dir = xmalloc(CU_DIR_SIZE);

	cu_dir(dir, CU_DIR_SIZE);
	return dir;
}

static int tree_remove(const char *path, const struct stat *st, int type,
		       struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

UNUSED_FN static void tree_free(char *dir)
{
	nftw(dir, tree_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

/* name may have one directory in it. */
UNUSED_FN static char *tree_write(const char *dir, const char *name,
				  const char *text, unsigned mode)
{
	char *path = xprintf("%s/%s", dir, name);
	char *slash = strrchr(path, '/');
	int fd;

	*slash = '\0';
	mkdir(path, 0755);
	*slash = '/';
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
	CU_CLAIM(fd >= 0 && write(fd, text, strlen(text)) ==
				     (ssize_t)strlen(text),
		 "cannot write %s", path);
	if (fd >= 0) {
		fchmod(fd, mode);
		close(fd);
	}
	return path;
}

UNUSED_FN static struct conf *tree_load(const char *path, struct err *e)
{
	struct conf *c = NULL;

	return conf_load(path, NULL, &c, e) < 0 ? NULL : c;
}

/* The source tree, where data files lie. */
UNUSED_FN static const char *source_dir(void)
{
	const char *s = getenv("SRCDIR");

	return s ? s : ".";
}

/* The whole file, or NULL. */
UNUSED_FN static char *read_all(const char *path)
{
	FILE *f = fopen(path, "re");
	struct buf b;
	uint8_t *room;
	size_t n;
	char *s;

	if (!f)
		return NULL;
	buf_init(&b, 8u << 20);
	while ((room = buf_room(&b, 4096)) &&
	       (n = fread(room, 1, 4096, f)) > 0)
		buf_commit(&b, n);
	fclose(f);
	s = xstrndup(b.n ? (void *)b.p : "", b.n);
	buf_fini(&b);
	return s;
}

#endif
