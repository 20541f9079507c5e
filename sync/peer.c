#include "sync/peer_private.h"

#include <assert.h>

static const char *const names[PEER_STATES] = {
	"idle", "pulling", "replica", "sync", "lone", "catchup", "giving",
	"judging", "cutting", "forked", "needs_seed", "seeding", "parked",
	"resigned",
};

#define TO(x) (1u << PEER_##x)
/* PARKED and RESIGNED may follow any state. */
static const unsigned allowed[PEER_STATES] = {
	[PEER_IDLE] = TO(PULLING) | TO(REPLICA) | TO(SYNC) | TO(LONE) |
		      TO(JUDGING) | TO(NEEDS_SEED),
	[PEER_PULLING] = TO(IDLE) | TO(REPLICA) | TO(SYNC) | TO(LONE) |
			 TO(JUDGING) | TO(NEEDS_SEED),
	[PEER_REPLICA] = TO(PULLING) | TO(SYNC) | TO(LONE) | TO(JUDGING) |
			 TO(NEEDS_SEED) | TO(IDLE),
	[PEER_SYNC] = TO(LONE) | TO(CATCHUP) | TO(GIVING) | TO(REPLICA) |
		      TO(PULLING) | TO(JUDGING) | TO(IDLE) | TO(NEEDS_SEED),
	[PEER_LONE] = TO(CATCHUP) | TO(SYNC) | TO(PULLING) | TO(REPLICA) |
		      TO(JUDGING) | TO(IDLE) | TO(NEEDS_SEED),
	[PEER_CATCHUP] = TO(SYNC) | TO(LONE) | TO(PULLING) | TO(REPLICA) |
			 TO(JUDGING) | TO(IDLE) | TO(NEEDS_SEED),
	[PEER_GIVING] = TO(REPLICA) | TO(IDLE) | TO(JUDGING) | TO(PULLING) |
			TO(NEEDS_SEED),
	[PEER_JUDGING] = TO(CUTTING) | TO(FORKED) | TO(IDLE) | TO(PULLING) |
			 TO(NEEDS_SEED),
	[PEER_CUTTING] = TO(IDLE),
	[PEER_FORKED] = TO(JUDGING) | TO(PULLING) | TO(IDLE) | TO(NEEDS_SEED),
	[PEER_NEEDS_SEED] = TO(SEEDING) | TO(IDLE) | TO(JUDGING),
	[PEER_SEEDING] = TO(NEEDS_SEED) | TO(IDLE),
	[PEER_PARKED] = TO(IDLE),
	[PEER_RESIGNED] = 0,
};

const char *peer_state_name(enum peer_state s)
{
	return names[s];
}

void peer_init(struct peer *p)
{
	*p = (struct peer){.state = PEER_IDLE, .gate = GATE_CLOSED,
			   .mark_asked = MARK_LONE, .their_copy = COPY_WHOLE,
			   .their_trusted = true};
}

struct peer_action *step_act(struct step *s, enum peer_action_kind kind)
{
	struct peer_action *a;

	assert(s->out->n < PEER_ACTIONS_MAX);
	a = &s->out->a[s->out->n++];
	*a = (struct peer_action){.kind = kind};
	return a;
}

void step_event(struct step *s, const char *name, uint8_t reason)
{
	struct peer_action *a = step_act(s, ACT_EVENT);

	a->text = name;
	a->reason = reason;
}

void step_move(struct step *s, enum peer_state to)
{
	struct peer *p = s->p;

	if (p->state == to)
		return;
	/* Sessions are served by the holder, or by a branch's own node. */
	if ((peer_holds(p) || p->state == PEER_FORKED) &&
	    to != PEER_SYNC && to != PEER_LONE && to != PEER_CATCHUP &&
	    to != PEER_GIVING)
		step_act(s, ACT_EVICT)->text = names[to];
	assert(to == PEER_PARKED || to == PEER_RESIGNED ||
	       (allowed[p->state] & (1u << to)));
	p->state = to;
	p->since_tick = s->env->tick;
	switch (to) {
	case PEER_SYNC:
		p->reason = LONE_NONE;
		step_event(s, "account_sync", 0);
		break;
	case PEER_LONE:
		step_event(s, "account_lone", (uint8_t)p->reason);
		break;
	case PEER_CATCHUP:
		step_event(s, "account_catchup", (uint8_t)p->reason);
		break;
	case PEER_FORKED:
		step_event(s, "account_forked", 0);
		break;
	case PEER_NEEDS_SEED:
		step_event(s, "account_needs_seed", 0);
		break;
	default:
		break;
	}
}

