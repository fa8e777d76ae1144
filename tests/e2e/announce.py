"""Which addresses a node with ninety of them tells its peers: some of each kind, and what Addresses.Announce,
AppendAnnounce and NoAnnounce say. The addresses only look public: they are this namespace's own loopback."""

import json

from lab import until


def told(peer, it):
    """Of it, by what it told peer."""
    name = it.identity()["ID"]
    until(lambda: json.loads(peer.must("--enc=json", "id", name).out).get("Protocols"), 20)
    return [text.split("/p2p/")[0] for text in json.loads(peer.must("--enc=json", "id", name).out)["Addresses"] or []]


def own(it, *words):
    return [line.split("/p2p/")[0] for line in it.must("swarm", "addrs", *words).out.split("\n") if line]


def restarted(lab, it, peer, **lists):
    it.stop()
    for key in ("Announce", "AppendAnnounce", "NoAnnounce"):
        it.must("config", "--json", "Addresses." + key, json.dumps(lists.get(key, [])))
    it.start()
    loopback = next(text for text in own(it, "listen") if text.startswith("/ip4/127."))
    peer.must("swarm", "connect", "%s/p2p/%s" % (loopback, it.identity()["ID"]))


def scenario(lab):
    public = ["44.0.0.%d" % i for i in range(1, 5)]
    for address in ["10.9.%d.1" % i for i in range(80)] + public:
        lab.must(["ip", "address", "add", address + "/32", "dev", "lo"])
    for address in ["fd00::%d" % i for i in range(1, 5)] + ["2600::1"]:
        lab.must(["ip", "-6", "address", "add", address + "/128", "dev", "lo", "nodad"])
    it, peer = lab.node("many"), lab.node("peer").start()
    it.must("config", "--json", "Addresses.Swarm", '["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"]')
    it.must("config", "--json", "Routing.LoopbackAddressesOnLanDHT", "false")
    it.start()
    restarted(lab, it, peer)

    listening, mine = own(it, "listen"), own(it)
    lab.check("it listens at ninety addresses", len(listening) >= 90, len(listening))
    lab.check("and tells no more than a message holds", len(mine) == 64, len(mine))
    lab.check("the first are of each kind, the public ones before the others",
              mine[0].startswith("/ip4/44.") and mine[1].startswith("/ip6/2600:") and mine[2].startswith("/ip4/10.9.")
              and mine[3].startswith("/ip6/fd00:"), mine[:6])
    heard = told(peer, it)
    lab.check("a peer hears of every public one", all(any("/%s/" % address in text for text in heard)
                                                     for address in public + ["2600::1"]), heard)

    name, other = "/dns4/example.com/tcp/4001", "/ip4/44.9.9.9/tcp/4001"
    restarted(lab, it, peer, Announce=[name])
    lab.check("Announce: that alone is told", own(it) == [name], own(it))
    lab.check("and a peer hears of it and of no other", [t for t in told(peer, it) if "127.0.0.1" not in t] == [name],
              told(peer, it))
    lab.check("it still listens everywhere", len(own(it, "listen")) >= 90)
    restarted(lab, it, peer, AppendAnnounce=[other], NoAnnounce=["/ip4/10.0.0.0/ipcidr/8", "/ip6/fc00::/ipcidr/7"])
    mine = own(it)
    lab.check("AppendAnnounce comes first", mine[0] == other, mine)
    lab.check("NoAnnounce: no private one is told", len(mine) == 6 and not any("/10." in t or "/fd" in t for t in mine), mine)
    lab.check("nor does a peer hear of one", not any("/10." in t or "/fd" in t for t in told(peer, it)), told(peer, it))
    restarted(lab, it, peer, Announce=[name, other], NoAnnounce=[other])
    lab.check("NoAnnounce holds for Announce too", own(it) == [name], own(it))
    for node in (it, peer):
        node.stop()
