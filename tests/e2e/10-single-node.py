#!/usr/bin/env python3
"""One node without a partner: LMTP in, IMAP out, and what survives."""
import imaplib
import smtplib

from duet_e2e import PASSWORD, case, main, wait
from load import connect, contents, message


def deliver(node, ident, user='alice', size=400):
    with smtplib.LMTP(node.host, node.lmtp) as c:
        return c.sendmail('s@test.example', [user + '@test.example'], message(ident, user, size))


@case
def delivered_mail_is_read_by_imap(t):
    n = t.node().start()
    for i in range(5):
        deliver(n, 'm%d' % i)
    have, _ = contents(n, 'alice', PASSWORD)
    t.equal([have[u][0] for u in sorted(have)], ['m0', 'm1', 'm2', 'm3', 'm4'])
    t.equal(sorted(have), [1, 2, 3, 4, 5], 'UIDs')


@case
def large_body_comes_back_octet_by_octet(t):
    n = t.node().start()
    deliver(n, 'big', size=3000000)
    c = connect(n, 'alice', PASSWORD)
    c.select('INBOX')
    ok, data = c.fetch('1', '(RFC822.SIZE BODY.PEEK[TEXT])')
    t.equal(ok, 'OK')
    t.true(data[0][1].rstrip().endswith(b'y' * 1000), 'body is not what was sent')
    t.equal(len(data[0][1]), 72 + 3000000 + 4 - (0 if data[0][1].endswith(b'\r\n\r\n') else 2), 'length')
    c.logout()


@case
def what_was_acknowledged_survives_sigkill(t):
    n = t.node().start()
    for i in range(20):
        deliver(n, 'm%d' % i)
    c = connect(n, 'alice', PASSWORD)
    c.select('INBOX')
    t.equal(c.store('1:5', '+FLAGS', '(\\Seen $Work)')[0], 'OK')
    t.equal(c.store('6', '+FLAGS', '(\\Deleted)')[0], 'OK')
    t.equal(c.expunge()[0], 'OK')
    t.equal(c.create('Archive')[0], 'OK')
    t.equal(c.copy('1:3', 'Archive')[0], 'OK')
    before, uids = contents(n, 'alice', PASSWORD)
    n.kill()
    n.start()
    after, uids2 = contents(n, 'alice', PASSWORD)
    t.equal(after, before, 'INBOX')
    t.equal(uids2, uids, 'UIDVALIDITY, UIDNEXT')
    t.equal(len(contents(n, 'alice', PASSWORD, 'Archive')[0]), 3, 'Archive')


@case
def unknown_user_is_550(t):
    n = t.node().start()
    with smtplib.LMTP(n.host, n.lmtp) as c:
        c.ehlo_or_helo_if_needed()
        c.mail('s@test.example')
        t.equal(c.rcpt('nobody@test.example')[0], 550)


@case
def plaintext_login_from_elsewhere_needs_tls(t):
    # 127.0.0.1 to 127.0.0.1 counts as secure; capability still offers STARTTLS.
    n = t.node().start()
    c = imaplib.IMAP4(n.host, n.imap)
    t.true('STARTTLS' in c.capabilities, 'no STARTTLS in %r' % (c.capabilities,))
    try:
        c.login('alice', 'wrong')
        raise AssertionError('wrong password accepted')
    except imaplib.IMAP4.error as e:
        t.true('AUTHENTICATIONFAILED' in str(e), str(e))
    c.login('alice', PASSWORD)
    c.logout()


@case
def orderly_stop_and_start_keep_everything(t):
    n = t.node().start()
    deliver(n, 'one')
    before = contents(n, 'alice', PASSWORD)
    t.equal(n.stop(), 0, 'exit status')
    n.start()
    t.equal(contents(n, 'alice', PASSWORD), before)


@case
def a_killed_role_comes_back(t):
    n = t.node().start()
    deliver(n, 'one')
    for role in ('store', 'front', 'auth'):
        pids = n.children().get(role)
        t.true(pids, 'no process of role %s in %r' % (role, n.children()))
        n.signal(9, role)
        wait('mail is served after the death of %s' % role, 20,
             lambda: [v[0] for v in contents(n, 'alice', PASSWORD)[0].values()] == ['one'])


main(__file__)
