/*
 * Directories of a node, its lock, its identity, the mark of its mail.
 * Whatever is written below the mail root is written by a short-lived child
 * under the mail owner's uid: root never writes where others may.
 */

#include "node/super/super.h"
#include "node/super/privs.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/rng.h"
#include "storage/account_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define INSTANCES DUET_LOCALSTATEDIR "/lib/duet/instances"

/* mkdir -p; the last level gets owner and mode. */
static int dir_make(struct super *s, const char *path, mode_t mode, uid_t uid,
		    gid_t gid, struct err *e)
{
	char *p = xstrdup(path);
	struct stat st;

	for (char *slash = strchr(p + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(p, 0755) < 0 && errno != EEXIST) {
			err_set(e, -errno, "%s: cannot be made: %s", p,
				strerror(errno));
			free(p);
			return e->code;
		}
		*slash = '/';
	}
	free(p);
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set(e, -errno, "%s: cannot be made: %s", path,
			       strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "%s: is not a directory", path);
	if (s->owner.root && (st.st_uid != uid || st.st_gid != gid) &&
	    chown(path, uid, gid) < 0)
		return err_set(e, -errno, "%s: chown: %s", path,
			       strerror(errno));
	if ((st.st_mode & 07777) != mode && chmod(path, mode) < 0)
		return err_set(e, -errno, "%s: chmod: %s", path,
			       strerror(errno));
	return 0;
}

static long pid_in(const char *path)
{
	char text[32] = "";
	FILE *f = fopen(path, "re");

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = 0;
		fclose(f);
	}
	return strtol(text, NULL, 10);
}

/* A live Dovecot has its master.pid here. */
static int refuse_dovecot(struct super *s, struct err *e)
{
	char *pidfile = xprintf("%s/master.pid", s->base_dir), *comm;
	long pid = pid_in(pidfile);
	char name[32] = "";
	FILE *f;

	free(pidfile);
	if (pid <= 1)
		return 0;
	comm = xprintf("/proc/%ld/comm", pid);
	f = fopen(comm, "re");
	free(comm);
	if (!f)
		return 0;
	if (!fgets(name, sizeof(name), f))
		name[0] = 0;
	fclose(f);
	if (strncmp(name, "dovecot", 7) == 0)
		return err_set(e, E_CONFIG, "base_dir %s is used by a running "
			       "Dovecot (pid %ld): stop it, or set another "
			       "base_dir", s->base_dir, pid);
	return 0;
}

static int take_lock(struct super *s, struct err *e)
{
	char *path = xprintf("%s/duet.lock", s->base_dir);
	char *pidfile = xprintf("%s/master.pid", s->base_dir), text[32];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int r = 0, n, fd;

	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			  0600);
	if (s->lock_fd < 0)
		r = err_set(e, -errno, "%s: cannot be opened: %s", path,
			    strerror(errno));
	else if (fcntl(s->lock_fd, F_OFD_SETLK, &lock) < 0)
		r = err_set(e, E_EXISTS, "base_dir %s is in use by another "
			    "duetd (pid %ld)", s->base_dir, pid_in(pidfile));
	if (r == 0) {
		n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
		fd = open(pidfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
			  O_NOFOLLOW, 0644);
		if (fd < 0 || write(fd, text, (size_t)n) != n)
			r = err_set(e, -errno, "%s: cannot be written: %s",
				    pidfile, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	free(path);
	free(pidfile);
	return r;
}

/* name, base_dir, configuration, time: is there such a configuration? */
static bool still_there(struct slice line)
{
	char path[4096];
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		ptrdiff_t tab = slice_chr(line, '\t');

		if (tab < 0)
			return false;
		line = slice_sub(line, (size_t)tab + 1, line.n);
	}
	while (n < line.n && line.p[n] != '\t' && n < sizeof(path) - 1) {
		path[n] = (char)line.p[n];
		n++;
	}
	path[n] = 0;
	return access(path, F_OK) == 0;
}

