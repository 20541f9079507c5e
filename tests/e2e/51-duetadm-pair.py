#!/usr/bin/env python3
"""duetadm against a pair: every command acts at the account's holder, typed on
either node; what a tired administrator is told when it cannot."""
import os
import re
import smtplib

from adm_e2e import client, deliver, fields, gone, holder, row, rows, single
from duet_e2e import case, main, wait


@case
def the_state_of_a_pair_is_shown_on_both_nodes(t):
    pair = t.pair()
    if t.root:
        paths = [r['path'] for r in rows(pair.a.adm('-f', 'tab', 'instance', 'list')[1])]
        t.true(all(n.dir + '/run' in paths for n in pair.nodes), 'started at once, one is lost: %r' % paths)
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
def a_partner_that_does_not_run_is_no_matter_of_tls(t):
    pair = t.pair(start=False)
    pair.a.start()
    wait('it says that nobody answers', 30,
         lambda: re.search(r'Pair link to 127\.0\.0\.1.*: no connection: Connection refused', pair.a.log()))
    t.true('TLS: handshake' not in '\n'.join(l for l in pair.a.log().splitlines() if 'Pair link' in l), pair.a.log())


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
        code, _, err = giver.adm('pair', 'switchover', 'alice')
        t.equal((code, 'does not hold alice' in err), (67, True), err)
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


def uidnext(n, user):
    c = client(n, user)
    text = c.status('INBOX', '(UIDNEXT)')[1][0].decode()
    c.logout()
    return int(re.search(r'UIDNEXT (\d+)', text).group(1))


@case
def a_restored_node_never_uses_a_number_twice(t):
    n = single(t)
    for user in ('alice', 'bob'):
        deliver(n, user)
    before = uidnext(n, 'alice')
    n.stop()
    n.start()
    t.equal(uidnext(n, 'alice'), before, 'an ordinary start jumps')
    # bob's account is not open now: it counts as well.
    n.stop()
    n.start()
    code, out, err = n.adm('pair', 'restored')
    t.equal((code, out.startswith('2 accounts '), err), (0, True, ''), out)
    for user in ('alice', 'bob'):
        t.true(uidnext(n, user) >= before + 2 ** 20, 'no jump of %s: %d' % (user, uidnext(n, user)))
    after = uidnext(n, 'alice')
    deliver(n, 'alice')
    t.true(after <= uidnext(n, 'alice') < after + 10, 'a second jump')
    after = uidnext(n, 'alice')
    n.stop()
    n.start()
    deliver(n, 'alice')
    t.true(after <= uidnext(n, 'alice') < after + 10, 'a jump after a start')
    t.equal(n.adm('pair', 'restored', 'now')[0], 64)
    n.kill()
    t.equal(n.adm('pair', 'restored')[0], 75)


@case
def a_partner_is_forgotten_for_good(t):
    pair = t.pair()
    for user in ('alice', 'bob', 'carol'):
        deliver(pair.b, user)
    pair.in_sync()
    code, _, err = pair.a.adm('pair', 'forget-peer')
    t.equal((code, '--yes' in err), (64, True), err)
    code, _, err = pair.a.adm('pair', 'forget-peer', '--yes')
    t.equal((code, 'the partner is connected' in err), (75, True), err)
    pair.in_sync()
    before = uidnext(pair.a, 'alice')
    pair.b.kill()
    wait('the link is down', 60, lambda: pair.a.adm('pair', 'status')[0] == 2, 0.2)
    code, out, err = pair.a.adm('pair', 'forget-peer', '--yes')
    t.equal((code, err), (0, ''))
    t.true('written off' in out, out)
    t.equal(shows(pair.a), 'SINGLE')
    # Nobody is waited for, nothing is unsafe, whoever held it.
    for user in ('alice', 'bob', 'carol'):
        deliver(pair.a, user, 'alone')
        wait('it is alone with %s' % user, 20, lambda: row(pair.a, user)['state'] == 'SINGLE')
    t.true(uidnext(pair.a, 'alice') >= before + 2 ** 20, 'what the partner showed is used again')
    code, _, err = pair.a.adm('pair', 'forget-peer', '--yes')
    t.equal((code, 'no partner to forget' in err), (68, True), err)
    # Every start but the first jumps no more.
    for _ in range(3):
        after = uidnext(pair.a, 'alice')
        pair.a.stop()
        pair.a.start()
        deliver(pair.a, 'alice', 'after a start at %d' % after)
        t.true(after <= uidnext(pair.a, 'alice') < after + 10, 'a start jumped')
    pair.b.start(wait_ready=False)
    wait('the old disk is refused', 60, lambda: shows(pair.b) == 'REFUSED', 0.2)
    out = pair.b.adm('pair', 'status')[1]
    t.true('written off' in out, out)
    t.equal(shows(pair.a), 'SINGLE')


def shows(n):
    return fields(n.adm('-f', 'tab', 'pair', 'status')[1]).get('State')


