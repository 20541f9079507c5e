#ifndef DUET_NODE_PRIVS_H
#define DUET_NODE_PRIVS_H

/*
 * Giving up rights, in plain sight.
 *
 *   role    uid                    root directory
 *   front   default_login_user     empty
 *   auth    default_internal_user  /
 *   store   the mail owner         /
 *   sync    the mail owner         empty
 */

#include "node/base/err.h"

#include <sys/types.h>

struct privs {
	uid_t uid;
	gid_t gid;
	const char *chroot_dir;		/* NULL = stay */
};

/*
 * Root only: chroot, drop groups, change gid and uid for good, check that
 * there is no way back, then privs_harden().
 */
int privs_drop(const struct privs *p, struct err *e);
/* No new privileges; dies with the supervisor (setuid clears that, so it
 * comes last). */
int privs_harden(struct err *e);

#endif
