/* Names, calls, faults: see simdisk_private.h. */

#include "tests/lib/simdisk_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SIM_TOTAL (1ull << 40)	/* space() without a capacity */

static struct simdisk *disk_of(struct fsio *fs)
{
	return (struct simdisk *)(void *)fs;
}

/* --- crash points and faults ------------------------------------------------ */

static bool fault_hits(struct simdisk *d, unsigned call, const char *path,
		       int *error_out)
{
	struct sim_fault *f = &d->fault;

	if ((f->calls & call) == 0 ||
	    (f->path && (!path || !strstr(path, f->path))))
		return false;
	if (f->n > 1) {
		f->n--;
		return false;
	}
	*error_out = -f->error;
	if (f->times > 0 && --f->times == 0)
		f->calls = 0;
	return true;
}

/* Before a call: -errno if it must fail.  Calls that change or sync count as
 * crash points. */
int sim_enter(struct simdisk *d, unsigned call, const char *path)
{
	int error;

	if (d->dead)
		return -EIO;
	if (call & (SIM_CHANGES | SIM_SYNCS)) {
		d->calls++;
		/* A call that failed had no "after". */
		if (d->crash_at != 0 && d->calls >= d->crash_at &&
		    (!d->crash_after || d->calls > d->crash_at)) {
			d->dead = true;
			return -EIO;
		}
	}
	if (d->read_only && (call & SIM_CHANGES))
		return -EROFS;
	if (call & SIM_SYNCS)
		d->counts.syncs++;
	return fault_hits(d, call, path, &error) ? error : 0;
}

/* After its effect: the caller does not live to see the result. */
int sim_leave(struct simdisk *d, int result)
{
	if (d->crash_at != 0 && d->crash_at == d->calls && d->crash_after)
		d->dead = true;
	return d->dead ? -EIO : result;
}

void simdisk_fail(struct simdisk *d, unsigned calls, const char *path,
		  uint64_t n, uint64_t times, int error_no)
{
	free(d->fault.path);
	d->fault = (struct sim_fault){calls, path ? xstrdup(path) : NULL, n,
				      times, error_no};
}

/* --- paths ------------------------------------------------------------------- */

struct sim_node *sim_child(struct sim_node *dir, const char *name)
{
	struct sim_entry *e = sim_entry_of(dir, name, false);

	return e ? e->cur : NULL;
}

/* The directory of path and the last component's name. */
static int walk(struct simdisk *d, const char *path, struct sim_node **dir_out,
		char name[SIM_NAME_MAX + 1])
{
	struct sim_node *dir = d->root;

	name[0] = '\0';
	for (;;) {
		size_t n;

		while (*path == '/')
			path++;
		n = strcspn(path, "/");
		if (n == 0)
			break;
		if (n > SIM_NAME_MAX)
			return -ENAMETOOLONG;
		if (name[0]) {
			dir = sim_child(dir, name);
			if (!dir)
				return -ENOENT;
			if (!S_ISDIR(dir->mode))
				return -ENOTDIR;
		}
		memcpy(name, path, n);
		name[n] = '\0';
		path += n;
		if (strcmp(name, ".") == 0 && name[1] == '\0')
			name[0] = '\0';
	}
	*dir_out = dir;
	return 0;
}

int sim_find(struct simdisk *d, const char *path, struct sim_node **out)
{
	char name[SIM_NAME_MAX + 1];
	struct sim_node *dir, *n;
	int r = walk(d, path, &dir, name);

	if (r < 0)
		return r;
	n = name[0] ? sim_child(dir, name) : dir;
	if (!n)
		return -ENOENT;
	*out = n;
	return 0;
}

int sim_place(struct simdisk *d, const char *path, struct sim_node **dir_out,
		 char name[SIM_NAME_MAX + 1])
{
	int r = walk(d, path, dir_out, name);

	return r < 0 ? r : name[0] ? 0 : -EEXIST;
}

static struct sim_handle *handle_of(struct simdisk *d, int fd)
{
	if (fd < 0 || (size_t)fd >= d->n_handles || !d->handles[fd].node)
		return NULL;
	return &d->handles[fd];
}

/* --- files --------------------------------------------------------------------- */

