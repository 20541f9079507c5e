#ifndef DUET_STORAGE_CACHE_H
#define DUET_STORAGE_CACHE_H

/*
 * Parsed forms of messages (proto/mime.h, mime_encode), so that FETCH need
 * not open message files: .duet/state/cache/MAILBOXIDHEX.GEN, append-only.
 *
 *   0 magic "DUETCCH1"   8 used u64   then entries, 8-byte aligned:
 *   0 length u32   4 crc u32 (CRC-32C of bytes 8…)   8 EMAILID 16   24 bytes
 *
 * Derived and never synced: an offset that leads to anything but a sound
 * entry of that EMAILID is a miss, and the entry is made again.
 */

#include "node/base/buf.h"
#include "storage/growmap.h"
#include "storage/mailbox.h"

#define CACHE_ENTRY_MAX (16u * 1024 * 1024)

struct cache {
	struct growmap map;
};

void cache_init(struct cache *c, struct fsio *fs);
void cache_close(struct cache *c);
int cache_open(struct cache *c, const char *path);
static inline bool cache_is_open(const struct cache *c)
{
	return c->map.p != NULL;
}
/* Points into the mapping.  -ENOENT. */
int cache_get(struct cache *c, uint64_t at, struct id128 emailid,
	      struct slice *out);
/* Offset of the new entry (never 0), or -errno. */
int64_t cache_put(struct cache *c, struct id128 emailid, struct slice data);
void cache_path(struct buf *to, const char *root, struct id128 id,
		uint64_t gen);

#endif