/* For duetadm -i.  A caller who may not write there is found by -c only. */
static void note_instance(struct super *s)
{
	char *line = xprintf("%s\t%s\t%s\t%llu\n",
			     conf_str(s->conf, NULL, "instance_name"),
			     s->base_dir, s->path,
			     (unsigned long long)(clock_real(s->sys.clock) /
						  USEC_PER_SEC));
	char *own = xprintf("\t%s\t", s->base_dir);
	struct buf old, new;
	struct slice rest;
	int lock;

	buf_init(&old, 1 << 20);
	buf_init(&new, 1 << 20);
	if (s->owner.root)
		fsio_mkdirs(s->sys.fs, DUET_LOCALSTATEDIR "/lib/duet", 0755);
	/* Two nodes of one machine start at once: neither loses the other's
	 * line.  Others than root cannot open the file, so not hold us up. */
	lock = open(INSTANCES ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock >= 0)
		flock(lock, LOCK_EX);
	fsio_read_file(s->sys.fs, INSTANCES, 1 << 20, &old);
	buf_str(&new, line);
	for (rest = buf_all(&old); rest.n;) {
		ptrdiff_t nl = slice_chr(rest, '\n');
		size_t n = nl < 0 ? rest.n : (size_t)nl + 1;
		struct slice l = slice_sub(rest, 0, n);

		if (!memmem(l.p, l.n, own, strlen(own)) && still_there(l))
			buf_slice(&new, l);
		rest = slice_sub(rest, n, rest.n);
	}
	if (access(DUET_LOCALSTATEDIR "/lib/duet", W_OK) == 0)
		fsio_replace_file(s->sys.fs, INSTANCES, buf_all(&new), 0644);
	if (lock >= 0)
		close(lock);
	buf_fini(&old);
	buf_fini(&new);
	free(own);
	free(line);
}

int super_dirs_make(struct super *s, struct err *e)
{
	const struct owner *o = &s->owner;
	static const char *const own_dirs[] = {"journal", "accounts", "spool"};
	uid_t me = geteuid();
	gid_t mine = getegid();

	if (dir_make(s, s->base_dir, 0755, me, mine, e) < 0 ||
	    dir_make(s, s->state_dir, 0755, me, mine, e) < 0)
		return e->code;
	s->empty_dir = xprintf("%s/empty", s->base_dir);
	if (dir_make(s, s->empty_dir, 0755, me, mine, e) < 0)
		return e->code;
	for (size_t i = 0; i < ARRAY_LEN(own_dirs); i++) {
		char *d = xprintf("%s/%s", s->state_dir, own_dirs[i]);
		int r = dir_make(s, d, 0700, o->mail_uid, o->mail_gid, e);

		free(d);
		if (r < 0)
			return r;
	}
	if (refuse_dovecot(s, e) < 0 || take_lock(s, e) < 0)
		return e->code;
	note_instance(s);
	return 0;
}

void super_dirs_clean(struct super *s)
{
	char *pidfile = xprintf("%s/master.pid", s->base_dir);

	if (s->lock_fd >= 0) {
		unlink(pidfile);
		close(s->lock_fd);
		s->lock_fd = -1;
	}
	free(pidfile);
}

/* Any file accounts/XX/ID. */
static bool has_entry(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return false;
}

struct account_search {
	struct super *s;
	const char *dir;
	bool found;
};

static bool look_below(void *arg, const char *name)
{
	struct account_search *q = arg;
	char *d = xprintf("%s/%s", q->dir, name);

	q->s->sys.fs->ops->list(q->s->sys.fs, d, has_entry, &q->found);
	free(d);
	return !q->found;
}

bool super_has_accounts(struct super *s)
{
	char *dir = xprintf("%s/accounts", s->state_dir);
	struct account_search q = {.s = s, .dir = dir};

	s->sys.fs->ops->list(s->sys.fs, dir, look_below, &q);
	free(dir);
	return q.found;
}

