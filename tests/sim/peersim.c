/*
 * The step function of sync/peer.c alone: two nodes, one account, one
 * mailbox, logs in memory.  The C twin of the design's uid_model.py, with the
 * real peer in place of the model's rules: cuts, crashes with loss of what was
 * not durable, late notice of a dead link, takeover, start alone, hand-over,
 * one disk restored from an old copy while its partner is present.
 *
 * usage: peersim [--seeds N] [--first S] [--steps M] [--trace]
 *
 * Checked: ID  one (epoch, nonce, seq) never has two contents
 *          I1  a UID that was shown never denotes another body
 *          I2  no client of a joined state misses a message below its UIDNEXT
 *          D5  what was acknowledged is there after the faults have ended
 *          P10 both nodes come to rest: equal logs, or an honest fork
 *          F   a fork is honest: both branches were shown beyond it
 */

#include "tests/sim/peersim.h"

/* With the small windows. */
#include "sync/peer.c"
#include "sync/peer_gate.c"
#include "sync/peer_hold.c"
#include "sync/peer_start.c"

static void one_step(struct sim *s)
{
	struct node *x = &s->n[peersim_rnd(s, 2)];
	uint64_t p = peersim_rnd(s, 1000);

	if (p < 300) {
		for (uint64_t k = 1 + peersim_rnd(s, 8); k && s->nq[x->i]; k--)
			peersim_deliver(s, x->i);
	} else if (p < 480) {
		peersim_fsync_some(s, x);
	} else if (p < 700) {
		peersim_client(s, x);
	} else if (p < 900) {
		peersim_tick(s, x);
	} else if (p < 902) {
		for (int i = 0; i < 6; i++)
			peersim_tick(s, x);
	} else if (p < 900 + s->p_cut) {
		s->link = false;
		if (s->trace)
			printf("  cut\n");
	} else if (p < 950) {
		if (!s->link)
			peersim_notice_down(s, x);
	} else if (p < 980) {
		if (!s->link) {
			if (s->trace)
				printf("  connect\n");
			peersim_connect(s);
		}
	} else if (p < 980 + s->p_cut / 4) {
		peersim_crash(s, x);
	} else if (p < 983 + s->p_cut / 4) {
		peersim_crash_of(s, x, true);
	} else if (p < 994 && peersim_rnd(s, 4)) {
		if (x->env.link && peersim_rnd(s, 3) == 0)
			peersim_simple(s, x, EV_GATE);
	} else if (p < 995) {
		if (!s->restored) {
			memcpy(s->copy, x->log, x->durable * sizeof(*x->log));
			s->copy_end = x->durable;
			s->copy_mark = x->mark;
			s->copy_known = x->known < x->durable ? x->known :
					x->durable;
			s->copy_of = (int)x->i;
		}
	} else if (p < 996) {
		if (s->copy_of >= 0 && !s->restored)
			peersim_restore(s);
	} else {
		peersim_simple(s, x, EV_SWITCHOVER);
	}
	peersim_turn(s, x);
	/* Digest-checked: trusted again. */
	for (unsigned i = 0; i < 2; i++)
		if (s->n[i].old && s->link && peersim_same_logs(s) &&
		    s->n[i].peer.gate == GATE_OPEN &&
		    s->n[1 - i].peer.gate == GATE_OPEN &&
		    !s->n[1 - i].peer.jump_stale &&
		    peersim_holder_of(&s->n[i], s->n[i].end) == (int)(1 - i)) {
			s->n[i].old = s->n[i].env.regressed = false;
			s->n[i].env.trusted = true;
			s->n[1 - i].env.partner_regressed = false;
			s->n[1 - i].env.partner_trusted = true;
			peersim_simple(s, &s->n[i], EV_GATE);
		}
}

static void check_fork(struct sim *s)
{
	struct node *a = &s->n[0], *b = &s->n[1];
	uint64_t f = 0;

	while (f < a->end && f < b->end && a->log[f].chain == b->log[f].chain)
		f++;
	if (a->old || b->old || s->restored)
		return;
	/* A mark LONE counts as shown: a crash may come before the use. */
	if ((a->seen_pub <= f && !peersim_lone_on_disk(a)) ||
	    (b->seen_pub <= f && !peersim_lone_on_disk(b)))
		peersim_bad(s, "fork although one branch was never shown");
}

