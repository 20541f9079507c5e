#ifndef DUET_STORAGE_ACCOUNT_ROOT_H
#define DUET_STORAGE_ACCOUNT_ROOT_H

/*
 * Whose tree is this?  Three marks, all small text files of lines "key value":
 *
 *	MAILROOT/.duet-node	pair, node	an unmounted disk has none
 *	ROOT/.duet/owner	pair, account, name
 *	STATE/accounts/XX/ID	name, root	what this node knows
 *
 * They are written whole and durably, the owner's mark before the registry
 * entry.  A root with foreign content, another owner's, or without the mark
 * that the registry promises is refused, and nothing in it is changed.
 *
 * Private to storage/, but for the node's mark, which the supervisor writes.
 */

#include "node/base/buf.h"
#include "node/base/err.h"
#include "node/base/fsio.h"
#include "proto/record.h"

/* --- the mail root ---------------------------------------------------------- */

/* Makes the directory if needed and writes the mark (again). */
int node_mark_write(struct fsio *fs, const char *mail_root,
		    struct slice pair_id, unsigned node, struct err *e);
/* 0; E_TEMP: no mark (not mounted?); E_FOREIGN: another node's or pair's. */
int node_mark_check(struct fsio *fs, const char *mail_root,
		    struct slice pair_id, unsigned node, struct err *e);

/* --- account roots ----------------------------------------------------------- */

struct account_root {
	struct id128 id;
	char name[ACCOUNT_NAME_MAX + 1];
	char root[4096];
};

/* E_NOTFOUND if this node does not know the account. */
int account_root_get(struct fsio *fs, const char *state_dir, struct id128 id,
		     struct account_root *out, struct err *e);
/* Remembers it; durable with the next syncfs, as is the next but one. */
int account_root_put(struct fsio *fs, const char *state_dir,
		     const struct account_root *a, struct err *e);
typedef bool account_root_cb(void *arg, const struct account_root *a);
int account_root_each(struct fsio *fs, const char *state_dir,
		      account_root_cb *cb, void *arg, struct err *e);

/*
 * Is the root this account's?  0: marked as ours; E_NOTFOUND: empty of mail,
 * may be made; E_EXISTS: another account's; E_FOREIGN: mail that Duet did not
 * write, or another pair's.
 */
int account_root_check(struct fsio *fs, struct slice pair_id,
		       const struct account_root *a, struct err *e);
/* Directories and owner's mark; may be repeated.  Until a checkpoint has made
 * them durable the journal tells how to make them again. */
int account_root_make(struct fsio *fs, struct slice pair_id,
		      const struct account_root *a, struct err *e);
/* One that is known to have been made there, on a file system that is there: what
 * a crash has left without its owner's mark is its own.  E_EXISTS, E_FOREIGN:
 * the mark names another. */
int account_root_make_again(struct fsio *fs, struct slice pair_id,
			    const struct account_root *a, struct err *e);
/* Does the tree hold a log or a snapshot? */
bool account_root_has_log(struct fsio *fs, const char *root);

/* mkdir -p, each new name made durable. */
int account_root_mkdirs(struct fsio *fs, const char *path, mode_t mode);

#endif
