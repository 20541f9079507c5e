#ifndef DUET_TOOLS_ADM_DUMP_H
#define DUET_TOOLS_ADM_DUMP_H

/*
 * The store's own files as text: one line a thing, damage named where it is.
 * Reads bytes only; nothing is locked, changed or followed.  A file that a
 * running node writes may end in the middle of something.
 */

#include "node/base/slice.h"

#include <stdio.h>

struct dump {
	struct slice in;		/* the whole file */
	FILE *out;
	unsigned damage;		/* things that did not check */
};

struct dump_type {
	const char *name;		/* of -t */
	const char *help;
	/* Does the file begin as one of these do? */
	bool (*is)(struct slice in);
	void (*run)(struct dump *d);
};

/* Ends with a zero name. */
extern const struct dump_type dump_types[];

void dump_journal(struct dump *d);

/* Texts into a caller's array, which is given back. */
struct position;
struct id128;
#define DUMP_TEXT 96
const char *dump_id(struct id128 id, char text[DUMP_TEXT]);
const char *dump_position(struct position p, char text[DUMP_TEXT]);
const char *dump_time(uint64_t usec, char text[DUMP_TEXT]);
/* One frame and, indented, its record. */
void dump_frame(struct dump *d, struct slice bytes);

#endif
