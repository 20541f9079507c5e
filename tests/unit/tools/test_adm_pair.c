/* What rows of accounts mean: states, exit codes, priorities, readiness. */

#include "tests/lib/cu.h"
#include "tools/adm_pair.h"

static struct adm_account account(struct arena *a, const char *state,
				  const char *holder, const char *records)
{
	const char *cells[] = {"alice", state, "timeout", "1000000", holder,
			       "7", records, "900", "2000000", "3", "300", "0",
			       "5000000", "6000000", "7000000", "no", ""};
	struct adm_account out = {.name = NULL};

	CU_CLAIM(adm_account_row(a, cells, ARRAY_LEN(cells), &out), "row");
	return out;
}

static void rows_are_read_by_place(void)
{
	struct arena *a = arena_new(256);
	struct adm_account v = account(a, "LONE", "1", "12");

	CU_EQ_STR(v.name, "alice");
	CU_EQ_STR(v.reason, "timeout");
	CU_EQ_INT(v.holder, 1);
	CU_EQ_U64(v.epoch, 7);
	CU_EQ_U64(v.records, 12);
	CU_EQ_U64(v.bytes, 900);
	CU_EQ_U64(v.oldest_unacked, 2000000);
	CU_EQ_U64(v.unsafe_acks, 3);
	CU_EQ_U64(v.unsafe_bytes, 300);
	CU_EQ_U64(v.last_ack, 5000000);
	CU_EQ_U64(v.last_done, 6000000);
	CU_EQ_U64(v.last_equal, 7000000);
	CU_CLAIM(!v.stale && !v.mail && !v.mismatch, "flags");
	CU_EQ_INT(account(a, "LONE", "-", "0").holder, -1);
	arena_free(a);
}

static void short_rows_are_refused(void)
{
	struct arena *a = arena_new(256);
	const char *cells[] = {"alice", "SYNC"};
	struct adm_account v = {.name = "untouched"};

	CU_CLAIM(!adm_account_row(a, cells, 2, &v), "two cells");
	CU_EQ_STR(v.name, "untouched");
	arena_free(a);
}

static void priority_is_what_waits(void)
{
	struct adm_account v = {.state = "SYNC"};

	CU_EQ_STR(adm_account_priority(&v), "none");
	v.records = 1;
	CU_EQ_STR(adm_account_priority(&v), "low");
	v.mail = true;
	CU_EQ_STR(adm_account_priority(&v), "high");
	v.waiting = 1;
	CU_EQ_STR(adm_account_priority(&v), "sync");
}

static void failed_is_what_stands_still(void)
{
	struct adm_account v = {.state = "PARKED"};

	CU_CLAIM(adm_account_failed(&v), "quarantine");
	v.state = "LONE";
	CU_CLAIM(!adm_account_failed(&v), "LONE goes on by itself");
}

static void resync_is_due_by_age_and_state(void)
{
	struct adm_account v = {.state = "SYNC", .last_equal = 1000};

	CU_CLAIM(!adm_account_resync_due(&v, 1500, 1000), "young");
	CU_CLAIM(adm_account_resync_due(&v, 2500, 1000), "old");
	CU_CLAIM(!adm_account_resync_due(&v, 500, 1000), "clock set back");
	v.last_equal = 0;
	CU_CLAIM(adm_account_resync_due(&v, 1500, 1000), "never");
	v.state = "SINGLE";
	CU_CLAIM(!adm_account_resync_due(&v, 1500, 1000), "no partner");
	v = (struct adm_account){.state = "SEEDING", .last_equal = 1000};
	CU_CLAIM(adm_account_resync_due(&v, 1500, 1000), "seed");
}

static void exit_codes_are_those_of_the_manual(void)
{
	static const struct { const char *state; int code; } t[] = {
		{"SINGLE", 0}, {"SYNC", 0}, {"CATCHUP", 1}, {"EMPTY", 1},
		{"DEGRADED", 2}, {"REFUSED", 2}, {"what is that", 2},
		{"FORKED", 3}, {"REGRESSED", 3},
	};
	struct adm_sums s = {.accounts = 0};
	struct adm_node n = {.state = "SYNC"};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		n.state = t[i].state;
		CU_CLAIM(adm_pair_code(&n, &s) == t[i].code, "%s gives %d",
			 t[i].state, adm_pair_code(&n, &s));
	}
	n.state = "SYNC";
	s.forked = 1;
	CU_EQ_INT(adm_pair_code(&n, &s), 3);
	s.mismatch = true;
	CU_EQ_INT(adm_pair_code(&n, &s), 4);
}

static void sums_add_up(void)
{
	struct arena *a = arena_new(256);
	struct adm_account v[] = {
		account(a, "SYNC", "0", "0"), account(a, "LONE", "0", "5"),
		account(a, "LONE", "0", "7"), account(a, "PARKED", "1", "0"),
		account(a, "CATCHUP", "-", "1"), account(a, "SEEDING", "1", "0"),
	};
	struct adm_accounts all = {.v = v, .n = ARRAY_LEN(v)};
	struct adm_sums s;

	v[1].oldest_unacked = 1500000;
	v[2].reason = v[3].reason = "disconnect";
	v[4].reason = "disconnect";
	adm_sums_of(&all, &s);
	CU_EQ_U64(s.accounts, 6);
	CU_EQ_U64(s.here, 3);
	CU_EQ_U64(s.there, 2);
	CU_EQ_U64(s.nobody, 1);
	CU_EQ_U64(s.sync, 1);
	CU_EQ_U64(s.lone, 2);
	CU_EQ_U64(s.parked, 1);
	CU_EQ_U64(s.catchup, 1);
	CU_EQ_U64(s.seed, 1);
	CU_EQ_U64(s.records, 13);
	CU_EQ_U64(s.oldest, 1500000);
	CU_EQ_U64(s.unsafe_acks, 18);
	CU_EQ_STR(s.reason, "disconnect");
	arena_free(a);
}

