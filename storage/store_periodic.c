/* Once a minute: see store.h. */

#include "storage/store_private.h"

#include <errno.h>

#define STAMP_USEC (300 * USEC_PER_SEC)
#define IDLE_USEC (600 * USEC_PER_SEC)

void store_set_policy(struct store *s, const struct store_policy *p)
{
	s->policy = *p;
}

static bool is_low(struct store *s, const char *path)
{
	uint64_t space, total;

	return s->fs->ops->space(s->fs, path, &space, &total) == 0 &&
	       space < s->o.reserve;
}

/* File systems of one round; more are asked for each account. */
#define DEVS_MAX 64u
struct dev_space {
	uint64_t dev;
	bool low;
};

static bool account_low(struct store *s, struct account *a,
			struct dev_space *devs, size_t *n)
{
	struct fsio_stat st;
	bool low;

	if (a->dev == 0 && s->fs->ops->stat(s->fs, a->root, &st) == 0)
		a->dev = st.dev;
	for (size_t i = 0; a->dev && i < *n; i++)
		if (devs[i].dev == a->dev)
			return devs[i].low;
	low = is_low(s, a->root);
	if (a->dev && *n < DEVS_MAX)
		devs[(*n)++] = (struct dev_space){a->dev, low};
	return low;
}

#define SPACE_USEC 50000u	/* a file system is asked no more often */

/* Journal and logs of everybody need the state directory; the mail of one
 * account only its own file system. */
static bool check_common(struct store *s, uint64_t now)
{
	if (s->space_usec && now < s->space_usec + SPACE_USEC)
		return s->space_short;
	s->space_usec = now;
	s->low_space = is_low(s, s->state_dir);
	return s->low_space || (s->mail_root[0] && is_low(s, s->mail_root));
}

static void set_short(struct store *s, bool is_short)
{
	bool was = s->space_short;

	s->space_short = is_short;
	/* Who waits for room tries again. */
	if (was && !is_short && s->on_space)
		s->on_space(s->on_space_arg);
}

bool store_low_space(struct store *s, struct account *a)
{
	uint64_t now = clock_mono(s->o.sys->clock);
	bool low;

	if (s->o.reserve == 0 || s->failed)
		return s->low_space || (a && a->full);
	low = check_common(s, now);
	if (!a) {
		set_short(s, low);
		return low;
	}
	if (now >= a->space_usec + SPACE_USEC) {
		a->space_usec = now;
		a->low_space = is_low(s, a->root);
	}
	return s->low_space || a->low_space || a->full;
}

/* Once a minute: all of them. */
static void check_space(struct store *s)
{
	struct dev_space devs[DEVS_MAX];
	struct slice key;
	void *value;
	size_t n = 0;
	bool any = s->o.reserve &&
		   check_common(s, clock_mono(s->o.sys->clock));

	for (size_t i = 0; map_each(s->accounts, &i, &key, &value);) {
		struct account *a = value;

		a->full = false;
		a->low_space = s->o.reserve && account_low(s, a, devs, &n);
		any = any || a->low_space;
	}
	if (s->o.reserve)
		set_short(s, any);
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

	if (a->replaying || !a->state || a->resetting || a->needs_seed)
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
