# What `make install` puts into the manual and the documentation folder.
man_PAGES += docs/man/duetd.8 docs/man/duetadm.1 docs/man/duetconf.1 \
	docs/man/duet.conf.5
doc_FILES += docs/settings.md docs/admin-protocol.md etc/duetadm.bash
