#!/usr/bin/env python3
"""Measures Duet on this machine and prints one table of medians.

    make bench                         Duet alone: single node and pair
    tests/bench/run.py --dovecot       Debian's Dovecot 2.3 beside it, with ratios
    tests/bench/run.py --only lmtp,imap,login,idle,lag,pair --messages 100000

BUILDDIR says where duetd and the load generators are.  Nothing is left behind.
"""
import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers                                             # noqa: E402
from servers import Bench, Dovecot, N_USERS, PASSWORD, USER    # noqa: E402

ROWS = []                                  # (area, name, unit, higher is better)
HAVE = {}                                  # (area, name, system) -> [values]


def note(text):
    print('# ' + text, file=sys.stderr, flush=True)


def program(name, *args, timeout=90):
    path = os.path.join(servers.duet_e2e.BUILD, 'obj/tests/bench', name)
    r = subprocess.run([path] + [str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       text=True, timeout=timeout)
    if r.returncode:
        raise RuntimeError('%s %s: %s' % (name, ' '.join(map(str, args)), r.stderr.strip()))
    return [dict([('', line.split()[0])] + [w.split('=', 1) for w in line.split()[1:]])
            for line in r.stdout.splitlines()]


def put(system, area, name, unit, value, more=True):
    if not any(r[:2] == (area, name) for r in ROWS):
        ROWS.append((area, name, unit, more))
    HAVE.setdefault((area, name, system), []).append(float(value))


def attempt(what, f, *args):
    """A part that fails is a line of the table, not the end of it."""
    note(what)
    began = time.monotonic()
    try:
        f(*args)
    except Exception as e:                 # noqa: shown below the table
        FAILED.append('%s: %s' % (what, e))
        note('failed: %s' % e)
    note('  %.1f s' % (time.monotonic() - began))


FAILED = []


# ---- parts ---------------------------------------------------------------------

def disk(o, dir):
    for r in program('bench_disk', '-t', 2, dir):
        put('machine', 'machine', 'appends with fdatasync, %s writer(s)' % r['writers'], '/s', r['per_second'])
    out = subprocess.run(['openssl', 'speed', '-mr', '-seconds', '1', '-bytes', '16384', '-evp', 'aes-256-gcm'],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for line in out.splitlines():
        if line.startswith('+F:'):
            put('machine', 'machine', 'AES-256-GCM, one core', 'MB/s', float(line.split(':')[-1]) / 1e6)


def first(o, system, node, area):
    """Every user's first mail makes the account: measured for itself."""
    r = program('bench_lmtp', '-c', 8, '-n', N_USERS, '-s', o.size, '-u', USER, '-U', N_USERS,
                '%s:%d' % (node.host, node.lmtp))[-1]
    put(system, area, 'first mails of new users, 8 connections', '/s', r['per_second'])


def lmtp(o, system, node, area):
    for n in (1, 8, 32):
        for _ in range(o.repeat):
            r = program('bench_lmtp', '-c', n, '-t', o.seconds, '-s', o.size, '-u', USER, '-U', N_USERS,
                        '%s:%d' % (node.host, node.lmtp))[-1]
            put(system, area, 'LMTP deliveries, %d connection(s)' % n, '/s', r['per_second'])
            put(system, area, 'LMTP latency, %d connection(s)' % n, 'ms', r['median_ms'], False)
            put(system, area, 'LMTP latency p99, %d connection(s)' % n, 'ms', r['p99_ms'], False)


def who(index=0):
    return ['-u', '%s%d' % (USER, index), '-p', PASSWORD]


def login(o, system, node, area):
    for _ in range(o.repeat):
        r = program('bench_imap', '-l', 100, *who(), '%s:%d' % (node.host, node.imap))[-1]
        put(system, area, 'LOGIN+SELECT+LOGOUT', 'ms', r['median_ms'], False)


def imap(o, system, node, area):
    for r in program('bench_imap', '-n', o.messages, '-s', o.size, '-r', o.rounds, *who(1),
                     '%s:%d' % (node.host, node.imap), timeout=1800):
        put(system, area, 'IMAP %s' % r['op'], 'ms', r['median_ms'], False)


def idle(o, system, node, area):
    r = program('bench_idle', '-P', node.proc.pid, '-k', o.sessions, '-u', USER, '-U', 50, '-p', PASSWORD,
                '%s:%d' % (node.host, node.imaps))[-1]
    put(system, area, 'memory of an idle TLS session', 'KiB', float(r['bytes_per_session']) / 1024, False)


def lag(o, system, a, b, area):
    for r in program('bench_lag', '-n', o.lags, *who(2), '%s:%d' % (a.host, a.lmtp), '%s:%d' % (a.host, a.imap),
                     '%s:%d' % (b.host, b.imap)):
        put(system, area, '%s lag to IDLE' % r['what'], 'ms', r['median_ms'], False)
        put(system, area, '%s lag to IDLE, p99' % r['what'], 'ms', r['p99_ms'], False)
        if int(r['lost']):
            FAILED.append('%s: %s of %s changes were not seen' % (area, r['lost'], r['samples']))


def kill(o, pair):
    """How many acknowledged mails the other node has not after SIGKILL."""
    path = os.path.join(servers.duet_e2e.BUILD, 'obj/tests/bench/bench_lmtp')
    before = count(pair.b)
    p = subprocess.Popen([path, '-k', '-c', '8', '-u', USER, '-U', str(N_USERS),
                          '%s:%d' % (pair.a.host, pair.a.lmtp)], stdout=subprocess.PIPE, text=True)
    time.sleep(2)
    pair.a.kill()
    out = p.communicate(timeout=90)[0]
    acked = int(dict(w.split('=') for w in out.split()[1:])['mails'])
    wait = servers.wait
    wait('the other node serves all', 60, lambda: count(pair.b) >= 0, 1)
    put('duet', 'pair', 'acknowledged mails missing after SIGKILL', 'of %d' % acked,
        max(0, before + acked - count(pair.b)), False)


def count(node):
    import imaplib
    n = 0
    for i in range(N_USERS):
        c = imaplib.IMAP4(node.host, node.imap, timeout=30)
        c.login('%s%d' % (USER, i), PASSWORD)
        ok, data = c.select('INBOX', readonly=True)
        if ok != 'OK':
            raise RuntimeError(data)
        n += int(data[0])
        c.logout()
    return n


def single(o, system, node):
    attempt('%s, single node: first mails' % system, first, o, system, node, 'single')
    parts = (('lmtp', lmtp), ('login', login), ('idle', idle), ('imap', imap))
    for name, f in parts:
        if name in o.only:
            attempt('%s, single node: %s' % (system, name), f, o, system, node, 'single')
    if 'lag' in o.only:
        attempt('%s, single node: lag' % system, lag, o, system, node, node, 'single')


def pair(o, t):
    began = time.monotonic()
    p = t.both()
    note('  in SYNC after %.1f s' % (time.monotonic() - began))
    attempt('duet, pair: first mails', first, o, 'duet', p.a, 'pair')
    attempt('duet, pair: lmtp', lmtp, o, 'duet', p.a, 'pair')
    attempt('duet, pair: login', login, o, 'duet', p.a, 'pair')
    attempt('duet, pair: lag', lag, o, 'duet', p.a, p.b, 'pair')
    attempt('duet, pair: kill', kill, o, p)


# ---- table ---------------------------------------------------------------------

def number(v):
    if v is None:
        return '-'
    return '%.0f' % v if v >= 100 or v == int(v) else '%.2f' % v if v >= 0.1 else '%.4f' % v


def table(o):
    systems = ['duet'] + (['dovecot'] if o.dovecot else [])
    rows = [['', 'median of', 'Duet'] + (['Dovecot', 'ratio'] if o.dovecot else [])]
    for area, name, unit, more in ROWS:
        got = [HAVE.get((area, name, s)) for s in systems]
        if area == 'machine':
            got[0] = HAVE[area, name, 'machine']
        med = [statistics.median(v) if v else None for v in got]
        row = ['%s: %s' % (area, name), unit, number(med[0])]
        if o.dovecot:
            ratio = '-'
            if len(med) > 1 and med[0] and med[1]:
                ratio = '%.2fx' % (med[0] / med[1])
            row += [number(med[1]) if len(med) > 1 else '-', ratio]
        rows.append(row)
    rows[0][1] = 'unit'
    wide = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    for r in rows:
        print('  '.join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(r, wide))))
    print('\nMedians; %d runs of %d s each for LMTP, mails of %d bytes to %d users, mailboxes of %d messages, '
          '%d idle sessions.' % (o.repeat, o.seconds, o.size, N_USERS, o.messages, o.sessions))
    if o.dovecot:
        print('ratio: Duet / Dovecot; above 1 is better for /s, below 1 for ms and KiB.')
    for f in FAILED:
        print('FAILED  ' + f)


