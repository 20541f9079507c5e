/* Connections, ticks and routing of the pair link's node level. */

#include "sync/node_link_private.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void node_link_event(struct node_link *n, const char *event, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n->out.event)
		n->out.event(n->out.arg, event, text);
}

/* --- telling the stores ----------------------------------------------------- */

/* Something new to all, or the same again to one. */
static uint64_t serial(struct node_link *n, int process)
{
	if (process < 0) {
		n->told++;
		n->told_tick = n->tick;
	}
	return n->told;
}

void node_link_tell_up(struct node_link *n, int process)
{
	struct link_msg m = {.type = LINK_UP};
	struct conn *c = n->control;

	m.up.partner_trusted = n->partner_trusted;
	m.up.partner_regressed = n->partner_regressed;
	m.up.partner_empty = !n->partner_trusted && !n->partner_regressed;
	/* Another disk than the one this node knew, until it is complete. */
	m.up.partner_lost = m.up.partner_empty && n->id.n_retired;
	m.up.trusted = n->id.trusted;
	m.up.regressed = n->regressed;
	m.up.partner_boot = n->partner.boot;
	m.up.link = n->links;
	m.up.serial = serial(n, process);
	if (c && !n->partner_regressed) {
		m.up.journals = c->journals;
		m.up.n_journals = c->n_journals;
	}
	if (process < 0)
		n->journals_moved = false;
	n->out.to_store(n->out.arg, process, &m);
}

void node_link_tell_down(struct node_link *n, int process)
{
	struct link_msg m = {.type = LINK_DOWN};

	m.down.failed = n->failed;
	m.down.lasted = n->dial_ticks[CHANNEL_CONTROL];
	m.down.member = n->id.member;
	m.down.trusted = n->id.trusted;
	m.down.forgotten = !n->id.member && n->id.n_retired;
	m.down.serial = serial(n, process);
	n->out.to_store(n->out.arg, process, &m);
}

void node_link_write_identity(struct node_link *n)
{
	n->writing = true;
	n->out.identity(n->out.arg, &n->id);
}

/* --- connections ------------------------------------------------------------- */

static struct conn *conn_find(struct node_link *n, const void *handle)
{
	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++)
		if (n->conns[i].handle == handle)
			return &n->conns[i];
	return NULL;
}

static void went_down(struct node_link *n, const char *why)
{
	n->control = NULL;
	n->streams_on_control = false;
	n->since_usec = clock_real(n->clock);
	n->equal_ticks = 0;
	node_link_event(n, "pair_link_down", "link to the partner is down: %s",
			why);
	node_link_tell_down(n, -1);
	/* Bulk and proxy belong to the control connection. */
	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++)
		if (n->conns[i].handle &&
		    n->conns[i].ch != CHANNEL_CONTROL)
			node_link_drop(n, &n->conns[i], "link down");
	/* Both dial; the one whose connection would stay dials first. */
	n->dial_after = n->tick;
	if (memcmp(n->id.node_id.b, n->id.partner_node_id.b, 16) > 0)
		n->dial_after += NODE_LINK_YIELD_TICKS;
}

/*
 * Does a connection wait for the own one that would stay?  Both dial: were the
 * partner's to come up first, the own would replace it a moment later, and
 * every account would see the link go down.
 */
static bool yields(const struct node_link *n, const struct conn *c)
{
	if (c->ours || c->ticks >= NODE_LINK_HOLD_TICKS ||
	    memcmp(n->id.node_id.b, c->hello.node_id.b, 16) > 0)
		return false;
	if (n->dialing[CHANNEL_CONTROL])
		return true;
	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++) {
		const struct conn *o = &n->conns[i];

		if (o->handle && o->ours && o->ch == CHANNEL_CONTROL &&
		    o != n->control)
			return true;
	}
	return false;
}

/* Those that wait for nothing any more. */
static void go_on(struct node_link *n)
{
	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++) {
		struct conn *c = &n->conns[i];

		if (c->handle && c->ch == CHANNEL_CONTROL && c->fits &&
		    !c->said_up)
			node_link_ready(n, c);
	}
}

