# Tests of storage, one program for each file of it.
unit_TESTS += tests/unit/storage/test_record
