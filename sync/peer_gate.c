#include "sync/peer_private.h"

/*
 * The exchange of positions.  Either side may open a generation; both then
 * send Position as soon as everything they accepted is durable, and go on
 * when they have sent theirs and have the other's.  Between adopting a
 * generation and the open gate nothing is accepted and nothing appended, so
 * the positions stay true.
 */

/* A HANDOVER that was not compared yet is compared all the same, but the epoch
 * that it handed over ended with the generation. */
static void check_later(struct peer *p)
{
	p->checking = p->check_again = false;
	p->check_old = p->check_seq != 0;
}

/* A record in flight from before must not be taken for a new one, so whatever
 * the state was, it is decided anew when the gate opens. */
static void adopt(struct step *s, uint64_t gen, bool own)
{
	struct peer *p = s->p;

	p->gen = gen;
	p->own_req = own;
	p->gate = GATE_ASKING;
	p->answered = p->heard = p->unanswered = false;
	p->own_facts = p->their_facts = false;
	p->asked_tick = s->env->tick;
	check_later(p);
	/* Said again behind the Position, or instead of it. */
	p->pressure = p->parked_there = false;
	step_act(s, ACT_STOP_SENDING);
	if (p->state == PEER_PULLING || p->state == PEER_JUDGING)
		step_move(s, PEER_IDLE);
}

void gate_request(struct step *s, uint64_t random)
{
	adopt(s, random ? random : 1, true);
	step_act(s, ACT_SEND_REQ)->gen = s->p->gen;
	gate_answer(s);
}

void gate_requested(struct step *s)
{
	struct peer *p = s->p;

	if (p->state == PEER_RESIGNED)
		return;
	/* Said again: the Position may have been lost.  It is still true
	 * unless this log has grown since the gate opened. */
	if (p->gate != GATE_CLOSED && p->gen == s->ev->gen) {
		if (p->gate == GATE_OPEN && p->own_end != s->f->end.seq)
			gate_request(s, s->ev->random);
		else if (p->answered)
			step_act(s, ACT_SEND_POSITION)->gen = p->gen;
		return;
	}
	/* Of two that cross the greater generation wins.  It is said again:
	 * the partner may have had no account yet when it came, and asks
	 * because it has one now. */
	if (p->gate == GATE_ASKING && p->own_req && !p->heard &&
	    p->gen >= s->ev->gen) {
		step_act(s, ACT_SEND_REQ)->gen = p->gen;
		if (p->answered)
			step_act(s, ACT_SEND_POSITION)->gen = p->gen;
		return;
	}
	adopt(s, s->ev->gen, false);
	gate_answer(s);
}

/* Own position, once everything accepted is durable. */
void gate_answer(struct step *s)
{
	struct peer *p = s->p;

	if (p->gate != GATE_ASKING || p->answered || p->state == PEER_CUTTING ||
	    p->state == PEER_RESIGNED || s->f->durable.seq != s->f->end.seq)
		return;
	p->answered = true;
	/* A LONE that is only asked for has shown nothing yet. */
	p->own_mark = p->lone_marked ? MARK_LONE : MARK_SYNC;
	p->own_acked = p->acked;
	p->own_end = s->f->end.seq;
	step_act(s, ACT_SEND_POSITION)->gen = p->gen;
	if (p->heard) {
		p->gate = GATE_OPEN;
		step_act(s, ACT_SEND_FROM)->seq = p->their_end.seq + 1;
		step_act(s, ACT_WORK);
	}
}

uint64_t peer_common(const struct lineage_entry *a, size_t n_a,
		     const struct lineage_entry *b, size_t n_b)
{
	uint64_t at = 0;
	size_t i = 0, j = 0;

	/* Old entries may have been cut off either list. */
	while (i < n_a && j < n_b && a[i].first_seq != b[j].first_seq) {
		if (a[i].first_seq < b[j].first_seq)
			i++;
		else
			j++;
	}
	if (i == n_a || j == n_b)
		return 0;
	if (i || j)
		at = a[i].first_seq - 1;
	for (; i < n_a && j < n_b; i++, j++) {
		if (a[i].epoch != b[j].epoch || a[i].nonce != b[j].nonce ||
		    a[i].first_seq != b[j].first_seq)
			break;
		at = a[i].last_seq < b[j].last_seq ? a[i].last_seq :
		     b[j].last_seq;
		if (a[i].last_seq != b[j].last_seq)
			break;
	}
	return at;
}

