#ifndef DUET_TESTS_SIMDISK_PRIVATE_H
#define DUET_TESTS_SIMDISK_PRIVATE_H

/*
 * simdisk.c: calls on files, faults, syncs.  simdisk_names.c: calls on names,
 * copies of a disk.  simdisk_data.c: pages, pending operations, crashes.
 *
 * Invariants:
 *  1. A page that no pending write touches is the same object in cur and dur.
 *  2. An entry that no pending operation touches has cur == dur.
 *  3. node->refs = entries (cur and dur) + handles + operations + regions +
 *     started syncs that point to it.
 */

#include "node/base/arena.h"
#include "node/base/list.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#define SIM_PAGE 4096u
#define SIM_SECTOR 512u
#define SIM_NAME_MAX 255u
/* Address space of a mapped file (at least, and 16 times what is mapped
 * first); pages are taken when touched. */
#define SIM_REGION (2u * 1024 * 1024)

struct sim_page {
	unsigned refs;
	uint8_t b[SIM_PAGE];
};

struct sim_pages {
	struct sim_page **p;	/* NULL = zeros */
	size_t n;
	uint64_t size;
};

struct sim_node;

struct sim_entry {
	char *name;
	struct sim_node *cur, *dur;
};

struct sim_node {
	struct simdisk *disk;
	unsigned refs;
	uint64_t ino;
	uint32_t mode;
	uint32_t nlink;
	int64_t mtime;
	/* files */
	struct sim_pages cur, dur;
	uint64_t reserved;	/* as charged against the capacity */
	uint8_t *region;	/* while mapped; holds the current form */
	size_t region_size;
	unsigned maps;
	int locked_by;		/* descriptor + 1, 0 = nobody */
	/* directories: sorted by name */
	struct sim_entry *entries;
	size_t n_entries, cap_entries;
	struct list ops;	/* sim_key.node: operations on it */
	struct list mapped;	/* in simdisk.mapped */
};

enum sim_op_kind { SIM_OP_WRITE, SIM_OP_SIZE, SIM_OP_ENTRIES };

struct sim_op;

/* What an operation touches: a file, or one entry of a directory. */
struct sim_key {
	struct list node;	/* in sim_node.ops */
	struct sim_op *op;
	struct sim_node *on;
	char *name;		/* entries only */
	struct sim_node *to;	/* entries only; NULL = gone */
};

struct sim_op {
	struct list all;	/* in simdisk.pending */
	uint64_t number;
	enum sim_op_kind kind;
	struct sim_key key[2];
	unsigned n_keys;
	uint64_t off;		/* WRITE: where; SIZE: the new size */
	size_t n;
	uint8_t *data;		/* NULL: zeros */
};

struct sim_handle {
	struct sim_node *node;	/* NULL = free */
	bool writable;
	char *path;
};

/* An address range given out by map. */
struct sim_region {
	struct sim_node *node;	/* NULL after revive */
	uint8_t *p;
	size_t size;
	unsigned maps;
};

struct sim_sync {
	struct list list;
	struct simdisk *disk;
	struct sim_node *node;	/* NULL = everything */
	uint64_t upto;		/* operations numbered <= this */
	int error;
	fsio_done *done;
	void *arg;
	uint64_t event;
};

struct sim_fault {
	unsigned calls;
	char *path;
	uint64_t n, times;
	int error;
};

struct simdisk {
	struct fsio fs;		/* first */
	struct simtime *time;
	struct clock *clock;
	struct sim_node *root;
	uint64_t last_ino, last_op;
	struct list pending;	/* sim_op.all, oldest first */
	size_t n_pending;
	struct list mapped;	/* sim_node.mapped */
	struct sim_handle *handles;
	size_t n_handles, cap_handles;
	struct sim_region *regions;
	size_t n_regions, cap_regions;
	struct list syncs;	/* sim_sync, oldest first */
	size_t n_syncs;
	uint64_t latency, last_due;
	bool hang, read_only, lying, no_exchange, dead;
	uint64_t short_every, short_count;
	uint64_t capacity, used;
	struct sim_fault fault;
	uint64_t calls, crash_at;
	bool crash_after;
	struct simdisk_counts counts;
};

/* --- calls ----------------------------------------------------------------- */
/* Before a call: -errno if it must fail.  After its effect: the caller does
 * not always live to see the result. */
int sim_enter(struct simdisk *d, unsigned call, const char *path);
int sim_leave(struct simdisk *d, int result);
struct sim_node *sim_child(struct sim_node *dir, const char *name);
int sim_find(struct simdisk *d, const char *path, struct sim_node **out);
/* The directory that holds, or would hold, path; -EEXIST for the root. */
int sim_place(struct simdisk *d, const char *path, struct sim_node **dir_out,
	      char name[SIM_NAME_MAX + 1]);
void sim_stat_of(const struct sim_node *n, struct fsio_stat *out);
int sim_op_rename(struct fsio *fs, const char *from, const char *to);
int sim_op_exchange(struct fsio *fs, const char *a, const char *b);
int sim_op_link(struct fsio *fs, const char *from, const char *to);
int sim_op_unlink(struct fsio *fs, const char *path);
int sim_op_mkdir(struct fsio *fs, const char *path, mode_t mode);
int sim_op_rmdir(struct fsio *fs, const char *path);
int sim_op_list(struct fsio *fs, const char *path, fsio_list_cb *cb, void *arg);
int sim_op_stat(struct fsio *fs, const char *path, struct fsio_stat *out);

/* --- data ----------------------------------------------------------------- */
void sim_pages_copy(struct sim_pages *to, const struct sim_pages *from);
void sim_pages_fini(struct sim_pages *p);
void sim_pages_write(struct sim_pages *p, const void *data, size_t n,
		     uint64_t off);
void sim_pages_size(struct sim_pages *p, uint64_t size);
void sim_pages_read(const struct sim_pages *p, void *to, size_t n, uint64_t off);

struct sim_node *sim_node_new(struct simdisk *d, uint32_t mode);
struct sim_node *sim_node_ref(struct sim_node *n);
void sim_node_unref(struct sim_node *n);
/* The entry, or NULL; with add: made (cur and dur NULL). */
struct sim_entry *sim_entry_of(struct sim_node *dir, const char *name, bool add);

/* Changes the current form and remembers the operation. */
void sim_write(struct sim_node *n, const void *data, size_t len, uint64_t off);
void sim_size(struct sim_node *n, uint64_t size);
uint64_t sim_mapped_size(const struct sim_node *n);
struct sim_set {
	struct sim_node *dir;
	const char *name;
	struct sim_node *to;
};
void sim_entries(struct simdisk *d, const struct sim_set *set, unsigned n);
/* Finds what was written through mappings. */
void sim_capture(struct sim_node *n);
void sim_capture_all(struct simdisk *d);
/* Makes durable: operations on node (NULL: all) numbered <= upto. */
void sim_commit(struct simdisk *d, struct sim_node *node, uint64_t upto);
void sim_drop_syncs(struct simdisk *d);

#endif
