# Sources of proto, in the order of reading.
proto_SRC :=

# Messages between the roles of a node.
proto_SRC += proto/ipc_msg.c
proto_PROTO += proto/ipc.proto

# The pair link.
proto_SRC += proto/link.c proto/link_pack.c proto/link_unpack.c
proto_PROTO += proto/link.proto
