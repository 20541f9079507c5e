#include "proto/imap_search.h"

#include <stdio.h>

#include "proto/date.h"
#include "tests/lib/cu.h"
#include "tests/unit/proto/imap_command.h"

static int search(struct arena *a, const char *text, struct imap_search *out)
{
	const struct imap_command *cmd = command_of(a, text);
	struct err e = ERR_NONE;

	return cmd ? imap_search_parse(cmd, a, out, &e) : -1;
}

/* A tree in short: "and(not(flag 1) header From=Smith)". */
static void put_key(struct buf *to, const struct imap_search_key *k)
{
	static const char *const names[] = {
		"all", "and", "or", "not", "seq", "uid", "flag", "keyword",
		"new", "recent", "larger", "smaller", "before", "on", "since",
		"sentbefore", "senton", "sentsince", "header", "body", "text",
		"modseq", "emailid", "threadid",
	};
	const struct imap_search_key *c;

	buf_str(to, names[k->type]);
	if (k->flag)
		buf_printf(to, " %u", k->flag);
	if (k->field.p)
		buf_printf(to, " %.*s=", (int)k->field.n, k->field.p);
	if (k->text.p)
		buf_printf(to, " '%.*s'", (int)k->text.n, k->text.p);
	if (k->day)
		buf_printf(to, " day %d", (int)k->day);
	if (k->number)
		buf_printf(to, " %llu", (unsigned long long)k->number);
	if (k->set.n)
		buf_printf(to, " %u:%u/%zu", k->set.ranges[0].first,
			   k->set.ranges[0].last, k->set.n);
	if (!k->child)
		return;
	buf_char(to, '(');
	for (c = k->child; c; c = c->next) {
		put_key(to, c);
		if (c->next)
			buf_str(to, ", ");
	}
	buf_char(to, ')');
}

static void programs_become_trees(void)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		/* RFC 3501 6.4.4 */
		{"SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
		 "and(flag 4, since day 8797, not(header From= 'Smith'))"},
		{"SEARCH TEXT \"string not in mailbox\"",
		 "and(text 'string not in mailbox')"},
		{"SEARCH CHARSET UTF-8 TEXT {6+}\r\n\xd0\xb6\xd0\xb6\xd0\xb6",
		 "and(text '\xd0\xb6\xd0\xb6\xd0\xb6')"},
		{"SEARCH CHARSET iso-8859-1 SUBJECT \"\xe4\"",
		 "and(header Subject= '\xc3\xa4')"},
		{"UID SEARCH OR (SEEN 1:5,7) NOT OR UID 5:* ALL UNSEEN",
		 "and(or(and(flag 1, seq 1:5/2), not(or(uid 5:0/1, all))), "
		 "not(flag 1))"},
		{"SEARCH HEADER X-Foo \"\" UNKEYWORD $Junk OLD NEW RECENT",
		 "and(header X-Foo= '', not(keyword '$Junk'), not(recent), "
		 "new, recent)"},
		{"SEARCH MODSEQ 620162338 MODSEQ \"/flags/\\\\draft\" all 5",
		 "and(modseq 620162338, modseq 5)"},
		{"SEARCH LARGER 10 SMALLER 20 * ",
		 "and(larger 10, smaller 20, seq 0:0/1)"},
		{"SEARCH SENTBEFORE 2-Jan-1970 SENTON \"3-Jan-1970\" "
		 "SENTSINCE 4-Jan-1970 BEFORE 5-Jan-1970 ON 6-Jan-1970",
		 "and(sentbefore day 1, senton day 2, sentsince day 3, "
		 "before day 4, on day 5)"},
		{"SEARCH EMAILID M1 THREADID T2 BCC a CC b TO c BODY d",
		 "and(emailid 'M1', threadid 'T2', header Bcc= 'a', "
		 "header Cc= 'b', header To= 'c', body 'd')"},
		{"SEARCH ANSWERED DELETED DRAFT UNANSWERED UNDELETED UNDRAFT "
		 "UNFLAGGED",
		 "and(flag 2, flag 8, flag 16, not(flag 2), not(flag 8), "
		 "not(flag 16), not(flag 4))"},
	};
	struct arena *a = arena_new(1024);
	struct imap_search s;
	struct buf out;
	size_t i;

	buf_init(&out, 4096);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		int rc = search(a, t[i].text, &s);

		CU_CLAIM(rc == 0, "refused: %s", t[i].text);
		if (rc)
			continue;
		buf_reset(&out);
		put_key(&out, s.root);
		CU_EQ_TEXT(buf_all(&out), t[i].want);
	}
	buf_fini(&out);
	arena_free(a);
}

