unit_TESTS += \
	tests/unit/auth/test_scheme \
	tests/unit/auth/test_pw \
	tests/unit/auth/test_scram
