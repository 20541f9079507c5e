/* Entries of accounts that could not be replayed: see store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"
#include "node/base/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * STATE/parked/IDHEX/ORDER.JOURNAL.BATCH (hex), little-endian:
 *
 *   0 "DUETPRK1"   8 major u16   10 minor u16   12 CRC-32C u32 of 16…
 *  16 account id   32 journal id u64   40 batch u64: the journal's mark
 *  48 flags u32 (1: the first entry is the account's first frame)
 *  52 entries u32
 *  56 entries: batch u64, time u64, type u16, flags u16, bytes u32, data,
 *     zeros to a multiple of 8
 *
 * A recovery that is repeated has the same journal and mark, and writes the
 * same file again.
 */
#define MAGIC "DUETPRK1"
#define FORMAT_MAJOR 1u
#define HEADER_SIZE 56u
#define FLAG_FRESH 1u
#define PARKED_MAX SIZE_MAX	/* what a journal held */

static char *dir_of(const struct store *s, struct id128 id)
{
	char hex[33];

	hex_of(id.b, 16, hex);
	return xprintf("%s/parked/%s", s->state_dir, hex);
}

static char *path_of(const struct store *s, struct id128 id,
		     const struct parked_file *f)
{
	AUTO_FREE char *dir = dir_of(s, id);

	return xprintf("%s/%08x.%016" PRIx64 ".%016" PRIx64, dir, f->order,
		       f->journal, f->batch);
}

/* --- accounts that are not served ------------------------------------------------ */

void store_tell(struct store *s, enum store_news what, struct id128 id,
		const char *name, const char *text)
{
	if (s->o.news)
		s->o.news(s->o.arg, what, id, name, text);
}

static void parked_free(struct parked_account *p)
{
	if (!p)
		return;
	free(p->name);
	free(p->why);
	free(p);
}

/* Told once for each reason, not at every attempt to open it. */
void store_park(struct store *s, struct id128 id, const char *why)
{
	struct parked_account *p = NEW(struct parked_account), *was;
	struct err ignored = ERR_NONE;
	struct account_root root;
	bool known = store_root_get(s, id, &root, &ignored) == 0;

	p->name = xstrdup(known ? root.name : "");
	p->why = xstrdup(why);
	was = map_put(s->parked, id_slice(&id), p);
	if (!was || strcmp(was->why, why) != 0)
		store_tell(s, STORE_PARKED, id, p->name, why);
	parked_free(was);
}

void store_unparked(struct store *s, struct id128 id)
{
	parked_free(map_remove(s->parked, id_slice(&id)));
}

void store_parked_fini(struct store *s)
{
	struct slice key;
	void *value;

	for (size_t i = 0; map_each(s->parked, &i, &key, &value);)
		parked_free(value);
	map_free(s->parked);
}

void store_parked(struct store *s, store_parked_cb *cb, void *arg)
{
	struct slice key;
	void *value;

	for (size_t i = 0; map_each(s->parked, &i, &key, &value);) {
		const struct parked_account *p = value;
		struct id128 id;

		memcpy(id.b, key.p, sizeof(id.b));
		if (!cb(arg, id, p->name, p->why))
			return;
	}
}

/* --- which there are ----------------------------------------------------------- */

struct listing {
	struct parked_file *items;
	size_t n, cap;
};

static bool hex_number(const char *p, size_t digits, uint64_t *out)
{
	uint8_t b[8];

	*out = 0;
	if (hex_to(slice_of(p, digits), b, digits / 2) < 0)
		return false;
	for (size_t i = 0; i < digits / 2; i++)
		*out = *out << 8 | b[i];
	return true;
}

static bool add_file(void *arg, const char *name)
{
	struct listing *l = arg;
	struct parked_file f = {0};
	uint64_t order;

	if (strlen(name) != 8 + 1 + 16 + 1 + 16 || name[8] != '.' ||
	    name[25] != '.' || !hex_number(name, 8, &order) ||
	    !hex_number(name + 9, 16, &f.journal) ||
	    !hex_number(name + 26, 16, &f.batch))
		return true;	/* a .new that a crash left */
	f.order = (uint32_t)order;
	GROW(l->items, l->n, l->cap);
	l->items[l->n++] = f;
	return true;
}

