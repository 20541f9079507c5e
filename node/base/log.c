#include "node/base/log.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/log_system.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut: journald and syslog would do worse to it. */
#define LINE_MAX_BYTES 8000

enum { SINK_FATAL_ERR_WARN, SINK_INFO, SINK_DEBUG, SINKS };

struct sink {
	char *path;
	int fd;			/* -1: the system log */
	bool ours;		/* to be closed and opened again */
};

struct log {
	char *ident, *role, *timestamp, *facility;
	struct sink sinks[SINKS];
	struct log_system *system;	/* NULL if no sink goes there */
	bool also_stderr, debug;
	void (*capture)(void *, enum log_level, const char *);
	void *capture_arg;
};

static const struct {
	const char *word;	/* as Dovecot's, which log readers know */
	int priority;		/* of syslog */
	int sink;
} levels[] = {
	[LOG_DBG] = {"Debug: ", 7, SINK_DEBUG},
	[LOG_INF] = {"Info: ", 6, SINK_INFO},
	[LOG_WARN] = {"Warning: ", 4, SINK_FATAL_ERR_WARN},
	[LOG_ERR] = {"Error: ", 3, SINK_FATAL_ERR_WARN},
	[LOG_FATAL] = {"Fatal: ", 2, SINK_FATAL_ERR_WARN},
};

static bool given(const char *s)
{
	return s && *s;
}

static char *copy_or(const char *s, const char *otherwise)
{
	return xstrdup(given(s) ? s : otherwise);
}

static bool is_syslog(const char *path)
{
	return strcmp(path, "syslog") == 0;
}

static void open_sink(struct log *l, struct sink *s)
{
	char *end;
	long fd;

	s->fd = -1;
	s->ours = false;
	if (is_syslog(s->path)) {
		if (!l->system)
			l->system = log_system_new(l->ident, l->facility);
		return;
	}
	if (strcmp(s->path, "/dev/stderr") == 0) {
		s->fd = STDERR_FILENO;
		return;
	}
	/* "fd:N": opened by the supervisor and passed down. */
	if (strncmp(s->path, "fd:", 3) == 0) {
		fd = strtol(s->path + 3, &end, 10);
		if (*end == '\0' && fd >= 0 && fd < 65536) {
			s->fd = (int)fd;
			return;
		}
	}
	s->fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC |
				      O_NOCTTY, 0600);
	s->ours = s->fd >= 0;
	if (s->fd < 0) {
		fprintf(stderr, "duet: cannot open the log %s: %s; using stderr\n",
			s->path, strerror(errno));
		s->fd = STDERR_FILENO;
	}
}

static void close_sinks(struct log *l)
{
	for (size_t i = 0; i < SINKS; i++)
		if (l->sinks[i].ours)
			close(l->sinks[i].fd);
}

struct log *log_new(const struct log_opts *o)
{
	struct log *l = NEW(struct log);
	const char *info;

	l->ident = copy_or(o->ident, "duet");
	l->role = copy_or(o->role, "");
	l->timestamp = copy_or(o->timestamp, "%b %d %H:%M:%S ");
	l->facility = copy_or(o->facility, "mail");
	l->also_stderr = o->also_stderr;
	l->debug = o->debug;
	l->sinks[SINK_FATAL_ERR_WARN].path = copy_or(o->log_path, "syslog");
	info = given(o->info_log_path) ? o->info_log_path :
					 l->sinks[SINK_FATAL_ERR_WARN].path;
	l->sinks[SINK_INFO].path = xstrdup(info);
	l->sinks[SINK_DEBUG].path = copy_or(o->debug_log_path, info);
	for (size_t i = 0; i < SINKS; i++)
		open_sink(l, &l->sinks[i]);
	return l;
}

void log_free(struct log *l)
{
	if (!l)
		return;
	close_sinks(l);
	for (size_t i = 0; i < SINKS; i++)
		free(l->sinks[i].path);
	log_system_free(l->system);
	free(l->ident);
	free(l->role);
	free(l->timestamp);
	free(l->facility);
	free(l);
}

