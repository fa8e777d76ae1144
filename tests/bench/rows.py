"""The rows of the bench. A row lets its sides run in turn and makes table lines of their medians.

A side is one contender: prepare() once, measure() -> Taken as often as there are runs, cleanup once.
A side that fails keeps its error and drops out; the others go on."""

import contextlib
import filecmp
import os
import shutil
import statistics
import subprocess
import time

from lab import BenchError, Taken, cpu_of, mounted, remove, taking
from nodes import Dagfs, Kubo

FAILURES = (BenchError, OSError, ValueError, subprocess.SubprocessError)
MB = 1e6
SPREAD_MAX = 1 / 3  # of the median, between the least sample and the largest


class Side:
    """One contender of a row."""

    def __init__(self, name, bench):
        self.name, self.bench, self.lab = name, bench, bench.lab
        self.samples, self.cpu_samples = [], []
        self.error = None
        self.cleanup = contextlib.ExitStack()

    def prepare(self):
        pass

    def measure(self):
        raise NotImplementedError

    @property
    def median(self):
        return statistics.median(self.samples) if self.samples and not self.error else None

    @property
    def cpu(self):
        return statistics.median(self.cpu_samples) if self.cpu_samples and not self.error else None


def wide(sides):
    """Of each side whose samples lie too far apart: a text that says so."""
    return ["%s from %.3f to %.3f s" % (side.name, min(side.samples), max(side.samples))
            for side in sides
            if side.median and max(side.samples) - min(side.samples) > SPREAD_MAX * side.median]


def compete(bench, sides, size):
    """Runs the sides in turn, the first one first in every other round. Before each run more memory is
    touched and freed than it takes to copy `size` bytes twice."""
    def step(side, action):
        if side.error is None:
            try:
                return action()
            except FAILURES as error:
                side.error = str(error) or type(error).__name__
        return None

    try:
        for side in sides:
            step(side, side.prepare)
        for turn in range(bench.runs):
            for side in sides if turn % 2 == 0 else reversed(sides):
                step(side, lambda: bench.lab.touch(4 * size))
                taken = step(side, side.measure)
                if side.error is None:
                    side.samples.append(taken.seconds)
                    side.cpu_samples.append(taken.cpu)
                    bench.say("  %-28s %8.3f s, CPU %8.3f s" % (side.name, taken.seconds, taken.cpu))
    finally:
        for side in sides:
            with contextlib.suppress(*FAILURES):
                side.cleanup.close()


# Lines

def line(work, unit, dagfs, **more):
    """One line of the table. `met` is True, False, or None when there is nothing to judge."""
    return {"work": work, "unit": unit, "dagfs": dagfs, "reference": None, "value": None,
            "ratio": None, "goal": None, "met": None, "error": None, "seconds": None, "cpu": None,
            "value_seconds": None, "value_cpu": None, "samples": {}, "cpu_samples": {}, "wide": [],
            **more}


def measured(ours, other=None):
    """What a line tells of its sides beside the values."""
    sides = [side for side in (ours, other) if side]
    errors = ["%s: %s" % (side.name, side.error) for side in sides if side.error]
    more = {"seconds": ours.median, "cpu": ours.cpu, "wide": wide(sides),
            "samples": {side.name: side.samples for side in sides},
            "cpu_samples": {side.name: side.cpu_samples for side in sides},
            "error": "; ".join(errors) or None}
    if other:
        more.update(value_seconds=other.median, value_cpu=other.cpu)
    return more


def against(work, ours, other, size=None, goal=None):
    """How many times as fast as the reference, by medians. With `size`, in bytes, it shows MB/s."""
    def shown(side):
        if side.median is None:
            return None
        return size / MB / side.median if size else side.median

    ratio = other.median / ours.median if ours.median and other.median else None
    return line(work, "MB/s" if size else "s", shown(ours), reference=other.name,
                value=shown(other), ratio=ratio, goal=goal and ">= %.2f x" % goal,
                met=ratio >= goal if goal and ratio else None, **measured(ours, other))


def cpu_against(work, ours, other, goal):
    """How much of the other's CPU time it takes, by medians."""
    part = ours.cpu / other.cpu if ours.cpu and other.cpu else None
    return line(work + ", CPU", "s", ours.cpu, reference=other.name, value=other.cpu,
                ratio=part and 1 / part, goal="<= %.2f of it" % goal,
                met=None if part is None else part <= goal,
                **measured(ours, other))


def within(work, ours, most):
    """Seconds against a fixed goal."""
    return line(work, "s", ours.median, goal="< %g s" % most, **measured(ours),
                met=ours.median < most if ours.median else None)