/* A copy that cannot follow by records is replaced as a whole. */
static bool needs_seed(const struct step *s, uint64_t end, uint64_t other_floor,
		       uint64_t other_end)
{
	uint64_t most = s->env->seed_records ? s->env->seed_records :
			PEER_SEED_RECORDS;

	return end < other_floor || (end == 0 && other_end >= most);
}

/* A copy that is in quarantine or will be replaced says nothing of its branch:
 * this one is served by itself. */
static bool judges(uint8_t copy)
{
	return copy == COPY_WHOLE || copy == COPY_FORKED;
}

/* The partner has less than it acked: nothing but the own mark says now that
 * what it lost was shown. */
static void lost_there(struct step *s, uint64_t common)
{
	struct peer *p = s->p;

	p->acked = common;
	if (s->f->published.seq <= common)
		return;
	if (p->lone_end < s->f->published.seq)
		p->lone_end = s->f->published.seq;
	hold_leave_sync(s, LONE_REGRESSED, false);
	if (p->mark_asked == MARK_SYNC)
		hold_mark(s, MARK_LONE);
}

static void opened(struct step *s, const struct link_position *pos)
{
	struct peer *p = s->p;
	uint64_t end = s->f->end.seq, theirs = pos->end.seq;
	uint64_t common = peer_common(s->f->lineage, s->f->n_lineage,
				      pos->lineage, pos->n_lineage);

	p->resigned_there = p->parked_there = false;
	p->maybe_stale = false;
	if (p->state == PEER_PARKED || p->state == PEER_RESIGNED ||
	    p->state == PEER_CUTTING)
		return;
	p->their_common = common < end && common < theirs ? common : theirs;
	if (p->state == PEER_NEEDS_SEED || p->state == PEER_SEEDING) {
		/* What the partner lost comes back from here; a seed that
		 * lacks it is not installed. */
		if (common == theirs && end > theirs)
			step_act(s, ACT_SEND_FROM)->seq = theirs + 1;
		step_act(s, ACT_SEED);
		return;
	}
	if (common < end && common < theirs && judges(pos->copy)) {
		p->fork_seq = common;
		step_move(s, PEER_JUDGING);
		step_act(s, ACT_SCAN_FORK)->seq = common;
		return;
	}
	if (needs_seed(s, end, pos->floor, theirs) && pos->copy == COPY_WHOLE) {
		p->may_write = false;
		step_move(s, PEER_NEEDS_SEED);
		step_act(s, ACT_SEED);
		return;
	}
	if (needs_seed(s, theirs, s->f->floor, end))
		p->their_copy = COPY_NEEDS_SEED;
	if (p->state == PEER_FORKED)
		step_move(s, PEER_IDLE);
	step_act(s, ACT_ACKED)->seq = common;
	/* All that was ever shown here is there too: SYNC, lazily. */
	if (common == end && !peer_holds(p) && p->mark_asked != MARK_SYNC)
		hold_mark(s, MARK_SYNC);
	if (common < end && common < theirs) {
		/* A fork that is not judged. */
		if (peer_holds(p))
			p->acked = common;
		return;
	}
	if (theirs > end) {
		/* Its records come first; holding is decided after them. */
		p->may_write = false;
		step_move(s, PEER_PULLING);
		return;
	}
	if (peer_holds(p) && theirs < p->acked)
		lost_there(s, theirs);
	else if (peer_holds(p))
		hold_acked(s, theirs);
	step_act(s, ACT_SEND_FROM)->seq = theirs + 1;
}

