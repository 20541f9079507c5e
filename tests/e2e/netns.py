"""A pair in network namespaces, and a link between its nodes that can fail.

    net = Net(t)                # Skip without root
    pair = net.pair()
    net.cut()                   # every packet of the pair link is dropped
    net.join()

                  client network                       pair network
    test process  10.77.1.1 ── 10.77.1.2  node a  10.77.3.1 ──┐
                  10.77.2.1 ── 10.77.2.2  node b  10.77.3.2 ──┘

The test process itself moves to a namespace without a name, so nothing of this
touches the machine's own network.  The nodes' namespaces have names with the
process id of the test; close() removes them, and what a test left that was
killed is removed by the next one.

A cut is silent, as a broken switch is: the neighbours get a hardware address
that nobody has; no reset, no "unreachable".  Net(t, wire=True) puts a program
between the nodes (wire.py) that delays, loses and paces packets.
"""
import ctypes
import os
import re
import subprocess
import sys

import duet_e2e
from duet_e2e import PASSWORD, Node, Pair, Skip, wait
from load import connect

CLONE_NEWNET = 0x40000000
NOBODY = '02:00:00:00:00:99'
HOSTS = {'a': ('10.77.1.2', '10.77.3.1'), 'b': ('10.77.2.2', '10.77.3.2')}
WIRE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'wire.py')


def ip(*args, netns=None, check=True):
    cmd = ['ip'] + (['-n', netns] if netns else []) + list(args)
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if check and r.returncode:
        raise AssertionError('%s: %s' % (' '.join(cmd), r.stderr.strip()))
    return r.stdout


def remove_stale():
    for name in re.findall(r'^duet-e2e-(\d+)-([ab])\b', ip('netns', 'list'), re.M):
        if not duet_e2e.running(int(name[0])):
            ip('netns', 'del', 'duet-e2e-%s-%s' % name, check=False)


class Net:
    def __init__(self, t, wire=False):
        if not t.root:
            raise Skip('network namespaces need root')
        self.test, self.wire, self.names = t, None, {}
        self.is_cut = False
        remove_stale()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNET):
            raise Skip('no network namespaces: %s' % os.strerror(ctypes.get_errno()))
        t.cleanups.append(self.close)
        ip('link', 'set', 'lo', 'up')
        for i, n in enumerate('ab'):
            self.names[n] = name = 'duet-e2e-%d-%s' % (os.getpid(), n)
            ip('netns', 'add', name)
            ip('link', 'set', 'lo', 'up', netns=name)
            ip('link', 'add', 'to-' + n, 'type', 'veth', 'peer', 'name', 'client', 'netns', name)
            ip('addr', 'add', '10.77.%d.1/24' % (i + 1), 'dev', 'to-' + n)
            ip('link', 'set', 'to-' + n, 'up')
            ip('addr', 'add', HOSTS[n][0] + '/24', 'dev', 'client', netns=name)
            ip('link', 'set', 'client', 'up', netns=name)
        if wire:
            self.make_wire()
        else:
            ip('link', 'add', 'pair', 'netns', self.names['a'], 'type', 'veth',
               'peer', 'name', 'pair', 'netns', self.names['b'])
        for n, name in self.names.items():
            ip('addr', 'add', HOSTS[n][1] + '/24', 'dev', 'pair', netns=name)
            ip('link', 'set', 'pair', 'up', netns=name)

    def make_wire(self):
        if not os.path.exists('/dev/net/tun'):
            raise Skip('no /dev/net/tun')
        self.wire = self.test.spawn(sys.executable, WIRE, *self.names.values(), stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True, bufsize=1)
        if self.wire.stdout.readline() != 'ready\n':
            raise AssertionError('the wire did not start')

    def shape(self, **to):
        """delay (seconds), loss (0…1), rate (bits a second); of both ways, or
        of one with towards='a' or 'b'."""
        self.wire.stdin.write(' '.join('%s=%s' % kv for kv in to.items()) + '\n')
        if self.wire.stdout.readline() != 'done\n':
            raise AssertionError('the wire is gone')

    def pair(self, start=True, **settings):
        nodes = [self.test.node(n, host=HOSTS[n][0], link_host=HOSTS[n][1], netns=name, ports=(143, 993, 24, 12345))
                 for n, name in self.names.items()]
        for n in nodes:
            n.settings.update(settings)
        p = Pair(*nodes)
        return p.start() if start else p

    def address(self, n, dev='pair'):
        return ip('-o', 'link', 'show', dev, netns=self.names[n]).split('link/ether ')[1].split()[0]

    def cut(self, ways='ab'):
        """Drops what leaves the nodes named."""
        for n in ways:
            other = 'b' if n == 'a' else 'a'
            ip('neigh', 'replace', HOSTS[other][1], 'lladdr', NOBODY, 'dev', 'pair', 'nud', 'permanent',
               netns=self.names[n])

    def join(self):
        for n in 'ab':
            other = 'b' if n == 'a' else 'a'
            ip('neigh', 'replace', HOSTS[other][1], 'lladdr', self.address(other), 'dev', 'pair', 'nud', 'permanent',
               netns=self.names[n])

    def close(self):
        for name in self.names.values():
            ip('netns', 'del', name, check=False)


