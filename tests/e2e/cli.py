"""The command line where nothing is as usual: JSON from every command, outputs that are full, locales, umasks, names and
users."""

import json
import os
import re
import stat

import lab as lab_module


def shown(*done):
    """What a command said, for a terminal of any kind."""
    return ascii(" ".join(map(str, done)))


def objects(done):
    return [json.loads(line) for line in done.out.splitlines()]


def own_identity(lab, node, running):
    """id of this node, with a daemon and without."""
    own = json.loads(node.must("id").out)
    peer = own["ID"]
    for words, want in ((("id", peer), own), (("--enc=json", "id", peer), own)):
        done = node.call(*words)
        told = json.loads(done.out) if done.code == 0 else None
        lab.check("%s %s" % (" ".join(words).replace(peer, "OWN_ID"), running), told and told["ID"] == peer and
                  told == want, str(done))
    done = node.call("id", "-f", "<pver>")
    lab.check("id -f '<pver>' %s" % running, done.code == 0 and done.out == "ipfs/0.1.0", str(done))
    done = node.call("id", "-f", r"<id>\t<aver>\n<protocols>")
    lab.check("id -f of more %s" % running, done.out.startswith(peer + "\tdagfs/"), str(done))
    return peer


def direct_pins(lab, node, file, tree):
    cid = node.must("add", "-Q", "--pin=false", file).out
    node.must("pin", "add", "--recursive=false", cid)
    done = node.call("pin", "rm", cid)
    lab.check("pin rm of a direct pin needs no flag", done.code == 0 and done.out == "unpinned " + cid, str(done))
    node.must("pin", "add", "--recursive=false", cid)
    lab.check("nor minds it", node.call("pin", "rm", "--recursive=false", cid))
    root = node.must("add", "-rQ", tree).out
    done = node.call("pin", "rm", "--recursive=false", root)
    lab.check("--recursive=false leaves a recursive pin", done.code == 1 and "is pinned recursively" in done.err, str(done))
    lab.check("it is still there", node.must("pin", "ls", "--type=recursive", root).out == root + " recursive")
    return root, cid


def json_of(lab, node, *words, want=None, code=0, deadline=60):
    """Every line is an object, and has the members that Kubo's have."""
    done = node.call("--enc=json", *words, deadline=deadline)
    try:
        told = objects(done)
    except ValueError:
        told = None
    right = done.code == code and told and (not want or want(told))
    lab.check("--enc=json %s" % " ".join(word[:20] for word in words), right, str(done))
    return told


def json_without_daemon(lab, node, root, file):
    has = lambda *names: lambda told: all(name in told[0] for name in names)
    alone = lab.path("alone")
    with open(alone, "wb") as out:
        out.write(b"a block by itself")
    block = json_of(lab, node, "block", "put", alone, want=has("Key", "Size"))[0]["Key"]
    json_of(lab, node, "block", "stat", block, want=has("Key", "Size"))
    json_of(lab, node, "pin", "add", block, root, want=lambda told: told == [{"Pins": [block, root]}])
    json_of(lab, node, "pin", "verify", "--verbose", want=lambda told: {"Cid": root, "Ok": True} in told)
    json_of(lab, node, "pin", "update", root, block, want=lambda told: told == [{"Pins": [root, block]}])
    json_of(lab, node, "pin", "rm", block, want=lambda told: told == [{"Pins": [block]}])
    json_of(lab, node, "block", "rm", block, want=lambda told: told == [{"Hash": block}])
    node.must("pin", "add", root)
    json_of(lab, node, "block", "rm", root, code=1,
            want=lambda told: told == [{"Hash": root, "Error": "pinned: recursive"}])
    node.must("add", "-Q", "--pin=false", "--chunker=size-7", file)
    json_of(lab, node, "repo", "gc", want=lambda told: all(list(one["Key"]) == ["/"] for one in told))
    json_of(lab, node, "repo", "verify", want=lambda told: told[-1]["Msg"].startswith("verify complete") and
            told[-1]["Progress"] > 0)
    json_of(lab, node, "repo", "stat", want=has("RepoSize", "StorageMax", "NumObjects", "RepoPath", "Version"))
    json_of(lab, node, "pin", "ls", want=lambda told: root in told[0]["Keys"])
    json_of(lab, node, "pin", "ls", "--stream", want=has("Cid", "Type"))
    json_of(lab, node, "ls", root, want=lambda told: told[0]["Objects"][0]["Links"][0]["Name"])
    json_of(lab, node, "dag", "stat", root, want=has("UniqueBlocks", "TotalSize", "DagStats"))
    json_of(lab, node, "dag", "put", file + ".json", want=lambda told: told[0]["Cid"]["/"])
    json_of(lab, node, "add", file, want=has("Name", "Hash", "Size"))
    json_of(lab, node, "version", want=has("Version"))
    json_of(lab, node, "config", "Mounts.Timeout", want=lambda told: told == [{"Key": "Mounts.Timeout", "Value": "30s"}])
    json_of(lab, node, "mount", want=lambda told: told == [{"Mounts": []}])
    json_of(lab, lab.node("fresh", init=False), "init", "--profile", "test", want=has("ID", "Path"))
    json_of(lab, node, "get", root, "-o", lab.path("got"), want=has("Path"))
    archive = lab.path("car")
    with open(archive, "wb") as out:
        out.write(node.must("dag", "export", root).raw)
    json_of(lab, node, "dag", "import", "--stats", archive, want=lambda told: told[0]["Root"]["Cid"]["/"] == root and
            told[-1]["Stats"]["BlockCount"] > 0)


