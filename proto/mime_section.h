#ifndef DUET_PROTO_MIME_SECTION_H
#define DUET_PROTO_MIME_SECTION_H

/* Which piece of a message FETCH BODY[…] asks for (RFC 3501 6.4.5). */

#include "node/base/slice.h"

enum mime_section_kind {
	MIME_SECTION_ALL,		/* BODY[], BODY[1.2] */
	MIME_SECTION_HEADER,
	MIME_SECTION_HEADER_FIELDS,
	MIME_SECTION_HEADER_FIELDS_NOT,
	MIME_SECTION_TEXT,
	MIME_SECTION_MIME,		/* with a part number only */
};

#define MIME_SECTION_DEPTH_MAX 100u

struct mime_section {
	enum mime_section_kind kind;
	uint32_t *path;			/* part numbers from 1 */
	size_t n_path;			/* 0: the message itself */
	struct slice *fields;		/* HEADER_FIELDS(.NOT) */
	size_t n_fields;
};

#endif
