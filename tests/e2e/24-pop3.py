#!/usr/bin/env python3
"""POP3: poplib and curl, one node and two."""
import base64
import imaplib
import os
import poplib
import re
import signal
import socket
import ssl
import subprocess

from duet_e2e import PASSWORD, case, main, need, wait
from load import message
from netns import hold, holds
import smtplib

PROTOCOLS = 'imap pop3 lmtp'


def node(t, name='a', **settings):
    n = t.node(name)
    n.settings.update({'protocols': PROTOCOLS, 'auth_mechanisms': 'plain login'}, **settings)
    return n.start()


def context(t):
    return ssl.create_default_context(cafile=t.dir + '/cert.pem')


def login(n, user='alice'):
    c = poplib.POP3(n.host, n.pop3, timeout=30)
    c.user(user)
    c.pass_(PASSWORD)
    return c


def deliver(n, ident, user='alice', text=None):
    with smtplib.LMTP(n.host, n.lmtp) as c:
        c.sendmail('s@test.example', [user + '@test.example'], text or message(ident, user))


def append(n, text, user='alice'):
    c = imaplib.IMAP4(n.host, n.imap)
    c.login(user, PASSWORD)
    r = c.append('INBOX', None, None, text)
    c.logout()
    if r[0] != 'OK':
        raise AssertionError(repr(r))


def imap_flags(n, user='alice'):
    """{UID: flags}"""
    c = imaplib.IMAP4(n.host, n.imap)
    c.login(user, PASSWORD)
    c.select('INBOX', readonly=True)
    data = c.uid('FETCH', '1:*', '(FLAGS)')[1]
    c.logout()
    return {int(re.search(rb'UID (\d+)', d).group(1)): set(re.search(rb'FLAGS \(([^)]*)\)', d).group(1).split()) -
            {b'\\Recent'} for d in data if d}


def raises(t, f, *args):
    try:
        f(*args)
    except poplib.error_proto as e:
        return e.args[0].decode() if isinstance(e.args[0], bytes) else e.args[0]
    raise AssertionError('no -ERR')


class Raw:
    """Lines, without a client's help."""

    def __init__(self, n, greeting=True):
        self.sock = socket.create_connection((n.host, n.pop3), 30)
        self.file = self.sock.makefile('rb')
        if greeting:
            self.line()

    def line(self):
        return self.file.readline().decode()

    def ask(self, text):
        self.sock.sendall(text.encode() + b'\r\n')
        return self.line()


def gone(n, port):
    try:
        socket.create_connection((n.host, port), 5).close()
    except OSError:
        return True
    return False


@case
def poplib_does_all_it_can(t):
    n = node(t)
    texts = [b'Subject: one\r\n\r\n.\r\n..two\r\n.three\r\nend\r\n',
             b'Subject: no end\r\n\r\nno line end', b'Subject: empty\r\n\r\n',
             b'Subject: big\r\n\r\n' + b'.x' * 30 + b'\r\n' * 3 + (b'.line of text\r\n' * 20000)]
    for x in texts:
        append(n, x)
    c = login(n)
    t.equal(c.stat(), (4, sum(map(len, texts))))
    t.equal([l.split()[1] for l in c.list()[1]], [b'%d' % len(x) for x in texts])
    t.equal(c.list(2), b'+OK 2 %d' % len(texts[1]))
    for i, x in enumerate(texts, 1):
        r = c.retr(i)
        t.equal(b'\r\n'.join(r[1]) + b'\r\n', x if x.endswith(b'\n') else x + b'\r\n')
        t.equal(r[0], b'+OK %d octets' % len(x))
    t.equal(c.top(1, 0)[1], [b'Subject: one', b''])
    t.equal(c.top(1, 2)[1], [b'Subject: one', b'', b'.', b'..two'])
    t.equal(c.top(2, 99)[1], [b'Subject: no end', b'', b'no line end'])
    t.equal(c.noop(), b'+OK')
    t.true('no message 5' in raises(t, c.retr, 5), 'number too large')
    raises(t, c.retr, 0)
    raises(t, c.dele, 99999999999)
    raises(t, c.top, 1, -1)
    c.dele(1)
    t.true('deleted' in raises(t, c.retr, 1), 'RETR of a deleted one')
    t.equal(c.stat()[0], 3)
    t.equal([l.split()[0] for l in c.uidl()[1]], [b'2', b'3', b'4'])
    c.rset()
    t.equal(c.stat()[0], 4)
    c.dele(3)
    c.retr(2)
    t.equal(c.quit(), b'+OK Logging out, messages deleted.')
    t.equal(imap_flags(n), {1: set(), 2: {b'\\Seen'}, 4: set()})
    wait('the log line', 10, lambda: re.search(
        r'pop3\(alice\).*Disconnected: Logged out top=3/\d+, retr=5/\d+, del=1/4, size=%d' % sum(map(len, texts)),
        n.log()))
    wait('the login line', 10, lambda: re.search(
        r'pop3-login: Info: Login: user=<alice>, method=PLAIN, rip=127\.0\.0\.1, lip=127\.0\.0\.1, mpid=\d+', n.log()))


