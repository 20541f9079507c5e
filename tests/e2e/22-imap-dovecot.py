#!/usr/bin/env python3
"""The same dialogs with Debian's Dovecot 2.3 beside it: what is not equal is in
docs/differences.md, and not in these lists."""
import base64

from dovecot import Dialog, Dovecot, Names, plain
from duet_e2e import PASSWORD, case, main, wait

BOXES = '''  mailbox Drafts {
    special_use = \\Drafts
    auto = subscribe
  }
  mailbox Sent {
    special_use = \\Sent
    auto = subscribe
  }
  mailbox "Important Emails" {
    auto = create
  }
'''
NESTED = b'''From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>, "Quoted, Name" <q@y.example>
To: group: a@b.example, Bee <b@b.example>;, undisclosed-recipients:;
Subject: =?iso-8859-1?Q?Gr=FC=DFe?= und mehr
Date: Mon, 7 Feb 1994 21:52:25 -0800
Message-ID: <one@x.example>
In-Reply-To: <zero@x.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"; charset=utf-8

preamble
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable
Content-Language: de, en

Gr=FC=DFe
--inner
Content-Type: text/html; charset=us-ascii
Content-ID: <cid@x>
Content-Description: the html
Content-MD5: abc
Content-Location: http://x.example/

<p>Hi</p>
--inner--
--outer
Content-Type: message/rfc822
Content-Disposition: attachment; filename="in ner.eml"; size=5

From: inner@x.example
To: someone@x.example
Subject: inner subject
Content-Type: multipart/mixed; boundary=deep

--deep

deep text one
--deep
Content-Type: image/png; name="a.png"
Content-Transfer-Encoding: base64
Content-Disposition: inline; filename*=utf-8''%C3%BC.png

aGVsbG8gd29ybGQ=
--deep--
--outer--
epilogue
'''.replace(b'\n', b'\r\n')
PLAIN = b'Subject: plain two\r\nFrom: bob@x.example\r\nX-Test: value one\r\n folded\r\n\r\nbody of two\r\nsecond line\r\n'
EIGHT = b'From: c@x.example\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n' \
        b'Subject: raw\r\n\r\nGr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln\r\n'
BARE = b'\r\nno header at all\r\n'
HEADER = b'Subject: header only\r\nDate: nonsense\r\n'


def append(message, flags=b'', box=b'INBOX'):
    return b'APPEND %s %s"17-Jul-1996 02:44:25 +0000" {%d+}\r\n%s' % (
        box, flags + b' ' if flags else b'', len(message), message)


FILL = [append(NESTED, b'(\\Seen $Label1 custom)'), append(PLAIN, b'(\\Flagged)'), append(EIGHT), append(BARE, b'()'),
        append(HEADER)]


class Both:
    """A session with each; what they say is compared after every command."""

    def __init__(self, t, **settings):
        self.t = t
        self.node = t.node()
        self.node.extra = 'namespace inbox {\n  inbox = yes\n  separator = /\n' + BOXES + '}\n'
        self.node.settings.update({'disable_plaintext_auth': 'no', 'auth_mechanisms': 'plain login'}, **settings)
        self.node.start()
        self.servers = (self.node, Dovecot(t, mailboxes=BOXES))
        self.names = Names(), Names()
        self.sessions = self.login()

    def login(self):
        return [Dialog(s) for s in self.servers]

    def same(self, what, said):
        ours, theirs = (plain(s, n) for s, n in zip(said, self.names))
        self.t.equal(ours, theirs, repr(what)[:300])

    def ask(self, commands, sessions=None):
        for c in commands:
            self.same(c, [s.ask(c) for s in sessions or self.sessions])

    def quietly(self, commands):
        for c in commands:
            for s in self.sessions:
                s.ask(c)