# Reading from a mount

class Reading(Side):
    """One file read through a mount: cold on a fresh mount each time, or warm, once more on the
    same mount. The first read checks the bytes and brings the data behind the mount into memory."""

    def __init__(self, name, bench, warm):
        super().__init__(name, bench)
        self.warm = warm
        self.directory = None

    def mount(self):
        raise NotImplementedError

    def umount(self):
        raise NotImplementedError

    def prepare(self):
        self.cleanup.callback(self.away)
        self.remount()
        blob = os.path.join(self.lab.blob(self.bench.size), "blob")
        if self.lab.digest(os.path.join(self.directory, "blob")) != \
                self.lab.once("digest", lambda: self.lab.digest(blob)):
            raise BenchError("the mount does not give the bytes that went in")

    def away(self):
        if self.directory:
            directory, self.directory = self.directory, None
            self.umount(directory)

    def remount(self):
        self.away()
        self.directory = self.mount()

    def measure(self):
        if not self.warm:
            self.remount()
        taken, total = self.lab.read_file(os.path.join(self.directory, "blob"))
        if total != self.bench.size:
            raise BenchError("read %d bytes of %d" % (total, self.bench.size))
        return taken


class DagfsReading(Reading):
    def prepare(self):
        self.node = self.bench.dagfs()
        self.cleanup.callback(self.node.stop)
        self.node.start()
        self.cid = self.node.add(self.lab.blob(self.bench.size))
        super().prepare()

    def mount(self):
        return self.node.mount(self.cid)

    def umount(self, directory):
        self.node.umount(directory)


def pass_through(lab, source, splice=False, writable=False):
    """The reference mount: (directory, process). It always keeps the cache: without that an open drops
    it."""
    flags = ["-k", *(["-s"] if splice else []), *(["-w"] if writable else [])]
    directory = lab.mountpoint()
    process = lab.start([lab.compiled("passthrough", "fuse3"), *flags, source, directory],
                        lambda _: mounted(directory))
    return directory, process


class PassThrough(Reading):
    def __init__(self, name, bench, warm, splice=False):
        super().__init__(name, bench, warm)
        self.splice = splice
        self.process = None

    def mount(self):
        directory, self.process = pass_through(self.lab, self.lab.blob(self.bench.size), self.splice)
        return directory

    def umount(self, directory):
        self.lab.unmounted(directory)
        self.lab.stop(self.process)


def mount_cold(bench):
    sides = [DagfsReading("dagfs", bench, False), PassThrough("pass-through", bench, False),
             PassThrough("pass-through, spliced", bench, False, splice=True)]
    compete(bench, sides, bench.size)
    work = "read %s, mount cold" % bench.size_text
    return [against(work, sides[0], sides[1], bench.size, 1.6),
            against(work, sides[0], sides[2], bench.size)]


def mount_warm(bench):
    sides = [DagfsReading("dagfs", bench, True), PassThrough("pass-through", bench, True)]
    compete(bench, sides, bench.size)
    # "Equal" leaves room for the noise of a memory copy.
    return [against("read %s, page cache warm" % bench.size_text, *sides, bench.size, 0.95)]


# Walking through a tree once more

WALKS = {"ls -lR": ["ls", "-lR"], "find": ["find"], "git status": ["git", "-C"]}


class Walking(Side):
    """A program's second walk through a git repository. What git notes of files goes into an index of
    the side's own, as those in a mount cannot be written. This side walks where the repository is."""

    def __init__(self, name, bench, walk, repository):
        super().__init__(name, bench)
        self.walk, self.repository = walk, repository

    def place(self):
        return self.repository

    def prepare(self):
        index, directory = self.lab.path("index"), self.place()
        shutil.copyfile(os.path.join(self.repository, ".git", "index"), index)
        self.cleanup.callback(remove, index)
        self.env = {**os.environ, "LC_ALL": "C", "GIT_INDEX_FILE": index}
        self.argv = [*WALKS[self.walk], directory]
        if self.walk == "git status":
            self.argv += ["status", "--short"]
        self.check(self.lab.run(self.argv, env=self.env).splitlines(), directory)

    def check(self, lines, directory):
        if self.walk == "ls -lR":
            good = sum(entry.startswith("-") for entry in lines) == self.bench.files
        elif self.walk == "find":
            good = set(os.path.relpath(entry, directory) for entry in lines) == self.lab.once(
                "names", lambda: set(os.path.relpath(os.path.join(here, name), self.repository)
                                     for here, folders, files in os.walk(self.repository)
                                     for name in [".", *folders, *files]))
        else:
            good = not lines
        if not good:
            raise BenchError("%s does not show what is there" % self.walk)

    def measure(self):
        return self.lab.timed(self.argv, env=self.env)


