#!/usr/bin/env python3
"""Mail transfer agents and two-way clients against a pair: Postfix over the
socket and over TCP to both nodes, swaks, curl, msmtp, mbsync."""
import imaplib
import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys

from duet_e2e import PASSWORD, Skip, case, free_ports, main, need, wait
from load import connect, contents, message

signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))      # Postfix is stopped as well


def subjects(node, user):
    """[Subject] of the INBOX."""
    c = connect(node, user, PASSWORD)
    c.select('INBOX', readonly=True)
    ok, data = c.fetch('1:*', '(BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
    c.logout()
    return [part[1].decode().partition(':')[2].strip() for part in data if isinstance(part, tuple)]


class Postfix:
    """An instance of its own below the test's directory; the system's is not touched."""

    MASTER = ('smtpd', 'pickup', 'cleanup', 'qmgr', 'rewrite', 'bounce', 'defer', 'trace', 'verify', 'flush',
              'proxymap', 'proxywrite', 'smtp', 'relay', 'showq', 'error', 'retry', 'discard', 'local', 'virtual',
              'lmtp', 'anvil', 'scache', 'postlog', 'tlsmgr')
    PROGRAMS = {'rewrite': 'trivial-rewrite', 'defer': 'bounce', 'trace': 'bounce', 'proxywrite': 'proxymap',
                'relay': 'smtp', 'retry': 'error', 'postlog': 'postlogd'}

    def __init__(self, t, transport, **settings):
        if os.getuid():
            raise Skip('Postfix needs root')
        need('postfix', 'postqueue', 'postconf')
        self.test, self.port = t, free_ports(1)[0]
        self.dir = os.path.join(t.dir, 'postfix')
        self.etc, self.spool, self.data = (os.path.join(self.dir, d) for d in ('etc', 'spool', 'data'))
        for d in (self.dir, self.etc, self.spool, self.data):
            os.mkdir(d)
            os.chmod(d, 0o755)
        shutil.chown(self.data, 'postfix', 'root')
        s = {
            'compatibility_level': '3.6', 'queue_directory': self.spool, 'data_directory': self.data,
            'maillog_file': self.dir + '/mail.log', 'maillog_file_prefixes': self.dir,
            'myhostname': 'mta.test.example', 'mydestination': '', 'mynetworks': '127.0.0.0/8',
            'inet_interfaces': '127.0.0.1', 'inet_protocols': 'ipv4', 'alias_maps': '', 'alias_database': '',
            'local_recipient_maps': '', 'virtual_mailbox_domains': 'test.example', 'virtual_transport': transport,
            'default_transport': 'error:no mail leaves this test', 'minimal_backoff_time': '1s',
            'maximal_backoff_time': '2s', 'queue_run_delay': '1s', 'lmtp_destination_concurrency_limit': '4',
            'lmtp_connect_timeout': '10s', 'biff': 'no', 'smtpd_relay_restrictions': 'permit_mynetworks, reject',
        }
        s.update(settings)
        with open(self.etc + '/main.cf', 'w') as f:
            f.writelines('%s = %s\n' % kv for kv in s.items())
        with open(self.etc + '/master.cf', 'w') as f:
            for name in self.MASTER:
                where = {'smtpd': '127.0.0.1:%d inet' % self.port, 'postlog': 'postlog unix-dgram'}.get(
                    name, name + ' unix')
                public = name in ('smtpd', 'pickup', 'cleanup', 'qmgr', 'flush', 'showq', 'postlog')
                wakeup = {'pickup': '1', 'qmgr': '1', 'flush': '1000?', 'tlsmgr': '1000?'}.get(name, '-')
                limit = {'pickup': '1', 'qmgr': '1', 'rewrite': '-', 'bounce': '0', 'defer': '0', 'trace': '0',
                         'verify': '1', 'flush': '0', 'cleanup': '0', 'proxywrite': '1', 'anvil': '1',
                         'scache': '1', 'postlog': '1', 'tlsmgr': '1'}.get(name, '-')
                privileged = name in ('local', 'virtual')
                f.write('%s %s %s n %s %s %s\n' % (where, 'n' if public else '-', 'n' if privileged else '-', wakeup,
                                                   limit, self.PROGRAMS.get(name, name)))
        t.cleanups.append(self.stop)
        self.run('postfix', 'start')

    def run(self, program, *args):
        r = subprocess.run([program, '-c', self.etc] + list(args), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, text=True, timeout=60)
        if r.returncode:
            raise AssertionError('%s %s: %s %s' % (program, args, r.stdout, self.log()))
        return r.stdout

    def stop(self):
        subprocess.run(['postfix', '-c', self.etc, 'stop'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=60)

    def log(self):
        try:
            with open(self.dir + '/mail.log') as f:
                return f.read()
        except OSError:
            return ''

    def queued(self):
        return self.run('postqueue', '-j').count('"queue_id"')

    def flush(self):
        self.run('postqueue', '-f')

    def send(self, ident, *users, sender='s@test.example'):
        with smtplib.SMTP('127.0.0.1', self.port, timeout=60) as c:
            c.sendmail(sender, [u + '@test.example' for u in users], message(ident, users[0]))

    def emptied(self, seconds=60):
        def empty():
            if self.queued() == 0:
                return True
            self.flush()
            return False
        try:
            wait('the queue of Postfix is empty', seconds, empty, 0.3)
        except AssertionError:
            print('\n'.join(self.log().splitlines()[-40:]))
            raise


@case
def postfix_delivers_over_the_socket_and_bounces_unknown_users(t):
    pair = t.pair()
    p = Postfix(t, 'lmtp:unix:%s/run/lmtp' % pair.a.dir)
    for i in range(5):
        p.send('m%d' % i, 'alice', 'bob')
    p.send('lost', 'nobody', sender='carol@test.example')
    p.emptied()
    for n in pair.nodes:
        for u in ('alice', 'bob'):
            t.equal(sorted(subjects(n, u)), ['m%d' % i for i in range(5)], '%s at %s' % (u, n.name))
    wait('the bounce', 30, lambda: subjects(pair.b, 'carol') == ['Undelivered Mail Returned to Sender'])
    log = p.log()
    t.true(re.search(r'to=<alice@test.example>.*dsn=2.0.0, status=sent \(250 2.0.0 <alice@test.example>.* Saved\)', log),
           log[-2000:])
    t.true(re.search(r"to=<nobody@test.example>.*dsn=5.1.1, status=bounced .*550 5.1.1", log), log[-2000:])


@case
def postfix_over_tcp_uses_the_other_node_and_delivers_once(t):
    pair = t.pair()
    p = Postfix(t, 'lmtp:inet:[127.0.0.1]:%d, [127.0.0.1]:%d' % (pair.a.lmtp, pair.b.lmtp),
                lmtp_tls_security_level='encrypt', lmtp_tls_loglevel='1')
    p.send('both', 'alice')
    p.emptied()
    pair.a.stop()
    for i in range(5):
        p.send('without-a-%d' % i, 'alice', 'bob')
    wait('mail arrives at B', 60, lambda: len(subjects(pair.b, 'alice')) == 6)
    p.emptied()
    t.true('status=deferred' not in p.log(), 'mail was deferred although B was there: ' + p.log()[-1500:])
    pair.b.stop()
    for i in range(5):
        p.send('without-both-%d' % i, 'alice')
    wait('it is deferred', 60, lambda: p.log().count('status=deferred') >= 5)
    t.equal(p.queued(), 5)
    for n in pair.nodes:
        n.start(wait_ready=False)
    for n in pair.nodes:
        wait('node %s answers' % n.name, 60, n.answers)
    p.emptied(90)
    pair.in_sync()
    want = ['both'] + ['without-%s-%d' % (w, i) for w in ('a', 'both') for i in range(5)]
    for n in pair.nodes:
        t.equal(sorted(subjects(n, 'alice')), sorted(want), 'alice at ' + n.name)
        t.equal(sorted(subjects(n, 'bob')), ['without-a-%d' % i for i in range(5)], 'bob at ' + n.name)
    t.true('status=bounced' not in p.log(), p.log()[-1500:])
    t.true('TLS connection established to 127.0.0.1' in p.log(), 'no TLS')


@case
def swaks_delivers_over_the_socket_tcp_and_tls(t):
    need('swaks')
    pair = t.pair()

    def swaks(subject, *args, code=0, to='alice'):
        r = subprocess.run(['swaks', '--protocol', 'LMTP', '--from', 's@test.example', '--to', to + '@test.example',
                            '--helo', 'swaks.test.example', '--header', 'Subject: ' + subject] + list(args),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        t.equal(r.returncode, code, r.stdout)
        return r.stdout

    out = swaks('socket', '--socket', pair.a.dir + '/run/lmtp')
    t.true(re.search(r'<-  250 2\.0\.0 <alice@test\.example> .*Saved', out), out)
    swaks('tcp', '--server', pair.b.host, '--port', str(pair.b.lmtp))
    if subprocess.run(['perl', '-MNet::SSLeay', '-e', '1'], stderr=subprocess.DEVNULL).returncode == 0:
        out = swaks('tls', '--server', pair.b.host, '--port', str(pair.b.lmtp), '-tls')
        t.true('TLSv1.' in out, out)
    else:
        print('swaks has no TLS here (libnet-ssleay-perl): that part is skipped')
        swaks('tls', '--server', pair.b.host, '--port', str(pair.b.lmtp))
    out = swaks('nobody', '--server', pair.a.host, '--port', str(pair.a.lmtp), to='nobody', code=24)
    t.true('550 5.1.1' in out, out)
    for n in pair.nodes:
        t.equal(sorted(subjects(n, 'alice')), ['socket', 'tcp', 'tls'], 'alice at ' + n.name)


@case
def msmtp_delivers_by_lmtp_with_starttls(t):
    need('msmtp')
    pair = t.pair()
    for n in pair.nodes:
        r = subprocess.run(['msmtp', '-C', '/dev/null', '--protocol=lmtp', '--host=' + n.host, '--port=%d' % n.lmtp,
                            '--tls=on', '--tls-starttls=on', '--tls-trust-file=%s/cert.pem' % t.dir,
                            '--tls-certcheck=off', '--auth=off', '--from=s@test.example', 'alice@test.example'],
                           input=message('at-' + n.name, 'alice'), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=60)
        t.equal(r.returncode, 0, r.stdout.decode())
    for n in pair.nodes:
        t.equal(sorted(subjects(n, 'alice')), ['at-a', 'at-b'], 'alice at ' + n.name)


@case
def curl_uploads_at_one_node_and_reads_at_the_other(t):
    need('curl')
    pair = t.pair()

    def curl(node, path, *args):
        r = subprocess.run(['curl', '-sS', '-k', '--login-options', 'AUTH=PLAIN', '-u', 'alice:' + PASSWORD,
                            'imaps://%s:%d/%s' % (node.host, node.imaps, path)] + list(args),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        t.equal(r.returncode, 0, r.stderr.decode())
        return r.stdout

    path = os.path.join(t.dir, 'mail')
    for i, (n, other) in enumerate((pair.nodes, pair.nodes[::-1])):
        with open(path, 'wb') as f:
            f.write(message('up%d' % i, 'alice'))
        curl(n, 'INBOX', '-T', path)
        t.true(b'Subject: up%d\r\n' % i in curl(other, 'INBOX;MAILINDEX=%d' % (i + 1)), 'read at ' + other.name)


@case
def mbsync_syncs_two_ways_with_both_nodes_in_turn(t):
    need('mbsync')
    pair = t.pair()
    local = os.path.join(t.dir, 'local')
    os.makedirs(local)
    rc = os.path.join(t.dir, 'mbsyncrc')

    def sync(node):
        with open(rc, 'w') as f:
            f.write('\n'.join([
                'IMAPAccount duet', 'Host localhost', 'Port %d' % node.imaps, 'User alice', 'Pass "%s"' % PASSWORD,
                'SSLType IMAPS', 'CertificateFile %s/cert.pem' % t.dir, 'AuthMechs PLAIN LOGIN', '',
                'IMAPStore far', 'Account duet', '', 'MaildirStore near', 'Path %s/' % local,
                'Inbox %s/INBOX' % local, 'SubFolders Verbatim', '', 'Channel all', 'Far :far:', 'Near :near:',
                'Patterns *', 'Create Both', 'Remove Both', 'Expunge Both', 'SyncState *']) + '\n')
        r = subprocess.run(['mbsync', '-c', rc, '-a'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90,
                           env=dict(os.environ, HOME=t.dir))
        t.equal(r.returncode, 0, 'mbsync at %s: %s' % (node.name, r.stdout.decode()))

    def files(box='INBOX'):
        """{Message-ID: path}"""
        out = {}
        for d in ('cur', 'new'):
            for name in os.listdir(os.path.join(local, box, d)):
                path = os.path.join(local, box, d, name)
                with open(path) as f:
                    found = re.findall(r'^Message-ID: <(.*)@', f.read(), re.M)
                t.true(found[0] not in out, found[0] + ' is there twice')
                out[found[0]] = path
        return out

    def far(box='INBOX'):
        """{Message-ID: flags}, equal at both nodes."""
        got = [{v[0]: set(v[1]) for v in contents(n, 'alice', PASSWORD, box)[0].values()} for n in pair.nodes]
        t.equal(got[0], got[1], box)
        return got[0]

    def mark(ident, flags):
        path = files()[ident]
        base = os.path.basename(path).partition(':')[0]
        os.rename(path, os.path.join(local, 'INBOX/cur', base + ':2,' + flags))

    def add(ident):
        with open(os.path.join(local, 'INBOX/new', '1.%s.local' % ident), 'w') as f:
            f.write(message(ident, 'alice').decode().replace('\r\n', '\n'))

    for i in range(6):
        n = pair.nodes[i % 2]
        with smtplib.LMTP(n.host, n.lmtp) as c:
            c.sendmail('s@test.example', ['alice@test.example'], message('m%d' % i, 'alice'))
    sync(pair.a)
    t.equal(sorted(files()), ['m%d' % i for i in range(6)])
    for k in range(4):                     # each round: near and far change, then the other node is synced with
        here, other = pair.nodes[k % 2], pair.nodes[1 - k % 2]
        c = connect(other, 'alice', PASSWORD)
        c.select('INBOX')
        uid = c.uid('SEARCH', 'HEADER', 'Message-ID', 'm%d@' % k)[1][0].decode()
        t.equal(c.uid('STORE', uid, '+FLAGS', '(\\Flagged)')[0], 'OK')
        t.equal(c.create('Box%d' % k)[0], 'OK')
        t.equal(c.append('Box%d' % k, None, None, message('in-box%d' % k, 'alice'))[0], 'OK')
        c.logout()
        mark('m%d' % ((k + 1) % 4), 'RS')
        add('new%d' % k)
        sync(here)
        t.true('\\Flagged' in far()['m%d' % k], 'flag set at %s' % other.name)
        t.true({'\\Answered', '\\Seen'} <= far()['m%d' % ((k + 1) % 4)], 'flags set near')
        t.true('F' in files()['m%d' % k].partition(':2,')[2], 'the flag came near')
        t.equal(sorted(files('Box%d' % k)), ['in-box%d' % k])
    c = connect(pair.b, 'alice', PASSWORD)
    c.select('INBOX')
    uid = c.uid('SEARCH', 'HEADER', 'Message-ID', 'm4@')[1][0].decode()
    c.uid('STORE', uid, '+FLAGS', '\\Deleted')
    t.equal(c.uid('EXPUNGE', uid)[0], 'OK')
    c.logout()
    os.unlink(files()['m5'])
    sync(pair.a)
    sync(pair.b)
    want = ['m%d' % i for i in range(4)] + ['new%d' % i for i in range(4)]
    t.equal(sorted(far()), want)
    t.equal(sorted(files()), want)


main(__file__)
