#ifndef DUET_STORAGE_SNAPSHOT_H
#define DUET_STORAGE_SNAPSHOT_H

/*
 * The state as bytes (state_save, state_load) and with all index records
 * (state_export, state_import).  Little-endian:
 *
 *   0 magic "DUETSNP1", or "DUETEXP1" with records
 *   8 version u32, account id 16, position, …: see snapshot.c, in order
 *   last 4 bytes: CRC-32C of all before
 *
 * What belongs to this node alone (index generations, places of directories,
 * .expunged, missing bodies) is in a snapshot and not in an export.
 */

#include "storage/state_private.h"

#define SNAPSHOT_VERSION 1u
/* Bounds for lists of a snapshot that came from the partner. */
#define SNAPSHOT_LIST_MAX (64u << 20)

int snapshot_put(struct state *s, struct buf *to, bool records, struct err *e);
/* Fills a state at genesis.  With records: into new index files. */
int snapshot_get(struct state *s, struct slice in, bool records, struct err *e);

#endif
