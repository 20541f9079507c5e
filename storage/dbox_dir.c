#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "proto/mailbox_name.h"
#include "proto/mutf7.h"
#include "storage/dbox.h"
#include "storage/state_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/*
 * Directories of mailboxes.  Each holds duet-id, so that after a crash it is
 * recognised wherever a rename had brought it; no rename is replayed by name.
 */

#define ID_FILE "duet-id"
#define MAILS "dbox-Mails"
#define PATH_MAX_OURS 3500u
#define LEVEL_MAX 255u
#define SCAN_DEPTH_MAX 64u
#define COPY_CHUNK (256u * 1024)

static void terminate(struct buf *to)
{
	buf_char(to, 0);
	if (!to->failed)
		to->n--;
}

/* Appends the levels of a name in modified UTF-7; -EINVAL. */
static int put_levels(struct buf *to, struct slice name)
{
	size_t at = 0;

	while (at <= name.n) {
		struct slice rest = slice_sub(name, at, name.n);
		ptrdiff_t cut = slice_chr(rest, '/');
		struct slice level = cut < 0 ? rest :
					       slice_sub(rest, 0, (size_t)cut);
		size_t before = to->n;

		if (utf8_to_mutf7(level, to) < 0)
			return -EINVAL;
		if (to->n == before || to->n - before > LEVEL_MAX ||
		    slice_is(slice_of(to->p + before, to->n - before), MAILS))
			return -EINVAL;
		buf_char(to, '/');
		at += level.n + 1;
	}
	return 0;
}

/* ROOT/mailboxes/LEVEL/…/dbox-Mails */
static int wanted_path(const struct state *s, struct slice name, struct buf *to)
{
	buf_printf(to, "%s/mailboxes/", s->root);
	if (put_levels(to, name) < 0)
		return E_INVALID;
	buf_str(to, MAILS);
	terminate(to);
	return to->failed ? E_INVALID : 0;
}

int dbox_name_check(const struct state *s, struct slice name)
{
	struct buf b;
	int r;

	if (name.n > MBOX_NAME_MAX)
		return E_INVALID;
	r = mailbox_name_check(name, '/');
	if (r < 0)
		return r;
	buf_init(&b, PATH_MAX_OURS);
	r = wanted_path(s, name, &b);
	buf_fini(&b);
	return r;
}

