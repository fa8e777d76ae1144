"""CIDs of `add` equal Kubo's, for sizes around every border, trees, large directories and options."""

import os
import shutil

from suite import MIB, Ipfs, dagfs_repo, must

# Each profile with its chunk, its links and the bytes of its CIDs. Kubo without a profile adds as
# unixfs-v0-2015 does, but that CID v1 then brings raw leaves along, as it does in dagfs.
PROFILES = (("unixfs-v0-2015", 256 << 10, 174, 34), ("unixfs-v1-2025", MIB, 1024, 36))
NO_RAW = ("--raw-leaves=false",)     # Kubo refuses raw leaves with modes and times
SMALL = 1024                    # chunk with which layouts get deep


class Pair:
    """One Kubo and one dagfs that add by the same profile."""

    def __init__(self, s, profile, told=True):
        """told: Kubo's configuration names the profile, too."""
        self.s, self.profile = s, profile
        self.ipfs = Ipfs(s, "test," + profile if told else "test")
        self.dagfs = dagfs_repo(s)

    def check(self, what, path, *flags):
        # Kubo's -n cannot do these: it looks for what it did not store.
        stored = any(flag.startswith("--preserve") for flag in flags)
        mode = [] if stored else ["-n"]

        def equal():
            want = self.ipfs.add(path, *mode, *flags)
            got = self.dagfs.lines("add", "-Q", "-r", *mode, "--profile=" + self.profile, *flags, path)
            must(got == [want], "%s, Kubo says %s" % (" ".join(got), want))
        text = " ".join((self.profile, what) + flags)
        self.s.check(text, equal)


def sizes(s, pair, chunk, links):
    for size in sorted({0, 1, 255, 256, chunk - 1, chunk, chunk + 1, 2 * chunk, 2 * chunk + 1,
                        10 * MIB + 3}):
        pair.check("%d bytes" % size, s.file(size))
    for size in (links * SMALL, links * SMALL + 1, 2 * links * SMALL + 1):
        path = s.file(size)
        pair.check("%d bytes" % size, path, "--chunker=size-%d" % SMALL)
        pair.check("%d bytes" % size, path, "--chunker=size-%d" % SMALL, "--trickle")
    # Three levels: links * links chunks, of 16 bytes to keep it small.
    path = s.file(174 * 174 * 16 + 1)
    pair.check("three levels", path, "--chunker=size-16")
    pair.check("three levels", path, "--chunker=size-16", "--trickle")


def options(s, pair):
    path = s.file(3 * MIB + 5)
    for flags in (("--cid-version=0", "--raw-leaves=false"), ("--cid-version=0", "--raw-leaves"),
                  ("--cid-version=1",), ("--cid-version=1", "--raw-leaves=false"),
                  ("--raw-leaves",), ("--raw-leaves=false",), ("--chunker=size-1000",),
                  ("--chunker=size-262144",), ("--chunker=size-1048576",),
                  ("--chunker=rabin",), ("--chunker=rabin-65536",),
                  ("--chunker=rabin-16384-32768-65536",), ("--chunker=buzhash",),
                  ("--trickle",), ("--trickle", "--raw-leaves"),
                  ("--cid-version=1", "--hash=sha2-512"), ("--cid-version=1", "--hash=blake2b-256"),
                  ("--cid-version=1", "--hash=sha3-256"), ("--cid-version=1", "--hash=blake3"),
                  ("-w",)):
        pair.check("3 MiB", path, *flags)
    for size in (0, 1, 1 << 17, MIB, 2 * MIB - 1):
        path = s.file(size)
        for chunker in ("rabin", "buzhash"):
            pair.check("%d bytes" % size, path, "--chunker=" + chunker)
    zeros = s.path()
    s.write(zeros, data=bytes(4 * MIB))
    for chunker in ("rabin", "buzhash", "size-262144"):
        pair.check("4 MiB of zeros", zeros, "--chunker=" + chunker)


def trees(s, pair):
    tree = s.tree()
    s.write(tree, ".hidden", data=b"hidden")
    os.mkdir(os.path.join(tree, ".hidden dir"))
    s.write(tree, ".hidden dir", "x", data=b"x")
    for name in ("a", "A", "aa", "a b", "a.b", "\u00e9", "e\u0301", "z" * 255, "#%?*\\", "\U0001f600"):
        s.write(tree, name, data=name.encode())
    for flags in ((), ("-H",), ("-w",), ("--cid-version=1",), ("--cid-version=0", "--raw-leaves"),
                  ("--cid-version=1", "--hash=blake2b-256"), ("--trickle",),
                  (*NO_RAW, "--preserve-mode"), (*NO_RAW, "--preserve-mtime"),
                  (*NO_RAW, "--preserve-mode", "--preserve-mtime", "-H", "-w")):
        pair.check("a tree", tree, *flags)
    pair.check("an empty directory", s.folder())
    pair.check("an empty directory", s.folder(), "-w")
    chain = top = s.folder()
    for at in range(60):
        chain = os.path.join(chain, "d%d" % at)
        os.mkdir(chain)
    s.write(chain, "f", data=b"deep")
    pair.check("sixty directories deep", top)
    alone = s.folder()
    os.symlink("nowhere", os.path.join(alone, "l"))
    pair.check("a symlink alone", alone)


def filled(s, count, name_len):
    top = s.folder()
    for at in range(count):
        s.write(top, ("%d-" % at).ljust(name_len, "n"), data=b"x")
    return top


def borders(s, pair, link):
    """Directories at and beside the size from which they are sharded."""
    border = 256 << 10
    name_len = 128 - link
    by_links = border // 128
    # A link in the block costs 8 more: three field headers of 2 bytes, and a size of 2.
    by_block = border // (128 + 8)
    counts = {by_links - 1, by_links, by_links + 1, by_links + 2, by_block + 40}
    counts |= set(range(by_block - 3, by_block + 4))
    for count in sorted(counts):
        top = filled(s, count, name_len)
        pair.check("%d entries" % count, top)
        shutil.rmtree(top)
    mixed = s.wide()
    for at in range(0, 300, 3):
        os.mkdir(os.path.join(mixed, "dir %d" % at))
    pair.check("a HAMT of files and directories", mixed)
    pair.check("a HAMT", mixed, *NO_RAW, "--preserve-mode", "--preserve-mtime")
    many = filled(s, 12000, 30)
    pair.check("12000 entries", many)
    pair.check("12000 entries", many, "--cid-version=1")
    shutil.rmtree(many)


def scenario(s):
    for profile, chunk, links, link in PROFILES:
        sizes(s, Pair(s, profile), chunk, links)
        pair = Pair(s, profile, told=profile != "unixfs-v0-2015")
        options(s, pair)
        trees(s, pair)
        borders(s, pair, link)
