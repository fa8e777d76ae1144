"""What is said with -o works or is refused by its name; a mount covers nothing unasked; a mount that was taken
away lazily is forgotten at once and serves who is still in it."""

import os

from lab import until, write

REFUSED = ("rw", "max_read=100", "max_read=9999999", "max_read=many", "uid=5", "unheard_of", "blkdev",
           "nonempty=yes")


def options(lab, node, cid, tree):
    point = lab.mountpoint()
    for option in REFUSED:
        done = node.call("mount", "-o", option, cid, point)
        lab.check("-o %s is refused by name" % option,
                  done.code == 1 and option in done.err and not lab.is_mounted(point), str(done))
    for option, shown in (("max_read=4096", "max_read=4096"), ("max_read=65536,noexec", "noexec"),
                          ("noexec,ro,nodev", "nosuid"), ("timeout=5s,allow_other", "allow_other")):
        point = node.mount(cid, "-o", option)
        lab.same_trees("-o %s: the tree is equal" % option, tree, point)
        with open("/proc/self/mounts") as mounts:
            line = [entry for entry in mounts if " %s " % point in entry][0]
        lab.check("-o %s is in effect" % option, shown in line.split()[3].split(","), line)
        lab.check("umount", node.umount(point))


def covering(lab, node, cid):
    point = lab.mountpoint()
    write(os.path.join(point, ".hidden"), b"mine")
    done = node.call("mount", cid, point)
    lab.check("a directory with entries is not covered",
              done.code == 1 and "not empty" in done.err and "nonempty" in done.err, str(done))
    lab.check("-o nonempty covers it", node.call("mount", "-o", "nonempty", cid, point))
    lab.check("umount", node.umount(point))
    lab.check("what was there is there", lab.run(["grep", "-q", "mine", point + "/.hidden"]))


def long_names(lab, node, cid):
    point = node.mount(cid)
    for size, word in ((255, "No such file"), (256, "too long"), (1000, "too long")):
        done = lab.run(["stat", "%s/%s" % (point, "n" * size)])
        lab.check("a name of %d bytes: %s" % (size, word), word in done.err, str(done))
    lab.check("umount", node.umount(point))


def lazily(lab, node, cid):
    point = node.mount(cid)
    user = lab.begin(["sh", "-c", "read line; cat sub/file"], cwd=point, stdin=-1)
    front_point = lab.mountpoint()
    front = node.begin("mount", "-f", cid, front_point)
    until(lambda: lab.is_mounted(front_point), 30)
    held = lab.begin(["sh", "-c", "read line"], cwd=front_point, stdin=-1)
    lab.must(["umount", "-l", point])
    lab.must(["umount", "-l", front_point])
    gone = until(lambda: not node.must("mount").out, 10)
    lab.check("umount -l: the mounts are listed no more", gone, node.must("mount").out)
    lab.check("mount -f ends", lab.finish(front, 10))
    done = node.call("umount", point)
    lab.check("there is nothing to unmount", done.code == 1, str(done))
    lab.check("another one is mounted at its place", node.call("mount", cid, point))
    user.stdin.write(b"\n")
    user.stdin.close()
    done = lab.finish(user)
    lab.check("who was below it reads on", done.code == 0 and done.out == "below", str(done))
    lab.check("the new one is untouched", lab.run(["grep", "-q", "below", point + "/sub/file"]))
    lab.check("umount", node.umount(point))
    node.stop()  # while one is still held
    held.stdin.close()
    lab.finish(held)


def scenario(lab):
    tree, node = lab.directory("tree"), lab.node("a")
    os.mkdir(os.path.join(tree, "sub"))
    write(os.path.join(tree, "sub", "file"), b"below")
    write(os.path.join(tree, "large"), lab.random.randbytes(1_500_000))
    cid = node.add(tree)
    node.start()
    options(lab, node, cid, tree)
    covering(lab, node, cid)
    long_names(lab, node, cid)
    lazily(lab, node, cid)