void gate_position(struct step *s)
{
	struct peer *p = s->p;
	const struct link_position *pos = s->ev->position;

	if (p->gate != GATE_ASKING || p->heard || s->ev->gen != p->gen)
		return;
	p->heard = true;
	p->their_end = pos->end;
	p->their_acked = pos->acked;
	p->their_mark = pos->mark;
	p->their_copy = pos->copy;
	p->their_regressed = pos->regressed;
	p->their_trusted = pos->trusted;
	/* What its old disk showed alone nobody knows any more: the next epoch
	 * of every account jumps R, once for each such loss. */
	if (pos->trusted)
		p->jump_done = false;
	else if ((pos->regressed || s->env->partner_lost) && !p->jump_done)
		p->jump_stale = true;
	p->their_published = pos->published;
	if (pos->published > p->shown_there)
		p->shown_there = pos->published;
	for (size_t i = 0; i < pos->n_lineage; i++)
		if (pos->lineage[i].epoch > p->epoch_seen)
			p->epoch_seen = pos->lineage[i].epoch;
	if (pos->copy == COPY_PARKED)
		p->parked_there = true;
	/* Comparing needs the own end to be final: it is, appending stopped
	 * when the generation was adopted. */
	if (p->answered) {
		p->gate = GATE_OPEN;
		step_act(s, ACT_WORK);
	}
	opened(s, pos);
	if (pos->copy == COPY_PARKED) {
		p->parked_there = true;
		hold_leave_sync(s, LONE_VERSION, false);
	}
}

void gate_close(struct step *s)
{
	struct peer *p = s->p;

	p->gate = GATE_CLOSED;
	p->gen = 0;
	p->own_facts = p->their_facts = p->unanswered = false;
	p->resigned_there = p->parked_there = false;
	check_later(p);
	step_act(s, ACT_STOP_SENDING);
	if (p->state == PEER_PULLING || p->state == PEER_JUDGING)
		step_move(s, PEER_IDLE);
	if (p->state == PEER_SEEDING)
		step_move(s, PEER_NEEDS_SEED);
}

/* No answer can come: the own Position is taken back, so that this node may go
 * on alone. */
void gate_give_up(struct step *s)
{
	struct peer *p = s->p;
	bool resigned = p->resigned_there, parked = p->parked_there;

	gate_close(s);
	p->resigned_there = resigned;
	p->parked_there = parked;
	p->unanswered = true;
}

void gate_tick(struct step *s)
{
	struct peer *p = s->p;
	uint64_t waited = s->env->tick - p->asked_tick;

	if (!s->env->link || !waited)
		return;
	if (p->gate == GATE_CLOSED && p->unanswered &&
	    waited >= (p->may_write ? PEER_ASK_AGAIN_TICKS :
		       PEER_ASK_AGAIN_TICKS / 6)) {
		gate_request(s, s->ev->random);
		return;
	}
	/* A partner that is connected and silent may be the holder by now: it
	 * is waited for, however long, unless it says that it cannot answer. */
	if (p->gate == GATE_ASKING && p->parked_there &&
	    waited >= s->env->ack_timeout) {
		gate_give_up(s);
		return;
	}
	/* Who asked has both Positions by now, or lost its own. */
	if (p->gate == GATE_ASKING && !p->own_req && !p->heard &&
	    p->state != PEER_CUTTING && waited >= s->env->ack_timeout) {
		gate_request(s, s->ev->random);
		return;
	}
	/* What it knows of the fork was lost on its way. */
	if (p->gate == GATE_OPEN && p->state == PEER_JUDGING &&
	    !p->their_facts && waited >= s->env->ack_timeout) {
		gate_request(s, s->ev->random);
		return;
	}
	if (waited % PEER_ASK_TICKS)
		return;
	/* The request or an answer may have met a process that was just
	 * starting: say it again, same generation. */
	if (p->gate == GATE_ASKING && p->own_req && !p->heard) {
		step_act(s, ACT_SEND_REQ)->gen = p->gen;
		if (p->answered)
			step_act(s, ACT_SEND_POSITION)->gen = p->gen;
	}
}

/* --- forks ------------------------------------------------------------------ */

struct branch {
	bool wrote, changes, known, shown, regressed;
	uint32_t epoch, nonce;
};

/* A tail that nobody was ever shown (replication.md, Forks, 1). */
static bool unpublished(const struct branch *x, const struct branch *other)
{
	if (!x->known || x->regressed || other->regressed)
		return false;
	/* Else its writer lost it before publishing it. */
	return x->wrote ? !x->shown : true;
}

