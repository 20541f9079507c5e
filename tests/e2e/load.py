"""Mixed load on a pair, and the ledger that judges it.

Writers note what they were told: acknowledged, or unknown (the connection was
cut before the answer).  judge() compares a node with the ledger:

  D1  an acknowledged delivery is there, exactly once and with its octets, unless
      a client expunged it or may have
  D5  an acknowledged flag is set, unless a later change took it or may have
  P5  an acknowledged expunge stays, an acknowledged move too
"""
import imaplib
import random
import re
import smtplib
import socket
import ssl
import threading
import time
import zlib

CUT = (OSError, EOFError, imaplib.IMAP4.abort, smtplib.SMTPException, socket.timeout)


class Mail:
    __slots__ = ('id', 'user', 'size', 'state', 'flags', 'expunge', 'box')

    def __init__(self, ident, user, size=400):
        self.id, self.user, self.size = ident, user, size
        self.box = 'INBOX'              # the other: Kept; None: one of them
        self.state = 'unknown'          # acked, unknown, refused
        self.flags = {}                 # flag -> 'on', 'off', 'maybe'
        self.expunge = 'no'             # no, maybe, acked


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.mails = {}
        self.acked = self.unknown = self.refused = self.changes = 0

    def new(self, ident, user, size=400):
        m = Mail(ident, user, size)
        with self.lock:
            self.mails[ident] = m
        return m

    def some(self, rng, user, share=(0, 1)):
        """One of a user's mails that may be changed, of the caller's share: of
        two who change one mail at a time nobody knows who was last."""
        with self.lock:
            have = [m for m in self.mails.values() if m.user == user and m.state == 'acked' and
                    m.expunge == 'no' and m.box == 'INBOX' and zlib.crc32(m.id.encode()) % share[1] == share[0]]
        return rng.choice(have) if have else None


def message(ident, user, size=400):
    return ('From: <load@test.example>\r\nTo: <%s@test.example>\r\nSubject: %s\r\n'
            'Message-ID: <%s@test.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n\r\n%s\r\n'
            % (user, ident, ident, 'x' * 70 + '\r\n' + 'y' * size)).encode()


class Deliverer(threading.Thread):
    """An MTA: tries a mail at one node, and what was not acknowledged again at
    the next, with the same octets.  Of `large` mails one is beyond what goes
    into a record."""

    def __init__(self, ledger, nodes, users, stop, seed, pause=0.01, retry=True, large=0):
        super().__init__(daemon=True)
        self.ledger, self.nodes, self.users, self.large = ledger, nodes, users, large
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
                                 message(m.id, m.user, m.size))
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
            size = 100000 if self.large and self.rng.randrange(self.large) == 0 else 400
            m = self.ledger.new('m%d-%d' % (self.seed, self.count), self.rng.choice(self.users), size)
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
    """A mail client that flags, expunges, and if asked appends and moves, at
    either node.  `errors`: what it was refused."""

    def __init__(self, ledger, nodes, users, password, stop, seed, pause=0.02, share=(0, 1), files=False):
        super().__init__(daemon=True)
        self.ledger, self.nodes, self.users, self.password = ledger, nodes, users, password
        self.stop, self.rng, self.pause = stop, random.Random(seed), pause
        self.share, self.files, self.seed, self.count = share, files, seed, 0
        self.errors = []

    def session(self):
        node, user = self.rng.choice(self.nodes), self.rng.choice(self.users)
        c = connect(node, user, self.password, timeout=60)
        if self.files:
            c.create('Kept')
        c.select('INBOX')
        for _ in range(self.rng.randint(1, 12)):
            if self.stop.is_set():
                break
            m = self.ledger.some(self.rng, user, self.share)
            if self.files and self.rng.random() < .2:
                self.append(c, user)
            elif m:
                self.change(c, m)
            self.stop.wait(self.pause)
        c.logout()

    def append(self, c, user):
        self.count += 1
        m = self.ledger.new('a%d-%d' % (self.seed, self.count), user)
        ok, data = c.append('INBOX', None, None, message(m.id, user))
        if ok == 'OK':
            m.state = 'acked'
            with self.ledger.lock:
                self.ledger.changes += 1
        else:
            m.state = 'refused'
            self.errors.append(repr(data))

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
        elif self.files and p < .35:
            m.box = None
            if c.uid('MOVE', uid, 'Kept')[0] == 'OK':
                m.box = 'Kept'
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


