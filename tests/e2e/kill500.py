"""kill -9 at random moments of `add`, `pin add`, `repo gc` and `dag import` that run at the same time on one
repository, some rounds with a daemon that dies too. After each round the store opens and whatever was
acknowledged is pinned and complete. Not part of the default run: ROUNDS=n tests/e2e/run kill500."""

import collections
import os
import re
import time

from ground import Ground
from lab import SEED, Broken, write

ROUNDS = int(os.environ.get("ROUNDS", "500"))
FEWER = 25           # rounds on another file system
WITH_DAEMON = 0.15   # share of the rounds
LINE_EVERY = 50      # rounds that one line of the report stands for
PINS_MAX = 80        # older pins are taken away, so that rounds stay short and `repo gc` has work
ALONE = ("add", "import", "gc")   # must succeed unless they, or their daemon, are killed


class Story:
    def __init__(self, lab, kind):
        self.lab, self.rng = lab, lab.random
        self.ground = Ground(lab, kind)
        self.node, self.source = self.ground.node("n"), lab.node("source")
        self.pins = {}   # acknowledged roots, the oldest first; the value says by what
        self.seconds, self.ends = 0.2, collections.Counter()

    def files(self, name, count, longest):
        top = self.lab.directory(name)
        for i in range(count):
            write(os.path.join(top, "f%d" % i), self.rng.randbytes(self.rng.randrange(1, longest)))
        return top

    def archive(self):
        """A tree that is new to the node: (CID, its CAR)."""
        cid = self.source.add(self.files("far", self.rng.randrange(1, 12), 300000))
        path = self.lab.path("car")
        write(path, self.source.must("--offline", "dag", "export", cid).raw)
        return cid, path

    def work(self):
        """Starts all of a round's commands. {what: process}"""
        node, there = self.node, self.archive()
        node.must("dag", "import", "--pin-roots=false", there[1])
        new = self.files("new", self.rng.randrange(2, 9), 400000)
        loose = [os.path.join(new, name) for name in os.listdir(new)]
        starts = {"add": ["add", "-r", *loose, self.files("tree", self.rng.randrange(1, 30), 30000)],
                  "pin": ["--timeout=1s", "pin", "add", there[0]],
                  "import": ["dag", "import", self.archive()[1]],
                  "gc": ["repo", "gc", "-q"]}
        order = list(starts)
        self.rng.shuffle(order)
        return {what: node.begin(*starts[what]) for what in order}

    def moments(self, processes):
        """When each dies: all at once, each for itself, or never."""
        names = [*processes, "daemon"] if self.node.daemon else list(processes)
        at_once, moment = self.rng.random() < 0.5, self.rng.uniform(0, self.seconds * 1.2)
        drawn = {name: moment if at_once else self.rng.uniform(0, self.seconds * 2) for name in names}
        return sorted((when, name) for name, when in drawn.items())

    def round(self):
        """What went wrong while it ran, or nothing."""
        processes, killed = self.work(), set()
        begin = time.monotonic()
        for when, name in self.moments(processes):
            time.sleep(max(0, begin + when - time.monotonic()))
            if name == "daemon":
                self.node.kill()
                killed.update(processes)
            elif processes[name].poll() is None:
                processes[name].kill()
                killed.add(name)
        wrong = []
        for name, process in processes.items():
            done = self.lab.finish(process)
            self.ends[name, done.code] += 1
            if done.code not in (0, 1, -9) or (done.code == 1 and name in ALONE and name not in killed):
                wrong.append(str(done))
            self.acknowledged(name, done)
        return "; ".join(wrong)

    def acknowledged(self, name, done):
        if name == "add":
            # A root stands on its line only before the next argument began: its pin may still be on its way.
            roots = re.findall(r"^added (\S+) [^/\n]+\n", done.raw.decode(), re.M)
            roots = roots if done.code == 0 else roots[:-1]
        else:
            roots = re.findall(r"^(?:pinned (\S+) recursively|Pinned root\t(\S+)\tsuccess)\n",
                               done.raw.decode(), re.M)
            roots = [one or other for one, other in roots]
        self.pins.update({root: name for root in roots})

    def lost(self):
        """Nothing, or what was acknowledged and is not so."""
        stat = self.node.call("repo", "stat")
        if stat.code != 0:
            return str(stat)
        listed = set(self.node.must("pin", "ls", "--type=recursive", "-q").out.split())
        gone = [(cid, what) for cid, what in self.pins.items() if cid not in listed]
        verified = self.node.call("pin", "verify")
        if gone or verified.code != 0:
            return "pins lost: %s %s" % (gone[:3], verified)
        if len(listed) > PINS_MAX:
            old = [cid for cid in self.pins][:PINS_MAX // 2] + sorted(listed - set(self.pins))
            self.node.must("pin", "rm", *old)
            for cid in old:
                self.pins.pop(cid, None)
        return ""


def measure(story):
    """How long a round's work takes when nobody dies: the moments are drawn from that time."""
    processes = story.work()
    begin = time.monotonic()
    for name, process in processes.items():
        done = story.lab.finish(process)
        story.lab.check("%s beside the others" % name, done.code == 0 or name == "pin", str(done))
        story.acknowledged(name, done)
    story.seconds = time.monotonic() - begin


def clean(lab):
    """What rounds left in the scenario's folder, but for the repositories and logs."""
    lab.run(["bash", "-c", "rm -rf far-* new-* tree-* car-* log-*"])


def scenario(lab, kind=""):
    story, failed = Story(lab, kind), 0
    count = FEWER if kind and "ROUNDS" not in os.environ else ROUNDS
    measure(story)
    lab.say("SEED=%d, %d rounds, a round's work takes %.3f s" % (SEED, count, story.seconds))
    for number in range(1, count + 1):
        daemon = lab.random.random() < WITH_DAEMON
        try:
            if daemon:
                story.node.start()
            wrong = [text for text in (story.round(), story.lost()) if text]
        except Broken as error:
            wrong = [str(error)]
        if wrong:
            failed += 1
            lab.check("round %d%s" % (number, " with a daemon" * daemon), False, "; ".join(wrong))
            story.pins.clear()
        if story.node.daemon:
            story.node.kill()
        clean(lab)
        story.ground.settle()
        if number % LINE_EVERY == 0 or number == count:
            lab.check("rounds up to %d: nothing acknowledged is lost" % number, not failed,
                      "%d rounds failed" % failed)
    lab.say("ends: %s" % ", ".join("%s %s: %d" % (*key, n) for key, n in sorted(story.ends.items())))
    lab.check("repo verify", story.node.call("repo", "verify"))
    lab.check("repo gc", story.node.call("repo", "gc", "-q"))
    lost = story.lost()
    lab.check("nothing acknowledged is collected", not lost, lost)
