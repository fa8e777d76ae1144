"""Where a repository lies and whose it is: moved under its daemon, on read-only media, another user's, below a very long path,
without inodes; init that is interrupted; small files that are damaged."""

import os
import pwd
import re
import signal
import time

from lab import until, write

NOBODY = pwd.getpwnam("nobody")
KILLS = 30


def own_files(path, uid):
    return [os.path.join(top, name) for top, folders, files in os.walk(path) for name in folders + files
            if os.lstat(os.path.join(top, name)).st_uid == uid]


def moved(lab):
    first = lab.node("first")
    first.start()
    there = lab.path("moved")
    os.rename(first.repo, there)
    second = lab.node("second", first.repo)
    second.start()
    first.stop()
    lab.check("moved: the other daemon's socket stays", os.path.exists(os.path.join(second.repo, "control.sock")))
    lab.check("moved: and answers", second.call("swarm", "peers"))
    lab.check("moved: its own is gone", not os.path.exists(os.path.join(there, "control.sock")))
    second.stop()
    lab.check("moved: the moved one is whole", lab.run([lab.program, "--repo", there, "repo", "verify"]))


def long_paths(lab):
    top = lab.directory("long")
    path = os.path.join(top, *["y" * 200] * 15)
    node = lab.node("long", path)
    file = lab.path("file")
    write(file, b"far down")
    cid = node.add(file)
    node.start()
    lab.check("a path of %d bytes" % len(path), node.call("cat", cid).out == "far down")
    node.stop()
    longer = os.path.join(top, *["z" * 200] * 20)
    done = lab.run([lab.program, "--repo", longer, "init"])
    lab.check("a path of %d bytes is refused" % len(longer), done.code == 1 and "bytes" in done.err, str(done))
    lab.check("and nothing is made of it", not os.path.exists(os.path.join(top, "z" * 200)))


def another_users(lab):
    top = lab.directory("another")
    os.chmod(lab.base, 0o755)
    os.chown(top, NOBODY.pw_uid, NOBODY.pw_gid)
    program = lab.path("dagfs")
    lab.must(["cp", lab.program, program])

    def become():
        os.setgroups([])
        os.setgid(NOBODY.pw_gid)
        os.setuid(NOBODY.pw_uid)

    node = lab.node("another", os.path.join(top, "repo"), init=False)
    theirs = [program, "--repo", node.repo]
    lab.must([*theirs, "init", "--profile", "test"], wrapper=become)
    file = lab.path("file")
    write(file, b"root's")
    for words in (["add", file], ["repo", "gc"], ["daemon"], ["mount", lab.mountpoint()], ["init"]):
        done = node.call(*words)
        lab.check("root's %s in a repository of nobody is refused" % words[0],
                  done.code == 1 and "belongs to nobody" in done.err, str(done))
    lab.check("root's config is not", node.call("config", "Mounts.Timeout", "31s"))
    lab.check("and no file becomes root's", not own_files(node.repo, 0), own_files(node.repo, 0))
    done = lab.run([*theirs, "config", "Mounts.Timeout"], wrapper=become)
    lab.check("its owner reads what root wrote", done.out == "31s", str(done))
    lab.check("and adds", lab.run([*theirs, "add", "-Q", file], wrapper=become))


