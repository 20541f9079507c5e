#include "proto/link_private.h"

#include "node/base/cursor.h"

#define R(x) DUET__LINK__HEAD__REST_##x

/* Order of enum link_type. */
static const struct link_type_info types[] = {
	{LINK_HELLO, CHANNEL_NONE, false, R(HELLO), "HELLO"},
	{LINK_IDENTITY, CHANNEL_CONTROL, false, R(IDENTITY), "IDENTITY"},
	{LINK_REFUSE, CHANNEL_NONE, false, R(TEXT), "REFUSE"},
	{LINK_HEARTBEAT, CHANNEL_CONTROL, false, R(HEARTBEAT), "HEARTBEAT"},
	{LINK_POSITION_REQ, CHANNEL_CONTROL, true, R(EXCHANGE), "POSITION_REQ"},
	{LINK_POSITION, CHANNEL_CONTROL, true, R(EXCHANGE), "POSITION"},
	{LINK_RECORDS, CHANNEL_CONTROL, true, R(RECORDS), "RECORDS"},
	{LINK_ACK, CHANNEL_CONTROL, true, 0, "ACK"},
	{LINK_NACK, CHANNEL_CONTROL, true, R(NACK), "NACK"},
	{LINK_PUBLISHED, CHANNEL_CONTROL, true, 0, "PUBLISHED"},
	{LINK_PARK, CHANNEL_CONTROL, true, R(TEXT), "PARK"},
	{LINK_FORKINFO, CHANNEL_CONTROL, true, R(FORK_INFO), "FORKINFO"},
	{LINK_TAIL_REQ, CHANNEL_CONTROL, true, R(SEED), "TAIL_REQ"},
	{LINK_TAIL_DATA, CHANNEL_BULK, true, R(RECORDS), "TAIL_DATA"},
	{LINK_ASK, CHANNEL_CONTROL, true, R(ASK), "ASK"},
	{LINK_ASK_REPLY, CHANNEL_CONTROL, true, R(ASK_REPLY), "ASK_REPLY"},
	{LINK_HANDOVER, CHANNEL_CONTROL, true, 0, "HANDOVER"},
	{LINK_NOT_HOLDER, CHANNEL_CONTROL, true, 0, "NOT_HOLDER"},
	{LINK_RESIGN, CHANNEL_CONTROL, false, R(RESIGN), "RESIGN"},
	{LINK_PRESSURE, CHANNEL_CONTROL, true, R(TEXT), "PRESSURE"},
	{LINK_BLOB_OFFER, CHANNEL_CONTROL, true, R(BLOB), "BLOB_OFFER"},
	{LINK_BLOB_WANT, CHANNEL_CONTROL, true, R(BLOB), "BLOB_WANT"},
	{LINK_BLOB_DATA, CHANNEL_BULK, true, R(BLOB), "BLOB_DATA"},
	{LINK_BLOB_DONE, CHANNEL_CONTROL, true, R(BLOB), "BLOB_DONE"},
	{LINK_SEED_OFFER, CHANNEL_CONTROL, true, R(SEED), "SEED_OFFER"},
	{LINK_SEED_WANT, CHANNEL_CONTROL, true, R(SEED), "SEED_WANT"},
	{LINK_SEED_DIFF, CHANNEL_BULK, true, R(SEED), "SEED_DIFF"},
	{LINK_SEED_DONE, CHANNEL_CONTROL, true, R(SEED), "SEED_DONE"},
	{LINK_DIGEST_REQ, CHANNEL_CONTROL, true, R(DIGESTS), "DIGEST_REQ"},
	{LINK_DIGEST_REPLY, CHANNEL_CONTROL, true, R(DIGESTS), "DIGEST_REPLY"},
	{LINK_DELIVER, CHANNEL_CONTROL, true, R(DELIVER), "DELIVER"},
	{LINK_DELIVERED, CHANNEL_CONTROL, true, R(DELIVERED), "DELIVERED"},
	{LINK_STREAM_OPEN, CHANNEL_PROXY, true, R(STREAM), "STREAM_OPEN"},
	{LINK_STREAM_DATA, CHANNEL_PROXY, false, 0, "STREAM_DATA"},
	{LINK_STREAM_CREDIT, CHANNEL_PROXY, false, R(STREAM), "STREAM_CREDIT"},
	{LINK_STREAM_CLOSE, CHANNEL_PROXY, false, R(TEXT), "STREAM_CLOSE"},
	{LINK_UP, CHANNEL_NONE, false, R(UP), "UP"},
	{LINK_DOWN, CHANNEL_NONE, false, R(DOWN), "DOWN"},
	{LINK_TICK, CHANNEL_NONE, false, 0, "TICK"},
	{LINK_REPORT, CHANNEL_NONE, false, R(REPORT), "REPORT"},
};

