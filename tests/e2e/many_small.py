"""9 000 small files in nested directories, remote: `ls -lR` and `get`. Times are printed, not judged."""

import os

from lab import write

FILES, BYTES = 9000, 132_000_000


def make_tree(lab):
    tree, rng = lab.directory("tree"), lab.random
    for i in range(FILES):
        place = os.path.join(tree, "d%02d" % (i // 600), "e%02d" % (i // 30 % 20))
        os.makedirs(place, exist_ok=True)
        write(os.path.join(place, "f%04d" % i), rng.randbytes(rng.randrange(2 * BYTES // FILES)))
    return tree


def scenario(lab):
    tree = make_tree(lab)
    a = lab.node("a")
    begun = a.must("add", "-Q", "-r", tree, deadline=300)
    cid = begun.out
    lab.say("add              %6.2f s" % begun.seconds)
    a.start()

    lister, getter = lab.node("lister").start(), lab.node("getter").start()
    lister.connect(a)
    point = lister.mount(cid)
    listed = lab.run(["ls", "-lR", point], deadline=300)
    lab.check("ls -lR", listed.code == 0 and listed.out.count(" f0") + listed.out.count(" f1") +
              sum(listed.out.count(" f%d" % i) for i in range(2, 9)) == FILES, str(listed)[-300:])
    lab.say("ls -lR, remote   %6.2f s" % listed.seconds)
    again = lab.run(["ls", "-lR", point], deadline=300)
    lab.say("ls -lR again     %6.2f s" % again.seconds)
    lab.same_trees("diff -r", tree, point, deadline=300)

    getter.connect(a)
    out = lab.path("got")
    got = getter.call("get", cid, "-o", out, deadline=300)
    lab.check("get", got)
    lab.say("get, remote      %6.2f s" % got.seconds)
    lab.same_trees("diff -r of what get wrote", tree, out, deadline=120)
    again = getter.call("get", cid, "-o", lab.path("got"), deadline=300)
    lab.say("get again        %6.2f s" % again.seconds)
    lab.check("umount", lister.umount(point))
    for node in (lister, getter, a):
        node.stop()
