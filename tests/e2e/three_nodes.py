"""Three nodes: B has a tree, B and C know only A. C finds it (Kademlia), mounts it and reads it with ordinary
programs; B dies, C still has what it read, and the promised errors for the rest; C comes back with no
network."""

import json
import os
import signal
import time

from lab import SEED, make_tree, until, write

FILES, BIG, WIDE = 5000, 300 << 20, 10000
LONG = 300


def tar(lab, top):
    """The tree's tar, but for its owner, as one hash."""
    done = lab.shell("tar -C '%s' --sort=name --owner=0 --group=0 --numeric-owner --format=gnu "
                     "-cf - . | sha256sum" % top, LONG)
    return done.out if done.code == 0 else str(done)


def ordinary_programs(lab, tree, point):
    lab.same_trees("diff -r", tree, point, LONG)
    one, other = tar(lab, tree), tar(lab, point)
    lab.check("tar | sha256sum", one == other, "%s, not %s" % (other, one))
    for what, command in (
            ("grep -r", "grep -rl 'at level' . | sort"),
            ("find", "find . -printf '%y %s %f\\0' | sed -z 's/^d [0-9]* /d /' | sort -z | sha256sum"),
            ("du", "du -ab --apparent-size wide | awk '!/wide$/ {n += $1} END {print n}'")):
        one, other = lab.shell(command, LONG, cwd=tree), lab.shell(command, LONG, cwd=point)
        lab.check(what, one.code == 0 and one.raw == other.raw, str(other))
    copy = lab.path("copied")
    lab.check("cp -a", lab.run(["cp", "-a", point, copy], LONG))
    lab.same_trees("what cp -a wrote", tree, copy, LONG)
    lab.run(["rm", "-rf", copy], LONG)
    copy = lab.path("synced")
    lab.check("rsync -a", lab.run(["rsync", "-a", point + "/", copy + "/"], LONG))
    again = lab.run(["rsync", "-ac", "--no-o", "--no-g", "--itemize-changes", tree + "/", copy + "/"], LONG)
    lab.check("what rsync wrote", again.code == 0 and not again.out, str(again))
    lab.run(["rm", "-rf", copy], LONG)
    big, other = os.path.join(point, "big"), os.path.join(tree, "big")
    lab.check("mapped reads", lab.probe("mmap", big, other, 300, SEED, deadline=LONG))
    lab.check("8 parallel readers at random offsets",
              lab.probe("parallel", big, other, 150, SEED, deadline=LONG))


def error_of(lab, path):
    done = lab.probe("errno", path, deadline=60)
    return json.loads(done.out)["errno"] if done.code == 0 else str(done)


def after_death(lab, b, c, trees):
    """trees: (source, CID, mountpoint) read whole, and another that was not read."""
    (tree, _, point), (_, _, lacking) = trees
    b.kill()
    lab.same_trees("B is dead: all that was read is still there", tree, point, LONG)
    begin = time.monotonic()
    found = error_of(lab, lacking + "/unread")
    lab.check("what C lacks: ETIMEDOUT", found == "ETIMEDOUT", found)
    lab.say("after %.1f s of timeout=5s" % (time.monotonic() - begin))
    patient = c.mount(trees[1][1], "-o", "timeout=60s")
    process = lab.begin(["cat", patient + "/unread"])
    time.sleep(0.5)
    alive = process.poll() is None
    process.send_signal(signal.SIGINT)
    done = lab.finish(process, 10)
    lab.check("Ctrl-C ends a waiting cat", alive and done.code == -signal.SIGINT,
              str(done))
    c.stop()
    lab.check("C's mounts are gone", not lab.is_mounted(point) and not lab.is_mounted(lacking))


def without_network(lab, c, trees):
    (tree, cid, _), (_, other, _) = trees
    c.must("config", "--json", "Addresses.Swarm", "[]")
    c.must("config", "--json", "Bootstrap", "[]")
    c.must("config", "Routing.Type", "none")    # its table remembers A
    c.start()
    # Peers that it was connected to by hand are dialled again at each start, until they are disconnected by hand.
    for peer in c.must("swarm", "peering", "ls").out.split():
        c.call("swarm", "disconnect", peer if "/" in peer else "/p2p/" + peer)
    until(lambda: c.must("swarm", "peers").out == "", 10)
    lab.check("C knows nobody", c.must("swarm", "peers").out == "", c.must("swarm", "peers"))
    point = c.mount(cid)
    lab.same_trees("a pinned tree is complete with no network", tree, point, LONG)
    lab.check("pin verify", c.call("pin", "verify", deadline=LONG))
    lacking = c.mount(other, "--offline")
    found = error_of(lab, lacking + "/unread")
    lab.check("what C lacks, offline", found in ("EHOSTUNREACH", "ENETUNREACH"), found)
    lab.check("umount", c.umount(point))
    lab.check("umount", c.umount(lacking))
    c.stop()


def scenario(lab):
    tree = make_tree(lab.path("tree"), lab.random, FILES + WIDE, BIG, WIDE)
    second = lab.directory("second")
    write(os.path.join(second, "read"), b"read before B dies")
    write(os.path.join(second, "unread"), lab.random.randbytes(3 << 20))
    a, b, c = lab.node("a"), lab.node("b"), lab.node("c")
    for node in (a, b, c):
        node.start()
    b.connect(a)
    c.connect(a)
    options = ("--preserve-mode", "--preserve-mtime")
    begun = b.must("add", "-Q", "-r", *options, tree, deadline=LONG)
    cid = begun.out
    lab.say("add %.1f s" % begun.seconds)
    other = b.add(second)
    found = c.call("routing", "findprovs", cid, deadline=60)
    lab.check("C finds B through A", b.identity()["ID"] in found.out, str(found))
    begin = time.monotonic()
    point = c.mount(cid, "-o", "timeout=30s")
    lab.say("mount %.1f s" % (time.monotonic() - begin))
    ordinary_programs(lab, tree, point)
    lacking = c.mount(other, "-o", "timeout=5s")
    done = lab.run(["cat", lacking + "/read"])
    lab.check("one file of the second tree", done.raw == b"read before B dies", str(done))
    done = c.call("pin", "add", cid, deadline=LONG)
    lab.check("pin add", done)
    trees = (tree, cid, point), (second, other, lacking)
    after_death(lab, b, c, trees)
    without_network(lab, c, trees)
    a.stop()
