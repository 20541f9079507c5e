# Sources of sync, in the order of reading.
sync_SRC :=
