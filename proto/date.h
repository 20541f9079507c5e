#ifndef DUET_PROTO_DATE_H
#define DUET_PROTO_DATE_H

/*
 * Dates of headers (RFC 5322 3.3) and of IMAP (RFC 3501 date, date-time).
 * No time zone database: the offset written is carried along.  Years 1 to
 * 9999, proleptic Gregorian; leap seconds are taken as second 59.
 */

#include "node/base/buf.h"

struct date {
	int64_t seconds;	/* since 1970-01-01 00:00 UTC */
	int zone;		/* minutes east of UTC, -1439 … 1439 */
};

/* Days since 1970-01-01 of a civil date, and back. */
int64_t date_day_of(int year, int month, int day);
void date_civil_of(int64_t days, int *year, int *month, int *day);
/* The day in the date's own zone (for BEFORE, ON, SENTSINCE …). */
int64_t date_day(const struct date *d);

/* Header date, obsolete forms and comments included; -EINVAL. */
int date_parse_rfc5322(struct slice in, struct date *out);
/* "17-Jul-1996 02:44:25 -0700", without the quotes; the first digit may be a
 * blank. */
int date_parse_imap(struct slice in, struct date *out);
/* "1-Feb-1994" → days since 1970-01-01. */
int date_parse_imap_day(struct slice in, int64_t *day_out);

/* "Wed, 17 Jul 1996 02:44:25 -0700" */
void date_put_rfc5322(struct buf *to, const struct date *d);
/* "17-Jul-1996 02:44:25 -0700" with a leading blank or two digits */
void date_put_imap(struct buf *to, const struct date *d);

#endif
