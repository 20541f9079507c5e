#include "node/pop3/pop3.h"

#include <stdlib.h>

/*
 * QUIT, the UPDATE state (RFC 1939 6).
 *
 *   \Seen of what was retrieved ─► deletions, in one write ─► reply ─► end
 *
 * +OK says that the deletions are published: on both disks, if the pair is in
 * SYNC.  If they failed nothing was deleted, and -ERR [SYS/TEMP] says so; if
 * their outcome is not known the connection ends without a reply, and the
 * client fetches again what is still there.
 */

void pop3_forget_write(struct pop3 *p)
{
	if (p->write)
		p->write->p = NULL;
	p->write = NULL;
}

static void on_written(void *arg, struct write *wr, int result, bool unknown,
		       const struct err *e)
{
	struct pop3_write *w = arg;
	struct pop3 *p = w->p;

	(void)wr;
	if (p) {
		pop3_enter(p);
		p->write = NULL;
		p->waiting = false;
		if (result < 0 && unknown)
			pop3_end(p, SESSION_ERROR, "The second copy could not "
				 "be made in time");
		else
			w->done(p, result, e);
		pop3_leave(p);
	}
	arena_free(w->arena);
}

/* Messages with all flags of `with` and none of `without` that are still
 * there, as ranges without holes; unseen: only those without \Seen. */
static void choose(struct pop3 *p, struct write *w, uint8_t with,
		   uint8_t without, bool unseen)
{
	struct uid_range *last = NULL;
	size_t max = 0;

	for (uint32_t i = 0; i < p->n_msgs; i++)
		max += (p->msgs[i].flags & (with | without)) == with;
	if (!max)
		return;
	w->uids = arena_alloc(w->arena, max * sizeof(*w->uids));
	for (uint32_t i = 0; i < p->n_msgs; i++) {
		uint32_t rec, uid = p->msgs[i].uid;

		if ((p->msgs[i].flags & (with | without)) != with ||
		    pop3_rec(p, i, &rec) < 0 ||
		    (unseen && (mailbox_rec(p->inbox, rec)->flags & MSG_SEEN)))
			continue;
		if (last && last->last + 1 == uid) {
			last->last = uid;
			continue;
		}
		last = &w->uids[w->n_uids++];
		*last = (struct uid_range){uid, uid};
	}
}

/* False if it would change nothing; else `done` comes. */
static bool start(struct pop3 *p, enum write_kind kind, uint8_t with,
		  uint8_t without,
		  void (*done)(struct pop3 *p, int result,
			       const struct err *e))
{
	struct arena *a = arena_new(1024);
	struct pop3_write *w = ARENA_NEW(a, struct pop3_write);

	w->p = p;
	w->arena = a;
	w->done = done;
	w->w.kind = kind;
	w->w.arena = a;
	w->w.mbox = mailbox_id(p->inbox);
	w->w.flags_mode = FLAGS_ADD;
	w->w.flags = kind == WRITE_FLAGS ? MSG_SEEN : 0;
	choose(p, &w->w, with, without, kind == WRITE_FLAGS);
	if (!w->w.n_uids) {
		arena_free(a);
		return false;
	}
	p->write = w;
	p->waiting = true;
	engine_write(p->s->host->engine, p->s->account, &w->w, on_written, w);
	return true;
}

static void good_bye(struct pop3 *p)
{
	pop3_say(p, p->n.deleted ? "+OK Logging out, messages deleted."
				 : "+OK Logging out.");
	pop3_end(p, SESSION_LOGOUT, "Logged out");
}

static void on_deleted(struct pop3 *p, int result, const struct err *e)
{
	if (result < 0) {
		session_log(p->s, LOG_ERR, "delete_failed",
			    "INBOX: messages were not deleted: %s", e->op);
		pop3_say(p, "-ERR [SYS/TEMP] The messages were not deleted.");
		pop3_end(p, SESSION_LOGOUT, "Logged out, nothing deleted");
		return;
	}
	for (uint32_t i = 0; i < p->n_msgs; i++)
		if (p->msgs[i].flags & POP3_DELETED) {
			p->n.deleted++;
			p->n.deleted_bytes += p->msgs[i].size;
		}
	good_bye(p);
}

static void delete_marked(struct pop3 *p)
{
	if (!start(p, WRITE_EXPUNGE, POP3_DELETED, 0, on_deleted))
		good_bye(p);
}

/* \Seen is no part of what QUIT promises: without it the rest goes on. */
static void on_seen(struct pop3 *p, int result, const struct err *e)
{
	if (result < 0)
		session_log(p->s, LOG_ERR, "seen_failed",
			    "INBOX: \\Seen was not set: %s", e->op);
	delete_marked(p);
}

void pop3_quit(struct pop3 *p)
{
	p->quitting = true;
	if (p->s->conf->pop3_no_flag_updates ||
	    !start(p, WRITE_FLAGS, POP3_RETRIEVED, POP3_DELETED, on_seen))
		delete_marked(p);
}
