"""The two programs that are compared, driven by their command lines. Both know the same words, so
what differs is how they are called and how a repository is made. This is the place to adapt when a
command changes."""

import contextlib
import json
import os
import time

from lab import STOP_SECONDS, BenchError, mounted


class Node:
    """A node with a repository of its own."""

    name = "node"
    ready = "Daemon is ready"

    def __init__(self, lab, program):
        self.lab = lab
        self.program = program
        self.repo = lab.path("repo")
        self.daemon = None
        self.mounted = []

    def argv(self, *words):
        return [self.program, *words]

    def env(self):
        return None

    def call(self, *words, deadline=None):
        return self.lab.run(self.argv(*words), env=self.env(), deadline=deadline)

    def timed(self, *words, **options):
        return self.lab.timed(self.argv(*words), env=self.env(), **options)

    def init(self):
        raise NotImplementedError

    def start(self):
        self.daemon = self.lab.start(self.argv("daemon"), lambda log: self.ready in log,
                                     env=self.env())

    def address(self):
        """One loopback TCP address with the peer id, from `id`."""
        found = json.loads(self.call("id")).get("Addresses") or []
        tcp = [a for a in found if a.startswith("/ip4/127.") and "/tcp/" in a and "/ws" not in a]
        if not tcp:
            raise BenchError("%s id: no loopback TCP address in %s" % (self.name, found))
        return tcp[0]

    def connect(self, other):
        self.call("swarm", "connect", other.address(), deadline=60)

    def add(self, path, *options):
        """Adds a file or tree and returns its CID."""
        words = ["add", "-Q", *options, *(["-r"] if os.path.isdir(path) else []), path]
        lines = self.call(*words).splitlines()
        if not lines:
            raise BenchError("%s add: no CID" % self.name)
        return lines[-1].strip()

    def get_timed(self, cid, destination, **options):
        return self.timed("get", cid, "-o", destination, **options)

    def stop(self):
        for directory in list(self.mounted):
            with contextlib.suppress(BenchError):
                self.umount(directory)
        if self.daemon:
            with contextlib.suppress(BenchError):
                self.call("shutdown", deadline=STOP_SECONDS)
            end = time.monotonic() + STOP_SECONDS
            while self.daemon.poll() is None and time.monotonic() < end:
                time.sleep(0.02)
            self.lab.stop(self.daemon)
            self.daemon = None


class Dagfs(Node):
    name = "dagfs"

    def __init__(self, lab, program):
        super().__init__(lab, program)
        if not os.access(program, os.X_OK):
            raise BenchError("no dagfs program at %s (build it, or set DAGFS=)" % program)

    def argv(self, *words):
        return [self.program, "--repo", self.repo, *words]

    def init(self):
        self.call("init", "--profile", "test", deadline=60)

    def mount(self, cid):
        directory = self.lab.mountpoint()
        self.mounted.append(directory)
        # Not call(): what forks to the background may keep the output pipe.
        self.timed("mount", cid, directory, deadline=60)
        if not mounted(directory):
            raise BenchError("dagfs mount returned, but nothing is mounted")
        return directory

    def umount(self, directory):
        self.mounted.remove(directory)
        try:
            self.call("umount", directory, deadline=STOP_SECONDS)
        finally:
            self.lab.unmounted(directory)


class Kubo(Node):
    name = "Kubo"

    # Nothing that would leave the machine, whatever version it is.
    pinned = {
        ("Bootstrap",): [],
        ("AutoConf", "Enabled"): False,
        ("AutoTLS", "Enabled"): False,
        ("DNS", "Resolvers"): {},
        ("Discovery", "MDNS", "Enabled"): False,
        ("Ipns", "DelegatedPublishers"): [],
        ("Routing", "Type"): "none",
        ("Routing", "DelegatedRouters"): [],
        ("Swarm", "DisableNatPortMap"): True,
        ("Swarm", "RelayClient", "Enabled"): False,
        ("Addresses", "API"): "/ip4/127.0.0.1/tcp/0",
        ("Addresses", "Gateway"): "/ip4/127.0.0.1/tcp/0",
        ("Addresses", "Swarm"): ["/ip4/127.0.0.1/tcp/0"],
    }

    def env(self):
        return {**os.environ, "IPFS_PATH": self.repo, "IPFS_TELEMETRY": "off"}

    def init(self):
        self.call("init", "--profile=test", deadline=60)
        path = os.path.join(self.repo, "config")
        with open(path) as text:
            config = json.load(text)
        for keys, value in self.pinned.items():
            place = config
            for key in keys[:-1]:
                if not isinstance(place.get(key), dict):
                    place[key] = {}
                place = place[key]
            place[keys[-1]] = value
        with open(path, "w") as text:
            json.dump(config, text, indent=2)
