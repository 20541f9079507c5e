#include "tests/unit/node/imap_rig.h"

/*
 * Three clients say random things to one account, some of them nonsense, each
 * with a model of what it was told.  Whatever happens: sequence numbers stay
 * within EXISTS, expunges come only where they may (S1), and after a NOOP every
 * client knows the mailbox as it is.
 */

#define BOXES 3
#define CACHED_MAX 5000

static const char *const boxes[BOXES] = {"INBOX", "a", "a/b"};

static const struct rig_message messages[] = {
	{"a", "From: Ann <ann@example.org>\r\nSubject: one\r\n\r\nhello\r\n"},
	{"b", "Subject: two\r\nContent-Type: multipart/mixed; boundary=x\r\n"
	      "\r\n--x\r\n\r\npart\r\n--x--\r\n"},
};

struct client {
	struct rig_session *t;
	unsigned n;			/* tags */
	uint32_t count;
	bool keep_seqs;
	char tag[24];
	/* what it believes: flags by sequence number; "": nothing */
	char flags[CACHED_MAX + 1][160];
	struct buf line;
};

struct world {
	struct rig g;
	struct client c[RIG_SESSIONS];
	uint64_t seed;
};

static uint64_t pick(struct world *w, uint64_t n)
{
	return simrng_below(&w->g.rng, n);
}

/* ---- what the server says ---------------------------------------------------- */

static bool wrong(struct world *w, const struct client *c, const char *what)
{
	return CU_CLAIM(false, "seed %llu, client %d: %s: '%.*s'",
			(unsigned long long)w->seed, (int)(c - w->c), what,
			(int)c->line.n, (const char *)c->line.p);
}

static void forget_from(struct client *c, uint32_t seq)
{
	for (uint32_t i = seq; i < c->count && i < CACHED_MAX; i++)
		memcpy(c->flags[i], c->flags[i + 1], sizeof(c->flags[0]));
	c->count--;
	c->flags[c->count + 1][0] = 0;
}

static bool told_fetch(struct world *w, struct client *c, uint32_t seq,
		       const char *rest)
{
	const char *flags = strstr(rest, "FLAGS ("), *end;

	if (seq == 0 || seq > c->count)
		return wrong(w, c, "FETCH beyond EXISTS");
	end = flags ? strchr(flags, ')') : NULL;
	if (end && seq < CACHED_MAX)
		snprintf(c->flags[seq], sizeof(c->flags[0]), "%.*s",
			 (int)(end - flags), flags);
	return true;
}

/* "* VANISHED 1,3:5": which numbers they had is not known here, so only their
 * number counts. */
static void told_vanished(struct client *c, const char *set)
{
	while (*set) {
		unsigned a = (unsigned)strtoul(set, (char **)&set, 10), b = a;

		if (*set == ':')
			b = (unsigned)strtoul(set + 1, (char **)&set, 10);
		c->count -= b - a + 1;
		if (*set == ',')
			set++;
	}
	memset(c->flags, 0, sizeof(c->flags));
}

static void nothing_selected(struct client *c)
{
	c->count = 0;
	memset(c->flags, 0, sizeof(c->flags));
}

static bool told(struct world *w, struct client *c, bool *over)
{
	const char *s = (const char *)c->line.p;
	char word[32] = "";
	unsigned n = 0;

	*over = false;
	if (strncmp(s, "* OK [CLOSED]", 13) == 0) {
		nothing_selected(c);
		return true;
	}
	if (strncmp(s, "* VANISHED (", 12) == 0)
		return true;
	if (strncmp(s, "* VANISHED ", 11) == 0) {
		if (c->keep_seqs)
			return wrong(w, c, "VANISHED at the wrong moment");
		told_vanished(c, s + 11);
		return true;
	}
	if (sscanf(s, "* %u %31s", &n, word) == 2) {
		if (strcmp(word, "EXISTS") == 0) {
			if (n < c->count)
				return wrong(w, c, "EXISTS falls");
			c->count = n;
		} else if (strcmp(word, "EXPUNGE") == 0) {
			if (c->keep_seqs)
				return wrong(w, c, "EXPUNGE at the wrong "
					     "moment");
			if (n == 0 || n > c->count)
				return wrong(w, c, "EXPUNGE beyond EXISTS");
			forget_from(c, n);
		} else if (strcmp(word, "FETCH") == 0) {
			return told_fetch(w, c, n, s);
		} else if (strcmp(word, "RECENT") == 0 && n > c->count) {
			return wrong(w, c, "RECENT beyond EXISTS");
		}
		return true;
	}
	*over = strncmp(s, c->tag, strlen(c->tag)) == 0 &&
		s[strlen(c->tag)] == ' ';
	if (*over || s[0] == '*' || s[0] == '+')
		return true;
	/* The tag of nonsense is whatever it began with. */
	return strstr(s, " BAD ") ? true : wrong(w, c, "neither data nor reply");
}

