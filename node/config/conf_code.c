/*
 * A configuration as bytes, for the child processes.  All integers are
 * little-endian, a text is le32 length and bytes; length 0xffffffff is NULL.
 *
 *	"DUETCONF" u32 version u32 flags text path
 *	u32 layers, each:  u32 parent, text local, text remote, text
 *	local_name, text protocol, u32 entries, each:
 *		text path, raw, text, bytes, from_file, file; u32 line
 */

#include "node/config/conf_int.h"
#include "node/base/buf.h"
#include "node/base/cursor.h"

static const char magic[8] = {'D', 'U', 'E', 'T', 'C', 'O', 'N', 'F'};
#define VERSION 1
#define NO_TEXT 0xffffffffu

static void put_bytes(struct buf *b, struct slice s)
{
	buf_le32(b, (uint32_t)s.n);
	buf_slice(b, s);
}

static void put_text(struct buf *b, const char *s)
{
	if (s)
		put_bytes(b, slice_str(s));
	else
		buf_le32(b, NO_TEXT);
}

/* Backends' arguments may hold passwords: "args = password=…". */
static bool withheld(const struct conf_entry *x, unsigned secrets)
{
	unsigned f = x->row->flags;

	if (f & CONF_F_BLOCK)
		return false;
	if ((f & CONF_F_TLS) && !(secrets & CONF_SECRET_TLS))
		return true;
	if ((f & CONF_F_LINK) && !(secrets & CONF_SECRET_LINK))
		return true;
	if (((f & CONF_F_AUTH) || strncmp(x->path, "passdb/", 7) == 0 ||
	     strncmp(x->path, "userdb/", 7) == 0 ||
	     strncmp(x->path, "dict/", 5) == 0) &&
	    !(secrets & CONF_SECRET_AUTH))
		return true;
	return false;
}

static void put_entry(struct buf *b, const struct conf_entry *x,
		      unsigned secrets)
{
	bool hide = withheld(x, secrets);

	put_text(b, x->path);
	put_text(b, hide ? "" : x->raw);
	put_text(b, hide ? "" : x->text);
	put_bytes(b, hide ? SLICE_NONE : x->bytes);
	put_text(b, hide ? NULL : x->from_file);
	put_text(b, x->file);
	buf_le32(b, x->line);
}

int conf_encode(const struct conf *c, unsigned secrets, struct buf *to,
		struct err *e)
{
	buf_put(to, magic, sizeof(magic));
	buf_le32(to, VERSION);
	buf_le32(to, c->flags);
	put_text(to, c->path);
	buf_le32(to, (uint32_t)c->n_layers);
	for (size_t i = 0; i < c->n_layers; i++) {
		const struct conf_layer *l = &c->layers[i];

		buf_le32(to, (uint32_t)l->parent);
		put_text(to, l->filter.local.text);
		put_text(to, l->filter.remote.text);
		put_text(to, l->filter.local_name);
		put_text(to, l->filter.protocol);
		buf_le32(to, (uint32_t)l->n);
		for (size_t j = 0; j < l->n; j++)
			put_entry(to, l->entries[j], secrets);
	}
	if (to->failed)
		return err_set(e, E_LIMIT, "the configuration is too large");
	return 0;
}

/* ---- decoding ---------------------------------------------------------- */

static struct slice get_bytes(struct cursor *in, bool *null)
{
	uint32_t n = cursor_le32(in);

	*null = n == NO_TEXT;
	return *null ? SLICE_NONE : cursor_bytes(in, n);
}

/* A NUL inside would make two texts of one: bad. */
static const char *get_text(struct cursor *in, struct arena *a)
{
	bool null;
	struct slice s = get_bytes(in, &null);

	if (null)
		return NULL;
	if (s.n && memchr(s.p, '\0', s.n))
		in->bad = true;
	return in->bad ? "" : arena_strndup(a, s.n ? (void *)s.p : (void *)"",
					    s.n);
}

static int get_net(struct cursor *in, struct arena *a, struct conf_net *net)
{
	const char *text = get_text(in, a);

	*net = (struct conf_net){.text = NULL};
	if (!text || in->bad)
		return 0;
	/* Only addresses: a name would be looked up again. */
	if (text[strspn(text, "0123456789abcdefABCDEF:./[]")])
		return -1;
	return conf_net_parse(text, net, NULL);
}

static int get_entry(struct cursor *in, struct conf *c, size_t layer)
{
	struct conf_entry x = {.line = 0};
	bool null;

	x.path = get_text(in, c->arena);
	x.raw = get_text(in, c->arena);
	x.text = get_text(in, c->arena);
	x.bytes = get_bytes(in, &null);
	x.from_file = get_text(in, c->arena);
	x.file = get_text(in, c->arena);
	x.line = cursor_le32(in);
	if (in->bad || !x.path || !x.raw || !x.text || !x.file)
		return -1;
	x.bytes = arena_dup(c->arena, x.bytes);
	x.row = conf_row_find(x.path);
	if (!x.row || c->n_entries >= CONF_ENTRIES_MAX)
		return -1;
	conf_layer_put(c, layer, &x);
	return 0;
}

static int get_layer(struct cursor *in, struct conf *c, size_t i)
{
	struct conf_filter f = {.protocol = NULL};
	uint32_t parent = cursor_le32(in), n;

	if (get_net(in, c->arena, &f.local) < 0 ||
	    get_net(in, c->arena, &f.remote) < 0)
		return -1;
	f.local_name = get_text(in, c->arena);
	f.protocol = get_text(in, c->arena);
	n = cursor_le32(in);
	if (in->bad || (i > 0 && parent >= i))
		return -1;
	if (conf_layer_for(c, &f, parent) != i)
		return -1;
	while (n-- > 0)
		if (get_entry(in, c, i) < 0)
			return -1;
	return 0;
}

int conf_decode(struct slice from, struct conf **out, struct err *e)
{
	struct cursor in = cursor_of(from);
	struct slice head = cursor_bytes(&in, sizeof(magic));
	uint32_t version = cursor_le32(&in), flags = cursor_le32(&in), n;
	struct conf *c;
	const char *path;
	const char *dir;

	if (in.bad || !slice_eq(head, slice_of(magic, sizeof(magic))) ||
	    version != VERSION)
		return err_set(e, E_CORRUPT, "not a configuration of this "
					     "version");
	c = conf_new("");
	c->flags = flags;
	path = get_text(&in, c->arena);
	c->path = path ? path : "";
	n = cursor_le32(&in);
	if (n == 0 || n > CONF_FILES_MAX)
		in.bad = true;
	for (size_t i = 0; i < n && !in.bad; i++)
		if (get_layer(&in, c, i) < 0)
			in.bad = true;
	if (!cursor_done(&in)) {
		conf_unref(c);
		return err_set(e, E_CORRUPT, "damaged configuration");
	}
	/* As at load: the supervisor sent what it had checked. */
	dir = conf_text(c, NULL, "base_dir");
	c->base_dir = strncmp(dir, "/var/run/", 9) == 0 ? dir + 4 : dir;
	*out = c;
	return 0;
}
