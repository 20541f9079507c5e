# Tests of the pair: one account, the node level, whole nodes.
unit_TESTS += tests/unit/sync/test_node_link tests/unit/sync/test_node_trust
unit_TESTS += tests/unit/sync/test_peer tests/unit/sync/test_peer_gate
unit_TESTS += tests/unit/sync/test_engine
unit_TESTS += tests/unit/sync/test_engine_bulk
unit_TESTS += tests/unit/sync/test_engine_ask
