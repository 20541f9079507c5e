#include "node/imap/imap.h"

#include <errno.h>
#include <stdlib.h>

/* Changes: every one goes through the engine and ends after publication. */

struct imap_write *imap_write_new(struct imap *im, enum write_kind kind)
{
	struct arena *a = arena_new(1024);
	struct imap_write *w = ARENA_NEW(a, struct imap_write);

	w->im = im;
	w->arena = a;
	w->w.kind = kind;
	w->w.arena = a;
	return w;
}

void imap_write_drop(struct imap_write *w)
{
	if (w)
		arena_free(w->arena);
}

static void write_done(void *arg, struct write *wr, int result, bool unknown,
		       const struct err *e)
{
	struct imap_write *w = arg;
	struct imap *im = w->im;

	if (im) {
		imap_enter(im);
		im->write = NULL;
		im->waiting = false;
		if (result < 0 && unknown) {
			/* D4: neither OK nor NO would be true. */
			imap_bye(im, "UNAVAILABLE",
				 "The second copy could not be made in time; "
				 "please connect again.", SESSION_ERROR);
		} else {
			w->done(im, wr, result, e);
		}
		imap_leave(im);
	}
	arena_free(w->arena);
}

void imap_write_start(struct imap *im, struct imap_write *w, imap_written *done)
{
	w->done = done;
	im->write = w;
	im->waiting = true;
	engine_write(im->s->host->engine, im->s->account, &w->w, write_done, w);
}

/* Response codes of RFC 5530 and others. */
const char *imap_code_of(int result)
{
	switch (result) {
	case E_NOTFOUND: return "NONEXISTENT";
	case E_EXISTS: return "ALREADYEXISTS";
	case E_INVALID: return "CANNOT";
	case E_LIMIT: return "LIMIT";
	case E_TEMP: return "UNAVAILABLE";
	case E_NOTHOLDER: return "UNAVAILABLE";
	case E_NOSPACE:
	case -ENOSPC:
	case -EDQUOT: return "UNAVAILABLE";
	case E_PERM: return "NOPERM";
	case E_CORRUPT: return "SERVERBUG";
	case E_GONE: return "EXPUNGEISSUED";
	default: return NULL;
	}
}
