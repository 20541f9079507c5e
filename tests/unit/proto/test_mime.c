#include "proto/mime.h"

#include "node/base/err.h"
#include "proto/imap_write.h"
#include "tests/lib/cu.h"

static struct arena *a;

static void body_is(const char *msg, const char *want)
{
	struct buf out;

	a = arena_new(1024);
	buf_init(&out, 1u << 20);
	imap_put_body(&out, mime_parse(slice_str(msg), a)->root);
	CU_EQ_TEXT(buf_all(&out), want);
	buf_fini(&out);
	arena_free(a);
}

static void bodystructure_is(const char *msg, const char *want)
{
	struct buf out;

	a = arena_new(1024);
	buf_init(&out, 1u << 20);
	imap_put_bodystructure(&out, mime_parse(slice_str(msg), a)->root);
	CU_EQ_TEXT(buf_all(&out), want);
	buf_fini(&out);
	arena_free(a);
}

static void plain_messages_have_defaults(void)
{
	body_is("Subject: x\r\n\r\nab\r\ncd\r\n",
		"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 8 2)");
	body_is("", "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		    "\"7BIT\" 0 0)");
	body_is("Subject: no body", "(\"TEXT\" \"PLAIN\" (\"CHARSET\" "
				    "\"US-ASCII\") NIL NIL \"7BIT\" 0 0)");
	body_is("Content-Type: text/html\n\nab\ncd",
		"(\"text\" \"html\" NIL NIL NIL \"7BIT\" 5 1)");
	body_is("Content-Type: nonsense\r\n\r\nx",
		"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 1 0)");
	body_is("Content-Type: application/pdf; name=\"a\\\"b\"\r\n"
		"Content-Transfer-Encoding: BASE64\r\n"
		"Content-ID: <x@y>\r\nContent-Description: a\r\n b\r\n\r\nAAAA",
		"(\"application\" \"pdf\" (\"name\" \"a\\\"b\") \"<x@y>\" "
		"\"a b\" \"BASE64\" 4)");
}

/* RFC 2046 5.1.1 */
#define SIMPLE                                                                \
	"From: Nathaniel Borenstein <nsb@bellcore.com>\r\n"                   \
	"Content-type: multipart/mixed; boundary=\"simple boundary\"\r\n"     \
	"\r\n"                                                                \
	"This is the preamble.\r\n"                                           \
	"\r\n"                                                                \
	"--simple boundary\r\n"                                               \
	"\r\n"                                                                \
	"This is implicitly typed plain US-ASCII text.\r\n"                   \
	"It does NOT end with a linebreak.\r\n"                               \
	"--simple boundary\r\n"                                               \
	"Content-type: text/plain; charset=us-ascii\r\n"                      \
	"\r\n"                                                                \
	"It DOES end with a linebreak.\r\n"                                   \
	"\r\n"                                                                \
	"--simple boundary--\r\n"                                             \
	"\r\n"                                                                \
	"This is the epilogue.  It is also to be ignored.\r\n"

static void rfc2046_multipart_is_taken_apart(void)
{
	struct mime_message *m;
	struct mime_part *one, *two;
	struct slice msg = SLICE_LIT(SIMPLE);

	body_is(SIMPLE,
		"((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 80 1)"
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL "
		"\"7BIT\" 31 1) \"mixed\")");
	a = arena_new(1024);
	m = mime_parse(msg, a);
	one = m->root->child;
	two = one->next;
	CU_EQ_TEXT(slice_sub(msg, one->body_at, one->body_at + one->body_size),
		   "This is implicitly typed plain US-ASCII text.\r\n"
		   "It does NOT end with a linebreak.");
	CU_EQ_TEXT(slice_sub(msg, two->header_at, two->body_at),
		   "Content-type: text/plain; charset=us-ascii\r\n\r\n");
	CU_EQ_U64(two->header_lines, 2);
	CU_EQ_TEXT(slice_sub(msg, two->body_at, two->body_at + two->body_size),
		   "It DOES end with a linebreak.\r\n");
	CU_EQ_U64(m->root->body_at + m->root->body_size, msg.n);
	CU_EQ_U64(m->n_parts, 3);
	arena_free(a);
}

