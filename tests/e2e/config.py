"""The configuration: keys that nothing reads are refused by name, all others work, and one table tells them to everybody."""

import glob
import json
import os
import re
import stat

import lab as lab_module

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "fs")

# Words after `config`, what stderr says. Nothing may be stored.
REFUSED = [
    (["get", "Routing.Type"], r"no such key in the configuration: get"),
    (["replace", "/etc/hostname"], r"no such key in the configuration: replace"),
    (["show", "x"], r"no such key in the configuration: show"),
    (["edit"], r"no such key in the configuration: edit"),
    (["Foo", "bar"], r"no such key in the configuration: Foo: `dagfs config --help` lists them"),
    (["Datastore.StorageMaxx", "1GB"], r"did you mean Datastore\.StorageMax\?"),
    (["datastore.storagemax", "1GB"], r"did you mean Datastore\.StorageMax\?"),
    (["StorageMax"], r"did you mean Datastore\.StorageMax\?"),
    (["--json", "Swarm", '{"HighWater":5}'], r"no such key in the configuration: Swarm\.HighWater: did you mean"),
    (["--json", "Swarm", "5"], r"Swarm must be an object"),
    (["--bool", "Discovery.MDNS.Enabled", "true"], r"Discovery\.MDNS\.Enabled: .*not built"),
    (["--json", "Discovery.MDNS", '{"Enabled":true}'], r"Discovery\.MDNS\.Enabled: .*not built"),
    (["--json", "Discovery.MDNS", '{"Interval":10}'], r"no such key in the configuration: Discovery\.MDNS\.Interval"),
    (["Import.CidVersion", "2"], r"Import\.CidVersion must be a whole number from 0 to 1"),
    (["Import.UnixFSRawLeaves", "yes"], r"Import\.UnixFSRawLeaves must be true or false"),
    (["Swarm.ConnMgr.HighWater", "many"], r"Swarm\.ConnMgr\.HighWater must be a whole number"),
    (["--unset", "Mounts.Nothing"], r"does not say Mounts\.Nothing"),
    (["Mounts.Timeout", "\udcff"], r"Mounts\.Timeout: the value is no UTF-8"),
    (["Mo\x1b[31munts", "1"], r"Mo\\x1b\[31munts"),
]

# Keys of Import, a value, and the option of `add` that says the same.
IMPORT = [
    ("Import.CidVersion", "0", "--cid-version=0"),
    ("Import.HashFunction", "blake3", "--hash=blake3"),
    ("Import.UnixFSRawLeaves", "false", "--raw-leaves=false"),
    ("Import.UnixFSChunker", "size-1000", "--chunker=size-1000"),
    ("Import.UnixFSFileMaxLinks", "7", "--max-file-links=7"),
    ("Import.UnixFSDirectoryMaxLinks", "3", "--max-directory-links=3"),
    ("Import.UnixFSHAMTDirectoryMaxFanout", "16", "--max-hamt-fanout=16"),
    ("Import.UnixFSHAMTDirectorySizeThreshold", "100B", "--hamt-threshold=100B"),
    ("Import.UnixFSHAMTDirectorySizeEstimation", "links", "--hamt-estimate=links"),
    ("Import.UnixFSDAGLayout", "trickle", "--trickle"),
]
# What an option changes only where the first of these holds.
BESIDE = {"Import.UnixFSHAMTDirectoryMaxFanout": ["Import.UnixFSHAMTDirectorySizeThreshold", "1B"],
          "Import.UnixFSFileMaxLinks": ["Import.UnixFSChunker", "size-1000"],
          "Import.UnixFSDAGLayout": ["Import.UnixFSChunker", "size-10"],
          "Import.UnixFSHAMTDirectorySizeEstimation": ["Import.UnixFSHAMTDirectorySizeThreshold", "345B"]}


def read(node):
    with open(os.path.join(node.repo, "config.json")) as config:
        return config.read()


def write(node, value):
    with open(os.path.join(node.repo, "config.json"), "w") as config:
        json.dump(value, config)


def refusals(lab, node):
    before = read(node)
    for words, want in REFUSED:
        done = node.call("config", *words)
        name = " ".join(words).encode("ascii", "backslashreplace").decode().replace("\x1b", "\\e")
        lab.check("config %s is refused" % name, done.code == 1 and re.search(want, done.err) and not done.out, str(done))
    lab.check("and nothing was stored", read(node) == before)