static void forget(struct node_link *n, struct conn *c, const char *why)
{
	bool was = c == n->control;

	c->handle = NULL;
	for (size_t i = 0; i < CHANNELS; i++)
		if (n->channel[i] == c)
			n->channel[i] = NULL;
	if (was)
		went_down(n, why);
}

void node_link_drop(struct node_link *n, struct conn *c, const char *why)
{
	void *handle = c->handle;

	if (!handle)
		return;
	forget(n, c, why);
	n->out.close(n->out.arg, handle, why);
}

/* The next try is later.  True: it is to be said, for it is not the same as the
 * last time. */
static bool refused_anew(struct node_link *n, const char *text)
{
	bool same = n->refused && strcmp(n->refused, text) == 0;

	n->dial_after = n->tick + NODE_LINK_RETRY_TICKS;
	if (same)
		return false;
	free(n->refused);
	n->refused = xstrdup(text);
	return true;
}

void node_link_refuse(struct node_link *n, struct conn *c, enum link_refusal code,
		      const char *fmt, ...)
{
	struct link_msg m = {.type = LINK_REFUSE};
	char text[LINK_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	m.text.code = (int32_t)code;
	m.text.text = slice_str(text);
	n->out.send(n->out.arg, c->handle, &m);
	if (code != REFUSE_SPARE && refused_anew(n, text))
		node_link_event(n, "pair_refused", "%s", text);
	node_link_drop(n, c, text);
}

/* Of two complete ones the one dialled by the smaller node id stays. */
static bool preferred(const struct node_link *n, const struct conn *c)
{
	bool smaller = memcmp(n->id.node_id.b, c->hello.node_id.b, 16) < 0;

	return c->ours == smaller;
}

static void come_up(struct node_link *n, struct conn *c)
{
	struct conn *old = n->control;

	if (old && old != c) {
		bool same = old->hello.boot == c->hello.boot &&
			    id128_eq(old->hello.node_id, c->hello.node_id);

		if (same && !preferred(n, c)) {
			node_link_refuse(n, c, REFUSE_SPARE,
					 "another connection is in use");
			return;
		}
		node_link_drop(n, old, same ? "another connection is in use" :
			       "the partner began anew");
	}
	n->control = n->channel[CHANNEL_CONTROL] = c;
	n->partner = c->hello;
	n->partner.journals = NULL;
	n->silent = 0;
	n->heard = true;
	n->since_usec = n->heard_usec = clock_real(n->clock);
	free(n->refused);
	n->refused = NULL;
	n->links++;
	node_link_event(n, "pair_link_up", "link to the partner is up");
	node_link_tell_up(n, -1);
	/* It forgot with the last link which processes have given up. */
	for (unsigned i = 0; i < n->n_stores; i++)
		if (n->stores[i].resigned && !n->stores[i].attached)
			node_link_resign(n, i, &(struct link_resign){.cause = 1});
}

void node_link_ready(struct node_link *n, struct conn *c)
{
	c->fits = true;
	if (c->ch != CHANNEL_CONTROL) {
		if (!n->control || n->control->hello.boot != c->hello.boot) {
			node_link_drop(n, c, "no control connection");
			return;
		}
		if (n->channel[c->ch] && n->channel[c->ch] != c)
			node_link_drop(n, n->channel[c->ch], "replaced");
		n->channel[c->ch] = c;
		return;
	}
	if (c->said_up || yields(n, c))
		return;
	c->said_up = true;
	trust_send_heartbeat(n, c);
	if (c->heard_up)
		come_up(n, c);
}

void node_link_connected(struct node_link *n, void *handle, enum link_channel ch,
			 bool ours)
{
	struct conn *c = conn_find(n, NULL);

	if (ours)
		n->dialing[ch] = false;
	if (!c) {
		n->out.close(n->out.arg, handle, "too many connections");
		return;
	}
	*c = (struct conn){.handle = handle, .ch = ch, .ours = ours};
	if (hello_may_send(n))
		hello_send(n, c);
}

void node_link_closed(struct node_link *n, void *handle)
{
	struct conn *c = conn_find(n, handle);

	if (c && handle)
		forget(n, c, "closed by the other end");
}

void node_link_dial_failed(struct node_link *n, enum link_channel ch)
{
	n->dialing[ch] = false;
	if (ch != CHANNEL_CONTROL)
		return;
	go_on(n);
	if (!n->dial_counted) {
		n->failed++;
		if (!n->control)
			node_link_tell_down(n, -1);
	}
	n->dial_after = n->tick + 1;
}

/* --- messages ------------------------------------------------------------------ */

unsigned node_link_process_of(struct id128 account, unsigned stores)
{
	uint64_t bits = 0;

	for (size_t i = 8; i-- > 0;)
		bits = bits << 8 | account.b[i];
	return (unsigned)(bits % stores);
}

static void route(struct node_link *n, const struct link_msg *m)
{
	if (m->type == LINK_RESIGN) {
		n->out.to_store(n->out.arg, -1, m);
	} else if (m->type >= LINK_STREAM_OPEN && m->type <= LINK_STREAM_CLOSE) {
		n->out.stream(n->out.arg, m);
	} else if (link_has_account(m->type)) {
		n->out.to_store(n->out.arg,
				(int)node_link_process_of(m->account,
							  n->n_stores), m);
	}
}

static void refused_there(struct node_link *n, struct conn *c,
			  const struct link_msg *m)
{
	char text[LINK_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "%.*s", (int)m->text.text.n,
		 m->text.text.p);
	if (m->text.code != REFUSE_SPARE && refused_anew(n, text))
		node_link_event(n, "pair_refused", "the partner refuses: %s",
				text);
	/* The partner knows that this disk was written off: serving it alone
	 * would show mail that others replaced long ago. */
	if ((m->text.code == REFUSE_FORGOTTEN ||
	     m->text.code == REFUSE_INCARNATION) && n->id.trusted) {
		n->id.trusted = false;
		node_link_tell_down(n, -1);
	}
	node_link_drop(n, c, text);
}

static bool is_up(const struct node_link *n, const struct conn *c)
{
	return n->control && (c == n->control || c == n->channel[c->ch]);
}

void node_link_message(struct node_link *n, void *handle,
		       const struct link_msg *m)
{
	struct conn *c = conn_find(n, handle);

	if (!c || !handle)
		return;
	switch (m->type) {
	case LINK_HELLO:
		hello_received(n, c, &m->hello);
		return;
	case LINK_IDENTITY:
		hello_identity(n, c, &m->identity);
		return;
	case LINK_REFUSE:
		refused_there(n, c, m);
		return;
	default:
		break;
	}
	if (m->type >= LINK_LOCAL) {
		node_link_refuse(n, c, REFUSE_PROTOCOL,
				 "a message that never leaves a node");
		return;
	}
	if (m->type == LINK_HEARTBEAT && c->ch == CHANNEL_CONTROL) {
		if (c != n->control) {
			c->heard_up = true;
			trust_heartbeat(n, &m->heartbeat);
			if (c->said_up)
				come_up(n, c);
			return;
		}
		n->heard = true;
		trust_heartbeat(n, &m->heartbeat);
		return;
	}
	if (!is_up(n, c))
		return;			/* invariant 2 */
	n->heard = true;
	route(n, m);
}

void node_link_input(struct node_link *n, const void *handle)
{
	struct conn *c = conn_find(n, handle);

	if (c && handle && is_up(n, c))
		n->heard = true;
}

/* The present state once more. */
static void tell(struct node_link *n, unsigned process)
{
	if (n->control)
		node_link_tell_up(n, (int)process);
	else
		node_link_tell_down(n, (int)process);
}

/* --- from the stores -------------------------------------------------------------- */

void node_link_store_attached(struct node_link *n, unsigned process)
{
	if (process >= n->n_stores)
		return;
	n->stores[process].attached = true;
	n->stores[process].resigned = false;
	n->stores[process].report.serial = 0;
	tell(n, process);
}

void node_link_store_detached(struct node_link *n, unsigned process)
{
	if (process < n->n_stores)
		n->stores[process].attached = false;
}

static void report(struct node_link *n, unsigned process,
		   const struct link_report *r)
{
	struct store_slot *s = &n->stores[process];
	bool waited = hello_may_send(n);

	s->report = *r;
	s->report.n_journals = r->n_journals < ARRAY_LEN(s->journals) ?
			       r->n_journals : ARRAY_LEN(s->journals);
	s->report.n_partner = r->n_partner < LINK_JOURNALS_MAX ?
			      r->n_partner : LINK_JOURNALS_MAX;
	if (r->n_journals)
		memcpy(s->journals, r->journals, s->report.n_journals *
						 sizeof(*r->journals));
	if (r->n_partner)
		memcpy(s->partner, r->partner, s->report.n_partner *
					       sizeof(*r->partner));
	s->report.journals = s->journals;
	s->report.partner = s->partner;
	s->reported = true;
	if (r->accounts && !n->has_accounts)
		node_link_has_accounts(n);
	if (!waited && hello_may_send(n))
		for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++)
			if (n->conns[i].handle && !n->conns[i].hello_sent)
				hello_send(n, &n->conns[i]);
}

