"""A peer that means harm, over real sockets, against a real daemon: one verb of tests/e2e/evil an attack.

While an attack is held the daemon is asked whether it lives; after each, an honest node must get a file from it at
once, and its memory and descriptors must be what they were. Sizes are those of tests/README.md; SCALE=0.1 makes
the large ones smaller. ONLY=verb,verb runs those attacks alone."""

import contextlib
import os
import resource
import select
import subprocess
import time

from lab import Broken, until, write

SCALE = float(os.environ.get("SCALE", "1"))
ONLY = [word for word in os.environ.get("ONLY", "").split(",") if word]
MEMORY_MAX = 16 << 20       # above the start
SOON = 10                   # seconds of an honest fetch
CALM = 30                   # seconds until memory and descriptors are back
FILE = 1 << 20
NOISE_MAX = 4 << 20         # bytes that an attack may add to the log


def scaled(full):
    return max(1, int(full * SCALE))


class Attack:
    """One evil process. It holds its connections until end()."""

    def __init__(self, siege, verb, *words):
        self.siege, self.verb, self.said = siege, verb, ""
        self.process = subprocess.Popen(
            [siege.evil, verb, siege.address, *map(str, words)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2))

    def done(self, seconds):
        """What it says when its harm is done: a dictionary."""
        end = time.monotonic() + seconds
        out = self.process.stdout.fileno()
        while "\n" not in self.said:
            if not select.select([out], [], [], max(0, end - time.monotonic()))[0]:
                raise Broken("evil %s says nothing in %d s" % (self.verb, seconds))
            data = os.read(out, 65536)
            if not data:
                raise Broken("evil %s ended: %s" % (self.verb, self.process.wait(5)))
            self.said += data.decode()
        words = self.said.splitlines()[0].split()
        return {key: int(value) if value.isdigit() else value
                for key, _, value in (word.partition("=") for word in words[1:])}

    def end(self):
        """Lets go; how often it was asked for something."""
        self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        last = self.process.stdout.read().decode().splitlines()[-1:]
        self.process.stdout.close()
        return int(last[0].partition("asked=")[2] or 0) if last else 0


