/* The simulated disk keeps and loses what POSIX allows it to. */

#include "tests/lib/cu.h"

#include "node/base/arena.h"
#include "tests/lib/simdisk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define NONE ((struct simdisk_keep){.kind = KEEP_NONE})
#define ALL ((struct simdisk_keep){.kind = KEEP_ALL})

static struct simdisk *disk;
static struct fsio *fs;

static void begin(void)
{
	disk = simdisk_new(NULL);
	fs = simdisk_fs(disk);
}

static void crash(struct simdisk_keep keep)
{
	simdisk_kill(disk);
	simdisk_power_loss(disk, keep);
	simdisk_revive(disk);
}

static int put(const char *path, const char *text, bool sync)
{
	int fd = fs->ops->open(fs, path, O_CREAT | O_RDWR, 0600);
	int r = fsio_pwrite_all(fs, fd, text, strlen(text), 0);

	if (r == 0 && sync)
		r = fs->ops->fsync(fs, fd);
	fs->ops->close(fs, fd);
	return r;
}

/* Content of a file, "-" if there is none. */
static const char *get(const char *path)
{
	static char text[64];
	int fd = fs->ops->open(fs, path, O_RDONLY, 0);
	ssize_t n;

	if (fd < 0)
		return "-";
	n = fs->ops->pread(fs, fd, text, sizeof(text) - 1, 0);
	fs->ops->close(fs, fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void unsynced_files_are_lost_or_kept(void)
{
	begin();
	put("/f", "one", false);
	CU_EQ_INT(simdisk_pending(disk), 2);
	CU_EQ_STR(get("/f"), "one");
	crash(NONE);
	CU_EQ_STR(get("/f"), "-");
	put("/f", "two", false);
	crash(ALL);
	CU_EQ_STR(get("/f"), "two");
	CU_EQ_INT(simdisk_pending(disk), 0);
	simdisk_free(disk);
}

static void fsync_of_a_file_does_not_save_its_name(void)
{
	begin();
	put("/f", "one", true);
	crash(NONE);
	CU_EQ_STR(get("/f"), "-");
	put("/f", "one", true);
	fs->ops->fsync_dir(fs, "/");
	put("/f", "TWO", false);
	crash(NONE);
	CU_EQ_STR(get("/f"), "one");
	simdisk_free(disk);
}

static void a_name_may_survive_without_its_data(void)
{
	begin();
	put("/f", "one", false);
	fs->ops->fsync_dir(fs, "/");
	crash(NONE);
	CU_EQ_STR(get("/f"), "");
	simdisk_free(disk);
}

static void rename_is_one_operation(void)
{
	begin();
	put("/a", "new", true);
	put("/b", "old", true);
	fs->ops->mkdir(fs, "/d", 0700);
	fs->ops->syncfs(fs, "/");
	CU_EQ_INT(fs->ops->rename(fs, "/a", "/b"), 0);
	CU_EQ_INT(simdisk_pending(disk), 1);
	crash(NONE);
	CU_EQ_STR(get("/b"), "old");
	CU_EQ_STR(get("/a"), "new");
	fs->ops->rename(fs, "/a", "/d/b");
	fs->ops->fsync_dir(fs, "/d");	/* takes the other end along */
	crash(NONE);
	CU_EQ_STR(get("/d/b"), "new");
	CU_EQ_STR(get("/a"), "-");
	CU_EQ_INT(fs->ops->exchange(fs, "/d/b", "/b"), 0);
	CU_EQ_STR(get("/b"), "new");
	simdisk_set_no_exchange(disk, true);
	CU_EQ_INT(fs->ops->exchange(fs, "/d/b", "/b"), -EINVAL);
	simdisk_free(disk);
}

static void each_pending_operation_may_survive_alone(void)
{
	begin();
	put("/f", "......", true);
	fs->ops->syncfs(fs, "/");
	int fd = fs->ops->open(fs, "/f", O_RDWR, 0);
	fs->ops->pwrite(fs, fd, "A", 1, 0);
	fs->ops->pwrite(fs, fd, "B", 1, 1);
	fs->ops->pwrite(fs, fd, "C", 1, 2);
	crash((struct simdisk_keep){.kind = KEEP_ONLY, .i = 1});
	CU_EQ_STR(get("/f"), ".B....");
	fd = fs->ops->open(fs, "/f", O_RDWR, 0);
	fs->ops->pwrite(fs, fd, "A", 1, 0);
	fs->ops->pwrite(fs, fd, "D", 1, 3);
	crash((struct simdisk_keep){.kind = KEEP_ALL_BUT, .i = 0});
	CU_EQ_STR(get("/f"), ".B.D..");
	simdisk_free(disk);
}

static void writes_tear_at_sectors(void)
{
	uint8_t *data = xmalloc(8192), *back = xmalloc(8192);
	bool seen_torn = false;

	memset(data, 'x', 8192);
	for (uint64_t seed = 1; seed < 20; seed++) {
		size_t kept = 0;
		int fd;

		begin();
		fd = fs->ops->open(fs, "/f", O_CREAT | O_RDWR, 0600);
		fs->ops->truncate(fs, fd, 8192);
		fs->ops->syncfs(fs, "/");
		fs->ops->pwrite(fs, fd, data, 8192, 0);
		crash((struct simdisk_keep){KEEP_LAST_TORN, 0, seed});
		fd = fs->ops->open(fs, "/f", O_RDWR, 0);
		CU_EQ_INT(fs->ops->pread(fs, fd, back, 8192, 0), 8192);
		for (size_t at = 0; at < 8192; at += 512) {
			CU_CLAIM(back[at] == back[at + 511],
				 "torn inside a sector");
			kept += back[at] == 'x';
		}
		seen_torn |= kept > 0 && kept < 16;
		simdisk_free(disk);
	}
	CU_CLAIM(seen_torn, "never torn");
	free(data);
	free(back);
}

static void note(void *arg, int result)
{
	*(int *)arg = result;
}

static void a_started_sync_covers_what_was_written_before(void)
{
	int fd, result = 1;

	begin();
	put("/f", "one", false);
	fs->ops->syncfs(fs, "/");
	fd = fs->ops->open(fs, "/f", O_RDWR, 0);
	fs->ops->pwrite(fs, fd, "TWO", 3, 0);
	CU_EQ_INT(fs->ops->fdatasync_start(fs, fd, note, &result), 0);
	fs->ops->pwrite(fs, fd, "xyz", 3, 0);
	CU_EQ_INT(result, 1);
	CU_EQ_INT(simdisk_complete(disk, 9), 1);
	CU_EQ_INT(result, 0);
	crash(NONE);
	CU_EQ_STR(get("/f"), "TWO");
	simdisk_free(disk);
}

static void syncs_take_virtual_time_and_may_hang(void)
{
	struct simtime *t = simtime_new();
	int fd, result = 1;

	disk = simdisk_new(t);
	fs = simdisk_fs(disk);
	simdisk_set_latency(disk, 500);
	put("/f", "one", false);
	fd = fs->ops->open(fs, "/f", O_RDWR, 0);
	fs->ops->fdatasync_start(fs, fd, note, &result);
	simtime_run(t, 499);
	CU_EQ_INT(result, 1);
	simdisk_set_hang(disk, true);
	simtime_run(t, 10000);
	CU_EQ_INT(result, 1);
	simdisk_set_hang(disk, false);
	simtime_run(t, 20000);
	CU_EQ_INT(result, 0);
	simdisk_free(disk);
	simtime_free(t);
}

static void mapped_pages_become_durable_when_they_like(void)
{
	void *p = NULL;
	int fd;

	begin();
	fd = fs->ops->open(fs, "/m", O_CREAT | O_RDWR, 0600);
	fs->ops->truncate(fs, fd, 8192);
	fs->ops->syncfs(fs, "/");
	CU_EQ_INT(fs->ops->map(fs, fd, 8192, &p), 0);
	memcpy(p, "one", 3);
	memcpy((char *)p + 4096, "two", 3);
	CU_EQ_STR(get("/m"), "one");	/* reads see it */
	CU_EQ_INT(simdisk_pending(disk), 2);
	crash((struct simdisk_keep){.kind = KEEP_ONLY, .i = 1});
	CU_EQ_STR(get("/m"), "");
	CU_EQ_INT(fs->ops->unmap(fs, p, 8192), 0);	/* of the dead process */
	fd = fs->ops->open(fs, "/m", O_RDWR, 0);
	CU_EQ_INT(fs->ops->map(fs, fd, 8192, &p), 0);
	CU_EQ_STR((char *)p + 4096, "two");
	memcpy(p, "sync", 4);
	CU_EQ_INT(fs->ops->msync(fs, p, 8192), 0);
	crash(NONE);
	CU_EQ_STR(get("/m"), "sync");
	CU_EQ_INT(fs->ops->unmap(fs, p, 8192), 0);
	simdisk_free(disk);
}

static void a_killed_process_loses_nothing_written(void)
{
	void *p = NULL;
	int fd, fd2;

	begin();
	fd = fs->ops->open(fs, "/f", O_CREAT | O_RDWR, 0600);
	fs->ops->truncate(fs, fd, 100);
	fs->ops->map(fs, fd, 100, &p);
	memcpy(p, "kept", 4);
	CU_EQ_INT(fs->ops->lock(fs, fd), 0);
	fd2 = fs->ops->open(fs, "/f", O_RDWR, 0);
	CU_EQ_INT(fs->ops->lock(fs, fd2), -EAGAIN);
	simdisk_kill(disk);
	CU_EQ_INT(fs->ops->pwrite(fs, fd, "x", 1, 0), -EIO);
	simdisk_revive(disk);
	CU_EQ_STR(get("/f"), "kept");
	fd = fs->ops->open(fs, "/f", O_RDWR, 0);
	CU_EQ_INT(fs->ops->lock(fs, fd), 0);
	CU_EQ_INT(fs->ops->unmap(fs, p, 100), 0);
	simdisk_free(disk);
}

static void crash_points_are_before_and_after_a_call(void)
{
	for (int after = 0; after < 2; after++) {
		begin();
		put("/f", "one", true);
		fs->ops->syncfs(fs, "/");
		simdisk_crash_at(disk, simdisk_calls(disk) + 1, after);
		CU_EQ_INT(fs->ops->unlink(fs, "/f"), -EIO);
		CU_CLAIM(simdisk_dead(disk), "still alive");
		simdisk_revive(disk);
		CU_EQ_STR(get("/f"), after ? "-" : "one");
		simdisk_free(disk);
	}
}

static void faults_hit_the_nth_call(void)
{
	begin();
	simdisk_fail(disk, SIM_PWRITE, "/f", 2, 1, EIO);
	CU_EQ_INT(put("/f", "1", false), 0);
	CU_EQ_INT(put("/g", "1", false), 0);
	CU_EQ_INT(put("/f", "2", false), -EIO);
	CU_EQ_INT(put("/f", "3", false), 0);
	simdisk_set_read_only(disk, true);
	CU_EQ_INT(fs->ops->mkdir(fs, "/d", 0700), -EROFS);
	simdisk_set_read_only(disk, false);
	simdisk_set_capacity(disk, 3 * 4096);
	CU_EQ_INT(put("/h", "fits", false), 0);
	CU_EQ_INT(put("/i", "does not", false), -ENOSPC);
	CU_EQ_INT(simdisk_flip(disk, "/h", 0, 0), 0);
	CU_EQ_STR(get("/h"), "gits");
	simdisk_free(disk);
}

static void a_clone_goes_its_own_way(void)
{
	struct simdisk *other, *first;

	begin();
	put("/f", "one", true);
	fs->ops->fsync_dir(fs, "/");
	put("/f", "two", false);
	other = simdisk_clone(disk);
	first = disk;
	disk = other;
	fs = simdisk_fs(disk);
	CU_EQ_STR(get("/f"), "two");
	crash(NONE);
	CU_EQ_STR(get("/f"), "one");
	disk = first;
	fs = simdisk_fs(disk);
	CU_EQ_STR(get("/f"), "two");
	simdisk_free(other);
	simdisk_free(first);
}

CU_TESTS(CU_CASE(unsynced_files_are_lost_or_kept),
	 CU_CASE(fsync_of_a_file_does_not_save_its_name),
	 CU_CASE(a_name_may_survive_without_its_data),
	 CU_CASE(rename_is_one_operation),
	 CU_CASE(each_pending_operation_may_survive_alone),
	 CU_CASE(writes_tear_at_sectors),
	 CU_CASE(a_started_sync_covers_what_was_written_before),
	 CU_CASE(syncs_take_virtual_time_and_may_hang),
	 CU_CASE(mapped_pages_become_durable_when_they_like),
	 CU_CASE(a_killed_process_loses_nothing_written),
	 CU_CASE(crash_points_are_before_and_after_a_call),
	 CU_CASE(faults_hit_the_nth_call),
	 CU_CASE(a_clone_goes_its_own_way))
