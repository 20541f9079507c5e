#!/usr/bin/env python3
"""duetadm against a pair: every command acts at the account's holder, typed on
either node; what a tired administrator is told when it cannot."""
import json
import re

from adm_e2e import client, deliver, fields, gone, holder, row, rows
from duet_e2e import case, main, wait


@case
def the_state_of_a_pair_is_shown_on_both_nodes(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    for n in pair.nodes:
        code, out, err = n.adm('-f', 'tab', 'pair', 'status')
        f = dict(line.split('\t', 1) for line in out.splitlines()[1:])
        t.equal((code, f['State'], f['Link'], f['Lag changes'], f['Unsafe acks']),
                (0, 'SYNC', 'up', '0', '0'), 'node %s: %s' % (n.name, out))
        out = n.adm('-f', 'tab', 'pair', 'status', 'al*')[1]
        t.equal([(r['username'], r['state']) for r in rows(out)], [('alice', 'SYNC')])
        t.equal(n.adm('pair', 'ready')[0], 0, 'pair ready')
    holders = sorted(rows(n.adm('-f', 'tab', 'pair', 'status', 'alice')[1])[0]['holder'] for n in pair.nodes)
    t.equal(holders, ['here', 'partner'])
    line = [n.adm('replicator', 'status', 'alice')[1] for n in pair.nodes]
    for out in line:
        t.true(re.match(r'username        priority  fast sync  full sync  success sync  failed\n'
                        r'alice           none      \S+', out), out)
    t.true(any(re.search(r'none      \d\d:\d\d:\d\d', out) for out in line), 'fast sync is an age: %r' % line)


@case
def a_lost_partner_is_shown_with_reason_and_counts(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    pair.b.kill()
    wait('DEGRADED', 60, lambda: pair.a.adm('pair', 'status')[0] == 2, 0.2)
    deliver(pair.a, 'alice')
    code, out, _ = pair.a.adm('-f', 'tab', 'pair', 'status')
    f = dict(line.split('\t', 1) for line in out.splitlines()[1:])
    t.equal((code, f['Link']), (2, 'down'))
    t.true(f['Reason'] not in ('', '-'), out)
    t.true(int(f['Unsafe acks']) > 0 and int(f['Lag changes']) > 0, out)
    out = pair.a.adm('-f', 'tab', 'replicator', 'status', 'alice')[1]
    t.true(rows(out)[0]['priority'] in ('high', 'low'), out)
    pair.b.start()
    pair.in_sync()
    t.equal(rows(pair.a.adm('-f', 'tab', 'replicator', 'status', 'alice')[1])[0]['priority'], 'none')


@case
def switchover_moves_what_is_in_sync(t):
    pair = t.pair()
    for n in pair.nodes:
        deliver(n, 'alice', 'by ' + n.name)
        deliver(n, 'bob', 'by ' + n.name)

    pair.in_sync()

    def held(n):
        return [r['username'] for r in rows(n.adm('-f', 'tab', 'pair', 'status', '*')[1]) if r['holder'] == 'here']
    for giver, taker in ((pair.a, pair.b), (pair.b, pair.a)):
        code, out, err = giver.adm('pair', 'switchover')
        t.equal((code, err), (0, ''), out)
        t.equal((held(giver), held(taker)), ([], ['alice', 'bob']))
    code, out, _ = pair.a.adm('pair', 'selftest', 'alice')
    t.equal((code, 'durable on both nodes' in out), (0, True), out)


@case
def selftest_runs_at_the_holder_from_either_node(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    pair.in_sync()
    has = holder(pair, 'alice')[0]
    for n in pair.nodes:
        code, out, err = n.adm('-f', 'tab', 'pair', 'selftest', 'alice')
        t.equal((code, err), (0, ''), out)
        t.equal([(r['step'], r['result']) for r in rows(out)],
                [('holder', 'this node' if n is has else 'the partner'), ('create mailbox', 'ok'),
                 ('add message', 'ok'), ('flag', 'ok'), ('read back', 'ok'),
                 ('second copy', 'durable on both nodes'), ('expunge', 'ok'), ('delete mailbox', 'ok')],
                'typed on ' + n.name)
    t.true(holder(pair, 'alice')[0] is has, 'the account moved')


@case
def kick_reaches_sessions_of_both_nodes(t):
    pair = t.pair()
    for n in pair.nodes:
        # One served where its client is, one by the partner.
        deliver(n, 'alice')
        pair.in_sync()
        keep = [client(pair.a, 'alice'), client(pair.b, 'alice')]
        wait('each node lists its own client', 20,
             lambda: all(len(rows(m.adm('-f', 'tab', 'who')[1])) == 1 for m in pair.nodes))
        t.equal(n.adm('kick', 'alice'), (0, 'kicked connections from the following users:\nalice\n', ''))
        t.true(gone(keep[0]) and gone(keep[1]), 'kicked on %s, still there' % n.name)
        wait('nobody is left', 20, lambda: not any(rows(m.adm('-f', 'tab', 'who')[1]) for m in pair.nodes))
        t.equal(n.adm('kick', 'alice')[:2], (68, 'no users kicked\n'))


@case
def status_is_the_holders_word_on_both_nodes(t):
    pair = t.pair()
    for user in ('alice', 'bob', 'carol'):
        deliver(pair.a, user)
    pair.in_sync()
    wait('nothing is outstanding', 30, lambda: pair.a.adm('pair', 'ready')[0] == pair.b.adm('pair', 'ready')[0] == 0)
    for command in (('replicator', 'status'), ('pair', 'status')):
        # Ages grow between two questions: compare what does not.
        steady = ('username', 'priority', 'failed', 'state', 'since', 'reason', 'epoch', 'changes')
        got = [[{k: v for k, v in r.items() if k in steady} for r in
                rows(n.adm('-f', 'tab', *command, '*')[1])] for n in pair.nodes]
        t.equal(got[0], got[1], ' '.join(command))
        t.equal([r['username'] for r in got[0]], ['alice', 'bob', 'carol'])
    for n in pair.nodes:
        for r in rows(n.adm('-f', 'tab', 'replicator', 'status', '*')[1]):
            for word in ('fast sync', 'success sync'):
                t.true(re.match(r'\d\d:\d\d:\d\d$', r[word]), '%s of %r at %s' % (word, r, n.name))
    t.equal([fields(n.adm('-f', 'tab', 'pair', 'status')[1])['Accounts'] for n in pair.nodes], ['3', '3'])


@case
def a_partner_that_is_away_is_said(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    pair.in_sync()
    has, other = holder(pair, 'alice')
    has.kill()
    wait('the other node is alone', 60, lambda: other.adm('pair', 'status')[0] == 2, 0.2)
    code, _, err = other.adm('replicator', 'replicate', '*')
    t.equal((code, 'the partner cannot be asked' in err), (75, True), err)
    code, _, err = other.adm('kick', 'alice')
    t.equal((code, 'the partner cannot be asked' in err), (75, True), err)
    code, out, err = other.adm('-f', 'tab', 'pair', 'ready')
    t.equal((code, [r['username'] for r in rows(out)]), (1, ['alice']), out)
    t.true(re.match(r'unknown since \d{4}-', rows(out)[0]['missing here']), out)
    t.equal(row(other, 'alice')['holder'], 'partner')


@case
def the_status_socket_shows_both_nodes_and_no_more(t):
    pair = t.pair(start=False)
    for n in pair.nodes:
        n.extra = ('service replicator {\n  unix_listener replicator-doveadm {\n    mode = 0600\n  }\n}\n')
    pair.start()
    for user in ('alice', 'bob', 'carol'):
        deliver(pair.a, user)
    pair.in_sync()
    for n in pair.nodes:
        sock = n.dir + '/run/replicator-doveadm'
        code, out, err = n.adm('-S', sock, '-f', 'tab', 'replicator', 'status', '*')
        t.equal((code, err, [r['username'] for r in rows(out)]), (0, '', ['alice', 'bob', 'carol']))
        for r in rows(out):
            t.true(r['fast sync'] != '-', 'the holder was not asked: %r' % r)
        for args in (['pair', 'selftest', 'alice'], ['kick', 'alice'], ['replicator', 'replicate', '*']):
            t.true(n.adm('-S', sock, *args)[0] in (75, 77), ' '.join(args))


main(__file__)
