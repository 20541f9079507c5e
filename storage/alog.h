#ifndef DUET_STORAGE_ALOG_H
#define DUET_STORAGE_ALOG_H

/*
 * The account log on disk: segments of at most ALOG_SEGMENT_MAX bytes below
 * .duet/state/log/, each with a 64-byte header (replication.md, Frame).  A
 * view: frames that are durable in the journal are appended in memory and
 * written lazily; a checkpoint makes them durable.  Nothing that is not
 * durable in the journal may be appended, so that recovery finds every frame
 * beyond the mark in the journal.
 *
 * Segment header, little-endian:
 *   0 "DUETLOG1"   8 major u16   10 minor u16   12 segment u32   16 account
 *  32 first epoch u32   36 first nonce u32   40 first seq u64
 *  48 previous chain u64   56 node u8   57 zero   60 CRC-32C u32 of 0…59
 *
 * Private to storage/.
 */

#include "storage/frame.h"
#include "node/base/fsio.h"

#define ALOG_HEADER_SIZE 64u
#ifdef DUET_TEST_LIMITS
#define ALOG_SEGMENT_MAX 8192u
#else
#define ALOG_SEGMENT_MAX (4u * 1024 * 1024)
#endif
/* Written out when this much waits. */
#define ALOG_FLUSH_SIZE (64u * 1024)

struct alog;

/* Where a log ends: the last frame's position, and the place behind it.
 * offset 0: no segment; the next one will be number segment + 1. */
struct alog_end {
	struct position pos;
	uint32_t segment;
	uint64_t offset;
};

struct alog_opts {
	struct fsio *fs;
	const char *dir;
	struct id128 account;
	struct slice pair_id;
	unsigned node;
	bool cut;		/* frames beyond `end` are expected */
	uint64_t segment_max;	/* 0 = ALOG_SEGMENT_MAX */
	/* The state has every frame up to here: what is damaged below is given
	 * up, and the floor rises. */
	uint64_t covered;
};

/*
 * Opens the log as it was at `end` (from the snapshot header, or genesis).
 * What lies beyond is cut off if `cut`, else E_CORRUPT: nothing can be there.
 * E_CORRUPT if the files are shorter or damaged, but for segments below
 * o->covered: these are left out, and alog_damaged() names them.
 */
int alog_open(const struct alog_opts *o, const struct alog_end *end,
	      struct alog **out, struct err *e);
/*
 * As alog_open() for a log that was cut below `end` since, wholly or in part,
 * and perhaps written again: what lies beyond `pos` is dropped unread.
 */
int alog_open_cut(const struct alog_opts *o, const struct alog_end *end,
		  struct position pos, struct alog **out, struct err *e);
/*
 * A log whose end nothing tells: every frame from the first on is read.
 * first = 0: it must be whole to the end of its files; else frames from seq
 * `first` on are expected elsewhere and cut off, whatever they look like, but
 * all before must be there.  cut, if not NULL: a place the log may have been
 * cut to since, then that is enough (cut_out says so).  E_CORRUPT otherwise,
 * also if it does not begin with seq 1; nothing is changed then.
 */
int alog_open_scan(const struct alog_opts *o, uint64_t first,
		   const struct position *cut, bool *cut_out,
		   struct alog **out, struct err *e);
/* One without any segment at pos, and without files. */
struct alog *alog_new_at(const struct alog_opts *o, struct position pos);
void alog_free(struct alog *l);		/* no I/O but close; NULL is fine */
/* Segments that were left out at the opening, or dropped since: numbers whose
 * files, if they are there, should be set aside. */
const uint32_t *alog_damaged(const struct alog *l, size_t *n);
void alog_damaged_done(struct alog *l);
/*
 * After E_CORRUPT from alog_read(): the segment that failed and all before it
 * are dropped, if their frames are <= seq.  False if not.
 */
bool alog_drop_damaged(struct alog *l, uint64_t seq);

/* The next frame (crc 0) and the position after it.  In memory only. */
void alog_append(struct alog *l, struct slice frame, struct position pos);
/* Writes out what waits, without sync; what fails stays in memory. */
int alog_flush(struct alog *l, struct err *e);
size_t alog_waiting(const struct alog *l);
void alog_end(const struct alog *l, struct alog_end *out);
/* Frames after pos are dropped (memory and files); pos is in the log. */
int alog_cut(struct alog *l, struct position pos, struct err *e);

/* seq of the last frame that was trimmed away, 0 at first. */
uint64_t alog_floor(const struct alog *l);
/* Removes whole segments whose frames are all <= seq and which were last
 * written before `before` (mtime of the file, hlc of frames of this life) or
 * make the log larger than `size_max`. */
void alog_trim(struct alog *l, uint64_t seq, int64_t before_usec,
	       uint64_t size_max);

/* Frames after `after`, up to the end: crc field 0, padding included.  Gives
 * E_NOTFOUND below the floor, E_CORRUPT for a damaged range. */
typedef bool alog_cb(void *arg, struct slice frame, struct position pos);
int alog_read(struct alog *l, uint64_t after, alog_cb *cb, void *arg,
	      struct err *e);
int alog_position(struct alog *l, uint64_t seq, struct position *out,
		  struct err *e);

/* The nonce of the epoch that a record begins; false if it begins none. */
bool alog_epoch_begun(const struct record *r, uint32_t *epoch_out,
		      uint32_t *nonce_out);
/* For tools. */
struct alog_header {
	uint32_t segment, first_epoch, first_nonce;
	struct id128 account;
	uint64_t first_seq, prev_chain;
	uint8_t node;
};
int alog_header_get(struct slice in, struct alog_header *out, struct err *e);

#endif