static int handle_new(struct simdisk *d, struct sim_node *n, int flags,
		      const char *path)
{
	size_t i = 0;

	while (i < d->n_handles && d->handles[i].node)
		i++;
	if (i == d->n_handles) {
		GROW(d->handles, d->n_handles, d->cap_handles);
		d->n_handles++;
	}
	d->handles[i] = (struct sim_handle){sim_node_ref(n),
					    (flags & O_ACCMODE) != O_RDONLY,
					    xstrdup(path)};
	return (int)i;
}

static int sim_open(struct fsio *fs, const char *path, int flags, mode_t mode)
{
	struct simdisk *d = disk_of(fs);
	char name[SIM_NAME_MAX + 1];
	struct sim_node *dir, *n;
	int r = sim_enter(d, SIM_OPEN, path);

	if (r == 0)
		r = walk(d, path, &dir, name);
	if (r < 0)
		return r;
	n = name[0] ? sim_child(dir, name) : dir;
	if (n && (flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (!n && !(flags & O_CREAT))
		return -ENOENT;
	if (n && S_ISDIR(n->mode) && (flags & O_ACCMODE) != O_RDONLY)
		return -EISDIR;
	if (n && (flags & O_DIRECTORY) && !S_ISDIR(n->mode))
		return -ENOTDIR;
	if (!n || ((flags & O_TRUNC) && n->cur.size > 0)) {
		r = sim_enter(d, SIM_CREATE, path);
		if (r < 0)
			return r;
		if (n) {
			sim_size(n, 0);
		} else {
			n = sim_node_new(d, S_IFREG | (mode & 07777));
			sim_entries(d, &(struct sim_set){dir, name, n}, 1);
		}
		r = sim_leave(d, 0);
		if (r < 0)
			return r;
	} else if (d->read_only && (flags & O_ACCMODE) != O_RDONLY) {
		return -EROFS;
	}
	return handle_new(d, n, flags, path);
}

static int sim_close(struct fsio *fs, int fd)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);

	if (!h)
		return -EBADF;
	if (h->node->locked_by == fd + 1)
		h->node->locked_by = 0;
	sim_node_unref(h->node);
	free(h->path);
	*h = (struct sim_handle){0};
	return 0;
}

static ssize_t sim_pread(struct fsio *fs, int fd, void *to, size_t n,
			 uint64_t off)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_PREAD, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h)
		return -EBADF;
	if (S_ISDIR(h->node->mode))
		return -EISDIR;
	d->counts.reads++;
	if (off >= h->node->cur.size)
		return 0;
	if (n > h->node->cur.size - off)
		n = (size_t)(h->node->cur.size - off);
	sim_capture(h->node);
	sim_pages_read(&h->node->cur, to, n, off);
	return (ssize_t)n;
}

/* Would the file, grown to size, still fit? */
static bool has_room(struct simdisk *d, struct sim_node *n, uint64_t size)
{
	uint64_t need = (size + SIM_PAGE - 1) / SIM_PAGE * SIM_PAGE;

	return d->capacity == 0 || need <= n->reserved ||
	       d->used + need - n->reserved <= d->capacity;
}

static ssize_t sim_pwrite(struct fsio *fs, int fd, const void *p, size_t n,
			  uint64_t off)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_PWRITE, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h || !h->writable)
		return -EBADF;
	if (n == 0)
		return 0;
	if (!has_room(d, h->node, off + n))
		return -ENOSPC;
	if (d->short_every && n > 1 && ++d->short_count % d->short_every == 0)
		n /= 2;
	sim_write(h->node, p, n, off);
	d->counts.writes++;
	d->counts.bytes += n;
	r = sim_leave(d, 0);
	return r < 0 ? r : (ssize_t)n;
}

static int sim_truncate(struct fsio *fs, int fd, uint64_t size)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_TRUNCATE, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h || !h->writable)
		return -EBADF;
	if (!has_room(d, h->node, size))
		return -ENOSPC;
	sim_size(h->node, size);
	return sim_leave(d, 0);
}

static int sim_allocate(struct fsio *fs, int fd, uint64_t off, uint64_t n)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_ALLOCATE, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h || !h->writable)
		return -EBADF;
	if (!has_room(d, h->node, off + n))
		return -ENOSPC;
	if (off + n > h->node->cur.size)
		sim_size(h->node, off + n);
	return sim_leave(d, 0);
}