@case
def transfers_are_shown_while_they_run(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    pair.in_sync()
    has, other = holder(pair, 'alice')
    for n in pair.nodes:
        t.equal(n.adm('-f', 'tab', 'replicator', 'dsync-status'), (0, 'username\ttype\tstatus\n', ''))
    other.kill()
    wait('the holder is alone', 60, lambda: has.adm('pair', 'status')[0] == 2, 0.2)
    for i in range(3):
        deliver(has, 'alice', 'large %d' % i, 'x' * 78 + '\r\n', 200000)
    other.start(wait_ready=False)
    seen = {}

    def both():
        for n in pair.nodes:
            for r in rows(n.adm('-f', 'tab', 'replicator', 'dsync-status')[1]):
                seen.setdefault(n.name, []).append((r['username'], r['type'], r['status']))
        return len(seen) == 2
    wait('both ends show it', 60, both)
    t.true(any(re.match(r'Sending (\d+ changes|a new copy: \d+ bytes)$', s) for _, _, s in seen[has.name]), seen)
    t.true(any(re.match(r'(Receiving|Checking|Installing) ', s) for _, _, s in seen[other.name]), seen)
    pair.in_sync()
    for n in pair.nodes:
        wait('nothing runs any more', 30, lambda: not rows(n.adm('-f', 'tab', 'replicator', 'dsync-status')[1]))


@case
def queues_show_new_mail_and_other_changes(t):
    pair = t.pair()
    for user in ('alice', 'bob'):
        deliver(pair.a, user)
    pair.in_sync()
    t.equal(pair.a.adm('pair', 'switchover')[0], 0)
    has, other = pair.b, pair.a
    t.equal(holder(pair, 'alice')[0], has)
    other.kill()
    wait('the holder is alone', 60, lambda: has.adm('pair', 'status')[0] == 2, 0.2)
    deliver(has, 'alice', 'new')
    c = client(has, 'bob')
    c.store('1', '+FLAGS', '(\\Flagged)')
    c.logout()
    t.equal([row(has, u, 'replicator', 'status')['priority'] for u in ('alice', 'bob')], ['high', 'low'])
    got = fields(has.adm('-f', 'tab', 'replicator', 'status')[1])
    t.equal((got["Queued 'high' requests"], got["Queued 'low' requests"]), ('1', '1'))
    for form in ('table', 'flow', 'pager', 'json'):
        code, out, err = has.adm('-f', form, 'replicator', 'status', '*')
        t.equal((code, err, 'alice' in out and 'high' in out), (0, '', True), form)
    other.start()
    pair.in_sync()
    for n in pair.nodes:
        got = fields(n.adm('-f', 'tab', 'replicator', 'status')[1])
        t.equal({got["Queued '%s' requests" % w] for w in ('sync', 'high', 'low', 'failed')}, {'0'}, n.name)


@case
def a_name_that_is_no_account_is_said(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    pair.in_sync()
    has, other = holder(pair, 'alice')
    for n in pair.nodes:
        for command in (('pair', 'status'), ('pair', 'ready'), ('pair', 'selftest'), ('pair', 'takeover'),
                        ('replicator', 'replicate'), ('replicator', 'remove')):
            code, _, err = n.adm(*command, 'alcie')
            t.equal((code, 'account' in err), (67, True), '%s: %s' % (' '.join(command), err))
        t.equal(n.adm('pair', 'status', 'alice')[0], 0)
        t.equal(n.adm('pair', 'status', 'x*')[0], 0, 'a mask may match nothing')
    code, _, err = other.adm('pair', 'takeover', 'alice')
    t.equal((code, 'typed at the partner' in err), (75, True), err)
    t.equal(has.adm('pair', 'takeover', 'alice'), (0, '', ''))


@case
def replicate_f_compares_now(t):
    pair = t.pair()
    deliver(pair.a, 'alice')
    pair.in_sync()
    for n in pair.nodes:
        before = n.adm('replicator', 'replicate', '-f', 'alice')
        t.equal(before, (0, '1 users updated\n', ''))
    for n in pair.nodes:
        wait('a comparison came out equal', 30,
             lambda: re.match(r'\d\d:\d\d:\d\d$', row(n, 'alice', 'replicator', 'status')['full sync']))
        t.equal(n.adm('pair', 'status')[0], 0)
    code, _, err = pair.a.adm('replicator', 'replicate', '-f', 'nobody')
    t.equal((code, 'nobody is not an account' in err), (67, True), err)


@case
def an_account_in_quarantine_is_listed_with_reason_and_cure(t):
    n = single(t)
    for user in ('alice', 'bob'):
        deliver(n, user)
    n.stop()
    # Its tree is gone, as after a disk that was not mounted in part.
    os.rename(n.mail + '/alice', n.mail + '/alice.away')
    n.start()
    t.true(tempfails(n, 'alice'), 'a broken account is served')
    deliver(n, 'bob', 'the others go on')
    code, out, err = n.adm('-f', 'tab', 'pair', 'status', '*')
    got = {r['username']: r for r in rows(out)}
    t.equal((got['alice']['state'], got['bob']['state']), ('PARKED', 'SINGLE'), out)
    t.true(got['alice']['note'] not in ('', '-'), out)
    t.equal(row(n, 'alice', 'replicator', 'status')['failed'], 'y')
    got = fields(n.adm('-f', 'tab', 'replicator', 'status')[1])
    t.equal(got["Waiting 'failed' requests"], '1')
    t.true('replicator replicate' in n.adm('pair', 'status')[1], 'no next step')
    code, _, err = n.adm('replicator', 'replicate', 'alice')
    t.equal((code, err.startswith('duetadm: Error: alice: ')), (75, True), err)
    os.rename(n.mail + '/alice.away', n.mail + '/alice')
    t.equal(n.adm('replicator', 'replicate', 'alice')[:2], (0, '1 users updated\n'))
    deliver(n, 'alice', 'again')
    t.equal(row(n, 'alice')['state'], 'SINGLE')


def tempfails(n, user):
    try:
        deliver(n, user)
        return False
    except smtplib.SMTPException:
        return True


main(__file__)
