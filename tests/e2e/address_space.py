"""Everything but mass import in 512 MB of address space (ulimit -v, as some containers have it); small things in less."""

import os
import resource

from lab import make_tree, write_big

SPACE, LITTLE = 512 * 1000 * 1000, 200 * 1000 * 1000
BIG = 100 << 20


def limited(bytes_max):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_max, bytes_max))


def commands(lab, node, source, tree):
    big, wrapper = lab.path("big"), limited(SPACE)
    write_big(big, BIG, lab.random)

    def works(*words, **options):
        done = node.call(*words, wrapper=wrapper, deadline=120, **options)
        lab.check("%s in %d MB" % (" ".join(words[:2]), SPACE // 1000000), done)
        return done

    root = works("add", "-Q", "-r", tree).out
    one = works("add", "-Q", big).out
    with open(big, "rb") as data:
        lab.check("cat gives what was added", works("cat", one).raw == data.read())
    out = lab.path("out")
    works("get", "-o", out, root)
    lab.same_trees("get gives what was added", tree, out)
    works("ls", root)
    works("pin", "ls")
    works("pin", "verify")
    car = lab.path("car")
    with open(car, "wb") as file:
        file.write(works("dag", "export", root).raw)
    works("dag", "import", car)
    works("pin", "rm", one)
    works("repo", "gc", "-q")
    works("repo", "verify")
    far = lab.path("far")
    write_big(far, BIG, lab.random)
    there = source.add(far)
    node.start(wrapper=wrapper)
    node.connect(source)
    works("pin", "add", there)
    works("swarm", "peers")
    point = node.mount(root)
    lab.same_trees("a mount of that daemon", tree, point)
    lab.check("umount", node.umount(point))
    node.stop()
    with open("/proc/self/limits") as limits:
        lab.check("this process has no such limit", "Max address space         unlimited" in limits.read())
    lab.check("without a limit all is there", node.call("pin", "verify"))


def scenario(lab):
    tree = make_tree(lab.path("tree"), lab.random, 200, 8 << 20, 100)
    source = lab.node("source").start()
    node = lab.node("n", init=False)
    lab.check("init", node.call("init", "--profile", "test", wrapper=limited(SPACE)))
    commands(lab, node, source, tree)
    small = lab.node("small", init=False)
    file = os.path.join(tree, "small")
    write_big(file, 3 << 20, lab.random)
    for words in (("init", "--profile", "test"), ("add", "-Q", file), ("repo", "verify"), ("repo", "gc")):
        done = small.call(*words, wrapper=limited(LITTLE))
        lab.check("%s in %d MB" % (words[0], LITTLE // 1000000), done)
    source.stop()
