#include "proto/date.h"

#include <errno.h>
#include <stdlib.h>

#define SECONDS_A_DAY 86400
#define YEAR_MAX 9999

static const char months[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun",
	"Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
};
static const char weekdays[7][4] = {	/* 1970-01-01 was a Thursday */
	"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed",
};

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_length(int year, int month)
{
	static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30,
					    31, 31, 30, 31, 30, 31};

	return lengths[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01 to the first of January. */
static int64_t year_start(int year)
{
	int64_t y = year - 1;

	return 365 * y + y / 4 - y / 100 + y / 400 - 719162;
}

int64_t date_day_of(int year, int month, int day)
{
	int64_t days = year_start(year);
	int m;

	for (m = 1; m < month; m++)
		days += month_length(year, m);
	return days + day - 1;
}

void date_civil_of(int64_t days, int *year, int *month, int *day)
{
	int64_t first = year_start(1), last = year_start(YEAR_MAX + 1) - 1;
	int y, m;

	if (days < first)
		days = first;
	if (days > last)
		days = last;
	/* 146097 days in 400 years: the guess is at most one year off. */
	y = (int)((days - first) * 400 / 146097) + 1;
	while (year_start(y) > days)
		y--;
	while (year_start(y + 1) <= days)
		y++;
	days -= year_start(y);
	for (m = 1; days >= month_length(y, m); m++)
		days -= month_length(y, m);
	*year = y;
	*month = m;
	*day = (int)days + 1;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Seconds on the wall clock of the date's zone, kept within years that can be
 * written. */
static int64_t local_seconds(const struct date *d)
{
	int64_t first = year_start(1) * SECONDS_A_DAY;
	int64_t last = year_start(YEAR_MAX + 1) * SECONDS_A_DAY - 1;
	int64_t s = d->seconds;

	if (s < first)
		s = first;
	if (s > last)
		s = last;
	s += (int64_t)d->zone * 60;
	return s < first ? first : s > last ? last : s;
}

int64_t date_day(const struct date *d)
{
	return floor_div(local_seconds(d), SECONDS_A_DAY);
}

/* --- reading --- */

struct reader {
	struct slice s;
	size_t at;
};

static bool at_end(const struct reader *r)
{
	return r->at >= r->s.n;
}

static uint8_t peek(const struct reader *r)
{
	return at_end(r) ? 0 : r->s.p[r->at];
}

static bool take_char(struct reader *r, char c)
{
	if (at_end(r) || peek(r) != (uint8_t)c)
		return false;
	r->at++;
	return true;
}

/* min to max digits; -1 if there are fewer or more. */
static int take_digits(struct reader *r, int min, int max)
{
	int n = 0, v = 0;

	while (n < max && peek(r) >= '0' && peek(r) <= '9') {
		v = v * 10 + (peek(r) - '0');
		r->at++;
		n++;
	}
	if (n < min || (peek(r) >= '0' && peek(r) <= '9'))
		return -1;
	return v;
}

static struct slice take_letters(struct reader *r)
{
	size_t from = r->at;

	while ((peek(r) | 0x20) >= 'a' && (peek(r) | 0x20) <= 'z')
		r->at++;
	return slice_sub(r->s, from, r->at);
}

static int take_month(struct reader *r)
{
	struct slice word = take_letters(r);
	int m;

	for (m = 0; m < 12; m++)
		if (slice_is_ci(word, months[m]))
			return m + 1;
	return -1;
}

/* Blanks and (nested) comments. */
static void skip_cfws(struct reader *r)
{
	int depth = 0;

	for (; !at_end(r); r->at++) {
		uint8_t c = peek(r);

		if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (c == '\\' && depth > 0)
			r->at++;
		else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' &&
			 c != '\n')
			break;
	}
	if (r->at > r->s.n)
		r->at = r->s.n;
}

static bool valid_day(int year, int month, int day)
{
	return year >= 1 && year <= YEAR_MAX && month >= 1 && day >= 1 &&
	       day <= month_length(year, month);
}

/* hh:mm[:ss] (no seconds only if `loose`); -1 if it is none. */
static int take_time(struct reader *r, bool loose)
{
	int h, m, s = 0;

	h = take_digits(r, loose ? 1 : 2, 2);
	if (loose)
		skip_cfws(r);
	if (!take_char(r, ':'))
		return -1;
	if (loose)
		skip_cfws(r);
	m = take_digits(r, 2, 2);
	if (loose)
		skip_cfws(r);
	if (take_char(r, ':')) {
		if (loose)
			skip_cfws(r);
		s = take_digits(r, 2, 2);
	} else if (!loose) {
		return -1;
	}
	if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60)
		return -1;
	return h * 3600 + m * 60 + (s == 60 ? 59 : s);
}

/* +hhmm */
static bool take_offset(struct reader *r, int *zone)
{
	bool minus = peek(r) == '-';
	int v;

	if (!take_char(r, '+') && !take_char(r, '-'))
		return false;
	v = take_digits(r, 4, 4);
	if (v < 0 || v / 100 > 23 || v % 100 > 59)
		return false;
	v = v / 100 * 60 + v % 100;
	*zone = minus ? -v : v;
	return true;
}