/* Forks, 2: does a lose against b? */
static bool loses(const struct branch *a, const struct branch *b)
{
	if (a->regressed != b->regressed)
		return a->regressed;
	if (a->changes != b->changes)
		return b->changes;
	if (a->epoch != b->epoch)
		return a->epoch < b->epoch;
	return a->nonce < b->nonce;
}

static void judge(struct step *s)
{
	struct peer *p = s->p;
	const struct lineage_entry *last = s->f->n_lineage ?
		&s->f->lineage[s->f->n_lineage - 1] : NULL;
	struct branch own = {
		.wrote = p->own_wrote, .changes = p->own_changes,
		.known = p->own_known, .regressed = s->env->regressed,
		.shown = p->own_shown,
		.epoch = last ? last->epoch : 0, .nonce = last ? last->nonce : 0,
	};
	struct branch their = {
		.wrote = p->their_wrote, .changes = p->their_changes,
		.known = p->their_known, .regressed = p->their_regressed,
		.shown = p->their_shown,
		.epoch = p->their_end.epoch, .nonce = p->their_end.nonce,
	};
	struct peer_action *unknown;
	bool own_drop, their_drop;

	if (p->state != PEER_JUDGING || !p->own_facts || !p->their_facts ||
	    !p->answered)
		return;
	own_drop = unpublished(&own, &their);
	their_drop = unpublished(&their, &own);
	if (own_drop && their_drop) {
		own_drop = loses(&own, &their);
		their_drop = !own_drop;
	}
	if (own_drop) {
		p->may_write = false;
		step_move(s, PEER_CUTTING);
		step_event(s, "unpublished_tail", 0);
		unknown = step_act(s, ACT_UNKNOWN);
		unknown->all = true;
		unknown->seq = p->fork_seq;
		step_act(s, ACT_CUT)->seq = p->fork_seq;
	} else if (!their_drop) {
		step_move(s, PEER_FORKED);
		p->enter_lone = true;
	}
	/* Else the partner drops its tail and asks for positions again. */
}

void gate_fork_facts(struct step *s)
{
	struct peer *p = s->p;
	struct peer_action *a;

	if (p->state != PEER_JUDGING)
		return;
	p->own_facts = true;
	p->own_wrote = s->ev->wrote;
	p->own_changes = s->ev->changes;
	/* What was shown is never dropped, whatever the rest says. */
	p->own_known = s->ev->known && s->f->published.seq <= p->fork_seq;
	/* Last mark SYNC: nothing beyond the ack was shown in earlier lives;
	 * in this one shown_end says it exactly. */
	p->own_shown = p->fork_seq < p->own_acked ||
		       p->fork_seq < p->shown_end ||
		       p->fork_seq < s->f->published.seq;
	a = step_act(s, ACT_SEND_FORKINFO);
	a->shown = p->own_shown;
	a->seq = p->fork_seq;
	a->wrote = p->own_wrote;
	a->changes = p->own_changes;
	a->known = p->own_known;
	judge(s);
}

void gate_forkinfo(struct step *s)
{
	struct peer *p = s->p;

	if (s->ev->gen != p->gen || p->gate == GATE_CLOSED)
		return;
	p->their_facts = true;
	p->their_wrote = s->ev->wrote;
	p->their_changes = s->ev->changes;
	p->their_known = s->ev->known;
	p->their_shown = s->ev->shown;
	judge(s);
}

void gate_cut_done(struct step *s)
{
	struct peer *p = s->p;

	if (p->state != PEER_CUTTING)
		return;
	if (s->ev->result) {
		p->parked_why = "its unpublished tail could not be dropped";
		step_move(s, PEER_PARKED);
		step_act(s, ACT_SEND_PARK)->text = p->parked_why;
		return;
	}
	if (p->acked > s->f->end.seq)
		p->acked = s->f->end.seq;
	p->lone_end = 0;
	p->lone_limit = s->f->end.seq;
	p->begun_seq = p->hold_seq = 0;
	hold_mark_forgotten(p);
	if (p->check_seq > s->f->end.seq)
		p->check_seq = 0;
	step_move(s, PEER_IDLE);
	if (s->env->link)
		gate_request(s, s->ev->random);
}
