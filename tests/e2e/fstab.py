"""Mounts by mount(8): the type dagfs, lines of fstab, the helper's words; guarded mountpoints; what `make install` installs."""

import os
import shutil
import subprocess

from lab import until, write

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DAGFS = os.path.abspath(os.environ["DAGFS"])


def install(lab):
    """make install into a directory; the helper's link leads to the program there."""
    top = lab.directory("installed")
    done = lab.shell("cd %s && make -s install DESTDIR=%s PREFIX=/usr BUILD=%s" % (TOP, top, os.path.dirname(os.path.dirname(DAGFS))), 300)
    lab.check("make install", done.code == 0, done)
    for path in ("usr/bin/dagfs", "usr/share/man/man1/dagfs.1", "usr/lib/systemd/system/dagfs.service",
                 "usr/lib/systemd/user/dagfs.service"):
        lab.check("it installs %s" % path, os.path.isfile(os.path.join(top, path)))
    lab.check("mount.dagfs is dagfs", os.readlink(top + "/sbin/mount.dagfs") == "/usr/bin/dagfs")
    for unit in ("system", "user"):
        with open("%s/usr/lib/systemd/%s/dagfs.service" % (top, unit)) as file:
            text = file.read()
        lab.check("the %s unit starts what was installed" % unit, "ExecStart=/usr/bin/dagfs daemon\n" in text)
        hides = ("ProtectSystem=", "ProtectHome=", "PrivateTmp=", "ReadWritePaths=", "PrivateDevices=")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        lab.check("nothing in the %s unit hides mounts" % unit, not [line for line in lines if line.startswith(hides)], lines)
        if shutil.which("systemd-analyze"):
            file = "%s/%s.service" % (lab.directory("unit-" + unit), "dagfs")
            write(file, text.replace("/usr/bin/dagfs", DAGFS).encode())
            done = lab.run(["systemd-analyze", "verify", "--man=no", *(["--user"] if unit == "user" else []), file])
            lab.check("systemd takes the %s unit" % unit, done.code == 0 and "dagfs.service" not in done.err, done)


def helper_in_place(lab):
    """/sbin with mount.dagfs in it, in this mount namespace alone."""
    room = lab.directory("sbin-room")
    sbin = os.path.realpath("/sbin")
    script = """mount -t tmpfs none %s && mkdir %s/up %s/work &&
        mount -t overlay overlay -o lowerdir=%s,upperdir=%s/up,workdir=%s/work %s && ln -s %s %s/mount.dagfs && ln -s %s %s/dagfs"""
    done = lab.shell(script % (room, room, room, sbin, room, room, sbin, DAGFS, sbin, DAGFS, sbin))
    lab.check("mount.dagfs is in /sbin of this namespace", done.code == 0, done)


def bare(*argv):
    """As at boot: without PATH and HOME."""
    done = subprocess.run(argv, env={}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def by_type(lab, node, root, tree):
    point, options = lab.mountpoint(), "repo=" + node.repo
    code, said = bare("/bin/mount", "-t", "dagfs", "/ipfs/" + root, point, "-o", options + ",_netdev,nofail,user=root,suid,exec,dev")
    lab.check("mount -t dagfs", code == 0 and lab.is_mounted(point), said)
    lab.same_trees("it shows the tree", tree, point)
    with open("/proc/mounts") as file:
        line = [line for line in file if line.split()[1] == point][0]
    lab.check("suid was not taken from fstab", "nosuid" in line and " fuse.dagfs " in line, line)
    lab.check("umount", bare("/bin/umount", point)[0] == 0 and not lab.is_mounted(point))
    code, said = bare("/bin/mount", "-t", "dagfs", "none", point, "-o", options)
    lab.check("none is the namespace", code == 0 and "ipfs" in os.listdir(point), said)
    bare("/bin/umount", point)
    for what, source, more, text in (("a source that is none", "/ipfs/nonsense", "", "invalid"),
                                     ("an option that is none", "none", ",frobnicate", "frobnicate"),
                                     ("a user who is none", "none", ",setuid=nobody-there", "no user"),
                                     ("a repository that is none", "none", ",repo=/nonexistent", "dagfs init")):
        code, said = bare("/bin/mount", "-t", "dagfs", source, point, "-o", options + more)
        lab.check("%s fails with 32 and says so" % what, code == 32 and text in said and not lab.is_mounted(point), (code, said))
    code, said = bare("/bin/mount", "-t", "fuse.dagfs", "/ipfs/" + root, point, "-o", options)
    lab.check("mount -t fuse.dagfs", code == 0 and lab.is_mounted(point), said)
    bare("/bin/umount", point)


def by_fstab(lab, node, root, tree):
    point, table = lab.mountpoint(), lab.path("fstab")
    line = "/ipfs/%s %s dagfs ro,_netdev,nofail,x-systemd.automount,comment=x,repo=%s 0 0\n" % (root, point, node.repo)
    write(table, line.encode())
    code, said = bare("/bin/mount", "-T", table, point)
    lab.check("a line of fstab is mounted by its mountpoint", code == 0 and lab.is_mounted(point), said)
    lab.same_trees("and shows the tree", tree, point)
    bare("/bin/umount", point)
    code, said = bare("/bin/mount", "-T", table, "-a")
    lab.check("and by mount -a", code == 0 and lab.is_mounted(point), said)
    code, said = bare("/bin/mount", "-T", table, "-a")
    lab.check("which does nothing the second time", code == 0 and os.listdir(point), said)
    bare("/bin/umount", point)


def guarded(lab, node, root, tree):
    """Whoever writes while nothing is mounted is told, and nothing is left beneath the mount."""
    point = lab.mountpoint()
    node.must("mount", "-o", "guard", root, point)
    lab.same_trees("a guarded mountpoint shows the tree", tree, point)
    node.umount(point)
    mode = os.stat(point).st_mode & 0o777
    lab.check("after the unmount nobody may enter it", mode == 0, oct(mode))
    child = "setpriv --reuid 65534 --regid 65534 --clear-groups sh -c 'echo x >%s/file'" % point
    lab.check("writing there fails", lab.shell(child).code != 0)
    flags = lab.run(["lsattr", "-d", point])
    if flags.code == 0 and "i" in flags.out.split()[0]:
        lab.check("for root, too", lab.run(["touch", point + "/file"]).code != 0)
    node.must("mount", "-o", "guard", root, point)
    lab.same_trees("it can be mounted again", tree, point)
    owner = node.owner()
    os.kill(owner, 9)
    until(lambda: not node.owner(), 10)
    done = lab.shell("echo x >%s/file" % point)
    lab.check("a dead mount takes no writes", done.code != 0, done)
    node.umount(point)
    done = node.call("mount", "-o", "guard", "/ipfs/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", point)
    lab.check("what cannot be mounted is not", done.code != 0 and not lab.is_mounted(point), done)
    lab.run(["chattr", "-i", point])
    os.chmod(point, 0o755)
    lab.check("nothing was left beneath it", os.listdir(point) == [], os.listdir(point))
    node.call("shutdown")


def scenario(lab):
    node, tree = lab.node("node"), lab.directory("tree")
    os.mkdir(tree + "/sub")
    write(tree + "/sub/file", b"some bytes")
    write(tree + "/top", b"top")
    root = node.must("add", "-Q", "-r", tree).out
    install(lab)
    helper_in_place(lab)
    by_type(lab, node, root, tree)
    by_fstab(lab, node, root, tree)
    guarded(lab, node, root, tree)
