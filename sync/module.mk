# Sources of sync, in the order of reading.
sync_SRC :=

# One account: the step function.
sync_SRC += sync/peer.c sync/peer_gate.c sync/peer_start.c sync/peer_hold.c

# All accounts of a process, on storage.
sync_SRC += sync/engine.c sync/engine_account.c sync/engine_act.c \
	sync/engine_link.c sync/engine_send.c sync/engine_ask.c \
	sync/engine_write.c sync/engine_forward.c sync/engine_blob.c \
	sync/engine_seed.c sync/engine_status.c sync/engine_admin.c

# The node level of the link.
sync_SRC += sync/node_link.c sync/node_link_hello.c sync/node_link_trust.c
