/* See account_root.h. */

#include "storage/account_root.h"

#include "node/base/arena.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#define MARK_MAX 8192u
#define FORMAT "1"

/* --- lines "key value" -------------------------------------------------------- */

static struct slice line_of(struct slice text, const char *key)
{
	size_t n = strlen(key);

	while (text.n > 0) {
		ptrdiff_t nl = slice_chr(text, '\n');
		struct slice line = slice_sub(text, 0, nl < 0 ? text.n :
							       (size_t)nl);

		if (line.n > n && line.p[n] == ' ' &&
		    memcmp(line.p, key, n) == 0)
			return slice_sub(line, n + 1, line.n);
		if (nl < 0)
			break;
		text = slice_sub(text, (size_t)nl + 1, text.n);
	}
	return SLICE_NONE;
}

static bool line_is_hex(struct slice text, const char *key, struct slice bytes)
{
	uint8_t b[16];
	struct slice v = line_of(text, key);

	return bytes.n == 16 && hex_to(v, b, 16) == 0 &&
	       memcmp(b, bytes.p, 16) == 0;
}

static void hex_line(struct buf *to, const char *key, struct slice bytes)
{
	char hex[33];

	hex_of(bytes.p, bytes.n, hex);
	buf_printf(to, "%s %s\n", key, hex);
}

static int read_mark(struct fsio *fs, const char *path, const char *what,
		     struct buf *to, struct err *e)
{
	int r = fsio_read_file(fs, path, MARK_MAX, to);

	if (r == -ENOENT || r == -ENOTDIR)
		return E_NOTFOUND;
	if (r < 0)
		return err_set(e, r, "%s: %s", path, err_name(r));
	if (!slice_is(line_of(buf_all(to), what), FORMAT))
		return err_set(e, E_VERSION, "%s: not a mark this program can "
			       "read", path);
	return 0;
}

static int write_mark(struct fsio *fs, const char *path, struct buf *text,
		      struct err *e)
{
	int r = text->failed ? E_LIMIT :
			       fsio_replace_file(fs, path, buf_all(text), 0600);

	return r < 0 ? err_set(e, r, "%s: %s", path, err_name(r)) : 0;
}

/* Not durable: it may be torn after a crash, or missing. */
static int write_soon(struct fsio *fs, const char *path, struct buf *text,
		      struct err *e)
{
	int fd = text->failed ? E_LIMIT :
		 fs->ops->open(fs, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int r = fd < 0 ? fd : fsio_pwrite_all(fs, fd, text->p, text->n, 0);

	if (fd >= 0)
		fs->ops->close(fs, fd);
	return r < 0 ? err_set(e, r, "%s: %s", path, err_name(r)) : 0;
}

int account_root_mkdirs(struct fsio *fs, const char *path, mode_t mode)
{
	AUTO_FREE char *copy = xstrdup(path);
	AUTO_FREE char *parent = xstrdup(path);
	struct fsio_stat st;

	for (char *at = copy + 1;; at++) {
		char end = *at;
		int r;

		if (end != '/' && end != '\0')
			continue;
		*at = '\0';
		r = fs->ops->stat(fs, copy, &st);
		if (r == -ENOENT) {
			char *slash;

			r = fs->ops->mkdir(fs, copy, mode);
			memcpy(parent, copy, strlen(copy) + 1);
			slash = strrchr(parent, '/');
			if (r == 0 && slash)
				slash[slash == parent ? 1 : 0] = '\0';
			if (r == 0)
				r = fs->ops->fsync_dir(fs, slash ? parent : ".");
		}
		if (r < 0)
			return r;
		if (end == '\0')
			return 0;
		*at = end;
	}
}

/* --- the mail root --------------------------------------------------------------- */

int node_mark_write(struct fsio *fs, const char *mail_root,
		    struct slice pair_id, unsigned node, struct err *e)
{
	AUTO_FREE char *path = xprintf("%s/.duet-node", mail_root);
	struct buf text;
	int r = account_root_mkdirs(fs, mail_root, 0700);

	if (r < 0)
		return err_set(e, r, "%s: %s", mail_root, err_name(r));
	buf_init(&text, MARK_MAX);
	buf_str(&text, "duet-node " FORMAT "\n");
	hex_line(&text, "pair", pair_id);
	buf_printf(&text, "node %u\n", node);
	r = write_mark(fs, path, &text, e);
	buf_fini(&text);
	return r;
}

int node_mark_check(struct fsio *fs, const char *mail_root,
		    struct slice pair_id, unsigned node, struct err *e)
{
	AUTO_FREE char *path = xprintf("%s/.duet-node", mail_root);
	struct buf text;
	uint32_t is = 0;
	int r;

