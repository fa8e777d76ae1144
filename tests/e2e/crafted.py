"""Trees whose names and links mean harm: nothing is written outside the target of `get`, nothing reaches the terminal
raw, nothing escapes a mount."""

import base64
import json
import os
import re

from lab import write

ESC = "x\x1b[31mred"
BAD = ["", ".", "..", "a/../../b", "/etc/evil", "../evil"]


def data(raw):
    return {"/": {"bytes": base64.b64encode(raw).decode().rstrip("=")}}


class Craft:
    def __init__(self, lab):
        self.lab, self.node = lab, lab.node("n")
        self.leaf = self.node.must("block", "put", data=b"leaf").out

    def put(self, unixfs, links=()):
        """A dag-pb node; links are (name, cid). Those of one name stay in this order."""
        value = {"Data": data(unixfs),
                 "Links": [{"Hash": {"/": cid}, "Name": name, "Tsize": 4}
                           for name, cid in sorted(links, key=lambda link: link[0].encode())]}
        return self.node.must("dag", "put", "--store-codec=dag-pb", data=json.dumps(value).encode()).out

    def directory(self, *links):
        return self.put(b"\x08\x01", links)

    def symlink(self, target):
        return self.put(b"\x08\x04\x12" + bytes([len(target)]) + target.encode())


def outside(lab):
    """What is in the folder that nobody may write to."""
    return sorted(os.listdir(lab.trap))


def get(craft, what, cid, code, written):
    """code: the exit code. written: what the target holds afterwards, as contents() tells it."""
    lab = craft.lab
    inner = lab.directory("inner")
    out = os.path.join(inner, "out")
    done = craft.node.call("get", cid, "-o", out)
    beside = [name for name in os.listdir(inner) if name != "out"]
    lab.check("get %s: nothing outside" % what, outside(lab) == ["keep"] and not beside and
              done.code == code and not os.path.lexists("/etc/evil"), "%s %s" % (beside, str(done)[:200]))
    found = contents(out) if os.path.lexists(out) else None
    lab.check("get %s: what may be written is there" % what, found == written, "%s %s" % (found, str(done)[:200]))


def contents(path):
    """A symlink is its target, a directory a dict, a file its bytes."""
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.isdir(path):
        return {name: contents(os.path.join(path, name)) for name in os.listdir(path)}
    with open(path, "rb") as file:
        return file.read()


def names(craft):
    lab, node = craft.lab, craft.node
    for bad in BAD:
        get(craft, "name %r" % bad, craft.directory((bad, craft.leaf), ("good", craft.leaf)), 1,
            {"good": b"leaf"})
    cid = craft.directory(*[(name, craft.leaf) for name in BAD], ("good", craft.leaf))
    point = node.mount(cid)
    listed = lab.run(["ls", "-a", point])
    lab.check("a mount shows the good name alone", listed.out.split() == [".", "..", "good"], str(listed))
    lab.check("and reads it", lab.run(["cat", point + "/good"]).raw == b"leaf")
    lab.check("umount", node.umount(point))


def links(craft):
    """A symlink out of the tree, and then something below its name."""
    lab = craft.lab
    inner = craft.directory(("evil", craft.leaf))
    for target in (lab.trap, "../" * 20 + lab.trap[1:], ".."):
        link = craft.symlink(target)
        get(craft, "a symlink to %s, then a directory of its name" % target[:12],
            craft.directory(("a", link), ("a", inner)), 1, {"a": target})
        get(craft, "a symlink to %s, then a file of its name" % target[:12],
            craft.directory(("a", craft.symlink(target + "/keep")), ("a", craft.leaf)), 1,
            {"a": target + "/keep"})
        get(craft, "a root that is a symlink to %s" % target[:12], link, 0, target)
    with open(os.path.join(lab.trap, "keep"), "rb") as file:
        lab.check("what a symlink names is not written", file.read() == b"keep")


def terminal(craft):
    lab, node = craft.lab, craft.node
    cid = craft.directory((ESC, craft.leaf))
    for words in (["ls", cid], ["cat", cid + "/" + ESC + "no"], ["get", cid + "/" + ESC + "no"]):
        done = node.call(*words)
        lab.check("%s: no control character reaches the terminal" % words[0],
                  b"\x1b" not in done.raw and "\x1b" not in done.err, repr(done.raw + done.err.encode())[:200])


def options(craft):
    """Row 33: what the kernel says of a mount."""
    lab, node = craft.lab, craft.node
    cid = craft.directory(("good", craft.leaf))
    point = node.mount(cid)
    with open("/proc/self/mountinfo") as listing:
        line = next(line for line in listing if line.split()[4] == point)
    lab.check("nosuid, nodev, ro", {"ro", "nosuid", "nodev"} <= set(line.split()[5].split(",")), line)
    lab.check("not for others", not re.search(r"\ballow_other\b", line), line)
    lab.check("umount", node.umount(point))


def scenario(lab):
    craft = Craft(lab)
    lab.trap = lab.directory("trap")
    write(os.path.join(lab.trap, "keep"), b"keep")
    for part in (names, links, terminal, options):
        part(craft)
    if craft.node.call("shutdown").code is None:
        lab.check("the daemon of the mounts ends", False)
