/*
 * Every command that 2.3's doveadm has, and those of the pair.  Commands of
 * areas that are not in this build keep their line: who types one is told so,
 * not that it does not exist.
 */

#include "tools/adm_cli.h"

#define USERS "[-u <user>|-A|-F <file>] "
#define QUERY USERS "<search query>"
#define HERE(name, usage, help, run) {name, usage, help, AREA_PAIR, run}
#define LATER(name, usage, help, area) {name, usage, help, area, NULL}
#define NEVER(name, help) {name, "", help, AREA_NEVER, NULL}

const struct adm_command adm_commands[] = {
	HERE("help", "[<cmd>]", "Shows the commands, or one of them.",
	     adm_cmd_help),

	/* ---- accounts and sessions ---- */
	HERE("user", "[-a <socket>] [-x <name=value>] [-f <field>] <user mask> "
	     "[<user mask> [...]]",
	     "Shows the userdb fields of a user, or the names a mask matches.",
	     adm_cmd_user),
	HERE("auth test", "[-a <socket>] [-x <name=value>] <user> [<password>]",
	     "Tests a password; asks for it if it is not given.",
	     adm_cmd_auth_test),
	HERE("auth lookup", "[-a <socket>] [-x <name=value>] [-f <field>] "
	     "<user> [<user> [...]]",
	     "Shows the passdb fields of a user, without a password.",
	     adm_cmd_auth_lookup),
	LATER("auth login", "[-x <name=value>] <user> [<password>]",
	      "Tests passdb and then userdb.", AREA_ACCOUNTS),
	LATER("auth cache flush", "[<user> [...]]",
	      "Empties the cache of passdb and userdb.", AREA_ACCOUNTS),
	LATER("penalty", "[<ip/bits>]",
	      "Shows the delays after failed logins.", AREA_ACCOUNTS),
	HERE("pw", "[-l] [-p <password>] [-r <rounds>] [-s <scheme>] "
	     "[-t <hash>] [-u <user>] [-V]",
	     "Makes or tests the hash of a password.", adm_cmd_pw),
	HERE("who", "[-a <socket>] [-1] [<user mask>] [<ip/bits>]",
	     "Shows who is logged in.", adm_cmd_who),
	HERE("kick", "[-a <socket>] <user mask>[|]<ip/bits>",
	     "Ends sessions by user, address or both.", adm_cmd_kick),

	/* ---- the node ---- */
	HERE("reload", "", "Reads the configuration again: whole, or not at "
	     "all.", adm_cmd_reload),
	HERE("stop", "", "Stops the node in order, as SIGTERM does.",
	     adm_cmd_stop),
	HERE("log reopen", "", "Opens the log files again, as SIGUSR1 does.",
	     adm_cmd_log_reopen),
	LATER("log test", "", "Writes a line of each level.", AREA_OPERATIONS),
	LATER("log find", "", "Says where logs go.", AREA_OPERATIONS),
	LATER("log errors", "[-s <min timestamp>]",
	      "Shows the last warnings and errors.", AREA_OPERATIONS),
	LATER("service status", "[<service> [...]]", "Shows the roles.",
	      AREA_OPERATIONS),
	LATER("service stop", "<service> [<service> [...]]", "Stops roles.",
	      AREA_OPERATIONS),
	LATER("process status", "[<service>]", "Shows the processes.",
	      AREA_OPERATIONS),
	LATER("stats dump", "", "Shows counters.", AREA_OPERATIONS),
	LATER("metrics", "", "Shows counters in Prometheus form.",
	      AREA_OPERATIONS),
	HERE("instance list", "[<name>]", "Shows the nodes of this machine.",
	     adm_cmd_instance_list),
	HERE("instance remove", "<name or path>",
	     "Takes a node off the list of this machine.",
	     adm_cmd_instance_remove),
	HERE("config", "[duetconf parameters]",
	     "Runs duetconf with the same arguments.", adm_cmd_config),
	HERE("dump", "[-t <type>] <path>",
	     "Prints a log, journal, index, snapshot, mark or message file; "
	     "never writes.", adm_cmd_dump),

	/* ---- the pair ---- */
	HERE("replicator status", "[-a <socket>] " USERS "[<user mask>]",
	     "Shows the queues, or the accounts a mask matches.",
	     adm_cmd_replicator_status),
	HERE("replicator dsync-status", "[-a <socket>]",
	     "Shows the transfers that run now.",
	     adm_cmd_replicator_dsync_status),
	HERE("replicator replicate", "[-a <socket>] [-f] [-p high|low] " USERS
	     "<user mask>",
	     "Replicates now: takes accounts out of quarantine.",
	     adm_cmd_replicator_replicate),
	HERE("replicator add", "[-a <socket>] <user mask>",
	     "Puts accounts on the queue.", adm_cmd_replicator_add),
	HERE("replicator remove", "[-a <socket>] <username>",
	     "Takes an account off the queue; its mail stays.",
	     adm_cmd_replicator_remove),
	LATER("replicator verify", "[--deep] [<user mask>]",
	      "Proves that both nodes hold the same.", AREA_HEAL),
	HERE("pair status", USERS "[<user mask>]",
	     "Shows the pair, or accounts; exit 0 SYNC or SINGLE, 1 CATCHUP, "
	     "2 DEGRADED, 3 FORKED or REGRESSED, 4 verification failure.",
	     adm_cmd_pair_status),
	HERE("pair ready", USERS "[<user mask>]",
	     "Says what would be missing here if the partner died now.",
	     adm_cmd_pair_ready),
	HERE("pair takeover", "<user mask> [--accept-stale]",
	     "Makes this node the holder although the partner is away.",
	     adm_cmd_pair_takeover),
	HERE("pair switchover", USERS "[<user mask>]",
	     "Gives accounts held here to the partner, in order.",
	     adm_cmd_pair_switchover),
	HERE("pair restored", "",
	     "Says that this node's disk is an older copy.",
	     adm_cmd_pair_restored),
	HERE("pair selftest", "<user>",
	     "Adds, flags, reads and expunges a message, with times.",
	     adm_cmd_pair_selftest),
	HERE("pair forget-peer", "--yes",
	     "Writes the partner off for good.", adm_cmd_pair_forget_peer),

	/* ---- mail ---- */
	LATER("mailbox list", USERS "[-7|-8] [-s] [<mask> [...]]",
	      "Lists mailboxes.", AREA_OPERATIONS),
	LATER("mailbox path", USERS "[-t <type>] <mailbox>",
	      "Shows a mailbox's directory.", AREA_OPERATIONS),
	LATER("mailbox mutf7", "[-7|-8] <name> [...]",
	      "Converts modified UTF-7.", AREA_OPERATIONS),
	LATER("mailbox create", USERS "[-s] <mailbox> [...]",
	      "Makes mailboxes.", AREA_OPERATIONS),
	LATER("mailbox delete", USERS "[-r] [-s] [-e] <mailbox> [...]",
	      "Deletes mailboxes.", AREA_OPERATIONS),
	LATER("mailbox rename", USERS "[-s] <old name> <new name>",
	      "Renames a mailbox.", AREA_OPERATIONS),
	LATER("mailbox subscribe", USERS "<mailbox> [...]",
	      "Subscribes to mailboxes.", AREA_OPERATIONS),
	LATER("mailbox unsubscribe", USERS "<mailbox> [...]",
	      "Ends subscriptions.", AREA_OPERATIONS),
	LATER("mailbox status", USERS "[-t] <fields> <mailbox mask> [...]",
	      "Shows counts of mailboxes.", AREA_OPERATIONS),
	LATER("mailbox metadata", "get|set|unset|list " USERS "<mailbox> ...",
	      "Works on METADATA entries.", AREA_PROTOCOLS),
	LATER("mailbox update", USERS "<mailbox> ...",
	      "Changes numbers of a mailbox.", AREA_OPERATIONS),
	LATER("mailbox cache", "decision|purge|remove " USERS "<mailbox>",
	      "Works on the cache of a mailbox.", AREA_OPERATIONS),
	LATER("fetch", USERS "<fields> <search query>", "Shows messages.",
	      AREA_OPERATIONS),
	LATER("search", QUERY, "Lists messages.", AREA_OPERATIONS),
	LATER("expunge", USERS "[-d] <search query>", "Expunges messages.",
	      AREA_OPERATIONS),
	LATER("move", USERS "<destination> [user <source user>] "
	      "<search query>", "Moves messages.", AREA_OPERATIONS),
	LATER("copy", USERS "<destination> [user <source user>] "
	      "<search query>", "Copies messages.", AREA_OPERATIONS),
	LATER("flags", "add|remove|replace " USERS "<flags> <search query>",
	      "Changes flags.", AREA_OPERATIONS),
	LATER("save", USERS "[-m <mailbox>] [<file>]", "Stores a message.",
	      AREA_OPERATIONS),
	LATER("deduplicate", USERS "[-m] <search query>",
	      "Drops later copies of a message.", AREA_OPERATIONS),
	LATER("index", USERS "[-q] [-n <max recent>] <mailbox mask>",
	      "Fills cache and full-text index.", AREA_PROTOCOLS),
	LATER("fts", "rescan|optimize " USERS, "Works on the full-text index.",
	      AREA_PROTOCOLS),
	LATER("force-resync", USERS "[-f] <mailbox mask>",
	      "Rebuilds the index of mailboxes.", AREA_HEAL),
	LATER("purge", USERS, "Frees expunged space of mdbox.",
	      AREA_PROTOCOLS),
	LATER("quota", "get|recalc " USERS, "Shows or recounts quota.",
	      AREA_PROTOCOLS),
	LATER("acl", "get|set|add|remove|delete|rights|debug|recalc " USERS
	      "<mailbox> ...", "Works on access rights.", AREA_PROTOCOLS),
	LATER("sieve", "list|get|put|activate|deactivate|delete|rename " USERS
	      "...", "Works on Sieve scripts.", AREA_SIEVE),
	LATER("sync", "[-1] [-f] " USERS "-d|<destination>",
	      "Synchronises with another store.", AREA_PROTOCOLS),
	LATER("backup", USERS "<destination>", "Makes an exact copy.",
	      AREA_OPERATIONS),
	LATER("import", USERS "[-U <source user>] [-s] <source> "
	      "<parent mailbox> <search query>", "Adds mail from a location.",
	      AREA_PROTOCOLS),
	LATER("export", USERS "<destination>", "Writes mail for leaving.",
	      AREA_PROTOCOLS),
	LATER("batch", "<sep> <cmd1> [<sep> <cmd2> [..]]",
	      "Runs several commands in one go.", AREA_OPERATIONS),
	LATER("proxy", "list|kick", "Works on proxied connections.",
	      AREA_ACCOUNTS),

	/* ---- what Duet does not have ---- */
	NEVER("exec", "call the program by its path; Duet's are duetd, "
	      "duetadm and duetconf"),
	NEVER("altmove", "there is one storage for all mail of a user: put "
	      "mail_location on the file system it shall use"),
	NEVER("director", "a user's mail has one holder in the pair and both "
	      "nodes proxy to it: `pair status' shows holders, `pair "
	      "switchover' moves accounts"),
	NEVER("dict", "limits and scripts are part of the account and "
	      "replicate with it"),
	NEVER("fs", "mail lies in ordinary files below mail_location"),
	NEVER("sis", "attachments stay in their message files"),
	NEVER("rebuild", "attachments stay in their message files, and an "
	      "index is rebuilt from its log by the node itself"),
	NEVER("oldstats", "`replicator status', `pair status' and `who' show "
	      "what the node does"),
	NEVER("zlibconnect", "use `openssl s_client'"),
	{0},
};
