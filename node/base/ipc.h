#ifndef DUET_BASE_IPC_H
#define DUET_BASE_IPC_H

/*
 * Messages between roles, and between nodes: one envelope.
 *
 *  0 len    u32  bytes after this field
 *  4 type   u16  enum of proto/ipc.h or proto/link.h
 *  6 flags  u16
 *  8 stream u64  what it belongs to (session, request, transfer)
 * 16 seq    u64  free for the user of the type
 * 24 head_n u32  bytes of head
 * 28 head        protobuf
 *    body        raw bytes: frames and bodies, never re-encoded
 *
 * Little-endian.  One message is at most IPC_MESSAGE_MAX bytes.
 */

#include "node/base/buf.h"
#include "node/base/err.h"

#define IPC_MESSAGE_MAX (1024u * 1024 + 64 * 1024)
#define IPC_HEADER_SIZE 28
#define IPC_QUEUE_MAX (8u * 1024 * 1024)

struct ipc_msg {
	uint16_t type, flags;
	uint64_t stream, seq;
	struct slice head, body;	/* valid during the callback only */
	int fd;				/* -1, or a descriptor passed along;
					 * the receiver of the callback owns it */
};

/* Appends the message's bytes. */
void ipc_encode(struct buf *to, const struct ipc_msg *m);
/*
 * One message at the start of in: its whole length, 0 if more bytes are
 * needed, or E_PROTO (length beyond the limit, head longer than message).
 */
int ipc_decode(struct slice in, struct ipc_msg *out, struct err *e);

struct loop;
struct ipc;

struct ipc_ops {
	void (*message)(void *arg, struct ipc_msg *m);
	/* The other end is gone or broke the protocol; free from here or later.*/
	void (*closed)(void *arg, const struct err *e);
};

/* A channel over one end of a SOCK_STREAM socket pair; takes fd. */
struct ipc *ipc_new(struct loop *l, int fd, const struct ipc_ops *ops, void *arg);
/* What was queued leaves if the socket takes it at once. */
void ipc_free(struct ipc *c);
/* Queues a copy.  E_LIMIT if IPC_QUEUE_MAX bytes wait already (nothing is
 * sent then), -EMSGSIZE for a message beyond IPC_MESSAGE_MAX, -EPIPE after
 * closed; then the descriptor stays the caller's, otherwise m->fd is taken. */
int ipc_send(struct ipc *c, const struct ipc_msg *m);
size_t ipc_queued(const struct ipc *c);

#endif
