#include "proto/message_fields.h"

#include "node/base/digest.h"
#include "tests/lib/cu.h"

static void first_fields_are_taken(void)
{
	struct slice msg = SLICE_LIT(
		"Received: one\r\nReceived: two\r\n"
		"message-id:\r\n <a@b>\r\nMessage-ID: <c@d>\r\n"
		"Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n"
		"From: a@b\r\nTo: c\r\nCc: d\r\nSubject: s\r\n t\r\n"
		"In-Reply-To: <x>\r\nReferences: <x> <y>\r\n\r\n"
		"Sender: body\r\n");
	struct arena *a = arena_new(1024);
	struct message_fields f;

	message_fields_get(msg, a, &f);
	CU_EQ_TEXT(f.received, "one");
	CU_EQ_TEXT(f.message_id, "<a@b>");
	CU_EQ_TEXT(f.subject, "s t");
	CU_EQ_TEXT(f.references, "<x> <y>");
	CU_EQ_TEXT(f.cc, "d");
	CU_ASSERT(f.sender.p == NULL);
	CU_ASSERT(f.has_date);
	CU_EQ_INT(f.date_value.seconds, 880127706);
	CU_EQ_TEXT(slice_sub(msg, f.header_size, msg.n), "Sender: body\r\n");
	message_fields_get(SLICE_LIT("Date: soon\r\n"), a, &f);
	CU_ASSERT(f.date.p && !f.has_date);
	message_fields_get(SLICE_NONE, a, &f);
	CU_EQ_U64(f.header_size, 0);
	arena_free(a);
}

#define MAIL "From: a@b\r\nReceived: kept\r\nX-Foo: kept\r\n\r\nbody\r\n"

static void trace_above_the_message_does_not_count(void)
{
	static const char *const above[] = {
		"",
		"Received: from a\r\n\tby b; date\r\n",
		"Return-Path: <x>\r\nDelivered-To: y\r\nReceived: z\r\n",
		"X-Original-To: x\r\nARC-Seal: i=1;\r\n b\r\n"
		"Authentication-Results: none\r\nReceived-SPF: pass\r\n",
	};
	struct arena *a = arena_new(1024);
	uint8_t want[32], is[32];
	struct slice msg;
	size_t i;

	sha256(SLICE_LIT(MAIL), want);
	for (i = 0; i < sizeof(above) / sizeof(above[0]); i++) {
		msg = slice_str(arena_printf(a, "%s%s", above[i], MAIL));
		CU_EQ_U64(message_trace_end(msg), strlen(above[i]));
		message_traceless_hash(msg, is);
		CU_EQ_MEM(is, want, 32);
	}
	/* All else does. */
	message_traceless_hash(SLICE_LIT("Subject: x\r\n" MAIL), is);
	CU_ASSERT(memcmp(is, want, 32) != 0);
	CU_EQ_U64(message_trace_end(SLICE_LIT("Received: x\r\n\r\nb")), 13);
	arena_free(a);
}

CU_TESTS(CU_CASE(first_fields_are_taken),
	 CU_CASE(trace_above_the_message_does_not_count))
