#include "auth/passwd_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "node/base/buf.h"
#include "node/base/clock.h"

struct file {
	char *path;
	struct auth_stamp stamp;
	uint64_t checked_usec;
	uint64_t used_usec;
	struct passwd_text *text;	/* NULL until read, and after failure */
	struct err why;			/* of the last reading */
};

/* Invariant: lock is held while files[] or anything in it is looked at.  It
 * covers the reading too: threads that ask meanwhile want the new content. */
struct passwd_file {
	struct auth_env env;
	char *scheme, *format, *path;
	bool has_vars;
	pthread_mutex_t lock;
	struct file *files;
	size_t n_files, cap_files;
};

static int parse_args(struct passwd_file *f, struct slice args, struct err *e)
{
	struct slice word;

	for (;;) {
		struct slice before = args;

		if (!fields_word(&args, &word))
			break;
		if (slice_starts_ci(word, "scheme=")) {
			free(f->scheme);
			f->scheme = xstrndup(word.p + 7, word.n - 7);
		} else if (slice_starts_ci(word, "username_format=")) {
			free(f->format);
			f->format = xstrndup(word.p + 16, word.n - 16);
		} else {
			/* The rest is the path, blanks and all. */
			struct slice path = slice_trim(before);

			f->path = xstrndup(path.p, path.n);
			break;
		}
	}
	if (!f->path || f->path[0] != '/')
		return err_set(e, E_CONFIG, "args of driver passwd-file: "
			       "expected [scheme=S] [username_format=F] and an "
			       "absolute path");
	f->has_vars = strchr(f->path, '%') != NULL;
	return 0;
}

int passwd_file_new(const char *args, const struct auth_env *env,
		    struct passwd_file **out, struct err *e)
{
	struct passwd_file *f = NEW(struct passwd_file);
	int r;

	f->env = *env;
	f->scheme = xstrdup(env->default_scheme);
	f->format = xstrdup("%u");
	pthread_mutex_init(&f->lock, NULL);
	r = parse_args(f, slice_str(args ? args : ""), e);
	if (r < 0) {
		passwd_file_free(f);
		return r;
	}
	*out = f;
	return 0;
}

void passwd_file_free(struct passwd_file *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_files; i++) {
		passwd_text_free(f->files[i].text);
		free(f->files[i].path);
	}
	free(f->files);
	free(f->scheme);
	free(f->format);
	free(f->path);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

const char *passwd_file_scheme(const struct passwd_file *f)
{
	return f->scheme;
}

/* The file of a path; the one unused for longest makes room. */
static struct file *get_file(struct passwd_file *f, const char *path,
			     uint64_t now)
{
	struct file *x = NULL;

	for (size_t i = 0; i < f->n_files && !x; i++)
		if (strcmp(f->files[i].path, path) == 0)
			x = &f->files[i];
	if (!x && f->n_files < PASSWD_FILES_MAX) {
		GROW(f->files, f->n_files, f->cap_files);
		x = &f->files[f->n_files++];
		*x = (struct file){.path = xstrdup(path)};
	} else if (!x) {
		x = &f->files[0];
		for (size_t i = 1; i < f->n_files; i++)
			if (f->files[i].used_usec < x->used_usec)
				x = &f->files[i];
		passwd_text_free(x->text);
		free(x->path);
		*x = (struct file){.path = xstrdup(path)};
	}
	x->used_usec = now;
	return x;
}

static int refresh(struct passwd_file *f, struct file *x, uint64_t now,
		   struct err *e)
{
	struct auth_stamp stamp = x->stamp;
	struct buf content;
	int r;

	if ((x->text || x->why.code) &&
	    now - x->checked_usec < PASSWD_CHECK_USEC) {
		if (!x->text)
			err_set(e, x->why.code, "%s", x->why.op);
		return x->text ? 0 : x->why.code;
	}
	x->why = ERR_NONE;
	buf_init(&content, PASSWD_FILE_MAX);
	r = f->env.reader.read(f->env.reader.arg, x->path, &stamp, &content,
			       &x->why);
	if (r > 0 && content.failed)
		r = err_set(&x->why, E_LIMIT, "%s is larger than %u bytes", x->path,
			    PASSWD_FILE_MAX);
	if (r > 0 || (r == 0 && !x->text)) {
		passwd_text_free(x->text);
		x->text = passwd_text_new(buf_all(&content));
		x->stamp = stamp;
	} else if (r < 0) {
		/* Old content must not outlive its file. */
		passwd_text_free(x->text);
		x->text = NULL;
		x->stamp = (struct auth_stamp){0};
		x->why.code = r;
		err_set(e, r, "%s", x->why.op);
	}
	x->checked_usec = now;
	if (content.p)
		explicit_bzero(content.p, content.n);
	buf_fini(&content);
	return r < 0 ? r : 0;
}

static struct slice copy(struct arena *a, struct slice s)
{
	return s.n ? slice_of(arena_strndup(a, s.p, s.n), s.n)
		   : slice_of("", 0);
}

static int find_locked(struct passwd_file *f, const char *path,
		       const char *key, const struct auth_query *q,
		       struct passwd_entry *out, struct err *e)
{
	uint64_t now = clock_mono(f->env.clock);
	struct file *x = get_file(f, path, now);
	int r = refresh(f, x, now, e);

	/* A domain without a file has no users. */
	if (r == -ENOENT && f->has_vars)
		return 0;
	if (r < 0)
		return r;
	if (!passwd_text_find(x->text, slice_str(key), out))
		return 0;
	out->user = copy(q->arena, out->user);
	out->password = copy(q->arena, out->password);
	out->uid = copy(q->arena, out->uid);
	out->gid = copy(q->arena, out->gid);
	out->home = copy(q->arena, out->home);
	out->extra = copy(q->arena, out->extra);
	return 1;
}

int passwd_file_find(struct passwd_file *f, const struct auth_query *q,
		     struct passwd_entry *out, struct err *e)
{
	const char *path, *key;
	struct err why = ERR_NONE;
	int r;

	if (auth_expand_text(&f->env, q, NULL, f->format, false, &key, e) < 0)
		return E_CONFIG;
	r = auth_expand_text(&f->env, q, NULL, f->path, true, &path, &why);
	if (r == E_INVALID)	/* a name like "../x" has no file */
		return 0;
	if (r < 0) {
		if (e)
			*e = why;
		return r;
	}
	pthread_mutex_lock(&f->lock);
	r = find_locked(f, path, key, q, out, e);
	pthread_mutex_unlock(&f->lock);
	return r;
}

int passwd_file_each(struct passwd_file *f, passwd_file_cb *cb, void *arg,
		     struct err *e)
{
	uint64_t now = clock_mono(f->env.clock);
	int r;

	if (f->has_vars)
		return err_set(e, E_UNSUPPORTED, "passwd-file: User iteration "
			       "isn't supported with %%variable paths: %s",
			       f->path);
	pthread_mutex_lock(&f->lock);

	struct file *x = get_file(f, f->path, now);

	r = refresh(f, x, now, e);
	for (size_t i = 0; r == 0 && i < passwd_text_count(x->text); i++)
		cb(arg, passwd_text_user(x->text, i));
	pthread_mutex_unlock(&f->lock);
	return r;
}
