/*
 * Which node?  -S names its socket; -i a node of this machine's list; -c its
 * configuration; else the usual one.  Whoever may not read the configuration
 * is helped by the list and by the usual place of the socket.
 */

#include "tools/adm_cli.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"
#include "node/base/fsio.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SOCKET_NAME "doveadm-server"
#define DEFAULT_BASE DUET_RUNSTATEDIR "/duet"
#define DEFAULT_CONF DUET_SYSCONFDIR "/duet/duet.conf"
#define INSTANCES_MAX (1u << 20)

/* ---- the list of nodes --------------------------------------------------- */

/* One tab-separated field. */
static const char *field(struct arena *a, struct slice *line)
{
	ptrdiff_t tab = slice_chr(*line, '\t');
	size_t n = tab < 0 ? line->n : (size_t)tab;
	const char *text = arena_strndup(a, line->p, n);

	*line = slice_sub(*line, tab < 0 ? n : n + 1, line->n);
	return text;
}

size_t adm_instances(struct arena *a, struct slice text,
		     struct adm_instance **out)
{
	struct adm_instance *v = NULL, *copy;
	size_t n = 0, cap = 0;

	while (text.n) {
		ptrdiff_t nl = slice_chr(text, '\n');
		size_t end = nl < 0 ? text.n : (size_t)nl;
		struct slice line = slice_sub(text, 0, end);
		struct adm_instance i = {.used = 0};

		text = slice_sub(text, nl < 0 ? end : end + 1, text.n);
		i.name = field(a, &line);
		i.base_dir = field(a, &line);
		i.config = field(a, &line);
		if (*i.base_dir != '/' || slice_u64(line, &i.used) < 0)
			continue;
		GROW(v, n, cap);
		v[n++] = i;
	}
	copy = arena_alloc(a, (n + 1) * sizeof(*v));
	if (n)
		memcpy(copy, v, n * sizeof(*v));
	free(v);
	*out = copy;
	return n;
}

size_t adm_instances_read(struct arena *a, struct adm_instance **out)
{
	struct buf text;
	size_t n;

	buf_init(&text, INSTANCES_MAX);
	fsio_read_file(fsio_system(NULL), ADM_INSTANCES, INSTANCES_MAX, &text);
	n = adm_instances(a, buf_all(&text), out);
	buf_fini(&text);
	return n;
}

/* The pid in its file is alive and is ours. */
bool adm_instance_runs(const struct adm_instance *i)
{
	AUTO_FREE char *pidfile = xprintf("%s/master.pid", i->base_dir);
	char line[64] = "", comm[64];
	FILE *f = fopen(pidfile, "re");
	long pid = 0;

	if (f && fgets(line, sizeof(line), f))
		pid = strtol(line, NULL, 10);
	if (f)
		fclose(f);
	if (pid <= 1)
		return false;
	snprintf(comm, sizeof(comm), "/proc/%ld/comm", pid);
	f = fopen(comm, "re");
	line[0] = 0;
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	return strncmp(line, "duetd", 5) == 0;
}

/* ---- the node of this run ---------------------------------------------------- */

static void place_of(const struct adm_cli *c, struct adm_place *p,
		     const char *base, const char *config)
{
	p->base_dir = arena_strdup(c->arena, base);
	p->socket = arena_printf(c->arena, "%s/" SOCKET_NAME, base);
	p->config = arena_strdup(c->arena, config);
}

static int by_name(const struct adm_cli *c, struct adm_place *p)
{
	struct adm_instance *v;
	size_t n = adm_instances_read(c->arena, &v);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].name, c->instance) != 0)
			continue;
		place_of(c, p, v[i].base_dir, v[i].config);
		return 0;
	}
	return adm_error(c, EX_NOTFOUND, "there is no node named `%s' in "
			 ADM_INSTANCES "; `%s instance list' shows them, -c "
			 "FILE names one by its configuration", c->instance,
			 c->program);
}

struct conf *adm_conf(const struct adm_cli *c, struct err *e)
{
	struct conf_opts o = {.flags = CONF_NO_FILES | CONF_NO_TREATMENT,
			      .over = c->over, .n_over = c->n_over};
	struct conf *conf = NULL;
	const char *path = c->conf_path;

	if (!path && c->instance) {
		struct adm_instance *v;
		size_t n = adm_instances_read(c->arena, &v);

		for (size_t i = 0; i < n && !path; i++)
			if (strcmp(v[i].name, c->instance) == 0)
				path = v[i].config;
	}
	return conf_load(path ? path : DEFAULT_CONF, &o, &conf, e) < 0 ? NULL
								     : conf;
}

static int by_config(const struct adm_cli *c, struct adm_place *p)
{
	struct err e = ERR_NONE;
	struct conf *conf = adm_conf(c, &e);
	struct adm_instance *v;
	size_t n;
	AUTO_FREE char *full = NULL;

	if (conf) {
		place_of(c, p, conf_base_dir(conf), conf_path(conf));
		conf_unref(conf);
		return 0;
	}
	adm_debug(c, "%s", e.op);
	if (!c->conf_path) {
		place_of(c, p, DEFAULT_BASE, "");
		return 0;
	}
	/* A node that was started with this file says where it is. */
	full = realpath(c->conf_path, NULL);
	n = adm_instances_read(c->arena, &v);
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].config, full ? full : c->conf_path) == 0 ||
		    strcmp(v[i].config, c->conf_path) == 0) {
			place_of(c, p, v[i].base_dir, v[i].config);
			return 0;
		}
	return adm_error(c, EX_CONFIG, "%s (-S SOCKET names a node without "
			 "its configuration)", e.op);
}

int adm_place(const struct adm_cli *c, struct adm_place *out)
{
	int r;

	*out = (struct adm_place){.base_dir = "", .config = ""};
	if (c->socket) {
		out->socket = c->socket;
		return 0;
	}
	r = c->instance ? by_name(c, out) : by_config(c, out);
	if (r == 0)
		adm_debug(c, "socket: %s", out->socket);
	return r;
}
