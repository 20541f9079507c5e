#ifndef DUET_TESTS_IMAP_RIG_H
#define DUET_TESTS_IMAP_RIG_H

/*
 * IMAP sessions without processes: store and engine of a single node on a disk
 * in memory, real sessions of node/imap on socket pairs, one loop.  Defines
 * what sessions ask of their host (node/session.h).
 *
 * A dialog is text, a line each:
 *
 *	C: a1 SELECT INBOX	sent, CRLF added; {#NAME} becomes a literal (+)
 *				with the message of that name behind it
 *	S: * <n> EXISTS		the next line of the server: <n> is a number,
 *				<*> is anything
 *	S~ a1 OK <*>		… after any other lines
 *	S! * <n> EXPUNGE	no line up to the next S: or S~ is like this
 *	C2: S2: S2~ …		of the second session (begun by its first line)
 *	E:			the server has closed the connection
 *	# comment
 */

#include "node/base/clock.h"
#include "node/base/loop.h"
#include "node/imap/imap.h"
#include "tests/lib/cu.h"
#include "tests/lib/simdisk.h"
#include "tests/lib/simrng.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RIG_SESSIONS 3

struct rig_session {
	struct session s;
	int fd;				/* ours; -1: not begun */
	bool ended, eof;
	enum session_end how;
	char text[300], stats[600];
	struct buf in;			/* from the server, not looked at yet */
	char left[4000];
};

struct rig_message {
	const char *name, *text;
};

struct rig {
	struct loop *loop;
	struct simdisk *disk;
	struct sys sys;
	struct simtime *time;
	struct simclock clock;
	struct simrng rng;
	struct store *store;
	struct engine *engine;
	struct session_host host;
	struct session_conf conf;
	struct account *account;
	struct rig_session t[RIG_SESSIONS];
	const struct rig_message *messages;
	size_t n_messages;
	size_t piece;			/* octets sent at once, 0 = all */
	bool hang;			/* no fsync ends */
	bool no_inbox;			/* rig_open() makes none */
	void (*repair)(struct rig *g);	/* works if set */
	unsigned repairs;
};

/* ---- the host -------------------------------------------------------------- */

static inline struct rig *rig_of(const struct session *s)
{
	return CONTAINER_OF(s->host, struct rig, host);
}

void session_ended(struct session *s, enum session_end how, const char *text,
		   const char *stats)
{
	struct rig_session *t = CONTAINER_OF(s, struct rig_session, s);

	t->ended = true;
	t->how = how;
	snprintf(t->text, sizeof(t->text), "%s", text);
	snprintf(t->stats, sizeof(t->stats), "%s", stats);
	engine_leave(s->host->engine, s->account);
}

void session_log(const struct session *s, enum log_level level,
		 const char *event, const char *fmt, ...)
{
	(void)s;
	(void)level;
	(void)event;
	(void)fmt;
}

const char *session_field(const struct session *s, const char *name)
{
	(void)s;
	(void)name;
	return NULL;
}

struct rig_repair {
	struct session *s;
	session_repair_done *done;
	void *arg;
};

static inline void rig_repaired(void *arg)
{
	struct rig_repair *r = arg;
	struct rig *g = rig_of(r->s);

	if (g->repair)
		g->repair(g);
	if (!CONTAINER_OF(r->s, struct rig_session, s)->ended)
		r->done(r->arg, g->repair ? 0 : E_TEMP);
	free(r);
}

void session_repair(struct session *s, struct mailbox *m, uint32_t rec,
		    session_repair_done *done, void *arg)
{
	struct rig_repair *r = NEW(struct rig_repair);

	(void)m;
	(void)rec;
	*r = (struct rig_repair){s, done, arg};
	rig_of(s)->repairs++;
	loop_defer(s->host->loop, rig_repaired, r);
}

void session_repair_forget(struct session *s, void *arg)
{
	(void)s;
	(void)arg;
}

/* ---- life ------------------------------------------------------------------ */

static inline void rig_turn(struct rig *g)
{
	loop_turn(g->loop, 0);
	engine_turn(g->engine);
	store_turn(g->store);
	if (!g->hang)
		simdisk_complete(g->disk, SIZE_MAX);
	engine_turn(g->engine);
}

