"""Mixed load on a pair, and the ledger that judges it.

Writers note what they were told: acknowledged, or unknown (the connection was
cut before the answer).  judge() compares a node with the ledger:

  D1  an acknowledged delivery is there, exactly once, unless a client expunged
      it or may have
  D5  an acknowledged flag is set, unless a later change took it or may have
  P5  an acknowledged expunge stays
"""
import imaplib
import random
import re
import smtplib
import socket
import ssl
import threading
import time

CUT = (OSError, EOFError, imaplib.IMAP4.abort, smtplib.SMTPException, socket.timeout)


class Mail:
    __slots__ = ('id', 'user', 'state', 'flags', 'expunge')

    def __init__(self, ident, user):
        self.id, self.user = ident, user
        self.state = 'unknown'          # acked, unknown, refused
        self.flags = {}                 # flag -> 'on', 'off', 'maybe'
        self.expunge = 'no'             # no, maybe, acked


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.mails = {}
        self.acked = self.unknown = self.refused = self.changes = 0

    def new(self, ident, user):
        m = Mail(ident, user)
        with self.lock:
            self.mails[ident] = m
        return m

    def some(self, rng, user):
        with self.lock:
            have = [m for m in self.mails.values()
                    if m.user == user and m.state == 'acked' and m.expunge == 'no']
        return rng.choice(have) if have else None


def message(ident, user, size=400):
    return ('From: <load@test.example>\r\nTo: <%s@test.example>\r\nSubject: %s\r\n'
            'Message-ID: <%s@test.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n%s\r\n'
            % (user, ident, ident, 'x' * 70 + '\r\n' + 'y' * size)).encode()


class Deliverer(threading.Thread):
    """An MTA: tries a mail at one node, and what was not acknowledged again at
    the next, with the same octets."""

    def __init__(self, ledger, nodes, users, stop, seed, pause=0.01, retry=True):
        super().__init__(daemon=True)
        self.ledger, self.nodes, self.users = ledger, nodes, users
        self.stop, self.rng, self.pause, self.retry = stop, random.Random(seed), pause, retry
        self.seed, self.count, self.conn = seed, 0, {}
        self.tempfails = 0

    def once(self, node, m):
        """True acked, False refused for now, None unknown."""
        try:
            c = self.conn.get(node)
            if c is None:
                c = self.conn[node] = smtplib.LMTP(node.host, node.lmtp, timeout=60)
        except CUT:
            self.conn.pop(node, None)
            return False                # nothing was sent
        try:
            refused = c.sendmail('load@test.example', [m.user + '@test.example'],
                                 message(m.id, m.user))
            return not refused
        except smtplib.SMTPResponseException:
            self.tempfails += 1
            self.conn.pop(node, None)
            return False
        except smtplib.SMTPRecipientsRefused:
            self.tempfails += 1
            self.conn.pop(node, None)
            return False
        except CUT:
            self.conn.pop(node, None)
            return None

    def run(self):
        while not self.stop.is_set():
            self.count += 1
            m = self.ledger.new('m%d-%d' % (self.seed, self.count), self.rng.choice(self.users))
            first = self.rng.randrange(len(self.nodes))
            for k in range(40 if self.retry else 1):
                r = self.once(self.nodes[(first + k) % len(self.nodes)], m)
                if r:
                    m.state = 'acked'
                    break
                if self.stop.wait(0.05 if k < 2 else 0.5):
                    break
            with self.ledger.lock:
                if m.state == 'acked':
                    self.ledger.acked += 1
                else:
                    self.ledger.unknown += 1
            self.stop.wait(self.pause)


class Reader(threading.Thread):
    """A mail client that flags and expunges, at either node."""

    def __init__(self, ledger, nodes, users, password, stop, seed, pause=0.02):
        super().__init__(daemon=True)
        self.ledger, self.nodes, self.users, self.password = ledger, nodes, users, password
        self.stop, self.rng, self.pause = stop, random.Random(seed), pause
        self.errors = []

    def session(self):
        node, user = self.rng.choice(self.nodes), self.rng.choice(self.users)
        c = connect(node, user, self.password, timeout=60)
        c.select('INBOX')
        for _ in range(self.rng.randint(1, 12)):
            if self.stop.is_set():
                break
            m = self.ledger.some(self.rng, user)
            if m:
                self.change(c, m)
            self.stop.wait(self.pause)
        c.logout()

    def change(self, c, m):
        ok, data = c.uid('SEARCH', 'HEADER', 'Message-ID', '<%s@test.example>' % m.id)
        if ok != 'OK' or not data[0]:
            return
        uid = data[0].split()[0].decode()
        p = self.rng.random()
        if p < .2:
            m.expunge = 'maybe'
            if c.uid('STORE', uid, '+FLAGS', '(\\Deleted)')[0] == 'OK' and \
               c.uid('EXPUNGE', uid)[0] == 'OK':
                m.expunge = 'acked'
        else:
            flag = self.rng.choice(('\\Seen', '\\Flagged', '\\Answered', '$Load'))
            on = self.rng.random() < .7
            m.flags[flag] = 'maybe'
            if c.uid('STORE', uid, '+FLAGS' if on else '-FLAGS', '(%s)' % flag)[0] == 'OK':
                m.flags[flag] = 'on' if on else 'off'
        with self.ledger.lock:
            self.ledger.changes += 1

    def run(self):
        while not self.stop.is_set():
            try:
                self.session()
            except imaplib.IMAP4.error as e:
                if not isinstance(e, imaplib.IMAP4.abort):
                    self.errors.append(str(e))
                self.stop.wait(0.2)
            except CUT:
                self.stop.wait(0.2)


