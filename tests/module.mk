# What every test program may use (libtest.a).
testlib_SRC += tests/lib/cu.c
