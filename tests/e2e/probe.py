"""Looks at files as a user's program would, in a process of its own, which may be killed when it hangs.
Prints what it found; exit code 1 when it found a difference.

    tree DIR                     a line for each entry below DIR: type, size or target, hash, path
    random FILE LIKE N SEED      N reads at random offsets of FILE give the bytes of LIKE
    parallel FILE LIKE N SEED    the same by 8 processes at once
    mmap FILE LIKE N SEED        the same through a memory map
    numbers DIR                  listed numbers below DIR are those of lstat()
    same DIR LIKE N SEED         every file below LIKE reads so below DIR: in turn, at N random places, around the page
                                 cache and mapped, each way first for some; its size stays right
    xattr FILE                   its extended attributes as JSON
    errno FILE                   reads FILE whole: JSON {"errno": NAME or "", "bytes", "seconds"}
    write PATH                   tries to change what is there in eight ways: JSON {way: errno name}"""

import errno
import fcntl
import hashlib
import json
import mmap
import os
import random
import sys
import time

READERS = 8
# They are not listed.
ATTRIBUTES = ["user.ipfs.cid", "ipfs.cid", "user.dagfs.size", "user.dagfs.blocks",
              "user.dagfs.local_blocks", "user.dagfs.local_bytes", "user.dagfs.pinned"]


def fail(text):
    print(text)
    sys.exit(1)


def tree(top):
    top = os.fsencode(top)
    lines = []
    for folder, folders, files in os.walk(top, onerror=lambda error: fail(str(error))):
        for name in folders + files:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, top)
            if os.path.islink(path):
                lines.append("l %r %r" % (os.readlink(path), short))
            elif os.path.isdir(path):
                lines.append("d %r" % short)
            else:
                with open(path, "rb") as data:
                    digest = hashlib.file_digest(data, "sha256").hexdigest()
                lines.append("f %d %s %r" % (os.stat(path).st_size, digest, short))
    print("\n".join(sorted(lines)))


def read_random(path, like, count, seed):
    rng = random.Random(seed)
    with open(path, "rb", buffering=0) as one, open(like, "rb") as other:
        size = os.fstat(other.fileno()).st_size
        if os.fstat(one.fileno()).st_size != size:
            fail("size %d, not %d" % (os.fstat(one.fileno()).st_size, size))
        for _ in range(count):
            offset, length = rng.randrange(0, size + 10), rng.choice([1, 4095, 65536, 1 << 20])
            want = os.pread(other.fileno(), length, offset)
            got = os.pread(one.fileno(), length, offset)
            if got != want:
                fail("%d bytes at %d differ (%d came)" % (length, offset, len(got)))


def parallel(path, like, count, seed):
    pids = []
    for i in range(READERS):
        pid = os.fork()
        if not pid:
            read_random(path, like, count, seed + i)
            os._exit(0)
        pids.append(pid)
    if any([os.waitpid(pid, 0)[1] for pid in pids]):
        fail("a reader failed")


def read_mapped(path, like, count, seed):
    rng = random.Random(seed)
    with open(path, "rb") as one, open(like, "rb") as other:
        with mmap.mmap(one.fileno(), 0, prot=mmap.PROT_READ) as here, \
                mmap.mmap(other.fileno(), 0, prot=mmap.PROT_READ) as there:
            if len(here) != len(there):
                fail("size %d, not %d" % (len(here), len(there)))
            for _ in range(count):
                offset, length = rng.randrange(len(there)), rng.choice([1, 5000, 100000])
                if here[offset:offset + length] != there[offset:offset + length]:
                    fail("%d mapped bytes at %d differ" % (length, offset))


def numbers(top):
    for folder, _, _ in os.walk(top):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.inode() != os.lstat(entry.path).st_ino:
                    fail("%r is listed as %d" % (entry.path, entry.inode()))


