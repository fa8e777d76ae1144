"""CAR archives: what one exports the other imports, with the same roots and the same bytes."""

from suite import MIB, Ipfs, dagfs_repo, must, same, tool

FLAGS = ("--cid-version=1", "--raw-leaves", "--chunker=size-262144")


def export(s, argv, **rest):
    path = s.path()
    with open(path, "wb") as f:
        f.write(tool(argv, **rest))
    return path


def by_kubo(s, ipfs, node, source, flags):
    """Kubo exports, dagfs imports."""
    cid = ipfs.add(source, *flags)
    car = export(s, [ipfs.program, "--offline", "dag", "export", "--progress=false", cid], env=ipfs.env)
    out = node.run("dag", "import", car).stdout
    must(cid in out, "roots: " + out)
    must(any(cid in line for line in node.lines("pin", "ls")), "the root is not pinned")
    dest = s.path()
    node.run("--offline", "get", "-o", dest, cid)
    same(source, dest)
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


def equal(s, ipfs, node, source):
    """Both write the very same archive: depth first, each block once."""
    cid, kubos = by_kubo(s, ipfs, node, source, FLAGS)
    same(kubos, export(s, [node.program, "--repo", node.repo, "dag", "export", cid]))


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
