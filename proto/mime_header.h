#ifndef DUET_PROTO_MIME_HEADER_H
#define DUET_PROTO_MIME_HEADER_H

/* Header of one part → struct mime_part, struct mime_envelope.  For mime.c. */

#include "proto/mime.h"

/* What may still be allocated for this message. */
struct mime_budget {
	unsigned addresses, params;
};

/*
 * Fills the content fields of part and, if it is not NULL, the envelope.
 * digest: a part of multipart/digest, whose default type is message/rfc822.
 * *boundary: of a multipart, else empty.
 */
void mime_header_parse(struct slice header, bool digest,
		       struct mime_budget *budget, struct arena *a,
		       struct mime_part *part, struct mime_envelope *env,
		       struct slice *boundary);

#endif