@case
def capabilities_tell_what_is_there(t):
    n = node(t)
    c = poplib.POP3(n.host, n.pop3, timeout=30)
    capa = c.capa()
    for x in ('TOP', 'UIDL', 'RESP-CODES', 'PIPELINING', 'AUTH-RESP-CODE', 'STLS', 'USER', 'IMPLEMENTATION'):
        t.true(x in capa, '%s in %r' % (x, capa))
    t.equal(capa['SASL'], ['PLAIN', 'LOGIN'])
    c.stls(context(t))
    t.true('STLS' not in c.capa(), 'no STLS under TLS')
    raises(t, c._shortcmd, 'STLS')
    c.user('alice')
    c.pass_(PASSWORD)
    capa = c.capa()
    t.true('TOP' in capa and 'UIDL' in capa and 'STLS' not in capa and 'SASL' not in capa, repr(capa))
    c.quit()


@case
def tls_on_its_own_port_and_curl(t):
    need('curl')
    n = node(t)
    append(n, b'Subject: one\r\n\r\nbody\r\n')
    c = poplib.POP3_SSL(n.host, n.pop3s, context=context(t), timeout=30)
    c.user('alice')
    c.pass_(PASSWORD)
    t.equal(c.retr(1)[1], [b'Subject: one', b'', b'body'])
    c.quit()
    for url in ('pop3://127.0.0.1:%d/1' % n.pop3, 'pop3s://127.0.0.1:%d/1' % n.pop3s):
        out = subprocess.run(['curl', '-sS', '--cacert', t.dir + '/cert.pem', '--ssl-reqd', '-u',
                              'alice:' + PASSWORD, url], capture_output=True, timeout=60)
        t.equal(out.stdout, b'Subject: one\r\n\r\nbody\r\n', out.stderr.decode())


@case
def sasl_plain_and_login(t):
    n = node(t)
    plain = base64.b64encode(('\0alice\0' + PASSWORD).encode()).decode()
    c = Raw(n)
    t.equal(c.ask('AUTH PLAIN ' + plain), '+OK Logged in.\r\n')
    c = Raw(n)
    t.equal(c.ask('auth plain'), '+ \r\n')
    t.equal(c.ask(plain), '+OK Logged in.\r\n')
    c = Raw(n)
    t.equal(c.ask('AUTH LOGIN'), '+ %s\r\n' % base64.b64encode(b'Username:').decode())
    t.equal(c.ask(base64.b64encode(b'alice').decode()), '+ %s\r\n' % base64.b64encode(b'Password:').decode())
    t.equal(c.ask(base64.b64encode(PASSWORD.encode()).decode()), '+OK Logged in.\r\n')
    c = Raw(n)
    c.ask('AUTH PLAIN')
    t.true(c.ask('*').startswith('-ERR Authentication aborted'), 'cancel')
    c.ask('AUTH PLAIN')
    t.true(c.ask('!!!').startswith('-ERR Invalid base64'), 'base64')
    t.true(c.ask('AUTH CRAM-MD5').startswith('-ERR Unsupported'), 'mechanism')
    wrong = base64.b64encode(b'\0alice\0wrong').decode()
    t.equal(c.ask('AUTH PLAIN ' + wrong), '-ERR [AUTH] Authentication failed.\r\n')
    t.equal(c.ask('PASS x'), '-ERR No username given.\r\n')
    t.equal(c.ask('USER alice'), '+OK\r\n')
    t.equal(c.ask('PASS wrong'), '-ERR [AUTH] Authentication failed.\r\n')
    t.equal(c.ask('QUIT'), '+OK Logging out\r\n')
    wait('the line for fail2ban', 10, lambda: re.search(
        r'pop3-login: Info: Disconnected: Logged out \(auth failed, 4 attempts in \d+ secs\): user=<alice>, '
        r'method=PLAIN, rip=127\.0\.0\.1, lip=127\.0\.0\.1', n.log()))