def connect(node, user, password, timeout=30):
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if getattr(node, 'imaps', None):
        c = imaplib.IMAP4_SSL(node.host, node.imaps, ssl_context=ctx, timeout=timeout)
    else:
        c = imaplib.IMAP4(node.host, node.imap, timeout=timeout)
    c.login(user, password)
    return c


def batch(node, user, password, commands, tls):
    """All of a session in one packet, then the client ends its side and reads to the end, slowly."""
    port = node.imaps if tls else node.imap
    lines = [b'a LOGIN %s "%s"' % (user.encode(), password.encode())] + list(commands) + [b'z LOGOUT', b'']
    text, out = b'\r\n'.join(lines), []
    with socket.create_connection((node.host, port), timeout=30) as s:
        if tls:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ctx.check_hostname = False
            ctx.verify_mode = ssl.CERT_NONE
            from_peer, to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
            t = ctx.wrap_bio(from_peer, to_peer)

            def until(f):
                while True:
                    try:
                        r = f()
                    except ssl.SSLWantReadError:
                        r = None
                    if to_peer.pending:
                        s.sendall(to_peer.read())
                    if r is not None:
                        return r
                    data = s.recv(4096)
                    if data:
                        from_peer.write(data)
                    else:
                        from_peer.write_eof()
            until(lambda: t.do_handshake() or True)
            t.write(text)
            try:
                t.unwrap()                 # close_notify goes out; theirs comes at the end
            except ssl.SSLWantReadError:
                pass
            s.sendall(to_peer.read())

            def read():
                try:
                    return t.read(4096)
                except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    return b''
            more = read
        else:
            s.sendall(text)

            def until(f):
                return f()

            def more():
                return s.recv(4096)
        s.shutdown(socket.SHUT_WR)
        while True:
            data = until(more)
            if not data:
                return b''.join(out)
            out.append(data)


def contents(node, user, password, mailbox='INBOX'):
    """{uid: (message-id, frozenset of flags, modseq)} and (uidvalidity, uidnext)."""
    c = connect(node, user, password)
    c.enable('CONDSTORE')
    c.select(mailbox, readonly=True)
    uidvalidity = c.response('UIDVALIDITY')[1][0].decode()
    uidnext = c.response('UIDNEXT')[1][0].decode()
    out = {}
    # The whole header: it comes from the message file, not from a cache.
    ok, data = c.uid('FETCH', '1:*', '(FLAGS MODSEQ BODY.PEEK[HEADER])')
    if ok != 'OK':
        raise AssertionError('FETCH at %s: %r' % (node.name, data))
    for part in data:
        if not isinstance(part, tuple):
            continue
        head = part[0].decode()
        uid = int(head.split('UID ', 1)[1].split()[0].rstrip(')'))
        modseq = int(head.split('MODSEQ (', 1)[1].split(')')[0])
        flags = frozenset(head.split('FLAGS (', 1)[1].split(')')[0].split()) - {'\\Recent'}   # a session's own
        ident = re.search(rb'(?im)^message-id:\s*<([^@>]*)', part[1])
        out[uid] = (ident.group(1).decode() if ident else '', flags, modseq)
    c.logout()
    return out, (uidvalidity, uidnext)


def judge(ledger, node, user, password):
    """List of complaints; empty is good."""
    have, _ = contents(node, user, password)
    count, where = {}, {}
    for uid, (ident, flags, _) in have.items():
        count[ident] = count.get(ident, 0) + 1
        where[ident] = flags
    bad = []
    with ledger.lock:
        mails = [m for m in ledger.mails.values() if m.user == user]
    for m in mails:
        n = count.get(m.id, 0)
        if n > 1:
            bad.append('%s is there %d times' % (m.id, n))
        if m.expunge == 'acked' and n:
            bad.append('%s was expunged and is back' % m.id)
        if m.state == 'acked' and m.expunge == 'no' and n == 0:
            bad.append('%s was acknowledged and is missing' % m.id)
        if n == 1:
            for flag, state in m.flags.items():
                if state == 'on' and flag not in where[m.id]:
                    bad.append('%s lost %s' % (m.id, flag))
                if state == 'off' and flag in where[m.id]:
                    bad.append('%s got %s back' % (m.id, flag))
    return bad


def wait_until(what, seconds, condition):
    """Polls; the last exception or falsy value is in the message."""
    end, last = time.monotonic() + seconds, None
    while time.monotonic() < end:
        try:
            last = condition()
            if last:
                return last
        except CUT + (AssertionError, imaplib.IMAP4.error) as e:
            last = e
        time.sleep(0.05)
    raise AssertionError('%s did not happen in %d s: %r' % (what, seconds, last))
