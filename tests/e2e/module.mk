# Real daemons, real clients: each script is a suite of cases.
e2e_TESTS += tests/e2e/10-single-node.py
e2e_TESTS += tests/e2e/20-imap-clients.py
e2e_TESTS += tests/e2e/22-imap-dovecot.py
e2e_TESTS += tests/e2e/25-operations.py
e2e_TESTS += tests/e2e/30-pair.py
e2e_TESTS += tests/e2e/40-kill.py
e2e_TESTS += tests/e2e/50-duetadm.py
e2e_TESTS += tests/e2e/51-duetadm-pair.py
e2e_TESTS += tests/e2e/60-disk-trouble.py
e2e_TESTS += tests/e2e/61-pair-disk.py
e2e_TESTS += tests/e2e/62-damage.py
e2e_TESTS += tests/e2e/63-pair-damage.py
e2e_TESTS += tests/e2e/65-bad-input.py
e2e_TESTS += tests/e2e/70-namespaces.py
e2e_TESTS += tests/e2e/80-mta.py
