/* duetconf: shows and checks the configuration, as doveconf does. */

#include "node/base/arena.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/err.h"
#include "node/config/conf.h"
#include "node/config/conf_dump.h"
#include "tools/duetconf.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <netdb.h>

#define OUTPUT_MAX (128u << 20)
#define OVER_MAX 64

static const char usage[] =
	"Usage: duetconf [-adnNPSsx] [-c FILE] [-f FILTER] [-m MODULE] "
	"[-o NAME=VALUE]\n"
	"       duetconf [-n] [-c FILE] SECTION...\n"
	"       duetconf [-h] [-c FILE] [-f FILTER] SETTING...\n"
	"       duetconf check [-c FILE]      what is wrong, and what is "
	"ignored\n"
	"       duetconf default-tree DIR     writes the shipped files\n"
	"\n"
	"  -a  all settings            -n  those that differ from the default\n"
	"  -d  defaults                -N  those that stand in a file\n"
	"  -c FILE                     instead of " DUET_SYSCONFDIR
	"/duet/duet.conf\n"
	"  -f protocol=imap            what holds there; also service, lname, "
	"local, remote\n"
	"  -m MODULE                   settings of imap, lmtp, auth, pair, ...\n"
	"  -h  values without names    -P  secrets in clear\n"
	"  -S  path=value lines        -s  also hidden settings\n"
	"  -x  $names and <files expanded\n"
	"  -o NAME=VALUE               overrides a setting\n"
	"\n"
	"Names may be paths: service/imap/executable, plugin/mail_replica.\n";

struct args {
	const char *path;
	bool path_given;
	struct conf_dump dump;
	bool what_given;
	struct conf_ctx ctx;
	struct conf_override over[OVER_MAX];
	struct conf_opts opts;
};

int duetconf_fatal(const char *text)
{
	fprintf(stderr, "duetconf: Fatal: %s\n", text);
	return DUETCONF_FATAL;
}

static int set_filter(struct args *a, const char *text)
{
	static const char *const names[] = {"protocol", "service", "lname",
					    "local", "remote"};
	const char *eq = strchr(text, '=');

	for (size_t i = 0; eq && i < ARRAY_LEN(names); i++) {
		if (strlen(names[i]) != (size_t)(eq - text) ||
		    strncmp(text, names[i], (size_t)(eq - text)) != 0)
			continue;
		if (i <= 1)
			a->ctx.protocol = eq + 1;
		else if (i == 2)
			a->ctx.local_name = eq + 1;
		else if (i == 3)
			a->ctx.local_ip = eq + 1;
		else
			a->ctx.remote_ip = eq + 1;
		a->dump.ctx = &a->ctx;
		return 0;
	}
	fprintf(stderr, "duetconf: Fatal: Unknown filter argument: %s\n", text);
	return DUETCONF_FATAL;
}

static int set_override(struct args *a, char *text)
{
	char *eq = strchr(text, '=');

	if (!eq || eq == text)
		return duetconf_fatal("-o needs NAME=VALUE");
	if (a->opts.n_over == OVER_MAX)
		return duetconf_fatal("too many -o");
	*eq = '\0';
	a->over[a->opts.n_over++] =
		(struct conf_override){.name = text, .value = eq + 1};
	a->opts.over = a->over;
	return 0;
}

static void set_what(struct args *a, enum conf_dump_what what)
{
	a->dump.what = what;
	a->what_given = true;
}

/* 0, or the exit status + 1. */
static int parse_args(int argc, char **argv, struct args *a)
{
	static const struct option longs[] = {{"help", no_argument, NULL, 1},
					      {"version", no_argument, NULL, 2},
					      {0}};
	int c, r = 0;

	while ((c = getopt_long(argc, argv, "ac:df:hm:nNo:PSsx", longs,
				NULL)) != -1) {
		switch (c) {
		case 'a': set_what(a, CONF_DUMP_ALL); break;
		case 'd': set_what(a, CONF_DUMP_DEFAULTS); break;
		case 'n': set_what(a, CONF_DUMP_SET); break;
		case 'N': set_what(a, CONF_DUMP_EXPLICIT); break;
		case 'c':
			a->path = optarg;
			a->path_given = true;
			break;
		case 'f': r = set_filter(a, optarg); break;
		case 'h': a->dump.values_only = true; break;
		case 'm': a->dump.module = optarg; break;
		case 'o': r = set_override(a, optarg); break;
		case 'P': a->dump.passwords = true; break;
		case 'S': a->dump.machine = true; break;
		case 's': a->dump.hidden = true; break;
		case 'x': a->dump.expand = true; break;
		case 1:
			fputs(usage, stdout);
			return 1;
		case 2:
			printf("%s (%s)\n", DUET_VERSION, DUET_REVISION);
			return 1;
		default:
			fputs(usage, stderr);
			return DUETCONF_FATAL + 1;
		}
		if (r)
			return r + 1;
	}
	return 0;
}

/* ---- header ------------------------------------------------------------ */

static bool first_line(const char *path, char *line, size_t n)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, (int)n, f);

	if (f)
		fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok && *line;
}

