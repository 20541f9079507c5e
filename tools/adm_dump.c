/* dump: account logs, indexes, message files, marks, snapshots, owner's marks. */

#include "tools/adm_dump.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/cursor.h"
#include "node/base/digest.h"
#include "storage/alog.h"
#include "storage/ckmark.h"
#include "storage/dbox.h"
#include "storage/index.h"
#include "storage/snapfile.h"
#include "tools/adm_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RECORD_TEXT_MAX (16u << 20)

const char *dump_id(struct id128 id, char text[DUMP_TEXT])
{
	hex_of(id.b, 16, text);
	return text;
}

const char *dump_position(struct position p, char text[DUMP_TEXT])
{
	snprintf(text, DUMP_TEXT, "seq %" PRIu64 " epoch %u.%08x chain "
		 "%016" PRIx64, p.seq, p.epoch, p.nonce, p.chain);
	return text;
}

const char *dump_time(uint64_t usec, char text[DUMP_TEXT])
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;

	if (!usec || !gmtime_r(&t, &tm) ||
	    !strftime(text, DUMP_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, DUMP_TEXT, "-");
	return text;
}

static void damaged(struct dump *d, const char *text)
{
	d->damage++;
	fprintf(d->out, "DAMAGED: %s\n", text);
}

/* A text line by line, each behind a tab. */
static void indented(struct dump *d, struct slice text)
{
	while (text.n) {
		ptrdiff_t nl = slice_chr(text, '\n');
		size_t n = nl < 0 ? text.n : (size_t)nl;

		fprintf(d->out, "\t%.*s\n", (int)n, (const char *)text.p);
		text = slice_sub(text, nl < 0 ? n : n + 1, text.n);
	}
}

static void put_record(struct dump *d, const struct frame *f)
{
	struct arena *a = arena_new(4096);
	struct err e = ERR_NONE;
	struct record r;
	struct buf text;

	if (f->flags & 1) {
		fprintf(d->out, "\tcompressed, %zu bytes\n", f->payload.n);
	} else if (record_decode(f->payload, a, &r, &e) < 0) {
		damaged(d, e.op);
	} else {
		buf_init(&text, RECORD_TEXT_MAX);
		record_print(&r, &text);
		indented(d, buf_all(&text));
		buf_fini(&text);
	}
	arena_free(a);
}

void dump_frame(struct dump *d, struct slice bytes)
{
	struct frame f;
	char when[DUMP_TEXT];

	if (frame_get(bytes, &f, NULL) <= 0) {
		damaged(d, "no frame");
		return;
	}
	fprintf(d->out, "seq %" PRIu64 " epoch %u chain %016" PRIx64 " %s%s%s\n",
		f.seq, f.epoch, f.chain,
		dump_time((f.hlc >> 16) * 1000, when),
		f.type == FRAME_CONDENSED ? " condensed" : "",
		f.type > FRAME_CONDENSED ? " UNKNOWN TYPE" : "");
	put_record(d, &f);
}

/* ---- account logs --------------------------------------------------------------- */

static bool starts(struct slice in, const char *magic)
{
	return slice_is(slice_sub(in, 0, strlen(magic)), magic);
}

static bool is_log(struct slice in)
{
	return starts(in, "DUETLOG1");
}

static void dump_log(struct dump *d)
{
	struct alog_header h;
	struct err e = ERR_NONE;
	char id[DUMP_TEXT];
	uint64_t at = ALOG_HEADER_SIZE;

	if (alog_header_get(d->in, &h, &e) < 0) {
		damaged(d, e.op);
		return;
	}
	fprintf(d->out, "account log, segment %u, account %s, node %u\n"
		"first: seq %" PRIu64 " epoch %u.%08x, chain before it "
		"%016" PRIx64 "\n", h.segment, dump_id(h.account, id), h.node,
		h.first_seq, h.first_epoch, h.first_nonce, h.prev_chain);
	while (at < d->in.n) {
		struct slice rest = slice_sub(d->in, at, d->in.n);
		struct frame f;
		uint32_t crc;
		int n = frame_get(rest, &f, &crc);

		if (n <= 0) {
			fprintf(d->out, "%" PRIu64 ": ", at);
			damaged(d, n ? "no frame here" : "torn: the frame is "
				       "longer than the file");
			return;
		}
		fprintf(d->out, "%" PRIu64 ": ", at);
		dump_frame(d, slice_sub(rest, 0, (size_t)n));
		if (crc != frame_crc(h.account, h.segment, at,
				     slice_sub(rest, 8, FRAME_HEADER_SIZE +
							f.payload.n)))
			damaged(d, "the checksum does not fit");
		at += (uint64_t)n;
	}
	fprintf(d->out, "end at %" PRIu64 "\n", at);
}

/* ---- indexes ----------------------------------------------------------------------- */

static bool is_index(struct slice in)
{
	return starts(in, "DUETIDX1");
}

