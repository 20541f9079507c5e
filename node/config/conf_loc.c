/* mail_location, the mail root, the partner's address. */

#include "node/config/conf_int.h"
#include "node/base/cleanup.h"

/* ---- mail_location ----------------------------------------------------- */

/* Formats of 2.3 that exist, and what brings them. */
static const struct {
	const char *name, *why;
} other_formats[] = {
	{"mdbox", "comes with protocols"},
	{"maildir", "comes with protocols"},
	{"mbox", "comes with protocols"},
	{"dbox", "comes with protocols; sdbox is the same format"},
	{"imapc", "is no store of its own; import the mail"},
	{"pop3c", "is no store of its own; import the mail"},
	{"virtual", "is not supported"},
	{"auto", "is not supported: name the format"},
};

int conf_location_parse(const char *text, struct arena *a,
			struct conf_location *out, struct err *e)
{
	const char *colon = strchr(text, ':'), *end;
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	char *format = arena_strndup(a, text, n);

	if (!*text) {
		*out = (struct conf_location){.format = "", .path = ""};
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(other_formats); i++)
		if (strcmp(other_formats[i].name, format) == 0)
			return err_set(e, E_CONFIG,
				       "mail_location: the format %s is not in "
				       "this build (%s); use sdbox",
				       format, other_formats[i].why);
	if (!colon || strcmp(format, "sdbox") != 0)
		return err_set(e, E_CONFIG,
			       "mail_location: '%s' does not begin with a "
			       "format; expected sdbox:/PATH/",
			       text);
	text = colon + 1;
	/* A colon inside of %{…} separates nothing. */
	for (end = text; *end && *end != ':'; end++) {
		if (*end == '%' && end[1] == '{') {
			unsigned depth = 0;

			for (; *end; end++) {
				if (*end == '{')
					depth++;
				else if (*end == '}' && --depth == 0)
					break;
			}
			if (!*end)
				break;
		}
	}
	if (*end == ':') {
		n = strcspn(end + 1, "=:");
		return err_set(e, E_CONFIG,
			       "mail_location: the key %.*s is not in this "
			       "build: mail would lie elsewhere than it says",
			       (int)n, end + 1);
	}
	if (end == text)
		return err_set(e, E_CONFIG,
			       "mail_location: the path is missing; expected "
			       "sdbox:/PATH/");
	n = (size_t)(end - text);
	while (n > 1 && text[n - 1] == '/')
		n--;
	if (text[0] != '/' && text[0] != '~' && text[0] != '%')
		return err_set(e, E_CONFIG,
			       "mail_location: the path %.*s is not absolute",
			       (int)n, text);
	*out = (struct conf_location){.format = "sdbox",
				      .path = arena_strndup(a, text, n)};
	return 0;
}

char *conf_mail_root(const char *path, struct arena *a)
{
	size_t n = 0;

	if (path[0] != '/')
		return arena_strdup(a, "");
	while (path[n] && path[n] != '%')
		n++;
	/* "%%" is a percent sign, but no root needs one. */
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n <= 1)
		return arena_strdup(a, "");
	return arena_strndup(a, path, n);
}

/* ---- mail_replica ------------------------------------------------------ */

int conf_replica_parse(const char *text, uint16_t default_port,
		       struct arena *a, struct conf_replica *out,
		       struct err *e)
{
	const char *p = text, *host, *port = NULL;
	size_t n;
	uint64_t v = default_port;

	*out = (struct conf_replica){.set = false};
	if (!*text)
		return 0;
	if (strncmp(p, "tcps:", 5) == 0)
		p += 5;
	else if (strncmp(p, "tcp:", 4) == 0)
		p += 4;
	else if (strncmp(p, "remote:", 7) == 0 ||
		 strncmp(p, "remoteprefix:", 13) == 0)
		return err_set(e, E_CONFIG,
			       "mail_replica: %.*s starts a program on the "
			       "partner by ssh, which Duet does not do; use "
			       "tcp:HOST:PORT",
			       (int)strcspn(p, ":"), p);
	else
		return err_set(e, E_CONFIG,
			       "mail_replica: '%s' is not understood; expected "
			       "tcp:HOST[:PORT]",
			       text);
	if (strpbrk(p, " ,"))
		return err_set(e, E_CONFIG,
			       "mail_replica: '%s' names more than one "
			       "partner; Duet makes pairs",
			       text);
	if (*p == '[') {
		host = p + 1;
		n = strcspn(host, "]");
		if (!host[n] || (host[n + 1] && host[n + 1] != ':'))
			return err_set(e, E_CONFIG,
				       "mail_replica: '%s': expected "
				       "tcp:[ADDRESS]:PORT",
				       text);
		if (host[n + 1])
			port = host + n + 2;
	} else {
		host = p;
		n = strcspn(host, ":");
		if (host[n])
			port = host + n + 1;
		if (port && strchr(port, ':'))
			return err_set(e, E_CONFIG,
				       "mail_replica: write an IPv6 address "
				       "in brackets: tcp:[%s]",
				       host);
	}
	if (n == 0)
		return err_set(e, E_CONFIG, "mail_replica: '%s': the host is "
					    "missing",
			       text);
	if (port && (slice_u64(slice_str(port), &v) < 0 || v == 0 ||
		     v > 65535))
		return err_set(e, E_CONFIG,
			       "mail_replica: Invalid port number %s", port);
	if (v == 0)
		return err_set(e, E_CONFIG,
			       "mail_replica: '%s' names no port, and "
			       "doveadm_port is not set",
			       text);
	*out = (struct conf_replica){.set = true,
				     .host = arena_strndup(a, host, n),
				     .port = (uint16_t)v};
	return 0;
}

void conf_replica(const struct conf *c, const struct conf_ctx *ctx,
		  struct arena *a, struct conf_replica *out)
{
	const char *text = conf_plugin(c, ctx, "mail_replica");
	uint16_t port = (uint16_t)conf_u64(c, ctx, "doveadm_port");

	/* Checked at load; one of userdb that is wrong counts as none, its
	 * user asks conf_replica_parse() for the reason. */
	if (!text || conf_replica_parse(text, port, a, out, NULL) < 0)
		*out = (struct conf_replica){.set = false};
}
