"""Pins between two nodes: update, pins of paths in a mount, interrupted pins that go on by themselves."""

import json
import os
import pty
import re
import subprocess
import threading
import time

from lab import Broken, until, write


def received(node):
    """Blocks. Not what is stored: that may be there twice for a while, cached and kept."""
    return json.loads(node.must("--enc=json", "bitswap", "stat").out)["BlocksReceived"]


def recursive(node):
    return set(node.must("pin", "ls", "--type=recursive", "-q").out.split())


def update(lab, tree, a, b):
    before = a.add(tree)
    write(os.path.join(tree, "changed"), lab.random.randbytes(1000))
    after = a.add(tree)
    b.must("pin", "add", "--name=my tree", before)
    count = received(b)
    done = b.call("pin", "update", before, after)
    lab.check("pin update", done.code == 0 and done.out == "updated %s to %s" % (before, after),
              str(done))
    lab.check("only differences came", received(b) == count + 2, "%d, then %d" % (count, received(b)))
    named = b.must("pin", "ls", "--type=recursive", "--names").out
    lab.check("the new one in the place of the old", named == after + " recursive my tree", named)
    done = b.call("pin", "update", before, after)
    lab.check("what is not pinned is not updated",
              done.code == 1 and "'%s' is not pinned recursively" % before in done.err, str(done))
    b.must("pin", "update", "--unpin=false", after, before)
    lab.check("--unpin=false keeps both", recursive(b) == {before, after})
    lines = b.must("--enc=json", "pin", "ls", "--type=recursive", "--stream").out.splitlines()
    lab.check("pin ls --stream: one line a pin",
              {json.loads(line)["Cid"] for line in lines} == {before, after}, str(lines))
    keys = json.loads(b.must("--enc=json", "pin", "ls", "--type=recursive").out)["Keys"]
    lab.check("without it, one document", {cid: keys[cid]["Type"] for cid in keys} ==
              {before: "recursive", after: "recursive"}, str(keys))
    none = b.must("--enc=json", "pin", "ls", "--type=direct").out
    lab.check("of none too", json.loads(none) == {"Keys": {}}, none)
    b.must("pin", "rm", before)
    done = b.call("--enc=json", "pin", "ls", before)
    lab.check("what is not pinned is not listed", done.code == 1 and not done.out, str(done))
    return after


def in_mount(lab, tree, b, root):
    point = b.mount(root)
    below = os.path.join(point, "sub")
    cid = b.must("pin", "add", below)
    found = re.match(r"pinned (\S+) recursively$", cid.out)
    lab.check("a directory in a mount is pinned", found, str(cid))
    lab.check("it is what the path means", found and found[1] in recursive(b) and
              b.must("ls", root + "/sub").out == b.must("ls", found[1]).out)
    lab.check("and unpinned", b.call("pin", "rm", below))
    link = b.must("pin", "add", os.path.join(point, "link")).out
    lab.check("a symlink, and not what it names", link != cid.out and
              b.must("block", "stat", link.split()[1]).out, link)
    for path in (tree, os.path.join(tree, "changed")):
        done = b.call("pin", "add", path)
        lab.check("other files are refused",
                  done.code == 1 and "is not in a dagfs mount" in done.err, str(done))
    lab.check("umount", b.umount(point))


def goes_on(lab, a, b):
    """One block is nowhere at first."""
    path = lab.path("halves")
    write(path, lab.random.randbytes(3 << 20))
    root = a.add(path, "--chunker=size-262144")
    lost = a.must("dag", "get", root).out
    lost = re.findall(r"baf[a-z2-7]+", lost)[-1]
    a.must("pin", "rm", root)
    a.must("block", "rm", lost)
    done = b.call("--timeout=2s", "pin", "add", root)
    lab.check("a pin that cannot be completed fails", done.code == 1, str(done))
    lab.check("and is not listed", root not in recursive(b))
    b.stop()
    b.start()
    b.connect(a)
    time.sleep(12)  # it asks for the block now
    b.stop()
    b.start()
    a.stop()
    a.add(path, "--chunker=size-262144")
    a.start()
    b.connect(a)
    until(lambda: root in recursive(b), 60, step=0.5)
    lab.check("it goes on by itself", root in recursive(b), b.logged()[-300:])
    lab.check("the log tells", "completed cid=%s blocks=13 " % root in b.logged(), b.logged()[-300:])


def in_terminal(lab, node, *words):
    """What a command writes on a terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen(node.argv(*words), stdin=subprocess.DEVNULL, stdout=its, stderr=its,
                               cwd=lab.base, env={**lab.environment(), "TERM": "xterm"})
    os.close(its)
    too_late = threading.Timer(60, process.kill)
    too_late.start()
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:     # EIO: nobody holds the other end any more
        pass
    process.wait()
    too_late.cancel()
    os.close(ours)
    if process.returncode:
        raise Broken("%s: exit %s: %r" % (words, process.returncode, seen[-300:]))
    return seen.decode()


def time_left(lab, a):
    """The root tells how much there is; the network is slow enough for some words meanwhile."""
    c = lab.node("c")
    c.must("config", "Swarm.Bandwidth.Down", "2MB")
    c.start()
    c.connect(a)
    path = lab.path("slow")
    write(path, lab.random.randbytes(6000000))
    root = a.add(path, "--chunker=size-65536")
    seen = in_terminal(lab, c, "pin", "add", root)
    line = re.search(r"pinned [\d.]+ MB of 6\.0 MB \(\d+%\), \d+ blocks, [\d.]+ .?B/s, ~\d+s left", seen)
    lab.check("pin add --progress: how much of how much, how long", line, repr(seen[:600]))
    lab.check("the line is gone at the end", seen.endswith("\r\x1b[Kpinned %s recursively\r\n" % root), repr(seen[-200:]))
    lab.check("without a terminal nothing is drawn", not c.must("pin", "add", a.add(path)).err)
    c.stop()


def scenario(lab):
    os.environ["DAGFS_LOG"] = "pins=info"
    tree = lab.directory("tree")
    os.mkdir(os.path.join(tree, "sub"))
    for i in range(50):
        write(os.path.join(tree, "sub", "file %d" % i), lab.random.randbytes(2000))
    write(os.path.join(tree, "changed"), b"before")
    os.symlink("sub", os.path.join(tree, "link"))
    a, b = lab.node("a"), lab.node("b")
    a.start()
    b.start()
    b.connect(a)
    root = update(lab, tree, a, b)
    in_mount(lab, tree, b, root)
    time_left(lab, a)
    goes_on(lab, a, b)
    verified = b.call("pin", "verify")
    lab.check("pin verify", verified.code == 0, str(verified))
    a.stop()
    b.stop()
