# Programs and what they are made of.
duetconf_SRC += tools/duetconf.c tools/duetconf_check.c \
	tools/duetconf_default.c tools/duetconf_tree.c
