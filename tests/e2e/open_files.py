"""More peers than a process may have open files: the daemon keeps some for its own clients, its store and its mounts,
raises the soft limit as far as it may, and says once what does not fit."""

import json
import os
import resource

from lab import Broken, until
from hostile import Attack

FEW = 256   # open files, which no daemon can raise


def limited(soft, hard):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def open_files(it):
    return len(os.listdir("/proc/%d/fd" % it.daemon.pid))


def warnings(it, text):
    return [line for line in it.logged().split("\n") if " warn " in line and text in line]


class Siege:
    def __init__(self, lab, victim):
        self.evil = os.environ.get("EVIL") or os.path.join(os.path.dirname(lab.program), "tests/e2e/evil/evil")
        if not os.access(self.evil, os.X_OK):
            raise Broken("no program at %s: make e2e builds it" % self.evil)
        self.address = victim.address()


def raised(lab):
    it = lab.node("raised").start(wrapper=limited(64, 4096))
    with open("/proc/%d/limits" % it.daemon.pid) as limits:
        soft = int(next(line for line in limits if line.startswith("Max open files")).split()[3])
    lab.check("the soft limit is raised to what its connections need", 1024 < soft <= 4096, soft)
    lab.check("and nothing is said", not warnings(it, "open files"), it.logged())
    it.stop()


def crowded(lab):
    it, honest = lab.node("few"), lab.node("honest").start()
    tree = lab.directory("tree")
    with open(os.path.join(tree, "file"), "wb") as out:
        out.write(b"content")
    cid = it.add(tree)
    it.start(wrapper=limited(FEW, FEW))
    lab.check("what does not fit is said once, at the start", len(warnings(it, "limit of open files is %d" % FEW)) == 1,
              it.logged())
    attacks = [Attack(Siege(lab, it), "silent", 100) for _ in range(4)]
    full = until(lambda: len(it.must("swarm", "peers").out.split("\n")) > 80 and
                 json.loads(it.must("--enc=json", "id").out)["ID"], 30)
    lab.check("with as many idle peers as fit the daemon answers", full)
    lab.check("it keeps files for itself", open_files(it) < FEW - 64, open_files(it))
    point = it.mount("/ipfs/" + cid)
    lab.check("a mount can be made and read", lab.run(["grep", "-q", "content", os.path.join(point, "file")]))
    lab.check("many commands at once are answered", all(done.code == 0 for done in
              [lab.finish(process) for process in [it.begin("id") for _ in range(20)]]))
    done = it.call("swarm", "connect", honest.address())
    lab.check("a person's connection finds room", done.code == 0 and "success" in done.out, done)
    lab.check("no other word of it in the log", len(warnings(it, "open files")) <= 2, warnings(it, "open files"))
    it.umount(point)
    for attack in attacks:
        attack.process.kill()
        attack.process.wait()
    lab.check("they go, and it is as before",
              until(lambda: len(it.must("swarm", "peers").out.split("\n")) <= 2, 60, 0.5), it.must("swarm", "peers").out)
    for node in (it, honest):
        node.stop()


def scenario(lab):
    raised(lab)
    crowded(lab)