@case
def fetch_answers_as_dovecot(t):
    b = Both(t)
    b.ask(FILL + [b'SELECT INBOX'])
    b.ask([b'FETCH 1:* ' + x for x in (
        b'FLAGS', b'(UID FLAGS INTERNALDATE RFC822.SIZE)', b'FAST', b'ENVELOPE', b'(MODSEQ)')])
    b.ask([b'FETCH 2:5 ' + x for x in (b'BODY', b'BODYSTRUCTURE', b'ALL', b'FULL')])
    b.ask([b'FETCH 2 BODY.PEEK[%s' % x for x in (
        b']', b'HEADER]', b'TEXT]', b'1]', b'1.MIME]', b'MIME]', b'HEADER.FIELDS (X-Test subject Missing)]',
        b'HEADER.FIELDS.NOT (Subject)]', b'HEADER.FIELDS ()]', b']<0.10>', b']<10000.10>', b'TEXT]<3.4>',
        b'HEADER]<2.1000>')])
    b.ask([b'FETCH 1 BODY.PEEK[%s]' % x for x in (
        b'1.1', b'1.2', b'1.MIME', b'1.1.MIME', b'1.2.MIME', b'2.MIME', b'2.HEADER', b'2.1', b'2.2', b'2.1.MIME',
        b'2.2.MIME', b'2.HEADER.FIELDS (Subject)', b'2.HEADER.FIELDS.NOT (To)', b'HEADER.FIELDS (to cc)', b'TEXT', b'',
        b'FOO', b'1.')])
    b.ask([b'FETCH 1 (BODY.PEEK[1.1] BODY.PEEK[2.HEADER] UID)', b'FETCH 1 BODY.PEEK[2.2]<2.5>', b'FETCH 1 BOGUS',
           b'FETCH 1', b'FETCH 9 FLAGS', b'FETCH 0 FLAGS', b'FETCH 5:9 FLAGS', b'FETCH * UID', b'FETCH *:2 UID',
           b'FETCH 3:1,2 UID', b'UID FETCH 100 FLAGS', b'UID FETCH 1:2 FLAGS', b'UID FETCH 4:* (FLAGS)',
           b'FETCH 1:2 (FLAGS', b'FETCH a FLAGS', b'FETCH 1,,2 FLAGS',
           b'FETCH 5 (BODY.PEEK[HEADER] BODY.PEEK[TEXT] RFC822.SIZE)', b'FETCH 4 (ENVELOPE BODY.PEEK[HEADER])'])


@case
def search_finds_what_dovecot_finds(t):
    b = Both(t)
    b.ask(FILL + [b'SELECT INBOX'])
    b.ask([b'SEARCH ' + x for x in (
        b'ALL', b'SEEN', b'UNSEEN', b'NEW', b'OLD', b'RECENT', b'FLAGGED', b'KEYWORD custom', b'KEYWORD CUSTOM',
        b'UNKEYWORD custom', b'SUBJECT plain', b'CHARSET UTF-8 SUBJECT "gr\xc3\xbc\xc3\x9fe"',
        b'CHARSET ISO-8859-1 SUBJECT {5+}\r\ngr\xfc\xdfe', b'CHARSET ISO-8859-1 TEXT {4+}\r\ngr\xfc\xdf',
        b'CHARSET UTF-8 BODY {5+}\r\nK\xc3\xb6ln', b'CHARSET US-ASCII SUBJECT two', b'BODY "second line"',
        b'TEXT x-test', b'HEADER X-Test value', b'HEADER X-Test ""', b'HEADER X-Test folded',
        b'HEADER X-Test "one folded"', b'HEADER Missing ""', b'FROM bob', b'CHARSET UTF-8 FROM "j\xc3\xbcrgen"',
        b'TO b@b', b'BCC x', b'LARGER 100', b'SMALLER 60', b'LARGER 0', b'BEFORE 18-Jul-1996', b'ON 17-Jul-1996',
        b'SINCE 17-Jul-1996', b'SENTON 7-Feb-1994', b'SENTSINCE 8-Feb-1994', b'NOT SEEN', b'OR SEEN FLAGGED',
        b'(SEEN FLAGGED)', b'NOT (SEEN)', b'1:2', b'*', b'9', b'0', b'UID 2:3', b'UID 99', b'NOT 1', b'OR 1 2 3',
        b'DELETED UNDELETED', b'ANSWERED', b'UNDRAFT', b'', b'FOO', b'BEFORE x', b'OR SEEN', b'NOT', b'(SEEN', b'()',
        b'BODY ""', b'SUBJECT ""', b'TEXT "inner subject"', b'BODY "deep text"', b'BODY "hello world"',
        b'BODY preamble')])
    b.ask([b'UID SEARCH UID 1:*', b'UID SEARCH 2', b'UID SEARCH CHARSET UTF-8 ALL'])


