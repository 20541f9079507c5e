"""Debian's Dovecot 2.3 beside a node, and a dialog that asks both the same.

Dovecot runs below the test's own directory on a port of its own (root only: it
changes users).  What one server says is reduced to what a client can rely on:
numbers that each makes for itself are named after their first appearance, and
texts for people are left out.
"""
import os
import re
import socket
import subprocess

from duet_e2e import PASSWORD, Skip, free_ports, need, wait

CONF = '''
base_dir = %(dir)s/run
state_dir = %(dir)s/state
instance_name = dovecot-beside
log_path = %(dir)s/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = sdbox:%(dir)s/mail/%%n
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
auth_username_format = %%Ln
auth_failure_delay = 0
auth_mechanisms = plain login
default_process_limit = 20
default_vsz_limit = 512 M
%(extra)s
namespace inbox {
  inbox = yes
  separator = /
%(mailboxes)s
}
passdb {
  driver = passwd-file
  args = %(test)s/users
}
userdb {
  driver = static
  args = home=%(dir)s/home/%%n
}
service imap-login {
  inet_listener imap {
    port = %(imap)d
  }
  inet_listener imaps {
    port = 0
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  unix_listener stats-writer {
    mode = 0666
  }
}
'''


class Dovecot:
    def __init__(self, test, mailboxes='', extra=''):
        need('dovecot')
        if not test.root:
            raise Skip('Dovecot beside it needs root')
        self.host = '127.0.0.1'
        self.dir = os.path.join(test.dir, 'dovecot')
        self.imap = free_ports(1)[0]
        self.conf = self.dir + '.conf'
        for d in ('', '/mail', '/home', '/state'):
            os.makedirs(self.dir + d)
        subprocess.run(['chown', '-R', 'vmail:', self.dir + '/mail', self.dir + '/home'], check=True)
        with open(self.conf, 'w') as f:
            f.write(CONF % {'dir': self.dir, 'test': test.dir, 'imap': self.imap,
                            'mailboxes': mailboxes, 'extra': extra})
        self.proc = test.spawn('dovecot', '-F', '-c', self.conf, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        test.cleanups.append(self.stop)
        wait('Dovecot answers', 20, lambda: socket.create_connection((self.host, self.imap), 5).close() or True)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(20)


class Dialog:
    """One connection: `ask` gives the list of what was said until the tag."""

    def __init__(self, server, user='alice', login=True):
        self.sock = socket.create_connection((server.host, server.imap), 30)
        self.sock.settimeout(30)
        self.file = self.sock.makefile('rb')
        self.n = 0
        self.greeting = self.line()
        if login:
            self.ask(b'LOGIN %s "%s"' % (user.encode(), PASSWORD.encode()))

    def close(self):
        self.file.close()
        self.sock.close()

    def line(self):
        """One response, its literals included; b'' at the end."""
        out = b''
        while True:
            part = self.file.readline()
            if not part:
                return out
            out += part
            m = re.search(rb'\{(\d+)\}\r\n$', part)
            if not m:
                return out[:-2]
            out += self.file.read(int(m.group(1)))

    def until(self, tag):
        said = []
        while True:
            line = self.line()
            if not line:
                return said + [b'(closed)']
            said.append(line)
            if line.startswith(tag + b' '):
                return said

    def ask(self, command):
        """`command` without tag; at a synchronising literal it waits for "+"."""
        self.n += 1
        tag = b't%d' % self.n
        rest = tag + b' ' + command + b'\r\n'
        said = []
        while True:
            m = re.search(rb'\{(\d+)\}\r\n', rest)
            if not m:
                self.sock.sendall(rest)
                return said + self.until(tag)
            self.sock.sendall(rest[:m.end()])
            rest = rest[m.end():]
            while True:
                line = self.line()
                said.append(line or b'(closed)')
                if not line or line.startswith(tag + b' '):
                    return said
                if line.startswith(b'+'):
                    break

    def raw(self, data, last):
        """Octets as they are; what is said until the tag `last`."""
        self.sock.sendall(data)
        return self.until(last)


class Names:
    """Numbers that a server makes for itself, by their first appearance."""

    def __init__(self):
        self.seen = {}

    def __call__(self, kind, value):
        d = self.seen.setdefault(kind, {})
        return b'<%s %d>' % (kind, d.setdefault(value, len(d) + 1))


def plain(said, names):
    """What a client can rely on of a list of responses.  Left out: case, which
    counts in literals only as far as these tests go; codes and attributes that
    one server has and the other need not; the order of mailboxes."""
    out = []
    for line in said:
        line = re.sub(rb'^(?!\* )\S+ (OK|NO|BAD)( \[[^]]*\])?.*$', rb'tag \1\2', line, flags=re.S)
        line = re.sub(rb'^\* (OK|NO|BAD|BYE)( \[[^]]*\])?.*$', rb'* \1\2', line, flags=re.S)
        line = re.sub(rb'^\+.*$', rb'+', line)
        line = re.sub(rb'(UIDVALIDITY|APPENDUID|COPYUID) (\d+)',
                      lambda m: m.group(1) + b' ' + names(b'validity', m.group(2)), line)
        line = re.sub(rb'MODSEQ \(\d+\)', b'MODSEQ (N)', line)
        line = re.sub(rb' \[(MAILBOXID|HIGHESTMODSEQ|CAPABILITY|NONEXISTENT|CANNOT|ALREADYEXISTS)[^]]*\]', b'', line)
        line = re.sub(rb' ?\\\\(Marked|UnMarked)', b'', line)
        out.append(line.lower())
    out = [line for line in out if line not in (b'* ok', b'+')]
    listed = sorted(line for line in out if line.startswith((b'* list', b'* lsub')))
    return listed + [line for line in out if line not in listed]