static inline void rig_pump(struct rig *g, unsigned turns)
{
	while (turns--)
		rig_turn(g);
}

static inline void rig_served(void *arg, enum engine_verdict v,
			      struct account *a, const struct err *err)
{
	struct account **out = arg;

	(void)err;
	*out = v == ENGINE_SERVE ? a : NULL;
}

static inline struct account *rig_ask(struct rig *g)
{
	struct account *a = NULL;
	struct id128 id = account_id_of(SLICE_LIT("0123456789abcdef"),
					SLICE_LIT("alice"));

	engine_ask(g->engine, id, "alice", "/mail/alice", true, false,
		   rig_served, &a);
	for (unsigned i = 0; i < 100 && !a; i++) {
		rig_turn(g);
		if (i % 10 == 9)
			engine_tick(g->engine, false);
	}
	return a;
}

static inline void rig_noted(void *arg, struct write *w, int result,
			     bool unknown, const struct err *err)
{
	int *out = arg;

	(void)w;
	(void)err;
	*out = unknown ? -2 : result < 0 ? -1 : 1;
}

/* Any write, as another node's session would make it. */
static inline int rig_write(struct rig *g, struct write *w)
{
	int done = 0;

	engine_write(g->engine, g->account, w, rig_noted, &done);
	for (unsigned i = 0; i < 200 && !done; i++)
		rig_turn(g);
	return done;
}

static inline bool rig_autocreate(struct rig *g)
{
	static const struct auto_mailbox autos[] = {{.name = "INBOX"}};
	struct write w = {.kind = WRITE_AUTOCREATE, .autos = autos,
			  .n_autos = 1, .arena = arena_new(1024)};
	int r = rig_write(g, &w);

	arena_free(w.arena);
	return r == 1;
}

static inline void rig_sent(void *arg, const struct link_msg *m)
{
	(void)arg;
	(void)m;
}

static inline void rig_evicted(void *arg, struct account *a, const char *why)
{
	(void)arg;
	(void)a;
	(void)why;
}

static inline void rig_event(void *arg, const char *event, struct account *a,
			     const char *text)
{
	(void)arg;
	(void)event;
	(void)a;
	(void)text;
}

static inline bool rig_open(struct rig *g)
{
	struct store_opts so = {
		.sys = &g->sys, .pair_id = SLICE_LIT("0123456789abcdef"),
		.pair_time = 1800000001u, .state_dir = "/state",
		.mail_root = "", .processes = 1, .journal_size = 4u << 20,
		.journal_inline = 64 * 1024,
	};
	struct engine_opts eo = {
		.sys = &g->sys, .pair_id = so.pair_id,
		.pair_time = so.pair_time, .single = true, .trusted = true,
		.ack_timeout = 8, .takeover_delay = 10, .start_window = 24,
	};
	struct engine_out out = {.send = rig_sent, .evict = rig_evicted,
				 .event = rig_event};
	struct err e = ERR_NONE;

	if (!CU_OK(store_open(&so, &g->store, &e), &e))
		return false;
	eo.store = g->store;
	if (!CU_OK(engine_new(&eo, &out, &g->engine, &e), &e))
		return false;
	g->host = (struct session_host){
		.loop = g->loop, .sys = &g->sys, .store = g->store,
		.engine = g->engine, .version = "1.0", .single = true,
		.started_seconds = 1800000000,
	};
	g->account = rig_ask(g);
	return CU_CLAIM(g->account, "the account is served") &&
	       CU_CLAIM(g->no_inbox || rig_autocreate(g), "INBOX is made");
}

