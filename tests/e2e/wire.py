#!/usr/bin/env python3
"""A wire between two network namespaces that delays, loses and paces packets.

    wire.py NETNS-A NETNS-B         puts a device `pair` into each

Commands on stdin, each answered by “done”: delay=SECONDS loss=SHARE
rate=BITS-A-SECOND, of both ways, or of what goes towards one side with
towards=a or towards=b.  rate=0 is no limit.  The same seed loses the same
packets.  What netem does, without needing its kernel module; it ends with its
stdin.
"""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454ca
IFF_TUN_NO_PI = 0x0001 | 0x1000
QUEUE = 64                                  # packets that wait for the rate; more are dropped
MTU = 1500


class Way:
    """Packets towards one side."""

    def __init__(self, out, seed):
        self.out, self.rng = out, random.Random(seed)
        self.delay = self.loss = self.rate = 0.0
        self.free, self.waiting, self.heap, self.n = 0.0, [], [], 0

    def take(self, packet, now):
        if self.rng.random() < self.loss:
            return
        self.waiting = [t for t in self.waiting if t > now]
        if len(self.waiting) >= QUEUE:
            return
        sent = max(now, self.free) + (len(packet) * 8 / self.rate if self.rate else 0)
        self.free = sent
        if sent > now:
            self.waiting.append(sent)
        self.n += 1
        heapq.heappush(self.heap, (sent + self.delay, self.n, packet))

    def give(self, now):
        while self.heap and self.heap[0][0] <= now:
            try:
                os.write(self.out, heapq.heappop(self.heap)[2])
            except OSError:
                pass                        # the device is going away, or full: a lost packet


def device(netns, temporary):
    fd = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack('16sH22s', temporary.encode(), IFF_TUN_NO_PI, b''))
    for cmd in (['link', 'set', temporary, 'netns', netns],
                ['-n', netns, 'link', 'set', temporary, 'name', 'pair', 'mtu', str(MTU)]):
        subprocess.run(['ip'] + cmd, check=True)
    return fd


def command(line, ways):
    words = dict(w.split('=', 1) for w in line.split())
    towards = words.pop('towards', 'ab')
    for n in towards:
        for k, v in words.items():
            if k not in ('delay', 'loss', 'rate'):
                raise SystemExit('unknown: ' + k)
            setattr(ways[n], k, float(v))


def main():
    fds = {n: device(ns, 'wire-' + n) for n, ns in zip('ab', sys.argv[1:3])}
    ways = {'a': Way(fds['a'], 1), 'b': Way(fds['b'], 2)}
    print('ready', flush=True)
    while True:
        now = time.monotonic()
        due = [w.heap[0][0] for w in ways.values() if w.heap]
        ready, _, _ = select.select([0] + list(fds.values()), [], [], max(0, min(due) - now) if due else None)
        if 0 in ready:
            line = sys.stdin.readline()
            if not line:
                return
            command(line, ways)
            print('done', flush=True)
        now = time.monotonic()
        for n, other in (('a', 'b'), ('b', 'a')):
            if fds[n] not in ready:
                continue
            for _ in range(32):
                try:
                    ways[other].take(os.read(fds[n], 65536), now)
                except OSError:
                    break
        for w in ways.values():
            w.give(now)


main()
