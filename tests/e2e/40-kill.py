#!/usr/bin/env python3
"""Kills under mixed load on both nodes: nothing acknowledged is lost or doubled.

The next kill waits until the pair says SYNC (the kill test rule).  Every role of
either node, the supervisor alone and the whole node have their turn; the pair_*
times are short, with --long (50 kills) the defaults.
"""
import os
import random
import threading

from duet_e2e import LONG, PASSWORD, USERS, case, main, running, wait
from load import Cache, Deliverer, Ledger, Reader, contents, judge

KILLS = int(os.environ.get('DUET_KILLS') or (50 if LONG else 12))
ROLES = ('store', 'sync', 'front', 'auth', 'supervisor', 'node')
# By default a node takes nothing over in the 90 s after its own start.
SECONDS = 240 if LONG else 90
PAUSE = 0.1 if LONG else 0.01


def targets(pair, kills, rng):
    """(node, what) of each kill: all pairs, in a random order, over and over."""
    out = []
    while len(out) < kills:
        turn = [(n, w) for n in pair.nodes for w in ROLES]
        rng.shuffle(turn)
        out += turn
    return out[:kills]


def kill(node, what, rng, goes_on):
    """Kills; returns when the node runs again."""
    if what == 'node':
        node.kill()
    elif what == 'supervisor':
        pids = node.pids()
        node.proc.kill()
        node.proc.wait()
        wait('the children end with their supervisor', 30, lambda: not any(running(p) for p in pids))
        node.proc = None
    else:
        pid = rng.choice(node.children()[what])
        os.kill(pid, 9)
        wait('another %s process' % what, 30, lambda: not running(pid) and node.children().get(what))
        return
    goes_on('the other node acknowledges', 5)
    node.start()


def run(t, pair, kills, rng):
    ledger, stop = Ledger(), threading.Event()
    workers = [Deliverer(ledger, pair.nodes, USERS, stop, s, PAUSE, large=20) for s in (1, 2)]
    workers += [Reader(ledger, pair.nodes, USERS, PASSWORD, stop, s, PAUSE * 2, share=(s - 3, 2), files=True)
                for s in (3, 4)]
    caches = [Cache(pair.nodes, u, PASSWORD, stop, i) for i, u in enumerate(USERS)]

    def goes_on(what, n):
        before = ledger.acked
        wait(what, SECONDS, lambda: ledger.acked > before + n)
    for w in workers + caches:
        w.start()
    try:
        for k, (node, what) in enumerate(targets(pair, kills, rng)):
            goes_on('load goes on before kill %d' % (k + 1), rng.randrange(10, 30))
            print('kill %d: %s of node %s' % (k + 1, what, node.name), flush=True)
            kill(node, what, rng, goes_on)
            pair.in_sync(SECONDS)
    finally:
        stop.set()
        for w in workers + caches:
            w.join(120)
    pair.in_sync(SECONDS)
    return ledger, workers, caches


@case
def kills_under_load_lose_and_double_nothing(t):
    seed = int(os.environ.get('DUET_SEED') or 20261124)
    print('seed %d' % seed)
    pair = t.pair(start=False, **({k: None for k in (
        'pair_takeover_delay', 'pair_start_window', 'pair_ack_timeout')} if LONG else {}))
    pair.a.settings['pair_store_processes'] = '2'      # the numbers of the nodes may differ
    pair.start()
    ledger, workers, caches = run(t, pair, KILLS, random.Random(seed))
    print('%d acknowledged, %d not, %d changes, caches followed %s times' % (
        ledger.acked, ledger.unknown, ledger.changes, [c.syncs for c in caches]))
    t.true(ledger.acked > KILLS * 10, 'too little load: %d' % ledger.acked)
    t.true(ledger.changes > KILLS * 10, 'too few changes: %d' % ledger.changes)
    t.true(not any(w.is_alive() for w in workers + caches), 'a client hangs')
    refused = {e for w in workers + caches for e in getattr(w, 'errors', []) if 'UNAVAILABLE' not in e}
    t.equal(refused, set(), 'what clients were refused, but for UNAVAILABLE')
    for user in USERS:
        for box in ('INBOX', 'Kept'):
            wait('%s of %s equal on both' % (box, user), 60, lambda: (
                lambda a, b: a == b and a)(*(contents(n, user, PASSWORD, box) for n in pair.nodes)))
        for n in pair.nodes:
            t.equal(judge(ledger, n, user, PASSWORD), [], 'ledger of %s at node %s' % (user, n.name))
    for c in caches:
        for n in pair.nodes:
            c.follow(n, whole=True)
        t.true(c.syncs > KILLS, 'the cache of %s was hardly used: %d' % (c.user, c.syncs))
        t.equal(c.wrong, [], 'the cache of %s' % c.user)
    for n in pair.nodes:
        lines = n.adm('pair', 'status')[1].splitlines()
        forked = [l.split()[-1] for l in lines if l.startswith('FORKED')]
        t.equal(forked, ['0'], 'FORKED accounts of node %s' % n.name)


main(__file__)