const struct link_type_info *link_type_info(unsigned type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

const char *link_type_name(unsigned type)
{
	const struct link_type_info *t = link_type_info(type);

	return t ? t->name : "?";
}

enum link_channel link_channel_of(unsigned type)
{
	const struct link_type_info *t = link_type_info(type);

	return t ? (enum link_channel)t->channel : CHANNEL_NONE;
}

bool link_has_account(unsigned type)
{
	const struct link_type_info *t = link_type_info(type);

	return t && t->account;
}

int link_encode(struct buf *to, const struct link_msg *m)
{
	struct arena *a = arena_new(1024);
	Duet__Link__Head h = DUET__LINK__HEAD__INIT;
	struct ipc_msg msg = {.type = m->type, .stream = m->id, .fd = -1,
			      .body = m->body};
	size_t n;
	uint8_t *p;
	int rc = 0;

	link_pack(m, a, &h);
	n = duet__link__head__get_packed_size(&h);
	if (n > LINK_HEAD_MAX || IPC_HEADER_SIZE + n + m->body.n >
	    IPC_MESSAGE_MAX) {
		rc = E_LIMIT;
		goto out;
	}
	p = arena_alloc(a, n + 1);
	duet__link__head__pack(&h, p);
	msg.head = slice_of(p, n);
	ipc_encode(to, &msg);
	if (to->failed)
		rc = E_LIMIT;
out:
	arena_free(a);
	return rc;
}

static void *pb_alloc(void *data, size_t n)
{
	return arena_alloc(data, n);
}

static void pb_free(void *data, void *p)
{
	(void)data;
	(void)p;
}

int link_decode(const struct ipc_msg *in, struct arena *a, struct link_msg *out,
		struct err *e)
{
	ProtobufCAllocator pb = {pb_alloc, pb_free, a};
	const struct link_type_info *t = link_type_info(in->type);
	Duet__Link__Head *h;
	int rc;

	if (!t)
		return err_set(e, E_PROTO, "unknown link message %u", in->type);
	if (in->head.n > LINK_HEAD_MAX)
		return err_set(e, E_PROTO, "%s: head of %zu bytes", t->name,
			       in->head.n);
	h = duet__link__head__unpack(&pb, in->head.n,
				     in->head.n ? in->head.p :
				     (const uint8_t *)"");
	if (!h)
		return err_set(e, E_PROTO, "%s: head is not readable", t->name);
	*out = (struct link_msg){.type = in->type, .id = in->stream,
				 .body = in->body};
	if (t->rest && (unsigned)h->rest_case != t->rest)
		return err_set(e, E_PROTO, "%s: its fields are missing",
			       t->name);
	rc = link_unpack(h, a, out, e);
	if (rc)
		err_prefix(e, "%s", t->name);
	return rc;
}

bool link_is_bulky(unsigned type)
{
	return type == LINK_RECORDS || type == LINK_BLOB_DATA ||
	       type == LINK_SEED_DIFF;
}

void link_record_put(struct buf *to, struct slice frame,
		     const struct slice *bodies, size_t n_bodies)
{
	buf_le32(to, (uint32_t)n_bodies);
	buf_le32(to, (uint32_t)frame.n);
	buf_slice(to, frame);
	for (size_t i = 0; i < n_bodies; i++) {
		buf_le32(to, bodies[i].p ? (uint32_t)bodies[i].n : UINT32_MAX);
		buf_slice(to, bodies[i]);
	}
}

int link_record_get(struct slice in, struct arena *a, struct link_record *out)
{
	struct cursor c = cursor_of(in);
	uint32_t n;

	if (!in.n)
		return 0;
	n = cursor_le32(&c);
	/* Every body costs at least its length field. */
	if (c.bad || n > RECORD_UIDS_MAX || n > cursor_left(&c) / 4)
		return E_PROTO;
	out->frame = cursor_bytes(&c, cursor_le32(&c));
	out->bodies = arena_alloc(a, (n + 1) * sizeof(*out->bodies));
	out->n_bodies = n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t size = cursor_le32(&c);

		out->bodies[i] = size == UINT32_MAX ? SLICE_NONE :
				 cursor_bytes(&c, size);
	}
	if (c.bad)
		return E_PROTO;
	return (int)(c.p - in.p);
}
