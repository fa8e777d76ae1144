"""Messages that end a search, and signals: a failed mount tells its reason, a port in use names its key, a forgotten
mountpoint is called so; a search in vain tells how many were asked; services are ended with SIGTERM; a terminal that
goes takes no daemon of the background along; where memory lacks nothing is said to be damaged."""

import os
import re
import resource
import shutil
import signal
import stat

import lab as tools

SOON = 10
NOBODY = 65534


def said(lab, what, done, code, want):
    lab.check(what, done.code == code and re.search(want, done.err), str(done))


def commands(story):
    lab, node = story.lab, story.node
    said(lab, "a mountpoint that is forgotten", node.call("mount", story.cid), 2, r"the mountpoint is forgotten: where is ")
    said(lab, "the same with a path", node.call("mount", "/ipfs/" + story.cid), 2, r"the mountpoint is forgotten")
    said(lab, "one that is missing", node.call("mount", "/nothing/here"), 1, r"mountpoint /nothing/here: not found")
    lab.check("no daemon was started for them", node.call("swarm", "peers").code == 1)
    other = lab.node("other")
    node.start()
    listening = re.search(r"listening on (\S+)", node.logged())[1]
    other.must("config", "--json", "Addresses.Swarm", '["%s"]' % listening)
    for what, words in (("daemon", ["daemon"]), ("mount", ["mount", other.add(story.tree), story.point])):
        said(lab, "a port in use: " + what, other.call(*words), 1,
             r"cannot listen on %s: another program.*has that port.*Addresses.Swarm" % listening)
    node.stop()


def signals(story):
    lab, node, point = story.lab, story.node, story.point
    for sign, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 130)):
        front = node.begin("mount", "-f", story.cid, point)
        tools.until(lambda: story.reads(point), SOON)
        front.send_signal(sign)
        done = lab.finish(front, SOON)
        lab.check("%s of mount -f exits %d" % (sign.name, code), done.code == code and not done.err, str(done))
        lab.check("and unmounts", not lab.is_mounted(point))
    # A service manager ends all of a service's processes at once.
    node.start()
    front = node.begin("mount", "-f", story.cid, point)
    tools.until(lambda: story.reads(point), SOON)
    node.daemon.send_signal(signal.SIGTERM)
    front.send_signal(signal.SIGTERM)
    done = lab.finish(front, SOON)
    lab.check("SIGTERM of mount -f and the daemon", done.code == 0, str(done))
    lab.check("the daemon exits 0, too", node.ended() == 0)
    node.must("mount", story.cid, point)
    os.kill(node.owner(), signal.SIGHUP)
    lab.check("SIGHUP leaves the daemon that mount started", story.reads(point) and node.call("swarm", "addrs").code == 0)
    lab.check("umount", node.umount(point))
    node.start()
    node.daemon.send_signal(signal.SIGHUP)
    lab.check("SIGHUP leaves a daemon without a terminal", node.call("swarm", "addrs").code == 0 and
              node.daemon.poll() is None)
    node.stop()


def terminals(story):
    """script(1) gives a terminal, whose end the kernel tells by SIGHUP."""
    lab, node = story.lab, story.node
    program = " ".join(node.argv("daemon"))
    if not lab.check("script(1) is there (package bsdutils)", shutil.which("script")):
        return
    for what, line, lives in (("in front of its terminal", program + " >/dev/null 2>&1", False),
                              ("in the background", "set -m; %s >/dev/null 2>&1 & sleep 600" % program, True)):
        terminal = lab.begin(["script", "-qec", "bash -c '%s'" % line, "/dev/null"])
        ready = tools.until(lambda: node.call("swarm", "addrs").code == 0, 30)
        owner = node.owner()
        terminal.kill()  # the terminal's other side: it hangs up
        lab.finish(terminal, SOON)
        if lives:
            tools.time.sleep(0.5)
            done = node.call("swarm", "addrs")
            lab.check("a daemon %s outlives it" % what, ready and done.code == 0 and node.owner() == owner, str(done))
            lab.check("shutdown", node.call("shutdown"))
        else:
            gone = tools.until(lambda: not node.owner(), SOON)
            lab.check("a daemon %s ends with it" % what, ready and gone)


