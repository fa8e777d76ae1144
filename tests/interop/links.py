"""Connections: security, identities, ping, identify, and peers that come back."""

import base64
import hashlib
import json

from peers import Dagfs, PeerError, wait_until
from suite import can, foreign, must, same

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BITSWAP = "/ipfs/bitswap/1.2.0"
SPOKEN = (BITSWAP, "/ipfs/lan/kad/1.0.0", "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0")
IDENTITY_MAX = 42       # a longer public key is named by its SHA-256


def peer_id_of(key):
    """The id that a public key, base64 of its protobuf, must have."""
    raw = base64.b64decode(key)
    if len(raw) > IDENTITY_MAX:
        hashed = b"\x12\x20" + hashlib.sha256(raw).digest()
    else:
        hashed = b"\0" + bytes([len(raw)]) + raw
    number, text = int.from_bytes(hashed, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(hashed) - len(hashed.lstrip(b"\0"))) + text


def told_of(node, peer):
    """What dagfs learned of a connected peer."""
    def known():
        told = json.loads(node.run("id", peer.id).stdout)
        return told if told.get("AgentVersion") and told.get("Protocols") else None
    return wait_until("identify is through", known)


def identify(node, peer, agent):
    told = told_of(node, peer)
    must(told["ID"] == peer.id, "another id: %s" % told["ID"])
    must(told["AgentVersion"].startswith(agent), "agent: " + told["AgentVersion"])
    must(BITSWAP in told["Protocols"], "protocols: %s" % told["Protocols"])
    must(peer_id_of(told["PublicKey"]) == peer.id, "the key is of another id")
    dialled = peer.addr.split("/p2p/")[0]
    must(any(dialled in line for line in told["Addresses"]), "addresses: %s" % told["Addresses"])


def identified(node, peer):
    """What Kubo learned of dagfs."""
    told = json.loads(peer.ask("cli id " + node.id)["out"])
    must(told["ID"] == node.id, "another id: " + told["ID"])
    must(told["AgentVersion"].startswith("dagfs/"), "agent: " + told["AgentVersion"])
    for protocol in SPOKEN:
        must(protocol in told["Protocols"], "it does not know of " + protocol)
    must(peer_id_of(told["PublicKey"]) == node.id, "the key is of another id")
    must(node.addr in told["Addresses"], "addresses: %s" % told["Addresses"])


def pinged(node, peer):
    out = node.run("ping", "-n", "2", peer.id).stdout
    must(out.count("Pong received: time=") == 2, out)


def exchange(s, node, peer):
    """One file each way."""
    for giver, taker in ((node, peer), (peer, node)):
        source, dest = s.file(600000), s.path()
        taker.get(giver.add(source), dest)
        same(source, dest)


def wrong_id(node, peer, other):
    """The address of one with the id of another is refused."""
    addr = peer.addr.split("/p2p/")[0] + "/p2p/" + other.id
    done = node.run("swarm", "connect", addr, check=False)
    must(done.returncode == 1, "connect: exit %d: %s" % (done.returncode, done.stdout))
    must(not node.connected_to(other), "connected as another")


def comes_back(s, kind, node, peer):
    """The other is killed and starts anew; Kubo with its old identity and address."""
    peer.kill()
    wait_until("dagfs sees that it is gone", lambda: not node.connected_to(peer))
    peer.process.end()
    peer.start()
    if kind == "helia":
        peer.connect(node.addr)
    source, dest = s.file(600000), s.path()
    cid = peer.add(source)
    if kind != "helia":
        must(not node.connected_to(peer), "connected by itself")
        node.connect(peer.addr)
    node.get(cid, dest)
    same(source, dest)
    exchange(s, node, peer)


def dagfs_comes_back(s, node, peer):
    node.kill()
    wait_until("it sees that dagfs is gone", lambda: not peer.connected_to(node))
    node.start()
    peer.connect(node.addr)
    exchange(s, node, peer)


def scenario(s, kind):
    agent = {"kubo": "kubo/0.40.1", "libkubo": "kubo/0.22.0", "helia": "helia/"}[kind]
    peer = foreign(kind)
    if kind != "helia":
        peer.argv += ["--repo", s.path()]
    with Dagfs() as node, peer:
        if kind == "libkubo":
            s.check("its identity is RSA", must, peer.id.startswith("Qm"), peer.id)
        s.check("dagfs dials", node.connect, peer.addr)
        s.check("identify, as dagfs hears it", identify, node, peer, agent)
        if kind == "kubo":
            s.check("identify, as Kubo hears it", identified, node, peer)
        s.check("dagfs pings", pinged, node, peer)
        if can(peer, "ping"):
            s.check("%s pings" % kind, peer.ask, "ping " + node.id)
        s.check("a file each way", exchange, s, node, peer)
        s.check("dagfs disconnects", disconnect, node, peer)
        s.check("%s dials" % kind, peer.connect, node.addr)
        s.check("identify again", identify, node, peer, agent)
        s.check("a file each way over that", exchange, s, node, peer)
        with foreign("kubo") as other:
            s.check("an address with a wrong id is refused", wrong_id, node, peer, other)
        s.check("%s is killed and comes back" % kind, comes_back, s, kind, node, peer)
        s.check("dagfs is killed and comes back", dagfs_comes_back, s, node, peer)


def disconnect(node, peer):
    node.run("swarm", "disconnect", peer.addr)
    wait_until("it sees that", lambda: not peer.connected_to(node))


def negotiates(s, config, ours, outward):
    with Dagfs(settings=ours) as node, foreign("kubo", config) as peer:
        giver, taker = (node, peer) if outward else (peer, node)
        giver.connect(taker.addr)
        exchange(s, node, peer)


def no_common(config, ours):
    """No security in common: refused in time, both go on."""
    with Dagfs(settings=ours) as node, foreign("kubo", config) as peer:
        for one, other in ((node, peer), (peer, node)):
            try:
                one.connect(other.addr, seconds=20)
            except PeerError as e:
                must("not done in" not in str(e) and "timeout" not in str(e), str(e))
            else:
                must(False, "%s connected" % one.name)
        node.run("swarm", "peers")
        peer.peers()


def security(s):
    """Which channel and which muxer, whoever dials."""
    key = "Swarm.Transports.Security."
    both = {key + "TLS": 100, key + "Noise": 300}
    noise_alone, tls_alone = {key + "TLS": False}, {key + "Noise": False}
    for what, config, ours in (
            ("Kubo prefers TLS", both, {}),
            ("Kubo knows Noise alone", noise_alone, {}),
            ("Kubo knows TLS alone", tls_alone, {}),
            ("both know TLS alone", tls_alone, tls_alone),
            ("dagfs prefers TLS", {}, {key + "TLS": 10}),
            ("dagfs knows TLS alone", {}, tls_alone)):
        for outward in (True, False):
            s.check("%s, %s dials" % (what, "dagfs" if outward else "Kubo"),
                    negotiates, s, config, ours, outward)
    s.check("Kubo knows TLS alone, dagfs Noise alone: refused at once", no_common, tls_alone,
            noise_alone)
