#include "proto/link_private.h"

/* Generated types to structs: every size from outside is checked here. */

/* Collects the first broken field; E_PROTO at the end. */
struct check {
	const char *bad;
};

static struct slice bytes(ProtobufCBinaryData b)
{
	return slice_of(b.data, b.len);
}

/* Absent means all zero. */
static void fixed(struct check *c, ProtobufCBinaryData b, void *to, size_t n,
		  const char *what)
{
	if (!b.len)
		memset(to, 0, n);
	else if (b.len != n)
		c->bad = what;
	else
		memcpy(to, b.data, n);
}

static struct slice text(struct check *c, ProtobufCBinaryData b, size_t max,
			 const char *what)
{
	if (b.len > max) {
		c->bad = what;
		return SLICE_NONE;
	}
	return bytes(b);
}

static bool count(struct check *c, size_t n, size_t max, const char *what)
{
	if (n > max)
		c->bad = what;
	return n <= max;
}

static struct position position(const Duet__Link__Position *p)
{
	if (!p)
		return (struct position){0};
	return (struct position){p->epoch, p->nonce, p->seq, p->chain};
}

static struct link_journal *journals(struct check *c, Duet__Link__Journal **j,
				     size_t n, struct arena *a, size_t *n_out)
{
	struct link_journal *list;

	if (!count(c, n, LINK_JOURNALS_MAX, "journals"))
		return NULL;
	list = arena_alloc(a, (n + 1) * sizeof(*list));
	for (size_t i = 0; i < n; i++)
		list[i] = (struct link_journal){j[i]->id, j[i]->last_batch};
	*n_out = n;
	return list;
}

static void hello(struct check *c, const Duet__Link__Hello *v, struct arena *a,
		  struct link_hello *m)
{
	if (v->channel >= CHANNELS)
		c->bad = "channel";
	if (v->index > 1)
		c->bad = "index";
	m->channel = (uint8_t)v->channel;
	m->has_identity = v->has_identity;
	m->provisional = v->provisional;
	m->trusted = v->trusted;
	m->has_accounts = v->has_accounts;
	m->regressed = v->regressed;
	fixed(c, v->pair_id, m->pair_id.b, 16, "pair id");
	m->pair_time = v->pair_time;
	m->index = (uint8_t)v->index;
	fixed(c, v->node_id, m->node_id.b, 16, "node id");
	fixed(c, v->incarnation, m->incarnation.b, 16, "incarnation");
	fixed(c, v->partner_node_id, m->partner_node_id.b, 16,
	      "partner's node id");
	fixed(c, v->partner_incarnation, m->partner_incarnation.b, 16,
	      "partner's incarnation");
	m->boot = v->boot;
	m->major = v->major;
	m->minor = v->minor;
	m->features = v->features;
	m->clock_usec = v->clock_usec;
	m->limits = (struct link_limits){v->window, v->jump, v->uids,
					 v->jump_stale};
	m->journals = journals(c, v->journals, v->n_journals, a,
			       &m->n_journals);
	fixed(c, v->set_digest, m->set_digest.b, 16, "set digest");
	m->accounts = v->accounts;
	m->partial = v->partial;
}

static void heartbeat(struct check *c, const Duet__Link__Heartbeat *v,
		      struct arena *a, struct link_heartbeat *m)
{
	m->heard_ticks = v->heard_ticks;
	m->trusted = v->trusted;
	m->regressed = v->regressed;
	m->clock_usec = v->clock_usec;
	m->journals = journals(c, v->journals, v->n_journals, a,
			       &m->n_journals);
	fixed(c, v->set_digest, m->set_digest.b, 16, "set digest");
	fixed(c, v->node_digest, m->node_digest.b, 16, "node digest");
	m->accounts = v->accounts;
	m->lone = v->lone;
	m->records_behind = v->records_behind;
	m->you_regressed = v->you_regressed;
	m->partial = v->partial;
}

static void exchange(struct check *c, const Duet__Link__Exchange *v,
		     struct arena *a, struct link_position *m)
{
	uint64_t before = 0;