static int sim_lock(struct fsio *fs, int fd)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_LOCK, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h)
		return -EBADF;
	if (h->node->locked_by != 0 && h->node->locked_by != fd + 1)
		return -EAGAIN;
	h->node->locked_by = fd + 1;
	return 0;
}

/* --- syncs ----------------------------------------------------------------------- */

static void commit(struct simdisk *d, struct sim_node *n, uint64_t upto)
{
	if (!d->lying)
		sim_commit(d, n, upto);
}

static int sim_fsync(struct fsio *fs, int fd)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_FSYNC, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h)
		return -EBADF;
	sim_capture(h->node);
	commit(d, h->node, UINT64_MAX);
	return sim_leave(d, 0);
}

static int sim_fsync_dir(struct fsio *fs, const char *path)
{
	struct simdisk *d = disk_of(fs);
	struct sim_node *n;
	int r = sim_enter(d, SIM_FSYNC_DIR, path);

	if (r == 0)
		r = sim_find(d, path, &n);
	if (r < 0)
		return r;
	if (!S_ISDIR(n->mode))
		return -ENOTDIR;
	commit(d, n, UINT64_MAX);
	return sim_leave(d, 0);
}

static int sim_syncfs(struct fsio *fs, const char *path)
{
	struct simdisk *d = disk_of(fs);
	struct sim_node *n;
	int r = sim_enter(d, SIM_SYNCFS, path);

	if (r == 0)
		r = sim_find(d, path, &n);
	if (r < 0)
		return r;
	sim_capture_all(d);
	commit(d, NULL, UINT64_MAX);
	return sim_leave(d, 0);
}

static void sync_free(struct sim_sync *s)
{
	list_remove(&s->list);
	s->disk->n_syncs--;
	if (s->event)
		simtime_cancel(s->disk->time, s->event);
	sim_node_unref(s->node);
	free(s);
}

void sim_drop_syncs(struct simdisk *d)
{
	while (!list_empty(&d->syncs)) {
		struct sim_sync *s = CONTAINER_OF(d->syncs.next,
						  struct sim_sync, list);
		fsio_done *done = s->done;
		void *arg = s->arg;

		sync_free(s);
		done(arg, -ECANCELED);
	}
}

static void sync_end(struct sim_sync *s)
{
	struct simdisk *d = s->disk;
	fsio_done *done = s->done;
	void *arg = s->arg;
	int error = s->error;

	if (error == 0)
		commit(d, s->node, s->upto);
	/* Its own event may still wait: sync_free() cancels it. */
	sync_free(s);
	done(arg, error);
}

static void sync_due(void *arg)
{
	struct sim_sync *s = arg;
	struct simdisk *d = s->disk;

	s->event = 0;
	if (d->hang || d->dead)
		return;
	/* Oldest first, whatever hung before. */
	while (!list_empty(&d->syncs)) {
		struct sim_sync *first =
			CONTAINER_OF(d->syncs.next, struct sim_sync, list);
		bool last = first == s;

		sync_end(first);
		if (last || d->dead)
			return;
	}
}

static int sync_start(struct simdisk *d, struct sim_node *n, int error,
		      fsio_done *done, void *arg)
{
	struct sim_sync *s;

	/* Dead right after: whether it began makes no difference. */
	if (sim_leave(d, 0) < 0)
		return -EIO;
	s = NEW(struct sim_sync);
	*s = (struct sim_sync){.disk = d, .node = sim_node_ref(n),
			       .upto = d->last_op, .error = error,
			       .done = done, .arg = arg};
	list_append(&d->syncs, &s->list);
	d->n_syncs++;
	if (d->time)
		s->event = simtime_at(d->time, d->latency, sync_due, s);
	return 0;
}

static int sim_fdatasync_start(struct fsio *fs, int fd, fsio_done *done,
			       void *arg)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	int r = sim_enter(d, SIM_FDATASYNC, h ? h->path : NULL);

	if (d->dead)
		return -EIO;
	if (!h)
		return -EBADF;
	sim_capture(h->node);
	return sync_start(d, h->node, r, done, arg);
}

