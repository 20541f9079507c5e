#ifndef DUET_TOOLS_ADM_CLI_H
#define DUET_TOOLS_ADM_CLI_H

/*
 * What the commands of duetadm share: the run's options, errors, tables, the
 * node's socket.
 *
 *   duetadm.c         global options, finding the command
 *   adm_table.c       the table of commands
 *   adm_help.c        usage and help, made from the table
 *   adm_cli.c         errors, options, names of users, tables
 *   adm_print.c       formatters
 *   adm_call.c        requests to the roles of a node
 *   adm_place.c       which node: -S, -i, -c, the default
 *   adm_accounts.c    the replication state of accounts, as store tells it
 *   adm_*.c           the commands
 */

#include "node/base/arena.h"
#include "node/base/err.h"
#include "node/config/conf.h"
#include "proto/ipc_msg.h"
#include "tools/adm_print.h"

#include <getopt.h>
#include <sysexits.h>

#define EX_NOTFOUND EX_NOHOST	/* 68, as doveadm: no such thing */
#define ADM_OVER_MAX 64u
#define ADM_ARGS_MAX 400u	/* words of one request */
#define ADM_NAMES_FILE_MAX (16u << 20)	/* -F */

enum adm_area {
	AREA_PAIR,		/* in this build */
	AREA_HEAL, AREA_PROTOCOLS, AREA_ACCOUNTS, AREA_SIEVE,
	AREA_OPERATIONS,
	AREA_NEVER,		/* Duet has no such thing */
};

struct adm_cli;

struct adm_command {
	const char *name;	/* "replicator status" */
	const char *usage;	/* arguments */
	/* One sentence.  AREA_NEVER: what serves instead. */
	const char *help;
	enum adm_area area;
	/* argv[0] is the last word of the name.  Gives the exit status.  NULL
	 * outside AREA_PAIR. */
	int (*run)(struct adm_cli *c, int argc, char **argv);
};

/* Ends with a zero name. */
extern const struct adm_command adm_commands[];

struct adm_cli {
	const char *program;		/* "duetadm", or the link's name */
	bool debug, verbose;
	const char *formatter;		/* NULL: the command's own */
	const char *conf_path, *instance, *socket;	/* NULL: not given */
	struct conf_override over[ADM_OVER_MAX];
	size_t n_over;
	const struct adm_command *cmd;	/* running */
	struct arena *arena;		/* lives as long as the run */
	FILE *out;
	bool helped;			/* --help was answered */
};

/* ---- adm_help.c ---- */
void adm_help_all(const struct adm_cli *c, FILE *out);
/* "replicator": the commands that begin with this word; false if none do. */
bool adm_help_group(const struct adm_cli *c, const char *word, FILE *out);
void adm_help_command(const struct adm_cli *c, const struct adm_command *cmd,
		      FILE *out);
int adm_cmd_help(struct adm_cli *c, int argc, char **argv);
/* Answers for a command that is not in AREA_PAIR; EX_UNAVAILABLE. */
int adm_not_here(const struct adm_cli *c, const struct adm_command *cmd);

/* ---- adm_cli.c ---- */
/* The command at the start of argv, and how many words its name takes.  NULL:
 * none. */
