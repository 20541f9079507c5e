#include "proto/date.h"

#include "tests/lib/cu.h"

static void header_dates_are_read(void)
{
	static const struct {
		const char *text;
		int64_t seconds;
		int zone;
	} t[] = {
		/* RFC 5322 appendix A */
		{"Fri, 21 Nov 1997 09:55:06 -0600", 880127706, -360},
		{"Tue, 1 Jul 2003 10:52:37 +0200", 1057049557, 120},
		{"Thu, 13 Feb 1969 23:32:54 -0330", -27723426, -210},
		{"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600", 880127706,
		 -360},
		{"21 Nov 97 09:55:06 GMT", 880106106, 0},
		{"Thu,\r\n      13\r\n        Feb\r\n          1969\r\n"
		 "      23:32\r\n               -0330 (Newfoundland Time)",
		 -27723480, -210},
		{"1 Jan 1970 00:00 EST", 18000, -300},
		{"1 Jan 70 0:00:00 Z", 0, 0},
		{"1 Jan 100 00:00:00 +0000", 946684800, 0},
		{"Sat, 31 Dec 2016 23:59:60 +0000", 1483228799, 0},
		{"29 Feb 2000 00:00:00 -0000", 951782400, 0},
		{"1 Jan 1970", 0, 0},
		{"01-Jan-1970 00:00:00 +0000", 0, 0},
		{" (x (y) \\) z) 1 Jan 1970 00:00:00", 0, 0},
	};
	struct date d;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CU_CLAIM(date_parse_rfc5322(slice_str(t[i].text), &d) == 0,
			 "refused: %s", t[i].text);
		CU_EQ_INT(d.seconds, t[i].seconds);
		CU_EQ_INT(d.zone, t[i].zone);
	}
}

static void bad_header_dates_are_refused(void)
{
	static const char *const t[] = {
		"", "yesterday", "32 Jan 2000", "30 Feb 2000 00:00:00 +0000",
		"29 Feb 1900 00:00:00 +0000", "1 Foo 2000 00:00:00 +0000",
		"1 Jan 2000 24:00:00 +0000", "1 Jan 2000 00:60:00 +0000",
		"1 Jan 2000 00:00:61 +0000", "1 Jan 2000 00:00:00 +2400",
		"1 Jan 2000 00:00:00 +0060", "1 Jan 20000 00:00:00 +0000",
		"1 Jan 0000 00:00:00 +0000", "0 Jan 2000 00:00:00 +0000",
		"1 Jan 2000 00:00:00 +01",
	};
	struct date d;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(date_parse_rfc5322(slice_str(t[i]), &d) < 0,
			 "taken: %s", t[i]);
}

static void imap_dates_are_read(void)
{
	struct date d;
	int64_t day;

	CU_EQ_INT(date_parse_imap(SLICE_LIT("17-Jul-1996 02:44:25 -0700"),
				  &d), 0);
	CU_EQ_INT(d.seconds, 837596665);
	CU_EQ_INT(d.zone, -420);
	CU_EQ_INT(date_parse_imap(SLICE_LIT(" 7-Feb-1994 21:52:25 -0800"),
				  &d), 0);
	CU_EQ_INT(date_parse_imap(SLICE_LIT("7-Feb-1994 21:52:25 -0800"), &d),
		  0);
	CU_EQ_INT(date_parse_imap(SLICE_LIT("07-Feb-1994 21:52:25 -0800"),
				  &d), 0);
	CU_EQ_INT(d.seconds, 760686745);
	CU_EQ_INT(date_parse_imap_day(SLICE_LIT("1-Feb-1994"), &day), 0);
	CU_EQ_INT(day, 8797);
	CU_EQ_INT(date_parse_imap_day(SLICE_LIT("01-feb-1994"), &day), 0);
	CU_EQ_INT(day, 8797);
}

