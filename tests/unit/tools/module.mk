unit_TESTS += tests/unit/tools/test_adm_print \
	tests/unit/tools/test_adm_cli \
	tests/unit/tools/test_adm_pair \
	tests/unit/tools/test_adm_call \
	tests/unit/tools/test_adm_dump
