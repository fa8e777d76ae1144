"""A directory that is written and becomes versions: made, mounted, written to by ordinary programs, read again from its root,
its history, and what a kill -9 of the daemon leaves of it."""

import json
import os
import signal
import time

from lab import make_tree, until, write


def status(node, name):
    return json.loads(node.must("--enc=json", "share", "status", name).out)["Shares"][0]


def sync(node, name):
    return json.loads(node.must("--enc=json", "share", "sync", name).out)


def words(lab, node):
    """What the commands say, and what they refuse; without a daemon."""
    done = node.must("share", "create", "plans", "--label", "anna")
    lab.check("create tells the name", done.out.startswith("created plans /ipns/k51qzi5uqu5d"), done)
    for what, said, *line in (
            ("a name in use", "there is a share named plans already", "share", "create", "plans"),
            ("a bad name", "a share's name is", "share", "create", "a/b"),
            ("the name of my/", "'my' is not free", "share", "create", "my"),
            ("a bad label", "--label is", "share", "create", "x", "--label", "Anna B"),
            ("what is no share", "there is no share 'none'", "share", "sync", "none"),
            ("a setting that is none", "what can be set", "share", "set", "plans", "colour=red"),
            ("a version that is none", "plans has no version '9'", "diff", "plans@9"),
            ("a restore without a version", "of which version?", "restore", "plans")):
        done = node.call(*line)
        lab.check("%s is refused" % what, done.code in (1, 2) and said in done.err, done)
    node.must("key", "gen", "taken")
    done = node.call("share", "create", "taken")
    lab.check("the name of a key is refused", done.code == 1 and "there is a key named taken" in done.err, done)
    listed = json.loads(node.must("--enc=json", "share", "ls").out)["Shares"]
    lab.check("ls lists it", [one["Name"] for one in listed] == ["plans"] and listed[0]["Version"] == 1, listed)
    lab.check("log tells the first version", "anna" in node.must("log", "plans").out and "created" in node.must("log", "plans").out)


def written(lab, node, tree):
    """Ordinary programs write; the root of the version is what `add` makes."""
    point = node.mount("plans")
    lab.check("it can be written", lab.shell("echo hello >%s/a.txt && cat %s/a.txt" % (point, point)).out == "hello")
    lab.check("cp -a of a tree", lab.run(["cp", "-a", tree + "/.", point + "/tree"], deadline=200))
    lab.check("tar into it", lab.shell("mkdir %s/tar && tar -C %s -cf - . | tar -C %s/tar -xf -" % (point, tree, point), 200))
    lab.same_trees("it reads as it was written", tree, point + "/tree")
    told = sync(node, "plans")
    lab.check("sync makes a version", told["Version"] == 2 and told["Changes"] and told["Added"] > 0, told)
    lab.check("nothing is left over", status(node, "plans")["Uncommitted"] == 0, status(node, "plans"))
    out = lab.path("got")
    node.must("get", "-o", out, told["Tree"])
    lab.same_trees("the version is plain UnixFS", out, point)
    cid = node.must("add", "-Q", "-r", "--preserve-mode=false", "-H", point).out
    lab.check("its root is the one that add makes", cid == told["Tree"], (cid, told["Tree"]))
    again = sync(node, "plans")
    lab.check("without changes there is no new version", again["Version"] == 2 and not again["Changes"], again)
    return point


def git(lab, node, point):
    text = """set -e; cd %s; git init -q r; cd r; git config user.email a@b; git config user.name a
        for i in 1 2 3; do seq $i 1000 >f$i; git add .; git commit -qm $i; done; git gc -q; git fsck --strict; git status --porcelain
        cd ..; git clone -q r s; diff r/f1 s/f1""" % point
    done = lab.shell(text, 200)
    lab.check("git: commits, gc, fsck, clone", done.code == 0 and not done.out, done)


