# Tests of proto, one program for each file of it.
unit_TESTS += tests/unit/proto/test_imap_parse tests/unit/proto/test_imap_set
unit_TESTS += tests/unit/proto/test_imap_fetch tests/unit/proto/test_imap_search
unit_TESTS += tests/unit/proto/test_imap_args
unit_TESTS += tests/unit/proto/test_imap_write tests/unit/proto/test_mime
unit_TESTS += tests/unit/proto/test_address tests/unit/proto/test_date
unit_TESTS += tests/unit/proto/test_mutf7 tests/unit/proto/test_mailbox_name
unit_TESTS += tests/unit/proto/test_text tests/unit/proto/test_message_fields
unit_TESTS += tests/unit/proto/test_lmtp_parse tests/unit/proto/test_pop3_parse
# The pair link.
unit_TESTS += tests/unit/proto/test_link
