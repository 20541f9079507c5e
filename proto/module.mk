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

# MIME: structure, its cached form, header values, search.
proto_SRC += proto/rfc5322.c proto/address.c proto/mime_field.c
proto_SRC += proto/mime_header.c proto/mime.c proto/mime_codec.c
proto_SRC += proto/mime_kept.c
proto_SRC += proto/transfer.c proto/rfc2047.c proto/textsearch.c
proto_SRC += proto/message_fields.c proto/imap_write.c

proto_SRC += proto/lmtp_parse.c proto/pop3_parse.c

# Names, dates, charsets.
proto_SRC += proto/mutf7.c proto/mailbox_name.c proto/date.c proto/charset.c
