#ifndef DUET_PROTO_IMAP_TREE_H
#define DUET_PROTO_IMAP_TREE_H

/*
 * The grammar half of imap_parse: builds a command's tree out of segments,
 * the pieces of text between literals.  Used by imap_parse.c only.
 */

#include "proto/imap_parse.h"

enum { IMAP_TREE_END = 0, IMAP_TREE_LITERAL = 1 };

struct imap_level {
	struct imap_arg **tail;		/* where the next element goes */
	struct imap_arg *open;		/* the LIST or SECTION, NULL on top */
};

/* Zeroed at the start of each command. */
struct imap_tree {
	struct imap_command *cmd;	/* NULL before the first segment */
	bool append, fetch;
	struct imap_level *levels;	/* depth + 1 are in use */
	unsigned depth;
	size_t n_top;			/* arguments on the top level */
	bool need_sep;			/* an argument has just ended */
	struct imap_arg *literal;	/* the announced one */
	uint64_t literal_size;
	bool literal_sync;
	const char *error;		/* static text for the client */
};

/*
 * text: without its line end, in the arena (the tree points into it).
 * IMAP_TREE_END: the command is complete; IMAP_TREE_LITERAL: t->literal waits
 * for its octets, then comes the next segment; E_INVALID: t->error.
 */
int imap_tree_segment(struct imap_tree *t, struct slice text,
		      unsigned depth_max, struct arena *a);
/* The tag at the start of a line, or NULL. */
const char *imap_tree_tag(struct slice line, struct arena *a);

#endif
