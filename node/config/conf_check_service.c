/* Treatment of service {} blocks. */

#include "node/config/conf_int.h"
#include "node/base/cleanup.h"
#include "node/config/conf_services.h"

#include <ctype.h>

/* "service/NAME/rest": NAME, and rest ("" for the block itself). */
static bool split(struct arena *a, const char *path, char **name,
		  const char **rest)
{
	size_t n;

	if (strncmp(path, "service/", 8) != 0)
		return false;
	path += 8;
	n = strcspn(path, "/");
	*name = conf_path_unescape(a, path, n);
	*rest = path[n] ? path + n + 1 : "";
	return true;
}

static bool is_default(const struct conf_entry *x)
{
	return conf_value_same(x->row, x->text,
			       conf_default(x->path, x->row));
}

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Process limits that cap something in Duet. */
static bool caps(const char *service)
{
	static const char *const yes[] = {"imap", "pop3", "managesieve",
					  "imap-login", "pop3-login",
					  "managesieve-login"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (strcmp(service, yes[i]) == 0)
			return true;
	return false;
}

static void unknown_service(struct conf_checking *k, const char *name,
			    const char *rest, const struct conf_entry *x)
{
	if (!*rest)
		conf_remark(k, CONF_NOTE, x,
			    "service %s: not known to Duet, its listeners are "
			    "not created",
			    name);
	else if (strcmp(rest, "executable") == 0 && begins(x->text, "script"))
		conf_remark(k, CONF_NOTE, x,
			    "service %s: programs are not run in this build "
			    "(comes with protocols)",
			    name);
}

static void check_executable(struct conf_checking *k, const char *name,
			     const struct conf_entry *x)
{
	size_t n = strcspn(x->text, " ");

	if ((strcmp(name, "imap") == 0 || strcmp(name, "pop3") == 0) &&
	    x->text[n + strspn(x->text + n, " ")] != '\0')
		conf_remark(k, CONF_WARNING, x,
			    "service %s: the post-login script of executable "
			    "= %s is not run in this build (comes with "
			    "accounts)",
			    name, x->text);
	else
		conf_remark(k, CONF_NOTE, x,
			    "service %s { executable = %s has no effect: every "
			    "role is duetd",
			    name, x->text);
}

/* Sockets that nobody opens get one note, at their block. */
static bool check_listener(struct conf_checking *k, const char *name,
			   const char *rest, const struct conf_entry *x)
{
	const char *comp = strchr(rest, '/');
	bool block = comp && !strchr(comp + 1, '/');
	enum conf_purpose purpose;

	if (begins(rest, "inet_listener/")) {
		if (conf_service_purpose(name, "", true, &purpose))
			return false;
	} else if (begins(rest, "unix_listener/")) {
		char *path = conf_path_unescape(k->c->arena, comp + 1,
						strcspn(comp + 1, "/"));

		if (conf_service_purpose(name, path, false, &purpose))
			return false;
	} else if (!begins(rest, "fifo_listener/")) {
		return false;
	}
	if (block && strcmp(name, "auth") == 0 && begins(rest, "inet_"))
		conf_remark(k, CONF_WARNING, x,
			    "service auth { inet_listener: authentication "
			    "over TCP is not in this build (comes with "
			    "accounts), the port is not opened");
	else if (block)
		conf_remark(k, CONF_NOTE, x,
			    "service %s { %.*s %s: Duet does not need it, it "
			    "is not created",
			    name, (int)(comp - rest), rest,
			    conf_path_unescape(k->c->arena, comp + 1,
					       strlen(comp + 1)));
	return true;
}

bool conf_check_service(struct conf_checking *k, size_t layer,
			const struct conf_entry *x)
{
	const struct conf_service *s;
	const char *rest;
	char *name;

	if (!split(k->c->arena, x->path, &name, &rest))
		return false;
	if (layer > 0) {
		if (!*rest)
			conf_remark(k, CONF_NOTE, x,
				    "service %s inside of a filter has no "
				    "effect",
				    name);
		return true;
	}
	s = conf_service_find(name);
	if (!s) {
		unknown_service(k, name, rest, x);
		return true;
	}
	if (s->area == 0)
		return true;	/* conf_check_helpers() */
	if (s->area > 1) {
		if (!(x->row->flags & (CONF_F_BLOCK | CONF_F_HIDDEN)) &&
		    !is_default(x))
			conf_remark(k, CONF_NOTE, x,
				    "%s = %s is not in force in this build "
				    "(service %s comes with %s)",
				    conf_entry_name(k, x), x->raw, name,
				    conf_area_name(s->area));
		return true;
	}
	if (check_listener(k, name, rest, x))
		return true;
	if (x->row->flags & (CONF_F_BLOCK | CONF_F_HIDDEN) || is_default(x))
		return true;
	if (strcmp(rest, "executable") == 0) {
		check_executable(k, name, x);
		return true;
	}
	if (strcmp(rest, "process_limit") == 0 && !caps(name)) {
		conf_remark(k, CONF_NOTE, x,
			    "service %s { process_limit = %s has no effect: "
			    "it caps sessions of imap, pop3, managesieve only",
			    name, x->text);
		return true;
	}
	if (strcmp(rest, "client_limit") == 0 && caps(name) &&
	    strchr(name, '-'))
		return true;	/* cap of connections before login */
	if (strcmp(rest, "user") == 0 &&
	    strcmp(x->text, conf_text(k->c, NULL, "mail_uid")) == 0)
		return true;	/* the mail account: so it is */
	return false;
}

void conf_check_helpers(struct conf_checking *k)
{
	const struct conf_layer *l = &k->c->layers[0];
	char *names = NULL;
	const struct conf_entry *first = NULL;

	for (size_t i = 0; i < conf_services_n; i++) {
		const struct conf_service *s = &conf_services[i];
		bool set = false;

		if (s->area != 0)
			continue;
		for (size_t j = 0; j < l->n && !set; j++) {
			const struct conf_entry *x = l->entries[j];
			char *name;
			const char *rest;

			if (!split(k->c->arena, x->path, &name, &rest) ||
			    strcmp(name, s->name) != 0)
				continue;
			if (x->row->flags & (CONF_F_BLOCK | CONF_F_HIDDEN))
				continue;
			set = !is_default(x);
			if (set && !first)
				first = x;
		}
		if (set)
			names = arena_printf(k->c->arena, "%s%s%s",
					     names ? names : "",
					     names ? ", " : "", s->name);
	}
	if (names)
		conf_remark(k, CONF_NOTE, first,
			    "service %s: Duet has no need for them, their "
			    "settings and listeners are ignored",
			    names);
}
