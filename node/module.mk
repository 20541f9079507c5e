# Sources of node, in the order of reading.
node_SRC :=
