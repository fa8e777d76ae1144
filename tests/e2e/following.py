"""Mounts of a name, on other nodes: each new head as a whole, in order, within seconds; open files stay as they were; a link
that is cut and healed; a name that leads to plain directories; a name that leads back."""

import json
import os
import threading
import time

from lab import until, write

HEADS = 100


def sync(node, name):
    return json.loads(node.must("--enc=json", "share", "sync", name).out)


def content(path):
    with open(path) as file:
        return file.read()


class Watcher(threading.Thread):
    """Reads two files of each head again and again; keeps the heads that it saw."""

    def __init__(self, point):
        super().__init__(daemon=True)
        self.point, self.seen, self.torn, self.stopping = point, [], [], False

    def look(self):
        try:
            with open(self.point + "/head") as file:
                head = int(file.read())
        except (OSError, ValueError):
            return
        if not self.seen or self.seen[-1] != head:
            self.seen.append(head)

    def run(self):
        while not self.stopping:
            self.look()
            time.sleep(0.002)


def head(point, number):
    """All three files belong together."""
    write(point + "/a/one", b"%d" % number)
    write(point + "/b/two", b"%d" % number)
    write(point + "/head", b"%d" % number)


def heads_in_order(lab, owner, point, followers):
    watchers = [Watcher(follower) for follower in followers]
    for watcher in watchers:
        watcher.start()
    for number in range(1, HEADS + 1):
        head(point, number)
        sync(owner, "plans")
    last = lambda: all(watcher.seen and watcher.seen[-1] == HEADS for watcher in watchers)
    lab.check("followers end at the last head", until(last, 10), [watcher.seen[-3:] for watcher in watchers])
    for watcher in watchers:
        watcher.stopping = True
        watcher.join(5)
        lab.check("heads came in order", watcher.seen == sorted(set(watcher.seen)), watcher.seen)
        lab.check("more than one was seen", len(watcher.seen) > 3, watcher.seen)
    for follower in followers:
        lab.check("the last is there as a whole", [content(follower + part) for part in ("/a/one", "/b/two", "/head")] ==
                  [str(HEADS)] * 3)


def kept_open(lab, owner, point, follower):
    with open(follower + "/a/one") as file:
        before = os.open(follower + "/a", os.O_RDONLY | os.O_DIRECTORY)
        write(point + "/a/one", b"changed")
        write(point + "/a/new", b"new")
        os.unlink(point + "/b/two")
        os.chmod(point + "/head", 0o755)
        sync(owner, "plans")
        lab.check("a change is seen within 3 s", until(lambda: os.path.exists(follower + "/a/new"), 3))
        lab.check("an open file stays as it was", file.read() == str(HEADS))
        lab.check("opened again it is the new one", content(follower + "/a/one") == "changed")
        lab.check("an open directory shows the new head", sorted(os.listdir(before)) == ["new", "one"], os.listdir(before))
        os.close(before)
    lab.check("what is gone is gone", not os.path.exists(follower + "/b/two"))
    lab.check("modes are followed", os.stat(follower + "/head").st_mode & 0o777 == 0o755)
    lab.check("and times", os.stat(follower + "/a/one").st_mtime_ns == os.stat(point + "/a/one").st_mtime_ns)
    lab.check("it cannot be written", lab.run(["touch", follower + "/x"]).code != 0)


def cut_and_healed(lab, owner, point, other, follower):
    other.must("swarm", "disconnect", owner.address())
    write(point + "/cut", b"while cut")
    sync(owner, "plans")
    time.sleep(1)
    lab.check("without a link the last good head stays", content(follower + "/a/one") == "changed")
    other.connect(owner)
    write(point + "/healed", b"healed")
    sync(owner, "plans")
    lab.check("with it, the newest comes", until(lambda: os.path.exists(follower + "/healed"), 10))
    lab.check("and all before it", content(follower + "/cut") == "while cut")


