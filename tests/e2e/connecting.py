"""What a person asks for is dialled, and told plainly: `swarm connect` over a connection that has died unnoticed, after
failures, to oneself, to a twin, and to nobody."""

import os
import signal
import sys

from lab import HERE, until


def peers(it):
    return it.must("swarm", "peers").out.split("\n")


def frozen_relay(lab, target):
    """(the process, the node's address behind it)."""
    address = target.address()
    port = address.split("/tcp/")[1].split("/")[0]
    process = lab.begin([sys.executable, os.path.join(HERE, "relay.py"), "0", port])

    def own_port():
        process.output.seek(0)
        return process.output.read().split()
    own = until(own_port, 10)
    return process, address.replace("/tcp/%s/" % port, "/tcp/%s/" % own[0].decode())


def dead_connection(lab, near, far):
    relay, behind = frozen_relay(lab, far)
    near.must("swarm", "connect", behind)
    lab.check("connected through the relay", any(line == behind for line in peers(near)), peers(near))
    done = near.must("swarm", "connect", behind)
    lab.check("again: at once, by the same connection", done.seconds < 10 and len(peers(near)) == 1, peers(near))
    os.kill(relay.pid, signal.SIGSTOP)
    done = near.call("swarm", "connect", far.address(), deadline=40)
    lab.check("over a connection that has died unnoticed the peer is dialled",
              done.code == 0 and peers(near) == [far.address()], "%s; peers %s" % (done, peers(near)))
    os.kill(relay.pid, signal.SIGCONT)
    relay.terminate()
    lab.finish(relay)


def failures(lab, near, far):
    address, name = far.address(), far.identity()["ID"]
    near.must("swarm", "disconnect", name)
    far.stop()
    done = near.call("swarm", "connect", address)
    lab.check("a dead address is told with why", done.code == 1 and "[%s] Connection refused" % address.split("/p2p/")[0]
              in done.err, done)
    for words in (("swarm", "connect", "/p2p/" + name), ("ping", "-n", "1", name)):
        done = near.call(*words)
        lab.check("%s after that is dialled, not put off" % words[0], done.code == 1 and "Connection refused" in done.err, done)
    far.must("config", "--json", "Addresses.Swarm", '["%s"]' % address.split("/p2p/")[0])
    far.start()
    done = near.call("swarm", "connect", "/p2p/" + name)
    lab.check("and finds the peer when it is back", done.code == 0 and "success" in done.out, done)


def scenario(lab):
    near, far, third = (lab.node(name).start() for name in ("near", "far", "third"))
    dead_connection(lab, near, far)
    failures(lab, near, far)

    done = near.call("swarm", "connect", near.address())
    lab.check("oneself is told as such", done.code == 1 and "this node itself" in done.err, done)
    done = near.call("swarm", "connect", third.address().replace(third.identity()["ID"], near.identity()["ID"]))
    lab.check("so is a twin's address", done.code == 1 and "copy of its identity" in done.err, done)
    twin = near.address().split("/p2p/")[0] + "/p2p/" + third.identity()["ID"]
    done = near.call("swarm", "connect", twin)
    lab.check("another's id at one's own address", done.code == 1 and "this node itself answered" in done.err, done)
    wrong = far.address().split("/p2p/")[0] + "/p2p/" + third.identity()["ID"]
    done = near.call("swarm", "connect", wrong)
    lab.check("who answered instead is told", done.code == 1 and
              "another peer answered: %s" % far.identity()["ID"] in done.err, done)
    done = near.call("swarm", "connect", "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/" + third.identity()["ID"])
    lab.check("an address that cannot be dialled is told as such", done.code == 1 and "no way to dial it" in done.err, done)
    for it in (near, far, third):
        it.stop()