	m->name = text(c, v->name, ACCOUNT_NAME_MAX, "name");
	m->end = position(v->end);
	m->acked = position(v->acked);
	m->published = v->published;
	m->floor = v->floor;
	if (v->mark > UINT8_MAX || v->copy < COPY_WHOLE || v->copy > COPY_FORKED)
		c->bad = "mark or copy";
	m->mark = (uint8_t)v->mark;
	m->copy = (uint8_t)v->copy;
	m->regressed = v->regressed;
	m->trusted = v->trusted;
	if (v->holder < -1 || v->holder > 1)
		c->bad = "holder";
	m->holder = (int8_t)v->holder;
	if (!count(c, v->n_lineage, LINK_LINEAGE_MAX, "lineage"))
		return;
	m->lineage = arena_alloc(a, (v->n_lineage + 1) * sizeof(*m->lineage));
	m->n_lineage = v->n_lineage;
	for (size_t i = 0; i < v->n_lineage; i++) {
		const Duet__Link__Lineage *l = v->lineage[i];

		/* Rising and without overlap: comparing them relies on it. */
		if (l->first_seq <= before || l->last_seq < l->first_seq ||
		    l->node > 1)
			c->bad = "lineage";
		before = l->last_seq;
		m->lineage[i] = (struct lineage_entry){
			l->epoch, l->nonce, l->first_seq, l->last_seq,
			l->last_counter, (uint8_t)l->node};
	}
}

static void resign(struct check *c, const Duet__Link__Resign *v,
		   struct arena *a, struct link_resign *m)
{
	m->nonce = v->nonce;
	m->cause = (uint8_t)v->cause;
	m->process = v->process;
	m->processes = v->processes;
	if (v->cause > UINT8_MAX)
		c->bad = "cause";
	if (!count(c, v->n_items, LINK_RESIGN_MAX, "accounts"))
		return;
	m->n_items = v->n_items;
	m->items = arena_alloc(a, (v->n_items + 1) * sizeof(*m->items));
	for (size_t i = 0; i < v->n_items; i++) {
		fixed(c, v->items[i]->account, m->items[i].account.b, 16,
		      "account id");
		m->items[i].end = position(v->items[i]->end);
	}
}

static void digests(struct check *c, const Duet__Link__Digests *v,
		    struct arena *a, struct link_digests *m)
{
	if (!count(c, v->n_items, LINK_DIGESTS_MAX, "digests"))
		return;
	m->n_items = v->n_items;
	m->items = arena_alloc(a, (v->n_items + 1) * sizeof(*m->items));
	for (size_t i = 0; i < v->n_items; i++) {
		fixed(c, v->items[i]->account, m->items[i].account.b, 16,
		      "account id");
		m->items[i].seq = v->items[i]->seq;
		fixed(c, v->items[i]->digest, m->items[i].digest, 16, "digest");
	}
}

static void deliver(struct check *c, const Duet__Link__Deliver *v,
		    struct arena *a, struct link_deliver *m)
{
	m->name = text(c, v->name, ACCOUNT_NAME_MAX, "name");
	m->mailbox = text(c, v->mailbox, MBOX_NAME_MAX, "mailbox");
	m->autocreate = v->autocreate;
	m->autosubscribe = v->autosubscribe;
	fixed(c, v->delivery_id, m->delivery_id, 32, "delivery id");
	fixed(c, v->body_hash, m->body_hash, 32, "body hash");
	m->body_size = v->body_size;
	fixed(c, v->traceless, m->traceless, 16, "traceless hash");
	m->internaldate = v->internaldate;
	m->internaldate_zone = v->internaldate_zone;
	m->flags = v->flags;
	if (v->flags & ~(uint32_t)MSG_FLAGS_MASK ||
	    v->internaldate_zone > INT16_MAX || v->internaldate_zone < INT16_MIN)
		c->bad = "flags or zone";
	if (!count(c, v->n_keywords, LINK_FLAGS_MAX, "keywords") ||
	    !count(c, v->n_autos, LINK_FLAGS_MAX, "automatic mailboxes"))
		return;
	m->n_keywords = v->n_keywords;
	m->keywords = arena_alloc(a, (v->n_keywords + 1) * sizeof(*m->keywords));
	for (size_t i = 0; i < v->n_keywords; i++)
		m->keywords[i] = text(c, v->keywords[i], KEYWORD_MAX, "keyword");
	m->n_autos = v->n_autos;
	m->autos = arena_alloc(a, (v->n_autos + 1) * sizeof(*m->autos));
	m->auto_special_use = arena_alloc(a, (v->n_autos + 1) *
					     sizeof(*m->auto_special_use));
	m->auto_subscribe = arena_alloc(a, (v->n_autos + 1) *
					   sizeof(*m->auto_subscribe));
	for (size_t i = 0; i < v->n_autos; i++) {
		m->autos[i] = text(c, v->autos[i]->name, MBOX_NAME_MAX,
				   "automatic mailbox");
		m->auto_special_use[i] = v->autos[i]->special_use;
		m->auto_subscribe[i] = v->autos[i]->subscribe;
	}
}

