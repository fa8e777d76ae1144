"""Many at once on one repository: commands that add, pin, remove and collect, with a daemon that serves and
a mount that is read. Collection stops nobody and takes nothing that is pinned or being added."""

import os
import random
import subprocess
import time

from ground import Ground
from lab import make_tree, write

ADDERS, SECONDS, FEWER = 3, 12, 6   # fewer seconds on another file system


def adder(lab, node, number, until_time):
    """A child process of our own that adds one file after another; prints "CID SHA-256" of each."""
    top = lab.directory("adder-%d" % number)
    script = os.path.join(top, "script")
    write(script, b'''cd "$1"; i=0
while [ $(date +%s) -lt "$2" ]; do
	i=$((i + 1)); head -c $((i * 7919 % 3000000 + 1)) /dev/urandom >f
	cid=$("$3" --repo "$4" add -Q f) || exit 1
	echo "$cid $(sha256sum <f | cut -d' ' -f1)"
	[ $((i % 5)) -eq 0 ] && { "$3" --repo "$4" pin rm "$cid" >&2 || exit 2; }
done
exit 0''')
    return lab.begin(["bash", script, top, str(until_time), lab.program, node.repo])


def loop(lab, node, command, until_time):
    return lab.begin(["bash", "-c", 'while [ $(date +%%s) -lt %d ]; do "$@" >/dev/null || exit 1; done'
                      % until_time, "loop", *node.argv(*command)])


def one_after_the_other(lab, node):
    """A collection that waits for another keeps nobody else waiting."""
    chunks = lab.path("chunks")
    write(chunks, lab.random.randbytes(4 << 20))
    node.must("pin", "rm", node.add(chunks, "--chunker=size-1024"))
    # Nobody reads what the first one prints, and it stands still in the middle.
    first = subprocess.Popen(node.argv("repo", "gc"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             env=lab.environment())
    begun = first.stdout.read(1000)
    second = node.begin("repo", "gc", "-q")
    time.sleep(1)
    file = lab.path("file")
    write(file, b"beside two collections")
    lab.check("add while a collection waits for another", node.call("add", "-Q", file, deadline=30))
    lab.check("which still runs", begun and first.poll() is None and second.poll() is None)
    removed = (begun + first.communicate(timeout=60)[0]).count(b"removed ")
    lab.check("the first one ends", first.returncode == 0 and removed > 4000, removed)
    lab.check("the second one ends", lab.finish(second, 60))


def scenario(lab, kind=""):
    tree = make_tree(lab.path("tree"), random.Random(1), 400, 30 << 20, 200)
    ground = Ground(lab, kind)
    node, reader = ground.node("n"), lab.node("reader")
    cid = node.add(tree)
    ground.settle()
    node.start()
    reader.start()
    reader.connect(node)
    point = node.mount(cid)
    far = reader.mount(cid)
    end = int(time.time()) + (FEWER if kind else SECONDS)
    adders = [adder(lab, node, i, end) for i in range(ADDERS)]
    others = [("repo gc", loop(lab, node, ["repo", "gc", "-q"], end)),
              ("pin verify", loop(lab, node, ["pin", "verify"], end)),
              ("repo stat", loop(lab, node, ["repo", "stat"], end)),
              ("gc on the reader's side", loop(lab, reader, ["repo", "gc", "-q"], end))]
    while time.time() < end:
        for what, mount in (("here", point), ("afar", far)):
            same = lab.run(["diff", "-r", "--no-dereference", tree, mount], 120)
            if same.code != 0:
                lab.check("the mount %s is read meanwhile" % what, same)
    said = []
    for process in adders:
        done = lab.finish(process, 60)
        lab.check("add, again and again", done)
        said += [line.split() for line in done.out.splitlines()]
    for what, process in others:
        lab.check("%s, again and again" % what, lab.finish(process, 60))
    lab.say("%d files were added" % len(said))
    pinned = set(node.must("pin", "ls", "--type=recursive", "-q").out.split())
    wrong = [cid for cid, digest in said if cid in pinned and
             lab.shell("'%s' --repo '%s' --offline cat %s | sha256sum" % (
                 lab.program, node.repo, cid)).out.split()[:1] != [digest]]
    lab.check("every file that is pinned is whole", not wrong, wrong[:3])
    lab.check("four of five are pinned", len(pinned) > len(said) * 3 // 5, len(pinned))
    lab.check("pin verify", node.call("pin", "verify"))
    lab.check("repo verify", node.call("repo", "verify"))
    lab.same_trees("diff -r at last", tree, far, 120)
    reader.stop()
    one_after_the_other(lab, node)
    node.stop()
