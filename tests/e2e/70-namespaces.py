#!/usr/bin/env python3
"""The pair when its link, or one of its disks, fails: nodes in network namespaces."""
import imaplib
import os
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import threading
import time

from duet_e2e import PASSWORD, USERS, case, main, wait
from load import CUT, Deliverer, Ledger, Reader, connect, judge, message
from netns import HOSTS, Net, hold, holds, identical, ip, row, status

MAX_GAP = 10.0                             # seconds without an answer while the partner is seeded
LINK_DOWN = 'link to the partner is down'
REGRESSED = "this node's disk went back"

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))      # the namespaces go as well


class Load:
    """Deliveries and flag changes at some nodes, until the block ends."""

    def __init__(self, nodes, users, seed=1, readers=1, mtas=1, pause=0.02):
        self.ledger, self.stop = Ledger(), threading.Event()
        self.users = users
        self.workers = [Deliverer(self.ledger, nodes, users, self.stop, seed + i, pause) for i in range(mtas)]
        self.workers += [Reader(self.ledger, nodes, users, PASSWORD, self.stop, seed + 50 + i, 0.05)
                         for i in range(readers)]

    def __enter__(self):
        for w in self.workers:
            w.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for w in self.workers:
            w.join(90)

    def goes_on(self, what, seconds=60, n=10):
        """Changes begun after now are acknowledged."""
        before, seen = self.ledger.acked, self.ledger.changes
        wait(what, seconds, lambda: self.ledger.acked >= before + n)
        return self

    def judged(self, t, node):
        for user in self.users:
            t.equal(judge(self.ledger, node, user, PASSWORD), [], 'ledger of %s at node %s' % (user, node.name))


def first_mail(pair, users):
    """Every user has mail and a holder before anything fails."""
    with Load(pair.nodes, users, seed=900, readers=0) as load:
        wait('first mail', 60, lambda: all(
            any(m.user == u and m.state == 'acked' for m in list(load.ledger.mails.values())) for u in users))
    pair.in_sync()
    return load


def shown(node, field):
    return status(node)[1].get(field)


@case
def a_cut_link_under_load_on_one_side_heals_by_itself(t):
    net = Net(t)
    pair = net.pair()
    before = first_mail(pair, USERS)
    with Load([pair.a], USERS) as load:
        load.goes_on('load before the cut', n=20)
        net.cut()
        wait('the accounts of both holders are acknowledged at A', 60, lambda: all(
            holds(pair.a, u) and row(pair.a, u)['state'] == 'LONE' for u in USERS))
        load.goes_on('load during the cut', n=20)
        code, fields = status(pair.a)
        t.equal((code, fields['State'], fields['Link']), (2, 'DEGRADED', 'down'))
        t.true(int(fields['Unsafe acks']) > 0, 'no unsafe acks are counted: %r' % fields)
        net.join()
        pair.in_sync(90)
        load.goes_on('load after the cut', n=20)
    pair.in_sync(90)
    t.equal(shown(pair.a, 'FORKED'), '0')
    for u in USERS:
        identical(t, pair, u)
    for n in pair.nodes:
        before.judged(t, n)
        load.judged(t, n)



@case
def a_cut_link_with_other_accounts_on_each_side_forks_nothing(t):
    net = Net(t)
    pair = net.pair()
    first_mail(pair, USERS)
    with Load([pair.a], ['alice'], seed=1) as la, Load([pair.b], ['bob'], seed=2) as lb:
        la.goes_on('A before the cut')
        lb.goes_on('B before the cut')
        net.cut()
        for n, u, load in ((pair.a, 'alice', la), (pair.b, 'bob', lb)):
            wait('%s is held alone at %s' % (u, n.name), 60, lambda: (
                lambda r: r['holder'] == 'here' and r['state'] == 'LONE')(row(n, u)))
            load.goes_on('%s during the cut' % n.name, n=20)
        net.join()
        pair.in_sync(90)
        la.goes_on('A after the cut')
        lb.goes_on('B after the cut')
    pair.in_sync(90)
    t.equal([shown(n, 'FORKED') for n in pair.nodes], ['0', '0'])
    for u in USERS:
        identical(t, pair, u)
    for n in pair.nodes:
        la.judged(t, n)
        lb.judged(t, n)