class Siege:
    def __init__(self, lab):
        self.lab = lab
        self.evil = os.environ.get("EVIL") or os.path.join(os.path.dirname(lab.program), "tests/e2e/evil/evil")
        if not os.access(self.evil, os.X_OK):
            raise Broken("no program at %s: make e2e builds it" % self.evil)
        with open(lab.program, "rb") as program:
            self.sanitized = b"__asan_init" in program.read()   # it keeps what was freed, on purpose
        self.victim, self.honest = lab.node("victim"), lab.node("honest")
        self.files = []
        for i in range(60):
            path = lab.path("file")
            write(path, lab.random.randbytes(FILE))
            self.files.append((path, self.victim.add(path)))
        self.victim.start()
        self.honest.start()
        self.address = self.victim.address()
        self.peer = self.victim.identity()["ID"]
        # The first fetches, either way, make what stays: tables, generations of the store.
        theirs = lab.path("theirs")
        write(theirs, lab.random.randbytes(8 * FILE))
        cid = self.honest.add(theirs)
        self.victim.connect(self.honest)
        self.victim.must("cat", cid)
        self.honest.must("swarm", "disconnect", "/p2p/" + self.peer)
        self.fetch("an honest peer is served before")
        self.fetch("and again")
        self.base = self.state()
        self.worst = 0

    def state(self):
        """Memory of its own in bytes, descriptors, processor seconds, log length."""
        pid = self.victim.daemon.pid
        with open("/proc/%d/status" % pid) as status:
            lines = dict(line.split(":", 1) for line in status)
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return {"memory": int(lines["RssAnon"].split()[0]) << 10, "cpu": cpu,
                "rss": int(lines["VmRSS"].split()[0]) << 10,
                "fds": len(os.listdir("/proc/%d/fd" % pid)),
                "log": os.path.getsize(self.victim.log)}

    def fetch(self, what, judge=True):
        """The honest node gets a file that it does not have, over a connection of its own."""
        path, cid = self.files.pop()
        begin = time.monotonic()
        done = self.honest.call("--timeout=%ds" % SOON, "swarm", "connect", self.address, deadline=3 * SOON)
        if done.code == 0:
            done = self.honest.call("--timeout=%ds" % SOON, "cat", cid, deadline=3 * SOON)
        seconds = time.monotonic() - begin
        with open(path, "rb") as file:
            same = done.raw == file.read()
        self.honest.call("swarm", "disconnect", "/p2p/" + self.peer)
        if judge:
            self.lab.check(what, same and seconds < SOON, "%.1f s: %s" % (seconds, done if done.code else "wrong bytes"))
        return seconds if same else None

    def alive(self):
        return self.victim.daemon.poll() is None

    def within(self, state, limit):
        return self.sanitized or state["memory"] - self.base["memory"] < limit

    def calm(self):
        now = self.state()
        return now["fds"] <= self.base["fds"] and self.within(now, MEMORY_MAX)

    def bounded(self, what, limit):
        """While an attack is held."""
        now = self.state()
        self.lab.check(what, self.within(now, limit), "%.1f MiB" % ((now["memory"] - self.base["memory"]) / 2**20))

    @contextlib.contextmanager
    def attack(self, verb, *words, seconds=60):
        """Yields what the attack said, while it is held; then everything has to be as before."""
        begin, before, said = time.monotonic(), self.state(), {}
        attack = Attack(self, verb, *words)
        try:
            said.update(attack.done(seconds))
            during = self.state()
            took = time.monotonic() - begin
            yield said
        finally:
            said["asked"] = attack.end()
        if attack.process.returncode != 0:
            raise Broken("evil %s itself ended with %s" % (verb, attack.process.returncode))
        if not self.alive():
            raise Broken("%s: the daemon ended: %s" % (verb, self.victim.logged()[-600:]))
        self.fetch("%s: then an honest peer is served" % verb)
        until(self.calm, CALM, 0.1)
        after = self.state()
        self.lab.check("%s: descriptors as before" % verb, after["fds"] <= self.base["fds"],
                       "%d, were %d" % (after["fds"], self.base["fds"]))
        grown = after["memory"] - self.base["memory"]
        self.lab.check("%s: memory as before" % verb, self.within(after, MEMORY_MAX), "%.1f MiB more" % (grown / 2**20))
        self.lab.check("%s: no flood of log lines" % verb, after["log"] - before["log"] < NOISE_MAX)
        self.worst = max(self.worst, during["memory"])
        self.lab.say("%s: %s; %.1f s, %.1f s of the daemon's processor, memory +%.1f MiB held, %+.1f after" % (
            verb, " ".join("%s=%s" % pair for pair in said.items()), took, during["cpu"] - before["cpu"],
            (during["memory"] - self.base["memory"]) / 2**20, grown / 2**20))


def expect(siege, verb, said, **wanted):
    for key, value in wanted.items():
        siege.lab.check("%s: %s is %s" % (verb, key, value), said.get(key) == value, said)


def wants(siege):
    """Rows 1 and 3."""
    with siege.attack("wants", scaled(1_000_000), 50, seconds=300) as said:
        expect(siege, "wants", said, peers=50)
        seconds = siege.fetch("wants: an honest peer is served beside them")
        siege.lab.say("served in %.1f s beside %d wants (2 promised on a quiet machine)" % (seconds or -1, said["wants"]))


def objects(siege):
    return siege.victim.must("repo", "stat").out.splitlines()[0]


def unwanted(siege):
    """Row 4."""
    before = objects(siege)
    with siege.attack("unwanted", 10_000) as said:
        expect(siege, "unwanted", said, sent=10_000)
    siege.lab.check("unwanted: the store is unchanged", objects(siege) == before, objects(siege))


