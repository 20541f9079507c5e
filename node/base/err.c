#include "node/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
	int code;
	const char *name, *client;
};

static const struct text texts[] = {
	{0, "no error", "Success."},
	{E_CORRUPT, "corrupt data", "Internal error: stored data is damaged."},
	{E_LIMIT, "limit exceeded", "A limit of this server was exceeded."},
	{E_CONFIG, "configuration error", "Internal error."},
	{E_AUTH, "authentication failed", "Authentication failed."},
	{E_TEMP, "temporarily unavailable",
	 "Temporarily unavailable, try again later."},
	{E_NOTFOUND, "not found", "It does not exist."},
	{E_EXISTS, "exists already", "It exists already."},
	{E_PERM, "permission denied", "Permission denied."},
	{E_PROTO, "protocol error", "Protocol error."},
	{E_NOSPACE, "no space left", "No space left, try again later."},
	{E_NOTHOLDER, "held by the partner node",
	 "Temporarily unavailable, try again later."},
	{E_FOREIGN, "not written by Duet",
	 "Temporarily unavailable, try again later."},
	{E_VERSION, "version not supported", "Version not supported."},
	{E_UNSUPPORTED, "not supported", "Not supported."},
	{E_INVALID, "invalid argument", "Invalid argument."},
	{E_GONE, "removed meanwhile", "It was removed meanwhile."},
};

static const struct text *text_of(int code)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].code == code)
			return &texts[i];
	return NULL;
}

const char *err_name(int code)
{
	const struct text *t = text_of(code);
	const char *s;

	if (t)
		return t->name;
	if (code > -1000 && code < 0) {
		/* Unlike strerror() it has no static buffer. */
		s = strerrordesc_np(-code);
		if (s)
			return s;
	}
	return "unknown error";
}

const char *err_client_text(int code)
{
	const struct text *t = text_of(code);

	if (t)
		return t->client;
	switch (code) {
	case -ENOSPC:
	case -EDQUOT:
		return text_of(E_NOSPACE)->client;
	default:
		return "Internal error, try again later.";
	}
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	/* Arguments may point into e itself: "%s", e->op. */
	char op[sizeof(e->op)];
	va_start(ap, fmt);
	vsnprintf(op, sizeof(op), fmt, ap);
	va_end(ap);
	e->code = code;
	memcpy(e->op, op, sizeof(op));
	snprintf(e->client, sizeof(e->client), "%s", err_client_text(code));
	return code;
}

void err_prefix(struct err *e, const char *fmt, ...)
{
	va_list ap;
	char op[sizeof(e->op)];
	int n;

	if (!e)
		return;
	va_start(ap, fmt);
	n = vsnprintf(op, sizeof(op), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < sizeof(op) - 3) {
		size_t room = sizeof(op) - (size_t)n - 3;
		size_t old = strnlen(e->op, room);

		memcpy(op + n, ": ", 2);
		memcpy(op + n + 2, e->op, old);
		op[(size_t)n + 2 + old] = '\0';
	}
	memcpy(e->op, op, sizeof(op));
}

void err_client(struct err *e, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return;
	va_start(ap, fmt);
	vsnprintf(e->client, sizeof(e->client), fmt, ap);
	va_end(ap);
}
