#ifndef DUET_STORAGE_FRAME_H
#define DUET_STORAGE_FRAME_H

/*
 * A record's bytes, equal on disk, in the journal and on the link
 * (replication.md, Frame).  Little-endian:
 *
 *   0 len   u32  payload bytes without padding     16 seq   u64
 *   4 crc   u32  local, 0 on link and in journal   24 hlc   u64  ms << 16 | n
 *   8 type  u16  1 record, 2 condensed             32 chain u64
 *  10 flags u16  bit 0: payload is zstd            40 payload, padded to 8
 *  12 epoch u32
 *
 * chain = BLAKE2b-MAC of 8 bytes, key pair id, over previous chain (8) ||
 * account id (16) || bytes 0-3, 8-31 || payload.  Genesis: seq 0, epoch 0,
 * chain = the same hash over "genesis" || account id.
 */

#include "node/base/buf.h"
#include "node/base/err.h"
#include "proto/record.h"

#define FRAME_HEADER_SIZE 40u
#define FRAME_RECORD 1
#define FRAME_CONDENSED 2
/* Payload limit: a record, and room for its envelope. */
#define FRAME_PAYLOAD_MAX RECORD_SIZE_MAX

struct frame {
	uint16_t type, flags;
	uint32_t epoch;
	uint64_t seq, hlc, chain;
	struct slice payload;
};

static inline size_t frame_size(size_t payload)
{
	return FRAME_HEADER_SIZE + ((payload + 7) & ~(size_t)7);
}

struct position frame_genesis(struct slice pair_id, struct id128 account);
/* The chain value that f must have after prev. */
uint64_t frame_chain(struct slice pair_id, struct id128 account, uint64_t prev,
		     const struct frame *f);
/* Appends f with the given crc field (0 on link and in journal). */
void frame_put(struct buf *to, const struct frame *f, uint32_t crc);
/*
 * Reads one frame at the start of in; gives its whole size with padding, 0 if
 * in is too short, E_CORRUPT for an impossible length or type.  The chain is
 * not checked here.  crc_out may be NULL.
 */
int frame_get(struct slice in, struct frame *out, uint32_t *crc_out);
/* CRC-32C of bytes 8… seeded with (account, segment, offset). */
uint32_t frame_crc(struct id128 account, uint32_t segment, uint64_t offset,
		   struct slice bytes8);

static inline bool position_eq(struct position a, struct position b)
{
	return a.seq == b.seq && a.epoch == b.epoch && a.nonce == b.nonce &&
	       a.chain == b.chain;
}

#endif
