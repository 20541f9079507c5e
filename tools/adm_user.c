/* user, auth test, auth lookup: what passdb and userdb say. */

#include "tools/adm_cli.h"

#include <errno.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define FIELDS_MAX 32u
#define PASSWORD_MAX 1024u

/* Options that the three commands share. */
struct ask {
	struct adm_cli *cli;
	struct ipc_field fields[FIELDS_MAX];
	size_t n_fields;
	const char *field;		/* -f */
	struct print *print;		/* user: opened at the first field */
	bool names;			/* the argument is a mask */
};

static const struct print_column field_columns[] = {
	{.key = "field"}, {.key = "value"},
};

static int add_field(struct ask *k, const char *text)
{
	const char *eq = strchr(text, '=');

	if (!eq || eq == text || k->n_fields == FIELDS_MAX)
		return adm_error(k->cli, EX_USAGE, "-x %s: name=value is "
				 "needed, at most %u of them", text,
				 FIELDS_MAX);
	k->fields[k->n_fields].name =
		arena_strndup(k->cli->arena, text, (size_t)(eq - text));
	k->fields[k->n_fields++].value = eq + 1;
	return 0;
}

/* 0: go on; else exit status + 1. */
static int options(struct ask *k, int argc, char **argv, const char *opts)
{
	int ch, r = 0;

	while (r == 0 && (ch = adm_getopt(k->cli, argc, argv, opts, NULL)) !=
			 -1) {
		switch (ch) {
		case 'a': k->cli->socket = optarg; break;
		case 'f': k->field = optarg; break;
		case 'x': r = add_field(k, optarg); break;
		/* 2.3: the fields of userdb only; there are no others. */
		case 'u': break;
		default: return adm_usage(k->cli) + 1;
		}
	}
	if (r == 0 && optind >= argc)
		return adm_usage(k->cli) + 1;
	return r ? r + 1 : 0;
}

/* ---- user ------------------------------------------------------------------- */

static void on_field(void *arg, const char *const *cells, size_t n)
{
	struct ask *k = arg;

	if (k->names && n == 1) {
		if (k->print)
			print_row(k->print, cells);
		else
			fprintf(k->cli->out, "%s\n", cells[0]);
	} else if (n == 2 && k->field) {
		if (strcmp(cells[0], k->field) == 0)
			fprintf(k->cli->out, "%s\n", cells[1]);
	} else if (n == 2) {
		print_row(k->print, cells);
	}
}

static void to_stderr(void *arg, const char *line)
{
	const struct ask *k = arg;

	fflush(k->cli->out);
	fprintf(stderr, "%s\n", line);
}

/* One line a name; as a table only where a program asked for json. */
static struct print *names_print(struct ask *k)
{
	static const struct print_column column[] = {{.key = "username"}};

	if (k->cli->formatter && !strcmp(k->cli->formatter, "json"))
		return adm_print(k->cli, "json", column, 1, 1);
	return NULL;
}

static int ask_user(struct ask *k, const char *user)
{
	struct adm_ops ops = {on_field, to_stderr, k};
	struct adm_request q = {.role = ROLE_AUTH, .name = "user",
				.args = &user, .n_args = 1,
				.fields = k->fields, .n_fields = k->n_fields};

	return adm_call(k->cli, &q, &ops);
}

int adm_cmd_user(struct adm_cli *c, int argc, char **argv)
{
	struct ask k = {.cli = c};
	int r = options(&k, argc, argv, "a:f:x:u"), worst = 0;

	if (r)
		return r - 1;
	/* As 2.3: one mask decides for all. */
	for (int i = optind; i < argc; i++)
		k.names |= strpbrk(argv[i], "*?") != NULL;
	if (k.names)
		k.print = names_print(&k);
	else if (!k.field)
		k.print = adm_print(c, "tab", field_columns, 2, 1);
	for (int i = optind; i < argc; i++) {
		r = ask_user(&k, argv[i]);
		worst = r ? r : worst;
		/* Without a node the next name gets no other answer. */
		if (r && r != EX_NOUSER)
			break;
	}
	if (k.print)
		print_end(k.print);
	return worst;
}

/* ---- auth lookup --------------------------------------------------------------- */

/* "  name      : value" of the answer, for -f. */
static void on_line(void *arg, const char *line)
{
	const struct ask *k = arg;
	size_t n = strlen(k->field);
	const char *colon = strstr(line, ": ");

	if (strncmp(line, "  ", 2) != 0) {
		if (strncmp(line, "passdb: ", 8) != 0)
			to_stderr(arg, line);
	} else if (colon && strncmp(line + 2, k->field, n) == 0 &&
		   strspn(line + 2 + n, " ") == (size_t)(colon - line) - 2 - n) {
		fprintf(k->cli->out, "%s\n", colon + 2);
	}
}

int adm_cmd_auth_lookup(struct adm_cli *c, int argc, char **argv)
{
	struct ask k = {.cli = c};
	struct adm_ops ops = {.text = on_line, .arg = &k};
	struct adm_request q = {.role = ROLE_AUTH, .name = "auth lookup"};
	int r = options(&k, argc, argv, "a:f:x:");

	if (r)
		return r - 1;
	q.args = (const char *const *)(argv + optind);
	q.n_args = (size_t)(argc - optind);
	if (q.n_args > ADM_ARGS_MAX)
		return adm_error(c, EX_USAGE, "more than %u users at once",
				 ADM_ARGS_MAX);
	q.fields = k.fields;
	q.n_fields = k.n_fields;
	return adm_call(c, &q, k.field ? &ops : NULL);
}

/* ---- auth test -------------------------------------------------------------------- */

char *adm_ask_password(const struct adm_cli *c, const char *prompt)
{
	struct termios was, quiet;
	bool tty = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &was) == 0;
	char line[PASSWORD_MAX + 2], *ok;

	if (tty) {
		fputs(prompt, stderr);
		fflush(stderr);
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	ok = fgets(line, sizeof(line), stdin);
	if (tty) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
		putc('\n', stderr);
	}
	if (!ok)
		return NULL;
	line[strcspn(line, "\r\n")] = 0;
	ok = arena_strdup(c->arena, line);
	explicit_bzero(line, sizeof(line));
	return ok;
}

int adm_cmd_auth_test(struct adm_cli *c, int argc, char **argv)
{
	struct ask k = {.cli = c};
	struct adm_request q = {.role = ROLE_AUTH, .name = "auth test"};
	int r = options(&k, argc, argv, "+a:x:");
	const char *password;

	if (r)
		return r - 1;
	if (argc - optind > 2)
		return adm_usage(c);
	password = argc - optind == 2 ? argv[optind + 1]
				      : adm_ask_password(c, "Password: ");
	if (!password)
		return adm_error(c, EX_NOINPUT, "no password was given");
	q.login = argv[optind];
	q.data = slice_str(password);
	q.fields = k.fields;
	q.n_fields = k.n_fields;
	return adm_call(c, &q, NULL);
}