int super_identity_load(struct super *s, struct err *e)
{
	struct arena *a;
	struct conf_replica replica;
	int r = identity_read(&s->sys, s->state_dir, &s->identity, e);
	bool fresh = r == -ENOENT;

	if (r < 0 && !fresh)
		return r;
	if (fresh) {
		if (super_has_accounts(s))
			return err_set(e, E_CONFIG, "%s/identity is missing, "
				       "but there are accounts in %s/accounts: "
				       "put the identity file back from a "
				       "backup; without it this node cannot "
				       "know which pair its mail belongs to",
				       s->state_dir, s->state_dir);
		identity_new_node(&s->identity, &s->sys);
	}
	a = arena_new(1024);
	conf_replica(s->conf, NULL, a, &replica);
	/* With a partner configured it is the two nodes' talk that makes the
	 * pair; alone, this node is one by itself until it meets another. */
	if (!s->identity.has && !replica.set) {
		identity_new_pair(&s->identity, &s->sys, true);
		fresh = true;
	}
	arena_free(a);
	return fresh ? identity_write(&s->sys, s->state_dir, &s->identity, e)
		     : 0;
}

static int mark_root(struct super *s, struct err *e)
{
	struct slice pair = slice_of(s->identity.pair_id.b, 16);
	unsigned index = s->identity.index;
	int r;

	if (!s->mail_root[0] || !s->identity.has)
		return 0;
	r = node_mark_check(s->sys.fs, s->mail_root, pair, index, e);
	if (r == 0)
		return 0;
	/* With accounts the mark must be there: an unmounted disk is not an
	 * empty store.  Without any there is nothing to lose. */
	if (super_has_accounts(s)) {
		err_prefix(e, "this node has accounts; is the file system of "
			   "%s mounted?", s->mail_root);
		return r;
	}
	if (r == E_FOREIGN && !s->remark)
		return r;
	*e = ERR_NONE;
	return node_mark_write(s->sys.fs, s->mail_root, pair, index, e);
}

/* Runs fn in a child with the mail owner's rights; its error comes back. */
int super_as_owner(struct super *s, super_owner_fn *fn, struct err *e)
{
	struct privs p = {.uid = s->owner.mail_uid, .gid = s->owner.mail_gid};
	struct err got = {.code = E_TEMP};
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0)
		return err_set(e, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		struct err mine = ERR_NONE;

		umask(077);
		s->sys.fs = fsio_system(NULL);
		if (s->owner.root && privs_drop(&p, &mine) < 0)
			;
		else if (fn(s, &mine) < 0 && mine.code == 0)
			err_set(&mine, E_TEMP, "failed without a reason");
		n = write(fd[1], &mine, sizeof(mine));
		_exit(n == (ssize_t)sizeof(mine) ? 0 : 1);
	}
	close(fd[1]);
	if (pid < 0) {
		close(fd[0]);
		return err_set(e, -errno, "fork: %s", strerror(errno));
	}
	do
		n = read(fd[0], &got, sizeof(got));
	while (n < 0 && errno == EINTR);
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n != (ssize_t)sizeof(got))
		return err_set(e, E_TEMP, "the helper process died (status "
			       "%d)", status);
	if (got.code < 0) {
		*e = got;
		return got.code;
	}
	return 0;
}

int super_mail_root(struct super *s, bool new_identity, struct err *e)
{
	struct stat st;

	s->remark = new_identity;
	if (!s->mail_root[0])
		return 0;
	/* The directory itself may be wanting on a new node; a missing one on
	 * a node with accounts is a missing mount. */
	if (stat(s->mail_root, &st) < 0 && errno == ENOENT &&
	    !super_has_accounts(s) &&
	    dir_make(s, s->mail_root, 0700, s->owner.mail_uid,
		     s->owner.mail_gid, e) < 0)
		return e->code;
	return super_as_owner(s, mark_root, e);
}