/* RFC 5322 4.3; unknown names and military letters are -0000. */
static int named_zone(struct slice name)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {
		{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
		{"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
	};
	size_t i;

	for (i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (slice_is_ci(name, zones[i].name))
			return zones[i].hours * 60;
	return 0;
}

static int take_rfc5322_year(struct reader *r)
{
	size_t from = r->at;
	int year = take_digits(r, 2, 4);
	size_t n = r->at - from;

	if (year < 0)
		return -1;
	if (n == 2)
		return year < 50 ? year + 2000 : year + 1900;
	return n == 3 ? year + 1900 : year;
}

int date_parse_rfc5322(struct slice in, struct date *out)
{
	struct reader r = {in, 0};
	int day, month, year, time = 0, zone = 0;

	skip_cfws(&r);
	if (take_letters(&r).n) {	/* which weekday it is we know */
		skip_cfws(&r);
		take_char(&r, ',');
		skip_cfws(&r);
	}
	day = take_digits(&r, 1, 2);
	skip_cfws(&r);
	if (take_char(&r, '-'))		/* "17-Jul-96", seen in old mail */
		skip_cfws(&r);
	month = take_month(&r);
	skip_cfws(&r);
	if (take_char(&r, '-'))
		skip_cfws(&r);
	year = take_rfc5322_year(&r);
	if (!valid_day(year, month, day))
		return -EINVAL;
	skip_cfws(&r);
	if (!at_end(&r)) {
		time = take_time(&r, true);
		if (time < 0)
			return -EINVAL;
		skip_cfws(&r);
		if (peek(&r) == '+' || peek(&r) == '-') {
			if (!take_offset(&r, &zone))
				return -EINVAL;
		} else {
			zone = named_zone(take_letters(&r));
		}
	}
	out->seconds = date_day_of(year, month, day) * SECONDS_A_DAY + time -
		       zone * 60;
	out->zone = zone;
	return 0;
}

/* d-mmm-yyyy */
static int take_imap_day(struct reader *r, int min_digits, int64_t *out)
{
	int day, month, year;

	day = take_digits(r, min_digits, 2);
	if (!take_char(r, '-'))
		return -EINVAL;
	month = take_month(r);
	if (!take_char(r, '-'))
		return -EINVAL;
	year = take_digits(r, 4, 4);
	if (!valid_day(year, month, day))
		return -EINVAL;
	*out = date_day_of(year, month, day);
	return 0;
}

int date_parse_imap(struct slice in, struct date *out)
{
	struct reader r = {in, 0};
	int64_t day;
	int time, zone;
	bool blank = take_char(&r, ' ');

	if (take_imap_day(&r, 1, &day) < 0 ||
	    (blank && r.at != sizeof(" 1-Jan-1970") - 1) ||
	    !take_char(&r, ' '))
		return -EINVAL;
	time = take_time(&r, false);
	if (time < 0 || !take_char(&r, ' ') || !take_offset(&r, &zone) ||
	    !at_end(&r))
		return -EINVAL;
	out->seconds = day * SECONDS_A_DAY + time - zone * 60;
	out->zone = zone;
	return 0;
}

int date_parse_imap_day(struct slice in, int64_t *day_out)
{
	struct reader r = {in, 0};
	int64_t day;

	if (take_imap_day(&r, 1, &day) < 0 || !at_end(&r))
		return -EINVAL;
	*day_out = day;
	return 0;
}

/* --- writing --- */

struct parts {
	int year, month, day, hour, min, sec, weekday;
	char sign;
	int zone_hour, zone_min;
};

static struct parts parts_of(const struct date *d)
{
	int64_t local = local_seconds(d);
	int64_t days = floor_div(local, SECONDS_A_DAY);
	int rest = (int)(local - days * SECONDS_A_DAY);
	int zone = abs(d->zone) % 1440;
	struct parts p;

	date_civil_of(days, &p.year, &p.month, &p.day);
	p.hour = rest / 3600;
	p.min = rest / 60 % 60;
	p.sec = rest % 60;
	p.weekday = (int)(days - floor_div(days, 7) * 7);
	p.sign = d->zone < 0 ? '-' : '+';
	p.zone_hour = zone / 60;
	p.zone_min = zone % 60;
	return p;
}

void date_put_rfc5322(struct buf *to, const struct date *d)
{
	struct parts p = parts_of(d);

	buf_printf(to, "%s, %d %s %04d %02d:%02d:%02d %c%02d%02d",
		   weekdays[p.weekday], p.day, months[p.month - 1], p.year,
		   p.hour, p.min, p.sec, p.sign, p.zone_hour, p.zone_min);
}

void date_put_imap(struct buf *to, const struct date *d)
{
	struct parts p = parts_of(d);

	buf_printf(to, "%2d-%s-%04d %02d:%02d:%02d %c%02d%02d", p.day,
		   months[p.month - 1], p.year, p.hour, p.min, p.sec, p.sign,
		   p.zone_hour, p.zone_min);
}