static inline void rig_init(struct rig *g)
{
	memset(g, 0, sizeof(*g));
	loop_new(&g->loop);
	g->time = simtime_new();
	simclock_init(&g->clock, g->time, 1800000000ull * USEC_PER_SEC);
	simrng_init(&g->rng, 1);
	g->disk = simdisk_new(NULL);
	g->sys = (struct sys){simdisk_fs(g->disk), &g->clock.clock,
			      &g->rng.rng};
	g->sys.fs->ops->mkdir(g->sys.fs, "/state", 0700);
	g->sys.fs->ops->mkdir(g->sys.fs, "/mail", 0700);
	g->sys.fs->ops->mkdir(g->sys.fs, "/mail/alice", 0700);
	for (size_t i = 0; i < RIG_SESSIONS; i++) {
		g->t[i].fd = -1;
		buf_init(&g->t[i].in, 64u << 20);
	}
	g->conf = (struct session_conf){
		.refs = 1, .separator = '/', .hostname = "test",
		.mail_log_prefix = "", .imap_capability = "",
		.imap_client_workarounds = "", .imap_id_send = "name *",
		.imap_id_log = "", .imap_logout_format = "in=%i out=%o "
		"deleted=%{deleted} expunged=%{expunged}",
		.imap_max_line_length = 64 * 1024,
		.mail_max_keyword_length = 50,
	};
}

static inline void rig_end_session(struct rig *g, struct rig_session *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->s.impl && !t->ended)
		t->s.ops->kill(&t->s);
	t->fd = -1;
	(void)g;
}

static inline void rig_fini(struct rig *g)
{
	for (size_t i = 0; i < RIG_SESSIONS; i++) {
		rig_end_session(g, &g->t[i]);
		buf_fini(&g->t[i].in);
	}
	if (g->engine)
		rig_pump(g, 20);
	if (g->account)
		engine_leave(g->engine, g->account);
	imap_shared_free(&g->host);
	engine_free(g->engine);
	if (g->store)
		store_close(g->store);
	loop_free(g->loop);
	simdisk_free(g->disk);
	simtime_free(g->time);
}

/* ---- a client ---------------------------------------------------------------- */

