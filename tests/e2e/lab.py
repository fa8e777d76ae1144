"""The workshop of the end-to-end scenarios: nodes, daemons, mounts, trees, checks.

Real processes on loopback, in a network and a mount namespace of their own, so nothing can leave the
machine and no mount can outlive the run. Everything has a deadline; processes are ended by their ids.
This process never touches a mount itself (it could hang): children with deadlines do (probe.py)."""

import contextlib
import ctypes
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PROBE = os.path.join(HERE, "probe.py")
DEADLINE = 60       # of one command, unless told
STOP_SECONDS = 15   # a daemon's clean end: 5 promised, more under sanitizers
SEED = int(os.environ.get("SEED", "0")) or int.from_bytes(os.urandom(3), "big")
SANITIZED = re.compile(r"((?:ERROR|WARNING): \w*Sanitizer.*|.*runtime error: .*)")


class Broken(Exception):
    """A step failed on which the rest of the scenario stands; the text says which and why."""


class Done:
    """How a command ended. code is None when its deadline passed."""

    def __init__(self, argv, code, out, err, seconds):
        self.argv, self.code, self.raw, self.seconds = argv, code, out, seconds
        self.out = out.decode(errors="replace").strip()
        self.err = err.decode(errors="replace").strip()

    def __str__(self):
        words = " ".join(os.path.basename(word) if "/" in word else word for word in self.argv)
        how = "no end after %.0f s" % self.seconds if self.code is None else "exit %d" % self.code
        said = SANITIZED.search(self.err)
        return "%s: %s: %s" % (words[:200], how, said.group(1) if said else
                               (self.err or self.out)[-400:].replace("\n", " | "))


def namespaces():
    """A network with loopback alone, and mounts that nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, new_network, recursive_private, set_flags, up = 0x20000, 0x40000000, 0x44000, 0x8914, 1
    if libc.unshare(new_mounts | new_network) != 0:
        raise Broken("cannot make namespaces: " + os.strerror(ctypes.get_errno()))
    if libc.mount(b"none", b"/", None, recursive_private, None) != 0:
        raise Broken("cannot make mounts private: " + os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, set_flags, struct.pack("16sh14x", b"lo", up))
    pr_set_child_subreaper = 36
    libc.prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def mounts_below(directory):
    """From the kernel's list, deepest first: asking a mount itself may hang."""
    with open("/proc/self/mountinfo", errors="surrogateescape") as listing:
        points = [line.split()[4] for line in listing]
    below = [p for p in points if p == directory or p.startswith(directory + "/")]
    return sorted(below, key=len, reverse=True)


def children():
    with open("/proc/self/task/%d/children" % os.getpid()) as listing:
        return [int(pid) for pid in listing.read().split()]


