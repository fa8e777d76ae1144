"""Names that are published: without a daemon and told later, again before they expire, over restarts and crashes, and from a
repository that was put back from a backup. Two daemons; the other one resolves."""

import json
import shutil
import time

from lab import until, write

PERIOD, LIFE = 2, 6   # seconds, of one node


def added(lab, node, text):
    file = lab.path("file")
    write(file, text.encode())
    return "/ipfs/" + node.add(file)


def record(lab, node, name, *words):
    """What `name inspect` says of the best record, None when there is none."""
    done = node.call("name", "get", *words, name)
    if done.code:
        return None
    told = json.loads(node.must("--enc=json", "name", "inspect", "--dump=false", "--verify", name, data=done.raw).out)
    return {**told["Entry"], **told["Validation"]}


def resolved(node, name, *words):
    done = node.call("name", "resolve", *words, name)
    return done.out if done.code == 0 else None


def leads(lab, what, node, name, path, *words):
    done = []
    lab.check(what, until(lambda: done.append(resolved(node, name, *words)) or done[-1] == path, 30, 0.2), done[-3:])


def words(lab, node):
    """Without a daemon."""
    first, second = added(lab, node, "first"), added(lab, node, "second")
    name = node.must("key", "gen", "site").out
    for what, said, *line in (
            ("publishing offline", "can't publish while offline: pass `--allow-offline` to override", first),
            ("a key that is not there", "no key by the given name was found", "--allow-offline", "-k", "none", first),
            ("what is no path", 'invalid path "foo": invalid CID', "--allow-offline", "foo"),
            ("a sequence that does not grow", "the sequence must be above that of the last record",
             "--allow-offline", "-k", "site", "--sequence=0", first)):
        if what.startswith("a sequence"):
            node.must("name", "publish", "--allow-offline", "-k", "site", first)
        done = node.call("name", "publish", *line)
        lab.check("%s is refused" % what, done.code == 1 and done.err == "Error: " + said, done)
    missing = "/ipfs/bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    lab.check("what is not stored is not published", node.call("name", "publish", "--allow-offline", missing).code == 1)
    lab.check("unless nobody is to look", node.call("name", "publish", "--allow-offline", "--resolve=false", missing))
    done = node.must("name", "publish", "--allow-offline", "-k", "site", second)
    lab.check("publish says what it did", done.out == "Published to %s: %s" % (name, second), done)
    lab.check("by its id, and quietly", node.must("name", "publish", "--allow-offline", "-Q", "-k", name, second[6:]).out == name)
    for shown in (name, "/ipns/" + name, "site", "ipns://site"):
        lab.check("name resolve %s" % shown, resolved(node, shown) == second, resolved(node, shown))
    lab.check("cat by the key's name", node.must("cat", "/ipns/site").out == "second")
    lab.check("ls, resolve and pin add by it", node.call("resolve", "/ipns/site").out == second and node.call("pin", "add", "/ipns/site"))
    lab.check("this node's own name", resolved(node, "self") == missing and node.must("name", "resolve").out == missing)
    told = record(lab, node, "site")
    lab.check("the record is good, its sequence grew once", told and told["Valid"] and told["Sequence"] == 1 and told["TTL"] == 300 * 10**9,
              told)
    node.must("name", "publish", "--allow-offline", "-k", "self", "/ipns/site")
    lab.check("a name of a name is one that others know", resolved(node, "self", "-r=false") == "/ipns/" + name)
    lab.check("and is resolved", resolved(node, "self") == second)
    for line, code in ((("publish", "--lifetime=0", first), 2), (("publish", "--ipns-base=nothing", first), 2), (("inspect", "/dev/null"), 1),
                       (("resolve", "--dht-record-count=-1", "site"), 2), (("put", "site", "/dev/null"), 1), (("get", "."), 1),
                       (("publish", "--allow-offline", "/ipns/" + "x" * 3000), 1)):
        done = node.call("name", *line)
        lab.check("name %s ends with %d" % (" ".join(line)[:60], code), done.code == code and not done.out, done)
    return name, first, second


def told_later(lab, node, other, name, second):
    node.start()
    lab.check("a daemon knows it", resolved(node, name) == second)
    done = node.call("name", "publish", "-k", "site", second)
    lab.check("nobody is there to be told, which is an error", done.code == 1 and "there is a peer" in done.err, done)
    lab.check("or not", node.call("name", "publish", "--allow-offline", "-k", "site", second))
    lab.check("the other does not know it", resolved(other, name) is None)
    other.connect(node)
    leads(lab, "what was published offline is told when a peer comes", other, name, second)


