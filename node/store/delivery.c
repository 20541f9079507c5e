/* LMTP messages: their octets, their recipients, the replies. */

#include "node/store/delivery.h"
#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static struct delivery *find(struct store_peer *from, uint64_t stream)
{
	struct list *all = &from->node->deliveries;

	for (struct list *i = all->next; i != all; i = i->next) {
		struct delivery *d = CONTAINER_OF(i, struct delivery, node);

		if (d->from == from && d->stream == stream)
			return d;
	}
	return NULL;
}

static void delivery_free(struct delivery *d)
{
	struct store_node *n = d->sn;

	list_remove(&d->node);
	if (d->map)
		munmap(d->map, d->size);
	if (d->spool >= 0)
		close(d->spool);
	buf_fini(&d->memory);
	arena_free(d->arena);
	store_maybe_quiet(n);
}

/* The asker may go; the writes that run keep the delivery until they end. */
static void let_go(struct delivery *d)
{
	d->from = NULL;
	if (!d->complete || d->waiting == 0)
		delivery_free(d);
}

/* ---- identical messages that are meant to be two --------------------------- */

unsigned delivery_again(struct store_node *n, const uint8_t base[32])
{
	return (unsigned)(uintptr_t)map_get(n->seen, slice_of(base, 32));
}

static void remember(struct store_node *n, const uint8_t base[32])
{
	uintptr_t v = (uintptr_t)map_get(n->seen, slice_of(base, 32));

	/* Forgetting all of them at once is crude, and only means that a
	 * message resent later without a queue id is taken for a retry. */
	if (map_size(n->seen) >= DELIVERY_SEEN_MAX) {
		map_free(n->seen);
		n->seen = map_new();
	}
	map_put(n->seen, slice_of(base, 32), (void *)(v + 1));
}

void delivery_seen(struct store_peer *from, uint64_t stream)
{
	struct delivery *d = find(from, stream);

	if (!d || d->waiting)
		return;
	for (size_t i = 0; i < d->n_seen_ids; i++)
		remember(d->sn, d->seen_ids[i]);
	delivery_free(d);
}

/* ---- replies ------------------------------------------------------------------ */

void delivery_reply(struct delivery *d, uint32_t index, const char *text)
{
	struct ipc_head h = {.index = index, .text = text};

	if (d->from && d->from->ipc)
		ipc_say(d->from->ipc, IPC_DELIVER_REPLY, d->stream, &h,
			SLICE_NONE, -1);
	if (--d->waiting == 0) {
		d->answered = true;
		/* A front says SEEN or CANCEL; a sibling says neither. */
		if (!d->from || d->from->kind != ROLE_FRONT)
			delivery_free(d);
	}
}

static void fail_all(struct delivery *d, const char *code, const char *why)
{
	struct arena *keep = arena_new(256);
	const struct ipc_rcpt *r = d->head.rcpts;
	size_t n = d->head.n_rcpts;
	char **texts = arena_alloc(keep, (n + 1) * sizeof(*texts));
	uint32_t *index = arena_alloc(keep, (n + 1) * sizeof(*index));

	/* The last reply may free d. */
	for (size_t i = 0; i < n; i++) {
		texts[i] = arena_printf(keep, "%s <%s> %s", code, r[i].address,
					why);
		index[i] = r[i].index;
	}
	for (size_t i = 0; i < n; i++)
		delivery_reply(d, index[i], texts[i]);
	arena_free(keep);
}

/* ---- octets ---------------------------------------------------------------------- */

static void copy_rcpts(struct arena *a, const struct ipc_head *h,
		       struct ipc_head *out)
{
	struct ipc_rcpt *r = arena_zalloc(a, (h->n_rcpts + 1) * sizeof(*r));

	for (size_t i = 0; i < h->n_rcpts; i++) {
		const struct ipc_rcpt *s = &h->rcpts[i];
		struct ipc_field *f =
			arena_alloc(a, (s->n_fields + 1) * sizeof(*f));

		for (size_t k = 0; k < s->n_fields; k++)
			f[k] = (struct ipc_field){
				arena_strdup(a, s->fields[k].name),
				arena_strdup(a, s->fields[k].value)};
		r[i] = (struct ipc_rcpt){
			.index = s->index,
			.address = arena_strdup(a, s->address),
			.user = arena_strdup(a, s->user),
			.home = arena_strdup(a, s->home),
			.detail = arena_strdup(a, s->detail),
			.fields = f, .n_fields = s->n_fields,
		};
	}
	out->rcpts = r;
	out->n_rcpts = h->n_rcpts;
}

