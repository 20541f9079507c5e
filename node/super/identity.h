#ifndef DUET_NODE_IDENTITY_H
#define DUET_NODE_IDENTITY_H

/*
 * Who this node is in its pair: one small file of the supervisor,
 * STATE_DIR/identity, made once (replication.md, Identity).  512 bytes,
 * little-endian:
 *
 *   0 magic "DUETIDN1"     32 pair id 16            96 partner node id 16
 *   8 version u16 = 1      48 zero u64             112 partner incarnation 16
 *  10 flags u16            56 pair time u32        128 retired incarnations of
 *  12 zero u32             60 index u8                 the partner, 8 × 16
 *  16 own node id 16       61 retired u8           256 zero
 *                          62 zero u16             508 CRC-32C of bytes 0…507
 *                          64 own incarnation 16
 *                          80 zero 16
 *
 * flags: 1 pair (pair id, pair time and index count), 2 trusted,
 * 4 provisional, 8 a member has joined.
 */

#include "node/base/err.h"
#include "node/base/fsio.h"
#include "sync/node_link.h"

#define IDENTITY_SIZE 512
#define IDENTITY_RETIRED_MAX 8

void identity_encode(const struct node_identity *id,
		     uint8_t out[IDENTITY_SIZE]);
/* E_CORRUPT, E_VERSION. */
int identity_decode(struct slice in, struct node_identity *out, struct err *e);

/* A new node id and incarnation, no pair. */
void identity_new_node(struct node_identity *id, const struct sys *sys);
/* A pair of its own: index 0, trusted; provisional if there is no partner. */
void identity_new_pair(struct node_identity *id, const struct sys *sys,
		       bool provisional);

/* dir/identity; -ENOENT if there is none. */
int identity_read(const struct sys *sys, const char *dir, struct node_identity *out,
		  struct err *e);
int identity_write(const struct sys *sys, const char *dir,
		   const struct node_identity *id, struct err *e);
/*
 * May `to` replace `from`?  The supervisor's check of what sync sends: the own
 * node id and incarnation never change, a pair that is not provisional keeps
 * its pair id, pair time and index, a member is forgotten only by writing its
 * disk off.
 */
int identity_check_change(const struct node_identity *from,
			  const struct node_identity *to, struct err *e);

#endif
