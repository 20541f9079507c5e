# Sources of sync, in the order of reading.
sync_SRC :=

# One account: the step function.
sync_SRC += sync/peer.c sync/peer_gate.c sync/peer_start.c sync/peer_hold.c
