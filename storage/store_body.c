/* Bodies by hash, staging: see body_stage.h and store.h. */

#include "storage/store_private.h"

#include "node/base/cleanup.h"
#include "node/base/digest.h"
#include "storage/dbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#define READ_CHUNK (256u * 1024)

static void terminate(struct buf *b)
{
	buf_char(b, 0);
	if (!b->failed)
		b->n--;
}

void body_spill_path(const char *root, uint64_t seq, size_t i, struct buf *to)
{
	buf_reset(to);
	buf_printf(to, "%s/.duet/tmp/b.%" PRIu64 ".%zu", root, seq, i);
	terminate(to);
}

/* The place of the octets in a staged or message file. */
static int octets_of(struct fsio *fs, const char *path, uint64_t *offset,
		     uint64_t *size)
{
	struct dbox_file f;
	int r = dbox_open(fs, path, &f);

	if (r < 0)
		return r;
	fs->ops->close(fs, f.fd);
	*offset = f.offset;
	*size = f.size;
	return 0;
}

int body_stage_find(struct fsio *fs, const char *root, const uint8_t hash[32],
		    struct buf *path_out, uint64_t *offset_out,
		    uint64_t *size_out)
{
	buf_reset(path_out);
	dbox_staged_path(path_out, root, hash);
	terminate(path_out);
	return octets_of(fs, (char *)path_out->p, offset_out, size_out);
}

int store_body_find(struct store *s, struct account *a, const uint8_t hash[32],
		    struct buf *path_out, uint64_t *offset_out,
		    uint64_t *size_out)
{
	int r = body_stage_find(s->fs, a->root, hash, path_out, offset_out,
				size_out);

	if (r == 0)
		return 0;
	buf_reset(path_out);
	r = state_body_find(a->state, hash, path_out);
	if (r < 0)
		return r;
	terminate(path_out);
	return octets_of(s->fs, (char *)path_out->p, offset_out, size_out);
}

/* A frame that waits may have it in memory. */
static const struct slice *pending_body(const struct account *a,
					const uint8_t hash[32])
{
	for (struct list *l = a->pending.prev; l != &a->pending; l = l->prev) {
		struct pending_frame *p = CONTAINER_OF(l, struct pending_frame,
						       node);
		size_t k = 0;

		for (size_t i = 0; i < p->record.n_ops && k < p->bodies.n; i++) {
			struct op *op = &p->record.ops[i];

			if (op->kind != OP_MSG_ADD || !op->msg_add.inline_body)
				continue;
			if (memcmp(op->msg_add.body_hash, hash, 32) == 0 &&
			    p->bodies.data[k].p)
				return &p->bodies.data[k];
			k++;
		}
	}
	return NULL;
}

int store_body_load(struct store *s, struct account *a, const uint8_t hash[32],
		    uint64_t size_max, struct buf *to, struct err *e)
{
	const struct slice *waiting = pending_body(a, hash);
	struct fsio *fs = s->fs;
	uint64_t offset, size;
	uint8_t is[32];
	struct buf path;
	int fd, r;

	if (waiting) {
		buf_slice(to, *waiting);
		return to->failed ? E_LIMIT : 0;
	}
	buf_init(&path, 8192);
	r = store_body_find(s, a, hash, &path, &offset, &size);
	if (r == 0 && size > size_max)
		r = E_LIMIT;
	if (r == 0) {
		fd = fs->ops->open(fs, (char *)path.p, O_RDONLY, 0);
		if (fd < 0) {
			r = fd;
		} else {
			uint8_t *p = buf_room(to, (size_t)size);

			r = p ? fsio_pread_all(fs, fd, p, (size_t)size, offset) :
				E_LIMIT;
			fs->ops->close(fs, fd);
		}
	}
	if (r == 0) {
		buf_commit(to, (size_t)size);
		sha256(buf_all(to), is);
		if (memcmp(is, hash, 32) != 0)
			r = E_CORRUPT;
	}
	if (r < 0)
		err_set(e, r, "body in %s: %s", path.p ? (char *)path.p :
						a->root, err_name(r));
	buf_fini(&path);
	return r;
}

/* --- staging -------------------------------------------------------------------- */

struct body_stage {
	struct store_flight flight;	/* while it is synced */
	struct store *store;
	struct account *account;
	char *path;			/* t.RANDOM */
	int fd;
	uint64_t size, written;
	struct digest_sha256 *sha;
	uint8_t hash[32];
	int result;
	store_staged *done;
	void *arg;
};

