"""The bench's workshop: temp directory, data, processes, mounts. Everything has a deadline, and
everything that was started is ended by its process id, everything mounted is unmounted."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import resource
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
STOP_SECONDS = 10
KEY, IV = "6461676673" + "0" * 54, "0" * 32  # fixed: the data is the same in every run


class BenchError(Exception):
    """A step failed; the text says which and why."""


def tail(path, count=3):
    try:
        with open(path, errors="replace") as log:
            return " | ".join(log.read().strip().splitlines()[-count:])
    except OSError:
        return ""


def mounted(directory):
    """From the kernel's list: asking the mount itself may hang."""
    with open("/proc/self/mountinfo") as mounts:
        return any(entry.split()[4] == directory for entry in mounts)


def isolate():
    """Moves into a network namespace with loopback alone, where we may. True when done."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet, set_flags, up = 0x40000000, 0x8914, 1
    if os.geteuid() != 0 or libc.unshare(clone_newnet) != 0:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, set_flags, struct.pack("16sh14x", b"lo", up))
    return True


def adopt_orphans():
    """Daemons that fork to the background become our children, so close() can end them."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def children(pid=None):
    """Of this process, or of another one: [] when that has ended."""
    pid = pid or os.getpid()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        with open("/proc/%d/task/%d/children" % (pid, pid)) as listing:
            return [int(child) for child in listing.read().split()]
    return []


def cpu_of(pid):
    """CPU seconds of a process and all its threads so far; 0 when it has ended."""
    clock = ~pid << 3 | 2  # the kernel's name of that process's clock
    with contextlib.suppress(OSError):
        return time.clock_gettime(clock)
    return 0.0


def cpu_of_living(without=()):
    """CPU seconds so far of what we started and what that started, as far as it still runs."""
    total, todo = 0.0, children()
    while todo:
        pid = todo.pop()
        todo += children(pid)
        total += 0.0 if pid in without else cpu_of(pid)
    return total


