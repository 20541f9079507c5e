#ifndef DUET_TOOLS_DUETCONF_H
#define DUET_TOOLS_DUETCONF_H

#include "node/config/conf.h"

#define DUETCONF_FATAL 89	/* exit status, as doveconf's */

/* "duetconf: Fatal: text"; gives DUETCONF_FATAL. */
int duetconf_fatal(const char *text);
/* Each gives the exit status. */
int duetconf_check(const char *path, struct conf_opts *opts);
int duetconf_default_tree(const char *dir);

/* The shipped tree, made from docs/example-config by tools/gen-tree. */
struct duetconf_file {
	const char *name;	/* "conf.d/10-mail.conf" */
	const char *const *parts;	/* its text in pieces, NULL ends */
};
extern const struct duetconf_file duetconf_tree[];
extern const size_t duetconf_tree_n;

#endif
