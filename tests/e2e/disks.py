"""Adding, collecting and evicting on file systems of all kinds: an overlay whose lower layers hold the store, a tmpfs, an ext4 of
tiny blocks, a disk that is nearly full. What is removed gives its space back, and what stays is whole."""

import os

from ground import Ground
from lab import write, write_big

MIB = 1 << 20
KEPT, GARBAGE = 20 * MIB, 40 * MIB
QUOTA, PIECE, PIECES = "8MiB", 4 * MIB, 8


def used(path):
    """Bytes on the disk below a folder."""
    total = 0
    for top, _, files in os.walk(path):
        total += sum(os.lstat(os.path.join(top, name)).st_blocks * 512 for name in files)
    return total


def same(lab, node, what, cid, path):
    out = lab.path("out")
    with open(path, "rb") as data:
        whole = node.call("--offline", "cat", cid).raw == data.read()
    lab.check("%s: what stays is whole" % what, whole, out)
    lab.check("%s: repo verify" % what, node.call("repo", "verify", deadline=120))


def collect(lab, what, ground, node):
    kept, garbage = lab.path("kept"), lab.path("garbage")
    write_big(kept, KEPT, lab.random)
    write_big(garbage, GARBAGE, lab.random)
    cid = node.add(kept)
    gone = node.add(garbage)
    ground.settle()
    node.must("pin", "rm", gone)
    done = node.call("repo", "gc", "-q", deadline=120)
    removed = len(done.out.split())
    lab.check("%s: repo gc removes what no pin keeps" % what, done.code == 0 and removed > 30, str(done))
    first = used(os.path.join(node.repo, "store"))
    lab.check("%s: and gives its space back" % what, first < KEPT + 10 * MIB, first)
    for _ in range(2):
        done = node.call("repo", "gc", "-q", deadline=120)
        lab.check("%s: repo gc again has nothing to do" % what, done.code == 0 and not done.out, str(done))
    again = used(os.path.join(node.repo, "store"))
    lab.check("%s: and the store does not grow" % what, again < first + 2 * MIB, "%d, %d" % (first, again))
    same(lab, node, what, cid, kept)
    ground.settle()
    lab.check("%s: add afterwards" % what, node.call("add", "-Q", garbage, deadline=120))
    same(lab, node, what + ", at last", cid, kept)


def evict(lab, what, ground, source, node):
    """Blocks that were cached in a lower layer go when the quota is passed."""
    node.must("config", "Datastore.StorageMax", QUOTA)
    pieces = []
    for i in range(PIECES):
        path = lab.path("piece")
        write_big(path, PIECE, lab.random)
        pieces.append(source.add(path))
    logs = ""
    for half in (pieces[:PIECES // 2], pieces[PIECES // 2:]):
        node.start()
        node.connect(source)
        for cid in half:
            lab.check("%s: fetched through a quota" % what, node.call("cat", cid))
        node.stop()
        logs += open(node.log, errors="replace").read()
        ground.settle()
    lab.check("%s: eviction works" % what, "cannot evict" not in logs, logs[-300:])
    stat = dict(line.split() for line in node.must("repo", "stat").out.splitlines() if len(line.split()) == 2)
    lab.check("%s: the quota holds" % what, int(stat["CacheSize:"]) < 20 * MIB, stat)


def tiny_blocks(lab):
    point, image = lab.directory("tiny"), lab.path("image")
    with open(image, "wb") as out:
        out.truncate(300 * MIB)
    lab.must(["mkfs.ext4", "-q", "-m", "0", "-b", "1024", image])
    lab.must(["mount", "-o", "loop", image, point])
    return point


def nearly_full(lab):
    _, point = lab.disk(100 * MIB)
    node = lab.node("full", os.path.join(point, "repo"))
    kept, garbage, more = lab.path("kept"), lab.path("garbage"), lab.path("more")
    for path, size in ((kept, 20 * MIB), (garbage, 54 * MIB), (more, 30 * MIB)):
        write_big(path, size, lab.random)
    gone = node.add(garbage)
    cid = node.add(kept)
    free = os.statvfs(point).f_bavail * os.statvfs(point).f_frsize
    write(os.path.join(point, "filler"), bytes(free - 6600 * 1024))
    node.must("pin", "rm", gone)
    done = node.call("repo", "gc", "-q", deadline=120)
    free = os.statvfs(point).f_bavail * os.statvfs(point).f_frsize
    lab.check("nearly full: repo gc", done)
    lab.check("nearly full: what it removes goes back to the disk", free > 50 * MIB, free)
    same(lab, node, "nearly full", cid, kept)
    lab.check("nearly full: add has room", node.call("add", "-Q", more, deadline=120))
    same(lab, node, "nearly full, at last", cid, kept)
    lab.must(["umount", point])


def scenario(lab):
    source = lab.node("source")
    source.start()
    for kind in ("overlay", "tmpfs"):
        ground = Ground(lab, kind)
        collect(lab, kind, ground, ground.node("gc-" + kind))
        evict(lab, kind, ground, source, ground.node("quota-" + kind))
    point = tiny_blocks(lab)
    collect(lab, "blocks of 1 KiB", Ground(lab), lab.node("tiny", os.path.join(point, "repo")))
    lab.must(["umount", point])
    nearly_full(lab)
    source.stop()