void node_link_from_store(struct node_link *n, unsigned process,
			  const struct link_msg *m)
{
	enum link_channel ch = link_channel_of(m->type);
	struct conn *c;

	if (process >= n->n_stores)
		return;
	if (m->type == LINK_REPORT) {
		report(n, process, &m->report);
		return;
	}
	if (ch == CHANNEL_NONE || !n->control)
		return;
	/* Without its own connection a transfer goes over control: slower for
	 * all, but it goes. */
	c = n->channel[ch] ? n->channel[ch] : n->control;
	n->sent |= c == n->control;
	n->out.send(n->out.arg, c->handle, m);
}

bool node_link_send_stream(struct node_link *n, const struct link_msg *m)
{
	struct conn *c = n->channel[CHANNEL_PROXY];

	if (!n->control)
		return false;
	/* Bytes of one stream stay in order: what began on control goes on
	 * there until the link breaks. */
	if (!c)
		n->streams_on_control = true;
	if (n->streams_on_control)
		c = NULL;
	n->out.send(n->out.arg, c ? c->handle : n->control->handle, m);
	return true;
}

void node_link_resign(struct node_link *n, unsigned process,
		      const struct link_resign *r)
{
	struct link_msg m = {.type = LINK_RESIGN, .resign = *r};

	if (process < n->n_stores)
		n->stores[process].resigned = true;
	m.resign.process = process;
	m.resign.processes = n->n_stores;
	if (n->control)
		n->out.send(n->out.arg, n->control->handle, &m);
}

