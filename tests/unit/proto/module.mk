# Tests of proto, one program for each file of it.
unit_TESTS += tests/unit/proto/test_imap_parse tests/unit/proto/test_imap_set
unit_TESTS += tests/unit/proto/test_imap_fetch tests/unit/proto/test_imap_search
unit_TESTS += tests/unit/proto/test_imap_args
