/* Forms of values, names, typos. */

#include "node/config/conf_table.h"
#include "tests/unit/config/conf_test.h"

static const struct {
	const char *name, *text;
	const char *printed;	/* NULL: error */
	const char *error;
} forms[] = {
	{"mail_debug", "yes", "yes", NULL},
	{"mail_debug", "Y", "yes", NULL},
	{"mail_debug", "1", "yes", NULL},
	{"mail_debug", "No", "no", NULL},
	{"mail_debug", "true", NULL,
	 "Invalid boolean value: true (use yes or no)"},
	{"mail_debug", "on", NULL, "Invalid boolean value: on (use yes or no)"},
	{"mail_debug", "0", NULL, "Invalid boolean value: 0 (use yes or no)"},
	{"mail_debug", "n", NULL, "Invalid boolean value: n (use yes or no)"},
	{"auth_failure_delay", "0", "0", NULL},
	{"auth_failure_delay", "90s", "90 secs", NULL},
	{"auth_failure_delay", "60s", "1 mins", NULL},
	{"auth_failure_delay", "5 minutes", "5 mins", NULL},
	{"auth_failure_delay", "1d", "1 days", NULL},
	{"auth_failure_delay", "2weeks", "2 weeks", NULL},
	{"auth_failure_delay", "1 D", "1 days", NULL},
	{"auth_failure_delay", "5", NULL,
	 "Time interval '5' is missing units (add e.g. 's' for seconds)"},
	{"auth_failure_delay", "500ms", NULL,
	 "Milliseconds not supported for this setting: 500ms"},
	{"auth_failure_delay", "5 foo", NULL, "Invalid time interval: 5 foo"},
	{"auth_failure_delay", "infinite", NULL,
	 "Invalid time interval: infinite"},
	{"auth_failure_delay", "1hr", NULL, "Invalid time interval: 1hr"},
	{"auth_failure_delay", "", NULL, "Invalid time interval: "},
	{"auth_failure_delay", "99999999d", NULL,
	 "Time interval is too large: 99999999d"},
	{"login_proxy_timeout", "1500ms", "1500 ms", NULL},
	{"login_proxy_timeout", "1 secs", "1 secs", NULL},
	{"mdbox_rotate_size", "10MB", "10 M", NULL},
	{"mdbox_rotate_size", "10 MiB", "10 M", NULL},
	{"mdbox_rotate_size", "1024", "1 k", NULL},
	{"mdbox_rotate_size", "1500", "1500 B", NULL},
	{"mdbox_rotate_size", "2 G", "2 G", NULL},
	{"mdbox_rotate_size", "0", "0", NULL},
	{"mdbox_rotate_size", "10 Mfoo", NULL, "Invalid size: 10 Mfoo"},
	{"mdbox_rotate_size", "2P", NULL, "Invalid size: 2P"},
	{"mdbox_rotate_size", "unlimited", NULL, "Invalid size: unlimited"},
	{"mdbox_rotate_size", "99999999999T", NULL,
	 "Size is too large: 99999999999T"},
	{"first_valid_uid", "005", "5", NULL},
	{"first_valid_uid", "4294967295", "4294967295", NULL},
	{"first_valid_uid", "4294967296", NULL,
	 "Invalid number 4294967296: Number too large"},
	{"first_valid_uid", "abc", NULL,
	 "Invalid number abc: Not a valid number"},
	{"first_valid_uid", "-1", NULL, "Invalid number -1: Number too small"},
	{"doveadm_port", "65535", "65535", NULL},
	{"doveadm_port", "65536", NULL, "Invalid port number 65536"},
	{"doveadm_port", "http", NULL, "Invalid port number http"},
	{"service/x/unix_listener/y/mode", "0600", "0600", NULL},
	{"service/x/unix_listener/y/mode", "0", "00", NULL},
	{"service/x/unix_listener/y/mode", "600", NULL,
	 "Invalid mode 600: without a leading 0 it is a decimal number (did "
	 "you mean 0600?)"},
	{"service/x/unix_listener/y/mode", "0999", NULL,
	 "Invalid number: 0999"},
	{"ssl", "required", "required", NULL},
	{"ssl", "maybe", NULL,
	 "Invalid value: maybe (use one of: no yes required)"},
	{"ssl", "YES", NULL,
	 "Invalid value: YES (use one of: no yes required)"},
	{"pair_delete_brake", "30%", "30%", NULL},
	{"pair_delete_brake", "101%", NULL,
	 "Value out of range: 101% (at most 100 percent)"},
	{"pair_takeover_delay", "2s", NULL,
	 "Value out of range: 2 secs (at least 3 secs)"},
	{"pair_takeover_delay", "3s", "3 secs", NULL},
	{"pair_start_window", "4s", NULL,
	 "Value out of range: 4 secs (at least 5 secs)"},
};

static void values_have_the_forms_of_2_3(void)
{
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		const struct conf_row *row = conf_row_find(forms[i].name);
		struct err e = ERR_NONE;
		struct buf b;
		int r;

		CU_NEED(row != NULL);
		r = conf_value_parse(row, forms[i].text, NULL, &e);
		CU_CLAIM((r == 0) == (forms[i].printed != NULL), "%s = %s",
			 forms[i].name, forms[i].text);
		if (r < 0) {
			CU_EQ_STR(e.op, forms[i].error);
			continue;
		}
		buf_init(&b, 256);
		conf_value_print(row, forms[i].text, &b);
		CU_EQ_TEXT(buf_all(&b), forms[i].printed);
		buf_fini(&b);
	}
}

