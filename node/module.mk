# Sources of node, in the order of reading.
node_SRC :=

# Supervisor and what all processes share.
node_SRC += node/role.c node/super/super.c node/super/super_dirs.c \
	node/super/owner.c node/super/identity.c node/super/privs.c \
	node/super/super_listen.c node/super/child.c node/super/reload.c \
	node/super/stop.c node/super/admin.c node/super/rootfile.c
node_SRC += \
	node/imap/commands.c \
	node/imap/session.c \
	node/imap/write.c \
	node/imap/tell.c \
	node/imap/names.c \
	node/imap/sets.c \
	node/imap/capability.c \
	node/imap/cmd_misc.c \
	node/imap/cmd_select.c \
	node/imap/cmd_status.c \
	node/imap/cmd_list.c \
	node/imap/cmd_mailbox.c \
	node/imap/cmd_idle.c \
	node/imap/append.c \
	node/imap/fetch.c \
	node/imap/cmd_fetch.c \
	node/imap/cmd_store.c \
	node/imap/cmd_copy.c \
	node/imap/cmd_expunge.c \
	node/imap/cmd_search.c
