#ifndef DUET_PROTO_RECORD_PRIVATE_H
#define DUET_PROTO_RECORD_PRIVATE_H

/* Between proto/record.c (bounds, bytes) and proto/record_pack.c (structs to
 * protobuf): the only two files that see generated types of record.proto. */

#include "proto/record.h"
#include "proto/record.pb-c.h"

typedef Duet__Record__Op pb_op;
typedef Duet__Record__Record pb_record;

/* Fills a protobuf op from a plain one; what it points to lies in a or
 * belongs to o. */
void record_pack_op(const struct op *o, pb_op *to, struct arena *a);

#endif
