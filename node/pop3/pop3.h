#ifndef DUET_NODE_POP3_H
#define DUET_NODE_POP3_H

/*
 * A POP3 session after login: the TRANSACTION and UPDATE states of RFC 1939,
 * private to node/pop3/.
 *
 *   session.c   life: input to commands, time-outs, the end
 *   commands.c  everything but those two:
 *   retr.c      RETR and TOP: octets of a message, read-repair
 *   quit.c      UPDATE: \Seen, then the deletions, then the reply
 *   uidl.c      pop3_uidl_format
 *
 * INBOX is taken down at login: message numbers, sizes and UIDs stay as they
 * were, whatever other sessions do; a message that is gone meanwhile answers
 * -ERR.  Nothing changes before QUIT, so that a session that is cut, evicted
 * or times out deletes nothing.
 *
 * One command runs at a time; what the client pipelines waits in the input.
 * A long reply is made in steps, as the client reads.
 */

#include "node/base/loop.h"
#include "node/base/stream.h"
#include "node/session.h"
#include "proto/pop3_parse.h"
#include "storage/mailbox.h"

/* More than the longest line. */
#define POP3_IN_MAX 16384u
#define POP3_OUT_MAX (1024u * 1024)
/* No step is made when so much waits for the client. */
#define POP3_OUT_HIGH (64u * 1024)
/* Commands and steps of one client before others have their turn. */
#define POP3_TURN 32u
/* Lines of one step of LIST and UIDL; octets of one of RETR. */
#define POP3_STEP_LINES 256u
#define POP3_STEP_OCTETS (16u * 1024)
/* Bad commands in a row before the connection is closed. */
#define POP3_BAD_MAX 20u
/* RFC 1939 3: at least 10 minutes. */
#define POP3_INACTIVE_USEC (10ull * 60 * 1000000 + 5 * 1000000)

enum { POP3_DELETED = 1, POP3_RETRIEVED = 2 };

struct pop3_msg {
	uint64_t size;			/* octets */
	uint32_t uid;
	uint8_t flags;
};

struct pop3;
/* Does a bounded piece; ends with pop3_step_over(). */
typedef void pop3_step(struct pop3 *p);

/* A change under way.  It outlives the session if that dies first. */
struct pop3_write {
	struct pop3 *p;			/* NULL: the session is gone */
	struct arena *arena;
	struct write w;
	void (*done)(struct pop3 *p, int result, const struct err *e);
};

struct pop3 {
	struct session *s;
	struct stream *stream;
	struct loop_timer *timer;	/* inactivity */
	struct buf left;		/* input that came with the login */
	struct pop3_lines lines;
	const char *refusal;		/* INBOX cannot be had: why */

	struct mailbox *inbox;		/* a reference is held */
	struct pop3_msg *msgs;
	struct id128 *guids;		/* NULL: pop3_uidl_format has no %g */
	uint32_t n_msgs;

	/* the running command */
	pop3_step *step;
	uint32_t at;			/* LIST, UIDL: the next message */
	uint32_t msg;			/* RETR, TOP */
	uint32_t top_lines;
	bool top;
	bool repaired;			/* asked for already */
	struct body body;
	bool has_body;
	struct slice rest;		/* of the message, not sent yet */
	struct pop3_stuffing stuffing;

	struct pop3_write *write;
	bool waiting;			/* for a write or a repair */
	bool quitting;

	bool ended;
	bool evict;			/* after the running command */
	bool eof;			/* the client sends no more */
	bool scheduled;			/* pop3_work is due from the loop */
	unsigned inside;		/* pop3_enter() without pop3_leave() */
	size_t out_mark;		/* output pending at pop3_enter() */
	char evict_text[160];
	unsigned bad;			/* bad commands in a row */

	/* for the logout line */
	struct {
		uint64_t top_count, top_bytes, retr_count, retr_bytes;
		uint64_t deleted, deleted_bytes, size;
	} n;
};

/* --- session.c --- */
/* As in node/imap/: around everything that comes from outside; memory goes
 * with the last pop3_leave(). */
void pop3_enter(struct pop3 *p);
void pop3_leave(struct pop3 *p);
struct buf *pop3_out(struct pop3 *p);
/* One line, with its end. */
void pop3_say(struct pop3 *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "-ERR …" to a command that is none; the session may end. */
void pop3_bad(struct pop3 *p, const char *text);
void pop3_step_over(struct pop3 *p);
/* Goes on after waiting. */
void pop3_resume(struct pop3 *p);
void pop3_end(struct pop3 *p, enum session_end how, const char *text);
/* Record of message i (0 …), or -ENOENT: it is gone. */
int pop3_rec(struct pop3 *p, uint32_t i, uint32_t *rec);

/* --- commands.c --- */
void pop3_command(struct pop3 *p, struct slice line);

/* --- retr.c --- */
void pop3_retr(struct pop3 *p, uint32_t i, bool top, uint32_t lines);
void pop3_close_body(struct pop3 *p);

/* --- quit.c --- */
void pop3_quit(struct pop3 *p);
void pop3_forget_write(struct pop3 *p);

/* --- uidl.c --- */
/* The unique-id of a message.  The format was checked at load; what RFC 1939
 * 7 does not allow in it becomes '_', and 70 octets are the most. */
void pop3_put_uidl(struct buf *to, const char *format, uint32_t uid,
		   uint32_t uidvalidity, const struct id128 *guid);
bool pop3_uidl_needs_guid(const char *format);

#endif
