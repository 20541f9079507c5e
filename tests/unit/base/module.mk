# Tests of the ground floor, in the order of its sources.
unit_TESTS += tests/unit/base/test_slice
unit_TESTS += tests/unit/base/test_buf
unit_TESTS += tests/unit/base/test_cursor
unit_TESTS += tests/unit/base/test_arena
unit_TESTS += tests/unit/base/test_err
unit_TESTS += tests/unit/base/test_rng
unit_TESTS += tests/unit/base/test_digest
unit_TESTS += tests/unit/base/test_map
unit_TESTS += tests/unit/base/test_loop
unit_TESTS += tests/unit/base/test_fsio
unit_TESTS += tests/unit/base/test_log
unit_TESTS += tests/unit/base/test_stream
unit_TESTS += tests/unit/base/test_socket
unit_TESTS += tests/unit/base/test_tls
unit_TESTS += tests/unit/base/test_ipc