static void extension_data_is_shown(void)
{
	bodystructure_is(
		"Content-Type: multipart/mixed; boundary=b; x=y\r\n"
		"Content-Language: en\r\n\r\n"
		"--b\r\n"
		"Content-Type: text/plain\r\n"
		"Content-Disposition: attachment; filename=\"a b\"; "
		"size=3 (x)\r\n"
		"Content-Language: de, en-GB (c)\r\n"
		"Content-MD5: Q2hlY2s=\r\n"
		"Content-Location: http://x/\r\n\r\nabc\r\n"
		"--b--\r\n",
		"((\"text\" \"plain\" NIL NIL NIL \"7BIT\" 3 0 \"Q2hlY2s=\" "
		"(\"attachment\" (\"filename\" \"a b\" \"size\" \"3\")) "
		"(\"de\" \"en-GB\") \"http://x/\") \"mixed\" "
		"(\"boundary\" \"b\" \"x\" \"y\") NIL \"en\" NIL)");
}

static void messages_in_messages_have_envelopes(void)
{
	body_is("Content-Type: multipart/digest; boundary=b\r\n\r\n"
		"--b\r\n\r\n"
		"From: a@b\r\nSubject: inner\r\n\r\nhi\r\n"
		"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n"
		"--b--\r\n",
		"((\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 31 "
		"(NIL \"inner\" ((NIL NIL \"a\" \"b\")) "
		"((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL "
		"NIL NIL) (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL "
		"NIL \"7BIT\" 2 0) 3)"
		"(\"text\" \"plain\" NIL NIL NIL \"7BIT\" 1 0) \"digest\")");
	/* Encoded against RFC 2046 5.2.1: opaque. */
	body_is("Content-Type: message/rfc822\r\n"
		"Content-Transfer-Encoding: base64\r\n\r\nAAAA",
		"(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"base64\" 4)");
}

static void broken_multiparts_still_have_parts(void)
{
	/* No boundary line at all. */
	body_is("Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n",
		"((\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 0 0) \"mixed\")");
	/* No boundary parameter. */
	body_is("Content-Type: multipart/mixed\r\n\r\nx\r\n",
		"(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 3 1)");
	/* Not closed; the last part has no body. */
	body_is("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
		"--b\r\n\r\nx\r\n--b\r\nContent-Type: text/html",
		"((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 1 0)(\"text\" \"html\" NIL NIL NIL \"7BIT\" 0 0) "
		"\"mixed\")");
	/* The inner one is ended by the outer boundary. */
	body_is("Content-Type: multipart/mixed; boundary=o\r\n\r\n"
		"--o\r\nContent-Type: multipart/alternative; boundary=i\r\n"
		"\r\n--i\r\n\r\nx\r\n--o\r\n\r\ny\r\n--o--\r\n",
		"(((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 1 0) \"alternative\")(\"TEXT\" \"PLAIN\" "
		"(\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1 0) \"mixed\")");
	/* A boundary in the header of a part. */
	body_is("Content-Type: multipart/mixed; boundary=b\r\n\r\n"
		"--b\r\nContent-Type: message/rfc822\r\n--b--\r\n",
		"((\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 0 (NIL NIL NIL "
		"NIL NIL NIL NIL NIL NIL NIL) (\"TEXT\" \"PLAIN\" "
		"(\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) 0) "
		"\"mixed\")");
}

static void boundaries_match_whole_lines_only(void)
{
	body_is("Content-Type: multipart/mixed; boundary=ab\r\n\r\n"
		"--ab \t\r\n\r\n--abc\r\n--a\r\n --ab\r\n-ab\r\n--ab--x\r\n"
		"--ab--\t\r\n",
		"((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 31 4) \"mixed\")");
	/* The boundary of one is the beginning of the other's. */
	body_is("Content-Type: multipart/mixed; boundary=a\r\n\r\n"
		"--a\r\nContent-Type: multipart/mixed; boundary=a--\r\n\r\n"
		"--a--\r\n\r\nx\r\n--a----\r\n--a--\r\n",
		"(((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 1 0) \"mixed\") \"mixed\")");
	/* Bare line ends. */
	body_is("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--",
		"((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL "
		"\"7BIT\" 1 0) \"mixed\")");
}

