#!/usr/bin/env python3
"""The administrator's commands against running nodes: output in the forms of
doveadm 2.3, exit codes, errors that say what to do."""
import json
import os
import re
import subprocess

from adm_e2e import ADM, client, deliver, gone, rows, single
from duet_e2e import PASSWORD, USERS, Skip, case, main, wait


@case
def who_shows_sessions_in_every_form(t):
    n = single(t)
    keep = [client(n, 'alice'), client(n, 'alice'), client(n, 'bob')]
    code, out, _ = n.adm('who')
    t.equal(code, 0)
    t.true(re.match(r'username +# proto \(pids\) +\(ips\)\n'
                    r'alice +2 imap +\(\d+\) +\(127\.0\.0\.1\)\n'
                    r'bob +1 imap +\(\d+\) +\(127\.0\.0\.1\)\n$', out), 'table: %r' % out)
    t.equal([r['username'] for r in rows(n.adm('-f', 'tab', 'who')[1])], ['alice', 'bob'], 'tab')
    t.equal([(r['username'], r['connections'], r['service'], r['ips'])
             for r in json.loads(n.adm('who', '--json')[1])],
            [('alice', '2', 'imap', '(127.0.0.1)'), ('bob', '1', 'imap', '(127.0.0.1)')], 'json')
    t.true('username=bob #=1 proto=imap' in n.adm('-f', 'flow', 'who')[1], 'flow')
    t.equal(len(n.adm('-f', 'tab', 'who', '-1')[1].splitlines()), 4, 'who -1')
    t.equal([r['username'] for r in rows(n.adm('-f', 'tab', 'who', 'b*')[1])], ['bob'], 'mask')
    t.equal(len(rows(n.adm('-f', 'tab', 'who', '127.0.0.0/8')[1])), 2, 'network')
    t.equal(rows(n.adm('-f', 'tab', 'who', '192.0.2.0/24')[1]), [], 'another network')
    del keep


@case
def kick_ends_the_sessions_it_names(t):
    n = single(t)
    alice, bob = client(n, 'alice'), client(n, 'bob')
    t.equal(n.adm('kick', 'nobody*'), (68, 'no users kicked\n', ''))
    t.equal(n.adm('kick', '192.0.2.1')[0], 68)
    t.equal(n.adm('--json', 'kick', 'nobody*'), (68, '[]\n', ''))
    t.equal(n.adm('kick')[0], 64, 'kick of nobody in particular')
    t.equal(n.adm('kick', 'alice'),
            (0, 'kicked connections from the following users:\nalice\n', ''))
    t.true(gone(alice), 'alice is still there')
    t.equal(bob.noop()[0], 'OK', 'bob')
    t.equal(n.adm('--json', 'kick', '127.0.0.0/8')[1], '[{"result":"bob"}]\n')
    t.true(gone(bob), 'bob is still there')
    wait('nobody is left', 10, lambda: len(n.adm('-f', 'tab', 'who')[1].splitlines()) == 1)


@case
def user_shows_fields_and_lists_names(t):
    n = single(t)
    code, out, err = n.adm('user', 'alice')
    t.equal((code, err), (0, ''))
    f = dict(line.split('\t') for line in out.splitlines())
    t.equal(out.splitlines()[0], 'field\tvalue')
    t.true(f['uid'].isdigit() and f['gid'].isdigit(), 'uid and gid are numbers: %r' % f)
    t.equal(f['home'], '%s/alice' % n.mail)
    t.equal(f['mail'], 'sdbox:%s/alice/' % n.mail)
    t.equal(n.adm('user', '-f', 'home', 'alice')[1], '%s/alice\n' % n.mail)
    t.equal(n.adm('user', '*')[:2], (0, ''.join(u + '\n' for u in USERS)))
    t.equal(n.adm('user', '?o*')[1], 'bob\n')
    t.equal(json.loads(n.adm('--json', 'user', '*')[1]), [{'username': u} for u in USERS])
    code, out, err = n.adm('user', 'nobody')
    t.equal((code, err), (67, "userdb lookup: user nobody doesn't exist\n"))
    t.equal(n.adm('user', 'alice', 'nobody')[0], 67, 'one of two')
    t.equal(n.adm('user')[0], 64, 'no name')


