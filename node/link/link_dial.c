/* Dialling the partner: its name is resolved outside of the empty root
 * directory, its addresses are tried in turn. */

#include "node/link/sync_role.h"
#include "node/base/arena.h"
#include "node/base/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

#define DIAL_ADDRESSES_MAX 8u

struct attempt {
	struct link_dialer *dialer;
	enum link_channel channel;
	bool running;
};

struct link_dialer {
	struct sync_node *sn;
	char *host;			/* NULL: no partner configured */
	unsigned port;
	char *address[DIAL_ADDRESSES_MAX];
	size_t n_address, next;
	bool resolving;
	struct attempt attempts[CHANNELS];
};

struct link_dialer *link_dialer_new(struct sync_node *sn)
{
	struct link_dialer *d = NEW(struct link_dialer);

	d->sn = sn;
	for (int i = 0; i < CHANNELS; i++)
		d->attempts[i] = (struct attempt){d, (enum link_channel)i,
						  false};
	return d;
}

static void forget_addresses(struct link_dialer *d)
{
	for (size_t i = 0; i < d->n_address; i++)
		free(d->address[i]);
	d->n_address = d->next = 0;
}

void link_dialer_free(struct link_dialer *d)
{
	if (!d)
		return;
	forget_addresses(d);
	free(d->host);
	free(d);
}

void link_dialer_target(struct link_dialer *d, const char *host, unsigned port)
{
	if (d->host && host && strcmp(d->host, host) == 0 && d->port == port)
		return;
	free(d->host);
	d->host = host ? xstrdup(host) : NULL;
	d->port = port;
	forget_addresses(d);
}

static void ended(struct attempt *t)
{
	t->running = false;
	node_link_dial_failed(t->dialer->sn->link, t->channel);
}

static void on_dialed(void *arg, const char *why)
{
	struct attempt *t = arg;

	t->running = false;
	if (!why)
		return;
	/* A host may have moved: ask for its addresses again. */
	if (++t->dialer->next >= t->dialer->n_address)
		forget_addresses(t->dialer);
	ended(t);
}

static void connect_now(struct attempt *t)
{
	struct link_dialer *d = t->dialer;
	const char *ip = d->address[d->next % d->n_address];
	struct err e = ERR_NONE;
	int fd;

	if (stream_connect_inet(ip, d->port, &fd, &e) < 0) {
		sync_trouble(d->sn, "Pair link to %s port %u: %s", ip, d->port,
			     e.op);
		on_dialed(t, e.op);
		return;
	}
	link_dial_on(d->sn, fd, ip, t->channel, on_dialed, t);
}

void link_dial(struct link_dialer *d, enum link_channel ch)
{
	struct attempt *t = &d->attempts[ch];
	struct ipc_head h = {.name = d->host};

	if (t->running)
		return;
	t->running = true;
	if (!d->host) {
		ended(t);
		return;
	}
	if (d->n_address) {
		connect_now(t);
		return;
	}
	if (!d->resolving)
		role_tell(d->sn->role, IPC_RESOLVE, 0, &h);
	d->resolving = true;
}

void link_resolved(struct link_dialer *d, const struct ipc_head *h)
{
	d->resolving = false;
	forget_addresses(d);
	for (size_t i = 0; i < h->n_args && i < DIAL_ADDRESSES_MAX; i++)
		d->address[d->n_address++] = xstrdup(h->args[i]);
	if (!d->n_address)
		sync_trouble(d->sn, "Partner's name cannot be resolved: %s",
			     h->text);
	for (int i = 0; i < CHANNELS; i++) {
		struct attempt *t = &d->attempts[i];

		if (!t->running)
			continue;
		if (d->n_address)
			connect_now(t);
		else
			ended(t);
	}
}
