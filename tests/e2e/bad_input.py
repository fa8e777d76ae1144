"""What is wrong gets a message that says what and why, an exit code that is not 0, and changes nothing."""

import os
import re
import socket
import struct
import subprocess

import probe_net

HELLO = "bafkreidon73zkcrwdb5iafqtijxildoonbwnpv7dyd6ef3qdgads2jc4su"  # "hello\n", raw
DIR = "@DIR@"  # the CID of the directory that the scenario adds
BAD_CID = r"^Error: .*(CID|path)"
USAGE, FAILED = 2, 1

# Words, exit code, what stderr says.
COMMANDS = [
    # commands and options
    ([], USAGE, r"(?i)usage"),
    (["ad"], USAGE, r"there is no command 'ad': did you mean 'add' or 'id'\?"),
    (["frobnicate"], USAGE, r"there is no command 'frobnicate'"),
    (["pin"], USAGE, r"pin add"),
    (["pinn"], USAGE, r"there is no command 'pinn': did you mean 'pin' or 'ping'\?"),
    (["comp"], USAGE, r"did you mean 'completion'\?"),
    (["help", "pinn"], USAGE, r"did you mean 'pin' or 'ping'\?"),
    (["frob", "--help"], USAGE, r"there is no command 'frob': `dagfs help` lists them"),
    (["cat", "--offfline", HELLO], USAGE, r"there is no option '--offfline': did you mean '--offline'\?"),
    (["cat", "--off", HELLO], USAGE, r"did you mean '--offset' or '--offline'\?"),
    (["pin", "frob"], USAGE, r"there is no command 'pin frob'"),
    (["\x1b[31m\n"], USAGE, r"there is no command '\\x1b\[31m\\x0a'"),
    (["x" * 5000], USAGE, r"there is no command"),
    (["add", "--frob"], USAGE, r"there is no option '--frob'"),
    (["add", "--recursiv"], USAGE, r"did you mean '--recursive'"),
    (["add", "-Z"], USAGE, r"there is no option '-Z'"),
    (["add", "--cid-version"], USAGE, r"--cid-version needs a value"),
    (["add", "--cid-version=x", "FILE"], USAGE, r"--cid-version must be a whole number"),
    (["add", "--cid-version=7", "FILE"], USAGE, r"(?i)cid.version"),
    (["add", "--pin=perhaps", "FILE"], USAGE, r"--pin must be true or false"),
    (["add", "--hash=md6", "FILE"], USAGE, r"unknown hash function 'md6'"),
    (["add", "--chunker=frob", "FILE"], USAGE, r"(?i)chunker"),
    (["add", "--chunker=size-0", "FILE"], USAGE, r"(?i)chunk"),
    (["add", "--chunker=size-99999999999", "FILE"], USAGE, r"(?i)chunk"),
    (["add", "--profile=frob", "FILE"], USAGE, r"unknown profile 'frob'"),
    (["cat"], USAGE, r"too few arguments: dagfs cat PATH"),
    (["id", "a", "b"], USAGE, r"too many arguments"),
    (["cat", "--offset=-1", HELLO], USAGE, r"--offset must be a size"),
    (["cat", "--length=1e9", HELLO], USAGE, r"--length must be a size"),
    (["--timeout=soon", "cat", HELLO], USAGE, r"--timeout must be a time like"),
    (["--timeout=99999999999999999999h", "cat", HELLO], USAGE, r"--timeout must be a time"),
    (["--enc=xml", "id"], USAGE, r"--enc must be text or json"),
    (["--cid-base=base99", "id"], USAGE, r"--cid-base must be"),
    (["pin", "ls", "--type=frob"], USAGE, r"--type must be all, direct, recursive or indirect"),
    (["help", "frob"], USAGE, r"there is no command 'frob'"),
    (["completion", "fish"], USAGE, r"only bash"),
    # CIDs and paths
    (["cat", "frob"], FAILED, BAD_CID),
    (["cat", ""], FAILED, BAD_CID),
    (["cat", "/"], FAILED, BAD_CID),
    (["cat", "/ipfs/"], FAILED, BAD_CID),
    (["cat", "/ipfs/frob/x"], FAILED, BAD_CID),
    (["cat", "/nowhere/" + HELLO], FAILED, BAD_CID),
    (["cat", "Qm" + "1" * 44], FAILED, BAD_CID),
    (["cat", HELLO[:-1]], FAILED, BAD_CID),
    (["cat", HELLO + "aa"], FAILED, BAD_CID),
    (["cat", "b" + "a" * 10000], FAILED, BAD_CID),
    (["cat", "b\x1b[31m"], FAILED, r"\\x1b\[31m"),
    (["cat", DIR], FAILED, r"is a directory"),
    (["cat", DIR + "/nothing"], FAILED, r'no link named "nothing" under ' + DIR),
    (["cat", DIR + "/file/below"], FAILED, r'"below".*which is no directory'),
    (["cat", DIR + "/" + "x" * 9000], FAILED, r"^Error: "),
    (["cat", "--offline", HELLO], FAILED, r"not stored"),
    (["ls", DIR + "/nothing"], FAILED, r'no link named "nothing"'),
    (["get", DIR + "/nothing"], FAILED, r'no link named "nothing"'),
    (["get", DIR, "-o", "/proc/nothing/x"], FAILED, r"cannot write to /proc/nothing"),
    (["pin", "add", "frob"], FAILED, BAD_CID),
    (["id", "frob"], FAILED, r"'frob' is not a peer's id"),
    (["ping", "-n", "0", "x"], USAGE, r"--count must be 1 or more"),
    (["pin", "rm", HELLO], FAILED, HELLO + " is not pinned"),
    (["pin", "add", HELLO], FAILED, r"cannot pin " + HELLO),
    (["pin", "ls", HELLO], FAILED, r"is not pinned"),
    (["block", "get", "frob"], FAILED, BAD_CID),
    (["block", "stat", HELLO], FAILED, r"cannot get " + HELLO),
    (["block", "rm", DIR], FAILED, r"pinned: recursive"),
    (["block", "rm", HELLO], FAILED, HELLO),
    (["block", "put", "--mhtype=frob", "FILE"], USAGE, r"unknown hash function 'frob'"),
    (["block", "put", "--cid-codec=frob", "FILE"], USAGE, r"unknown codec 'frob'"),
    (["block", "put", "--cid-version=7", "FILE"], USAGE, r"--cid-version is not within 0\.\.1"),
    (["block", "put", "--cid-version=0", "FILE"], USAGE, r"CID version 0 has no codec but dag-pb"),
    (["routing", "findprovs", "-n", "-5", HELLO], USAGE, r"--num-providers must be 0 or more"),
    (["log", "level", "all", "loud"], USAGE, r"the level must be error, warn, info or debug"),
    (["--repo=", "repo", "stat"], USAGE, r"--repo must not be empty"),
    (["block", "put", "BIG"], FAILED, r"larger than allowed"),
    # files
    (["add", "/nothing/here"], FAILED, r"/nothing/here.*(not found|No such file)"),
    (["add", "TREE"], FAILED, r"is a directory, use the '-r' flag"),
    (["add", "/dev/null"], FAILED, r"cannot add /dev/null"),
    (["add", "-r", "TREEFIFO"], FAILED, r"cannot add .*fifo"),
    # what needs a daemon
    (["swarm", "peers"], FAILED, r"no daemon runs for .*start one with `dagfs daemon`"),
    (["ping", "12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF"], FAILED, r"no daemon runs"),
    (["--offline", "swarm", "peers"], FAILED, r"needs the daemon"),
    (["shutdown"], FAILED, r"no daemon runs"),
    (["bitswap", "stat"], FAILED, r"no daemon runs"),
    # configuration
    (["init"], FAILED, r"there is a repository at .* already"),
    (["config", "Nothing.Here"], FAILED, r"no such key in the configuration: Nothing.Here"),
    (["config", "Datastore.StorageMax", "much"], FAILED, r"Datastore.StorageMax must be a size"),
    (["config", "Mounts.Timeout", "soon"], FAILED, r"Mounts.Timeout must be a time"),
    (["config", "Routing.Type", "frob"], FAILED, r"Routing.Type must be one of: auto"),
    (["config", "--json", "--", "Swarm.ConnMgr.LowWater", "-5"], FAILED, r"LowWater must be a whole number"),
    (["config", "--json", "Addresses.Swarm", '["/ip4/nothing"]'], FAILED,
     r"Addresses.Swarm must be a list of multiaddresses"),
    (["config", "--json", "Addresses.Swarm", "["], FAILED, r"Addresses.Swarm: '\[' is not JSON"),
    (["config", "--json", "Bootstrap", '"x"'], FAILED, r"Bootstrap must be a list of multiaddresses"),
    (["config", "..", "x"], FAILED, r"no such place|no such key"),
]

