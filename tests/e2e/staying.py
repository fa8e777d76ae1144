"""Peers that stay: of `swarm connect`, `swarm peering` and Peering.Peers. They come back after losses, after kill -9 and
restarts of either side, also at another port; `disconnect` and `rm` end it; peers of before are tried at the start."""

import json

from lab import until

SETTLED = 90   # a peer is remembered after half a minute


def kept(node):
    return {peer["ID"]: peer for peer in json.loads(node.must("swarm", "peering", "ls", "--enc=json").out)["Peers"]}


def peers(node):
    return [line.rsplit("/", 1)[1] for line in node.must("swarm", "peers").out.split()]


def meets(node, other):
    return until(lambda: other.name_of in peers(node), 60, 0.2)


def fixed(lab, name):
    """A node that keeps its port over restarts."""
    node = lab.node(name).start()
    node.name_of = node.identity()["ID"]
    node.fixed_address = node.address()
    node.must("config", "--json", "Addresses.Swarm", json.dumps([node.fixed_address.split("/p2p/")[0]]))
    return node


def restarts(lab, near, far):
    """near keeps far."""
    far.kill()
    until(lambda: far.name_of not in peers(near), 30)
    far.start()
    lab.check("it comes back after it was killed", meets(near, far), kept(near))
    near.kill()
    near.start()
    lab.check("and after this node was killed", meets(near, far), kept(near))


def connected(lab, near, far):
    near.connect(far)
    lab.check("swarm connect: the peer is kept", kept(near).get(far.name_of, {}).get("Why") == "connect", kept(near))
    lab.check("and protected", "protected" in near.must("swarm", "peers", "-v").out)
    restarts(lab, near, far)
    far.stop()
    until(lambda: not peers(near), 30)
    done = near.call("swarm", "disconnect", far.name_of)
    lab.check("swarm disconnect ends it while the peer is away", done.code == 0 and not kept(near), done)
    done = near.call("swarm", "disconnect", far.name_of)
    lab.check("once", done.code == 1 and "not connected" in done.err, done)
    near.stop()
    near.start()
    lab.check("also over a restart", not kept(near), kept(near))
    far.start()


def added(lab, near, far):
    address = far.fixed_address
    done = near.must("swarm", "peering", "add", address, address.replace("/tcp/", "/tcp/1").split("/p2p/")[0][:22] + "/p2p/" + far.name_of)
    lab.check("swarm peering add says what Kubo says", done.out == "add %s success" % far.name_of, done)
    listing = near.must("swarm", "peering", "ls").out.split("\n")
    lab.check("swarm peering ls as Kubo", listing[0] == far.name_of and listing[1] == "\t" + address.split("/p2p/")[0]
              and len(listing) == 3, listing)
    lab.check("it is connected", meets(near, far))
    restarts(lab, near, far)
    near.must("swarm", "disconnect", far.name_of)
    lab.check("swarm disconnect does not end it", meets(near, far), kept(near))
    done = near.must("swarm", "peering", "rm", far.name_of)
    lab.check("swarm peering rm says what Kubo says", done.out == "remove %s success" % far.name_of, done)
    lab.check("it is no longer kept, and still connected", not kept(near) and far.name_of in peers(near))
    for words, what in ((["/ip4/127.0.0.1/tcp/4001"], "p2p"), ([near.fixed_address], "itself")):
        done = near.call("swarm", "peering", "add", *words)
        lab.check("refused: %s" % what, done.code != 0 and what in done.err and not kept(near), done)


def configured(lab, near, far):
    near.must("config", "--json", "Peering.Peers", json.dumps([
        {"ID": far.name_of, "Addrs": [far.fixed_address]}, {"ID": near.name_of, "Addrs": []}]))
    near.stop()
    near.start()
    lab.check("Peering.Peers: connected", meets(near, far))
    lab.check("oneself in the list is no harm", list(kept(near)) == [far.name_of], kept(near))
    restarts(lab, near, far)
    near.must("config", "--json", "Peering.Peers", "[]")
    for wrong in ('[{"ID": "frob"}]', '[{"Addrs": []}]', '["%s"]' % far.name_of, '[{"ID": "%s", "Adrs": []}]' % far.name_of):
        done = near.call("config", "--json", "Peering.Peers", wrong)
        lab.check("refused: Peering.Peers %s" % wrong[:24], done.code == 1 and "Peering.Peers must be" in done.err, done)
    near.stop()
    near.start()


def moved(lab, near, far):
    """far comes back at another port; near learns it from a third that both know."""
    third = fixed(lab, "third")
    for node in (near, far):
        node.must("swarm", "peering", "add", third.fixed_address)
    near.connect(far)
    until(lambda: far.name_of in peers(third), 30)
    far.must("config", "--json", "Addresses.Swarm", '["/ip4/127.0.0.1/tcp/0"]')
    far.kill()
    until(lambda: far.name_of not in peers(near), 30)
    far.start()
    lab.check("a peer that moved to another port is found again", meets(near, far), kept(near))
    return third


def remembered(lab, near, third):
    """third was never asked for by quiet: it connects to it, and goes."""
    quiet = fixed(lab, "quiet")
    third.connect(quiet)
    known = until(lambda: "/" in quiet.must("swarm", "peers").out, 30)
    until(lambda: False, SETTLED // 2)
    third.must("swarm", "disconnect", quiet.name_of)
    quiet.kill()
    quiet.start()
    lab.check("a peer that stayed is tried at the next start", known and meets(quiet, third))
    lab.check("and is not kept for that", not kept(quiet), kept(quiet))
    quiet.stop()


def scenario(lab):
    near, far = fixed(lab, "near"), fixed(lab, "far")
    far.kill()
    far.start()
    connected(lab, near, far)
    added(lab, near, far)
    configured(lab, near, far)
    third = moved(lab, near, far)
    remembered(lab, near, third)
    offline = lab.node("offline").start("--offline")
    done = offline.call("swarm", "peering", "add", far.address())
    lab.check("--offline: told", done.code == 1 and "--offline" in done.err, done)
    for node in (near, far, third, offline):
        node.stop()
