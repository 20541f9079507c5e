#ifndef DUET_NODE_CONF_TABLE_H
#define DUET_NODE_CONF_TABLE_H

/*
 * The table of settings: one row per name, in the files conf_rows_*.c by
 * area.  A name below a block has a star where the block's own name stands,
 * between the slashes.  Everything else - values, notes, refusals, reload,
 * documents - is read from here.
 */

#include "node/base/arena.h"
#include "node/base/err.h"
#include "node/config/conf.h"

struct buf;

enum conf_type {
	CONF_T_STR,
	CONF_T_BOOL,
	CONF_T_UINT,	/* unsigned int, as in 2.3 */
	CONF_T_OCT,	/* 0600; without a leading 0 it is decimal */
	CONF_T_TIME,	/* seconds and more */
	CONF_T_MSECS,	/* milliseconds allowed */
	CONF_T_SIZE,
	CONF_T_PORT,
	CONF_T_ENUM,
	CONF_T_PERCENT,
};

enum conf_treat {
	CONF_TR_USED,	/* read, validated, in force */
	CONF_TR_NOTE,	/* accepted and ignored: one note if not the default */
	CONF_TR_LATER,	/* honoured by a later area; until then a note */
	CONF_TR_REFUSE,	/* an error if not the default */
};

/* Areas that bring a setting, for texts. */
const char *conf_area_name(unsigned area);

enum {		/* modules, for duetconf -m */
	CONF_M_AUTH = 1 << 0,
	CONF_M_MASTER = 1 << 1,
	CONF_M_LOGIN = 1 << 2,
	CONF_M_IMAP_LOGIN = 1 << 3,
	CONF_M_MAIL = 1 << 4,
	CONF_M_IMAP = 1 << 5,
	CONF_M_POP3 = 1 << 6,
	CONF_M_LMTP = 1 << 7,
	CONF_M_LDA = 1 << 8,
	CONF_M_DOVEADM = 1 << 9,
	CONF_M_REPLICATOR = 1 << 10,
	CONF_M_AGGREGATOR = 1 << 11,
	CONF_M_DIRECTOR = 1 << 12,
	CONF_M_STATS = 1 << 13,
	CONF_M_DICT = 1 << 14,
	CONF_M_SSL = 1 << 15,
	CONF_M_MAILDIR = 1 << 16,
	CONF_M_MBOX = 1 << 17,
	CONF_M_MDBOX = 1 << 18,
	CONF_M_IMAPC = 1 << 19,
	CONF_M_POP3C = 1 << 20,
	CONF_M_SUBMISSION = 1 << 21,
	CONF_M_SUBMISSION_LOGIN = 1 << 22,
	CONF_M_URLAUTH = 1 << 23,
	CONF_M_MANAGESIEVE = 1 << 24,
	CONF_M_PAIR = 1 << 25,
	CONF_M_GLOBAL = 1 << 26,
	CONF_M_ALL = CONF_M_GLOBAL,
};
/* The bits of "imap", "lmtp", …; unknown names give the global ones. */
unsigned conf_module_mask(const char *module);

enum {
	CONF_F_HIDDEN = 1,	/* shown by duetconf -s only */
	CONF_F_TLS = 2,		/* secret of the client ports */
	CONF_F_LINK = 4,	/* secret of the link */
	CONF_F_AUTH = 8,	/* secret of backends */
	CONF_F_HIDE_VALUE = 16,	/* not shown without -P, no secret otherwise */
	CONF_F_VARS = 32,	/* %variables are checked at load */
	CONF_F_SHOW_EMPTY = 64,	/* duetconf -n always shows it in its block */
	CONF_F_WARN = 128,	/* the note is a warning */
	CONF_F_ANY = 256,	/* the row of names nobody knows */
	CONF_F_BLOCK = 512,	/* marks the presence of a block, no setting */
	CONF_F_SECRET = CONF_F_TLS | CONF_F_LINK | CONF_F_AUTH,
};

