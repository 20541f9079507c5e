#!/usr/bin/env python3
"""Real IMAP clients against one node: imaplib, curl, mutt, mbsync."""
import imaplib
import os
import re
import subprocess

from duet_e2e import PASSWORD, case, main, need, wait
from load import batch

MAIL = 'From: %s@test.example\r\nTo: alice@test.example\r\nSubject: %s\r\nMessage-ID: <%s@test.example>\r\n' \
       'Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n\r\nbody of %s\r\n'


def mail(name):
    return (MAIL % ('sender', 'mail ' + name, name, name)).encode()


def login(node, user='alice'):
    c = imaplib.IMAP4(node.host, node.imap)
    c.login(user, PASSWORD)
    return c


def ok(t, result, what=''):
    t.equal(result[0], 'OK', what + repr(result[1]))
    return result[1]


def fill(t, node, names, box='INBOX'):
    c = login(node)
    for n in names:
        ok(t, c.append(box, None, None, mail(n)))
    c.logout()


def flags(node, box='INBOX'):
    """{Message-ID: flags}"""
    c = login(node)
    c.select(box, readonly=True)
    out = {}
    typ, data = c.fetch('1:*', '(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])')
    for part in data:
        if isinstance(part, tuple):
            f = set(re.search(r'FLAGS \(([^)]*)\)', part[0].decode()).group(1).split()) - {'\\Recent'}
            out[re.search(r'<(.*)@', part[1].decode()).group(1)] = f
    c.logout()
    return out


@case
def imaplib_does_all_it_can(t):
    n = t.node().start()
    c = login(n)
    t.true('UIDPLUS' in c.capabilities or 'UIDPLUS' in c.capability()[1][0].decode(), 'UIDPLUS')
    ok(t, c.enable('CONDSTORE'))
    ok(t, c.create('work/2024'))
    t.equal(c.create('work')[0], 'NO')
    ok(t, c.subscribe('work/2024'))
    t.true(any(b'work/2024' in x for x in ok(t, c.list())), 'LIST')
    t.true(any(b'work/2024' in x for x in ok(t, c.lsub())), 'LSUB')
    ok(t, c.rename('work', 'job'))
    ok(t, c.append('job/2024', '(\\Seen $Label)', '"17-Jul-1996 02:44:25 -0700"', mail('one')))
    ok(t, c.append('job/2024', None, None, mail('two')))
    t.equal(ok(t, c.status('job/2024', '(MESSAGES UNSEEN UIDNEXT)')),
            [b'job/2024 (MESSAGES 2 UIDNEXT 3 UNSEEN 1)'])
    t.equal(ok(t, c.select('job/2024')), [b'2'])
    t.equal(ok(t, c.search(None, 'UNSEEN')), [b'2'])
    t.equal(ok(t, c.uid('SEARCH', 'CHARSET', 'UTF-8', 'SUBJECT', '"MAIL ONE"')), [b'1'])
    t.equal(ok(t, c.fetch('1', '(RFC822)'))[0][1], mail('one'))
    t.true(b'\\Seen' in ok(t, c.store('2', '+FLAGS', '(\\Seen \\Flagged)'))[0], 'STORE answers')
    ok(t, c.copy('1:2', 'INBOX'))
    ok(t, c.store('1', '+FLAGS.SILENT', '\\Deleted'))
    t.equal(ok(t, c.expunge()), [b'1'])
    ok(t, c.uid('MOVE', '2', 'INBOX'))
    t.equal(ok(t, c.noop()) and c.search(None, 'ALL')[1], [b''])
    ok(t, c.close())
    ok(t, c.delete('job/2024'))
    t.equal(c.select('job/2024')[0], 'NO')
    t.equal(ok(t, c.select('INBOX')), [b'3'])
    ok(t, c.namespace())
    ok(t, c.check())
    ok(t, c.unselect())
    t.equal(c.logout()[0], 'BYE')
    wait('the log line', 5, lambda: re.search(r'imap\(alice\).*Disconnected: Logged out in=\d+ out=\d{3,}', n.log()))


