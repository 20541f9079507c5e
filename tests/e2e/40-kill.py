#!/usr/bin/env python3
"""Kills under mixed load on both nodes: nothing acknowledged is lost or doubled.

The next kill waits until the pair says SYNC (the kill test rule).
"""
import os
import random
import threading

from duet_e2e import LONG, PASSWORD, USERS, case, main, wait
from load import Deliverer, Ledger, Reader, contents, judge

KILLS = int(os.environ.get('DUET_KILLS') or (50 if LONG else 12))
ROLES = ('store', 'sync', 'front', 'auth', 'node', 'node')


def run(t, pair, kills, rng):
    ledger, stop = Ledger(), threading.Event()
    workers = [Deliverer(ledger, pair.nodes, USERS, stop, s) for s in (1, 2)]
    workers += [Reader(ledger, pair.nodes, USERS, PASSWORD, stop, s) for s in (3, 4)]
    for w in workers:
        w.start()
    try:
        for k in range(kills):
            before = ledger.acked
            wait('load goes on before kill %d' % (k + 1), 120, lambda: ledger.acked > before + 20)
            node, what = rng.choice(pair.nodes), rng.choice(ROLES)
            print('kill %d: %s of node %s' % (k + 1, what, node.name), flush=True)
            if what == 'node':
                node.kill()
                before = ledger.acked
                wait('the other node acknowledges', 60, lambda: ledger.acked > before + 5)
                node.start()
            else:
                node.signal(9, what)
            pair.in_sync(90)
    finally:
        stop.set()
        for w in workers:
            w.join(90)
    pair.in_sync(90)
    return ledger, workers


@case
def kills_under_load_lose_and_double_nothing(t):
    rng = random.Random(20261124)
    pair = t.pair()
    ledger, workers = run(t, pair, KILLS, rng)
    print('%d acknowledged, %d not, %d changes' % (ledger.acked, ledger.unknown, ledger.changes))
    t.true(ledger.acked > KILLS * 10, 'too little load: %d' % ledger.acked)
    for user in USERS:
        both = wait('%s equal on both' % user, 30, lambda: (
            lambda a, b: a == b and a)(*(contents(n, user, PASSWORD) for n in pair.nodes)))
        t.true(both, 'unreachable')
        for n in pair.nodes:
            t.equal(judge(ledger, n, user, PASSWORD), [], 'ledger of %s at node %s' % (user, n.name))
    for n in pair.nodes:
        lines = n.adm('pair', 'status')[1].splitlines()
        forked = [l.split()[-1] for l in lines if l.startswith('FORKED')]
        t.equal(forked, ['0'], 'FORKED accounts of node %s' % n.name)


main(__file__)
