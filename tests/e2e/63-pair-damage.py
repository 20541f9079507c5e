#!/usr/bin/env python3
"""Bits that flip, and files that vanish, below one node of a pair while both run.

A client gets the octets that were acknowledged, whichever node it asks; what is
damaged is made again from the partner or the log; the log names it.
"""
import glob
import os
import smtplib
import subprocess

from disk import flip
from duet_e2e import BUILD, LONG, PASSWORD, case, main, wait
from load import CUT, connect, leave, message
from netns import hold, identical

USER, OTHER = 'alice', 'bob'


def deliver(node, ident, user=USER):
    with smtplib.LMTP(node.host, node.lmtp, timeout=60) as c:
        return c.sendmail('s@test.example', [user + '@test.example'], message(ident, user, 3000))


def text(c, uid):
    ok, data = c.uid('FETCH', str(uid), '(BODY.PEEK[])')
    if ok != 'OK' or not isinstance(data[0], tuple):
        raise AssertionError('FETCH %d: %s %r' % (uid, ok, data))
    return data[0][1]


def mailbox(node, user=USER):
    c = connect(node, user, PASSWORD, timeout=60)
    try:
        c.select('INBOX')
        uids = c.uid('SEARCH', 'ALL')[1][0].split()
        return {int(u): text(c, int(u)) for u in uids}
    finally:
        leave(c)


def whole_at(node, want):
    """What a client reads at a node, once it is answered."""
    def same():
        try:
            return mailbox(node) == want
        except CUT:
            return False
    wait('all octets at node %s' % node.name, 60, same, 0.2)


def started(t):
    """A pair with mail, the account held at node a, checkpointed."""
    p = t.pair()
    for i in range(6):
        t.equal(deliver(p.nodes[i % 2], 'm%d' % i), {})
    t.equal(deliver(p.a, 'other', OTHER), {})
    for n in p.nodes:                      # an orderly stop writes log and snapshot
        p.in_sync()
        n.stop()
        n.start()
    p.in_sync()
    for i in range(6, 9):
        t.equal(deliver(p.nodes[i % 2], 'm%d' % i), {})
    hold(p, p.a, USER)
    p.in_sync()
    return p, mailbox(p.a)


def damage_message_files(t, which):
    p, want = started(t)
    node = p.nodes[which]
    session = connect(node, USER, PASSWORD, timeout=60)
    session.select('INBOX')
    path = '%s/%s/mailboxes/INBOX/dbox-Mails/u.%d'
    for uid, how in ((2, 'flip'), (3, 'delete'), (4, 'truncate')):
        f = path % (node.mail, USER, uid)
        if how == 'flip':
            flip(f)
        elif how == 'delete':
            os.unlink(f)
        else:
            os.truncate(f, 300)
        t.equal(text(session, uid), want[uid], '%s: octets at node %s' % (how, node.name))
    session.logout()
    whole_at(p.a, want)
    # The copy of a replica is read when it becomes the holder.
    hold(p, node, USER)
    whole_at(node, want)
    for uid in (2, 3, 4):
        t.true(os.path.exists(path % (node.mail, USER, uid)), 'UID %d is not made again' % uid)
    t.true('UID 2' in node.log() and 'damaged' in node.log(), 'the log of node %s does not name it' % node.name)
    p.in_sync()
    t.equal(len(identical(t, p, USER)), len(want))
    t.equal(mailbox(p.b), want)


@case
def damaged_message_files_at_the_holder_are_read_from_the_partner(t):
    damage_message_files(t, 0)


@case
def damaged_message_files_at_the_replica_are_made_again(t):
    damage_message_files(t, 1)


def damage_account_file(t, which, kind):
    """Flips bits in each file of a kind while a session is open, then works on,
    restarts the node, and compares."""
    p, want = started(t)
    node, other = p.nodes[which], p.nodes[1 - which]
    session = connect(node, USER, PASSWORD, timeout=60)
    session.select('INBOX')
    pattern = node.mail + '/' + USER + '/.duet/state/' + kind if kind != 'journal' else node.dir + '/state/journal/0'
    files = [f for f in glob.glob(pattern) if os.path.getsize(f)]
    t.true(files, 'no file %s' % pattern)
    for f in files:
        size = os.path.getsize(f)
        for at in (size // 3, size // 2) if kind != 'journal' else (4096 * 2 + 100, 4096 * 3 + 2000):
            flip(f, at)
    for n in p.nodes:
        t.equal(deliver(n, 'o-' + n.name, OTHER), {}, 'another account')
    sent = []
    for n in p.nodes:
        ident = 'during-' + n.name
        wait('mail is taken at node %s' % n.name, 60, lambda: send(n, ident))
        sent.append(ident)
    leave(session)
    for n in p.nodes:
        wait('all is read at node %s' % n.name, 60, lambda: all(
            mailbox(n).get(u) == m for u, m in want.items()), 0.2)
    mark = len(node.log())
    try:
        node.stop()
    except AssertionError as e:
        print('stop of a damaged node: %s' % e)
    node.start(wait_ready=False)
    try:
        wait('node %s answers' % node.name, 10, node.answers)
    except AssertionError:
        t.true(kind == 'journal', 'node %s does not start: %s' % (node.name, node.log()[mark:][-800:]))
        recover(t, node)
    p.in_sync(90)
    for n in p.nodes:
        have = mailbox(n)
        t.equal({u: have.get(u) for u in want}, want, 'node %s after the restart' % n.name)
    have = identical(t, p, USER)
    t.equal(len(have), len(want) + len(sent), 'each mail once')
    t.equal(len(identical(t, p, OTHER)), 3)


def send(node, ident):
    try:
        return deliver(node, ident) == {}
    except CUT:
        return False


def recover(t, node):
    """The journal is corrupt: the log says so and what to do; an operator does it."""
    text_ = node.log() + open(node.dir + '/console.log').read()
    t.true('--recover --accept-loss' in text_ and 'journal' in text_, text_[-1500:])
    node.kill()
    r = subprocess.run([BUILD + '/duetd', '--recover', '--accept-loss', '-c', node.conf],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    t.equal(r.returncode, 0, r.stdout)
    node.start()


for _kind in ('index/*', 'log/*', 'snap/*', 'journal'):
    for _which, _role in ((0, 'holder'), (1, 'replica')):
        def _f(t, which=_which, kind=_kind):
            damage_account_file(t, which, kind)
        # Each takes ten seconds: of the kinds that heal alike one is enough here.
        if _role == 'replica' and _kind in ('index/*', 'snap/*') and not LONG:
            continue
        _f.__name__ = 'bits_flipped_in_the_%s_of_the_%s_cost_nothing' % (_kind.split('/')[0], _role)
        case(_f)


main(__file__)
