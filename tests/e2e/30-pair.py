#!/usr/bin/env python3
"""Two nodes: what is done at one is at the other, with the same numbers."""
import threading

from duet_e2e import PASSWORD, case, main, wait
from load import batch, connect, contents, message
import smtplib


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
    import signal
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
