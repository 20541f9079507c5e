#include "proto/imap_fetch.h"

#include <stdio.h>

#include "tests/lib/cu.h"
#include "tests/unit/proto/imap_command.h"

static int fetch(struct arena *a, const char *text, struct imap_fetch *out)
{
	const struct imap_command *cmd = command_of(a, text);
	struct err e = ERR_NONE;

	return cmd ? imap_fetch_parse(cmd, a, out, &e) : -1;
}

static void items_are_known(void)
{
	static const struct {
		const char *text;
		uint32_t items;
	} t[] = {
		{"FETCH 1 FLAGS", IMAP_FETCH_FLAGS},
		{"FETCH 1 (flags uid)", IMAP_FETCH_FLAGS | IMAP_FETCH_UID},
		{"UID FETCH 1 FLAGS", IMAP_FETCH_FLAGS | IMAP_FETCH_UID},
		{"FETCH 1 FAST", IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE |
					 IMAP_FETCH_RFC822_SIZE},
		{"FETCH 1 all", IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE |
					IMAP_FETCH_RFC822_SIZE |
					IMAP_FETCH_ENVELOPE},
		{"FETCH 1 (FULL)", IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE |
					   IMAP_FETCH_RFC822_SIZE |
					   IMAP_FETCH_ENVELOPE |
					   IMAP_FETCH_BODY},
		{"FETCH 1 (BODY BODYSTRUCTURE)",
		 IMAP_FETCH_BODY | IMAP_FETCH_BODYSTRUCTURE},
		{"FETCH 1 (MODSEQ EMAILID THREADID)",
		 IMAP_FETCH_MODSEQ | IMAP_FETCH_EMAILID |
			 IMAP_FETCH_THREADID},
		{"FETCH 1 FLAGS (CHANGEDSINCE 5)",
		 IMAP_FETCH_FLAGS | IMAP_FETCH_MODSEQ},
	};
	struct arena *a = arena_new(1024);
	struct imap_fetch f;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CU_EQ_INT(fetch(a, t[i].text, &f), 0);
		CU_CLAIM(f.items == t[i].items, "%s: %#x", t[i].text,
			 f.items);
		CU_ASSERT(f.sections == NULL);
		CU_ASSERT(!imap_fetch_marks_seen(&f));
	}
	arena_free(a);
}

static void sections_are_named_in_replies(void)
{
	static const struct {
		const char *item, *label;
		enum mime_section_kind kind;
		size_t n_path, n_fields;
		bool seen;
	} t[] = {
		{"BODY[]", "BODY[]", MIME_SECTION_ALL, 0, 0, true},
		{"BODY.PEEK[]", "BODY[]", MIME_SECTION_ALL, 0, 0, false},
		{"body[header]", "BODY[HEADER]", MIME_SECTION_HEADER, 0, 0,
		 true},
		{"BODY[TEXT]<10.20>", "BODY[TEXT]<10>", MIME_SECTION_TEXT, 0,
		 0, true},
		{"BODY[1.2.MIME]", "BODY[1.2.MIME]", MIME_SECTION_MIME, 2, 0,
		 true},
		{"BODY[4.1]<0.1>", "BODY[4.1]<0>", MIME_SECTION_ALL, 2, 0,
		 true},
		{"BODY.PEEK[HEADER.FIELDS (date \"From\")]",
		 "BODY[HEADER.FIELDS (date From)]",
		 MIME_SECTION_HEADER_FIELDS, 0, 2, false},
		{"BODY[3.HEADER.FIELDS.NOT ({3+}\r\na b)]",
		 "BODY[3.HEADER.FIELDS.NOT (\"a b\")]",
		 MIME_SECTION_HEADER_FIELDS_NOT, 1, 1, true},
		{"RFC822", "RFC822", MIME_SECTION_ALL, 0, 0, true},
		{"RFC822.HEADER", "RFC822.HEADER", MIME_SECTION_HEADER, 0, 0,
		 false},
		{"RFC822.TEXT", "RFC822.TEXT", MIME_SECTION_TEXT, 0, 0, true},
	};
	struct arena *a = arena_new(1024);
	struct imap_fetch f;
	char text[200];
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(text, sizeof(text), "FETCH 1:* (%s UID)", t[i].item);
		CU_EQ_INT(fetch(a, text, &f), 0);
		CU_NEED(f.sections != NULL);
		CU_EQ_TEXT(f.sections->label, t[i].label);
		CU_EQ_INT(f.sections->section.kind, t[i].kind);
		CU_EQ_U64(f.sections->section.n_path, t[i].n_path);
		CU_EQ_U64(f.sections->section.n_fields, t[i].n_fields);
		CU_EQ_INT(imap_fetch_marks_seen(&f), t[i].seen);
	}
	CU_EQ_INT(fetch(a, "FETCH 1 BODY[7.3]<5.9>", &f), 0);
	CU_EQ_U64(f.sections->section.path[0], 7);
	CU_EQ_U64(f.sections->section.path[1], 3);
	CU_ASSERT(f.sections->partial);
	CU_EQ_U64(f.sections->offset, 5);
	CU_EQ_U64(f.sections->length, 9);
	arena_free(a);
}