	buf_init(&text, MARK_MAX);
	r = read_mark(fs, path, "duet-node", &text, e);
	if (r == E_NOTFOUND)
		r = err_set(e, E_TEMP, "%s is missing: is the file system of "
			    "%s mounted?", path, mail_root);
	else if (r == 0 && (!line_is_hex(buf_all(&text), "pair", pair_id) ||
			    slice_u32(line_of(buf_all(&text), "node"), &is) < 0 ||
			    is != node))
		r = err_set(e, E_FOREIGN, "%s belongs to another node: this is "
			    "not the mail of this one", path);
	buf_fini(&text);
	return r;
}

/* --- the registry -------------------------------------------------------------------- */

static char *registry_path(const char *state_dir, struct id128 id, char *dir_out,
			   size_t dir_n)
{
	char hex[33];

	hex_of(id.b, 16, hex);
	if (dir_out)
		snprintf(dir_out, dir_n, "%s/accounts/%.2s", state_dir, hex);
	return xprintf("%s/accounts/%.2s/%s", state_dir, hex, hex);
}

static bool copy_text(struct slice v, char *to, size_t size)
{
	if (v.n == 0 || v.n >= size || memchr(v.p, 0, v.n))
		return false;
	memcpy(to, v.p, v.n);
	to[v.n] = '\0';
	return true;
}

int account_root_get(struct fsio *fs, const char *state_dir, struct id128 id,
		     struct account_root *out, struct err *e)
{
	AUTO_FREE char *path = registry_path(state_dir, id, NULL, 0);
	struct buf text;
	int r;

