"""Ordinary programs in a share: sqlite with each journal, rsync twice, make, tar, zip, how editors save, memory maps, locks, holes;
then the same tree by the version's CID."""

import json
import os
import re

SQLITE = """
import sqlite3, sys
for mode in ("delete", "truncate", "persist", "wal"):
    name = sys.argv[1] + "/db-" + mode
    db = sqlite3.connect(name, timeout=20)
    assert db.execute("pragma journal_mode=%s" % mode).fetchone()[0] == mode
    db.execute("create table t(a integer primary key, b text)")
    for i in range(40):
        with db:
            db.executemany("insert into t(b) values(?)", [("x" * (i * 37 % 2000),) for _ in range(50)])
    try:
        with db:
            db.execute("delete from t")
            raise KeyError
    except KeyError:
        pass
    with db:
        db.execute("delete from t where a % 3 = 0")
    db.execute("vacuum")
    other = sqlite3.connect(name)
    assert other.execute("select count(*) from t").fetchone()[0] == 1334
    assert other.execute("pragma integrity_check").fetchone()[0] == "ok"
    other.close()
    db.close()
"""

EDITORS = """
import os, sys
top = sys.argv[1]
def put(name, text):
    with open(os.path.join(top, name), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
def text(name):
    with open(os.path.join(top, name)) as file:
        return file.read()
def at(name):
    return os.path.join(top, name)
put("note", "one")
for i in range(50):                       # vim: the old one aside, a new one in its place, then the old one goes
    os.rename(at("note"), at("note~"))
    put("note", "vim %d" % i)
    assert text("note~") == ("vim %d" % (i - 1) if i else "one")
    os.unlink(at("note~"))
for i in range(50):                       # others: beside, and renamed over
    put(".note.swp", "beside %d" % i)
    os.rename(at(".note.swp"), at("note"))
    assert text("note") == "beside %d" % i
with open(at("note"), "r+") as file:      # in place
    file.truncate(3)
    file.seek(0, 2)
    file.write("|end")
assert text("note") == "bes|end"
log = open(at("log"), "a")
tail = open(at("log"))
for i in range(20):
    log.write("line %d\\n" % i)
    log.flush()
    assert tail.readline() == "line %d\\n" % i
os.unlink(at("log"))                      # unlinked and open
log.write("more")
log.flush()
assert tail.read() == "more" and not os.path.exists(at("log"))
"""

MAPS = """
import fcntl, mmap, os, sys
name = sys.argv[1] + "/map"
with open(name, "wb") as out:
    out.truncate(10 << 20)
assert os.stat(name).st_blocks == 0
with open(name, "r+b") as file:
    with mmap.mmap(file.fileno(), 0) as view:
        view[5 << 20:(5 << 20) + 5] = b"hello"
        view.flush()
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert os.lseek(file.fileno(), 0, os.SEEK_DATA) >= 4 << 20
    os.posix_fallocate(file.fileno(), 0, 11 << 20)
assert open(name, "rb").read()[5 << 20:(5 << 20) + 6] == b"hello\\0" and os.stat(name).st_size == 11 << 20
os.setxattr(name, "user.colour", b"red")
assert os.getxattr(name, "user.colour") == b"red" and os.listxattr(name) == ["user.colour"]
"""

MAKEFILE = """O = $(patsubst %.c,%.o,$(wildcard *.c))
prog: $O
\tgcc -o $@ $O
%.o: %.c all.h
\tgcc -c -o $@ $<
"""


def python(lab, what, text, *words):
    lab.check(what, lab.run(["python3", "-c", text, *words], 120))


def built(lab, point):
    top = os.path.join(point, "project")
    sources = {"Makefile": MAKEFILE, "all.h": "int f0(void);\n", "main.c": '#include "all.h"\nint main(void) { return f0(); }\n'}
    for i in range(20):
        sources["f%d.c" % i] = '#include "all.h"\nint f%d(void) { return %d; }\n' % (i, i)
    lab.must(["mkdir", top])
    for name, text in sources.items():
        lab.must(["python3", "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", os.path.join(top, name), text])
    lab.check("make", lab.shell("make -j4 && ./prog", 120, cwd=top))
    lab.check("a second make does nothing", "up to date" in lab.shell("make", cwd=top).out, lab.shell("make", cwd=top))
    again = lab.shell("touch f3.c && make", cwd=top)
    lab.check("what was touched is made again", again.out.count("gcc -c") == 1, again)


def copied(lab, point, tree):
    lab.check("rsync", lab.run(["rsync", "-a", tree + "/", point + "/synced"], 120))
    again = lab.run(["rsync", "-ain", "--delete", tree + "/", point + "/synced"], 120)
    lab.check("a second rsync has nothing to do", again.code == 0 and not again.out, again)
    lab.shell("cd %s && rm -rf dir3 && echo new >dir1/new && mv dir2 moved" % tree)
    lab.check("rsync --delete", lab.run(["rsync", "-a", "--delete", tree + "/", point + "/synced"], 120))
    lab.same_trees("is equal", tree, point + "/synced")
    lab.check("tar, and out again", lab.shell("mkdir %s/t && tar -C %s -cf - . | tar -C %s/t -xf - && diff -r %s %s/t" % (
        point, tree, point, tree, point), 120))
    lab.check("zip, and out again", lab.shell(
        "cd %s && python3 -m zipfile -c z.zip synced && python3 -m zipfile -e z.zip z && diff -r synced z/synced" % point, 120))
    lab.check("cp within it, by CIDs", lab.shell("cd %s && cp -a synced copy && diff -r synced copy" % point, 120))
    lab.check("mv and rm -r", lab.shell("cd %s && mv copy else && rm -r else t z z.zip && ! test -e else" % point, 120))


def made(lab):
    tree = lab.directory("tree")
    for i in range(8):
        os.makedirs("%s/dir%d/sub" % (tree, i))
        for k in range(20):
            with open("%s/dir%d/%sf%d" % (tree, i, "sub/" if k % 2 else "", k), "wb") as out:
                out.write(lab.random.randbytes(lab.random.choice((0, 10, 5000, 200000))))
        os.symlink("sub/f1", "%s/dir%d/link" % (tree, i))
        os.chmod("%s/dir%d/f0" % (tree, i), 0o640 + i)
    return tree


def scenario(lab):
    node = lab.node("it").start()
    tree = made(lab)
    node.must("share", "create", "life", "--publish=false")
    point = node.mount("life")
    python(lab, "sqlite: each journal, rollback, vacuum, a second reader", SQLITE, point)
    python(lab, "how editors save; files that grow, and that are unlinked", EDITORS, point)
    python(lab, "memory maps, locks, holes, attributes", MAPS, point)
    built(lab, point)
    copied(lab, point, tree)
    told = json.loads(node.must("--enc=json", "share", "sync", "life").out)
    out = lab.path("out")
    node.must("get", "-o", out, told["Tree"], deadline=120)
    lab.same_trees("the version is the same tree", out, point)
    before = lab.run(["ls", "-lR", "--time-style=full-iso", point]).out
    node.must("umount", point)
    node.stop()
    node.start()
    again = node.mount("life")
    after = lab.run(["ls", "-lR", "--time-style=full-iso", again]).out
    clean = [re.sub(r"^%s" % re.escape(where), "", text, flags=re.M) for where, text in ((point, before), (again, after))]
    lab.check("modes and times are the same after a restart", clean[0] == clean[1],
              [pair for pair in zip(*(text.split("\n") for text in clean)) if pair[0] != pair[1]][:3])
    lab.same_trees("and all content", out, again)
    node.must("umount", again)
    node.stop()