static void modifiers_are_read(void)
{
	struct arena *a = arena_new(1024);
	struct imap_fetch f;

	CU_EQ_INT(fetch(a, "UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 "
			   "VANISHED)", &f), 0);
	CU_ASSERT(f.has_changedsince && f.vanished);
	CU_EQ_U64(f.changedsince, 12345);
	CU_EQ_INT(fetch(a, "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", &f),
		  E_INVALID);
	CU_EQ_INT(fetch(a, "UID FETCH 1 FLAGS (VANISHED)", &f), E_INVALID);
	CU_EQ_INT(fetch(a, "FETCH 1 FLAGS (CHANGEDSINCE "
			   "9223372036854775808)", &f), E_INVALID);
	arena_free(a);
}

static void bad_fetches_are_refused(void)
{
	static const char *const t[] = {
		"FETCH", "FETCH 1", "FETCH 1 ()", "FETCH x FLAGS",
		"FETCH 1 FOO", "FETCH 1 (FLAGS FOO)", "FETCH 1 (ALL FLAGS)",
		"FETCH 1 BODY[0]", "FETCH 1 BODY[MIME]", "FETCH 1 BODY[1.]",
		"FETCH 1 BODY[1..2]", "FETCH 1 BODY[01]", "FETCH 1 BODY[1.FOO]",
		"FETCH 1 BODY[HEADER.FIELDS]", "FETCH 1 BODY[HEADER.FIELDS ()]",
		"FETCH 1 BODY[HEADER (a)]", "FETCH 1 BODY[TEXT x]",
		"FETCH 1 BODY[]<1>", "FETCH 1 BODY[]<1.0>",
		"FETCH 1 BODY[]<.5>", "FETCH 1 BODY[]<1.2.3>",
		"FETCH 1 FLAGS UID", "FETCH 1 \"FLAGS\"", "FETCH 1 FOO[]",
		"FETCH 1 FLAGS (FOO 1)", "FETCH 1 FLAGS ()",
		"FETCH 1 FLAGS (CHANGEDSINCE)", "FETCH 1 ((FLAGS))",
		"FETCH \"1\" FLAGS", "FETCH 1 FLAGS (CHANGEDSINCE 1) x",
	};
	struct arena *a = arena_new(1024);
	struct imap_fetch f;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(fetch(a, t[i], &f) == E_INVALID, "taken: %s", t[i]);
	arena_free(a);
}