/* Else a line of blanks is read once for every multipart that is open. */
static void endless_blanks_end_no_part(void)
{
	static const unsigned blanks[] = {900, 1100};
	struct mime_message *m;
	struct buf msg;
	unsigned i;

	buf_init(&msg, 4096);
	for (i = 0; i < 2; i++) {
		a = arena_new(1024);
		buf_reset(&msg);
		buf_str(&msg, "Content-Type: multipart/mixed; boundary=b\r\n"
			      "\r\n--b\r\n\r\nx\r\n--b");
		buf_fill(&msg, ' ', blanks[i]);
		buf_str(&msg, "\r\n\r\ny\r\n--b--\r\n");
		m = mime_parse(buf_all(&msg), a);
		CU_EQ_U64(m->n_parts, i == 0 ? 3 : 2);
		arena_free(a);
	}
	buf_fini(&msg);
}

static void envelopes_are_printed(void)
{
	struct buf out;

	a = arena_new(1024);
	buf_init(&out, 4096);
	/* RFC 3501 section 8 */
	imap_put_envelope(
		&out,
		&mime_parse(SLICE_LIT(
"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
"From: Terry Gray <gray@cac.washington.edu>\r\n"
"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
"To: imap@cac.washington.edu\r\n"
"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
"MIME-Version: 1.0\r\n"
"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"), a)->envelope);
	CU_EQ_TEXT(buf_all(&out),
"(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" "
"\"IMAP4rev1 WG mtg summary and minutes\" "
"((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
"((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
"((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
"((NIL NIL \"imap\" \"cac.washington.edu\")) "
"((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
"(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
"\"<B27397-0100000@cac.washington.edu>\")");
	buf_fini(&out);
	arena_free(a);
}

/* The tree of RFC 3501 6.4.5. */
#define TREE                                                                  \
	"Subject: outer\r\nContent-Type: multipart/mixed; boundary=0\r\n\r\n" \
	"--0\r\nX: 1\r\n\r\none\r\n"                                          \
	"--0\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n"        \
	"--0\r\nContent-Type: message/rfc822\r\n\r\n"                         \
	"Subject: in3\r\nContent-Type: multipart/mixed; boundary=3\r\n\r\n"   \
	"--3\r\n\r\n3-1\r\n"                                                  \
	"--3\r\nContent-Type: application/octet-stream\r\n\r\n3-2\r\n"        \
	"--3--\r\n"                                                           \
	"--0\r\nContent-Type: multipart/mixed; boundary=4\r\n\r\n"            \
	"--4\r\nContent-Type: image/gif\r\nX: 41\r\n\r\n4-1\r\n"              \
	"--4\r\nContent-Type: message/rfc822\r\n\r\n"                         \
	"Subject: in42\r\n\r\n4-2-1\r\n"                                      \
	"--4--\r\n"                                                           \
	"--0--\r\n"

static void section_is(struct slice msg, const struct mime_message *m,
		       const char *path, enum mime_section_kind kind,
		       const char *want)
{
	uint32_t numbers[8];
	struct mime_section s = {.kind = kind, .path = numbers};
	struct mime_range r;
	int rc;

	for (; *path; path++)
		if (*path != '.')
			numbers[s.n_path++] = (uint32_t)(*path - '0');
	rc = mime_section_find(m, &s, &r);
	if (!want) {
		CU_EQ_INT(rc, E_NOTFOUND);
		return;
	}
	CU_EQ_INT(rc, 0);
	if (rc == 0)
		CU_EQ_TEXT(slice_sub(msg, r.at, r.at + r.size), want);
}