static void stage_free(struct body_stage *b, bool remove)
{
	struct fsio *fs = b->store->fs;

	if (b->fd >= 0)
		fs->ops->close(fs, b->fd);
	if (remove)
		fs->ops->unlink(fs, b->path);
	digest_sha256_free(b->sha);
	store_account_unref(b->account);
	free(b->path);
	free(b);
}

static int put_head(struct body_stage *b)
{
	struct buf head;
	int r;

	buf_init(&head, 256);
	dbox_head_put(&head, b->size);
	r = head.n != DBOX_HEAD_SIZE ?
		    E_CORRUPT :
		    fsio_pwrite_all(b->store->fs, b->fd, head.p, head.n, 0);
	buf_fini(&head);
	return r;
}

int store_stage_begin(struct store *s, struct account *a, uint64_t size,
		      struct body_stage **out, struct err *e)
{
	struct body_stage *b;
	int r;

	if (s->failed)
		return err_set(e, E_TEMP, "the journal has failed");
	if (size > BODY_SIZE_MAX)
		return err_set(e, E_LIMIT, "a body of %" PRIu64 " bytes", size);
	if (store_low_space(s, a))
		return err_set(e, E_NOSPACE, "less than pair_reserve is free");
	b = NEW(struct body_stage);
	b->store = s;
	b->account = a;
	b->size = size;
	b->path = xprintf("%s/.duet/tmp/t.%016" PRIx64, a->root,
			  rng_u64(s->o.sys->rng));
	store_account_ref(a);
	b->sha = digest_sha256_new();
	b->fd = s->fs->ops->open(s->fs, b->path, O_RDWR | O_CREAT | O_EXCL,
				 0600);
	r = b->fd < 0 ? b->fd : put_head(b);
	if (r < 0) {
		err_set(e, r, "%s: %s", b->path, err_name(r));
		stage_free(b, b->fd >= 0);
		return r;
	}
	a->has_stages = true;
	*out = b;
	return 0;
}

int store_stage_add(struct body_stage *b, struct slice data, struct err *e)
{
	int r;

	if (b->result < 0)
		return err_set(e, b->result, "%s: failed before", b->path);
	if (b->written + data.n > BODY_SIZE_MAX)
		r = E_LIMIT;
	else
		r = fsio_pwrite_all(b->store->fs, b->fd, data.p, data.n,
				    DBOX_HEAD_SIZE + b->written);
	if (r < 0) {
		b->result = r;
		return err_set(e, r, "%s: %s", b->path, err_name(r));
	}
	b->written += data.n;
	digest_sha256_add(b->sha, data);
	return 0;
}

/* The octets are on disk; now the name, which is known to be whole. */
static int give_name(struct body_stage *b, struct buf *path)
{
	struct fsio *fs = b->store->fs;
	AUTO_FREE char *dir = account_dir(b->account, "tmp");
	uint64_t offset, size;
	int r = body_stage_find(fs, b->account->root, b->hash, path, &offset,
				&size);

	/* The same body may be there already, perhaps in use. */
	if (r == 0 && size == b->written)
		fs->ops->unlink(fs, b->path);
	else
		r = fs->ops->rename(fs, b->path, (char *)path->p);
	if (r == 0)
		r = fs->ops->fsync_dir(fs, dir);
	return r < 0 ? r : store_made_sync(b->store, b->account->id);
}

/* The store goes before the sync ends: the file is swept later. */
static void stage_orphan(struct store_flight *f)
{
	struct body_stage *b = CONTAINER_OF(f, struct body_stage, flight);

	b->store->fs->ops->close(b->store->fs, b->fd);
	free(b->path);
}

static void stage_synced(void *arg, int result)
{
	struct body_stage *b = arg;
	struct buf path;
	struct err e = ERR_NONE;

	if (!store_flight_end(&b->flight)) {
		free(b);
		return;
	}
	buf_init(&path, 8192);
	if (b->store->failed) {
		result = -EIO;
	} else if (result < 0) {
		/* An fsync is never retried. */
		err_set(&e, result, "fdatasync %s: %s", b->path,
			err_name(result));
		store_fail(b->store, &e);
	} else {
		result = give_name(b, &path);
	}
	if (b->done)
		b->done(b->arg, result, b->hash, b->written,
			result < 0 ? NULL : (char *)path.p);
	buf_fini(&path);
	stage_free(b, result < 0);
}