static int write_id(struct state *s, const char *dir, struct id128 id,
		    uint32_t numbering)
{
	AUTO_FREE char *path = xprintf("%s/" ID_FILE, dir);
	char hex[33];
	struct buf b;
	int fd, r, c;

	hex_of(id.b, 16, hex);
	buf_init(&b, 64);
	buf_printf(&b, "%s %u\n", hex, numbering);
	fd = s->fs->ops->open(s->fs, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	r = fd < 0 ? fd : fsio_pwrite_all(s->fs, fd, b.p, b.n, 0);
	if (fd >= 0) {
		c = s->fs->ops->close(s->fs, fd);
		r = r < 0 ? r : c;
	}
	buf_fini(&b);
	return r;
}

static int read_id(struct state *s, const char *dir, struct id128 *id,
		   uint32_t *numbering)
{
	AUTO_FREE char *path = xprintf("%s/" ID_FILE, dir);
	struct buf b;
	struct slice all;
	int r;

	buf_init(&b, 256);
	r = fsio_read_file(s->fs, path, 128, &b);
	all = slice_trim(buf_all(&b));
	if (r == 0 && (all.n < 34 || all.p[32] != ' ' ||
		       hex_to(slice_sub(all, 0, 32), id->b, 16) < 0 ||
		       slice_u32(slice_sub(all, 33, all.n), numbering) < 0))
		r = E_CORRUPT;
	buf_fini(&b);
	return r;
}

static void tmp_path(const struct mailbox *m, uint32_t numbering,
		     struct buf *to)
{
	char hex[33];

	hex_of(m->id.b, 16, hex);
	buf_printf(to, "%s/.duet/tmp/m.%s.%u", m->state->root, hex, numbering);
	terminate(to);
}

static struct found_dir *found_get(struct state *s, struct id128 id,
				   uint32_t numbering)
{
	for (size_t i = 0; i < s->n_found; i++)
		if (s->found[i].numbering == numbering &&
		    id128_eq(s->found[i].id, id))
			return &s->found[i];
	return NULL;
}

/* The names of all directories from the account root down to `dir`. */
static int sync_names(struct state *s, const char *dir)
{
	size_t root = strlen(s->root);
	int r = 0;

	for (const char *p = dir + root; p && *p && r == 0;
	     p = strchr(p + 1, '/')) {
		AUTO_FREE char *above = xstrndup(dir, (size_t)(p - dir));

		r = s->fs->ops->fsync_dir(s->fs, above);
	}
	return r;
}

/* Where in .expunged a directory belongs that the log has done with: of an
 * older numbering, or of a deleted mailbox.  NULL: nowhere. */
static char *expunged_place(const struct state *s, struct id128 id,
			    uint32_t numbering)
{
	const struct mailbox *m = state_mailbox(s, id);
	char hex[33];

	hex_of(id.b, 16, hex);
	for (size_t i = 0; i < s->n_expunged; i++) {
		const struct expunged_file *x = &s->expunged[i];

		if (x->uid || !id128_eq(x->mbox, id) ||
		    x->numbering != numbering || (m && m->numbering == numbering))
			continue;
		return m ? xprintf("%s/.duet/.expunged/%s.n%u", s->root, hex,
				   numbering) :
			   xprintf("%s/.duet/.expunged/%s", s->root, hex);
	}
	return NULL;
}

bool dbox_to_expunged(struct state *s, const char *path, struct id128 id,
		      uint32_t numbering)
{
	AUTO_FREE char *to = expunged_place(s, id, numbering);

	/* What it holds may be nowhere else yet after a crash. */
	return to && !fsio_exists(s->fs, to) &&
	       s->fs->ops->rename(s->fs, path, to) == 0 &&
	       sync_names(s, to) == 0;
}

/* Whatever stands at path and is not ours goes to orphans/. */
static int to_orphans(struct state *s, const char *path)
{
	struct fsio_stat st;
	int r = s->fs->ops->stat(s->fs, path, &st);

	if (r == -ENOENT)
		return 0;
	for (unsigned i = 0; r == 0 && i < 1000; i++) {
		AUTO_FREE char *to = xprintf("%s/.duet/orphans/dir.%llu.%u",
					     s->root,
					     (unsigned long long)s->pos.seq, i);

		r = s->fs->ops->stat(s->fs, to, &st);
		if (r == -ENOENT)
			return s->fs->ops->rename(s->fs, path, to);
	}
	return r < 0 ? r : -EEXIST;
}

static int move_dir(struct state *s, struct mailbox *m, const char *to);

/* A mailbox of ours that could not be moved before goes aside; anything else
 * there goes to orphans/. */
static int make_way(struct state *s, const char *path)
{
	struct mailbox *m = NULL;
	struct buf tmp;
	int r;

	for (size_t i = 0; i < s->n_mboxes + s->n_dead && !m; i++) {
		m = i < s->n_mboxes ? s->mboxes[i] : s->dead[i - s->n_mboxes];
		if (!m->dir || strcmp(m->dir, path) != 0)
			m = NULL;
	}
	if (!m) {
		struct id128 id;
		uint32_t numbering;

		if (read_id(s, path, &id, &numbering) == 0 &&
		    dbox_to_expunged(s, path, id, numbering))
			return 0;
		return to_orphans(s, path);
	}
	buf_init(&tmp, 8192);
	tmp_path(m, m->numbering, &tmp);
	r = move_dir(s, m, (char *)tmp.p);
	buf_fini(&tmp);
	return r;
}

int dbox_dir(struct mailbox *m, struct err *e)
{
	struct state *s = m->state;
	struct found_dir *f = found_get(s, m->id, m->numbering);
	struct buf path;
	int r = 0;

	if (m->dir)
		return 0;
	if (f) {
		m->dir = xstrdup(f->path);
		return 0;
	}
	buf_init(&path, 8192);
	if (s->replaying)
		tmp_path(m, m->numbering, &path);
	else
		r = wanted_path(s, slice_str(m->name), &path);
	if (r == 0)
		r = make_way(s, (char *)path.p);
	if (r == 0)
		r = fsio_mkdirs(s->fs, (char *)path.p, 0700);
	if (r == 0)
		r = write_id(s, (char *)path.p, m->id, m->numbering);
	if (r == 0)
		m->dir = xstrdup((char *)path.p);
	else
		err_set(e, r, "%s: %s", (char *)path.p,
			r > -1000 ? strerror(-r) : err_name(r));
	buf_fini(&path);
	return r;
}

/* --- moving ------------------------------------------------------------------- */

/* Removes parents that a move left empty, up to mailboxes/. */
static void prune(struct state *s, const char *dir)
{
	AUTO_FREE char *p = xstrdup(dir);
	AUTO_FREE char *top = xprintf("%s/mailboxes", s->root);
	size_t n = strlen(top);

	for (;;) {
		char *slash = strrchr(p, '/');

		if (!slash)
			return;
		*slash = 0;
		if (strncmp(p, top, n) != 0 || p[n] != '/' ||
		    s->fs->ops->rmdir(s->fs, p) < 0)
			return;
	}
}

/*
 * Messages older than the last checkpoint are in this directory only, so it
 * must never hang below one that a crash can lose, nor may its old parent go
 * before the move is durable.  Moves are rare: they may cost a few fsyncs.
 */
static int move_dir(struct state *s, struct mailbox *m, const char *to)
{
	AUTO_FREE char *parent = xstrdup(to);
	char *slash = strrchr(parent, '/');
	int r;

	*slash = 0;
	r = fsio_mkdirs(s->fs, parent, 0700);
	if (r == 0)
		r = sync_names(s, parent);
	if (r == 0)
		r = make_way(s, to);
	if (r == 0)
		r = s->fs->ops->rename(s->fs, m->dir, to);
	if (r < 0)
		return r;
	if (s->fs->ops->fsync_dir(s->fs, parent) == 0)
		prune(s, m->dir);
	free(m->dir);
	m->dir = xstrdup(to);
	return 0;
}

static void bury(struct state *s, struct mailbox *m)
{
	struct buf to;
	char hex[33];

	if (!m->dir)
		return;
	hex_of(m->id.b, 16, hex);
	buf_init(&to, 8192);
	buf_printf(&to, "%s/.duet/.expunged/%s", s->root, hex);
	terminate(&to);
	if (strcmp(m->dir, (char *)to.p) != 0)
		move_dir(s, m, (char *)to.p);
	buf_fini(&to);
}

/* 1: it is where its name wants it, or has none; 0 with the path. */
static int in_place(struct state *s, struct mailbox *m, struct buf *want)
{
	buf_reset(want);
	return !m->dir || wanted_path(s, slice_str(m->name), want) < 0 ||
	       strcmp(m->dir, (char *)want->p) == 0;
}

bool dbox_dirs_settled(struct state *s)
{
	struct buf want;
	bool all = true;

	buf_init(&want, 8192);
	for (size_t i = 0; i < s->n_mboxes && all; i++)
		all = in_place(s, s->mboxes[i], &want);
	buf_fini(&want);
	return all;
}

void state_settle_dirs(struct state *s)
{
	struct buf want;

	for (size_t i = 0; i < s->n_dead; i++)
		bury(s, s->dead[i]);
	/* Out of each other's way first, then in place.  A failure leaves a
	 * directory where it is; m->dir knows, and the next record tries
	 * again. */
	buf_init(&want, 8192);
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < s->n_mboxes; i++) {
			struct mailbox *m = s->mboxes[i];

			if (in_place(s, m, &want))
				continue;
			if (pass == 0) {
				buf_reset(&want);
				tmp_path(m, m->numbering, &want);
				if (strcmp(m->dir, (char *)want.p) == 0)
					continue;
			}
			move_dir(s, m, (char *)want.p);
		}
	}
	buf_fini(&want);
	s->unsettled = !dbox_dirs_settled(s);
}

