#ifndef DUET_SYNC_PEER_PRIVATE_H
#define DUET_SYNC_PEER_PRIVATE_H

/* What the files of the step function share. */

#include "storage/prepare.h"
#include "sync/peer.h"

/* One step's inputs, so that helpers take one argument. */
struct step {
	struct peer *p;
	const struct peer_env *env;
	const struct peer_facts *f;
	const struct peer_event *ev;
	struct peer_actions *out;
};

/* begun_seq: the record could not be appended, the next tick tries again. */
#define PEER_BEGIN_AGAIN UINT64_MAX

struct peer_action *step_act(struct step *s, enum peer_action_kind kind);
void step_event(struct step *s, const char *name, uint8_t reason);
void step_move(struct step *s, enum peer_state to);
int step_holder(const struct step *s);		/* genesis resolved */
bool step_mine(const struct step *s);
bool peer_alone(const struct peer *p, const struct peer_env *env);

/* peer_gate.c */
void gate_request(struct step *s, uint64_t random);
void gate_requested(struct step *s);
void gate_position(struct step *s);
void gate_answer(struct step *s);
void gate_close(struct step *s);
void gate_give_up(struct step *s);
void gate_tick(struct step *s);
void gate_fork_facts(struct step *s);
void gate_forkinfo(struct step *s);
void gate_cut_done(struct step *s);

/* peer_hold.c */
void hold_enter(struct step *s);
void hold_settle(struct step *s);
void hold_leave_sync(struct step *s, enum lone_reason why, bool timeout);
void hold_acked(struct step *s, uint64_t seq);
void hold_appended(struct step *s);
void hold_asked(struct step *s);
void hold_switchover(struct step *s);
void hold_tick(struct step *s);
void hold_mark(struct step *s, enum mark_kind kind);
/* A RESET dropped the marks with the rest: none is as LONE, and SYNC is to be
 * asked for anew. */
void hold_mark_forgotten(struct peer *p);
void hold_publish(struct step *s);
bool hold_reachable(const struct step *s);	/* partner takes records now */

/* peer_start.c */
void start_decide(struct step *s);
bool start_begin(struct step *s, enum epoch_reason why, bool alone);

#endif
