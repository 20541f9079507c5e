#ifndef DUET_STORAGE_BODY_STAGE_H
#define DUET_STORAGE_BODY_STAGE_H

/*
 * Bodies before a record names them: files below ROOT/.duet/tmp/.
 *
 *	t.RANDOM	being written
 *	s.HEX		complete, fsynced with its directory; HEX = SHA-256 of
 *			the octets
 *	b.SEQ.I		inline body I of the unpublished frame SEQ, written by
 *			a checkpoint (octets only)
 *
 * A staged file is the beginning of a dbox file (dbox.h) and the octets, no
 * metadata: it becomes u.UID by a hard link and appended metadata.
 *
 * It goes when no frame since the last checkpoint needs it and it is older
 * than BODY_STAGE_KEEP_USEC.
 */

#include "node/base/buf.h"
#include "node/base/fsio.h"
#include "storage/store.h"

#define BODY_STAGE_KEEP_USEC (600 * 1000000ull)
/* A body is at most this large (also the limit of what a seed may bring). */
#define BODY_SIZE_MAX (4ull << 30)

/* The place of the octets of a staged body; -ENOENT, E_CORRUPT. */
int body_stage_find(struct fsio *fs, const char *root, const uint8_t hash[32],
		    struct buf *path_out, uint64_t *offset_out,
		    uint64_t *size_out);
void body_spill_path(const char *root, uint64_t seq, size_t i, struct buf *to);

#endif
