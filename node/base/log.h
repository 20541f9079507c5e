#ifndef DUET_BASE_LOG_H
#define DUET_BASE_LOG_H

/*
 * Log lines.  Severity words are a contract:
 *   debug    only with *_debug settings;
 *   info     something ended as it should (a login, a delivery);
 *   warning  odd, ignored, service goes on;
 *   error    something failed for somebody; the text says what to do;
 *   fatal    this process ends now.
 * Libraries (storage, proto, auth below its door, sync's brain) do not log:
 * they return struct err.  Text is one line; control characters of foreign
 * origin are replaced by '?'.
 *
 * Targets: journald (with DUET_EVENT= and DUET_USER= fields) or syslog, a
 * file per level class, stderr.  A child process sends its lines through its
 * own target; files are opened by the supervisor and passed down, and named
 * "fd:N" then.
 */

#include "node/base/slice.h"

enum log_level { LOG_DBG, LOG_INF, LOG_WARN, LOG_ERR, LOG_FATAL };

struct log;

struct log_opts {
	const char *ident;		/* instance name, e.g. "duet" */
	const char *role;		/* "imap-login", "lmtp", "store", … */
	const char *log_path;		/* "syslog", "/dev/stderr", or a file */
	const char *info_log_path;	/* NULL or "" = log_path */
	const char *debug_log_path;	/* NULL or "" = info_log_path */
	const char *timestamp;		/* strftime, for files and stderr */
	const char *facility;		/* syslog facility, "mail" */
	bool also_stderr;
	bool debug;
};

/* Never fails: what cannot be opened falls back to stderr with a note. */
struct log *log_new(const struct log_opts *o);
void log_free(struct log *l);
/* Opens the files again (SIGUSR1). */
void log_reopen(struct log *l);
void log_set_debug(struct log *l, bool on);
/* Tests: every line goes to this callback instead, in the journal's form. */
void log_capture(struct log *l, void (*cb)(void *, enum log_level, const char *),
		 void *arg);

/*
 * event: stable name in snake_case ("pair_state_changed").  user: account
 * name or NULL.  The file form is "ident: role(user): Warning: text" after the
 * timestamp, as Dovecot's; in the journal and syslog without the ident, and
 * without "Info: ".
 */
void log_event(struct log *l, enum log_level level, const char *event,
	       const char *user, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* A line whose prefix the caller has already made (login and session lines,
 * whose shape log readers depend on); files put the timestamp and "ident: "
 * before it, nothing else. */
void log_raw(struct log *l, enum log_level level, const char *event,
	     const char *user, const char *line);

#endif
