#include "storage/dbox.h"
#include "tests/unit/storage/fold_rig.h"

#include <errno.h>
#include <fcntl.h>

static struct rig rig;

static void a_message_file_is_dbox_version_2(void)
{
	struct buf b;

	/* "Subject: hello\r\n\r\nhello\r\n" has 25 octets. */
	rig_init(&rig, 1);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "hello");
	buf_init(&b, 4096);
	CU_EQ_INT(fsio_read_file(rig.sys.fs,
				 "/a/mailboxes/INBOX/dbox-Mails/u.1", 4096,
				 &b), 0);
	CU_EQ_TEXT(slice_sub(buf_all(&b), 0, 16), "2 M1e C00000001\n");
	CU_EQ_TEXT(slice_sub(buf_all(&b), 16, 46),
		   "\001\002N          0000000000000019\n");
	CU_EQ_TEXT(slice_sub(buf_all(&b), 46, 71),
		   "Subject: hello\r\n\r\nhello\r\n");
	CU_EQ_TEXT(slice_sub(buf_all(&b), 71, 75), "\n\001\003\n");
	CU_EQ_TEXT(slice_sub(buf_all(&b), 75, 90), "R6b49d1fb\nV19\nG");
	CU_EQ_TEXT(slice_sub(buf_all(&b), b.n - 2, b.n), "\n\n");
	CU_EQ_INT(b.n, 90 + 32 + 2);
	buf_fini(&b);
	rig_fini(&rig);
}

static void names_become_modified_utf7_levels(void)
{
	rig_init(&rig, 2);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "Entw\xc3\xbcrfe/A&B", "x");
	CU_CLAIM(fsio_exists(rig.sys.fs, "/a/mailboxes/Entw&APw-rfe/A&-B/"
					 "dbox-Mails/u.1"), "path");
	rig_fini(&rig);
}

/* An MSG_ADD whose body was staged. */
static void add_staged(const char *text, uint64_t size, uint8_t emailid)
{
	struct mailbox *m = rig_box(&rig, "INBOX");
	struct op o = {.kind = OP_MSG_ADD};

	o.msg_add.mbox = mailbox_id(m);
	o.msg_add.uid = (uint32_t)mailbox_uidnext(m);
	memset(o.msg_add.emailid.b, emailid, 16);
	sha256(slice_of(text, size), o.msg_add.body_hash);
	o.msg_add.size = size;
	o.msg_add.source = SOURCE_APPEND;
	rig_op(&rig, o);
}

static void stage(const char *text, bool head)
{
	uint8_t hash[32];
	struct buf path, b;
	int fd;

	buf_init(&path, 4096);
	buf_init(&b, 4096);
	sha256(slice_str(text), hash);
	dbox_staged_path(&path, "/a", hash);
	buf_char(&path, 0);
	if (head)
		dbox_head_put(&b, strlen(text));
	buf_str(&b, text);
	fd = rig.sys.fs->ops->open(rig.sys.fs, (char *)path.p,
				   O_WRONLY | O_CREAT, 0600);
	CU_EQ_INT(fsio_pwrite_all(rig.sys.fs, fd, b.p, b.n, 0), 0);
	rig.sys.fs->ops->close(rig.sys.fs, fd);
	buf_fini(&path);
	buf_fini(&b);
}

static void body_is(uint32_t uid, const char *text)
{
	struct mailbox *m = rig_box(&rig, "INBOX");
	struct err e = ERR_NONE;
	struct body b = {0};

	if (!CU_OK(mailbox_body_open(m, mailbox_lower(m, uid), &b, &e), &e))
		return;
	CU_EQ_TEXT(b.data, text);
	mailbox_body_close(m, &b);
}

static void staged_bodies_are_linked_or_copied(void)
{
	rig_init(&rig, 3);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "x");
	stage("staged with a head\r\n", true);
	add_staged("staged with a head\r\n", 20, 7);
	body_is(2, "staged with a head\r\n");
	/* The same octets as another message: a file of its own. */
	add_staged("staged with a head\r\n", 20, 8);
	body_is(3, "staged with a head\r\n");
	stage("plain octets\r\n", false);
	add_staged("plain octets\r\n", 14, 9);
	body_is(4, "plain octets\r\n");
	CU_EQ_INT(state_missing(rig.acc.state), 0);
	/* One that is nowhere is noted, not an error. */
	add_staged("nowhere\r\n", 9, 10);
	CU_EQ_INT(state_missing(rig.acc.state), 1);
	rig_fini(&rig);
}