@case
def passwords_are_tested(t):
    n = single(t)
    want = 'passdb: alice auth succeeded\nextra fields:\n  user=alice\n'
    t.equal(n.adm('auth', 'test', 'alice', PASSWORD), (0, want, ''))
    t.equal(n.adm('auth', 'test', 'alice', input=PASSWORD + '\n'), (0, want, ''), 'from stdin')
    t.equal(n.adm('auth', 'test', '-x', 'service=imap', '-x', 'rip=192.0.2.9', 'alice', PASSWORD)[0], 0)
    code, out, _ = n.adm('auth', 'test', 'alice', 'wrong')
    t.equal((code, out.splitlines()[0]), (77, 'passdb: alice auth failed'))
    t.equal(n.adm('auth', 'test', 'nobody', 'x')[0], 77)
    code, out, _ = n.adm('auth', 'lookup', 'alice')
    t.equal((code, out.splitlines()[:2]), (0, ['passdb: alice', '  user      : alice']))
    t.true(PASSWORD not in out, 'auth lookup shows the password')
    t.equal(n.adm('auth', 'lookup', '-f', 'user', 'alice')[1], 'alice\n')
    t.equal(n.adm('auth', 'lookup', 'nobody')[0], 67)


@case
def hashes_need_no_node(t):
    def adm(*args, **kw):
        r = subprocess.run([ADM] + list(args), text=True, capture_output=True, timeout=60, **kw)
        return r.returncode, r.stdout, r.stderr
    t.true('SHA512-CRYPT' in adm('pw', '-l')[1], 'pw -l')
    for scheme in ('PLAIN', 'SHA512-CRYPT', 'SSHA', 'CRYPT'):
        code, out, err = adm('pw', '-s', scheme, '-p', 'geheim')
        t.equal((code, err), (0, ''))
        t.true(out.startswith('{%s}' % scheme), out)
        t.equal(adm('pw', '-t', out.strip(), '-p', 'geheim')[:2], (0, out.strip() + ' (verified)\n'))
        t.true(adm('pw', '-t', out.strip(), '-p', 'falsch')[0] != 0, 'wrong password verified')
    t.equal(adm('pw', '-s', 'PLAIN', input='a\na\n')[1], '{PLAIN}a\n')
    t.true(adm('pw', '-s', 'PLAIN', input='a\nb\n')[0] != 0, 'two passwords that differ')
    t.true(adm('pw', '-s', 'NONE-SUCH', '-p', 'a')[0] != 0, 'unknown scheme')


@case
def help_is_everywhere_and_absent_things_say_so(t):
    def adm(*args):
        r = subprocess.run([ADM] + list(args), text=True, capture_output=True, timeout=60)
        return r.returncode, r.stdout, r.stderr
    t.equal(adm()[0], 64)
    t.equal(adm('--help')[0], 0)
    t.equal(adm('help')[0], 0)
    t.true(adm('help', 'who')[1].startswith('duetadm who '), 'help who')
    t.equal(adm('nosuch')[0], 64)
    t.equal(adm('replicator')[0], 64)
    for words in re.findall(r'(?m)^  (\S+) +([a-z|-]+)$', adm('help')[1].split('\nNot in')[0]):
        for sub in words[1].split('|'):
            code, out, _ = adm(words[0], sub, '--help')
            t.equal((code, out.startswith('duetadm %s %s' % (words[0], sub)) or words[0] == 'config'),
                    (0, True), '%s %s --help' % (words[0], sub))
    for word in 'exec altmove director dict fs sis rebuild oldstats zlibconnect'.split():
        code, _, err = adm(word, 'whatever')
        t.equal((code, 'Duet has no `%s\': ' % word in err), (69, True), word)
    for args in (['mailbox', 'list'], ['fetch', 'text', 'all'], ['sieve', 'list'], ['backup', 'x']):
        code, _, err = adm(*args)
        t.equal((code, 'not in this build' in err), (69, True), ' '.join(args))
    t.equal(adm('-f', 'xml', 'who')[0], 75)
    link = os.path.join(t.dir, 'doveadm')
    os.symlink(ADM, link)
    r = subprocess.run([link, 'pw', '-s', 'PLAIN', '-p', 'a'], text=True, capture_output=True)
    t.equal(r.stdout, '{PLAIN}a\n', 'as doveadm')
    r = subprocess.run([link, 'help', 'who'], text=True, capture_output=True)
    t.true(r.stdout.startswith('doveadm who '), 'its own name')