def json_of_daemon(lab, node):
    log = lab.path("ready")
    with open(log, "wb") as out:
        process = lab.begin(node.argv("--enc=json", "daemon"), wrapper=lambda: os.dup2(out.fileno(), 1))
    lab_module.until(lambda: os.path.getsize(log) or process.poll() is not None, 30)
    with open(log) as said:
        told = said.read()
    process.terminate()
    done = lab.finish(process)
    lab.check("--enc=json daemon", told and json.loads(told)["Ready"] and json.loads(told)["Addresses"] and done.code == 0,
              (told, str(done)))


def json_with_daemon(lab, node, other, root):
    peer, own = other.identity()["ID"], node.identity()["ID"]
    address = other.address()
    json_of(lab, node, "swarm", "connect", address, want=lambda told: told == [{"Strings": ["connect %s success" % peer]}])
    json_of(lab, node, "swarm", "peers", want=lambda told: told[0]["Peers"][0]["Peer"] == peer and
            told[0]["Peers"][0]["Direction"] == 2 and told[0]["Peers"][0]["Identify"]["ID"] == peer)
    json_of(lab, node, "swarm", "addrs", want=lambda told: told[0]["Addrs"][own])
    json_of(lab, node, "swarm", "addrs", "local", want=lambda told: told[0]["Strings"])
    json_of(lab, node, "swarm", "addrs", "listen", want=lambda told: told[0]["Strings"])
    json_of(lab, node, "ping", "-n", "1", peer, want=lambda told: [one["Success"] for one in told] == [True] * 3 and
            told[1]["Time"] > 0 and told[2]["Text"].startswith("Average latency"))
    done = node.call("id", "-f", "<pver> <aver>", peer)
    lab.check("id -f of a peer", re.fullmatch(r"ipfs/0\.1\.0 dagfs/[\d.]+", done.out), str(done))
    json_of(lab, node, "id", peer, want=lambda told: told[0]["ProtocolVersion"] == "ipfs/0.1.0")
    json_of(lab, node, "routing", "findpeer", peer, want=lambda told: told[0]["Type"] == 2 and
            told[0]["Responses"][0]["ID"] == peer)
    lab.check("routing provide", node.call("--enc=json", "routing", "provide", root))
    json_of(lab, other, "routing", "findprovs", root, want=lambda told: told[0]["Type"] == 4 and
            told[0]["Responses"][0]["ID"] == own)
    json_of(lab, node, "bitswap", "stat", want=lambda told: told[0]["Wantlist"] == [] and "BlocksReceived" in told[0] and
            isinstance(told[0]["Peers"], list))
    json_of(lab, node, "bitswap", "wantlist", want=lambda told: told == [{"Keys": []}])
    json_of(lab, node, "bitswap", "ledger", peer, want=lambda told: set(told[0]) ==
            {"Peer", "Value", "Sent", "Recv", "Exchanged"})
    json_of(lab, node, "stats", want=lambda told: told[0])
    json_of(lab, node, "log", "level", "all", "warn", want=lambda told: "log level" in told[0]["Message"])
    point = node.mount(root)
    json_of(lab, node, "mount", want=lambda told: told[0]["Mounts"][0]["Mountpoint"] == point)
    node.umount(point)
    json_of(lab, node, "swarm", "disconnect", peer,
            want=lambda told: told == [{"Strings": ["disconnect %s success" % peer]}])


