#ifndef DUET_STORAGE_ALOG_PRIVATE_H
#define DUET_STORAGE_ALOG_PRIVATE_H

/* What alog.c and alog_read.c share. */

#include "storage/alog.h"

/*
 * Bytes [0, flushed) are in the file, [flushed, size) in tail; flushed is 0
 * while the file does not exist (the header then is not in tail).
 */
struct alog_segment {
	struct alog_header head;
	uint64_t size, flushed;
	int64_t mtime;
	struct buf tail;
};

struct alog {
	struct fsio *fs;
	char *dir;
	struct id128 account;
	unsigned node;
	uint64_t segment_max;
	struct alog_segment *segments;	/* rising, without gaps */
	size_t n_segments, cap_segments;
	uint32_t next_segment;
	struct position pos;		/* the end */
	size_t waiting;
	int fd;				/* of segment fd_segment, for writing */
	uint32_t fd_segment;
	struct buf scratch;		/* reading */
	/* Where a reader was last: the frame after hint_pos begins there. */
	struct position hint_pos;
	uint32_t hint_segment;
	uint64_t hint_offset;
	uint32_t *damaged;		/* numbers */
	size_t n_damaged, cap_damaged;
	uint32_t bad_segment;		/* where the last read failed, 0: none */
};

void alog_path(const struct alog *l, uint32_t segment, struct buf *to);
/* Reads all segments from genesis; l->pos is the last frame that is whole, what
 * follows is dropped from memory.  whole_out: nothing followed. */
int alog_scan(struct alog *l, bool *whole_out, struct err *e);
/* The position at seq (not below the floor, not beyond the end) and the
 * offset behind its frame in its segment. */
int alog_locate(struct alog *l, uint64_t seq, struct position *pos_out,
		uint64_t *offset_out, struct err *e);

#endif