void log_reopen(struct log *l)
{
	close_sinks(l);
	for (size_t i = 0; i < SINKS; i++)
		open_sink(l, &l->sinks[i]);
}

void log_set_debug(struct log *l, bool on)
{
	l->debug = on;
}

void log_capture(struct log *l, void (*cb)(void *, enum log_level, const char *),
		 void *arg)
{
	l->capture = cb;
	l->capture_arg = arg;
}

/* Control characters would let a client write lines of its own. */
static void clean(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] == 0x7f)
			p[i] = '?';
}

static void stamp(struct buf *b, const char *format)
{
	time_t now = time(NULL);
	char text[128];
	struct tm tm;
	size_t n;

	if (!localtime_r(&now, &tm))
		return;
/* The administrator's setting. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	n = strftime(text, sizeof(text), format, &tm);
#pragma GCC diagnostic pop
	buf_put(b, text, n);
}

static void write_line(const struct log *l, int fd, struct slice line)
{
	struct buf b;

	/* One write, so that lines of several processes do not mix. */
	buf_init(&b, 2 * LINE_MAX_BYTES);
	stamp(&b, l->timestamp);
	buf_slice(&b, line);
	buf_char(&b, '\n');
	/* A log that cannot be written has nobody to be reported to. */
	if (write(fd, b.p, b.n) < 0 && fd != STDERR_FILENO)
		(void)!write(STDERR_FILENO, b.p, b.n);
	buf_fini(&b);
}

/* prefix: "role(user): " or "" */
static void emit(struct log *l, enum log_level level, const char *event,
		 const char *user, struct slice prefix, struct slice text,
		 bool with_word)
{
	const struct sink *s = &l->sinks[levels[level].sink];
	struct buf file, sys;

	buf_init(&file, LINE_MAX_BYTES + 256);
	buf_init(&sys, LINE_MAX_BYTES + 256);
	buf_printf(&file, "%s: ", l->ident);
	buf_slice(&file, prefix);
	buf_slice(&sys, prefix);
	if (with_word) {
		buf_str(&file, levels[level].word);
		/* syslog has a priority; the word helps where it is not shown */
		if (level != LOG_INF)
			buf_str(&sys, levels[level].word);
	}
	buf_slice(&file, text);
	buf_slice(&sys, text);
	clean(file.p, file.n);
	clean(sys.p, sys.n);
	if (l->capture) {
		buf_char(&sys, '\0');
		l->capture(l->capture_arg, level, (const char *)sys.p);
	} else {
		if (s->fd < 0)
			log_system_send(l->system, levels[level].priority,
					buf_all(&sys), event, user, l->role);
		else
			write_line(l, s->fd, buf_all(&file));
		if (l->also_stderr && s->fd != STDERR_FILENO)
			write_line(l, STDERR_FILENO, buf_all(&file));
	}
	buf_fini(&file);
	buf_fini(&sys);
}

void log_event(struct log *l, enum log_level level, const char *event,
	       const char *user, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES - 1024], prefix[640];
	va_list ap;
	int n;

	if (level == LOG_DBG && !l->debug)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (user)
		snprintf(prefix, sizeof(prefix), "%.100s(%.500s): ", l->role, user);
	else if (*l->role)
		snprintf(prefix, sizeof(prefix), "%.100s: ", l->role);
	else
		prefix[0] = '\0';
	emit(l, level, event, user, slice_str(prefix), slice_str(text), true);
}

void log_raw(struct log *l, enum log_level level, const char *event,
	     const char *user, const char *line)
{
	struct slice s = slice_str(line);

	if (level == LOG_DBG && !l->debug)
		return;
	emit(l, level, event, user, SLICE_NONE,
	     slice_sub(s, 0, LINE_MAX_BYTES - 1024), false);
}
