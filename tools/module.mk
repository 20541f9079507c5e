# Programs and what they are made of.
duetconf_SRC += tools/duetconf.c tools/duetconf_check.c \
	tools/duetconf_default.c tools/duetconf_tree.c

# duetadm: the program is one file, the rest a library that tests can use.
duetadm_SRC += tools/duetadm.c
tools_SRC += tools/adm_table.c tools/adm_help.c tools/adm_cli.c \
	tools/adm_print.c tools/adm_place.c tools/adm_call.c tools/adm_user.c \
	tools/adm_pw.c tools/adm_session.c tools/adm_node.c \
	tools/adm_accounts.c tools/adm_replicator.c tools/adm_status.c \
	tools/adm_pair.c tools/adm_dump.c tools/adm_dump_journal.c
