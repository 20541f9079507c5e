#!/usr/bin/env python3
"""Full, read-only, damaged, missing disks below running nodes.

What each case wants: a clear error to whom it concerns, a log line, service for
the others, and nothing that was acknowledged is missing afterwards.
"""
import glob
import imaplib
import os
import smtplib

from disk import Disk, flip
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


@case
def a_read_only_disk_is_said_and_loses_nothing(t):
    n = t.node()
    disk = small_disk(t, n)
    n.start()
    for i in range(6):
        t.equal(deliver(n, 'm%d' % i, USERS[i % 3])[0], 250)
    before = [contents(n, u, PASSWORD) for u in USERS]
    disk.abort()

    def refused():
        try:
            return deliver(n, 'refused')[0] in (451, 452)
        except CUT:
            return False
    wait('a delivery is refused', 30, refused)
    wait('the log says it', 30, lambda: 'Read-only file system' in n.log() or 'nothing more is written' in n.log())
    n.kill()
    disk.again()
    n.start()
    after = [contents(n, u, PASSWORD) for u in USERS]
    t.equal(after[1:], before[1:], 'after the disk is back')
    for uid, v in before[0][0].items():
        t.equal(after[0][0][uid][:2], v[:2], 'UID %d' % uid)
    t.equal(deliver(n, 'again')[0], 250)


def put_back(path, whole):
    """As an operator does from his copy; the file may have been removed."""
    owner = os.stat(os.path.dirname(path))
    with open(path, 'wb') as f:
        f.write(whole)
    os.chown(path, owner.st_uid, owner.st_gid)


def one_file(pattern):
    found = sorted(glob.glob(pattern))
    if not found:
        raise AssertionError('no file %s' % pattern)
    return found[-1]


@case
def a_flipped_bit_in_a_message_file_is_an_error_for_that_message_only(t):
    n = t.node().start()
    for i in range(3):
        t.equal(deliver(n, 'm%d' % i, size=2000)[0], 250)
    path = one_file(n.mail + '/alice/mailboxes/INBOX/dbox-Mails/u.2')
    flip(path)
    c = connect(n, 'alice', PASSWORD)
    c.select('INBOX')
    ok, data = c.fetch('2', '(BODY.PEEK[])')
    t.true(ok == 'NO' or not isinstance(data[0], tuple), 'damaged octets were served: %r' % (data,))
    for i in (1, 3):
        t.equal(c.fetch(str(i), '(BODY.PEEK[])')[0], 'OK')
    c.logout()
    wait('the log names the message', 10, lambda: 'INBOX UID 2: message file is missing or damaged' in n.log())


@case
def a_flipped_bit_in_an_accounts_files_costs_no_other_account(t):
    """Log, snapshot, index: healed, or refused with the reason in the log."""
    n = t.node().start()
    for kind in ('log/*', 'snap/snap.*', 'index/*'):
        for u in USERS:
            t.equal(deliver(n, kind[:3], u, size=3000)[0], 250)
        before = {u: idents(n, u) for u in USERS}
        n.stop()
        path = one_file(n.mail + '/alice/.duet/state/' + kind)
        whole = open(path, 'rb').read()
        flip(path, 64 + 50 if kind == 'log/*' else None)
        start = len(n.log())
        n.start()
        for u in USERS[1:]:
            t.equal(idents(n, u), before[u], '%s after a flipped bit in %s' % (u, kind))
        try:
            have = idents(n, 'alice')
            t.true(set(before['alice']) <= set(have), 'served without acknowledged mail: %r' % have)
        except (imaplib.IMAP4.error, AssertionError, IndexError) as e:
            # Snapshot and index are made again from the log.
            if 'served without' in str(e) or kind != 'log/*':
                raise
            wait('the log has the reason', 10, lambda: 'alice' in ''.join(
                l for l in n.log()[start:].split('\n') if 'Info: Login' not in l and 'Disconnected' not in l))
        n.kill()
        put_back(path, whole)
        n.start()
        wait('alice is whole again', 30, lambda: set(before['alice']) <= set(idents(n, 'alice')))


@case
def a_flipped_bit_in_journal_or_node_mark_is_named_and_loses_nothing(t):
    n = t.node().start()
    for i in range(6):
        t.equal(deliver(n, 'm%d' % i, size=6000)[0], 250)
    want = idents(n)
    n.kill()
    state = n.dir + '/state/journal/0'
    # Bits of a batch that others follow: no torn tail.  Blocks of 4 KiB.
    for path, at, words in ((state, 4096 * 3 + 2000, ('journal',)), (n.mail + '/.duet-node', 20, ('.duet-node',))):
        whole = open(path, 'rb').read()
        flip(path, at)
        start = len(n.log()), len(open(n.dir + '/console.log').read())
        n.start(wait_ready=False)

        def said():
            text = n.log()[start[0]:] + open(n.dir + '/console.log').read()[start[1]:]
            bad = ''.join(l for l in text.split('\n') if 'Error' in l or 'Fatal' in l)
            return all(w in bad for w in words)
        try:
            wait('%s is named' % path, 30, said)
        finally:
            n.kill()
            put_back(path, whole)
    n.start()
    t.equal(idents(n), want)


@case
def an_emptied_mail_root_is_refused_and_nothing_is_made_below_it(t):
    n = t.node().start()
    t.equal(deliver(n, 'm0')[0], 250)
    n.stop()
    os.rename(n.mail, n.mail + '.away')
    os.mkdir(n.mail, 0o700)
    owner = os.stat(n.mail + '.away')
    os.chown(n.mail, owner.st_uid, owner.st_gid)
    console = os.path.join(n.dir, 'console.log')
    n.start(wait_ready=False)
    wait('the start is refused with what to do', 30,
         lambda: n.mail in (n.log() + open(console).read()).split('started:')[-1] and
         ('mount' in open(console).read() or 'mount' in n.log()))
    t.equal(os.listdir(n.mail), [], 'made below the empty mail root')
    n.kill()
    os.rmdir(n.mail)
    os.rename(n.mail + '.away', n.mail)
    n.start()
    t.equal(idents(n), ['m0'])


main(__file__)
