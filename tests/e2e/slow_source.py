"""A slow and far source beside a fast one: the file comes about as soon as from the fast one alone, and hardly anything
comes twice. Rates are printed; that a busy machine is no slower than one and a quarter is judged by the simulator
(slow-beside-fast), here only that the slow one does not hold up the end: it would for half a minute."""

import json
import os
import time

from lab import write_big
from round_trips import relay

SIZE = 60 << 20
FAST = 10000000         # bytes a second
SLOW, SLOW_MS = 300000 // 8, 300
HELD_UP = 20            # seconds: what a single message of the slow one takes


def duplicates(lab, reader):
    stat = json.loads(reader.must("--enc=json", "bitswap", "stat").out)
    lab.check("duplicates below 3 %", stat["DupDataReceived"] * 100 < 3 * SIZE, str(stat))


def start(node):
    """Without routing, which would find the fast one too early."""
    node.must("config", "Routing.Type", "none")
    return node.start()


def fetch(lab, name, cid, path, first, later=None):
    """Seconds of a get by a fresh node that knows `first`; from when it connects to `later`, if that is given."""
    reader, out = start(lab.node(name)), lab.path("got")
    for address in first:
        reader.must("swarm", "connect", address)
    getting, began = reader.begin("get", "-o", out, cid), time.monotonic()
    if later:
        time.sleep(5)
        began = time.monotonic()
        reader.must("swarm", "connect", later)
    got = lab.finish(getting, 200)
    seconds = time.monotonic() - began
    lab.check("get, %s" % name, got)
    lab.same_trees("every byte, %s" % name, path, out)
    duplicates(lab, reader)
    reader.stop()
    os.unlink(out)
    return seconds


def scenario(lab):
    path = lab.path("file")
    write_big(path, SIZE, lab.random)
    fast, slow = lab.node("fast-source"), start(lab.node("slow-source"))
    fast.must("config", "Swarm.Bandwidth.Up", str(FAST))
    start(fast)
    cid = fast.add(path)
    slow.add(path)
    near, far = fast.address(), relay(lab, slow, SLOW_MS, SLOW)
    alone = fetch(lab, "alone", cid, path, [near])
    for name, first, later in (("beside", [near, far], None), ("slow-first", [far, near], None),
                               ("fast-later", [far], near)):
        took = fetch(lab, name, cid, path, first, later)
        lab.say("%s: %.1f s, %.2f times the fast one alone" % (name, took, took / alone))
        lab.check("%s: the slow one does not hold it up" % name, took < alone + HELD_UP, "%.1f s" % took)
    for node in (fast, slow):
        node.stop()
    os.unlink(path)
