/*
 * duetadm - the administrator's command of a Duet node.
 *
 * The client side of administration: global options, and the way to the
 * command (tools/adm_table.c).  tools/adm_cli.h has the map of its files,
 * docs/admin-protocol.md what it says to a node.  Called by another name
 * ("doveadm", by a link) it is the same program.
 */

#include "tools/adm_cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int set_override(struct adm_cli *c, char *text)
{
	char *eq = strchr(text, '=');

	if (!eq || eq == text)
		return adm_error(c, EX_USAGE, "-o needs name=value");
	if (c->n_over == ADM_OVER_MAX)
		return adm_error(c, EX_USAGE, "more than %u options -o",
				 ADM_OVER_MAX);
	*eq = 0;
	c->over[c->n_over++] =
		(struct conf_override){.name = text, .value = eq + 1};
	return 0;
}

static int set_formatter(struct adm_cli *c, const char *name)
{
	if (!print_known(name))
		return adm_error(c, EX_TEMPFAIL, "Unknown print formatter: %s "
				 "(there are table, tab, flow, pager and "
				 "json)", name);
	c->formatter = name;
	return 0;
}

enum { OPT_JSON = 1000, OPT_HELP, OPT_VERSION };

/* 0: go on; else exit status + 1. */
static int global_options(struct adm_cli *c, int argc, char **argv)
{
	static const struct option longs[] = {
		{"json", no_argument, NULL, OPT_JSON},
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, OPT_VERSION},
		{0},
	};
	int ch, r = 0;

	while (r == 0 && (ch = getopt_long(argc, argv, "+Dvf:o:c:i:S:", longs,
					   NULL)) != -1) {
		switch (ch) {
		case 'D': c->debug = c->verbose = true; break;
		case 'v': c->verbose = true; break;
		case 'f': r = set_formatter(c, optarg); break;
		case 'o': r = set_override(c, optarg); break;
		case 'c': c->conf_path = optarg; break;
		case 'i': c->instance = optarg; break;
		case 'S': c->socket = optarg; break;
		case OPT_JSON: c->formatter = "json"; break;
		case OPT_HELP:
			adm_help_all(c, stdout);
			return EX_OK + 1;
		case OPT_VERSION:
			printf("%s (%s)\n", DUET_VERSION, DUET_REVISION);
			return EX_OK + 1;
		default:
			adm_help_all(c, stderr);
			return EX_USAGE + 1;
		}
	}
	return r ? r + 1 : 0;
}

static int unknown(const struct adm_cli *c, const char *word)
{
	if (adm_help_group(c, word, stderr))
		return EX_USAGE;
	return adm_error(c, EX_USAGE, "there is no command `%s'; `%s help' "
			 "lists them", word, c->program);
}

static int run(struct adm_cli *c, int argc, char **argv)
{
	int words;

	if (argc == 0) {
		adm_help_all(c, stderr);
		return EX_USAGE;
	}
	c->cmd = adm_find(argc, argv, &words);
	if (!c->cmd && argc == 2 && strcmp(argv[1], "--help") == 0 &&
	    adm_help_group(c, argv[0], stdout))
		return EX_OK;
	if (!c->cmd)
		return unknown(c, argv[0]);
	if (!c->cmd->run)
		return adm_not_here(c, c->cmd);
	/* The options of a command are read anew. */
	optind = 0;
	return c->cmd->run(c, argc - words + 1, argv + words - 1);
}

int main(int argc, char **argv)
{
	struct adm_cli c = {.program = "duetadm", .out = stdout};
	const char *base = strrchr(argv[0] ? argv[0] : "", '/');
	int r;

	base = base ? base + 1 : argv[0];
	if (base && *base)
		c.program = base;
	signal(SIGPIPE, SIG_IGN);
	r = global_options(&c, argc, argv);
	if (r)
		return r - 1;
	c.arena = arena_new(4096);
	r = run(&c, argc - optind, argv + optind);
	arena_free(c.arena);
	if (fflush(stdout) != 0 || ferror(stdout))
		r = adm_error(&c, EX_IOERR, "cannot write the output");
	return r;
}
