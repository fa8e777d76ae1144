"""9 000 small files behind a relay that delays: `ls -lR` and `tar` of a fresh mount, and `get`, `pin add` and
`dag export`, with round trips of 0, 50 and 100 ms. How much longer they take, in round trips, is how many stand one
after the other. Printed, not judged: the simulator counts them exactly (tests/sim/README.md)."""

import os
import re
import sys

from lab import HERE, Broken, until
from many_small import make_tree

ROUND_TRIPS_MS = (0, 50, 100)
DEPTH = 4   # root, two levels of directories, files


def relay(lab, node, round_trip_ms, *rate):
    """The node's address as the relay has it; rate: bytes a second."""
    address = node.address()
    port = int(re.search(r"/tcp/(\d+)", address)[1])
    process = lab.begin([sys.executable, os.path.join(HERE, "relay.py"), str(round_trip_ms / 2), str(port),
                         *map(str, rate)])

    def said():
        process.output.seek(0)
        return process.output.read()
    if not until(lambda: b"\n" in said(), 10):
        raise Broken("the relay does not start")
    return address.replace("/tcp/%d" % port, "/tcp/%d" % int(said().split()[0]))


def fresh(lab, name, address):
    node = lab.node(name).start()
    node.must("swarm", "connect", address)
    return node


def measure(lab, source, cid, tree, round_trip_ms):
    """{what: seconds}"""
    address, took = relay(lab, source, round_trip_ms), {}
    for what, command in (("ls -lR", "ls -lR . | wc -l"), ("tar", "tar -cf - . | wc -c")):
        node = fresh(lab, "%s-%d" % (what.split()[0], round_trip_ms), address)
        point = node.mount(cid)
        done = lab.shell(command, 300, cwd=point)
        lab.check("%s, %d ms away" % (what, round_trip_ms), done)
        took[what] = done.seconds
        lab.check("umount", node.umount(point))
        node.stop()
    out = lab.path("got")
    for what, words in (("get", ("get", cid, "-o", out)), ("pin add", ("pin", "add", cid)),
                        ("export", ("dag", "export", cid))):
        node = fresh(lab, "%s-%d" % (words[0], round_trip_ms), address)
        done = node.call(*words, deadline=300)
        lab.check("%s, %d ms away" % (what, round_trip_ms), done)
        took[what] = done.seconds
        node.stop()
    lab.same_trees("what get wrote, %d ms away" % round_trip_ms, tree, out, deadline=120)
    lab.run(["rm", "-rf", out])
    return took


def scenario(lab):
    tree = make_tree(lab)
    source = lab.node("source")
    cid = source.add(tree)
    source.start()
    took = {ms: measure(lab, source, cid, tree, ms) for ms in ROUND_TRIPS_MS}
    near = took[ROUND_TRIPS_MS[0]]
    lab.say("%-8s %10s" % ("", "0 ms away") + "".join("%20s" % ("%d ms away" % ms) for ms in ROUND_TRIPS_MS[1:]))
    for what in near:
        far = "".join("%9.2f s = %4.1f RT" % (took[ms][what], (took[ms][what] - near[what]) * 1000 / ms)
                      for ms in ROUND_TRIPS_MS[1:])
        lab.say("%-8s %8.2f s%s" % (what, near[what], far))
    lab.say("the tree is %d deep" % DEPTH)
    source.stop()
