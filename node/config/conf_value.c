/* Values: the forms that 2.3 reads and prints. */

#include "node/config/conf_table.h"
#include "node/base/buf.h"
#include "node/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>

/* Digits at the start; the rest begins at *rest. */
static int leading_u64(const char *s, const char **rest, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9'; p++) {
		unsigned d = (unsigned)(*p - '0');

		if (v > (UINT64_MAX - d) / 10)
			return -ERANGE;
		v = v * 10 + d;
	}
	if (p == s)
		return -EINVAL;
	*rest = p;
	*out = v;
	return 0;
}

/* ASCII case-insensitive: unit is one of the full words, or begins one and
 * is at least `min` long. */
static bool unit_is(const char *unit, const char *word, size_t min)
{
	size_t n = strlen(unit);

	return n >= min && n <= strlen(word) && strncasecmp(unit, word, n) == 0;
}

static int parse_time(const char *text, bool msecs, uint64_t *out,
		      struct err *e)
{
	static const struct {
		const char *word;
		size_t min;
		uint64_t usec;
	} units[] = {
		{"seconds", 1, USEC_PER_SEC},
		{"secs", 1, USEC_PER_SEC},
		{"minutes", 1, 60 * USEC_PER_SEC},
		{"mins", 1, 60 * USEC_PER_SEC},
		{"hours", 1, 3600 * USEC_PER_SEC},
		{"days", 1, 86400 * USEC_PER_SEC},
		{"weeks", 1, 604800 * USEC_PER_SEC},
		{"msecs", 2, USEC_PER_MSEC},
		{"ms", 2, USEC_PER_MSEC},
		{"milliseconds", 3, USEC_PER_MSEC},
		{"mseconds", 2, USEC_PER_MSEC},
	};
	const char *unit;
	uint64_t n, usec = 0;
	int r = leading_u64(text, &unit, &n);

	if (r == -ERANGE)
		return err_set(e, E_CONFIG, "Time interval is too large: %s",
			       text);
	if (r < 0)
		return err_set(e, E_CONFIG, "Invalid time interval: %s", text);
	unit += strspn(unit, " \t");
	if (!*unit) {
		if (n != 0)
			return err_set(e, E_CONFIG,
				       "Time interval '%s' is missing units "
				       "(add e.g. 's' for seconds)",
				       text);
		*out = 0;
		return 0;
	}
	/* "mi" is both minutes and milliseconds: minutes, as in 2.3. */
	for (size_t i = 0; i < ARRAY_LEN(units) && !usec; i++)
		if (unit_is(unit, units[i].word, units[i].min))
			usec = units[i].usec;
	if (!usec)
		return err_set(e, E_CONFIG, "Invalid time interval: %s", text);
	if (usec == USEC_PER_MSEC && !msecs)
		return err_set(e, E_CONFIG,
			       "Milliseconds not supported for this setting: "
			       "%s",
			       text);
	/* 2.3 keeps seconds in 32 bits. */
	if (n > (uint64_t)UINT_MAX * USEC_PER_SEC / usec)
		return err_set(e, E_CONFIG, "Time interval is too large: %s",
			       text);
	*out = n * usec;
	return 0;
}

static int parse_size(const char *text, uint64_t *out, struct err *e)
{
	static const char letters[] = "bkmgt";
	const char *unit, *at;
	uint64_t n;
	unsigned shift = 0;
	int r = leading_u64(text, &unit, &n);

	if (r == -ERANGE)
		return err_set(e, E_CONFIG, "Size is too large: %s", text);
	if (r < 0)
		return err_set(e, E_CONFIG, "Invalid size: %s", text);
	unit += strspn(unit, " \t");
	if (*unit) {
		at = strchr(letters, *unit | 0x20);
		if (!at || !*at)
			return err_set(e, E_CONFIG, "Invalid size: %s", text);
		shift = (unsigned)(at - letters) * 10;
		if (unit[1] && strcasecmp(unit + 1, "b") != 0 &&
		    strcasecmp(unit + 1, "ib") != 0)
			return err_set(e, E_CONFIG, "Invalid size: %s", text);
		if (unit[1] && shift == 0)
			return err_set(e, E_CONFIG, "Invalid size: %s", text);
	}
	if (shift && n > (UINT64_MAX >> shift))
		return err_set(e, E_CONFIG, "Size is too large: %s", text);
	*out = n << shift;
	return 0;
}

