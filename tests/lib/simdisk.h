#ifndef DUET_TESTS_SIMDISK_H
#define DUET_TESTS_SIMDISK_H

/*
 * A disk in memory that behaves as badly as POSIX allows: the twin of
 * fsio_system().  Deterministic: the same calls give the same disk.
 *
 * Each file and directory has a current form (what calls see) and a durable
 * one (what power loss leaves).  What lies between are pending operations,
 * oldest first: a write, a truncation, or the change of one or two directory
 * entries (a rename is one operation).
 *  - fsync, fdatasync, msync make the file's data and size durable, not its
 *    name; fsync_dir makes the names in that directory durable, not what they
 *    point to; syncfs both, everywhere.
 *  - A started sync covers what was pending when it was started, at its
 *    completion.
 *  - Any subset of the pending operations may survive power loss.
 *
 * Life of a crash:
 *	simdisk_crash_at(d, k, after)	or simdisk_kill(d): the process is dead,
 *					every call gives -EIO, no callback comes
 *	…the code under test frees its memory (close and unmap work)…
 *	simdisk_power_loss(d, keep)	or nothing, if only the process died
 *	simdisk_revive(d)		descriptors, locks, mappings are gone;
 *					syncs that were running call back with
 *					-ECANCELED, so that memory can be freed
 */

#include "node/base/buf.h"
#include "node/base/fsio.h"
#include "tests/lib/simclock.h"

struct simdisk;

/* time may be NULL: started syncs then complete in simdisk_complete(). */
struct simdisk *simdisk_new(struct simtime *time);
void simdisk_free(struct simdisk *d);
struct fsio *simdisk_fs(struct simdisk *d);
/* The same disk as it is now, as another one (no descriptors, mappings or
 * started syncs).  Data is shared until it changes. */
struct simdisk *simdisk_clone(struct simdisk *d);
/* mtimes are taken from here; NULL: always 0. */
void simdisk_set_clock(struct simdisk *d, struct clock *c);

/* --- time --------------------------------------------------------------- */
/* With simtime: how long a started sync takes. */
void simdisk_set_latency(struct simdisk *d, uint64_t sync_usec);
/* Started syncs do not end while this is on. */
void simdisk_set_hang(struct simdisk *d, bool hang);
/* Without simtime: ends up to max started syncs, oldest first, also those
 * started meanwhile; gives their number. */
size_t simdisk_complete(struct simdisk *d, size_t max);
size_t simdisk_started(const struct simdisk *d);

/* --- faults ------------------------------------------------------------------ */
enum simdisk_call {
	SIM_OPEN = 1u << 0, SIM_PREAD = 1u << 1, SIM_PWRITE = 1u << 2,
	SIM_TRUNCATE = 1u << 3, SIM_ALLOCATE = 1u << 4, SIM_FSYNC = 1u << 5,
	SIM_FDATASYNC = 1u << 6, SIM_SYNCFS = 1u << 7, SIM_FSYNC_DIR = 1u << 8,
	SIM_STAT = 1u << 9, SIM_RENAME = 1u << 10, SIM_EXCHANGE = 1u << 11,
	SIM_LINK = 1u << 12, SIM_UNLINK = 1u << 13, SIM_MKDIR = 1u << 14,
	SIM_RMDIR = 1u << 15, SIM_LIST = 1u << 16, SIM_LOCK = 1u << 17,
	SIM_MAP = 1u << 18, SIM_MSYNC = 1u << 19, SIM_CREATE = 1u << 20,
	SIM_SYNCS = SIM_FSYNC | SIM_FDATASYNC | SIM_SYNCFS | SIM_FSYNC_DIR |
		    SIM_MSYNC,
	SIM_CHANGES = SIM_CREATE | SIM_PWRITE | SIM_TRUNCATE | SIM_ALLOCATE |
		      SIM_RENAME | SIM_EXCHANGE | SIM_LINK | SIM_UNLINK |
		      SIM_MKDIR | SIM_RMDIR,
};

/*
 * The n-th call from now (1 = the next) among `calls` whose path contains
 * `path` (NULL: any) fails with -error_no, and `times` in a row.  One rule at
 * a time; calls 0 removes it.  A started sync that fails says so at its end.
 */
void simdisk_fail(struct simdisk *d, unsigned calls, const char *path,
		  uint64_t n, uint64_t times, int error_no);
/* pwrite writes only half of what was asked, every n-th time; 0 = never. */
void simdisk_short_writes(struct simdisk *d, uint64_t every);
/* Beyond this many bytes of files -ENOSPC; 0 = no limit. */
void simdisk_set_capacity(struct simdisk *d, uint64_t bytes);
void simdisk_set_read_only(struct simdisk *d, bool on);
/* Syncs succeed and do nothing. */
void simdisk_set_lying(struct simdisk *d, bool on);
/* No RENAME_EXCHANGE. */
void simdisk_set_no_exchange(struct simdisk *d, bool on);
/* A bit changes under the file, current and durable.  -ENOENT. */
int simdisk_flip(struct simdisk *d, const char *path, uint64_t offset,
		 unsigned bit);

/* --- crashes -------------------------------------------------------------------- */
/* Calls that change or sync something, so far: the crash points. */
uint64_t simdisk_calls(const struct simdisk *d);
/* Dies at call number k (counted as by simdisk_calls, the first is 1), right
 * before or right after its effect.  0 = never. */
void simdisk_crash_at(struct simdisk *d, uint64_t k, bool after);
void simdisk_kill(struct simdisk *d);
bool simdisk_dead(const struct simdisk *d);

enum simdisk_keep_kind {
	KEEP_NONE, KEEP_ALL, KEEP_PREFIX, KEEP_ONLY, KEEP_ALL_BUT,
	KEEP_LAST_TORN,		/* all, of the last write some sectors */
	KEEP_RANDOM,		/* a subset, writes torn */
};

struct simdisk_keep {
	enum simdisk_keep_kind kind;
	size_t i;		/* PREFIX: how many; ONLY, ALL_BUT: which */
	uint64_t seed;		/* LAST_TORN, RANDOM */
};

/* Number of pending operations (dirty mapped pages included). */
size_t simdisk_pending(struct simdisk *d);
/* The current form becomes the durable one plus the operations kept. */
void simdisk_power_loss(struct simdisk *d, struct simdisk_keep keep);
/* A new process may use the disk. */
void simdisk_revive(struct simdisk *d);
/* The kernel writes back by itself: about one in `one_in` pending writes
 * becomes durable now (dirty mapped pages included). */
void simdisk_writeback(struct simdisk *d, uint64_t seed, uint64_t one_in);
/* One line per pending operation, for people. */
void simdisk_print_pending(struct simdisk *d, struct buf *to);

/* Counts of what was done since simdisk_new: costs, asserted in tests. */
struct simdisk_counts {
	uint64_t writes, bytes, syncs, reads;
};
struct simdisk_counts simdisk_counts(const struct simdisk *d);

#endif