int step_holder(const struct step *s)
{
	return s->f->holder < 0 ? s->f->first_holder : s->f->holder;
}

bool step_mine(const struct step *s)
{
	return step_holder(s) == (int)s->env->node;
}

bool peer_holds(const struct peer *p)
{
	return p->state == PEER_SYNC || p->state == PEER_LONE ||
	       p->state == PEER_CATCHUP;
}

bool peer_in_sync(const struct peer *p)
{
	return p->state == PEER_SYNC;
}

bool peer_accepts(const struct peer *p, uint64_t gen)
{
	/* An own EPOCH_BEGIN stands where the partner's next frame would. */
	return gen == p->gen && p->gate == GATE_OPEN && !p->begun_seq &&
	       (p->state == PEER_PULLING || p->state == PEER_REPLICA);
}

uint64_t peer_sendable(const struct peer *p, const struct peer_facts *f)
{
	if (p->gate != GATE_OPEN || p->their_copy != COPY_WHOLE)
		return 0;
	switch (p->state) {
	case PEER_SYNC:
	case PEER_LONE:
	case PEER_CATCHUP:
	case PEER_GIVING:
	case PEER_REPLICA:
	case PEER_IDLE:
		break;
	case PEER_NEEDS_SEED:
		/* What the partner lost. */
		if (p->their_common != p->their_end.seq)
			return 0;
		break;
	default:
		return 0;
	}
	/* An EPOCH_BEGIN or HANDOVER, and what follows it, only once it is
	 * durable here (U2; Hand-over). */
	return p->hold_seq && f->durable.seq < p->hold_seq ? p->hold_seq - 1 :
	       f->end.seq;
}

/*
 * Nobody else can write the account, and no late record of it can arrive
 * (replication.md, Generation and gate).  A partner that is connected and only
 * slow to answer is neither: it may be the holder by now.  One that cannot
 * answer says so: RESIGN for its process, PARK for the account.
 */
bool peer_alone(const struct peer *p, const struct peer_env *env)
{
	return !env->link || p->resigned_there ||
	       (p->unanswered && p->parked_there);
}

bool peer_may_append(const struct peer *p, const struct peer_env *env,
		     const struct peer_facts *f)
{
	int holder = f->holder < 0 ? f->first_holder : f->holder;

	if (!p->may_write || p->begun_seq || holder != (int)env->node)
		return false;
	if (!peer_holds(p) && p->state != PEER_FORKED)
		return false;
	if (env->single)
		return true;
	if (!env->trusted)
		return false;
	if (p->gate == GATE_OPEN)
		return true;
	if (p->state != PEER_LONE && p->state != PEER_FORKED)
		return false;
	return p->gate == GATE_CLOSED &&
	       peer_alone(p, env);
}

static enum peer_verdict verdict_holder(const struct peer *p,
					const struct peer_env *env,
					const struct peer_facts *f)
{
	if (env->single)
		return f->replayed ? VERDICT_SERVE : VERDICT_WAIT;
	if (!env->trusted || !f->replayed)
		return VERDICT_WAIT;
	if (f->published.seq < p->shown_there &&
	    f->published.seq < f->end.seq)
		return VERDICT_WAIT;
	if (p->gate == GATE_OPEN)
		return VERDICT_SERVE;
	/* Without the gate only a holder that went on alone serves, and not
	 * before it shows all that it may have shown in an earlier life. */
	if (!p->may_write || p->begun_seq || p->state != PEER_LONE ||
	    (!p->lone_marked && p->lone_limit > f->published.seq))
		return VERDICT_WAIT;
	return p->gate == GATE_CLOSED &&
	       peer_alone(p, env) ?
	       VERDICT_SERVE : VERDICT_WAIT;
}