def history(lab, node, point):
    """Versions below @, diff and restore."""
    sync(node, "plans")
    lab.shell("echo two >%s/a.txt; mkdir -p %s/d/e; echo deep >%s/d/e/f; chmod 750 %s/d/e/f" % (point, point, point, point))
    told = sync(node, "plans")
    third = told["Version"]
    lab.check("an old version is below @N", lab.run(["cat", "%s/@%d/a.txt" % (point, third - 1)]).out == "hello")
    lab.check("and below @-N", lab.run(["cat", "%s/@-1/a.txt" % point]).out == "hello")
    lab.check("@ lists them", lab.run(["ls", point + "/@"]).out.split() == [str(i + 1) for i in range(third)], lab.run(["ls", point + "/@"]))
    lab.check("they are not listed", not [name for name in lab.run(["ls", "-a", point]).out.split() if name.startswith("@")])
    lab.check("they are only read", lab.run(["touch", point + "/@1/x"]).code != 0)
    lab.check("one that is not there", lab.run(["ls", point + "/@99"]).code != 0)
    items = json.loads(node.must("--enc=json", "diff", "plans").out)["Differences"]
    lab.check("diff tells what the newest changed", sorted((one["Type"], one["Path"]) for one in items) ==
              [("added", "d"), ("added", "d/e"), ("added", "d/e/f"), ("changed", "a.txt")], items)
    lab.shell("rm -r %s/d; echo three >%s/a.txt" % (point, point))
    done = node.must("restore", "plans@%d/a.txt" % (third - 1))
    lab.check("restore tells what it did", done.out == "restored a.txt from v%d" % (third - 1), done)
    lab.check("a restored file is shown at once", lab.run(["cat", point + "/a.txt"]).out == "hello")
    node.must("restore", "plans@%d/d" % third)
    lab.check("a directory comes back, with modes", lab.run(["stat", "-c", "%a", point + "/d/e/f"]).out == "750" and
              lab.run(["cat", point + "/d/e/f"]).out == "deep")
    node.must("restore", "plans@%d/d/e/f" % third, "--to", "other/place")
    lab.check("to another place", lab.run(["cat", point + "/other/place/f"]).out == "deep")
    log = json.loads(node.must("--enc=json", "log", "plans").out)["Versions"]
    lab.check("log lists them, the newest first", [one["Version"] for one in log] == list(range(log[0]["Version"], 0, -1)), log[:2])
    lab.check("what was restored is noted", "restored from v%d" % third in [one["Note"] for one in log], log[:3])


def published(lab, node, other):
    """Another node resolves the name and reads the tree."""
    told = sync(node, "plans")
    name = json.loads(node.must("--enc=json", "share", "info", "plans").out)["Id"]
    done = []
    lab.check("its name leads to the newest version", until(
        lambda: done.append(other.call("name", "resolve", "/ipns/" + name, "--nocache")) or done[-1].out == "/ipfs/" + told["Tree"], 30, 0.2),
        done[-1:])
    lab.check("and is read there", other.must("cat", "/ipns/%s/a.txt" % name).out == "hello")
    node.must("share", "set", "plans", "publish=off")
    lab.check("publish=off", not sync(node, "plans")["Publish"])
    node.must("share", "set", "plans", "publish=on")


def killed(lab, node, point):
    """What was synced is there after kill -9, and so is all that is shown."""
    for name in ("one", "two"):
        lab.must(["dd", "if=/dev/urandom", "of=%s/%s" % (point, name), "bs=1M", "count=3", "conv=fsync", "status=none"])
    before = lab.must(["sha256sum", point + "/one", point + "/two"]).out.split()[::2]
    write(lab.path("ignored"), b"")
    node.kill()
    lab.run(["umount", "-l", point])
    node.start()
    point = node.mount("plans")
    after = lab.must(["sha256sum", point + "/one", point + "/two"]).out.split()[::2]
    lab.check("what was fsynced is there after kill -9", before == after, (before, after))
    lab.check("and becomes a version by itself", until(lambda: status(node, "plans")["Uncommitted"] == 0, 30, 0.2), status(node, "plans"))
    node.must("repo", "gc", deadline=200)
    again = lab.must(["sha256sum", point + "/one", point + "/two"]).out.split()[::2]
    lab.check("a collection takes nothing of it", before == again)
    return point


