# Sources of storage, in the order of reading.
storage_SRC :=
# The log: frames, journal, account logs, checkpoints, recovery.
storage_SRC += storage/frame.c storage/journal.c storage/alog.c \
	storage/alog_read.c storage/ckmark.c storage/snapfile.c \
	storage/account_root.c storage/store.c storage/store_account.c \
	storage/store_write.c storage/store_read.c storage/store_checkpoint.c \
	storage/store_recover.c storage/store_parked.c storage/store_body.c storage/store_reset.c \
	storage/store_periodic.c storage/store_heal.c storage/store_made.c

# The published state and its views: index, message files, cache, snapshot.
storage_SRC += storage/rank.c storage/growmap.c storage/index.c storage/cache.c
storage_SRC += storage/entry_digest.c storage/dbox.c storage/dbox_dir.c
storage_SRC += storage/body_table.c storage/state.c storage/fold_check.c
storage_SRC += storage/index_gen.c storage/fold.c storage/snapshot.c
storage_SRC += storage/state_disk.c storage/mailbox.c storage/view.c
storage_SRC += storage/head.c storage/account.c
storage_SRC += storage/prepare.c storage/prepare_add.c storage/prepare_flags.c
storage_SRC += storage/prepare_mbox.c
