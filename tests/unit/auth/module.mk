unit_TESTS += \
	tests/unit/auth/test_scheme \
	tests/unit/auth/test_pw \
	tests/unit/auth/test_scram \
	tests/unit/auth/test_fields \
	tests/unit/auth/test_passwd_file \
	tests/unit/auth/test_sasl \
	tests/unit/auth/test_auth_uid \
	tests/unit/auth/test_auth \
	tests/unit/auth/test_auth_pool \
	tests/unit/auth/test_auth_client