enum peer_verdict peer_verdict(const struct peer *p, const struct peer_env *env,
			       const struct peer_facts *f, const char **why)
{
	int holder = f->holder < 0 ? f->first_holder : f->holder;

	switch (p->state) {
	case PEER_PARKED:
		*why = p->parked_why ? p->parked_why : "in quarantine";
		return VERDICT_REFUSE;
	case PEER_RESIGNED:
		*why = "the disk of this node failed, and the partner is not there";
		return VERDICT_REFUSE;
	case PEER_FORKED:
		if (holder == (int)env->node && env->trusted)
			return p->may_write && !p->begun_seq && f->replayed ?
			       VERDICT_SERVE : VERDICT_WAIT;
		*why = "forked, and held by the partner's branch";
		return VERDICT_REFUSE;
	case PEER_NEEDS_SEED:
	case PEER_SEEDING:
		if (env->link)
			return VERDICT_ASK;
		*why = "the copy on this node is not complete";
		return VERDICT_REFUSE;
	case PEER_SYNC:
	case PEER_LONE:
	case PEER_CATCHUP:
		return verdict_holder(p, env, f);
	case PEER_REPLICA:
		/* A HANDOVER that is being checked, a takeover under way. */
		if (holder == (int)env->node || p->begun_seq)
			return VERDICT_WAIT;
		return p->gate == GATE_OPEN ? VERDICT_ASK : VERDICT_WAIT;
	default:
		return VERDICT_WAIT;
	}
}

/* --- events ------------------------------------------------------------- */

static void accepted(struct step *s)
{
	struct peer *p = s->p;

	/* The end of the log is the partner's now. */
	p->may_write = false;
	p->progress_tick = s->env->tick;
	if (s->ev->published > p->their_published)
		p->their_published = s->ev->published;
	if (s->ev->handover == (int)s->env->node) {
		p->check_seq = s->ev->handover_seq;
		p->check_old = p->checking = false;
	}
	step_act(s, ACT_ACK);
}

static void durable(struct step *s)
{
	struct peer *p = s->p;

	if (p->begun_seq && s->f->durable.seq >= p->begun_seq) {
		p->begun_seq = 0;
		p->may_write = true;
		step_act(s, ACT_WORK);
	}
	if (p->hold_seq && s->f->durable.seq >= p->hold_seq) {
		p->hold_seq = 0;
		if (p->state == PEER_GIVING) {
			p->may_write = false;
			step_move(s, PEER_REPLICA);
			step_act(s, ACT_EVICT)->text = "handed over";
		}
		if (p->gate == GATE_OPEN)
			step_act(s, ACT_SEND_FROM);	/* 0: where it was */
	}
	if (p->state == PEER_PULLING || p->state == PEER_REPLICA)
		step_act(s, ACT_ACK);
	gate_answer(s);
}

static void handover_checked(struct step *s)
{
	struct peer *p = s->p;
	uint64_t at = p->check_seq;

	/* It could not be published for want of room: the next tick asks. */
	if (s->ev->result == E_TEMP) {
		p->check_again = true;
		return;
	}
	p->checking = false;
	p->check_seq = 0;
	if (s->ev->result) {
		/* Values differ: seeded from the giver before it holds. */
		step_move(s, PEER_NEEDS_SEED);
		step_event(s, "handover_mismatch", 0);
		step_act(s, ACT_SEED);
		return;
	}
	if (!step_mine(s) || p->check_old ||
	    (p->state != PEER_REPLICA && p->state != PEER_PULLING))
		return;
	p->may_write = true;
	p->handed_over = true;
	p->handover_tick = s->env->tick;
	p->acked = at > p->their_end.seq ? at : p->their_end.seq;
	if (p->acked > s->f->end.seq)
		p->acked = s->f->end.seq;
	p->lone_end = 0;
	p->lone_limit = s->f->end.seq;
	if (p->mark_asked != MARK_SYNC)
		hold_mark(s, MARK_SYNC);
	step_act(s, ACT_ACKED)->seq = p->acked;
	p->progress_tick = s->env->tick;
	step_move(s, PEER_SYNC);
	step_event(s, "account_received", 0);
	step_act(s, ACT_SEND_FROM)->seq = p->acked + 1;
	step_act(s, ACT_WORK);
}