static void sections_of_the_rfc_tree_are_found(void)
{
	static const struct {
		const char *path;
		enum mime_section_kind kind;
		const char *want;
	} t[] = {
		{"", MIME_SECTION_ALL, TREE},
		{"", MIME_SECTION_HEADER,
		 "Subject: outer\r\nContent-Type: multipart/mixed; "
		 "boundary=0\r\n\r\n"},
		{"", MIME_SECTION_MIME, NULL},
		{"1", MIME_SECTION_ALL, "one"},
		{"1", MIME_SECTION_MIME, "X: 1\r\n\r\n"},
		{"1", MIME_SECTION_HEADER, NULL},
		{"1", MIME_SECTION_TEXT, NULL},
		{"1.1", MIME_SECTION_ALL, NULL},
		{"2", MIME_SECTION_ALL, "two"},
		{"3", MIME_SECTION_HEADER,
		 "Subject: in3\r\nContent-Type: multipart/mixed; "
		 "boundary=3\r\n\r\n"},
		{"3", MIME_SECTION_TEXT,
		 "--3\r\n\r\n3-1\r\n--3\r\nContent-Type: "
		 "application/octet-stream\r\n\r\n3-2\r\n--3--"},
		{"3.1", MIME_SECTION_ALL, "3-1"},
		{"3.2", MIME_SECTION_ALL, "3-2"},
		{"3.3", MIME_SECTION_ALL, NULL},
		{"4.1", MIME_SECTION_MIME,
		 "Content-Type: image/gif\r\nX: 41\r\n\r\n"},
		{"4.2", MIME_SECTION_ALL, "Subject: in42\r\n\r\n4-2-1"},
		{"4.2", MIME_SECTION_HEADER, "Subject: in42\r\n\r\n"},
		{"4.2.1", MIME_SECTION_ALL, "4-2-1"},
		{"4.2", MIME_SECTION_TEXT, "4-2-1"},
		{"4.2.2", MIME_SECTION_ALL, NULL},
		{"5", MIME_SECTION_ALL, NULL},
	};
	struct slice msg = SLICE_LIT(TREE);
	struct mime_message *m;
	size_t i;

	a = arena_new(1024);
	m = mime_parse(msg, a);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		section_is(msg, m, t[i].path, t[i].kind, t[i].want);
	/* BODY[1] of a message without parts is its body. */
	msg = SLICE_LIT("A: b\r\n\r\nbody");
	m = mime_parse(msg, a);
	section_is(msg, m, "1", MIME_SECTION_ALL, "body");
	section_is(msg, m, "1", MIME_SECTION_MIME, "A: b\r\n\r\n");
	section_is(msg, m, "2", MIME_SECTION_ALL, NULL);
	section_is(msg, m, "1.1", MIME_SECTION_ALL, NULL);
	arena_free(a);
}

static void headers_are_filtered(void)
{
	static const char header[] =
		"Date: x\r\nFrom: a\r\n folded\r\nnonsense\r\nTO : b\r\n"
		"date: again\r\n\r\nDate: body";
	struct slice names[] = {SLICE_LIT("DATE"), SLICE_LIT("To")};
	struct mime_section s = {.kind = MIME_SECTION_HEADER_FIELDS,
				 .fields = names, .n_fields = 2};
	struct buf out;

	buf_init(&out, 4096);
	mime_header_filter(slice_str(header), &s, &out);
	CU_EQ_TEXT(buf_all(&out),
		   "Date: x\r\nTO : b\r\ndate: again\r\n\r\n");
	buf_reset(&out);
	s.kind = MIME_SECTION_HEADER_FIELDS_NOT;
	mime_header_filter(slice_str(header), &s, &out);
	CU_EQ_TEXT(buf_all(&out), "From: a\r\n folded\r\n\r\n");
	buf_fini(&out);
}

static void fields_are_found_and_unfolded(void)
{
	struct slice h = SLICE_LIT("From x@y Mon Jan 1\r\nA: 1\r\n"
				   "Subject:  a\r\n\tb  \r\n\r\nB: 2\r\n");
	struct mime_field f;
	size_t pos = 0;

	a = arena_new(1024);
	CU_ASSERT(mime_field_next(h, &pos, &f));
	CU_EQ_TEXT(f.name, "A");
	CU_EQ_TEXT(f.raw, " 1");
	CU_ASSERT(mime_field_next(h, &pos, &f));
	CU_EQ_TEXT(f.whole, "Subject:  a\r\n\tb  \r\n");
	CU_EQ_TEXT(mime_unfold(f.raw, a), "a\tb");
	CU_ASSERT(!mime_field_next(h, &pos, &f));
	CU_EQ_TEXT(slice_sub(h, pos, h.n), "B: 2\r\n");
	CU_ASSERT(mime_field_find(h, "subject", &f));
	CU_ASSERT(!mime_field_find(h, "B", &f));
	arena_free(a);
}

