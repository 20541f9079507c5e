#!/usr/bin/env python3
"""Clients that send an octet a second, or nothing: they lose their place in the
end, and slow nobody meanwhile."""
import smtplib
import socket
import ssl
import threading
import time

from duet_e2e import LONG, PASSWORD, case, main, wait
from load import connect, message

QUICK = 5.0                                # seconds for others' login and mail


def deliver(node, ident, user='alice'):
    with smtplib.LMTP(node.host, node.lmtp, timeout=60) as c:
        return c.sendmail('s@test.example', [user + '@test.example'], message(ident, user))


class Dripper:
    """Connections that drip an octet a second each; all in one thread."""

    def __init__(self, address, n, text, tls=False):
        self.text, self.at, self.stop = text, 0, threading.Event()
        self.socks, self.ended = [], 0
        for _ in range(n):
            s = socket.create_connection(address, 10)
            if tls:
                ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                ctx.check_hostname = False
                ctx.verify_mode = ssl.CERT_NONE
                s = ctx.wrap_socket(s)
            s.settimeout(0)
            self.socks.append(s)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop.wait(1.0):
            octet = self.text[self.at % len(self.text):][:1]
            self.at += 1
            for s in list(self.socks):
                try:
                    s.send(octet)
                    while s.recv(4096):
                        pass
                    raise OSError('closed')
                except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                except OSError:
                    s.close()
                    self.socks.remove(s)
                    self.ended += 1

    def close(self):
        self.stop.set()
        self.thread.join(10)
        for s in self.socks:
            s.close()


def others(t, node, ident):
    """A login and a mail by others, in good time."""
    began = time.monotonic()
    c = connect(node, 'bob', PASSWORD)
    c.select('INBOX')
    c.logout()
    t.equal(deliver(node, ident, 'bob'), {})
    took = time.monotonic() - began
    t.true(took < QUICK, 'others waited %.1f s' % took)


HELLO = b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(range(256)) * 2


@case
def drippers_before_the_login_are_ended_and_slow_nobody(t):
    p = t.pair()
    n = p.a
    t.equal(deliver(n, 'before'), {})
    p.in_sync()
    dripped = {
        'IMAP': Dripper((n.host, n.imap), 15, b'a LOGIN alice ' + b'x' * 500),
        'TLS handshake': Dripper((n.host, n.imaps), 15, HELLO),
        'TLS, silent inside': Dripper((n.host, n.imaps), 5, b'a', tls=True),
        'LMTP': Dripper((n.host, n.lmtp), 15, b'LHLO ' + b'x' * 500),
        'pair link': Dripper((n.host, n.link), 15, HELLO),
    }
    try:
        for i in range(5):
            others(t, n, 'during-%d' % i)
        p.in_sync()
        # Handshakes have little time, however many octets come.
        for name in ('pair link', 'TLS handshake'):
            wait('drippers of the %s are ended' % name, 90, lambda: not dripped[name].socks)
        if LONG:                           # three minutes for a login, five for a command of LMTP
            wait('drippers before the login are ended', 260, lambda: not dripped['IMAP'].socks and
                 not dripped['TLS, silent inside'].socks)
            wait('drippers of LMTP are ended', 400, lambda: not dripped['LMTP'].socks)
        others(t, n, 'after')
    finally:
        for name, d in dripped.items():
            print('%s: %d ended, %d left' % (name, d.ended, len(d.socks)))
            d.close()
    p.in_sync()


@case
def a_body_that_drips_holds_no_other_delivery_up(t):
    n = t.node().start()
    s = socket.create_connection((n.host, n.lmtp), 20)
    f = s.makefile('rb')
    f.readline()
    s.sendall(b'LHLO x\r\nMAIL FROM:<s@x>\r\nRCPT TO:<alice@x>\r\nDATA\r\n')
    while not f.readline().startswith(b'354'):
        pass
    c = connect(n, 'alice', PASSWORD)
    c.send(b'a APPEND INBOX {100000}\r\n')
    t.true(c.readline().startswith(b'+'), 'continuation')
    for i in range(5):
        s.sendall(b'x')
        c.send(b'x')
        others(t, n, 'during-%d' % i)
        t.equal(deliver(n, 'to-alice-%d' % i), {})
    s.sendall(b'\r\n.\r\n')
    t.true(f.readline().startswith(b'250 '), 'the slow one')
    c.send(b'x' * (100000 - 5) + b'\r\n')
    while True:
        line = c.readline()
        if line.startswith(b'a '):
            break
    t.true(line.startswith(b'a OK'), repr(line))
    s.close()
    c.logout()


@case
def too_long_is_refused_and_the_session_or_server_goes_on(t):
    n = t.node().start()
    s = socket.create_connection((n.host, n.lmtp), 20)
    f = s.makefile('rb')
    f.readline()
    s.sendall(b'LHLO x\r\n')
    while f.readline()[3:4] == b'-':
        pass
    s.sendall(b'MAIL FROM:<' + b'a' * 9000 + b'@x>\r\n')
    line = f.readline()
    t.true(line[:1] == b'5', repr(line))
    s.sendall(b'MAIL FROM:<s@x>\r\n')
    t.true(f.readline().startswith(b'250'), 'goes on after a long line')
    codes = []
    for i in range(2000):
        s.sendall(b'RCPT TO:<alice@x>\r\n')
        codes.append(f.readline()[:3])
        if codes[-1] == b'452':
            break
    t.equal(codes[-1], b'452', 'a limit of recipients, after %d' % len(codes))
    s.close()
    c = connect(n, 'alice', PASSWORD)
    for command, words in ((b'a APPEND INBOX {99999999999}\r\n', (b'NO', b'BAD')),
                           (b'b SELECT {99999999}\r\n', (b'BAD', b'NO')),
                           (b'c NOOP ' + b'x' * 200000 + b'\r\n', (b'BAD',))):
        c.send(command)
        line = c.readline()
        t.true(line.split()[1] in words or line.startswith(b'* BYE'), '%r: %r' % (command[:30], line[:80]))
        if line.startswith(b'* BYE') or not line.startswith(command[:2]):
            c = connect(n, 'alice', PASSWORD)
    others(t, n, 'after')


main(__file__)