static int by_order(const void *a, const void *b)
{
	const struct parked_file *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

int store_parked_list(struct store *s, struct id128 id,
		      struct parked_file **out, size_t *n_out, struct err *e)
{
	AUTO_FREE char *dir = dir_of(s, id);
	struct listing l = {0};
	int r = s->fs->ops->list(s->fs, dir, add_file, &l);

	if (r < 0 && r != -ENOENT) {
		free(l.items);
		return err_set(e, r, "%s: %s", dir, err_name(r));
	}
	if (l.n)
		qsort(l.items, l.n, sizeof(*l.items), by_order);
	*out = l.items;
	*n_out = l.n;
	return 0;
}

/* --- reading --------------------------------------------------------------------- */

static int each_entry(struct slice in, journal_entry_cb *cb, void *arg)
{
	struct cursor c = cursor_of(slice_sub(in, HEADER_SIZE, in.n));
	int r = 0;

	for (uint32_t n = le32_at(in.p + 52); n > 0 && r == 0; n--) {
		struct journal_entry en;
		size_t bytes;

		en.batch = cursor_le64(&c);
		en.time = cursor_le64(&c);
		en.type = cursor_le16(&c);
		en.flags = cursor_le16(&c);
		bytes = cursor_le32(&c);
		en.data = cursor_bytes(&c, bytes);
		cursor_bytes(&c, (8 - bytes % 8) % 8);
		r = c.bad ? E_CORRUPT : cb(arg, &en);
	}
	return r;
}

static int load(struct store *s, struct id128 id, const struct parked_file *f,
		struct buf *to, struct err *e)
{
	AUTO_FREE char *path = path_of(s, id, f);
	int r = fsio_read_file(s->fs, path, PARKED_MAX, to);

	if (r < 0)
		return err_set(e, r, "%s: %s", path, err_name(r));
	if (to->n < HEADER_SIZE || memcmp(to->p, MAGIC, 8) != 0 ||
	    le32_at(to->p + 12) != crc32c(0, to->p + 16, to->n - 16) ||
	    memcmp(to->p + 16, id.b, 16) != 0)
		return err_set(e, E_CORRUPT, "%s is damaged: changes of the "
			       "account that were kept there are lost", path);
	if (to->p[8] != FORMAT_MAJOR || to->p[9] != 0)
		return err_set(e, E_VERSION, "%s: format %u, this program "
			       "reads %u", path, to->p[8], FORMAT_MAJOR);
	return 0;
}

int store_parked_each(struct store *s, struct id128 id,
		      const struct parked_file *f, journal_entry_cb *cb,
		      void *arg, struct err *e)
{
	struct buf b;
	int r;

	buf_init(&b, PARKED_MAX);
	r = load(s, id, f, &b, e);
	if (r == 0)
		r = each_entry(buf_all(&b), cb, arg);
	buf_fini(&b);
	return r;
}

bool store_parked_fresh(struct store *s, struct id128 id,
			const struct parked_file *f)
{
	struct buf b;
	bool fresh;

	buf_init(&b, PARKED_MAX);
	fresh = load(s, id, f, &b, NULL) == 0 &&
		le32_at(b.p + 48) & FLAG_FRESH;
	buf_fini(&b);
	return fresh;
}

/* --- writing ---------------------------------------------------------------------- */

void store_parked_begin(struct buf *b)
{
	buf_init(b, PARKED_MAX);
	buf_fill(b, 0, HEADER_SIZE);
}

void store_parked_put(struct buf *b, const struct journal_entry *en)
{
	buf_le64(b, en->batch);
	buf_le64(b, en->time);
	buf_le16(b, en->type);
	buf_le16(b, en->flags);
	buf_le32(b, (uint32_t)en->data.n);
	buf_slice(b, en->data);
	buf_fill(b, 0, (8 - en->data.n % 8) % 8);
	le32_to(b->p + 52, le32_at(b->p + 52) + 1);
}

int store_parked_write(struct store *s, struct id128 id, struct buf *b,
		       bool fresh, struct err *e)
{
	AUTO_FREE char *dir = dir_of(s, id);
	AUTO_FREE char *path = NULL;
	struct parked_file f = {1, journal_id(s->journal), s->mark.batch, false};
	struct parked_file *is = NULL;
	size_t n = 0;
	int r = store_parked_list(s, id, &is, &n, e);

	if (r < 0)
		return r;
	if (n)
		f.order = is[n - 1].order + 1;
	for (size_t i = 0; i < n; i++)
		if (is[i].journal == f.journal && is[i].batch == f.batch)
			f.order = is[i].order;
	free(is);
	path = path_of(s, id, &f);
	memcpy(b->p, MAGIC, 8);
	b->p[8] = FORMAT_MAJOR;
	memcpy(b->p + 16, id.b, 16);
	le64_to(b->p + 32, f.journal);
	le64_to(b->p + 40, f.batch);
	le32_to(b->p + 48, fresh ? FLAG_FRESH : 0);
	le32_to(b->p + 12, crc32c(0, b->p + 16, b->n - 16));
	r = account_root_mkdirs(s->fs, dir, 0700);
	if (r == 0)
		r = fsio_replace_file(s->fs, path, buf_all(b), 0600);
	return r < 0 ? err_set(e, r, "%s: %s", path, err_name(r)) : 0;
}

/* --- an account that has them in its tree -------------------------------------------- */

int account_parked_files(struct account *a, struct slice included,
			 bool *left_out, struct err *e)
{
	struct parked_file *is = NULL;
	size_t n = 0;
	int r = store_parked_list(a->store, a->id, &is, &n, e);

	if (r < 0)
		return r;
	*left_out = false;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k + 16 <= included.n; k += 16)
			if (le64_at(included.p + k) == is[i].journal &&
			    le64_at(included.p + k + 8) == is[i].batch)
				is[i].included = true;
		if (!is[i].included)
			*left_out = true;
	}
	free(a->parked);
	a->parked = is;
	a->n_parked = n;
	return 0;
}

void account_parked_put(const struct account *a, struct buf *to)
{
	for (size_t i = 0; i < a->n_parked; i++) {
		buf_le64(to, a->parked[i].journal);
		buf_le64(to, a->parked[i].batch);
	}
}

/* One that cannot be removed now goes after a later checkpoint: until then
 * every snapshot says that it is in. */
void account_parked_done(struct account *a)
{
	struct fsio *fs = a->store->fs;
	AUTO_FREE char *dir = NULL;

	if (a->n_parked == 0)
		return;
	dir = dir_of(a->store, a->id);
	for (size_t i = 0; i < a->n_parked; i++) {
		AUTO_FREE char *path = path_of(a->store, a->id, &a->parked[i]);
		int r = fs->ops->unlink(fs, path);

		if (r < 0 && r != -ENOENT)
			return;
	}
	if (fs->ops->fsync_dir(fs, dir) < 0)
		return;
	fs->ops->rmdir(fs, dir);
	free(a->parked);
	a->parked = NULL;
	a->n_parked = 0;
}
