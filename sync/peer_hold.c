#include "sync/peer_private.h"

/*
 * The holder's side: SYNC, LONE, CATCHUP, what is published, hand-over
 * (replication.md, Acknowledgment; Hand-over).
 */

bool hold_reachable(const struct step *s)
{
	const struct peer *p = s->p;

	return p->gate == GATE_OPEN && !p->pressure && !p->resigned_there &&
	       !p->parked_there && p->their_copy == COPY_WHOLE &&
	       s->env->silent < PEER_SUSPECT_TICKS;
}

/* This node is the holder and may act as one from now on. */
void hold_enter(struct step *s)
{
	struct peer *p = s->p;
	uint64_t end = s->f->end.seq;

	if (peer_holds(p))
		return;
	if (p->gate == GATE_OPEN)
		p->acked = p->their_common < end ? p->their_common : end;
	p->lone_limit = end;
	p->converging = false;
	p->progress_tick = s->env->tick;
	if (p->mark_asked == MARK_SYNC && p->gate == GATE_OPEN &&
	    !p->enter_lone) {
		p->lone_end = 0;
		step_move(s, PEER_SYNC);
		return;
	}
	/* With the mark LONE everything here may have been shown before. */
	p->lone_end = p->mark_asked == MARK_LONE ? end : 0;
	p->enter_lone = false;
	if (p->reason == LONE_NONE)
		p->reason = p->resigned_there ? LONE_RESIGNED :
			    s->env->link ? LONE_START : LONE_DISCONNECT;
	step_move(s, PEER_LONE);
}

/* Three time-outs within a minute: a partner that answers too slowly must not
 * cost every client five seconds each time. */
static void back_off(struct step *s)
{
	struct peer *p = s->p;

	if (s->env->tick - p->leaves_tick > PEER_LEAVES_TICKS)
		p->leaves = 0;
	/* A minute went well since the last one. */
	if (s->env->tick > p->backoff_until + PEER_LEAVES_TICKS)
		p->backoff = 0;
	if (!p->leaves++)
		p->leaves_tick = s->env->tick;
	if (p->leaves < PEER_LEAVES)
		return;
	p->backoff = p->backoff ? p->backoff * 2 : PEER_BACKOFF_MIN;
	if (p->backoff > PEER_BACKOFF_MAX)
		p->backoff = PEER_BACKOFF_MAX;
	p->backoff_until = s->env->tick + p->backoff;
}

void hold_leave_sync(struct step *s, enum lone_reason why, bool timeout)
{
	struct peer *p = s->p;

	if (p->state != PEER_SYNC && p->state != PEER_CATCHUP)
		return;
	if (s->env->single)
		return;
	if (timeout)
		back_off(s);
	p->reason = why;
	p->leave_acked = p->acked;
	p->converging = false;
	step_move(s, PEER_LONE);
	step_act(s, ACT_UNKNOWN);
}

void hold_acked(struct step *s, uint64_t seq)
{
	struct peer *p = s->p;

	if (seq > s->f->end.seq)
		seq = s->f->end.seq;
	if (!peer_holds(p) && p->state != PEER_GIVING)
		return;
	if (seq <= p->acked)
		return;
	p->acked = seq;
	p->progress_tick = s->env->tick;
	step_act(s, ACT_ACKED)->seq = seq;
}

/* The EPOCH_BEGIN or HANDOVER was not taken: the journal is full for now. */
static void not_appended(struct step *s)
{
	struct peer *p = s->p;

	p->hold_seq = 0;
	if (p->state == PEER_GIVING) {
		p->may_write = true;
		step_move(s, PEER_IDLE);
		return;
	}
	/* Nothing is decided before the next tick. */
	p->begun_seq = PEER_BEGIN_AGAIN;
	if (p->jump_done) {
		p->jump_done = false;
		p->jump_stale = true;
	}
}

void hold_appended(struct step *s)
{
	struct peer *p = s->p;
	uint64_t seq = s->ev->seq;

	if (s->ev->result < 0) {
		not_appended(s);
		return;
	}
	/* Time-outs count from the first record that waits. */
	if (p->acked + 1 >= seq)
		p->progress_tick = s->env->tick;
	if (s->ev->lineage ? p->lone_limit + 1 == seq : !s->ev->tempfail)
		p->lone_limit = seq;
}