static void put_host(struct buf *b)
{
	char host[256] = "localhost";
	struct addrinfo hints = {.ai_flags = AI_CANONNAME}, *res;

	gethostname(host, sizeof(host) - 1);
	if (!strchr(host, '.') && getaddrinfo(host, NULL, &hints, &res) == 0) {
		if (res->ai_canonname && strchr(res->ai_canonname, '.'))
			snprintf(host, sizeof(host), "%s", res->ai_canonname);
		freeaddrinfo(res);
	}
	buf_printf(b, "# Hostname: %s\n", host);
}

static void put_header(struct buf *b, const struct args *a)
{
	struct utsname u;
	char line[128];

	buf_printf(b, "# %s (%s): %s\n", DUET_VERSION, DUET_REVISION, a->path);
	if (uname(&u) == 0) {
		buf_printf(b, "# OS: %s %s %s", u.sysname, u.release,
			   u.machine);
		if (first_line("/etc/debian_version", line, sizeof(line)))
			buf_printf(b, " Debian %s", line);
		else if (first_line("/etc/redhat-release", line, sizeof(line)))
			buf_printf(b, " %s", line);
		buf_char(b, '\n');
	}
	put_host(b);
	if (a->dump.what != CONF_DUMP_SET && a->dump.what != CONF_DUMP_EXPLICIT)
		buf_str(b, "# NOTE: Send duetconf -n output instead when "
			   "asking for help.\n");
}

/* ---- showing ----------------------------------------------------------- */

static void print_notes(const struct conf *c, enum conf_severity severity,
			const char *word)
{
	const struct conf_note *v;
	size_t n = conf_notes(c, &v);

	for (size_t i = 0; i < n; i++) {
		if (v[i].severity != severity)
			continue;
		if (v[i].line)
			fprintf(stderr, "duetconf: %s: %s line %u: %s\n", word,
				v[i].file, v[i].line, v[i].text);
		else
			fprintf(stderr, "duetconf: %s: %s\n", word, v[i].text);
	}
}

/* Settings first, then what is wrong with them, as doveconf. */
static int verdict(struct conf *c, struct err *e)
{
	int r = conf_check(c, e);
	const struct conf_note *v;
	size_t n = conf_notes(c, &v), refused = 0;

	for (size_t i = 0; i < n; i++)
		refused += v[i].severity == CONF_REFUSED;
	if (refused > 1)
		print_notes(c, CONF_REFUSED, "Error");
	return r < 0 ? duetconf_fatal(e->op) : 0;
}

static int show_names(const struct conf *c, const struct args *a, char **names,
		      int n, struct buf *out)
{
	int status = 0;

	for (int i = 0; i < n; i++) {
		struct err e = ERR_NONE;

		if (conf_dump_name(c, &a->dump, names[i], out, &e) < 0)
			status = duetconf_fatal(e.op);
	}
	return status;
}

static int show(struct args *a, char **names, int n)
{
	struct err e = ERR_NONE;
	struct conf *c;
	struct buf out;
	int status;

	if (!a->what_given && n == 0)
		a->dump.what = CONF_DUMP_ALL;
	a->opts.flags = CONF_NO_TREATMENT;
	/* Others than root see paths, not what only root may read. */
	if (geteuid() != 0 && !a->dump.expand)
		a->opts.flags |= CONF_NO_FILES;
	if (a->dump.what == CONF_DUMP_DEFAULTS) {
		if (conf_load_text(a->path, SLICE_NONE, &a->opts, &c, &e) < 0)
			return duetconf_fatal(e.op);
	} else if (conf_load(a->path, &a->opts, &c, &e) < 0) {
		return duetconf_fatal(e.op);
	}
	print_notes(c, CONF_WARNING, "Warning");
	buf_init(&out, OUTPUT_MAX);
	if (n == 0) {
		if (!a->dump.values_only && !a->dump.machine)
			put_header(&out, a);
		conf_dump(c, &a->dump, &out);
		status = 0;
	} else {
		status = show_names(c, a, names, n, &out);
	}
	if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0)
		status = duetconf_fatal("cannot write the output");
	buf_fini(&out);
	if (status == 0 && n == 0 && a->dump.what != CONF_DUMP_DEFAULTS)
		status = verdict(c, &e);
	conf_unref(c);
	return status;
}

static int document(void)
{
	struct buf out;
	bool ok;

	buf_init(&out, OUTPUT_MAX);
	conf_doc(&out);
	ok = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
	buf_fini(&out);
	return ok ? 0 : duetconf_fatal("cannot write the output");
}

int main(int argc, char **argv)
{
	struct args a = {
		.path = DUET_SYSCONFDIR "/duet/duet.conf",
		.dump = {.what = CONF_DUMP_ALL},
	};
	int r = parse_args(argc, argv, &a);

	if (r)
		return r - 1;
	argc -= optind;
	argv += optind;
	if (argc > 0 && strcmp(argv[0], "check") == 0) {
		/* Options may follow the word. */
		optind = 1;
		r = parse_args(argc, argv, &a);
		return r ? r - 1 : duetconf_check(a.path, &a.opts);
	}
	if (argc > 0 && strcmp(argv[0], "default-tree") == 0) {
		if (argc != 2)
			return duetconf_fatal("default-tree needs a directory");
		return duetconf_default_tree(argv[1]);
	}
	/* For tools/gen-settings. */
	if (argc == 1 && strcmp(argv[0], "settings-document") == 0)
		return document();
	return show(&a, argv, argc);
}
