# IMAP sessions on a single node in memory, by dialogs.
unit_TESTS += tests/unit/node/test_imap_dialogs
unit_TESTS += tests/unit/node/test_imap_session
unit_TESTS += tests/unit/node/test_imap_garbage
# Identity, heads between roles, delivery headers.
unit_TESTS += tests/unit/node/test_identity tests/unit/node/test_ipc_msg
unit_TESTS += tests/unit/node/test_trace
# Sessions over the link.
unit_TESTS += tests/unit/node/test_proxy tests/unit/node/test_login_moved
# Settings of a real store.
unit_TESTS += tests/unit/node/test_store_settings
# What POP3 clients know messages by.
unit_TESTS += tests/unit/node/test_pop3_uidl