static void put_flags(struct dump *d, uint8_t flags)
{
	static const struct { uint8_t bit; const char *name; } names[] = {
		{MSG_SEEN, "Seen"}, {MSG_ANSWERED, "Answered"},
		{MSG_FLAGGED, "Flagged"}, {MSG_DELETED, "Deleted"},
		{MSG_DRAFT, "Draft"}, {MREC_EXPUNGED, "EXPUNGED"},
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (flags & names[i].bit)
			fprintf(d->out, " %s", names[i].name);
}

static void put_mrec(struct dump *d, const struct mrec *m)
{
	char id[DUMP_TEXT], when[DUMP_TEXT];

	fprintf(d->out, "uid %u modseq %" PRIu64 " size %" PRIu64 " received "
		"%s emailid %s keywords %016" PRIx64 " flags", m->uid,
		m->modseq, m->size,
		dump_time((uint64_t)m->internaldate * 1000000, when),
		dump_id(m->emailid, id), m->keywords);
	put_flags(d, m->flags);
	putc('\n', d->out);
}

static void dump_index(struct dump *d)
{
	struct cursor c = cursor_of(slice_sub(d->in, 8, INDEX_HEADER_SIZE));
	uint32_t version = cursor_le32(&c), size = cursor_le32(&c), count;
	char text[DUMP_TEXT];
	struct id128 id;
	uint64_t gen, seq;

	if (d->in.n < INDEX_HEADER_SIZE) {
		damaged(d, "the file is shorter than its header");
		return;
	}
	cursor_copy(&c, id.b, sizeof(id.b));
	gen = cursor_le64(&c);
	if (cursor_le32(&c) != crc32c(0, d->in.p, 40) || c.bad)
		damaged(d, "the checksum of the header does not fit");
	count = cursor_le32(&c);
	seq = cursor_le64(&c);
	fprintf(d->out, "index, version %u, mailbox %s, generation %" PRIu64
		", records of %u bytes\nat the last snapshot: %u records, seq "
		"%" PRIu64 "\n", version, dump_id(id, text), gen, size, count,
		seq);
	if (size < sizeof(struct mrec) || version != INDEX_VERSION)
		return;
	/* What counts is in the snapshot; room behind the last is empty. */
	for (size_t at = INDEX_HEADER_SIZE; at + size <= d->in.n; at += size) {
		struct mrec m;

		memcpy(&m, d->in.p + at, sizeof(m));
		if (m.uid)
			put_mrec(d, &m);
	}
}

/* ---- message files ------------------------------------------------------------------- */

static bool is_dbox(struct slice in)
{
	return starts(in, "2 M");
}

static void dump_dbox(struct dump *d)
{
	struct slice head = slice_sub(d->in, 0, DBOX_HEAD_SIZE), meta;
	AUTO_FREE char *hex = xstrndup(head.p, head.n);
	unsigned long long size = 0;
	struct slice fields;

	/* The size is the last field of the header: 16 hex digits. */
	if (head.n == DBOX_HEAD_SIZE)
		size = strtoull(hex + DBOX_HEAD_SIZE - 17, NULL, 16);
	fprintf(d->out, "message file, %llu octets at %u\n", size,
		DBOX_HEAD_SIZE);
	if (head.n < DBOX_HEAD_SIZE || size > d->in.n - head.n) {
		damaged(d, "the file is shorter than its header says");
		return;
	}
	meta = slice_sub(d->in, DBOX_HEAD_SIZE + size, d->in.n);
	if (!starts(meta, "\n\001\003\n")) {
		fputs("no metadata (a staged body)\n", d->out);
		return;
	}
	fields = slice_sub(meta, 4, meta.n);
	while (fields.n && fields.p[0] != '\n') {
		ptrdiff_t nl = slice_chr(fields, '\n');
		size_t n = nl < 0 ? fields.n : (size_t)nl;

		fprintf(d->out, "\t%c %.*s\n", fields.p[0], (int)(n - 1),
			(const char *)fields.p + 1);
		fields = slice_sub(fields, nl < 0 ? n : n + 1, fields.n);
	}
}

/* ---- snapshots, marks, texts -------------------------------------------------------------- */

static bool is_snapshot(struct slice in)
{
	struct snapfile f;

	return snapfile_decode(in, &f, NULL) == 0;
}

static void dump_snapshot(struct dump *d)
{
	char t[DUMP_TEXT], when[DUMP_TEXT];
	struct err e = ERR_NONE;
	struct snapfile f;

	if (snapfile_decode(d->in, &f, &e) < 0) {
		damaged(d, e.op);
		return;
	}
	fprintf(d->out, "snapshot, account %s\n", dump_id(f.account, t));
	fprintf(d->out, "journal %016" PRIx64 ", checkpoint %" PRIu64 ".%u%s\n",
		f.journal, f.no.batch, f.no.sub, f.journal ? "" : " (a seed)");
	fprintf(d->out, "state at %s\n", dump_position(f.pos, t));
	fprintf(d->out, "log ends at %s, segment %u offset %" PRIu64 "\n",
		dump_position(f.end.pos, t), f.end.segment, f.end.offset);
	fprintf(d->out, "partner has %s\n", dump_position(f.acked, t));
	fprintf(d->out, "mark %s reason %u %s\n",
		f.mark == MARK_SYNC ? "SYNC" : f.mark ? "LONE" : "-",
		f.mark_reason, dump_time(f.mark_time, when));
	fprintf(d->out, "state: %zu bytes\n", f.state.n);
}

static bool is_mark(struct slice in)
{
	struct ckmark m;

	if (ckmark_decode(in, &m, NULL) < 0)
		return false;
	ckmark_fini(&m);
	return true;
}

static void dump_mark(struct dump *d)
{
	char t[DUMP_TEXT], p[DUMP_TEXT];
	struct err e = ERR_NONE;
	struct ckmark m;

	if (ckmark_decode(d->in, &m, &e) < 0) {
		damaged(d, e.op);
		return;
	}
	fprintf(d->out, "mark of journal %016" PRIx64 ", checkpoint %" PRIu64
		".%u%s, next batch at %" PRIu64 ", %s\n", m.journal, m.batch,
		m.sub, m.clean ? " (clean)" : "", m.offset,
		dump_time(m.time, t));
	for (size_t i = 0; i < m.n_lone; i++)
		fprintf(d->out, "LONE %s reason %u, partner at %s\n",
			dump_id(m.lone[i].account, t), m.lone[i].reason,
			dump_position(m.lone[i].partner, p));
	for (size_t i = 0; i < m.n_ends; i++)
		fprintf(d->out, "log %s ends at %s, segment %u offset "
			"%" PRIu64 "\n", dump_id(m.ends[i].account, t),
			dump_position(m.ends[i].end.pos, p),
			m.ends[i].end.segment, m.ends[i].end.offset);
	for (size_t i = 0; i < m.n_partner; i++)
		fprintf(d->out, "partner's journal %016" PRIx64 ", batch "
			"%" PRIu64 "\n", m.partner[i].id,
			m.partner[i].last_batch);
	ckmark_fini(&m);
}

/* The marks of roots and the registry are lines of text. */
static bool is_text(struct slice in)
{
	for (size_t i = 0; i < in.n; i++)
		if (in.p[i] != '\n' && (in.p[i] < 0x20 || in.p[i] == 0x7f))
			return false;
	return in.n > 0 && in.n < 65536;
}

static void dump_text(struct dump *d)
{
	fwrite(d->in.p, 1, d->in.n, d->out);
}

static bool is_journal(struct slice in)
{
	return starts(in, "DUETJRN1");
}

const struct dump_type dump_types[] = {
	{"log", "account log segment", is_log, dump_log},
	{"journal", "journal of a store process", is_journal, dump_journal},
	{"index", "index of a mailbox", is_index, dump_index},
	{"snapshot", "snapshot of an account", is_snapshot, dump_snapshot},
	{"mark", "checkpoint mark of a journal", is_mark, dump_mark},
	{"dbox", "message file", is_dbox, dump_dbox},
	{"text", "owner's mark, node mark, registry entry", is_text, dump_text},
	{0},
};

/* ---- the command --------------------------------------------------------------------------- */

static int types_list(struct adm_cli *c, const char *word)
{
	adm_error(c, EX_USAGE, "-t %s: there is no such type; there are:", word);
	for (const struct dump_type *t = dump_types; t->name; t++)
		fprintf(stderr, "  %-10s %s\n", t->name, t->help);
	return EX_USAGE;
}

static int run(struct adm_cli *c, const struct dump_type *t, struct slice in,
	       const char *path)
{
	struct dump d = {.in = in, .out = c->out};

	for (const struct dump_type *k = dump_types; !t && k->name; k++)
		if (k->is(in))
			t = k;
	if (!t)
		return adm_error(c, EX_DATAERR, "%s is none of the store's "
				 "files, or its first bytes are damaged; -t "
				 "TYPE says what it was", path);
	if (t->run != dump_text)
		fprintf(c->out, "# %s: %s\n", path, t->help);
	t->run(&d);
	if (d.damage)
		return adm_error(c, EX_DATAERR, "%s: %u places are damaged",
				 path, d.damage);
	return EX_OK;
}

static int dump_path(struct adm_cli *c, const struct dump_type *t,
		     const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	void *map;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return adm_error(c, EX_NOINPUT, "%s: %s", path,
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return adm_error(c, EX_NOINPUT, "%s is not a file: name one of "
				 "journal/N, state/log/*, state/index/*, "
				 "state/snap/*, u.*", path);
	if (st.st_size == 0)
		return adm_error(c, EX_DATAERR, "%s is empty", path);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return adm_error(c, EX_NOINPUT, "%s: %s", path,
				 strerror(errno));
	r = run(c, t, slice_of(map, (size_t)st.st_size), path);
	munmap(map, (size_t)st.st_size);
	return r;
}

int adm_cmd_dump(struct adm_cli *c, int argc, char **argv)
{
	const struct dump_type *t = NULL;
	int ch;

	while ((ch = adm_getopt(c, argc, argv, "t:", NULL)) != -1) {
		if (ch != 't')
			return adm_usage(c);
		for (t = dump_types; t->name && strcmp(t->name, optarg); t++)
			;
		if (!t->name)
			return types_list(c, optarg);
	}
	if (argc - optind != 1)
		return adm_usage(c);
	return dump_path(c, t, argv[optind]);
}