def leave(c):
    """Ends a connection that may have ended."""
    try:
        c.shutdown()
    except OSError:
        pass


def uids(text):
    """The numbers of a set as servers write it."""
    out = set()
    for part in text.split(','):
        a, _, b = part.partition(':')
        a, b = int(a), int(b or a)
        out.update(range(min(a, b), max(a, b) + 1))
    return out


class Cache(threading.Thread):
    """A QRESYNC client that goes from node to node with one cache of INBOX, and
    complains in `wrong` when what it was told does not add up to what is there.

    A UID keeps its Message-ID and never comes back; what differs from the
    cache has a modseq above HIGHESTMODSEQ, or was announced.
    """

    def __init__(self, nodes, user, password, stop, seed, pause=0.05):
        super().__init__(daemon=True)
        self.nodes, self.user, self.password = nodes, user, password
        self.stop, self.rng, self.pause = stop, random.Random(seed), pause
        self.validity, self.modseq, self.flags = None, 0, {}       # flags: {uid: frozenset}
        self.ids, self.gone = {}, set()                          # of all UIDs ever seen
        self.syncs, self.wrong, self.errors = 0, [], []

    def take(self, c):
        """Applies FETCH and VANISHED that came; returns the UIDs that vanished and
        {uid: modseq} of those fetched."""
        seen, vanished = {}, set()
        for part in c.untagged_responses.pop('FETCH', []):
            head = part[0] if isinstance(part, tuple) else part
            uid = re.search(rb'UID (\d+)', head)
            flags = re.search(rb'FLAGS \(([^)]*)\)', head)
            if not uid or not flags:
                continue                # the end of a literal
            uid = int(uid.group(1))
            if uid in self.gone:
                self.wrong.append('UID %d is back' % uid)
            seen[uid] = int(re.search(rb'MODSEQ \((\d+)\)', head).group(1))
            self.flags[uid] = frozenset(flags.group(1).decode().split()) - {'\\Recent'}
            if isinstance(part, tuple):
                self.same_mail(uid, part[1])
        for part in c.untagged_responses.pop('VANISHED', []):
            vanished |= uids(part.decode().split()[-1])
        for uid in vanished:
            self.flags.pop(uid, None)
        self.gone |= vanished & set(self.ids)
        return vanished, seen

    def same_mail(self, uid, header):
        ident = header.decode().partition(':')[2].strip()
        if self.ids.setdefault(uid, ident) != ident:
            self.wrong.append('UID %d was %s and is %s' % (uid, self.ids[uid], ident))

    def select(self, c):
        known, last = '', max(self.flags, default=0)
        if self.flags and self.rng.random() < .5:
            known = ' 1:%d' % last
        how = '(QRESYNC (%s %d%s))' % (self.validity, self.modseq, known) if self.validity else '(CONDSTORE)'
        ok, data = c._simple_command('SELECT', 'INBOX', how)
        if ok != 'OK':
            raise imaplib.IMAP4.error(repr(data))
        c.state = 'SELECTED'
        validity = c.response('UIDVALIDITY')[1][0].decode()
        modseq = int(c.response('HIGHESTMODSEQ')[1][0])
        if self.validity not in (None, validity):
            self.wrong.append('UIDVALIDITY %s became %s' % (self.validity, validity))
            self.flags, self.ids, self.gone = {}, {}, set()
        elif modseq < self.modseq:
            self.wrong.append('HIGHESTMODSEQ %d became %d' % (self.modseq, modseq))
        fresh = self.validity != validity
        self.take(c)
        if known and not fresh:         # of those it does not know a server need not tell
            self.fetch(c, '%d:*' % (last + 1))
            self.take(c)
        return fresh, validity, modseq

    @staticmethod
    def fetch(c, which):
        ok, data = c.uid('FETCH', which, '(FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])')
        if ok != 'OK':
            raise imaplib.IMAP4.error(repr(data))
        c.untagged_responses['FETCH'] = [d for d in data if d]

    def compare(self, c, fresh, modseq):
        before = dict(self.flags)
        self.fetch(c, '1:*')
        vanished, seen = self.take(c)
        if fresh:
            return
        for uid, m in seen.items():
            if m <= modseq and before.get(uid) != self.flags.get(uid) and uid not in vanished:
                self.wrong.append('UID %d (%s) modseq %d of %d: cached %r, is %r' % (
                    uid, self.ids.get(uid), m, modseq, before.get(uid), self.flags.get(uid)))
        lost = set(before) - set(seen) - vanished
        if lost:
            self.wrong.append('gone without a word: %r' % sorted(lost)[:20])

    def follow(self, node, whole=False):
        """One session: resynchronise, and compare with all there is, now and then."""
        c = connect(node, self.user, self.password, timeout=90)
        try:
            c.enable('QRESYNC')
            fresh, validity, modseq = self.select(c)
            if fresh or whole or self.rng.random() < .3:
                self.compare(c, fresh, modseq)
            self.validity, self.modseq = validity, modseq
            for _ in range(self.rng.randrange(4)):
                self.stop.wait(self.pause)
                c.noop()
                self.take(c)
            self.syncs += 1
            if self.rng.random() < .5:
                c.logout()
        finally:
            leave(c)

    def run(self):
        while not self.stop.is_set():
            try:
                self.follow(self.rng.choice(self.nodes))
            except imaplib.IMAP4.abort:
                pass
            except imaplib.IMAP4.error as e:
                self.errors.append(str(e))
            except CUT:
                pass
            self.stop.wait(self.pause)


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


