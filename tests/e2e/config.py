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
    (["Swarm.ConnMgr.HighWater", "many"], r"Swarm\.ConnMgr\.HighWater must be a whole number"),
    (["--unset", "Mounts.Nothing"], r"does not say Mounts\.Nothing"),
    (["Mounts.Timeout", "\udcff"], r"Mounts\.Timeout: the value is no UTF-8"),
    (["Mo\x1b[31munts", "1"], r"Mo\\x1b\[31munts"),
]

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
    done = node.call("add", "-Q", "/dev/null")
    lab.check("a value of the wrong type is told, not passed over",
              done.code == 1 and "Import.Profile must be one of: unixfs" in done.err, str(done))


def odd_surroundings(lab, node):
    def umask(mask):
        return lambda: os.umask(mask)
    write(node, {})
    for mask in (0, 0o777):
        done = lab.run(node.argv("config", "Mounts.Timeout", "7s"), wrapper=umask(mask))
        mode = stat.S_IMODE(os.stat(os.path.join(node.repo, "config.json")).st_mode)
        lab.check("umask %03o: the file stays its owner's" % mask, done.code == 0 and mode == 0o600 & ~mask,
                  "%s %o" % (done, mode))
    lab.check("without a repository the help is shown all the same",
              lab_module.Node(lab, "none", lab.base + "/none").call("config", "--help"))


def scenario(lab):
    node = lab.node("n")
    refusals(lab, node)
    by_hand(lab, node)
    known_keys(lab, node)
    odd_surroundings(lab, node)
