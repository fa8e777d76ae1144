"""Names that Kubo gives are kept by dagfs for others, after it has judged them as Kubo does: who asks has never met
the giver, who is gone by then. And dagfs itself reads by such a name."""

import json
import tempfile

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


def add(node, text):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(text)
        file.flush()
        return node.lines("add", "-Q", file.name)[-1]


def led(taker, words, want):
    """Until the newer record is found: the older one may come first."""
    def heard():
        done = taker.run(*words, check=False)
        return done.stdout.strip() == want
    wait_until("dagfs %s: %s" % (" ".join(words), want), heard, SECONDS, 0.5)


def read(kind, base):
    """dagfs resolves and reads by the name itself and sees a new version."""
    with foreign("kubo") as giver, Dagfs() as taker:
        name = giver.ask("cli key gen --type=%s --ipns-base=%s name" % (kind, base))["out"].strip()
        first, second = (add(taker, text) for text in ("first", "second"))
        join(giver, taker)
        publish(giver, "name", "/ipfs/" + first)
        led(taker, ("resolve", "/ipns/" + name), "/ipfs/" + first)
        led(taker, ("cat", "/ipns/" + name), "first")
        publish(giver, "name", "/ipfs/" + second)
        led(taker, ("resolve", "ipns://" + name), "/ipfs/" + second)
        led(taker, ("cat", "/ipns/" + name), "second")
        led(taker, ("pin", "add", "/ipns/" + name), "pinned %s recursively" % second)


def scenario(s):
    # A key that is not in its name has a record of its own, /pk.
    for kind, records in (("ed25519", 1), ("rsa", 2)):
        s.check("dagfs keeps the name of Kubo's %s key for another Kubo" % kind, kept, kind, records)
    for kind, base in (("ed25519", "base36"), ("ed25519", "b58mh"), ("rsa", "b58mh")):
        s.check("dagfs reads by the name of Kubo's %s key in %s" % (kind, base), read, kind, base)
