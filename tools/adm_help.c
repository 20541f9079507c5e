/* Usage and help, made from the table. */

#include "tools/adm_cli.h"

#include <string.h>

static const char *area_name(enum adm_area a)
{
	static const char *const names[] = {
		[AREA_PAIR] = "pair", [AREA_HEAL] = "heal",
		[AREA_PROTOCOLS] = "protocols", [AREA_ACCOUNTS] = "accounts",
		[AREA_SIEVE] = "sieve", [AREA_OPERATIONS] = "operations",
		[AREA_NEVER] = "",
	};

	return names[a];
}

static void put_options(const struct adm_cli *c, FILE *out)
{
	fprintf(out, "usage: %s [-Dv] [-f <formatter>] [-o <name=value>] "
		"[-c <file>] [-i <instance>]\n"
		"               [-S <socket>] <command> [<args>]\n\n",
		c->program);
}

static size_t first_word(const char *name)
{
	return strcspn(name, " ");
}

/* "replicator  status|add|…" for names of several words. */
static const struct adm_command *put_group(const struct adm_command *k,
					   FILE *out)
{
	size_t n = first_word(k->name);
	const char *word = k->name, *sep = "";

	fprintf(out, "  %-12.*s ", (int)n, word);
	for (; k->name && first_word(k->name) == n &&
	     memcmp(k->name, word, n) == 0; k++) {
		if (k->area != AREA_PAIR)
			continue;
		fprintf(out, "%s%s", sep, k->name + n + 1);
		sep = "|";
	}
	putc('\n', out);
	return k;
}

static void put_list(FILE *out, bool here)
{
	for (const struct adm_command *k = adm_commands; k->name;) {
		if (k->area == AREA_NEVER || (k->area == AREA_PAIR) != here) {
			k++;
			continue;
		}
		if (k->name[first_word(k->name)] && here) {
			k = put_group(k, out);
			continue;
		}
		if (here)
			fprintf(out, "  %-12s %s\n", k->name, k->usage);
		else
			fprintf(out, "  %-24s %s\n", k->name,
				area_name(k->area));
		k++;
	}
}

void adm_help_all(const struct adm_cli *c, FILE *out)
{
	put_options(c, out);
	put_list(out, true);
	fputs("\nFormatters: table tab flow pager json; --json is -f json.\n",
	      out);
	fprintf(out, "`%s help <cmd>' explains one; the manual is "
		"duetadm(1).\n", c->program);
}

bool adm_help_group(const struct adm_cli *c, const char *word, FILE *out)
{
	size_t n = strlen(word);
	bool any = false;

	for (const struct adm_command *k = adm_commands; k->name; k++) {
		if (first_word(k->name) != n || memcmp(k->name, word, n) != 0)
			continue;
		if (!any)
			fprintf(out, "usage: %s [-Dv] [-f <formatter>] %s "
				"<command> [<args>]\n", c->program, word);
		fprintf(out, "  %-12s %s%s\n",
			k->name[n] ? k->name + n + 1 : k->name, k->usage,
			k->area == AREA_PAIR ? "" : "  (not in this build)");
		any = true;
	}
	return any;
}

void adm_help_command(const struct adm_cli *c, const struct adm_command *cmd,
		      FILE *out)
{
	fprintf(out, "%s %s%s%s\n", c->program, cmd->name,
		*cmd->usage ? " " : "", cmd->usage);
	if (c->helped)
		fprintf(out, "%s\n", cmd->help);
}

int adm_not_here(const struct adm_cli *c, const struct adm_command *cmd)
{
	if (cmd->area == AREA_NEVER)
		return adm_error(c, EX_UNAVAILABLE, "Duet has no `%s': %s",
				 cmd->name, cmd->help);
	return adm_error(c, EX_UNAVAILABLE, "`%s' is not in this build "
			 "(version %s); it comes with the area \"%s\"",
			 cmd->name, DUET_VERSION, area_name(cmd->area));
}

int adm_cmd_help(struct adm_cli *c, int argc, char **argv)
{
	const struct adm_command *k;
	int words;

	if (adm_getopt(c, argc, argv, "+", NULL) != -1)
		return adm_usage(c);
	argc -= optind;
	argv += optind;
	if (argc == 0) {
		adm_help_all(c, c->out);
		fputs("\nNot in this build, and the area that brings it:\n",
		      c->out);
		put_list(c->out, false);
		return EX_OK;
	}
	k = adm_find(argc, argv, &words);
	if (k && k->area != AREA_PAIR)
		return adm_not_here(c, k);
	if (k) {
		c->helped = true;
		adm_help_command(c, k, c->out);
		return EX_OK;
	}
	if (argc == 1 && adm_help_group(c, argv[0], c->out))
		return EX_OK;
	return adm_error(c, EX_USAGE, "there is no command `%s'; `%s help' "
			 "lists them", argv[0], c->program);
}
