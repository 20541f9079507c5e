# Simulations: no arguments = what `make check-sim` runs.
sim_TESTS += tests/sim/peersim