@case
def the_same_account_changed_on_both_sides_keeps_both_branches_whole(t):
    net = Net(t)
    pair = net.pair()
    first_mail(pair, USERS)
    with Load([pair.a], ['alice'], seed=1) as la, Load([pair.b], ['alice'], seed=2) as lb:
        la.goes_on('A before the cut')
        lb.goes_on('B before the cut')
        net.cut()
        for n, load in ((pair.a, la), (pair.b, lb)):
            wait('alice is held alone at ' + n.name, 60, lambda: (
                lambda r: r['holder'] == 'here' and r['state'] == 'LONE')(row(n, 'alice')))
            load.goes_on('%s during the cut' % n.name, n=20)
        net.join()
        for n in pair.nodes:
            wait('FORKED at ' + n.name, 60, lambda: row(n, 'alice')['state'] == 'FORKED')
        la.goes_on('A serves its branch')
        lb.goes_on('B serves its branch')
    for n in pair.nodes:
        code, fields = wait('the others are in SYNC', 60, lambda: (
            lambda s: s[1]['In SYNC'] == '2' and s)(status(n)))
        t.equal((code, fields['FORKED'], fields['State']), (3, '1', 'FORKED'))
        t.true('keep both branches' in ''.join(n.adm('pair', 'status')[1:]), 'nothing says what to do: %r' %
               (n.adm('pair', 'status'),))
        t.equal(n.adm('pair', 'ready')[0] != 0, True, 'pair ready with a fork')
    def branches():
        t.equal(judge(la.ledger, pair.a, 'alice', PASSWORD), [], 'the branch of A')
        t.equal(judge(lb.ledger, pair.b, 'alice', PASSWORD), [], 'the branch of B')
    branches()
    for n in pair.nodes:                   # a restart loses neither, and heals nothing by accident
        n.stop()
        n.start()
        wait('FORKED at ' + n.name, 60, lambda: row(n, 'alice')['state'] == 'FORKED')
    branches()
    for u in ('bob', 'carol'):
        identical(t, pair, u)


class Pulse(threading.Thread):
    """Logs in, reads and delivers at one node without a pause; knows the
    longest time between two answers."""

    def __init__(self, node, user):
        super().__init__(daemon=True)
        self.node, self.user, self.stop = node, user, threading.Event()
        self.gap, self.last, self.errors, self.rounds = 0.0, time.monotonic(), [], 0

    def beat(self):
        now = time.monotonic()
        self.gap, self.last = max(self.gap, now - self.last), now

    def run(self):
        while not self.stop.is_set():
            try:
                c = connect(self.node, self.user, PASSWORD)
                self.beat()
                c.select('INBOX')
                self.beat()
                c.append('INBOX', None, None, message('pulse%d' % self.rounds, self.user))
                self.beat()
                c.logout()
                self.rounds += 1
            except Exception as e:         # noqa: kept and shown
                self.errors.append(repr(e))
            self.stop.wait(0.02)


@case
def a_wiped_node_is_seeded_again_while_the_other_serves(t):
    net = Net(t)
    pair = net.pair()
    before = first_mail(pair, USERS)
    with Load(pair.nodes, USERS, seed=700) as old:
        old.goes_on('mail to be seeded', n=150)
    pair.in_sync()
    pulse = Pulse(pair.a, 'carol')
    with Load([pair.a], USERS, pause=0.05) as load:
        pair.b.kill()
        shutil.rmtree(pair.b.dir + '/state')
        shutil.rmtree(pair.b.mail)
        pair.b.make_mail()
        load.goes_on('A goes on alone', n=20)
        pulse.start()
        pair.b.start()
        pair.in_sync(120)
        load.goes_on('A after the seed')
        pulse.stop.set()
        pulse.join(60)
    print('%d rounds while B was seeded, longest time without an answer %.2f s' % (pulse.rounds, pulse.gap))
    t.equal(pulse.errors, [])
    t.true(pulse.rounds > 3 and pulse.gap < MAX_GAP, 'A did not answer for %.1f s' % pulse.gap)
    pair.in_sync(90)
    for u in USERS:
        identical(t, pair, u)
    for n in pair.nodes:
        for load in (before, old, load):
            load.judged(t, n)


def copy_disk(source, to):
    for d in ('state', 'mail'):
        subprocess.run(['cp', '-a', '--sparse=always', os.path.join(source, d), os.path.join(to, d)], check=True)


@case
def a_node_restored_from_an_old_copy_deletes_and_loses_nothing(t):
    net = Net(t)
    pair = net.pair()
    before = first_mail(pair, USERS)
    copy = os.path.join(t.dir, 'copy')
    os.mkdir(copy)
    pair.a.stop()
    copy_disk(pair.a.dir, copy)
    pair.a.start()
    pair.in_sync()
    for u in USERS[:2]:
        hold(pair, pair.a, u)              # A is the holder of what it will not know
    with Load(pair.nodes, USERS, seed=700) as old:
        old.goes_on('mail that the copy lacks', n=100)
    pair.in_sync()
    pair.a.kill()
    for d in ('state', 'mail'):
        shutil.rmtree(os.path.join(pair.a.dir, d))
    copy_disk(copy, pair.a.dir)
    with Load([pair.b], USERS) as load:
        pair.a.start()
        wait('A is recognised as REGRESSED', 60, lambda: REGRESSED in pair.a.log())
        pair.in_sync(120)
        load.goes_on('B after the return of A')
    pair.in_sync(90)
    t.equal([shown(n, 'FORKED') for n in pair.nodes], ['0', '0'])
    for u in USERS:
        identical(t, pair, u)
    for n in pair.nodes:
        for l in (before, old, load):
            l.judged(t, n)