/* One line of the server, literals within. */
static bool read_line(struct world *w, struct client *c)
{
	char line[4000];

	buf_reset(&c->line);
	for (;;) {
		unsigned size;
		const char *brace;

		if (!rig_line(&w->g, c->t, line, sizeof(line)))
			return false;
		buf_str(&c->line, line);
		brace = strrchr(line, '{');
		if (!brace || sscanf(brace, "{%u}", &size) != 1 ||
		    brace[strlen(brace) - 1] != '}')
			break;
		for (unsigned i = 0; i < 50 && c->t->in.n < size; i++) {
			rig_turn(&w->g);
			rig_read(c->t);
		}
		buf_consume(&c->t->in, size);
	}
	buf_char(&c->line, 0);
	return true;
}

/* ---- what clients say ----------------------------------------------------------- */

static void random_set(struct world *w, const struct client *c, struct buf *to)
{
	uint64_t max = c->count + 2;

	switch (pick(w, 4)) {
	case 0:
		buf_str(to, "1:*");
		break;
	case 1:
		buf_printf(to, "%llu", (unsigned long long)pick(w, max));
		break;
	case 2:
		buf_printf(to, "%llu:%llu", (unsigned long long)pick(w, max),
			   (unsigned long long)pick(w, max));
		break;
	default:
		buf_printf(to, "%llu,%llu:*", (unsigned long long)pick(w, max),
			   (unsigned long long)pick(w, max));
	}
}

static const char *any(struct world *w, const char *const *list, size_t n)
{
	return list[pick(w, n)];
}

static void random_command(struct world *w, struct client *c, struct buf *to)
{
	static const char *const items[] = {
		"FLAGS", "(UID FLAGS)", "ALL", "FULL", "BODYSTRUCTURE",
		"BODY.PEEK[]", "BODY[TEXT]", "(FLAGS MODSEQ)", "BODY[1]<2.3>",
		"BODY.PEEK[HEADER.FIELDS (SUBJECT)]", "EMAILID",
		"(FLAGS) (CHANGEDSINCE 5)",
		"(FLAGS) (CHANGEDSINCE 9007199254740991)"};
	static const char *const flags[] = {
		"(\\Seen)", "(\\Deleted)", "(\\Flagged $x)", "()",
		"(\\Deleted \\Seen)", "($y $z)"};
	static const char *const modes[] = {"FLAGS", "+FLAGS", "-FLAGS"};
	static const char *const keys[] = {
		"ALL", "SEEN", "DELETED", "NOT SEEN", "RECENT", "OLD",
		"BODY hello", "OR SUBJECT one FLAGGED", "KEYWORD $x",
		"MODSEQ 1", "1:* UID 1:*", "LARGER 40"};
	const char *uid = pick(w, 2) ? "UID " : "";
	const char *box = any(w, boxes, BOXES);
	bool keep = false;

	snprintf(c->tag, sizeof(c->tag), "t%u", ++c->n);
	buf_printf(to, "%s ", c->tag);
	switch (pick(w, 15)) {
	case 0: case 1:
		buf_printf(to, "%s %s", pick(w, 6) ? "SELECT" : "EXAMINE", box);
		break;
	case 2: case 3:
		buf_printf(to, "%sFETCH ", uid);
		random_set(w, c, to);
		buf_printf(to, " %s", any(w, items, ARRAY_LEN(items)));
		keep = !*uid;
		break;
	case 4: case 5: case 6:
		buf_printf(to, "%sSTORE ", uid);
		random_set(w, c, to);
		buf_printf(to, "%s %s %s", pick(w, 6) ? "" :
			   " (UNCHANGEDSINCE 137438953480)",
			   any(w, modes, 3), any(w, flags, ARRAY_LEN(flags)));
		keep = !*uid;
		break;
	case 7:
		buf_printf(to, "%sSEARCH %s", uid,
			   any(w, keys, ARRAY_LEN(keys)));
		keep = !*uid;
		break;
	case 8:
		buf_printf(to, "%s%s ", uid, pick(w, 2) ? "COPY" : "MOVE");
		random_set(w, c, to);
		buf_printf(to, " %s", box);
		break;
	case 9:
		buf_str(to, *uid ? "UID EXPUNGE 1:*" : "EXPUNGE");
		break;
	case 10: case 11:
		buf_printf(to, "APPEND %s {#a} {#b}", box);
		break;
	case 12:
		buf_str(to, pick(w, 3) ? "NOOP" : "CLOSE");
		break;
	case 13:
		buf_printf(to, "STATUS %s (MESSAGES RECENT UNSEEN)", box);
		break;
	default:
		buf_str(to, pick(w, 4) ? "LIST \"\" *" : "ENABLE QRESYNC");
	}
	c->keep_seqs = keep;
}

static void spoil(struct world *w, struct buf *b)
{
	static const char odd[] = "(){}*%\"\\\r\n \t[]<>+~:,0\x7f\xc3";
	size_t n = 1 + pick(w, 3);

	while (n-- && b->n)
		b->p[pick(w, b->n)] = (uint8_t)odd[pick(w, sizeof(odd) - 1)];
}

/* A closed mailbox is the only way a session may lose it without CLOSED. */
static void after(struct client *c, const char *line)
{
	if (strstr(line, " OK Close completed"))
		nothing_selected(c);
	c->keep_seqs = true;
}