static void ready_says_what_only_the_partner_has(void)
{
	struct arena *a = arena_new(256);
	struct adm_account v = account(a, "SYNC", "1", "0");

	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), NULL);
	v = account(a, "LONE", "0", "9");	/* held here: it is all here */
	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), NULL);
	v.stale = true;
	CU_CLAIM(adm_pair_missing(a, &v, 0, "T") != NULL &&
		 strstr(adm_pair_missing(a, &v, 0, "T"), "unknown since T"),
		 "taken over, partner not heard");
	v = account(a, "CATCHUP", "1", "9");
	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), "9 changes");
	v = account(a, "LONE", "1", "0");
	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), "unknown since T");
	v = account(a, "SEEDING", "1", "0");
	CU_CLAIM(adm_pair_missing(a, &v, 0, "T") != NULL, "seed");
	v = account(a, "FORKED", "0", "0");
	CU_CLAIM(adm_pair_missing(a, &v, 0, "T") != NULL, "fork");
	arena_free(a);
}

static void the_holders_row_counts_on_both_nodes(void)
{
	struct arena *a = arena_new(1024);
	struct adm_account holder = account(a, "LONE", "1", "9");
	struct adm_account copy = account(a, "SYNC", "1", "0"), v;

	/* Seen from node 0 the partner holds it, from node 1 it is here. */
	copy.last_equal = 9000000;
	holder.at_partner = true;
	v = copy;
	adm_account_join(a, &v, &holder, 0);
	CU_EQ_STR(v.state, "LONE");
	CU_EQ_STR(v.own, "SYNC");
	CU_EQ_U64(v.records, 9);
	CU_EQ_U64(v.last_equal, 9000000);
	CU_CLAIM(v.at_partner, "it is asked there");
	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), "9 changes");
	holder.at_partner = false;
	v = holder;
	adm_account_join(a, &v, &copy, 1);
	CU_EQ_STR(v.state, "LONE");
	CU_EQ_U64(v.records, 9);
	CU_CLAIM(!v.at_partner, "it is asked here");
	CU_EQ_STR(adm_pair_missing(a, &v, 1, "T"), NULL);
	arena_free(a);
}

static void trouble_of_either_copy_is_shown(void)
{
	struct arena *a = arena_new(1024);
	struct adm_account holder = account(a, "LONE", "0", "9");
	struct adm_account copy = account(a, "PARKED", "0", "0"), v = holder;

	copy.parked_why = "its log is damaged";
	copy.mismatch = true;
	adm_account_join(a, &v, &copy, 0);
	CU_EQ_STR(v.state, "PARKED");
	CU_EQ_STR(v.parked_why, "at the partner: its log is damaged");
	CU_CLAIM(v.mismatch, "a failed comparison");
	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), NULL);
	CU_EQ_STR(adm_pair_missing(a, &v, 1, "T"),
		  "unknown: comparison failed, the copies differ");
	/* A copy that is made there is no loss here; made here it is. */
	copy = account(a, "SEEDING", "0", "0");
	v = holder;
	adm_account_join(a, &v, &copy, 0);
	CU_EQ_STR(v.state, "SEEDING");
	CU_EQ_STR(adm_pair_missing(a, &v, 0, "T"), NULL);
	v = copy;
	adm_account_join(a, &v, &holder, 1);
	CU_EQ_STR(v.state, "SEEDING");
	CU_CLAIM(adm_pair_missing(a, &v, 1, "T") != NULL, "no whole copy");
	/* Known to the partner alone. */
	v = holder;
	v.own = "";
	CU_CLAIM(adm_pair_missing(a, &v, 1, "T") != NULL, "no copy");
	arena_free(a);
}

static void node_rows_are_read_by_name(void)
{
	struct arena *a = arena_new(256);
	struct adm_node n = {.state = ""};

	adm_node_row(a, (const char *[]){"state", "SYNC"}, 2, &n);
	adm_node_row(a, (const char *[]){"heard", "123"}, 2, &n);
	adm_node_row(a, (const char *[]){"member", "yes"}, 2, &n);
	adm_node_row(a, (const char *[]){"clock difference ms", "-12"}, 2, &n);
	adm_node_row(a, (const char *[]){"of a later version", "x"}, 2, &n);
	adm_node_row(a, (const char *[]){"alone"}, 1, &n);
	CU_EQ_STR(n.state, "SYNC");
	CU_EQ_U64(n.heard, 123);
	CU_CLAIM(n.member && !n.trusted, "flags");
	CU_EQ_INT(n.clock_ms, -12);
	arena_free(a);
}

CU_TESTS(CU_CASE(rows_are_read_by_place), CU_CASE(short_rows_are_refused),
	 CU_CASE(priority_is_what_waits), CU_CASE(failed_is_what_stands_still),
	 CU_CASE(resync_is_due_by_age_and_state),
	 CU_CASE(exit_codes_are_those_of_the_manual), CU_CASE(sums_add_up),
	 CU_CASE(ready_says_what_only_the_partner_has),
	 CU_CASE(the_holders_row_counts_on_both_nodes),
	 CU_CASE(trouble_of_either_copy_is_shown),
	 CU_CASE(node_rows_are_read_by_name))
