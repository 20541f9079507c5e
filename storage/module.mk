# Sources of storage, in the order of reading.
storage_SRC :=
# The log: frames, journal, account logs, checkpoints, recovery.
storage_SRC += storage/frame.c