static void needs_are_noted(void)
{
	struct arena *a = arena_new(1024);
	struct imap_search s;

	CU_EQ_INT(search(a, "SEARCH NOT (SEEN LARGER 5)", &s), 0);
	CU_ASSERT(!s.needs_header && !s.needs_body && !s.modseq);
	CU_EQ_INT(search(a, "SEARCH OR SEEN NOT SENTON 1-Jan-2000", &s), 0);
	CU_ASSERT(s.needs_header && !s.needs_body);
	CU_EQ_INT(search(a, "SEARCH (BODY x) MODSEQ 0", &s), 0);
	CU_ASSERT(s.needs_body && s.modseq);
	arena_free(a);
}

static void bad_programs_are_refused(void)
{
	static const char *const t[] = {
		"SEARCH", "SEARCH FOO", "SEARCH ()", "SEARCH NOT",
		"SEARCH OR SEEN", "SEARCH (OR SEEN) SEEN", "SEARCH FROM",
		"SEARCH SINCE yesterday", "SEARCH SINCE 31-Feb-2000",
		"SEARCH LARGER x", "SEARCH LARGER -1", "SEARCH UID x",
		"SEARCH 1,,2", "SEARCH \"SEEN\"", "SEARCH CHARSET UTF-8",
		"SEARCH CHARSET", "SEARCH RETURN (MIN) ALL",
		"SEARCH SUBJECT \"\xff\"", "SEARCH HEADER x", "SEARCH MODSEQ x",
		"SEARCH MODSEQ \"/flags/x\" foo 1", "SEARCH SEEN CHARSET UTF-8 ALL",
		"SEARCH KEYWORD (x)",
	};
	struct arena *a = arena_new(1024);
	struct imap_search s;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(search(a, t[i], &s) == E_INVALID, "taken: %s", t[i]);
	CU_EQ_INT(search(a, "SEARCH CHARSET x-klingon TEXT a", &s),
		  E_UNSUPPORTED);
	arena_free(a);
}

static void depth_and_number_of_keys_are_limited(void)
{
	struct arena *a = arena_new(1024);
	struct imap_search s;
	struct buf text;
	unsigned i;

	buf_init(&text, 60000);
	buf_str(&text, "SEARCH ");
	for (i = 0; i < IMAP_SEARCH_DEPTH_MAX; i++)
		buf_str(&text, "NOT ");
	buf_str(&text, "SEEN");
	buf_char(&text, 0);
	CU_EQ_INT(search(a, (const char *)text.p, &s), E_LIMIT);
	buf_reset(&text);
	buf_str(&text, "SEARCH");
	for (i = 0; i <= IMAP_SEARCH_KEYS_MAX; i++)
		buf_str(&text, " SEEN");
	buf_char(&text, 0);
	CU_EQ_INT(search(a, (const char *)text.p, &s), E_LIMIT);
	buf_fini(&text);
	arena_free(a);
}

static void stars_are_resolved_everywhere(void)
{
	struct arena *a = arena_new(1024);
	struct imap_search s;
	const struct imap_search_key *k;

	CU_EQ_INT(search(a, "SEARCH NOT * OR UID *:3 SEEN", &s), 0);
	imap_search_resolve(&s, 7, 9);
	k = s.root->child;
	CU_EQ_U64(k->child->set.ranges[0].first, 7);
	k = k->next->child;
	CU_EQ_U64(k->set.ranges[0].first, 3);
	CU_EQ_U64(k->set.ranges[0].last, 9);
	arena_free(a);
}

CU_TESTS(CU_CASE(programs_become_trees),
	 CU_CASE(needs_are_noted),
	 CU_CASE(bad_programs_are_refused),
	 CU_CASE(depth_and_number_of_keys_are_limited),
	 CU_CASE(stars_are_resolved_everywhere))
