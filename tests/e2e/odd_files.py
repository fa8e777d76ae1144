"""Places that are no files, names that are no names: `get` onto devices, pipes, directories and symlinks, `add` of pipes and
of what changes, entries that no disk can hold, paths with `..` in them."""

import contextlib
import json
import os
import stat

from crafted import Craft
from lab import Broken, until, write

DEPTH = 999


def tell(path):
    """What stands at path, not following it."""
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        return "link to " + os.readlink(path)
    if stat.S_ISREG(info.st_mode):
        with open(path, "rb") as file:
            return file.read().decode()
    return stat.filemode(info.st_mode)


def get_into(lab, node, file):
    """What is no file is written into, and stays what it is. All of it is made here: a program that is wrong replaces it,
    and this runs as root, so no device of the machine's own is named."""
    place = lab.directory("special")
    null, fifo, out, output, open_files = (os.path.join(place, name) for name in ("null", "fifo", "out", "stdout", "fd"))
    os.symlink("/proc/self/fd/1", output)
    os.symlink("/proc/self/fd", open_files)
    os.mknod(null, 0o622 | stat.S_IFCHR, os.makedev(1, 3))
    os.chmod(null, 0o622)
    os.mkfifo(fifo)
    os.symlink("null", os.path.join(place, "link"))
    for name in ("null", "link"):
        lab.check("get -o a %s device" % name, node.call("get", file, "-o", os.path.join(place, name)))
    lab.check("it is the device it was", tell(null) == "crw--w--w-", tell(null))
    lab.check("and the symlink leads there", tell(os.path.join(place, "link")) == "link to null")
    done = lab.shell("cat %s & %s; wait" % (fifo, " ".join(node.argv("get", file, "-o", fifo))))
    lab.check("get -o a pipe is read there", done.code == 0 and "one" in done.out, str(done))
    lab.check("it is the pipe it was", tell(fifo).startswith("p"), tell(fifo))
    words = " ".join(node.argv("get", file, "-o"))
    for what, given, text in (("-", "-", "one"), ("a link as /dev/stdout, a pipe", "%s | cat" % output, "one"),
                              ("a path as /dev/fd/1", "%s/1" % open_files, "one"),
                              ("a link as /dev/stdout, a file", "%s >%s; cat %s" % (output, out, out), "one"),
                              ("a link as /dev/stdout, a file behind its end",
                               "%s >>%s; cat %s" % (output, out, out), "oneone"),
                              ("a path as /dev/fd/5",
                               "%s/5 5>%s >%s.said; cat %s" % (open_files, out, out, out), "one")):
        done = lab.shell("%s %s" % (words, given))
        lab.check("get -o %s" % what, done.code == 0 and done.out == text, str(done))
    lab.check("the link is what it was", tell(output) == "link to /proc/self/fd/1", tell(output))
    for what, cid in (("tree", node.tree), ("symlink", node.link)):
        for given in (null, fifo, "-"):
            done = node.call("get", cid, "-o", given, deadline=20)
            lab.check("a %s cannot come into %s" % (what, os.path.basename(given)), done.code == 1 and
                      "only a file can be written there" in done.err, str(done))
    nested = lab.directory("nested")
    os.mkfifo(os.path.join(nested, "a"))
    done = node.call("get", node.tree, "-o", nested, deadline=20)
    lab.check("a pipe within the target is not replaced", done.code == 1 and "File exists" in done.err and
              tell(os.path.join(nested, "a")).startswith("p"), str(done))


