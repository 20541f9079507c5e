#ifndef DUET_SYNC_PEER_H
#define DUET_SYNC_PEER_H

/*
 * One account as the pair sees it: who may write it, when a change is shown,
 * when it counts as safe.  A step function: an event, the facts of the log and
 * the node come in, actions go out.  No I/O, no clock: time is env->tick.
 * (replication.md: Holder, The link, Acknowledgment, Forks.)
 *
 * Two things are kept apart:
 *
 * gate   may this node rely on what it knows of the partner's log?
 *	CLOSED ──ask/asked──► ASKING ──both positions──► OPEN
 *
 * state  what this node does with the account:
 *	IDLE      not decided: no gate yet, or a holder that did not write yet
 *	          and has no partner to ask
 *	PULLING   the partner's log is longer: its records are appended first
 *	REPLICA   the partner holds
 *	SYNC LONE CATCHUP   this node holds (Acknowledgment, States)
 *	GIVING    a HANDOVER is being prepared or not durable yet
 *	JUDGING   logs differ after a common position: facts are gathered
 *	CUTTING   the own unpublished tail is being dropped
 *	FORKED    both branches are kept, each served by its node
 *	NEEDS_SEED SEEDING   the copy here cannot follow by records
 *	PARKED    in quarantine; nothing is accepted, written or sent
 *	RESIGNED  this process cannot write any more
 *
 * Invariants:
 *  1. With a live link nothing is appended or taken over unless the gate is
 *     OPEN in the present generation, or the partner said that no Position
 *     will come: RESIGN for its process, PARK for the account.  Then the
 *     generation is given up first, for the own Position is no longer true.
 *     While ASKING nothing is ever appended.
 *  2. may_write implies: this process began the epoch at the end of the log,
 *     and it is durable here; or it received the HANDOVER in this life.
 *  3. Nothing beyond the partner's ack is published unless the mark LONE is
 *     durable.  last mark SYNC implies published <= acked.
 *  4. A partner that may not hold is only taken over from after its own
 *     Position said so: from then on it writes nothing in this generation,
 *     and regaining trust begins another one.
 *  5. From an appended HANDOVER on the giver appends nothing.
 *  6. acked never exceeds the own end.
 */

#include "proto/link.h"
#include "storage/store.h"

#define PEER_SUSPECT_TICKS 4u
#define PEER_RESEND_TICKS 4u	/* no ack although something was sent */
#define PEER_ASK_TICKS 4u	/* PositionReq is repeated */
#define PEER_ASK_AGAIN_TICKS 120u	/* after it was given up */
#define PEER_CATCHUP_RECORDS 64u	/* from here on new changes wait again */
#define PEER_LEAVES 3u		/* times out of SYNC by time-out … */
#define PEER_LEAVES_TICKS 120u	/* … within this */
#define PEER_BACKOFF_MIN 10u	/* stays LONE: 5 s, doubling … */
#define PEER_BACKOFF_MAX 120u	/* … to 60 s */
#define PEER_SEED_RECORDS 1000u	/* an empty log this far behind is seeded */
#define PEER_EPOCH_SKIP 128u
#define PEER_COUNTER_MAX ((1ull << 36) - 2)

enum peer_gate { GATE_CLOSED, GATE_ASKING, GATE_OPEN };

enum peer_state {
	PEER_IDLE, PEER_PULLING, PEER_REPLICA, PEER_SYNC, PEER_LONE,
	PEER_CATCHUP, PEER_GIVING, PEER_JUDGING, PEER_CUTTING, PEER_FORKED,
	PEER_NEEDS_SEED, PEER_SEEDING, PEER_PARKED, PEER_RESIGNED,
	PEER_STATES,
};
const char *peer_state_name(enum peer_state s);

/* What is common to all accounts of the process. */
struct peer_env {
	unsigned node;
	bool single;		/* no partner, or none ever joined */
	bool member;		/* the pair has a second member */
	bool forgotten;		/* it had one, and that is written off */
	bool trusted, regressed, manual;
	bool stale;		/* journal's last stamp old; see start rule */
	bool link;		/* handshake complete */
	bool partner_seen;	/* … once in this life, with a trusted one */
	bool partner_trusted, partner_regressed, partner_empty, partner_lost;
	bool stopping;		/* orderly stop: no takeover, no start */
	uint64_t tick;		/* since the start of this process */
	unsigned silent;	/* ticks without a sign of the partner */
	unsigned ack_timeout, takeover_delay, start_window;
	unsigned handover_interval;	/* ticks */
	unsigned seed_records;		/* PEER_SEED_RECORDS but in tests;
					 * equal on both nodes */
};

