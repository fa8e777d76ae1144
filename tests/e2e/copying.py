"""Programs that copy a mount, or compare it with an earlier copy: two mounts of one tree are equal byte for
byte in tar, a second rsync finds nothing to do, attributes stop nobody, an overlay copies up."""

import os

from lab import UNICODE, long_name, write


def make_tree(lab):
    """Modes of all kinds, empty and nested folders, symlinks, small and large files."""
    top = lab.directory("tree")
    for name in UNICODE + [long_name(0)]:
        write(os.path.join(top, name), name.encode())
    os.makedirs(os.path.join(top, "folder", "deeper", "empty"))
    write(os.path.join(top, "folder", "inner"), b"inner")
    write(os.path.join(top, "folder", "deeper", "large"), lab.random.randbytes(3_000_000))
    os.symlink("folder/inner", os.path.join(top, "link"))
    os.symlink("nowhere", os.path.join(top, "dangling"))
    return top


def archive(lab, point):
    done = lab.shell('tar -C "%s" --numeric-owner -cf - . | sha256sum' % point)
    return done.out if done.code == 0 else str(done)


def attributes(lab, point):
    """Times, numbers, link counts, modes and owners of all that is there."""
    return lab.must(["find", point, "-printf", "%T@ %C@ %A@ %i %n %m %U:%G %P\\0"]).out


def silent(lab, what, argv):
    done = lab.run(argv)
    lab.check(what, done.code == 0 and not done.err, str(done))
    return done


def mounts_are_equal(lab, node, cid):
    one, other = node.mount(cid), node.mount(cid)
    tar, stat = archive(lab, one), attributes(lab, one)
    lab.check("tar of two mounts is equal", archive(lab, other) == tar)
    lab.check("times, numbers and modes of two mounts are equal", attributes(lab, other) == stat)
    for point in (one, other):
        lab.check("umount", node.umount(point))
    node.stop()
    point = node.start().mount(cid)
    lab.check("tar of a mount made later is equal", archive(lab, point) == tar)
    lab.check("its times, numbers and modes are equal", attributes(lab, point) == stat)
    times = set(line.split()[0] for line in stat.split("\0") if line)
    lab.check("where no time is stored it is 1970-01-01", times == {"0.0000000000"}, str(times))
    numbers = lab.probe("numbers", point)
    lab.check("listed numbers are those of stat", numbers)
    return point


def programs_copy(lab, node, cid, tree):
    point, copy = node.mount(cid), lab.path("rsync")
    silent(lab, "rsync -aX copies", ["rsync", "-aX", point + "/", copy])
    lab.same_trees("rsync -aX: the copy is equal", tree, copy)
    lab.check("umount", node.umount(point))
    point = node.mount(cid)
    again = silent(lab, "rsync -aX after a new mount", ["rsync", "-aXi", point + "/", copy])
    lab.check("rsync finds nothing changed", not again.out, again.out[:200])

    copy = lab.path("cp")
    silent(lab, "cp --preserve=xattr copies a tree",
           ["cp", "-r", "--no-dereference", "--preserve=mode,timestamps,links,xattr", point, copy])
    lab.same_trees("cp: the copy is equal", tree, copy)
    silent(lab, "cp --preserve=xattr copies a file",
           ["cp", "--preserve=xattr", point + "/folder/inner", lab.path("file")])
    silent(lab, "cp --archive copies a symlink", ["cp", "-a", point + "/link", lab.path("link")])
    silent(lab, "tar --xattrs --acls",
           ["tar", "-C", point, "--xattrs", "--acls", "--selinux", "-cf", "/dev/null", "."])
    listed = silent(lab, "getfattr lists nothing", ["getfattr", "-hdRm", "-", point])
    lab.check("nothing is listed", not listed.out, listed.out[:200])
    found = lab.run(["getfattr", "--only-values", "-n", "user.ipfs.cid", point])
    lab.check("an attribute is read by its name", found.out == cid, str(found))
    refused = lab.run(["getfattr", "-n", "security.capability", point + "/folder/inner"])
    lab.check("of other name spaces it is told that they are not supported",
              "not supported" in refused.err, str(refused))


