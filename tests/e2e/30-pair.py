#!/usr/bin/env python3
"""Two nodes: what is done at one is at the other, with the same numbers."""
import signal
import smtplib
import threading
import time

from duet_e2e import PASSWORD, case, main, wait
from load import batch, connect, contents, message
from netns import hold, identical, row


def deliver(node, ident, user='alice'):
    with smtplib.LMTP(node.host, node.lmtp) as c:
        t = c.sendmail('s@test.example', [user + '@test.example'], message(ident, user))
    return t


def equal_on_both(t, pair, user='alice', mailbox='INBOX'):
    def same():
        a, b = (contents(n, user, PASSWORD, mailbox) for n in pair.nodes)
        return a == b and a
    return wait('%s of %s equal on both nodes' % (mailbox, user), 20, same)


@case
def delivered_on_either_is_on_both(t):
    pair = t.pair()
    for i in range(10):
        deliver(pair.nodes[i % 2], 'm%d' % i)
    have, _ = equal_on_both(t, pair)
    t.equal(sorted(v[0] for v in have.values()), sorted('m%d' % i for i in range(10)))
    t.equal(sorted(have), list(range(1, 11)), 'UIDs are dense')


@case
def delivered_on_a_is_seen_by_idle_on_b(t):
    pair = t.pair()
    deliver(pair.a, 'first')
    c = connect(pair.b, 'alice', PASSWORD)
    c.select('INBOX')
    tag = c._new_tag()
    c.send(tag + b' IDLE\r\n')
    line = c.readline()
    t.true(line.startswith(b'+'), repr(line))
    deliver(pair.a, 'second')
    c.sock.settimeout(20)
    seen = b''
    while b'EXISTS' not in seen:
        seen = c.readline()
    t.equal(seen.strip(), b'* 2 EXISTS')
    c.send(b'DONE\r\n')
    while not c.readline().startswith(tag):
        pass
    c.logout()


@case
def changes_on_either_are_on_both(t):
    pair = t.pair()
    for i in range(6):
        deliver(pair.a, 'm%d' % i)
    for n, o in (pair.nodes, pair.nodes[::-1]):
        c = connect(n, 'alice', PASSWORD)
        c.select('INBOX')
        t.equal(c.store('1', '+FLAGS', '(\\Flagged $%s)' % n.name)[0], 'OK')
        t.equal(c.create('Box-' + n.name)[0], 'OK')
        t.equal(c.subscribe('Box-' + n.name)[0], 'OK')
        t.equal(c.copy('2', 'Box-' + n.name)[0], 'OK')
        t.equal(c._simple_command('MOVE', '3', 'Box-' + n.name)[0], 'OK')
        t.equal(c.rename('Box-' + n.name, 'Renamed-' + n.name)[0], 'OK')
        c.store('1', '+FLAGS', '(\\Deleted)')
        t.equal(c.expunge()[0], 'OK')
        c.logout()
        equal_on_both(t, pair)
        have, _ = equal_on_both(t, pair, mailbox='Renamed-' + n.name)
        t.equal(len(have), 2)
        d = connect(o, 'alice', PASSWORD)
        names = [l.decode().split(' ')[-1] for l in d.list()[1]]
        t.true('Renamed-' + n.name in names, 'LIST at %s: %r' % (o.name, names))
        subs = [l.decode().split(' ')[-1] for l in d.lsub()[1] if l]
        t.true('Renamed-' + n.name in subs or 'Box-' + n.name in subs, 'LSUB: %r' % subs)
        t.equal(d.delete('Renamed-' + n.name)[0], 'OK')
        d.logout()


@case
def the_dead_nodes_mail_is_served_by_the_other(t):
    pair = t.pair()
    for i in range(20):
        deliver(pair.nodes[i % 2], 'm%d' % i)
    before, _ = equal_on_both(t, pair)
    pair.in_sync()
    pair.a.kill()
    after = wait('node b serves', 60, lambda: contents(pair.b, 'alice', PASSWORD)[0])
    t.equal({u: v[0] for u, v in after.items()}, {u: v[0] for u, v in before.items()}, 'UIDs and mails')
    deliver(pair.b, 'while-alone')
    pair.a.start()
    pair.in_sync()
    have, _ = equal_on_both(t, pair)
    t.true('while-alone' in [v[0] for v in have.values()], 'the lone mail is missing')
    t.equal(len(have), 21)


@case
def a_stopped_partner_shows_degraded_and_comes_back_by_itself(t):
    pair = t.pair()
    deliver(pair.a, 'before')
    pair.in_sync()
    pair.b.signal(signal.SIGSTOP)
    done = []
    th = threading.Thread(target=lambda: done.append(deliver(pair.a, 'during')))
    th.start()
    th.join(60)
    t.equal(done, [{}], 'delivery while the partner is stopped')
    wait('DEGRADED is shown', 30, lambda: pair.a.adm('pair', 'status')[0] == 2)
    pair.b.signal(signal.SIGCONT)
    pair.in_sync()
    have, _ = equal_on_both(t, pair)
    t.equal(sorted(v[0] for v in have.values()), ['before', 'during'])