def searches(story):
    """What no peer has: the message tells how many were asked, and how many were known."""
    lab, away, few = story.lab, story.lab.node("away"), "--timeout=3s"
    tree = lab.directory("nowhere")
    tools.write(os.path.join(tree, "file"), b"nobody has this")
    cid, child = away.add(tree), away.add(os.path.join(tree, "file"))
    asker, others = lab.node("asker"), [lab.node("other%d" % i) for i in range(3)]
    commands_of = (("cat", child), ("get", "-o", lab.path("got"), cid), ("ls", cid), ("pin", "add", cid),
                   ("dag", "export", cid), ("dag", "get", cid), ("block", "get", child))
    for words in commands_of:
        said(lab, "no daemon: " + words[0], asker.call(few, *words), 1,
             r"not stored here and no peer to ask \(a running `dagfs daemon` could fetch it\)$")
    asker.start()
    said(lab, "nobody to ask", asker.call(few, "cat", child), 1, r"no answer in time: 0 peers asked, 0 known")
    for other in others:
        other.start()
        asker.connect(other)
    for words in commands_of:
        said(lab, "all say no: " + words[0], asker.call(few, *words), 1,
             r"no answer in time: 3 peers asked, 3 known, no provider found$")
    said(lab, "a mount of it", asker.call("mount", "-o", "timeout=3s", cid, story.point), 1,
         r"cannot get %s: no answer in time: 3 peers asked, 3 known" % cid)
    asker.must("add", "-Q", "-r", "--pin=false", tree)
    asker.must("block", "rm", child)
    point = asker.mount(cid, "-o", "timeout=3s")
    done = lab.run(["cat", point + "/file"])
    lab.check("its reader gets ETIMEDOUT", "Connection timed out" in done.err, str(done))
    lab.check("and the log tells of whom it was asked",
              re.search(r"a block did not come.*no answer in time: 3 peers asked, 3 known", asker.logged()),
              asker.logged()[-600:])
    lab.check("umount", asker.umount(point))
    for other in others[:2]:
        other.stop()
    said(lab, "two have gone", asker.call(few, "cat", child), 1, r"no answer in time: 1 peer asked, 1 known")
    for node in (asker, others[2]):
        node.stop()
    usual = lab.node("usual", init=False)
    usual.must("init")
    usual.start()
    said(lab, "the usual configuration, cut off", usual.call(few, "cat", child), 1,
         r"no answer in time: 0 peers asked, 0 known")
    usual.stop()


def as_nobody():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def reasons(story):
    """Of mounts that the system refuses."""
    lab, node, point = story.lab, story.node, story.point
    said(lab, "an option that the kernel refuses", node.call("mount", "-o", "context=frob", story.cid, point), 1,
         r"cannot mount on %s: mount failed: \S" % point)
    # Users may mount where the device is theirs; the namespace's mounts are ours alone.
    device, home = lab.path("fuse"), lab.directory("home")
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(10, 229))
    os.chmod(device, 0o666)
    lab.must(["mount", "--bind", device, "/dev/fuse"])
    os.chmod(lab.base, 0o755)
    os.chown(home, NOBODY, NOBODY)
    program, mine = os.path.join(home, "dagfs"), os.path.join(home, "mine")
    shutil.copy(lab.program, program)

    def run(*words):
        return lab.run([program, "--repo", home + "/repo", *words], wrapper=as_nobody, cwd=home)
    lab.check("nobody's init", run("init", "--profile", "test"))
    tools.write(os.path.join(home, "file"), b"here")
    os.mkdir(mine)
    os.chown(mine, NOBODY, NOBODY)
    cid = run("add", "-Qw", home + "/file").out
    said(lab, "a mountpoint that is another's", run("mount", cid, point), 1,
         r"cannot mount on %s: user has no write access to mountpoint" % point)
    lab.must(["mount", "--bind", os.devnull, "/etc/fuse.conf"])
    said(lab, "allow_other that is not allowed", run("mount", "-o", "allow_other", cid, mine), 1,
         r"allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf")
    lab.check("their own one mounts", run("mount", cid, mine))
    lab.check("umount", run("umount", mine))
    lab.must(["umount", "/dev/fuse", "/etc/fuse.conf"])


def memory(story):
    """With any limit on the address space a command does its work, or says that memory lacks: nothing is damaged."""
    lab, node, wrong, worked = story.lab, story.node, [], 0
    big = lab.path("big")
    tools.write(big, lab.random.randbytes(3 << 20))
    cid = node.add(big)
    for megabytes in range(12, 90, 3):
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        fresh = lab.node("memory", lab.path("repo"), init=False)
        for one, words in ((fresh, ["init", "--profile", "test"]), (node, ["cat", cid]), (node, ["add", "-Q", big]),
                           (node, ["repo", "stat"]), (node, ["pin", "verify"]), (node, ["repo", "gc"])):
            done = one.call(*words, wrapper=limit)
            worked += done.code == 0
            told = re.search(r"not enough memory|out of memory|Cannot allocate|cannot allocate|failed to map", done.err)
            if done.code is None or done.code and not told or re.search(r"(?i)damaged|corrupt", done.err):
                wrong.append("%d MB: %s" % (megabytes, done))
    lab.check("little memory is told of as that", not wrong, "%d: %s" % (len(wrong), wrong[:4]))
    lab.check("some of it was enough", worked > 20, worked)
    kept = [name for repo in (node.repo, os.path.join(node.repo, "store")) for name in os.listdir(repo) if "damaged" in name]
    lab.check("nothing was set aside as damaged", not kept, kept)
    lab.check("all blocks are whole", node.call("repo", "verify"))


class Story:
    def __init__(self, lab):
        self.lab, self.node = lab, lab.node("n")
        self.tree, self.point = lab.directory("tree"), lab.mountpoint()
        tools.write(os.path.join(self.tree, "file"), b"here")
        self.cid = self.node.add(self.tree)

    def reads(self, point):
        done = self.lab.run(["cat", point + "/file"], deadline=SOON)
        return done.code == 0 and done.raw == b"here"


def scenario(lab):
    story = Story(lab)
    for part in (commands, signals, terminals, reasons, searches, memory):
        part(story)