def make_has_nothing_to_do(lab, node, cid):
    """What was made of a mounted source is up to date after the next mount."""
    point, work = lab.mountpoint(), lab.directory("work")
    write(os.path.join(work, "Makefile"),
          b"made: %s/folder/inner\n\tcp $< $@\n" % os.fsencode(point))
    for question, what in ((["make"], "make copies from a mount"),
                           (["make", "-q"], "make has nothing to do after the next mount")):
        node.must("mount", cid, point)
        lab.check(what, lab.run([*question, "-C", work]))
        lab.check("umount", node.umount(point))


def overlay_copies_up(lab, node, cid, tree):
    lower, top, layers = node.mount(cid), lab.mountpoint(), lab.directory("layers")
    lab.must(["mount", "-t", "tmpfs", "tmpfs", layers])
    for name in ("upper", "work"):
        os.mkdir(os.path.join(layers, name))
    lab.must(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" %
              (lower, layers, layers), top])
    lab.same_trees("an overlay shows the mount", tree, top)
    for what, command in (
            ("append", "echo more >>folder/inner && test \"$(cat folder/inner)\" = innermore"),
            ("chmod of a file", "chmod 600 folder/deeper/large && cmp folder/deeper/large {0}/folder/deeper/large"),
            ("chmod of a folder", "chmod 700 folder/deeper && touch folder/deeper/new"),
            ("chown of a symlink", "chown -h 1:1 link && test \"$(readlink link)\" = folder/inner"),
            ("setfattr", "setfattr -n user.mine -v 1 'emoji 🗂' && getfattr -n user.mine 'emoji 🗂'"),
            ("rename of a file", "mv -- -dash moved && test \"$(cat moved)\" = -dash"),
            ("removal", "rm -r folder && mkdir folder && test -z \"$(ls folder)\"")):
        done = lab.shell(command.format(tree), cwd=top)
        lab.check("overlay: %s copies up" % what, done.code == 0 and not done.err, str(done))
    lab.same_trees("the mount below is as it was", tree, lower)
    lab.check("umount of the overlay", lab.run(["umount", top]))


def set_id_bits(lab, node):
    tree = lab.directory("modes")
    for name, mode in (("suid", 0o4755), ("sgid", 0o2755), ("plain", 0o640)):
        write(os.path.join(tree, name), name.encode())
        os.chmod(os.path.join(tree, name), mode)
    os.mkdir(os.path.join(tree, "folder"))
    os.chmod(os.path.join(tree, "folder"), 0o3775)
    cid = node.add(tree, "--preserve-mode", "--preserve-mtime")
    shown = {}
    for options in ("nodev", "suid"):
        point, copy = node.mount(cid, "-o", options), lab.path("copy")
        silent(lab, "cp -a of stored modes (-o %s)" % options, ["cp", "-a", point, copy])
        shown[options] = dict(line.split() for line in lab.must(
            ["find", copy, "-mindepth", "1", "-printf", "%P %m\\n"]).out.splitlines())
        kept = lab.run(["rsync", "-ani", "--no-perms", tree + "/", copy])
        lab.check("stored times are kept (-o %s)" % options, kept.code == 0 and not kept.out, str(kept))
        lab.check("umount", node.umount(point))
    plain = {"suid": "755", "sgid": "755", "plain": "640", "folder": "1775"}
    lab.check("set-id bits are not shown", shown["nodev"] == plain, str(shown["nodev"]))
    lab.check("-o suid shows them", shown["suid"] == {
        **plain, "suid": "4755", "sgid": "2755", "folder": "3775"}, str(shown["suid"]))


def scenario(lab):
    tree, node = make_tree(lab), lab.node("a")
    cid = node.add(tree)
    node.start()
    mounts_are_equal(lab, node, cid)
    programs_copy(lab, node, cid, tree)
    make_has_nothing_to_do(lab, node, cid)
    overlay_copies_up(lab, node, cid, tree)
    set_id_bits(lab, node)
    node.stop()