@case
def mailboxes_are_named_and_listed_as_by_dovecot(t):
    b = Both(t)
    b.ask([b'NAMESPACE', b'LIST "" "*"', b'LIST "" "%"', b'LIST "" ""', b'LIST "foo" ""', b'LIST "" inbox',
           b'LIST "INB" "OX"'])
    b.ask([b'CREATE ' + x for x in (b'a', b'a/b', b'a/b/c', b'a/', b'""', b'/abs', b'a//b', b'"a/../b"', b'".."',
                                    b'"&AOQ-"', b'"&Jjo-"', b'"a&-b"', b'"x\\"y"', b'"x\\\\y"', b'"~x"', b'"a.b"',
                                    b'" lead"', b'{4+}\r\nlite', b'{6}\r\nlit er', b'INBOX/sub')])
    b.ask([b'LIST "" ' + x for x in (b'"*"', b'"%"', b'"a%"', b'"a/%"', b'"%/%"', b'"*/c"', b'"a*"', b'"&AOQ-"')])
    b.ask([b'LIST "a/" "%"', b'LIST a/b c', b'LIST ""', b'LIST (FOO) "" "%"', b'LIST "" "%" RETURN (FOO)'])
    b.ask([b'SUBSCRIBE a/b/c', b'SUBSCRIBE a', b'UNSUBSCRIBE a', b'UNSUBSCRIBE a', b'STATUS nobox (MESSAGES)',
           b'STATUS INBOX (FOO)', b'STATUS "INBOX" MESSAGES', b'RENAME nonex y', b'RENAME a/b z', b'RENAME z a',
           b'RENAME z z', b'LIST "" "*"', b'DELETE nonex', b'DELETE INBOX', b'DELETE z/c', b'DELETE z',
           b'LIST "" "*"', b'SELECT z', b'SELECT nonex', b'FETCH 1 FLAGS', b'SEARCH ALL', b'CHECK', b'UNSELECT',
           b'CLOSE'])


@case
def flags_copies_and_expunges_are_told_as_by_dovecot(t):
    b = Both(t)
    b.ask(FILL + [b'CREATE a', b'SELECT INBOX'])
    b.ask([b'STORE ' + x for x in (
        b'1 FLAGS (\\Seen)', b'1 +FLAGS (\\Deleted k1)', b'2 +FLAGS \\Flagged', b'2 +FLAGS \\Flagged k1 k2',
        b'2 -FLAGS (k1)', b'2 FLAGS ()', b'2 +FLAGS ()', b'2 FLAGS.SILENT (\\Seen)', b'9 FLAGS (\\Seen)',
        b'2 +FLAGS (\\Bogus)', b'2 +FLAGS (\\*)', b'2 FOO (\\Seen)', b'2 +FLAGS (\\sEEN \\FLAGGED \\deleted)',
        b'1:* -FLAGS (\\Deleted)', b'3 +FLAGS ($Forwarded $MDNSent NonJunk)')])
    b.ask([b'UID STORE 3 +FLAGS (\\Answered)', b'UID STORE 99 +FLAGS (\\Seen)', b'FETCH 1:* FLAGS', b'COPY 1:2 a',
           b'COPY 1 nonex', b'COPY 9 a', b'UID COPY 3 a', b'UID COPY 99 a', b'COPY 1:2 INBOX', b'SELECT a',
           b'FETCH 1:* FLAGS', b'SELECT INBOX', b'FETCH 1:* (UID FLAGS)', b'STORE 4:5 +FLAGS (\\Deleted)',
           b'UID EXPUNGE 5', b'FETCH 1:* UID', b'EXPUNGE', b'EXPUNGE', b'UID EXPUNGE 1:*', b'MOVE 1 a',
           b'MOVE 1 nonex', b'MOVE 9 a', b'UID MOVE 3 a', b'UID MOVE 99 a', b'FETCH 1:* UID', b'CLOSE'])
    b.ask([b'SELECT a (CONDSTORE)', b'FETCH 1:* (FLAGS) (CHANGEDSINCE 1)', b'FETCH 1 (FLAGS) (CHANGEDSINCE x)',
           b'FETCH 1 (FLAGS) (FOO 1)', b'STORE 1 +FLAGS.SILENT (x1)', b'SEARCH SEEN', b'ENABLE CONDSTORE',
           b'ENABLE QRESYNC', b'UID FETCH 1:* (FLAGS) (VANISHED)', b'UNSELECT', b'UNSELECT'])


