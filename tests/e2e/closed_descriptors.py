"""Every command with any of its standard input, output and error closed: none hangs, and none writes into a file
of the repository what was meant for people."""

import itertools
import json
import os
import re

import lab as tools

MAGIC = bytes.fromhex("dec0efbe")  # of LMDB, at byte 16 of a file's first page
STRANGER = "12D3KooWRw8bXmn2pJNp3qpUSFv9E6h4zRVHds1ehidR57M22pcF"
NOWHERE = "/ip4/127.0.0.1/tcp/1/p2p/" + STRANGER
CLOSED = [fds for count in (1, 2, 3) for fds in itertools.combinations((0, 1, 2), count)]

# The words of each command, in an order in which each one works on what the one before left.
COMMANDS = {
    "init": [], "version": [], "help": [], "completion": [], "config": [], "id": [],
    "add": ["FILE"], "add ": [], "cat": ["CID"], "cat ": ["CID/nothere"], "get": ["CID", "-o", "OUT"], "ls": ["CID"], "resolve": ["CID"],
    "key gen": ["a"], "key list": [], "key rename": ["-f", "a", "b"], "key export": ["-o", "-", "b"], "key import": ["c", "-"], "key rm": ["b"],
    "name publish": ["--allow-offline", "CID"], "name resolve": [], "name get": ["self"], "name inspect": ["-"], "name put": ["self", "-"],
    "share create": ["s"], "share ls": [], "share info": ["s"], "share status": [], "share sync": ["s"], "share set": ["s", "publish=off"],
    "log": ["s"], "diff": ["s"], "restore": ["s@1"], "share rm": ["--key", "s"],
    "files mkdir": ["-p", "/d"], "files write": ["-e", "/f", "FILE"], "files cp": ["--force", "/f", "/d/"], "files mv": ["/f", "/g"],
    "files touch": ["/g"], "files chmod": ["644", "/g"], "files stat": ["/"], "files ls": ["/"], "files read": ["/g"],
    "files flush": [], "files chcid": [], "files rm": ["-r", "/d", "/g"],
    "pin update": ["CID", "CID"], "pin rm": ["CID"], "pin add": ["CID"], "pin ls": [], "pin verify": [],
    "repo stat": [], "repo verify": [], "repo gc": [],
    "block get": ["CID"], "block put": [], "block stat": ["CID"], "block rm": ["CID"],
    "dag get": ["CID"], "dag put": [], "dag stat": ["CID"], "dag export": ["CID"], "dag import": [],
    "swarm connect": [NOWHERE], "swarm disconnect": [STRANGER], "swarm peers": [], "swarm addrs": [],
    "ping": ["--count=1", STRANGER], "routing findprovs": ["CID"], "routing findpeer": [STRANGER],
    "routing provide": ["CID"], "bitswap stat": [], "bitswap wantlist": [], "bitswap ledger": [STRANGER],
    "stats": [], "log level": ["all", "warn"],
    "mount": ["CID", "POINT"], "mount ": [], "umount": ["POINT"], "daemon": [], "shutdown": [],
}
TELLING = {"id", "cat", "ls", "pin ls", "repo stat", "version", "help", "block get", "share ls", "share info", "files read"}  # they write to the output
READING = {"add ", "block put", "dag put", "dag import", "name inspect"}                              # they read the input


def closing(fds):
    def close():
        for fd in fds:
            os.close(fd)
    return close


class Closed:
    def __init__(self, lab):
        self.lab, self.node = lab, lab.node("n")
        file = lab.directory("tree")
        tools.write(os.path.join(file, "file"), b"what is read\n")
        self.places = {"FILE": os.path.join(file, "file"), "CID": self.node.add(file) + "/file",
                       "CID/nothere": self.node.add(file) + "/nothere", "POINT": lab.mountpoint()}
        self.key = self.read("identity.key")
        self.wrong = []

    def read(self, name):
        with open(os.path.join(self.node.repo, name), "rb") as file:
            return file.read()

    def words(self, name):
        self.places["OUT"] = self.lab.path("out")
        words = [self.places.get(word, word) for word in COMMANDS[name]]
        if name.startswith("mount") and words or name.startswith(("pin", "dag export", "block", "routing provide")):
            words = [word.removesuffix("/file") for word in words]
        return [*name.split(), *words]

    def damage(self):
        """What is wrong with the files of the repository; empty when all is well."""
        wrong = [name for name in os.listdir(self.node.repo) if "damaged" in name]
        for folder, _, names in os.walk(self.node.repo):
            for name in names:
                if name == "data.mdb":
                    with open(os.path.join(folder, name), "rb") as data:
                        if data.read(20)[16:] != MAGIC:
                            wrong.append(os.path.join(folder, name))
        if self.read("identity.key") != self.key:
            wrong.append("identity.key")
        try:
            json.loads(self.read("config.json"))
        except ValueError as error:
            wrong.append("config.json: %s" % error)
        return wrong

    def judge(self, name, fds, done):
        """Notes what is wrong with one run."""
        expect = None
        if name in READING and 0 in fds:
            expect = 1
        elif name in TELLING and 1 in fds:
            expect = 1
        said = [text for text in (done.code is None and "no end", self.damage(),
                                  expect is not None and done.code != expect and "exit code") if text]
        if said:
            self.wrong.append("%s without %s: %s: %s" % (name, fds, said, done))

    def round(self, fds):
        for name in COMMANDS:
            if name == "daemon":
                continue
            self.judge(name, fds, self.node.call("--timeout=300ms", *self.words(name), deadline=30, wrapper=closing(fds)))


def every_command(lab, closed):
    listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?) {2,}", closed.node.must("--help").out, re.M)
    missing = set(listed) - set(COMMANDS)
    lab.check("each command has its row here", len(listed) > 30 and not missing, missing)
    for fds in CLOSED:
        closed.wrong = []
        closed.round(fds)
        lab.check("no daemon, without %s" % (fds,), not closed.wrong, "\n".join(closed.wrong))
        tools.until(lambda: not closed.node.owner(), tools.STOP_SECONDS)


def daemons(lab, closed):
    """The daemon with the same closed, and the commands beside it."""
    node = closed.node
    for fds in CLOSED:
        closed.wrong = []
        process = node.begin("daemon", wrapper=closing(fds))
        ready = tools.until(lambda: node.call("swarm", "addrs").code == 0 or process.poll() is not None, 30)
        if ready and process.poll() is None:
            closed.round(fds)  # `shutdown` is its last
        closed.judge("daemon", fds, lab.finish(process))
        lab.check("a daemon, without %s" % (fds,), ready and process.returncode == 0 and not closed.wrong,
                  "exit %s %s" % (process.returncode, "\n".join(closed.wrong)))


def strange_ready_fd(lab, closed):
    """A descriptor that the caller did not hand over would be one of the daemon's own files."""
    for fd in (3, 4, 5, 6, 7, 8, 9, 12, 20):
        closed.judge("daemon", (), closed.node.call("daemon", "--ready-fd=%d" % fd, deadline=30))
    done = closed.node.call("daemon", "--ready-fd=7")
    lab.check("--ready-fd must be open", done.code == 2 and not closed.wrong, "%s %s" % (done, closed.wrong))


def scenario(lab):
    closed = Closed(lab)
    strange_ready_fd(lab, closed)
    every_command(lab, closed)
    daemons(lab, closed)
    lab.check("all blocks are whole", closed.node.call("repo", "verify"))
    lab.check("the file reads as it was", closed.node.call("cat", closed.places["CID"]).out == "what is read")
