#include "proto/lmtp_parse.h"

#include "node/base/err.h"

static const struct {
	const char *name;
	enum lmtp_verb verb;
	bool takes_args;
} verbs[] = {
	{"LHLO", LMTP_LHLO, true},
	{"MAIL", LMTP_MAIL, true},
	{"RCPT", LMTP_RCPT, true},
	{"DATA", LMTP_DATA, false},
	{"RSET", LMTP_RSET, false},
	{"NOOP", LMTP_NOOP, true},
	{"QUIT", LMTP_QUIT, false},
	{"VRFY", LMTP_VRFY, true},
	{"STARTTLS", LMTP_STARTTLS, false},
	{"HELO", LMTP_HELO, true},
	{"EHLO", LMTP_HELO, true},
};

static int refuse(const char **reply_out, const char *reply)
{
	*reply_out = reply;
	return E_PROTO;
}

static void skip_blanks(struct slice *s)
{
	while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
		*s = slice_sub(*s, 1, s->n);
}

static struct slice take_word(struct slice *s)
{
	size_t n = 0;
	struct slice word;

	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	word = slice_sub(*s, 0, n);
	*s = slice_sub(*s, n, s->n);
	return word;
}

/* One "KEY=VALUE" of MAIL.  We advertise SIZE and 8BITMIME. */
static int mail_param(struct slice param, struct lmtp_command *c,
		      const char **reply_out)
{
	ptrdiff_t eq = slice_chr(param, '=');
	struct slice key, value = SLICE_NONE;

	key = slice_sub(param, 0, eq < 0 ? param.n : (size_t)eq);
	if (eq >= 0)
		value = slice_sub(param, (size_t)eq + 1, param.n);
	if (slice_is_ci(key, "SIZE")) {
		if (c->has_size || slice_u64(value, &c->size) < 0)
			return refuse(reply_out, "501 5.5.4 Bad SIZE value");
		c->has_size = true;
		return 0;
	}
	if (slice_is_ci(key, "BODY")) {
		if (c->body != LMTP_BODY_NONE)
			return refuse(reply_out, "501 5.5.4 Bad BODY value");
		if (slice_is_ci(value, "7BIT"))
			c->body = LMTP_BODY_7BIT;
		else if (slice_is_ci(value, "8BITMIME"))
			c->body = LMTP_BODY_8BITMIME;
		else
			return refuse(reply_out, "501 5.5.4 Bad BODY value");
		return 0;
	}
	return refuse(reply_out, "555 5.5.4 Parameter is not supported");
}

/* "FROM:<path> params" or "TO:<path> params" */
static int parse_path(struct slice rest, struct arena *a,
		      struct lmtp_command *c, const char **reply_out)
{
	bool mail = c->verb == LMTP_MAIL;
	const char *prefix = mail ? "FROM:" : "TO:";
	int rc;

