"""Nodes and pairs for end-to-end tests, on loopback, in a directory of their own.

    from duet_e2e import Pair, case, main

    @case
    def delivered_on_a_is_seen_on_b(t):
        pair = t.pair()
        …
        t.equal(seen, wanted)

    main(__file__)

A case gets a fresh Test; what it started is ended by pid afterwards, and when it
failed the nodes' logs are shown.  Environment: BUILDDIR (where duetd is), SRCDIR,
DUET_LONG=yes.  The last line is "NAME: N passed, M failed, K skipped".
"""
import grp
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.environ.get('SRCDIR') or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get('BUILDDIR') or os.environ.get('DUET_BUILD') or os.path.join(SRC, 'build/check')
LONG = os.environ.get('DUET_LONG') == 'yes'
PASSWORD = 'correct horse'
USERS = ('alice', 'bob', 'carol')
CASES = []


class Skip(Exception):
    pass


def case(f):
    CASES.append(f)
    return f


def free_ports(n):
    """Ports that nobody listens on now; held together until all are known."""
    socks = []
    for _ in range(n):
        s = socket.socket()
        s.bind(('127.0.0.1', 0))
        socks.append(s)
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


def wait(what, seconds, condition, pause=0.05):
    """Polls until condition() is true; its last value or exception is shown."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            last = condition()
            if last:
                return last
        except Exception as e:             # noqa: the condition decides
            last = e
        if time.monotonic() > end:
            raise AssertionError('%s: not within %d s; last: %r' % (what, seconds, last))
        time.sleep(pause)


class Node:
    """One node: its files below `dir`, its supervisor as a child process."""

    def __init__(self, test, name, dir, host='127.0.0.1', ports=None, netns=None, link_host=None):
        self.test, self.name, self.dir, self.host, self.netns = test, name, dir, host, netns
        self.link_host = link_host or host  # where the partner finds it
        self.imap, self.imaps, self.lmtp, self.link = (ports or free_ports(4))[:4]
        self.pop3, self.pop3s = free_ports(2)  # listen with settings['protocols'] = '… pop3'
        self.partner = None
        self.program = os.path.join(BUILD, 'duetd')
        self.proc = None
        self.extra = ''                    # appended to the configuration
        self.settings = {}                 # name -> value, replaces defaults
        self.conf = os.path.join(dir, 'duet.conf')
        self.logfile = os.path.join(dir, 'duet.log')
        self.mail = os.path.join(dir, 'mail')
        self.secret = 'pair secret of the test'
        os.makedirs(dir, exist_ok=True)
        os.chmod(dir, 0o755)
        self.make_mail()

    def make_mail(self):
        """The mail root, empty."""
        os.makedirs(self.mail, exist_ok=True)
        os.chmod(self.mail, 0o700)
        if self.test.root:
            v = pwd.getpwnam('vmail')
            os.chown(self.mail, v.pw_uid, v.pw_gid)

    def write_conf(self):
        owner = 'vmail' if self.test.root else pwd.getpwuid(os.getuid()).pw_name
        group = grp.getgrgid(pwd.getpwnam(owner).pw_gid).gr_name
        s = {
            'base_dir': self.dir + '/run', 'state_dir': self.dir + '/state',
            'instance_name': 'duet-' + self.name, 'log_path': self.logfile,
            'listen': ' '.join(sorted({self.host, self.link_host})), 'protocols': 'imap lmtp',
            'hostname': 'node-%s.test.example' % self.name,
            'mail_location': 'sdbox:%s/%%n/' % self.mail,
            'mail_uid': owner, 'mail_gid': group, 'first_valid_uid': '0' if owner == 'root' else '1',
            'auth_username_format': '%Ln', 'disable_plaintext_auth': 'yes',
            'auth_failure_delay': '0',
            'ssl_cert': '<%s/cert.pem' % self.test.dir, 'ssl_key': '<%s/key.pem' % self.test.dir,
            'mail_max_userip_connections': '100',
            'pair_store_processes': '1', 'pair_front_processes': '1',
        }
        if self.partner:
            s.update({'doveadm_password': self.secret, 'pair_takeover_delay': '3 secs',
                      'pair_start_window': '5 secs', 'pair_ack_timeout': '3 secs'})
        s.update(self.settings)
        lines = ['%s = %s' % kv for kv in s.items() if kv[1] is not None]
        lines += ['passdb {', '  driver = passwd-file', '  args = %s/users' % self.test.dir, '}',
                  'userdb {', '  driver = static', '  args = home=%s/%%n' % self.mail, '}']
        for service, listeners in (('imap-login', (('imap', self.imap), ('imaps', self.imaps))),
                                   ('pop3-login', (('pop3', self.pop3), ('pop3s', self.pop3s))),
                                   ('lmtp', (('lmtp', self.lmtp),))):
            lines.append('service %s {' % service)
            for name, port in listeners:
                lines += ['  inet_listener %s {' % name, '    port = %d' % port, '  }']
            lines.append('}')
        if self.partner:
            lines += ['service doveadm {', '  inet_listener {', '    port = %d' % self.link, '  }', '}',
                      'mail_plugins = $mail_plugins notify replication', 'plugin {',
                      '  mail_replica = tcp:%s:%d' % (self.partner.link_host, self.partner.link), '}']
        with open(self.conf, 'w') as f:
            f.write('\n'.join(lines) + '\n' + self.extra)
        os.chmod(self.conf, 0o600)

    def start(self, wait_ready=True):
        self.write_conf()
        cmd = [self.program, '-F', '-c', self.conf]
        if self.netns:
            cmd = ['ip', 'netns', 'exec', self.netns] + cmd
        out = open(os.path.join(self.dir, 'console.log'), 'a')
        self.proc = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        out.close()
        if wait_ready:
            wait('node %s answers' % self.name, 30, self.answers)
        return self

    def answers(self):
        if self.proc.poll() is not None:
            raise AssertionError('node %s ended with %d' % (self.name, self.proc.returncode))
        for port in (self.lmtp, self.imap, self.imaps):
            socket.create_connection((self.host, port), 5).close()
        return True

    def children(self):
        """{role: [pid]} of the processes of this node."""
        roles = {}
        for pid in self.pids():
            try:
                args = open('/proc/%d/cmdline' % pid).read().split('\0')
            except OSError:
                continue
            role = args[args.index('--role') + 1] if '--role' in args else 'supervisor'
            roles.setdefault(role, []).append(pid)
        return roles

    def pids(self):
        if not self.proc:
            return []
        todo, out = [self.proc.pid], []
        while todo:
            pid = todo.pop()
            out.append(pid)
            try:
                for t in os.listdir('/proc/%d/task' % pid):
                    todo += map(int, open('/proc/%d/task/%s/children' % (pid, t)).read().split())
            except OSError:
                pass
        return out

    def kill(self):
        """SIGKILL to the whole node, as a power cut without the disk."""
        pids = self.pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if self.proc:
            self.proc.wait()
            # A dying child still holds the listening sockets for a moment.
            wait('processes of node %s are gone' % self.name, 20,
                 lambda: not any(running(p) for p in pids), 0.01)
        self.proc = None

    def signal(self, sig, role=None):
        for r, pids in self.children().items():
            if role is None or r == role:
                for pid in pids:
                    os.kill(pid, sig)

    def stop(self, seconds=40):
        if not self.proc:
            return 0
        self.proc.terminate()
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError('node %s did not stop in %d s' % (self.name, seconds))
        finally:
            self.proc = None

    def adm(self, *args, check=False, input=None):
        """duetadm on this node: (exit status, stdout, stderr)."""
        r = subprocess.run([os.path.join(BUILD, 'duetadm'), '-c', self.conf] + list(args), text=True,
                           input=input, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=90)
        if check and r.returncode:
            raise AssertionError('duetadm %s: exit %d: %s' % (' '.join(args), r.returncode, r.stderr))
        return r.returncode, r.stdout, r.stderr

    def log(self):
        try:
            return open(self.logfile, errors='replace').read()
        except OSError:
            return ''

    def run(self, *cmd):
        return subprocess.run((['ip', 'netns', 'exec', self.netns] if self.netns else []) + list(cmd),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE).returncode == 0


def shows_sync(node):
    """SINGLE exits 0 as well: a node that has not met its partner yet."""
    code, out, _ = node.adm('pair', 'status')
    return code == 0 and out.split()[:2] == ['State', 'SYNC']


class Pair:
    def __init__(self, a, b):
        self.a, self.b, self.nodes = a, b, (a, b)
        a.partner, b.partner = b, a

    def start(self):
        for n in self.nodes:
            n.start(wait_ready=False)
        for n in self.nodes:
            wait('node %s answers' % n.name, 30, n.answers)
        return self.in_sync()

    def in_sync(self, seconds=60):
        for n in self.nodes:
            wait('node %s shows SYNC' % n.name, seconds, lambda: shows_sync(n), 0.1)
        return self


class Test:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='duet-e2e-')
        os.chmod(self.dir, 0o755)
        self.root = os.getuid() == 0 and have_users()
        self.nodes, self.cleanups, self.procs = [], [], []
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
                        '-nodes', '-days', '30', '-subj', '/CN=localhost', '-addext',
                        'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', self.dir + '/key.pem',
                        '-out', self.dir + '/cert.pem'], check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.dir + '/key.pem', 0o600)
        self.write_users(USERS)

    def write_users(self, users):
        with open(self.dir + '/users', 'w') as f:
            f.writelines('%s:{PLAIN}%s::::::\n' % (u, PASSWORD) for u in users)
        os.chmod(self.dir + '/users', 0o644)

    def node(self, name='a', **kw):
        n = Node(self, name, os.path.join(self.dir, name), **kw)
        self.nodes.append(n)
        return n

    def pair(self, start=True, **settings):
        p = Pair(self.node('a'), self.node('b'))
        for n in p.nodes:
            n.settings.update(settings)
        return p.start() if start else p

    def spawn(self, *cmd, **kw):
        p = subprocess.Popen(list(cmd), **kw)
        self.procs.append(p)
        return p

    def equal(self, got, want, what=''):
        if got != want:
            raise AssertionError('%s: got %r, expected %r' % (what or 'values differ', got, want))

    def true(self, value, what):
        if not value:
            raise AssertionError(what)

    def close(self, failed):
        for f in reversed(self.cleanups):
            f()
        for p in self.procs:
            if p.poll() is None:
                p.kill()
                p.wait()
        for n in self.nodes:
            n.kill()
        if failed:
            for n in self.nodes:
                for name in ('console.log', 'duet.log'):
                    path = os.path.join(n.dir, name)
                    if os.path.exists(path):
                        print('--- %s of node %s' % (name, n.name))
                        print(''.join(open(path, errors='replace').readlines()[-60:]))
        if not (failed and os.environ.get('DUET_KEEP')):
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print('kept:', self.dir)


def running(pid):
    try:
        return open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def have_users():
    """A root start needs the three system users; the test makes them."""
    for u in ('duet', 'duetnull', 'vmail'):
        try:
            pwd.getpwnam(u)
        except KeyError:
            if subprocess.run(['useradd', '--system', '--user-group', '--no-create-home', '--home-dir',
                               '/nonexistent', '--shell', '/usr/sbin/nologin', u]).returncode:
                return False
    return True


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            raise Skip('%s is not installed' % p)


def main(path):
    name = os.path.basename(path)
    wanted = [a for a in sys.argv[1:] if not a.startswith('-')]
    passed = failed = skipped = 0
    for f in CASES:
        if wanted and f.__name__ not in wanted:
            continue
        t, bad, began = Test(), True, time.monotonic()
        try:
            f(t)
            bad = False
            passed += 1
            print('ok    %s (%.1f s)' % (f.__name__, time.monotonic() - began))
        except Skip as e:
            bad = False
            skipped += 1
            print('skip  %s: %s' % (f.__name__, e))
        except Exception:
            failed += 1
            print('FAIL  %s' % f.__name__)
            traceback.print_exc(file=sys.stdout)
        finally:
            t.close(bad)
        sys.stdout.flush()
    print('%s: %d passed, %d failed, %d skipped' % (name, passed, failed, skipped))
    sys.exit(1 if failed else 77 if skipped and not passed else 0)