static void damage_is_found_and_repaired(void)
{
	struct mailbox *m;
	struct body b;
	struct err e = ERR_NONE;
	const char *path = "/a/mailboxes/INBOX/dbox-Mails/u.1";

	rig_init(&rig, 4);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "hello");
	rig_deliver(&rig, "INBOX", "other");
	m = rig_box(&rig, "INBOX");
	for (unsigned i = 0; i < 71; i++) {
		/* The version line after "2 " says nothing we need. */
		if (i >= 2 && i < 16)
			continue;
		/* So do the blanks of the message header. */
		if (i >= 19 && i < 29)
			continue;
		CU_EQ_INT(simdisk_flip(rig.disk, path, i, 1), 0);
		CU_CLAIM(mailbox_body_open(m, 0, &b, &e) == E_CORRUPT,
			 "byte %u", i);
		simdisk_flip(rig.disk, path, i, 1);
	}
	body_is(1, "Subject: hello\r\n\r\nhello\r\n");
	/* Wrong octets, then the right ones from a plain file. */
	simdisk_flip(rig.disk, path, 60, 1);
	stage("Subject: hello\r\n\r\nhello\r\n", false);
	struct buf from;

	buf_init(&from, 4096);
	dbox_staged_path(&from, "/a", mailbox_rec(m, 0)->body_hash);
	buf_char(&from, 0);
	CU_OK(state_place_body(rig.acc.state, m, mailbox_rec(m, 0),
			       (char *)from.p, 0, &e), &e);
	buf_fini(&from);
	body_is(1, "Subject: hello\r\n\r\nhello\r\n");
	rig.sys.fs->ops->unlink(rig.sys.fs, path);
	CU_EQ_INT(mailbox_body_open(m, 0, &b, &e), E_GONE);
	rig_fini(&rig);
}

static void a_file_the_log_does_not_know_goes_to_orphans(void)
{
	const char *path = "/a/mailboxes/INBOX/dbox-Mails/u.2";
	char hex[33], *orphan;
	int fd;

	rig_init(&rig, 5);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "x");
	fd = rig.sys.fs->ops->open(rig.sys.fs, path, O_WRONLY | O_CREAT, 0600);
	CU_EQ_INT(fsio_pwrite_all(rig.sys.fs, fd, "mine", 4, 0), 0);
	rig.sys.fs->ops->close(rig.sys.fs, fd);
	rig_deliver(&rig, "INBOX", "y");
	rig_has(rig_box(&rig, "INBOX"), 2, "y");
	hex_of(mailbox_id(rig_box(&rig, "INBOX")).b, 16, hex);
	orphan = xprintf("/a/.duet/orphans/%s.2", hex);
	CU_CLAIM(fsio_exists(rig.sys.fs, orphan), "%s", orphan);
	free(orphan);
	rig_fini(&rig);
}

static void where_links_end_a_copy_is_made(void)
{
	struct fsio_stat a, b;

	rig_init(&rig, 7);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "x");
	simdisk_fail(rig.disk, SIM_LINK, NULL, 1, 1, EMLINK);
	rig_copy(&rig, WRITE_COPY, "INBOX", "INBOX", 1, 1);
	rig_has(rig_box(&rig, "INBOX"), 2, "x");
	CU_EQ_INT(rig.sys.fs->ops->stat(
			  rig.sys.fs, "/a/mailboxes/INBOX/dbox-Mails/u.1", &a),
		  0);
	CU_EQ_INT(rig.sys.fs->ops->stat(
			  rig.sys.fs, "/a/mailboxes/INBOX/dbox-Mails/u.2", &b),
		  0);
	CU_CLAIM(a.ino != b.ino, "two files");
	CU_EQ_U64(a.size, b.size);
	rig_fini(&rig);
}