static void the_cached_form_prints_the_same(void)
{
	static const char *const t[] = {
		"", SIMPLE, TREE,
		"Content-Type: multipart/digest; boundary=b\r\n"
		"To: g: a@b, c <c@d>;\r\n\r\n--b\r\n\r\nFrom: a@b\r\n\r\nx\r\n"
		"--b\r\nContent-Language: a, b\r\n"
		"Content-Disposition: inline; a=b\r\n\r\n--b--",
	};
	struct mime_message *m, *again;
	struct buf coded, one, two;
	size_t i, cut;

	buf_init(&coded, 1u << 20);
	buf_init(&one, 1u << 20);
	buf_init(&two, 1u << 20);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		a = arena_new(1024);
		m = mime_parse(slice_str(t[i]), a);
		buf_reset(&coded);
		CU_EQ_INT(mime_encode(m, &coded), 0);
		CU_NEED(mime_decode(buf_all(&coded), a, &again) == 0);
		CU_EQ_U64(again->n_parts, m->n_parts);
		buf_reset(&one);
		buf_reset(&two);
		imap_put_envelope(&one, &m->envelope);
		imap_put_bodystructure(&one, m->root);
		imap_put_envelope(&two, &again->envelope);
		imap_put_bodystructure(&two, again->root);
		CU_EQ_SLICE(buf_all(&two), buf_all(&one));
		buf_reset(&two);
		CU_EQ_INT(mime_encode(again, &two), 0);
		CU_EQ_SLICE(buf_all(&two), buf_all(&coded));
		for (cut = 0; cut < coded.n; cut++)
			CU_CLAIM(mime_decode(slice_of(coded.p, cut), a,
					     &again) == E_CORRUPT,
				 "cut at %zu", cut);
		arena_free(a);
	}
	buf_fini(&coded);
	buf_fini(&one);
	buf_fini(&two);
}

static void damaged_cached_forms_are_refused(void)
{
	struct mime_message *m, *again;
	struct mime_part *child;
	struct buf coded;
	uint64_t size;

	a = arena_new(1024);
	buf_init(&coded, 1u << 20);
	m = mime_parse(SLICE_LIT(SIMPLE), a);
	child = m->root->child;

	m->root->kind = MIME_LEAF;	/* with children */
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), E_CORRUPT);
	m->root->kind = MIME_MULTIPART;

	size = child->body_size;	/* reaches into the next part */
	child->body_size = 300;
	buf_reset(&coded);
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), E_CORRUPT);
	child->body_size = UINT64_MAX;
	buf_reset(&coded);
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), E_CORRUPT);
	child->body_size = size;

	m->size--;			/* the root reaches beyond the end */
	buf_reset(&coded);
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), E_CORRUPT);
	m->size++;

	buf_reset(&coded);
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), 0);
	coded.p[0]++;			/* another version */
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), E_CORRUPT);
	coded.max = 10;			/* no room */
	buf_reset(&coded);
	CU_EQ_INT(mime_encode(m, &coded), E_LIMIT);
	buf_fini(&coded);
	arena_free(a);
}

/* Filtering and searching what was kept is the same as doing it with the
 * header, for every name that is kept. */
