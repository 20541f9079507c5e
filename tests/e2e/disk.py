"""Small disks of their own for the tests of trouble: ext4 in a file, by root.

    disk = Disk(t, node.mail, 48)      # MiB; mounted until the case ends
    disk.fill(keep=0)                  # leave `keep` octets
    disk.free()
    disk.abort()                       # what ext4 does at an error: read-only
    disk.again()                       # unmounts, checks, mounts
    flip(path, offset)                 # one bit of a file
"""
import os
import pwd
import shutil
import subprocess

from duet_e2e import Skip, wait


def flip(path, at=None):
    """One bit of a file: in the middle if not said."""
    with open(path, 'r+b') as f:
        f.seek(0, 2)
        size = f.tell()
        f.seek(size // 2 if at is None else at)
        b = f.read(1)[0]
        f.seek(-1, 1)
        f.write(bytes((b ^ 0x10,)))


class Disk:
    def __init__(self, test, path, mib):
        if os.getuid() != 0:
            raise Skip('mounting a disk needs root')
        if not shutil.which('mkfs.ext4'):
            raise Skip('mkfs.ext4 is not installed')
        self.test, self.path = test, path
        self.image = os.path.join(test.dir, 'disk-%d.img' % len(test.cleanups))
        self.filler = os.path.join(path, '.filler')
        with open(self.image, 'wb') as f:
            f.truncate(mib << 20)
        # No reserved blocks: root would have room where the store has none.
        self.run('mkfs.ext4', '-q', '-m', '0', '-E', 'lazy_itable_init=0', self.image)
        self.mounted = False
        test.cleanups.append(self.close)
        if not self.mount():
            raise Skip('no loop device can be mounted here')
        shutil.rmtree(os.path.join(path, 'lost+found'))
        if test.root:
            v = pwd.getpwnam('vmail')
            os.chown(path, v.pw_uid, v.pw_gid)
        os.chmod(path, 0o700)

    def run(self, *cmd):
        r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if r.returncode not in (0, 1) or (r.returncode == 1 and cmd[0] != 'e2fsck'):
            raise AssertionError('%s: %s' % (' '.join(cmd), r.stdout))

    def mount(self):
        r = subprocess.run(['mount', '-o', 'loop', self.image, self.path], stderr=subprocess.PIPE)
        self.mounted = r.returncode == 0
        return self.mounted

    def unmount(self):
        # A process that died a moment ago may still hold a file.
        wait('%s is unmounted' % self.path, 20,
             lambda: subprocess.run(['umount', self.path], stderr=subprocess.PIPE).returncode == 0)
        self.mounted = False

    def fill(self, keep=0):
        """Until no more than `keep` octets are free."""
        f = os.open(self.filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            for piece in (1 << 20, 4096):
                block = bytes(piece)
                while True:
                    v = os.fstatvfs(f)
                    if v.f_bavail * v.f_frsize < keep + piece:
                        break
                    try:
                        os.write(f, block)
                    except OSError:
                        break
            os.fsync(f)
        finally:
            os.close(f)

    def free(self):
        os.unlink(self.filler)

    def abort(self):
        self.run('mount', '-o', 'remount,abort', self.path)

    def again(self):
        self.unmount()
        self.run('e2fsck', '-p', '-f', self.image)
        if not self.mount():
            raise AssertionError('%s cannot be mounted again' % self.image)

    def close(self):
        for n in self.test.nodes:
            n.kill()
        if self.mounted:
            self.unmount()
