# Fuzz targets, one for each parser of bytes from outside.
fuzz_TARGETS += tests/fuzz/fuzz_record
# IMAP, LMTP, MIME and their pieces.
fuzz_TARGETS += tests/fuzz/fuzz_imap tests/fuzz/fuzz_mime tests/fuzz/fuzz_lmtp
fuzz_TARGETS += tests/fuzz/fuzz_mutf7 tests/fuzz/fuzz_address
fuzz_TARGETS += tests/fuzz/fuzz_date tests/fuzz/fuzz_text
fuzz_TARGETS += tests/fuzz/fuzz_pop3
# The envelope of IPC and link.
fuzz_TARGETS += tests/fuzz/fuzz_ipc
# Files of users, and what an MTA asks.
fuzz_TARGETS += tests/fuzz/fuzz_passwd_file tests/fuzz/fuzz_auth_client
# Configuration files, variables, bytes for the children.
fuzz_TARGETS += tests/fuzz/fuzz_config
fuzz_TARGETS += tests/fuzz/fuzz_snapshot
fuzz_TARGETS += tests/fuzz/fuzz_trace
# Messages of the pair link.
fuzz_TARGETS += tests/fuzz/fuzz_link
# What a store finds on its own disk, after a crash or in another's place.
fuzz_TARGETS += tests/fuzz/fuzz_journal tests/fuzz/fuzz_alog
fuzz_TARGETS += tests/fuzz/fuzz_index tests/fuzz/fuzz_marks
# Those who log in, at the client's port, the link and the admin socket.
fuzz_TARGETS += tests/fuzz/fuzz_sasl tests/fuzz/fuzz_adm