@case
def another_session_sees_the_same(t):
    b = Both(t)
    for enable in (None, b'ENABLE QRESYNC'):
        b.quietly([b'SELECT INBOX', b'STORE 1:* +FLAGS.SILENT (\\Deleted)', b'EXPUNGE'] + FILL + [b'NOOP'])
        other = b.login()
        b.ask(([enable] if enable else []) + [b'EXAMINE INBOX'], other)
        b.quietly([b'STORE 2 +FLAGS (\\Seen)'])
        b.ask([b'NOOP', b'FETCH 2 FLAGS'], other)
        b.quietly([b'STORE 2 +FLAGS (\\Deleted)', b'NOOP'])
        b.ask([b'NOOP'], other)
        b.quietly([b'EXPUNGE'])
        b.ask([b'NOOP', b'FETCH 1:* UID'], other)
        b.quietly([append(PLAIN)])
        b.ask([b'NOOP', b'NOOP', b'CHECK'], other)
        for s in other:
            s.close()


@case
def dialogs_before_login_are_answered_as_by_dovecot(t):
    b = Both(t)

    def send(what, *lines):
        said = []
        for s in b.servers:
            d = Dialog(s, login=False)
            said.append(d.raw(b'\r\n'.join(lines + (b'end NOOP', b'')), b'end'))
            d.close()
        b.same(what, said)
    word = lambda s: base64.b64encode(s.encode())
    plain_login = word('\0alice\0' + PASSWORD)
    send('initial response', b'a AUTHENTICATE PLAIN ' + plain_login)
    send('pipelined', b'a AUTHENTICATE PLAIN', plain_login)
    send('no octets', b'a AUTHENTICATE PLAIN =')
    send('not base64', b'a AUTHENTICATE PLAIN !!!')
    send('cancelled', b'a AUTHENTICATE PLAIN', b'*')
    send('one word', b'a AUTHENTICATE PLAIN ' + word('alice'))
    send('as oneself', b'a AUTHENTICATE PLAIN ' + word('alice\0alice\0' + PASSWORD))
    send('as another', b'a AUTHENTICATE PLAIN ' + word('bob\0alice\0' + PASSWORD))
    send('LOGIN', b'a AUTHENTICATE LOGIN', word('alice'), word(PASSWORD))
    send('LOGIN without name', b'a AUTHENTICATE LOGIN', b'', word(PASSWORD))
    for line in (b'AUTHENTICATE', b'LOGIN alice', b'LOGIN', b'LOGIN "" ""', b'LOGIN "" x',
                 b'LOGIN alice {%d+}\r\n%s' % (len(PASSWORD), PASSWORD.encode()), b'LOGIN alice x y',
                 b'SELECT INBOX', b'NOOP', b'LOGOUT', b'FOO', b'', b'IDLE', b'login alice "%s"' % PASSWORD.encode()):
        send(line, b'a ' + line)
    send('a tag alone', b'a')
    send('no tag', b'')
    send('two commands behind the login', b'a LOGIN alice "%s"' % PASSWORD.encode(), b'b SELECT nonex', b'c NOOP')


main(__file__)
