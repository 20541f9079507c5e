/* What befalls a node of the model: disks, crashes, connections, clients. */

#include "tests/sim/peersim.h"

/* --- events -------------------------------------------------------------- */

void peersim_fsync_some(struct sim *s, struct node *x)
{
	size_t to = x->synced + peersim_rnd(s, x->nj - x->synced + 1);

	while (x->synced < to) {
		struct jentry *e = &x->j[x->synced++];

		if (e->kind == J_REC) {
			if (e->seq > x->durable && e->seq <= x->end)
				x->durable = e->seq;
		} else if (e->kind == J_MARK) {
			x->mark = e->mark;
			if (e->mark == MARK_LONE) {
				uint64_t serial = e->serial;

				peersim_step(s, x, (struct peer_event){
					.kind = EV_MARKED, .seq = serial});
			}
		} else {
			x->known = e->seq;
		}
	}
	if (x->synced == x->nj && x->nj > LOG_MAX * 3)
		x->synced = x->nj = 0;
	peersim_simple(s, x, EV_DURABLE);
}

void peersim_begin_life(struct sim *s, struct node *x)
{
	bool trusted = x->env.trusted, regressed = x->env.regressed;
	(void)s;

	peer_init(&x->peer);
	x->env = (struct peer_env){
		.node = x->i, .member = true, .trusted = trusted,
		.regressed = regressed, .ack_timeout = 10,
		.takeover_delay = 20, .start_window = 20,
		.handover_interval = 30};
	x->wanted = x->writing = x->want_ack = x->asked = false;
	x->send_from = 0;
	x->nj = x->synced = 0;
}

void peersim_crash_of(struct sim *s, struct node *x, bool keep_link)
{
	struct peer_env env = x->env;

	/* A prefix of what was not synced may be on disk all the same. */
	size_t keep = x->synced + peersim_rnd(s, x->nj - x->synced + 1);
	uint64_t end = x->durable;

	for (size_t i = x->synced; i < keep; i++) {
		if (x->j[i].kind == J_REC && x->j[i].seq <= x->end)
			end = x->j[i].seq > end ? x->j[i].seq : end;
		else if (x->j[i].kind == J_MARK)
			x->mark = x->j[i].mark;
		else if (x->j[i].kind == J_KNOWN)
			x->known = x->j[i].seq;
	}
	if (s->trace)
		printf("  crash %u: end %" PRIu64 " -> %" PRIu64 "\n", x->i,
		       x->end, end);
	x->end = x->durable = end;
	/* Indexes may show less than was shown. */
	if (x->published)
		x->published -= peersim_rnd(s, x->published + 1);
	if (x->published > end)
		x->published = end;
	peersim_begin_life(s, x);
	if (keep_link && env.link) {
		x->env.link = true;
		x->env.partner_seen = env.partner_trusted;
		x->env.partner_trusted = env.partner_trusted;
		x->env.partner_regressed = env.partner_regressed;
		x->told = 0;
		peersim_simple(s, x, EV_LINK_UP);
		peersim_simple(s, x, EV_GATE);
		return;
	}
	/* Its messages that are on the wire still arrive; what was sent to it
	 * is lost with the connection. */
	s->link = false;
	peersim_drop_queue(s, x->i);
	peersim_step(s, x, (struct peer_event){.kind = EV_LINK_DOWN});
}

void peersim_crash(struct sim *s, struct node *x)
{
	peersim_crash_of(s, x, false);
}

void peersim_notice_down(struct sim *s, struct node *x)
{
	if (!x->env.link)
		return;
	x->env.link = false;
	peersim_drop_queue(s, x->i);
	peersim_step(s, x, (struct peer_event){.kind = EV_LINK_DOWN});
}

void peersim_connect(struct sim *s)
{
	for (unsigned i = 0; i < 2; i++) {
		peersim_notice_down(s, &s->n[i]);
		peersim_drop_queue(s, i);
	}
	s->link = true;
	for (unsigned i = 0; i < 2; i++) {
		struct node *x = &s->n[i], *o = &s->n[1 - i];

		if (x->old) {
			x->env.trusted = false;
			x->env.regressed = true;
		}
		x->env.link = true;
		x->told = 0;
		x->env.silent = 0;
		x->env.partner_seen = true;
		x->env.partner_regressed = o->old;
		x->env.partner_trusted = !o->old;
	}
	for (unsigned i = 0; i < 2; i++)
		peersim_simple(s, &s->n[i], EV_LINK_UP);
	for (unsigned i = 0; i < 2; i++)
		if (peersim_rnd(s, 2))
			peersim_simple(s, &s->n[i], EV_GATE);
	if (s->n[0].peer.gate == GATE_CLOSED &&
	    s->n[1].peer.gate == GATE_CLOSED)
		peersim_simple(s, &s->n[peersim_rnd(s, 2)], EV_GATE);
}

