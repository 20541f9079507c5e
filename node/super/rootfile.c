/*
 * Files that maybe only root can read (passwd-files): auth asks, the
 * supervisor looks.  Only paths that a passdb or userdb names in its args are
 * opened; where args has variables, only paths below its literal part.
 */

#include "node/super/super.h"
#include "auth/auth.h"
#include "node/base/arena.h"
#include "node/base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool word_allows(struct slice word, const char *path)
{
	ptrdiff_t var = slice_chr(word, '%');
	size_t n;

	if (var < 0)
		return slice_is(word, path);
	/* Cut at the last slash before the first variable. */
	for (n = (size_t)var; n && word.p[n - 1] != '/'; n--)
		;
	return n > 1 && strlen(path) > n && memcmp(word.p, path, n) == 0 &&
	       !strstr(path, "/../");
}

static bool args_allow(const char *args, const char *path)
{
	while (*args) {
		size_t len = strcspn(args, " \t");
		const char *eq = memchr(args, '=', len);
		struct slice w = slice_of(args, len);

		if (word_allows(w, path))
			return true;
		if (eq && word_allows(slice_of(eq + 1,
					       len - (size_t)(eq + 1 - args)),
				      path))
			return true;
		args += len;
		args += strspn(args, " \t");
	}
	return false;
}

static bool allowed(const struct conf *c, const char *path)
{
	static const char *const kinds[] = {"passdb", "userdb"};
	struct arena *a = arena_new(2048);
	bool yes = false;

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct conf_db *dbs;
		size_t n;

		conf_dbs(c, kinds[k], a, &dbs, &n);
		for (size_t i = 0; i < n && !yes; i++)
			yes = args_allow(dbs[i].args, path);
	}
	arena_free(a);
	return yes && path[0] == '/';
}

/* Copies the file into memory, so that its reader gets one consistent state
 * even if it is rewritten in place meanwhile. */
static int snapshot(int from, struct err *e)
{
	int to = memfd_create("duet-file", MFD_CLOEXEC);
	uint8_t chunk[65536];
	size_t all = 0;
	ssize_t n;

	if (to < 0)
		return err_set(e, -errno, "memfd_create: %s", strerror(errno));
	while ((n = read(from, chunk, sizeof(chunk))) > 0) {
		all += (size_t)n;
		if (all > CONF_TOTAL_MAX || write(to, chunk, (size_t)n) != n) {
			close(to);
			return err_set(e, E_LIMIT, "too large");
		}
	}
	if (n < 0) {
		int r = err_set(e, -errno, "%s", strerror(errno));

		close(to);
		return r;
	}
	return to;
}

static int look(struct super *s, const struct ipc_head *h,
		struct auth_stamp *stamp, int *fd_out, struct err *e)
{
	struct auth_stamp old = {0};
	struct stat st;
	int fd;

	if (h->data.n == sizeof(old))
		memcpy(&old, h->data.p, sizeof(old));
	if (!allowed(s->conf, h->name) &&
	    !(s->reload && allowed(reload_conf(s), h->name)))
		return err_set(e, E_PERM, "%s: no passdb or userdb names this "
			       "file", h->name);
	fd = open(h->name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, -errno, "%s: cannot be opened: %s", h->name,
			       strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, E_INVALID, "%s: is not a regular file",
			       h->name);
	}
	*stamp = (struct auth_stamp){
		.mtime_nsec = (int64_t)st.st_mtim.tv_sec * 1000000000 +
			      st.st_mtim.tv_nsec,
		.size = (uint64_t)st.st_size, .ino = st.st_ino,
	};
	if (memcmp(stamp, &old, sizeof(old)) == 0) {
		close(fd);
		return 0;
	}
	*fd_out = snapshot(fd, e);
	close(fd);
	if (*fd_out < 0) {
		err_prefix(e, "%s", h->name);
		return e->code;
	}
	return 1;
}

void super_rootfile(struct super *s, struct ipc *c, const struct ipc_head *h)
{
	struct auth_stamp stamp = {0};
	struct ipc_head reply = {0};
	struct err e = ERR_NONE;
	int fd = -1;

	reply.code = look(s, h, &stamp, &fd, &e);
	reply.text = e.op;
	reply.data = slice_of(&stamp, sizeof(stamp));
	if (ipc_say(c, IPC_FILE, 0, &reply, SLICE_NONE, fd) < 0 && fd >= 0)
		close(fd);
}
