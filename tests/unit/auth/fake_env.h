#ifndef DUET_TESTS_UNIT_AUTH_FAKE_ENV_H
#define DUET_TESTS_UNIT_AUTH_FAKE_ENV_H

/*
 * Surroundings for tests of auth/: files in memory, a clock that stands, and
 * an expander of %u %n %d %r %s %L… (enough of 2.3's; the real one is
 * node/config's).
 */

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "auth/auth_env.h"
#include "node/base/buf.h"
#include "node/base/clock.h"

#define FAKE_FILES 400

struct fake_env {
	struct clock clock;
	uint64_t now;
	struct {
		const char *path, *content;
		int64_t version;
	} files[FAKE_FILES];
	size_t n_files;
	unsigned reads, asks;		/* contents given, questions */
	int fail;			/* a failure of every reading */
};

static inline uint64_t fake_mono(struct clock *c)
{
	return CONTAINER_OF(c, struct fake_env, clock)->now;
}

static inline void fake_file(struct fake_env *f, const char *path,
			     const char *content)
{
	size_t i = 0;

	while (i < f->n_files && strcmp(f->files[i].path, path) != 0)
		i++;
	if (i == f->n_files)
		f->n_files++;
	f->files[i].path = path;
	f->files[i].content = content;
	f->files[i].version++;
}

static inline int fake_read(void *arg, const char *path,
			    struct auth_stamp *stamp, struct buf *to,
			    struct err *e)
{
	struct fake_env *f = arg;

	f->asks++;
	if (f->fail)
		return err_set(e, f->fail, "%s: broken", path);
	for (size_t i = 0; i < f->n_files; i++) {
		if (strcmp(f->files[i].path, path) != 0 ||
		    !f->files[i].content)
			continue;
		if (stamp->mtime_nsec == f->files[i].version)
			return 0;
		f->reads++;
		stamp->mtime_nsec = f->files[i].version;
		buf_str(to, f->files[i].content);
		return 1;
	}
	return err_set(e, -ENOENT, "open(%s) failed: No such file or directory",
		       path);
}

static inline struct slice fake_value(char letter, const struct auth_vars *v)
{
	struct slice user = slice_str(v->user);
	ptrdiff_t at = slice_chr(user, '@');

	switch (letter) {
	case 'u':
		return user;
	case 'n':
		return at < 0 ? user : slice_sub(user, 0, (size_t)at);
	case 'd':
		return at < 0 ? SLICE_NONE
			      : slice_sub(user, (size_t)at + 1, user.n);
	case 'h':
		return slice_str(v->home ? v->home : "");
	case 'r':
		return slice_str(v->peer->rip ? v->peer->rip : "");
	case 's':
		return slice_str(v->peer->service ? v->peer->service : "");
	case '%':
		return SLICE_LIT("%");
	default:
		return SLICE_NONE;
	}
}

static inline int fake_expand(void *arg, const char *text,
			      const struct auth_vars *v, bool path,
			      struct buf *out, struct err *e)
{
	(void)arg;
	for (; *text; text++) {
		bool lower = false;

		if (*text != '%') {
			buf_char(out, (uint8_t)*text);
			continue;
		}
		if (*++text == 'L') {
			lower = true;
			text++;
		}
		if (!*text || !strchr("undhrs%", *text))
			return err_set(e, E_CONFIG, "unknown variable %%%c",
				       *text ? *text : '?');

		struct slice s = fake_value(*text, v);

		if (path && *text != 'h' && *text != '%' &&
		    (!s.n || s.p[0] == '.' || slice_chr(s, '/') >= 0))
			return err_set(e, E_INVALID, "unsafe in a path");
		for (size_t i = 0; i < s.n; i++)
			buf_char(out, (uint8_t)(lower ? tolower(s.p[i])
						      : s.p[i]));
	}
	return 0;
}

static inline void fake_init(struct fake_env *f)
{
	*f = (struct fake_env){.clock = {.mono_usec = fake_mono,
					 .real_usec = fake_mono}};
}

static inline struct auth_env fake_auth_env(struct fake_env *f)
{
	return (struct auth_env){
		.expand = {fake_expand, f},
		.reader = {fake_read, f},
		.clock = &f->clock,
		.default_scheme = "CRYPT",
	};
}

#endif
