"""One file from four sources of unequal speed, and one source with a greedy and a modest reader, over real sockets; the
speeds are bandwidth limits. Duplicates are judged; rates, which a busy machine lowers, are printed."""

import json
import os

from lab import write_big

SIZE = 120 << 20
UPS = (2000000, 4000000, 6000000, 8000000)  # bytes a second
SERVED, MODEST = 8000000, 12 << 20
GREEDY_FILES = 6        # at once


def bitswap(node):
    return json.loads(node.must("--enc=json", "bitswap", "stat").out)


def source(lab, name, up, paths):
    node = lab.node(name)
    node.must("config", "Swarm.Bandwidth.Up", str(up))
    node.start()
    return node, [node.add(path) for path in paths]


def four_sources(lab):
    path, out = lab.path("file"), lab.path("got")
    write_big(path, SIZE, lab.random)
    nodes = [source(lab, "source%d" % i, up, [path]) for i, up in enumerate(UPS)]
    reader = lab.node("reader").start()
    for node, _ in nodes:
        reader.connect(node)
    got = reader.call("get", "-o", out, nodes[0][1][0], deadline=180)
    lab.check("get from four sources", got)
    lab.same_trees("every byte", path, out)
    stat = bitswap(reader)
    sent = [bitswap(node)["DataSent"] for node, _ in nodes]
    lab.say("%.1f s: %.2f of the sum of their rates; shares %s of %s MB/s" % (
        got.seconds, SIZE / got.seconds / sum(UPS), " ".join("%.2f" % (part / sum(sent)) for part in sent),
        " ".join("%d" % (up // 1000000) for up in UPS)))
    lab.check("duplicates below 2 %", stat["DupDataReceived"] < stat["DataReceived"] / 50, str(stat))
    for node in (reader, *(node for node, _ in nodes)):
        node.stop()
    os.unlink(path)


def two_readers(lab):
    paths = [lab.path("greedy%d" % i) for i in range(GREEDY_FILES)]
    small = lab.path("small")
    for path in paths:
        write_big(path, 4 * MODEST, lab.random)
    write_big(small, MODEST, lab.random)
    node, cids = source(lab, "one", SERVED, [*paths, small])
    greedy, modest = lab.node("greedy").start(), lab.node("modest").start()
    greedy.connect(node)
    modest.connect(node)
    taking = [greedy.begin("get", "-o", lab.path("g%d" % i), cid) for i, cid in enumerate(cids[:-1])]
    got = modest.call("get", "-o", lab.path("m"), cids[-1], deadline=120)
    lab.check("a modest reader beside a greedy one", got)
    lab.say("one file beside %d: %.1f s, %.2f of an equal share" % (
        GREEDY_FILES, got.seconds, MODEST / got.seconds / (SERVED / 2)))
    lab.check("the greedy one has not got all by then", any(process.poll() is None for process in taking))
    for process in taking:
        process.kill()
        lab.finish(process)
    for each in (node, greedy, modest):
        each.stop()


def scenario(lab):
    four_sources(lab)
    two_readers(lab)