/* --- time -------------------------------------------------------------------------------- */

static void dial(struct node_link *n, enum link_channel ch)
{
	if (n->dialing[ch])
		return;
	n->dialing[ch] = true;
	n->dial_ticks[ch] = 0;
	if (ch == CHANNEL_CONTROL)
		n->dial_counted = false;
	n->out.dial(n->out.arg, ch);
}

static void dial_tick(struct node_link *n)
{
	bool any = false;

	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++)
		any |= n->conns[i].handle && n->conns[i].ch == CHANNEL_CONTROL;
	if (n->dialing[CHANNEL_CONTROL] && !n->dial_counted &&
	    ++n->dial_ticks[CHANNEL_CONTROL] >= NODE_LINK_DIAL_TICKS) {
		/* No answer for as long as makes a partner suspect. */
		n->dial_counted = true;
		n->failed++;
		if (!n->control)
			node_link_tell_down(n, -1);
	}
	if (!any && n->tick >= n->dial_after)
		dial(n, CHANNEL_CONTROL);
	if (!n->control || !n->control->ours)
		return;
	for (enum link_channel ch = CHANNEL_BULK; ch < CHANNELS; ch++) {
		bool there = false;

		for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++)
			there |= n->conns[i].handle && n->conns[i].ch == ch;
		if (!there && n->tick % 2 == 0)
			dial(n, ch);
	}
}

