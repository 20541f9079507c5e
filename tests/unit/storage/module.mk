# Tests of storage, one program for each file of it.
unit_TESTS += tests/unit/storage/test_record
# The log and its disk.
unit_TESTS += tests/unit/storage/test_frame tests/unit/storage/test_simdisk
