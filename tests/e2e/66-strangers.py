#!/usr/bin/env python3
"""Who is no partner: another protocol version, another pair, a certificate that
is not trusted, a clock that is off.

Each is named in the log and by `duetadm pair status`, and the node serves on.
"""
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import threading

from duet_e2e import BUILD, PASSWORD, Pair, Skip, case, free_ports, main, wait
from load import contents, message
from netns import status


def deliver(node, ident, user='alice'):
    with smtplib.LMTP(node.host, node.lmtp, timeout=60) as c:
        return c.sendmail('s@test.example', [user + '@test.example'], message(ident, user))


def idents(node, user='alice'):
    return sorted(v[0] for v in contents(node, user, PASSWORD)[0].values())


def said(node, mark, *words):
    """A line that is not of the ordinary kind, with all the words."""
    return [l for l in node.log()[mark:].split('\n')
            if all(w in l for w in words) and ('Error' in l or 'Warning' in l)]


def shown(node, *words):
    out = ''.join(node.adm('pair', 'status')[1:])
    reason = [l for l in out.split('\n') if l.startswith('Reason')]
    return reason and all(w in reason[0] for w in words)


def serves(t, node, ident):
    """Mail in, mail out; held until the node may serve alone."""
    wait('node %s takes mail' % node.name, 60, lambda: deliver(node, ident) == {})
    t.true(ident in idents(node), 'node %s serves' % node.name)


def told(t, node, mark, *words, alone=True):
    """In the log, and if it serves alone (else all is well so far) in the status."""
    wait('the log of node %s says %r' % (node.name, words), 40, lambda: said(node, mark, *words))
    if alone:
        wait('pair status of node %s says %r' % (node.name, words), 40, lambda: shown(node, *words))
    print(said(node, mark, *words)[0])
    # It is said, not repeated with each try.
    lines = len(said(node, mark, *words))
    t.true(lines < 10, '%d lines' % lines)


@case
def a_node_of_another_pair_is_refused_and_both_serve(t):
    one, two = t.pair(start=False), Pair(t.node('c'), t.node('d'))
    for p, ident in ((one, 'of-one'), (two, 'of-two')):
        p.start()
        t.equal(deliver(p.a, ident), {})
        p.in_sync()
    one.b.stop()
    two.a.stop()
    # A's configuration names a node of the other pair, and the other way round.
    one.a.partner, two.b.partner = two.b, one.a
    marks = {n: len(n.log()) for n in (one.a, two.b)}
    for n in (one.a, two.b):
        n.stop()
        n.start()
    for n in (one.a, two.b):
        serves(t, n, 'alone-' + n.name)
        told(t, n, marks[n], 'two pairs')
    one.a.partner, two.b.partner = one.b, two.a
    for p, n, other in ((one, one.a, one.b), (two, two.b, two.a)):
        n.stop()
        n.start()
        other.start()
    for p, ident in ((one, 'of-one'), (two, 'of-two')):
        p.in_sync(90)
        n = one.a if p is one else two.b
        for x in p.nodes:
            t.equal(idents(x), sorted([ident, 'alone-' + n.name]))


def certificate(t, name):
    base = os.path.join(t.dir, name)
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
                    '-keyout', base + '-key.pem', '-out', base + '.pem'], check=True,
                   stderr=subprocess.DEVNULL)
    os.chmod(base + '-key.pem', 0o600)
    return base


class Middle(threading.Thread):
    """Ends TLS with its own certificate and speaks to the other node itself."""

    def __init__(self, t, base, target):
        super().__init__(daemon=True)
        self.target, self.port = target, free_ports(1)[0]
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(base + '.pem', base + '-key.pem')
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False
        self.client.verify_mode = ssl.CERT_NONE
        self.sock = socket.create_server(('127.0.0.1', self.port))
        self.seen = 0
        t.cleanups.append(self.sock.close)
        self.start()

    def run(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(s,), daemon=True).start()

    def carry(self, s):
        try:
            with self.server.wrap_socket(s, server_side=True) as a, self.client.wrap_socket(
                    socket.create_connection(('127.0.0.1', self.target), 5)) as b:
                self.seen += 1
                a.settimeout(0.02)
                b.settimeout(0.02)
                while True:
                    for x, y in ((a, b), (b, a)):
                        try:
                            data = x.recv(65536)
                        except (socket.timeout, ssl.SSLWantReadError):
                            continue
                        if not data:
                            return
                        y.sendall(data)
        except OSError:
            pass