const struct adm_command *adm_find(int argc, char *const *argv, int *words_out);
/* "duetadm: Error: …" on stderr; gives code. */
int adm_error(const struct adm_cli *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void adm_warn(const struct adm_cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void adm_debug(const struct adm_cli *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * As getopt(), for the options of a command.  Every command has --help and
 * --json as well.  Anything unexpected gives '?': return adm_usage(c).
 * opts beginning with '+': options only before the arguments.  extra may be
 * NULL; its vals are above 255.
 */
int adm_getopt(struct adm_cli *c, int argc, char **argv, const char *opts,
	       const struct option *extra);
/* Prints the usage of the command: EX_USAGE, or 0 after --help. */
int adm_usage(const struct adm_cli *c);
/* A table in the form asked for; fallback: the command's own. */
struct print *adm_print(const struct adm_cli *c, const char *fallback,
			const struct print_column *cols, size_t n,
			unsigned gap);

/* Whose accounts: -u NAME, -A, -F FILE, and masks among the arguments. */
struct adm_users {
	const char **masks;
	size_t n, cap;
};
/* Handles option ch ('u', 'A', 'F'); 0, or an exit status. */
int adm_users_option(struct adm_cli *c, struct adm_users *u, int ch,
		     const char *value);
void adm_users_add(struct adm_users *u, const char *mask);
/* Names of a file's text, one a line; blanks around and empty lines do not
 * count. */
void adm_users_lines(struct adm_cli *c, struct adm_users *u, struct slice text);
bool adm_users_match(const struct adm_users *u, const char *name);
void adm_users_fini(struct adm_users *u);

/* "*" and "?"; case counts. */
bool adm_mask_match(const char *mask, const char *name);
/* An address with or without "/BITS". */
struct adm_net {
	uint8_t addr[16];
	unsigned bits;
	bool v6;
};
bool adm_net_parse(const char *text, struct adm_net *out);
bool adm_net_holds(const struct adm_net *n, const char *ip);
/* Microseconds as "hh:mm:ss"; hours may be long. */
const char *adm_age(struct arena *a, uint64_t usec);
/* The age of a moment in wall time; "-" for 0 = never. */
const char *adm_age_since(struct arena *a, uint64_t then, uint64_t now);
/* Local time "2026-11-24 05:15:21"; "-" for 0. */
const char *adm_time(struct arena *a, uint64_t usec);
uint64_t adm_now(void);

/* ---- adm_place.c ---- */
/* Where this run's node is: socket and, if it is known, configuration file.
 * An exit status; errors were printed. */
struct adm_place {
	const char *base_dir;	/* "" with -S */
	const char *socket;
	const char *config;	/* "" if not known */
};
int adm_place(const struct adm_cli *c, struct adm_place *out);
/* The configuration, if this caller may read it; NULL and why not. */
struct conf *adm_conf(const struct adm_cli *c, struct err *e);
/* One line of the list of nodes of this machine. */
struct adm_instance {
	const char *name, *base_dir, *config;
	uint64_t used;			/* seconds since 1970 */
};
#define ADM_INSTANCES DUET_LOCALSTATEDIR "/lib/duet/instances"
/* From the text of the list; lines of another form are left out. */
size_t adm_instances(struct arena *a, struct slice text,
		     struct adm_instance **out);
/* The list of this machine, empty if there is none. */
size_t adm_instances_read(struct arena *a, struct adm_instance **out);
bool adm_instance_runs(const struct adm_instance *i);

/* ---- adm_call.c ---- */
struct adm_ops {
	void (*row)(void *arg, const char *const *cells, size_t n);
	void (*text)(void *arg, const char *line);	/* NULL: to stdout */
	void *arg;
};
/* Texts are valid during the callbacks only. */
enum { CALL_UNTIL_GONE = 1,	/* then waits until the role is gone */
       CALL_STATUS = 2,		/* replicator-doveadm will do */
       CALL_PARTNER = 4,	/* the partner's role, through the link */
       CALL_QUIET = 8,		/* prints no error */
       CALL_HERE = 16 };	/* adm_accounts_read(): not the partner */
struct adm_request {
	enum ipc_role role;
	unsigned index;
	const char *name;		/* command */
	const char *const *args;
	size_t n_args;
	const struct ipc_field *fields;
	size_t n_fields;
	const char *login;
	struct slice data;
	unsigned flags;			/* CALL_* */
};
/*
 * Asks and waits.  Gives the exit status of the answer; what came with it is
 * printed as an error unless it is 0.  Without an answer EX_TEMPFAIL or
 * EX_NOPERM, printed with what to do.
 */
int adm_call(const struct adm_cli *c, const struct adm_request *q,
	     const struct adm_ops *ops);

struct adm_topology {
	unsigned stores, fronts, index;
	bool member;
	const char *pair_id, *config, *version;
};
/* flags: CALL_STATUS; with CALL_PARTNER the partner's, without its path of a
 * configuration. */
int adm_topology(const struct adm_cli *c, unsigned flags,
		 struct adm_topology *out);
/*
 * The partner, as seen by a node with `here`.  0: it answers; EX_UNAVAILABLE:
 * there is none; EX_TEMPFAIL: it cannot be asked now.  Prints nothing: what
 * that means is the command's to say.
 */
int adm_partner(const struct adm_cli *c, unsigned flags,
		const struct adm_topology *here, struct adm_topology *out);
/* The request to every store process of that node; the first exit status that
 * is not 0. */
int adm_each_store(const struct adm_cli *c, const struct adm_topology *t,
		   const struct adm_request *q, const struct adm_ops *ops);

/* ---- adm_user.c ---- */
/* A line from standard input; a terminal shows the prompt and no echo.  NULL:
 * there was none.  Lies in the arena. */
char *adm_ask_password(const struct adm_cli *c, const char *prompt);

/* ---- the commands ---- */
int adm_cmd_user(struct adm_cli *c, int argc, char **argv);
int adm_cmd_auth_test(struct adm_cli *c, int argc, char **argv);
int adm_cmd_auth_lookup(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pw(struct adm_cli *c, int argc, char **argv);
int adm_cmd_who(struct adm_cli *c, int argc, char **argv);
int adm_cmd_kick(struct adm_cli *c, int argc, char **argv);
int adm_cmd_log_reopen(struct adm_cli *c, int argc, char **argv);
int adm_cmd_reload(struct adm_cli *c, int argc, char **argv);
int adm_cmd_stop(struct adm_cli *c, int argc, char **argv);
int adm_cmd_instance_list(struct adm_cli *c, int argc, char **argv);
int adm_cmd_instance_remove(struct adm_cli *c, int argc, char **argv);
int adm_cmd_config(struct adm_cli *c, int argc, char **argv);
int adm_cmd_replicator_status(struct adm_cli *c, int argc, char **argv);
int adm_cmd_replicator_dsync_status(struct adm_cli *c, int argc, char **argv);
int adm_cmd_replicator_replicate(struct adm_cli *c, int argc, char **argv);
int adm_cmd_replicator_add(struct adm_cli *c, int argc, char **argv);
int adm_cmd_replicator_remove(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_status(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_ready(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_takeover(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_switchover(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_restored(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_selftest(struct adm_cli *c, int argc, char **argv);
int adm_cmd_pair_forget_peer(struct adm_cli *c, int argc, char **argv);
int adm_cmd_dump(struct adm_cli *c, int argc, char **argv);

#endif
