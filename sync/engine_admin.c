/* What an administrator asks of single accounts. */

#include "sync/engine_private.h"

int engine_takeover(struct engine *e, struct account *a, bool accept_stale,
		    struct err *err)
{
	struct eacct *ea = engine_known(e, account_id(a));

	if (!ea || !ea->a)
		return err_set(err, E_NOTFOUND, "no such account here");
	if (peer_holds(&ea->peer))
		return 0;
	if (e->env.link)
		return err_set(err, E_TEMP, "the partner is there: "
			       "`duetadm pair switchover %s', typed at the "
			       "partner, gives it to this node", ea->name);
	if (!e->env.trusted)
		return err_set(err, E_TEMP, "the copy on this node is not "
			       "complete");
	switch (ea->peer.state) {
	case PEER_NEEDS_SEED: case PEER_SEEDING: case PEER_PARKED:
	case PEER_FORKED: case PEER_RESIGNED:
		return err_set(err, E_TEMP, "%s cannot be taken over: %s",
			       ea->name, peer_state_name(ea->peer.state));
	default:
		break;
	}
	if (!accept_stale && e->env.manual)
		return err_set(err, E_TEMP, "what the partner has beyond this "
			       "copy is not known: repeat with --accept-stale");
	engine_step_simple(ea, EV_TAKEOVER);
	engine_dirty(ea);
	return 0;
}

int engine_switchover(struct engine *e, struct id128 id, struct err *err)
{
	struct eacct *ea = engine_known(e, id);

	if (!ea || !ea->a)
		return err_set(err, E_NOTFOUND, "no such account here");
	if (!peer_holds(&ea->peer))
		return err_set(err, E_NOTHOLDER, "%s is not held here",
			       ea->name);
	engine_step_simple(ea, EV_SWITCHOVER);
	engine_dirty(ea);
	if (ea->peer.state == PEER_GIVING)
		return 0;
	return err_set(err, E_TEMP, "%s cannot be given away now: %s", ea->name,
		       ea->peer.state == PEER_SYNC ? "it is in use" :
		       peer_state_name(ea->peer.state));
}

int engine_unpark(struct engine *e, struct id128 id, struct err *err)
{
	struct eacct *ea = engine_known(e, id);

	if (!ea || !ea->a)
		return err_set(err, E_NOTFOUND, "no such account here");
	if (ea->peer.state != PEER_PARKED)
		return err_set(err, E_INVALID, "%s is not in quarantine",
			       ea->name);
	/* As after a start of the process: everything is found out anew. */
	peer_init(&ea->peer);
	ea->floor_known = false;
	engine_step_simple(ea, e->env.link ? EV_GATE : EV_WANTED);
	engine_dirty(ea);
	return 0;
}

int engine_restored(struct engine *e, struct id128 id, struct err *err)
{
	struct eacct *ea = engine_known(e, id);
	int r;

	if (!ea)
		return err_set(err, E_NOTFOUND, "no such account here");
	r = engine_open(ea, NULL, false, err);
	if (r < 0)
		return r;
	engine_step_simple(ea, EV_RESTORED);
	engine_dirty(ea);
	return 0;
}

size_t engine_restoring(struct engine *e)
{
	size_t i = 0, n = 0;
	void *v;

	while (map_each(e->accounts, &i, NULL, &v)) {
		struct eacct *ea = v;

		n += ea->a && account_holder(ea->a) == (int)e->env.node &&
		     (ea->peer.restored || ea->peer.begun_seq);
	}
	return n;
}