@case
def plaintext_needs_tls(t):
    """Seen from an address that is not the server's own."""
    n = t.node()
    n.settings.update({'protocols': PROTOCOLS, 'ssl': 'required'})
    n.start()
    s = socket.socket()
    s.bind(('127.0.0.77', 0))
    s.connect((n.host, n.pop3))
    s.settimeout(30)
    f = s.makefile('rb')
    f.readline()
    s.sendall(b'CAPA\r\n')
    capa = []
    while not capa or capa[-1] != b'.\r\n':
        capa.append(f.readline())
    t.true(b'USER\r\n' not in capa and not any(x.startswith(b'SASL') for x in capa), repr(capa))
    t.true(b'STLS\r\n' in capa, 'STLS')
    for line in (b'USER alice', b'AUTH PLAIN AGFsaWNlAHg='):
        s.sendall(line + b'\r\n')
        t.true(f.readline().startswith(b'-ERR [AUTH] Plaintext authentication disallowed'), line.decode())
    # What follows STLS in clear is not taken for a command under TLS.
    s.sendall(b'STLS\r\nUSER alice\r\n')
    t.true(f.readline().startswith(b'+OK'), 'STLS')
    tls = context(t).wrap_socket(s, server_hostname='127.0.0.1')
    tls.sendall(b'NOOP\r\n')
    t.equal(tls.recv(100), b'+OK\r\n')
    tls.sendall(b'USER alice\r\n')
    t.equal(tls.recv(100), b'+OK\r\n')
    tls.sendall(b'PASS %s\r\n' % PASSWORD.encode())
    t.equal(tls.recv(100), b'+OK Logged in.\r\n')


@case
def everything_pipelined_in_one_packet(t):
    n = node(t)
    for i in range(3):
        append(n, b'Subject: %d\r\n\r\nbody\r\n' % i)
    c = Raw(n)
    c.sock.sendall(b'USER alice\r\nPASS %s\r\nSTAT\r\nRETR 1\r\nDELE 2\r\nLIST\r\nQUIT\r\n' % PASSWORD.encode())
    out = c.file.read().decode()
    t.equal(out, '+OK\r\n+OK Logged in.\r\n+OK 3 60\r\n+OK 20 octets\r\nSubject: 0\r\n\r\nbody\r\n.\r\n'
                 '+OK Marked to be deleted.\r\n+OK 2 messages:\r\n1 20\r\n3 20\r\n.\r\n'
                 '+OK Logging out, messages deleted.\r\n')
    t.equal(imap_flags(n), {1: {b'\\Seen'}, 3: set()})


@case
def a_session_cut_before_quit_deletes_nothing(t):
    n = node(t)
    for i in range(3):
        append(n, b'Subject: %d\r\n\r\nbody\r\n' % i)
    c = login(n)
    c.dele(1)
    c.dele(2)
    c.sock.close()
    c.file.close()
    c = Raw(n)                             # ends its side only
    c.sock.sendall(b'USER alice\r\nPASS %s\r\nDELE 1\r\n' % PASSWORD.encode())
    c.sock.shutdown(socket.SHUT_WR)
    t.true(c.file.read().endswith(b'+OK Marked to be deleted.\r\n'), 'what came before is answered')
    c = login(n)                           # kicked
    c.dele(3)
    n.adm('kick', 'alice', check=True)
    t.true(c._getline()[0].startswith(b'-ERR [SYS/TEMP]'), 'kicked')
    wait('three ends', 10, lambda: n.log().count('Disconnected: ') >= 3)
    t.equal(sorted(imap_flags(n)), [1, 2, 3])


@case
def numbers_stay_whatever_others_do(t):
    n = node(t)
    for i in range(4):
        append(n, b'Subject: %d\r\n\r\nbody\r\n' % i)
    a, b = login(n), login(n)
    a.dele(1)
    a.dele(3)
    a.quit()
    append(n, b'Subject: new\r\n\r\nbody\r\n')
    t.equal(b.stat()[0], 4)
    t.true('expunged' in raises(t, b.retr, 1), 'RETR of one that is gone')
    t.true('expunged' in raises(t, b.top, 3, 0), 'TOP of one that is gone')
    t.equal(b.retr(4)[1][0], b'Subject: 3')
    b.dele(3)                              # gone already: no failure
    b.dele(4)
    t.equal(b.quit()[:3], b'+OK')
    t.equal(sorted(imap_flags(n)), [2, 5])