def get_onto(lab, node, file):
    """As Kubo places it. The target holds f (a file), d/ (a directory), d/x, e/ (empty), s -> f, sd -> d."""
    rows = (  # what, --output, what must be there then
        (file, "new", {"new": "one"}), (file, "new/", {"new": "one"}), (file, "f", {"f": "one"}),
        (file, "d", {"d/NAME": "one", "d/x": "x"}), (file, "d/", {"d/NAME": "one"}),
        (file, ".", {"NAME": "one"}), (file, None, {"NAME": "one"}),
        (file, "s", {"s": "one", "f": "f"}), (file, "sd", {"sd": "one", "d/x": "x"}),
        (file, "no/new", "cannot write to no/"), (file, "f/new", "cannot write to f/"),
        (node.link, "new", {"new": "link to nowhere"}), (node.link, "f", {"f": "link to nowhere"}),
        (node.link, "s", {"s": "link to nowhere", "f": "f"}), (node.link, "d", {"d/NAME": "link to nowhere"}),
        (node.tree, "new", {"new/a": "one", "new/sub/b": "two"}),
        (node.tree, "new/deep/er", {"new/deep/er/a": "one"}),
        (node.tree, "d", {"d/a": "one", "d/x": "x"}), (node.tree, "e/", {"e/a": "one"}),
        (node.tree, ".", {"a": "one", "f": "f"}),
        (node.tree, "f", "cannot write to f: Not a directory"),
        (node.tree, "sd", "cannot write to sd: Not a directory"),
        (node.tree + "/sub/../a", None, {"a": "one"}), (node.tree + "/./sub/", None, {"sub/b": "two"}))
    for cid, output, want in rows:
        top = lab.directory("target")
        for name in ("d", "e"):
            os.mkdir(os.path.join(top, name))
        for name in ("f", "d/x"):
            write(os.path.join(top, name), name[-1].encode())
        os.symlink("f", os.path.join(top, "s"))
        os.symlink("d", os.path.join(top, "sd"))
        done = lab.run(node.argv("get", cid, *(["-o", output] if output else [])), cwd=top)
        what = "get %s -o %s" % (node.names.get(cid, cid[59:]), output)
        if isinstance(want, str):
            lab.check(what, done.code == 1 and want in done.err, str(done))
            continue
        found = {name: tell(os.path.join(top, name.replace("NAME", cid))) for name in want
                 if os.path.lexists(os.path.join(top, name.replace("NAME", cid)))}
        lab.check(what, done.code == 0 and found == want, "%s, found %s" % (done, found))
        left = [name for name in os.listdir(top) if name.startswith(".")]
        lab.check("%s leaves nothing else" % what, not left, left)


def deep(lab, node):
    """A tree of 999 directories, one in the other."""
    top = os.open(lab.directory("deep"), os.O_RDONLY)
    out = lab.path("deep-out")
    source = os.readlink("/proc/self/fd/%d" % top)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=top)
        below = os.open("d", os.O_RDONLY, dir_fd=top)
        os.close(top)
        top = below
    file = os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=top)
    os.write(file, b"at the bottom")
    os.close(file)
    os.close(top)
    cid = node.add(source)
    lab.check("a tree of %d directories comes out" % DEPTH, node.call("get", cid, "-o", out))
    lab.check("the same", node.add(out) == cid)
    inner = cid + "/d" * DEPTH + "/file"
    lab.check("and its deepest file is found", node.call("cat", inner).out == "at the bottom")
    done = lab.run(["rm", "-rf", source, out])
    lab.check("(removed)", done)


def add_pipes(lab, node):
    fifo, link = lab.path("fifo"), lab.path("link")
    os.mkfifo(fifo)
    os.symlink(fifo, link)
    want = node.must("add", "-Q", data=b"through a pipe").out
    for words, path in (((), fifo), (("-w",), fifo), (("--dereference-args",), link)):
        done = lab.shell("printf 'through a pipe' >%s & %s; wait" % (
            fifo, " ".join(node.argv("add", *words, path))), deadline=30)
        lab.check("add %s of a pipe reads it" % " ".join(words), done.code == 0 and want in done.out, str(done))
    done = lab.shell("%s <(printf 'through a pipe')" % " ".join(node.argv("add", "-Q", "--dereference-args")))
    lab.check("add <(command) too", done.code == 0 and done.out == want, str(done))
    waiting = node.begin("add", fifo)
    until(lambda: False, 0.3)
    waiting.send_signal(2)
    done = lab.finish(waiting, 20)
    lab.check("Ctrl-C ends the wait for a writer", done.code == 130, str(done))


def add_together(lab, node):
    top = lab.directory("together")
    for name in ("p", "q"):
        os.mkdir(os.path.join(top, name))
        write(os.path.join(top, name, "x"), name.encode())
    before = node.must("pin", "ls").out
    for words in (("p/x", "q/x"), ("p/x", "--stdin-name=x", "-")):
        done = lab.run(node.argv("add", "-w", *words), cwd=top, data=b"input")
        lab.check("add -w %s is refused" % " ".join(words), done.code == 1 and "the name x repeats" in done.err and
                  not done.out, str(done))
    lab.check("and nothing was kept", node.must("pin", "ls").out == before)
    done = lab.run(node.argv("add", "-w", "p/x", "./p/x", "p//x"), cwd=top)
    lab.check("one file three times is one", done.code == 0 and done.out.count(" x") == 1, str(done))
    done = lab.run(node.argv("add", "p/x", "q/x"), cwd=top)
    lab.check("without -w they are two", done.code == 0 and done.out.count(" x") == 2, str(done))