static void bodies_are_found_by_hash(void)
{
	struct buf path;
	uint8_t hash[32];

	rig_init(&rig, 6);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "x");
	buf_init(&path, 4096);
	memcpy(hash, mailbox_rec(rig_box(&rig, "INBOX"), 0)->body_hash, 32);
	CU_EQ_INT(state_body_find(rig.acc.state, hash, &path), 0);
	CU_EQ_TEXT(buf_all(&path), "/a/mailboxes/INBOX/dbox-Mails/u.1");
	buf_reset(&path);
	rig_expunge(&rig, "INBOX", 1, 1);
	CU_EQ_INT(state_body_find(rig.acc.state, hash, &path), 0);
	CU_CLAIM(memmem(path.p, path.n, ".expunged", 9) != NULL, "expunged");
	hash[9] ^= 1;
	CU_EQ_INT(state_body_find(rig.acc.state, hash, &path), E_NOTFOUND);
	/* Added after the table was made. */
	rig_deliver(&rig, "b", "y");
	memcpy(hash, mailbox_rec(rig_box(&rig, "b"), 0)->body_hash, 32);
	buf_reset(&path);
	CU_EQ_INT(state_body_find(rig.acc.state, hash, &path), 0);
	buf_fini(&path);
	rig_fini(&rig);
}

static void found(const uint8_t hash[32], bool want)
{
	struct buf path;
	int r;

	buf_init(&path, 4096);
	r = state_body_find(rig.acc.state, hash, &path);
	CU_EQ_INT(r, want ? 0 : E_NOTFOUND);
	if (r == 0) {
		buf_char(&path, 0);
		CU_CLAIM(fsio_exists(rig.sys.fs, (char *)path.p), "%s",
			 (char *)path.p);
	}
	buf_fini(&path);
}

static void checkpoint(void)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	state_save(rig.acc.state, &b);
	state_checkpointed(rig.acc.state);
	buf_fini(&b);
}

static void bodies_of_a_deleted_mailbox_are_found_until_they_are_swept(void)
{
	uint8_t live[32], expunged[32];
	struct err e = ERR_NONE;

	rig_init(&rig, 8);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "INBOX", "elsewhere");
	rig_deliver(&rig, "Work", "one");
	rig_deliver(&rig, "Work", "two");
	memcpy(expunged, mailbox_rec(rig_box(&rig, "Work"), 0)->body_hash, 32);
	memcpy(live, mailbox_rec(rig_box(&rig, "Work"), 1)->body_hash, 32);
	rig_expunge(&rig, "Work", 1, 1);
	found(live, true);
	CU_OK(rig_mbox_write(&rig, WRITE_DELETE, "Work", NULL, &e), &e);
	found(live, true);
	found(expunged, true);
	checkpoint();
	found(live, true);
	rig_deliver(&rig, "INBOX", "after");
	found(mailbox_rec(rig_box(&rig, "INBOX"), 1)->body_hash, true);
	state_sweep(rig.acc.state, RIG_NOW + 1, rig.acc.end.seq);
	found(live, false);
	found(expunged, false);
	CU_EQ_INT(rig.sys.fs->ops->rmdir(rig.sys.fs, "/a/.duet/.expunged"), 0);
	rig_fini(&rig);
}

/* Their ways to .expunged failed: nobody sees them, and they are swept all the
 * same when their time has come, if not at once. */