static void seeded(struct step *s)
{
	struct peer *p = s->p;

	if (p->state != PEER_SEEDING && p->state != PEER_NEEDS_SEED)
		return;
	if (s->ev->result) {
		if (p->state == PEER_SEEDING)
			step_move(s, PEER_NEEDS_SEED);
		return;
	}
	step_move(s, PEER_IDLE);
	p->may_write = false;
	p->started = true;
	hold_mark_forgotten(p);
	p->their_published = s->f->published.seq;
	if (s->env->link)
		gate_request(s, s->ev->random);
}

static void park(struct step *s, enum peer_state to, const char *why)
{
	struct peer *p = s->p;

	p->may_write = false;
	p->parked_why = why;
	step_move(s, to);
	if (to == PEER_PARKED) {
		step_act(s, ACT_SEND_PARK)->text = why;
		step_event(s, "account_parked", 0);
	} else if (s->env->link) {
		step_act(s, ACT_EVICT)->text = "its disk failed";
	}
	step_act(s, ACT_UNKNOWN)->all = true;
}

static void start_of_life(struct step *s)
{
	struct peer *p = s->p;

	p->started = true;
	p->start_mark = s->f->mark;
	p->mark_asked = s->f->mark;
	p->lone_marked = p->mark_asked == MARK_LONE;
	p->shown_end = p->lone_marked ? s->f->end.seq : 0;
	p->acked = s->f->partner_known.seq < s->f->end.seq ?
		   s->f->partner_known.seq : s->f->end.seq;
	p->lone_limit = s->f->end.seq;
	p->progress_tick = s->env->tick;
	for (size_t i = 0; i < s->f->n_lineage; i++)
		if (s->f->lineage[i].epoch > p->epoch_seen)
			p->epoch_seen = s->f->lineage[i].epoch;
	if (s->env->forgotten && !s->f->written_off)
		p->jump_stale = true;
}

/* What the partner showed beyond this log nobody will ever know. */
static void forgotten(struct step *s)
{
	struct peer *p = s->p;

	p->may_write = false;
	p->jump_stale = true;
	p->jump_done = false;
	p->shown_there = 0;
	if (p->state == PEER_FORKED)
		step_move(s, PEER_IDLE);
}

/* What this disk lost has been shown: epochs, UIDs and modseqs of it must not
 * come again. */
static void restored(struct step *s)
{
	s->p->may_write = false;
	s->p->jump_stale = s->p->restored = true;
	s->p->jump_done = false;
}

static void resigned(struct step *s)
{
	struct peer *p = s->p;

	/* Said again at every question: its time counts from the first. */
	if (!p->resigned_there || s->ev->seq < p->resigned_seq)
		p->resigned_seq = s->ev->seq;
	if (!p->resigned_there)
		p->resigned_tick = s->env->tick;
	p->resigned_there = true;
	if (p->gate == GATE_ASKING)
		gate_give_up(s);
	hold_leave_sync(s, LONE_RESIGNED, false);
}

static void parked_there(struct step *s)
{
	struct peer *p = s->p;

	p->parked_there = true;
	if (p->state == PEER_JUDGING) {
		/* It will not judge. */
		p->their_copy = COPY_PARKED;
		step_move(s, PEER_IDLE);
	}
	/* It has no such account: no Position will come. */
	if (p->gate == GATE_ASKING && s->ev->result == E_NOTFOUND)
		gate_give_up(s);
	hold_leave_sync(s, LONE_VERSION, false);
}

static void must_be_seeded(struct step *s)
{
	struct peer *p = s->p;

	if (p->state != PEER_PULLING && p->state != PEER_REPLICA)
		return;
	p->may_write = false;
	step_move(s, PEER_NEEDS_SEED);
	step_act(s, ACT_SEED);
}

/* The exchange of positions, and what it may find; false: another event. */
static bool of_the_gate(struct step *s)
{
	struct peer *p = s->p;

	switch (s->ev->kind) {
	case EV_LINK_UP:
		/* The operator's word was for the time without it. */
		p->accept_stale = false;
		gate_close(s);
		return true;
	case EV_LINK_DOWN:
		gate_close(s);
		return true;
	case EV_GATE:
		if (s->env->link && p->state != PEER_PARKED &&
		    p->state != PEER_RESIGNED && p->state != PEER_CUTTING)
			gate_request(s, s->ev->random);
		return true;
	case EV_POSITION_REQ:
		gate_requested(s);
		return true;
	case EV_POSITION:
		gate_position(s);
		return true;
	case EV_FORK_FACTS:
		gate_fork_facts(s);
		return true;
	case EV_FORKINFO:
		gate_forkinfo(s);
		return true;
	case EV_CUT_DONE:
		gate_cut_done(s);
		return true;
	default:
		return false;
	}
}