class Mta(threading.Thread):
    """An MTA that knows both nodes: each mail on a fresh connection, or on one
    that is kept; the other node when there is no greeting.  Everything else but
    250 is a complaint."""

    def __init__(self, ledger, nodes, users, seed, keep):
        super().__init__(daemon=True)
        self.ledger, self.nodes, self.users = ledger, list(nodes), users
        self.rng, self.keep, self.seed = random.Random(seed), keep, seed
        self.stop, self.count, self.bad, self.moved = threading.Event(), 0, [], 0
        self.conn = None

    def connect(self):
        for k in range(2):
            c = smtplib.LMTP(timeout=90)
            try:
                if c.connect(self.nodes[0].host, self.nodes[0].lmtp)[0] == 220:
                    return c
                self.bad.append('greeting')
            except (OSError, smtplib.SMTPServerDisconnected):
                pass
            c.close()
            self.nodes.reverse()
            self.moved += 1
        return None

    def say(self, c, ok, f, *args):
        """True if the reply is the one wanted."""
        try:
            code, text = f(*args)
        except (OSError, smtplib.SMTPServerDisconnected) as e:
            code, text = 0, repr(e)
        if code == ok:
            return True
        self.bad.append('%s at node %s: %s %s' % (f.__name__, self.nodes[0].name, code, text))
        return False

    def send(self, m):
        c, kept = self.conn, self.conn is not None
        self.conn = None
        if kept:
            # Whether a kept connection is still there shows only when it is used.
            try:
                if c.noop()[0] != 250:
                    kept = False
            except (OSError, smtplib.SMTPServerDisconnected):
                kept = False
        if not kept:
            c = self.connect()
            if not c:
                return False
            if not self.say(c, 250, c.lhlo if hasattr(c, 'lhlo') else c.ehlo, 'mta.test.example'):
                return False
        if not (self.say(c, 250, c.mail, 'load@test.example') and
                self.say(c, 250, c.rcpt, m.user + '@test.example') and
                self.say(c, 250, c.data, message(m.id, m.user))):
            return False
        m.state = 'acked'
        if self.keep and self.rng.random() < .9:
            self.conn = c
        else:
            c.close()
        return True

    def run(self):
        while not self.stop.is_set():
            self.count += 1
            m = self.ledger.new('mta%d-%d' % (self.seed, self.count), self.rng.choice(self.users))
            if self.rng.random() < .3:
                self.nodes.reverse()
            for _ in range(20):
                if self.send(m):
                    break
                self.stop.wait(0.2)
            with self.ledger.lock:
                self.ledger.acked += m.state == 'acked'
            self.stop.wait(0.01)


class Client(threading.Thread):
    """A mail client that knows both nodes and stays connected."""

    def __init__(self, nodes, user):
        super().__init__(daemon=True)
        self.nodes, self.user = list(nodes), user
        self.stop, self.ended, self.refused, self.reads = threading.Event(), 0, [], 0

    def session(self):
        try:
            c = connect(self.nodes[0], self.user, PASSWORD, timeout=90)
        except imaplib.IMAP4.abort:
            raise                          # no greeting, or cut: as no connection
        except imaplib.IMAP4.error as e:
            self.refused.append(str(e))
            raise
        try:
            c.select('INBOX')
            while not self.stop.is_set():
                c.noop()
                self.reads += 1
                self.stop.wait(0.05)
            c.logout()
        except CUT:
            self.ended += 1

    def run(self):
        while not self.stop.is_set():
            try:
                self.session()
            except CUT + (imaplib.IMAP4.error,):
                pass
            self.nodes.reverse()


@case
def an_orderly_restart_under_load_refuses_and_cuts_nothing(t):
    net = Net(t)
    pair = net.pair()
    first_mail(pair, USERS)
    epochs = {u: row(pair.a, u)['epoch'] for u in USERS}
    ledger = Ledger()
    mtas = [Mta(ledger, pair.nodes, USERS, s, s % 2) for s in (1, 2, 3, 4)]
    clients = [Client(nodes, u) for u in USERS for nodes in (pair.nodes, pair.nodes[::-1])]
    for w in mtas + clients:
        w.start()

    def more(what, n=30):
        before = ledger.acked
        wait(what, 60, lambda: ledger.acked >= before + n)
    for k, n in enumerate(pair.nodes):
        more('load before the restart of ' + n.name)
        n.stop()
        more('load while %s is away' % n.name)
        n.start()
        pair.in_sync(90)
        more('load after the restart of ' + n.name)
    for w in mtas + clients:
        w.stop.set()
        w.join(90)
    print('%d mails, moved %d times; sessions ended %s' % (
        ledger.acked, sum(m.moved for m in mtas), [c.ended for c in clients]))
    t.equal([b for m in mtas for b in m.bad], [], 'replies that are not 250, and cuts')
    t.equal([r for c in clients for r in c.refused], [], 'logins refused')
    t.true(max(c.ended for c in clients) <= 2, 'a session ended twice in one restart')
    t.equal({u: row(pair.a, u)['epoch'] for u in USERS}, epochs, 'a takeover or a start began an epoch')
    pair.in_sync()
    for u in USERS:
        identical(t, pair, u)
        for n in pair.nodes:
            t.equal(judge(ledger, n, u, PASSWORD), [], 'ledger of %s at node %s' % (u, n.name))


