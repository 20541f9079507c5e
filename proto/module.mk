# Sources of proto, in the order of reading.
proto_SRC :=

# Messages between the roles of a node.
proto_SRC += proto/ipc_msg.c
proto_PROTO += proto/ipc.proto