void store_stage_end(struct body_stage *b, store_staged *done, void *arg)
{
	struct fsio *fs = b->store->fs;
	int r = b->result;

	b->done = done;
	b->arg = arg;
	digest_sha256_end(b->sha, b->hash);
	b->sha = NULL;
	if (r == 0 && b->written != b->size) {
		b->size = b->written;	/* it was an estimate */
		r = put_head(b);
	}
	if (r == 0) {
		store_flight_begin(b->store, &b->flight, stage_orphan);
		r = fs->ops->fdatasync_start(fs, b->fd, stage_synced, b);
		if (r < 0)
			store_flight_end(&b->flight);
	}
	if (r < 0) {
		if (done)
			done(arg, r, b->hash, b->written, NULL);
		stage_free(b, true);
	}
}

void store_stage_abort(struct body_stage *b)
{
	stage_free(b, true);
}

/* --- sweeping ---------------------------------------------------------------------- */

struct sweep {
	struct account *a;
	uint64_t before;
	size_t left;
};

static bool named_by_pending(const struct account *a, const uint8_t hash[32])
{
	for (struct list *l = a->pending.next; l != &a->pending; l = l->next) {
		struct pending_frame *p = CONTAINER_OF(l, struct pending_frame,
						       node);

		for (size_t i = 0; i < p->record.n_ops; i++)
			if (p->record.ops[i].kind == OP_MSG_ADD &&
			    memcmp(p->record.ops[i].msg_add.body_hash, hash,
				   32) == 0)
				return true;
	}
	return false;
}

static bool sweep_one(void *arg, const char *name)
{
	struct sweep *x = arg;
	struct fsio *fs = x->a->store->fs;
	AUTO_FREE char *path = xprintf("%s/.duet/tmp/%s", x->a->root, name);
	struct fsio_stat st;
	uint8_t hash[32];

	if (name[1] != '.' || (name[0] != 's' && name[0] != 't'))
		return true;
	if (fs->ops->stat(fs, path, &st) == 0 &&
	    (uint64_t)st.mtime_usec + BODY_STAGE_KEEP_USEC < x->before &&
	    (name[0] == 't' || hex_to(slice_str(name + 2), hash, 32) < 0 ||
	     !named_by_pending(x->a, hash)))
		fs->ops->unlink(fs, path);
	else
		x->left++;
	return true;
}

void store_sweep_stages(struct store *s, struct account *a)
{
	struct sweep x = {a, clock_real(s->o.sys->clock), 0};
	AUTO_FREE char *dir = NULL;

	/* A message file linked to one is not known to be durable yet. */
	if (!a->has_stages || a->stage_seq > a->snap_seq)
		return;
	dir = account_dir(a, "tmp");
	s->fs->ops->list(s->fs, dir, sweep_one, &x);
	a->has_stages = x.left > 0;
}

/* --- repair ------------------------------------------------------------------------- */

struct repair {
	struct account *a;
	const uint8_t *hash;
	const char *from;
	struct err *e;
	int result;
};

static bool repair_one(void *arg, struct mailbox *m, const struct mrec *rec)
{
	struct repair *x = arg;

	if (memcmp(rec->body_hash, x->hash, 32) == 0)
		x->result = state_place_body(x->a->state, m, rec, x->from,
					     DBOX_HEAD_SIZE, x->e);
	return x->result == 0;
}

int store_body_repair(struct store *s, struct account *a,
		      const uint8_t hash[32], struct slice data, struct err *e)
{
	AUTO_FREE char *path = xprintf("%s/.duet/tmp/t.%016" PRIx64, a->root,
				       rng_u64(s->o.sys->rng));
	struct repair x = {a, hash, path, e, 0};
	uint8_t is[32];
	struct buf head;
	int fd, r;

	sha256(data, is);
	if (memcmp(is, hash, 32) != 0)
		return err_set(e, E_CORRUPT, "a body that is not what was "
			       "asked for");
	buf_init(&head, 256);
	dbox_head_put(&head, data.n);
	fd = s->fs->ops->open(s->fs, path, O_RDWR | O_CREAT | O_EXCL, 0600);
	r = fd < 0 ? fd : fsio_pwrite_all(s->fs, fd, head.p, head.n, 0);
	if (r == 0)
		r = fsio_pwrite_all(s->fs, fd, data.p, data.n, head.n);
	if (r == 0)
		r = s->fs->ops->fsync(s->fs, fd);
	if (fd >= 0)
		s->fs->ops->close(s->fs, fd);
	buf_fini(&head);
	if (r < 0)
		err_set(e, r, "%s: %s", path, err_name(r));
	else
		r = state_bodies(a->state, repair_one, &x, e);
	if (r == 0)
		r = x.result;
	if (r == 0) {
		state_missing_found(a->state, hash);
		account_dirty(a);
	}
	if (fd >= 0)
		s->fs->ops->unlink(s->fs, path);
	return r;
}
