"""A repository on a disk that is too small: what does not fit is an error that says so, what is there
stays whole and readable, and there is success again when there is room again."""

import hashlib
import os
import re

from lab import write, write_big

MIB = 1 << 20
DISK, FITS, TOO_BIG, FILLER = 96 * MIB, 20 * MIB, 150 * MIB, 8 * MIB
NO_SPACE = r"(?i)no space"


def small_disk(lab, kind):
    if kind != "tmpfs":
        return lab.disk(DISK)[1]
    point = lab.directory("disk-" + kind)
    lab.must(["mount", "-t", "tmpfs", "-o", "size=%d" % DISK, "tmpfs", point])
    return point


def digest(path):
    with open(path, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def intact(lab, node, what, cid, path):
    got = node.call("--offline", "cat", cid)
    lab.check("%s: what was there is readable" % what, got.code == 0 and
              hashlib.sha256(got.raw).hexdigest() == digest(path), str(got)[:200])
    verified = node.call("pin", "verify")
    lab.check("%s: every pin is whole" % what, verified.code == 0, str(verified))


def says_so(lab, what, done):
    lab.check(what, done.code == 1 and re.search(NO_SPACE, done.err) and "Error: " in done.err,
              str(done))


def on_disk(lab, kind, source, remote):
    point = small_disk(lab, kind)
    node = lab.node("n-" + kind, os.path.join(point, "repo"))
    files = {}
    for name, size in (("fits", FITS), ("too big", TOO_BIG), ("later", FITS)):
        files[name] = lab.path(name)
        write_big(files[name], size, lab.random)
    kept = node.add(files["fits"])
    filler = os.path.join(point, "filler")
    write(filler, bytes(FILLER))

    done = node.call("add", "-Q", files["too big"], deadline=120)
    says_so(lab, "%s: add says what is wrong" % kind, done)
    lab.check("%s: no CID is printed" % kind, done.out == "", done.out)
    intact(lab, node, kind + ", after add", kept, files["fits"])
    done = node.call("repo", "gc", "-q", deadline=120)
    lab.check("%s: repo gc" % kind, done.code == 0 or re.search(NO_SPACE, done.err), str(done))

    node.start()
    node.connect(source)
    done = node.call("pin", "add", remote["too big"], deadline=120)
    says_so(lab, "%s: pin add says what is wrong" % kind, done)
    lab.check("%s: the daemon lives" % kind, node.daemon.poll() is None, node.logged()[-300:])
    intact(lab, node, kind + ", after pin add", kept, files["fits"])

    os.unlink(filler)
    lab.check("%s: repo gc with some room" % kind, node.call("repo", "gc", "-q", deadline=120))
    node.call("pin", "rm", remote["too big"])
    lab.check("%s: repo gc again" % kind, node.call("repo", "gc", "-q", deadline=120))
    later = node.call("add", "-Q", files["later"], deadline=120)
    lab.check("%s: add succeeds when there is room" % kind, later)
    lab.check("%s: pin add succeeds when there is room" % kind,
              node.call("pin", "add", remote["fits"], deadline=120))
    intact(lab, node, kind + ", at last", kept, files["fits"])
    lab.check("%s: repo verify" % kind, node.call("repo", "verify", deadline=120))
    node.stop()
    lab.must(["umount", point])


def scenario(lab):
    source, remote = lab.node("source"), {}
    for name, size in (("fits", FITS), ("too big", TOO_BIG)):
        path = lab.path("remote")
        write_big(path, size, lab.random)
        remote[name] = source.add(path)
    source.start()
    for kind in ("tmpfs", "ext4"):
        on_disk(lab, kind, source, remote)
    source.stop()