static struct delivery *delivery_new(struct store_peer *from, uint64_t stream,
				     const struct ipc_head *h)
{
	struct arena *a = arena_new(2048);
	struct delivery *d = ARENA_NEW(a, struct delivery);

	d->arena = a;
	d->sn = from->node;
	d->from = from;
	d->stream = stream;
	d->spool = -1;
	buf_init(&d->memory, DELIVERY_MEMORY);
	d->head = (struct ipc_head){
		.sender = arena_strdup(a, h->sender),
		.session = arena_strdup(a, h->session),
		.rip = arena_strdup(a, h->rip), .lip = arena_strdup(a, h->lip),
		.name = arena_strdup(a, h->name),
		.mech = arena_strdup(a, h->mech),
		.data = arena_dup(a, h->data),
	};
	copy_rcpts(a, h, &d->head);
	d->waiting = h->n_rcpts;
	d->seen_ids = arena_alloc(a, (h->n_rcpts + 1) * 32);
	list_append(&from->node->deliveries, &d->node);
	return d;
}

static void credit(struct delivery *d, uint64_t n)
{
	struct ipc_head h = {.value = n};

	if (d->from && d->from->ipc)
		ipc_say(d->from->ipc, IPC_DELIVER_CREDIT, d->stream, &h,
			SLICE_NONE, -1);
}

void delivery_begin(struct store_peer *from, uint64_t stream,
		    const struct ipc_head *h)
{
	if (h->n_rcpts == 0)
		return;
	credit(delivery_new(from, stream, h), DELIVERY_CREDIT);
}

static int spool_open(struct delivery *d)
{
	const char *dir = conf_str(d->sn->role->conf, NULL, "state_dir");
	char *path = xprintf("%s/spool", dir);
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR ||
		       errno == ENOENT)) {
		char *name = xprintf("%s/m.XXXXXX", path);

		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0)
			unlink(name);
		free(name);
	}
	if (fd < 0)
		snprintf(d->why, sizeof(d->why), "%s: %s", path,
			 strerror(errno));
	free(path);
	return fd;
}

static int write_all(struct delivery *d, struct slice s)
{
	while (s.n) {
		ssize_t n = write(d->spool, s.p, s.n);

		if (n <= 0) {
			snprintf(d->why, sizeof(d->why), "spool: %s",
				 strerror(errno));
			return -1;
		}
		s = slice_sub(s, (size_t)n, s.n);
	}
	return 0;
}

static int add(struct delivery *d, struct slice data)
{
	d->size += data.n;
	if (d->spool < 0 && d->size <= DELIVERY_MEMORY) {
		buf_slice(&d->memory, data);
		return 0;
	}
	if (d->spool < 0) {
		d->spool = spool_open(d);
		if (d->spool < 0 || write_all(d, buf_all(&d->memory)) < 0)
			return -1;
		buf_fini(&d->memory);
		buf_init(&d->memory, DELIVERY_MEMORY);
	}
	return write_all(d, data);
}

void delivery_data(struct store_peer *from, uint64_t stream, struct slice data)
{
	struct delivery *d = find(from, stream);

	if (!d || d->complete)
		return;
	if (!d->failed && add(d, data) < 0) {
		d->failed = true;
		log_event(d->sn->role->log, LOG_ERR, "spool_failed", NULL,
			  "%s", d->why);
	}
	credit(d, data.n);
}

/* The octets as one slice. */
static int see_whole(struct delivery *d)
{
	if (d->spool < 0) {
		d->message = buf_all(&d->memory);
		return 0;
	}
	d->map = mmap(NULL, d->size, PROT_READ, MAP_SHARED, d->spool, 0);
	if (d->map == MAP_FAILED) {
		d->map = NULL;
		return -1;
	}
	d->message = slice_of(d->map, d->size);
	return 0;
}

/* ---- recipients -------------------------------------------------------------------- */

static unsigned process_of(struct store_node *n, const char *user)
{
	struct id128 id = account_id_of(
		slice_of(n->role->identity.pair_id.b, 16), slice_str(user));

	return role_store_of(n->role, id);
}

/* Recipients at a sibling, until all have a reply. */
struct sibling_part {
	struct list node;
	struct delivery *delivery;
	struct store_peer *to;
	uint64_t stream;
	const struct ipc_rcpt *rcpts;
	bool *replied;
	size_t n, waiting;
};

static void part_reply(struct sibling_part *p, size_t i, const char *text)
{
	struct delivery *d = p->delivery;
	uint32_t index = p->rcpts[i].index;

	p->replied[i] = true;
	if (--p->waiting == 0)
		list_remove(&p->node);
	delivery_reply(d, index, text);
}

void delivery_sibling_reply(struct store_node *n, uint64_t stream,
			    const struct ipc_head *h)
{
	for (struct list *k = n->siblings.next; k != &n->siblings;
	     k = k->next) {
		struct sibling_part *p =
			CONTAINER_OF(k, struct sibling_part, node);

		if (p->stream != stream)
			continue;
		for (size_t i = 0; i < p->n; i++)
			if (p->rcpts[i].index == h->index && !p->replied[i]) {
				part_reply(p, i, h->text);
				return;
			}
		return;
	}
}

