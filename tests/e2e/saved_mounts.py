"""Mounts that were saved: they are there again after the daemon was killed, also where their source comes late; one that
fails stops nobody; the list and the log tell; the manager of services is told when the daemon is ready and when it ends."""

import json
import os
import socket

from lab import until, write


def saved(node):
    return {one["Mountpoint"]: one for one in json.loads(node.must("mount", "--list", "--enc=json").out or '{"Mounts":[]}')["Mounts"]}


def state(node, point):
    return saved(node).get(point, {}).get("State")


def up(lab, node, what, tree, point):
    if lab.check("%s: mounted again" % what, until(lambda: state(node, point) == "mounted", 60, 0.1), saved(node)):
        lab.same_trees("%s: the tree is equal" % what, tree, point)


def again(lab, node, cid, tree):
    point, other = node.mount(cid, "--save", "-o", "noexec"), lab.mountpoint()
    lab.check("--save of the namespace", node.call("--offline", "mount", "--save", other))
    listing = node.must("mount", "--list").out.split("\n")
    lab.check("--list tells both", listing == ["%s on %s -o noexec: mounted" % (cid, point), "dagfs on %s --offline: mounted" % other],
              listing)
    for how in ("kill", "stop"):
        getattr(node, how)()
        lab.check("%s: without a daemon the list tells so" % how, state(node, point) == "unmounted", saved(node))
        node.start()
        up(lab, node, how, tree, point)
        lab.check("%s: the namespace too" % how, until(lambda: state(node, other) == "mounted", 60, 0.1), saved(node))
        with open("/proc/self/mounts") as mounts:
            lab.check("%s: with its options" % how, any(" %s " % point in line and "noexec" in line for line in mounts))
    lab.check("umount does not unsave", node.umount(point).code == 0 and state(node, point) == "unmounted", saved(node))
    lab.check("--unsave", node.call("mount", "--unsave", other))
    lab.check("what is mounted stays", lab.is_mounted(other) and other not in saved(node))
    lab.check("--unsave once", node.call("mount", "--unsave", other).code == 1)
    return point, other


def failing(lab, node, cid, point):
    """A place that is gone, and a file in the way: neither stops the daemon, and both heal."""
    gone = lab.mountpoint()
    node.must("mount", "--save", cid, gone)
    node.kill()
    node.start()
    until(lambda: state(node, gone) == "mounted", 60, 0.1)
    node.stop()
    os.rmdir(gone)
    node.start()
    one = until(lambda: saved(node)[gone] if saved(node)[gone]["Reason"] else None, 30, 0.1) or saved(node)[gone]
    lab.check("the list tells why", "not found" in one["Reason"], one)
    lab.check("so does the log", gone in node.logged() and "saved mount failed" in node.logged(), node.logged()[-300:])
    lab.check("others are mounted", until(lambda: state(node, point) == "mounted", 60, 0.1), saved(node))
    os.mkdir(gone)
    lab.check("and it is, when it can be", until(lambda: state(node, gone) == "mounted", 90, 0.2), saved(node))
    node.must("mount", "--unsave", gone)
    node.must("umount", gone)


def late_source(lab, node, tree):
    """The only source is away when the daemon starts."""
    source = lab.node("source").start()
    where = source.address().split("/p2p/")[0]
    source.must("config", "--json", "Addresses.Swarm", json.dumps([where]))
    cid = source.add(tree)
    node.connect(source)
    point = node.mount(cid, "--save", "-o", "timeout=3s")
    node.kill()
    source.stop()
    node.must("repo", "gc")
    node.start()
    one = until(lambda: saved(node)[point] if saved(node)[point]["Reason"] else None, 90, 0.2) or saved(node)[point]
    lab.check("without the source it waits and tells why", one["State"] in ("waiting", "mounting") and cid in one["Reason"], one)
    source.start()
    up(lab, node, "the source is back", tree, point)
    node.must("mount", "--unsave", point)
    node.must("umount", point)
    source.stop()


