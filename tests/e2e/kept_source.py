"""A node that keeps few connections reads from one peer and serves another, while more connect and do nothing: the idle
ones go, the two at work stay, and `swarm peers -v` tells why. The simulator has peers that cannot be dialled and many
idle streams (idle-crowd)."""

import json

from lab import until, write_big

SIZE = 24 << 20
RATE = 1000000      # bytes a second: longer than the grace and the look after it
IDLE = 8


def quiet(node, **settings):
    for key, value in {"Routing.Type": "none", **settings}.items():
        node.must("config", "--json", key, json.dumps(value))
    return node.start()


def peers(node):
    said = json.loads(node.must("--enc=json", "swarm", "peers").out)["Peers"] or []
    return {peer["Peer"]: peer for peer in said}


def scenario(lab):
    paths = [lab.path("down"), lab.path("up")]
    for path in paths:
        write_big(path, SIZE, lab.random)
    hub = quiet(lab.node("hub"), **{"Swarm.Bandwidth.Up": RATE, "Swarm.ConnMgr.LowWater": 2,
                                    "Swarm.ConnMgr.HighWater": 4, "Swarm.ConnMgr.GracePeriod": "2s"})
    source = quiet(lab.node("source"), **{"Swarm.Bandwidth.Up": RATE})
    reader = quiet(lab.node("reader"))
    down, up = source.add(paths[0]), hub.add(paths[1])
    for node in (source, reader):
        node.connect(hub)
    names = [node.identity()["ID"] for node in (source, reader)]
    getting = [hub.begin("get", "-o", lab.path("a"), down), reader.begin("get", "-o", lab.path("b"), up)]
    lab.check("blocks flow both ways", until(lambda: all(
        peers(hub)[name]["Worth"] >= 20 for name in names), 20, 0.2), str(peers(hub)))
    idle = [quiet(lab.node("idle%d" % i)) for i in range(IDLE)]
    for node in idle:
        node.connect(hub)
    lab.check("the idle ones are trimmed", until(lambda: len(peers(hub)) <= 4, 60, 0.5), str(peers(hub)))
    left = peers(hub)
    lab.check("who is at work stays", all(name in left for name in names), str(left))
    lab.check("the source is protected", left.get(names[0], {}).get("Protected"), str(left))
    verbose = hub.must("swarm", "peers", "-v").out
    lab.check("swarm peers -v tells it", "worth=100 (bitswap-from=100) protected" in verbose and
              "(bitswap-to=20)" in verbose, verbose)
    for what, process in zip(("from the source", "to the reader"), getting):
        lab.check("all comes %s" % what, lab.finish(process, 120))
    for node in (hub, source, reader, *idle):
        node.stop()