def kept(lab, node, point):
    """Blocks that the share needs are not removed, one by one either."""
    told = sync(node, "plans")
    leaf = node.must("resolve", "/ipfs/%s/one" % told["Tree"]).out.replace("/ipfs/", "")
    for what, cid in (("root", told["Tree"]), ("commit", told["Commit"]), ("file", leaf)):
        done = node.call("block", "rm", cid)
        lab.check("block rm of its %s is refused" % what, done.code == 1 and "needed by a share" in done.err, done)
    lost = lab.path("lost")
    write(lost, b"nobody keeps this")
    cid = node.must("add", "-Q", "--pin=false", lost).out
    lab.check("block rm of another is not", node.call("block", "rm", cid))


def mounts(lab, node, point):
    """By its key, twice, only read, and again after a restart."""
    name = "/ipns/" + json.loads(node.must("--enc=json", "share", "info", "plans").out)["Id"]
    other, third = node.mount(name, "--save"), node.mount("plans", "-o", "ro")
    lab.run(["ls", "-l", other, third])
    lab.shell("echo seen >%s/both" % point)
    lab.check("a change is shown by the other mounts", lab.run(["cat", other + "/both", third + "/both"]).out == "seen\nseen")
    lab.shell("echo more >>%s/both; rm -r %s/tar" % (other, other))
    lab.check("and the other way", lab.run(["cat", point + "/both", third + "/both"]).out == "seen\nmore\nseen\nmore")
    lab.check("what went is gone", lab.run(["ls", third + "/tar"]).code != 0)
    lab.check("-o ro is only read", lab.shell("echo x >%s/both" % third).code != 0)
    for one in (point, third):
        lab.check("umount", node.umount(one))
    node.stop()
    node.start()
    lab.check("a saved mount comes back", until(lambda: lab.is_mounted(other), 60, 0.1))
    lab.check("and is written", lab.shell("echo again >%s/both && cat %s/both" % (other, other)).out == "again")
    node.must("mount", "--unsave", other)
    node.must("share", "set", "plans", "quiet=5m")
    lab.shell("echo last >%s/last" % other)
    before = json.loads(node.must("--enc=json", "share", "info", "plans").out)["Version"]
    node.stop()
    newest = json.loads(node.must("--enc=json", "share", "info", "plans").out)
    lab.check("what changed is a version when the daemon ends", newest["Version"] == before + 1, newest)
    lab.check("with all of it", node.must("cat", "/ipfs/%s/last" % newest["Tree"]).out == "last")
    node.start()
    point = node.mount("plans")
    lab.shell("echo waits >%s/last; sleep 3" % point)
    lab.check("quiet= is heeded", status(node, "plans")["Uncommitted"] == 1, status(node, "plans"))
    return point


def namespace(lab, node, other):
    """my/, a share that nobody is told of; ipns/, with own shares and with what other names lead to."""
    point = lab.mountpoint()
    node.must("mount", point)
    lab.check("ipns/ and my/ stand beside ipfs/", lab.run(["ls", point]).out.split() == ["ipfs", "ipns", "my"], lab.run(["ls", point]))
    lab.check("my/ is written", lab.shell("echo mine >%s/my/note && cat %s/my/note" % (point, point)).out == "mine")
    lab.check("ipfs/ is not", lab.shell("echo x >%s/ipfs/x" % point).code != 0 and lab.run(["mkdir", point + "/ipns/x"]).code != 0)
    told = sync(node, "my")
    lab.check("nobody is told of it", not told["Publish"] and told["Version"] >= 1, told)
    lab.check("ipns/ lists own shares", lab.run(["ls", "-l", point + "/ipns"]).out.split()[-1] == "plans", lab.run(["ls", "-l", point + "/ipns"]))
    lab.check("they are written there", lab.shell("echo here >%s/ipns/plans/here && cat %s/ipns/plans/here" % (point, point)).out == "here")
    lab.check("a name that leads nowhere", "No such file" in lab.run(["ls", point + "/ipns/nobody"]).err, lab.run(["ls", point + "/ipns/nobody"]))
    file = lab.directory("site")
    write(os.path.join(file, "page"), b"of another")
    name = other.must("name", "publish", "-Q", "/ipfs/" + other.add(file)).out
    done = []
    lab.check("a name of another node is read", until(
        lambda: done.append(lab.run(["cat", "%s/ipns/%s/page" % (point, name)])) or done[-1].out == "of another", 30, 0.5), done[-1:])
    lab.check("umount", node.umount(point))


