/* Giving up rights. */

#include "node/super/privs.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int privs_harden(struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, -errno, "PR_SET_NO_NEW_PRIVS: %s",
			       strerror(errno));
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(e, -errno, "PR_SET_PDEATHSIG: %s",
			       strerror(errno));
	/* If it died before this line, its end of the channel is closed and
	 * the loop ends. */
	return 0;
}

int privs_drop(const struct privs *p, struct err *e)
{
	if (p->uid == 0 || p->uid == (uid_t)-1 || p->gid == (gid_t)-1)
		return err_set(e, E_CONFIG, "a role may not run as uid %ld, "
			       "gid %ld", (long)p->uid, (long)p->gid);
	if (p->chroot_dir &&
	    (chroot(p->chroot_dir) < 0 || chdir("/") < 0))
		return err_set(e, -errno, "chroot to %s: %s", p->chroot_dir,
			       strerror(errno));
	if (setgroups(0, NULL) < 0)
		return err_set(e, -errno, "setgroups: %s", strerror(errno));
	if (setresgid(p->gid, p->gid, p->gid) < 0)
		return err_set(e, -errno, "setresgid(%u): %s", p->gid,
			       strerror(errno));
	if (setresuid(p->uid, p->uid, p->uid) < 0)
		return err_set(e, -errno, "setresuid(%u): %s", p->uid,
			       strerror(errno));
	if (setuid(0) == 0 || setgid(0) == 0)
		return err_set(e, E_PERM, "privileges could be taken back");
	return privs_harden(e);
}
