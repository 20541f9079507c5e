#include "sync/peer_private.h"

/*
 * Who holds, and with what epoch it goes on: the start rule, takeover, start
 * alone, resign (replication.md, Epochs and the start rule; Takeover).  Called
 * after every event; decides only from facts, so it may be called often.
 */

/* The jump of UIDNEXT; the table of the start rule, line by line. */
static uint64_t jump_for(struct step *s, enum epoch_reason why, bool alone,
			 uint32_t *skip)
{
	const struct peer *p = s->p;

	*skip = 0;
	if (p->restored)
		*skip = PEER_EPOCH_SKIP;
	if (p->jump_stale)
		return UID_JUMP_STALE;
	if (s->env->single || why == EPOCH_COUNTER)
		return 0;
	if (alone && s->env->stale && !s->env->partner_seen) {
		*skip = PEER_EPOCH_SKIP;
		return UID_JUMP_STALE;
	}
	if (why == EPOCH_START && p->their_trusted &&
	    p->their_copy == COPY_WHOLE && !s->env->regressed &&
	    ((p->start_mark == MARK_SYNC && p->mark_asked == MARK_SYNC) ||
	     s->f->end.seq == 0))
		return 0;
	/* Nobody ever wrote here, and the other can say so. */
	if (!alone && s->f->end.seq == 0 && p->gate == GATE_OPEN)
		return 0;
	return UID_JUMP;
}

bool start_begin(struct step *s, enum epoch_reason why, bool alone)
{
	struct peer *p = s->p;
	struct peer_action *a;
	uint32_t skip, epoch;

	if (p->begun_seq)
		return true;
	/* The parent is the own end, and it must be here to stay. */
	if (s->f->durable.seq != s->f->end.seq)
		return false;
	a = step_act(s, ACT_BEGIN);
	a->jump = jump_for(s, why, alone, &skip);
	a->reason = why;
	for (size_t i = 0; i < s->f->n_lineage; i++)
		if (s->f->lineage[i].epoch > p->epoch_seen)
			p->epoch_seen = s->f->lineage[i].epoch;
	epoch = p->epoch_seen + 1 + skip;
	if ((epoch & 1) != s->env->node)
		epoch++;
	a->epoch = epoch;
	p->epoch_seen = epoch;
	p->begun_seq = p->hold_seq = s->f->end.seq + 1;
	p->may_write = p->accept_stale = false;
	if (skip && !s->env->single)
		p->maybe_stale = true;
	if (p->jump_stale) {
		p->jump_stale = p->restored = false;
		p->jump_done = true;
	}
	if (!step_mine(s)) {
		/* All that was accepted may have been shown by the old holder:
		 * nobody is served before it is published here. */
		p->enter_lone = true;
		p->shown_there = s->f->end.seq;
	}
	if (alone)
		p->enter_lone = true;
	if (why == EPOCH_TAKEOVER || why == EPOCH_RESIGN ||
	    why == EPOCH_OPERATOR) {
		p->maybe_stale |= !s->env->link;
		step_event(s, "account_takeover", why);
	}
	return true;
}

static bool wanted(const struct step *s)
{
	return s->f->wanted || s->f->writing;
}

static void decide_single(struct step *s)
{
	struct peer *p = s->p;

	p->was_single = true;
	if (p->state == PEER_IDLE || p->state == PEER_REPLICA ||
	    p->state == PEER_PULLING)
		step_move(s, PEER_SYNC);
	if (!peer_holds(p))
		return;
	/* Without a partner nothing here is known to be in two places. */
	if (p->mark_asked == MARK_SYNC)
		hold_mark(s, MARK_LONE);
	/* With a partner written off the log begins anew at once: so it is
	 * known after a restart that this was done. */
	if (p->jump_stale && (s->f->end.seq || wanted(s)))
		start_begin(s, s->env->forgotten ? EPOCH_FORGOTTEN
						 : EPOCH_REGRESSED, false);
	else if (!p->may_write && wanted(s))
		/* The reason stays in the log: the next start does not jump
		 * again. */
		start_begin(s, s->env->forgotten ? EPOCH_FORGOTTEN
						 : EPOCH_START, false);
}

/* The first partner joined: what was written so far has one copy. */
static void leave_single(struct step *s)
{
	struct peer *p = s->p;

	p->was_single = false;
	if (!peer_holds(p))
		return;
	p->acked = 0;
	p->lone_end = s->f->end.seq;
	p->lone_limit = s->f->end.seq;
	p->reason = LONE_START;
	step_move(s, PEER_LONE);
}