def halfopen(siege):
    """Row 13: those before the handshake. 15 seconds are the limit of one."""
    with siege.attack("halfopen", scaled(2000), 8, 25) as said:
        expect(siege, "halfopen", said, drips_out=said["drips"])
        siege.lab.check("halfopen: the daemon answers", siege.victim.call("id", deadline=SOON))
        siege.fetch("halfopen: an honest peer is served beside them")


def silent(siege):
    with siege.attack("silent", 500) as said:
        expect(siege, "silent", said, up=500)
        siege.fetch("silent: an honest peer is served beside them")


def streams(siege):
    with siege.attack("streams", scaled(100_000)):
        siege.fetch("streams: an honest peer is served beside them")


def pings(siege):
    """Row 20: nobody reads the answers. Either it is thrown out, or all answers found room on the way."""
    with siege.attack("pings", scaled(100_000)):
        siege.fetch("pings: an honest peer is served beside them")


def churn(siege):
    """Row 20: streams opened and reset."""
    with siege.attack("churn", scaled(100_000)) as said:
        siege.lab.check("churn: thrown out", said["thrown_out"] == said["links"] > 0, said)


def halves(siege):
    """Row 20: streams opened and ended before a word."""
    with siege.attack("halves", scaled(100_000)) as said:
        # The last one may end within the limits.
        siege.lab.check("halves: thrown out", said["thrown_out"] >= max(1, said["links"] - 1), said)


def closed(verb, *words):
    def run(siege):
        with siege.attack(verb, *words) as said:
            expect(siege, verb, said, closed=said.get("cases", said.get("flipped", 1)))
    return run


def identify(siege):
    """Row 17."""
    with siege.attack("identify", scaled(1_000_000), seconds=120) as said:
        shown = siege.victim.must("id", said["peer"]).out
        siege.lab.check("identify: at most 100 protocols are kept", 0 < shown.count('"/p/') <= 100, shown.count("/p/"))
        siege.lab.check("identify: at most 64 addresses are kept", shown.count("/tcp/4001") <= 64, shown[:300])
        siege.lab.check("identify: more pushes than a burst are refused", said["pushes_refused"] > 0, said)


def forge(siege):
    """Row 14."""
    with siege.attack("forge", scaled(1_000_000), seconds=300) as said:
        shown = siege.victim.must("id", said["peer"]).out
        siege.lab.check("forge: nothing of it is believed", "/tcp/9" not in shown, shown[:300])


def disk(siege):
    """Bytes of the repository without its log of blocks."""
    total = 0
    for top, _, names in os.walk(siege.victim.repo):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(top, name)).st_blocks * 512
    return total


def puts(siege):
    """Row 24."""
    before = disk(siege)
    with siege.attack("puts", scaled(100_000), seconds=120) as said:
        expect(siege, "puts", said, sent=scaled(100_000))
        siege.lab.check("puts: who is refused so often is thrown out", said["links"] > scaled(100_000) / 4000, said)
    siege.lab.check("puts: the disk is unchanged", disk(siege) - before < 1 << 20, disk(siege) - before)


def provides(siege):
    """Row 25. 32 768 records of one peer are kept, under its own name; it is thrown out for more."""
    before = disk(siege)
    with siege.attack("provides", scaled(100_000), seconds=120) as said:
        expect(siege, "provides", said, sent=scaled(100_000))
    siege.lab.check("provides: the disk has its quota", disk(siege) - before < 16 << 20, disk(siege) - before)


def kadflood(siege):
    """Short questions, long answers, nobody reads."""
    with siege.attack("kadflood", 200_000):
        siege.bounded("kadflood: answers that wait are bounded", 64 << 20)


def kadlie(siege):
    with siege.attack("kadlie", 4000) as said:
        cid = siege.files[-1][1]
        done = siege.victim.call("--timeout=10s", "routing", "findprovs", cid, deadline=40)
        siege.lab.check("kadlie: a search ends", done.code is not None, str(done)[:200])
    siege.lab.check("kadlie: was asked", said["asked"] > 0, said)


