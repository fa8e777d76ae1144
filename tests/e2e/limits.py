"""Bandwidth limits: what a node writes and reads stays below what its configuration says. Times are judged from
below alone (never faster); a busy machine may be slower."""

import os

from lab import write_big

SIZE, LIMIT = 24 << 20, 4000000
BURST = LIMIT // 5      # saved up while idle, and what the kernel's buffers take


def fetch(lab, what, sender_says, receiver_says):
    """One get from one node to another, each with its configuration; the bytes per second."""
    one, other = lab.node(what + "-from"), lab.node(what + "-to")
    for node, says in ((one, sender_says), (other, receiver_says)):
        for key, value in says.items():
            node.must("config", key, value)
        node.start()
    path = lab.path("file")
    write_big(path, SIZE, lab.random)
    cid = one.add(path)
    other.connect(one)
    out = lab.path("got")
    got = other.call("get", "-o", out, cid, deadline=120)
    lab.check("%s: get" % what, got)
    lab.same_trees("%s: every byte" % what, path, out)
    one.stop()
    other.stop()
    os.unlink(path)
    lab.say("%-10s %5.1f s, %6.2f MB/s" % (what, got.seconds, SIZE / got.seconds / 1e6))
    return got.seconds


def scenario(lab):
    fetch(lab, "unlimited", {}, {})
    for what, says in (("up", ({"Swarm.Bandwidth.Up": "4MB"}, {})),
                       ("down", ({}, {"Swarm.Bandwidth.Down": "4MB"}))):
        seconds = fetch(lab, what, *says)
        least = 0.8 * (SIZE - BURST) / LIMIT
        lab.check("%s: not faster than its limit" % what, seconds >= least,
                  "%.1f s, at least %.1f" % (seconds, least))
    node = lab.node("wrong")
    done = node.call("config", "Swarm.Bandwidth.Up", "fast")
    lab.check("what is no size is refused", done.code != 0 and "Swarm.Bandwidth.Up" in done.err, str(done))
