#!/usr/bin/env python3
"""Reload, listeners, log files, stop: what an administrator does to a running node."""
import imaplib
import os
import signal
import smtplib
import socket
import stat
import subprocess

from duet_e2e import PASSWORD, Skip, case, free_ports, main, wait
from load import connect, message


def started(n):
    n.start()
    wait('started', 20, lambda: ' started: ' in n.log())
    return n


def listens(port):
    try:
        socket.create_connection(('127.0.0.1', port), 2).close()
        return True
    except OSError:
        return False


@case
def reload_moves_a_listener_and_keeps_sessions(t):
    n = t.node().start()
    c = connect(n, 'alice', PASSWORD)
    c.select()
    old, n.imap = n.imap, free_ports(1)[0]
    n.write_conf()
    n.adm('reload', check=True)
    t.equal((listens(old), listens(n.imap)), (False, True), 'old and new port')
    t.equal(c.noop()[0], 'OK')
    connect(n, 'bob', PASSWORD).logout()


@case
def reload_with_an_error_changes_nothing_and_says_where(t):
    n = t.node().start()
    before = n.imap
    n.imap = free_ports(1)[0]
    n.extra = 'nonsense = 1\n'
    n.write_conf()
    code, _, err = n.adm('reload')
    t.true(code != 0, 'exit status 0')
    t.true('line' in err and 'nonsense' in err, err)
    t.equal((listens(before), listens(n.imap)), (True, False), 'old and new port')


@case
def reload_with_a_port_in_use_changes_nothing(t):
    n = t.node().start()
    s = socket.socket()
    s.bind(('127.0.0.1', 0))
    s.listen()
    before, new = n.imaps, free_ports(1)[0]
    old_imap = n.imap
    n.imaps, n.imap = s.getsockname()[1], new
    n.write_conf()
    code, _, err = n.adm('reload')
    t.true(code != 0 and 'in use' in err, err)
    t.equal((listens(before), listens(old_imap), listens(new)), (True, True, False))
    s.close()


@case
def switching_lmtp_off_closes_its_port(t):
    n = t.node().start()
    n.settings['protocols'] = 'imap'
    n.write_conf()
    os.kill(n.proc.pid, signal.SIGHUP)
    wait('LMTP port is gone', 10, lambda: not listens(n.lmtp))
    t.true(listens(n.imap), 'IMAP is gone too')


@case
def log_files_are_opened_again(t):
    n = t.node().start()
    os.rename(n.logfile, n.logfile + '.1')
    os.kill(n.proc.pid, signal.SIGUSR1)
    wait('new log file', 10, lambda: os.path.exists(n.logfile))
    connect(n, 'alice', PASSWORD).logout()
    wait('login line in the new file', 10, lambda: 'imap-login: Info: Login: user=<alice>' in n.log())


@case
def login_lines_have_the_shape_of_log_readers(t):
    n = t.node().start()
    connect(n, 'alice', PASSWORD).logout()
    c = imaplib.IMAP4(n.host, n.imap)
    try:
        c.login('alice', 'wrong')
    except imaplib.IMAP4.error:
        pass
    c.shutdown()
    good = r'imap-login: Info: Login: user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1, mpid='
    bad = r'(auth failed, 1 attempts in '
    wait('both lines', 10, lambda: good in n.log() and bad in n.log())
    line = [l for l in n.log().split('\n') if bad in l][0]
    t.true('): user=<alice>, method=PLAIN, rip=127.0.0.1, lip=127.0.0.1' in line, line)


@case
def connections_of_a_user_from_one_address_are_limited(t):
    n = t.node()
    n.settings['mail_max_userip_connections'] = '3'
    n.start()
    cs = [connect(n, 'alice', PASSWORD) for _ in range(3)]
    c = imaplib.IMAP4(n.host, n.imap)
    try:
        c.login('alice', PASSWORD)
        raise AssertionError('a fourth session was let in')
    except imaplib.IMAP4.error as e:
        t.true('mail_max_userip_connections' in str(e), str(e))
    connect(n, 'bob', PASSWORD).logout()
    cs[0].logout()
    wait('a place is free again', 10, lambda: connect(n, 'alice', PASSWORD).logout())


@case
def idle_lmtp_connections_of_one_address_leave_places_to_others(t):
    n = t.node()
    n.extra = 'service lmtp {\n  unix_listener lmtp {\n    mode = 0600\n  }\n}\n'
    n.start()

    def greeting(address):
        s = socket.create_connection((n.host, n.lmtp), 20, (address, 0))
        s.settimeout(20)
        return s, s.recv(200)
    idle = [greeting('127.0.0.1') for _ in range(100)]
    t.equal({g[:4] for _, g in idle}, {b'220 '})
    t.equal(greeting('127.0.0.1')[1], b'421 4.7.0 Too many connections from your address\r\n')
    t.equal(greeting('127.0.0.2')[1][:4], b'220 ', 'another address')
    s = socket.socket(socket.AF_UNIX)
    s.connect(n.dir + '/run/lmtp')
    t.equal(s.recv(200)[:4], b'220 ', 'the UNIX socket')
    s.close()
    t.true('Too many connections from your address: rip=127.0.0.1' in n.log(), 'not logged')
    idle.pop()[0].close()
    wait('a place is free again', 10, lambda: greeting('127.0.0.1')[1][:4] == b'220 ')


