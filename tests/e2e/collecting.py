"""Collections in the middle of long commands: `repo gc` does not wait for them and takes nothing of them, and all of them
when they were killed."""

import glob
import os
import signal

from lab import until, write

MIB = 1 << 20
CHUNK = "--chunker=size-65536"
HALF = 100   # of the 128 chunks that half of the data is, so many are stored before more is read


class Slow:
    """A command that reads data from a pipe, half of it at first. Blocks that it hashed are put when more is read, so how many are
    stored at a moment depends on the processors: more is fed until enough are."""

    def __init__(self, lab, node, data, *words):
        self.lab, self.node, self.data, self.fed = lab, node, data, 0
        read, self.pipe = os.pipe()
        self.process = lab.begin(node.argv(*words), stdin=read)
        os.close(read)
        self.feed(len(data) // 2)

    def feed(self, to):
        while self.fed < to:
            self.fed += os.write(self.pipe, self.data[self.fed:min(to, self.fed + 65536)])

    def stored(self, least):
        """Whether so many blocks are stored, of seven eighths of the data at most."""
        for eighths in (4, 5, 6, 7):
            self.feed(len(self.data) * eighths // 8)
            if until(lambda: objects(self.node) >= least, 8, 0.1):
                return True
        return False

    def end(self):
        self.feed(len(self.data))
        os.close(self.pipe)
        return self.lab.finish(self.process)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        os.close(self.pipe)
        return self.lab.finish(self.process)


def objects(node):
    out = node.must("repo", "stat").out
    return int(next(line for line in out.splitlines() if line.startswith("NumObjects")).split()[1])


def leases(node):
    return glob.glob(os.path.join(node.repo, "store", "lease-*"))


def unpinned(node, path, data):
    """Stored, and nothing keeps it."""
    write(path, data)
    cid = node.add(path, CHUNK)
    node.must("pin", "rm", cid)
    return cid


def collect(lab, node, what, slow, least, others=0):
    """least: so many blocks are stored when half of the data was read and a few of its chunks are on their way. Of what is stored now
    `others` are garbage."""
    lab.check("%s: half of it is stored" % what, slow.stored(least), objects(node))
    before = objects(node)
    junk = unpinned(node, lab.path("junk"), lab.random.randbytes(5 * MIB))
    done = node.call("repo", "gc", "-q", deadline=60)
    lab.check("%s: repo gc does not wait for it" % what, done.code == 0 and slow.process.poll() is None, done)
    gone = node.call("--offline", "block", "stat", junk)
    lab.check("%s: what nobody keeps is gone" % what, gone.code == 1, gone)
    after = objects(node)
    lab.check("%s: nothing else is" % what, before - others <= after < before + 80, "%d, then %d" % (before, after))


def whole(lab, node, what, cid, data):
    got = node.call("--offline", "cat", cid)
    lab.check("%s: all of it is there" % what, got.raw == data, "%d bytes, %s" % (len(got.raw), got.err))
    lab.check("%s: pin verify" % what, node.call("pin", "verify"))
    lab.check("%s: no lease is left" % what, not leases(node), leases(node))


def adding(lab, node, what):
    data = lab.random.randbytes(16 * MIB)
    before = objects(node)
    # A quarter was stored before, and is garbage until this command has put it again.
    unpinned(node, lab.path("old"), data[:4 * MIB])
    slow = Slow(lab, node, data, "add", "-Q", CHUNK)
    collect(lab, node, what, slow, before + HALF, 1)   # the old root
    done = slow.end()
    lab.check("%s: it ends well" % what, done)
    cid = done.out.strip()
    node.must("repo", "gc", "-q")
    whole(lab, node, what, cid, data)
    return cid


def adding_what_was_added(lab, node):
    """Files that were added before are not read again, only kept: until the directory around them is pinned, by the batch alone."""
    what = "add -w of an old file"
    old, data = lab.random.randbytes(4 * MIB), lab.random.randbytes(8 * MIB)
    path = lab.path("seen")
    write(path, old)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    node.must("repo", "gc", "-q")
    before = objects(node)
    node.must("pin", "rm", node.add(path, CHUNK))
    slow = Slow(lab, node, data, "add", "-w", "-Q", CHUNK, "--stdin-name=new", path, "-")
    collect(lab, node, what, slow, before + HALF)
    done = slow.end()
    lab.check("%s: it ends well" % what, done)
    node.must("repo", "gc", "-q")
    whole(lab, node, what, done.out.strip() + "/" + os.path.basename(path), old)
    whole(lab, node, what, done.out.strip() + "/new", data)


def importing(lab, node, source):
    what = "dag import"
    path, data = lab.path("far"), lab.random.randbytes(16 * MIB)
    write(path, data)
    cid = source.add(path, CHUNK)
    archive = source.must("dag", "export", cid).raw
    node.must("repo", "gc", "-q")
    slow = Slow(lab, node, archive, "dag", "import", "-")
    # Depth first: the nodes above come before the leaves.
    collect(lab, node, what, slow, objects(node) + 1)
    lab.check("%s: it ends well" % what, slow.end())
    node.must("repo", "gc", "-q")
    whole(lab, node, what, cid, data)


def killed(lab, node):
    node.must("repo", "gc", "-q")
    before = objects(node)
    slow = Slow(lab, node, lab.random.randbytes(16 * MIB), "add", "-Q", CHUNK)
    lab.check("killed: half of it is stored", slow.stored(before + HALF), objects(node))
    lab.check("killed: a lease holds it", len(leases(node)) == 1, leases(node))
    slow.kill()
    lab.check("killed: repo gc", node.call("repo", "gc", "-q"))
    lab.check("killed: nothing of it stays", objects(node) == before, "%d, %d before" % (objects(node), before))
    lab.check("killed: nor its lease", not leases(node), leases(node))


def scenario(lab):
    node, source = lab.node("n"), lab.node("source")
    adding(lab, node, "add")
    node.start()
    adding(lab, node, "add with a daemon")
    adding_what_was_added(lab, node)
    importing(lab, node, source)
    killed(lab, node)
    node.stop()
