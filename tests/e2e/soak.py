"""Hours of ordinary use: reading, adding, pinning, collecting; peers that come and go, some by kill -9. The memory
and the descriptors of the node that stays are written down. Not part of the default run:

    MINUTES=120 tests/e2e/run soak        soak.tsv: the graph's data (SOAK_TABLE=file to choose)"""

import contextlib
import os
import re
import time

from lab import make_tree, write

MINUTES = float(os.environ.get("MINUTES", "120"))
TABLE = os.environ.get("SOAK_TABLE", "soak.tsv")
QUOTA = "256MB"
SAMPLE_SECONDS = 15
WARM_SHARE = 0.25           # of the run: caches fill, tables grow
GROWTH_MAX_KB = 16 << 10    # anonymous memory, from the warm part's peak to the last part's
PINS_MAX = 12
PAUSE = 0.5                 # between two rounds
EXPECTED = re.compile(r" (info|debug) |^$|^Daemon is ready|^Swarm|^Listening|^Initializing|^API")
COLUMNS = ("seconds", "round", "rss_kb", "anon_kb", "descriptors", "threads", "cpu_seconds", "repo_bytes",
           "peers", "log_lines")


class Story:
    def __init__(self, lab):
        self.lab, self.rng = lab, lab.random
        self.began = time.monotonic()
        self.node = lab.node("stays")
        self.node.must("config", "Datastore.StorageMax", QUOTA)
        self.pins, self.rows, self.rounds, self.problems = [], [], 0, []
        self.guests, self.count = {}, 0

    def elapsed(self):
        return time.monotonic() - self.began

    def problem(self, what, detail):
        self.problems.append("round %d: %s: %s" % (self.rounds, what, detail))

    def tree(self, files, longest):
        top = self.lab.directory("tree")
        for i in range(files):
            write(os.path.join(top, "f%d" % i), self.rng.randbytes(self.rng.randrange(1, longest)))
        return top

    def remove(self, top):
        self.lab.run(["rm", "-rf", top])

    # Peers

    def guest_comes(self):
        self.count += 1
        guest = self.lab.node("guest%d" % self.count)
        guest.start()
        top = self.tree(self.rng.randrange(1, 40), 200000)
        guest.shared = (guest.add(top), top)
        guest.connect(self.node)
        self.guests[self.count] = guest

    def guest_goes(self):
        number = self.rng.choice(list(self.guests))
        guest = self.guests.pop(number)
        if self.rng.random() < 0.5:
            guest.kill()
        else:
            guest.stop()
        self.remove(guest.shared[1])
        self.remove(guest.repo)
        with contextlib.suppress(OSError):
            os.unlink(guest.log)

    # What a round does

    def read_from_guest(self):
        cid, top = self.rng.choice(list(self.guests.values())).shared
        point = self.node.mount(cid)
        same = self.lab.run(["diff", "-r", top, point], 120)
        if same.code != 0:
            self.problem("reading a guest's tree", same)
        ended = self.node.umount(point)
        if ended.code != 0:
            self.problem("umount", ended)

    def pin_from_guest(self):
        cid = self.rng.choice(list(self.guests.values())).shared[0]
        done = self.node.call("pin", "add", cid, deadline=120)
        if done.code != 0:
            self.problem("pin add", done)
        elif cid not in self.pins:
            self.pins.append(cid)

    def add(self):
        top = self.tree(self.rng.randrange(1, 60), 300000)
        cid = self.node.add(top)
        self.pins.append(cid)
        self.remove(top)

    def unpin(self):
        while len(self.pins) > PINS_MAX:
            cid = self.pins.pop(self.rng.randrange(len(self.pins)))
            done = self.node.call("pin", "rm", cid)
            if done.code != 0:
                self.problem("pin rm", done)

    def collect(self):
        done = self.node.call("repo", "gc", "-q", deadline=120)
        if done.code != 0:
            self.problem("repo gc", done)

    def guest_reads(self):
        guest = self.rng.choice(list(self.guests.values()))
        if not self.pins:
            return
        done = guest.call("get", "-o", os.path.join(self.lab.base, "got"), self.rng.choice(self.pins),
                          deadline=120)
        if done.code != 0:
            self.problem("a guest's get", done)
        self.remove(os.path.join(self.lab.base, "got"))

    def round(self):
        self.rounds += 1
        if len(self.guests) < 2 or (len(self.guests) < 5 and self.rng.random() < 0.1):
            self.guest_comes()
        elif self.rng.random() < 0.1:
            self.guest_goes()
        for step, chance in ((self.read_from_guest, 0.7), (self.pin_from_guest, 0.3), (self.add, 0.5),
                             (self.guest_reads, 0.4), (self.unpin, 1), (self.collect, 0.1)):
            if self.rng.random() < chance:
                step()
        time.sleep(PAUSE)

    # What is written down

    def sample(self):
        pid = self.node.daemon.pid
        with open("/proc/%d/status" % pid) as status:
            facts = dict(line.split(":", 1) for line in status.read().splitlines())
        with open("/proc/%d/stat" % pid) as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        ticks = os.sysconf("SC_CLK_TCK")
        stat = self.node.call("repo", "stat", "--size-only")
        size = re.search(r"RepoSize: *(\d+)", stat.out)
        peers = self.node.call("swarm", "peers").out.splitlines()
        self.rows.append((round(self.elapsed()), self.rounds, int(facts["VmRSS"].split()[0]),
                          int(facts["RssAnon"].split()[0]), len(os.listdir("/proc/%d/fd" % pid)),
                          int(facts["Threads"]), (int(fields[11]) + int(fields[12])) / ticks,
                          int(size[1]) if size else -1, len(peers), self.node.logged().count("\n")))
        with open(TABLE, "a") as table:
            table.write("\t".join(map(str, self.rows[-1])) + "\n")

    def column(self, name, rows):
        return [row[COLUMNS.index(name)] for row in rows]

    def judge(self):
        warm = [row for row in self.rows if row[0] < self.elapsed() * WARM_SHARE * 2]
        late = [row for row in self.rows if row[0] > self.elapsed() * (1 - WARM_SHARE)]
        check, say = self.lab.check, self.lab.say
        for name in ("rss_kb", "anon_kb", "descriptors", "threads"):
            first, last = self.column(name, warm), self.column(name, late)
            say("%s: %d to %d in the first half, %d to %d in the last quarter" %
                (name, min(first), max(first), min(last), max(last)))
            if name == "anon_kb":
                check("memory is flat", max(last) <= max(first) + GROWTH_MAX_KB)
            if name in ("descriptors", "threads"):
                check("%s are flat" % name, max(last) <= max(first) + 8)
        say("%d rounds, %d guests, %d samples in %s" % (self.rounds, self.count, len(self.rows), TABLE))
        check("nothing failed", not self.problems, self.problems[:5])
        strange = [line for line in self.node.logged().splitlines() if not EXPECTED.search(line)]
        kinds = {}
        for line in strange:
            kind = re.sub(r"\S*\d\S*", "N", line)
            kinds[kind] = kinds.get(kind, 0) + 1
        for kind, times in sorted(kinds.items(), key=lambda item: -item[1])[:20]:
            say("%d times in the log: %s" % (times, kind[:200]))
        check("the log holds no error", not [line for line in strange if " error " in line])


def scenario(lab):
    story = Story(lab)
    with open(TABLE, "w") as table:
        table.write("\t".join(COLUMNS) + "\n")
    story.node.start()
    tree = make_tree(lab.path("mine"), story.rng, 200, 8 << 20, 100)
    point = story.node.mount(story.node.add(tree))
    next_sample = 0
    while story.elapsed() < MINUTES * 60:
        story.round()
        if story.elapsed() >= next_sample:
            story.sample()
            next_sample = story.elapsed() + SAMPLE_SECONDS
            if len(story.rows) % 20 == 0:
                lab.same_trees("its own mount, at %d s" % story.elapsed(), tree, point, 120)
    story.judge()
    lab.check("repo verify", story.node.call("repo", "verify", deadline=300))
    lab.check("umount", story.node.umount(point))
    for guest in story.guests.values():
        guest.stop()
    story.node.stop()