/* What is known about this account here, given afresh with every event. */
struct peer_facts {
	struct position end, durable, published;
	uint64_t floor;			/* trimmed up to */
	int holder;			/* by the end of the log, -1 genesis */
	int first_holder;		/* at genesis: the hash-holder */
	const struct lineage_entry *lineage;
	size_t n_lineage;
	uint64_t counter;
	enum mark_kind mark;		/* last one asked for; LONE if none */
	struct position partner_known;	/* last ack remembered on disk */
	bool replayed;			/* shows all it may have shown before */
	bool busy;			/* sessions, deliveries, queued writes */
	bool wanted;			/* somebody waits for an answer */
	bool retried;			/* an attempt to connect failed since */
	bool writing;			/* a write waits to be numbered */
	bool written_off;		/* the last epoch is the one that was
					 * begun for a forgotten partner */
};

enum peer_event_kind {
	EV_TICK, EV_LINK_UP, EV_LINK_DOWN,
	EV_GATE,		/* open (again): random */
	EV_POSITION_REQ,	/* gen, position */
	EV_POSITION,		/* gen, position, random */
	EV_ACCEPTED,		/* seq of the last frame; handover, published */
	EV_APPENDED,		/* seq; tempfail: its class does not go alone;
				 * lineage: EPOCH_BEGIN, HANDOVER, CHECKPOINT */
	EV_DURABLE,		/* facts.durable moved */
	EV_ACK,			/* seq */
	EV_NACK,		/* seq expected */
	EV_PROGRESS,		/* body bytes credited */
	EV_SEEDING_THERE,	/* the partner takes a seed, it needs one */
	EV_PUBLISHED,		/* seq: the holder's */
	EV_MARKED,		/* a mark LONE is durable; seq: its serial */
	EV_ASKED,		/* the partner has a login; switchover */
	EV_WANTED,		/* facts.wanted, writing or busy changed */
	EV_FORK_FACTS,		/* wrote, changes, known: own tail */
	EV_FORKINFO,		/* the same of the partner */
	EV_CUT_DONE,		/* result, random */
	EV_NEEDS_SEED,		/* this copy cannot follow by records */
	EV_DAMAGED,		/* nothing is left of this copy */
	EV_SEED_START, EV_SEEDED,	/* result, random */
	EV_HANDOVER_CHECKED,	/* result 0: values equal; E_TEMP: unknown */
	EV_RESIGN,		/* the partner's process: seq of its end */
	EV_PRESSURE,		/* result: 1 on, 0 off */
	EV_PARKED_THERE,	/* the partner parked it; result E_NOTFOUND:
				 * it has no such account open */
	EV_PARK,		/* park it here; text */
	EV_TAKEOVER,		/* operator's word; stale accepted */
	EV_FAILED,		/* own journal */
	EV_SWITCHOVER,		/* give it away if possible */
	EV_FORGOTTEN,		/* env->forgotten became true */
	EV_RESTORED,		/* operator's word: this disk is an older copy */
};

struct peer_event {
	enum peer_event_kind kind;
	uint64_t gen, seq, random;
	const struct link_position *position;
	uint64_t published;
	int handover;			/* ACCEPTED: index named, or -1 */
	uint64_t handover_seq;
	bool tempfail, lineage, switchover;
	bool wrote, changes, known, shown;
	int result;
	const char *text;
};

enum peer_action_kind {
	ACT_SEND_REQ,		/* PositionReq{gen} */
	ACT_SEND_POSITION,	/* Position{gen} */
	ACT_SEND_FROM,		/* records from seq on, and all that come */
	ACT_STOP_SENDING,
	ACT_ACK,		/* durable end, at the end of the turn */
	ACT_NACK,		/* seq expected */
	ACT_TELL_PUBLISHED,
	ACT_BEGIN,		/* EPOCH_BEGIN: epoch, reason, jump */
	ACT_HANDOVER,		/* HANDOVER to the partner */
	ACT_CHECK_HANDOVER,	/* seq: publish before it, compare values */
	ACT_PUBLISH,		/* up to seq */
	ACT_MARK,		/* mark, reason; seq: serial */
	ACT_ACKED,		/* tell storage: partner acked up to seq */
	ACT_ASK_REPLY,		/* verdict */
	ACT_EVICT,		/* text */
	ACT_UNKNOWN,		/* waiting writes: outcome unknown; those of
				 * class tempfail, or all beyond seq */
	ACT_SCAN_FORK,		/* seq = common position */
	ACT_SEND_FORKINFO,	/* seq; wrote, changes, known */
	ACT_CUT,		/* to seq */
	ACT_SEED,		/* ask the partner for a seed */
	ACT_SEND_PARK,		/* text */
	ACT_EVENT,		/* text is a stable name; reason */
	ACT_WORK,		/* writes may go on now */
};