@case
def a_node_is_found_by_file_name_or_socket(t):
    n = single(t)
    sock = n.dir + '/run/doveadm-server'
    for args in (['-c', n.conf], ['-S', sock], ['-c', n.conf, '-D']):
        r = subprocess.run([ADM] + args + ['who'], text=True, capture_output=True)
        t.equal(r.returncode, 0, ' '.join(args) + r.stderr)
    r = subprocess.run([ADM, 'who', '-a', sock], text=True, capture_output=True)
    t.equal(r.returncode, 0, '-a')
    t.equal(subprocess.run([ADM, '-c', n.dir + '/none.conf', 'who'], capture_output=True).returncode, 78)
    t.equal(subprocess.run([ADM, '-i', 'no-such-node', 'who'], capture_output=True).returncode, 68)
    code, out, _ = n.adm('config', '-h', 'base_dir')
    t.equal((code, out), (0, n.dir + '/run\n'))
    # Without the tree the socket is enough.
    os.rename(n.conf, n.conf + '.away')
    try:
        t.equal(subprocess.run([ADM, '-S', sock, 'pair', 'status'], capture_output=True).returncode, 0)
    finally:
        os.rename(n.conf + '.away', n.conf)


@case
def others_may_not_ask(t):
    if os.getuid() != 0:
        raise Skip('needs root')
    n = single(t)
    prog = os.path.join(t.dir, 'duetadm')
    subprocess.run(['cp', ADM, prog], check=True)
    r = subprocess.run(['setpriv', '--reuid=nobody', '--clear-groups', prog, '-S',
                        n.dir + '/run/doveadm-server', 'who'], text=True, capture_output=True)
    t.equal(r.returncode, 77)
    t.true('only root' in r.stderr, r.stderr)


@case
def a_stopped_node_is_named_with_its_socket(t):
    n = single(t)
    t.equal(n.adm('stop'), (0, '', ''))
    t.equal(n.proc.wait(20), 0)
    n.proc = None
    for args in (['who'], ['reload'], ['stop'], ['user', 'alice'], ['replicator', 'status'], ['pair', 'status']):
        code, out, err = n.adm(*args)
        t.equal(code, 75, ' '.join(args))
        t.true(n.dir + '/run/doveadm-server' in err and 'duetd -c ' + n.conf in err, err)


@case
def reload_is_whole_or_not_at_all(t):
    n = single(t)
    t.equal(n.adm('reload')[0], 0)
    n.extra = 'no_such_setting = 1\n'
    n.write_conf()
    code, _, err = n.adm('reload')
    t.true(code != 0 and 'no_such_setting' in err, '%d %s' % (code, err))
    n.extra = ''
    n.write_conf()
    t.equal(n.adm('reload')[0], 0)
    os.rename(n.logfile, n.logfile + '.1')
    t.equal(n.adm('log', 'reopen')[0], 0)
    wait('the log is written anew', 10, lambda: os.path.exists(n.logfile))


@case
def a_node_without_partner_is_single(t):
    n = single(t)
    client(n, 'alice').logout()
    code, out, _ = n.adm('pair', 'status')
    t.equal(code, 0)
    t.true(re.search(r'(?m)^State +SINGLE$', out), out)
    code, out, _ = n.adm('-f', 'tab', 'pair', 'status', '*')
    t.equal([(r['username'], r['state']) for r in rows(out)], [('alice', 'SINGLE')])
    code, out, _ = n.adm('pair', 'ready')
    t.equal((code, out.startswith('ready: ')), (0, True), out)
    t.equal(n.adm('replicator', 'status')[1],
            "Queued 'sync' requests        0\nQueued 'high' requests        0\n"
            "Queued 'low' requests         0\nQueued 'failed' requests      0\n"
            "Queued 'full resync' requests 0\nWaiting 'failed' requests     0\n"
            "Total number of known users   3\n")
    t.equal(n.adm('pair', 'takeover', 'nobody')[0], 67)
    t.equal(n.adm('pair', 'forget-peer')[0], 64, 'without --yes')


