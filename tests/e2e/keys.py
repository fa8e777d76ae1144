"""Keys of names: `key gen list rename import export rm`, with names of any bytes, damaged files, and a process that is killed."""

import glob
import os
import signal
import stat
import time

from lab import write


def names(node):
    return node.must("key", "list").out.splitlines()


def words(lab, node):
    """What each command says, and what it refuses."""
    ident = node.must("key", "gen", "a").out.strip()
    lab.check("gen tells the id in base36", ident.startswith("k51qzi5uqu5d") and len(ident) == 62, ident)
    for what, said, *line in (
            ("a name in use", "key with name 'a' already exists", "gen", "a"),
            ("self", "cannot create key with name 'self'", "gen", "self"),
            ("no name", "key name must be at least one character", "gen", ""),
            ("a long name", "key name is longer than 154 bytes", "gen", "x" * 155),
            ("rename of self", "cannot rename key with name 'self'", "rename", "self", "b"),
            ("rename onto self", "cannot overwrite key with name 'self'", "rename", "a", "self"),
            ("rename of nothing", "no key named b was found", "rename", "b", "c"),
            ("rm of self", "cannot remove key with name 'self'", "rm", "self"),
            ("rm of nothing", "no key named b was found", "rm", "a", "b"),
            ("export of self", "cannot export key with name 'self'", "export", "self"),
            ("export of nothing", "key with name 'b' doesn't exist", "export", "b"),
            ("import as self", "cannot import key with name 'self'", "import", "self", "-")):
        done = node.call("key", *line)
        lab.check("%s is refused" % what, done.code == 1 and done.err == "Error: %s" % said, done)
    for line in (("gen", "--type=foo", "b"), ("gen", "--type=rsa", "--size=1024", "b"), ("list", "--ipns-base=nothing"),
                 ("export", "--format=nothing", "a")):
        lab.check("key %s is wrong usage" % " ".join(line), node.call("key", *line).code == 2)
    lab.check("rm of several removes none if one is missing", names(node) == ["self", "a"], names(node))
    long = node.must("key", "list", "-l").out.splitlines()
    lab.check("list -l has the ids", long[1].split() == [ident, "a"], long)
    short = node.must("key", "list", "-l", "--ipns-base=b58mh").out
    lab.check("list in base58", "12D3KooW" in short and node.must("id").out.split('"')[3] in short, short)
    done = node.must("key", "rename", "a", "b")
    lab.check("rename", done.out == "Key %s renamed to b" % ident, done)
    node.must("key", "gen", "a")
    lab.check("rename onto another is refused", node.call("key", "rename", "b", "a").code == 1)
    done = node.must("key", "rename", "-f", "b", "a")
    lab.check("rename -f", done.out == "Key %s renamed to a with overwriting" % ident, done)
    return ident


def files(lab, node, ident):
    """Out and in again, in both formats and for both types."""
    node.must("key", "gen", "--type=rsa", "r")
    for name in ("a", "r"):
        own = node.must("key", "list", "-l").out
        for form in ("libp2p-protobuf-cleartext", "pem-pkcs8-cleartext"):
            file = lab.path("%s-%s" % (name, form))
            node.must("key", "export", "--format", form, "-o", file, name)
            lab.check("%s as %s is for its owner alone" % (name, form), stat.S_IMODE(os.stat(file).st_mode) == 0o600)
            found = node.must("key", "import", "--format", form, "again", file).out.strip()
            lab.check("%s from %s" % (name, form), "%s %s" % (found, name) in " ".join(own.split()), found)
            lab.check("%s from %s through a pipe" % (name, form),
                      node.must("key", "import", "--format", form, "piped", "-", data=open(file, "rb").read()).out.strip() == found)
            raw = node.must("key", "export", "--format", form, "-o", "-", "again").raw
            with open(file, "rb") as data:
                lab.check("%s as %s byte for byte" % (name, form), data.read() == raw)
            node.must("key", "rm", "again", "piped")
    for what, data in (("nothing", b""), ("text", b"hello"), ("much", bytes(1 << 20)), ("a public key", bytes.fromhex("08011220") + bytes(32))):
        write(lab.path("bad"), data)
        done = node.call("key", "import", "bad", lab.path("bad"))
        lab.check("%s is no key" % what, done.code == 1 and done.err.startswith("Error: "), done)
    lab.check("none was kept", names(node) == ["self", "a", "r"], names(node))
    lab.check("the id is the same", node.must("key", "list", "-l").out.find(ident) > 0)


def odd_names(lab, node):
    """Names of any bytes are keys, and never paths."""
    before = sorted(os.listdir(node.repo))
    for name in ("..", "../x", "/", "two\nlines", "\udcff", "-", " "):
        node.must("key", "gen", "--", name)
        lab.check("export of %r" % name, node.must("key", "export", "-o", lab.path("odd"), "--", name))
        done = node.must("key", "rm", "--", name)
        lab.check("rm of %r shows no control characters" % name, done.raw.count(b"\n") == 1, done)
    done = node.call("key", "gen", "x/y")
    lab.check("a name with a slash", done)
    lab.check("needs -o to be exported", node.call("key", "export", "x/y").code == 1)
    node.must("key", "rm", "x/y")
    lab.check("nothing lies beside the keystore", sorted(os.listdir(node.repo)) == before, os.listdir(node.repo))


def damage(lab, node):
    """A file that holds no key is told, the others are shown, and it can be removed."""
    node.must("key", "gen", "broken")
    kept = [name for name in names(node) if name != "self"]
    write(node.repo + "/keystore/key_mjzg623fny", b"no key")   # the base32 of broken
    done = node.call("key", "list")
    lab.check("list tells of it", done.code == 1 and "the file of key 'broken' holds no key" in done.err, done)
    lab.check("and shows the others", done.out.splitlines() == ["self"] + [name for name in kept if name != "broken"], done)
    lab.check("rm removes it", node.call("key", "rm", "broken"))
    lab.check("list", node.call("key", "list"))


def killed(lab, node):
    """Killed in the middle: a key is there whole or not at all."""
    for i in range(40):
        process = lab.begin(node.argv("key", "gen", "k%d" % i))
        time.sleep(lab.random.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        lab.finish(process)
    done = node.call("key", "list", "-l")
    lab.check("every key that is listed is one", done, done)
    alive = [name for name in names(node) if name.startswith("k")]
    lab.check("they can be removed", not alive or node.call("key", "rm", *alive))
    lab.check("a killed one's place is free", node.call("key", "gen", "k0"))


def scenario(lab):
    node = lab.node("n")
    ident = words(lab, node)
    files(lab, node, ident)
    odd_names(lab, node)
    damage(lab, node)
    killed(lab, node)
    node.start()
    lab.check("with a daemon", node.call("key", "gen", "late"))
    lab.check("umask leaves it to its owner", not [name for name in glob.glob(node.repo + "/keystore/*")
                                                  if stat.S_IMODE(os.stat(name).st_mode) != 0o600])
    node.stop()
