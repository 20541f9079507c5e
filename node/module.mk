# Sources of node, in the order of reading.
node_SRC :=

# Supervisor and what all processes share.
node_SRC += node/role.c node/super/super.c node/super/super_dirs.c \
	node/super/owner.c node/super/identity.c node/super/privs.c \
	node/super/super_listen.c node/super/child.c node/super/reload.c \
	node/super/stop.c node/super/admin.c node/super/rootfile.c