@case
def selftest_walks_through_a_change(t):
    n = single(t)
    c = client(n, 'alice')
    before = c.list()
    for _ in range(2):
        code, out, err = n.adm('-f', 'tab', 'pair', 'selftest', 'alice')
        t.equal((code, err), (0, ''))
        t.equal([(r['step'], r['result']) for r in rows(out)],
                [('holder', 'this node'), ('create mailbox', 'ok'), ('add message', 'ok'), ('flag', 'ok'),
                 ('read back', 'ok'), ('second copy', 'this node has no partner'),
                 ('expunge', 'ok'), ('delete mailbox', 'ok')])
        t.true(all(float(r['ms']) >= 0 for r in rows(out)), out)
    t.equal(c.list(), before, 'the mailbox stayed')
    t.equal(n.adm('pair', 'selftest', 'nobody')[0], 67)
    code, out, _ = n.adm('pair', 'switchover')
    t.equal((code, 'no partner' in out), (75, True), out)
    t.equal(c.noop()[0], 'OK', 'a session was ended for nothing')
    t.equal(n.adm('replicator', 'replicate', '-p', 'high', '*')[:2], (0, '1 users updated\n'))
    t.equal(n.adm('replicator', 'replicate', '-p', 'soon', '*')[0], 64)
    t.equal(n.adm('replicator', 'add', 'al*'), (0, '', ''))
    t.equal(n.adm('replicator', 'remove', 'alice'), (0, '', ''))
    t.equal(n.adm('replicator', 'remove', 'nobody')[0], 67)


@case
def files_of_the_store_are_readable(t):
    n = single(t)
    deliver(n, 'alice', 'a subject')
    c = client(n, 'alice')
    c.store('1', '+FLAGS', '(\\Flagged)')
    c.logout()
    t.equal(n.adm('stop')[0], 0)
    n.proc.wait(20)
    n.proc = None
    kinds = {}
    for top in (n.mail, n.dir + '/state'):
        for dir, _, names in os.walk(top):
            for name in names:
                path = os.path.join(dir, name)
                before = open(path, 'rb').read()
                code, out, err = n.adm('dump', path)
                if '/identity' in path or 'duet-id' in path and code:
                    continue
                if before and '/cache/' not in path:
                    t.equal((code, err), (0, ''), path)
                kinds.setdefault(out.split(': ')[-1] if False else re.sub(r'.*: ', '', out.split('\n')[0]), out)
                t.equal(open(path, 'rb').read(), before, 'dump changed ' + path)
    for word in ('account log segment', 'journal of a store process', 'index of a mailbox', 'message file',
                 'snapshot of an account', 'checkpoint mark of a journal'):
        t.true(word in kinds, 'no %s among %s' % (word, sorted(kinds)))
    log = kinds['account log segment']
    t.true(re.search(r'(?m)^\d+: seq 1 epoch \d+ chain [0-9a-f]{16} ', log), log)
    t.true('DAMAGED' not in log, log)
    t.true('Flagged' in kinds['index of a mailbox'], kinds['index of a mailbox'])
    for dir, _, names in os.walk(n.mail):
        for name in names:
            if name.startswith('u.'):
                path = os.path.join(dir, name)
                with open(path, 'r+b') as f:
                    f.truncate(60)
                code, out, err = n.adm('dump', path)
                t.equal((code, 'DAMAGED' in out), (65, True), 'a truncated message file')
    t.equal(n.adm('dump', n.dir + '/nothing')[0], 66)
    t.equal(n.adm('dump', '-t', 'nothing', n.conf)[0], 64)
    t.equal(n.adm('dump', n.mail)[0], 66)


main(__file__)