static void part_lost(struct sibling_part *p)
{
	size_t left = p->waiting;

	/* The last reply may free the delivery and p with it. */
	for (size_t i = 0; left; i++) {
		char text[400];

		if (p->replied[i])
			continue;
		snprintf(text, sizeof(text), "451 4.3.0 <%.200s> Temporary "
			 "internal error", p->rcpts[i].address);
		left--;
		part_reply(p, i, text);
	}
}

void delivery_peer_gone(struct store_peer *from)
{
	struct store_node *n = from->node;
	struct list *k = n->siblings.next;

	while (k != &n->siblings) {
		struct sibling_part *p =
			CONTAINER_OF(k, struct sibling_part, node);

		k = k->next;
		if (p->to == from)
			part_lost(p);
	}
	k = n->deliveries.next;
	while (k != &n->deliveries) {
		struct delivery *d = CONTAINER_OF(k, struct delivery, node);

		k = k->next;
		if (d->from == from)
			let_go(d);
	}
}

/* Those of one sibling process, with the message whole. */
static void pass_to_sibling(struct delivery *d, unsigned index)
{
	struct store_node *n = d->sn;
	struct store_peer *p = store_sibling(n, index);
	struct ipc_head h = d->head;
	struct ipc_rcpt *r = arena_zalloc(d->arena,
					  d->head.n_rcpts * sizeof(*r));
	struct sibling_part *part;
	struct slice body = SLICE_NONE;
	size_t k = 0;
	int fd = -1, rc = E_TEMP;

	for (size_t i = 0; i < d->head.n_rcpts; i++)
		if (process_of(n, d->head.rcpts[i].user) == index)
			r[k++] = d->head.rcpts[i];
	h.rcpts = r;
	h.n_rcpts = k;
	h.value = d->size;
	if (d->spool >= 0)
		fd = dup(d->spool);
	else
		body = d->message;
	if (p && p->ipc)
		rc = ipc_say(p->ipc, IPC_DELIVER_WHOLE, ++n->last_stream, &h,
			     body, fd);
	if (rc < 0) {
		if (fd >= 0)
			close(fd);
		for (size_t i = 0; i < k; i++)
			delivery_reply(d, r[i].index, arena_printf(
				d->arena, "451 4.3.0 <%s> Temporary internal "
				"error", r[i].address));
		return;
	}
	part = ARENA_NEW(d->arena, struct sibling_part);
	*part = (struct sibling_part){
		.delivery = d, .to = p, .stream = n->last_stream,
		.rcpts = r, .n = k, .waiting = k,
		.replied = arena_zalloc(d->arena, k * sizeof(bool)),
	};
	list_append(&n->siblings, &part->node);
}

static void spread(struct delivery *d)
{
	struct store_node *n = d->sn;
	bool done[STORE_PEERS_MAX] = {false};
	size_t n_rcpts = d->head.n_rcpts;
	const struct ipc_rcpt *r = d->head.rcpts;

	/* Guard: replies at once must not free d while it is walked. */
	d->waiting++;
	for (size_t i = 0; i < n_rcpts; i++) {
		unsigned p = process_of(n, r[i].user);

		if (p == n->role->index) {
			rcpt_deliver(d, &r[i]);
		} else if (!done[p]) {
			done[p] = true;
			pass_to_sibling(d, p);
		}
	}
	if (--d->waiting == 0) {
		d->answered = true;
		if (!d->from || d->from->kind != ROLE_FRONT)
			delivery_free(d);
	}
}

static void complete(struct delivery *d)
{
	d->complete = true;
	if (d->failed || see_whole(d) < 0) {
		fail_all(d, "451 4.3.1", "Message cannot be spooled");
		return;
	}
	if (!d->sn->engine) {
		fail_all(d, "451 4.3.2", "The store is not open yet");
		return;
	}
	trace_parse(d->message, d->arena, &d->trace);
	spread(d);
}

void delivery_end(struct store_peer *from, uint64_t stream)
{
	struct delivery *d = find(from, stream);

	if (d && !d->complete)
		complete(d);
}

void delivery_cancel(struct store_peer *from, uint64_t stream)
{
	struct delivery *d = find(from, stream);

	if (d)
		let_go(d);
}

void delivery_whole(struct store_peer *from, uint64_t stream,
		    const struct ipc_head *h, struct slice body, int fd)
{
	struct delivery *d;

	if (h->n_rcpts == 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	d = delivery_new(from, stream, h);
	d->size = h->value;
	if (fd >= 0)
		d->spool = fd;
	else
		buf_slice(&d->memory, body);
	complete(d);
}
