#!/usr/bin/env python3
"""Damaged files: indexes are made again, a lost journal is left at the operator's word."""
import glob
import imaplib
import os
import re
import smtplib
import subprocess

from duet_e2e import BUILD, PASSWORD, case, main, wait
from load import connect, message


def deliver(n, user, idents):
    s = smtplib.LMTP(n.host, n.lmtp, timeout=30)
    for ident in idents:
        s.sendmail('sender@test.example', [user], message(ident, user))
    s.quit()


def shown(n, user):
    """What a client knows: UIDVALIDITY, UIDs with flags and sizes; None while a
    node that was just started has to say UNAVAILABLE."""
    try:
        c = connect(n, user, PASSWORD)
    except imaplib.IMAP4.error:
        return None
    kind, _ = c.select(readonly=True)
    if kind != 'OK':
        c.logout()
        return None
    validity = c.response('UIDVALIDITY')[1]
    rows = c.uid('FETCH', '1:*', '(UID FLAGS RFC822.SIZE)')[1]
    c.logout()
    return validity, sorted(re.sub(rb' ?\\Recent', b'', r).replace(b'( ', b'(') for r in rows if r)


def flip(path, offset):
    with open(path, 'r+b') as f:
        f.seek(offset)
        b = f.read(1)
        f.seek(offset)
        f.write(bytes([b[0] ^ 1]))


def damaged(how, path):
    if how == 'deleted':
        os.unlink(path)
    elif how == 'truncated':
        os.truncate(path, 100)
    elif how == 'head flipped':
        flip(path, 20)
    else:
        flip(path, 128)


@case
def a_damaged_index_is_made_again(t):
    n = t.node().start()
    deliver(n, 'alice', ['m%d' % i for i in range(6)])
    c = connect(n, 'alice', PASSWORD)
    c.select()
    c.store('2', '+FLAGS', '\\Flagged')
    c.store('3', '+FLAGS', '\\Deleted')
    c.expunge()
    c.logout()
    before = wait('a login', 20, lambda: shown(n, 'alice'))
    t.equal(len(before[1]), 5, 'messages')
    for i, how in enumerate(('deleted', 'truncated', 'head flipped', 'record flipped')):
        n.stop()
        files = glob.glob(n.mail + '/alice/.duet/state/index/*')
        t.equal(len(files), 1, 'index files')
        damaged(how, files[0])
        n.start()
        # A flipped record is found by the first who asks, and he may be told to come again.
        wait('%s: the mailbox as it was' % how, 20, lambda: shown(n, 'alice') == before)
        t.equal(n.log().count('made again from'), i + 1, how + ': told once')
    t.true(glob.glob(n.mail + '/alice/.duet/quarantine/*'), 'the damaged files are kept')
    deliver(n, 'alice', ['after'])
    t.equal(len(wait('a login', 20, lambda: shown(n, 'alice'))[1]), 6, 'messages')


@case
def a_lost_journal_is_left_at_the_operators_word(t):
    n = t.node().start()
    deliver(n, 'alice', ['m1', 'm2'])
    before = wait('a login', 20, lambda: shown(n, 'alice'))
    n.stop()
    journal = n.dir + '/state/journal/0'
    os.unlink(journal)
    duetd = [os.path.join(BUILD, 'duetd')]
    r = subprocess.run(duetd + ['--recover', '--accept-loss', '-c', n.conf],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    text = r.stdout.decode()
    t.equal(r.returncode, 0, text)
    t.true('journal 0 is set aside' in text, text)
    t.true(glob.glob(journal[:-1] + 'bad.*'), 'the rest of it is kept')
    n.start()
    t.equal(wait('a login', 20, lambda: shown(n, 'alice')), before, 'what had been checkpointed')
    deliver(n, 'alice', ['m3'])
    t.equal(len(wait('a login', 20, lambda: shown(n, 'alice'))[1]), 3, 'messages')
    r = subprocess.run(duetd + ['--accept-loss', '-c', n.conf],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    t.equal(r.returncode, 64, r.stdout.decode())


main(__file__)