	buf_init(&text, MARK_MAX);
	r = read_mark(fs, path, "duet-account", &text, e);
	out->id = id;
	if (r == E_NOTFOUND)
		err_set(e, r, "this node does not know the account");
	else if (r == 0 && (!copy_text(line_of(buf_all(&text), "name"),
				       out->name, sizeof(out->name)) ||
			    !copy_text(line_of(buf_all(&text), "root"),
				       out->root, sizeof(out->root))))
		r = err_set(e, E_CORRUPT, "%s: no name or no root", path);
	buf_fini(&text);
	return r;
}

int account_root_put(struct fsio *fs, const char *state_dir,
		     const struct account_root *a, struct err *e)
{
	char dir[4096];
	AUTO_FREE char *path = registry_path(state_dir, a->id, dir,
					     sizeof(dir));
	struct buf text;
	int r = fsio_mkdirs(fs, dir, 0700);

	if (r < 0)
		return err_set(e, r, "%s: %s", dir, err_name(r));
	buf_init(&text, MARK_MAX);
	buf_printf(&text, "duet-account " FORMAT "\nname %s\nroot %s\n",
		   a->name, a->root);
	r = write_soon(fs, path, &text, e);
	buf_fini(&text);
	return r;
}

struct each {
	struct fsio *fs;
	const char *state_dir;
	char *dir;
	account_root_cb *cb;
	void *arg;
	struct err *e;
	int result;
	bool on;
};

static bool each_id(void *arg, const char *name)
{
	struct each *x = arg;
	struct account_root a;
	struct id128 id;

	if (hex_to(slice_str(name), id.b, 16) < 0)
		return true;	/* a .new that a crash left */
	x->result = account_root_get(x->fs, x->state_dir, id, &a, x->e);
	if (x->result == 0)
		x->on = x->cb(x->arg, &a);
	return x->result == 0 && x->on;
}

static bool each_dir(void *arg, const char *name)
{
	struct each *x = arg;
	AUTO_FREE char *dir = xprintf("%s/%s", x->dir, name);
	int r = x->fs->ops->list(x->fs, dir, each_id, x);

	if (r < 0 && r != -ENOTDIR && x->result == 0)
		x->result = err_set(x->e, r, "%s: %s", dir, err_name(r));
	return x->result == 0 && x->on;
}

int account_root_each(struct fsio *fs, const char *state_dir,
		      account_root_cb *cb, void *arg, struct err *e)
{
	AUTO_FREE char *dir = xprintf("%s/accounts", state_dir);
	struct each x = {fs, state_dir, dir, cb, arg, e, 0, true};
	int r = fs->ops->list(fs, dir, each_dir, &x);

	if (r < 0 && r != -ENOENT)
		return err_set(e, r, "%s: %s", dir, err_name(r));
	return x.result;
}

/* --- account roots --------------------------------------------------------------------- */

static bool any(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return false;
}

bool account_root_has_log(struct fsio *fs, const char *root)
{
	AUTO_FREE char *log = xprintf("%s/.duet/state/log", root);
	AUTO_FREE char *snap = xprintf("%s/.duet/state/snap", root);
	bool has = false;

	fs->ops->list(fs, log, any, &has);
	fs->ops->list(fs, snap, any, &has);
	return has;
}

/* Names that a mail store leaves at the top of its tree. */
static bool foreign_name(const char *name)
{
	static const char *const names[] = {
		"cur", "new", "dbox-Mails", "dbox-alt-root", "storage",
		 "subscriptions", "maildirfolder", "maildirsize",
		"cyrus.header", "cyrus.index", "mbox", ".subscriptions",
	};

	if (strncmp(name, "dovecot", 7) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool find_foreign(void *arg, const char *name)
{
	char **out = arg;

	if (foreign_name(name))
		*out = xstrdup(name);
	return !*out;
}

static int check_unmarked(struct fsio *fs, const char *root, struct err *e)
{
	AUTO_FREE char *mail = xprintf("%s/mailboxes", root);
	AUTO_FREE char *found = NULL;
	bool has_mail = false;
	int r;

	/* Directories without anything in them are what a crash has left of
	 * an account that was being made. */
	if (account_root_has_log(fs, root))
		return err_set(e, E_FOREIGN, "%s/.duet has no owner's mark: it "
			       "is damaged, or another account's", root);
	fs->ops->list(fs, mail, any, &has_mail);
	if (has_mail)
		found = xstrdup("mailboxes");
	r = found ? 0 : fs->ops->list(fs, root, find_foreign, &found);
	if (r == -ENOENT)
		return E_NOTFOUND;
	if (r < 0)
		return err_set(e, r, "%s: %s", root, err_name(r));
	if (found)
		return err_set(e, E_FOREIGN, "%s holds mail that Duet did not "
			       "write (%s): nothing was changed. Take it over "
			       "with 'duetadm import', or choose another "
			       "mail_location", root, found);
	return E_NOTFOUND;
}

int account_root_check(struct fsio *fs, struct slice pair_id,
		       const struct account_root *a, struct err *e)
{
	AUTO_FREE char *path = xprintf("%s/.duet/owner", a->root);
	struct buf text;
	struct slice name;
	int r;

	buf_init(&text, MARK_MAX);
	r = read_mark(fs, path, "duet-owner", &text, e);
	name = line_of(buf_all(&text), "name");
	/* Torn by a crash while the account was made. */
	if (r == E_VERSION && (text.n == 0 || text.p[0] == 0) &&
	    !account_root_has_log(fs, a->root))
		r = E_NOTFOUND;
	if (r == E_NOTFOUND)
		r = check_unmarked(fs, a->root, e);
	else if (r == 0 && !line_is_hex(buf_all(&text), "pair", pair_id))
		r = err_set(e, E_FOREIGN, "%s: the tree of another pair", path);
	else if (r == 0 && (!line_is_hex(buf_all(&text), "account",
					 slice_of(a->id.b, 16)) ||
			    !slice_is(name, a->name)))
		r = err_set(e, E_EXISTS, "%s is the mail of '%.*s', '%s' "
			    "leads there too: give each its own mail_location",
			    a->root, (int)(name.n < 200 ? name.n : 200),
			    (const char *)name.p, a->name);
	buf_fini(&text);
	return r;
}

/* Below the account root. */
static const char *const account_dirs[] = {
	"mailboxes", ".duet/tmp", ".duet/.expunged", ".duet/orphans",
	".duet/state/log", ".duet/state/snap", ".duet/state/index",
	".duet/state/cache",
};

static int make_dirs(struct fsio *fs, const char *root, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(account_dirs) && r == 0; i++) {
		AUTO_FREE char *dir = xprintf("%s/%s", root, account_dirs[i]);

		r = fsio_mkdirs(fs, dir, 0700);
		if (r < 0)
			err_set(e, r, "%s: %s", dir, err_name(r));
	}
	return r;
}

int account_root_make_again(struct fsio *fs, struct slice pair_id,
			    const struct account_root *a, struct err *e)
{
	AUTO_FREE char *path = xprintf("%s/.duet/owner", a->root);
	struct err ignored = ERR_NONE;
	struct buf text;
	bool readable;

	buf_init(&text, MARK_MAX);
	readable = read_mark(fs, path, "duet-owner", &text, &ignored) == 0;
	buf_fini(&text);
	if (readable) {
		int r = account_root_check(fs, pair_id, a, e);

		if (r < 0)
			return r;
	}
	return account_root_make(fs, pair_id, a, e);
}

int account_root_make(struct fsio *fs, struct slice pair_id,
		      const struct account_root *a, struct err *e)
{
	AUTO_FREE char *path = xprintf("%s/.duet/owner", a->root);
	AUTO_FREE char *duet = xprintf("%s/.duet", a->root);
	struct buf text;
	int r = fsio_mkdirs(fs, duet, 0700);

	if (r < 0)
		return err_set(e, r, "%s: %s", duet, err_name(r));
	buf_init(&text, MARK_MAX);
	buf_str(&text, "duet-owner " FORMAT "\n");
	hex_line(&text, "pair", pair_id);
	hex_line(&text, "account", slice_of(a->id.b, 16));
	buf_printf(&text, "name %s\n", a->name);
	r = write_soon(fs, path, &text, e);
	buf_fini(&text);
	return r < 0 ? r : make_dirs(fs, a->root, e);
}