def add_changing(lab, node):
    """Bytes that change end it, attributes do not."""
    for what, change, code in (
            ("chmod", lambda path: os.chmod(path, 0o600), 0), ("ln", lambda path: os.link(path, path + ".2"), 0),
            ("rm", os.unlink, 0), ("mv", lambda path: os.rename(path, path + ".3"), 0),
            ("chown", lambda path: os.chown(path, 1, 1), 0),
            ("append", lambda path: open(path, "ab").write(b"more"), 1),
            ("truncate", lambda path: os.truncate(path, 1), 1)):
        path = lab.path("changing")
        with open(path, "wb") as out:
            out.truncate(2 << 30)
        adding = node.begin("add", "-nQ", "--chunker=buzhash", path)
        if not until(lambda: is_reading(adding.pid, path), 20, 0.001):
            raise Broken("add does not read %s" % path)
        change(path)
        done = lab.finish(adding, 120)
        said = "%s: changed while being read" % path in done.err
        lab.check("%s while it is read" % what, done.code == code and said == (code == 1), str(done))
        for rest in (path, path + ".2", path + ".3"):
            if os.path.exists(rest):
                os.unlink(rest)


def is_reading(pid, path):
    """Has the process read something of path, which it has open?"""
    for number in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            if os.readlink("/proc/%d/fd/%s" % (pid, number)) == path:
                with open("/proc/%d/fdinfo/%s" % (pid, number)) as info:
                    return int(info.readline().split()[1]) > 0
    return False


def names(lab, craft):
    """No entry is left out without a word."""
    node, long = craft.node, "n" * 300
    odd = ["", ".", "..", "a/b", "/etc/evil", long, "twice"]
    cid = craft.directory(*[(name, craft.leaf) for name in odd], ("twice", craft.leaf), ("good", craft.leaf))
    listed = node.must("ls", cid).out
    lab.check("ls shows all of them", len(listed.splitlines()) == 9 and long in listed and "a/b" in listed, listed)
    links = json.loads(node.must("--enc=json", "ls", cid).out)["Objects"][0]["Links"]
    lab.check("so does its JSON", sorted(link["Name"] for link in links) == sorted(odd + ["twice", "good"]), links)
    out = lab.path("names")
    done = node.call("get", cid, "-o", out)
    lab.check("get writes the rest and fails", done.code == 1 and sorted(os.listdir(out)) == ["good", "twice"], str(done))
    lab.check("and names each", all('"%s"' % name in done.err for name in odd), done.err)
    raw = lab.directory("raw")
    with open(os.path.join(os.fsencode(raw), b"r\xff\xc3\xa4"), "wb") as file:
        file.write(b"raw")
    done = node.call("--enc=json", "add", "-r", raw)
    lab.check("add's JSON marks what is no UTF-8", "r\ufffdä" in [json.loads(line)["Name"].split("/")[-1]
                                                                  for line in done.out.splitlines()], str(done))
    cid = node.add(raw)
    done = node.call("--enc=json", "ls", cid)
    lab.check("so does that of ls", json.loads(done.out)["Objects"][0]["Links"][0]["Name"] == "r\ufffdä", str(done))
    lab.check("ls escapes it", node.call("ls", cid).raw.endswith(b" r\\xff\xc3\xa4\n"), node.call("ls", cid).raw)
    out = lab.path("raw-out")
    lab.check("get writes it", node.call("get", cid, "-o", out).code == 0 and
              os.listdir(os.fsencode(out)) == [b"r\xff\xc3\xa4"])


def paths(lab, node):
    for path in ("/sub/../a", "/./a", "//a", "/sub/./../a/", "/sub/../../%s/a" % node.tree):
        done = node.call("cat", node.tree + path)
        lab.check("cat CID%s" % path.replace(node.tree, "CID"), done.out == "one", str(done))
    want = node.must("dag", "stat", node.tree + "/sub").out
    lab.check("dag stat too", node.must("dag", "stat", node.tree + "/a/../sub").out == want)
    point = node.mount(node.tree + "/a/../sub")
    lab.check("and mount", lab.run(["cat", point + "/b"]).out == "two")
    lab.check("umount", node.umount(point))
    done = node.call("cat", node.tree + "/..")
    lab.check("above the root is nothing", done.code == 1 and "no CID" in done.err, str(done))


def scenario(lab):
    craft = Craft(lab)
    node = craft.node
    top = lab.directory("tree")
    os.mkdir(os.path.join(top, "sub"))
    write(os.path.join(top, "a"), b"one")
    write(os.path.join(top, "sub", "b"), b"two")
    node.tree, node.link = node.add(top), craft.symlink("nowhere")
    file = node.add(os.path.join(top, "a"))
    node.names = {node.tree: "TREE", node.link: "LINK", file: "FILE"}
    get_into(lab, node, file)
    get_onto(lab, node, file)
    deep(lab, node)
    add_pipes(lab, node)
    add_together(lab, node)
    add_changing(lab, node)
    names(lab, craft)
    paths(lab, node)
    if node.call("shutdown").code is None:
        lab.check("the daemon of the mount ends", False)
