/* reload, stop, log reopen, instance, config. */

#include "tools/adm_cli.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/clock.h"
#include "node/base/fsio.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define INSTANCES_MAX (1u << 20)

/* ---- the supervisor's verbs ---------------------------------------------------- */

static void to_stderr(void *arg, const char *line)
{
	const struct adm_cli *c = arg;

	fprintf(stderr, "%s: Info: %s\n", c->program, line);
}

static int verb(struct adm_cli *c, int argc, char **argv, const char *name,
		unsigned flags)
{
	struct adm_ops ops = {.text = to_stderr, .arg = c};
	struct adm_request q = {.role = ROLE_SUPER, .name = name,
				.flags = flags};

	if (adm_getopt(c, argc, argv, "", NULL) != -1 || optind < argc)
		return adm_usage(c);
	return adm_call(c, &q, &ops);
}

int adm_cmd_reload(struct adm_cli *c, int argc, char **argv)
{
	return verb(c, argc, argv, "reload", 0);
}

int adm_cmd_stop(struct adm_cli *c, int argc, char **argv)
{
	return verb(c, argc, argv, "stop", CALL_UNTIL_GONE);
}

int adm_cmd_log_reopen(struct adm_cli *c, int argc, char **argv)
{
	return verb(c, argc, argv, "reopen", 0);
}

/* ---- instance --------------------------------------------------------------------- */

static const struct print_column instance_columns[] = {
	{"path", NULL, 30, 0}, {"name", NULL, 0, 0},
	{"last used", NULL, 19, 0}, {"running", NULL, 0, 0},
};

int adm_cmd_instance_list(struct adm_cli *c, int argc, char **argv)
{
	struct adm_instance *v;
	struct print *p;
	size_t n;

	if (adm_getopt(c, argc, argv, "", NULL) != -1 || argc - optind > 1)
		return adm_usage(c);
	n = adm_instances_read(c->arena, &v);
	p = adm_print(c, "table", instance_columns, 4, 1);
	for (size_t i = 0; i < n; i++) {
		if (optind < argc && strcmp(argv[optind], v[i].name))
			continue;
		print_row(p, (const char *[]){
			v[i].base_dir, v[i].name,
			adm_time(c->arena, v[i].used * USEC_PER_SEC),
			adm_instance_runs(&v[i]) ? "yes" : "no"});
	}
	print_end(p);
	return EX_OK;
}

/* The lines that are not of this name or path. */
static bool without(struct arena *a, struct slice text, const char *what,
		    struct buf *out)
{
	bool found = false;

	while (text.n) {
		ptrdiff_t nl = slice_chr(text, '\n');
		size_t n = nl < 0 ? text.n : (size_t)nl + 1;
		struct slice line = slice_sub(text, 0, n);
		struct adm_instance *i;

		if (adm_instances(a, line, &i) == 1 &&
		    (!strcmp(i->name, what) || !strcmp(i->base_dir, what)))
			found = true;
		else
			buf_slice(out, line);
		text = slice_sub(text, n, text.n);
	}
	return found;
}

int adm_cmd_instance_remove(struct adm_cli *c, int argc, char **argv)
{
	struct fsio *fs = fsio_system(NULL);
	struct buf old, rest;
	int r;

	if (adm_getopt(c, argc, argv, "", NULL) != -1 || argc - optind != 1)
		return adm_usage(c);
	buf_init(&old, INSTANCES_MAX);
	buf_init(&rest, INSTANCES_MAX);
	r = fsio_read_file(fs, ADM_INSTANCES, INSTANCES_MAX, &old);
	if (r < 0 && r != -ENOENT)
		r = adm_error(c, EX_NOPERM, ADM_INSTANCES ": %s",
			      strerror(-r));
	else if (!without(c->arena, buf_all(&old), argv[optind], &rest))
		r = adm_error(c, EX_NOTFOUND, "Instance already didn't exist");
	else if ((r = fsio_replace_file(fs, ADM_INSTANCES, buf_all(&rest),
					0644)) < 0)
		r = adm_error(c, EX_NOPERM, ADM_INSTANCES " cannot be "
			      "written: %s (only root may)", strerror(-r));
	buf_fini(&old);
	buf_fini(&rest);
	return r;
}

/* ---- config ------------------------------------------------------------------------- */

/* duetconf lies beside this program, or where it was installed. */
int adm_cmd_config(struct adm_cli *c, int argc, char **argv)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 16);
	const char **args;
	size_t k = 0;
	char *slash;

	args = arena_zalloc(c->arena, ((size_t)argc + 2 * c->n_over + 4) *
				      sizeof(*args));
	args[k++] = "duetconf";
	if (c->conf_path) {
		args[k++] = "-c";
		args[k++] = c->conf_path;
	}
	for (size_t i = 0; i < c->n_over; i++) {
		args[k++] = "-o";
		args[k++] = arena_printf(c->arena, "%s=%s", c->over[i].name,
					 c->over[i].value);
	}
	for (int i = 1; i < argc; i++)
		args[k++] = argv[i];
	self[n > 0 ? n : 0] = 0;
	slash = strrchr(self, '/');
	if (slash) {
		memcpy(slash + 1, "duetconf", sizeof("duetconf"));
		execv(self, (char *const *)(uintptr_t)args);
	}
	execv(DUET_BINDIR "/duetconf", (char *const *)(uintptr_t)args);
	return adm_error(c, EX_OSFILE, "duetconf cannot be run: %s (it is "
			 "installed with this program, in " DUET_BINDIR ")",
			 strerror(errno));
}
