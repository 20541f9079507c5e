#ifndef DUET_TOOLS_ADM_PRINT_H
#define DUET_TOOLS_ADM_PRINT_H

/*
 * Tables in the forms of 2.3's doveadm: one description of columns, one row
 * after the other, five printers.
 *
 *	table	a header line, columns aligned; widths are fixed after
 *		PRINT_TABLE_ROWS rows, so that a long list is not kept whole
 *	tab	a header line, then one line a row; tabs, line ends and
 *		backslashes inside a value are written \t, \n, \r, \\
 *	flow	key=value, blanks between
 *	pager	"key: value" lines, records separated by a form feed
 *	json	one array of objects
 *
 * Control characters of values reach no terminal: table, flow and pager show
 * them as '?'.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PRINT_TABLE_ROWS 1000u
#define PRINT_COLUMNS_MAX 24u

enum {
	PRINT_HIDE_TITLE = 1,	/* no header; flow and pager: value alone */
	PRINT_RIGHT = 2,	/* numbers in table */
};

struct print_column {
	const char *key;	/* json */
	const char *title;	/* NULL = key */
	unsigned width;		/* at least, in table */
	unsigned flags;
};

struct print;

bool print_known(const char *formatter);
/* formatter is a known one; gap: blanks between columns of table.  cols must
 * outlive the printer; out stays the caller's. */
struct print *print_new(const char *formatter, const struct print_column *cols,
			size_t n, unsigned gap, FILE *out);
/* n cells, copied if kept.  NULL counts as "". */
void print_row(struct print *p, const char *const *cells);
/* Writes what is outstanding (a header without rows, the end of json) and
 * frees. */
void print_end(struct print *p);

#endif
