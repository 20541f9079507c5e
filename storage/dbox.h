#ifndef DUET_STORAGE_DBOX_H
#define DUET_STORAGE_DBOX_H

/*
 * Message files in dbox version 2, as Dovecot's sdbox writes and reads them:
 *
 *   "2 M1e C00000001\n"                       file header; 1e = 30, next line
 *   01 02 'N' ' ' 8×' ' ' ' SIZE16 '\n'       message header, size in hex
 *   octets of the message                     CRLF line ends
 *   "\n" 01 03 "\n"                           metadata, hex values:
 *   "R…\n" received   "V…\n" octets with CRLF   "G…\n" GUID = EMAILID   "\n"
 *
 * Dovecot 2.3 reads a copy of such a tree after `doveadm force-resync '*'` with
 * the same UIDs, GUIDs, dates and sizes; `doveadm dump -t dbox` shows one file.
 *
 * A staged body (.duet/tmp/s.HASHHEX) is such a file without its metadata;
 * they are added when a record names it.  One of plain octets is taken too.
 *
 * Only the log says which messages exist.  Paths below an account's root:
 *   mailboxes/LEVEL/…/dbox-Mails/u.UID     levels in modified UTF-7
 *   mailboxes/LEVEL/…/dbox-Mails/duet-id   "MAILBOXIDHEX NUMBERING\n"
 *   .duet/.expunged/MAILBOXIDHEX.UID       after MSG_EXPUNGE
 *   .duet/.expunged/MAILBOXIDHEX/          after MBOX_DELETE
 *   .duet/.expunged/MAILBOXIDHEX.index     after MBOX_DELETE: its last index
 *   .duet/.expunged/MAILBOXIDHEX.nN/       after MBOX_RENUMBER
 *   .duet/tmp/m.MAILBOXIDHEX.N/            a directory on its way
 *   .duet/orphans/                         what the log does not know
 */

#include "storage/state.h"

#define DBOX_HEAD_SIZE 46u
#define DBOX_META_MAX 512u	/* metadata we read */

struct mailbox;

/* Appends header, metadata. */
void dbox_head_put(struct buf *to, uint64_t size);
void dbox_tail_put(struct buf *to, struct id128 emailid, int64_t received,
		   uint64_t size);
/* ROOT/.duet/tmp/s.HASHHEX */
void dbox_staged_path(struct buf *to, const char *root, const uint8_t hash[32]);

struct dbox_file {
	int fd;			/* open for reading, the caller closes it */
	uint64_t offset, size;	/* of the message octets */
	uint64_t file_size, ino, dev;
	int64_t mtime_usec;
};
/* Reads the headers of a message file.  -errno, E_CORRUPT. */
int dbox_open(struct fsio *fs, const char *path, struct dbox_file *out);

/* May a mailbox of this name have a directory?  Checks mailbox_name_check()
 * and what the file system would refuse.  E_INVALID. */
int dbox_name_check(const struct state *s, struct slice name);

/* --- during apply ------------------------------------------------------- */

/* The directory of a mailbox, made if it is missing; m->dir is set.  During a
 * replay one found by its id is taken wherever it is. */
int dbox_dir(struct mailbox *m, struct err *e);
/*
 * Puts u.UID of an MSG_ADD in place: from the inline body (p != NULL), by a
 * link to the copy source, to the staged file, or to any message with these
 * octets.  1: no body was found; that is noted, not an error.
 */
int dbox_place(struct mailbox *m, const struct op_msg_add *o, struct slice body,
	       struct err *e);
/* The same from one file that is known to have the octets at `offset`; a
 * file that is there already is replaced. */
int dbox_place_from(struct mailbox *m, const struct op_msg_add *o,
		    const char *from, uint64_t offset, struct err *e);
/* Moves u.UID to .expunged.  Failing is harmless: only the log counts. */
void dbox_expunge(struct mailbox *m, uint32_t uid);
/*
 * Another numbering: a directory beside the old one, with a link for each
 * message that there is a file of; map[i] = {old, new}.  Nothing else changes
 * until the second call, which cannot fail and takes dir.
 */
struct dbox_renumber {
	uint32_t from, to;
};
int dbox_renumber_begin(struct mailbox *m, uint32_t numbering,
			const struct dbox_renumber *map, size_t n,
			char **dir_out, struct err *e);
void dbox_renumber_end(struct mailbox *m, uint32_t numbering, char *dir);
/* Finds all directories with an id, before a replay. */
int dbox_scan(struct state *s, struct err *e);
/* Puts every directory where the state wants it, by id and through temporary
 * names; those of deleted mailboxes go to .expunged. */
void state_settle_dirs(struct state *s);
/* A directory that a renumbering or a deletion left behind goes there after
 * all, durably.  False: it is none, or could not. */
bool dbox_to_expunged(struct state *s, const char *path, struct id128 id,
		      uint32_t numbering);
/* Is each of them there? */
bool dbox_dirs_settled(struct state *s);
void dbox_path(const struct mailbox *m, uint32_t uid, struct buf *to);
void dbox_expunged_path(const struct mailbox *m, uint32_t uid, struct buf *to);
/* The same of a deleted mailbox; expunged: before it was deleted. */
void dbox_deleted_path(const struct state *s, struct id128 id, uint32_t uid,
		       bool expunged, struct buf *to);
/* The last index of a deleted mailbox: which bodies lie in .expunged. */
void dbox_expunged_index(const struct state *s, struct id128 id,
			 struct buf *to);

#endif
