#ifndef DUET_BASE_LOG_SYSTEM_H
#define DUET_BASE_LOG_SYSTEM_H

/*
 * The system's log, for log.c alone: journald where its socket is, else
 * syslog(3).  Opened at once, so that it works after a chroot.
 */

#include "node/base/slice.h"

struct log_system;

struct log_system *log_system_new(const char *ident, const char *facility);
void log_system_free(struct log_system *s);
/* priority as in syslog(3); event, user and role may be NULL or "". */
void log_system_send(struct log_system *s, int priority, struct slice line,
		     const char *event, const char *user, const char *role);

#endif
