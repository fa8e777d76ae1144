"""Files of every shape that `add` makes, and of sizes around their chunks, read in every way: from the mount of who
added them, from a peer's, from one into which they came as an archive, and by `cat` and `get`."""

import os

from lab import SEED, write

# Chunker, a chunk's length as far as there is one, and the longest file (a million chunks take their time).
CHUNKERS = (("size-1", 1, 70001), ("size-17", 17, 40000), ("size-1000", 1000, 3 << 20), ("size-2048", 2048, 2500000),
            ("size-262144", 262144, 3 << 20), ("size-2096896", 2096896, 5 << 20),
            ("rabin-16-64-256", 64, 60000), ("rabin-512-1024-2048", 1024, 2 << 20), ("rabin", 262144, 2 << 20),
            ("buzhash", 131072, 3 << 20))
LAYOUTS = ((), ("--trickle",))
# The formats take turns with chunkers and layouts.
FORMATS = (("--cid-version=0", "--raw-leaves=false"), ("--cid-version=0", "--raw-leaves"), ("--cid-version=1",),
           ("--cid-version=1", "--raw-leaves=false", "--mode=0640"), ("--cid-version=1", "--inline"),
           ("--inline", "--inline-limit=128", "--raw-leaves=false"), ("--hash=blake3", "--max-file-links=3"),
           ("--hash=sha2-512", "--raw-leaves=false", "--max-file-links=2"), ("--profile=unixfs-v0-2015",))


def make(lab, chunk, longest):
    top = lab.directory("files")
    sizes = {0, 1, chunk - 1, chunk, chunk + 1, 63 * chunk, 64 * chunk + 1, 65 * chunk, 174 * chunk + 1, longest}
    for size in sorted(size for size in sizes if size <= longest):
        write(os.path.join(top, "%d" % size), lab.random.randbytes(size))
    return top


def shapes(lab, a):
    """(what, folder, CID) of each."""
    found = []
    for chunker, chunk, longest in CHUNKERS:
        folder = make(lab, chunk, longest)
        for layout in LAYOUTS:
            options = FORMATS[len(found) % len(FORMATS)]
            words = ("--chunker=" + chunker, *layout, *options)
            found.append((" ".join(words), folder, a.add(folder, *words)))
    return found


def same(lab, where, point, all_shapes, count=10):
    wrong = []
    for what, folder, cid in all_shapes:
        done = lab.probe("same", os.path.join(point, "ipfs", cid), folder, count, SEED, deadline=200)
        if done.code != 0:
            wrong.append("%s: %s" % (what, done))
    lab.check("%s: every file whole, read in four ways" % where, not wrong, wrong)


def namespace(lab, node, *options):
    point = lab.mountpoint()
    node.must("mount", *options, point)
    return point


def commands(lab, node, all_shapes):
    wrong = []
    for what, folder, cid in all_shapes:
        out = lab.path("got")
        done = node.call("get", "-o", out, cid)
        done = lab.run(["diff", "-r", folder, out]) if done.code == 0 else done
        if done.code != 0:
            wrong.append("get %s: %s" % (what, done))
        name = max(os.listdir(folder), key=int)
        offset, length = lab.random.randrange(int(name)), lab.random.randrange(1, 100000)
        with open(os.path.join(folder, name), "rb") as data:
            want = data.read()[offset:offset + length]
        done = node.call("cat", "--offset=%d" % offset, "--length=%d" % length, "%s/%s" % (cid, name))
        if done.raw != want:
            wrong.append("cat %s: %d of %d bytes" % (what, len(done.raw), len(want)))
    lab.check("get, and cat of a part, give the same", not wrong, wrong)


def archives(lab, a, c, all_shapes):
    wrong = []
    for what, _, cid in all_shapes:
        with open(lab.path("car"), "wb+") as car:
            done = a.call("dag", "export", "--progress=false", cid)
            car.write(done.raw)
            car.seek(0)
            if done.code == 0:
                done = lab.run(c.argv("dag", "import"), stdin=car)
        if done.code != 0:
            wrong.append("%s: %s" % (what, done))
    lab.check("all go through archives", not wrong, wrong)


def scenario(lab):
    a, b, c = lab.node("a"), lab.node("b"), lab.node("c")
    a.start()
    all_shapes = shapes(lab, a)
    same(lab, "mount", namespace(lab, a), all_shapes)
    same(lab, "mount with short requests", namespace(lab, a, "-o", "max_read=4096"), all_shapes[::3], 3)
    commands(lab, a, all_shapes)
    archives(lab, a, c, all_shapes)
    b.start()
    b.connect(a)
    same(lab, "remote", namespace(lab, b), all_shapes)
    b.stop()
    a.stop()
    same(lab, "from an archive, offline", namespace(lab, c, "--offline"), all_shapes)
    commands(lab, c, all_shapes[::4])
    c.must("shutdown")