/* --- another numbering --------------------------------------------------------- */

/* A name of its own for a file that can have no second one. */
static int copy_whole(struct state *s, const char *from, const char *to)
{
	struct fsio *fs = s->fs;
	AUTO_FREE uint8_t *chunk = xmalloc(COPY_CHUNK);
	int in = fs->ops->open(fs, from, O_RDONLY, 0);
	int out = in < 0 ? in : fs->ops->open(fs, to, O_WRONLY | O_CREAT |
					      O_TRUNC, 0600);
	int r = out < 0 ? out : 0;
	uint64_t at = 0;
	ssize_t n = 1;

	while (r == 0 && n > 0) {
		n = fs->ops->pread(fs, in, chunk, COPY_CHUNK, at);
		if (n < 0)
			r = (int)n;
		else
			r = fsio_pwrite_all(fs, out, chunk, (size_t)n, at);
		at += n > 0 ? (uint64_t)n : 0;
	}
	if (in >= 0)
		fs->ops->close(fs, in);
	if (out >= 0) {
		int c = fs->ops->close(fs, out);

		r = r < 0 ? r : c;
	}
	return r;
}

/* One that is missing is missing under its new number too.  What an earlier
 * replay put there may be a file whose octets a crash took, while the old
 * directory was made whole again. */
