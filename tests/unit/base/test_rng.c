#include "node/base/rng.h"
#include "tests/lib/cu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Many more pieces than a pool holds; 8 random bytes never come twice. */
static int compare(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

static void pieces_never_repeat(void)
{
	enum { N = 20000 };
	uint64_t *v = malloc(N * sizeof(*v));
	size_t equal = 0;

	for (size_t i = 0; i < N; i++)
		v[i] = rng_u64(rng_system());
	qsort(v, N, sizeof(*v), compare);
	for (size_t i = 1; i < N; i++)
		equal += v[i] == v[i - 1];
	CU_ASSERT_EQUAL(equal, 0);
	free(v);
}

static void every_size_is_filled_to_its_end(void)
{
	static uint8_t b[20000];

	for (size_t n = 1; n <= sizeof(b); n = n < 70 ? n + 1 : n * 2) {
		uint8_t before = 0, after = 0;

		/* 1 in 2^128 that a byte is 0 sixteen times. */
		for (int i = 0; i < 16; i++) {
			memset(b, 0, sizeof(b));
			rng_system()->bytes(rng_system(), b, n);
			before |= b[n - 1];
			after |= n < sizeof(b) ? b[n] : 0;
		}
		CU_ASSERT_NOT_EQUAL(before, 0);
		CU_ASSERT_EQUAL(after, 0);
	}
}

/* What lies in the pool at fork() must not come out in both processes. */
static void child_gets_other_bytes_than_its_parent(void)
{
	uint64_t own, other = 0;
	int fd[2], status;
	pid_t pid;

	rng_u64(rng_system());		/* the pool is there and not empty */
	CU_ASSERT_EQUAL_FATAL(pipe(fd), 0);
	pid = fork();
	if (pid == 0) {
		other = rng_u64(rng_system());
		_exit(write(fd[1], &other, sizeof(other)) != sizeof(other));
	}
	own = rng_u64(rng_system());
	CU_ASSERT_EQUAL(read(fd[0], &other, sizeof(other)), sizeof(other));
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_NOT_EQUAL(own, other);
	close(fd[0]);
	close(fd[1]);
}

CU_TESTS(CU_CASE(pieces_never_repeat),
	 CU_CASE(every_size_is_filled_to_its_end),
	 CU_CASE(child_gets_other_bytes_than_its_parent))