static void kept_fields_answer_like_the_header(void)
{
	static const char *const headers[] = {
		"From: a@b\r\nDKIM-Signature: v=1;\r\n b=long\r\n"
		"ARC-Seal: i=1\r\nSubject: one\r\n two\r\nX-Foo: bar\r\n"
		"x-priority: 1\r\nX-Spam-Flag: YES\r\nfrom : c@d\r\n\r\nbody",
		"no field\r\n continued\r\nTo: x\r\nReceived: by y\r\n",
		"Subject: no line end", "X-Foo: last\r\n more", "", "\r\n",
		"From: a\nX-Y: b\n c\nTo: d\n\nbody",
	};
	struct slice names[] = {
		SLICE_LIT("FROM"), SLICE_LIT("to"), SLICE_LIT("Subject"),
		SLICE_LIT("X-Priority"), SLICE_LIT("Received"),
		SLICE_LIT("X-Spam-Flag"),
	};
	struct mime_section s = {.kind = MIME_SECTION_HEADER_FIELDS,
				 .fields = names};
	struct buf of_header, of_kept;
	struct mime_message *m;
	struct slice coded_kept;
	struct buf coded;

	buf_init(&of_header, 1u << 16);
	buf_init(&of_kept, 1u << 16);
	buf_init(&coded, 1u << 16);
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		struct slice msg = slice_str(headers[i]);

		a = arena_new(1024);
		m = mime_parse(msg, a);
		buf_reset(&coded);
		CU_EQ_INT(mime_encode(m, &coded), 0);
		CU_NEED(mime_decode_kept(buf_all(&coded), &coded_kept) == 0);
		CU_EQ_SLICE(coded_kept, m->kept);
		for (s.n_fields = 0; s.n_fields <= ARRAY_LEN(names);
		     s.n_fields++) {
			CU_ASSERT(mime_section_is_kept(&s));
			buf_reset(&of_header);
			buf_reset(&of_kept);
			mime_header_filter(slice_sub(msg, 0,
						     m->root->header_size),
					   &s, &of_header);
			mime_header_filter(coded_kept, &s, &of_kept);
			CU_EQ_SLICE(buf_all(&of_kept), buf_all(&of_header));
		}
		arena_free(a);
	}
	buf_fini(&of_header);
	buf_fini(&of_kept);
	buf_fini(&coded);
}

static void what_is_not_kept_is_said_by_the_name(void)
{
	struct slice names[] = {SLICE_LIT("From"), SLICE_LIT("arc-SEAL")};
	struct mime_section s = {.kind = MIME_SECTION_HEADER_FIELDS,
				 .fields = names, .n_fields = 2};
	uint32_t one = 1;

	CU_ASSERT(!mime_section_is_kept(&s));
	s.n_fields = 1;
	CU_ASSERT(mime_section_is_kept(&s));
	s.kind = MIME_SECTION_HEADER_FIELDS_NOT;
	CU_ASSERT(!mime_section_is_kept(&s));
	s.kind = MIME_SECTION_HEADER;
	CU_ASSERT(!mime_section_is_kept(&s));
	s.kind = MIME_SECTION_HEADER_FIELDS;
	s.path = &one;
	s.n_path = 1;
	CU_ASSERT(!mime_section_is_kept(&s));
	CU_ASSERT(!mime_field_is_kept(SLICE_LIT("dkim-signature")));
	CU_ASSERT(!mime_field_is_kept(SLICE_LIT("X-Anything")));
	CU_ASSERT(mime_field_is_kept(SLICE_LIT("X-MAILER")));
	CU_ASSERT(mime_field_is_kept(SLICE_LIT("List-Id")));
}

static void a_header_too_long_to_keep_says_so(void)
{
	struct buf msg, coded;
	struct mime_message *m;
	struct slice out;

	a = arena_new(1024);
	buf_init(&msg, 1u << 20);
	buf_init(&coded, 1u << 20);
	while (msg.n <= MIME_KEPT_MAX)
		buf_str(&msg, "Received: from a by b\r\n");
	m = mime_parse(buf_all(&msg), a);
	CU_ASSERT(!m->kept.p);
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode_kept(buf_all(&coded), &out), E_NOTFOUND);
	CU_ASSERT(mime_encoded_now(buf_all(&coded)));
	coded.p[0]--;
	CU_ASSERT(!mime_encoded_now(buf_all(&coded)));
	CU_EQ_INT(mime_decode_kept(buf_all(&coded), &out), E_CORRUPT);
	coded.p[0]++;
	CU_EQ_INT(mime_decode_kept(slice_of(coded.p, 1), &out), E_CORRUPT);
	buf_fini(&msg);
	buf_fini(&coded);
	arena_free(a);
}

