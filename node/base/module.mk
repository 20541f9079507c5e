# Sources of node/base, in the order of reading.
base_SRC :=
