/* dump over the files of a real store, sound and damaged. */

#include "tests/lib/cu.h"
#include "tests/lib/store_rig.h"
#include "tools/adm_dump.h"

#include <stdlib.h>
#include <sys/stat.h>

#define TEXT "Subject: x\r\n\r\nbody\r\n"

static struct rig rig_of_case;
static struct rig *const g = &rig_of_case;

/* A store with two messages, flags, a checkpoint, and a tail behind it. */
static void begin(void)
{
	struct err e = ERR_NONE;

	rig_init(g, 7, 256 * 1024);
	CU_OK(rig_open(g, &e), &e);
	rig_epoch(g, 0);
	rig_add(g, 0, "INBOX", TEXT);
	rig_add(g, 0, "INBOX", TEXT);
	rig_turn(g);
	rig_publish_all(g);
	rig_flags(g, 0, "INBOX", 1, MSG_FLAGGED);
	rig_mark(g, 0, MARK_LONE);
	rig_turn(g);
	rig_publish_all(g);
	rig_checkpoint(g);
	rig_turn(g);
}

static void end(void)
{
	rig_close(g);
	rig_fini(g);
}

static const struct dump_type *type_of(struct slice in)
{
	const struct dump_type *t = dump_types;

	while (t->name && !t->is(in))
		t++;
	return t->name ? t : NULL;
}

/* Every file of the disk, by its type. */
struct found {
	char dir[512];
	char *text[16];			/* by number of the type */
	struct buf bytes[16];
	unsigned damage;
	struct found *up;
};

static char *dump_text(const struct dump_type *t, struct slice in,
		       unsigned *damage)
{
	char *text = NULL;
	size_t n;
	struct dump d = {.in = in, .out = open_memstream(&text, &n)};

	t->run(&d);
	fclose(d.out);
	*damage += d.damage;
	return text;
}

static void look_into(struct found *top, const char *dir);

static bool on_entry(void *arg, const char *name)
{
	struct found *f = arg, *top = f->up;
	char path[1024];
	struct fsio_stat st;
	struct buf b;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	if (g->fs->ops->stat(g->fs, path, &st) < 0)
		return true;
	if (S_ISDIR(st.mode)) {
		look_into(top, path);
		return true;
	}
	buf_init(&b, 1 << 24);
	CU_CLAIM(fsio_read_file(g->fs, path, 1 << 24, &b) >= 0, "%s", path);
	const struct dump_type *t = type_of(buf_all(&b));

	if (b.n && !strstr(path, "/cache/"))
		CU_CLAIM(t != NULL, "%s is of no type", path);
	if (t && !top->text[t - dump_types]) {
		top->text[t - dump_types] = dump_text(t, buf_all(&b),
						      &top->damage);
		CU_CLAIM(!strstr(top->text[t - dump_types], "DAMAGED"),
			 "%s:\n%s", path, top->text[t - dump_types]);
		top->bytes[t - dump_types] = b;
	} else {
		buf_fini(&b);
	}
	return true;
}

static void look_into(struct found *top, const char *dir)
{
	struct found here = {.up = top};

	snprintf(here.dir, sizeof(here.dir), "%s", dir);
	g->fs->ops->list(g->fs, dir, on_entry, &here);
}

static void look(struct found *f)
{
	*f = (struct found){.damage = 0};
	look_into(f, RIG_STATE);
	look_into(f, RIG_MAIL);
}

static void forget(struct found *f)
{
	for (size_t i = 0; i < 16; i++) {
		free(f->text[i]);
		buf_fini(&f->bytes[i]);
	}
}

static size_t number_of(const char *name)
{
	size_t i = 0;

	while (dump_types[i].name && strcmp(dump_types[i].name, name))
		i++;
	return i;
}

static const char *text_of(const struct found *f, const char *name)
{
	const char *t = f->text[number_of(name)];

	CU_CLAIM(t != NULL, "there is no %s", name);
	return t ? t : "";
}

static void says(const struct found *f, const char *name, const char *what)
{
	CU_CLAIM(strstr(text_of(f, name), what) != NULL, "%s lacks '%s':\n%s",
		 name, what, text_of(f, name));
}

static void every_file_of_a_store_is_told_and_sound(void)
{
	struct found f;

	begin();
	look(&f);
	CU_EQ_INT(f.damage, 0);
	says(&f, "log", "account log, segment ");
	says(&f, "log", ": seq 1 epoch ");
	says(&f, "log", "\nend at ");
	says(&f, "journal", "frame of ");
	says(&f, "journal", "mark LONE of ");
	says(&f, "index", "uid 1 modseq ");
	says(&f, "index", "flags Flagged\n");
	says(&f, "index", "uid 2 modseq ");
	says(&f, "snapshot", "state at seq ");
	says(&f, "mark", "LONE ");
	says(&f, "dbox", "message file, 20 octets at 46\n");
	says(&f, "dbox", "\tG ");
	says(&f, "text", "\n");
	forget(&f);
	end();
}

/* One byte of the last frame is another. */
static void damage_in_a_log_is_named(void)
{
	struct found f;
	struct buf *b;
	unsigned damage = 0;
	char *text;

	begin();
	look(&f);
	b = &f.bytes[number_of("log")];
	CU_NEED(b->n > 80);
	b->p[b->n - 20] ^= 1;
	text = dump_text(&dump_types[number_of("log")], buf_all(b), &damage);
	CU_CLAIM(damage > 0 && strstr(text, "DAMAGED"), "%s", text);
	free(text);
	forget(&f);
	end();
}

/* No prefix of any file makes dump read beyond it (run under ASan). */
static void every_prefix_is_survived(void)
{
	struct found f;

	begin();
	look(&f);
	for (size_t i = 0; dump_types[i].name; i++) {
		struct buf *b = &f.bytes[i];
		size_t step = b->n > 4096 ? b->n / 97 + 1 : 1;

		for (size_t n = 0; n < b->n; n += step) {
			void *copy = xmalloc(n + 1);
			unsigned damage = 0;

			memcpy(copy, b->p, n);
			copy = xrealloc(copy, n ? n : 1);
			free(dump_text(&dump_types[i], slice_of(copy, n),
				       &damage));
			free(copy);
		}
	}
	forget(&f);
	end();
}

static void what_is_nothing_of_ours_has_no_type(void)
{
	CU_CLAIM(!type_of(SLICE_LIT("\177ELF\2\1\1")), "a program");
	CU_CLAIM(!type_of(SLICE_NONE), "nothing");
	CU_CLAIM(!type_of(SLICE_LIT("a\0b")), "bytes");
}

CU_TESTS(CU_CASE(every_file_of_a_store_is_told_and_sound),
	 CU_CASE(damage_in_a_log_is_named), CU_CASE(every_prefix_is_survived),
	 CU_CASE(what_is_nothing_of_ours_has_no_type))
