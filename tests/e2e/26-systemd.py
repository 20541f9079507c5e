#!/usr/bin/env python3
"""What systemd and log readers are told: readiness, reload, watchdog, the unit,
and lines that fail2ban's own Dovecot filter understands."""
import imaplib
import os
import shutil
import signal
import socket
import subprocess
import time

from duet_e2e import BUILD, PASSWORD, SRC, Skip, case, main, need, wait
from load import connect

FILTER = '/etc/fail2ban/filter.d/dovecot.conf'


class Manager:
    """The notification socket of a service manager."""

    def __init__(self, t, watchdog_usec=0):
        self.path = os.path.join(t.dir, 'notify')
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.sock.settimeout(0)
        self.said, self.watchdog = [], watchdog_usec
        t.cleanups.append(self.sock.close)

    def start(self, node):
        """As a service of this manager."""
        os.environ['NOTIFY_SOCKET'] = self.path
        if self.watchdog:
            os.environ['WATCHDOG_USEC'] = str(self.watchdog)
        try:
            return node.start()
        finally:
            os.environ.pop('NOTIFY_SOCKET')
            os.environ.pop('WATCHDOG_USEC', None)

    def read(self):
        while True:
            try:
                self.said += self.sock.recv(4096).decode().split('\n')
            except BlockingIOError:
                return self.said

    def hears(self, what, seconds=30):
        wait('the manager is told %s' % what, seconds, lambda: any(l.startswith(what) for l in self.read()))

    def forget(self):
        self.read()
        self.said = []


@case
def the_service_manager_hears_ready_status_reloading_and_stopping(t):
    m, n = Manager(t), t.node()
    m.start(n)
    m.hears('READY=1')
    m.hears('STATUS=serving')
    m.forget()
    n.adm('reload', check=True)
    m.hears('RELOADING=1')
    m.hears('MONOTONIC_USEC=')
    m.hears('READY=1')
    t.true(m.said.index('RELOADING=1') < m.said.index('READY=1'), m.said)
    m.forget()
    n.extra = 'nonsense = 1\n'
    n.write_conf()
    t.true(n.adm('reload')[0] != 0, 'a wrong configuration was taken')
    m.hears('READY=1')                      # the old one is in force
    n.stop()
    m.hears('STOPPING=1')


@case
def the_status_line_says_how_the_pair_is(t):
    p = t.pair(start=False)
    m = Manager(t)
    p.b.start()
    m.start(p.a)
    p.in_sync()
    m.hears('STATUS=pair SYNC')
    p.b.kill()
    m.forget()
    connect(p.a, 'alice', PASSWORD).logout()
    m.hears('STATUS=pair', 60)


@case
def the_watchdog_is_fed_and_not_by_a_stopped_supervisor(t):
    m, n = Manager(t, 2000000), t.node()
    m.start(n)
    m.hears('WATCHDOG=1', 20)
    m.forget()
    m.hears('WATCHDOG=1', 20)
    # One that stands is not vouched for by its children.
    os.kill(n.proc.pid, signal.SIGSTOP)
    try:
        m.forget()
        end = time.monotonic() + 3
        wait('three seconds', 20, lambda: time.monotonic() > end)
        t.true('WATCHDOG=1' not in m.read(), m.said)
    finally:
        os.kill(n.proc.pid, signal.SIGCONT)
    m.hears('WATCHDOG=1', 20)


@case
def the_unit_is_one_that_systemd_accepts(t):
    need('systemd-analyze')
    with open(SRC + '/etc/systemd/duet.service.in') as f:
        text = f.read()
    for name, value in (('sbindir', BUILD), ('bindir', BUILD), ('sysconfdir', '/etc')):
        text = text.replace('@%s@' % name, value)
    t.true('@sbindir' not in text and '@bindir' not in text, 'not all places are filled')
    unit = os.path.join(t.dir, 'duet.service')
    with open(unit, 'w') as f:
        f.write(text)
    r = subprocess.run(['systemd-analyze', 'verify', '--man=no', unit], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    about = [l for l in r.stdout.split('\n') if 'duet' in l]
    t.equal((r.returncode, about), (0, []), r.stdout)


def failures(n):
    for _ in range(3):
        c = imaplib.IMAP4(n.host, n.imap)
        try:
            c.login('alice', 'wrong')
        except imaplib.IMAP4.error:
            pass
        c.shutdown()


def matched(t, lines, *options):
    path = os.path.join(t.dir, 'lines')
    with open(path, 'w') as f:
        f.write(lines)
    r = subprocess.run(['fail2ban-regex', path, FILTER] + list(options), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=60)
    for l in r.stdout.split('\n'):
        if l.startswith('Lines:'):
            return int(l.split(',')[2].split()[0]), r.stdout
    raise AssertionError(r.stdout)


@case
def fail2bans_filter_finds_failed_logins_in_the_log_file(t):
    need('fail2ban-regex')
    if not os.path.exists(FILTER):
        raise Skip('no %s' % FILTER)
    n = t.node().start()
    connect(n, 'alice', PASSWORD).logout()
    failures(n)
    wait('the lines', 20, lambda: n.log().count('(auth failed') >= 3)
    count, text = matched(t, n.log())
    t.equal(count, 3, 'lines of failed logins that match, of\n%s\n%s' % (n.log(), text))


@case
def fail2bans_filter_finds_them_in_the_journal_with_its_daemon_set(t):
    need('fail2ban-regex')
    if not os.path.exists(FILTER):
        raise Skip('no %s' % FILTER)
    n = t.node().start()
    failures(n)
    wait('the lines', 20, lambda: n.log().count('(auth failed') >= 3)
    # As journalctl shows them: identifier and pid, then the message.
    lines = ''.join('Nov 24 10:00:00 host duet[%d]: %s\n' % (n.proc.pid, l.split(': ', 1)[1])
                    for l in n.log().split('\n') if 'imap-login' in l)
    local = os.path.join(t.dir, 'duet.conf')
    with open(FILTER) as f:
        text = f.read()
    t.true('_daemon = ' in text, 'the filter has another form')
    with open(local, 'w') as f:
        f.write('\n'.join('_daemon = duet' if l.startswith('_daemon = ') else l for l in text.split('\n')))
    for name in ('common.conf', 'dovecot.conf'):
        source = os.path.join(os.path.dirname(FILTER), name)
        if os.path.exists(source):
            shutil.copy(source, t.dir)
    path = os.path.join(t.dir, 'lines')
    with open(path, 'w') as f:
        f.write(lines)
    r = subprocess.run(['fail2ban-regex', path, local], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       timeout=60)
    t.true('3 matched' in r.stdout, lines + r.stdout)


main(__file__)
