/* New accounts until a checkpoint: see store_private.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>

/* account 16, name and root: length u32, bytes each. */
static void put_text(struct buf *to, const char *text)
{
	buf_le32(to, (uint32_t)strlen(text));
	buf_str(to, text);
}

static bool get_text(struct cursor *c, char *to, size_t size)
{
	uint32_t n = cursor_le32(c);
	struct slice text;

	if (c->bad || n == 0 || n >= size)
		return false;
	text = cursor_bytes(c, n);
	if (c->bad || memchr(text.p, 0, n))
		return false;
	memcpy(to, text.p, n);
	to[n] = '\0';
	return true;
}

static void remember(struct store *s, const struct account_root *root,
		     uint64_t batch)
{
	struct made_account *m = NEW(struct made_account);

	m->root = *root;
	m->batch = batch;
	free(map_put(s->made, id_slice(&m->root.id), m));
}

/* Only there does the mark of the mail root tell whether the file system is
 * mounted when the tree is to be made again. */
static bool in_mail_root(struct store *s, const char *root)
{
	struct fsio_stat a, b;

	return s->mail_root[0] &&
	       s->fs->ops->stat(s->fs, s->mail_root, &a) == 0 &&
	       s->fs->ops->stat(s->fs, root, &b) == 0 && a.dev == b.dev;
}

static int make_durably(struct store *s, const struct account_root *root,
			struct err *e)
{
	int r = s->fs->ops->syncfs(s->fs, root->root);

	if (r < 0)
		return err_set(e, r, "syncfs %s: %s", root->root, err_name(r));
	r = account_root_put(s->fs, s->state_dir, root, e);
	if (r < 0)
		return r;
	r = s->fs->ops->syncfs(s->fs, s->state_dir);
	return r < 0 ? err_set(e, r, "syncfs %s: %s", s->state_dir,
			       err_name(r)) : 0;
}

int store_made_begin(struct store *s, const struct account_root *root,
		     struct err *e)
{
	struct slice part;
	uint64_t batch;
	struct buf b;
	int r = account_root_make(s->fs, pair_slice(s), root, e);

	if (r < 0)
		return r;
	if (!in_mail_root(s, root->root))
		return make_durably(s, root, e);
	buf_init(&b, sizeof(*root) + 64);
	buf_put(&b, root->id.b, 16);
	put_text(&b, root->name);
	put_text(&b, root->root);
	part = buf_all(&b);
	r = journal_put(s->journal, JOURNAL_ACCOUNT, &part, 1, JOURNAL_LAZY,
			&batch);
	buf_fini(&b);
	if (r == -ENOSPC) {
		s->space_wanted = true;
		store_checkpoint(s, NULL, NULL);
	}
	if (r < 0)
		return err_set(e, E_TEMP, "no room for a new account in the "
			       "journal");
	remember(s, root, batch);
	return 0;
}

static int make_again(struct store *s, const struct account_root *root,
		      struct err *e)
{
	int r = node_mark_check(s->fs, s->mail_root, pair_slice(s), s->o.node,
				e);

	return r < 0 ? r : account_root_make_again(s->fs, pair_slice(s), root,
						   e);
}

int store_made_replay(struct store *s, const struct journal_entry *en,
		      struct err *e)
{
	struct cursor c = cursor_of(en->data);
	struct account_root root;

	cursor_copy(&c, root.id.b, 16);
	if (!get_text(&c, root.name, sizeof(root.name)) ||
	    !get_text(&c, root.root, sizeof(root.root)) || !cursor_done(&c))
		return err_set(e, E_CORRUPT, "an ACCOUNT entry that cannot be "
			       "read");
	/* Known from now on, whatever becomes of its tree. */
	remember(s, &root, en->batch);
	return make_again(s, &root, e);
}

int store_made_sync(struct store *s, struct id128 id)
{
	struct made_account *m = map_get(s->made, id_slice(&id));
	size_t top = strlen(s->mail_root);
	int r = 0;

	if (!m || m->names_durable)
		return 0;
	AUTO_FREE char *dir = xprintf("%s/.duet", m->root.root);

	/* It lies below the mail root, by whatever name; "/" ends it. */
	while (r == 0 && *dir) {
		char *slash = strrchr(dir, '/');

		r = s->fs->ops->fsync_dir(s->fs, dir);
		if (strlen(dir) <= top || !slash)
			break;
		*slash = '\0';
	}
	m->names_durable = r == 0;
	return r;
}

static int is_made(void *arg, const struct journal_entry *en)
{
	*(bool *)arg |= en->type == JOURNAL_ACCOUNT;
	return 0;
}

bool store_made_parked(struct store *s, struct id128 id)
{
	struct parked_file *files = NULL;
	struct err ignored = ERR_NONE;
	bool is = false;
	size_t n = 0;
	int r = store_parked_list(s, id, &files, &n, &ignored);

	for (size_t i = 0; i < n && r == 0 && !is; i++)
		r = store_parked_each(s, id, &files[i], is_made, &is,
				      &ignored);
	free(files);
	return r == 0 && is;
}

int store_made_put(struct store *s, uint64_t batch, struct err *e)
{
	struct slice key;
	void *value;
	int r = 0;

	for (size_t i = 0; r == 0 && map_each(s->made, &i, &key, &value);) {
		struct made_account *m = value;
		struct account_root is;
		struct err ignored = ERR_NONE;

		if (m->batch <= batch &&
		    account_root_get(s->fs, s->state_dir, m->root.id, &is,
				     &ignored) < 0)
			r = account_root_put(s->fs, s->state_dir, &m->root, e);
	}
	return r;
}

void store_made_done(struct store *s, uint64_t batch)
{
	struct id128 *ids = xmalloc((map_size(s->made) + 1) * sizeof(*ids));
	struct slice key;
	void *value;
	size_t n = 0;

	for (size_t i = 0; map_each(s->made, &i, &key, &value);) {
		struct made_account *m = value;

		if (m->batch <= batch)
			ids[n++] = m->root.id;
	}
	while (n > 0)
		free(map_remove(s->made, id_slice(&ids[--n])));
	free(ids);
}

int store_root_get(struct store *s, struct id128 id, struct account_root *out,
		   struct err *e)
{
	struct made_account *m = map_get(s->made, id_slice(&id));

	if (!m)
		return account_root_get(s->fs, s->state_dir, id, out, e);
	*out = m->root;
	return 0;
}