static void depth_is_limited(void)
{
	struct mime_message *m, *again;
	const struct mime_part *p;
	struct buf msg, coded;
	unsigned i, depth = 0;

	a = arena_new(1024);
	buf_init(&msg, 1u << 20);
	buf_init(&coded, 1u << 20);
	for (i = 0; i < 2 * MIME_DEPTH_MAX; i++)
		buf_str(&msg, "Content-Type: message/rfc822\r\n\r\n");
	m = mime_parse(buf_all(&msg), a);
	CU_ASSERT(m->truncated);
	for (p = m->root; p; p = p->child)
		depth++;
	CU_EQ_INT(depth, MIME_DEPTH_MAX + 1);
	CU_EQ_INT(mime_encode(m, &coded), 0);
	CU_EQ_INT(mime_decode(buf_all(&coded), a, &again), 0);
	CU_ASSERT(again->truncated);
	buf_fini(&msg);
	buf_fini(&coded);
	arena_free(a);
}

static void the_number_of_parts_is_limited(void)
{
	struct mime_message *m;
	struct buf msg;
	unsigned i;

	a = arena_new(1024);
	buf_init(&msg, 1u << 20);
	buf_str(&msg, "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (i = 0; i < MIME_PARTS_MAX + 5; i++)
		buf_str(&msg, "--b\r\n\r\nx\r\n");
	buf_str(&msg, "--b--\r\nepilogue");
	m = mime_parse(buf_all(&msg), a);
	CU_ASSERT(m->truncated);
	CU_EQ_U64(m->n_parts, MIME_PARTS_MAX);
	CU_EQ_U64(m->root->body_at + m->root->body_size, msg.n);
	buf_fini(&msg);
	arena_free(a);
}

static void params_and_addresses_are_limited_for_a_message(void)
{
	struct mime_message *m;
	const struct mime_part *p;
	const struct mime_param *q;
	const struct mime_address *at;
	struct buf msg;
	unsigned i, n = 0;

	a = arena_new(1024);
	buf_init(&msg, 32u << 20);
	buf_str(&msg, "To: ");
	for (i = 0; i < 15000; i++)
		buf_str(&msg, "a,");
	buf_str(&msg, "\r\nCc: b\r\n"
		      "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	for (i = 0; i < 1000; i++) {
		unsigned k;

		buf_str(&msg, "--b\r\nContent-Type: text/plain");
		for (k = 0; k < 200; k++)
			buf_str(&msg, ";a=b");
		buf_str(&msg, "\r\n\r\n\r\n");
	}
	m = mime_parse(buf_all(&msg), a);
	for (at = m->envelope.to; at; at = at->next)
		n++;
	CU_EQ_INT(n, MIME_ADDRESSES_MAX);
	CU_ASSERT(m->envelope.cc == NULL);
	n = 1;			/* the boundary */
	for (p = m->root->child; p; p = p->next) {
		unsigned here = 0;

		for (q = p->params; q; q = q->next)
			here++;
		CU_ASSERT(here <= MIME_PARAMS_MAX);
		n += here;
	}
	CU_EQ_INT(n, MIME_PARAMS_TOTAL_MAX);
	buf_fini(&msg);
	arena_free(a);
}

CU_TESTS(CU_CASE(plain_messages_have_defaults),
	 CU_CASE(rfc2046_multipart_is_taken_apart),
	 CU_CASE(extension_data_is_shown),
	 CU_CASE(messages_in_messages_have_envelopes),
	 CU_CASE(broken_multiparts_still_have_parts),
	 CU_CASE(boundaries_match_whole_lines_only),
	 CU_CASE(endless_blanks_end_no_part),
	 CU_CASE(envelopes_are_printed),
	 CU_CASE(sections_of_the_rfc_tree_are_found),
	 CU_CASE(headers_are_filtered),
	 CU_CASE(fields_are_found_and_unfolded),
	 CU_CASE(the_cached_form_prints_the_same),
	 CU_CASE(damaged_cached_forms_are_refused),
	 CU_CASE(kept_fields_answer_like_the_header),
	 CU_CASE(what_is_not_kept_is_said_by_the_name),
	 CU_CASE(a_header_too_long_to_keep_says_so),
	 CU_CASE(depth_is_limited),
	 CU_CASE(the_number_of_parts_is_limited),
	 CU_CASE(params_and_addresses_are_limited_for_a_message))