void hold_mark(struct step *s, enum mark_kind kind)
{
	struct peer *p = s->p;
	struct peer_action *a = step_act(s, ACT_MARK);

	/* A SYNC still on its way to disk comes after any LONE that is
	 * durable already: only the last mark asked for counts. */
	p->mark_asked = kind;
	p->lone_marked = false;
	a->mark = (uint8_t)kind;
	a->reason = (uint8_t)p->reason;
	a->seq = ++p->mark_serial;
}

void hold_mark_forgotten(struct peer *p)
{
	p->mark_asked = MARK_LONE;
	p->lone_marked = true;
}

/* May records go alone in this state? */
static bool goes_alone(const struct peer *p)
{
	return p->state == PEER_LONE || p->state == PEER_FORKED ||
	       (p->state == PEER_CATCHUP && !p->converging);
}

void hold_settle(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_facts *f = s->f;

	if (s->env->single)
		return;
	if (p->state == PEER_FORKED && p->enter_lone && p->may_write) {
		p->enter_lone = false;
		p->lone_limit = f->end.seq;
	}
	if (p->gate == GATE_OPEN && p->their_copy != COPY_WHOLE)
		hold_leave_sync(s, p->their_copy == COPY_PARKED ?
				LONE_VERSION : LONE_SEEDING, false);
	/* After a time-out with the link up it takes an ack to believe in the
	 * partner again: else nothing would ever be shown with one copy. */
	if (p->state == PEER_LONE && hold_reachable(s) &&
	    s->env->tick >= p->backoff_until &&
	    (p->reason != LONE_TIMEOUT || p->acked == f->end.seq ||
	     p->acked > p->leave_acked)) {
		p->progress_tick = s->env->tick;
		step_move(s, PEER_CATCHUP);
	}
	if (p->state == PEER_CATCHUP) {
		/* Once this near, new changes wait again, however many they
		 * are: so the end of the lone ones stands still. */
		if (!p->converging &&
		    f->end.seq - p->acked <= PEER_CATCHUP_RECORDS) {
			p->converging = true;
			p->progress_tick = s->env->tick;
		}
		if (p->acked >= p->lone_end && f->published.seq <= p->acked) {
			p->lone_end = 0;
			if (p->mark_asked != MARK_SYNC)
				hold_mark(s, MARK_SYNC);
			step_move(s, PEER_SYNC);
			step_act(s, ACT_WORK);
		}
	}
	/* The mark comes before the first lone publish; it is asked for as
	 * soon as something waits, so it shares that batch. */
	if (goes_alone(p) && p->may_write && !p->lone_marked &&
	    p->mark_asked != MARK_LONE && p->lone_limit > f->published.seq &&
	    f->end.seq > p->acked)
		hold_mark(s, MARK_LONE);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void hold_publish(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_facts *f = s->f;
	uint64_t limit, safe = lesser(f->durable.seq, p->acked);

	if (s->env->single && peer_holds(p)) {
		limit = f->durable.seq;
	} else if (p->state == PEER_REPLICA || p->state == PEER_PULLING) {
		limit = lesser(f->durable.seq, p->their_published);
	} else if (p->state == PEER_SYNC || p->state == PEER_GIVING) {
		limit = safe;
	} else if (peer_holds(p) || p->state == PEER_FORKED) {
		limit = peer_holds(p) ? safe : 0;
		if (goes_alone(p) && p->lone_marked) {
			uint64_t alone = lesser(f->durable.seq, p->lone_limit);

			if (alone > limit)
				limit = alone;
		}
		if (limit > p->acked && limit > p->lone_end)
			p->lone_end = limit;
	} else {
		return;
	}
	if (limit > p->shown_end)
		p->shown_end = limit;
	if (limit > f->published.seq)
		step_act(s, ACT_PUBLISH)->seq = limit;
}

void hold_tick(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_env *env = s->env;
	uint64_t quiet = env->tick - p->progress_tick;

	if (p->begun_seq == PEER_BEGIN_AGAIN)
		p->begun_seq = 0;
	if (p->check_again)
		p->check_again = p->checking = false;
	/* The rest of what is pulled may have been dropped on its way, and
	 * only a holder sends again by itself. */
	if (p->state == PEER_PULLING && p->gate == GATE_OPEN &&
	    s->f->end.seq < p->their_end.seq) {
		if (quiet && quiet % PEER_RESEND_TICKS == 0)
			step_act(s, ACT_NACK)->seq = s->f->end.seq + 1;
		return;
	}
	/* So may the word that the holder has shown what is here: the answer
	 * to a Nack says it again. */
	if (p->state == PEER_REPLICA && p->gate == GATE_OPEN &&
	    p->their_published < s->f->end.seq && quiet &&
	    quiet % PEER_RESEND_TICKS == 0)
		step_act(s, ACT_NACK)->seq = s->f->end.seq + 1;
	if (p->state == PEER_LONE && p->gate == GATE_OPEN &&
	    s->f->end.seq > p->acked &&
	    (env->tick - p->since_tick) % PEER_RESEND_TICKS == 0)
		step_act(s, ACT_SEND_FROM)->seq = p->acked + 1;
	if (env->single || (p->state != PEER_SYNC && p->state != PEER_CATCHUP))
		return;
	if (env->silent >= PEER_SUSPECT_TICKS) {
		hold_leave_sync(s, LONE_DISCONNECT, false);
	} else if (p->gate == GATE_CLOSED && env->link &&
		   peer_alone(p, env)) {
		hold_leave_sync(s, LONE_TIMEOUT, true);
	} else if (p->gate != GATE_OPEN && env->link) {
		/* It may not go alone; who may not wait longer is told. */
		if (s->f->end.seq > p->acked && quiet >= env->ack_timeout)
			step_act(s, ACT_UNKNOWN);
	} else if (p->gate == GATE_OPEN && s->f->end.seq > p->acked) {
		if (quiet >= env->ack_timeout)
			hold_leave_sync(s, LONE_TIMEOUT, true);
		else if (quiet && quiet % PEER_RESEND_TICKS == 0)
			step_act(s, ACT_SEND_FROM)->seq = p->acked + 1;
	}
}

/* --- hand-over -------------------------------------------------------------- */

static bool givable(const struct step *s)
{
	const struct peer *p = s->p;
	const struct peer_facts *f = s->f;

	return p->state == PEER_SYNC && p->gate == GATE_OPEN &&
	       !p->begun_seq && !p->hold_seq && step_mine(s) && !f->busy &&
	       f->end.seq == f->published.seq && p->acked == f->end.seq &&
	       s->env->partner_trusted && !s->env->partner_regressed &&
	       p->their_trusted &&
	       hold_reachable(s);
}

static void give(struct step *s)
{
	struct peer *p = s->p;

	step_act(s, ACT_HANDOVER);
	p->may_write = false;
	p->hold_seq = s->f->end.seq + 1;
	p->handed_over = true;
	p->handover_tick = s->env->tick;
	step_move(s, PEER_GIVING);
}

/* A login at the partner. */
void hold_asked(struct step *s)
{
	struct peer *p = s->p;
	struct peer_action *a;
	bool may = s->ev->switchover || !p->handed_over ||
		   s->env->tick - p->handover_tick >= s->env->handover_interval;

	if (p->gate != GATE_OPEN)
		return;
	if (!step_mine(s) || !(peer_holds(p) || p->state == PEER_GIVING)) {
		step_act(s, ACT_ASK_REPLY)->verdict = ASK_NOT_HOLDER;
		return;
	}
	if (s->ev->result == 0 && may && p->may_write && givable(s))
		give(s);
	a = step_act(s, ACT_ASK_REPLY);
	a->verdict = p->state == PEER_GIVING ? ASK_HANDOVER : ASK_PROXY;
}

/* Orderly stop or switchover: now, if it is possible now. */
void hold_switchover(struct step *s)
{
	if (!givable(s) || !s->f->end.seq)
		return;
	if (s->p->may_write)
		give(s);
	else
		start_begin(s, EPOCH_START, false);
}
