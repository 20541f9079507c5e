#!/usr/bin/env python3
"""Garbage, strangers and stopped processes: what others do to a running node.

What each case wants: a clear refusal, memory that stays bounded, no process that
ends, and service for everybody else.
"""
import glob
import os
import pwd
import random
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import threading
import time

from duet_e2e import BUILD, PASSWORD, Skip, case, main, wait
from load import connect, contents, message

# Bad bytes may not cost a process more than this (kB of PSS).
GROWTH_KB = 24 << 10


def deliver(node, ident, user='alice', size=400):
    with smtplib.LMTP(node.host, node.lmtp, timeout=60) as c:
        return c.sendmail('s@test.example', [user + '@test.example'], message(ident, user, size))


def idents(node, user='alice'):
    return sorted(v[0] for v in contents(node, user, PASSWORD)[0].values())


def pss(node):
    total = 0
    for pid in node.pids():
        for line in open('/proc/%d/smaps_rollup' % pid):
            if line.startswith('Pss:'):
                total += int(line.split()[1])
    return total


def garbage(rng):
    """Pieces that a parser may stumble over."""
    yield bytes(rng.randrange(256) for _ in range(5000))
    yield b'\x00' * 70000
    yield b'a1 LOGIN {4294967296}\r\n'
    yield b'a1 LOGIN {99999999999999999999}\r\n'
    yield b'a1 LOGIN {-1}\r\n'
    yield b'a1 ' + b'(' * 60000 + b'\r\n'
    yield b'A' * (1 << 20)
    yield b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(rng.randrange(256) for _ in range(600))
    yield b'LHLO x\r\nMAIL FROM:<' + b'a' * 5000 + b'@x>\r\n'
    yield b'LHLO x\r\nMAIL FROM:<a@x>\r\n' + b'RCPT TO:<alice@x>\r\n' * 3000 + b'DATA\r\n'
    yield b'a1 AUTHENTICATE PLAIN\r\n' + b'=' * 20000 + b'\r\n'
    yield b'\xff\xff\xff\x7f' + b'\x08\x01\x12\x7f' * 100
    yield b'GET / HTTP/1.0\r\n\r\n' * 50


