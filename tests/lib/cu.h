#ifndef DUET_TESTS_CU_H
#define DUET_TESTS_CU_H

/*
 * CUnit, hardened.  A test program is
 *
 *	#include "tests/lib/cu.h"
 *	static void empty_slice_has_no_digits(void) { CU_EQ_INT(f(), 3); … }
 *	CU_TESTS(CU_CASE(empty_slice_has_no_digits), …)
 *
 * Each case has CU_TIMEOUT seconds; exit() inside a case is a failure.  The
 * first argument of the program, if any, selects cases by part of their name.
 * Ends with "FILE: N passed, M failed" (cases) and exit code 0 or 1.
 */

#include "node/base/err.h"
#include "node/base/slice.h"

#include <CUnit/CUnit.h>
#include <stdint.h>

#define CU_TIMEOUT 20

struct cu_case {
	const char *name;
	void (*run)(void);
};

int cu_main(int argc, char **argv, const char *file, const struct cu_case *cases,
	    size_t n);
/* More time for the case that calls it. */
void cu_timeout(unsigned seconds);
/* A new empty directory below TMPDIR; the case that made it removes it, or
 * tools/run-tests says that the program left something behind.  size: at
 * least CU_DIR_SIZE.  Ends the program if it cannot be made. */
#define CU_DIR_SIZE 64
void cu_dir(char *to, size_t size);

#define CU_CASE(fn) {#fn, fn}
#define CU_TESTS(...)                                                         \
	int main(int argc, char **argv)                                       \
	{                                                                     \
		static const struct cu_case cases[] = {__VA_ARGS__};          \
		return cu_main(argc, argv, __FILE__, cases,                   \
			       sizeof(cases) / sizeof(cases[0]));             \
	}

/* Asserts that print what they saw.  All give true if the claim holds, none
 * ends the case: use CU_NEED() where going on would crash. */
bool cu_claim(bool ok, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool cu_eq_int(intmax_t is, intmax_t want, const char *text, const char *file,
	       int line);
bool cu_eq_u64(uint64_t is, uint64_t want, const char *text, const char *file,
	       int line);
bool cu_eq_bytes(struct slice is, struct slice want, const char *text,
		 const char *file, int line);
bool cu_ok(int result, const struct err *e, const char *text, const char *file,
	   int line);

/* The condition, with a message of your own for when it fails. */
#define CU_CLAIM(cond, ...) cu_claim((cond), __FILE__, __LINE__, __VA_ARGS__)
#define CU_EQ_INT(is, want)                                                   \
	cu_eq_int((intmax_t)(is), (intmax_t)(want), #is, __FILE__, __LINE__)
#define CU_EQ_U64(is, want)                                                   \
	cu_eq_u64((uint64_t)(is), (uint64_t)(want), #is, __FILE__, __LINE__)
/* Strings; NULL equals NULL only. */
#define CU_EQ_STR(is, want) cu_eq_str((is), (want), #is, __FILE__, __LINE__)
bool cu_eq_str(const char *is, const char *want, const char *text,
	       const char *file, int line);
/* A slice against a slice, or against a string. */
#define CU_EQ_SLICE(is, want)                                                 \
	cu_eq_bytes((is), (want), #is, __FILE__, __LINE__)
#define CU_EQ_TEXT(is, want)                                                  \
	cu_eq_bytes((is), slice_str(want), #is, __FILE__, __LINE__)
#define CU_EQ_MEM(is, want, n)                                                \
	cu_eq_bytes(slice_of((is), (n)), slice_of((want), (n)), #is,          \
		    __FILE__, __LINE__)
/* result >= 0, else prints the error's operator text. */
#define CU_OK(call, err) cu_ok((call), (err), #call, __FILE__, __LINE__)
/* Ends the case if the condition does not hold. */
#define CU_NEED(cond)                                                         \
	do {                                                                  \
		if (!cu_claim((cond), __FILE__, __LINE__, "needed: %s",       \
			      #cond))                                         \
			return;                                               \
	} while (0)

#endif
