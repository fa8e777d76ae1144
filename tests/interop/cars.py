"""CAR archives: what one exports the other imports, with the same roots and the same bytes."""

import os

from peers import Helia
from suite import MIB, Ipfs, dagfs_repo, must, same, tool

FLAGS = ("--cid-version=1", "--raw-leaves", "--chunker=size-262144")


def export(s, argv, **rest):
    path = s.path()
    with open(path, "wb") as f:
        f.write(tool(argv, **rest))
    return path


def into_dagfs(s, node, car, cid, source):
    """dagfs imports what another exported: its root is pinned, and the content is that of source."""
    out = node.run("dag", "import", car).stdout
    must(cid in out, "roots: " + out)
    must(any(cid in line for line in node.lines("pin", "ls")), "the root is not pinned")
    dest = s.path()
    node.run("--offline", "get", "-o", dest, cid)
    same(source, dest)


def by_kubo(s, ipfs, node, source, flags):
    """Kubo exports, dagfs imports."""
    cid = ipfs.add(source, *flags)
    car = export(s, [ipfs.program, "--offline", "dag", "export", "--progress=false", cid], env=ipfs.env)
    into_dagfs(s, node, car, cid, source)
    return cid, car


def by_dagfs(s, ipfs, node, source, flags):
    """dagfs exports, Kubo imports."""
    cid = node.add(source, *flags)
    car = export(s, [node.program, "--repo", node.repo, "dag", "export", cid])
    out = ipfs.run("dag", "import", car).decode()
    must(cid in out, "roots: " + out)
    dest = s.path()
    ipfs.run("get", "-o", dest, cid)
    same(source, dest)
    return cid, car


def equal(s, ipfs, node, source, flags=FLAGS):
    """Both write the very same archive: depth first, each block once."""
    cid, kubos = by_kubo(s, ipfs, node, source, flags)
    same(kubos, export(s, [node.program, "--repo", node.repo, "dag", "export", cid]))


def by_helia(s, helia, node, source, flags):
    """Helia exports, dagfs imports."""
    cid = helia.add(source, *flags)
    car = s.path()
    helia.ask("carexport %s %s" % (cid, car))
    into_dagfs(s, node, car, cid, source)
    return cid, car


def to_helia(s, helia, node, source, flags):
    """dagfs exports, Helia imports."""
    cid = node.add(source, *flags)
    car = export(s, [node.program, "--repo", node.repo, "dag", "export", cid])
    told = helia.ask("carimport " + car)
    must(told["roots"] == [cid], "roots: %s" % told["roots"])
    must(told["blocks"], "no block")
    dest = s.path()
    helia.get(cid, dest)
    same(source, dest)
    return cid, car


def with_helia(s, shapes):
    """A Helia of its own for each archive: it must not have the blocks already."""
    for shape, make in shapes:
        for what, to, by in (("v1", FLAGS, ("--v1",)),
                             ("v0", ("--cid-version=0", "--raw-leaves=false"), ())):
            for text, call, flags in (("Helia exports, dagfs imports", by_helia, by),
                                      ("dagfs exports, Helia imports", to_helia, to)):
                with Helia() as helia:
                    s.check("%s %s, %s" % (text, shape, what),
                            call, s, helia, dagfs_repo(s), make(), flags)


def equal_to_helia(s):
    """Both write the very same archive of a tree with a HAMT in it."""
    top = s.tree(symlinks=False)
    os.rename(s.wide(symlinks=False), os.path.join(top, "wide"))
    with Helia() as helia:
        node = dagfs_repo(s)
        cid, car = by_helia(s, helia, node, top, ())
        same(car, export(s, [node.program, "--repo", node.repo, "dag", "export", cid]))


def scenario(s):
    shapes = (("an empty file", lambda: s.file(0)), ("a small file", lambda: s.file(77)),
              ("20 MiB", lambda: s.file(20 * MIB)), ("a tree", s.tree),
              ("a wide directory", s.wide))
    for shape, make in shapes:
        for what, flags in (("v1", FLAGS), ("v0", ("--cid-version=0", "--raw-leaves=false"))):
            ipfs, node = Ipfs(s), dagfs_repo(s)
            s.check("Kubo exports, dagfs imports %s, %s" % (shape, what),
                    by_kubo, s, ipfs, node, make(), flags)
            s.check("dagfs exports, Kubo imports %s, %s" % (shape, what),
                    by_dagfs, s, ipfs, node, make(), flags)
        s.check("the same archive of " + shape, equal, s, Ipfs(s), dagfs_repo(s), make())
    for shape, make in shapes[1::2]:
        s.check("the same archive of %s, small blocks within their CIDs" % shape,
                equal, s, Ipfs(s), dagfs_repo(s), make(), FLAGS + ("--inline", "--inline-limit=128"))
    with_helia(s, (("a small file", lambda: s.file(77)), ("5 MB", lambda: s.file(5 * MIB + 3)),
                   ("a tree", lambda: s.tree(symlinks=False)), ("a wide directory", s.wide)))
    s.check("the same archive as Helia's", equal_to_helia, s)