def until(condition, seconds, step=0.02):
    """Waits until condition() is true; its last value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


class Lab:
    """One scenario's processes, folders and checks. Use as a context manager."""

    def __init__(self, name, limit):
        self.name, self.limit = name, limit
        self.program = os.path.abspath(os.environ.get("DAGFS", "build/release/dagfs"))
        self.passed = self.failed = self.count = 0
        self.started = []
        self.random = random.Random(SEED)

    def __enter__(self):
        for what, missing in (("run as root (namespaces, mounts)", os.geteuid() != 0),
                              ("there is no /dev/fuse", not os.path.exists("/dev/fuse")),
                              ("fusermount3 is missing (package fuse3)", not shutil.which("fusermount3")),
                              ("no program at %s: build it, or set DAGFS" % self.program,
                               not os.access(self.program, os.X_OK))):
            if missing:
                raise Broken(what)
        namespaces()
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="dagfs-e2e-"))
        signal.signal(signal.SIGALRM, self._too_late)
        # Who started us in the background may have had it ignored, and programs would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        signal.alarm(int(self.limit))
        return self

    def _too_late(self, *_):
        raise Broken("the scenario is not done in %d s" % self.limit)

    def __exit__(self, kind, error, _):
        signal.alarm(0)
        if isinstance(error, Broken):
            self.check("goes on to its end", False, str(error))
            if os.environ.get("KEEP"):
                print("kept: %s" % self.base)
        self.end_children()
        for point in mounts_below(self.base):
            subprocess.run(["umount", "-l", point], timeout=30, check=False,
                           stderr=subprocess.DEVNULL)
        if not mounts_below(self.base) and not (os.environ.get("KEEP") and self.failed):
            shutil.rmtree(self.base, ignore_errors=True)
        return isinstance(error, Broken)

    # Checks

    def check(self, what, ok, detail=""):
        """One line. ok may be a Done: it has to have ended with 0."""
        if isinstance(ok, Done):
            ok, detail = ok.code == 0, detail or str(ok)
        if ok:
            self.passed += 1
            print("  ok      %s: %s" % (self.name, what), flush=True)
        else:
            self.failed += 1
            print("  FAILED  %s: %s%s" % (self.name, what, ": %s" % (detail,) if detail else ""),
                  flush=True)
        return bool(ok)

    def say(self, text):
        print("          %s: %s" % (self.name, text), flush=True)

    # Paths and processes

    def path(self, name):
        self.count += 1
        return os.path.join(self.base, "%s-%d" % (name, self.count))

    def directory(self, name):
        path = self.path(name)
        os.mkdir(path)
        return path

    def disk(self, size):
        """A disk of its own: (the image, where its ext4 is mounted)."""
        point, image = self.directory("disk"), self.path("image")
        with open(image, "wb") as out:
            out.truncate(size)
        self.must(["mkfs.ext4", "-q", "-m", "0", image])
        self.must(["mount", "-o", "loop", image, point])
        return image, point

    def environment(self):
        keep = {key: value for key, value in os.environ.items()
                if key not in ("DAGFS_PATH", "XDG_DATA_HOME")}
        return {**keep, "HOME": self.base, "TMPDIR": self.base,
                "XDG_RUNTIME_DIR": self.base}

    def begin(self, argv, stdin=subprocess.DEVNULL, cwd=None, wrapper=None):
        """Starts a command; finish() ends it. Output goes to files: what a command leaves in the
        background would keep a pipe open."""
        out = tempfile.TemporaryFile(dir=self.base)
        err = tempfile.TemporaryFile(dir=self.base)
        process = subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=err, cwd=cwd or self.base,
                                   env=self.environment(), preexec_fn=wrapper)
        process.output, process.errors, process.began = out, err, time.monotonic()
        return process

    def finish(self, process, deadline=DEADLINE):
        try:
            process.wait(deadline)
            code = process.returncode
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
        seconds = time.monotonic() - process.began
        texts = []
        for stream in (process.output, process.errors):
            stream.seek(0)
            texts.append(stream.read())
            stream.close()
        return Done(process.args, code, *texts, seconds)

    def run(self, argv, deadline=DEADLINE, data=None, **options):
        """Runs a command to its end. data is its input."""
        with contextlib.ExitStack() as stack:
            if data is not None:
                stdin = stack.enter_context(tempfile.TemporaryFile(dir=self.base))
                stdin.write(data)
                stdin.seek(0)
                options["stdin"] = stdin
            return self.finish(self.begin(argv, **options), deadline)

    def must(self, argv, **options):
        """The same where the scenario cannot go on without."""
        done = self.run(argv, **options)
        if done.code != 0:
            raise Broken(str(done))
        return done

    def shell(self, text, deadline=DEADLINE, cwd=None):
        return self.run(["bash", "-o", "pipefail", "-c", text], deadline, cwd=cwd)

    def probe(self, *words, deadline=DEADLINE):
        return self.run([sys.executable, PROBE, *map(str, words)], deadline)

    def probing(self, *words):
        return self.begin([sys.executable, PROBE, *map(str, words)])

    @staticmethod
    def end_children():
        """Ends what is left: our children, and what they left to us."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            for pid in children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)

            def all_gone():
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                return not children()
            if until(all_gone, STOP_SECONDS, 0.05):
                return

    # Nodes and mounts

    def node(self, name, repo=None, init=True):
        node = Node(self, name, repo or os.path.join(self.base, "repo-" + name))
        if init:
            node.must("init", "--profile", "test")
        return node

    def mountpoint(self):
        return self.directory("mnt")

    def is_mounted(self, point):
        return point in mounts_below(point)

    # What is equal?

    def same_trees(self, what, one, other, deadline=DEADLINE):
        return self.check(what, self.run(["diff", "-r", "--no-dereference", one, other], deadline))


class Node:
    """A dagfs node with a repository of its own."""

    def __init__(self, lab, name, repo):
        self.lab, self.name, self.repo = lab, name, repo
        self.daemon = self.log = None

    def argv(self, *words):
        return [self.lab.program, "--repo", self.repo, *words]

    def call(self, *words, **options):
        return self.lab.run(self.argv(*words), **options)

    def must(self, *words, **options):
        return self.lab.must(self.argv(*words), **options)

    def begin(self, *words, **options):
        return self.lab.begin(self.argv(*words), **options)

    # The daemon

    def start(self, *words, wrapper=None):
        self.log = self.lab.path("log-" + self.name)
        with open(self.log, "wb") as log:
            self.daemon = subprocess.Popen(self.argv("daemon", *words), stdin=subprocess.DEVNULL,
                                           stdout=log, stderr=log, cwd=self.lab.base,
                                           env=self.lab.environment(), preexec_fn=wrapper)
        until(lambda: "Daemon is ready" in self.logged() or self.daemon.poll() is not None, 30)
        if "Daemon is ready" not in self.logged():
            raise Broken("daemon of %s not ready (exit %s): %s" % (
                self.name, self.daemon.poll(), self.logged()[-600:].replace("\n", " | ")))
        return self

    def logged(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def kill(self, sign=signal.SIGKILL):
        """Kills the daemon; its exit code, None when it does not end."""
        self.daemon.send_signal(sign)
        return self.ended()

    def ended(self):
        try:
            return self.daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if self.daemon.poll() is not None:
                self.daemon = None

    def stop(self):
        """A clean end, checked: exit 0 and no word of a sanitizer."""
        if not self.daemon:
            return
        code = self.kill(signal.SIGTERM)
        said = SANITIZED.search(self.logged())
        if code is None:
            self.daemon.kill()
            self.daemon.wait(STOP_SECONDS)
            self.daemon = None
        self.lab.check("daemon %s ends cleanly" % self.name, code == 0 and not said,
                       "exit %s %s" % (code, said.group(1) if said else self.logged()[-300:]))

    def owner(self):
        """The process id of the daemon, whoever started it; 0 when none runs."""
        try:
            with open(os.path.join(self.repo, "daemon.lock")) as lock:
                pid = int(lock.read() or "0")
            with open("/proc/%d/cmdline" % pid, "rb") as words:
                return pid if words.read() else 0  # it has ended, and is not waited for yet
        except (OSError, ValueError):
            return 0

    # What nodes do

    def identity(self):
        return json.loads(self.must("id").out)

    def address(self):
        mine = self.identity()
        for text in mine["Addresses"] or []:
            if text.startswith("/ip4/127.") and "/tcp/" in text:
                return text if "/p2p/" in text else "%s/p2p/%s" % (text, mine["ID"])
        raise Broken("%s: no loopback TCP address in %s" % (self.name, mine["Addresses"]))

    def connect(self, other):
        done = self.must("swarm", "connect", other.address())
        if "success" not in done.out:
            raise Broken("swarm connect said: %s" % done.out)

    def add(self, path, *options, deadline=300):
        words = ["-r"] if os.path.isdir(path) else []
        return self.must("add", "-Q", *words, *options, path, deadline=deadline).out

    def mount(self, source, *options):
        """Mounts, and returns the mountpoint."""
        point = self.lab.mountpoint()
        self.must("mount", *options, source, point)
        if not self.lab.is_mounted(point):
            raise Broken("dagfs mount returned, but nothing is mounted")
        return point

    def umount(self, point):
        return self.call("umount", point, deadline=30)


# Trees

UNICODE = ["äöü ß", "日本語のファイル", "e\u0301 combining", "emoji 🗂", "tab\tname", "new\nline",
           "back\\slash", "-dash", "*star?", "'quotes\"", "\x7f"]


def long_name(i, tail=""):
    """255 bytes, the longest name there is."""
    return ("%03d-" % i + "n" * 255)[:255 - len(tail.encode())] + tail


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)


def write_big(path, size, rng):
    with open(path, "wb") as out:
        while size:
            step = min(size, 8 << 20)
            out.write(rng.randbytes(step))
            size -= step


def make_tree(top, rng, files, big, wide):
    """About `files` files in nested directories with all kinds of names and kinds, one file of `big`
    bytes and a directory of `wide` entries."""
    os.mkdir(top)
    for name in UNICODE:
        write(os.path.join(top, name), name.encode())
    write(os.path.join(top, long_name(0)), b"long")
    write(os.path.join(top, long_name(1, "ü")), b"long and Unicode")
    write(os.path.join(top, "empty"), b"")
    os.mkdir(os.path.join(top, "empty directory"))
    os.symlink("empty", os.path.join(top, "link"))
    os.symlink("deep/d0", os.path.join(top, "link to a directory"))
    os.symlink("nowhere/ä", os.path.join(top, "dangling"))
    os.symlink("x" * 1000, os.path.join(top, "long link"))
    write_big(os.path.join(top, "big"), big, rng)
    deep = os.path.join(top, "deep")
    os.mkdir(deep)
    for level in range(40):
        deep = os.path.join(deep, "d%d" % level)
        os.mkdir(deep)
        write(os.path.join(deep, "file"), b"at level %d" % level)
    # The same tree twice: one CID in two places of one mount.
    for name in ("twin a", "twin b"):
        os.makedirs(os.path.join(top, name, "sub", "empty"))
        write(os.path.join(top, name, "sub", "same"), b"the same in both")
    wide_at = os.path.join(top, "wide")
    os.mkdir(wide_at)
    for i in range(wide):
        write(os.path.join(wide_at, "entry %05d" % i), b"%d" % (i % 100))
    for i in range(max(0, files - wide - 60)):
        place = os.path.join(top, "many", "d%02d" % (i // 400), "e%02d" % (i // 20 % 20))
        os.makedirs(place, exist_ok=True)
        size = 0 if i % 50 == 0 else rng.randrange(1, 9000)
        write(os.path.join(place, "f%05d" % i), rng.randbytes(size))
    return top


# Running

def main(name, scenario, limit):
    """Runs one scenario in this process; the exit code."""
    lab = Lab(name, limit)
    try:
        with lab:
            scenario(lab)
    except Broken as error:
        lab.check("can run", False, str(error))
    print("%d passed, %d failed" % (lab.passed, lab.failed), flush=True)
    return 1 if lab.failed or not lab.passed else 0