# ---- what a node itself has: read there while it holds the account -----------------------------

def row(node, user):
    """{column: value} of `pair status USER`."""
    code, out, err = node.adm('-f', 'tab', 'pair', 'status', user)
    lines = out.splitlines()
    if len(lines) != 2:
        raise AssertionError('pair status %s at %s: %r %r' % (user, node.name, out, err))
    return dict(zip(lines[0].split('\t'), lines[1].split('\t')))


def status(node):
    """(exit code, {field: value}) of `pair status`."""
    code, out, _ = node.adm('-f', 'tab', 'pair', 'status')
    return code, dict(l.split('\t', 1) for l in out.splitlines() if '\t' in l)


def holds(node, user):
    return row(node, user)['holder'] == 'here'


def hold(pair, node, user):
    """Makes the node the holder of the account, in order."""
    other = pair.b if node is pair.a else pair.a

    def here():
        if holds(node, user):
            return True
        other.adm('pair', 'switchover', user)
        return holds(node, user)
    wait('%s is held at %s' % (user, node.name), 30, here, 0.2)


def read_all(node, user, mailbox='INBOX'):
    """Everything that has to be equal: (uidvalidity, uidnext, highestmodseq) and
    {uid: (modseq, emailid, flags, octets)}."""
    c = connect(node, user, PASSWORD)
    c.enable('CONDSTORE')
    c.select(mailbox, readonly=True)
    head = tuple(c.response(k)[1][0].decode() for k in ('UIDVALIDITY', 'UIDNEXT', 'HIGHESTMODSEQ'))
    ok, data = c.uid('FETCH', '1:*', '(MODSEQ EMAILID FLAGS BODY.PEEK[])')
    if ok != 'OK':
        raise AssertionError('FETCH at %s: %r' % (node.name, data))
    mails = {}
    for i, part in enumerate(data):
        if not isinstance(part, tuple):
            continue
        text = part[0].decode()
        if i + 1 < len(data) and isinstance(data[i + 1], bytes):
            text += data[i + 1].decode()
        flags = re.search(r'FLAGS \(([^)]*)\)', text).group(1).split()
        mails[int(re.search(r'UID (\d+)', text).group(1))] = (
            int(re.search(r'MODSEQ \((\d+)\)', text).group(1)), re.search(r'EMAILID \(([^)]*)\)', text).group(1),
            frozenset(flags) - {'\\Recent'}, part[1])
    c.logout()
    return head, mails


def identical(t, pair, user, mailbox='INBOX'):
    """Reads the account at both nodes, each time from the node's own disk;
    returns the mails."""
    got = []
    for n in pair.nodes:
        hold(pair, n, user)
        got.append(wait('%s reads %s' % (user, n.name), 30, lambda: read_all(n, user, mailbox)))
    (ha, ma), (hb, mb) = got
    t.equal(sorted(ma), sorted(mb), 'UIDs of %s' % user)
    for uid in ma:
        t.equal(ma[uid], mb[uid], 'UID %d of %s' % (uid, user))
    t.equal(ha, hb, 'UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ of %s' % user)
    return ma
