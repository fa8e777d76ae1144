"""The only source is killed in the middle and comes back: `get`, a mount, `pin add` and `dag export` wait for it, dial it
again, and go on by themselves; with nobody else connected, with a bystander, at its old address and at a new one that
routing knows. Where it never comes back, the deadline ends the wait. The end of one's own daemon is called that."""

import hashlib
import os
import signal
import socket
import time

from lab import write_big

SIZE = 40 << 20
RATE = 5000000      # bytes a second, so that it is killed in the middle
AWAY = 8            # seconds; without anybody to ask a get used to end in three


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def set_port(node, port):
    node.must("config", "--json", "Addresses.Swarm", '["/ip4/127.0.0.1/tcp/%d"]' % port)


def digest(path):
    with open(path, "rb") as data:
        return hashlib.sha256(data.read()).hexdigest()


def away(lab, source, what, processes, moved=False):
    """Kills the source, and starts it again; what runs must still run then."""
    time.sleep(2)
    source.kill()
    time.sleep(AWAY)
    lab.check("%s waits for its only source" % what, all(p.poll() is None for p in processes),
              " ".join(str(lab.finish(p)) for p in processes if p.poll() is not None))
    if moved:
        set_port(source, free_port())
    source.start()


def commands(lab, source, bystander, cids, wanted):
    """All ways of reading at once, each with a tree of its own and a node of its own."""
    readers, running = [], []
    for i, what in enumerate(("get", "mount", "pin", "export")):
        reader = lab.node("%s-%s" % (what, "alone" if not bystander else "beside"))
        reader.must("config", "Routing.Type", "none")
        reader.start()
        reader.connect(source)
        if bystander:
            reader.connect(bystander)
        out = lab.path(what)
        if what == "get":
            running.append(reader.begin("--timeout", "60s", "get", "-o", out, cids[i]))
        elif what == "mount":
            point = reader.mount(cids[i], "-o", "timeout=60s")
            running.append(lab.begin(["cp", os.path.join(point, "file"), out]))
        elif what == "pin":
            running.append(reader.begin("--timeout", "60s", "pin", "add", cids[i]))
        else:
            running.append(reader.begin("--timeout", "60s", "dag", "export", cids[i]))
        readers.append((what, reader, out))
    away(lab, source, "each", running)
    for i, (what, reader, out) in enumerate(readers):
        done = lab.finish(running[i], 100)
        lab.check("%s goes on when it is back%s" % (what, ", a bystander connected" if bystander else ""), done)
        if what in ("get", "mount") and done.code == 0:
            data = out if what == "mount" else os.path.join(out, "file")
            lab.check("%s: every byte" % what, digest(data) == wanted[i])
        if what == "mount":
            lab.check("umount", reader.umount(point))
        reader.stop()


def at_a_new_address(lab, source, cid, wanted):
    """A third node, which both know, tells of it."""
    third, reader = lab.node("third").start(), lab.node("finder").start()
    source.connect(third)
    reader.connect(third)
    reader.connect(source)
    out = lab.path("moved")
    getting = reader.begin("--timeout", "60s", "get", "-o", out, cid)
    away(lab, source, "get", [getting], moved=True)
    source.connect(third)
    lab.check("get goes on from a new address", lab.finish(getting, 100))
    lab.check("every byte", digest(os.path.join(out, "file")) == wanted)
    for node in (third, reader):
        node.stop()


def ends(lab, source, cid):
    """The deadline, and one's own daemon's end."""
    reader = lab.node("patient")
    reader.must("config", "Routing.Type", "none")
    reader.start()
    reader.connect(source)
    getting = reader.begin("--timeout", "4s", "get", "-o", lab.path("late"), cid)
    time.sleep(2)
    source.kill()
    done = lab.finish(getting, 60)
    lab.check("the deadline ends the wait", done.code == 1 and "no answer in time" in done.err, str(done))
    offline = reader.call("--offline", "get", "-o", lab.path("offline"), cid)
    lab.check("offline ends at once and says so", offline.code == 1 and "no peer to ask" in offline.err, str(offline))
    for what, sign in (("shut down", signal.SIGTERM), ("killed", signal.SIGKILL)):
        getting = reader.begin("--timeout", "60s", "get", "-o", lab.path("ended"), cid)
        time.sleep(1)
        reader.kill(sign)
        done = lab.finish(getting, 60)
        lab.check("the own daemon is %s: that is said" % what, done.code == 1 and "the daemon has ended" in done.err,
                  str(done))
        reader.start()
    reader.stop()


def scenario(lab):
    source, bystander = lab.node("source"), lab.node("bystander")
    source.must("config", "Swarm.Bandwidth.Up", str(4 * RATE))
    set_port(source, free_port())
    source.start()
    bystander.must("config", "Routing.Type", "none")
    bystander.start()
    cids, wanted = [], []
    for _ in range(10):
        top = lab.directory("tree")
        write_big(os.path.join(top, "file"), SIZE, lab.random)
        wanted.append(digest(os.path.join(top, "file")))
        cids.append(source.add(top))
        os.unlink(os.path.join(top, "file"))
    commands(lab, source, None, cids[:4], wanted[:4])
    commands(lab, source, bystander, cids[4:8], wanted[4:8])
    source.must("config", "Swarm.Bandwidth.Up", str(RATE))
    source.stop()
    source.start()
    at_a_new_address(lab, source, cids[8], wanted[8])
    ends(lab, source, cids[9])
    bystander.stop()
