"""A tree that was walked once is walked again without asking: the kernel keeps names, attributes and
listings. Requests are counted in what the FUSE library prints for -o debug."""

import collections
import os
import re

from lab import until, write

FOLDERS, FILES = 40, 12  # files in each folder


def make_repository(lab):
    top = lab.directory("repository")
    for i in range(FOLDERS):
        folder = os.path.join(top, "d%02d" % (i % 7), "e%02d" % i)
        os.makedirs(folder)
        for k in range(FILES):
            write(os.path.join(folder, "f%02d" % k), lab.random.randbytes(lab.random.randrange(5000)))
        os.symlink("f00", os.path.join(folder, "link"))
    write(os.path.join(top, "d00", "large"), lab.random.randbytes(2_000_000))
    for words in (["init", "-q"], ["add", "-A"],
                  ["-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "all"]):
        lab.must(["git", "-C", top, *words])
    return top


class Counter:
    """Requests of a node's mounts, from the log of its daemon."""

    def __init__(self, lab, node):
        self.lab, self.node = lab, node

    def settled(self):
        """All of the log, once no request is under way: nothing is added for a while."""
        seen = [len(self.node.logged())]

        def still():
            seen.append(len(self.node.logged()))
            return seen[-1] == seen[-2]
        until(still, 10, 0.3)
        return self.node.logged()

    def during(self, argv):
        """{opcode: count} of a program's run."""
        before = len(self.settled())
        self.lab.must(argv)
        new = self.settled()[before:]
        return collections.Counter(re.findall(r"opcode: ([A-Z_]+) \(", new))


# What each program asks once, whatever the tree: ls whether name spaces are supported, git for its lock.
WALKS = (("ls -lR", ["ls", "-lR"], {"GETXATTR": 3}), ("find", ["find"], {}), ("du", ["du", "-s"], {}),
         ("git status", ["git", "status", "--short"], {"LOOKUP": 1}))


def walks(lab, counter, point, whose):
    for what, argv, allowed in WALKS:
        full = ["git", "-C", point, *argv[1:]] if argv[0] == "git" else [*argv, point]
        first, second = counter.during(full), counter.during(full)
        lab.check("a second `%s` of %s asks for nothing" % (what, whose),
                  all(count <= allowed.get(code, 0) for code, count in second.items()),
                  "%s; at first %s" % (dict(second), dict(first)))
        if what == "ls -lR":
            lab.check("requests of the first walk of %s are seen" % whose,
                      first["LOOKUP"] + first["READDIRPLUS"] > FOLDERS, dict(first))


def scenario(lab):
    repository = make_repository(lab)
    a, b = lab.node("a"), lab.node("b")
    cid = a.add(repository, "--hidden")
    a.start()
    walks(lab, Counter(lab, a), a.mount(cid, "-o", "debug"), "a stored tree")
    b.start()
    b.connect(a)
    point = b.mount(cid, "-o", "debug")
    walks(lab, Counter(lab, b), point, "a tree that came from a peer")
    lab.same_trees("what came is equal", repository, point)
    # Pins come and go, so the list of roots is asked for each time; what is below a root is not. Where something can be written
    # the kernel asks for the attributes of each directory that it has read: its time of access.
    point, counter = lab.mountpoint(), Counter(lab, a)
    a.must("mount", "-o", "debug,ro", point)
    lab.must(["find", "%s/ipfs/%s" % (point, cid)])
    second = counter.during(["find", "%s/ipfs/%s" % (point, cid)])
    lab.check("below ipfs/ a second `find` only opens folders",
              set(second) <= {"OPENDIR", "RELEASEDIR"}, dict(second))
    a.stop()
    b.stop()
