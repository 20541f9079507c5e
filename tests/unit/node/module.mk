# IMAP sessions on a single node in memory, by dialogs.
unit_TESTS += tests/unit/node/test_imap_dialogs
unit_TESTS += tests/unit/node/test_imap_session
