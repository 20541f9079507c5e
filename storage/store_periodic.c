/* Once a minute: see store.h. */

#include "storage/store_private.h"

#include <errno.h>

#define STAMP_USEC (300 * USEC_PER_SEC)
#define IDLE_USEC (600 * USEC_PER_SEC)

void store_set_policy(struct store *s, const struct store_policy *p)
{
	s->policy = *p;
}

static void check_space(struct store *s)
{
	uint64_t space, total;
	bool low = false;

	if (s->o.reserve == 0)
		return;
	if (s->fs->ops->space(s->fs, s->state_dir, &space, &total) == 0)
		low = space < s->o.reserve;
	if (s->mail_root[0] &&
	    s->fs->ops->space(s->fs, s->mail_root, &space, &total) == 0)
		low = low || space < s->o.reserve;
	s->low_space = low;
}

/* What the partner may still ask for is not removed, nor what a replay from
 * the last checkpoint may need. */
static uint64_t needed_from(const struct store *s, const struct account *a)
{
	uint64_t seq = a->snap_seq;

	if (s->policy.partner && a->partner_acked.seq < seq)
		seq = a->partner_acked.seq;
	return seq;
}

static void sweep(struct store *s, struct account *a)
{
	uint64_t now = clock_real(s->o.sys->clock);
	uint64_t seq = needed_from(s, a);

	if (a->replaying || !a->state || a->resetting)
		return;
	if (now > s->policy.expunged_keep_usec)
		state_sweep(a->state,
			    (int64_t)((now - s->policy.expunged_keep_usec) /
				      USEC_PER_SEC), seq);
	if (now > s->policy.log_keep_usec && s->policy.log_size > 0)
		alog_trim(a->log, seq,
			  (int64_t)(now - s->policy.log_keep_usec),
			  s->policy.log_size);
}

static bool may_unload(const struct store *s, const struct account *a)
{
	return a->refs == 0 && !a->dirty && !a->engine && !a->resetting &&
	       !a->replaying && list_empty(&a->pending) &&
	       list_empty(&a->watches) && list_empty(&a->acks) &&
	       a->used_usec + IDLE_USEC < clock_mono(s->o.sys->clock);
}

void store_periodic(struct store *s)
{
	uint64_t now = clock_mono(s->o.sys->clock);
	struct slice key;
	void *value;

	if (s->failed)
		return;
	check_space(s);
	for (size_t i = 0; map_each(s->accounts, &i, &key, &value);) {
		struct account *a = value;

		sweep(s, a);
		if (may_unload(s, a)) {
			map_remove(s->accounts, key);
			account_drop(a);
		}
	}
	store_put_acked(s);
	if (s->batch_usec + STAMP_USEC <= now)
		journal_put(s->journal, JOURNAL_TIME, NULL, 0,
			    JOURNAL_RESERVED | JOURNAL_LAZY, NULL);
	journal_flush(s->journal, true);
	store_maybe_checkpoint(s);
}
