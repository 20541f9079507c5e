/* See frame.h. */

#include "storage/frame.h"

#include "node/base/cursor.h"
#include "node/base/digest.h"

/* Bytes 8 to 31 of the header: what both hashes cover. */
static void frame_mid(const struct frame *f, uint8_t out[24])
{
	out[0] = (uint8_t)f->type;
	out[1] = (uint8_t)(f->type >> 8);
	out[2] = (uint8_t)f->flags;
	out[3] = (uint8_t)(f->flags >> 8);
	le32_to(out + 4, f->epoch);
	le64_to(out + 8, f->seq);
	le64_to(out + 16, f->hlc);
}

struct position frame_genesis(struct slice pair_id, struct id128 account)
{
	struct slice parts[] = {SLICE_LIT("genesis"),
				slice_of(account.b, sizeof(account.b))};
	uint8_t mac[8];

	blake2b_mac(pair_id, parts, ARRAY_LEN(parts), mac, sizeof(mac));
	return (struct position){.chain = le64_at(mac)};
}

uint64_t frame_chain(struct slice pair_id, struct id128 account, uint64_t prev,
		     const struct frame *f)
{
	uint8_t before[8], len[4], mid[24], mac[8];
	struct slice parts[] = {slice_of(before, sizeof(before)),
				slice_of(account.b, sizeof(account.b)),
				slice_of(len, sizeof(len)),
				slice_of(mid, sizeof(mid)), f->payload};

	le64_to(before, prev);
	le32_to(len, (uint32_t)f->payload.n);
	frame_mid(f, mid);
	blake2b_mac(pair_id, parts, ARRAY_LEN(parts), mac, sizeof(mac));
	return le64_at(mac);
}

void frame_put(struct buf *to, const struct frame *f, uint32_t crc)
{
	uint8_t mid[24];

	frame_mid(f, mid);
	buf_le32(to, (uint32_t)f->payload.n);
	buf_le32(to, crc);
	buf_put(to, mid, sizeof(mid));
	buf_le64(to, f->chain);
	buf_slice(to, f->payload);
	buf_fill(to, 0, frame_size(f->payload.n) - FRAME_HEADER_SIZE -
				f->payload.n);
}

int frame_get(struct slice in, struct frame *out, uint32_t *crc_out)
{
	struct cursor c = cursor_of(in);
	struct frame f;
	size_t len, pad;
	uint32_t crc;

	if (in.n < FRAME_HEADER_SIZE)
		return 0;
	len = cursor_le32(&c);
	crc = cursor_le32(&c);
	f.type = cursor_le16(&c);
	f.flags = cursor_le16(&c);
	f.epoch = cursor_le32(&c);
	f.seq = cursor_le64(&c);
	f.hlc = cursor_le64(&c);
	f.chain = cursor_le64(&c);
	if (len == 0 || len > FRAME_PAYLOAD_MAX || f.seq == 0 ||
	    f.epoch == 0 || (f.flags & ~1u) != 0 ||
	    (f.type != FRAME_RECORD && f.type != FRAME_CONDENSED))
		return E_CORRUPT;
	if (in.n < frame_size(len))
		return 0;
	f.payload = cursor_bytes(&c, len);
	pad = frame_size(len) - FRAME_HEADER_SIZE - len;
	for (; pad > 0; pad--)
		if (cursor_u8(&c) != 0)
			return E_CORRUPT;
	*out = f;
	if (crc_out)
		*crc_out = crc;
	return (int)frame_size(len);
}

uint32_t frame_crc(struct id128 account, uint32_t segment, uint64_t offset,
		   struct slice bytes8)
{
	uint8_t where[28];
	uint32_t seed;

	memcpy(where, account.b, 16);
	le32_to(where + 16, segment);
	le64_to(where + 20, offset);
	seed = crc32c(0, where, sizeof(where));
	return crc32c(seed, bytes8.p, bytes8.n);
}
