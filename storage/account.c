#include "storage/account.h"
#include "node/base/digest.h"
#include "proto/mailbox_name.h"
#include "storage/account_private.h"
#include "storage/prepare.h"
#include "storage/state_private.h"

#include <stdlib.h>

struct id128 account_id_of(struct slice pair_id, struct slice canonical_name)
{
	struct digest_sha256 *d = digest_sha256_new();
	uint8_t hash[SHA256_SIZE];
	struct id128 id;

	digest_sha256_add(d, pair_id);
	digest_sha256_add(d, canonical_name);
	digest_sha256_end(d, hash);
	memcpy(id.b, hash, 16);
	return id;
}

struct id128 account_id(const struct account *a)
{
	return a->id;
}

const char *account_name(const struct account *a)
{
	return a->name;
}

const char *account_root(const struct account *a)
{
	return a->root;
}

struct position account_end(const struct account *a)
{
	return a->end;
}

struct position account_durable(const struct account *a)
{
	return a->durable;
}

struct position account_published(const struct account *a)
{
	return a->published;
}

bool account_quiet(const struct account *a)
{
	return a->published.seq == a->end.seq;
}

int account_holder(const struct account *a)
{
	return head_holder(a->head);
}

const struct lineage_entry *account_lineage(const struct account *a, size_t *n)
{
	return head_lineage(a->head, n);
}

uint64_t account_counter(const struct account *a)
{
	return head_counter(a->head);
}

bool account_exists(const struct account *a)
{
	return a->state->exists;
}

/* --- the answer rule ----------------------------------------------------------- */

static bool ambiguous(const struct state *s, uint32_t epoch)
{
	for (size_t i = 0; i < s->n_ambiguous; i++)
		if (s->ambiguous[i] == epoch)
			return true;
	return false;
}

uint64_t account_answer_modseq(const struct account *a, uint64_t modseq)
{
	const struct state *s = a->state;
	uint64_t epoch = modseq >> 36;
	uint64_t counter = modseq & ((1ull << 36) - 1);

	for (size_t i = s->n_lineage; i-- > 0;) {
		const struct lineage_entry *l = &s->lineage[i];

		if ((l->epoch & 0xffff) != epoch)
			continue;
		if (ambiguous(s, l->epoch))
			return 0;
		if (counter <= l->last_counter)
			return modseq;
		break;
	}
	for (size_t i = s->n_joined; i-- > 0;) {
		const struct joined_epoch *j = &s->joined[i];

		if ((j->entry.epoch & 0xffff) == epoch &&
		    !ambiguous(s, j->entry.epoch) &&
		    counter <= j->entry.last_counter)
			return j->fork_modseq;
	}
	return 0;
}

void account_digest(struct account *a, uint8_t out[16])
{
	state_digest(a->state, out);
}

unsigned account_mismatches(const struct account *a)
{
	return state_mismatches(a->state);
}

void account_checkpoint_op(struct account *a, struct arena *arena,
			   struct op_checkpoint *out)
{
	state_checkpoint_op(a->state, arena, out);
}

/* --- mailboxes -------------------------------------------------------------------- */

size_t mailbox_name_canonical(struct slice name, uint8_t to[MBOX_NAME_MAX])
{
	if (name.n == 0 || name.n > MBOX_NAME_MAX)
		return 0;
	memcpy(to, name.p, name.n);
	if (mailbox_name_is_inbox(name))
		memcpy(to, "INBOX", 5);
	return name.n;
}

struct mailbox *account_mailbox(struct account *a, struct slice name)
{
	uint8_t b[MBOX_NAME_MAX];
	size_t n = mailbox_name_canonical(name, b);

	return n ? state_mailbox_named(a->state, slice_of(b, n)) : NULL;
}

struct mailbox *account_mailbox_id(struct account *a, struct id128 id)
{
	return state_mailbox(a->state, id);
}

void account_mailboxes(struct account *a, account_mailbox_cb *cb, void *arg)
{
	for (size_t i = 0; i < a->state->n_mboxes; i++)
		if (!cb(arg, a->state->mboxes[i]))
			return;
}

static int by_name(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return slice_cmp(*x, *y);
}

void account_subscriptions(struct account *a, account_name_cb *cb, void *arg)
{
	struct map *subs = a->state->subscriptions;
	struct slice *names = xmalloc((map_size(subs) + 1) * sizeof(*names));
	size_t n = 0;
	void *v;

	for (size_t i = 0; map_each(subs, &i, &names[n], &v);)
		n++;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++)
		if (!cb(arg, names[i]))
			break;
	free(names);
}

bool account_subscribed(struct account *a, struct slice name)
{
	uint8_t b[MBOX_NAME_MAX];
	size_t n = mailbox_name_canonical(name, b);

	return n && map_get(a->state->subscriptions, slice_of(b, n));
}

uint64_t account_usage(const struct account *a, uint64_t *messages_out)
{
	uint64_t bytes = 0, messages = 0;

	for (size_t i = 0; i < a->state->n_mboxes; i++) {
		bytes += a->state->mboxes[i]->size;
		messages += a->state->mboxes[i]->messages;
	}
	if (messages_out)
		*messages_out = messages;
	return bytes;
}

/* --- watches ------------------------------------------------------------------------ */

void account_watch_add(struct account *a, struct account_watch *w)
{
	list_append(&a->watches, &w->node);
}

void account_watch_remove(struct account_watch *w)
{
	list_remove(&w->node);
}