static void settle(struct sim *s)
{
	bool acked;

	if (s->trace)
		printf("settle\n");
	s->n[0].wanted = s->n[1].wanted = false;
	s->n[0].writing = s->n[1].writing = false;
	peersim_connect(s);
	for (int k = 0; k < 400 && !s->bad && !s->forked; k++) {
		for (unsigned i = 0; i < 2; i++) {
			struct node *x = &s->n[i];

			while (s->nq[i])
				peersim_deliver(s, i);
			for (int r = 0; r < 3; r++)
				peersim_fsync_some(s, x);
			while (x->synced < x->nj)
				peersim_fsync_some(s, x);
			peersim_turn(s, x);
			if (k % 4 == 0)
				peersim_tick(s, x);
			if (!s->link)
				peersim_connect(s);
		}
	}
	if (s->bad || s->forked)
		return;
	if (!peersim_same_logs(s)) {
		peersim_bad(s, "P10 logs differ at rest");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		struct node *x = &s->n[i];

		if (x->published != x->end && x->end)
			peersim_bad(s, "P10 not published at rest");
		if (x->peer.state != PEER_SYNC &&
		    x->peer.state != PEER_REPLICA && x->end)
			peersim_bad(s, "P10 state at rest");
		peersim_look(s, x);
	}
	for (uint32_t b = 1; b <= s->bodies; b++) {
		acked = false;
		if (!s->acked_body[b] || s->lost_body[b])
			continue;
		for (uint64_t i = 0; i < s->n[0].end && !acked; i++)
			for (unsigned k = 0; s->n[0].log[i].kind == R_ADD &&
			     k < s->n[0].log[i].n; k++)
				acked |= s->n[0].log[i].body[k] == b;
		if (!acked)
			peersim_bad(s, "D5 lost");
	}
}

static const char *run(struct sim *s, uint64_t seed, unsigned steps)
{
	s->seed = seed;
	s->rng = seed * 0x9e3779b97f4a7c15ull + 0x1234567;
	s->copy_of = -1;
	s->p_cut = 3 + peersim_rnd(s, 8) * peersim_rnd(s, 4);
	s->n[0].i = 0;
	s->n[1].i = 1;
	for (unsigned i = 0; i < 2; i++) {
		s->n[i].mark = MARK_LONE;
		s->n[i].env.trusted = true;
		peersim_begin_life(s, &s->n[i]);
	}
	peersim_connect(s);
	for (unsigned i = 0; i < steps && !s->bad && !s->forked; i++)
		one_step(s);
	if (!s->bad && !s->forked)
		settle(s);
	if (!s->bad && s->forked)
		check_fork(s);
	peersim_drop_queue(s, 0);
	peersim_drop_queue(s, 1);
	return s->bad;
}

int main(int argc, char **argv)
{
	uint64_t seeds = 2000, first = 0, failed = 0;
	uint64_t forks = 0, hand = 0, take = 0, lones = 0, syncs = 0;
	unsigned steps = 1000;
	bool trace = false;
	uint32_t *shown = malloc(SHOWN_MAX * sizeof(*shown));
	uint8_t *acked = malloc(LOG_MAX * UIDS), *lost = malloc(LOG_MAX * UIDS);
	struct sim *s = malloc(sizeof(*s));

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--trace"))
			trace = true;
		else if (i + 1 < argc && !strcmp(argv[i], "--seeds"))
			seeds = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && !strcmp(argv[i], "--first"))
			first = strtoull(argv[++i], NULL, 10);
		else if (i + 1 < argc && !strcmp(argv[i], "--steps"))
			steps = (unsigned)strtoul(argv[++i], NULL, 10);
	}
	for (uint64_t k = first; k < first + seeds; k++) {
		const char *why;

		memset(s, 0, sizeof(*s));
		memset(shown, 0, SHOWN_MAX * sizeof(*shown));
		memset(acked, 0, LOG_MAX * UIDS);
		memset(lost, 0, LOG_MAX * UIDS);
		s->shown_body = shown;
		s->acked_body = acked;
		s->lost_body = lost;
		s->trace = trace;
		why = run(s, k, steps);
		if (why) {
			printf("peersim: seed %" PRIu64 ": %s\n", k, why);
			if (++failed >= 10)
				break;
		}
		forks += s->forked;
		hand += s->handovers;
		take += s->takeovers;
		lones += s->lones;
		syncs += s->syncs;
	}
	printf("seeds of %u steps: %" PRIu64 " forks, %" PRIu64 " hand-overs, %"
	       PRIu64 " takeovers, %" PRIu64 " lone, %" PRIu64 " sync\n", steps,
	       forks, hand, take, lones, syncs);
	/* A run that never came to these proves nothing. */
	if (seeds >= 1000 && (!forks || !hand || !take || !lones || !syncs)) {
		printf("peersim: something that must happen never did\n");
		failed++;
	}
	printf("peersim: %" PRIu64 " passed, %" PRIu64 " failed\n",
	       seeds - failed, failed);
	free(s);
	free(shown);
	free(acked);
	free(lost);
	return failed != 0;
}
