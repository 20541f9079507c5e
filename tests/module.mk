# What every test program may use (libtest.a).
testlib_SRC += tests/lib/cu.c
# Virtual time, seeded numbers, the disk that crashes.
testlib_SRC += tests/lib/simclock.c tests/lib/simrng.c tests/lib/simdisk.c \
	tests/lib/simdisk_names.c tests/lib/simdisk_data.c \
	tests/lib/store_rig.c tests/lib/rig_model.c tests/lib/crash.c
