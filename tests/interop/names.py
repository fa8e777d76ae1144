"""Names that Kubo gives are kept by dagfs for others, after it has judged them as Kubo does: who asks has never met
the giver, who is gone by then."""

import json

from peers import Dagfs, PeerError, wait_until
from suite import foreign, must

SECONDS = 60
FIRST, SECOND = "/ipfs/bafkqaaa", "/ipfs/bafkqabddmfzgk"


def join(node, middle):
    node.connect(middle.addr)
    node.wait_connected(middle)
    middle.wait_connected(node)


def held(middle):
    stats = json.loads(middle.run("--enc=json", "stats").stdout)
    return max(stats[net]["Values"] for net in ("WAN", "LAN"))


def publish(giver, key, path):
    """Until it is told: a table fills only when identify is through."""
    def told():
        try:
            return giver.ask("cli name publish --resolve=false --key=%s %s" % (key, path), 30)["out"]
        except PeerError as e:
            if "failed to find any peer" in str(e):
                return False
            raise
    wait_until("%s publishes" % giver.name, told, SECONDS, 0.5)


def resolve(taker, name):
    def heard():
        try:
            return taker.ask("cli name resolve --nocache --dht-timeout=10s /ipns/" + name, 20)["out"].strip()
        except PeerError as e:
            if "could not resolve" in str(e) or "not found" in str(e) or "timeout" in str(e):
                return False
            raise
    return wait_until("%s resolves" % taker.name, heard, SECONDS, 0.5)


def kept(kind, records):
    with Dagfs() as middle, foreign("kubo") as taker:
        with foreign("kubo") as giver:
            name = giver.ask("cli key gen --type=%s name" % kind)["out"].strip()
            join(giver, middle)
            publish(giver, "name", FIRST)
            wait_until("dagfs keeps the record", lambda: held(middle) == records, SECONDS)
            publish(giver, "name", SECOND)
        join(taker, middle)
        got = resolve(taker, name)
        must(got == SECOND, "%s points to %s, not %s" % (name, got, SECOND))
        must(held(middle) == records, "%d records" % held(middle))


def scenario(s):
    # A key that is not in its name has a record of its own, /pk.
    for kind, records in (("ed25519", 1), ("rsa", 2)):
        s.check("dagfs keeps the name of Kubo's %s key for another Kubo" % kind, kept, kind, records)
