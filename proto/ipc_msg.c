/* Heads of the messages between roles: the only file that knows their
 * protobuf form. */

#include "proto/ipc_msg.h"
#include "node/base/cursor.h"
#include "node/base/ipc.h"
#include "proto/ipc.pb-c.h"

#include <assert.h>

static const char *const role_names[ROLE_N] = {
	[ROLE_SUPER] = "supervisor", [ROLE_FRONT] = "front",
	[ROLE_AUTH] = "auth", [ROLE_STORE] = "store", [ROLE_SYNC] = "sync",
};

const char *ipc_role_name(enum ipc_role r)
{
	return (unsigned)r < ROLE_N ? role_names[r] : "?";
}

int ipc_role_of(const char *name)
{
	for (int i = 0; i < ROLE_N; i++)
		if (strcmp(role_names[i], name) == 0)
			return i;
	return -1;
}

/* protobuf-c never writes to the texts of a message that is being packed. */
static char *text_of(const char *s)
{
	return (char *)(uintptr_t)(s ? s : "");
}

static ProtobufCBinaryData bytes_of(struct slice s)
{
	return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static Duet__Ipc__Field **fields_pack(struct arena *a,
				      const struct ipc_field *f, size_t n)
{
	Duet__Ipc__Field **v = arena_alloc(a, (n + 1) * sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		v[i] = arena_alloc(a, sizeof(**v));
		duet__ipc__field__init(v[i]);
		v[i]->name = text_of(f[i].name);
		v[i]->value = text_of(f[i].value);
	}
	return v;
}

static Duet__Ipc__Rcpt **rcpts_pack(struct arena *a, const struct ipc_rcpt *r,
				    size_t n)
{
	Duet__Ipc__Rcpt **v = arena_alloc(a, (n + 1) * sizeof(*v));

	for (size_t i = 0; i < n; i++) {
		v[i] = arena_alloc(a, sizeof(**v));
		duet__ipc__rcpt__init(v[i]);
		v[i]->index = r[i].index;
		v[i]->address = text_of(r[i].address);
		v[i]->user = text_of(r[i].user);
		v[i]->home = text_of(r[i].home);
		v[i]->detail = text_of(r[i].detail);
		v[i]->fields = fields_pack(a, r[i].fields, r[i].n_fields);
		v[i]->n_fields = r[i].n_fields;
	}
	return v;
}

static void texts_pack(const struct ipc_head *h, Duet__Ipc__Head *m)
{
	m->user = text_of(h->user);
	m->login = text_of(h->login);
	m->home = text_of(h->home);
	m->service = text_of(h->service);
	m->session = text_of(h->session);
	m->tag = text_of(h->tag);
	m->mech = text_of(h->mech);
	m->rip = text_of(h->rip);
	m->lip = text_of(h->lip);
	m->name = text_of(h->name);
	m->text = text_of(h->text);
	m->client = text_of(h->client);
	m->sender = text_of(h->sender);
}

void ipc_head_encode(const struct ipc_head *h, struct buf *to)
{
	Duet__Ipc__Head m = DUET__IPC__HEAD__INIT;
	struct arena *a = NULL;
	uint8_t *room;
	size_t n;

	m.role = h->role;
	m.index = h->index;
	m.flags = h->flags;
	m.code = h->code;
	m.value = h->value;
	m.value2 = h->value2;
	m.rport = h->rport;
	m.lport = h->lport;
	m.id = bytes_of(h->id);
	m.data = bytes_of(h->data);
	texts_pack(h, &m);
	if (h->n_fields || h->n_rcpts) {
		a = arena_new(1024);
		m.fields = fields_pack(a, h->fields, h->n_fields);
		m.n_fields = h->n_fields;
		m.rcpts = rcpts_pack(a, h->rcpts, h->n_rcpts);
		m.n_rcpts = h->n_rcpts;
	}
	m.args = (char **)(uintptr_t)h->args;
	m.n_args = h->n_args;
	n = duet__ipc__head__get_packed_size(&m);
	room = buf_room(to, n);
	if (room)
		buf_commit(to, duet__ipc__head__pack(&m, room));
	arena_free(a);
}

static struct ipc_field *fields_unpack(struct arena *a, Duet__Ipc__Field **v,
				       size_t n)
{
	struct ipc_field *f = arena_zalloc(a, (n + 1) * sizeof(*f));

	for (size_t i = 0; i < n; i++) {
		f[i].name = arena_strdup(a, v[i]->name);
		f[i].value = arena_strdup(a, v[i]->value);
	}
	return f;
}

static void rcpts_unpack(struct arena *a, const Duet__Ipc__Head *m,
			 struct ipc_head *out)
{
	struct ipc_rcpt *r = arena_zalloc(a, (m->n_rcpts + 1) * sizeof(*r));

	for (size_t i = 0; i < m->n_rcpts; i++) {
		const Duet__Ipc__Rcpt *p = m->rcpts[i];

		r[i].index = p->index;
		r[i].address = arena_strdup(a, p->address);
		r[i].user = arena_strdup(a, p->user);
		r[i].home = arena_strdup(a, p->home);
		r[i].detail = arena_strdup(a, p->detail);
		r[i].fields = fields_unpack(a, p->fields, p->n_fields);
		r[i].n_fields = p->n_fields;
	}
	out->rcpts = r;
	out->n_rcpts = m->n_rcpts;
}

static void texts_unpack(struct arena *a, const Duet__Ipc__Head *m,
			 struct ipc_head *out)
{
	out->user = arena_strdup(a, m->user);
	out->login = arena_strdup(a, m->login);
	out->home = arena_strdup(a, m->home);
	out->service = arena_strdup(a, m->service);
	out->session = arena_strdup(a, m->session);
	out->tag = arena_strdup(a, m->tag);
	out->mech = arena_strdup(a, m->mech);
	out->rip = arena_strdup(a, m->rip);
	out->lip = arena_strdup(a, m->lip);
	out->name = arena_strdup(a, m->name);
	out->text = arena_strdup(a, m->text);
	out->client = arena_strdup(a, m->client);
	out->sender = arena_strdup(a, m->sender);
}

int ipc_head_decode(struct slice in, struct arena *a, struct ipc_head *out,
		    struct err *e)
{
	Duet__Ipc__Head *m = duet__ipc__head__unpack(NULL, in.n, in.p);
	const char **args;

	if (!m)
		return err_set(e, E_PROTO, "IPC head of %zu bytes is broken",
			       in.n);
	if (m->n_fields > IPC_FIELDS_MAX || m->n_rcpts > IPC_FIELDS_MAX) {
		duet__ipc__head__free_unpacked(m, NULL);
		return err_set(e, E_PROTO, "IPC head with too many fields");
	}
	memset(out, 0, sizeof(*out));
	out->role = m->role;
	out->index = m->index;
	out->flags = m->flags;
	out->code = m->code;
	out->value = m->value;
	out->value2 = m->value2;
	out->rport = m->rport;
	out->lport = m->lport;
	out->id = arena_dup(a, slice_of(m->id.data, m->id.len));
	out->data = arena_dup(a, slice_of(m->data.data, m->data.len));
	texts_unpack(a, m, out);
	out->fields = fields_unpack(a, m->fields, m->n_fields);
	out->n_fields = m->n_fields;
	rcpts_unpack(a, m, out);
	args = arena_alloc(a, (m->n_args + 1) * sizeof(*args));
	for (size_t i = 0; i < m->n_args; i++)
		args[i] = arena_strdup(a, m->args[i]);
	args[m->n_args] = NULL;
	out->args = args;
	out->n_args = m->n_args;
	duet__ipc__head__free_unpacked(m, NULL);
	return 0;
}

int ipc_say(struct ipc *c, enum ipc_type type, uint64_t stream,
	    const struct ipc_head *h, struct slice body, int fd)
{
	struct ipc_msg m = {.type = type, .stream = stream, .body = body,
			    .fd = fd};
	struct buf head;
	int r;

	buf_init(&head, IPC_MESSAGE_MAX);
	if (h)
		ipc_head_encode(h, &head);
	if (head.failed) {
		buf_fini(&head);
		return E_LIMIT;
	}
	m.head = buf_all(&head);
	r = ipc_send(c, &m);
	buf_fini(&head);
	return r;
}

int ipc_note(struct ipc *c, enum ipc_type type, uint64_t stream)
{
	struct ipc_msg m = {.type = type, .stream = stream, .fd = -1};

	return ipc_send(c, &m);
}

const char *ipc_field_get(const struct ipc_head *h, const char *name)
{
	for (size_t i = 0; i < h->n_fields; i++)
		if (strcmp(h->fields[i].name, name) == 0)
			return h->fields[i].value;
	return NULL;
}

void admin_head_put(const struct admin_head *h, uint8_t to[ADMIN_HEAD_SIZE])
{
	le32_to(to, ADMIN_MAGIC);
	to[4] = 1;
	to[5] = (uint8_t)(h->role | (h->partner ? ADMIN_AT_PARTNER : 0));
	to[6] = (uint8_t)h->index;
	to[7] = (uint8_t)(h->index >> 8);
	le64_to(to + 8, h->key);
}

int admin_head_get(const uint8_t from[ADMIN_HEAD_SIZE], struct admin_head *h)
{
	uint8_t role = from[5] & (uint8_t)~ADMIN_AT_PARTNER;

	if (le32_at(from) != ADMIN_MAGIC || from[4] != 1 || role >= ROLE_N)
		return E_PROTO;
	h->partner = from[5] & ADMIN_AT_PARTNER;
	h->role = role;
	h->index = (uint16_t)(from[6] | from[7] << 8);
	h->key = le64_at(from + 8);
	return 0;
}
