/*
 * bench_disk: the machine's own limit: appends of 4 KiB with fdatasync a
 * second, by 1 and by 8 writers, each with a file of its own.
 */
#include "tests/bench/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITER_MAX 256u

struct writer {
	pthread_t thread;
	const char *dir;
	unsigned index, size;
	uint64_t until, n;
};

static void *writer(void *arg)
{
	struct writer *w = arg;
	char *path, *data = malloc(w->size);
	int fd;

	if (!data || asprintf(&path, "%s/bench_disk.%d.%u", w->dir, getpid(),
			      w->index) < 0)
		wire_die("out of memory");
	memset(data, 'd', w->size);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		wire_die("%s: %s", path, strerror(errno));
	unlink(path);
	while (wire_now_nsec() < w->until) {
		if (write(fd, data, w->size) != (ssize_t)w->size ||
		    fdatasync(fd) < 0)
			wire_die("%s: %s", path, strerror(errno));
		w->n++;
	}
	close(fd);
	free(path);
	free(data);
	return NULL;
}

static void measure(const char *dir, unsigned n_writers, unsigned size,
		    unsigned seconds)
{
	struct writer w[WRITER_MAX] = { 0 };
	uint64_t began = wire_now_nsec(), total = 0;
	unsigned i;

	for (i = 0; i < n_writers; i++) {
		w[i] = (struct writer){ .dir = dir, .index = i, .size = size,
		    .until = began + (uint64_t)seconds * 1000000000u };
		if (pthread_create(&w[i].thread, NULL, writer, &w[i]))
			wire_die("no thread");
	}
	for (i = 0; i < n_writers; i++) {
		pthread_join(w[i].thread, NULL);
		total += w[i].n;
	}
	printf("disk writers=%u bytes=%u per_second=%.1f\n", n_writers, size,
	       (double)total / ((double)(wire_now_nsec() - began) / 1e9));
}

int main(int argc, char **argv)
{
	unsigned size = 4096, seconds = 2;
	int o;

	while ((o = getopt(argc, argv, "s:t:")) != -1)
		switch (o) {
		case 's': size = wire_number(optarg, 1 << 20); break;
		case 't': seconds = wire_number(optarg, 3600); break;
		default: optind = argc;
		}
	if (optind + 1 != argc) {
		fputs("usage: bench_disk [-s BYTES] [-t SECONDS] DIRECTORY\n",
		      stderr);
		return 2;
	}
	measure(argv[optind], 1, size, seconds);
	measure(argv[optind], 8, size, seconds);
	return 0;
}
