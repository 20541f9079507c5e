# Sources of storage, in the order of reading.
storage_SRC :=
# The log: frames, journal, account logs, checkpoints, recovery.
storage_SRC += storage/frame.c

# The published state and its views: index, message files, cache, snapshot.
storage_SRC += storage/rank.c storage/growmap.c storage/index.c storage/cache.c
storage_SRC += storage/entry_digest.c storage/dbox.c storage/dbox_dir.c
storage_SRC += storage/body_table.c storage/state.c storage/fold_check.c
storage_SRC += storage/index_gen.c storage/fold.c storage/snapshot.c
storage_SRC += storage/state_disk.c storage/mailbox.c storage/view.c
storage_SRC += storage/head.c storage/account.c