static int parse_uint(const char *text, uint64_t *out, struct err *e)
{
	const char *rest, *start = text;
	uint64_t n;
	int r;

	if (*text == '-' && leading_u64(text + 1, &rest, &n) == 0 && !*rest)
		return err_set(e, E_CONFIG,
			       "Invalid number %s: Number too small", text);
	r = leading_u64(start, &rest, &n);
	if (r == -EINVAL || (r == 0 && *rest))
		return err_set(e, E_CONFIG,
			       "Invalid number %s: Not a valid number", text);
	if (r == -ERANGE || n > UINT_MAX)
		return err_set(e, E_CONFIG,
			       "Invalid number %s: Number too large", text);
	*out = n;
	return 0;
}

static int parse_oct(const char *text, uint64_t *out, struct err *e)
{
	uint64_t n = 0;
	int r;

	if (*text != '0') {
		r = parse_uint(text, &n, e);
		if (r < 0)
			return r;
		/* 2.3 takes it as decimal and opens 01130 for 600. */
		if (n != 0)
			return err_set(e, E_CONFIG,
				       "Invalid mode %s: without a leading 0 "
				       "it is a decimal number (did you mean "
				       "0%s?)",
				       text, text);
	}
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '7' || n > 077777)
			return err_set(e, E_CONFIG, "Invalid number: %s", text);
		n = n * 8 + (unsigned)(*p - '0');
	}
	*out = n;
	return 0;
}

static int parse_bool(const char *text, uint64_t *out, struct err *e)
{
	if (strcasecmp(text, "yes") == 0 || strcasecmp(text, "y") == 0 ||
	    strcmp(text, "1") == 0) {
		*out = 1;
		return 0;
	}
	if (strcasecmp(text, "no") == 0) {
		*out = 0;
		return 0;
	}
	return err_set(e, E_CONFIG,
		       "Invalid boolean value: %s (use yes or no)", text);
}

static int parse_enum(const struct conf_row *row, const char *text,
		      uint64_t *out, struct err *e)
{
	const char *p = row->values;
	size_t n = strlen(text);

	for (uint64_t i = 0; *p; i++) {
		size_t len = strcspn(p, " ");

		if (len == n && memcmp(p, text, n) == 0) {
			*out = i;
			return 0;
		}
		p += len;
		p += strspn(p, " ");
	}
	return err_set(e, E_CONFIG, "Invalid value: %s (use one of: %s)", text,
		       row->values);
}

static int parse_percent(const char *text, uint64_t *out, struct err *e)
{
	const char *rest;
	uint64_t n;

	if (leading_u64(text, &rest, &n) < 0)
		return err_set(e, E_CONFIG, "Invalid percentage: %s", text);
	rest += strspn(rest, " ");
	if (strcmp(rest, "%") != 0 && strcmp(rest, "%%") != 0 && *rest)
		return err_set(e, E_CONFIG, "Invalid percentage: %s", text);
	*out = n;
	return 0;
}

static int check_limits(const struct conf_row *row, const char *text,
			uint64_t n, struct err *e)
{
	uint64_t unit = row->type == CONF_T_TIME ? USEC_PER_SEC : 1;
	struct buf b;
	int r = 0;

	if (row->max && n > row->max * unit)
		r = E_CONFIG;
	else if (n < row->min * unit)
		r = E_CONFIG;
	if (r == 0)
		return 0;
	buf_init(&b, 256);
	conf_value_print(row, text, &b);
	r = err_set(e, r, "Value out of range: %.*s (%s%llu%s)", (int)b.n,
		    (const char *)b.p, n < row->min * unit ? "at least " :
		    "at most ",
		    (unsigned long long)(n < row->min * unit ? row->min
							      : row->max),
		    row->type == CONF_T_TIME	 ? " secs"
		    : row->type == CONF_T_SIZE	 ? " bytes"
		    : row->type == CONF_T_PERCENT ? " percent"
						 : "");
	buf_fini(&b);
	return r;
}