class DagfsWalking(Walking):
    def place(self):
        node = self.bench.dagfs()
        self.cleanup.callback(remove, node.repo)
        self.cleanup.callback(node.stop)
        node.start()
        return node.mount(node.add(self.repository, "--hidden"))


class PassThroughWalking(Walking):
    def place(self):
        directory, process = pass_through(self.lab, self.repository)
        self.cleanup.callback(self.lab.stop, process)
        self.cleanup.callback(self.lab.unmounted, directory)
        return directory


def make_repository(lab, tree):
    """The tree, committed and packed as a clone is."""
    top = lab.directory("repository")
    lab.run(["cp", "-a", tree + "/.", top])
    for words in (["init", "-q"], ["add", "-A"],
                  ["-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "all"],
                  ["repack", "-adq", "--window=0"]):
        lab.run(["git", "-c", "gc.auto=0", "-C", top, *words])  # nothing goes on behind us
    lab.flush(top)
    return top


def warm_tree(bench):
    tree = bench.lab.tree(bench.files, bench.tree_size)
    repository = bench.lab.once("repository", lambda: make_repository(bench.lab, tree))
    lines = []
    for walk in WALKS:
        sides = [DagfsWalking("dagfs, " + walk, bench, walk, repository),
                 Walking("native", bench, walk, repository),
                 PassThroughWalking("pass-through", bench, walk, repository)]
        compete(bench, sides, bench.tree_size)
        work = "second %s, %d files" % (walk, bench.files)
        lines += [against(work, sides[0], sides[1], goal=0.67), against(work, sides[0], sides[2])]
    return lines


# Writing into a share

FSYNC_SIZE, SMALL_SIZE, SMALL_STEP = 256 << 20, 64 << 20, 4096


class Writing(Side):
    """A program that writes into a directory of its own for each run. This side: the disk itself."""

    def __init__(self, name, bench, argv):
        super().__init__(name, bench)
        self.argv = argv    # of a directory

    @contextlib.contextmanager
    def place(self):
        directory = self.lab.directory("written")
        try:
            yield directory
        finally:
            remove(directory)

    def measure(self):
        with self.place() as directory:
            self.lab.flush(self.lab.base)
            return self.lab.timed(self.argv(directory))


class DagfsWriting(Writing):
    """A new share in a new repository: nothing of it is stored yet."""

    @contextlib.contextmanager
    def place(self):
        node = self.bench.dagfs()
        with contextlib.ExitStack() as after:
            after.callback(remove, node.repo)
            after.callback(node.stop)
            node.start()
            node.call("share", "create", "bench", "--publish=false")
            yield node.mount("bench")


class PassThroughWriting(Writing):
    @contextlib.contextmanager
    def place(self):
        with super().place() as source:
            directory, process = pass_through(self.lab, source, writable=True)
            try:
                yield directory
            finally:
                self.lab.unmounted(directory)
                self.lab.stop(process)


def writing(bench, what, argv, size, goal, in_bytes=True):
    sides = [DagfsWriting("dagfs, " + what, bench, argv), PassThroughWriting("pass-through", bench, argv),
             Writing("native", bench, argv)]
    compete(bench, sides, size)
    shown = size if in_bytes else None
    return [against(what, sides[0], sides[1], shown, goal), against(what, sides[0], sides[2], shown)]


def dd(bench, size, step, *more):
    blob = os.path.join(bench.lab.blob(bench.size), "blob")
    return lambda directory: ["dd", "if=" + blob, "of=" + os.path.join(directory, "file"), "bs=%d" % step,
                              "count=%d" % (min(size, bench.size) // step), "status=none", *more]


def share_copy(bench):
    tree = bench.lab.tree(bench.files, bench.tree_size)
    return writing(bench, "cp -a, %d files" % bench.files,
                   lambda directory: ["cp", "-a", tree, os.path.join(directory, "copy")], bench.tree_size, 1.0, False)


def share_write(bench):
    size = min(FSYNC_SIZE, bench.size)
    return writing(bench, "write %d MB, fsync" % (size // MB), dd(bench, size, 1 << 20, "conv=fsync"), size, 1 / 1.2)


def share_small(bench):
    size = min(SMALL_SIZE, bench.size)
    return writing(bench, "writes of 4 KiB", dd(bench, size, SMALL_STEP), size, 0.5)


# Adding

class DagfsAdd(Side):
    def measure(self):
        node = self.bench.dagfs()
        with contextlib.ExitStack() as after:
            after.callback(remove, node.repo)
            blob = os.path.join(self.lab.blob(self.bench.size), "blob")
            self.lab.flush(self.lab.base)
            return node.timed("add", "-Q", blob)


class HashAndCopy(Side):
    """openssl's SHA-256 of the file, then a copy of it with fsync, one after the other."""

    def measure(self):
        blob = os.path.join(self.lab.blob(self.bench.size), "blob")
        copy = self.lab.path("copy")
        with contextlib.ExitStack() as after:
            after.callback(remove, copy)
            self.lab.flush(self.lab.base)
            return (self.lab.timed(["openssl", "dgst", "-sha256", blob]) +
                    self.lab.timed(["cp", "--reflink=never", blob, copy]) +
                    self.lab.timed(["sync", copy]))


def add(bench):
    sides = [DagfsAdd("dagfs", bench), HashAndCopy("openssl, then cp + fsync", bench)]
    bench.lab.read_file(os.path.join(bench.lab.blob(bench.size), "blob"))  # into memory, for both
    compete(bench, sides, bench.size)
    return [against("add %s" % bench.size_text, *sides, bench.size, 0.9)]


# Fetching from one peer

class Fetching(Side):
    """A second node with an empty repository, connected to a first one that has the data."""

    def __init__(self, name, bench, make, source, deadline=None):
        super().__init__(name, bench)
        self.make, self.source, self.limit = make, source, deadline

    def prepare(self):
        self.seed = self.make()
        self.cleanup.callback(self.seed.stop)
        self.cid = self.seed.add(self.source)
        self.seed.start()
        self.lab.flush(self.lab.base)

    @contextlib.contextmanager
    def peer(self):
        node = self.make()
        with contextlib.ExitStack() as after:
            after.callback(remove, node.repo)
            after.callback(node.stop)
            node.start()
            node.connect(self.seed)
            yield node
        self.lab.flush(self.lab.base)

    def measure(self):
        got = self.lab.path("got")
        with contextlib.ExitStack() as after:
            after.callback(remove, got)
            with self.peer() as node:
                # The other node's CPU does not count: what is measured is fetching.
                taken = node.get_timed(self.cid, got, deadline=self.limit,
                                       without=[self.seed.daemon.pid])
                self.check(got)
        return taken

    def check(self, got):
        if os.path.isdir(self.source):
            same_trees(self.source, got)
        elif os.path.getsize(got) != os.path.getsize(self.source) or \
                not self.samples and not filecmp.cmp(self.source, got, shallow=False):
            raise BenchError("what came is not what was asked for")


class TcpLoopback(Side):
    def measure(self):
        program = self.lab.compiled("loopback")
        with taking() as taken:
            seconds = self.lab.run([program, str(self.bench.size), str(self.lab.deadline)])
        return Taken(float(seconds), taken.cpu)


def no_kubo(work, ours, unit="s", value=None, goal=None):
    return line(work, unit, value, reference="Kubo (set KUBO=)", goal=goal, **measured(ours))


def fetch(bench):
    blob = os.path.join(bench.lab.blob(bench.size), "blob")
    work = "fetch %s from a peer" % bench.size_text
    ours = Fetching("dagfs", bench, bench.dagfs, blob)
    tcp = TcpLoopback("TCP, nothing kept", bench)
    if not bench.kubo_program:
        compete(bench, [ours, tcp], bench.size)
        value = bench.size / MB / ours.median if ours.median else None
        return [no_kubo(work, ours, "MB/s", value, ">= 4.00 x"),
                against(work, ours, tcp, bench.size)]
    kubo = Fetching("Kubo", bench, bench.kubo, blob)
    compete(bench, [ours, kubo, tcp], bench.size)
    return [against(work, ours, kubo, bench.size, 4.0), cpu_against(work, ours, kubo, 0.35),
            against(work, ours, tcp, bench.size)]


# A tree of small files

def same_trees(one, other):
    for here, directories, files in os.walk(one):
        there = os.path.join(other, os.path.relpath(here, one))
        if sorted(os.listdir(there)) != sorted(directories + files) or \
                filecmp.cmpfiles(here, there, files, shallow=False)[0] != files:
            raise BenchError("what came is not what was asked for")


class RemoteListing(Fetching):
    """`ls -lR` of a tree of which the mounting node has nothing yet."""

    def measure(self):
        with self.peer() as node:
            directory = node.mount(self.cid)
            listing = self.lab.path("listing")
            with open(listing, "wb") as out:
                with taking(without=[self.seed.daemon.pid]) as taken:
                    self.lab.run(["ls", "-lR", directory], stdout=out)
        with open(listing, "rb") as lines:
            files = sum(entry.startswith(b"-") for entry in lines)
        remove(listing)
        if files != self.bench.files:
            raise BenchError("ls listed %d files of %d" % (files, self.bench.files))
        return taken


def tree(bench):
    source = bench.lab.tree(bench.files, bench.tree_size)
    what = "%d files (%d MB)" % (bench.files, bench.tree_size / MB)
    listing = RemoteListing("dagfs, ls -lR", bench, bench.dagfs, source)
    ours = Fetching("dagfs", bench, bench.dagfs, source)
    sides = [ours]
    if bench.kubo_program:
        sides.append(Fetching("Kubo", bench, bench.kubo, source, deadline=100))
    compete(bench, [listing], bench.tree_size)
    compete(bench, sides, bench.tree_size)
    lines = [within("remote ls -lR, %s" % what, listing, 3),
             within("remote get, %s" % what, ours, 10)]
    if bench.kubo_program:
        lines.append(against("remote get, %s" % what, ours, sides[1]))
    return lines


# Doing nothing

def status_of(pid):
    with open("/proc/%d/status" % pid) as text:
        return dict(entry.rstrip("\n").split(":\t", 1) for entry in text if ":\t" in entry)


def switches(pid):
    """Context switches so far, of all threads: /proc/PID/status alone tells the first one's."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with contextlib.suppress(FileNotFoundError):
            with open("/proc/%d/task/%s/status" % (pid, thread)) as text:
                total += sum(int(entry.split()[1]) for entry in text if "ctxt_switches" in entry)
    return total


def idle_of(bench, make):
    """Of a daemon that nobody asks for anything: resident MB, context switches a second; and the CPU
    seconds of that time."""
    node = make()
    try:
        node.start()
        time.sleep(bench.idle / 2)  # start-up is not idleness
        before, cpu = switches(node.daemon.pid), cpu_of(node.daemon.pid)
        time.sleep(bench.idle)
        count, cpu = switches(node.daemon.pid) - before, cpu_of(node.daemon.pid) - cpu
        resident = int(status_of(node.daemon.pid)["VmRSS"].split()[0]) * 1024 / MB
        return resident, count / bench.idle, cpu
    finally:
        node.stop()
        shutil.rmtree(node.repo, ignore_errors=True)


def idle(bench):
    values, errors = {"dagfs": (None,) * 3, "Kubo": (None,) * 3}, []
    for name, make in (("dagfs", bench.dagfs), ("Kubo", bench.kubo)):
        if name == "Kubo" and not bench.kubo_program:
            continue
        try:
            values[name] = idle_of(bench, make)
        except FAILURES as error:
            errors.append("%s: %s" % (name, error))
    lines = []
    for i, (work, unit, most) in enumerate((("idle daemon, resident", "MB", 16),
                                            ("idle daemon, wake-ups", "1/s", 1))):
        ours, kubo = values["dagfs"][i], values["Kubo"][i]
        lines.append(line(work, unit, ours, reference="Kubo" if bench.kubo_program else None,
                          value=kubo, ratio=kubo / ours if kubo and ours else None,
                          goal="%s %g %s" % ("<" if i == 0 else "<=", most, unit),
                          error="; ".join(errors) or None, cpu=values["dagfs"][2],
                          value_cpu=values["Kubo"][2],
                          met=None if ours is None else ours < most if i == 0 else ours <= most))
    return lines


ROWS = {"mount-cold": mount_cold, "mount-warm": mount_warm, "share-copy": share_copy, "share-write": share_write,
        "share-small": share_small, "add": add, "fetch": fetch,
        "tree": tree, "warm-tree": warm_tree, "idle": idle}


class Bench:
    """What the rows share: the lab, the sizes, and fresh nodes."""

    def __init__(self, lab, options, say):
        self.lab, self.say = lab, say
        self.runs, self.size, self.size_text = options.runs, options.size, options.size_text
        self.files, self.tree_size, self.idle = options.files, options.tree_size, options.idle
        self.dagfs_program, self.kubo_program = options.dagfs, options.kubo

    def dagfs(self):
        node = Dagfs(self.lab, self.dagfs_program)
        node.init()
        return node

    def kubo(self):
        node = Kubo(self.lab, self.kubo_program)
        node.init()
        return node