/* What the partner says of itself, or this node's operator and journal. */
static bool of_the_nodes(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_event *ev = s->ev;

	switch (ev->kind) {
	case EV_RESIGN:
		resigned(s);
		return true;
	case EV_PRESSURE:
		p->pressure = ev->result != 0;
		if (p->pressure && p->gate == GATE_OPEN)
			hold_leave_sync(s, LONE_SPACE, false);
		return true;
	case EV_PARKED_THERE:
		parked_there(s);
		return true;
	case EV_PARK:
		if (p->state != PEER_PARKED && p->state != PEER_RESIGNED)
			park(s, PEER_PARKED, ev->text);
		return true;
	case EV_FAILED:
		if (p->state != PEER_RESIGNED)
			park(s, PEER_RESIGNED, ev->text);
		return true;
	case EV_TAKEOVER:
		p->accept_stale = true;
		return true;
	case EV_SWITCHOVER:
		hold_switchover(s);
		return true;
	case EV_RESTORED:
		restored(s);
		return true;
	case EV_FORGOTTEN:
		forgotten(s);
		return true;
	default:
		return false;
	}
}

/* Records, copies, time. */
static void of_the_log(struct step *s)
{
	struct peer *p = s->p;
	const struct peer_event *ev = s->ev;

	switch (ev->kind) {
	case EV_TICK:
		gate_tick(s);
		hold_tick(s);
		break;
	case EV_ACCEPTED:
		accepted(s);
		break;
	case EV_APPENDED:
		hold_appended(s);
		break;
	case EV_DURABLE:
		durable(s);
		break;
	case EV_ACK:
		hold_acked(s, ev->seq);
		break;
	case EV_NACK:
		if (p->gate == GATE_OPEN)
			step_act(s, ACT_SEND_FROM)->seq = ev->seq;
		break;
	case EV_PROGRESS:
		p->progress_tick = s->env->tick;
		break;
	case EV_SEEDING_THERE:
		/* Found out at an open gate: until the next exchange it takes
		 * no records, and nothing waits for it. */
		if (p->gate == GATE_OPEN && p->their_copy == COPY_WHOLE)
			p->their_copy = COPY_SEEDING;
		break;
	case EV_PUBLISHED:
		if (ev->seq > p->their_published)
			p->their_published = ev->seq;
		break;
	case EV_MARKED:
		if (ev->seq == p->mark_serial && p->mark_asked == MARK_LONE)
			p->lone_marked = true;
		break;
	case EV_ASKED:
		hold_asked(s);
		break;
	case EV_NEEDS_SEED:
		must_be_seeded(s);
		break;
	case EV_DAMAGED:
		/* What this node showed alone nobody knows any more. */
		p->may_write = false;
		p->jump_stale = true;
		if (p->state == PEER_IDLE) {
			step_move(s, PEER_NEEDS_SEED);
			step_act(s, ACT_SEED);
		} else if (p->state != PEER_NEEDS_SEED &&
			   p->state != PEER_SEEDING) {
			park(s, PEER_PARKED, "damaged on this node; after a "
			     "restart it is copied from the partner");
		}
		break;
	case EV_SEED_START:
		if (p->state == PEER_NEEDS_SEED)
			step_move(s, PEER_SEEDING);
		break;
	case EV_SEEDED:
		seeded(s);
		break;
	case EV_HANDOVER_CHECKED:
		handover_checked(s);
		break;
	default:
		/* EV_WANTED: the facts changed. */
		break;
	}
}

void peer_step(struct peer *p, const struct peer_env *env,
	       const struct peer_facts *f, const struct peer_event *ev,
	       struct peer_actions *out)
{
	struct step s = {p, env, f, ev, out};

	if (!p->started)
		start_of_life(&s);
	if (!of_the_gate(&s) && !of_the_nodes(&s))
		of_the_log(&s);
	start_decide(&s);
	hold_settle(&s);
	hold_publish(&s);
	assert(p->acked <= f->end.seq || p->state == PEER_CUTTING);
}
