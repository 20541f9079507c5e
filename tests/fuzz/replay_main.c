/*
 * main() for a fuzz target without libFuzzer: gives it every file of the
 * directories (and files) named, in order of name.  A crash or a sanitizer's
 * report is the failure; no input at all is one too.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t n = 0, cap = 0;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	/* The buffer ends where the input ends, so that ASan sees overreads. */
	for (int c; (c = getc(f)) != EOF;) {
		if (n == cap) {
			cap = cap ? cap * 2 : 4096;
			data = realloc(data, cap);
			if (!data)
				abort();
		}
		data[n++] = (uint8_t)c;
	}
	fclose(f);
	uint8_t *exact = malloc(n ? n : 1);
	if (!exact)
		abort();
	if (n)
		memcpy(exact, data, n);
	free(data);
	/* The name of the input that crashes is the last line of the log. */
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	return 0;
}

static int replay(const char *path, unsigned *count)
{
	struct dirent **names;
	struct stat st;
	int n, r = 0;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		++*count;
		return replay_file(path);
	}
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char *full;

		if (names[i]->d_name[0] != '.') {
			if (asprintf(&full, "%s/%s", path, names[i]->d_name) < 0)
				abort();
			if (replay(full, count) < 0)
				r = -1;
			free(full);
		}
		free(names[i]);
	}
	free(names);
	return r;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	int r = 0;

	for (int i = 1; i < argc; i++)
		if (replay(argv[i], &count) < 0)
			r = 1;
	if (count == 0) {
		fprintf(stderr, "%s: no corpus\n", argv[0]);
		r = 1;
	}
	printf("%u inputs: %u passed, %d failed\n", count, count, r);
	return r;
}
