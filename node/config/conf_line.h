#ifndef DUET_NODE_CONF_LINE_H
#define DUET_NODE_CONF_LINE_H

/*
 * One logical line of a configuration file: comments gone, "\" joined.
 * Pure text; knows no settings.
 */

#include "node/base/arena.h"
#include "node/base/err.h"

struct buf;

enum conf_line_kind {
	CONF_L_EMPTY,
	CONF_L_SET,		/* key = value */
	CONF_L_OPEN,		/* key [name] { */
	CONF_L_CLOSE,		/* } */
	CONF_L_INCLUDE,		/* !include value, !include_try value */
	CONF_L_BAD,		/* error holds why */
};

struct conf_line {
	enum conf_line_kind kind;
	const char *key;
	const char *value;	/* value, or name of a block ("" = none) */
	bool quoted;		/* the value stood in quotes: literal */
	bool has_name;
	bool try;		/* !include_try */
	bool odd_comment;	/* "a#b": comment without a blank before it */
	const char *error;
};

/* Takes text up to the end of the logical line off *rest and counts *line up
 * to its last physical one.  Gives false at the end, or on a line beyond
 * CONF_LINE_MAX (then *too_long).  joined is scratch, overwritten. */
bool conf_line_next(struct slice *rest, unsigned *line, struct buf *joined,
		    bool *odd_comment, bool *too_long);
/* text: as conf_line_next left it, NUL-terminated; it is written to, and the
 * result points into it. */
void conf_line_parse(char *text, struct conf_line *out);

#endif
