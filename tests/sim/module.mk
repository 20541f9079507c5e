# Simulations: no arguments = what `make check-sim` runs.
sim_TESTS += tests/sim/peersim
# Its parts; they call the peer that peersim.c includes.
testlib_SRC += tests/sim/peersim_node.c tests/sim/peersim_life.c
sim_TESTS += tests/sim/sim
# The parts of sim; the program itself is tests/sim/sim.c.
testlib_SRC += tests/sim/sim_run.c tests/sim/sim_node.c tests/sim/sim_wire.c tests/sim/sim_work.c tests/sim/sim_check.c tests/sim/sim_cache.c
# Named scenarios on the same nodes.
sim_TESTS += tests/scenario/test_pair tests/scenario/test_pair_rules
sim_TESTS += tests/scenario/test_pair_link tests/scenario/test_pair_forks
testlib_SRC += tests/scenario/scn.c
