"""`dagfs files`, in Kubo's words: what each command says and refuses, without a daemon and with one, beside a mount of my/."""

import json
import os

from lab import make_tree, write

HELLO = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"    # of "hello\n"


class Files:
    """Checks commands of one node."""

    def __init__(self, lab, node, how):
        self.lab, self.node, self.how = lab, node, how

    def run(self, *words, data=None):
        return self.node.call("files", *words, **({"data": data} if data is not None else {}))

    def says(self, what, out, *words, data=None):
        done = self.run(*words, data=data)
        self.lab.check("%s: %s" % (self.how, what), done.code == 0 and done.out == out and not done.err, done)

    def refuses(self, what, err, *words, data=None, out=""):
        done = self.run(*words, data=data)
        self.lab.check("%s: %s is refused" % (self.how, what), done.code in (1, 2) and err in done.err and done.out == out, done)


def names(files):
    files.says("ls of nothing", "", "ls")
    files.refuses("mkdir without the one above", "Error: file does not exist", "mkdir", "/a/b")
    files.says("mkdir -p", "", "mkdir", "-p", "/a/b")
    files.says("mkdir -p again", "", "mkdir", "-p", "/a/b")
    files.refuses("mkdir again", "Error: file already exists", "mkdir", "/a")
    files.refuses("a relative path", "Error: paths must start with a leading slash", "mkdir", "a")
    files.refuses("an empty path", "Error: paths must not be empty", "ls", "")
    files.refuses("ls of what is not there", "Error: file does not exist", "ls", "/none")


def content(files):
    files.refuses("write without -e", "Error: file does not exist", "write", "/a/b/f", data=b"hello\n")
    files.says("write -e", "", "write", "-e", "/a/b/f", data=b"hello\n")
    files.says("read", "hello", "read", "/a/b/f")
    files.says("read of a part", "ll", "read", "-o", "2", "-n", "2", "/a/b/f")
    files.refuses("read behind the end", "offset was past end of file (200 > 6)", "read", "-o", "200", "/a/b/f")
    files.refuses("read of a directory", "Error: /a was not a file", "read", "/a")
    files.says("write in the middle", "", "write", "-o", "1", "/a/b/f", data=b"EL")
    files.says("the rest stays", "hELlo", "read", "/a/b/f")
    files.says("write -n", "", "write", "-t", "-n", "3", "/a/b/f", data=b"123456")
    files.says("takes so many bytes", "123", "read", "/a/b/f")
    files.says("write behind the end", "", "write", "-o", "5", "/a/b/f", data=b"x")
    files.lab.check("%s: the gap is zeros" % files.how, files.run("read", "/a/b/f").raw == b"123\0\0x")
    files.says("write -t", "", "write", "-t", "/a/b/f", data=b"hello\n")
    files.says("stat --hash", HELLO, "stat", "--hash", "/a/b/f")
    files.says("stat --size", "6", "stat", "--size", "/a/b/f")
    files.says("stat --format", HELLO + " file 0 6", "stat", "--format=<hash> <type> <childs> <size>", "/a/b/f")
    files.refuses("two formats", "format was set by multiple options", "stat", "--hash", "--size", "/a")
    files.says("ls -l", "f\t%s\t6" % HELLO, "ls", "-l", "/a/b")
    files.says("ls of a file", "f", "ls", "/a/b/f")
    files.refuses("other CIDs", "version 1", "write", "--cid-version=0", "/a/b/f", data=b"")


