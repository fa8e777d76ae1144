"""kill -9 of the daemon while two programs write into a share, with versions and collections beside: what was fsynced is there,
and the tree is one that existed. `ROUNDS=full` for 200 rounds.

    share_kill.py write DIR LOG SEED    the program that writes: makes files one after the other until it fails, logs those fsynced"""

import contextlib
import json
import os
import random
import sys
import time

from lab import Broken, until

ROUNDS = 200 if os.environ.get("ROUNDS") == "full" else 12
DONE_MAX = 2.0      # seconds of writing a round


def content(seed, number):
    """Of a file; its size is now a few bytes, now several chunks."""
    rng = random.Random("%s %s" % (seed, number))
    size = rng.choice((0, 1, 100, 4096, 65536, 70000, 1 << 20, (1 << 20) + 1, 2500000))
    return rng.randbytes(rng.randrange(size + 1) if size > 1 else size)


def sync_dir(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.close(fd)


def write_file(path, data, rng):
    """Straight, or as editors do: beside, and renamed over."""
    name = path + ".new" if rng.random() < 0.5 else path
    with open(name, "wb") as out:
        step = rng.choice((1000, 1 << 16, 1 << 22))
        for at in range(0, len(data), step):
            out.write(data[at:at + step])
        out.flush()
        os.fsync(out.fileno())
    if name != path:
        os.rename(name, path)


def writing(where, log, seed):
    """File N exists only if all before it are whole; each tenth goes again when the log says so."""
    rng = random.Random(seed)
    with open(log, "w") as told:
        for number in range(1000000):
            write_file(os.path.join(where, str(number)), content(seed, number), rng)
            if number % 10 == 9:
                told.write("- %d\n" % (number - 5))
                told.flush()
                os.unlink(os.path.join(where, str(number - 5)))
            sync_dir(where)
            told.write("+ %d\n" % number)
            told.flush()


class Writer:
    def __init__(self, lab, point, round_number, who):
        self.lab, self.seed = lab, lab.random.randrange(1 << 30)
        self.name = "r%d-%d" % (round_number, who)
        self.log = lab.path("log")
        os.close(os.open(self.log, os.O_CREAT | os.O_WRONLY))
        lab.must(["mkdir", os.path.join(point, self.name)])
        self.process = lab.begin([sys.executable, os.path.abspath(__file__), "write", os.path.join(point, self.name), self.log,
                                  str(self.seed)])

    def end(self):
        self.lab.finish(self.process, 30)
        with open(self.log) as log:
            lines = [line.split() for line in log.read().split("\n")[:-1]]
        self.acknowledged = {int(number) for sign, number in lines if sign == "+"}
        self.maybe_gone = {int(number) for sign, number in lines if sign == "-"}
        self.must_be_gone = {number for number in self.maybe_gone if number + 5 in self.acknowledged}

    def look(self, point):
        """What is wrong, as texts."""
        top, wrong = os.path.join(point, self.name), []
        done = self.lab.run([sys.executable, "-c", "import os,sys\n"
                             "for n in os.listdir(sys.argv[1]): print(n)", top])
        if done.code:
            return ["%s is not there: %s" % (self.name, done.err)] if self.acknowledged else []
        names = {int(name) for name in done.out.split() if name.isdigit()}
        for number in sorted(self.acknowledged - self.maybe_gone - names):
            wrong.append("%s/%d was fsynced and is not there" % (self.name, number))
        for number in sorted(self.must_be_gone & names):
            wrong.append("%s/%d was removed and is there again" % (self.name, number))
        last = max(names, default=-1)
        for number in sorted(set(range(last)) - names - self.maybe_gone):
            wrong.append("%s/%d is not there, but %d is" % (self.name, number, last))
        for number in sorted(names):
            read = self.lab.run(["cat", os.path.join(top, str(number))])
            data = content(self.seed, number)
            if read.code or (read.raw != data if number in self.acknowledged or number < last
                             else not data.startswith(read.raw)):
                wrong.append("%s/%d is damaged (%d bytes of %d): %s" % (self.name, number, len(read.raw), len(data), read.err))
        return wrong


def one_round(lab, node, point, number):
    writers = [Writer(lab, point, number, who) for who in range(2)]
    end = time.monotonic() + lab.random.uniform(0.2, DONE_MAX)
    beside = []
    while time.monotonic() < end:
        for process in [one for one in beside if one.poll() is not None]:
            lab.finish(process)
            beside.remove(process)
        if len(beside) < 2:
            beside.append(node.begin(*lab.random.choice((("share", "sync", "s"), ("repo", "gc"), ("repo", "gc"), ("share", "status")))))
        time.sleep(0.02)
    node.kill()
    for writer in writers:
        writer.end()
    for process in beside:
        lab.finish(process, 30)
    lab.run(["umount", "-l", point])
    return writers


def again(lab, node):
    node.start()
    point = lab.mountpoint()
    node.must("mount", "s", point)
    return point


def scenario(lab):
    node = lab.node("it")
    node.must("share", "create", "s", "--publish=false")
    point = again(lab, node)
    files = 0
    for number in range(ROUNDS):
        writers = one_round(lab, node, point, number)
        point = again(lab, node)
        wrong = [text for writer in writers for text in writer.look(point)]
        files += sum(len(writer.acknowledged) for writer in writers)
        if not lab.check("round %d: %s files fsynced" % (number, [len(writer.acknowledged) for writer in writers]), not wrong, wrong[:5]):
            raise Broken("what is wrong stays to be looked at")
        if number % 4 == 3:
            lab.must(["rm", "-r", "--", *(os.path.join(point, writer.name) for writer in writers)])
            node.must("repo", "gc", deadline=200)
    lab.check("some files were written", files > ROUNDS, files)
    lab.check("all becomes a version", until(lambda: json.loads(
        node.must("--enc=json", "share", "status", "s").out)["Shares"][0]["Uncommitted"] == 0, 30, 0.2))
    tree = json.loads(node.must("--enc=json", "share", "sync", "s").out)["Tree"]
    node.must("repo", "gc", deadline=200)
    out = lab.path("out")
    node.must("get", "--offline", "-o", out, tree, deadline=200)
    lab.same_trees("the version is whole", out, point)
    lab.check("umount", node.umount(point))
    node.stop()


if __name__ == "__main__":
    with contextlib.suppress(OSError):  # the daemon was killed
        writing(sys.argv[2], sys.argv[3], int(sys.argv[4]))
