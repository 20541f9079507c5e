#include <stdlib.h>

#include "proto/imap_args.h"
#include "proto/imap_parse.h"
#include "proto/imap_search.h"

/*
 * IMAP input, whole and in pieces: the events must be the same, and every
 * argument parser gets every command.  The first octet is the size of the
 * pieces and says whether literals are accepted.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRANSCRIPT_MAX (8u << 20)

static void put_args(struct buf *to, const struct imap_arg *arg)
{
	for (; arg; arg = arg->next) {
		buf_printf(to, " %d:%zu:", arg->type, arg->text.n);
		buf_slice(to, arg->text);
		buf_slice(to, arg->suffix);
		if (arg->child) {
			buf_char(to, '(');
			put_args(to, arg->child);
			buf_char(to, ')');
		}
	}
}

static void resolved(struct imap_set set)
{
	size_t i;

	imap_set_resolve(&set, 1000);
	for (i = 0; i < set.n; i++) {
		if (set.ranges[i].first == 0 ||
		    set.ranges[i].first > set.ranges[i].last ||
		    (i && set.ranges[i].first <= set.ranges[i - 1].last + 1))
			abort();
		if (!imap_set_has(&set, set.ranges[i].last))
			abort();
	}
}

static void run_parsers(const struct imap_command *c, struct arena *a)
{
	struct imap_fetch fetch;
	struct imap_store store;
	struct imap_search search;
	struct imap_status status;
	struct imap_list list;
	struct imap_select select;
	struct imap_append_msg msg;
	struct imap_id id;
	struct imap_create create;
	struct imap_authenticate auth;
	struct imap_set set;
	struct slice one, two;
	uint32_t bits;
	struct err e;

	if (imap_fetch_parse(c, a, &fetch, &e) == 0) {
		imap_fetch_marks_seen(&fetch);
		resolved(fetch.set);
	}
	if (imap_store_parse(c, a, &store, &e) == 0)
		resolved(store.set);
	if (imap_search_parse(c, a, &search, &e) == 0)
		imap_search_resolve(&search, 0, 7);
	imap_status_parse(c, a, &status, &e);
	imap_list_parse(c, a, &list, &e);
	if (imap_select_parse(c, a, &select, &e) == 0 &&
	    select.has_known_uids)
		resolved(select.known_uids);
	imap_append_mailbox(c, a, &one, &e);
	imap_append_last(c, a, &msg, &e);
	imap_append_end(c, &e);
	imap_enable_parse(c, &bits, &e);
	imap_id_parse(c, &id, &e);
	imap_create_parse(c, a, '/', &create, &e);
	imap_two_mailboxes(c, a, &one, &two, &e);
	imap_set_and_mailbox(c, a, &set, &one, &e);
	imap_one_set(c, a, &set, &e);
	imap_login_parse(c, &one, &two, &e);
	imap_authenticate_parse(c, &auth, &e);
}

static void on_event(struct imap_reader *r, enum imap_event_type type,
		     const struct imap_event *ev, bool accept,
		     struct arena *a, struct buf *to)
{
	if (type == IMAP_DATA) {	/* pieces differ, content does not */
		buf_slice(to, ev->data);
		return;
	}
	buf_printf(to, "\n<%d>", type);
	if (type == IMAP_COMMAND || type == IMAP_LITERAL) {
		buf_printf(to, "%s %s %d", ev->cmd->tag, ev->cmd->name,
			   ev->cmd->uid);
		put_args(to, ev->cmd->args);
		run_parsers(ev->cmd, a);
	}
	if (type == IMAP_LITERAL) {
		if (accept)
			imap_reader_accept(r);
		else
			imap_reader_refuse(r);
	}
	if (type == IMAP_LINE)
		buf_slice(to, ev->data);
	if (type == IMAP_BAD)
		buf_printf(to, "%s %s %d", ev->tag ? ev->tag : "*", ev->text,
			   ev->fatal);
	if (type == IMAP_COMMAND && imap_reader_idle(r) &&
	    !strcmp(ev->cmd->name, "IDLE"))
		imap_reader_want_line(r);
	if (type == IMAP_COMMAND)
		arena_reset(a);
}

static void feed(struct slice in, size_t piece, bool accept, struct buf *to)
{
	struct imap_limits limits = {
		.line_max = 300, .literal_inline = 64, .literal_total = 100,
		.literal_max = 1000, .depth_max = 5,
	};
	struct imap_reader *r = imap_reader_new(&limits);
	struct arena *a = arena_new(1024);
	struct imap_event ev;
	enum imap_event_type type;
	size_t at = 0;

	while (at < in.n) {
		size_t end = at + piece < in.n ? at + piece : in.n;
		/* A copy of its own size, so that ASan sees overreads. */
		uint8_t *copy = malloc(end - at);
		struct slice part = slice_of(copy, end - at);

		memcpy(copy, in.p + at, end - at);
		while ((type = imap_reader_next(r, &part, a, &ev)) !=
		       IMAP_MORE) {
			on_event(r, type, &ev, accept, a, to);
			if (type == IMAP_BAD && ev.fatal) {
				free(copy);
				goto out;
			}
		}
		if (part.n)
			abort();
		free(copy);
		at = end;
	}
out:
	imap_reader_free(r);
	arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;
	size_t piece;
	bool accept;

	if (size == 0)
		return 0;
	piece = (data[0] & 0x7f) + 1u;
	accept = data[0] & 0x80;
	buf_init(&whole, TRANSCRIPT_MAX);
	buf_init(&pieces, TRANSCRIPT_MAX);
	feed(slice_of(data + 1, size - 1), SIZE_MAX / 2, accept, &whole);
	feed(slice_of(data + 1, size - 1), piece, accept, &pieces);
	if (!slice_eq(buf_all(&whole), buf_all(&pieces)))
		abort();
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