@case
def a_reload_picks_up_the_partners_new_address(t):
    net = Net(t)
    pair = net.pair()
    first_mail(pair, USERS)
    with Load([pair.a], USERS) as load:
        load.goes_on('load before')
        lost = pair.a.log().count(LINK_DOWN)
        ip('addr', 'del', HOSTS['b'][1] + '/24', 'dev', 'pair', netns=net.names['b'])
        ip('addr', 'add', '10.77.3.22/24', 'dev', 'pair', netns=net.names['b'])
        pair.b.link_host = '10.77.3.22'
        pair.b.write_conf()
        pair.b.adm('reload', check=True)
        # B may be back at once: it dials too.
        wait('A has lost its partner', 60, lambda: pair.a.log().count(LINK_DOWN) > lost)
        pair.a.write_conf()
        pair.a.adm('reload', check=True)
        pair.in_sync(60)
        load.goes_on('load after')
    for n in pair.nodes:
        load.judged(t, n)



def link_ups(node):
    return node.log().count('link to the partner is up')


@case
def a_slow_lossy_link_stays_up_and_in_sync(t):
    net = Net(t, wire=True)
    pair = net.pair()
    first_mail(pair, USERS)
    net.shape(delay=0.05, loss=0.01, rate=1000000)
    ups = [link_ups(n) for n in pair.nodes]
    with Load(pair.nodes, USERS, pause=0.1) as load:
        load.goes_on('load over a slow link', 90, n=25)
    pair.in_sync(60)
    flaps = [link_ups(n) - u for n, u in zip(pair.nodes, ups)]
    t.true(max(flaps) == 0, 'the link came up again %r times' % (flaps,))
    net.shape(delay=0.4, loss=0.0, rate=0, towards='b')       # and back at once: another route
    ups = [link_ups(n) for n in pair.nodes]
    with Load([pair.a], USERS, seed=300, pause=0.1) as more:
        more.goes_on('load over two unequal ways', 90, n=8)
    pair.in_sync(60)
    flaps = [link_ups(n) - u for n, u in zip(pair.nodes, ups)]
    t.true(max(flaps) == 0, 'the link came up again %r times' % (flaps,))
    net.shape(delay=0)
    t.equal([shown(n, 'FORKED') for n in pair.nodes], ['0', '0'])
    for u in USERS:
        identical(t, pair, u)
    for n in pair.nodes:
        load.judged(t, n)
        more.judged(t, n)


@case
def catching_up_over_a_slow_link_does_not_drop_it(t):
    net = Net(t, wire=True)
    pair = net.pair()
    first_mail(pair, USERS)
    net.shape(loss=1.0)
    wait('A is alone', 60, lambda: shown(pair.a, 'Link') == 'down')
    ledger = Ledger()
    # A may not have taken alice over yet: it holds the first mail, then 451.
    wait('alice is served at A', 60, lambda: connect(pair.a, 'alice', PASSWORD).logout())
    with smtplib.LMTP(pair.a.host, pair.a.lmtp, timeout=60) as c:
        for i in range(20):                # about 800 KB: seven seconds and more of the line
            m = ledger.new('large%d' % i, 'alice', 40000)
            t.equal(c.sendmail('s@test.example', ['alice@test.example'], message(m.id, 'alice', 40000)), {})
            m.state = 'acked'
    net.shape(delay=0.05, loss=0.01, rate=1000000)
    wait('the link is up', 60, lambda: shown(pair.a, 'Link') == 'up')
    ups = [link_ups(n) for n in pair.nodes]
    pair.in_sync(90)
    flaps = [link_ups(n) - u for n, u in zip(pair.nodes, ups)]
    t.true(max(flaps) <= 1, 'the link came up again %r times' % (flaps,))
    net.shape(delay=0, loss=0, rate=0)
    identical(t, pair, 'alice')
    for n in pair.nodes:
        t.equal(judge(ledger, n, 'alice', PASSWORD), [])


main(__file__)