def read_only(lab):
    top = lab.directory("media")
    node = lab.node("media", os.path.join(top, "repo"))
    tree = lab.directory("tree")
    write(os.path.join(tree, "file"), lab.random.randbytes(300000))
    cid = node.add(tree)
    lab.must(["mount", "--bind", top, top])
    lab.must(["mount", "-o", "remount,bind,ro", top])
    done = node.call("add", "-n", "-Q", "-r", tree)
    lab.check("read-only: add -n", done.out == cid, str(done))
    lab.check("read-only: repo verify", node.call("repo", "verify"))
    node.start()
    done = node.call("daemon")
    lab.check("read-only: one daemon", done.code == 1 and "already" in done.err, str(done))
    point = node.mount(cid)
    lab.same_trees("read-only: mount", tree, point)
    lab.check("read-only: umount", node.umount(point))
    node.stop()
    point = lab.mountpoint()
    lab.check("read-only: mount --offline", node.call("--offline", "mount", cid, point))
    lab.same_trees("read-only: what it shows", tree, point)
    lab.check("read-only: its umount", node.umount(point))
    done = node.call("add", os.path.join(tree, "file"))
    lab.check("read-only: add says so", done.code == 1 and "Read-only" in done.err, str(done))
    until(lambda: lab.run(["umount", top]).code == 0, 20, 0.2)


def no_inodes(lab):
    point = lab.directory("inodes")
    lab.must(["mount", "-t", "tmpfs", "-o", "size=20m,nr_inodes=12", "tmpfs", point])
    done = lab.run([lab.program, "--repo", os.path.join(point, "repo"), "init"])
    lab.check("no inodes: init says so", done.code == 1 and re.search("no space left.*inodes", done.err), str(done))
    lab.check("no inodes: and makes nothing", os.listdir(point) == [], os.listdir(point))
    lab.must(["mount", "-o", "remount,nr_inodes=1000", point])
    lab.node("inodes", os.path.join(point, "repo"))
    lab.must(["umount", point])


def interrupted_init(lab):
    for _ in range(KILLS):
        repo = lab.path("killed")
        process = lab.begin([lab.program, "--repo", repo, "init", "--profile", "test"])
        time.sleep(lab.random.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        lab.finish(process)
        again = lab.run([lab.program, "--repo", repo, "init", "--profile", "test"])
        fine = again.code == 0 or "already" in again.err
        said = lab.run([lab.program, "--repo", repo, "id"])
        if not fine or said.code != 0:
            lab.check("init after an interrupted init", False, "%s; %s" % (again, said))
            return
    lab.check("%d interrupted inits are completed by the next" % KILLS, True)


def damaged(lab):
    node = lab.node("damaged")
    file = lab.path("file")
    write(file, lab.random.randbytes(3000000))
    cid = node.add(file)
    state = os.path.join(node.repo, "store", "state")
    for what, noise in (("an empty state", b""), ("a cut state", b"x" * 20), ("noise in the state", b"x" * 64)):
        write(state, noise)
        lab.check("%s: repo verify" % what, node.call("repo", "verify"))
        lab.check("%s: all is there" % what, node.call("--offline", "cat", cid).code == 0)
    for name in os.listdir(os.path.join(node.repo, "store")):
        if name.startswith("kept-"):
            os.unlink(os.path.join(node.repo, "store", name, "data.mdb"))
    done = node.call("repo", "verify")
    lab.check("a missing data.mdb: repo verify tells of the pin", done.code == 1 and "pins miss blocks" in done.err, str(done))
    lab.check("a missing data.mdb: add again", node.call("add", "-Q", file).out == cid)
    lab.check("a missing data.mdb: repo verify is content", node.call("repo", "verify"))
    for name in os.listdir(os.path.join(node.repo, "records")):
        os.unlink(os.path.join(node.repo, "records", name))
    done = node.call("repo", "gc", "-q")
    lab.check("missing records: repo gc takes nothing", done.code == 1 and "pins may have been lost" in done.err, str(done))
    lab.check("missing records: all is there", node.call("--offline", "cat", cid).code == 0)
    node.call("repo", "verify")
    lab.check("missing records: pin it again", node.call("pin", "add", cid))
    lab.check("missing records: repo gc afterwards", node.call("repo", "gc", "-q"))
    lab.check("missing records: what was pinned again stays", node.call("--offline", "cat", cid).code == 0)


def scenario(lab):
    for part in (moved, long_paths, another_users, read_only, no_inodes, interrupted_init, damaged):
        part(lab)
