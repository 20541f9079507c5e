# Sources of node/base, in the order of reading.
base_SRC := \
	node/base/slice.c \
	node/base/buf.c \
	node/base/cursor.c \
	node/base/arena.c \
	node/base/err.c \
	node/base/clock.c \
	node/base/rng.c \
	node/base/digest.c \
	node/base/crc32c.c \
	node/base/map.c \
	node/base/loop.c \
	node/base/loop_queue.c \
	node/base/fsio.c \
	node/base/fsio_system.c \
	node/base/log.c \
	node/base/log_system.c \
	node/base/stream.c \
	node/base/stream_socket.c \
	node/base/tls.c \
	node/base/ipc.c

# Proof of the secret of the pair.
base_SRC += node/base/scram.c
