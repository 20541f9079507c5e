#include "storage/dbox.h"
#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "storage/state_private.h"

#include <errno.h>
#include <fcntl.h>

#define FILE_HEADER "2 M1e C00000001\n"
#define FILE_HEADER_MAX 128u
#define MSG_HEADER_SIZE 30u
#define META_MAGIC "\n\001\003\n"
#define COPY_CHUNK (1024u * 1024)

/* --- bytes ------------------------------------------------------------------ */

void dbox_head_put(struct buf *to, uint64_t size)
{
	buf_str(to, FILE_HEADER);
	buf_put(to, "\001\002N          ", 13);
	buf_printf(to, "%016llX\n", (unsigned long long)size);
}

void dbox_tail_put(struct buf *to, struct id128 emailid, int64_t received,
		   uint64_t size)
{
	char hex[33];

	hex_of(emailid.b, 16, hex);
	buf_put(to, META_MAGIC, 4);
	/* Dovecot knows no time before 1970. */
	buf_printf(to, "R%llx\nV%llx\nG%s\n\n",
		   (unsigned long long)(received > 0 ? received : 0),
		   (unsigned long long)size, hex);
}

void dbox_staged_path(struct buf *to, const char *root, const uint8_t hash[32])
{
	char hex[65];

	hex_of(hash, 32, hex);
	buf_printf(to, "%s/.duet/tmp/s.%s", root, hex);
}

static int hex_digits(const uint8_t *p, size_t n, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint64_t)(c - 'A' + 10);
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -EINVAL;
	}
	*out = v;
	return 0;
}

/* The two headers; gives the offset of the message octets. */
static int parse_head(const uint8_t *p, size_t n, uint64_t *offset,
		      uint64_t *size)
{
	const uint8_t *nl = n ? memchr(p, '\n', n) : NULL;
	const uint8_t *h;

	if (!nl || n < 2 || p[0] != '2' || p[1] != ' ')
		return E_CORRUPT;
	h = nl + 1;
	if ((size_t)(p + n - h) < MSG_HEADER_SIZE || h[0] != 1 || h[1] != 2 ||
	    h[2] != 'N' || hex_digits(h + 13, 16, size) < 0 || h[29] != '\n')
		return E_CORRUPT;
	*offset = (uint64_t)(h - p) + MSG_HEADER_SIZE;
	return 0;
}

int dbox_open(struct fsio *fs, const char *path, struct dbox_file *out)
{
	uint8_t head[FILE_HEADER_MAX + MSG_HEADER_SIZE];
	struct fsio_stat st;
	ssize_t n;
	int fd, r;

	fd = fs->ops->open(fs, path, O_RDONLY, 0);
	if (fd < 0)
		return fd;
	r = fs->ops->fstat(fs, fd, &st);
	if (r == 0) {
		n = fs->ops->pread(fs, fd, head, sizeof(head), 0);
		r = n < 0 ? (int)n :
			    parse_head(head, (size_t)n, &out->offset,
				       &out->size);
	}
	if (r == 0 && (st.size < out->offset ||
		       st.size - out->offset < out->size))
		r = E_CORRUPT;
	if (r < 0) {
		fs->ops->close(fs, fd);
		return r;
	}
	out->fd = fd;
	out->file_size = st.size;
	out->ino = st.ino;
	out->dev = st.dev;
	out->mtime_usec = st.mtime_usec;
	return 0;
}

/* --- paths ------------------------------------------------------------------- */

static void terminate(struct buf *to)
{
	buf_char(to, 0);
	if (!to->failed)
		to->n--;
}

void dbox_path(const struct mailbox *m, uint32_t uid, struct buf *to)
{
	buf_printf(to, "%s/u.%u", m->dir ? m->dir : "", uid);
	terminate(to);
}

void dbox_expunged_path(const struct mailbox *m, uint32_t uid, struct buf *to)
{
	char hex[33];

	hex_of(m->id.b, 16, hex);
	buf_printf(to, "%s/.duet/.expunged/%s.%u", m->state->root, hex, uid);
	terminate(to);
}

void dbox_deleted_path(const struct state *s, struct id128 id, uint32_t uid,
		       bool expunged, struct buf *to)
{
	char hex[33];

	hex_of(id.b, 16, hex);
	buf_printf(to, "%s/.duet/.expunged/%s%s%u", s->root, hex,
		   expunged ? "." : "/u.", uid);
	terminate(to);
}

void dbox_expunged_index(const struct state *s, struct id128 id,
			 struct buf *to)
{
	char hex[33];

