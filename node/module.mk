# Sources of node, in the order of reading.
node_SRC :=

# Supervisor and what all processes share.
node_SRC += node/role.c node/super/super.c node/super/super_dirs.c \
	node/super/owner.c node/super/identity.c node/super/privs.c \
	node/super/super_listen.c node/super/child.c node/super/reload.c \
	node/super/stop.c node/super/admin.c node/super/rootfile.c
node_SRC += node/adm.c node/auth_role.c node/auth_conf.c node/auth_files.c \
	node/auth_admin.c node/auth_smtp.c
node_SRC += node/front/front.c node/front/login.c node/front/login_auth.c \
	node/front/login_imap.c node/front/login_pop3.c \
	node/front/login_log.c node/front/relay.c node/front/proxied.c node/front/lmtp.c \
	node/front/lmtp_mail.c
node_SRC += node/store/store_role.c node/store/store_conf.c \
	node/store/locate.c node/store/arrive.c node/store/sessions.c \
	node/store/delivery.c node/store/rcpt.c node/store/trace.c \
	node/store/store_admin.c node/store/store_admin_pair.c
node_SRC += node/link/sync_role.c node/link/link_conn.c node/link/link_dial.c \
	node/link/proxy.c node/link/sync_admin.c
node_SRC += \
	node/imap/commands.c \
	node/imap/session.c \
	node/imap/write.c \
	node/imap/tell.c \
	node/imap/names.c \
	node/imap/sets.c \
	node/imap/recent.c \
	node/imap/capability.c \
	node/imap/cmd_misc.c \
	node/imap/cmd_select.c \
	node/imap/cmd_status.c \
	node/imap/cmd_list.c \
	node/imap/cmd_mailbox.c \
	node/imap/cmd_idle.c \
	node/imap/append.c \
	node/imap/fetch.c \
	node/imap/changes.c \
	node/imap/cmd_fetch.c \
	node/imap/cmd_store.c \
	node/imap/cmd_copy.c \
	node/imap/cmd_expunge.c \
	node/imap/cmd_search.c

node_SRC += node/pop3/session.c node/pop3/commands.c node/pop3/retr.c \
	node/pop3/quit.c node/pop3/uidl.c

# Configuration: table of settings, grammar, values, treatment, output.
node_SRC += \
	node/config/conf.c \
	node/config/conf_table.c \
	node/config/conf_rows_core.c \
	node/config/conf_rows_tls.c \
	node/config/conf_rows_auth.c \
	node/config/conf_rows_mail.c \
	node/config/conf_rows_format.c \
	node/config/conf_rows_proto.c \
	node/config/conf_rows_pair.c \
	node/config/conf_rows_service.c \
	node/config/conf_rows_plugin.c \
	node/config/conf_services.c \
	node/config/conf_value.c \
	node/config/conf_line.c \
	node/config/conf_parse.c \
	node/config/conf_read.c \
	node/config/conf_net.c \
	node/config/conf_store.c \
	node/config/conf_vars.c \
	node/config/conf_if.c \
	node/config/conf_check.c \
	node/config/conf_check_special.c \
	node/config/conf_check_service.c \
	node/config/conf_check_whole.c \
	node/config/conf_blocks.c \
	node/config/conf_listen.c \
	node/config/conf_loc.c \
	node/config/conf_code.c \
	node/config/conf_diff.c \
	node/config/conf_dump.c \
	node/config/conf_doc.c

# The unit of systemd.
unit_FILES += etc/systemd/duet.service.in
