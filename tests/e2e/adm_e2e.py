"""What the suites of duetadm share."""
import imaplib
import os
import smtplib
import ssl

from duet_e2e import BUILD, PASSWORD, Node

ADM = os.path.join(BUILD, 'duetadm')


class ListingNode(Node):
    """A node whose userdb can list its users."""

    def write_conf(self):
        super().write_conf()
        with open(self.conf) as f:
            text = f.read()
        text = text.replace('userdb {\n  driver = static\n  args = home=%s/%%n\n}' % self.mail,
                            'userdb {\n  driver = passwd-file\n  args = %s/users\n'
                            '  override_fields = home=%s/%%n\n}' % (self.test.dir, self.mail))
        with open(self.conf, 'w') as f:
            f.write(text)


def single(t, **settings):
    n = ListingNode(t, 'a', os.path.join(t.dir, 'a'))
    n.settings.update(settings)
    t.nodes.append(n)
    return n.start()


def client(n, user):
    c = imaplib.IMAP4_SSL(n.host, n.imaps, ssl_context=ssl._create_unverified_context(), timeout=60)
    c.login(user, PASSWORD)
    c.select('INBOX')
    return c


def deliver(n, user, subject='x', line='body\r\n', lines=1):
    with smtplib.LMTP(n.host, n.lmtp, timeout=60) as s:
        s.sendmail('a@test.example', [user + '@test.example'],
                   'From: a@test.example\r\nSubject: %s\r\n\r\n%s' % (subject, line * lines))


def rows(text):
    lines = text.splitlines()
    return [dict(zip(lines[0].split('\t'), line.split('\t'))) for line in lines[1:]]


def gone(c):
    """The server has ended this session."""
    try:
        return c.noop()[0] != 'OK'
    except (imaplib.IMAP4.abort, imaplib.IMAP4.error, OSError):
        return True


def fields(text):
    """The two columns of an overview in the form tab."""
    return dict(line.split('\t', 1) for line in text.splitlines()[1:])


def row(n, user, *command):
    """The line of one account in `pair status`, or in another command."""
    out = n.adm('-f', 'tab', *(command or ('pair', 'status')), user)[1]
    found = [r for r in rows(out) if r['username'] == user]
    return found[0] if found else {}


def holder(pair, user):
    """(holder, other node) as both nodes say."""
    says = [row(n, user).get('holder') for n in pair.nodes]
    if says == ['here', 'partner']:
        return pair.a, pair.b
    if says == ['partner', 'here']:
        return pair.b, pair.a
    raise AssertionError('no common holder of %s: %r' % (user, says))