# With a daemon running.
DAEMON_COMMANDS = [
    (["swarm", "connect", "frob"], FAILED, r"^Error: .*frob"),
    (["swarm", "connect", "/ip4/127.0.0.1/tcp/1"], FAILED, r"(?i)peer|p2p"),
    (["swarm", "connect", "/ip4/127.0.0.1/tcp/1/p2p/frob"], FAILED, r"^Error: .*"),
    (["swarm", "connect", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF"],
     FAILED, r"(?i)refused"),
    (["swarm", "disconnect", "12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF"], FAILED,
     r"(?i)not connected|no connection|not found"),
    (["ping", "frob"], FAILED, r"frob"),
    (["id", "frob"], FAILED, r"frob"),
    (["routing", "findpeer", "frob"], FAILED, r"frob"),
    (["routing", "findprovs", "frob"], FAILED, r"frob"),
    (["daemon"], FAILED, r"(?i)already|runs"),
    (["--timeout=1s", "cat", HELLO], FAILED, r"no answer in time|no peer"),
    # mountpoints
    (["mount", DIR, "/nothing/here"], FAILED, r"/nothing/here.*(does not exist|not found)"),
    (["mount", DIR, "FILE"], FAILED, r"not a directory"),
    (["mount", "frob", "TREE"], FAILED, r"frob"),
    (["mount", DIR + "/nothing", "TREE"], FAILED, r'no link named "nothing"|nothing.*not found'),
    (["mount", DIR, "REPO"], FAILED, r"(?i)store"),
    (["umount", "TREE"], FAILED, r"(?i)not.*mount|no.*mount|nothing is mounted"),
    (["umount", "/nothing/here"], FAILED, r"(?i)nothing"),
]


class Bad:
    def __init__(self, lab):
        self.lab, self.places = lab, {}
        self.node = lab.node("n")

    def prepare(self):
        lab = self.lab
        tree = lab.directory("tree")
        with open(os.path.join(tree, "file"), "wb") as out:
            out.write(b"content")
        other = lab.directory("tree")
        os.mkfifo(os.path.join(other, "fifo"))
        big = lab.path("big")
        with open(big, "wb") as out:
            out.write(bytes(5 << 20))
        self.places = {DIR: self.node.add(tree), "FILE": os.path.join(tree, "file"), "BIG": big,
                       "TREE": lab.directory("place"), "TREEFIFO": other, "REPO": self.node.repo}

    def put(self, text):
        for mark, place in self.places.items():
            text = place if text == mark else text.replace(DIR, self.places[DIR])
        return text

    def table(self, rows, deadline=30):
        for words, code, want in rows:
            done = self.node.call(*map(self.put, words), deadline=deadline)
            name = " ".join(words)[:60].replace("\n", "\\n").replace("\x1b", "\\e") or "(nothing)"
            right = done.code == code if code else done.code in (1, 2)
            wrong_said = "" if right else "exit code; "
            if not re.search(self.put(want), done.err, re.M):
                wrong_said += "message lacks /%s/; " % want
            if re.search(r"[\x00-\x08\x0b-\x1f]", done.err):
                wrong_said += "control characters in the message; "
            self.lab.check(name, not wrong_said, wrong_said + str(done))

    def state(self):
        """What must not change."""
        stat = self.node.must("repo", "stat").out
        with open(os.path.join(self.node.repo, "config.json")) as config:
            return re.search(r"NumObjects:\s*(\d+)", stat)[1], self.node.must("pin", "ls").out, \
                config.read(), sorted(os.listdir(self.lab.base))


def repositories(bad):
    """Repositories that are missing, broken or forbidden."""
    lab = bad.lab

    def tell(what, node, want, words=("repo", "stat"), code=FAILED):
        done = node.call(*words)
        lab.check(what, done.code == code and re.search(want, done.err), str(done))

    tell("no repository", lab.node("none", init=False), r"no repository at .*run `dagfs init`")
    tell("no repository for add", lab.node("none", init=False), r"no repository", ("add", lab.base))
    tell("no repository for the daemon", lab.node("none", init=False), r"no repository", ("daemon",))
    tell("no repository for mount", lab.node("none", init=False), r"no repository",
         ("mount", bad.places["TREE"]))
    lab.check("none was made", not os.path.exists(os.path.join(lab.base, "repo-none")))
    tell("a file as repository", lab.node("f", bad.places["FILE"], init=False), r"(?i)not a directory")
    tell("init below a file", lab.node("f", bad.places["FILE"] + "/x", init=False),
         r"cannot make a repository at .*(?i:not a directory)", ("init",))
    tell("init with a bad profile", lab.node("p", init=False), r"unknown profile 'frob'",
         ("init", "--profile", "frob"), USAGE)
    lab.check("none was made of it", not os.path.exists(os.path.join(lab.base, "repo-p")))
    for what, text, want in (
            ("config.json cut off", '{"Addresses": {', r"config.json, line \d+ column \d+: "),
            ("config.json empty", "", r"config.json, line \d+"),
            ("config.json a list", "[]", r"config.json.*not a JSON object"),
            ("config.json with a key twice", '{"a":1,"a":2}', r"config.json.*duplicate"),
            ("config.json with a bad size", '{"Datastore":{"MapSize":"x"}}', r"Datastore.MapSize"),
            ("config.json not UTF-8", b'{"a":"\xff"}', r"config.json.*(?i:utf|decode)")):
        node = lab.node("c")
        with open(os.path.join(node.repo, "config.json"), "wb") as config:
            config.write(text if isinstance(text, bytes) else text.encode())
        tell(what, node, want)
        os.unlink(os.path.join(node.repo, "config.json"))
    node = lab.node("d")
    with open(os.path.join(node.repo, "config.json"), "w") as config:
        config.write('{"Routing":{"Type":"frob"}}')
    tell("the daemon checks its configuration", node, r"Routing.Type must be one of", ("daemon",))
    for what, data in (("missing", None), ("empty", b""), ("garbage", os.urandom(64))):
        node = lab.node("i-" + what)
        os.unlink(os.path.join(node.repo, "identity.key"))
        if data is not None:
            with open(os.path.join(node.repo, "identity.key"), "wb") as key:
                key.write(data)
        tell("identity.key " + what, node, r"(cannot read the|there is no) identity in .*identity.key")
    node = lab.node("s")
    file = lab.path("before-the-garbage")
    with open(file, "wb") as small:
        small.write(b"something to store")
    node.must("add", "-q", file)
    for folder, _, names in os.walk(os.path.join(node.repo, "store")):
        if "data.mdb" in names:
            with open(os.path.join(folder, "data.mdb"), "wb") as data:
                data.write(os.urandom(100000))
    done = node.call("repo", "stat")
    lab.check("a store full of garbage is set aside, and that is said",
              done.code == 0 and "damaged" in done.err and "NumObjects: 0" in done.out, str(done))
    lab.check("and not deleted", any(name.startswith("damaged-") for name in os.listdir(node.repo + "/store")))
    lab.check("the pin is known to be incomplete", "incomplete" in node.call("pin", "verify").out)


def permissions(bad):
    """As somebody who may not."""
    lab, node = bad.lab, bad.node
    os.chmod(lab.base, 0o755)
    mode = os.stat(node.repo).st_mode & 0o777
    lab.check("a repository is its owner's alone", mode == 0o700, oct(mode))
    key = os.stat(os.path.join(node.repo, "identity.key")).st_mode & 0o777
    lab.check("so is its key", key == 0o600, oct(key))

    def nobody():
        os.setgid(65534)
        os.setuid(65534)
    done = lab.run(node.argv("repo", "stat"), wrapper=nobody)
    lab.check("somebody else's repository", done.code == 1 and re.search(r"(?i)permission", done.err),
              str(done))
    done = lab.run([lab.program, "--repo", "/proc/x/y", "init"], wrapper=nobody)
    lab.check("init where nobody may write", done.code == 1 and "cannot make" in done.err, str(done))


def sockets(bad):
    """Garbage on the control socket and the swarm's port: the daemon lives and goes on serving."""
    lab, node, rng = bad.lab, bad.node, bad.lab.random
    frame = lambda length, kind, body=b"": struct.pack(">IIB", length, 1, kind) + body
    bodies = [b"", b"\0" * 9, b"\xff" * 64, rng.randbytes(5000), frame(0xffffffff, 1), frame(0, 1),
              frame(5, 99, b"x"), frame(3, 1, b"{x}"), frame(2, 1, b"{}"), frame(12, 1, b'{"cmd":1,"":'),
              frame(16, 1, b'{"cmd":"frob!!"}'), frame(9, 5, bytes(4)), frame(9, 9, b"\xff" * 9),
              frame(1, 10, b"\xff"), frame(100, 1, b"cut")]
    path = os.path.join(node.repo, "control.sock")
    for body in bodies + [rng.randbytes(rng.randrange(2000)) for _ in range(40)]:
        probe_net.send_unix(path, body)
    lab.check("garbage on the control socket", node.call("swarm", "peers"))
    lab.check("control.sock is its owner's alone", os.stat(path).st_mode & 0o777 == 0o600)
    host, port = probe_net.tcp_of(node.address())
    multistream = b"\x13/multistream/1.0.0\n"
    for body in [b"", b"GET / HTTP/1.1\r\n\r\n", multistream, multistream + b"\x07/noise\n" + b"\xff" * 300,
                 multistream + b"\x07/noise\n\0\0", multistream * 5000, b"\xff" * 100000,
                 multistream + rng.randbytes(3000)] + [rng.randbytes(200) for _ in range(40)]:
        probe_net.send_tcp(host, port, body)
    lab.check("garbage on the swarm's port", node.call("swarm", "peers"))
    hold = [socket.create_connection((host, port), 5) for _ in range(100)]
    lab.check("100 silent connections", node.call("id"))
    for sock in hold:
        sock.close()
    lab.check("the daemon still runs", node.daemon.poll() is None, node.logged()[-300:])


def odd_mounts(bad):
    """What may be done with mounts in the wrong order."""
    lab, node = bad.lab, bad.node
    point = node.mount(bad.places[DIR])
    done = node.call("mount", bad.places[DIR], point)
    lab.check("mounted on already", done.code == 1 and re.search(r"(?i)already", done.err), str(done))
    lab.check("the first mount goes on", lab.run(["cat", point + "/file"]).out == "content")
    lab.check("umount", node.umount(point))
    done = node.umount(point)
    lab.check("umount twice", done.code == 1 and done.err.startswith("Error: "), str(done))


def scenario(lab):
    bad = Bad(lab)
    bad.prepare()
    before = bad.state()
    bad.table(COMMANDS)
    lab.check("nothing was changed or left behind", bad.state() == before,
              "%s\n%s" % (before, bad.state()))
    done = subprocess.run("%s add -Q - >/dev/full <%s" % (" ".join(bad.node.argv()), bad.places["FILE"]),
                          shell=True, stderr=subprocess.PIPE, timeout=30, env=lab.environment())
    lab.check("output that cannot be written", done.returncode == 1 and
              b"cannot write the output" in done.stderr, done.stderr)
    bad.node.start()
    bad.table(DAEMON_COMMANDS)
    odd_mounts(bad)
    sockets(bad)
    bad.node.stop()
    permissions(bad)
    repositories(bad)
