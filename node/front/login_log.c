/*
 * Login lines in the shape of Dovecot 2.3, which fail2ban and log readers
 * depend on:
 *   imap-login: Info: Login: user=<a>, method=PLAIN, rip=…, lip=…, mpid=…,
 *   TLS, session=<…>
 *   imap-login: Info: Disconnected: Connection closed (auth failed, 1 attempts
 *   in 2 secs): user=<a>, method=PLAIN, rip=…, lip=…, session=<…>
 */

#include "node/front/login.h"
#include "node/base/buf.h"
#include "node/base/clock.h"
#include "node/config/conf_vars.h"

#include <stdio.h>

static void vars_of(struct login *l, const char *mpid, struct conf_var *extra,
		    struct conf_vars *v, struct arena *a)
{
	extra[0] = (struct conf_var){'m', "mechanism", l->mech ? l->mech : ""};
	extra[1] = (struct conf_var){'e', "mail_pid", mpid};
	extra[2] = (struct conf_var){
		'c', "secured",
		l->tls ? "TLS" : l->secured ? "secured" : ""};
	extra[3] = (struct conf_var){'k', "ssl_security", l->cipher};
	extra[4] = (struct conf_var){'a', "lport",
				     arena_printf(a, "%u", l->addr.lport)};
	extra[5] = (struct conf_var){'b', "rport",
				     arena_printf(a, "%u", l->addr.rport)};
	*v = (struct conf_vars){
		.user = l->user ? l->user : "", .home = "",
		.service = l->dialog->service, .lip = l->addr.lip, .rip = l->addr.rip,
		.lport = l->addr.lport, .rport = l->addr.rport,
		.session = l->sid, .uid = (unsigned)-1,
		.extra = extra, .n_extra = 6,
	};
}

static char *expanded(const char *text, const struct conf_vars *v,
		      struct arena *a)
{
	struct buf b;
	char *out = NULL;

	buf_init(&b, 4096);
	if (conf_expand(text, v, 0, &b, NULL) >= 0)
		out = arena_strndup(a, b.n ? (const void *)b.p : "", b.n);
	buf_fini(&b);
	return out ? out : arena_strdup(a, "");
}

/*
 * An element without a value is left out, but user=<> stays.  “Without a
 * value” = the same text as with every variable empty.
 */
static bool worth_showing(const char *element, const char *text,
			  struct arena *a)
{
	struct conf_var none[] = {
		{'m', "mechanism", ""}, {'e', "mail_pid", ""},
		{'c', "secured", ""}, {'k', "ssl_security", ""},
		{'a', "lport", ""}, {'b', "rport", ""},
	};
	struct conf_vars v = {
		.user = "", .home = "", .service = "", .lip = "", .rip = "",
		.session = "", .uid = (unsigned)-1,
		.extra = none, .n_extra = ARRAY_LEN(none),
	};

	if (!strchr(element, '%') || conf_vars_used(element, 'u', "user") ||
	    conf_vars_used(element, 'n', "username"))
		return true;
	return strcmp(text, expanded(element, &v, a)) != 0;
}

/* Elements are separated by blanks; “%{k}” and the like hold none. */
static char *elements(struct login *l, const struct conf_vars *v,
		      struct arena *a)
{
	const char *p = conf_str(l->conf->conf, NULL,
				 "login_log_format_elements");
	struct buf b;
	char *out;

	buf_init(&b, 4096);
	while (*p) {
		size_t n = strcspn(p, " ");
		const char *element = arena_strndup(a, p, n);
		const char *text = expanded(element, v, a);

		if (n && worth_showing(element, text, a))
			buf_printf(&b, "%s%s", b.n ? ", " : "", text);
		p += n;
		p += strspn(p, " ");
	}
	out = arena_strndup(a, b.n ? (const void *)b.p : "", b.n);
	buf_fini(&b);
	return out;
}

static void write_line(struct login *l, const char *message, const char *mpid)
{
	struct arena *a = arena_new(1024);
	struct conf_var extra[8];
	struct conf_vars v;
	const char *format = conf_str(l->conf->conf, NULL, "login_log_format");
	char *list, *line;

	vars_of(l, mpid, extra, &v, a);
	list = elements(l, &v, a);
	extra[6] = (struct conf_var){'$', NULL, message};
	extra[7] = (struct conf_var){'s', NULL, list};
	v.n_extra = 8;
	line = arena_printf(a, "%s: Info: %s", l->dialog->log_name,
			    expanded(format, &v, a));
	log_raw(l->front->role->log, LOG_INF, "login", l->user, line);
	arena_free(a);
}

void login_log_success(struct login *l, const char *mpid)
{
	write_line(l, "Login", mpid);
}

static unsigned long seconds(const struct login *l)
{
	return (unsigned long)((clock_mono(l->front->role->sys.clock) -
				l->started_usec) / USEC_PER_SEC);
}

void login_log_end(struct login *l, const char *reason)
{
	char text[400];
	const char *what = "Disconnected";

	if (l->tried_plaintext && !l->attempts)
		snprintf(text, sizeof(text), "%s: %.150s (tried to use "
			 "disallowed plaintext auth)", what, reason);
	else if (l->attempts)
		snprintf(text, sizeof(text),
			 "%s: %.150s (auth failed, %u attempts in %lu secs)",
			 what, reason, l->attempts, seconds(l));
	else if (l->unavailable)
		snprintf(text, sizeof(text), "%s: %.150s (temporary failure, "
			 "in %lu secs)", what, reason, seconds(l));
	else
		snprintf(text, sizeof(text),
			 "%s: %.150s (no auth attempts in %lu secs)", what,
			 reason, seconds(l));
	write_line(l, text, "");
}