	skip_blanks(&rest);
	if (!slice_starts_ci(rest, prefix))
		return refuse(reply_out,
			      mail ? "501 5.5.4 Syntax: MAIL FROM:<address>"
				   : "501 5.5.4 Syntax: RCPT TO:<address>");
	rest = slice_sub(rest, strlen(prefix), rest.n);
	rc = address_path_parse(&rest, false, a, &c->path);
	if (rc < 0 || (!mail && c->path.null_sender))
		return refuse(reply_out,
			      mail ? "501 5.1.7 Bad sender address"
				   : "501 5.1.3 Bad recipient address");
	for (skip_blanks(&rest); rest.n; skip_blanks(&rest)) {
		struct slice param = take_word(&rest);

		if (!mail)	/* none is advertised */
			return refuse(reply_out, "555 5.5.4 Parameter is not "
						 "supported");
		rc = mail_param(param, c, reply_out);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static bool is_text(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return false;
	return true;
}

int lmtp_parse(struct slice line, struct arena *a, struct lmtp_command *out,
	       const char **reply_out)
{
	struct lmtp_command c = {.verb = LMTP_UNKNOWN};
	struct slice rest = line, word;
	size_t i;
	int rc = 0;

	if (!is_text(line))
		return refuse(reply_out,
			      "500 5.5.2 Control characters in a command");
	word = take_word(&rest);
	for (i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!slice_is_ci(word, verbs[i].name))
			continue;
		c.verb = verbs[i].verb;
		if (!verbs[i].takes_args && slice_trim(rest).n)
			return refuse(reply_out,
				      "501 5.5.4 No parameters allowed");
		break;
	}
	c.text = slice_trim(rest);
	if (c.verb == LMTP_MAIL || c.verb == LMTP_RCPT)
		rc = parse_path(rest, a, &c, reply_out);
	else if (c.verb == LMTP_LHLO && c.text.n == 0)
		rc = refuse(reply_out, "501 5.5.4 Syntax: LHLO name");
	if (rc == 0)
		*out = c;
	return rc;
}

int lmtp_line(struct slice in, bool *skipping, struct slice *line,
	      size_t *used)
{
	size_t at = 0, n;
	const uint8_t *lf;

	for (;;) {
		lf = at < in.n ? memchr(in.p + at, '\n', in.n - at) : NULL;
		n = lf ? (size_t)(lf - in.p) - at + 1 : in.n - at;
		if (!*skipping && n > LMTP_LINE_MAX) {
			*skipping = lf == NULL;
			*used = at + n;
			return E_LIMIT;
		}
		if (!lf) {
			*used = *skipping ? in.n : at;
			return 0;
		}
		if (!*skipping)
			break;
		*skipping = false;
		at += n;
	}
	*line = slice_sub(in, at, at + n - 1);
	if (line->n && line->p[line->n - 1] == '\r')
		line->n--;
	*used = at + n;
	return 1;
}

/* --- DATA --- */

static void put_line_end(struct lmtp_data *d, bool bare, struct buf *to)
{
	buf_str(to, "\r\n");
	d->bare_newline |= bare;
	d->state = bare ? LMTP_LF_START : LMTP_AT_START;
}

/* An octet that is not at the start of a line, or no dot. */
static void put_octet(struct lmtp_data *d, uint8_t c, struct buf *to)
{
	d->state = LMTP_IN_LINE;
	if (c == '\r') {
		d->state = LMTP_CR;
	} else if (c == '\n') {
		put_line_end(d, true, to);
	} else if (c == 0) {
		d->nul = true;
	} else {
		d->eight_bit |= c >= 0x80;
		buf_char(to, c);
	}
}

static void data_octet(struct lmtp_data *d, uint8_t c, struct buf *to)
{
	switch (d->state) {
	case LMTP_AT_START:
		if (c == '.')
			d->state = LMTP_DOT;
		else
			put_octet(d, c, to);
		break;
	case LMTP_LF_START:
	case LMTP_IN_LINE:
		put_octet(d, c, to);
		break;
	case LMTP_CR:
		put_line_end(d, c != '\n', to);
		if (c != '\n')
			put_octet(d, c, to);
		break;
	case LMTP_DOT:		/* the dot is stuffing unless CRLF follows */
		if (c == '\r')
			d->state = LMTP_DOT_CR;
		else
			put_octet(d, c, to);
		break;
	case LMTP_DOT_CR:
		if (c == '\n') {
			d->state = LMTP_DONE;
			break;
		}
		put_line_end(d, true, to);
		put_octet(d, c, to);
		break;
	case LMTP_DONE:
		break;
	}
}

static bool has_eight_bit(struct slice s)
{
	uint64_t all = 0, eight;
	size_t i;

	for (i = 0; i + 8 <= s.n; i += 8) {
		memcpy(&eight, s.p + i, 8);
		all |= eight;
	}
	for (; i < s.n; i++)
		all |= s.p[i];
	return all & 0x8080808080808080u;
}

/* The common case: a whole line that ends in CRLF, nothing odd in it. */
static size_t take_clean_line(struct lmtp_data *d, struct slice in,
			      struct buf *to)
{
	const uint8_t *lf, *cr;
	struct slice line;

	if (d->state != LMTP_AT_START && d->state != LMTP_IN_LINE)
		return 0;
	if (d->state == LMTP_AT_START && in.p[0] == '.')
		return 0;
	lf = memchr(in.p, '\n', in.n);
	cr = lf ? memchr(in.p, '\r', (size_t)(lf - in.p)) : NULL;
	if (!cr || cr + 1 != lf)
		return 0;
	line = slice_sub(in, 0, (size_t)(lf - in.p) + 1);
	if (memchr(line.p, 0, line.n))
		return 0;
	d->eight_bit |= has_eight_bit(line);
	buf_slice(to, line);
	d->state = LMTP_AT_START;
	return line.n;
}

int lmtp_data_put(struct lmtp_data *d, struct slice in, size_t *used,
		  struct buf *to)
{
	size_t at = 0, before = to->n, n;

	while (at < in.n && d->state != LMTP_DONE && !to->failed) {
		n = take_clean_line(d, slice_sub(in, at, in.n), to);
		if (n == 0)
			data_octet(d, in.p[at++], to);
		at += n;
	}
	d->size += to->n - before;
	*used = at;
	if (to->failed)
		return E_LIMIT;
	return d->state == LMTP_DONE;
}