static void bad_imap_dates_are_refused(void)
{
	static const char *const t[] = {
		"", "17-Jul-1996", "17-Jul-1996 02:44:25",
		"17-Jul-96 02:44:25 -0700", "17 Jul 1996 02:44:25 -0700",
		" 17-Jul-1996 02:44:25 -0700", "17-Jul-1996 2:44:25 -0700",
		"17-Jul-1996 02:44 -0700", "17-Jul-1996 02:44:25 GMT",
		"17-Jul-1996 02:44:25 -0700 ", "31-Jun-1996 02:44:25 -0700",
		"17-Jul-1996  02:44:25 -0700",
	};
	struct date d;
	int64_t day;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CU_CLAIM(date_parse_imap(slice_str(t[i]), &d) < 0,
			 "taken: %s", t[i]);
	CU_ASSERT(date_parse_imap_day(SLICE_LIT("1-Feb-94"), &day) < 0);
	CU_ASSERT(date_parse_imap_day(SLICE_LIT("1-Feb-1994 "), &day) < 0);
	CU_ASSERT(date_parse_imap_day(SLICE_LIT("29-Feb-1994"), &day) < 0);
}

static void days_and_civil_dates_agree(void)
{
	static const struct {
		int y, m, d;
		int64_t days;
	} t[] = {
		{1970, 1, 1, 0}, {1969, 12, 31, -1}, {2000, 3, 1, 11017},
		{1, 1, 1, -719162}, {9999, 12, 31, 2932896},
		{2000, 2, 29, 11016}, {1900, 3, 1, -25508},
	};
	int y, m, d;
	int64_t day;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		CU_EQ_INT(date_day_of(t[i].y, t[i].m, t[i].d), t[i].days);
		date_civil_of(t[i].days, &y, &m, &d);
		CU_CLAIM(y == t[i].y && m == t[i].m && d == t[i].d,
			 "row %zu: %d-%d-%d", i, y, m, d);
	}
	for (day = -719162; day <= 2932896; day += 97) {
		date_civil_of(day, &y, &m, &d);
		if (!CU_EQ_INT(date_day_of(y, m, d), day))
			break;
	}
}

static void dates_are_written(void)
{
	struct date d = {837596665, -420}, early = {-1, 0}, far = {INT64_MAX,
								   60};
	struct buf out;

	buf_init(&out, 4096);
	date_put_imap(&out, &d);
	CU_EQ_TEXT(buf_all(&out), "17-Jul-1996 02:44:25 -0700");
	buf_reset(&out);
	date_put_rfc5322(&out, &d);
	CU_EQ_TEXT(buf_all(&out), "Wed, 17 Jul 1996 02:44:25 -0700");
	buf_reset(&out);
	date_put_rfc5322(&out, &early);
	CU_EQ_TEXT(buf_all(&out), "Wed, 31 Dec 1969 23:59:59 +0000");
	buf_reset(&out);
	d = (struct date){760686745, -480};
	date_put_imap(&out, &d);
	CU_EQ_TEXT(buf_all(&out), " 7-Feb-1994 21:52:25 -0800");
	buf_reset(&out);
	date_put_imap(&out, &far);
	CU_EQ_TEXT(buf_all(&out), "31-Dec-9999 23:59:59 +0100");
	buf_fini(&out);
}

static void the_day_is_that_of_the_own_zone(void)
{
	struct date d = {86400 - 1, 60}, e = {0, -1};

	CU_EQ_INT(date_day(&d), 1);
	CU_EQ_INT(date_day(&e), -1);
}

CU_TESTS(CU_CASE(header_dates_are_read),
	 CU_CASE(bad_header_dates_are_refused),
	 CU_CASE(imap_dates_are_read),
	 CU_CASE(bad_imap_dates_are_refused),
	 CU_CASE(days_and_civil_dates_agree),
	 CU_CASE(dates_are_written),
	 CU_CASE(the_day_is_that_of_the_own_zone))
