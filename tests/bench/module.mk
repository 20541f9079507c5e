# Load generators in C and the script that runs them (make bench).
testlib_SRC += tests/bench/wire.c
bench_PROGRAMS += tests/bench/bench_lmtp tests/bench/bench_imap \
	tests/bench/bench_idle tests/bench/bench_lag tests/bench/bench_disk
bench_SCRIPTS += tests/bench/run.py
