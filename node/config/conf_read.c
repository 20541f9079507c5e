/* Reading files, and $variables in values. */

#include "node/config/conf_int.h"
#include "node/base/buf.h"
#include "node/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int conf_read_file(const char *root, const char *path, size_t max,
		   struct buf *to, unsigned *mode_out)
{
	AUTO_FREE char *real = root ? xprintf("%s%s", root, path)
				    : xstrdup(path);
	AUTO_CLOSE int fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		return -EINVAL;	/* a FIFO would hang or be empty */
	*mode_out = st.st_mode;
	for (;;) {
		uint8_t *room = buf_room(to, CONF_READ_BLOCK);

		if (!room)
			return -EFBIG;
		n = read(fd, room, CONF_READ_BLOCK);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		buf_commit(to, (size_t)n);
		if (to->n > max)
			return -EFBIG;
	}
	return 0;
}

/* The value a name has at this point of the text. */
static const char *value_now(struct conf *c, size_t layer, const char *name)
{
	const struct conf_row *row = conf_row_find(name);

	if (!row || (row->flags & CONF_F_BLOCK))
		return NULL;
	for (;; layer = c->layers[layer].parent) {
		const struct conf_entry *x = conf_layer_get(c, layer, name);

		if (x)
			return x->text;
		if (layer == 0)
			return conf_default(name, row);
	}
}

static int put_word(struct conf *c, size_t layer, const char *self,
		    const char *word, struct buf *text, struct buf *shown,
		    struct err *e)
{
	const char *v;

	if (strncmp(word, "$ENV:", 5) == 0) {
		v = getenv(word + 5);
		buf_str(text, v ? v : "");
		buf_str(shown, word);
		return 0;
	}
	/* What stands in blocks is no variable, except of itself. */
	v = strchr(word, '/') && strcmp(word + 1, self) != 0
		    ? NULL
		    : value_now(c, layer, word + 1);
	if (!v)
		return err_set(e, E_CONFIG, "Unknown variable: %s", word);
	buf_str(text, v);
	buf_str(shown, strcmp(word + 1, self) == 0 ? v : word);
	return 0;
}

int conf_expand_dollar(struct conf *c, size_t layer, const char *self,
		       const char *raw, struct buf *text, struct buf *shown,
		       struct err *e)
{
	for (const char *p = raw; *p;) {
		size_t n = strcspn(p, " \t"), blanks;

		if (*p == '$') {
			AUTO_FREE char *word = xstrndup(p, n);

			if (put_word(c, layer, self, word, text, shown, e) < 0)
				return E_CONFIG;
		} else {
			buf_put(text, p, n);
			buf_put(shown, p, n);
		}
		p += n;
		blanks = strspn(p, " \t");
		buf_put(text, p, blanks);
		buf_put(shown, p, blanks);
		p += blanks;
	}
	return 0;
}
