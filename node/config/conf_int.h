#ifndef DUET_NODE_CONF_INT_H
#define DUET_NODE_CONF_INT_H

/*
 * What the files of node/config share and nobody else sees.
 *
 * A configuration is a list of layers.  Layer 0 is global, each other one is
 * a filter ("protocol imap", "local X { remote Y { … } }").  A layer maps paths
 * to entries: "mail_location", "service/lmtp/unix_listener/lmtp/mode".  Unnamed
 * blocks are numbers ("passdb/0").
 *
 * Invariants: a path occurs once in a layer; entries keep the order in which
 * their paths appeared first; all texts lie in the arena.
 */

#include "node/config/conf_table.h"

#include <netinet/in.h>
#include <stdio.h>

struct map;

struct conf_entry {
	const char *path;
	const struct conf_row *row;
	/* As it will be printed: `$self` expanded, other `$x` and "</path"
	 * not. */
	const char *raw;
	const char *text;	/* what the setting is, NUL-terminated */
	struct slice bytes;	/* the same; of a file, unchanged */
	const char *from_file;	/* path behind "<", or NULL */
	const char *file;
	unsigned line;
	bool is_explicit_default;
};

struct conf_net {
	const char *text;	/* as written; NULL = no such constraint */
	int family;
	unsigned bits;
	uint8_t addr[16];
};

struct conf_filter {
	struct conf_net local, remote;
	const char *local_name;	/* NULL = any; several, with blanks */
	const char *protocol;	/* NULL = any; "!x" = all but x */
};

struct conf_layer {
	struct conf_filter filter;
	size_t parent;
	struct conf_entry **entries;
	size_t n, cap;
	struct map *map;
};

struct conf {
	unsigned refs;
	struct arena *arena;
	const char *path;
	unsigned flags;		/* CONF_NO_FILES … */
	struct conf_layer *layers;
	size_t n_layers, cap_layers;
	struct conf_note *notes;
	size_t n_notes, cap_notes;
	const char **files;
	size_t n_files, cap_files;
	size_t n_entries;
	const char *base_dir;
	struct map *rows;	/* of names that stand for one setting */
};

/* As conf_row_find(), in constant time where path has no part that is free:
 * deliveries and logins ask.  A reload makes a new struct conf. */
const struct conf_row *conf_row_of(const struct conf *c, const char *path);

/* conf_store.c */
struct conf *conf_new(const char *path);
size_t conf_layer_for(struct conf *c, const struct conf_filter *f,
		      size_t parent);
/* Of this layer alone; NULL. */
struct conf_entry *conf_layer_get(const struct conf *c, size_t layer,
				  const char *path);
/* Adds or replaces.  The entry's texts must lie in the arena. */
struct conf_entry *conf_layer_put(struct conf *c, size_t layer,
				  const struct conf_entry *entry);
void conf_layer_drop(struct conf *c, size_t layer, const char *path);
void conf_note_add(struct conf *c, enum conf_severity sev, const char *file,
		   unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* What a path is worth in a context: the entry, or NULL and the default. */
const struct conf_entry *conf_lookup(const struct conf *c,
				     const struct conf_ctx *ctx,
				     const char *path);
const char *conf_default(const char *path, const struct conf_row *row);
/* Text from overrides, entry or default; never NULL. */
const char *conf_text(const struct conf *c, const struct conf_ctx *ctx,
		      const char *path);
const char *conf_textf(const struct conf *c, const struct conf_ctx *ctx,
		       const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
bool conf_layer_matches(const struct conf_layer *l, const struct conf_ctx *ctx);
/* "protocol imap", "local 10.0.0.0/8 { remote …": for texts; "" = global. */
char *conf_filter_text(const struct conf_filter *f, struct arena *a);
bool conf_filter_equal(const struct conf_filter *a, const struct conf_filter *b);
bool conf_filter_within(const struct conf_filter *a, const struct conf_filter *b);

/* Names of the blocks below a path ("namespace", "service/x/unix_listener")
 * that any layer matching ctx has, escaped, in order of reading.  With
 * `builtin` those of the built-in services first. */
size_t conf_children(const struct conf *c, const struct conf_ctx *ctx,
		     const char *path, bool builtin, struct arena *a,
		     const char ***out);

/* How many of those are built in: they come first. */
size_t conf_builtin_count(const char *path);

/* conf_net.c */
/* -1 and text, or 0.  "1.2.3.4", "10.0.0.0/8", "::1/128", "[::1]", a name. */
int conf_net_parse(const char *text, struct conf_net *out, struct err *e);
/* The same; out->text is in its shortest form, in the arena where needed. */
int conf_net_parse_in(struct arena *arena, const char *text,
		      struct conf_net *out, struct err *e);
bool conf_net_has(const struct conf_net *net, const char *ip);
bool conf_net_inside(const struct conf_net *in, const struct conf_net *out);
/* Do any of these names (with "*.") match? */
bool conf_name_matches(const char *patterns, const char *name);

/* conf_parse.c: reads files into c.  conf_read.c: the files themselves. */
int conf_parse_file(struct conf *c, const char *path,
		    const struct conf_opts *o, struct err *e);
int conf_parse_text(struct conf *c, const char *path, struct slice text,
		    const struct conf_opts *o, struct err *e);
#define CONF_READ_BLOCK 16384
/* Appends; -errno, -EFBIG beyond max.  `to` has room for a block more. */
int conf_read_file(const char *root, const char *path, size_t max,
		   struct buf *to, unsigned *mode_out);
/* One "name = value" as a tool's -o gives it, into the global layer. */
int conf_set_override(struct conf *c, const char *name, const char *value,
		      struct err *e);
/* $name and $ENV:name outside quotes.  self: path being set; `shown` gets the
 * text with only `$self` replaced. */
int conf_expand_dollar(struct conf *c, size_t layer, const char *self,
		       const char *raw, struct buf *text, struct buf *shown,
		       struct err *e);

/* conf_check.c, conf_check_*.c: treatment of everything that was set. */
struct conf_checking {
	struct conf *c;
	struct err *e;
	unsigned refused;
};

/* x may be NULL: then it belongs to the whole configuration. */
void conf_refuse(struct conf_checking *k, const struct conf_entry *x,
		 const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void conf_remark(struct conf_checking *k, enum conf_severity sev,
		 const struct conf_entry *x, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Names a setting as its line does: "service lmtp { user". */
const char *conf_entry_name(struct conf_checking *k,
			    const struct conf_entry *x);
/* Settings whose value needs a look of its own; true if that was all. */
bool conf_check_special(struct conf_checking *k, size_t layer,
			const struct conf_entry *x);
/* Settings below service {}: true if dealt with. */
bool conf_check_service(struct conf_checking *k, size_t layer,
			const struct conf_entry *x);
/* One note for all helper services that are set. */
void conf_check_helpers(struct conf_checking *k);
/* What no single line shows. */
void conf_check_whole(struct conf_checking *k);

/* conf_error in 2.3's shape. */
int conf_fail(struct err *e, const char *file, unsigned line, const char *fmt,
	      ...) __attribute__((format(printf, 4, 5)));

#endif