def full_outputs(lab, node, lines):
    """What cannot be written is an error, whatever was to be written."""
    for words in lines:
        with open("/dev/full", "wb") as full:
            process = lab.begin(node.argv(*words), wrapper=lambda: os.dup2(full.fileno(), 1))
        done = lab.finish(process)
        lab.check("%s >/dev/full" % " ".join(word[:20] for word in words), done.code == 1 and
                  re.search(r"(?i)output|no space", done.err), str(done))


def surroundings(lab, node, root, file):
    """Locales, umasks, and a user without home or variables."""
    plain = node.must("ls", root).raw, node.must("add", "-n", file).raw, node.must("repo", "stat").raw
    for locale in ("C", "POSIX", "de_DE.UTF-8", "tr_TR.UTF-8", "ja_JP.eucJP", "x" * 300):

        text = "LC_ALL=%s LANG=%s" % (locale, locale)
        said = [lab.shell("%s '%s' --repo '%s' %s" % (text, lab.program, node.repo, words)).raw
                for words in ("ls " + root, "add -n '%s'" % file, "repo stat")]

        lab.check("locale %s" % locale[:20], tuple(said) == plain, said)
    for mask in (0, 0o022, 0o077):
        fresh = lab.node("umask-%o" % mask, init=False)
        done = lab.run(fresh.argv("init", "--profile", "test"), wrapper=lambda: os.umask(mask))
        added = lab.run(fresh.argv("add", file), wrapper=lambda: os.umask(mask))
        open_to_others = [path for path in walk(fresh.repo) if stat.S_IMODE(os.lstat(path).st_mode) & 0o077]
        lab.check("umask %03o: nothing of a repository is open to others" % mask,
                  done.code == added.code == 0 and not open_to_others, (str(done), open_to_others))
    for what, text, code in (("no HOME", "env -i", 1), ("an empty HOME", "env -i HOME=", 1),
                             ("DAGFS_PATH alone", "env -i DAGFS_PATH='%s'" % node.repo, 0)):
        done = lab.shell("%s '%s' repo stat" % (text, lab.program))
        lab.check(what, done.code == code and (code == 0 or "no place for a repository" in done.err), str(done))
    done = lab.shell("cd '%s' && rmdir ../gone 2>/dev/null; mkdir ../gone && cd ../gone && rmdir ../gone && '%s' --repo '%s' cat %s/file"
                     % (lab.base, lab.program, node.repo, root))
    lab.check("a working directory that is gone", done.code == 0, str(done))


def another_user(lab, file):
    """Somebody who is not root does all of it, with a home of their own."""
    def nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.umask(0o022)
    home, device = lab.directory("home"), lab.path("fuse")
    os.chmod(lab.base, 0o755)
    os.chown(home, 65534, 65534)
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(10, 229))   # theirs too, as on most systems; ours may be root's alone
    os.chmod(device, 0o666)
    lab.must(["mount", "--bind", device, "/dev/fuse"])
    node = lab_module.Node(lab, "u", os.path.join(home, "repo"))
    point = os.path.join(home, "mnt")
    lab.check("a user makes a repository", node.call("init", "--profile", "test", wrapper=nobody))
    root = node.must("add", "-Qw", file, wrapper=nobody).out
    lab.check("a user makes a mountpoint", lab.run(["mkdir", point], wrapper=nobody))
    lab.check("a user mounts", node.call("mount", root, point, wrapper=nobody))
    done = lab.run(["cat", os.path.join(point, os.path.basename(file))], wrapper=nobody)
    with open(file, "rb") as data:
        lab.check("a user reads it", done.code == 0 and done.raw == data.read(), str(done))
    lab.check("root cannot look into it", lab.run(["ls", point]).code != 0)
    done = node.call("pin", "ls", "--type=recursive", wrapper=nobody)
    lab.check("a user's pins", done.code == 0 and root in done.out, str(done))
    out = os.path.join(home, "out")
    lab.check("a user gets", node.call("get", root, "-o", out, wrapper=nobody))
    lab.check("a user unmounts", node.call("umount", point, wrapper=nobody))
    lab.check("nothing stays mounted", not lab.is_mounted(point))
    foreign = [path for path in walk(home) if os.lstat(path).st_uid != 65534]
    lab.check("all of it is the user's", not foreign, foreign)
    lab.must(["umount", "/dev/fuse"])


def walk(path):
    yield path
    for folder, dirs, names in os.walk(path):
        for name in dirs + names:
            yield os.path.join(folder, name)


