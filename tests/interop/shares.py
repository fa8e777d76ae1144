"""A dagfs share beside Kubo: Kubo resolves its name, reads the tree, pins a version and serves it when the writer is gone. And
`files`, whose words, output and exit codes are those of `ipfs files`."""

import json
import os
import re
import tempfile

from names import SECONDS, join, publish, resolve
from peers import Dagfs, PeerError, wait_until
from suite import foreign, must, same, tool

# One after the other, on both: what is said has to be the same but for CIDs, sizes of nodes, modes and times.
FILES = [line.split(" ") for line in """
ls
mkdir /a/b
mkdir -p /a/b
mkdir -p /a/b
mkdir /a
write /a/b/f HELLO
write -e /a/b/f HELLO
read /a/b/f
read -o 2 -n 2 /a/b/f
read -o 200 /a/b/f
read /a
stat --format=<size>,<type> /a/b/f
ls -l /a
ls /a/b/f
ls -l /a/b/f
ls /none
cp /a/b/f /g
cp /a/b/f /g
cp /a/b/f /a/
cp /none /h
cp -p /a/b/f /x/y/z
cp /a/b/f /q/z
mv /g /gg
mv /none /n
mv /gg /a
ls /a
rm /a
rm /none
rm --force /none
rm /
rm a
rm -r /a /x
ls a
flush
flush /none
chcid /
chcid --cid-version 1 /
touch /t
write -e /t HELLO
touch --mtime 1000 /t
chmod 600 /t
stat --format=<mode>,<mode-octal>,<mtime> /t
write -t -n 2 /t HELLO
read /t
write /nodir/x HELLO
mkdir /p/q/r
write -e -p /p/q/r HELLO
stat relative
cp /ipfs/bafkqaaa /empty
ls
rm -r /p /t /empty
ls
""".strip().split("\n")]


def masked(text):
    """Without what may differ: CIDs, and times and sizes of nodes in formats."""
    return re.sub(r"\b(Qm[1-9A-HJ-NP-Za-km-z]{44}|baf[a-z2-7]{20,})\b", "CID", text).strip()


def said_by_kubo(peer, words):
    try:
        return True, masked(peer.ask("cli files " + " ".join(words))["out"])
    except PeerError as e:
        return False, masked(str(e))


def said_by_dagfs(peer, words):
    done = peer.run("files", *words, check=False)
    return done.returncode == 0, masked(done.stdout if done.returncode == 0 else done.stderr)


def words():
    with foreign("kubo") as kubo, Dagfs() as dagfs, tempfile.NamedTemporaryFile("w") as file:
        file.write("hello\n")
        file.flush()
        for line in FILES:
            line = [file.name if word == "HELLO" else word for word in line]
            (well, theirs), (good, ours) = said_by_kubo(kubo, line), said_by_dagfs(dagfs, line)
            must(well == good, "files %s: Kubo %s: %s, dagfs %s: %s" % (" ".join(line), well, theirs, good, ours))
            reason = ours.removeprefix("Error: ")
            must(theirs == ours if well else reason in theirs, "files %s: Kubo said %r, dagfs %r" % (" ".join(line), theirs, ours))


def pinned(peer, cid):
    def done():
        try:
            return peer.ask("cli pin add /ipfs/" + cid, 30)
        except PeerError:
            return False
    wait_until("Kubo pins", done, SECONDS, 0.5)


def followed(s):
    with foreign("kubo") as reader, Dagfs() as late:
        with Dagfs() as writer:
            mount, tree, got = s.folder(), s.tree(), s.path()
            join(reader, writer)
            writer.run("share", "create", "plans")
            writer.mount(mount, "plans")
            tool(["cp", "-r", tree + "/.", mount])
            told = json.loads(writer.run("--enc=json", "share", "sync", "plans").stdout)
            name = json.loads(writer.run("--enc=json", "share", "info", "plans").stdout)["Id"]
            must(told["Published"], "nobody took the record: %s" % told)
            found = resolve(reader, name)
            must(found == "/ipfs/" + told["Tree"], "%s leads to %s, not %s" % (name, found, told["Tree"]))
            reader.ask("cli get -o %s /ipns/%s" % (got, name), 60)
            same(got, tree)
            s.write(mount, "three", data=b"another version")
            told = json.loads(writer.run("--enc=json", "share", "sync", "plans").stdout)
            wait_until("Kubo sees the next version", lambda: resolve(reader, name) == "/ipfs/" + told["Tree"], SECONDS, 0.5)
            pinned(reader, told["Tree"])
            writer.umount(mount)
        got = s.path()
        join(late, reader)
        late.run("get", "-o", got, told["Tree"])
        s.write(tree, "three", data=b"another version")
        same(got, tree)


def content(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as e:
        return str(e)


def write_text(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def helia_reads(s):
    with Dagfs() as node, foreign("helia") as helia:
        point, tree, got = s.folder(), s.tree(), s.path()
        join(helia, node)
        node.run("share", "create", "plans")
        node.mount(point, "plans")
        tool(["cp", "-r", tree + "/.", point])
        told = json.loads(node.run("--enc=json", "share", "sync", "plans").stdout)
        helia.ask("get %s %s" % (told["Tree"], got), SECONDS)
        same(got, tree)
        node.umount(point)


def kubo_is_followed(s):
    with foreign("kubo") as kubo, Dagfs() as node:
        join(kubo, node)
        tree, point = s.folder(), s.folder()
        write_text(tree + "/sub/file", "first")
        first = kubo.ask("add " + tree, SECONDS)["cid"]
        name = kubo.ask("cli key gen name")["out"].strip()
        publish(kubo, "name", "/ipfs/" + first)
        node.mount(point, "/ipns/" + name)
        must(content(point + "/sub/file") == "first", "the first version is not shown")
        with open(point + "/sub/file") as held:
            write_text(tree + "/sub/file", "second")
            write_text(tree + "/sub/new", "new")
            second = kubo.ask("add " + tree, SECONDS)["cid"]
            publish(kubo, "name", "/ipfs/" + second)
            wait_until("dagfs follows Kubo's name", lambda: content(point + "/sub/file") == "second", SECONDS, 0.1)
            must(content(point + "/sub/new") == "new", "a part of the second version is missing")
            must(held.read() == "first", "an open file changed")
        node.umount(point)


def scenario(s):
    s.check("Kubo resolves, reads and pins a share, and serves it when the writer is gone", followed, s)
    s.check("files says what Kubo's says", words)
    s.check("Helia reads a version of a share", helia_reads, s)
    s.check("dagfs mounts a name of Kubo and follows it", kubo_is_followed, s)
