"""Who serves in the public network: a node that decides by itself is a client until a peer reaches it. The addresses
only look public: they are this namespace's own loopback."""

import json

from lab import until


def node(lab, name, address, routing, bootstrap=()):
    it = lab.node(name)
    lab.must(["ip", "address", "add", address + "/32", "dev", "lo"])
    it.must("config", "--json", "Addresses.Swarm", json.dumps(["/ip4/%s/tcp/0" % address]))
    it.must("config", "--json", "Bootstrap", json.dumps(list(bootstrap)))
    it.must("config", "Routing.Type", routing)
    return it.start()


def address_of(it):
    mine = it.identity()
    text = mine["Addresses"][0]
    return text if "/p2p/" in text else "%s/p2p/%s" % (text, mine["ID"])


def wan(it):
    return json.loads(it.must("--enc=json", "stats").out)["WAN"]


def speaks(it, peer):
    return "/ipfs/kad/1.0.0" in json.loads(it.must("id", peer).out)["Protocols"]


def scenario(lab):
    server = node(lab, "server", "44.0.0.2", "dhtserver")
    auto = node(lab, "auto", "44.0.0.1", "auto", [address_of(server)])
    own = auto.identity()["ID"]
    lab.check("it asks a server", until(lambda: wan(auto)["TablePeers"] == 1, 20))
    found = wan(auto)
    lab.check("whom nobody has reached is a client", found["Mode"] == "client" and found["AutoMode"] is True, str(found))
    lab.check("and does not say that it serves", not speaks(server, own) and wan(server)["TablePeers"] == 0)
    lab.check("nor of itself", "/ipfs/kad/1.0.0" not in auto.identity()["Protocols"])

    visitor = node(lab, "visitor", "44.0.0.3", "dhtclient")
    visitor.must("swarm", "connect", address_of(auto))
    lab.check("whom one has reached serves", until(lambda: wan(auto)["Mode"] == "server", 20))
    lab.check("the server, long connected, hears of it",
              until(lambda: speaks(server, own) and wan(server)["TablePeers"] == 1, 20))
    lab.check("it says so of itself", "/ipfs/kad/1.0.0" in auto.identity()["Protocols"])
    found = wan(visitor)
    lab.check("who is told to be a client stays one", found["Mode"] == "client" and found["AutoMode"] is False, str(found))
    text = auto.must("stats").out
    lab.check("stats for people", all(line in text for line in ("\tMode: server", "\tAutoMode: yes",
                                                                "\tBucketsFilled: 1")), text)
    for it in (visitor, auto, server):
        it.stop()