int conf_value_parse(const struct conf_row *row, const char *text,
		     uint64_t *num_out, struct err *e)
{
	uint64_t n = 0;
	int r = 0;

	switch ((enum conf_type)row->type) {
	case CONF_T_STR:
		break;
	case CONF_T_BOOL:
		r = parse_bool(text, &n, e);
		break;
	case CONF_T_UINT:
		r = parse_uint(text, &n, e);
		break;
	case CONF_T_OCT:
		r = parse_oct(text, &n, e);
		break;
	case CONF_T_TIME:
		r = parse_time(text, false, &n, e);
		break;
	case CONF_T_MSECS:
		r = parse_time(text, true, &n, e);
		break;
	case CONF_T_SIZE:
		r = parse_size(text, &n, e);
		break;
	case CONF_T_PORT: {
		const char *rest;

		if (leading_u64(text, &rest, &n) < 0 || *rest || n > 65535)
			r = err_set(e, E_CONFIG, "Invalid port number %s",
				    text);
		break;
	}
	case CONF_T_ENUM:
		r = parse_enum(row, text, &n, e);
		break;
	case CONF_T_PERCENT:
		r = parse_percent(text, &n, e);
		break;
	}
	if (r == 0 && (row->max || row->min))
		r = check_limits(row, text, n, e);
	if (r == 0 && num_out)
		*num_out = n;
	return r;
}

static void print_time(uint64_t usec, struct buf *out)
{
	static const struct {
		uint64_t usec;
		const char *name;
	} units[] = {
		{604800 * USEC_PER_SEC, "weeks"}, {86400 * USEC_PER_SEC, "days"},
		{3600 * USEC_PER_SEC, "hours"},	  {60 * USEC_PER_SEC, "mins"},
		{USEC_PER_SEC, "secs"},		  {USEC_PER_MSEC, "ms"},
	};

	if (usec == 0) {
		buf_char(out, '0');
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (usec % units[i].usec == 0) {
			buf_u64(out, usec / units[i].usec);
			buf_char(out, ' ');
			buf_str(out, units[i].name);
			return;
		}
	}
	buf_u64(out, usec);
}

static void print_size(uint64_t n, struct buf *out)
{
	static const char letters[] = "TGMk";

	if (n == 0) {
		buf_char(out, '0');
		return;
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned shift = 40 - 10 * i;

		if ((n & ((1ull << shift) - 1)) == 0) {
			buf_printf(out, "%llu %c",
				   (unsigned long long)(n >> shift), letters[i]);
			return;
		}
	}
	buf_u64(out, n);
	buf_str(out, " B");
}

void conf_value_print(const struct conf_row *row, const char *text,
		      struct buf *out)
{
	struct conf_row plain = *row;
	uint64_t n;

	plain.min = plain.max = 0;
	if (conf_value_parse(&plain, text, &n, NULL) < 0) {
		buf_str(out, text);
		return;
	}
	switch ((enum conf_type)row->type) {
	case CONF_T_BOOL:
		buf_str(out, n ? "yes" : "no");
		break;
	case CONF_T_UINT:
	case CONF_T_PORT:
		buf_u64(out, n);
		break;
	case CONF_T_PERCENT:
		buf_u64(out, n);
		buf_char(out, '%');
		break;
	case CONF_T_OCT:
		buf_printf(out, "0%llo", (unsigned long long)n);
		break;
	case CONF_T_TIME:
	case CONF_T_MSECS:
		print_time(n, out);
		break;
	case CONF_T_SIZE:
		print_size(n, out);
		break;
	default:
		buf_str(out, text);
	}
}

bool conf_value_same(const struct conf_row *row, const char *a, const char *b)
{
	struct conf_row plain = *row;
	uint64_t x, y;

	if (row->type == CONF_T_STR || row->type == CONF_T_ENUM)
		return strcmp(a, b) == 0;
	plain.min = plain.max = 0;
	if (conf_value_parse(&plain, a, &x, NULL) < 0 ||
	    conf_value_parse(&plain, b, &y, NULL) < 0)
		return strcmp(a, b) == 0;
	return x == y;
}