def main():
    a = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    a.add_argument('--dovecot', action='store_true', help="run Debian's Dovecot 2.3 too")
    a.add_argument('--only', default='disk,lmtp,login,idle,imap,lag,pair', help='parts, with commas between')
    a.add_argument('--messages', type=int, default=5000)
    a.add_argument('--rounds', type=int, default=1, help='mailboxes filled and read one after the other')
    a.add_argument('--size', type=int, default=4096)
    a.add_argument('--seconds', type=int, default=2, help='of one LMTP run')
    a.add_argument('--repeat', type=int, default=3)
    a.add_argument('--sessions', type=int, default=500)
    a.add_argument('--lags', type=int, default=100)
    o = a.parse_args()
    o.only = o.only.split(',')
    if o.dovecot and not servers.dovecot_version():
        sys.exit('run.py: --dovecot needs root and Dovecot 2.3: apt-get install dovecot-imapd dovecot-lmtpd')
    # SIGTERM too leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    t, bad = Bench(), True
    try:
        if 'disk' in o.only:
            attempt('machine', disk, o, t.dir)
        if o.dovecot:
            d = Dovecot(t).start()
            try:
                single(o, 'dovecot', d)
            finally:
                d.stop()
        n = t.single()
        single(o, 'duet', n)
        attempt('duet, single node: stop', t.end, n)
        if 'pair' in o.only:
            attempt('duet, pair', pair, o, t)
        bad = bool(FAILED)
    finally:
        t.close(False)
    table(o)
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    main()
