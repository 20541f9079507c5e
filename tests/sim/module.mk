# Simulations: no arguments = what `make check-sim` runs.
sim_TESTS += tests/sim/peersim
sim_TESTS += tests/sim/sim
# The parts of sim; the program itself is tests/sim/sim.c.
testlib_SRC += tests/sim/sim_run.c tests/sim/sim_node.c tests/sim/sim_work.c tests/sim/sim_check.c
# Named scenarios on the same nodes.
sim_TESTS += tests/scenario/test_pair