static void holder_with_gate(struct step *s)
{
	struct peer *p = s->p;

	if (!s->env->trusted || s->env->regressed) {
		/* Its log says it holds, but it may not: the partner begins
		 * an epoch. */
		step_move(s, PEER_REPLICA);
		p->may_write = false;
		return;
	}
	hold_enter(s);
	if (p->jump_stale)
		p->may_write = false;
	/* Also to show what it has when the partner cannot take it: going
	 * alone is for a holder with an epoch of its own. */
	if (!p->may_write &&
	    (s->f->writing || p->restored ||
	     (p->state == PEER_LONE && s->f->published.seq < s->f->end.seq)))
		start_begin(s, p->jump_stale ? EPOCH_REGRESSED : EPOCH_START,
			    false);
	else if (p->may_write && s->f->counter >= PEER_COUNTER_MAX)
		start_begin(s, EPOCH_COUNTER, false);
}

static void replica_with_gate(struct step *s)
{
	struct peer *p = s->p;
	bool able = s->env->trusted && !s->env->regressed && !s->env->stopping;

	if (able && !p->their_trusted && p->jump_stale) {
		start_begin(s, EPOCH_REGRESSED, false);
	} else if (able && !p->their_trusted && wanted(s)) {
		start_begin(s, EPOCH_TAKEOVER, false);
	} else if (able && p->their_copy == COPY_NEEDS_SEED && wanted(s)) {
		/* The holder lost its copy: this one is all there is. */
		p->jump_stale = p->jump_stale || !p->jump_done;
		start_begin(s, EPOCH_TAKEOVER, true);
	} else if (able && p->resigned_there && wanted(s) && !s->env->manual &&
		   (s->f->end.seq >= p->resigned_seq ||
		    s->env->tick - p->resigned_tick >=
			    s->env->takeover_delay)) {
		start_begin(s, EPOCH_RESIGN, true);
	}
	if (!p->begun_seq)
		step_move(s, PEER_REPLICA);
}

static void holder_without_gate(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_env *env = s->env;

	if (!env->trusted || env->regressed)
		return;
	if (p->may_write) {
		if (!peer_holds(p))
			hold_enter(s);
		return;
	}
	if (!(wanted(s) || p->restored) || env->stopping)
		return;
	if ((!env->link && env->silent >= env->takeover_delay) ||
	    (env->link && peer_alone(p, env)))
		start_begin(s, EPOCH_START_ALONE, true);
}

static void replica_without_gate(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_env *env = s->env;
	bool gone = !env->link && env->silent >= env->takeover_delay;

	if (!env->trusted || env->regressed || env->stopping)
		return;
	if (p->accept_stale && gone) {
		start_begin(s, EPOCH_OPERATOR, true);
		return;
	}
	if (env->manual || !s->f->wanted)
		return;
	if (gone && env->tick >= env->start_window && s->f->retried)
		start_begin(s, EPOCH_TAKEOVER, true);
	else if (p->resigned_there &&
		 (s->f->end.seq >= p->resigned_seq ||
		  env->tick - p->resigned_tick >= env->takeover_delay))
		start_begin(s, EPOCH_RESIGN, true);
}

void start_decide(struct step *s)
{
	struct peer *p = s->p;
	bool mine = step_mine(s);

	if (p->begun_seq)
		return;
	switch (p->state) {
	case PEER_FORKED:
		if (mine && s->env->trusted && !s->env->regressed &&
		    !p->may_write && wanted(s))
			start_begin(s, EPOCH_START_ALONE, true);
		return;
	case PEER_IDLE: case PEER_PULLING: case PEER_REPLICA:
	case PEER_SYNC: case PEER_LONE: case PEER_CATCHUP:
		break;
	default:
		return;
	}
	if (s->env->single) {
		decide_single(s);
		return;
	}
	if (p->was_single)
		leave_single(s);
	if (p->check_seq && mine) {
		if (!p->checking && s->f->durable.seq >= p->check_seq) {
			p->checking = true;
			step_act(s, ACT_CHECK_HANDOVER)->seq = p->check_seq;
		}
		return;
	}
	p->check_seq = 0;
	if (p->gate == GATE_ASKING)
		return;
	if (p->gate == GATE_OPEN && p->state == PEER_PULLING &&
	    s->f->end.seq < p->their_end.seq)
		return;
	if (p->gate == GATE_OPEN && mine)
		holder_with_gate(s);
	else if (p->gate == GATE_OPEN)
		replica_with_gate(s);
	else if (mine)
		holder_without_gate(s);
	else
		replica_without_gate(s);
}