static void report(struct check *c, const Duet__Link__Report *v,
		   struct arena *a, struct link_report *m)
{
	m->journals = journals(c, v->journals, v->n_journals, a,
			       &m->n_journals);
	m->partner = journals(c, v->partner, v->n_partner, a, &m->n_partner);
	fixed(c, v->set_digest, m->set_digest.b, 16, "set digest");
	fixed(c, v->node_digest, m->node_digest.b, 16, "node digest");
	m->accounts = v->accounts;
	m->incomplete = v->incomplete;
	m->lone = v->lone;
	m->catchup = v->catchup;
	m->forked = v->forked;
	m->parked = v->parked;
	m->needs_seed = v->needs_seed;
	m->records_behind = v->records_behind;
	m->failed = v->failed;
	m->serial = v->serial;
}

static void small(struct check *c, const Duet__Link__Head *h, struct arena *a,
		  struct link_msg *m)
{
	switch (h->rest_case) {
	case DUET__LINK__HEAD__REST_IDENTITY:
		fixed(c, h->identity->pair_id, m->identity.pair_id.b, 16,
		      "pair id");
		m->identity.pair_time = h->identity->pair_time;
		m->identity.index = (uint8_t)h->identity->index;
		if (h->identity->index > 1)
			c->bad = "index";
		break;
	case DUET__LINK__HEAD__REST_NACK:
		m->nack.expected = h->nack->expected;
		m->nack.lagging = h->nack->lagging != 0;
		break;
	case DUET__LINK__HEAD__REST_ASK:
		m->ask.name = text(c, h->ask->name, ACCOUNT_NAME_MAX, "name");
		m->ask.create = h->ask->create;
		m->ask.switchover = h->ask->switchover;
		m->ask.login = h->ask->login;
		break;
	case DUET__LINK__HEAD__REST_ASK_REPLY:
		if (h->ask_reply->verdict < ASK_PROXY ||
		    h->ask_reply->verdict > ASK_REFUSED)
			c->bad = "verdict";
		m->ask_reply.verdict = (uint8_t)h->ask_reply->verdict;
		m->ask_reply.code = h->ask_reply->code;
		m->ask_reply.end = position(h->ask_reply->end);
		break;
	case DUET__LINK__HEAD__REST_TEXT:
		m->text.code = h->text->code;
		m->text.text = text(c, h->text->text, LINK_TEXT_MAX, "text");
		break;
	case DUET__LINK__HEAD__REST_FORK_INFO:
		m->forkinfo.fork = position(h->fork_info->fork);
		m->forkinfo.wrote = h->fork_info->wrote;
		m->forkinfo.changes = h->fork_info->changes;
		m->forkinfo.known = h->fork_info->known;
		m->forkinfo.shown = h->fork_info->shown;
		break;
	case DUET__LINK__HEAD__REST_UP:
		m->up.partner_trusted = h->up->partner_trusted;
		m->up.partner_regressed = h->up->partner_regressed;
		m->up.partner_empty = h->up->partner_empty;
		m->up.partner_lost = h->up->partner_lost;
		m->up.trusted = h->up->trusted;
		m->up.regressed = h->up->regressed;
		m->up.partner_boot = h->up->partner_boot;
		m->up.link = h->up->link;
		m->up.serial = h->up->serial;
		m->up.journals = journals(c, h->up->journals,
					  h->up->n_journals, a,
					  &m->up.n_journals);
		break;
	case DUET__LINK__HEAD__REST_DOWN:
		m->down.failed = h->down->failed;
		m->down.lasted = h->down->lasted;
		m->down.member = h->down->member;
		m->down.trusted = h->down->trusted;
		m->down.forgotten = h->down->forgotten;
		m->down.serial = h->down->serial;
		break;
	default:
		break;
	}
}

