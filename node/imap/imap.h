#ifndef DUET_NODE_IMAP_IMAP_H
#define DUET_NODE_IMAP_IMAP_H

/*
 * An IMAP session after login (RFC 3501 and the extensions of capability.c),
 * private to node/imap/.
 *
 * One command runs at a time; what the client pipelines waits in the input.
 *
 *   input ─► reader ─► command function ─┬─ imap_reply()            at once
 *                                        ├─ imap_run(step)          resumable
 *                                        └─ imap_write_start(…)     a change
 *
 * A command function parses its arguments and starts one of the three; each
 * ends in exactly one imap_reply(), which tells what changed meanwhile, sends
 * the tagged line and lets the next command run.  A step does a bounded piece
 * of work and is called again from the loop, so that nobody waits behind
 * another's long search.
 */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/digest.h"
#include "node/base/clock.h"
#include "node/base/loop.h"
#include "node/base/stream.h"
#include "node/session.h"
#include "proto/imap_args.h"
#include "proto/imap_fetch.h"
#include "proto/imap_parse.h"
#include "proto/imap_search.h"
#include "proto/imap_write.h"
#include "storage/view.h"

#include <stdio.h>

#define IMAP_IN_MAX (64u * 1024 + 1024)
#define IMAP_OUT_MAX (16u * 1024 * 1024)
/* A step stops, and no command is begun, when so much output waits for the
 * client. */
#define IMAP_OUT_HIGH (256u * 1024)
/* Messages that a step looks at before it lets others run. */
#define IMAP_STEP_MESSAGES 256u
/* Names that a step of LIST looks at. */
#define IMAP_STEP_NAMES 1000u
/* Commands of one client before others have their turn. */
#define IMAP_TURN_COMMANDS 32u
/* BAD commands in a row before the connection is closed. */
#define IMAP_BAD_MAX 20u
/* RFC 3501 5.4: at least 30 minutes. */
#define IMAP_INACTIVE_USEC (30ull * 60 * 1000000 + 15 * 1000000)
/* One message of APPEND. */
#define IMAP_APPEND_MAX (512ull * 1024 * 1024)
#define IMAP_APPEND_MESSAGES_MAX 1000u

struct imap;
struct imap_append;

enum {
	CMD_SELECTED = 1,	/* needs a selected mailbox */
	CMD_WRITES = 2,		/* not in a mailbox opened by EXAMINE */
	CMD_KEEP_SEQS = 4,	/* S1: no EXPUNGE while it runs, unless UID */
	CMD_UID = 8,		/* has a UID form */
	CMD_ONLY_UID = 16,	/* … and the other is not meant */
};

struct imap_cmd {
	const char *name;
	unsigned flags;
	void (*run)(struct imap *im, const struct imap_command *cmd);
};

/* Sorted by name; ends with name NULL. */
extern const struct imap_cmd imap_commands[];
const struct imap_cmd *imap_command_find(const char *name);

/* Does a bounded piece.  True: imap_reply() was called, or something else
 * will go on; false: call again. */
typedef bool imap_step(struct imap *im);

/* A change under way.  It outlives the session if that dies first. */
struct imap_write;
typedef void imap_written(struct imap *im, struct write *w, int result,
			  const struct err *e);
struct imap_write {
	struct imap *im;	/* NULL: the session is gone */
	struct arena *arena;
	struct write w;
	imap_written *done;
};

enum imap_state { IMAP_AUTHENTICATED, IMAP_SELECTED, IMAP_ENDED };

struct imap {
	struct session *s;
	struct stream *stream;
	struct imap_reader *reader;
	struct buf left;		/* input that came with the login */
	enum imap_state state;

	/* the selected mailbox */
	struct view view;
	struct mailbox_watch watch;
	bool examined;
	size_t told_keywords;
	uint64_t watch_calls;		/* records seen by the watch */
	struct uid_range *recent;	/* \Recent for this session, rising */
	size_t n_recent, cap_recent;
	uint32_t told_recent;

	bool condstore, qresync;	/* enabled */

	/* the running command */
	const struct imap_cmd *cmd;
	struct arena *arena;		/* of it; NULL when idle */
	const char *tag;
	bool uid;
	imap_step *step;
	void *cmd_data;			/* in the arena */
	void (*cmd_fini)(struct imap *im);	/* frees what is not */
	struct imap_write *write;
	bool waiting;			/* for a write or a repair */
	uint64_t silent_modseq;		/* STORE.SILENT: this one is known */
	bool silent_with_modseq;
	uint64_t answered_modseq;	/* \Seen by FETCH: its answers show it */

	struct imap_append *append;
	bool idling;
	char idle_tag[64];
	struct loop_timer *timer;	/* inactivity, IDLE's still here */

	bool evict;
	bool eof;			/* the client sends no more */
	bool unread;			/* and reads no more */
	char eof_text[128];
	bool scheduled;			/* imap_input is due from the loop */
	unsigned inside;		/* imap_enter() without imap_leave() */
	size_t out_mark;		/* output pending at imap_enter() */
	bool again;			/* commands are left for the next turn */
	bool working;			/* in work(): it goes on by itself */
	char evict_code[32], evict_text[160];
	unsigned bad;			/* replies BAD in a row */

