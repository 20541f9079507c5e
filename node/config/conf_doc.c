/* The table of settings as a document: docs/settings.md. */

#include "node/base/buf.h"
#include "node/config/conf_dump.h"
#include "node/config/conf_table.h"

static const char intro[] =
	"# Settings\n"
	"\n"
	"Made from the table in `node/config` by `tools/gen-settings`; do not "
	"edit.\n"
	"\n"
	"Files, names, defaults and forms of values are Dovecot 2.3's. "
	"`duetconf -n` shows what was set, `duetconf check` what is wrong "
	"and what is ignored. Names with a star stand in blocks: "
	"`service/*/user` is `user` inside of `service NAME {}`.\n"
	"\n"
	"**Forms of values.** yes/no: `yes`, `no`, `y`, `1`, in any case. "
	"Time: a number with `s`, `mins`, `hours`, `days`, `weeks` (`ms` where "
	"milliseconds are allowed); a bare 0 is allowed. Size: bytes, or with "
	"`k`, `M`, `G`, `T`. Mode: octal with a leading 0.\n"
	"\n"
	"**Treatment.** *in force*: read, checked, obeyed. *ignored*: one note "
	"at start if it differs from its default. *later (AREA)*: not in force "
	"in this build, one note if set. *refused*: the configuration does not "
	"start with anything but the default, because mail would lie elsewhere, "
	"be seen by others, or not be delivered; with *(AREA)* that area brings "
	"it.\n"
	"\n"
	"**Reload.** *now*: in force at once. *sessions*: for new connections "
	"and deliveries. *restart*: only after a restart; a reload names it.\n"
	"\n"
	"**Filters.** Of several filters that match, the one that lies inside "
	"of the other wins; of two that do not contain each other, the first "
	"in the files.\n";

static const char *type_name(const struct conf_row *r)
{
	static const char *const names[] = {
		"text", "yes/no", "number", "mode", "time", "time, ms",
		"size", "port",	  "one of", "percent"};

	return names[r->type];
}

static void put_cell(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '|' || *s == '\\' || *s == '<' || *s == '*' ||
		    *s == '_')
			buf_char(b, '\\');
		buf_char(b, (uint8_t)*s);
	}
}

static void put_code(struct buf *b, const char *s)
{
	if (!*s) {
		buf_str(b, "–");
		return;
	}
	buf_char(b, '`');
	for (; *s; s++) {
		if (*s == '|')
			buf_char(b, '\\');
		buf_char(b, (uint8_t)*s);
	}
	buf_char(b, '`');
}

static void put_treatment(struct buf *b, const struct conf_row *r)
{
	switch ((enum conf_treat)r->treat) {
	case CONF_TR_USED:
		buf_str(b, "in force");
		return;
	case CONF_TR_NOTE:
		buf_str(b, "ignored");
		return;
	case CONF_TR_LATER:
		buf_printf(b, "later (%s)", conf_area_name(r->area));
		return;
	case CONF_TR_REFUSE:
		buf_str(b, "refused");
		if (r->area > 1)
			buf_printf(b, " (%s)", conf_area_name(r->area));
		return;
	}
}

static void put_row(struct buf *b, const struct conf_row *r)
{
	static const char *const reload[] = {"now", "sessions", "restart"};
	struct buf def;
	char text[512];

	buf_init(&def, sizeof(text) - 1);
	conf_value_print(r, r->def, &def);
	memcpy(text, def.n ? (void *)def.p : "", def.n);
	text[def.n] = '\0';
	buf_fini(&def);
	buf_str(b, "| ");
	put_code(b, r->name);
	buf_printf(b, " | %s", type_name(r));
	if (r->values) {
		buf_char(b, ' ');
		put_code(b, r->values);
	}
	buf_str(b, " | ");
	put_code(b, text);
	buf_printf(b, " | %s | ", reload[r->reload]);
	put_treatment(b, r);
	buf_str(b, " | ");
	put_cell(b, r->help);
	if (r->instead) {
		buf_str(b, ". *");
		put_cell(b, r->instead);
		buf_char(b, '*');
	}
	buf_str(b, " |\n");
}

void conf_doc(struct buf *b)
{
	static const struct {
		const char *title;
		const struct conf_row *rows;
		const size_t *n;
	} parts[] = {
		{"Run-time, listeners, logging", conf_rows_core,
		 &conf_rows_core_n},
		{"TLS", conf_rows_tls, &conf_rows_tls_n},
		{"Authentication and login", conf_rows_auth,
		 &conf_rows_auth_n},
		{"Mail, namespaces, mailboxes", conf_rows_mail,
		 &conf_rows_mail_n},
		{"Mailbox formats, foreign stores", conf_rows_format,
		 &conf_rows_format_n},
		{"IMAP, POP3, LMTP, LDA, ManageSieve, outgoing mail",
		 conf_rows_proto, &conf_rows_proto_n},
		{"Replication and administration", conf_rows_pair,
		 &conf_rows_pair_n},
		{"Services, dictionaries, statistics", conf_rows_service,
		 &conf_rows_service_n},
		{"plugin {}", conf_rows_plugin, &conf_rows_plugin_n},
	};

	buf_str(b, intro);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		buf_printf(b, "\n## %s\n\n", parts[i].title);
		buf_str(b, "| Name | Type | Default | Reload | Treatment | "
			   "Meaning |\n|---|---|---|---|---|---|\n");
		for (size_t j = 0; j < *parts[i].n; j++) {
			const struct conf_row *r = &parts[i].rows[j];

			if (!(r->flags & CONF_F_BLOCK))
				put_row(b, r);
		}
	}
}
