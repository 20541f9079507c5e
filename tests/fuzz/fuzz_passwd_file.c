#include "auth/passwd_file.h"

#include <stdlib.h>

/* An administrator's file: every line that was taken is found again, its
 * fields are parts of the line, and its extra fields can be read. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(struct slice s)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (uint8_t)(sum + s.p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct passwd_text *t = passwd_text_new(slice_of(data, size));
	struct arena *a = arena_new(4096);

	for (size_t i = 0; i < passwd_text_count(t); i++) {
		struct slice user = passwd_text_user(t, i);
		struct auth_fields f = {0};
		struct passwd_entry x;

		if (!user.n || user.p[0] == '#' ||
		    !passwd_text_find(t, user, &x) || !slice_eq(x.user, user))
			abort();
		use(x.password);
		use(x.uid);
		use(x.gid);
		use(x.home);
		if (fields_parse(&f, a, x.extra, NULL) == 0)
			for (size_t k = 0; k < f.n; k++)
				if (!fields_get(&f, f.v[k].name))
					abort();
		arena_reset(a);
	}
	arena_free(a);
	passwd_text_free(t);
	return 0;
}
