"""Peers for the interoperability scenarios: Kubo, Helia and dagfs as processes.

    with Kubo() as kubo, Helia() as helia, Dagfs() as dagfs:
        dagfs.connect(kubo.addr)
        cid = dagfs.add("/some/tree")
        kubo.get(cid, dest)

Every wait has a deadline; every failure is a PeerError with the peer's own words. A peer that
is left (with, or stop()) ends its process by its own pid, asked first and killed after that.
Standard library only.
"""

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
INTEROP = os.environ.get("DAGFS_INTEROP") or os.path.join(TOP, "build", "interop")

START_SECONDS = 60
REQUEST_SECONDS = 60
STOP_SECONDS = 10
GRACE_SECONDS = 5


class PeerError(Exception):
    """A peer failed, refused, or did not answer in time."""


def wait_until(what, holds, seconds=30, every=0.1):
    """Return holds() as soon as it is true; PeerError after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        got = holds()
        if got:
            return got
        if time.monotonic() > deadline:
            raise PeerError("still not so after %s s: %s" % (seconds, what))
        time.sleep(every)


class Process:
    """A child with its stdout as a queue of lines and its stderr in a file."""

    def __init__(self, name, argv, env=None, log_dir=None):
        self.name = name
        self.log = tempfile.NamedTemporaryFile(
            "w+", prefix=name + "-", suffix=".log", dir=log_dir, delete=log_dir is None)
        self.lines = queue.Queue()
        try:
            self.child = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, stderr=self.log, text=True)
        except OSError as e:
            raise PeerError("%s: cannot start: %s" % (name, e)) from e
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds):
        """The next line of stdout; None at its end."""
        try:
            got = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise PeerError("%s: no answer in %s s\n%s" % (
                self.name, seconds, self.tail())) from None
        if got is None:
            self.lines.put(None)
        return got

    def tail(self, count=15):
        """The last lines of its stderr, for reports."""
        with open(self.log.name, errors="replace") as f:
            return "".join(f.readlines()[-count:])

    def send(self, line):
        try:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
        except (BrokenPipeError, ValueError) as e:
            raise PeerError("%s: has ended\n%s" % (self.name, self.tail())) from e

    def kill(self):
        """The power cut: SIGKILL to this pid alone."""
        self.child.kill()
        self.child.wait()

    def end(self, seconds=STOP_SECONDS):
        """Close its input, then SIGTERM, then SIGKILL; its exit status."""
        try:
            self.child.stdin.close()
        except OSError:
            pass
        for step in (lambda: None, self.child.terminate, self.child.kill):
            step()
            try:
                return self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        raise PeerError("%s: pid %d does not end" % (self.name, self.child.pid))


class Peer:
    """What all peers can be asked. `id` and `addrs` (with /p2p/ID) are set by start()."""

    name = "peer"

    def __init__(self):
        self.id = None
        self.addrs = []

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    @property
    def addr(self):
        """One dialable address, ID included."""
        if not self.addrs:
            raise PeerError(self.name + ": listens nowhere")
        return self.addrs[0]

    def connected_to(self, other):
        return any(other.id in line for line in self.peers())

    def wait_connected(self, other, seconds=20):
        wait_until("%s is connected to %s" % (self.name, other.name),
                   lambda: self.connected_to(other), seconds)


class LinePeer(Peer):
    """A peer that speaks the line protocol of README.md."""

    argv = []

    def __init__(self, log_dir=None, env=None):
        super().__init__()
        self.log_dir = log_dir
        self.env = dict(os.environ, DAGFS_INTEROP=INTEROP, **(env or {}))
        self.process = None
        self.hello = {}

    def start(self):
        self.process = Process(self.name, self.argv, self.env, self.log_dir)
        self.hello = self._answer(START_SECONDS)
        self.id, self.addrs = self.hello["id"], self.hello["addrs"]
        return self

    def stop(self):
        if not self.process:
            return
        try:
            if self.process.child.poll() is None:
                self.process.send("quit")
        except PeerError:
            pass
        self.process.end()
        self.process = None

    def kill(self):
        self.process.kill()

    def _answer(self, seconds):
        line = self.process.line(seconds)
        if line is None:
            raise PeerError("%s: ended\n%s" % (self.name, self.process.tail()))
        told = json.loads(line)
        if not told["ok"]:
            raise PeerError("%s: %s" % (self.name, told["error"]))
        return told

    def ask(self, line, seconds=REQUEST_SECONDS):
        """Send one command, return its answer. The peer itself gives up after so many seconds
        ("timeout") and can be asked again; GRACE_SECONDS later it counts as hung."""
        self.process.send("@%g %s" % (seconds, line))
        return self._answer(seconds + GRACE_SECONDS)

    def add(self, path, *flags, seconds=REQUEST_SECONDS):
        line = "%s -- %s" % (" ".join(flags), path) if flags else path
        return self.ask("add " + line, seconds)["cid"]

    def get(self, cid, dest, seconds=REQUEST_SECONDS):
        return self.ask("get %s %s" % (cid, dest), seconds)

    def cat(self, cid, seconds=REQUEST_SECONDS):
        return bytes.fromhex(self.ask("cat " + cid, seconds)["hex"])

    def connect(self, addr, seconds=REQUEST_SECONDS):
        self.ask("connect " + addr, seconds)

    def peers(self):
        return self.ask("peers")["peers"]

    def findprovs(self, cid, seconds=REQUEST_SECONDS):
        return self.ask("findprovs " + cid, seconds)["providers"]

    def findpeer(self, peer, seconds=REQUEST_SECONDS):
        return self.ask("findpeer " + peer, seconds)["addrs"]

    def provide(self, cid, seconds=REQUEST_SECONDS):
        self.ask("provide " + cid, seconds)

    def pin(self, cid, seconds=REQUEST_SECONDS):
        self.ask("pin " + cid, seconds)


class Kubo(LinePeer):
    """engine: "binary" (can everything), "library" (Kubo 0.22 of the wheel) or "auto".
    config: changes to its configuration, {"Swarm.Transports.Security.TLS": False}."""

    name = "kubo"

    def __init__(self, engine="auto", config=None, **rest):
        super().__init__(**rest)
        self.argv = [sys.executable, os.path.join(HERE, "kubo_peer.py"), "--engine", engine]
        for key, value in (config or {}).items():
            self.argv.append("--set=%s=%s" % (key, json.dumps(value)))

    @property
    def engine(self):
        return self.hello["engine"]

    @staticmethod
    def has_binary():
        return os.access(os.environ.get("KUBO") or os.path.join(INTEROP, "bin", "ipfs"), os.X_OK)


class Helia(LinePeer):
    name = "helia"

    def __init__(self, **rest):
        super().__init__(**rest)
        machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, "")
        self.argv = [os.path.join(INTEROP, "node_modules", "node-linux-" + machine, "bin", "node"),
                     os.path.join(HERE, "helia_peer.mjs")]

    def add(self, path, *flags, seconds=REQUEST_SECONDS):
        return self.ask(" ".join(["add", *flags, path]), seconds)["cid"]


class Dagfs(Peer):
    """A dagfs daemon with a repository of its own (`init --profile test`), asked through its
    command line. program: $DAGFS, else the `dagfs` that make left at the top or in build/."""

    name = "dagfs"

    def __init__(self, program=None, repo=None, log_dir=None, settings=None):
        super().__init__()
        self.settings = settings or {}
        self.program = program or self.find_program()
        self.own_repo = repo is None
        self.repo = repo or os.path.join(tempfile.mkdtemp(prefix="dagfs-"), "repo")
        self.log_dir = log_dir
        self.process = None
        self.mounts = []

    @staticmethod
    def find_program():
        for path in (os.environ.get("DAGFS"), os.path.join(TOP, "build", "dagfs"),
                     os.path.join(TOP, "dagfs")):
            if path and os.access(path, os.X_OK):
                return path
        raise PeerError("no dagfs program; run make, or set DAGFS")

    def run(self, *args, seconds=REQUEST_SECONDS, check=True):
        """One command to its end: CompletedProcess with text stdout and stderr."""
        try:
            done = subprocess.run([self.program, "--repo", self.repo, *args], text=True,
                                  errors="replace", stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise PeerError("dagfs %s: not done in %s s" % (" ".join(args), seconds)) from None
        if check and done.returncode:
            raise PeerError("dagfs %s: exit %d: %s" % (
                " ".join(args), done.returncode, done.stderr.strip()))
        return done

    def lines(self, *args, **rest):
        return self.run(*args, **rest).stdout.splitlines()

    def init(self):
        if not os.path.exists(os.path.join(self.repo, "config.json")):
            os.makedirs(os.path.dirname(self.repo), exist_ok=True)
            self.run("init", "--profile", "test")
            for key, value in self.settings.items():
                self.run("config", "--json", key, json.dumps(value))

    def start(self):
        self.init()
        self.process = Process(self.name, [self.program, "--repo", self.repo, "daemon"],
                               log_dir=self.log_dir)
        deadline = time.monotonic() + START_SECONDS
        while True:
            line = self.process.line(max(0.1, deadline - time.monotonic()))
            if line is None:
                raise PeerError("dagfs daemon ended\n" + self.process.tail())
            if line.strip() == "Daemon is ready":
                break
        told = json.loads(self.run("id").stdout)
        self.id, self.addrs = told["ID"], told["Addresses"] or []
        return self

    def stop(self):
        """Unmount, ask for shutdown, end the process, remove the repository if it is ours."""
        for where in list(self.mounts):
            try:
                self.umount(where)
            except PeerError:
                subprocess.run(["fusermount3", "-u", "-z", where], capture_output=True)
        self.mounts = []
        if self.process:
            if self.process.child.poll() is None:
                self.run("shutdown", seconds=STOP_SECONDS, check=False)
            self.process.end()
            self.process = None
        if self.own_repo:
            shutil.rmtree(os.path.dirname(self.repo), ignore_errors=True)

    def kill(self):
        """SIGKILL to the daemon; start() comes up again on the same repository."""
        self.process.kill()
        self.process = None

    def rss_kib(self):
        with open("/proc/%d/status" % self.process.child.pid) as f:
            return next(int(l.split()[1]) for l in f if l.startswith("VmRSS:"))

    def add(self, path, *flags, seconds=REQUEST_SECONDS):
        return self.lines("add", "-Q", "-r", *flags, path, seconds=seconds)[-1]

    def get(self, cid, dest, seconds=REQUEST_SECONDS):
        self.run("get", "-o", dest, cid, seconds=seconds)

    def cat(self, cid, seconds=REQUEST_SECONDS):
        done = subprocess.run([self.program, "--repo", self.repo, "cat", cid],
                              capture_output=True, timeout=seconds)
        if done.returncode:
            raise PeerError("dagfs cat: " + done.stderr.decode(errors="replace"))
        return done.stdout

    def connect(self, addr, seconds=REQUEST_SECONDS):
        self.run("swarm", "connect", addr, seconds=seconds)

    def peers(self):
        return self.lines("swarm", "peers")

    def listen_addrs(self):
        return self.lines("swarm", "addrs")

    def findprovs(self, cid, seconds=REQUEST_SECONDS):
        return self.lines("routing", "findprovs", cid, seconds=seconds)

    def findpeer(self, peer, seconds=REQUEST_SECONDS):
        return self.lines("routing", "findpeer", peer, seconds=seconds)

    def provide(self, cid, seconds=REQUEST_SECONDS):
        self.run("routing", "provide", cid, seconds=seconds)

    def pin(self, cid, seconds=REQUEST_SECONDS):
        self.run("pin", "add", cid, seconds=seconds)

    def mount(self, where, source=None, seconds=REQUEST_SECONDS):
        self.run("mount", *([source] if source else []), where, seconds=seconds)
        self.mounts.append(where)

    def umount(self, where, seconds=STOP_SECONDS):
        self.run("umount", where, seconds=seconds)
        if where in self.mounts:
            self.mounts.remove(where)
