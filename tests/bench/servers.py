"""What is measured: nodes of Duet, and Debian's Dovecot 2.3 beside them."""
import os
import shutil
import signal
import subprocess
import sys

SRC = os.environ.get('SRCDIR') or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SRC, 'tests/e2e'))
import duet_e2e                            # noqa: E402
from duet_e2e import free_ports, wait     # noqa: E402

PASSWORD = 'bench'
N_USERS = 100
USER = 'u'                                 # u0 … u99


class Bench(duet_e2e.Test):
    """A directory, certificate and users; ends what it started."""

    def __init__(self):
        super().__init__()
        with open(self.dir + '/users', 'w') as f:
            f.writelines('%s%d:{PLAIN}%s::::::\n' % (USER, i, PASSWORD) for i in range(N_USERS))

    def single(self, **settings):
        n = self.node('single')
        n.settings.update(limits())
        n.settings.update(settings)
        return n.start()

    def both(self):
        """Two nodes with the default times of a pair."""
        p = self.pair(start=False, **limits())
        return p.start()

    def end(self, node):
        node.stop()
        self.nodes.remove(node)
        shutil.rmtree(node.dir, ignore_errors=True)


def limits():
    """What must not be the measure: limits per client address."""
    return {'mail_max_userip_connections': '10000'}


class Dovecot:
    """Debian's Dovecot, sdbox, PLAIN passwords, as shipped but for limits."""
    version = '2.3'

    def __init__(self, bench):
        self.bench, self.host = bench, '127.0.0.1'
        self.dir = os.path.join(bench.dir, 'dovecot')
        self.imap, self.imaps, self.lmtp = free_ports(3)
        self.proc = None
        os.makedirs(self.dir + '/mail')
        shutil.chown(self.dir + '/mail', 'vmail', 'vmail')

    def start(self):
        conf = self.dir + '/dovecot.conf'
        with open(conf, 'w') as f:
            f.write(CONF.format(dir=self.dir, top=self.bench.dir, imap=self.imap, imaps=self.imaps,
                                lmtp=self.lmtp))
        self.proc = subprocess.Popen(['dovecot', '-F', '-c', conf], stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL)
        wait('Dovecot answers', 20, lambda: duet_e2e.socket.create_connection(
            (self.host, self.lmtp), 5).close() is None)
        return self

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(20)


def dovecot_version():
    if not shutil.which('dovecot') or os.getuid():
        return None
    out = subprocess.run(['dovecot', '--version'], stdout=subprocess.PIPE, text=True).stdout
    return out.split()[0] if out.startswith('2.3') else None


CONF = '''
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = dovecot-bench
log_path = {dir}/log
listen = 127.0.0.1
protocols = imap lmtp
mail_location = sdbox:{dir}/mail/%n
mail_uid = vmail
mail_gid = vmail
first_valid_uid = 1
auth_username_format = %Ln
auth_failure_delay = 0
ssl = yes
ssl_cert = <{top}/cert.pem
ssl_key = <{top}/key.pem
disable_plaintext_auth = yes
mail_max_userip_connections = 10000
default_client_limit = 5000
default_process_limit = 2000
passdb {{
  driver = passwd-file
  args = {top}/users
}}
userdb {{
  driver = static
  args = home={dir}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  client_limit = 12000
}}
service auth {{
  client_limit = 12000
}}
'''