static int link_again(struct state *s, const char *from, const char *to)
{
	struct fsio_stat a, b;
	int r = s->fs->ops->link(s->fs, from, to);

	if (r == -EEXIST) {
		r = s->fs->ops->stat(s->fs, from, &a);
		if (r == 0)
			r = s->fs->ops->stat(s->fs, to, &b);
		if (r == 0 && a.ino == b.ino && a.dev == b.dev)
			return 0;
		if (r == 0)
			r = s->fs->ops->unlink(s->fs, to);
		if (r == 0)
			r = s->fs->ops->link(s->fs, from, to);
	}
	if (r == -EMLINK || r == -EPERM || r == -EXDEV)
		r = copy_whole(s, from, to);
	return r == -ENOENT ? 0 : r;
}

static int link_all(struct mailbox *m, const char *dir,
		    const struct dbox_renumber *map, size_t n)
{
	struct buf from, to;
	int r = 0;

	buf_init(&from, 8192);
	buf_init(&to, 8192);
	for (size_t i = 0; m->dir && i < n && r == 0; i++) {
		buf_reset(&from);
		dbox_path(m, map[i].from, &from);
		buf_reset(&to);
		buf_printf(&to, "%s/u.%u", dir, map[i].to);
		terminate(&to);
		r = link_again(m->state, (char *)from.p, (char *)to.p);
	}
	buf_fini(&from);
	buf_fini(&to);
	return r;
}

/* A crash here leaves the old directory complete and a new one that the next
 * replay completes; they differ in the numbering of their duet-id. */
int dbox_renumber_begin(struct mailbox *m, uint32_t numbering,
			const struct dbox_renumber *map, size_t n,
			char **dir_out, struct err *e)
{
	struct state *s = m->state;
	struct found_dir *f = found_get(s, m->id, numbering);
	struct buf to;
	int r = 0;

	buf_init(&to, 8192);
	if (f) {
		buf_str(&to, f->path);
		terminate(&to);
	} else {
		tmp_path(m, numbering, &to);
		r = fsio_remove_tree(s->fs, (char *)to.p);
		if (r == 0)
			r = fsio_mkdirs(s->fs, (char *)to.p, 0700);
		if (r == 0)
			r = write_id(s, (char *)to.p, m->id, numbering);
	}
	if (r == 0)
		r = link_all(m, (char *)to.p, map, n);
	if (r == 0) {
		*dir_out = xstrdup((char *)to.p);
	} else {
		if (!f)
			fsio_remove_tree(s->fs, (char *)to.p);
		err_set(e, r, "%s: %s", (char *)to.p, err_name(r));
	}
	buf_fini(&to);
	return r;
}