static int sim_syncfs_start(struct fsio *fs, const char *path, fsio_done *done,
			    void *arg)
{
	struct simdisk *d = disk_of(fs);
	struct sim_node *n;
	int r = sim_enter(d, SIM_SYNCFS, path), found;

	if (d->dead)
		return -EIO;
	found = sim_find(d, path, &n);
	if (found < 0)
		return found;
	sim_capture_all(d);
	return sync_start(d, NULL, r, done, arg);
}

size_t simdisk_complete(struct simdisk *d, size_t max)
{
	size_t n = 0;

	for (; n < max && !list_empty(&d->syncs) && !d->dead && !d->hang; n++)
		sync_end(CONTAINER_OF(d->syncs.next, struct sim_sync, list));
	return n;
}

void simdisk_set_hang(struct simdisk *d, bool hang)
{
	d->hang = hang;
	if (hang || !d->time)
		return;
	for (struct list *l = d->syncs.next; l != &d->syncs; l = l->next) {
		struct sim_sync *s = CONTAINER_OF(l, struct sim_sync, list);

		if (!s->event)
			s->event = simtime_at(d->time, d->latency, sync_due, s);
	}
}

static int sim_fstat(struct fsio *fs, int fd, struct fsio_stat *out)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);

	if (d->dead)
		return -EIO;
	if (!h)
		return -EBADF;
	sim_stat_of(h->node, out);
	return 0;
}

static int sim_space(struct fsio *fs, const char *path, uint64_t *free_out,
		     uint64_t *total_out)
{
	struct simdisk *d = disk_of(fs);
	uint64_t total = d->capacity ? d->capacity : SIM_TOTAL;

	(void)path;
	if (d->dead)
		return -EIO;
	*free_out = d->used < total ? total - d->used : 0;
	*total_out = total;
	return 0;
}

/* --- mappings ------------------------------------------------------------------------ */

static int sim_map(struct fsio *fs, int fd, size_t n, void **out)
{
	struct simdisk *d = disk_of(fs);
	struct sim_handle *h = handle_of(d, fd);
	struct sim_node *node;
	int r = sim_enter(d, SIM_MAP, h ? h->path : NULL);

	if (r < 0)
		return r;
	if (!h || !h->writable)
		return -EBADF;
	node = h->node;
	if (n == 0 || n > node->cur.size)
		return -EINVAL;
	if (node->region && n > node->region_size)
		return -ENOMEM;
	if (!node->region) {
		size_t size = n > SIM_REGION / 16 ? 16 * n : SIM_REGION;
		void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			       0);

		if (p == MAP_FAILED)
			return -ENOMEM;
		node->region = p;
		node->region_size = size;
		sim_pages_read(&node->cur, p, (size_t)sim_mapped_size(node), 0);
		list_append(&d->mapped, &node->mapped);
		GROW(d->regions, d->n_regions, d->cap_regions);
		d->regions[d->n_regions++] =
			(struct sim_region){sim_node_ref(node), p, size, 0};
	}
	node->maps++;
	for (size_t i = 0; i < d->n_regions; i++)
		if (d->regions[i].p == node->region)
			d->regions[i].maps++;
	*out = node->region;
	return 0;
}

static struct sim_region *region_of(struct simdisk *d, const void *p)
{
	for (size_t i = 0; i < d->n_regions; i++)
		if (d->regions[i].p == p)
			return &d->regions[i];
	return NULL;
}

static int sim_unmap(struct fsio *fs, void *p, size_t n)
{
	struct simdisk *d = disk_of(fs);
	struct sim_region *g = region_of(d, p);
	struct sim_node *node;

	(void)n;
	if (!g)
		return -EINVAL;
	node = g->node;
	if (node)
		node->maps--;
	if (--g->maps > 0)
		return 0;
	if (node) {
		sim_capture(node);
		node->region = NULL;
		list_remove(&node->mapped);
		sim_node_unref(node);
	}
	munmap(g->p, g->size);
	*g = d->regions[--d->n_regions];
	return 0;
}