def cpu_of_all(without=()):
    """The same, with what has ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + cpu_of_living(without)


def free_memory():
    with open("/proc/meminfo") as text:
        return next(int(entry.split()[1]) for entry in text if entry.startswith("MemFree:")) << 10


class Taken:
    """What something took: wall seconds, and CPU seconds of all processes in it."""

    def __init__(self, seconds=0.0, cpu=0.0):
        self.seconds, self.cpu = seconds, cpu

    def __add__(self, other):
        return Taken(self.seconds + other.seconds, self.cpu + other.cpu)


@contextlib.contextmanager
def taking(without=()):
    """Yields a Taken, which is filled at the end. `without` are process ids whose CPU does not count."""
    taken, cpu, start = Taken(), cpu_of_all(without), time.monotonic()
    yield taken
    taken.seconds = time.monotonic() - start
    taken.cpu = cpu_of_all(without) - cpu


class Lab:
    """One bench run's resources. Use as a context manager."""

    def __init__(self, parent, deadline):
        self.deadline = deadline
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="dagfs-bench-", dir=parent))
        self.mounts = []
        self.made = {}
        self.count = 0
        adopt_orphans()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for directory in list(self.mounts):
            with contextlib.suppress(BenchError):
                self.unmounted(directory)
        self.end_children()
        # Never walk into a mount that would not go away.
        if not any(mounted(directory) for directory in self.mounts):
            shutil.rmtree(self.base, ignore_errors=True)

    def path(self, name):
        """A new path of the lab's own."""
        self.count += 1
        return os.path.join(self.base, "%s-%d" % (name, self.count))

    def directory(self, name):
        path = self.path(name)
        os.mkdir(path)
        return path

    # Processes

    def run(self, argv, env=None, deadline=None, stdout=subprocess.PIPE):
        """Runs a command to its end and returns its output; BenchError when it fails."""
        seconds = deadline or self.deadline
        try:
            with open(os.path.join(self.base, "stderr"), "w+") as errors:
                # Not capture_output: a daemon left behind would keep that pipe open.
                process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout,
                                           stderr=errors, env=env)
        except OSError as error:
            raise BenchError("%s: %s" % (argv[0], error.strerror)) from error
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.stop(process)
            raise BenchError("%s: not done in %d s" % (self.words(argv), seconds)) from None
        if process.returncode != 0:
            raise BenchError("%s: exit %d: %s" % (self.words(argv), process.returncode,
                                                  tail(os.path.join(self.base, "stderr"))))
        return (output or b"").decode(errors="replace").strip()

    def timed(self, argv, without=(), **options):
        """What a command took, its output dropped."""
        with taking(without) as taken:
            self.run(argv, stdout=subprocess.DEVNULL, **options)
        return taken

    def start(self, argv, ready, env=None):
        """Starts a process and waits until ready(log text) is true. Returns the process."""
        log = self.path("log")
        try:
            with open(log, "w") as out:
                process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                           env=env)
        except OSError as error:
            raise BenchError("%s: %s" % (argv[0], error.strerror)) from error
        end = time.monotonic() + min(self.deadline, 60)
        while time.monotonic() < end:
            with open(log, errors="replace") as text:
                if ready(text.read()):
                    return process
            if process.poll() is not None:
                raise BenchError("%s: exit %d before ready: %s" % (
                    self.words(argv), process.returncode, tail(log)))
            time.sleep(0.02)
        self.stop(process)
        raise BenchError("%s: not ready: %s" % (self.words(argv), tail(log)))

    @staticmethod
    def words(argv):
        return " ".join([os.path.basename(argv[0])] + [a for a in argv[1:4] if "/" not in a])

    @staticmethod
    def stop(process):
        """Ends one process we started: asks, then insists."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
                return

    @staticmethod
    def end_children():
        """Ends what is left: our children, and what they left to us."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + STOP_SECONDS
            for pid in children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, sign)
            while children() and time.monotonic() < end:
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                time.sleep(0.05)

    # Files that may be on a mount: read by a process with a deadline, never by this one

    def read_file(self, path):
        """Reads a file in steps of 1 MiB. Returns what it took, and the bytes."""
        before = cpu_of_living()
        words = self.run([sys.executable, os.path.join(HERE, "reader.py"), path]).split()
        return Taken(float(words[0]), float(words[1]) + cpu_of_living() - before), int(words[2])

    def digest(self, path):
        return self.run(["openssl", "dgst", "-sha256", "-r", path]).split()[0]

    # Mounts

    def mountpoint(self):
        path = self.directory("mnt")
        self.mounts.append(path)
        return path

    def unmounted(self, directory):
        """Sees to it that nothing is mounted there any more."""
        for argv in (["fusermount3", "-u", directory], ["fusermount3", "-uz", directory]):
            if mounted(directory):
                with contextlib.suppress(BenchError):
                    self.run(argv, deadline=STOP_SECONDS)
        if mounted(directory):
            raise BenchError("%s stays mounted" % directory)
        if directory in self.mounts:
            self.mounts.remove(directory)

    # Memory

    def touch(self, size):
        """Touches and frees so much memory, or most of what is free. A virtual machine that gives free
        memory back to its host pays several times a page's copy when it touches the page next: so each run
        begins with pages that were touched just now."""
        size = min(size, free_memory() // 4 * 3) // mmap.PAGESIZE * mmap.PAGESIZE
        if size:
            self.run([sys.executable, os.path.join(HERE, "toucher.py"), str(size)])

    # Data and programs, each made once

    def once(self, name, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def compiled(self, name, *packages):
        """The path of tests/bench/NAME.c, compiled."""
        def make():
            flags = []
            if packages:
                flags = self.run(["pkg-config", "--cflags", "--libs", *packages]).split()
            program = os.path.join(self.base, name)
            self.run([*shlex.split(os.environ.get("CC", "cc")), "-std=c17", "-O2", "-o", program,
                      os.path.join(HERE, name + ".c"), *flags])
            return program
        return self.once("program " + name, make)

    def random_file(self, path, size):
        """Writes pseudo-random bytes, the same for every run, and puts them on the disk."""
        with subprocess.Popen(["head", "-c", str(size), "/dev/zero"],
                              stdout=subprocess.PIPE) as zeros:
            subprocess.run(["openssl", "enc", "-aes-256-ctr", "-K", KEY, "-iv", IV, "-nosalt",
                            "-nopad", "-out", path], stdin=zeros.stdout, check=True,
                           timeout=self.deadline)
        if os.path.getsize(path) != size:
            raise BenchError("openssl enc wrote a short file")
        self.flush(path)

    def flush(self, path):
        """Nothing written so far shall disturb what is measured next."""
        self.run(["sync", "-f", path])

    def blob(self, size):
        """A directory with one file of `size` bytes, `blob`."""
        def make():
            directory = self.directory("data")
            self.random_file(os.path.join(directory, "blob"), size)
            return directory
        return self.once("blob", make)

    def tree(self, files, size):
        """A directory of `files` files, `size` bytes in all, in nested directories. Sizes vary
        seventeenfold, as those of a source tree do."""
        def make():
            top, source = self.directory("tree"), self.path("stream")
            self.random_file(source, size)
            weights = [1 + i * 7919 % 17 for i in range(files)]
            total, used, done = sum(weights), 0, 0
            with open(source, "rb") as stream:
                for i, weight in enumerate(weights):
                    place = os.path.join(top, "d%02d" % (i // 600), "e%02d" % (i // 30 % 20))
                    os.makedirs(place, exist_ok=True)
                    done += weight
                    length = size * done // total - used
                    used += length
                    with open(os.path.join(place, "f%04d" % i), "wb") as out:
                        out.write(stream.read(length))
            os.unlink(source)
            self.flush(top)
            return top
        return self.once("tree", make)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