static inline bool rig_start(struct rig *g, struct rig_session *t)
{
	struct account *a = rig_ask(g);
	struct err e = ERR_NONE;
	int fds[2];

	if (!a || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return false;
	t->fd = fds[0];
	t->ended = t->eof = false;
	fcntl(t->fd, F_SETFL, O_NONBLOCK);
	t->s = (struct session){
		.host = &g->host, .conf = &g->conf, .service = "imap",
		.fd = fds[1], .login_tag = "l", .account = a, .user = "alice",
		.home = "", .rip = "192.0.2.1", .lip = "192.0.2.2",
		.id = "xyz", .leftover = slice_str(t->left),
	};
	return CU_OK(imap_session_start(&t->s, &e), &e);
}

static inline void rig_read(struct rig_session *t)
{
	for (;;) {
		uint8_t *to = buf_room(&t->in, 65536);
		ssize_t n = t->fd >= 0 && to ? read(t->fd, to, 65536) : -1;

		if (n == 0)
			t->eof = true;
		if (n <= 0)
			return;
		buf_commit(&t->in, (size_t)n);
	}
}

static inline void rig_send(struct rig *g, struct rig_session *t,
			    struct slice bytes)
{
	unsigned stuck = 0;

	while (bytes.n && stuck < 10000) {
		size_t n = g->piece && g->piece < bytes.n ? g->piece : bytes.n;
		ssize_t w = send(t->fd, bytes.p, n, MSG_NOSIGNAL);

		if (w < 0 && errno != EAGAIN)
			return;
		if (w > 0)
			bytes = slice_sub(bytes, (size_t)w, bytes.n);
		stuck = w > 0 ? 0 : stuck + 1;
		if (g->piece || w < 0) {
			rig_turn(g);
			rig_read(t);
		}
	}
}

/* The next line, without its end; false if none comes. */
static inline bool rig_line(struct rig *g, struct rig_session *t, char *line,
			    size_t max)
{
	for (unsigned i = 0; i < 500; i++) {
		const uint8_t *lf;
		size_t n;

		rig_read(t);
		lf = t->in.n ? memchr(t->in.p, '\n', t->in.n) : NULL;
		if (!lf) {
			if (t->eof)
				return false;
			rig_turn(g);
			continue;
		}
		n = (size_t)(lf - t->in.p);
		snprintf(line, max, "%.*s",
			 (int)(n && t->in.p[n - 1] == '\r' ? n - 1 : n),
			 (const char *)t->in.p);
		buf_consume(&t->in, n + 1);
		return true;
	}
	return false;
}

/* <*> anything, <n> a number. */
static inline bool rig_like(const char *want, const char *is)
{
	for (; *want; want++, is++) {
		if (strncmp(want, "<*>", 3) == 0) {
			for (const char *p = is;; p++) {
				if (rig_like(want + 3, p))
					return true;
				if (!*p)
					return false;
			}
		}
		if (strncmp(want, "<n>", 3) == 0) {
			size_t n = strspn(is, "0123456789");

			return n && rig_like(want + 3, is + n);
		}
		if (*want != *is)
			return false;
	}
	return *is == 0;
}

/* ---- dialogs -------------------------------------------------------------------- */

static inline void rig_expand(struct rig *g, const char *line, struct buf *to)
{
	const char *at = strstr(line, "{#"), *end = at ? strchr(at, '}') : NULL;

	if (!end) {
		buf_str(to, line);
		buf_str(to, "\r\n");
		return;
	}
	buf_put(to, line, (size_t)(at - line));
	for (size_t i = 0; i < g->n_messages; i++) {
		const struct rig_message *m = &g->messages[i];

		if (strlen(m->name) != (size_t)(end - at - 2) ||
		    strncmp(m->name, at + 2, strlen(m->name)) != 0)
			continue;
		buf_printf(to, "{%zu+}\r\n%s", strlen(m->text), m->text);
	}
	rig_expand(g, end + 1, to);
}

static inline bool rig_expect(struct rig *g, struct rig_session *t, char kind,
			      const char *want, const char *not_like, int at)
{
	char line[8192];

	for (;;) {
		if (!rig_line(g, t, line, sizeof(line)))
			return CU_CLAIM(false, "line %d: nothing came, wanted "
					"'%s'", at, want);
		if (not_like[0] && rig_like(not_like, line))
			return CU_CLAIM(false, "line %d: unwanted '%s'", at,
					line);
		if (rig_like(want, line))
			return CU_CLAIM(true, "line");
		if (kind != '~')
			return CU_CLAIM(false, "line %d: got '%s', wanted '%s'",
					at, line, want);
	}
}

/* False at the first line that does not come as it should. */
static inline bool rig_dialog(struct rig *g, const char *text)
{
	char line[8192], not_like[8192] = "";
	int at = 0;

	while (*text) {
		size_t n = strcspn(text, "\n"), which = 0, pos = 1;
		struct rig_session *t;
		struct buf b;
		bool ok = true;

		at++;
		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		text += n + (text[n] == '\n');
		if (line[0] == '#' || line[0] == 0)
			continue;
		if (line[pos] >= '1' && line[pos] <= '9')
			which = (size_t)(line[pos++] - '1');
		t = &g->t[which];
		if (t->fd < 0) {
			ok = rig_start(g, t) &&
			     rig_expect(g, t, ':', "l OK [CAPABILITY <*>] "
					"Logged in", "", at);
			if (!ok)
				return false;
		}
		const char *rest = line + pos + 1 + (line[pos + 1] == ' ');

		if (line[0] == 'C') {
			buf_init(&b, 1u << 20);
			rig_expand(g, rest, &b);
			rig_send(g, t, buf_all(&b));
			buf_fini(&b);
		} else if (line[0] == 'S' && line[pos] == '!') {
			snprintf(not_like, sizeof(not_like), "%s", rest);
		} else if (line[0] == 'S') {
			ok = rig_expect(g, t, line[pos], rest, not_like, at);
			not_like[0] = 0;
		} else if (line[0] == 'E') {
			ok = CU_CLAIM(!rig_line(g, t, line, sizeof(line)) &&
				      t->eof && t->ended,
				      "line %d: not closed: '%s'", at, line);
		}
		if (!ok)
			return false;
	}
	/* Nothing may come that was not asked for. */
	rig_pump(g, 5);
	for (size_t i = 0; i < RIG_SESSIONS; i++) {
		if (g->t[i].fd >= 0)
			rig_read(&g->t[i]);
		if (g->t[i].in.n)
			return CU_CLAIM(false, "session %zu: left over '%.*s'",
					i + 1, (int)(g->t[i].in.n > 300 ? 300 :
						     g->t[i].in.n),
					(const char *)g->t[i].in.p);
	}
	return true;
}

#endif
