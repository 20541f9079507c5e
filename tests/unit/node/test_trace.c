/* Headers of delivery, and what makes two deliveries the same. */

#include "node/store/trace.h"
#include "node/base/buf.h"
#include "tests/lib/cu.h"

#include <string.h>

static struct trace parse(struct arena *a, const char *text)
{
	struct trace t;

	trace_parse(slice_str(text), a, &t);
	return t;
}

static void header_fields_are_found(void)
{
	struct arena *a = arena_new(512);
	struct trace t = parse(a, "Received: from x by y with ESMTP\r\n"
				  "\tid ABC; now\r\n"
				  "message-id:\t<1@x>\r\n"
				  "Subject: one\r\n two\r\n"
				  "From: a@b\r\n\r\nMessage-ID: <no@x>\r\n");

	CU_EQ_STR(t.message_id, "<1@x>");
	CU_EQ_STR(t.subject, "one   two");
	CU_EQ_STR(t.from, "a@b");
	CU_CLAIM(t.queue_id, "queue id");
	arena_free(a);
}

static void only_the_topmost_received_counts(void)
{
	struct arena *a = arena_new(512);

	CU_CLAIM(!parse(a, "Received: by y; now\r\n"
			   "Received: by z id ABC; now\r\n\r\nx").queue_id,
		 "second line");
	CU_CLAIM(!parse(a, "Subject: x id 5\r\n\r\n").queue_id, "subject");
	CU_CLAIM(!parse(a, "").queue_id, "empty");
	arena_free(a);
}

static void trace_headers_end_at_the_first_other_field(void)
{
	struct arena *a = arena_new(512);
	const char *one = "Received: x\r\n\ty\r\nReturn-Path: <>\r\n";
	const char *text = "Received: x\r\n\ty\r\nReturn-Path: <>\r\n"
			   "To: a\r\nReceived: z\r\n\r\nb";

	CU_EQ_INT(parse(a, text).body_at, strlen(one));
	CU_EQ_INT(parse(a, "To: a\r\n\r\n").body_at, 0);
	arena_free(a);
}

static void another_trace_leaves_the_message_the_same(void)
{
	struct arena *a = arena_new(512);
	const char *x = "Received: 1\r\nTo: a\r\n\r\nbody";
	const char *y = "Received: 2\r\nReceived: 1\r\nTo: a\r\n\r\nbody";
	struct trace tx = parse(a, x), ty = parse(a, y);
	uint8_t hx[16], hy[16];

	trace_less(slice_str(x), &tx, hx);
	trace_less(slice_str(y), &ty, hy);
	CU_EQ_MEM(hx, hy, 16);
	arena_free(a);
}

static void each_part_changes_the_delivery_id(void)
{
	static const uint8_t acc[16] = {1}, other[16] = {2};
	struct slice m = SLICE_LIT("To: a\r\n\r\n"), n = SLICE_LIT("To: b\r\n");
	uint8_t id[7][32];

	trace_delivery_id(acc, "s", "r", m, 0, id[0]);
	trace_delivery_id(acc, "s", "r", m, 0, id[1]);
	trace_delivery_id(other, "s", "r", m, 0, id[2]);
	trace_delivery_id(acc, "", "r", m, 0, id[3]);
	trace_delivery_id(acc, "sr", "", m, 0, id[4]);
	trace_delivery_id(acc, "s", "r", n, 0, id[5]);
	trace_delivery_id(acc, "s", "r", m, 1, id[6]);
	CU_EQ_MEM(id[1], id[0], 32);
	for (int i = 2; i < 7; i++)
		CU_CLAIM(memcmp(id[i], id[0], 32) != 0, "part %d", i);
}

static void headers_are_put_as_asked(void)
{
	struct trace_rcpt r = {.sender = "", .final = "f@x",
			       .original = "o@x", .delivered_to = "original",
			       .received = "Received: z\r\n"};
	struct buf b;

	buf_init(&b, 4096);
	trace_put(&b, &r);
	CU_EQ_TEXT(buf_all(&b), "Return-Path: <>\r\nDelivered-To: o@x\r\n"
				"Received: z\r\n");
	buf_reset(&b);
	r.delivered_to = "none";
	trace_put(&b, &r);
	CU_EQ_TEXT(buf_all(&b), "Return-Path: <>\r\nReceived: z\r\n");
	buf_fini(&b);
}

CU_TESTS(CU_CASE(header_fields_are_found),
	 CU_CASE(only_the_topmost_received_counts),
	 CU_CASE(trace_headers_end_at_the_first_other_field),
	 CU_CASE(another_trace_leaves_the_message_the_same),
	 CU_CASE(each_part_changes_the_delivery_id),
	 CU_CASE(headers_are_put_as_asked))