def plain_names(lab, owner, other):
    """A name that leads to plain directories, as other implementations publish them; and below a path."""
    tree = lab.directory("plain")
    os.mkdir(tree + "/sub")
    write(tree + "/sub/file", b"first")
    first = owner.must("add", "-Q", "-r", tree).out
    write(tree + "/sub/file", b"second")
    second = owner.must("add", "-Q", "-r", tree).out
    name = owner.must("key", "gen", "plain").out
    owner.must("name", "publish", "-k", "plain", first)
    whole, below = other.mount("/ipns/" + name), other.mount("/ipns/" + name + "/sub")
    lab.check("a plain name is mounted", content(whole + "/sub/file") == "first")
    lab.check("and what is below it", content(below + "/file") == "first")
    owner.must("name", "publish", "-k", "plain", second)
    lab.check("it is followed", until(lambda: content(whole + "/sub/file") == "second", 5), content(whole + "/sub/file"))
    lab.check("and below", until(lambda: content(below + "/file") == "second", 5), content(below + "/file"))
    owner.must("name", "publish", "-k", "plain", first)
    lab.check("and back", until(lambda: content(whole + "/sub/file") == "first", 5), content(whole + "/sub/file"))
    file = lab.path("single")
    write(file, b"no directory")
    owner.must("name", "publish", "-k", "plain", owner.add(file))
    time.sleep(1)
    lab.check("what is no directory is not shown: the last good stays", content(whole + "/sub/file") == "first")
    for point in (whole, below):
        other.umount(point)


def pinned(node, name):
    """The CID that is pinned for the name."""
    lines = [line.split() for line in node.must("pin", "ls", "--names", "--type=recursive").out.splitlines()]
    found = [line[0] for line in lines if line[-1] == name]
    return found[0] if len(found) == 1 else None


def kept_for_others(lab, owner, point, third, name):
    """A pin that follows: the third node serves each version when its writer is gone, also after a restart."""
    done = third.call("pin", "add", "--follow", "/ipfs/bafkqaaa")
    lab.check("only names are followed", done.code == 1 and "cannot be followed" in done.err, done)
    third.must("pin", "add", "--follow", name)
    first = pinned(third, name)
    write(point + "/a/kept", b"for others")
    os.chmod(point + "/a/kept", 0o640)
    sync(owner, "plans")
    lab.check("the pin moves with the name", until(lambda: pinned(third, name) not in (None, first), 20), first)
    third.stop()
    write(point + "/a/later", b"while it was away")
    sync(owner, "plans")
    second = pinned(third, name)
    third.start()
    third.connect(owner)
    lab.check("and after a restart", until(lambda: pinned(third, name) not in (None, second), 90), third.logged()[-500:])
    owner.umount(point)
    owner.stop()
    late = lab.node("late")
    late.start()
    late.connect(third)
    shown = late.mount(name)
    lab.check("the writer is gone, and all of it can be read", content(shown + "/a/later") == "while it was away")
    lab.check("with its modes", until(lambda: os.stat(shown + "/a/kept").st_mode & 0o777 == 0o640, 10))
    late.umount(shown)
    late.stop()
    third.must("pin", "rm", pinned(third, name))
    lab.check("a pin that is removed is followed no more", pinned(third, name) is None)


def scenario(lab):
    owner, other, third = (lab.node(name) for name in ("owner", "other", "third"))
    for node in (owner, other, third):
        node.start()
    for node in (other, third):
        node.connect(owner)
    owner.must("share", "create", "plans", "--label", "anna")
    point = owner.mount("plans")
    os.mkdir(point + "/a")
    os.mkdir(point + "/b")
    head(point, 0)
    sync(owner, "plans")
    name = json.loads(owner.must("--enc=json", "share", "ls").out)["Shares"][0]["Id"]
    name = name if name.startswith("/ipns/") else "/ipns/" + name
    followers = [other.mount(name), third.mount(name)]
    heads_in_order(lab, owner, point, followers)
    kept_open(lab, owner, point, followers[0])
    cut_and_healed(lab, owner, point, other, followers[0])
    plain_names(lab, owner, other)
    third.umount(followers[1])
    other.umount(followers[0])
    other.stop()
    kept_for_others(lab, owner, point, third, name)
    third.stop()