@case
def settings_of_pop3(t):
    n = node(t, pop3_lock_session='yes', pop3_no_flag_updates='yes', pop3_uidl_format='UID%u-%v',
             pop3_logout_format='bye %r of %m')
    append(n, b'Subject: one\r\n\r\nbody\r\n')
    a = login(n)
    t.true(re.fullmatch(rb'1 UID1-[1-9][0-9]*', a.uidl()[1][0]), repr(a.uidl()))
    t.true(raises(t, login, n).startswith('-ERR [IN-USE]'), 'the lock')
    login(n, 'bob').quit()
    a.retr(1)
    a.quit()
    t.equal(imap_flags(n), {1: set()})
    wait('the log line', 10, lambda: 'Disconnected: Logged out bye 1 of 1' in n.log())
    forms = {}
    for form in ('%08Xu%08Xv', '%v.%u', '%g'):
        n.settings.update(pop3_uidl_format=form, pop3_lock_session='no')
        n.write_conf()
        n.adm('reload', check=True)
        c = wait('login', 10, lambda: login(n))
        forms[form] = c.uidl()[1][0].split()[1].decode()
        t.equal(c.uidl(1).split()[2].decode(), forms[form])
        c.quit()
    v, u = forms['%v.%u'].split('.')
    t.equal(u, '1')
    t.equal(forms['%08Xu%08Xv'], '%08x%08x' % (1, int(v)))
    t.true(re.fullmatch('[0-9a-f]{32}', forms['%g']), forms['%g'])


@case
def a_protocol_left_out_closes_its_ports(t):
    n = node(t)
    c = login(n)
    n.settings['protocols'] = 'imap lmtp'
    n.write_conf()
    n.adm('reload', check=True)
    wait('port 110 is closed', 10, lambda: gone(n, n.pop3))
    wait('port 995 is closed', 10, lambda: gone(n, n.pop3s))
    t.equal(c.noop(), b'+OK')              # a session goes on
    c.quit()
    n.settings['protocols'] = PROTOCOLS
    n.write_conf()
    n.adm('reload', check=True)
    wait('it is back', 10, lambda: login(n)).quit()


@case
def bad_input_hurts_nobody(t):
    n = node(t)
    append(n, b'Subject: one\r\n\r\nbody\r\n')
    good = login(n)
    c = Raw(n)
    c.sock.sendall(b'x' * 200000 + b'\r\n')
    t.equal(c.line(), '-ERR Too long command line.\r\n')
    t.equal(c.ask('NOOP'), '+OK\r\n')
    t.equal(c.ask('RETR 1'), '-ERR Unknown command.\r\n')
    t.equal(c.ask('\0\1\2'), '-ERR Unknown command.\r\n')
    for _ in range(20):
        line = c.ask('rubbish')
        if 'Too many' in line:
            break
    t.true('Too many' in line, repr(line))
    c = Raw(n)
    c.ask('USER alice')
    c.ask('PASS ' + PASSWORD)
    c.sock.sendall(b'y' * 200000 + b'\n')
    t.equal(c.line(), '-ERR Too long command line.\r\n')
    for _ in range(18):
        t.true(c.ask('XYZZY 1 2 3').startswith('-ERR Unknown'), 'unknown')
    t.equal(c.ask('STAT'), '+OK 1 22\r\n')
    for _ in range(19):
        t.true(c.ask('LIST x').startswith('-ERR Invalid'), 'bad number')
    t.true('Too many' in c.ask('.'), 'the end')
    t.equal(good.stat(), (1, 22))
    good.quit()


@case
def slow_reader_and_many_messages(t):
    n = node(t)
    big = b'Subject: big\r\n\r\n' + b'0123456789abcdef\r\n' * 100000
    append(n, big)
    c = imaplib.IMAP4(n.host, n.imap)
    c.login('alice', PASSWORD)
    one = b'Subject: s\r\n\r\nx\r\n'
    c.send(b'm APPEND INBOX ' + b' '.join(b'{%d+}\r\n%s' % (len(one), one) for _ in range(900)) + b'\r\n')
    while not c.readline().startswith(b'm OK'):
        pass
    c.logout()
    slow = Raw(n)
    slow.ask('USER alice')
    slow.ask('PASS ' + PASSWORD)
    slow.sock.sendall(b'RETR 1\r\nLIST\r\nUIDL\r\n' * 5)
    other = login(n)                       # others are served meanwhile
    t.equal(len(other.list()[1]), 901)
    t.equal(len(set(l.split()[1] for l in other.uidl()[1])), 901)
    other.quit()
    for _ in range(5):
        t.equal(slow.line(), '+OK %d octets\r\n' % len(big))
        got = b''.join(iter(slow.file.readline, b'.\r\n'))
        t.equal(got == big, True)
        for _ in range(2):
            t.equal(slow.line()[:3], '+OK')
            t.equal(sum(1 for _ in iter(slow.file.readline, b'.\r\n')), 901)


