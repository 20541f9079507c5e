#ifndef DUET_NODE_CONF_DUMP_H
#define DUET_NODE_CONF_DUMP_H

/*
 * A configuration as text, in the form of 2.3's doveconf: sorted settings,
 * blocks in braces, filters last.  What conf_dump() prints with CONF_DUMP_SET
 * and `passwords` is a configuration file with the same meaning.
 */

#include "node/config/conf.h"

enum conf_dump_what {
	CONF_DUMP_ALL,		/* every setting */
	CONF_DUMP_SET,		/* those that differ from their default */
	CONF_DUMP_EXPLICIT,	/* those that stand in a file */
	CONF_DUMP_DEFAULTS,	/* every setting, as without any file */
};

struct conf_dump {
	enum conf_dump_what what;
	bool hidden;		/* also settings of no interest */
	bool passwords;		/* secrets in clear */
	bool expand;		/* $names and files */
	bool values_only;	/* without the name */
	bool machine;		/* path=value lines */
	const char *module;	/* NULL = all */
	const struct conf_ctx *ctx;
};

void conf_dump(const struct conf *c, const struct conf_dump *o,
	       struct buf *out);
/* One setting ("mail_location", "service/imap/executable") or block
 * ("service/imap", "plugin"); E_NOTFOUND. */
int conf_dump_name(const struct conf *c, const struct conf_dump *o,
		   const char *name, struct buf *out, struct err *e);
/* docs/settings.md, from the table. */
void conf_doc(struct buf *out);

#endif
