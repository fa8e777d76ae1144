"""Mounts when things go wrong: peers that do not answer, blocks that are missing or rotten, readers that
wait while the mount or the daemon goes. Every error is the promised one, every mount goes away, and
nothing hangs."""

import glob
import json
import os
import signal
import time

from lab import until, write
from probe_net import Silent

OFFLINE = ("ENETUNREACH", "EHOSTUNREACH")
NOBODY = "12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF"
LONG = "timeout=60s"
SOON = 10  # seconds; "at once" on a busy machine, far below LONG


class Story:
    def __init__(self, lab):
        self.lab = lab
        tree = lab.directory("tree")
        for name in ("here", "gone", "other"):
            write(os.path.join(tree, name), name.encode() + lab.random.randbytes(300_000))
        os.mkdir(os.path.join(tree, "folder"))
        write(os.path.join(tree, "folder", "inner"), b"inner")
        self.tree, self.a, self.b = tree, lab.node("a"), lab.node("b")
        self.poor = lab.node("poor")  # a peer that has nothing
        self.cid = self.a.add(tree)
        # B has the directory and one of its files, nothing else.
        for line in self.a.must("ls", "--resolve-type=false", self.cid).out.splitlines():
            if line.endswith(" here"):
                self.copy(line.split()[0], "raw")
                self.here = line.split()[0]
        self.copy(self.cid, "dag-pb")

    def copy(self, cid, codec):
        data = self.a.must("block", "get", cid).raw
        copied = self.b.must("block", "put", "--cid-codec=" + codec, data=data).out
        if copied != cid:
            # A file of several blocks: its root is no raw block.
            copied = self.b.must("block", "put", "--cid-codec=dag-pb", data=data).out
        self.lab.check("block put gives the same CID", copied == cid, copied)

    def error_of(self, path, deadline=60):
        done = self.lab.probe("errno", path, deadline=deadline)
        return json.loads(done.out)["errno"] if done.code == 0 else str(done)


def absent(story):
    lab, b = story.lab, story.b
    b.start()
    point = b.mount(story.cid, "-o", "timeout=2s")
    listed = lab.run(["ls", point], deadline=30)
    lab.check("a directory is listed without its children",
              listed.code == 0 and listed.out.split() == ["folder", "gone", "here", "other"], str(listed))
    found = story.error_of(point + "/gone")
    lab.check("nobody to ask", found in OFFLINE + ("ETIMEDOUT",), found)
    b.connect(story.poor.start())
    begin = time.monotonic()
    found = story.error_of(point + "/gone")
    lab.check("no peer gives it: ETIMEDOUT", found == "ETIMEDOUT", found)
    lab.say("after %.1f s of 2" % (time.monotonic() - begin))
    found = story.error_of(point + "/folder/inner")
    lab.check("below a directory that is missing: ETIMEDOUT", found == "ETIMEDOUT", found)
    found = story.error_of(point + "/nothing")
    lab.check("no such name: ENOENT", found == "ENOENT", found)
    lab.check("umount", b.umount(point))
    b.stop()
    b.start()
    point = b.mount(story.cid, "--offline")
    found = story.error_of(point + "/gone")
    lab.check("a mount offline: not to be had at once", found in OFFLINE, found)
    lab.check("umount", b.umount(point))


def silent(story):
    """B is connected to nobody who answers."""
    lab, b = story.lab, story.b
    with Silent() as peer:
        done = b.call("--timeout=2s", "swarm", "connect",
                      "/ip4/127.0.0.1/tcp/%d/p2p/%s" % (peer.port, NOBODY), deadline=30)
        lab.check("a peer that says nothing", done.code == 1 and "Error: " in done.err, str(done))
        lab.check("the daemon goes on", b.call("id"))
    a = story.a.start()
    b.connect(a)
    point = b.mount(story.cid, "-o", "timeout=3s")
    a.daemon.send_signal(signal.SIGSTOP)
    found = story.error_of(point + "/gone")
    lab.check("a peer that stopped: ETIMEDOUT", found == "ETIMEDOUT", found)
    a.daemon.send_signal(signal.SIGCONT)
    found = until(lambda: story.error_of(point + "/gone") == "", 20)
    lab.check("it goes on: the same file is read", found)
    same = lab.run(["cmp", point + "/gone", story.tree + "/gone"])
    lab.check("and is what it should be", same)
    lab.check("umount", b.umount(point))
    story.a.stop()