@case
def thousands_of_messages_through_a_slow_reader(t):
    """The client reads nothing while 3,000 answers are made, then all of it."""
    n = t.node().start()
    c = login(n)
    one = mail('x')
    for _ in range(6):
        args = b' '.join(b'{%d+}\r\n%s' % (len(one), one) for _ in range(500))
        c.send(b'm APPEND INBOX ' + args + b'\r\n')
        line = b''
        while not line.startswith(b'm '):
            line = c.readline()
        t.true(line.startswith(b'm OK [APPENDUID'), repr(line))
    t.equal(ok(t, c.select('INBOX')), [b'3000'])
    for i in range(20):
        c.send(b'f%d FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE INTERNALDATE)\r\n' % i)
    c.send(b'g UID SEARCH ALL\r\nh LOGOUT\r\n')
    other = login(n)                       # meanwhile others are served
    t.equal(ok(t, other.select('INBOX')), [b'3000'])
    t.equal(len(ok(t, other.search(None, 'ALL'))[0].split()), 3000)
    other.logout()
    seen = 0
    while True:
        line = c.readline()
        if b' FETCH (UID' in line:
            seen += 1
        if line.startswith(b'* SEARCH'):
            t.equal(len(line.split()), 3002)
        if line.startswith(b'h '):
            break
    t.equal(seen, 20 * 3000)


@case
def idle_tells_of_new_mail_and_flags(t):
    n = t.node().start()
    a, b = login(n), login(n)
    a.select('INBOX')
    b.select('INBOX')
    a.send(b'i IDLE\r\n')
    t.true(a.readline().startswith(b'+'), 'continuation')
    ok(t, b.append('INBOX', None, None, mail('new')))
    t.equal(a.readline(), b'* 1 EXISTS\r\n')
    t.equal(a.readline(), b'* 1 RECENT\r\n')
    b.noop()
    ok(t, b.store('1', '+FLAGS', '\\Flagged'))
    t.true(b'\\Flagged' in a.readline(), 'flag')
    a.send(b'DONE\r\n')
    t.true(a.readline().startswith(b'i OK'), 'end of IDLE')
    a.logout()
    b.logout()