static bool restart(struct world *w, struct client *c)
{
	if (c->t->fd >= 0)
		rig_end_session(&w->g, c->t);
	buf_reset(&c->t->in);
	nothing_selected(c);
	c->keep_seqs = true;
	snprintf(c->tag, sizeof(c->tag), "l");
	return rig_start(&w->g, c->t) && read_line(w, c);
}

static bool say(struct world *w, struct client *c, const char *text, bool bad)
{
	struct buf b, out;
	bool over = false, ok = true;

	buf_init(&b, 100000);
	buf_init(&out, 100000);
	if (text) {
		snprintf(c->tag, sizeof(c->tag), "t%u", ++c->n);
		buf_printf(&b, "%s %s", c->tag, text);
		c->keep_seqs = strncmp(text, "FETCH", 5) == 0;
	} else {
		random_command(w, c, &b);
	}
	buf_char(&b, 0);
	rig_expand(&w->g, (const char *)b.p, &out);
	if (bad)
		spoil(w, &out);
	rig_send(&w->g, c->t, buf_all(&out));
	if (bad) {
		/* Whatever it was: the session lives or has ended, and a new
		 * one can be had. */
		rig_pump(&w->g, 30);
		ok = restart(w, c);
	}
	while (ok && !bad && !over) {
		if (!read_line(w, c))
			ok = wrong(w, c, "no reply");
		else
			ok = told(w, c, &over);
		if (ok && !over && strncmp((const char *)c->line.p, "* BYE", 5)
		    == 0)
			return restart(w, c);
	}
	if (ok && over)
		after(c, (const char *)c->line.p);
	if (!ok)
		CU_CLAIM(false, "…after '%.*s'", (int)out.n,
			 (const char *)out.p);
	buf_fini(&b);
	buf_fini(&out);
	return ok;
}

/* After NOOP nothing it believes may be wrong. */
static bool knows_the_truth(struct world *w, struct client *c)
{
	struct imap *im = c->t->s.impl;
	char before[160];
	bool over = false;

	if (c->t->ended || im->state != IMAP_SELECTED)
		return true;
	if (!say(w, c, "NOOP", false))
		return false;
	if (c->t->ended || im->state != IMAP_SELECTED)
		return true;
	if (c->count != mailbox_messages(im->view.mbox))
		return CU_CLAIM(false, "seed %llu: %u messages, not %u",
				(unsigned long long)w->seed, c->count,
				mailbox_messages(im->view.mbox));
	for (uint32_t i = 1; i <= c->count && i < CACHED_MAX; i++) {
		char cmd[60];

		if (!c->flags[i][0])
			continue;
		memcpy(before, c->flags[i], sizeof(before));
		snprintf(c->tag, sizeof(c->tag), "t%u", ++c->n);
		snprintf(cmd, sizeof(cmd), "%s FETCH %u FLAGS\r\n", c->tag, i);
		rig_send(&w->g, c->t, slice_str(cmd));
		for (over = false; !over;)
			if (!read_line(w, c) || !told(w, c, &over))
				return false;
		if (strcmp(before, c->flags[i]) != 0)
			return CU_CLAIM(false, "seed %llu: message %u: '%s' was "
					"believed, '%s' is true",
					(unsigned long long)w->seed, i, before,
					c->flags[i]);
	}
	return true;
}

static void life(uint64_t seed, unsigned steps, bool nonsense)
{
	struct world *w = xzalloc(sizeof(*w));
	bool ok;

	w->seed = seed;
	rig_init(&w->g);
	simrng_init(&w->g.rng, seed);
	w->g.messages = messages;
	w->g.n_messages = ARRAY_LEN(messages);
	ok = rig_open(&w->g);
	for (size_t i = 0; ok && i < RIG_SESSIONS; i++) {
		w->c[i].t = &w->g.t[i];
		buf_init(&w->c[i].line, 1u << 20);
		ok = restart(w, &w->c[i]);
	}
	ok = ok && say(w, &w->c[0], "CREATE a/b", false);
	for (unsigned i = 0; ok && i < steps; i++) {
		struct client *c = &w->c[pick(w, RIG_SESSIONS)];

		ok = say(w, c, NULL, nonsense && pick(w, 4) == 0);
		if (ok && pick(w, 20) == 0)
			ok = knows_the_truth(w, c);
	}
	for (size_t i = 0; ok && i < RIG_SESSIONS; i++)
		ok = knows_the_truth(w, &w->c[i]);
	for (size_t i = 0; i < RIG_SESSIONS; i++)
		buf_fini(&w->c[i].line);
	rig_fini(&w->g);
	free(w);
}

static void clients_know_what_is_true(void)
{
	cu_timeout(120);
	for (uint64_t seed = 1; seed <= 30; seed++)
		life(seed, 150, false);
}

static void nonsense_hurts_nobody_else(void)
{
	cu_timeout(120);
	for (uint64_t seed = 100; seed <= 130; seed++)
		life(seed, 100, true);
}

CU_TESTS(CU_CASE(clients_know_what_is_true),
	 CU_CASE(nonsense_hurts_nobody_else))