def waiting(story):
    """What becomes of those who wait for a block that does not come."""
    lab, b = story.lab, story.b

    def waiter(point):
        process = lab.begin(["cat", point + "/other"])
        time.sleep(0.5)
        return process

    b.connect(story.poor)
    point = b.mount(story.cid, "-o", LONG)
    for name, sign in (("Ctrl-C", signal.SIGINT), ("SIGTERM", signal.SIGTERM), ("kill -9", signal.SIGKILL)):
        process = waiter(point)
        alive = process.poll() is None
        process.send_signal(sign)
        done = lab.finish(process, SOON)
        lab.check("%s ends a waiting cat at once" % name, alive and done.code == -sign, str(done))
    process = waiter(point)
    done = lab.run(["cat", point + "/here"], deadline=SOON)
    lab.check("others read meanwhile", done.code == 0 and len(done.raw) > 300_000, str(done)[:200])
    done = lab.run(["fusermount3", "-u", point], deadline=SOON)
    lab.check("fusermount3 -u while somebody waits: busy", done.code == 1 and "busy" in done.err, str(done))
    done = b.umount(point)
    lab.check("dagfs umount while somebody waits: says so",
              done.code == 1 and "Error: " in done.err and lab.is_mounted(point), str(done))
    done = b.call("umount", "--force", point, deadline=30)
    lab.check("umount --force", done)
    done = lab.finish(process, SOON)
    lab.check("ends who waits", done.code == 1, str(done))
    lab.check("and the mount is gone", not lab.is_mounted(point))


def commands(story):
    """The same for commands that wait."""
    lab, b = story.lab, story.b
    out = lab.directory("out")
    for words in (["cat", story.cid + "/other"], ["get", story.cid, "-o", os.path.join(out, "got")],
                  ["pin", "add", story.cid], ["mount", story.cid + "/folder", lab.mountpoint()]):
        process = b.begin("--timeout=60s", *words)
        time.sleep(0.5)
        alive = process.poll() is None
        process.send_signal(signal.SIGINT)
        done = lab.finish(process, SOON)
        lab.check("Ctrl-C ends a waiting %s at once" % words[0],
                  alive and done.code == 130 and "Error: " in done.err, str(done))
    left = [name for _, _, files in os.walk(out) for name in files if name.startswith(".")]
    lab.check("get leaves no half of a file", not left, left)
    lab.check("a pin that was interrupted is none", story.cid not in b.must("pin", "ls").out)
    lab.check("and can be given up", b.call("--offline", "pin", "rm", story.cid))


def outside(story):
    lab, b = story.lab, story.b
    point = b.mount(story.cid)
    lab.check("fusermount3 -u", lab.run(["fusermount3", "-u", point], deadline=SOON))
    lab.check("unmounts", not lab.is_mounted(point))
    lab.check("the daemon knows", until(lambda: point not in b.must("mount").out, SOON))
    lab.check("mounted again at the same place", b.call("mount", story.cid, point))
    b.connect(story.poor)
    process = lab.begin(["tail", "-f", point + "/here"])
    time.sleep(0.3)
    waiter = lab.begin(["cat", point + "/other"])
    time.sleep(0.3)
    begin = time.monotonic()
    code = b.kill(signal.SIGTERM)
    lab.say("the daemon's end took %.1f s" % (time.monotonic() - begin))
    lab.check("SIGTERM to a daemon with open files: it ends", code == 0, "exit %s" % code)
    lab.check("its mount is gone", not lab.is_mounted(point))
    done = lab.finish(waiter, SOON)
    lab.check("who waited gets an error", done.code == 1, str(done))
    process.kill()
    lab.finish(process)