@case
def curl_lists_fetches_and_uploads(t):
    need('curl')
    n = t.node().start()
    fill(t, n, ['one', 'two'])

    def curl(url, *args):
        r = subprocess.run(['curl', '-sS', '-k', '--login-options', 'AUTH=PLAIN', '-u', 'alice:' + PASSWORD,
                            'imaps://%s:%d/%s' % (n.host, n.imaps, url)] + list(args),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        t.equal(r.returncode, 0, r.stderr.decode())
        return r.stdout

    t.equal(curl('INBOX;UID=1'), mail('one'))
    t.equal(curl('INBOX;UID=2;SECTION=TEXT'), b'body of two\r\n')
    t.true(b'INBOX' in curl(''), 'LIST')
    with open(t.dir + '/three', 'wb') as f:
        f.write(mail('three'))
    curl('INBOX', '-T', t.dir + '/three')
    t.equal(curl('INBOX;UID=3'), mail('three'))
    t.true(b'* SEARCH 2' in curl('INBOX?SUBJECT%20two'), 'SEARCH')
    curl('INBOX', '-X', 'STORE 1 +FLAGS \\Flagged')
    t.equal(flags(n)['one'] & {'\\Flagged'}, {'\\Flagged'})


@case
def mutt_reads_tags_copies_and_deletes(t):
    need('mutt')
    n = t.node().start()
    fill(t, n, ['one', 'two', 'three'])
    c = login(n)
    c.create('Kept')
    c.logout()
    rc = os.path.join(t.dir, 'muttrc')
    with open(rc, 'w') as f:
        f.write('\n'.join([
            'set imap_user=alice imap_pass="%s" ssl_starttls=no ssl_force_tls=no' % PASSWORD,
            'set spoolfile=imap://%s:%d/INBOX folder=imap://%s:%d/' % (n.host, n.imap, n.host, n.imap),
            'set imap_authenticators=plain:login tunnel="" confirmappend=no delete=yes quit=yes move=no',
            # An empty value would take the next word, and a file of that name.
            'unset header_cache message_cachedir record certificate_file', 'set ssl_verify_host=no mark_old=no',
            'set sort=mailbox-order wait_key=no',
            "push '<first-entry><flag-message><delete-message><last-entry>"
            "<copy-message>=Kept<enter><sync-mailbox><quit>'"]) + '\n')
    env = dict(os.environ, TERM='xterm', HOME=t.dir, LC_ALL='C')
    r = subprocess.run(['script', '-qec', 'mutt -n -F %s' % rc, '/dev/null'], env=env, cwd=t.dir,
                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    have = flags(n)
    t.equal(sorted(have), ['one', 'three'], r.stdout[-600:].decode(errors='replace'))
    t.true('\\Flagged' in have['one'], repr(have))
    t.equal(sorted(flags(n, 'Kept')), ['three'])
    t.equal([f for f in os.listdir(t.dir) if '=' in f], [], 'mutt made files of settings')


@case
def mbsync_syncs_both_ways(t):
    need('mbsync')
    n = t.node().start()
    fill(t, n, ['one', 'two', 'three'])
    local = os.path.join(t.dir, 'local')
    os.makedirs(local)
    rc = os.path.join(t.dir, 'mbsyncrc')
    with open(rc, 'w') as f:
        f.write('\n'.join([
            'IMAPAccount duet', 'Host %s' % n.host, 'Port %d' % n.imap, 'User alice', 'Pass "%s"' % PASSWORD,
            'SSLType None', 'AuthMechs PLAIN LOGIN', '', 'IMAPStore far', 'Account duet', '',
            'MaildirStore near', 'Path %s/' % local, 'Inbox %s/INBOX' % local, 'SubFolders Verbatim', '',
            'Channel all', 'Far :far:', 'Near :near:', 'Patterns *', 'Create Both', 'Remove Both',
            'Expunge Both', 'SyncState *']) + '\n')

    def sync():
        r = subprocess.run(['mbsync', '-c', rc, '-a'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=60, env=dict(os.environ, HOME=t.dir))
        t.equal(r.returncode, 0, r.stdout.decode())

    def files(box='INBOX'):
        """{Message-ID: path}"""
        out = {}
        for d in ('cur', 'new'):
            for name in os.listdir(os.path.join(local, box, d)):
                path = os.path.join(local, box, d, name)
                with open(path) as f:
                    out[re.search(r'Message-ID: <(.*)@', f.read()).group(1)] = path
        return out

    def info(path):
        return path.partition(':2,')[2]

    sync()
    t.equal(sorted(files()), ['one', 'three', 'two'])
    # far: a flag, an expunge, a new folder; near: a flag, a deletion, a new message
    c = login(n)
    c.select('INBOX')
    ok(t, c.store('1', '+FLAGS', '(\\Flagged \\Seen)'))
    ok(t, c.create('Work/Deep'))
    ok(t, c.append('Work/Deep', None, None, mail('deep')))
    c.logout()
    f = files()['two']
    base = os.path.join(local, 'INBOX/cur', os.path.basename(f).partition(':')[0])
    os.rename(f, base + ':2,RS')
    with open(os.path.join(local, 'INBOX/new/1.2.local'), 'w') as g:
        g.write(mail('four').decode().replace('\r\n', '\n'))
    sync()
    have = flags(n)
    t.equal(sorted(have), ['four', 'one', 'three', 'two'])
    t.equal(have['two'], {'\\Answered', '\\Seen'})
    t.equal(sorted(info(files()['one'])), ['F', 'S'])
    t.equal(sorted(files('Work/Deep')), ['deep'])
    # deletions, both ways
    os.unlink(files()['three'])
    c = login(n)
    c.select('INBOX')
    ok(t, c.store('1', '+FLAGS', '\\Deleted'))
    ok(t, c.expunge())
    c.logout()
    sync()
    t.equal(sorted(flags(n)), ['four', 'two'])
    t.equal(sorted(files()), ['four', 'two'])
    before = n.log()
    sync()                                 # nothing left to do
    t.equal(sorted(flags(n)), ['four', 'two'])
    t.true('Error' not in n.log()[len(before):], 'no errors')


@case
def a_client_that_ends_its_side_is_answered_to_the_last_word(t):
    n = t.node().start()
    body = b'x' * 70 + b'\r\n'
    c = login(n)
    for i in range(20):
        ok(t, c.append('INBOX', None, None, mail('m%d' % i) + body * 1400))
    c.logout()
    for tls in (False, True):
        out = batch(n, 'alice', PASSWORD, [b'b SELECT INBOX', b'c FETCH 1:* BODY.PEEK[]', b'd NOOP'], tls)
        t.equal(len(re.findall(rb' FETCH \(BODY\[\] \{', out)), 20, 'TLS %s: %r' % (tls, out[:300]))
        t.true(out.endswith(b'z OK Logout completed.\r\n'), 'TLS %s: %r' % (tls, out[-100:]))
        out = batch(n, 'alice', 'wrong', [b'b SELECT INBOX'], tls)
        t.true(b'a NO [AUTHENTICATIONFAILED]' in out and b'z OK' in out, repr(out))


main(__file__)