static void equal_values_in_other_units_are_the_same(void)
{
	const struct conf_row *t = conf_row_find("auth_failure_delay");
	const struct conf_row *s = conf_row_find("login_greeting");

	CU_ASSERT(conf_value_same(t, "60s", "1 mins"));
	CU_ASSERT(!conf_value_same(t, "60s", "2 mins"));
	CU_ASSERT(!conf_value_same(s, "60s", "1 mins"));
}

/* Every default must be a value of its own type and within its limits. */
static void every_default_is_valid(void)
{
	const struct conf_row *r;
	size_t n = 0;

	for (size_t i = 0; (r = conf_row_at(i)) != NULL; i++, n++) {
		struct err e = ERR_NONE;

		if (r->flags & CONF_F_BLOCK)
			continue;
		CU_CLAIM(conf_value_parse(r, r->def, NULL, &e) == 0,
			 "%s = %s: %s", r->name, r->def, e.op);
		CU_CLAIM(*r->help || (r->flags & CONF_F_BLOCK), "%s has no "
			 "help", r->name);
		CU_CLAIM(r->area >= 1 && r->area <= 5, "%s area", r->name);
		if (r->treat == CONF_TR_REFUSE)
			CU_CLAIM(r->instead != NULL,
				 "%s: refused without a reason", r->name);
	}
	CU_CLAIM(n > 500, "only %zu rows", n);
}

static void no_name_has_two_rows(void)
{
	const struct conf_row *a, *b;

	for (size_t i = 0; (a = conf_row_at(i)) != NULL; i++)
		for (size_t j = 0; j < i && (b = conf_row_at(j)); j++)
			CU_CLAIM(strcmp(a->name, b->name) != 0,
				 "%s has two rows", a->name);
}

static void names_of_2_3_have_rows(void)
{
	AUTO_FREE char *path = xprintf("%s/tests/unit/config/"
				       "dovecot-2.3-names.txt",
				       source_dir());
	AUTO_FREE char *text = read_all(path);
	size_t n = 0;

	CU_NEED(text != NULL);
	for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n")) {
		const struct conf_row *r;

		if (*p == '#')
			continue;
		r = conf_row_find(p);
		CU_CLAIM(r != NULL && !(r->flags & CONF_F_ANY), "no row for %s",
			 p);
		n++;
	}
	CU_CLAIM(n > 490, "only %zu names", n);
}

static void duets_own_settings_have_rows(void)
{
	static const char *const own[] = {
		"pair_ack_timeout", "pair_takeover_delay", "pair_start_window",
		"pair_handover_interval", "pair_partition",
		"pair_degraded_delivery", "pair_degraded_append",
		"pair_degraded_mailbox", "pair_degraded_flags",
		"pair_witness", "pair_witness_lease", "pair_fence_command",
		"pair_clock_skew", "pair_journal_size", "pair_journal_inline",
		"pair_reserve", "pair_log_keep", "pair_log_size",
		"pair_log_budget", "pair_expunged_keep", "pair_delivery_keep",
		"pair_vanished_keep", "pair_orphans_keep", "pair_receipt_keep",
		"pair_delete_brake", "pair_verify_interval",
		"pair_scrub_interval", "pair_bulk_rate",
		"pair_store_processes", "pair_front_processes", "pair_chroot"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		CU_CLAIM(conf_row_find(own[i]) != NULL, "no row for %s",
			 own[i]);
}

static void typos_name_the_nearest_setting(void)
{
	CU_EQ_STR(conf_row_nearest("premier_uid_valide"), "first_valid_uid");
	CU_EQ_STR(conf_row_nearest("protocoles"), "protocols");
	CU_EQ_STR(conf_row_nearest("mail_locaton"), "mail_location");
	CU_EQ_STR(conf_row_nearest("ssl_certificate"), "ssl_cert");
	CU_EQ_STR(conf_row_nearest("passdb/0/drivers"), "driver");
	CU_EQ_STR(conf_row_nearest("zzzz"), NULL);
	CU_EQ_STR(conf_row_nearest(""), NULL);
}

static void order_of_paths_is_that_of_doveconf(void)
{
	CU_ASSERT(conf_path_cmp("service/auth-worker/x", "service/auth/x") <
		  0);
	CU_ASSERT(conf_path_cmp("passdb/9/x", "passdb/10/x") < 0);
	CU_ASSERT(conf_path_cmp("a/b", "a/b") == 0);
	CU_ASSERT(conf_path_cmp("namespace/i/mailbox/Sent/x",
				"namespace/i/mailbox/Sent\\_M/x") < 0);
}

CU_TESTS(CU_CASE(values_have_the_forms_of_2_3),
	 CU_CASE(equal_values_in_other_units_are_the_same),
	 CU_CASE(every_default_is_valid), CU_CASE(no_name_has_two_rows),
	 CU_CASE(names_of_2_3_have_rows),
	 CU_CASE(duets_own_settings_have_rows),
	 CU_CASE(typos_name_the_nearest_setting),
	 CU_CASE(order_of_paths_is_that_of_doveconf))
