"""A disk that stands still under a node that fetches: what the node holds in memory stays below Bitswap.InFlightMax and a
constant, its peer waits, and all arrives when the disk goes on."""

import fcntl
import os
import time

from lab import write_big

MIB = 1 << 20
BUDGET, FILE, DISK = 32 * MIB, 256 * MIB, 768 * MIB
CONSTANT = 32 * MIB     # the window of a stream (16) and the pages of a transaction (16)
STANDS_SECONDS = 30     # at most
FREEZE, THAW = 0xC0045877, 0xC0045878


def move_cache(lab, node, point):
    """The store's newest generation of what is cached, its data alone, lies on that disk: locks stay usable."""
    store = os.path.join(node.repo, "store")
    cache = os.path.join(store, sorted(name for name in os.listdir(store) if name.startswith("cache-"))[-1])
    data, moved = os.path.join(cache, "data.mdb"), os.path.join(point, "data.mdb")
    lab.must(["cp", data, moved])
    lab.must(["mount", "--bind", moved, data])


def anonymous(node):
    with open("/proc/%d/status" % node.daemon.pid) as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon"))


def scenario(lab):
    _, point = lab.disk(DISK)
    reader, sender = lab.node("reader"), lab.node("sender")
    reader.must("config", "Bitswap.InFlightMax", "%dMiB" % (BUDGET // MIB))
    sender.start()
    path, small, out = lab.path("file"), lab.path("small"), lab.path("got")
    write_big(path, FILE, lab.random)
    write_big(small, MIB, lab.random)
    cid, first = sender.add(path), sender.add(small)
    reader.start()
    reader.connect(sender)
    lab.check("something is cached", reader.call("get", "-o", lab.path("first"), first))
    reader.stop()
    move_cache(lab, reader, point)
    reader.start()
    reader.connect(sender)
    before = anonymous(reader)

    disk = os.open(point, os.O_RDONLY)
    fcntl.ioctl(disk, FREEZE, 0)
    most = 0
    try:
        getting = reader.begin("get", "-o", out, cid)
        still, last, end = 0, -1, time.monotonic() + STANDS_SECONDS
        while still < 20 and time.monotonic() < end:    # until its memory does not change any more
            time.sleep(0.1)
            now = anonymous(reader)
            most = max(most, now)
            still = still + 1 if abs(now - last) < MIB // 4 and now > before + BUDGET // 8 else 0
            last = now
            if getting.poll() is not None:
                break
        lab.check("the get waits for the disk", getting.poll() is None)
        answer = reader.call("stats", deadline=10)
        lab.check("and nothing else waits", answer)
    finally:
        fcntl.ioctl(disk, THAW, 0)
        os.close(disk)
    lab.say("anonymous memory: %.1f MiB before, at most %.1f MiB" % (before / MIB, most / MIB))
    lab.check("memory stays below the budget and a constant", most - before < BUDGET + CONSTANT,
              "%.1f MiB" % ((most - before) / MIB))
    got = lab.finish(getting, 120)
    lab.check("all arrives when the disk goes on", got)
    lab.same_trees("every byte", path, out)
    reader.stop()
    sender.stop()