class Watcher(threading.Thread):
    """A session that asks all the time; when it first saw how many messages."""

    def __init__(self, node, user='alice'):
        super().__init__(daemon=True)
        self.c = connect(node, user, PASSWORD, timeout=60)
        self.c.select('INBOX', readonly=True)
        self.first, self.stop = {}, threading.Event()
        self.start()

    def run(self):
        while not self.stop.is_set():
            self.c.noop()
            now = time.monotonic()
            self.first.setdefault(len(self.c.search(None, 'ALL')[1][0].split()), now)
            self.stop.wait(0.02)


@case
def with_the_partner_stopped_nobody_sees_what_is_not_acknowledged(t):
    """D2: published before the reply, and neither before this node may go on alone."""
    pair = t.pair()
    deliver(pair.a, 'before')
    hold(pair, pair.a, 'alice')
    pair.in_sync()
    w = Watcher(pair.a)
    wait('the watcher sees the first', 20, lambda: 1 in w.first)
    t.equal(row(pair.a, 'alice')['state'], 'SYNC')
    pair.b.signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        deliver(pair.a, 'during')
        acked = time.monotonic()
        t.true(acked - began > 1.0, 'acknowledged after %.2f s as if the partner had it' % (acked - began))
        wait('the watcher sees it', 20, lambda: 2 in w.first)
        # The reply leaves right behind the publication; the two ways differ by a moment.
        t.true(w.first[2] > acked - 0.5, 'seen %.2f s before the reply' % (acked - w.first[2]))
        wait('DEGRADED is shown', 30, lambda: pair.a.adm('pair', 'status')[0] == 2)
        began = time.monotonic()
        deliver(pair.a, 'alone')
        t.true(time.monotonic() - began < 3, 'service does not go on')
    finally:
        pair.b.signal(signal.SIGCONT)
        w.stop.set()
    pair.in_sync()
    t.equal(len(identical(t, pair, 'alice')), 3)


@case
def all_numbers_and_ids_are_equal_on_both_disks(t):
    """UID, UIDVALIDITY, UIDNEXT, MODSEQ, GUID, octets; each node reads its own copy."""
    pair = t.pair()
    for k, n in enumerate(pair.nodes):
        for i in range(3):
            deliver(n, 'm%d-%d' % (k, i))
        c = connect(n, 'alice', PASSWORD)
        box = 'Box-' + n.name
        for f, args in ((c.create, (box,)), (c.subscribe, (box,)), (c.create, ('Gone',)), (c.delete, ('Gone',))):
            t.equal(f(*args)[0], 'OK', repr(args))
        c.select('INBOX')
        t.equal(c.store('1', '+FLAGS', '(\\Flagged $%s)' % n.name)[0], 'OK')
        t.equal(c.copy('1', box)[0], 'OK')
        t.equal(c._simple_command('MOVE', '2', box)[0], 'OK')
        c.store('2', '+FLAGS', '(\\Deleted)')
        t.equal(c.expunge()[0], 'OK')
        t.equal(c.rename(box, 'Moved-' + n.name)[0], 'OK')
        c.logout()
        pair.in_sync()
        t.equal(len(identical(t, pair, 'alice')), k + 1)
        t.equal(len(identical(t, pair, 'alice', 'Moved-' + n.name)), 2)
    seen = []
    for n in pair.nodes:
        c = connect(n, 'alice', PASSWORD)
        seen.append((sorted(c.list()[1]), sorted(c.lsub()[1])))
        c.logout()
    t.equal(seen[0], seen[1], 'LIST and LSUB')
    t.true(all(any(b'Moved-' + x in l for l in seen[0][0]) for x in (b'a', b'b')), seen[0])
    t.true(not any(b'Gone' in l for l in seen[0][0]), seen[0])


@case
def a_client_that_ends_its_side_is_answered_through_either_node(t):
    pair = t.pair()
    c = connect(pair.a, 'alice', PASSWORD)
    for i in range(20):
        c.append('INBOX', None, None, message('m%d' % i, 'alice') + b'%s\r\n' % (b'x' * 70) * 1400)
    c.logout()
    for node in pair.nodes:
        for tls in (False, True):
            out = batch(node, 'alice', PASSWORD, [b'b SELECT INBOX', b'c FETCH 1:* BODY.PEEK[TEXT]'], tls)
            t.equal(out.count(b' FETCH (BODY[TEXT] {'), 20, '%s, TLS %s' % (node.name, tls))
            t.true(out.endswith(b'z OK Logout completed.\r\n'), repr(out[-100:]))


main(__file__)