	hex_of(id.b, 16, hex);
	buf_printf(to, "%s/.duet/.expunged/%s.index", s->root, hex);
	terminate(to);
}

/* --- placing a message --------------------------------------------------------- */

struct place {
	struct mailbox *m;
	struct state *s;
	struct fsio *fs;
	const struct op_msg_add *o;
	struct buf path;		/* of u.UID */
	struct err *e;
};

static int fail(struct place *p, const char *path, int r)
{
	return err_set(p->e, r, "%s: %s", path,
		       r > -1000 ? strerror(-r) : err_name(r));
}

/* A file of that name that the log does not know makes room. */
static int make_room(struct place *p)
{
	const char *path = (char *)p->path.p;
	struct buf to;
	char hex[33];
	int r;

	if (p->s->replaying) {
		r = p->fs->ops->unlink(p->fs, path);
		return r == -ENOENT ? 0 : r;
	}
	hex_of(p->m->id.b, 16, hex);
	buf_init(&to, 8192);
	buf_printf(&to, "%s/.duet/orphans/%s.%u", p->s->root, hex, p->o->uid);
	terminate(&to);
	r = p->fs->ops->rename(p->fs, path, (char *)to.p);
	buf_fini(&to);
	return r == -ENOENT ? 0 : r;
}

static int write_file(struct place *p, struct slice all)
{
	const char *path = (char *)p->path.p;
	int fd, r, c;

	fd = p->fs->ops->open(p->fs, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd == -EEXIST) {
		r = make_room(p);
		if (r < 0)
			return fail(p, path, r);
		fd = p->fs->ops->open(p->fs, path, O_WRONLY | O_CREAT | O_EXCL,
				      0600);
	}
	if (fd < 0)
		return fail(p, path, fd);
	r = fsio_pwrite_all(p->fs, fd, all.p, all.n, 0);
	c = p->fs->ops->close(p->fs, fd);
	if (r == 0)
		r = c;
	if (r < 0) {
		p->fs->ops->unlink(p->fs, path);
		return fail(p, path, r);
	}
	return 0;
}

/* During a replay the file may be there: written, torn, or not at all. */
static bool same_content(struct place *p, struct slice all)
{
	struct buf is;
	bool same;

	buf_init(&is, all.n + 1);
	same = fsio_read_file(p->fs, (char *)p->path.p, all.n, &is) == 0 &&
	       slice_eq(buf_all(&is), all);
	buf_fini(&is);
	return same;
}

static int place_inline(struct place *p, struct slice body)
{
	struct buf *b = &p->s->scratch;
	int r;

	buf_reset(b);
	dbox_head_put(b, body.n);
	buf_slice(b, body);
	dbox_tail_put(b, p->o->emailid, p->o->internaldate, body.n);
	if (b->failed)
		return err_set(p->e, E_LIMIT, "inline body of %zu bytes",
			       body.n);
	if (p->s->replaying && same_content(p, buf_all(b)))
		r = 0;
	else
		r = write_file(p, buf_all(b));
	buf_shrink(b, 128 * 1024);
	return r;
}

/* Does its metadata name this EMAILID, so that a link is right? */
static bool same_emailid(struct place *p, const struct dbox_file *f)
{
	struct buf want;
	uint8_t is[DBOX_META_MAX];
	uint64_t at = f->offset + f->size;
	bool same = false;
	char hex[33];

	if (f->file_size <= at || f->file_size - at > sizeof(is))
		return false;
	size_t n = (size_t)(f->file_size - at);

	if (fsio_pread_all(p->fs, f->fd, is, n, at) < 0)
		return false;
	hex_of(p->o->emailid.b, 16, hex);
	buf_init(&want, 64);
	buf_printf(&want, "\nG%s\n", hex);
	same = memmem(is, n, want.p, want.n) != NULL;
	buf_fini(&want);
	return same;
}

static int copy_octets(struct place *p, int from, uint64_t offset, int to,
		       uint64_t at)
{
	AUTO_FREE uint8_t *chunk = xmalloc(COPY_CHUNK);
	uint64_t left = p->o->size;
	int r = 0;

	while (left && r == 0) {
		size_t n = left < COPY_CHUNK ? (size_t)left : COPY_CHUNK;

		r = fsio_pread_all(p->fs, from, chunk, n, offset);
		if (r == 0)
			r = fsio_pwrite_all(p->fs, to, chunk, n, at);
		offset += n;
		at += n;
		left -= n;
	}
	return r;
}

