#include "node/base/log_system.h"
#include "node/base/arena.h"
#include "node/base/buf.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define DATAGRAM_MAX (64u * 1024)

struct log_system {
	char *ident;
	int facility;
	int journal;		/* -1: syslog(3) */
};

static const struct {
	const char *name;
	int facility;
} facilities[] = {
	{"mail", LOG_MAIL},	{"daemon", LOG_DAEMON}, {"auth", LOG_AUTH},
	{"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON}, {"ftp", LOG_FTP},
	{"kern", LOG_KERN},	{"lpr", LOG_LPR},	{"news", LOG_NEWS},
	{"syslog", LOG_SYSLOG}, {"user", LOG_USER},	{"uucp", LOG_UUCP},
	{"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2},
	{"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5},
	{"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
};

/*
 * Not through sd_journal_sendv(): it opens its socket at the first line, which
 * in a chroot is too late.  The datagram's form is systemd's documented
 * "Native Journal Protocol".
 */
static int open_journal(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

struct log_system *log_system_new(const char *ident, const char *facility)
{
	struct log_system *s = NEW(struct log_system);

	s->ident = xstrdup(ident);
	s->facility = LOG_MAIL;
	for (size_t i = 0; i < ARRAY_LEN(facilities); i++)
		if (strcmp(facilities[i].name, facility) == 0)
			s->facility = facilities[i].facility;
	s->journal = open_journal();
	if (s->journal < 0)
		openlog(s->ident, LOG_NDELAY | LOG_PID, s->facility);
	return s;
}

void log_system_free(struct log_system *s)
{
	if (!s)
		return;
	if (s->journal >= 0)
		close(s->journal);
	else
		closelog();
	free(s->ident);
	free(s);
}

static void field(struct buf *b, const char *name, struct slice value)
{
	if (value.n == 0)
		return;
	buf_printf(b, "%s=", name);
	for (size_t i = 0; i < value.n; i++)
		buf_char(b, value.p[i] == '\n' ? '?' : value.p[i]);
	buf_char(b, '\n');
}

void log_system_send(struct log_system *s, int priority, struct slice line,
		     const char *event, const char *user, const char *role)
{
	struct buf b;

	if (s->journal < 0) {
		syslog(priority | s->facility, "%.*s", (int)line.n,
		       (const char *)line.p);
		return;
	}
	buf_init(&b, DATAGRAM_MAX);
	buf_printf(&b, "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_PID=%d\n",
		   priority, s->facility >> 3, (int)getpid());
	field(&b, "SYSLOG_IDENTIFIER", slice_str(s->ident));
	field(&b, "DUET_EVENT", slice_str(event));
	field(&b, "DUET_USER", slice_str(user));
	field(&b, "DUET_ROLE", slice_str(role));
	field(&b, "MESSAGE", line);
	/* A journal that does not take it has nobody to be reported to. */
	(void)!send(s->journal, b.p, b.n, MSG_NOSIGNAL);
	buf_fini(&b);
}