static int sim_msync(struct fsio *fs, void *p, size_t n)
{
	struct simdisk *d = disk_of(fs);
	struct sim_region *g = region_of(d, p);
	int r = sim_enter(d, SIM_MSYNC, NULL);

	(void)n;
	if (r < 0)
		return r;
	if (!g || !g->node)
		return -EINVAL;
	sim_capture(g->node);
	commit(d, g->node, UINT64_MAX);
	return sim_leave(d, 0);
}

/* --- the disk ---------------------------------------------------------------------- */

static const struct fsio_ops sim_ops = {
	.open = sim_open, .close = sim_close, .pread = sim_pread,
	.pwrite = sim_pwrite, .truncate = sim_truncate,
	.allocate = sim_allocate, .fsync = sim_fsync,
	.fdatasync_start = sim_fdatasync_start,
	.syncfs_start = sim_syncfs_start, .syncfs = sim_syncfs,
	.fsync_dir = sim_fsync_dir, .stat = sim_op_stat, .fstat = sim_fstat,
	.rename = sim_op_rename, .exchange = sim_op_exchange, .link = sim_op_link,
	.unlink = sim_op_unlink, .mkdir = sim_op_mkdir, .rmdir = sim_op_rmdir,
	.list = sim_op_list, .lock = sim_lock, .map = sim_map, .unmap = sim_unmap,
	.msync = sim_msync, .space = sim_space,
};

struct simdisk *simdisk_new(struct simtime *time)
{
	struct simdisk *d = NEW(struct simdisk);

	d->fs.ops = &sim_ops;
	d->time = time;
	list_init(&d->pending);
	list_init(&d->mapped);
	list_init(&d->syncs);
	d->root = sim_node_ref(sim_node_new(d, S_IFDIR | 0755));
	return d;
}

void simdisk_free(struct simdisk *d)
{
	if (!d)
		return;
	simdisk_power_loss(d, (struct simdisk_keep){.kind = KEEP_NONE});
	simdisk_revive(d);
	for (size_t i = 0; i < d->n_regions; i++)
		munmap(d->regions[i].p, d->regions[i].size);
	sim_node_unref(d->root);
	free(d->regions);
	free(d->handles);
	free(d->fault.path);
	free(d);
}

struct fsio *simdisk_fs(struct simdisk *d) { return &d->fs; }
void simdisk_set_clock(struct simdisk *d, struct clock *c) { d->clock = c; }
void simdisk_set_latency(struct simdisk *d, uint64_t usec) { d->latency = usec; }
size_t simdisk_started(const struct simdisk *d) { return d->n_syncs; }
void simdisk_short_writes(struct simdisk *d, uint64_t n) { d->short_every = n; }
void simdisk_set_capacity(struct simdisk *d, uint64_t n) { d->capacity = n; }
void simdisk_set_read_only(struct simdisk *d, bool on) { d->read_only = on; }
void simdisk_set_lying(struct simdisk *d, bool on) { d->lying = on; }
void simdisk_set_no_exchange(struct simdisk *d, bool on) { d->no_exchange = on; }
uint64_t simdisk_calls(const struct simdisk *d) { return d->calls; }
void simdisk_kill(struct simdisk *d) { d->dead = true; }
bool simdisk_dead(const struct simdisk *d) { return d->dead; }

void simdisk_crash_at(struct simdisk *d, uint64_t k, bool after)
{
	d->crash_at = k;
	d->crash_after = after;
}

struct simdisk_counts simdisk_counts(const struct simdisk *d)
{
	return d->counts;
}

int simdisk_flip(struct simdisk *d, const char *path, uint64_t offset,
		 unsigned bit)
{
	struct sim_node *n;
	uint8_t b;
	int r = sim_find(d, path, &n);

	if (r < 0)
		return r;
	if (offset >= n->cur.size)
		return -ERANGE;
	sim_capture(n);
	sim_pages_read(&n->cur, &b, 1, offset);
	b ^= (uint8_t)(1u << bit);
	sim_pages_write(&n->cur, &b, 1, offset);
	if (n->region && offset < n->region_size)
		n->region[offset] = b;
	if (offset < n->dur.size) {
		sim_pages_read(&n->dur, &b, 1, offset);
		b ^= (uint8_t)(1u << bit);
		sim_pages_write(&n->dur, &b, 1, offset);
	}
	return 0;
}
