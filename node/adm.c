/* Admin connections inside a role. */

#include "node/adm.h"
#include "node/base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

struct adm {
	struct ipc *ipc;		/* NULL: the client is gone */
	struct arena *arena;		/* of the running request */
	adm_run *run;
	void *arg;
	bool busy, inside;
};

static void adm_free(struct adm *q)
{
	ipc_free(q->ipc);
	arena_free(q->arena);
	free(q);
}

struct arena *adm_arena(struct adm *q)
{
	return q->arena;
}

bool adm_gone(const struct adm *q)
{
	return !q->ipc;
}

static void say(struct adm *q, enum ipc_type type, const struct ipc_head *h)
{
	/* A client that does not read what it asked for loses the rest. */
	if (q->ipc && ipc_say(q->ipc, type, 0, h, SLICE_NONE, -1) < 0)
		ipc_free(TAKE(q->ipc));
}

void adm_row(struct adm *q, const char *const *cells, size_t n)
{
	struct ipc_head h = {.args = cells, .n_args = n};

	say(q, IPC_ADM_ROW, &h);
}

void adm_pair(struct adm *q, const char *name, const char *value)
{
	const char *cells[] = {name, value};

	adm_row(q, cells, 2);
}

void adm_text(struct adm *q, const char *fmt, ...)
{
	char text[2000];
	struct ipc_head h = {.text = text};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(q, IPC_ADM_TEXT, &h);
}

void adm_end(struct adm *q, int code, const char *fmt, ...)
{
	char text[1000];
	struct ipc_head h = {.code = code, .text = text};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say(q, IPC_ADM_END, &h);
	q->busy = false;
	if (!q->inside) {
		arena_free(TAKE(q->arena));
		if (!q->ipc)
			adm_free(q);
	}
}

static void on_message(void *arg, struct ipc_msg *m)
{
	struct adm *q = arg;
	struct err e = ERR_NONE;
	struct ipc_head h;

	if (m->fd >= 0)
		close(m->fd);
	if (q->busy)
		return;
	arena_free(q->arena);
	q->arena = arena_new(2048);
	q->busy = q->inside = true;
	if (m->type != IPC_ADM_REQUEST ||
	    ipc_head_decode(m->head, q->arena, &h, &e) < 0)
		adm_end(q, ADM_USAGE, "not a request");
	else
		q->run(q->arg, q, &h);
	q->inside = false;
	if (!q->busy && !q->ipc)
		adm_free(q);
}

static void on_closed(void *arg, const struct err *e)
{
	struct adm *q = arg;

	(void)e;
	ipc_free(TAKE(q->ipc));
	if (!q->busy)
		adm_free(q);
}

static const struct ipc_ops adm_ops = {
	.message = on_message, .closed = on_closed,
};

void adm_new(struct role *r, int fd, adm_run *run, void *arg)
{
	struct adm *q = NEW(struct adm);

	q->run = run;
	q->arg = arg;
	q->ipc = ipc_new(r->loop, fd, &adm_ops, q);
}

bool adm_mask(const char *mask, const char *name)
{
	const char *star = NULL, *back = NULL;

	while (*name) {
		if (*mask == '*') {
			star = mask++;
			back = name;
		} else if (*mask == '?' || *mask == *name) {
			mask++;
			name++;
		} else if (star) {
			mask = star + 1;
			name = ++back;
		} else {
			return false;
		}
	}
	while (*mask == '*')
		mask++;
	return *mask == 0;
}