static void transfers(struct check *c, const Duet__Link__Head *h,
		      struct link_msg *m)
{
	switch (h->rest_case) {
	case DUET__LINK__HEAD__REST_RECORDS:
		m->records = (struct link_records){
			h->records->first_seq, h->records->count,
			h->records->published, h->records->first_nonce,
			h->records->part, h->records->parts};
		if (m->records.part > m->records.parts ||
		    m->records.parts > LINK_RECORD_WIRE_MAX / LINK_CHUNK ||
		    (m->records.parts && !m->records.part))
			c->bad = "part";
		break;
	case DUET__LINK__HEAD__REST_BLOB:
		fixed(c, h->blob->hash, m->blob.hash, 32, "hash");
		m->blob.size = h->blob->size;
		m->blob.offset = h->blob->offset;
		m->blob.credit = h->blob->credit;
		m->blob.result = h->blob->result;
		break;
	case DUET__LINK__HEAD__REST_SEED:
		m->seed.pos = position(h->seed->pos);
		m->seed.size = h->seed->size;
		m->seed.offset = h->seed->offset;
		m->seed.credit = h->seed->credit;
		fixed(c, h->seed->digest, m->seed.digest, 16, "digest");
		m->seed.result = h->seed->result;
		break;
	case DUET__LINK__HEAD__REST_DELIVERED:
		m->delivered.result = h->delivered->result;
		m->delivered.unknown = h->delivered->unknown;
		m->delivered.duplicate = h->delivered->duplicate;
		m->delivered.single_copy = h->delivered->single_copy;
		m->delivered.uid = h->delivered->uid;
		m->delivered.uidvalidity = h->delivered->uidvalidity;
		m->delivered.text = text(c, h->delivered->text, LINK_TEXT_MAX,
					 "text");
		m->delivered.end = position(h->delivered->end);
		break;
	case DUET__LINK__HEAD__REST_STREAM:
		m->stream.name = text(c, h->stream->name, ACCOUNT_NAME_MAX,
				      "name");
		m->stream.service = text(c, h->stream->service, LINK_TEXT_MAX,
					 "service");
		m->stream.remote = text(c, h->stream->remote, LINK_TEXT_MAX,
					"remote");
		m->stream.extra = text(c, h->stream->extra, LINK_CHUNK, "extra");
		m->stream.end = position(h->stream->end);
		m->stream.credit = h->stream->credit;
		break;
	default:
		break;
	}
}

int link_unpack(const Duet__Link__Head *h, struct arena *a,
		struct link_msg *m, struct err *e)
{
	struct check c = {NULL};

	fixed(&c, h->account, m->account.b, 16, "account id");
	m->gen = h->gen;
	switch (h->rest_case) {
	case DUET__LINK__HEAD__REST__NOT_SET:
		if (m->type == LINK_PUBLISHED)
			m->published = h->number;
		else if (m->type == LINK_TICK)
			m->tick_heard = h->number != 0;
		else
			m->ack = position(h->position);
		break;
	case DUET__LINK__HEAD__REST_HELLO:
		hello(&c, h->hello, a, &m->hello);
		break;
	case DUET__LINK__HEAD__REST_HEARTBEAT:
		heartbeat(&c, h->heartbeat, a, &m->heartbeat);
		break;
	case DUET__LINK__HEAD__REST_EXCHANGE:
		exchange(&c, h->exchange, a, &m->position);
		break;
	case DUET__LINK__HEAD__REST_RESIGN:
		resign(&c, h->resign, a, &m->resign);
		break;
	case DUET__LINK__HEAD__REST_DIGESTS:
		digests(&c, h->digests, a, &m->digests);
		break;
	case DUET__LINK__HEAD__REST_DELIVER:
		deliver(&c, h->deliver, a, &m->deliver);
		break;
	case DUET__LINK__HEAD__REST_REPORT:
		report(&c, h->report, a, &m->report);
		break;
	default:
		small(&c, h, a, m);
		transfers(&c, h, m);
		break;
	}
	if (c.bad)
		return err_set(e, E_PROTO, "bad %s", c.bad);
	return 0;
}
