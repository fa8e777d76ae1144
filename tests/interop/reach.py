"""Whether a node can be reached: dagfs and Kubo ask each other (AutoNAT).

Each peer has a network of its own with one public-looking address, 8.N.0.1, on one wire; there is no
route to anywhere else, so nothing can leave it. Who is closed drops whoever would connect to him."""

import json
import os
import subprocess

import suite
from peers import Dagfs, Kubo, wait_until
from suite import must, tool

NETNS = "/run/netns"
PORT = 4001
REACH_SECONDS = 150     # three servers, one dial that is dropped takes ten or more
OPEN, SECOND, CLOSED, KUBO_OPEN, KUBO_CLOSED, ROUTER, INSIDE = 1, 7, 5, 6, 8, 9, 10
SERVERS = (2, 3, 4)
OLD = 4                 # speaks version 1 alone
ELSEWHERE = {SECOND: 17}    # listens there and dials from its own: such a test is paid for


def address(number):
    return "/ip4/8.%d.0.1/tcp/%d" % (ELSEWHERE.get(number, number), PORT)


def enter(number):
    return ["nsenter", "--net=%s/n%d" % (NETNS, number)]


def wire():
    """A bridge; the names of namespaces are seen here alone."""
    os.makedirs(NETNS, exist_ok=True)
    tool(["mount", "-t", "tmpfs", "none", NETNS])
    tool(["ip", "link", "add", "wire", "type", "bridge"])
    tool(["ip", "link", "set", "wire", "up"])


def place(number, closed=False):
    """A network with that number's address."""
    name, veth = "n%d" % number, "v%d" % number
    tool(["ip", "netns", "add", name])
    tool(["ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", name])
    tool(["ip", "link", "set", veth, "master", "wire", "up"])
    for words in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"],
                  ["addr", "add", "8.%d.0.1/8" % number, "dev", "eth0"]):
        tool(["ip", "-n", name] + words)
    if number in ELSEWHERE:
        tool(["ip", "-n", name, "addr", "add", "8.%d.0.1/32" % ELSEWHERE[number], "dev", "eth0"])
    if closed:
        for words in (["table", "inet", "wall"],
                      ["chain", "inet", "wall", "in", "{ type filter hook input priority 0; }"],
                      # Kubo dials from its own port: answers to that must come through.
                      ["rule", "inet", "wall", "in", "tcp", "dport", str(PORT),
                       "tcp", "flags", "&", "(syn|ack)", "==", "syn", "drop"]):
            tool(enter(number) + ["nft", "add"] + words)


def house():
    """A network behind the one of ROUTER, which translates: outwards all, inwards the port."""
    outside, inside = "n%d" % ROUTER, "n%d" % INSIDE
    place(ROUTER)
    tool(["ip", "netns", "add", inside])
    tool(["ip", "-n", outside, "link", "add", "eth1", "type", "veth", "peer", "name", "eth0",
          "netns", inside])
    for name, words in ((outside, ["addr", "add", "192.168.9.1/24", "dev", "eth1"]),
                        (outside, ["link", "set", "eth1", "up"]),
                        (inside, ["link", "set", "lo", "up"]),
                        (inside, ["link", "set", "eth0", "up"]),
                        (inside, ["addr", "add", "192.168.9.2/24", "dev", "eth0"]),
                        (inside, ["route", "add", "8.0.0.0/8", "via", "192.168.9.1"])):
        tool(["ip", "-n", name] + words)
    tool(enter(ROUTER) + ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])
    for words in (["table", "ip", "nat"],
                  ["chain", "ip", "nat", "out", "{ type nat hook postrouting priority 100; }"],
                  ["rule", "ip", "nat", "out", "oifname", "eth0", "masquerade"],
                  ["chain", "ip", "nat", "in", "{ type nat hook prerouting priority -100; }"],
                  ["rule", "ip", "nat", "in", "iifname", "eth0", "tcp", "dport", str(PORT),
                   "dnat", "to", "192.168.9.2:%d" % PORT]):
        tool(enter(ROUTER) + ["nft", "add"] + words)