static void what_stayed_in_the_tree_is_swept_too(void)
{
	struct fsio *fs;
	struct err e = ERR_NONE;

	rig_init(&rig, 10);
	rig_begin(&rig, 0, 0);
	fs = rig.sys.fs;
	rig_deliver(&rig, "INBOX", "one");
	rig_deliver(&rig, "INBOX", "two");
	rig_deliver(&rig, "Work", "three");
	simdisk_fail(rig.disk, SIM_RENAME, "/a/mailboxes", 1, 1u << 30, EIO);
	rig_expunge(&rig, "INBOX", 1, 1);
	CU_OK(rig_mbox_write(&rig, WRITE_DELETE, "Work", NULL, &e), &e);
	simdisk_fail(rig.disk, 0, NULL, 0, 0, 0);
	CU_CLAIM(fsio_exists(fs, "/a/mailboxes/INBOX/dbox-Mails/u.1"), "moved");
	CU_CLAIM(fsio_exists(fs, "/a/mailboxes/Work/dbox-Mails/u.1"), "moved");
	checkpoint();
	/* Not even now. */
	simdisk_fail(rig.disk, SIM_UNLINK, "/a/", 1, 1u << 30, EIO);
	state_sweep(rig.acc.state, RIG_NOW + 1, rig.acc.end.seq);
	CU_CLAIM(fsio_exists(fs, "/a/mailboxes/INBOX/dbox-Mails/u.1"), "gone");
	simdisk_fail(rig.disk, 0, NULL, 0, 0, 0);
	state_sweep(rig.acc.state, RIG_NOW + 1, rig.acc.end.seq);
	CU_CLAIM(!fsio_exists(fs, "/a/mailboxes/INBOX/dbox-Mails/u.1"), "left");
	CU_CLAIM(!fsio_exists(fs, "/a/mailboxes/Work/dbox-Mails"), "left");
	CU_CLAIM(fsio_exists(fs, "/a/mailboxes/INBOX/dbox-Mails/u.2"), "lost");
	rig_fini(&rig);
}

static void compaction_forgets_no_body_that_is_there(void)
{
	uint8_t hash[32];
	struct mailbox *m;

	rig_init(&rig, 9);
	rig_begin(&rig, 0, 0);
	for (int i = 0; i < 300; i++)
		rig_deliver(&rig, "INBOX", "x");
	rig_deliver(&rig, "INBOX", "only this");
	m = rig_box(&rig, "INBOX");
	memcpy(hash, mailbox_rec(m, 300)->body_hash, 32);
	rig_expunge(&rig, "INBOX", 2, 301);
	checkpoint();
	checkpoint();
	found(hash, true);
	CU_EQ_INT(mailbox_records(m), 301);
	state_sweep(rig.acc.state, RIG_NOW + 1, rig.acc.end.seq);
	checkpoint();
	CU_EQ_INT(mailbox_records(m), 1);
	found(hash, false);
	rig_digest_holds(rig.acc.state);
	rig_fini(&rig);
}

/* The rename came to the log and not to the disk. */
static void a_mailbox_that_could_not_be_moved_is_no_orphan(void)
{
	struct err e = ERR_NONE;

	rig_init(&rig, 10);
	rig_begin(&rig, 0, 0);
	rig_deliver(&rig, "old", "x");
	simdisk_fail(rig.disk, SIM_RENAME, "old/dbox-Mails", 1, 9, EIO);
	CU_OK(rig_mbox_write(&rig, WRITE_RENAME, "old", "new", &e), &e);
	simdisk_fail(rig.disk, 0, NULL, 0, 0, 0);
	rig_has(rig_box(&rig, "new"), 1, "x");
	CU_OK(rig_mbox_write(&rig, WRITE_CREATE, "old", NULL, &e), &e);
	rig_has(rig_box(&rig, "new"), 1, "x");
	rig_deliver(&rig, "old", "y");
	rig_has(rig_box(&rig, "old"), 1, "y");
	rig_fini(&rig);
}

CU_TESTS(CU_CASE(a_message_file_is_dbox_version_2),
	 CU_CASE(names_become_modified_utf7_levels),
	 CU_CASE(staged_bodies_are_linked_or_copied),
	 CU_CASE(damage_is_found_and_repaired),
	 CU_CASE(a_file_the_log_does_not_know_goes_to_orphans),
	 CU_CASE(where_links_end_a_copy_is_made),
	 CU_CASE(bodies_are_found_by_hash),
	 CU_CASE(bodies_of_a_deleted_mailbox_are_found_until_they_are_swept),
	 CU_CASE(what_stayed_in_the_tree_is_swept_too),
	 CU_CASE(compaction_forgets_no_body_that_is_there),
	 CU_CASE(a_mailbox_that_could_not_be_moved_is_no_orphan))