@case
def a_foreign_certificate_in_the_middle_of_the_link_gets_nowhere(t):
    """The nodes prove the secret bound to the channel: whoever ends TLS between
    them is found out, whatever his certificate."""
    p = t.pair()
    t.equal(deliver(p.a, 'before'), {})
    p.in_sync()
    base = certificate(t, 'middle')
    for n in p.nodes:
        n.stop()
    real = {n: n.link for n in p.nodes}
    middles = {n: Middle(t, base, real[n.partner]) for n in p.nodes}

    class Away:
        pass
    for n in p.nodes:
        n.whom, n.partner = n.partner, Away()
        n.partner.link_host, n.partner.link = '127.0.0.1', middles[n].port
    marks = {n: len(n.log()) for n in p.nodes}
    for n in p.nodes:
        n.start()
    serves(t, p.a, 'alone')
    for n in p.nodes:
        told(t, n, marks[n], 'doveadm_password', alone=n is p.a)
        t.true(middles[n].seen, 'nobody came')
    for n in p.nodes:
        t.equal(status(n)[1]['Link'], 'down')
        n.stop()
        n.partner = n.whom
    for n in p.nodes:
        n.start()
    p.in_sync(90)
    for n in p.nodes:
        t.equal(idents(n), ['alone', 'before'])


def odd(name):
    path = os.path.join(BUILD, 'obj/tests/e2e/duetd-' + name)
    if not os.path.exists(path):
        raise Skip('%s is not built (make check-e2e does it)' % path)
    return path


@case
def another_version_of_the_link_is_named_and_both_serve(t):
    p = t.pair()
    t.equal(deliver(p.a, 'before'), {})
    p.in_sync()
    p.b.stop()
    p.b.program, usual = odd('version'), p.b.program
    marks = {n: len(n.log()) for n in p.nodes}
    p.b.start()
    serves(t, p.a, 'alone')
    for n in p.nodes:
        told(t, n, marks[n], 'link format', 'upgrade the older node', alone=n is p.a)
    p.b.stop()
    p.b.program = usual
    p.b.start()
    p.in_sync(90)
    for n in p.nodes:
        t.equal(idents(n), ['alone', 'before'])


@case
def a_clock_that_is_an_hour_off_is_an_alarm_in_service_and_refused_at_a_join(t):
    p = t.pair()
    t.equal(deliver(p.a, 'before'), {})
    p.in_sync()
    p.b.stop()
    p.b.program, usual = odd('clock'), p.b.program
    mark = len(p.a.log())
    p.b.start()
    p.in_sync(90)
    wait('an alarm', 40, lambda: said(p.a, mark, "partner's clock is", 'ms off', 'set the clocks'))
    wait('the status has it', 20, lambda: abs(int(clock_of(p.a))) > 3500)
    for n in p.nodes:
        serves(t, n, 'with-%s' % n.name)
    # A new disk does not join with such a clock.
    p.b.stop()
    shutil.rmtree(p.b.dir + '/state')
    shutil.rmtree(p.b.mail)
    p.b.make_mail()
    mark = len(p.a.log())
    p.b.start(wait_ready=False)
    serves(t, p.a, 'alone')
    told(t, p.a, mark, 'clocks are', 'pair_clock_skew')
    p.b.stop()
    p.b.program = usual
    p.b.start(wait_ready=False)
    p.in_sync(90)
    for n in p.nodes:
        t.equal(idents(n), ['alone', 'before', 'with-a', 'with-b'])


def clock_of(node):
    for k, v in status(node)[1].items():
        if 'lock' in k:
            return float(v.split()[0])
    raise AssertionError('no clock in pair status')


main(__file__)
