#include "proto/link_private.h"

/* Structs to generated types.  One function per message form; NEW_ allocates
 * it in the arena and gives it its defaults. */

#define NEW_(T, INIT, v)                          \
	T *v = arena_alloc(a, sizeof(T));         \
	*v = (T)INIT

static ProtobufCBinaryData bytes(struct slice s)
{
	return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static ProtobufCBinaryData fixed(const void *p, size_t n)
{
	return (ProtobufCBinaryData){n, (uint8_t *)(uintptr_t)p};
}

static ProtobufCBinaryData id_bytes(const struct id128 *id)
{
	static const struct id128 zero;

	if (id128_eq(*id, zero))
		return (ProtobufCBinaryData){0, NULL};
	return fixed(id->b, 16);
}

static Duet__Link__Position *position(const struct position *p, struct arena *a)
{
	NEW_(Duet__Link__Position, DUET__LINK__POSITION__INIT, v);

	v->epoch = p->epoch;
	v->nonce = p->nonce;
	v->seq = p->seq;
	v->chain = p->chain;
	return v;
}

static Duet__Link__Journal **journals(const struct link_journal *j, size_t n,
				      struct arena *a)
{
	Duet__Link__Journal **list = arena_alloc(a, (n + 1) * sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		NEW_(Duet__Link__Journal, DUET__LINK__JOURNAL__INIT, v);
		v->id = j[i].id;
		v->last_batch = j[i].last_batch;
		list[i] = v;
	}
	return list;
}

static Duet__Link__Hello *hello(const struct link_hello *m, struct arena *a)
{
	NEW_(Duet__Link__Hello, DUET__LINK__HELLO__INIT, v);

	v->channel = m->channel;
	v->has_identity = m->has_identity;
	v->provisional = m->provisional;
	v->trusted = m->trusted;
	v->has_accounts = m->has_accounts;
	v->regressed = m->regressed;
	v->pair_id = id_bytes(&m->pair_id);
	v->pair_time = m->pair_time;
	v->index = m->index;
	v->node_id = id_bytes(&m->node_id);
	v->incarnation = id_bytes(&m->incarnation);
	v->partner_node_id = id_bytes(&m->partner_node_id);
	v->partner_incarnation = id_bytes(&m->partner_incarnation);
	v->boot = m->boot;
	v->major = m->major;
	v->minor = m->minor;
	v->features = m->features;
	v->clock_usec = m->clock_usec;
	v->window = m->limits.window;
	v->jump = m->limits.jump;
	v->uids = m->limits.uids;
	v->jump_stale = m->limits.jump_stale;
	v->n_journals = m->n_journals;
	v->journals = journals(m->journals, m->n_journals, a);
	v->partial = m->partial;
	v->set_digest = id_bytes(&m->set_digest);
	v->accounts = m->accounts;
	return v;
}

static Duet__Link__Identity *identity(const struct link_identity *m,
				      struct arena *a)
{
	NEW_(Duet__Link__Identity, DUET__LINK__IDENTITY__INIT, v);

	v->pair_id = id_bytes(&m->pair_id);
	v->pair_time = m->pair_time;
	v->index = m->index;
	return v;
}

static Duet__Link__Heartbeat *heartbeat(const struct link_heartbeat *m,
					struct arena *a)
{
	NEW_(Duet__Link__Heartbeat, DUET__LINK__HEARTBEAT__INIT, v);

	v->heard_ticks = m->heard_ticks;
	v->trusted = m->trusted;
	v->regressed = m->regressed;
	v->clock_usec = m->clock_usec;
	v->n_journals = m->n_journals;
	v->journals = journals(m->journals, m->n_journals, a);
	v->set_digest = id_bytes(&m->set_digest);
	v->node_digest = id_bytes(&m->node_digest);
	v->accounts = m->accounts;
	v->lone = m->lone;
	v->records_behind = m->records_behind;
	v->you_regressed = m->you_regressed;
	v->partial = m->partial;
	return v;
}

static Duet__Link__Exchange *exchange(const struct link_position *m,
				      struct arena *a)
{
	NEW_(Duet__Link__Exchange, DUET__LINK__EXCHANGE__INIT, v);

	v->name = bytes(m->name);
	v->end = position(&m->end, a);
	v->acked = position(&m->acked, a);
	v->published = m->published;
	v->floor = m->floor;
	v->mark = m->mark;
	v->copy = m->copy;
	v->regressed = m->regressed;
	v->trusted = m->trusted;
	v->holder = m->holder;
	v->n_lineage = m->n_lineage;
	v->lineage = arena_alloc(a, (m->n_lineage + 1) * sizeof(*v->lineage));
	for (size_t i = 0; i < m->n_lineage; i++) {
		const struct lineage_entry *l = &m->lineage[i];
		NEW_(Duet__Link__Lineage, DUET__LINK__LINEAGE__INIT, x);

		x->epoch = l->epoch;
		x->nonce = l->nonce;
		x->first_seq = l->first_seq;
		x->last_seq = l->last_seq;
		x->last_counter = l->last_counter;
		x->node = l->node;
		v->lineage[i] = x;
	}
	return v;
}

static Duet__Link__Records *records(const struct link_records *m,
				    struct arena *a)
{
	NEW_(Duet__Link__Records, DUET__LINK__RECORDS__INIT, v);

	v->first_seq = m->first_seq;
	v->count = m->count;
	v->published = m->published;
	v->first_nonce = m->first_nonce;
	v->part = m->part;
	v->parts = m->parts;
	return v;
}

static Duet__Link__Blob *blob(const struct link_blob *m, struct arena *a)
{
	NEW_(Duet__Link__Blob, DUET__LINK__BLOB__INIT, v);

	v->hash = fixed(m->hash, 32);
	v->size = m->size;
	v->offset = m->offset;
	v->credit = m->credit;
	v->result = m->result;
	return v;
}

static Duet__Link__Resign *resign(const struct link_resign *m, struct arena *a)
{
	NEW_(Duet__Link__Resign, DUET__LINK__RESIGN__INIT, v);

	v->nonce = m->nonce;
	v->cause = m->cause;
	v->process = m->process;
	v->processes = m->processes;
	v->n_items = m->n_items;
	v->items = arena_alloc(a, (m->n_items + 1) * sizeof(*v->items));
	for (size_t i = 0; i < m->n_items; i++) {
		NEW_(Duet__Link__Resigned, DUET__LINK__RESIGNED__INIT, x);

		x->account = id_bytes(&m->items[i].account);
		x->end = position(&m->items[i].end, a);
		v->items[i] = x;
	}
	return v;
}

static Duet__Link__Seed *seed(const struct link_seed *m, struct arena *a)
{
	NEW_(Duet__Link__Seed, DUET__LINK__SEED__INIT, v);

	v->pos = position(&m->pos, a);
	v->size = m->size;
	v->offset = m->offset;
	v->credit = m->credit;
	v->digest = fixed(m->digest, 16);
	v->result = m->result;
	return v;
}

static Duet__Link__Digests *digests(const struct link_digests *m,
				    struct arena *a)
{
	NEW_(Duet__Link__Digests, DUET__LINK__DIGESTS__INIT, v);

	v->n_items = m->n_items;
	v->items = arena_alloc(a, (m->n_items + 1) * sizeof(*v->items));
	for (size_t i = 0; i < m->n_items; i++) {
		NEW_(Duet__Link__Digest, DUET__LINK__DIGEST__INIT, x);

		x->account = id_bytes(&m->items[i].account);
		x->seq = m->items[i].seq;
		x->digest = fixed(m->items[i].digest, 16);
		v->items[i] = x;
	}
	return v;
}

static Duet__Link__Deliver *deliver(const struct link_deliver *m,
				    struct arena *a)
{
	NEW_(Duet__Link__Deliver, DUET__LINK__DELIVER__INIT, v);

	v->name = bytes(m->name);
	v->mailbox = bytes(m->mailbox);
	v->autocreate = m->autocreate;
	v->autosubscribe = m->autosubscribe;
	v->delivery_id = fixed(m->delivery_id, 32);
	v->body_hash = fixed(m->body_hash, 32);
	v->body_size = m->body_size;
	v->traceless = fixed(m->traceless, 16);
	v->internaldate = m->internaldate;
	v->internaldate_zone = m->internaldate_zone;
	v->flags = m->flags;
	v->n_keywords = m->n_keywords;
	v->keywords = arena_alloc(a, (m->n_keywords + 1) * sizeof(*v->keywords));
	for (size_t i = 0; i < m->n_keywords; i++)
		v->keywords[i] = bytes(m->keywords[i]);
	v->n_autos = m->n_autos;
	v->autos = arena_alloc(a, (m->n_autos + 1) * sizeof(*v->autos));
	for (size_t i = 0; i < m->n_autos; i++) {
		NEW_(Duet__Link__AutoMailbox, DUET__LINK__AUTO_MAILBOX__INIT, x);

		x->name = bytes(m->autos[i]);
		x->special_use = m->auto_special_use[i];
		x->subscribe = m->auto_subscribe[i];
		v->autos[i] = x;
	}
	return v;
}

static Duet__Link__Delivered *delivered(const struct link_delivered *m,
					struct arena *a)
{
	NEW_(Duet__Link__Delivered, DUET__LINK__DELIVERED__INIT, v);

	v->result = m->result;
	v->unknown = m->unknown;
	v->duplicate = m->duplicate;
	v->single_copy = m->single_copy;
	v->uid = m->uid;
	v->uidvalidity = m->uidvalidity;
	v->text = bytes(m->text);
	v->end = position(&m->end, a);
	return v;
}

static Duet__Link__Stream *stream(const struct link_stream *m, struct arena *a)
{
	NEW_(Duet__Link__Stream, DUET__LINK__STREAM__INIT, v);

	v->name = bytes(m->name);
	v->service = bytes(m->service);
	v->remote = bytes(m->remote);
	v->extra = bytes(m->extra);
	v->end = position(&m->end, a);
	v->credit = m->credit;
	return v;
}

static Duet__Link__Report *report(const struct link_report *m, struct arena *a)
{
	NEW_(Duet__Link__Report, DUET__LINK__REPORT__INIT, v);

	v->n_journals = m->n_journals;
	v->journals = journals(m->journals, m->n_journals, a);
	v->n_partner = m->n_partner;
	v->partner = journals(m->partner, m->n_partner, a);
	v->set_digest = id_bytes(&m->set_digest);
	v->node_digest = id_bytes(&m->node_digest);
	v->accounts = m->accounts;
	v->incomplete = m->incomplete;
	v->lone = m->lone;
	v->catchup = m->catchup;
	v->forked = m->forked;
	v->parked = m->parked;
	v->needs_seed = m->needs_seed;
	v->records_behind = m->records_behind;
	v->failed = m->failed;
	v->serial = m->serial;
	return v;
}

/* Forms of a few fields. */
static void pack_small(const struct link_msg *m, unsigned rest, struct arena *a,
		       Duet__Link__Head *h)
{
	switch (rest) {
	case DUET__LINK__HEAD__REST_NACK: {
		NEW_(Duet__Link__Nack, DUET__LINK__NACK__INIT, v);
		v->expected = m->nack.expected;
		v->lagging = m->nack.lagging;
		h->nack = v;
		break;
	}
	case DUET__LINK__HEAD__REST_ASK: {
		NEW_(Duet__Link__Ask, DUET__LINK__ASK__INIT, v);
		v->name = bytes(m->ask.name);
		v->create = m->ask.create;
		v->switchover = m->ask.switchover;
		v->login = m->ask.login;
		h->ask = v;
		break;
	}
	case DUET__LINK__HEAD__REST_ASK_REPLY: {
		NEW_(Duet__Link__AskReply, DUET__LINK__ASK_REPLY__INIT, v);
		v->verdict = m->ask_reply.verdict;
		v->code = m->ask_reply.code;
		v->end = position(&m->ask_reply.end, a);
		h->ask_reply = v;
		break;
	}
	case DUET__LINK__HEAD__REST_TEXT: {
		NEW_(Duet__Link__Text, DUET__LINK__TEXT__INIT, v);
		v->code = m->text.code;
		v->text = bytes(slice_sub(m->text.text, 0, LINK_TEXT_MAX));
		h->text = v;
		break;
	}
	case DUET__LINK__HEAD__REST_FORK_INFO: {
		NEW_(Duet__Link__ForkInfo, DUET__LINK__FORK_INFO__INIT, v);
		v->fork = position(&m->forkinfo.fork, a);
		v->wrote = m->forkinfo.wrote;
		v->changes = m->forkinfo.changes;
		v->known = m->forkinfo.known;
		v->shown = m->forkinfo.shown;
		h->fork_info = v;
		break;
	}
	case DUET__LINK__HEAD__REST_UP: {
		NEW_(Duet__Link__Up, DUET__LINK__UP__INIT, v);
		v->partner_trusted = m->up.partner_trusted;
		v->partner_regressed = m->up.partner_regressed;
		v->partner_empty = m->up.partner_empty;
		v->partner_lost = m->up.partner_lost;
		v->trusted = m->up.trusted;
		v->regressed = m->up.regressed;
		v->partner_boot = m->up.partner_boot;
		v->link = m->up.link;
		v->serial = m->up.serial;
		v->n_journals = m->up.n_journals;
		v->journals = journals(m->up.journals, m->up.n_journals, a);
		h->up = v;
		break;
	}
	case DUET__LINK__HEAD__REST_DOWN: {
		NEW_(Duet__Link__Down, DUET__LINK__DOWN__INIT, v);
		v->failed = m->down.failed;
		v->lasted = m->down.lasted;
		v->member = m->down.member;
		v->trusted = m->down.trusted;
		v->forgotten = m->down.forgotten;
		v->serial = m->down.serial;
		h->down = v;
		break;
	}
	default:
		break;
	}
}

void link_pack(const struct link_msg *m, struct arena *a, Duet__Link__Head *h)
{
	const struct link_type_info *t = link_type_info(m->type);
	unsigned rest = t ? t->rest : 0;

	h->account = id_bytes(&m->account);
	h->gen = m->gen;
	if (m->type == LINK_PUBLISHED)
		h->number = m->published;
	else if (m->type == LINK_TICK)
		h->number = m->tick_heard;
	else if (!rest && m->type != LINK_STREAM_DATA)
		h->position = position(&m->ack, a);
	h->rest_case = (Duet__Link__Head__RestCase)rest;
	switch (rest) {
	case DUET__LINK__HEAD__REST_HELLO:
		h->hello = hello(&m->hello, a);
		break;
	case DUET__LINK__HEAD__REST_IDENTITY:
		h->identity = identity(&m->identity, a);
		break;
	case DUET__LINK__HEAD__REST_HEARTBEAT:
		h->heartbeat = heartbeat(&m->heartbeat, a);
		break;
	case DUET__LINK__HEAD__REST_EXCHANGE:
		h->exchange = exchange(&m->position, a);
		break;
	case DUET__LINK__HEAD__REST_RECORDS:
		h->records = records(&m->records, a);
		break;
	case DUET__LINK__HEAD__REST_BLOB:
		h->blob = blob(&m->blob, a);
		break;
	case DUET__LINK__HEAD__REST_RESIGN:
		h->resign = resign(&m->resign, a);
		break;
	case DUET__LINK__HEAD__REST_SEED:
		h->seed = seed(&m->seed, a);
		break;
	case DUET__LINK__HEAD__REST_DIGESTS:
		h->digests = digests(&m->digests, a);
		break;
	case DUET__LINK__HEAD__REST_DELIVER:
		h->deliver = deliver(&m->deliver, a);
		break;
	case DUET__LINK__HEAD__REST_DELIVERED:
		h->delivered = delivered(&m->delivered, a);
		break;
	case DUET__LINK__HEAD__REST_STREAM:
		h->stream = stream(&m->stream, a);
		break;
	case DUET__LINK__HEAD__REST_REPORT:
		h->report = report(&m->report, a);
		break;
	default:
		pack_small(m, rest, a, h);
		break;
	}
}
