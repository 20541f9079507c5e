/*
 * bench_idle: what an idle TLS session costs in memory: the summed PSS of a
 * process and all its descendants before and after K sessions were opened,
 * with INBOX selected and IDLE running.
 *
 * PSS counts a shared page once over all who map it, so forked processes are
 * not counted twice.  Memory of the kernel (sockets) is not in it.
 */
#include "tests/bench/wire.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SESSION_MAX 20000u
#define PID_MAX_SEEN 65536u

/* ---- PSS ------------------------------------------------------------------- */

static int parent_of(int pid)
{
	char path[64], text[512], *close_paren;
	int parent = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fgets(text, sizeof(text), f) &&
	    (close_paren = strrchr(text, ')')) &&
	    sscanf(close_paren + 1, " %*c %d", &parent) != 1)
		parent = -1;
	fclose(f);
	return parent;
}

static unsigned long pss_of(int pid)
{
	char path[64], line[256];
	unsigned long kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %lu kB", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

struct tree {
	int pid[PID_MAX_SEEN], parent[PID_MAX_SEEN];
	bool in[PID_MAX_SEEN];
	unsigned n;
};

static void tree_read(struct tree *t)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	if (!d)
		wire_die("/proc: %s", strerror(errno));
	t->n = 0;
	while ((e = readdir(d)) && t->n < PID_MAX_SEEN) {
		int pid = atoi(e->d_name);

		if (pid <= 0)
			continue;
		t->pid[t->n] = pid;
		t->parent[t->n] = parent_of(pid);
		t->in[t->n++] = false;
	}
	closedir(d);
}

/* KiB of root and everything below it. */
static unsigned long tree_pss(int root, bool show)
{
	static struct tree t;
	unsigned long sum = 0;
	bool more = true;
	unsigned i, k;

	tree_read(&t);
	while (more) {
		more = false;
		for (i = 0; i < t.n; i++) {
			bool in = t.pid[i] == root;

			for (k = 0; k < t.n && !in; k++)
				in = t.in[k] && t.pid[k] == t.parent[i];
			more |= in && !t.in[i];
			t.in[i] |= in;
		}
	}
	for (i = 0; i < t.n; i++) {
		unsigned long kib = t.in[i] ? pss_of(t.pid[i]) : 0;

		if (kib && show)
			printf("idle-process pid=%d pss_kib=%lu\n", t.pid[i], kib);
		sum += kib;
	}
	return sum;
}

/* ---- sessions ---------------------------------------------------------------- */

static struct wire *idle_open(SSL_CTX *ctx, const char *address,
			      const char *user, unsigned index,
			      const char *password)
{
	struct wire *w = wire_open(address);
	size_t n;

	w->ssl = SSL_new(ctx);
	SSL_set_fd(w->ssl, w->fd);
	if (SSL_connect(w->ssl) != 1)
		wire_die("TLS handshake failed");
	wire_line(w, NULL);
	if (strchr(user, '%'))
		wire_die("%s: a prefix, the number is appended", user);
	if (index == UINT32_MAX)
		wire_cmd(w, false, "LOGIN \"%s\" \"%s\"", user, password);
	else
		wire_cmd(w, false, "LOGIN \"%s%u\" \"%s\"", user, index, password);
	wire_cmd(w, false, "SELECT INBOX");
	wire_printf(w, "x IDLE\r\n");
	while (*wire_line(w, &n) != '+')
		;
	return w;
}

int main(int argc, char **argv)
{
	const char *user = "alice", *password = "";
	unsigned k = 500, n_users = 0, i, wait_seconds = 2;
	unsigned long before, after;
	struct rlimit files;
	struct wire **w;
	bool show = false;
	int pid = 0, o;
	SSL_CTX *ctx;

	while ((o = getopt(argc, argv, "k:u:U:p:P:w:v")) != -1)
		switch (o) {
		case 'k': k = wire_number(optarg, SESSION_MAX); break;
		case 'u': user = optarg; break;
		case 'U': n_users = wire_number(optarg, 1000000); break;
		case 'p': password = optarg; break;
		case 'P': pid = (int)wire_number(optarg, 1u << 30); break;
		case 'w': wait_seconds = wire_number(optarg, 600); break;
		case 'v': show = true; break;
		default: optind = argc;
		}
	if (optind + 1 != argc || !pid) {
		fputs("usage: bench_idle -P PID [-k SESSIONS] [-u USER | "
		      "-u PREFIX -U USERS] [-p PASSWORD] [-w SECONDS] [-v] "
		      "ADDRESS\n", stderr);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	ctx = SSL_CTX_new(TLS_client_method());
	w = calloc(k, sizeof(*w));
	if (!ctx || !w)
		wire_die("out of memory");
	/* What is allocated once, for the first sessions of every account,
	 * is no cost of a session. */
	for (i = 0; i < (n_users ? n_users : 1); i++) {
		struct wire *once = idle_open(ctx, argv[optind], user,
		    n_users ? i : UINT32_MAX, password);

		wire_close(once);
	}
	sleep(wait_seconds);
	before = tree_pss(pid, show);
	for (i = 0; i < k; i++)
		w[i] = idle_open(ctx, argv[optind], user,
				 n_users ? i % n_users : UINT32_MAX, password);
	sleep(wait_seconds);
	after = tree_pss(pid, show);
	printf("idle sessions=%u users=%u before_kib=%lu after_kib=%lu "
	       "bytes_per_session=%.0f\n", k, n_users ? n_users : 1, before,
	       after, ((double)after - (double)before) * 1024 / k);
	for (i = 0; i < k; i++)
		wire_close(w[i]);
	free(w);
	SSL_CTX_free(ctx);
	return 0;
}