def mails(node, user, password, mailbox):
    """[(message-id, flags, octets from From: on)] of a mailbox."""
    c = connect(node, user, password, timeout=90)
    out = []
    try:
        if c.select(mailbox, readonly=True)[0] != 'OK':
            return out
        ok, data = c.uid('FETCH', '1:*', '(FLAGS BODY.PEEK[])')
        if ok != 'OK':
            raise AssertionError('FETCH at %s: %r' % (node.name, data))
        for part in data:
            if isinstance(part, tuple):
                flags = re.search(rb'FLAGS \(([^)]*)\)', part[0]).group(1).decode().split()
                text = part[1][part[1].find(b'From: <load@'):]
                ident = re.search(rb'(?im)^message-id:\s*<([^@>]*)', text)
                out.append((ident.group(1).decode() if ident else '', frozenset(flags), text))
    finally:
        leave(c)
    return out


def judge(ledger, node, user, password):
    """List of complaints; empty is good."""
    with ledger.lock:
        all_mails = [m for m in ledger.mails.values() if m.user == user]
    moved = any(m.box != 'INBOX' for m in all_mails)
    have = {}                           # ident -> [(mailbox, flags, octets)]
    for box in ('INBOX', 'Kept') if moved else ('INBOX',):
        for ident, flags, text in mails(node, user, password, box):
            have.setdefault(ident, []).append((box, flags, text))
    bad = []
    for m in all_mails:
        bad += judged(m, have.get(m.id, []))
    return bad


def judged(m, copies):
    """Complaints about one mail."""
    if len(copies) > 1:
        return ['%s is there %d times: %r' % (m.id, len(copies), [c[0] for c in copies])]
    if m.state == 'refused' and copies:
        return ['%s was refused and is there' % m.id]
    if m.expunge == 'acked' and copies:
        return ['%s was expunged and is back' % m.id]
    if not copies:
        return ['%s was acknowledged and is missing' % m.id] if m.state == 'acked' and m.expunge == 'no' else []
    box, flags, text = copies[0]
    bad = []
    if m.box and box != m.box:
        bad.append('%s is in %s and was moved to %s' % (m.id, box, m.box))
    if text != message(m.id, m.user, m.size):
        bad.append('%s has other octets: %r' % (m.id, text[:300]))
    for flag, state in m.flags.items():
        if state == 'on' and flag not in flags:
            bad.append('%s lost %s' % (m.id, flag))
        if state == 'off' and flag in flags:
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
