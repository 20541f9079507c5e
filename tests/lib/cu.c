#include "tests/lib/cu.h"

#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>
#include <ctype.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The case that runs now, for the traps below; NULL outside of one. */
static const char *volatile running;

static void too_long(int sig)
{
	static const char text[] = ": still running, gave up\n";
	const char *name = running ? running : "?";

	(void)sig;
	if (write(2, name, strlen(name)) < 0 ||
	    write(2, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(1);
}

static void on_exit_trap(void)
{
	if (!running)
		return;
	fprintf(stderr, "%s: the code under test called exit()\n", running);
	fflush(NULL);
	_exit(1);
}

void cu_timeout(unsigned seconds)
{
	alarm(seconds);
}

void cu_dir(char *to, size_t size)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(to, size, "%s/duet-XXXXXX",
			 tmp && *tmp ? tmp : "/tmp");

	if (n < 0 || (size_t)n >= size || !mkdtemp(to)) {
		fprintf(stderr, "cu: no directory below TMPDIR\n");
		_exit(1);
	}
}

static void case_starts(const CU_pTest t, const CU_pSuite s)
{
	(void)s;
	running = t->pName;
	alarm(CU_TIMEOUT);
}

static void case_ends(const CU_pTest t, const CU_pSuite s,
		      const CU_pFailureRecord f)
{
	(void)s;
	alarm(0);
	running = NULL;
	if (!f)
		return;
	printf("FAILED %s\n", t->pName);
	for (CU_pFailureRecord r = f; r; r = r->pNext)
		printf("  %s:%u: %s\n", r->strFileName, r->uiLineNumber,
		       r->strCondition);
}

int cu_main(int argc, char **argv, const char *file, const struct cu_case *cases,
	    size_t n)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	const char *base = strrchr(file, '/');
	unsigned run, failed;
	CU_pSuite suite;

	base = base ? base + 1 : file;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, too_long);
	atexit(on_exit_trap);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite(base, NULL, NULL);
	if (!suite)
		return 1;
	for (size_t i = 0; i < n; i++) {
		if (only && !strstr(cases[i].name, only))
			continue;
		if (!CU_add_test(suite, cases[i].name, cases[i].run)) {
			printf("%s: %s: %s\n", base, cases[i].name,
			       CU_get_error_msg());
			return 1;
		}
	}
	CU_set_test_start_handler(case_starts);
	CU_set_test_complete_handler(case_ends);
	CU_run_all_tests();
	run = CU_get_number_of_tests_run();
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	/* Nothing run proves nothing. */
	if (run == 0)
		failed = 1;
	printf("%.*s: %u passed, %u failed\n", (int)strcspn(base, "."), base,
	       run >= failed ? run - failed : 0, failed);
	return failed != 0;
}

static bool fail(const char *file, int line, const char *text)
{
	CU_assertImplementation(CU_FALSE, (unsigned)line, text, file, "", CU_FALSE);
	return false;
}

static bool pass(void)
{
	CU_assertImplementation(CU_TRUE, 0, "", "", "", CU_FALSE);
	return true;
}

bool cu_claim(bool ok, const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (ok)
		return pass();
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fail(file, line, text);
}

bool cu_eq_int(intmax_t is, intmax_t want, const char *text, const char *file,
	       int line)
{
	return cu_claim(is == want, file, line, "%s is %jd, want %jd", text, is,
			want);
}

bool cu_eq_u64(uint64_t is, uint64_t want, const char *text, const char *file,
	       int line)
{
	return cu_claim(is == want, file, line, "%s is %ju (0x%jx), want %ju (0x%jx)",
			text, (uintmax_t)is, (uintmax_t)is, (uintmax_t)want,
			(uintmax_t)want);
}

/* Printable form, cut to what fits. */
static const char *show(struct slice s, char *out, size_t size)
{
	size_t o = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (o + 5 > size - 4) {
			memcpy(out + o, "...", 3);
			o += 3;
			break;
		}
		if (s.p[i] == '\n' || s.p[i] == '\r') {
			out[o++] = '\\';
			out[o++] = s.p[i] == '\n' ? 'n' : 'r';
		} else if (isprint(s.p[i]) && s.p[i] != '\\') {
			out[o++] = (char)s.p[i];
		} else {
			o += (size_t)snprintf(out + o, 5, "\\x%02x", s.p[i]);
		}
	}
	out[o] = '\0';
	return out;
}

bool cu_eq_bytes(struct slice is, struct slice want, const char *text,
		 const char *file, int line)
{
	char a[360], b[360];

	if (slice_eq(is, want))
		return pass();
	return cu_claim(false, file, line, "%s is \"%s\" (%zu), want \"%s\" (%zu)",
			text, show(is, a, sizeof(a)), is.n,
			show(want, b, sizeof(b)), want.n);
}

bool cu_eq_str(const char *is, const char *want, const char *text,
	       const char *file, int line)
{
	if (!is || !want)
		return cu_claim(is == want, file, line, "%s is %s, want %s", text,
				is ? is : "NULL", want ? want : "NULL");
	return cu_eq_bytes(slice_str(is), slice_str(want), text, file, line);
}

bool cu_ok(int result, const struct err *e, const char *text, const char *file,
	   int line)
{
	return cu_claim(result >= 0, file, line, "%s gave %d: %s", text, result,
			e && e->code ? e->op : "(no text)");
}
