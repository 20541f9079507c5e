# Tests of storage, one program for each file of it.
unit_TESTS += tests/unit/storage/test_record
# The log and its disk.
unit_TESTS += tests/unit/storage/test_frame tests/unit/storage/test_simdisk
unit_TESTS += tests/unit/storage/test_journal tests/unit/storage/test_alog
unit_TESTS += tests/unit/storage/test_store tests/unit/storage/test_recover
unit_TESTS += tests/unit/storage/test_parked tests/unit/storage/test_faults \
	tests/unit/storage/test_heal
unit_TESTS += tests/unit/storage/test_crash_basic tests/unit/storage/test_crash_ops
unit_TESTS += tests/unit/storage/test_crash_reset
unit_TESTS += tests/unit/storage/test_crash_account tests/unit/storage/test_crash_space
# The published state and its views.
unit_TESTS += tests/unit/storage/test_index tests/unit/storage/test_fold
unit_TESTS += tests/unit/storage/test_state
unit_TESTS += tests/unit/storage/test_prepare tests/unit/storage/test_numbering
unit_TESTS += tests/unit/storage/test_view tests/unit/storage/test_dbox
unit_TESTS += tests/unit/storage/test_cache
# Overlapping work, sick disks, hostile records.
unit_TESTS += tests/unit/storage/test_store_edges tests/unit/storage/test_fold_hostile
