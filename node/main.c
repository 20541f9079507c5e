/* duetd: one binary for all roles. */

#include "node/base/arena.h"
#include "node/role.h"
#include "node/super/super.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char usage[] =
	"Usage: duetd [-F] [-c FILE] [-o NAME=VALUE]...\n"
	"             [--recover [--accept-loss]]\n"
	"\n"
	"  -F, --foreground  stay in the foreground (as under systemd)\n"
	"  -c, --config FILE configuration (" DUET_SYSCONFDIR
	"/duet/duet.conf)\n"
	"  -o NAME=VALUE     a setting for this run\n"
	"      --recover     replay all journals, then exit\n"
	"      --accept-loss with --recover: set a corrupt journal aside\n"
	"      --version     version, then exit\n"
	"      --help        this text\n"
	"\n"
	"Signals: TERM stops in order, HUP reloads the configuration, USR1\n"
	"opens the log files again.  duetadm is the better way to ask.\n"
	"The options --role, --index and --fd are for duetd itself.\n";

enum { OPT_RECOVER = 256, OPT_ACCEPT_LOSS, OPT_VERSION, OPT_HELP, OPT_ROLE, OPT_INDEX, OPT_FD };

static const struct option options[] = {
	{"foreground", no_argument, NULL, 'F'},
	{"config", required_argument, NULL, 'c'},
	{"recover", no_argument, NULL, OPT_RECOVER},
	{"accept-loss", no_argument, NULL, OPT_ACCEPT_LOSS},
	{"version", no_argument, NULL, OPT_VERSION},
	{"help", no_argument, NULL, OPT_HELP},
	{"role", required_argument, NULL, OPT_ROLE},
	{"index", required_argument, NULL, OPT_INDEX},
	{"fd", required_argument, NULL, OPT_FD},
	{NULL, 0, NULL, 0},
};

static int run_role(const char *name, unsigned index, int fd)
{
	static const struct role_ops *(*const roles[ROLE_N])(void) = {
		[ROLE_FRONT] = front_role, [ROLE_AUTH] = auth_role,
		[ROLE_STORE] = store_role, [ROLE_SYNC] = sync_role,
	};
	int kind = ipc_role_of(name);

	if (kind < 0 || !roles[kind] || fd < 0) {
		fprintf(stderr, "duetd: --role is for duetd itself\n");
		return 64;
	}
	return role_main((enum ipc_role)kind, index, fd, roles[kind]());
}

/* Without -F: as every daemon, out of the way of the shell that started it,
 * but only once it serves; until then errors go to that terminal. */
static int background(struct super_opts *o)
{
	char ready = 0;
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		perror("duetd");
		return 1;
	}
	if (pid == 0) {
		close(fd[0]);
		setsid();
		o->ready_fd = fd[1];
		return super_main(o);
	}
	close(fd[1]);
	return read(fd[0], &ready, 1) == 1 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct super_opts o = {
		.conf_path = DUET_SYSCONFDIR "/duet/duet.conf",
		.ready_fd = -1,
	};
	struct conf_override *over;
	const char *role = NULL;
	unsigned index = 0;
	bool recover = false;
	int c, fd = -1;

	over = xzalloc((size_t)(argc + 1) * sizeof(*over));
	o.over = over;
	while ((c = getopt_long(argc, argv, "Fc:o:", options, NULL)) != -1) {
		switch (c) {
		case 'F':
			o.foreground = true;
			break;
		case 'c':
			o.conf_path = optarg;
			break;
		case 'o': {
			char *eq = strchr(optarg, '=');

			if (!eq) {
				fprintf(stderr, "duetd: -o needs NAME=VALUE\n");
				return 64;
			}
			over[o.n_over++] = (struct conf_override){
				xstrndup(optarg, (size_t)(eq - optarg)), eq + 1,
			};
			break;
		}
		case OPT_RECOVER:
			recover = true;
			break;
		case OPT_ACCEPT_LOSS:
			o.accept_loss = true;
			break;
		case OPT_VERSION:
			printf("%s (%s)\n", DUET_VERSION, DUET_REVISION);
			return 0;
		case OPT_HELP:
			fputs(usage, stdout);
			return 0;
		case OPT_ROLE:
			role = optarg;
			break;
		case OPT_INDEX:
			index = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case OPT_FD:
			fd = (int)strtol(optarg, NULL, 10);
			break;
		default:
			fputs("Try duetd --help\n", stderr);
			return 64;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "duetd: '%s' is not understood; try --help\n",
			argv[optind]);
		return 64;
	}
	if (o.accept_loss && !recover) {
		fprintf(stderr, "duetd: --accept-loss needs --recover\n");
		return 64;
	}
	if (role)
		c = run_role(role, index, fd);
	else if (recover)
		c = super_recover(&o);
	else
		c = o.foreground ? super_main(&o) : background(&o);
	for (size_t i = 0; i < o.n_over; i++)
		free((char *)(uintptr_t)over[i].name);
	free(over);
	return c;
}
