"""Commands that meet a daemon that starts or ends: `mount` right after `umount`, several mounts at once with no daemon,
mounting and unmounting one place at once. ROUNDS=full does 200 and 50 rounds instead of 15 and 5."""

import os
import re
import signal

import lab as tools

FULL = os.environ.get("ROUNDS") == "full"
ROUNDS, AT_ONCE_ROUNDS, AT_ONCE = (200, 50, 6) if FULL else (15, 5, 6)
SOON = 10


class Story:
    def __init__(self, lab):
        self.lab, self.node = lab, lab.node("n")
        tree = lab.directory("tree")
        tools.write(os.path.join(tree, "file"), b"here")
        self.cid = self.node.add(tree)
        self.points = [lab.mountpoint() for _ in range(AT_ONCE)]

    def reads(self, point):
        done = self.lab.run(["cat", point + "/file"], deadline=SOON)
        return done.code == 0 and done.raw == b"here"

    def no_daemon(self):
        return tools.until(lambda: not self.node.owner(), tools.STOP_SECONDS)

    def umount(self, i, point):
        """By us, or by who knows nothing of a daemon. What is wrong."""
        ways = (self.node.argv("umount", point), ["umount", point], ["fusermount3", "-u", point])
        done = self.lab.run(ways[i % len(ways)])
        return "" if done.code == 0 and not self.lab.is_mounted(point) else str(done)

    def finish(self, what, processes):
        """The messages of those that failed."""
        done = [self.lab.finish(process) for process in processes]
        return ["%s: %s" % (what, one) for one in done if one.code != 0]

    def all_at_once(self, *words):
        return self.finish(words[0], [self.node.begin(*words, point) for point in self.points])


def one_after_the_other(story):
    """umount ends the daemon, and mount needs one."""
    lab, point, wrong = story.lab, story.points[0], []
    for i in range(ROUNDS):
        done = story.node.call("mount", story.cid, point)
        if done.code != 0 or not story.reads(point):
            wrong.append("round %d: %s" % (i, done))
        done = story.umount(i, point)
        if done:
            wrong.append("round %d: %s" % (i, done))
    lab.check("%d rounds of mount and umount" % ROUNDS, not wrong, "%d: %s" % (len(wrong), wrong[:3]))
    lab.check("no daemon is left", story.no_daemon())


def several_at_once(story):
    lab, wrong = story.lab, []
    for i in range(AT_ONCE_ROUNDS):
        wrong += story.all_at_once("mount", story.cid)
        wrong += ["round %d: %s does not read" % (i, point) for point in story.points if not story.reads(point)]
        wrong += story.all_at_once("umount")
        wrong += [point + " is mounted" for point in story.points if lab.is_mounted(point)]
    lab.check("%d rounds of %d mounts at once" % (AT_ONCE_ROUNDS, AT_ONCE), not wrong,
              "%d: %s" % (len(wrong), wrong[:3]))
    lab.check("no daemon is left by them", story.no_daemon())


def one_place(story):
    """Two that unmount one place both come to their end; a mount meets the end of the one before."""
    lab, node, point = story.lab, story.node, story.points[0]
    wrong = []
    for _ in range(ROUNDS):
        both = [node.begin("mount", story.cid, point) for _ in range(2)]
        done = [lab.finish(process) for process in both]
        if sorted(one.code for one in done) != [0, 1] or not any("mounted there already" in one.err for one in done):
            wrong.append("; ".join(map(str, done)))
        both = [node.begin("umount", point) for _ in range(2)]
        done = [lab.finish(process) for process in both]
        if all(one.code for one in done) or any(one.code and "nothing is mounted there" not in one.err for one in done):
            wrong.append("; ".join(map(str, done)))
        if lab.is_mounted(point):
            wrong.append("still mounted")
    lab.check("%d rounds of two mounts and two umounts of one place" % ROUNDS, not wrong, wrong[:3])


def shutdowns(story):
    """Commands that need a daemon, or would use one, while it starts and ends again and again."""
    lab, node, wrong = story.lab, story.node, []
    for _ in range(ROUNDS):
        daemon = node.begin("daemon")
        asking = [node.begin("cat", story.cid + "/file"), node.begin("repo", "stat")]
        tools.until(story.node.owner, SOON, 0.001)
        wrong += story.finish("while it starts", [node.begin("swarm", "addrs"), *asking])
        ends = [node.begin("shutdown") for _ in range(2)]
        asking = [node.begin("cat", story.cid + "/file"), node.begin("repo", "stat")]
        wrong += story.finish("while it ends", asking)
        ends = [lab.finish(process) for process in ends]
        if all(done.code for done in ends) or any(done.code and "no daemon runs" not in done.err for done in ends):
            wrong += map(str, ends)
        wrong += story.finish("the daemon", [daemon])
    lab.check("%d rounds of daemon and shutdown" % ROUNDS, not wrong, "%d: %s" % (len(wrong), wrong[:3]))


def daemons_in_turn(story):
    """A daemon that meets the end of another waits for it; beside a running one it says so."""
    lab, node, wrong = story.lab, story.node, []
    for _ in range(ROUNDS // 3):
        node.must("mount", story.cid, story.points[0])
        done = node.call("daemon")
        if done.code != 1 or not re.search(r"a daemon runs for .* already \(process \d+\)", done.err):
            wrong.append(str(done))
        node.must("umount", story.points[0])
        try:
            node.start()
        except tools.Broken as error:
            wrong.append(str(error))
            break
        node.must("shutdown")
        node.ended()
    lab.check("daemons one after the other", not wrong, wrong[:3])


def killed(story):
    """kill -9 of the daemon right before a mount of the same place."""
    lab, node, wrong = story.lab, story.node, []
    for _ in range(ROUNDS // 3):
        node.must("mount", story.cid, story.points[0])
        owner = story.node.owner()
        process = node.begin("mount", story.cid, story.points[1])
        os.kill(owner, signal.SIGKILL)
        wrong += story.finish("mount beside kill -9", [process])
        wrong += story.finish("mount where a dead one is", [node.begin("mount", story.cid, story.points[0])])
        if not story.reads(story.points[1]):  # it was mounted before the kill
            wrong += story.finish("mount of it again", [node.begin("mount", story.cid, story.points[1])])
        wrong += [point + " does not read" for point in story.points[:2] if not story.reads(point)]
        wrong += story.finish("umount", [node.begin("umount", *story.points[:2])])
        story.no_daemon()
    lab.check("mounts of killed daemons", not wrong, "%d: %s" % (len(wrong), wrong[:3]))


def scenario(lab):
    story = Story(lab)
    for part in (one_after_the_other, several_at_once, one_place, shutdowns, daemons_in_turn, killed):
        part(story)
    lab.check("all blocks are whole", story.node.call("repo", "verify"))