class PlacedDagfs(Dagfs):
    """In the network of that number; `auto` decides by itself whether to serve."""

    def __init__(self, s, number, bootstrap, listen=None):
        wrapper = s.path()
        with open(wrapper, "w") as f:
            f.write('#!/bin/sh\nexec %s "%s" "$@"\n' % (" ".join(enter(number)), self.find_program()))
        os.chmod(wrapper, 0o755)
        super().__init__(program=wrapper, repo=os.path.join(s.folder(), "repo"))
        self.changes = {"Addresses.Swarm": json.dumps([listen or address(number)]),
                        "Bootstrap": json.dumps(bootstrap), "Routing.Type": "auto"}

    def init(self):
        super().init()
        for key, value in self.changes.items():
            words = ["--json"] if value.startswith("[") else []
            self.run("config", *words, key, value)

    def addresses(self):
        return json.loads(self.run("id").stdout)["Addresses"]

    def stats(self):
        return json.loads(self.run("stats", "--enc=json").stdout)


def placed_kubo(number, config=None):
    kubo = Kubo("binary", {"Addresses.Swarm": [address(number)], "AutoNAT.ServiceMode": "enabled",
                           **(config or {})})
    kubo.argv = enter(number) + kubo.argv
    return kubo


def decides(node, reach, mode):
    """node finds out so, and serves or not."""
    def found():
        stats = node.stats()
        return stats["AutoNAT"]["Reachability"] == reach and stats["WAN"]["Mode"] == mode
    try:
        wait_until("%s, so a %s" % (reach, mode), found, REACH_SECONDS, 1)
    finally:
        if not found():
            print("          stats %s" % node.stats(), flush=True)


def kubo_finds(kubo, word):
    """As `ipfs swarm addrs autonat` tells of its one address."""
    def found():
        told = json.loads(kubo.ask("cli swarm addrs autonat --enc=json")["out"])
        return any(address_of in " ".join(told.get(word) or []) for address_of in kubo.own)
    wait_until("kubo says %s" % word, found, REACH_SECONDS, 1)


def speaks(node, protocol, holds):
    told = json.loads(node.run("id").stdout)["Protocols"]
    must((protocol in told) == holds, "%s: %s" % (protocol, told))


def isolated():
    """No way out of any of them."""
    for name in os.listdir(NETNS):
        routes = tool(["ip", "-n", name, "route"]).decode()
        must("default" not in routes and "8.0.0.0/8" in routes, routes)
    must(subprocess.run(enter(OPEN) + ["ip", "route", "get", "1.1.1.1"], capture_output=True,
                        check=False).returncode != 0, "there is a route to the world")


def scenario(s):
    wire()
    for number in (OPEN, SECOND, CLOSED, KUBO_OPEN, KUBO_CLOSED) + SERVERS:
        place(number, closed=number in (CLOSED, KUBO_CLOSED))
    house()
    s.check("the networks have no way out", isolated)
    peers = []
    try:
        play(s, peers)
    finally:
        for peer in reversed(peers):
            peer.stop()


def play(s, peers):
    def start(peer):
        peers.append(peer)
        return peer.start()

    servers = [start(placed_kubo(n, {"AutoNAT.ServiceMode": "legacy-v1"} if n == OLD else None))
               for n in SERVERS]
    bootstrap = [kubo.addr for kubo in servers]
    node = start(PlacedDagfs(s, OPEN, bootstrap))
    # Three must agree, so the one that speaks version 1 was asked, too.
    s.check("who is open is public and serves", decides, node, "public", "server")
    closed = start(PlacedDagfs(s, CLOSED, bootstrap))
    second = start(PlacedDagfs(s, SECOND, bootstrap))
    s.check("and says so", speaks, node, "/ipfs/kad/1.0.0", True)
    s.check("so is who listens elsewhere than he dials from", decides, second, "public", "server")
    s.check("who is closed is private and a client", decides, closed, "private", "client")
    s.check("and does not say so", speaks, closed, "/ipfs/kad/1.0.0", False)
    # Four who see him there, three who reach him there.
    inside = start(PlacedDagfs(s, INSIDE, bootstrap + [node.addr, second.addr],
                               "/ip4/192.168.9.2/tcp/%d" % PORT))
    s.check("who is behind a translator that lets in is public", decides, inside, "public", "server")
    s.check("and tells the outer address", must,
            any(line.startswith(address(ROUTER)) for line in inside.addresses()),
            str(inside.addresses()))
    # Two Kubos that know no other servers than dagfs.
    alone = {"Routing.Type": "none"}
    for number, word in ((KUBO_OPEN, "reachable"), (KUBO_CLOSED, "unreachable")):
        kubo = start(placed_kubo(number, alone))
        kubo.own = [address(number)]
        for server in (node, second):
            kubo.connect(server.addr)
        s.check("Kubo finds itself %s by dagfs" % word, kubo_finds, kubo, word)
    s.check("dagfs dialled for them", must, node.stats()["AutoNAT"]["Served"] >= 2,
            str(node.stats()["AutoNAT"]))
