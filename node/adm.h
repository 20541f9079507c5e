#ifndef DUET_NODE_ADM_H
#define DUET_NODE_ADM_H

/*
 * An admin connection inside a role (docs/admin-protocol.md): one request at
 * a time; rows and lines go back as they come, then the end.  The connection
 * may go away while a request runs: replies are dropped then, and the request
 * still calls adm_end(), which frees.
 */

#include "node/base/arena.h"
#include "node/role.h"

struct adm;

/* h lies in the request's arena, which lives until adm_end(). */
typedef void adm_run(void *arg, struct adm *q, const struct ipc_head *h);

/* Takes fd. */
void adm_new(struct role *r, int fd, adm_run *run, void *arg);
struct arena *adm_arena(struct adm *q);
/* The client has gone: long listings may stop early. */
bool adm_gone(const struct adm *q);
void adm_row(struct adm *q, const char *const *cells, size_t n);
/* A row of two cells. */
void adm_pair(struct adm *q, const char *name, const char *value);
void adm_text(struct adm *q, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* code: exit status; text: why it is not 0, for people. */
void adm_end(struct adm *q, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* sysexits that duetadm gives back, as doveadm does. */
enum { ADM_OK = 0, ADM_FAIL = 1, ADM_USAGE = 64, ADM_NOUSER = 67,
       ADM_NOTFOUND = 68, ADM_TEMPFAIL = 75, ADM_NOPERM = 77,
       ADM_CONFIG = 78 };

/* "*" and "?" as in shell names, ASCII case counts. */
bool adm_mask(const char *mask, const char *name);

#endif