def dead(story):
    """kill -9 leaves a mount that answers nobody; the next mount takes it away."""
    lab, b = story.lab, story.b
    b.start()
    point = b.mount(story.cid)
    b.kill()
    done = lab.run(["ls", point], deadline=SOON)
    lab.check("a dead mount is an error, not a hang", done.code == 2, str(done))
    lab.check("mount there again", b.call("mount", story.cid, point))
    done = lab.run(["cat", point + "/here"], deadline=SOON)
    lab.check("reads", done.code == 0 and done.raw.startswith(b"here"), str(done)[:200])
    owner = open(os.path.join(b.repo, "daemon.lock")).read().strip()
    lab.check("umount", b.umount(point))
    lab.check("the daemon that mount started ends with its last mount",
              until(lambda: b.call("swarm", "peers").code == 1, SOON), "pid %s" % owner)
    b.start()
    point = b.mount(story.cid)
    b.kill()
    done = b.umount(point)
    lab.check("umount of a dead mount", done)
    lab.check("it is gone", not lab.is_mounted(point))
    front = b.begin("mount", "-f", story.cid, point)
    lab.check("mount -f mounts", until(lambda: lab.is_mounted(point), SOON))
    front.send_signal(signal.SIGINT)
    done = lab.finish(front, SOON)
    lab.check("Ctrl-C ends mount -f", done.code == 130, str(done))
    lab.check("and unmounts", until(lambda: not lab.is_mounted(point), SOON))


def rotten(story):
    """A block that rotted on the disk: EIO, never wrong bytes; healed when a peer has it."""
    lab, b = story.lab, story.b
    until(lambda: b.call("swarm", "peers").code == 1, SOON)
    with open(os.path.join(story.tree, "here"), "rb") as original:
        piece = original.read()[5000:5100]
    generations = glob.glob(os.path.join(b.repo, "store", "*-*", "data.mdb"))
    holding = [data for data in generations if piece in open(data, "rb").read()]
    if not lab.check("the block is in one generation", len(holding) == 1, str(holding)):
        return
    with open(holding[0], "r+b") as store:
        at = store.read().find(piece)
        if not lab.check("the block is found in the store's file", at >= 0):
            return
        store.seek(at + 50)
        store.write(bytes([piece[50] ^ 0x40]))
    done = b.call("repo", "verify")
    lab.check("repo verify finds it", done.code == 1 and "1 blocks were corrupt" in done.err, str(done))
    done = b.call("--offline", "cat", story.here)
    lab.check("cat fails", done.code == 1 and "Error: " in done.err, str(done)[:300])
    b.start()
    point = b.mount(story.cid, "-o", "timeout=2s")
    found = story.error_of(point + "/here")
    lab.check("a rotten block is EIO", found == "EIO", found)
    b.connect(story.a.start())
    found = until(lambda: story.error_of(point + "/here") == "", 20)
    lab.check("a peer heals it", found)
    lab.check("with the right bytes", lab.run(["cmp", point + "/here", story.tree + "/here"]))
    lab.check("umount", b.umount(point))
    b.stop()
    story.a.stop()
    lab.check("repo verify finds nothing any more", b.call("repo", "verify"))


def scenario(lab):
    story = Story(lab)
    absent(story)
    silent(story)
    # What was fetched goes again: only the directory and one file stay.
    story.b.must("pin", "add", story.here)
    story.b.must("repo", "gc", "-q")
    story.copy(story.cid, "dag-pb")
    waiting(story)
    commands(story)
    outside(story)
    dead(story)
    rotten(story)
    story.poor.stop()
