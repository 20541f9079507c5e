/* The services that exist without any file, with 2.3's values: what duetconf
 * prints, and the listeners that are opened.  See conf_listen.c. */

#include "node/config/conf_table.h"

static const struct conf_service_listener listeners_aggregator[] = {
	{.kind = 'f', .name = "replication-notify-fifo"},
	{.kind = 'u', .name = "replication-notify"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_anvil[] = {
	{.kind = 'u', .name = "anvil-auth-penalty"},
	{.kind = 'u', .name = "anvil"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_auth[] = {
	{.kind = 'u', .name = "auth-client", .user = "$default_internal_user"},
	{.kind = 'u', .name = "auth-login", .user = "$default_internal_user"},
	{.kind = 'u', .name = "auth-master"},
	{.kind = 'u', .name = "auth-userdb",
	 .mode = "0666", .user = "$default_internal_user"},
	{.kind = 'u', .name = "login/login", .mode = "0666"},
	{.kind = 'u', .name = "token-login/tokenlogin", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_auth_worker[] = {
	{.kind = 'u', .name = "auth-worker", .user = "$default_internal_user"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_config[] = {
	{.kind = 'u', .name = "config"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_dict[] = {
	{.kind = 'u', .name = "dict",
	 .mode = "0660", .group = "$default_internal_group"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_dict_async[] = {
	{.kind = 'u', .name = "dict-async",
	 .mode = "0660", .group = "$default_internal_group"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_director[] = {
	{.kind = 'f', .name = "login/proxy-notify", .mode = "00"},
	{.kind = 'u', .name = "director-admin"},
	{.kind = 'u', .name = "login/director", .mode = "00"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_dns_client[] = {
	{.kind = 'u', .name = "dns-client", .mode = "0666"},
	{.kind = 'u', .name = "login/dns-client", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_doveadm[] = {
	{.kind = 'u', .name = "doveadm-server"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_imap[] = {
	{.kind = 'u', .name = "imap-master"},
	{.kind = 'u', .name = "login/imap", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_imap_hibernate[] = {
	{.kind = 'u', .name = "imap-hibernate",
	 .mode = "0660", .group = "$default_internal_group"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_imap_login[] = {
	{.kind = 'i', .name = "imap", .port = "143"},
	{.kind = 'i', .name = "imaps", .port = "993", .ssl = true},
	{.kind = 0},
};

static const struct conf_service_listener listeners_imap_urlauth[] = {
	{.kind = 'u', .name = "token-login/imap-urlauth", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_imap_urlauth_login[] = {
	{.kind = 'u', .name = "imap-urlauth", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_imap_urlauth_worker[] = {
	{.kind = 'u', .name = "imap-urlauth-worker",
	 .user = "$default_internal_user"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_indexer[] = {
	{.kind = 'u', .name = "indexer", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_indexer_worker[] = {
	{.kind = 'u', .name = "indexer-worker", .user = "$default_internal_user"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_ipc[] = {
	{.kind = 'u', .name = "ipc", .user = "$default_internal_user"},
	{.kind = 'u', .name = "login/ipc-proxy", .user = "$default_login_user"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_lmtp[] = {
	{.kind = 'u', .name = "lmtp", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_log[] = {
	{.kind = 'u', .name = "log-errors"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_managesieve[] = {
	{.kind = 'u', .name = "login/sieve", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_managesieve_login[] = {
	{.kind = 'i', .name = "sieve", .port = "4190"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_old_stats[] = {
	{.kind = 'f', .name = "old-stats-mail"},
	{.kind = 'f', .name = "old-stats-user"},
	{.kind = 'u', .name = "old-stats"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_pop3[] = {
	{.kind = 'u', .name = "login/pop3", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_pop3_login[] = {
	{.kind = 'i', .name = "pop3", .port = "110"},
	{.kind = 'i', .name = "pop3s", .port = "995", .ssl = true},
	{.kind = 0},
};

static const struct conf_service_listener listeners_replicator[] = {
	{.kind = 'u', .name = "replicator-doveadm",
	 .mode = "00", .user = "$default_internal_user"},
	{.kind = 'u', .name = "replicator", .user = "$default_internal_user"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_stats[] = {
	{.kind = 'u', .name = "login/stats-writer",
	 .user = "$default_login_user"},
	{.kind = 'u', .name = "stats-reader"},
	{.kind = 'u', .name = "stats-writer",
	 .mode = "0660", .group = "$default_internal_group"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_submission[] = {
	{.kind = 'u', .name = "login/submission", .mode = "0666"},
	{.kind = 0},
};

static const struct conf_service_listener listeners_submission_login[] = {
	{.kind = 'i', .name = "submission", .port = "587"},
	{.kind = 0},
};

const struct conf_service conf_services[] = {
	{
		.name = "aggregator", .executable = "aggregator",
		.user = "$default_internal_user", .chroot = ".",
		.listeners = listeners_aggregator,
	},
	{
		.name = "anvil", .type = "anvil", .executable = "anvil",
		.user = "$default_internal_user", .chroot = "empty",
		.process_limit = "1", .process_min_avail = "1",
		.idle_kill = "4294967295 secs",
		.listeners = listeners_anvil,
	},
	{
		.name = "auth", .executable = "auth",
		.user = "$default_internal_user", .process_limit = "1",
		.area = 1, .listeners = listeners_auth,
	},
	{
		.name = "auth-worker", .type = "worker",
		.executable = "auth -w", .client_limit = "1",
		.listeners = listeners_auth_worker,
	},
	{
		.name = "config", .type = "config", .executable = "config",
		.idle_kill = "4294967295 secs",
		.listeners = listeners_config,
	},
	{
		.name = "dict", .executable = "dict",
		.user = "$default_internal_user", .client_limit = "1",
		.area = 3, .listeners = listeners_dict,
	},
	{
		.name = "dict-async", .executable = "dict",
		.user = "$default_internal_user",
		.listeners = listeners_dict_async,
	},
	{
		.name = "director", .executable = "director",
		.user = "$default_internal_user", .chroot = ".",
		.process_limit = "1", .idle_kill = "4294967295 secs",
		.listeners = listeners_director,
	},
	{
		.name = "dns-client", .executable = "dns-client",
		.user = "$default_internal_user", .client_limit = "1",
		.listeners = listeners_dns_client,
	},
	{
		.name = "doveadm", .executable = "doveadm-server",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .service_count = "1", .area = 1,
		.listeners = listeners_doveadm,
	},
	{
		.name = "health-check",
		.executable = "script -p health-check.sh",
		.user = "$default_internal_user", .client_limit = "1",
		.drop_priv = true, .area = 4,
	},
	{
		.name = "imap", .protocol = "imap", .executable = "imap",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .process_limit = "1024",
		.service_count = "1", .area = 1,
		.listeners = listeners_imap,
	},
	{
		.name = "imap-hibernate", .protocol = "imap",
		.executable = "imap-hibernate",
		.user = "$default_internal_user",
		.listeners = listeners_imap_hibernate,
	},
	{
		.name = "imap-login", .protocol = "imap", .type = "login",
		.executable = "imap-login", .user = "$default_login_user",
		.chroot = "login", .service_count = "1", .area = 1,
		.listeners = listeners_imap_login,
	},
	{
		.name = "imap-urlauth", .protocol = "imap",
		.executable = "imap-urlauth",
		.user = "$default_internal_user", .client_limit = "1",
		.process_limit = "1024", .service_count = "1",
		.listeners = listeners_imap_urlauth,
	},
	{
		.name = "imap-urlauth-login", .protocol = "imap",
		.type = "login", .executable = "imap-urlauth-login",
		.user = "$default_login_user", .chroot = "token-login",
		.service_count = "1",
		.listeners = listeners_imap_urlauth_login,
	},
	{
		.name = "imap-urlauth-worker", .protocol = "imap",
		.executable = "imap-urlauth-worker",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .process_limit = "1024",
		.service_count = "1",
		.listeners = listeners_imap_urlauth_worker,
	},
	{
		.name = "indexer", .executable = "indexer",
		.user = "$default_internal_user", .process_limit = "1",
		.listeners = listeners_indexer,
	},
	{
		.name = "indexer-worker", .type = "worker",
		.executable = "indexer-worker",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .process_limit = "10",
		.listeners = listeners_indexer_worker,
	},
	{
		.name = "ipc", .executable = "ipc",
		.user = "$default_internal_user", .chroot = "empty",
		.process_limit = "1", .listeners = listeners_ipc,
	},
	{
		.name = "lmtp", .protocol = "lmtp", .executable = "lmtp",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .area = 1,
		.listeners = listeners_lmtp,
	},
	{
		.name = "log", .type = "log", .executable = "log",
		.process_limit = "1", .idle_kill = "4294967295 secs",
		.listeners = listeners_log,
	},
	{
		.name = "managesieve", .protocol = "sieve",
		.executable = "managesieve",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .process_limit = "1024",
		.service_count = "1", .area = 5,
		.listeners = listeners_managesieve,
	},
	{
		.name = "managesieve-login", .protocol = "sieve",
		.type = "login", .executable = "managesieve-login",
		.user = "$default_login_user", .chroot = "login",
		.service_count = "1", .area = 5,
		.listeners = listeners_managesieve_login,
	},
	{
		.name = "old-stats", .executable = "old-stats",
		.user = "$default_internal_user", .chroot = "empty",
		.process_limit = "1", .idle_kill = "4294967295 secs",
		.listeners = listeners_old_stats,
	},
	{
		.name = "pop3", .protocol = "pop3", .executable = "pop3",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .process_limit = "1024",
		.service_count = "1", .area = 3,
		.listeners = listeners_pop3,
	},
	{
		.name = "pop3-login", .protocol = "pop3", .type = "login",
		.executable = "pop3-login", .user = "$default_login_user",
		.chroot = "login", .service_count = "1", .area = 3,
		.listeners = listeners_pop3_login,
	},
	{
		.name = "replicator", .executable = "replicator",
		.process_limit = "1", .idle_kill = "4294967295 secs",
		.area = 1, .listeners = listeners_replicator,
	},
	{
		.name = "stats", .executable = "stats",
		.user = "$default_internal_user", .process_limit = "1",
		.idle_kill = "4294967295 secs",
		.listeners = listeners_stats,
	},
	{
		.name = "submission", .protocol = "submission",
		.executable = "submission",
		.extra_groups = "$default_internal_group",
		.client_limit = "1", .process_limit = "1024",
		.service_count = "1", .listeners = listeners_submission,
	},
	{
		.name = "submission-login", .protocol = "submission",
		.type = "login", .executable = "submission-login",
		.user = "$default_login_user", .chroot = "login",
		.service_count = "1",
		.listeners = listeners_submission_login,
	},
	{
		.name = "tcpwrap", .executable = "tcpwrap",
		.user = "$default_internal_user", .client_limit = "1",
	},
};
const size_t conf_services_n = ARRAY_LEN(conf_services);
