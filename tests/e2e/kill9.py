"""kill -9 at random moments of `add` and of the daemon, twenty times on one repository: it always opens,
and whatever was acknowledged (an "added" or "pinned" line that came out) is complete."""

import hashlib
import os
import re
import signal
import time

from ground import Ground
from lab import SEED, until, write

ROUNDS = ["add"] * 6 + ["add with a daemon"] * 5 + ["the daemon during add"] * 3 + \
    ["the daemon during pin"] * 6
SAMPLE = 25      # files of one round that are compared
FEWER = 7        # rounds on another file system
READERS = 140    # more than LMDB has slots for readers


class Story:
    def __init__(self, lab, kind):
        self.lab, self.rng = lab, lab.random
        self.ground = Ground(lab, kind)
        self.node = self.ground.node("n")
        self.source = lab.node("source")
        self.said = {}    # CID -> SHA-256 of the file, for what was acknowledged
        self.pins = set() # roots that must be pinned

    def make(self):
        """Files and a tree that were never added before: {name as add prints it: path}, arguments."""
        top, rng, paths = self.lab.directory("data"), self.rng, {}
        for i in range(4):
            paths["file%d" % i] = os.path.join(top, "file%d" % i)
            write(paths["file%d" % i], rng.randbytes(rng.randrange(1, 6 << 20)))
        for i in range(300):
            folder = os.path.join(top, "tree", "d%d" % (i // 40))
            os.makedirs(folder, exist_ok=True)
            path = os.path.join(folder, "f%d" % i)
            write(path, rng.randbytes(rng.randrange(1, 60000)))
            paths[os.path.relpath(path, top)] = path
        arguments = [os.path.join(top, name) for name in ("file0", "file1", "tree", "file2", "file3")]
        return paths, arguments

    def wait_a_moment(self, process, longest):
        moment = self.rng.uniform(0, longest)
        end = time.monotonic() + moment
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.001)
        return moment

    # One round each

    def add(self, victim):
        paths, arguments = self.make()
        process = self.node.begin("add", "-r", *arguments)
        moment = self.wait_a_moment(process, self.add_seconds * 1.3)
        if victim == "daemon":
            self.node.kill()
            done = self.lab.finish(process)
            if done.code not in (0, 1):
                self.lab.check("add ends when its daemon dies", False, str(done))
        else:
            process.kill()
            done = self.lab.finish(process)
        lines = re.findall(r"^added (\S+) (\S+)\n", done.raw.decode(), re.M)
        files = [(cid, name) for cid, name in lines if name in paths]
        for cid, name in self.rng.sample(files, min(SAMPLE, len(files))):
            with open(paths[name], "rb") as data:
                self.said[cid] = hashlib.file_digest(data, "sha256").hexdigest()
        self.fresh = [cid for cid, name in files if cid in self.said]
        # A root stands on its line only before the next argument began: its pin may still be on its way.
        roots = [cid for cid, name in lines if "/" not in name]
        self.pins.update(roots if done.code == 0 else roots[:-1])
        return "%d lines after %.3f s" % (len(lines), moment)

    def pin(self):
        _, arguments = self.make()
        roots = [self.source.add(path) for path in arguments]
        if not self.node.daemon:
            self.node.start()
        self.node.connect(self.source)
        process = self.node.begin("--timeout=10s", "pin", "add", *roots)
        moment = self.wait_a_moment(process, self.pin_seconds * 1.3)
        self.node.kill()
        done = self.lab.finish(process)
        if done.code not in (0, 1):
            self.lab.check("pin add ends when its daemon dies", False, str(done))
        lines = re.findall(r"^pinned (\S+) recursively\n", done.raw.decode(), re.M)
        self.pins.update(lines)
        self.fresh = []
        if done.code:
            self.unfinished = roots
        return "%d lines after %.3f s" % (len(lines), moment)

    def round(self, what):
        if "with" in what and not self.node.daemon:
            self.node.start()
        if what == "the daemon during add":
            if not self.node.daemon:
                self.node.start()
            return self.add("daemon")
        if what == "the daemon during pin":
            return self.pin()
        if what == "add" and self.node.daemon:
            self.node.stop()
        return self.add("add")

    # What must hold after each

    def wrong(self):
        """Nothing, or what is lost."""
        stat = self.node.call("repo", "stat")
        if stat.code != 0:
            return str(stat)
        listed = set(self.node.must("pin", "ls", "--type=recursive", "-q").out.split())
        if self.pins - listed:
            return "pins lost: %s" % sorted(self.pins - listed)[:3]
        verified = self.node.call("pin", "verify")
        if verified.code != 0:
            return str(verified)
        older = self.rng.sample(sorted(self.said), min(SAMPLE, len(self.said)))
        for cid in dict.fromkeys(self.fresh + older):
            got = self.node.call("--offline", "cat", cid)
            if got.code != 0 or hashlib.sha256(got.raw).hexdigest() != self.said[cid]:
                return "acknowledged and lost: %s: %s" % (cid, str(got)[:200])
        return ""


def measure(story):
    """How long the work takes when nobody dies: the moments are drawn from that time."""
    lab = story.lab
    story.unfinished = []
    paths, arguments = story.make()
    begin = time.monotonic()
    story.node.must("add", "-r", *arguments)
    story.add_seconds = time.monotonic() - begin
    story.source.start()
    story.node.start()
    story.node.connect(story.source)
    _, arguments = story.make()
    roots = [story.source.add(path) for path in arguments]
    begin = time.monotonic()
    done = story.node.must("pin", "add", *roots)
    story.pin_seconds = time.monotonic() - begin
    story.pins.update(roots)
    lab.check("every pin is acknowledged", done.out.count("recursively") == len(roots), str(done))


def killed_readers(story):
    """Processes that die while they read leave slots in the store's reader table."""
    lab, node = story.lab, story.node
    for _ in range(READERS):
        process = node.begin("repo", "verify")
        story.wait_a_moment(process, 0.05)
        process.send_signal(signal.SIGKILL)
        lab.finish(process)
    lab.check("%d killed readers leave nothing behind" % READERS, node.call("repo", "stat"))


def forget(story):
    """After a failure: the next rounds are judged by themselves."""
    story.pins.clear()
    story.said.clear()
    for cid in story.node.call("pin", "ls", "--type=recursive", "-q").out.split():
        story.node.call("--offline", "pin", "rm", cid)


def settle(story):
    if story.ground.kind == "overlay":
        story.node.stop()
        story.ground.settle()


def scenario(lab, kind=""):
    lab.say("SEED=%d" % SEED)
    story = Story(lab, kind)
    measure(story)
    lab.say("add takes %.2f s, pin add %.2f s" % (story.add_seconds, story.pin_seconds))
    rounds = list(ROUNDS)
    lab.random.shuffle(rounds)
    for number, what in enumerate(rounds[:FEWER] if kind else rounds, 1):
        settle(story)
        how = story.round(what)
        wrong = story.wrong()
        if not lab.check("%2d kill -9 of %s: %s" % (number, what, how), not wrong, wrong):
            forget(story)
    if story.node.daemon:
        story.node.stop()
    settle(story)
    killed_readers(story)
    lab.check("repo verify", story.node.call("repo", "verify"))
    story.node.start()
    story.node.connect(story.source)
    if story.unfinished:
        lab.check("an interrupted pin goes on", story.node.call("pin", "add", *story.unfinished))
    lab.check("repo gc", story.node.call("repo", "gc", "-q"))
    story.fresh = []
    wrong = story.wrong()
    lab.check("nothing acknowledged is collected", not wrong, wrong)
    story.node.stop()
    story.source.stop()
    lab.check("control.sock is gone", until(lambda: not os.path.exists(
        os.path.join(story.node.repo, "control.sock")), 2))