def changes(lab, node, other, name, first, second):
    lab.check("published while both are there", node.call("name", "publish", "-k", "site", "--ttl=1h", first))
    leads(lab, "the other sees it", other, name, first, "-n")
    lab.check("again", node.call("name", "publish", "-k", "site", "--ttl=1h", second))
    leads(lab, "what its owner tells is remembered, though the older one's TTL is not over", other, name, second)
    leads(lab, "--nocache asks", other, name, second, "--nocache")
    lab.check("-s tells it", resolved(other, name, "-s", "-n") == second)
    lab.check("cat of the name on the other", other.must("cat", "/ipns/" + name).out == "second")
    lab.check("one record is enough", resolved(other, name, "-n", "--dht-record-count=1", "--dht-timeout=5s") == second)


def restarts(lab, node, other, name, first, second):
    """Sequences only grow, whatever becomes of the daemon."""
    last, path = record(lab, node, "site")["Sequence"], [second, first]
    for i in range(5):
        work = node.begin("name", "publish", "--allow-offline", "-k", "site", path[i % 2])
        time.sleep(lab.random.random() * 0.2)
        node.kill()
        lab.finish(work)
        now = record(lab, node, "site")
        lab.check("after kill -9 the sequence is %d or more" % last, now["Sequence"] >= last and now["Valid"], now)
        last = now["Sequence"]
        node.start()
        other.connect(node)
    lab.check("published", node.call("name", "publish", "-k", "site", first))
    lab.check("the sequence is above all before", record(lab, other, name)["Sequence"] > last - 1)
    leads(lab, "the other sees the last", other, name, first, "-n")


def restored(lab, node, other, name, first, second):
    """A backup: what was published after it is not undone by it."""
    node.stop()
    backup = lab.path("backup")
    shutil.copytree(node.repo, backup, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
    node.start()
    other.connect(node)
    for path in (second, first, second):
        lab.check("published", node.call("name", "publish", "-k", "site", path))
    top = record(lab, other, name)["Sequence"]
    node.stop()
    shutil.rmtree(node.repo)
    shutil.move(backup, node.repo)
    lab.check("the backup has less", record(lab, node, "site")["Sequence"] < top)
    node.start()
    other.connect(node)
    lab.check("it learns of what came after", until(lambda: resolved(node, name, "-n") == second, 30, 0.3))
    lab.check("published from the backup", node.call("name", "publish", "-k", "site", first))
    now = record(lab, other, name)
    lab.check("goes on above it", now["Sequence"] > top and now["Value"] == first, now)


def again_and_end(lab, node, other):
    """Told again in new records; without the publisher it ends."""
    node.stop()
    node.must("config", "Ipns.RepublishPeriod", "%ds" % PERIOD)
    node.must("config", "Ipns.RecordLifetime", "%ds" % LIFE)
    name = node.must("key", "gen", "short").out
    path = added(lab, node, "short")
    node.must("name", "publish", "--allow-offline", "-k", "short", path)
    time.sleep(LIFE + 1)
    lab.check("of an own name the last record holds after its end", resolved(node, name) == path)
    lab.check("which name get shows", record(lab, node, "short")["Reason"] == "record is expired")
    node.start()
    other.connect(node)
    leads(lab, "it is made anew and told after a restart", other, name, path, "-n")
    seen = set()
    until(lambda: seen.add((record(lab, other, name) or {}).get("Validity")) or len(seen - {None}) >= 3, 30, 0.3)
    lab.check("the other gets ever newer records", len(seen - {None}) >= 3, seen)
    lab.check("with the same sequence", record(lab, other, name)["Sequence"] == 0)
    node.must("key", "rm", "short")
    node.stop()
    lab.check("without its publisher it ends", until(lambda: resolved(other, name, "-n") is None, 3 * LIFE, 0.5))
    lab.check("and is no more remembered", resolved(other, name) is None)


def hostile(lab, other, name):
    """Records that nobody signed so."""
    done = other.call("name", "get", name)
    good = done.raw
    rng, file = lab.random, lab.path("bad")
    for i in range(20):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        write(file, bytes(bad))
        done = other.call("name", "put", "-f", name, file)
        if done.code == 0:   # the first signature is for old readers alone
            told = json.loads(other.must("--enc=json", "name", "inspect", "--verify", name, file).out)
            lab.check("a changed byte that is taken is not signed", told["Validation"]["Valid"], told)
    for what, data in (("nothing", b""), ("much", bytes(1 << 20)), ("text", b"hello")):
        write(file, data)
        lab.check("%s is no record" % what, other.call("name", "put", name, file).code == 1)
    lab.check("the daemon lives", other.call("id"))


def scenario(lab):
    node, other = lab.node("n"), lab.node("o")
    name, first, second = words(lab, node)
    other.start()
    told_later(lab, node, other, name, second)
    changes(lab, node, other, name, first, second)
    hostile(lab, other, name)
    restarts(lab, node, other, name, first, second)
    restored(lab, node, other, name, first, second)
    again_and_end(lab, node, other)
    other.stop()