def varints(siege):
    with siege.attack("varints", seconds=200) as said:
        expect(siege, "varints", said, refused=said["cases"])


def garbage(siege):
    with siege.attack("garbage", scaled(10_000), seconds=200):
        pass


def deaf(siege):
    """Row 20: 64 MiB are asked for by each, and never read."""
    path = siege.lab.path("big")
    write(path, siege.lab.random.randbytes(64 << 20))
    root = siege.victim.add(path)
    listed = siege.victim.must("--enc=json", "dag", "get", root).out
    names = siege.lab.path("names")
    write(names, "\n".join(part.split('"')[0] for part in listed.split('"/":"')[1:]).encode() + b"\n")
    with open(names) as file:
        siege.lab.check("deaf: there is much to ask for", len(file.readlines()) >= 60, listed[:200])
    with siege.attack("deaf", names, 8):
        siege.fetch("deaf: an honest peer is served beside them")
        siege.bounded("deaf: what waits for them is bounded", 64 << 20)


def loris(siege):
    """Messages without an end: 32 MiB of one peer are held, 256 MiB of all."""
    with siege.attack("loris", 12, 12, seconds=120):
        siege.bounded("loris: what is held is bounded", 320 << 20)
        siege.fetch("loris: an honest peer is served beside them")


def reading(verb):
    """The daemon reads from an honest node among peers that are not."""
    def run(siege):
        lab, victim, honest = siege.lab, siege.victim, siege.honest
        path = lab.path("theirs")
        write(path, lab.random.randbytes(3 * FILE))
        cid = honest.add(path)
        missing = honest.must("add", "-Q", "--only-hash", lab.program).out
        with siege.attack(verb, 2) as said:
            if verb != "dier":
                done = victim.call("--timeout=3s", "cat", missing, deadline=60)
                lab.check("%s: nobody else has it: a clear end" % verb,
                          done.code == 1 and "Error: " in done.err, str(done)[:300])
                lab.say("%s: after %.1f s: %s" % (verb, done.seconds, done.err[-120:]))
            # They are asked before there is somebody better.
            reader = victim.begin("--timeout=30s", "cat", cid)
            time.sleep(1)
            victim.must("swarm", "connect", honest.address())
            begin = time.monotonic()
            done = lab.finish(reader, 90)
            with open(path, "rb") as file:
                lab.check("%s: the honest peer's bytes arrive" % verb, done.raw == file.read(), str(done)[:300])
            lab.say("%s: read in %.1f s" % (verb, time.monotonic() - begin))
            victim.call("swarm", "disconnect", "/p2p/" + honest.identity()["ID"])
        lab.check("%s: was asked" % verb, said["asked"] > 0, said)
        done = victim.call("repo", "verify")
        lab.check("%s: the store is sound" % verb, done)
    return run


ATTACKS = {
    "wants": wants, "unwanted": unwanted, "silent": silent, "streams": streams,
    "window": closed("window"), "bigsyn": closed("bigsyn"),
    "pings": pings, "churn": churn, "halves": halves,
    "flip": closed("flip", 50), "lengths": closed("lengths"), "names": closed("names"),
    "identify": identify, "forge": forge, "puts": puts, "provides": provides,
    "kadflood": kadflood, "kadlie": kadlie, "varints": varints, "garbage": garbage,
    "deaf": deaf, "loris": loris, "halfopen": halfopen,
    "liar": reading("liar"), "tease": reading("tease"), "dier": reading("dier"),
}


def scenario(lab):
    siege = Siege(lab)
    for name, attack in ATTACKS.items():
        if not ONLY or name in ONLY:
            attack(siege)
    lab.say("most memory held: +%.1f MiB" % ((siege.worst - siege.base["memory"]) / 2**20))
    siege.honest.stop()
    siege.victim.stop()
