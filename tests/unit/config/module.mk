# Tests of node/config.
unit_TESTS += tests/unit/config/test_conf_value
unit_TESTS += tests/unit/config/test_conf_load
unit_TESTS += tests/unit/config/test_conf_check
unit_TESTS += tests/unit/config/test_conf_blocks
unit_TESTS += tests/unit/config/test_conf_vars
unit_TESTS += tests/unit/config/test_conf_code
unit_TESTS += tests/unit/config/test_conf_dump
unit_TESTS += tests/unit/config/test_conf_guide
unit_TESTS += tests/unit/config/test_duetconf
