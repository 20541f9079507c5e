#!/usr/bin/env python3
"""Full, read-only, damaged, missing disks below running nodes.

What each case wants: a clear error to whom it concerns, a log line, service for
the others, and nothing that was acknowledged is missing afterwards.
"""
import imaplib
import smtplib

from disk import Disk
from duet_e2e import PASSWORD, USERS, case, main, wait
from load import CUT, connect, contents, message


def deliver(node, ident, user='alice', size=400):
    """(code, text) of the reply to the message."""
    with smtplib.LMTP(node.host, node.lmtp, timeout=60) as c:
        try:
            c.sendmail('s@test.example', [user + '@test.example'], message(ident, user, size))
            return 250, ''
        except smtplib.SMTPRecipientsRefused as e:
            code, text = list(e.recipients.values())[0]
        except smtplib.SMTPResponseException as e:
            code, text = e.smtp_code, e.smtp_error
    return code, text.decode()


def idents(node, user='alice', mailbox='INBOX'):
    return sorted(v[0] for v in contents(node, user, PASSWORD, mailbox)[0].values())


def append(c, ident, size=400, mailbox='INBOX'):
    """'OK', or the text of the NO."""
    ok, data = c.append(mailbox, None, None, message(ident, 'alice', size))
    return 'OK' if ok == 'OK' else data[0].decode()


def small_disk(t, n, mib=48, **settings):
    n.settings.update({'pair_reserve': '4 M', 'pair_journal_size': '16 M'})
    n.settings.update(settings)
    return Disk(t, n.mail, mib)


def full_disk(t, n, disk, keep):
    kept = []
    for i in range(5):
        t.equal(deliver(n, 'm%d' % i)[0], 250)
        kept.append('m%d' % i)
    t.equal(deliver(n, 'big', size=300000)[0], 250)
    kept.append('big')
    before = contents(n, 'alice', PASSWORD)
    disk.fill(keep)
    refused = wait('a delivery is refused', 20, lambda: full(n, kept))
    t.equal(refused[0], 452, refused)
    t.true('space' in refused[1], refused)
    wait('the log says it', 10, lambda: 'pair_reserve' in n.log() or 'No space left' in n.log())
    c = connect(n, 'alice', PASSWORD)
    c.select('INBOX')
    said = append(c, 'appended')
    t.true('space' in said and '[UNAVAILABLE]' in said, said)
    t.true('[OVERQUOTA]' not in said, said)
    # reading and expunging go on
    t.equal(c.fetch('1', '(BODY.PEEK[])')[0], 'OK')
    t.equal(c.store('2', '+FLAGS', '(\\Flagged)')[0], 'OK')
    t.equal(c.store('1', '+FLAGS', '(\\Deleted)')[0], 'OK')
    t.equal(c.expunge()[0], 'OK')
    c.logout()
    t.true('m0' in kept and set(kept) - {'m0'} == set(idents(n)), idents(n))
    disk.free()
    wait('deliveries are taken again', 30, lambda: deliver(n, 'after')[0] == 250)
    kept.append('after')
    have = idents(n)
    t.true(set(kept) - {'m0'} <= set(have), (have, kept))
    after = contents(n, 'alice', PASSWORD)
    for uid, v in before[0].items():
        if v[0] != 'm0':
            t.equal(after[0][uid][0], v[0], 'UID %d' % uid)
    n.kill()
    n.start()
    t.equal(contents(n, 'alice', PASSWORD), after, 'after a kill')


def full(n, kept):
    """What a refused delivery was told; notes those that were taken."""
    ident = 'f%d' % len(kept)
    said = deliver(n, ident)
    if said[0] == 250:
        kept.append(ident)
        return None
    return said


@case
def below_the_reserve_mail_is_refused_and_reading_goes_on(t):
    n = t.node()
    disk = small_disk(t, n)
    n.start()
    full_disk(t, n, disk, keep=2 << 20)


@case
def a_disk_without_one_free_block_loses_nothing(t):
    n = t.node()
    disk = small_disk(t, n)
    n.start()
    full_disk(t, n, disk, keep=0)


@case
def without_a_reserve_what_was_durable_appears_once_there_is_room(t):
    n = t.node()
    disk = small_disk(t, n, pair_reserve='0')
    n.start()
    t.equal(deliver(n, 'm0')[0], 250)
    disk.fill()
    kept = ['m0']
    said = wait('a delivery is refused', 20, lambda: full(n, kept))
    t.equal(said[0], 452, said)
    t.true('space' in said[1], said)
    wait('the log says it', 10, lambda: 'changes wait until that is over' in n.log())
    c = connect(n, 'alice', PASSWORD)
    c.select('INBOX')
    t.equal(c.fetch('1', '(BODY.PEEK[])')[0], 'OK')
    c.logout()
    disk.free()
    refused = 'f%d' % len(kept)
    # An MTA tries again: one copy, whether the first try counted or not.
    wait('a retry is taken', 30, lambda: deliver(n, refused)[0] == 250)
    t.equal(idents(n), sorted(kept + [refused]))


@case
def a_node_starts_on_a_full_disk_and_takes_mail_when_there_is_room(t):
    n = t.node()
    disk = small_disk(t, n)
    n.start()
    for i in range(8):
        t.equal(deliver(n, 'm%d' % i, USERS[i % 3], size=1000 << i)[0], 250)
    before = [contents(n, u, PASSWORD) for u in USERS]
    n.kill()
    disk.fill()
    n.start()
    t.equal([contents(n, u, PASSWORD) for u in USERS], before, 'on the full disk')
    t.equal(deliver(n, 'refused')[0], 452)
    disk.free()
    wait('deliveries are taken again', 30, lambda: deliver(n, 'after')[0] == 250)
    n.kill()
    n.start()
    t.equal(len(contents(n, 'alice', PASSWORD)[0]), len(before[0][0]) + 1)


@case
def the_full_node_of_a_pair_stops_its_own_accounts_only(t):
    # Which node holds an account comes from its id: enough for either.
    users = ['user%d' % i for i in range(10)]
    t.write_users(users)
    p = t.pair(start=False)
    disk = small_disk(t, p.b, 64)
    p.a.settings['pair_reserve'] = '0'
    p.start()
    for u in users:
        t.equal(deliver(p.a, 'before', u)[0], 250)
    p.in_sync()
    disk.fill(keep=1 << 20)
    wait('the node without space says so', 20, lambda: 'less than pair_reserve' in p.b.log())
    taken = {u: deliver(p.a, 'during', u) for u in users}
    t.true(set(v[0] for v in taken.values()) <= {250, 452}, taken)
    mine = [u for u in users if taken[u][0] == 250]
    t.true(0 < len(mine) < 10, 'the node with room takes mail, the other does not: %r' % taken)
    wait('DEGRADED is shown', 30, lambda: p.a.adm('pair', 'status')[0] == 2)
    t.true('space' in p.a.adm('pair', 'status')[1], p.a.adm('pair', 'status')[1])
    for u in users:
        t.true('before' in idents(p.b, u), 'reading at the full node')
    disk.free()
    p.in_sync()
    for u in users:
        wait('mail for %s' % u, 30, lambda: deliver(p.b, 'after', u)[0] == 250)
        want = ['after', 'before'] + (['during'] if u in mine else [])
        for n in p.nodes:
            t.equal(idents(n, u), sorted(want), '%s at %s' % (u, n.name))


main(__file__)
