#!/usr/bin/env python3
"""Writes what uid_model.py, the design's model of numbering, does to each node.

usage: numbering.py UID_MODEL.PY [SEEDS] [FIRST SEED] >numbering.txt

The table beside this file was made with 40 seeds.  test_numbering replays it,
or the one named by DUET_NUMBERING, through the code that numbers.

A line is an event at one node, in the order in which its process sees them:
    L W              the window the model ran with
    S SEED NODE      a node begins with EPOCH_BEGIN (node 0) in its log
    C SEQ            its log is cut to SEQ records
    B NODE JUMP UID  EPOCH_BEGIN; a heal raises UIDNEXT to UID first
    A UID...         a record of these messages, numbered by somebody else
    X UID...         these messages go
    N                any other record
    D SEQ  K SEQ  P SEQ      durable here, acked by the partner, published
    F                nothing may be numbered now: too much beyond the own disk
    W UID...         this many messages are numbered here, as these
    U UID            UIDNEXT at the end of the log

A node is followed until a rebase gives it a message below UIDNEXT.
"""
import importlib.util
import sys


def load(path):
    spec = importlib.util.spec_from_file_location('uid_model', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules['uid_model'] = module
    spec.loader.exec_module(module)
    return module


class Told:
    """What the table has said about a node so far."""

    def __init__(self):
        self.log, self.dur, self.acked, self.pub, self.lines = [], 0, 0, 0, []
        self.ended = False


def traced(model):
    class Traced(model.Model):
        def __init__(self, seed):
            self.seed = seed
            self.told = None
            super().__init__(seed, model.RULES)
            self.told = [Told(), Told()]

        def anew(self, i):
            t, lines = Told(), self.told[i].lines
            t.log, t.lines = self.n[i].log[:1], lines
            t.dur = t.acked = t.pub = 1
            lines.append('S %d %d' % (self.seed, i))
            self.told[i] = t

        @staticmethod
        def healed(log):
            """a rebase kept a number below UIDNEXT: this code takes no such record"""
            return any(u < model.fold(log[:k])[1] for k, r in enumerate(log) if r[3] == 'A' for u, _ in r[4])

        def tell(self, x):
            i = x.i
            t = self.told[i]
            if t.ended or self.healed(x.log):
                t.ended = True
                return
            same = 0
            while same < min(len(t.log), len(x.log)) and t.log[same] == x.log[same]:
                same += 1
            if not t.log or same < t.pub or x.acked < min(t.acked, same):
                self.anew(i)
                t, same = self.told[i], 1
            if same < len(t.log):
                t.lines.append('C %d' % same)
                t.log = t.log[:same]
                t.dur, t.acked = min(t.dur, same), min(t.acked, same)
            for rec in x.log[same:]:
                t.lines.append(' '.join(map(str, self.record(rec))))
                t.log.append(rec)
            for name, letter in (('dur', 'D'), ('acked', 'K'), ('pub', 'P')):
                now = min(getattr(x, name), len(x.log))
                if now > getattr(t, name):
                    t.lines.append('%s %d' % (letter, now))
                    setattr(t, name, now)
            t.lines.append('U %d' % model.fold(x.log)[1])

        @staticmethod
        def record(rec):
            kind, data = rec[3:]
            if kind == 'B':
                return ['B', *data]
            if kind == 'A':
                return ['A', *[u for u, _ in data]]
            if kind == 'X':
                return ['X', *data]
            return ['N']

        def add(self, x, k):
            self.tell(x)
            t = self.told[x.i]
            if t.ended:
                return super().add(x, k)
            flying = sum(len(r[4]) for r in x.log[t.dur:] if r[3] == 'A')
            if flying >= model.W:
                t.lines += ['F', 'D %d' % len(x.log)]
                t.dur = len(x.log)
            super().add(x, k)
            t.lines.append(' '.join(map(str, ['W', *[u for u, _ in x.log[-1][4]]])))
            t.log.append(x.log[-1])
            return None

        def step(self):
            super().step()
            for x in self.n:
                self.tell(x)
    return Traced


def main():
    model = load(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    kind = traced(model)
    print('L %d' % model.W)
    for seed in range(first, first + seeds):
        run = kind(seed)
        run.run()
        for t in run.told:
            last = None
            for line in t.lines:
                if line != last or line[0] != 'U':
                    print(line)
                last = line


if __name__ == '__main__':
    main()