void peersim_tick(struct sim *s, struct node *x)
{
	x->env.tick++;
	x->env.silent++;
	if (!s->link && x->wanted && peersim_rnd(s, 3) == 0)
		x->retried = true;
	peersim_send(s, x, (struct msg){.type = M_HEARTBEAT});
	if (x->env.link && x->env.silent >= PEER_SUSPECT_TICKS) {
		s->link = false;
		peersim_notice_down(s, x);
	}
	peersim_simple(s, x, EV_TICK);
}

/* A client looks at what a node shows. */
void peersim_look(struct sim *s, struct node *x)
{
	unsigned c = (unsigned)peersim_rnd(s, 3);
	uint64_t next = peersim_uidnext(x, x->published);

	for (uint64_t i = 0; i < x->published; i++) {
		const struct rec *r = &x->log[i];

		for (unsigned k = 0; r->kind == R_ADD && k < r->n; k++) {
			if (r->uid[k] >= SHOWN_MAX) {
				peersim_bad(s, "uid too large for the model");
				return;
			}
			if (s->shown_body[r->uid[k]] &&
			    s->shown_body[r->uid[k]] != r->body[k])
				peersim_bad(s, "I1");
			s->shown_body[r->uid[k]] = r->body[k];
		}
	}
	if (next > s->cl_next[c])
		s->cl_next[c] = next;
}

static void write_one(struct sim *s, struct node *x)
{
	struct peer_facts f = peersim_facts(x);
	struct rec r = {.kind = R_ADD};
	uint64_t next = peersim_uidnext(x, x->end), safe, own;

	if (!peer_may_append(&x->peer, &x->env, &f))
		return;
	if (!x->end)
		return;
	safe = peersim_uidnext(x, x->peer.acked) + UID_WINDOW;
	own = peersim_uidnext(x, x->durable);
	if (next >= own + UID_WINDOW && x->durable < x->end)
		return;				/* U2 */
	r.n = 1 + (unsigned)peersim_rnd(s, UIDS);
	for (unsigned k = 0; k < r.n; k++) {
		r.uid[k] = next < safe ? next : peersim_up_to(next, x->i);
		next = r.uid[k] + 1;
		r.body[k] = ++s->bodies;
	}
	peersim_append(s, x, r);
	peersim_step(s, x, (struct peer_event){.kind = EV_APPENDED,
					       .seq = x->end});
	x->writing = peersim_rnd(s, 3) == 0;
}

void peersim_client(struct sim *s, struct node *x)
{
	struct peer_facts f;
	const char *why;

	if (!x->wanted) {
		x->wanted = true;
		x->retried = false;
		x->writing = peersim_rnd(s, 2);
		peersim_simple(s, x, EV_WANTED);
	}
	f = peersim_facts(x);
	switch (peer_verdict(&x->peer, &x->env, &f, &why)) {
	case VERDICT_SERVE:
		peersim_look(s, x);
		if (x->writing || peersim_rnd(s, 2)) {
			x->writing = true;
			peersim_simple(s, x, EV_WANTED);
			write_one(s, x);
		}
		if (peersim_rnd(s, 3) == 0) {
			x->wanted = x->writing = false;
			peersim_simple(s, x, EV_WANTED);
		}
		break;
	case VERDICT_ASK:
		if (!x->asked) {
			x->asked = true;
			peersim_send(s, x, (struct msg){.type = M_ASK,
						.gen = x->peer.gen});
		}
		break;
	case VERDICT_REFUSE:
		x->wanted = x->writing = false;
		break;
	case VERDICT_WAIT:
		break;
	}
}

void peersim_restore(struct sim *s)
{
	struct node *x = &s->n[s->copy_of], *o = &s->n[1 - s->copy_of];
	uint8_t *have;

	/* What only this disk had is lost, and that is allowed. */
	have = calloc(1, s->bodies + 1);
	for (uint64_t i = 0; i < s->copy_end; i++)
		for (unsigned k = 0; s->copy[i].kind == R_ADD &&
		     k < s->copy[i].n; k++)
			have[s->copy[i].body[k]] = 1;
	for (uint64_t i = 0; i < o->durable; i++)
		for (unsigned k = 0; o->log[i].kind == R_ADD &&
		     k < o->log[i].n; k++)
			have[o->log[i].body[k]] = 1;
	for (uint32_t b = 1; b <= s->bodies; b++)
		if (!have[b])
			s->lost_body[b] = 1;
	free(have);
	peersim_crash(s, x);
	memcpy(x->log, s->copy, s->copy_end * sizeof(*x->log));
	x->end = x->durable = s->copy_end;
	x->published = 0;
	x->seen_pub = s->copy_end;
	x->mark = s->copy_mark;
	x->known = s->copy_known;
	x->old = true;
	s->restored = true;
	peersim_begin_life(s, x);
	/* The partner is there and notices at once (Hello). */
	peersim_connect(s);
	if (s->trace)
		printf("  restore %u: end %" PRIu64 "\n", x->i, x->end);
}

bool peersim_same_logs(const struct sim *s)
{
	const struct node *a = &s->n[0], *b = &s->n[1];

	if (a->end != b->end)
		return false;
	return !a->end || a->log[a->end - 1].chain == b->log[b->end - 1].chain;
}