def in_turn(fd, want, rng):
    length, at = rng.choice([1000, 4096, 65536, 1 << 20]), 0
    while piece := os.read(fd, length):
        if piece != want[at:at + len(piece)]:
            return "bytes at %d" % at
        at += len(piece)
    return "" if at == len(want) else "ends at %d" % at


def here_and_there(fd, want, rng, count):
    for _ in range(count):
        at, length = rng.randrange(len(want) + 1), rng.choice([1, 4095, 65536, 1 << 20])
        if os.pread(fd, length, at) != want[at:at + length]:
            return "%d bytes at %d" % (length, at)
    return ""


def direct(fd, want):
    room = mmap.mmap(-1, 1 << 20)
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_DIRECT)
    for at in range(0, len(want) + 1, 1 << 20):
        came = os.preadv(fd, [room], at)
        if room[:came] != want[at:at + (1 << 20)]:
            return "%d bytes at %d" % (came, at)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    return ""


def mapped(fd, want):
    if not want:
        return ""
    with mmap.mmap(fd, len(want), prot=mmap.PROT_READ) as here:
        here[len(want) - 1]
        return "" if here[:] == want else "bytes"


def same(top, like, count, seed):
    rng = random.Random(seed)
    ways = [("in turn", in_turn), ("mapped", lambda fd, want, rng: mapped(fd, want)),
            ("at random", lambda fd, want, rng: here_and_there(fd, want, rng, count)),
            ("directly", lambda fd, want, rng: direct(fd, want))]
    for folder, _, files in os.walk(like):
        for name in sorted(files):
            path = os.path.join(top, os.path.relpath(os.path.join(folder, name), like))
            with open(os.path.join(folder, name), "rb") as other:
                want = other.read()
            rng.shuffle(ways)
            for way, read in ways:
                with open(path, "rb", buffering=0) as one:
                    os.posix_fadvise(one.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    wrong = read(one.fileno(), want, rng)
                    size = os.fstat(one.fileno()).st_size
                if not wrong and size != len(want):
                    wrong = "st_size %d afterwards" % size
                if wrong:
                    fail("%s read %s (%d bytes): %s" % (path, way, len(want), wrong))


def xattr(path):
    print(json.dumps({name: os.getxattr(path, name, follow_symlinks=False).decode(errors="replace")
                      for name in ATTRIBUTES}))


def read_whole(path):
    begin, total, name = time.monotonic(), 0, ""
    try:
        # One call that may wait, so that the time is that of one wait.
        with open(path, "rb", buffering=0) as data:
            while piece := data.read(1 << 20):
                total += len(piece)
    except OSError as error:
        name = errno.errorcode.get(error.errno, str(error.errno))
    print(json.dumps({"errno": name, "bytes": total, "seconds": time.monotonic() - begin}))


def change(path):
    new = os.path.join(path if os.path.isdir(path) else os.path.dirname(path), "new")
    ways = {
        "create": lambda: os.open(new, os.O_WRONLY | os.O_CREAT, 0o666),
        "mkdir": lambda: os.mkdir(new),
        "symlink": lambda: os.symlink("x", new),
        "open": lambda: os.open(path, os.O_RDWR),
        "truncate": lambda: os.truncate(path, 0),
        "unlink": lambda: os.unlink(path),
        "rename": lambda: os.rename(path, new),
        "chmod": lambda: os.chmod(path, 0o777),
    }
    found = {}
    for way, run in ways.items():
        try:
            run()
            found[way] = ""
        except OSError as error:
            found[way] = errno.errorcode.get(error.errno, str(error.errno))
    print(json.dumps(found))


def main(words):
    with_counts = {"random": read_random, "parallel": parallel, "mmap": read_mapped,
                   "same": same}
    if words[0] in with_counts:
        with_counts[words[0]](words[1], words[2], int(words[3]), int(words[4]))
    else:
        {"tree": tree, "numbers": numbers, "xattr": xattr, "errno": read_whole, "write": change}[words[0]](words[1])


if __name__ == "__main__":
    main(sys.argv[1:])