def damaged(lab, node, point):
    node.stop()
    write(os.path.join(node.repo, "mounts.json"), b"[{]")
    node.start()
    lab.check("a damaged list does not stop the daemon", "saved mounts are not mounted" in node.logged(), node.logged()[-300:])
    done = node.call("mount", "--list")
    lab.check("and is told", done.code == 1 and "mounts.json" in done.err, done)
    done = node.call("mount", "--unsave", point)
    lab.check("nothing is written over it", done.code == 1 and "mounts.json" in done.err, done)
    os.unlink(os.path.join(node.repo, "mounts.json"))


def told(sock):
    texts = []
    try:
        while True:
            texts += sock.recv(4096).decode().split("\n")
    except (TimeoutError, BlockingIOError):
        return texts


def manager(lab, node, cid):
    """The part of systemd: a socket in $NOTIFY_SOCKET."""
    point = node.mount(cid, "--save")
    node.stop()
    path = lab.path("notify")
    for name in (path, "@dagfs-e2e-%d" % os.getpid()):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(name if name[0] == "/" else "\0" + name[1:])
        sock.settimeout(0.2)
        os.environ["NOTIFY_SOCKET"] = name
        node.start()
        del os.environ["NOTIFY_SOCKET"]
        kind = "a path" if name == path else "an abstract name"
        texts = []
        until(lambda: texts.extend(told(sock)) or "STATUS=Ready; 1 of 1 saved mounts" in texts, 60)
        lab.check("%s: READY=1 comes first, then how many saved mounts are up" % kind,
                  texts[:1] == ["READY=1"] and "STATUS=Ready; 1 of 1 saved mounts" in texts, texts)
        with open("/proc/%d/environ" % node.daemon.pid, "rb") as variables:
            lab.check("%s: it was in the environment" % kind, b"NOTIFY_SOCKET=" in variables.read())
        node.stop()
        texts = told(sock)
        lab.check("%s: STOPPING=1" % kind, "STOPPING=1" in texts, texts)
        sock.close()
    os.environ["NOTIFY_SOCKET"] = "/nowhere/socket"
    node.start()
    del os.environ["NOTIFY_SOCKET"]
    lab.check("a socket that is not there is told in the log", "cannot tell the manager" in node.logged(), node.logged()[-300:])
    node.must("mount", "--unsave", point)


def misuse(lab, node, cid):
    for words in (["--save"], ["--list", "x"], ["--unsave"], ["--unsave", "a", "b"]):
        done = node.call("mount", *words)
        lab.check("mount %s: refused" % " ".join(words), done.code == 2 and "Usage" in done.err, done)
    done = node.call("mount", "--save", cid, "/nowhere/at/all")
    lab.check("what could not be mounted is not saved", done.code == 1 and not saved(node), done)


def background(lab, cid, tree):
    """A daemon that `mount` started mounts what is saved, too."""
    node = lab.node("background")
    node.add(tree)
    point, other = lab.mountpoint(), lab.mountpoint()
    node.must("mount", "--save", cid, point)
    os.kill(node.owner(), 9)
    until(lambda: not node.owner(), 10)
    node.must("mount", cid, other)
    up(lab, node, "a daemon of mount", tree, point)
    node.must("umount", other)
    node.must("umount", point)
    lab.check("it ends with the last mount", until(lambda: not node.owner(), 30))


def scenario(lab):
    tree, node = lab.directory("tree"), lab.node("a")
    write(os.path.join(tree, "file"), b"here")
    cid = node.add(tree)
    node.start()
    misuse(lab, node, cid)
    point, other = again(lab, node, cid, tree)
    node.must("umount", other)
    failing(lab, node, cid, point)
    late = lab.directory("late")
    write(os.path.join(late, "other"), b"comes late")
    late_source(lab, node, late)
    damaged(lab, node, point)
    manager(lab, node, cid)
    background(lab, cid, tree)
    node.stop()