@case
def a_second_start_on_the_same_base_dir_is_refused(t):
    n = t.node().start()
    r = subprocess.run([os.path.join(os.environ['BUILDDIR'], 'duetd'), '-F', '-c', n.conf],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30)
    t.true(r.returncode != 0 and 'in use' in r.stderr, r.stderr)
    connect(n, 'alice', PASSWORD).logout()


@case
def sockets_have_mode_and_owner_as_asked(t):
    n = t.node()
    n.extra = 'service lmtp {\n  unix_listener lmtp {\n    mode = 0600\n  }\n}\n'
    n.start()
    st = os.stat(n.dir + '/run/lmtp')
    t.equal(stat.S_IMODE(st.st_mode), 0o600, 'mode of the LMTP socket')
    t.equal(stat.S_IMODE(os.stat(n.dir + '/run/doveadm-server').st_mode), 0o600, 'admin socket')
    s = socket.socket(socket.AF_UNIX)
    s.connect(n.dir + '/run/lmtp')
    t.true(s.recv(200).startswith(b'220 '), 'no greeting on the socket')
    s.close()


@case
def pipelined_lmtp_is_answered_in_order(t):
    n = t.node().start()
    s = socket.create_connection((n.host, n.lmtp), 20)
    f = s.makefile('rb')
    f.readline()
    s.sendall(b'LHLO test\r\nMAIL FROM:<s@x>\r\nRCPT TO:<alice@x>\r\nRCPT TO:<no@x>\r\nRCPT TO:<bob@x>\r\n'
              b'DATA\r\n')
    lines = []
    while not lines or not lines[-1].startswith(b'354'):
        lines.append(f.readline())
    codes = [l[:4] for l in lines if l[3:4] == b' ']
    t.equal(codes, [b'250 ', b'250 ', b'250 ', b'550 ', b'250 ', b'354 '])
    s.sendall(b'Subject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n')
    rest = [f.readline() for _ in range(3)]
    t.true(rest[0].startswith(b'250 2.0.0 <alice@x> ') and b'Saved' in rest[0], repr(rest))
    t.true(rest[1].startswith(b'250 2.0.0 <bob@x> '), repr(rest))
    t.true(rest[2].startswith(b'221 '), repr(rest))
    s.close()


@case
def a_reply_does_not_wait_for_half_a_command(t):
    n = t.node().start()
    s = socket.create_connection((n.host, n.lmtp), 20)
    f = s.makefile('rb')
    f.readline()
    s.sendall(b'LHLO test\r\n')
    while f.readline()[3:4] != b' ':
        pass
    s.sendall(b'MAIL FROM:<s@x>\r\nRCPT TO:<ali')
    t.true(f.readline().startswith(b'250 2.1.0 '), 'the reply to MAIL')
    s.sendall(b'ce@x>\r\nRCPT TO:<bob@x>\r\nDA')
    for _ in range(2):
        t.true(f.readline().startswith(b'250 2.1.5 '), 'a reply to RCPT')
    s.sendall(b'TA\r\n')
    t.true(f.readline().startswith(b'354 '), 'the reply to DATA')
    s.close()


@case
def a_stop_lets_every_connection_deliver_one_more_mail(t):
    n = started(t.node())
    new, kept = smtplib.LMTP(n.host, n.lmtp, timeout=60), smtplib.LMTP(n.host, n.lmtp, timeout=60)
    silent = smtplib.LMTP(n.host, n.lmtp, timeout=60)
    kept.sendmail('s@test.example', ['alice@test.example'], message('before', 'alice'))
    n.proc.terminate()
    wait('it does not accept any more', 20, lambda: not listens(n.lmtp))
    for i, c in enumerate((kept, new)):
        t.equal(c.sendmail('s@test.example', ['alice@test.example'], message('during%d' % i, 'alice')), {})
    for c in (kept, new, silent):
        t.equal(c.getreply()[0], 421, 'afterwards it is told')
    t.equal(n.proc.wait(30), 0, 'exit status')
    n.proc = None
    n.start()
    c = connect(n, 'alice', PASSWORD)
    t.equal(c.select()[1], [b'3'])
    c.logout()


@case
def the_same_octets_sent_twice_are_two_messages(t):
    n = t.node().start()
    for _ in range(2):
        with smtplib.LMTP(n.host, n.lmtp) as c:
            c.sendmail('s@test.example', ['alice@test.example'], message('same', 'alice'))
    c = connect(n, 'alice', PASSWORD)
    t.equal(c.select()[1], [b'2'])
    c.logout()


@case
def a_silent_store_process_is_killed_and_comes_back(t):
    n = started(t.node())
    pid = n.children()['store'][0]
    os.kill(pid, signal.SIGSTOP)
    wait('another store process', 20, lambda: n.children().get('store', [pid])[0] != pid)
    wait('mail is served', 20, lambda: connect(n, 'alice', PASSWORD).logout())


@case
def roles_run_as_their_users(t):
    if not t.root:
        raise Skip('needs root')
    n = started(t.node())
    import pwd
    want = {'front': 'duetnull', 'auth': 'duet', 'store': 'vmail', 'sync': 'vmail'}
    for role, pids in n.children().items():
        for pid in pids:
            if role in want:
                t.equal(pwd.getpwuid(os.stat('/proc/%d' % pid).st_uid).pw_name, want[role], role)
                root = os.readlink('/proc/%d/root' % pid)
                t.equal(root != '/', role in ('front', 'sync'), 'root directory of ' + role)


main(__file__)