def moves(files):
    files.says("cp", "", "cp", "/a/b/f", "/g")
    files.refuses("cp onto something", "cp: cannot put node in path /g: directory already has entry by that name", "cp", "/a/b/f", "/g")
    files.says("cp --force", "", "cp", "--force", "/a/b/f", "/g")
    files.says("cp into a directory", "", "cp", "/g", "/a/")
    files.says("cp -p", "", "cp", "-p", "/a", "/x/y/z")
    files.says("with all below it", "hello", "read", "/x/y/z/b/f")
    files.refuses("cp of nothing", "cp: cannot get node from path /none: file does not exist", "cp", "/none", "/h")
    files.says("mv", "", "mv", "/g", "/gg")
    files.says("mv into a directory", "", "mv", "/gg", "/a")
    files.refuses("mv of nothing", "Error: file does not exist", "mv", "/none", "/n")
    files.refuses("mv into itself", "into itself", "mv", "/a/b", "/a/b/c")
    files.says("what is where", "b\ng\ngg", "ls", "/a")
    files.says("touch", "", "touch", "--mtime", "1000", "/a/g")
    files.says("chmod", "", "chmod", "600", "/a/g")
    files.says("both show", "-rw------- 0600 1 Jan 1970, 00:16:40 UTC", "stat", "--format=<mode> <mode-octal> <mtime>", "/a/g")
    files.refuses("rm of a directory", "Error: can't remove some files", "rm", "/x",
                  out='"/x: path is a directory, use -r to remove directories"')
    files.refuses("rm of nothing", "Error: can't remove some files", "rm", "/none", out='"/none: file does not exist"')
    files.refuses("rm of the top", "Error: can't remove some files", "rm", "-r", "/", out='"/: cannot delete root"')
    files.says("rm --force of nothing", "", "rm", "--force", "/none")
    files.says("rm -r", "", "rm", "-r", "/x", "/a")
    files.says("nothing is left", "", "ls", "/")


def trees(lab, node, files, tree):
    """A tree of the network in my/, its CID, and out again."""
    cid = node.add(tree)
    files.says("cp of a tree", "", "cp", "/ipfs/" + cid, "/tree")
    files.says("it has the same CID", cid, "stat", "--hash", "/tree")
    lab.check("%s: no pin is left" % files.how, "files cp" not in node.must("pin", "ls", "--names").out)
    node.must("pin", "rm", cid)
    node.must("repo", "gc", deadline=200)
    out = lab.path("out")
    node.must("get", "-o", out, "/ipfs/" + json.loads(node.must("--enc=json", "files", "flush").out)["Cid"], deadline=200)
    lab.same_trees("%s: my/ keeps it" % files.how, tree, out + "/tree")
    big = lab.path("big")
    write(big, lab.random.randbytes((3 << 20) + 7))
    files.says("write of a file", "", "write", "-e", "-p", "/deep/er/big", big)
    lab.check("%s: its bytes" % files.how, files.run("read", "/deep/er/big").raw == open(big, "rb").read())
    files.says("its CID is that of add", node.add(big), "stat", "--hash", "/deep/er/big")
    listed = json.loads(node.must("--enc=json", "files", "ls", "-l", "/").out)["Entries"]
    lab.check("%s: ls -l as JSON" % files.how, sorted((one["Name"], one["Type"]) for one in listed) == [("deep", 1), ("tree", 1)], listed)
    files.says("rm -r of them", "", "rm", "-r", "/tree", "/deep")


def mounted(lab, node, files):
    """What commands change is shown in a mount at once, and the other way."""
    point = lab.mountpoint()
    node.must("mount", point)
    my = point + "/my"
    lab.run(["ls", "-lR", my])
    files.says("write beside a mount", "", "write", "-e", "/f", data=b"one\n")
    lab.check("a new file is shown", lab.run(["cat", my + "/f"]).out == "one")
    files.says("write -t", "", "write", "-t", "/f", data=b"second\n")
    lab.check("new content is shown", lab.run(["cat", my + "/f"]).out == "second")
    files.says("write into it", "", "write", "-o", "2", "/f", data=b"XY")
    lab.check("a part is shown", lab.run(["cat", my + "/f"]).out == "seXYnd")
    files.says("mv", "", "mv", "/f", "/g")
    lab.check("a move is shown", lab.run(["ls", my]).out == "g" and lab.run(["cat", my + "/f"]).code != 0)
    lab.shell("echo three >%s/g" % my)
    files.says("what the mount wrote", "three", "read", "/g")
    files.says("rm", "", "rm", "/g")
    lab.check("a removal is shown", lab.run(["ls", my]).out == "")
    lab.check("umount", node.umount(point))


def scenario(lab):
    node = lab.node("it")
    tree = lab.path("tree")
    make_tree(tree, lab.random, files=200, big=3 << 20, wide=100)
    os.chmod(tree + "/empty", 0o644)
    files = Files(lab, node, "alone")
    for part in (names, content, moves):
        part(files)
    trees(lab, node, files, tree)
    node.start()
    files = Files(lab, node, "daemon")
    for part in (names, content, moves):
        part(files)
    trees(lab, node, files, tree)
    mounted(lab, node, files)
    node.stop()
