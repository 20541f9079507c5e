#include <stdlib.h>

#include "proto/date.h"

/* Dates that are read and written are read as the same. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void same(const struct date *d)
{
	struct date again;
	struct buf out;

	/* At the ends of time the zone may carry it to a year that cannot be
	 * written. */
	if (d->seconds < date_day_of(1, 1, 3) * 86400 ||
	    d->seconds > date_day_of(9999, 12, 29) * 86400)
		return;
	buf_init(&out, 100);
	date_put_imap(&out, d);
	need(date_parse_imap(buf_all(&out), &again) == 0);
	need(again.seconds == d->seconds && again.zone == d->zone);
	buf_reset(&out);
	date_put_rfc5322(&out, d);
	need(date_parse_rfc5322(buf_all(&out), &again) == 0);
	need(again.seconds == d->seconds && again.zone == d->zone);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	int year, month, day;
	struct date d;
	int64_t days;

	if (date_parse_rfc5322(in, &d) == 0)
		same(&d);
	if (date_parse_imap(in, &d) == 0)
		same(&d);
	if (date_parse_imap_day(in, &days) == 0) {
		date_civil_of(days, &year, &month, &day);
		need(date_day_of(year, month, day) == days);
	}
	if (size >= 8) {
		memcpy(&d.seconds, data, 8);
		d.zone = size > 9 ? data[8] : 0;
		struct buf out;
		buf_init(&out, 100);
		date_put_imap(&out, &d);
		need(!out.failed);
		buf_fini(&out);
		same(&d);
	}
	return 0;
}