def throw(address, data, reset):
    """Sends, reads what comes until the other end or half a second ends it."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    s = socket.socket(family)
    s.settimeout(0.3)
    try:
        s.connect(address)
        s.sendall(data)
        if not reset:
            while s.recv(65536):
                pass
    except OSError:
        pass
    if reset and family == socket.AF_INET:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\x01\0\0\0\0\0\0\0')
    s.close()


def sockets_of(node):
    out = [(node.host, p) for p in (node.imap, node.imaps, node.lmtp)]
    if node.partner:
        out.append((node.host, node.link))
    for root, _, files in os.walk(node.dir + '/run'):
        for f in files:
            path = os.path.join(root, f)
            if os.path.exists(path) and (os.stat(path).st_mode & 0o170000) == 0o140000:
                out.append(path)
    return out


@case
def garbage_on_every_port_ends_no_process_and_leaves_no_memory(t):
    p = t.pair()
    deliver(p.a, 'before')
    p.in_sync()
    places = sockets_of(p.a)
    t.true(len(places) >= 5, places)
    rng = random.Random(1)
    pieces = list(garbage(rng))
    for place in places:               # first contact makes its buffers
        throw(place, pieces[0], False)
    before, memory = p.a.children(), pss(p.a)
    for place in places:
        threads = [threading.Thread(target=throw, args=(place, x, r)) for x in pieces for r in (False, True)]
        for th in threads:
            th.start()
        for th in threads:
            th.join(30)
        t.true(not any(th.is_alive() for th in threads), 'a thrower hangs at %r' % (place,))
        deliver(p.a, 'during', 'bob')
    t.equal(p.a.children(), before, 'processes of node a')
    wait('memory is given back', 20, lambda: pss(p.a) < memory + GROWTH_KB)
    t.equal(idents(p.a), ['before'])
    p.in_sync()


@case
def idle_and_half_open_connections_are_bounded_and_others_are_served(t):
    n = t.node().start()
    deliver(n, 'before')
    before, memory = n.children(), pss(n)
    held = []
    try:
        for port in (n.imap, n.imaps, n.lmtp):
            for i in range(600):
                s = socket.socket()
                s.settimeout(5)
                try:
                    s.connect((n.host, port))
                    s.sendall(b'a1 LOG' if i % 2 else b'\x16\x03\x01')
                except OSError:
                    s.close()
                    break
                held.append(s)
        t.equal(idents(n), ['before'])
        try:
            deliver(n, 'during')
            t.true(False, 'no limit for LMTP connections was met')
        except smtplib.SMTPConnectError as e:
            t.equal(e.smtp_code, 421, e.smtp_error)
        t.true(pss(n) < memory + 3 * GROWTH_KB, 'memory: %d kB, was %d' % (pss(n), memory))
    finally:
        for s in held:
            s.close()
    t.equal(n.children(), before, 'processes')
    wait('memory is given back', 20, lambda: pss(n) < memory + GROWTH_KB)
    deliver(n, 'after')
    t.equal(idents(n), ['after', 'before'])


@case
def a_partner_with_the_wrong_password_is_told_apart_and_others_are_served(t):
    p = t.pair(start=False)
    p.start()
    deliver(p.a, 'before')
    p.in_sync()
    p.b.kill()
    p.b.secret = 'another secret'
    start = len(p.a.log())
    p.b.start(wait_ready=False)
    for n in p.nodes:
        wait('node %s says why' % n.name, 30, lambda: 'doveadm_password' in n.log()[start if n is p.a else 0:])
    end = time.monotonic() + 4
    lines = len([l for l in p.a.log()[start:].split('\n') if 'doveadm_password' in l])
    wait('four seconds of tries', 20, lambda: time.monotonic() > end)
    more = len([l for l in p.a.log()[start:].split('\n') if 'doveadm_password' in l])
    t.true(more - lines <= 20, '%d lines in four seconds' % (more - lines))
    wait('node a serves', 60, lambda: idents(p.a) == ['before'])
    p.b.kill()
    p.b.secret = p.a.secret
    p.b.start()
    p.in_sync()
    t.equal(idents(p.b), ['before'])


@case
def each_role_stopped_for_a_while_costs_nothing_acknowledged(t):
    p = t.pair()
    kept = []
    for role in ('front', 'auth', 'store', 'sync'):
        p.in_sync()
        pids = p.b.children()[role]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        ident = 'while-%s' % role
        try:
            wait('mail is taken at node a while %s of b stands' % role, 60,
                 lambda: deliver(p.a, ident) == {})
        finally:
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass               # the supervisor had enough of it
        kept.append(ident)
        p.in_sync()
    for n in p.nodes:
        wait('all is there at %s' % n.name, 30, lambda: sorted(set(idents(n))) == sorted(kept))


@case
def large_messages_are_the_same_octets_on_both_nodes(t):
    p = t.pair()
    sizes = {'small': 1 << 20, 'large': 40 << 20}
    for ident, size in sizes.items():
        t.equal(deliver(p.a, ident, size=size), {})
    wanted = None
    for n in p.nodes:
        c = connect(n, 'alice', PASSWORD, timeout=90)
        c.select('INBOX')
        got = [c.fetch(str(i + 1), '(BODY.PEEK[TEXT])')[1][0][1] for i in range(2)]
        c.logout()
        t.equal([len(g) > s for g, s in zip(got, sizes.values())], [True, True])
        wanted = wanted or got
        t.true(got == wanted, 'the octets at %s differ' % n.name)
    p.in_sync()
    t.true(repaired_somewhere(p, wanted[0]), 'neither node made its lost file again')


def repaired_somewhere(p, body):
    """Takes a node's message file away; its client gets the message all the
    same, and the holder, which reads its own copy, makes the file again."""
    for n in p.nodes:
        path = sorted(glob.glob(n.mail + '/alice/mailboxes/INBOX/dbox-Mails/u.*'))[0]
        os.rename(path, path + '.away')
        wait('the message is read at %s' % n.name, 60, lambda: text_of(n, 1) == body)
        if os.path.exists(path):
            return True
        os.rename(path + '.away', path)
    return False


def text_of(n, number):
    c = connect(n, 'alice', PASSWORD, timeout=60)
    try:
        c.select('INBOX')
        ok, data = c.fetch(str(number), '(BODY.PEEK[TEXT])')
        return data[0][1] if ok == 'OK' else data
    finally:
        c.shutdown()


@case
def a_node_runs_as_one_user_other_than_root(t):
    """The same suite in the skin of `nobody`: one user for every role."""
    if os.getuid() != 0:
        raise Skip('this run is one already')
    me = pwd.getpwnam('nobody')
    if not os.access(BUILD + '/duetd', os.X_OK):
        raise Skip('no duetd')
    script = ('import sys; sys.path.insert(0, %r)\n'
              'from duet_e2e import Test, PASSWORD, wait\n'
              'import smtplib\n'
              'from load import contents, message\n'
              't, ok = Test(), False\n'
              'try:\n'
              '    p = t.pair()\n'
              '    with smtplib.LMTP(p.a.host, p.a.lmtp) as c:\n'
              '        c.sendmail("s@x", ["alice@test.example"], message("one", "alice"))\n'
              '    for n in p.nodes:\n'
              '        have = contents(n, "alice", PASSWORD)[0]\n'
              '        assert [v[0] for v in have.values()] == ["one"], have\n'
              '        import os\n'
              '        uids = {os.stat("/proc/%%d" %% x).st_uid for x in n.pids()}\n'
              '        assert uids == {os.getuid()}, uids\n'
              '    for n in p.nodes:\n'
              '        assert n.stop() == 0\n'
              '    print("served")\n'
              '    ok = True\n'
              'finally:\n'
              '    t.close(not ok)\n') % os.path.dirname(os.path.abspath(__file__))

    def become():
        os.setgroups([])
        os.setgid(me.pw_gid)
        os.setuid(me.pw_uid)
    # The way to the programs may be closed to others: copies of our own.
    own = os.path.join(t.dir, 'bin')
    os.makedirs(own)
    for f in ('duetd', 'duetadm'):
        shutil.copy(os.path.join(BUILD, f), own)
    lib = os.path.join(t.dir, 'lib')
    os.makedirs(lib)
    here = os.path.dirname(os.path.abspath(__file__))
    for f in ('duet_e2e.py', 'load.py'):
        shutil.copy(os.path.join(here, f), lib)
    tmp = os.path.join(t.dir, 'tmp')
    os.makedirs(tmp)
    os.chown(tmp, me.pw_uid, me.pw_gid)
    env = dict(os.environ, BUILDDIR=own, TMPDIR=tmp, PYTHONDONTWRITEBYTECODE='1')
    r = subprocess.run(['python3', '-c', script.replace(here, lib)], env=env, preexec_fn=become, cwd=tmp,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=150)
    t.true(r.returncode == 0 and 'served' in r.stdout, r.stdout[-3000:])


main(__file__)
