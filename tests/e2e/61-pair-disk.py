#!/usr/bin/env python3
"""A disk that fails below one node of a running pair.

The partner serves that node's accounts, mail sent to either node is taken, and
when the disk is back the pair is in SYNC by itself, equal to the last octet.
"""
import os
import smtplib
import threading

from disk import Disk
from duet_e2e import PASSWORD, case, main, wait
from load import CUT, connect, message
from netns import holds, identical, status

# Which node holds an account comes from its id: enough for either.
WHO = ['user%d' % i for i in range(8)]
PATIENCE = 90


def attempt(node, ident, user):
    """Code and text for one mail; 0 for a cut connection."""
    try:
        with smtplib.LMTP(node.host, node.lmtp, timeout=60) as c:
            c.sendmail('s@test.example', [user + '@test.example'], message(ident, user))
            return 250, ''
    except smtplib.SMTPRecipientsRefused as e:
        code, text = list(e.recipients.values())[0]
        return code, text.decode()
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, str(e.smtp_error)
    except CUT as e:
        return 0, repr(e)


class Mta(threading.Thread):
    """Sends one mail to each user at one node, each until it is taken."""

    def __init__(self, node, name, users=WHO):
        super().__init__(daemon=True)
        self.node, self.name_, self.users, self.said, self.failed = node, name, users, [], None
        self.start()

    def run(self):
        try:
            for u in self.users:
                wait('mail for %s is taken at node %s' % (u, self.node.name), PATIENCE, lambda: self.once(u), 0.5)
        except AssertionError as e:
            self.failed = '%s; answers: %r' % (e, self.said[-4:])

    def once(self, user):
        said = attempt(self.node, self.name_, user)
        if said[0] != 250:
            self.said.append((user,) + said)
        return said[0] == 250

    def done(self, t):
        self.join(PATIENCE * 2)
        t.true(not self.is_alive() and not self.failed, self.failed or 'hangs')
        # Not taken may be said for now only.
        t.equal([s for s in self.said if s[1] and not 400 <= s[1] < 500], [], 'answers at ' + self.node.name)
        print('%s at node %s: %d tries more: %s' % (self.name_, self.node.name, len(self.said), self.said[:2]))


def start(t, whole, mib):
    """A pair whose node b has a disk of its own: below its mail, or below all
    it keeps."""
    t.write_users(WHO)
    p = t.pair(start=False)
    p.b.settings.update({'pair_journal_size': '16 M', 'pair_reserve': '4 M'})
    p.a.settings['pair_reserve'] = '0'
    if whole:
        place = os.path.join(p.b.dir, 'disk')
        os.mkdir(place)
        disk = Disk(t, place, mib)
        os.chmod(place, 0o755)
        p.b.mail = place + '/mail'
        p.b.make_mail()
        p.b.settings['state_dir'] = place + '/state'
    else:
        disk = Disk(t, p.b.mail, mib)
    p.start()
    for n in p.nodes:
        Mta(n, 'before-' + n.name).done(t)
    p.in_sync()
    held = [u for u in WHO if holds(p.b, u)]
    t.true(0 < len(held) < len(WHO), 'both hold accounts: %r' % held)
    return p, disk, held


def names(node, user):
    """[Message-ID without domain] of INBOX; a login that has to wait may be refused for now."""
    c = connect(node, user, PASSWORD, timeout=60)
    ok, data = c.select('INBOX', readonly=True)
    if ok != 'OK':
        raise AssertionError(repr(data))
    ok, data = c.fetch('1:*', '(BODY.PEEK[HEADER.FIELDS (SUBJECT)])')
    c.logout()
    return sorted(p[1].decode().partition(':')[2].strip() for p in data if isinstance(p, tuple))


def equal_again(t, p, want):
    p.in_sync(PATIENCE)
    for n in p.nodes:
        t.equal(status(n)[1]['FORKED'], '0')
    for u in WHO:
        got = identical(t, p, u)
        t.equal(len(got), len(want), 'mails of %s: %r' % (u, names(p.a, u)))
        t.equal(names(p.a, u), sorted(want), u)


def read_only(t, whole):
    p, disk, held = start(t, whole, 64)
    session = connect(p.b, held[0], PASSWORD)
    session.select('INBOX')
    mark = len(p.b.log())
    disk.abort()
    # Node a first: it is the one that has to notice.
    for n in p.nodes:
        Mta(n, 'during-' + n.name).done(t)
    for u in WHO:
        for n in p.nodes:
            wait('%s reads all at node %s' % (u, n.name), PATIENCE, lambda: {
                'before-a', 'before-b', 'during-a', 'during-b'} == set(names(n, u)))
        t.true(holds(p.a, u), 'node a does not hold %s' % u)
    said = [l for l in p.b.log()[mark:].split('\n') if ('Error' in l or 'Fatal' in l) and (
        'Read-only file system' in l or 'Input/output error' in l)]
    t.true(said, 'the log of node b does not name the trouble: %s' % p.b.log()[mark:][-1500:])
    print('\n'.join(said[:4]))
    code, fields = status(p.a)
    t.equal((code, fields['State']), (2, 'DEGRADED'), fields)
    t.equal(fields['Reason'], "partner's disk failed")
    code, out, err = p.b.adm('pair', 'status')
    t.true(code and 'start duetd again' in out + err, 'pair status at b: %d %s %s' % (code, out, err))
    p.b.kill()
    disk.again()
    p.b.start()
    equal_again(t, p, ['before-a', 'before-b', 'during-a', 'during-b'])
    Mta(p.b, 'after').done(t)
    equal_again(t, p, ['before-a', 'before-b', 'during-a', 'during-b', 'after'])


@case
def a_mail_disk_gone_read_only_below_one_node_is_the_partners_to_serve(t):
    read_only(t, False)


@case
def a_whole_disk_gone_read_only_below_one_node_is_the_partners_to_serve(t):
    read_only(t, True)


@case
def a_whole_full_disk_below_one_node_costs_the_others_nothing(t):
    p, disk, held = start(t, True, 64)
    others = [u for u in WHO if u not in held]
    mark = len(p.b.log())
    disk.fill()
    # Mail for accounts that node b holds waits until there is room.
    waiting = [Mta(n, 'during-' + n.name, held) for n in p.nodes]
    for n in p.nodes:
        Mta(n, 'during-' + n.name, others).done(t)
    wait('node b says what is full', 30, lambda: 'pair_reserve' in p.b.log()[mark:])
    wait('DEGRADED is shown', 30, lambda: status(p.a)[0] == 2)
    t.equal(status(p.a)[1]['Reason'], 'space')
    for u in WHO:
        for n in p.nodes:
            t.true({'before-a', 'before-b'} <= set(names(n, u)), '%s reads at %s' % (u, n.name))
    disk.free()
    for m in waiting:
        m.done(t)
    equal_again(t, p, ['before-a', 'before-b', 'during-a', 'during-b'])


main(__file__)