def known_keys(lab, node):
    """Every key of the help is in the man page and read by the code, shown, and can be set to what is shown."""
    text = node.must("config", "--help").out
    page = node.must("help", "--man", "config").out.replace("\\-", "-")
    keys = {found[1]: found[0] for found in re.finditer(r"^  ([A-Z]\w*(?:\.\w+)*): .*\n(?:      .*\n)*", text, re.M)}
    code = "".join(open(path).read() for path in glob.glob(SOURCES + "/**/*.c", recursive=True)
                   if not path.endswith("config_keys.c"))
    lab.check("the help names all keys", len(keys) > 30 and "Mounts.Timeout" in keys, sorted(keys))
    lab.check("so does the man page", all("\n.B %s\n" % key in page for key in keys))
    unread = [key for key, told in keys.items() if '"%s"' % key not in code and "not built" not in told]
    lab.check("code reads all that are built", not unread, unread)
    wrong = []
    write(node, {})
    for key in keys:
        shown = node.call("config", key)
        again = node.call("config", key, shown.out.strip()) if shown.out != "null" else \
            node.call("config", "--json", key, "null")
        if shown.code or again.code or node.must("config", key).out != shown.out:
            wrong.append((key, str(shown), str(again)))
    lab.check("each is shown as its default, and can be set to it", not wrong, wrong)
    lab.check("such a configuration is one", node.call("repo", "stat"))
    done = node.call("--enc=json", "config", "Swarm.ConnMgr.HighWater")
    lab.check("JSON has Kubo's names", json.loads(done.out) == {"Key": "Swarm.ConnMgr.HighWater", "Value": 96}, str(done))


def by_hand(lab, node):
    """What somebody wrote into the file, or an older version let through."""
    write(node, {"Addresses": {"Swarm": ["/ip4/127.0.0.1/tcp/0"]}, "Bootstrap": [],
                 "Discovery": {"MDNS": {"Enabled": False}}, "Swarm": {"DialTimout": "5s"}})
    done = node.call("daemon")
    lab.check("the daemon refuses a key that nothing reads", done.code == 1 and re.search(
        r"config\.json: no such key in the configuration: Swarm\.DialTimout: did you mean Swarm\.DialTimeout\? .*--unset",
        done.err), str(done))
    lab.check("other commands go on", node.call("repo", "stat"))
    lab.check("the key is removed", node.call("config", "--unset", "Swarm.DialTimout"))
    node.start()
    lab.check("and the daemon starts, with MDNS told to be off", node.call("swarm", "addrs"))
    node.stop()
    write(node, {"Discovery": {"MDNS": {"Enabled": True}}})
    done = node.call("daemon")
    lab.check("MDNS on is refused", done.code == 1 and "Discovery.MDNS.Enabled: finding peers by mDNS is not built" in done.err,
              str(done))
    write(node, {"Import": {"Profile": 5}})
    done = node.call("add", "-Q", lab.base + "/tree-1", "-r")
    lab.check("a value of the wrong type is told, not passed over",
              done.code == 1 and "Import.Profile must be one of: unixfs" in done.err, str(done))


def importing(lab, node):
    tree = lab.directory("tree")
    for number in range(8):
        with open(os.path.join(tree, "file-%d" % number), "wb") as out:
            out.write(lab.random.randbytes(20000))
    add = lambda *options: node.must("add", "-rnQ", "--cache=false", *options, tree).out
    for key, value, option in IMPORT:
        write(node, {})
        if key in BESIDE:
            node.must("config", *BESIDE[key])
        plain, told = add(), add(option)
        node.must("config", key, value)
        said = add()
        lab.check("%s is %s" % (key, option), said == told != plain, (plain, told, said))
    write(node, {"Import": {"UnixFSRawLeaves": True, "Profile": "unixfs-v0-2015"}})
    lab.check("--profile sets them aside", add("--profile=unixfs-v0-2015").startswith("Qm"))
    lab.check("a mode turns raw leaves off", add("--preserve-mode").startswith("Qm"))


def odd_surroundings(lab, node):
    def umask(mask):
        return lambda: os.umask(mask)
    write(node, {})
    for mask in (0, 0o777):
        done = lab.run(node.argv("config", "Mounts.Timeout", "7s"), wrapper=umask(mask))
        mode = stat.S_IMODE(os.stat(os.path.join(node.repo, "config.json")).st_mode)
        lab.check("umask %03o: the file stays its owner's" % mask, done.code == 0 and mode == 0o600,
                  "%s %o" % (done, mode))
    lab.check("without a repository the help is shown all the same",
              lab_module.Node(lab, "none", lab.base + "/none").call("config", "--help"))


def scenario(lab):
    node = lab.node("n")
    refusals(lab, node)
    importing(lab, node)
    by_hand(lab, node)
    known_keys(lab, node)
    odd_surroundings(lab, node)
