"""A share on a disk that becomes full: writing fails with ENOSPC, what was fsynced is there, the daemon goes on, and when room was
made (versions go with the share that had them) it is written again."""

import errno
import json
import os
import re

from lab import until

SIZE = 160 << 20

# Writes files of a megabyte with fsync until one fails: prints how many came, and the error's number.
FILL = """
import os, random, sys
where, seed = sys.argv[1], sys.argv[2]
done = 0
try:
    while done < 1000:
        with open(os.path.join(where, str(done)), "wb") as out:
            out.write(random.Random(seed + str(done)).randbytes(1 << 20))
            out.flush()
            os.fsync(out.fileno())
        done += 1
    print(done, 0)
except OSError as e:
    print(done, e.errno)
"""

LOOK = """
import os, random, sys
where, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for at in range(count):
    if open(os.path.join(where, str(at)), "rb").read() != random.Random(seed + str(at)).randbytes(1 << 20):
        print(at)
"""


def python(lab, text, *words):
    return lab.run(["python3", "-c", text, *map(str, words)], 120)


def whole(lab, what, where, seed, count):
    done = python(lab, LOOK, where, seed, count)
    lab.check("%s: %d files are whole" % (what, count), done.code == 0 and not done.out, done)


def status(node):
    return json.loads(node.must("--enc=json", "share", "status", "s").out)["Shares"][0]


def fill(lab, node, point, seed):
    where = os.path.join(point, seed)
    lab.must(["mkdir", where])
    done = python(lab, FILL, where, seed)
    told = re.match(r"(\d+) (\d+)$", done.out)
    lab.check("%s: writing ends with ENOSPC" % seed, told and int(told[2]) == errno.ENOSPC, done)
    whole(lab, "%s: full" % seed, where, seed, int(told[1]))
    lab.check("%s: some fit" % seed, int(told[1]) > 10, told[1])
    return where, int(told[1])


def scenario(lab):
    image, disk = lab.disk(SIZE)
    node = lab.node("it", repo=os.path.join(disk, "repo"))
    node.must("share", "create", "s", "--publish=false")
    node.start()
    point = node.mount("s")
    where, count = fill(lab, node, point, "first")
    lab.check("reading and listing go on", lab.run(["ls", "-lR", point]).code == 0)
    lab.check("the daemon too", node.call("share", "status"))
    node.kill()
    lab.run(["umount", "-l", point])
    node.start()
    point = node.mount("s")
    where = os.path.join(point, "first")
    whole(lab, "after kill -9", where, "first", count)
    lab.must(["rm", "-r", where])
    lab.must(["sync", "-f", point])
    lab.check("what went is in no version", until(lambda: status(node)["Uncommitted"] == 0, 60, 0.2), status(node))
    node.must("umount", point)
    node.must("share", "rm", "--key", "s")
    node.must("repo", "gc", deadline=120)
    node.must("share", "create", "s", "--publish=false")
    point = node.mount("s")
    fill(lab, node, point, "second")
    node.must("umount", point)
    node.stop()
    lab.must(["umount", disk])