static void too_many_sections_and_fields_are_refused(void)
{
	struct arena *a = arena_new(1024);
	struct imap_fetch f;
	struct buf text;
	unsigned i;

	buf_init(&text, 60000);
	buf_str(&text, "FETCH 1 (");
	for (i = 0; i <= IMAP_FETCH_SECTIONS_MAX; i++)
		buf_str(&text, "BODY[] ");
	buf_str(&text, "UID)");
	buf_char(&text, 0);
	CU_EQ_INT(fetch(a, (const char *)text.p, &f), E_INVALID);
	buf_reset(&text);
	buf_str(&text, "FETCH 1 BODY[HEADER.FIELDS (a");
	for (i = 1; i < IMAP_FETCH_FIELDS_MAX; i++)
		buf_str(&text, " a");
	buf_str(&text, ")]");
	buf_char(&text, 0);
	CU_EQ_INT(fetch(a, (const char *)text.p, &f), 0);
	buf_truncate(&text, text.n - 3);
	buf_str(&text, " a)]");
	buf_char(&text, 0);
	CU_EQ_INT(fetch(a, (const char *)text.p, &f), E_INVALID);
	buf_fini(&text);
	arena_free(a);
}

static int store(struct arena *a, const char *text, struct imap_store *out)
{
	const struct imap_command *cmd = command_of(a, text);
	struct err e = ERR_NONE;

	return cmd ? imap_store_parse(cmd, a, out, &e) : -1;
}

static void stores_are_read(void)
{
	struct arena *a = arena_new(1024);
	struct imap_store s;

	CU_EQ_INT(store(a, "STORE 2:4 +FLAGS (\\Deleted $x \\Recent $X)", &s),
		  0);
	CU_EQ_INT(s.mode, IMAP_STORE_ADD);
	CU_ASSERT(!s.silent && !s.has_unchangedsince);
	CU_EQ_U64(s.flags.system, MSG_DELETED);
	CU_EQ_U64(s.flags.n_keywords, 1);
	CU_EQ_TEXT(s.flags.keywords[0], "$x");

	CU_EQ_INT(store(a, "UID STORE 4,2:1 (UNCHANGEDSINCE 12121230045) "
			   "-flags.silent \\seen \\ANSWERED", &s), 0);
	CU_EQ_INT(s.mode, IMAP_STORE_REMOVE);
	CU_ASSERT(s.silent && s.has_unchangedsince);
	CU_EQ_U64(s.unchangedsince, 12121230045);
	CU_EQ_U64(s.flags.system, MSG_SEEN | MSG_ANSWERED);

	CU_EQ_INT(store(a, "STORE 1 FLAGS ()", &s), 0);
	CU_EQ_INT(s.mode, IMAP_STORE_REPLACE);
	CU_EQ_U64(s.flags.system | s.flags.n_keywords, 0);
	arena_free(a);
}

static void bad_stores_are_refused(void)
{
	static const char *const t[] = {
		"STORE", "STORE 1", "STORE 1 FLAGS", "STORE 1 FOO (\\Seen)",
		"STORE 1 FLAGS (\\Foo)", "STORE 1 FLAGS (\\Seen) x",
		"STORE 1 +FLAGS (\\Seen \"x\")", "STORE 1 FLAGS (a%b)",
		"STORE 1 (UNCHANGEDSINCE) FLAGS x",
		"STORE 1 (UNCHANGEDSINCE 1 2) FLAGS x",
		"STORE 1 (FOO 1) FLAGS x", "STORE 1 ++FLAGS x",
		"STORE 1 FLAGS ((x))",
	};
	struct arena *a = arena_new(1024);
	struct imap_store s;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(store(a, t[i], &s) == E_INVALID, "taken: %s", t[i]);
	arena_free(a);
}

CU_TESTS(CU_CASE(items_are_known),
	 CU_CASE(sections_are_named_in_replies),
	 CU_CASE(modifiers_are_read),
	 CU_CASE(bad_fetches_are_refused),
	 CU_CASE(too_many_sections_and_fields_are_refused),
	 CU_CASE(stores_are_read),
	 CU_CASE(bad_stores_are_refused))