/* What a full queue may have swallowed: whether the link is up, and which
 * processes have given up. */
static void repeat(struct node_link *n)
{
	for (unsigned i = 0; i < n->n_stores; i++) {
		const struct store_slot *s = &n->stores[i];

		if (s->attached && s->report.serial != n->told &&
		    n->tick - n->told_tick >= NODE_LINK_TELL_TICKS)
			tell(n, i);
		if (n->control && s->resigned && !s->attached &&
		    n->tick % NODE_LINK_RESIGN_TICKS == 0)
			node_link_resign(n, i, &(struct link_resign){.cause = 1});
	}
}

void node_link_tick(struct node_link *n)
{
	struct link_msg m = {.type = LINK_TICK};
	bool waited = hello_may_send(n);

	n->tick++;
	m.tick_heard = n->heard && n->control;
	if (n->heard) {
		n->silent = 0;
		if (n->control)
			n->heard_usec = clock_real(n->clock);
	} else {
		n->silent++;
	}
	n->heard = false;
	n->out.to_store(n->out.arg, -1, &m);
	if (n->control && n->silent >= NODE_LINK_SUSPECT_TICKS)
		node_link_drop(n, n->control, "no sign of the partner for 2 s");
	for (size_t i = 0; i < NODE_LINK_CONNS_MAX; i++) {
		struct conn *c = &n->conns[i];

		if (!c->handle)
			continue;
		if (!waited && hello_may_send(n) && !c->hello_sent)
			hello_send(n, c);
		if (++c->ticks > NODE_LINK_HELLO_TICKS && c != n->control &&
		    c != n->channel[c->ch] && !n->writing)
			node_link_drop(n, c, "no Hello");
	}
	go_on(n);
	repeat(n);
	if (n->control) {
		trust_send_heartbeat(n, n->control);
		trust_tick(n);
	}
	dial_tick(n);
}

/* --- life --------------------------------------------------------------------------------- */

struct node_link *node_link_new(const struct node_link_opts *o,
				const struct node_link_out *out)
{
	struct node_link *n = NEW(struct node_link);

	assert(o->stores && o->stores <= NODE_LINK_STORES_MAX);
	n->clock = o->clock;
	n->rng = o->rng;
	n->out = *out;
	n->id = o->identity;
	n->has_accounts = o->has_accounts;
	n->refuse_join = o->refuse_join;
	n->refuse_why = xstrdup(o->refuse_why ? o->refuse_why :
				"its accounts have no identity");
	n->skew_usec = o->clock_skew_usec;
	n->boot = rng_u64(n->rng) | 1;
	n->links = n->told = n->boot;
	n->n_stores = o->stores;
	n->stores = xzalloc(o->stores * sizeof(*n->stores));
	n->since_usec = clock_real(n->clock);
	return n;
}

void node_link_free(struct node_link *n)
{
	if (!n)
		return;
	free(n->stores);
	free(n->refuse_why);
	free(n->refused);
	free(n);
}

void node_link_identity_written(struct node_link *n)
{
	n->writing = false;
	hello_again(n);
}

void node_link_has_accounts(struct node_link *n)
{
	n->has_accounts = true;
	if (n->id.has && n->id.provisional) {
		n->id.provisional = false;
		node_link_write_identity(n);
	}
}

void node_link_forget_peer(struct node_link *n)
{
	if (n->id.n_retired == ARRAY_LEN(n->id.retired)) {
		memmove(n->id.retired, n->id.retired + 1,
			(ARRAY_LEN(n->id.retired) - 1) *
				sizeof(n->id.retired[0]));
		n->id.n_retired--;
	}
	n->id.retired[n->id.n_retired++] = n->id.partner_incarnation;
	n->id.partner_incarnation = n->id.partner_node_id = (struct id128){{0}};
	n->id.member = false;
	if (n->control)
		node_link_drop(n, n->control, "the partner was forgotten");
	else
		node_link_tell_down(n, -1);
	node_link_write_identity(n);
}