void dbox_renumber_end(struct mailbox *m, uint32_t numbering, char *dir)
{
	struct state *s = m->state;
	AUTO_FREE char *old = m->dir;
	AUTO_FREE char *to = NULL;
	char hex[33];
	int r = 0;

	hex_of(m->id.b, 16, hex);
	to = xprintf("%s/.duet/.expunged/%s.n%u", s->root, hex, m->numbering);
	m->numbering = numbering;
	m->dir = dir;
	if (old && strcmp(old, to) != 0) {
		fsio_remove_tree(s->fs, to);
		s->fs->ops->rename(s->fs, old, to);
		/* Until the next checkpoint only this directory is sure to
		 * have the older messages: durably away before the new one
		 * takes its name, or not yet. */
		r = sync_names(s, to);
	}
	if (!s->replaying && r == 0)
		state_settle_dirs(s);
	else
		s->unsettled = true;
}

/* --- finding directories -------------------------------------------------------- */

struct names {
	char **name;
	size_t n, cap;
};

static bool take_name(void *arg, const char *name)
{
	struct names *l = arg;

	GROW(l->name, l->n, l->cap);
	l->name[l->n++] = xstrdup(name);
	return true;
}

static bool is_dir(struct state *s, const char *path)
{
	struct fsio_stat st;

	return s->fs->ops->stat(s->fs, path, &st) == 0 && S_ISDIR(st.mode);
}

/* mails: a mailbox's place.  A crash may have kept its files and not its id:
 * the replay makes another, and this one would show messages that are none. */
static void note_dir(struct state *s, const char *path, bool mails)
{
	struct found_dir f = {0};
	int r = read_id(s, path, &f.id, &f.numbering);

	if (mails && (r == -ENOENT || r == E_CORRUPT) &&
	    s->fs->ops->rmdir(s->fs, path) < 0)
		to_orphans(s, path);
	if (r < 0 || found_get(s, f.id, f.numbering))
		return;
	f.path = xstrdup(path);
	GROW(s->found, s->n_found, s->cap_found);
	s->found[s->n_found++] = f;
}

/* HEX.UID */
static bool is_expunged_file(const char *name)
{
	return strlen(name) > 33 && name[32] == '.' && name[33] >= '0' &&
	       name[33] <= '9';
}

static int scan(struct state *s, const char *dir, bool tree, unsigned depth)
{
	struct names l = {0};
	int r;

	r = s->fs->ops->list(s->fs, dir, take_name, &l);
	if (r == -ENOENT)
		r = 0;
	for (size_t i = 0; i < l.n; i++) {
		AUTO_FREE char *path = xprintf("%s/%s", dir, l.name[i]);
		bool mails = strcmp(l.name[i], MAILS) == 0;

		/* Files in .expunged are not looked at one by one.  Any name
		 * may be a mailbox's. */
		if ((tree || !is_expunged_file(l.name[i])) &&
		    is_dir(s, path)) {
			if (!tree || mails)
				note_dir(s, path, tree && mails);
			else if (r == 0 && depth < SCAN_DEPTH_MAX)
				r = scan(s, path, tree, depth + 1);
		}
		free(l.name[i]);
	}
	free(l.name);
	return r;
}

int dbox_scan(struct state *s, struct err *e)
{
	static const struct {
		const char *dir;
		bool tree;
	} places[] = {
		{"mailboxes", true},
		{".duet/tmp", false},
		{".duet/.expunged", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		AUTO_FREE char *dir = xprintf("%s/%s", s->root, places[i].dir);
		int r = scan(s, dir, places[i].tree, 0);

		if (r < 0)
			return err_set(e, r, "%s: %s", dir, strerror(-r));
	}
	return 0;
}
