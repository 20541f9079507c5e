/* duetconf default-tree DIR */

#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "tools/duetconf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static int fail(const char *what, const char *path)
{
	AUTO_FREE char *text =
		xprintf("%s %s: %s", what, path, strerror(errno));

	return duetconf_fatal(text);
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return fail("mkdir", path);
	return 0;
}

/* Never over a file that is there: it may hold somebody's settings. */
static int write_file(const char *path, const struct duetconf_file *f)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
	bool ok = true;

	if (!out) {
		if (fd >= 0)
			close(fd);
		return fail("creating", path);
	}
	for (const char *const *p = f->parts; *p; p++)
		ok = fputs(*p, out) >= 0 && ok;
	if (fclose(out) != 0 || !ok)
		return fail("writing", path);
	return 0;
}

int duetconf_default_tree(const char *dir)
{
	AUTO_FREE char *sub = xprintf("%s/conf.d", dir);
	int r = make_dir(dir);

	if (r == 0)
		r = make_dir(sub);
	for (size_t i = 0; i < duetconf_tree_n && r == 0; i++) {
		AUTO_FREE char *path =
			xprintf("%s/%s", dir, duetconf_tree[i].name);

		r = write_file(path, &duetconf_tree[i]);
	}
	return r;
}