def ended(lab, node, point):
    done = node.call("share", "rm", "plans")
    lab.check("a share that is mounted is not removed", done.code == 1 and "unmount it first" in done.err, done)
    lab.check("umount", node.umount(point))
    lab.check("rm", node.call("share", "rm", "--key", "plans"))
    lab.check("ls lists it no more", "plans" not in node.must("share", "ls").out)


def waits(lab, node):
    """A call that waits in the daemon for what nobody has: given up by Ctrl-C, and by the end of the daemon."""
    missing = "/ipfs/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    for what in ("Ctrl-C", "the end of the daemon"):
        process = node.begin("--timeout=60s", "share", "create", "x", "--from", missing)
        time.sleep(1)
        began = time.monotonic()
        if what == "Ctrl-C":
            process.send_signal(signal.SIGINT)
        else:
            node.must("shutdown")
            node.ended()
        done = lab.finish(process, 20)
        lab.check("%s ends it" % what, done.code == (130 if what == "Ctrl-C" else 1) and time.monotonic() - began < 10, done)
        lab.check("%s: nothing is left of it" % what, "x" not in node.must("key", "list").out.split() and
                  "share create" not in node.must("pin", "ls", "--names").out)
    node.start()
    many = [node.begin("share", "status") for _ in range(100)]
    ended = [lab.finish(one, 60) for one in many]
    lab.check("a hundred calls at once", all(one.code == 0 or "too many calls run" in one.err for one in ended),
              [one for one in ended if one.code][:2])


def damaged(lab, node):
    """Records that were damaged on disk: nothing is collected until `repo verify` told of it."""
    node.must("share", "create", "d", "--publish=false")
    point = node.mount("d")
    lab.shell("for i in $(seq 60); do echo $i >%s/$i; done" % point)
    tree = sync(node, "d")["Tree"]
    node.must("umount", point)
    node.stop()
    path = os.path.join(node.repo, "work", "data.mdb")
    with open(path, "r+b") as file:
        for page in range(2, os.path.getsize(path) // 4096, 2):
            file.seek(page * 4096 + 8)
            file.write(lab.random.randbytes(300))
    node.call("share", "ls")    # it may be this one that stumbles over it
    done = node.call("repo", "gc")
    if done.code == 0:    # nothing that says what must stay was hit
        lab.check("repo gc takes nothing of it", node.call("get", "--offline", "-o", lab.path("out"), tree))
    else:
        lab.check("repo gc is refused", "records of shares may have been lost" in done.err or "collection stopped" in done.err, done)
    done = node.call("repo", "verify", deadline=200)
    lab.check("repo verify tells", done.code == 1 and "records of shares were lost" in done.err, done)
    lab.check("then repo gc does it", node.call("repo", "gc", deadline=200))
    lab.check("and repo verify is content", node.call("repo", "verify", deadline=200))
    node.start()


def scenario(lab):
    node, other = lab.node("writer"), lab.node("reader").start()
    tree = lab.path("tree")
    make_tree(tree, lab.random, files=300, big=5 << 20, wide=300)
    words(lab, node)
    node.start()
    node.connect(other)
    point = written(lab, node, tree)
    git(lab, node, point)
    history(lab, node, point)
    published(lab, node, other)
    point = killed(lab, node, point)
    kept(lab, node, point)
    point = mounts(lab, node, point)
    namespace(lab, node, other)
    ended(lab, node, point)
    waits(lab, node)
    damaged(lab, node)
    node.stop()
    other.stop()
