/* Masks, networks, ages, names of commands, options, the list of nodes. */

#include "tests/lib/cu.h"
#include "tools/adm_cli.h"

#include <stdio.h>
#include <stdlib.h>

static void masks_match_as_in_a_shell(void)
{
	static const struct { const char *mask, *name; bool is; } t[] = {
		{"*", "", true}, {"*", "alice", true}, {"", "", true},
		{"", "a", false}, {"?", "", false}, {"?", "a", true},
		{"al*", "alice", true}, {"al*", "bob", false},
		{"*@a.example", "x@a.example", true},
		{"*@a.example", "x@a.example.org", false},
		{"a*b*c", "aXbXXbc", true}, {"a*b*c", "acb", false},
		{"?li?e", "alice", true}, {"Alice", "alice", false},
		{"a**", "a", true}, {"*a", "aaab", false}, {"*ab", "aab", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		CU_CLAIM(adm_mask_match(t[i].mask, t[i].name) == t[i].is,
			 "'%s' against '%s'", t[i].mask, t[i].name);
}

static void networks_hold_their_addresses(void)
{
	static const struct { const char *net, *ip; bool is; } t[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.0/24", "192.0.2.255", true},
		{"192.0.2.0/24", "192.0.3.0", false},
		{"192.0.2.128/25", "192.0.2.127", false},
		{"0.0.0.0/0", "203.0.113.9", true},
		{"0.0.0.0/0", "::1", false}, {"::/0", "2001:db8::1", true},
		{"2001:db8::/33", "2001:db8:7fff::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
		{"::1", "0:0:0:0:0:0:0:1", true}, {"::1", "nonsense", false},
	};
	struct adm_net n;

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		CU_NEED(adm_net_parse(t[i].net, &n));
		CU_CLAIM(adm_net_holds(&n, t[i].ip) == t[i].is, "%s in %s",
			 t[i].ip, t[i].net);
	}
}

static void what_is_no_network_is_a_mask(void)
{
	static const char *const bad[] = {
		"alice", "192.0.2.1/33", "::1/129", "192.0.2.1/", "/8", "*",
		"192.0.2.1/x", "192.0.2", "",
		"1111111111111111111111111111111111111111111111111111111",
	};
	struct adm_net n = {.bits = 7};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CU_CLAIM(!adm_net_parse(bad[i], &n), "'%s'", bad[i]);
	CU_EQ_INT(n.bits, 7);
}

static void ages_are_hours_minutes_seconds(void)
{
	struct arena *a = arena_new(256);
	uint64_t s = 1000000;

	CU_EQ_STR(adm_age(a, 0), "00:00:00");
	CU_EQ_STR(adm_age(a, 7528 * s + 999999), "02:05:28");
	CU_EQ_STR(adm_age(a, 360000 * s), "100:00:00");
	CU_EQ_STR(adm_age_since(a, 0, 5 * s), "-");
	CU_EQ_STR(adm_age_since(a, 2 * s, 5 * s), "00:00:03");
	CU_EQ_STR(adm_age_since(a, 9 * s, 5 * s), "00:00:00");
	CU_EQ_STR(adm_time(a, 0), "-");
	arena_free(a);
}

static const char *found(int argc, char **argv, int *words)
{
	const struct adm_command *k = adm_find(argc, argv, words);

	return k ? k->name : NULL;
}

static void commands_are_found_by_all_their_words(void)
{
	int n;

	CU_EQ_STR(found(2, (char *[]){"replicator", "status"}, &n),
		  "replicator status");
	CU_EQ_INT(n, 2);
	CU_EQ_STR(found(3, (char *[]){"who", "-1", "x"}, &n), "who");
	CU_EQ_INT(n, 1);
	CU_EQ_STR(found(1, (char *[]){"replicator"}, &n), NULL);
	CU_EQ_STR(found(2, (char *[]){"replicator", "statu"}, &n), NULL);
	CU_EQ_STR(found(1, (char *[]){"wh"}, &n), NULL);
	CU_EQ_STR(found(3, (char *[]){"auth", "cache", "flush"}, &n),
		  "auth cache flush");
	CU_EQ_INT(n, 3);
}

static void every_command_is_whole(void)
{
	for (const struct adm_command *k = adm_commands; k->name; k++) {
		int n = 0;
		char *name = strdup(k->name), *argv[4] = {name};

		for (char *s = name; (s = strchr(s, ' ')); *s++ = 0)
			argv[++n] = s + 1;
		CU_CLAIM((k->area == AREA_PAIR) == (k->run != NULL), "%s",
			 k->name);
		CU_CLAIM(k->usage && k->help && *k->help, "%s", k->name);
		CU_CLAIM(adm_find(n + 1, argv, &n) == k, "%s is hidden by "
			 "another", k->name);
		free(name);
	}
}

static void commands_of_doveadm_are_all_answered(void)
{
	static const char *const words[] = {
		"altmove", "auth", "backup", "batch", "config", "copy",
		"deduplicate", "dict", "director", "dump", "exec", "expunge",
		"fetch", "flags", "force-resync", "fs", "help", "import",
		"index", "instance", "kick", "log", "mailbox", "move",
		"oldstats", "penalty", "process", "proxy", "purge", "pw",
		"rebuild", "reload", "replicator", "save", "search",
		"service", "sis", "stats", "stop", "sync", "user", "who",
		"zlibconnect",
	};
	FILE *null = fopen("/dev/null", "w");
	struct adm_cli c = {.program = "duetadm"};
	int n;

	CU_NEED(null);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		CU_CLAIM(adm_find(1, (char *[]){(char *)(uintptr_t)words[i]},
				  &n) ||
			 adm_help_group(&c, words[i], null), "%s", words[i]);
	fclose(null);
}

static void options_of_commands_have_json_and_help(void)
{
	char *argv[] = {"who", "--json", "-1", "al*", "--help", NULL};
	struct adm_cli c = {.program = "duetadm"};

	optind = 0;
	CU_EQ_INT(adm_getopt(&c, 5, argv, "1", NULL), '1');
	CU_EQ_STR(c.formatter, "json");
	CU_EQ_INT(adm_getopt(&c, 5, argv, "1", NULL), '?');
	CU_CLAIM(c.helped, "--help was not seen");
}

static void options_may_stand_behind_arguments(void)
{
	static const struct option longs[] = {
		{"accept-stale", no_argument, NULL, 1100}, {0},
	};
	char *argv[] = {"takeover", "alice", "--accept-stale", NULL};
	struct adm_cli c = {.program = "duetadm"};

	optind = 0;
	CU_EQ_INT(adm_getopt(&c, 3, argv, "", longs), 1100);
	CU_EQ_INT(adm_getopt(&c, 3, argv, "", longs), -1);
	CU_EQ_INT(optind, 2);
	CU_EQ_STR(argv[2], "alice");
}

static void unknown_options_are_usage(void)
{
	char *argv[] = {"who", "--jsn=x", NULL};
	struct adm_cli c = {.program = "duetadm"};

	optind = 0;
	opterr = 0;
	CU_EQ_INT(adm_getopt(&c, 2, argv, "1", NULL), '?');
	CU_CLAIM(!c.helped, "this is no --help");
}

static void users_come_from_options_and_files(void)
{
	struct adm_cli c = {.program = "duetadm", .arena = arena_new(256)};
	struct adm_users u = {.n = 0};

	CU_EQ_INT(adm_users_option(&c, &u, 'u', "al*"), 0);
	adm_users_lines(&c, &u, SLICE_LIT("bob\n\n  carol \r\ndave"));
	CU_EQ_INT(u.n, 4);
	CU_EQ_STR(u.masks[2], "carol");
	CU_EQ_STR(u.masks[3], "dave");
	CU_CLAIM(adm_users_match(&u, "alice"), "mask");
	CU_CLAIM(adm_users_match(&u, "dave"), "last line");
	CU_CLAIM(!adm_users_match(&u, "erin"), "nobody");
	CU_EQ_INT(adm_users_option(&c, &u, 'A', NULL), 0);
	CU_CLAIM(adm_users_match(&u, "erin"), "-A");
	adm_users_fini(&u);
	arena_free(c.arena);
}

static void the_list_of_nodes_is_read_line_by_line(void)
{
	struct arena *a = arena_new(256);
	struct adm_instance *v;

	CU_EQ_INT(adm_instances(a, SLICE_LIT(
		"duet\t/run/duet\t/etc/duet/duet.conf\t1795497337\n"
		"a line of something else\n"
		"half\t/run/half\n"
		"b\t/run/b\t/b.conf\tlater\n"
		"c\t/run/c\t/c.conf\t5"), &v), 2);
	CU_EQ_STR(v[0].name, "duet");
	CU_EQ_STR(v[0].base_dir, "/run/duet");
	CU_EQ_STR(v[0].config, "/etc/duet/duet.conf");
	CU_EQ_U64(v[0].used, 1795497337);
	CU_EQ_STR(v[1].name, "c");
	CU_EQ_INT(adm_instances(a, SLICE_NONE, &v), 0);
	arena_free(a);
}

CU_TESTS(CU_CASE(masks_match_as_in_a_shell),
	 CU_CASE(networks_hold_their_addresses),
	 CU_CASE(what_is_no_network_is_a_mask),
	 CU_CASE(ages_are_hours_minutes_seconds),
	 CU_CASE(commands_are_found_by_all_their_words),
	 CU_CASE(every_command_is_whole),
	 CU_CASE(commands_of_doveadm_are_all_answered),
	 CU_CASE(options_of_commands_have_json_and_help),
	 CU_CASE(options_may_stand_behind_arguments),
	 CU_CASE(unknown_options_are_usage),
	 CU_CASE(users_come_from_options_and_files),
	 CU_CASE(the_list_of_nodes_is_read_line_by_line))
