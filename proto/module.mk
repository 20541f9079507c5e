# Sources of proto, in the order of reading.
proto_SRC :=

# Messages between the roles of a node.
proto_SRC += proto/ipc_msg.c
proto_PROTO += proto/ipc.proto

# The pair link.
proto_SRC += proto/link.c proto/link_pack.c proto/link_unpack.c
proto_PROTO += proto/link.proto

# Records of the account log.
proto_SRC += proto/record.c proto/record_pack.c proto/record_print.c
proto_PROTO += proto/record.proto

# IMAP: commands in, pieces of replies out.
proto_SRC += proto/imap_parse.c proto/imap_tree.c proto/imap_set.c
proto_SRC += proto/imap_fetch.c proto/imap_args.c proto/imap_search.c

# Names, dates, charsets.
proto_SRC += proto/mutf7.c proto/mailbox_name.c proto/date.c proto/charset.c