def odd_names(lab, node):
    """Names of files, pins, repositories and mountpoints that are no text, or look like something else."""
    folder = os.fsencode(lab.directory("odd"))
    odd = [b"-r", b"--help", b"a b", b"new\nline", b"\x1b[31mred", b"caf\xc3\xa9", b"bad\xff\xfe", b"%s%n", b"'\"\\",
             b"x" * 255, "\u202egnp.exe".encode()]
    for name in odd:
        with open(os.path.join(folder, name), "wb") as out:
            out.write(name)
    for name in odd:
        done = lab.run([*node.argv("--enc=json", "add", "--"), os.fsdecode(os.path.join(folder, name))])
        told = done.code == 0 and json.loads(done.out) or {}
        lab.check("add of %a" % name[:20], told.get("Name") == name.decode("utf-8", "replace") and
                  node.must("cat", told["Hash"]).raw == name, shown(done))
    cid = node.must("add", "-rQ", os.fsdecode(folder)).out
    listing = node.must("ls", cid)
    lab.check("ls shows all, one line each", len(listing.raw.splitlines()) == len(odd) and
              not re.search(rb"[\x00-\x09\x0b-\x1f]", listing.raw), shown(listing))
    for name in (b"\xff\xfe", b"\x1b[31mred", b"new\nline", b"-x", "\u00e9".encode()):
        done = lab.run([*node.argv("pin", "add", "--name"), os.fsdecode(name), cid])
        names = node.call("pin", "ls", "--names", cid)
        told = node.call("--enc=json", "pin", "ls", "--names", "--type=recursive", cid)
        lab.check("a pin's name %a" % name, done.code == 0 and not re.search(rb"[\x00-\x09\x0b-\x1f]", names.raw) and
                  json.loads(told.out)["Keys"][cid]["Type"] == "recursive", shown(done, names, told))
    repo = os.path.join(os.fsencode(lab.base), b"repo \xff\n\x1b[1m")
    for words, deadline in ((("init", "--profile", "test"), 30), (("--enc=json", "repo", "stat"), 30), (("repo", "stat"), 30)):
        done = lab.run([lab.program, "--repo", os.fsdecode(repo), *words], deadline=deadline)
        lab.check("a repository with such a name: %s" % " ".join(words), done.code == 0 and
                  b"\x1b" not in done.raw and (words[0] != "--enc=json" or objects(done)), shown(done))


def scenario(lab):
    node, other = lab.node("n"), lab.node("o")
    tree = lab.directory("tree")
    file = os.path.join(tree, "file")
    for name, data in (("file", b"content of a file\n"), ("other", b"x" * 3000), ("file.json", b'{"a":[1,2]}')):
        with open(os.path.join(tree, name), "wb") as out:
            out.write(data)
    own_identity(lab, node, "without a daemon")
    root, _ = direct_pins(lab, node, file, tree)
    json_without_daemon(lab, node, root, file)
    root = node.must("add", "-rQ", tree).out
    surroundings(lab, node, root, file)
    odd_names(lab, node)
    another_user(lab, file)
    lines = [["--help"], ["--version"], ["pin", "--help"], ["cat", "--help"], ["help"], ["help", "--man"],
             ["help", "--man", "config"], ["completion"], ["version"], ["id"], ["config", "show"], ["config", "Bootstrap"],
             ["add", file], ["add", "-r", tree], ["ls", root], ["cat", root + "/file"], ["get", root, "-o", lab.path("out")],
             ["pin", "ls"], ["pin", "add", root], ["pin", "verify", "-v"], ["repo", "stat"], ["repo", "verify"],
             ["block", "put", file], ["block", "get", root], ["block", "stat", root], ["dag", "get", root],
             ["dag", "stat", root], ["dag", "export", root], ["dag", "put", file + ".json"]]
    full_outputs(lab, node, lines + [["--enc=json", *words] for words in lines
                                     if words[0] not in ("get", "--help", "--version", "help", "completion")])
    json_of_daemon(lab, node)
    node.start()
    other.start()
    own_identity(lab, node, "with a daemon")
    json_with_daemon(lab, node, other, root)
    node.connect(other)
    full_outputs(lab, node, [["swarm", "peers"], ["swarm", "addrs"], ["swarm", "connect", other.address()], ["bitswap", "stat"],
                             ["stats"], ["ping", "-n", "1", other.identity()["ID"]], ["log", "level", "all", "warn"]])
    node.stop()
    other.stop()