def uidls(n):
    c = login(n)
    out = [x.split()[1] for x in c.uidl()[1]]
    c.quit()
    return out


@case
def uidls_are_equal_on_both_and_after_a_takeover(t):
    pair = t.pair(protocols=PROTOCOLS)
    for i in range(6):
        deliver(pair.nodes[i % 2], 'm%d' % i)
    pair.in_sync()
    before = wait('equal UIDLs', 20, lambda: len(uidls(pair.a)) == 6 and uidls(pair.a) == uidls(pair.b) and
                  uidls(pair.a))
    # Retrieved and deleted at each node, one of them through the other.
    for n in pair.nodes:
        c = login(n)
        c.retr(1)
        t.equal(len(c.top(2, 0)[1]) > 2, True)
        c.dele(1)
        c.quit()
    rest = before[2:]
    t.equal([uidls(n) for n in pair.nodes], [rest, rest])
    cut = [login(n) for n in pair.nodes]
    for c in cut:
        c.dele(1)                          # no QUIT ever follows
    pair.in_sync()
    pair.a.kill()
    t.equal(wait('node b serves', 60, lambda: uidls(pair.b)), rest)
    deliver(pair.b, 'alone')
    after = uidls(pair.b)
    t.equal(after[:4], rest)
    t.equal(len(set(after)), 5)
    pair.a.start()
    pair.in_sync()
    wait('UIDLs at a', 30, lambda: uidls(pair.a) == after)


@case
def quit_waits_for_both_copies_and_a_damaged_message_is_repaired(t):
    pair = t.pair(protocols=PROTOCOLS)
    for i in range(2):
        deliver(pair.a, 'm%d' % i)
    pair.in_sync()
    c = login(pair.a)
    want = c.retr(1)[1]
    c.dele(2)
    t.equal(c.quit()[:3], b'+OK')
    t.equal([sorted(imap_flags(n)) for n in pair.nodes], [[1], [1]])
    holder = pair.a if holds(pair.a, 'alice') else pair.b
    hits = [os.path.join(d, f) for d, _, fs in os.walk(holder.mail) for f in fs if f == 'u.1']
    os.unlink(hits[0])
    for n in pair.nodes:
        c = login(n)
        t.equal(c.retr(1)[1], want)
        c.quit()
    t.true(any('message file is missing' in n.log() for n in pair.nodes), 'the holder saw the damage')


@case
def quit_is_not_ok_while_the_second_copy_is_missing(t):
    pair = t.pair(protocols=PROTOCOLS, pair_degraded_flags='tempfail', pair_degraded_mailbox='tempfail')
    for i in range(2):
        deliver(pair.a, 'm%d' % i)
    pair.in_sync()
    hold(pair, pair.a, 'alice')
    c = login(pair.a)
    c.dele(1)
    c.sock.settimeout(60)
    pair.b.signal(signal.SIGSTOP)
    said = raises(t, c.quit)               # no reply reads as "-ERR EOF"
    t.true('SYS/TEMP' in said or 'EOF' in said, said)
    pair.b.signal(signal.SIGCONT)
    pair.in_sync()
    wait('equal on both', 30, lambda: uidls(pair.a) == uidls(pair.b))
    t.true(sorted(imap_flags(pair.a)) in ([2], [1, 2]), 'whole or not at all')


@case
def who_and_limits_count_by_protocol(t):
    n = node(t, mail_max_userip_connections='2')
    a, b = login(n), login(n)
    t.true(raises(t, login, n).startswith('-ERR [SYS/TEMP] Maximum number of connections'), 'the limit')
    i = imaplib.IMAP4(n.host, n.imap)
    i.login('alice', PASSWORD)
    who = n.adm('who', 'alice', check=True)[1]
    t.true('pop3' in who and 'imap' in who, who)
    i.logout()
    a.quit()
    wait('room again', 10, lambda: login(n)).quit()
    b.quit()


main(__file__)