	/* for the logout line */
	struct {
		uint64_t deleted, expunged, trashed, appended, autoexpunged;
		uint64_t hdr_count, hdr_bytes, body_count, body_bytes;
	} n;
};

/* --- session.c ---------------------------------------------------------- */
/*
 * Around everything that comes from outside (loop, engine, host): the session
 * may end in between, its memory goes with the last imap_leave().  Output is
 * counted there.
 */
void imap_enter(struct imap *im);
void imap_leave(struct imap *im);
struct buf *imap_out(struct imap *im);
/* An untagged line, without "* " and line end. */
void imap_untagged(struct imap *im, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * The end of the running command.  status: "OK", "NO", "BAD"; code: without
 * brackets, or NULL.  What changed is told before, expunges only where the
 * command allows them.
 */
void imap_reply(struct imap *im, const char *status, const char *code,
		const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same when the tagged line is in the output already (long codes); what
 * changed must have been told before it. */
void imap_reply_sent(struct imap *im);
void imap_reply_bad(struct imap *im, const struct err *e);
/* NO (or BYE where the outcome is not known) for a failure. */
void imap_reply_no(struct imap *im, const struct err *e, const char *code);
void imap_run(struct imap *im, imap_step *step, void *data,
	      void (*fini)(struct imap *im));
/* IDLE: the command is set aside, its arena given back. */
void imap_park(struct imap *im);
/* Goes on with the step after waiting. */
void imap_resume(struct imap *im);
/* Too much waits for the client already. */
bool imap_out_full(struct imap *im);
/* "* BYE" and the end of the session. */
void imap_bye(struct imap *im, const char *code, const char *text,
	      enum session_end how);
void imap_end(struct imap *im, enum session_end how, const char *text);
void imap_input(void *arg);
void imap_schedule(struct imap *im);

/* --- write.c ------------------------------------------------------------ */
/* A write with its own arena; fill w and start it.  Only one at a time. */
struct imap_write *imap_write_new(struct imap *im, enum write_kind kind);
void imap_write_start(struct imap *im, struct imap_write *w, imap_written *done);
void imap_write_drop(struct imap_write *w);	/* not started */
/* "NONEXISTENT", "ALREADYEXISTS", … or NULL. */
const char *imap_code_of(int result);

/* --- tell.c: what the client is told --------------------------------------- */
void imap_tell(struct imap *im, bool expunges);
/* Flags, keywords and \Recent included, of a record of the selected mailbox. */
void imap_put_rec_flags(struct imap *im, uint32_t rec, const struct mrec *r);
/* "* FLAGS" and PERMANENTFLAGS if keywords were added. */
void imap_tell_keywords(struct imap *im, bool always);
void imap_close_mailbox(struct imap *im);
void imap_watch_changed(struct mailbox_watch *w);
void imap_condstore_on(struct imap *im);
uint64_t imap_told_modseq(struct imap *im);

/* --- names.c: names between client (separator, mUTF-7) and storage ('/') -- */
/* Of an argument: INBOX as first level in capitals. */
struct slice imap_name_in(struct imap *im, struct slice client_utf8);
struct slice imap_name_out(struct imap *im, struct slice storage_name,
			   struct arena *a);
void imap_put_name(struct imap *im, struct buf *to, struct slice storage_name);
/* The separator as a quoted string. */
void imap_put_separator(struct imap *im, struct buf *to);
/* May a mailbox of this name (storage form) be made?  False after NO. */
bool imap_name_check(struct imap *im, struct slice name);
/* Of the mailbox itself, or by the configuration's mailbox rule. */
uint32_t imap_box_use(struct imap *im, struct mailbox *m);
/* The mailbox an argument names, or NULL after NO was sent. code for a missing
 * one: "NONEXISTENT" or "TRYCREATE". */
struct mailbox *imap_mailbox(struct imap *im, struct slice client_utf8,
			     const char *code);

/* --- sets.c -------------------------------------------------------------- */
/* Messages of the view that a command works on, as rising ranges of UIDs; UIDs
 * without a message may lie in them. */
struct imap_msgs {
	struct uid_range *ranges;
	size_t n;
};
/*
 * The messages that a set of a command names, UIDs or sequence numbers; none
 * above the highest one the session knows.  A sequence number that does not
 * exist is BAD: false then, after the reply.
 */
bool imap_set_msgs(struct imap *im, struct imap_set *set, bool uid,
		   struct arena *a, struct imap_msgs *out);
struct imap_msgs imap_all_msgs(struct imap *im, struct arena *a);
/*
 * UIDs of those messages that have all flags of `with`, none of `without`, and
 * are still there, as ranges without holes.  *gone: some were left out because
 * they are not (may be NULL).
 */
struct uid_range *imap_uid_ranges(struct imap *im, struct imap_msgs msgs,
				  uint32_t with, uint32_t without,
				  struct arena *a, size_t *n_out, size_t *gone);

/*
 * Goes over messages in rising order.  rec, seq and r are valid until control
 * goes back to the loop; then imap_walk_turn() comes first.  Gone messages
 * that the session was not told of are among them.
 */
struct imap_walk {
	struct view *v;
	struct imap_msgs msgs;
	size_t at;			/* range */
	uint32_t from;			/* the next UID, if not placed */
	bool placed;
	uint32_t rec, seq;
	const struct mrec *r;
};
void imap_walk_start(struct imap_walk *w, struct imap *im,
		     struct imap_msgs msgs);
bool imap_walk_next(struct imap_walk *w);
void imap_walk_turn(struct imap_walk *w);
/* imap_walk_next() shall give the present message once more. */
void imap_walk_again(struct imap_walk *w);

/* --- recent.c -------------------------------------------------------------- */
/* After view_init(): what is \Recent here, and if the mailbox is not examined,
 * will not be for others. */
void imap_recent_select(struct imap *im);
/* Messages were added to the view. */
void imap_recent_added(struct imap *im);
bool imap_recent_is(const struct imap *im, uint32_t uid);
uint32_t imap_recent_count(struct imap *im);	/* of the selected mailbox */
uint32_t imap_recent_status(struct imap *im, struct mailbox *m);

/* --- capability.c ----------------------------------------------------------- */
void imap_put_capability(struct imap *im, struct buf *to);

/* --- cmd_expunge.c ---------------------------------------------------------- */
/* An EXPUNGE of \Deleted messages among these, or NULL if there is none. */
struct imap_write *imap_expunge_write(struct imap *im, struct imap_msgs among);

/* --- cmd_store.c ------------------------------------------------------------ */
/* mail_max_keyword_length; false after NO. */
bool imap_keywords_check(struct imap *im, const struct imap_flags *f);
struct slice *imap_keywords_copy(const struct imap_flags *f, struct arena *a);

/* --- fetch.c ---------------------------------------------------------------- */
/* Answers the items for the messages, then calls end (which replies).
 * CHANGEDSINCE was applied to the set before. */
void imap_fetch_start(struct imap *im, const struct imap_fetch *f,
		      struct imap_msgs msgs,
		      void (*end)(struct imap *im, bool expunged));
/* --- changes.c (RFC 7162) ---------------------------------------------------- */
/* Those with a greater modseq. */
struct imap_msgs imap_changed_since(struct imap *im, uint64_t modseq,
				    struct imap_msgs among, struct arena *a);
/* "* VANISHED (EARLIER)" for a modseq as the client gave it; known: only among
 * these, or NULL.  A modseq of no lineage here (M5) is of a branch that is
 * lost: every UID that is not here is told, up to IMAP_LOST_UIDS above UIDNEXT
 * too, for that branch may have numbered beyond it. */
#define IMAP_LOST_UIDS (4u << 20)	/* four times the longest jump */
void imap_vanished_earlier(struct imap *im, uint64_t modseq,
			   const struct imap_set *known);

/* --- status.c ------------------------------------------------------------------- */
void imap_put_status(struct imap *im, struct mailbox *m, uint32_t items);

/* --- append.c -------------------------------------------------------------------- */
void imap_append_literal(struct imap *im, const struct imap_event *ev);
void imap_append_data(struct imap *im, struct slice data);
void imap_append_data_end(struct imap *im);
void imap_append_abort(struct imap *im);

/* --- idle.c ------------------------------------------------------------------------ */
void imap_idle_line(struct imap *im, struct slice line);

/* --- commands ----------------------------------------------------------------------- */
void cmd_append(struct imap *, const struct imap_command *);
void cmd_capability(struct imap *, const struct imap_command *);
void cmd_check(struct imap *, const struct imap_command *);
void cmd_close(struct imap *, const struct imap_command *);
void cmd_copy(struct imap *, const struct imap_command *);
void cmd_create(struct imap *, const struct imap_command *);
void cmd_delete(struct imap *, const struct imap_command *);
void cmd_enable(struct imap *, const struct imap_command *);
void cmd_examine(struct imap *, const struct imap_command *);
void cmd_expunge(struct imap *, const struct imap_command *);
void cmd_fetch(struct imap *, const struct imap_command *);
void cmd_id(struct imap *, const struct imap_command *);
void cmd_idle(struct imap *, const struct imap_command *);
void cmd_list(struct imap *, const struct imap_command *);
void cmd_logout(struct imap *, const struct imap_command *);
void cmd_lsub(struct imap *, const struct imap_command *);
void cmd_move(struct imap *, const struct imap_command *);
void cmd_namespace(struct imap *, const struct imap_command *);
void cmd_noop(struct imap *, const struct imap_command *);
void cmd_rename(struct imap *, const struct imap_command *);
void cmd_search(struct imap *, const struct imap_command *);
void cmd_select(struct imap *, const struct imap_command *);
void cmd_status(struct imap *, const struct imap_command *);
void cmd_store(struct imap *, const struct imap_command *);
void cmd_subscribe(struct imap *, const struct imap_command *);
void cmd_unselect(struct imap *, const struct imap_command *);
void cmd_unsubscribe(struct imap *, const struct imap_command *);

#endif
