# Sources of storage, in the order of reading.
storage_SRC :=