/* A file of its own with the octets at `offset` of an open one. */
static int place_copy(struct place *p, int from, uint64_t offset)
{
	const char *path = (char *)p->path.p;
	struct buf b;
	int fd, r;

	r = make_room(p);
	if (r < 0)
		return r;
	fd = p->fs->ops->open(p->fs, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	buf_init(&b, 1024);
	dbox_head_put(&b, p->o->size);
	r = fsio_pwrite_all(p->fs, fd, b.p, b.n, 0);
	if (r == 0)
		r = copy_octets(p, from, offset, fd, b.n);
	uint64_t end = b.n + p->o->size;

	buf_reset(&b);
	dbox_tail_put(&b, p->o->emailid, p->o->internaldate, p->o->size);
	if (r == 0)
		r = fsio_pwrite_all(p->fs, fd, b.p, b.n, end);
	p->fs->ops->close(p->fs, fd);
	buf_fini(&b);
	if (r < 0)
		p->fs->ops->unlink(p->fs, path);
	return r;
}

/* A second name for a file with this EMAILID; where links end, a copy. */
static int place_link(struct place *p, const char *from,
		      const struct dbox_file *f)
{
	const char *path = (char *)p->path.p;
	struct fsio_stat st;
	int r;

	r = p->fs->ops->link(p->fs, from, path);
	if (r == -EEXIST) {
		r = p->fs->ops->stat(p->fs, path, &st);
		if (r == 0 && st.ino == f->ino && st.dev == f->dev)
			return 0;
		r = make_room(p);
		if (r == 0)
			r = p->fs->ops->link(p->fs, from, path);
	}
	if (r == -EMLINK || r == -EXDEV || r == -EPERM)
		r = place_copy(p, f->fd, f->offset);
	return r;
}

/* From a whole message file; 1: it is not what we need. */
static int place_from(struct place *p, const char *from)
{
	struct dbox_file f;
	int r = dbox_open(p->fs, from, &f);

	if (r < 0)
		return r == -ENOENT || r == E_CORRUPT || r == -ENOTDIR ? 1 : r;
	if (f.size != p->o->size)
		r = 1;
	else if (same_emailid(p, &f))
		r = place_link(p, from, &f);
	else
		r = place_copy(p, f.fd, f.offset);
	p->fs->ops->close(p->fs, f.fd);
	return r;
}

/* Metadata are added to a staged file when the first record names it. */
static int finish_staged(struct place *p, const char *from, uint64_t end)
{
	struct buf b;
	int fd, r, c;

	fd = p->fs->ops->open(p->fs, from, O_WRONLY, 0);
	if (fd < 0)
		return fd;
	buf_init(&b, 1024);
	dbox_tail_put(&b, p->o->emailid, p->o->internaldate, p->o->size);
	r = fsio_pwrite_all(p->fs, fd, b.p, b.n, end);
	c = p->fs->ops->close(p->fs, fd);
	buf_fini(&b);
	return r < 0 ? r : c;
}

static int place_staged(struct place *p)
{
	struct buf from;
	struct dbox_file f;
	struct fsio_stat st;
	int r;

	buf_init(&from, 8192);
	dbox_staged_path(&from, p->s->root, p->o->body_hash);
	terminate(&from);
	r = dbox_open(p->fs, (char *)from.p, &f);
	if (r == 0) {
		p->fs->ops->close(p->fs, f.fd);
		if (f.size == p->o->size && f.file_size == f.offset + f.size)
			r = finish_staged(p, (char *)from.p, f.file_size);
		if (r == 0)
			r = place_from(p, (char *)from.p);
	} else if (r == E_CORRUPT &&
		   p->fs->ops->stat(p->fs, (char *)from.p, &st) == 0 &&
		   st.size == p->o->size) {
		int fd = p->fs->ops->open(p->fs, (char *)from.p, O_RDONLY, 0);

		r = fd < 0 ? fd : place_copy(p, fd, 0);
		if (fd >= 0)
			p->fs->ops->close(p->fs, fd);
	} else if (r == -ENOENT || r == E_CORRUPT) {
		r = 1;
	}
	buf_fini(&from);
	return r;
}

static const struct found_dir *found_any(const struct state *s, struct id128 id)
{
	for (size_t i = 0; i < s->n_found; i++)
		if (id128_eq(s->found[i].id, id))
			return &s->found[i];
	return NULL;
}

/* The source of a COPY or UNDELETE: in its mailbox, or expunged from it, or
 * its mailbox deleted (during a replay: wherever its directory is). */
static int place_from_source(struct place *p)
{
	struct mailbox *src = state_mailbox(p->s, p->o->src_mbox);
	const struct found_dir *d;
	struct buf from;
	char hex[33];
	int r = 1;

	buf_init(&from, 8192);
	if (src && src->dir) {
		dbox_path(src, p->o->src_uid, &from);
		r = place_from(p, (char *)from.p);
	}
	hex_of(p->o->src_mbox.b, 16, hex);
	if (r == 1) {
		buf_reset(&from);
		buf_printf(&from, "%s/.duet/.expunged/%s.%u", p->s->root, hex,
			   p->o->src_uid);
		terminate(&from);
		r = place_from(p, (char *)from.p);
	}
	if (r == 1) {
		d = found_any(p->s, p->o->src_mbox);
		buf_reset(&from);
		if (d)
			buf_printf(&from, "%s/u.%u", d->path, p->o->src_uid);
		else
			buf_printf(&from, "%s/.duet/.expunged/%s/u.%u",
				   p->s->root, hex, p->o->src_uid);
		terminate(&from);
		r = place_from(p, (char *)from.p);
	}
	buf_fini(&from);
	return r;
}

static int place_by_hash(struct place *p)
{
	struct buf from;
	int r;

	buf_init(&from, 8192);
	r = state_body_find(p->s, p->o->body_hash, &from);
	terminate(&from);
	r = r == E_NOTFOUND ? 1 : place_from(p, (char *)from.p);
	buf_fini(&from);
	return r;
}

/* Something whole of the right size is there already. */
static bool is_placed(struct place *p)
{
	struct dbox_file f;

	if (dbox_open(p->fs, (char *)p->path.p, &f) < 0)
		return false;
	bool ok = f.size == p->o->size && same_emailid(p, &f);

	p->fs->ops->close(p->fs, f.fd);
	return ok;
}

int dbox_place(struct mailbox *m, const struct op_msg_add *o, struct slice body,
	       struct err *e)
{
	struct place p = {.m = m, .s = m->state, .fs = m->state->fs, .o = o,
			  .e = e};
	int r = 1;

	buf_init(&p.path, 8192);
	dbox_path(m, o->uid, &p.path);
	if (body.p) {
		r = place_inline(&p, body);
		buf_fini(&p.path);
		return r;
	}
	if (o->src_uid)
		r = place_from_source(&p);
	if (r == 1)
		r = place_staged(&p);
	if (r == 1 && p.s->replaying && is_placed(&p))
		r = 0;
	if (r == 1)
		r = place_by_hash(&p);
	if (r == 1)
		missing_add(p.s, m, o->uid, o->body_hash, o->size);
	else if (r < 0)
		r = fail(&p, (char *)p.path.p, r);
	buf_fini(&p.path);
	return r;
}

int dbox_place_from(struct mailbox *m, const struct op_msg_add *o,
		    const char *from, uint64_t offset, struct err *e)
{
	struct place p = {.m = m, .s = m->state, .fs = m->state->fs, .o = o,
			  .e = e};
	struct fsio *fs = p.fs;
	struct dbox_file f;
	int fd, r;

	buf_init(&p.path, 8192);
	dbox_path(m, o->uid, &p.path);
	r = dbox_open(fs, from, &f);
	if (r == 0 && f.offset == offset && f.size == o->size &&
	    same_emailid(&p, &f)) {
		r = place_link(&p, from, &f);
		fs->ops->close(fs, f.fd);
	} else {
		if (r == 0)
			fs->ops->close(fs, f.fd);
		fd = fs->ops->open(fs, from, O_RDONLY, 0);
		r = fd < 0 ? fd : place_copy(&p, fd, offset);
		if (fd >= 0)
			fs->ops->close(fs, fd);
	}
	if (r < 0)
		r = fail(&p, (char *)p.path.p, r);
	buf_fini(&p.path);
	return r;
}

void dbox_expunge(struct mailbox *m, uint32_t uid)
{
	struct fsio *fs = m->state->fs;
	struct buf from, to;

	if (!m->dir)
		return;
	buf_init(&from, 8192);
	buf_init(&to, 8192);
	dbox_path(m, uid, &from);
	dbox_expunged_path(m, uid, &to);
	fs->ops->rename(fs, (char *)from.p, (char *)to.p);
	/* rename(2) does nothing if both are links to one file. */
	if (m->state->replaying)
		fs->ops->unlink(fs, (char *)from.p);
	buf_fini(&from);
	buf_fini(&to);
}