struct conf_row {
	const char *name, *def, *help;
	const char *values;	/* words of an enum, the default among them */
	const char *instead;	/* why, or what to do instead */
	uint64_t min, max;	/* seconds, bytes or numbers; max 0 = none */
	uint32_t modules;
	uint16_t flags;
	uint8_t type, treat, area, reload;
};

#define ROW(n, t, d, m, tr, a, rl, h, ...)                                 \
	{                                                                  \
		.name = (n), .type = CONF_T_##t, .def = (d), .modules = (m), \
		.treat = CONF_TR_##tr, .area = (a),                        \
		.reload = CONF_RELOAD_##rl, .help = (h), ##__VA_ARGS__     \
	}

#define CONF_DEF_BASE_DIR DUET_RUNSTATEDIR "/duet"
#define CONF_DEF_STATE_DIR DUET_LOCALSTATEDIR "/lib/duet"

#define CONF_ROWS(X) \
	X(core) X(tls) X(auth) X(mail) X(format) X(proto) X(pair) X(service) \
	X(plugin)
#define CONF_ROWS_DECLARE(x)                     \
	extern const struct conf_row conf_rows_##x[]; \
	extern const size_t conf_rows_##x##_n;
CONF_ROWS(CONF_ROWS_DECLARE)
#undef CONF_ROWS_DECLARE

/* Every row, by index; NULL behind the last. */
const struct conf_row *conf_row_at(size_t i);
/* The row of a path ("service/lmtp/user", "mail_location"); names that plugin
 * blocks, dicts and services take freely give a row with CONF_F_ANY.  NULL. */
const struct conf_row *conf_row_find(const char *path);
/* The known name nearest to a mistyped one below the same block, or NULL. */
const char *conf_row_nearest(const char *path);

/* ---- blocks ------------------------------------------------------------ */

enum conf_naming {
	CONF_NAMED,	/* same name: merged over all files; unnamed: apart */
	CONF_NEW,	/* every block is one of its own */
	CONF_FREE,	/* settings of any name, no blocks inside */
};

struct conf_block {
	const char *path;	/* "service", the listeners of a service */
	enum conf_naming naming;
	const char *name_key;	/* setting that holds the name, or NULL */
};

/* path: of the block, with names ("service/lmtp/unix_listener").  NULL. */
const struct conf_block *conf_block_find(const char *path);

/* ---- built-in services ------------------------------------------------- */

struct conf_service_listener {
	char kind;	/* 'u'nix, 'f'ifo, 'i'net */
	const char *name;
	const char *mode, *user, *group;	/* NULL = default */
	const char *port;
	bool ssl;
};

struct conf_service {
	const char *name, *protocol, *type, *executable, *user, *chroot;
	const char *extra_groups;
	const char *client_limit, *process_limit, *process_min_avail;
	const char *service_count, *idle_kill;	/* NULL = default */
	bool drop_priv;
	/* What this build does with it: 0 nothing, else an area. */
	uint8_t area;
	const struct conf_service_listener *listeners;	/* kind 0 ends */
};

extern const struct conf_service conf_services[];
extern const size_t conf_services_n;
const struct conf_service *conf_service_find(const char *name);
/* The value that a path below a built-in service has without any file, or
 * NULL: then the row's default holds. */
const char *conf_service_default(const char *path);

/* ---- values ------------------------------------------------------------ */

/* E_CONFIG with 2.3's text.  num_out: usec for times, else the number. */
int conf_value_parse(const struct conf_row *row, const char *text,
		     uint64_t *num_out, struct err *e);
/* The form that duetconf prints ("5 mins", "64 k", "yes", "0600"). */
void conf_value_print(const struct conf_row *row, const char *text,
		      struct buf *out);
/* Equal in meaning ("60s" and "1 mins"). */
bool conf_value_same(const struct conf_row *row, const char *a, const char *b);

/* ---- paths ------------------------------------------------------------- */

/* Appends one component with '/', blank and '\' escaped as 2.3 does. */
void conf_path_add(struct buf *b, const char *name);
/* The name behind an escaped component. */
char *conf_path_unescape(struct arena *a, const char *comp, size_t n);
/* Order of output: by component, numbers by value. */
int conf_path_cmp(const char *a, const char *b);

#endif