struct peer_action {
	enum peer_action_kind kind;
	uint64_t gen, seq;
	uint32_t epoch;
	uint8_t reason;		/* enum epoch_reason or lone_reason */
	uint64_t jump;
	uint8_t mark, verdict;
	bool all;
	bool wrote, changes, known, shown;
	const char *text;
};

#define PEER_ACTIONS_MAX 32u
struct peer_actions {
	struct peer_action a[PEER_ACTIONS_MAX];
	size_t n;
};

struct peer {
	enum peer_state state;
	enum peer_gate gate;
	enum lone_reason reason;	/* of LONE, CATCHUP */
	uint64_t since_tick;		/* of the state */
	/* gate */
	uint64_t gen;
	bool own_req;			/* the generation is the own request's */
	uint8_t own_mark;		/* as said in the own Position */
	uint64_t own_acked, own_end;
	bool unanswered;		/* it cannot answer: CLOSED for now */
	bool answered, heard;		/* own Position sent, theirs received */
	uint64_t asked_tick;
	/* the partner, as of the present generation */
	struct position their_end, their_acked;
	uint64_t their_common;		/* up to here their log is in this one,
					 * or will be when it is pulled */
	uint8_t their_mark, their_copy;
	bool their_regressed, their_trusted;
	uint64_t their_published;
	uint64_t shown_there;		/* published there at the exchange: not
					 * served here before it is here too */
	uint32_t epoch_seen;		/* highest number either node knows */
	bool resigned_there, pressure, parked_there;
	uint64_t resigned_seq, resigned_tick;
	/* holder */
	bool may_write;
	uint64_t begun_seq;		/* EPOCH_BEGIN on its way to disk, or 0 */
	uint64_t hold_seq;		/* lineage record: not sent before it
					 * is durable; 0 = none */
	uint64_t acked;			/* by the partner, in the own log */
	uint64_t lone_end;		/* highest seq shown with one copy */
	uint64_t shown_end;		/* nothing beyond was ever shown, as far
					 * as the mark SYNC does not say so */
	uint64_t lone_limit;		/* may go alone up to here (classes) */
	bool lone_marked;		/* LONE is the last mark, and durable */
	uint64_t progress_tick;
	uint64_t leave_acked;		/* acked when SYNC was left */
	unsigned leaves;
	uint64_t leaves_tick, backoff_until;
	unsigned backoff;
	uint64_t handover_tick;
	bool handed_over;		/* handover_tick is valid */
	bool give_reply;		/* somebody waits for ASK_REPLY */
	uint64_t give_tick;
	/* receiver of a HANDOVER not yet checked */
	uint64_t check_seq;
	bool checking, check_again;
	bool check_old;			/* of an earlier generation */
	bool converging;		/* CATCHUP: new changes wait again */
	enum mark_kind mark_asked;	/* the last mark that was asked for */
	uint64_t mark_serial;
	/* start */
	enum mark_kind start_mark;
	bool started;			/* first event was seen */
	bool maybe_stale;
	bool jump_stale;		/* the next epoch jumps R … */
	bool jump_done;			/* … once for each partner's disk */
	bool restored;			/* … and its epoch is begun unasked */
	bool enter_lone;		/* holds by a takeover: all is shown */
	bool accept_stale;		/* operator's word */
	bool was_single;
	/* fork */
	uint64_t fork_seq;
	bool own_facts, their_facts;
	bool own_wrote, own_changes, own_known, own_shown;
	bool their_wrote, their_changes, their_known, their_shown;
	const char *parked_why;
};

void peer_init(struct peer *p);
void peer_step(struct peer *p, const struct peer_env *env,
	       const struct peer_facts *f, const struct peer_event *ev,
	       struct peer_actions *out);

/* May a write be numbered now?  A refusal by policy is the caller's. */
bool peer_may_append(const struct peer *p, const struct peer_env *env,
		     const struct peer_facts *f);
/* Is this node the one that holds the account, gate passed? */
bool peer_holds(const struct peer *p);
bool peer_in_sync(const struct peer *p);
/* Frames of this generation are taken? */
bool peer_accepts(const struct peer *p, uint64_t gen);
/* Records up to this seq may be sent now. */
uint64_t peer_sendable(const struct peer *p, const struct peer_facts *f);

/* What to tell somebody who wants to use the account here. */
enum peer_verdict { VERDICT_WAIT, VERDICT_SERVE, VERDICT_ASK, VERDICT_REFUSE };
enum peer_verdict peer_verdict(const struct peer *p, const struct peer_env *env,
			       const struct peer_facts *f, const char **why);

/* The common part of two logs: seq of the last common record. */
uint64_t peer_common(const struct lineage_entry *a, size_t n_a,
		     const struct lineage_entry *b, size_t n_b);

#endif
