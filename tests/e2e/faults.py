"""A disk that fails: a repository whose file system turns read-only under a node that is in use, and one
whose kept blocks or small records are overwritten by noise. Reading goes on where it can, what is wrong is said, what is whole
stays readable byte for byte, and a peer's blocks heal the rest."""

import hashlib
import os
import re
import shutil
import subprocess

from lab import SANITIZED, write

MIB, PAGE = 1 << 20, 4096
DISK = 96 * MIB
KEPT = "store/kept-000001/data.mdb"
FILES, LONGEST, DAMAGED = 24, 600000, 10
PINS = 250
NOISES = 12          # copies of the repository whose inner pages are overwritten
BRANCH, LEAF, OVERFLOW = 1, 2, 4
READ_ONLY = r"(?im)^Error: .*read-only file system"
CORRUPT = "store error or corrupt data"
FOLLOWED = "or this program is wrong"


def make_files(lab, node):
    """{CID: SHA-256} of files, each added for itself."""
    files, path = {}, lab.path("file")
    for _ in range(FILES):
        data = lab.random.randbytes(lab.random.choice([60, 3000, 20000, 300000, LONGEST]))
        write(path, data)
        files[node.add(path)] = hashlib.sha256(data).hexdigest()
    return files


def unreadable(node, files, *options):
    """{CID: how its `cat` ended} of those that are not what they were."""
    ends = {cid: node.call(*options, "cat", cid) for cid in files}
    return {cid: done for cid, done in ends.items()
            if done.code != 0 or hashlib.sha256(done.raw).hexdigest() != files[cid]}


def all_there(lab, what, node, files, *options):
    """In processes that begin now."""
    bad = unreadable(node, files, *options)
    lab.check(what, not bad, [str(done) for done in bad.values()][:2])


# A disk that turns read-only

def refused(lab, what, done):
    lab.check(what, done.code == 1 and re.search(READ_ONLY, done.err) and not done.out, str(done))


def writing(lab, what, node, path, far):
    """Nothing can be written, and that is said."""
    refused(lab, "%s: add" % what, node.call("add", "-Q", path))
    refused(lab, "%s: pin add" % what, node.call("pin", "add", far))
    refused(lab, "%s: repo gc" % what, node.call("repo", "gc", "-q"))


def works_again(lab, what, node, source, files, path, far):
    all_there(lab, "%s: what was there is readable" % what, node, files, "--offline")
    lab.check("%s: add" % what, node.call("add", "-Q", path))
    node.start()
    node.connect(source)
    lab.check("%s: pin add" % what, node.call("pin", "add", far))
    node.stop()
    lab.check("%s: pin verify" % what, node.call("pin", "verify"))
    lab.check("%s: repo verify" % what, node.call("repo", "verify"))


def read_only(lab, source):
    image, point = lab.disk(DISK)
    node, path, tree = lab.node("n", os.path.join(point, "repo")), lab.path("new"), lab.directory("tree")
    files, far = make_files(lab, node), list(make_files(lab, source))
    write(path, lab.random.randbytes(MIB))
    write(os.path.join(tree, "a"), lab.random.randbytes(2 * MIB))
    cid = node.add(tree)

    lab.must(["mount", "-o", "remount,ro", point])
    writing(lab, "read-only", node, path, far[0])
    all_there(lab, "read-only: what was there is readable", node, files)
    for words in (["ls", cid], ["pin", "ls"], ["pin", "verify"], ["repo", "stat"], ["repo", "verify"],
                  ["dag", "export", cid], ["id"]):
        lab.check("read-only: %s" % " ".join(words[:2]), node.call(*words))
    lab.must(["mount", "-o", "remount,rw", point])
    works_again(lab, "read-write again", node, source, files, path, far[0])

    # What the kernel does after an error of the disk, whoever has files open.
    node.start()
    node.connect(source)
    mounted = node.mount(cid)
    lab.must(["mount", "-o", "remount,abort", point])
    lab.same_trees("the disk turns read-only: the mount is readable", tree, mounted)
    writing(lab, "the disk turns read-only", node, path, far[1])
    lab.same_trees("the mount is still readable", tree, mounted)
    lab.check("the daemon lives", node.daemon.poll() is None, node.logged()[-300:])
    lab.check("umount", node.umount(mounted))
    node.stop()
    lab.must(["umount", point])
    subprocess.run(["e2fsck", "-fp", image], stdout=subprocess.DEVNULL, timeout=60, check=False)
    lab.must(["mount", "-o", "loop", image, point])
    works_again(lab, "after e2fsck", node, source, files, path, far[1])
    lab.must(["umount", point])


# Noise in the file of blocks

def pages_of(path):
    """Pages of blocks' bytes, and those that lead to them. Two pages of LMDB's own stand before."""
    with open(path, "rb") as data:
        raw = data.read()
    blocks, inner, i, count = [], [], 2, len(raw) // PAGE
    while i < count:
        head, step = raw[i * PAGE:i * PAGE + 16], 1
        kind = head[10] if int.from_bytes(head[:8], "little") == i else 0
        if kind == OVERFLOW:
            step = max(1, int.from_bytes(head[12:16], "little"))
            blocks.extend(range(i + 1, i + step))
        elif kind in (BRANCH, LEAF):
            inner.append(i)
        i += step
    return blocks, inner


def noise(lab, path, pages):
    with open(path, "r+b") as data:
        for page in pages:
            data.seek(page * PAGE)
            data.write(lab.random.randbytes(PAGE))


def rotten_blocks(lab, source, node, files):
    kept = os.path.join(node.repo, KEPT)
    noise(lab, kept, lab.random.sample(pages_of(kept)[0], DAMAGED))
    done = node.call("repo", "verify")
    named = re.findall(r"(?m)^block (\S+) was corrupt$", done.out)
    bad = unreadable(node, files, "--offline")
    lab.say("%d blocks named, %d of %d files damaged" % (len(named), len(bad), len(files)))
    lab.check("repo verify names damaged blocks", done.code == 1 and named and
              "%d blocks were corrupt" % len(named) in done.err, str(done))
    lab.check("some files are damaged, not all", 0 < len(bad) < len(files), len(bad))
    lab.check("cat of those is an error that says so",
              all(end.code == 1 and CORRUPT in end.err for end in bad.values()),
              [str(end) for end in bad.values()][:2])
    lab.check("those of one block are named", not [
        cid for cid in bad if cid.startswith("bafkrei") and cid not in named], named)
    node.start()
    node.connect(source)
    first = next(iter(bad))
    all_there(lab, "cat heals", node, {first: files[first]})
    all_there(lab, "and it is stored again", node, {first: files[first]}, "--offline")
    done = node.call("repo", "verify", deadline=120)
    lab.check("repo verify heals the others", done.code == 0, str(done))
    node.stop()
    lab.check("repo verify is clean at last", node.call("--offline", "repo", "verify"))
    lab.check("pin verify too", node.call("pin", "verify"))
    all_there(lab, "every file is whole", node, files, "--offline")


def rotten_ways(lab, base, files):
    """Noise in the pages that lead to blocks: an error, never wrong bytes, never a crash. Where LMDB followed a
    damaged page out of its map the command says so and leaves a mark; those are counted."""
    crashed, wrong, silent, unclean, followed = [], [], [], [], 0
    for number in range(NOISES):
        node = lab.node("noise-%d" % number, lab.path("repo"), init=False)
        shutil.copytree(base.repo, node.repo)
        kept = os.path.join(node.repo, KEPT)
        inner = pages_of(kept)[1]
        pages = lab.random.sample(inner, 1 + number % 3)
        noise(lab, kept, pages)
        ends = [node.call(*words) for words in (
            ["repo", "verify"], ["pin", "verify"], ["pin", "ls"], ["repo", "stat"], ["repo", "gc", "-q"],
            *(["--offline", "cat", cid] for cid in files))]
        for done in ends:
            followed += FOLLOWED in done.err
            if done.code not in (0, 1) or SANITIZED.search(done.err):
                crashed.append("pages %s: %s" % (pages, done))
            elif done.code == 1 and "Error: " not in done.err and " broken: " not in done.out:
                silent.append(str(done))
        for cid, done in zip(files, ends[-len(files):]):
            if done.code == 0 and hashlib.sha256(done.raw).hexdigest() != files[cid]:
                wrong.append("pages %s: %s" % (pages, cid))
        node.call("repo", "verify")
        done = node.call("repo", "verify")
        # Without a peer pins may stay incomplete, and it says so.
        if (done.code != 0 and "pins miss blocks" not in done.err) or "suspect" in os.listdir(node.repo + "/store"):
            unclean.append("pages %s: %s" % (pages, done))
        shutil.rmtree(node.repo)
    lab.say("%d commands followed a damaged page" % followed)
    lab.check("the store is clean afterwards", not unclean, unclean[:2])
    lab.check("noise in inner pages crashes nothing", not crashed,
              "%d commands: %s" % (len(crashed), crashed[:2]))
    lab.check("what fails says so", not silent, silent[:2])
    lab.check("no wrong bytes", not wrong, wrong[:2])


def healed_ways(lab, source, base, files):
    """Half of the inner pages are gone: what is whole is saved, the rest is fetched, without a word more."""
    node = lab.node("healed", lab.path("repo"), init=False)
    shutil.copytree(base.repo, node.repo)
    kept = os.path.join(node.repo, KEPT)
    inner = pages_of(kept)[1]
    noise(lab, kept, lab.random.sample(inner, max(1, len(inner) // 2)))
    lab.check("repo verify alone says what is missing", node.call("--offline", "repo", "verify").code in (0, 1))
    node.start()
    node.connect(source)
    lab.check("repo verify fetches it", node.call("repo", "verify", deadline=120))
    node.stop()
    lab.check("pin verify", node.call("pin", "verify"))
    all_there(lab, "every file is whole, though pages were lost", node, files, "--offline")


# Noise in small records

def records(lab):
    """A pin whose record is damaged: said, nothing is collected meanwhile, and kept again."""
    node = lab.node("records")
    files = make_files(lab, node)
    damaged, other = list(files)[:2]
    node.must("pin", "add", "--name=name-of-the-damaged", damaged)
    node.must("pin", "add", "--name=name-of-the-other", other)
    path = os.path.join(node.repo, "records/data.mdb")
    with open(path, "r+b") as data:
        raw = data.read()
        data.seek(0)
        data.write(raw.replace(b"name-of-the-damaged", b"name-of-tHe-damaged"))
    done = node.call("pin", "ls", "--names")
    lab.check("a damaged record: pin ls says what to do", done.code == 1 and "repo verify" in done.err, str(done))
    lab.check("a damaged record: the others are listed", damaged not in done.out and
              all(cid in done.out for cid in files if cid != damaged) and "name-of-the-other" in done.out)
    done = node.call("pin", "add", damaged)
    lab.check("a damaged record: pin add says what to do", done.code == 1 and "repo verify" in done.err, str(done))
    done = node.call("repo", "gc", "-q")
    lab.check("a damaged record: nothing is collected", done.code == 1 and not done.out, str(done))
    done = node.call("repo", "verify")
    lab.check("a damaged record: repo verify repairs", done.code == 0 and damaged in done.out and
              "name is lost" in done.out, str(done))
    done = node.call("pin", "ls", "--names")
    lab.check("a repaired record: all pins are listed", done.code == 0 and "of-the-damaged" not in done.out and
              all(cid in done.out for cid in files), str(done))
    lab.check("a repaired record: repo gc", node.call("repo", "gc", "-q"))
    lab.check("a repaired record: pin verify", node.call("pin", "verify"))
    all_there(lab, "a repaired record: every file is whole", node, files)


def pinned(node):
    """CIDs, or None when it failed."""
    done = node.call("pin", "ls", "--type=recursive", "-q")
    return set(done.out.split()) if done.code == 0 else None


def after_verify(lab, node, pins, files):
    """What is listed now was pinned, is whole, and a collection leaves it."""
    wrong, now = [], pinned(node)
    if now is None or not now <= pins:
        return ["pin ls: %s" % (now and now - pins)]
    for words in (["repo", "verify"], ["pin", "verify"], ["repo", "gc", "-q"], ["repo", "verify"]):
        done = node.call(*words)
        if done.code != 0:
            wrong.append(str(done))
    bad = unreadable(node, {cid: files[cid] for cid in lab.random.sample(sorted(now), min(10, len(now)))}, "--offline")
    wrong += [str(done) for done in bad.values()]
    again = node.call("pin", "add", next(iter(files)))
    if not again.out and again.code != 1 or pinned(node) is None:
        wrong.append(str(again))
    return wrong


def rotten_records(lab):
    """Noise in the pages that lead to small records: what is whole is saved, and what may be lost is said."""
    base, files, paths = lab.node("many-pins"), {}, []
    directory = lab.directory("many")
    for number in range(PINS):
        paths.append(os.path.join(directory, str(number)))
        write(paths[-1], lab.random.randbytes(40))
    for path, cid in zip(paths, base.must("add", "-q", *paths).out.split()):
        with open(path, "rb") as data:
            files[cid] = hashlib.sha256(data.read()).hexdigest()
    pins = pinned(base)
    lab.check("all are pinned", pins == set(files), len(pins or ()))
    crashed, silent, collected, wrong, lossless, followed = [], [], [], [], 0, 0
    for number in range(NOISES):
        node = lab.node("records-%d" % number, lab.path("repo"), init=False)
        shutil.copytree(base.repo, node.repo)
        path = os.path.join(node.repo, "records/data.mdb")
        pages = lab.random.sample([0, 1] + pages_of(path)[1], 1 + number % 3)
        noise(lab, path, pages)
        what = "pages %s" % pages
        for words in (["pin", "ls"], ["pin", "verify"], ["add", "-Q", paths[0]], ["repo", "gc", "-q"], ["repo", "stat"]):
            done = node.call(*words)
            followed += FOLLOWED in done.err
            if done.code not in (0, 1) or SANITIZED.search(done.err):
                crashed.append("%s: %s" % (what, done))
            elif done.code == 1 and "Error: " not in done.err and " broken: " not in done.out:
                silent.append("%s: %s" % (what, done))
            if words[1] == "gc" and done.out:
                collected.append("%s: %s" % (what, done))
        done = node.call("repo", "verify")
        lost = "were lost" in done.err or "may have been lost" in done.err
        if done.code != lost:
            wrong.append("%s: %s" % (what, done))
        if not lost and pinned(node) != pins:
            wrong.append("%s: pins are missing, and that is not said" % what)
        lossless += not lost
        wrong += ["%s: %s" % (what, text) for text in after_verify(lab, node, pins, files)]
        shutil.rmtree(node.repo)
    lab.say("%d commands followed a damaged page, %d of %d lost nothing" % (followed, lossless, NOISES))
    lab.check("noise in pages of records crashes nothing", not crashed, crashed[:2])
    lab.check("noise in pages of records: what fails says so", not silent, silent[:2])
    lab.check("noise in pages of records: nothing is collected unasked", not collected, collected[:2])
    lab.check("noise in pages of records: what was saved works", not wrong, wrong[:3])


def scenario(lab):
    records(lab)
    rotten_records(lab)
    source = lab.node("source")
    rotten, state = lab.node("rotten"), lab.random.getstate()
    files = make_files(lab, rotten)
    lab.random.setstate(state)
    make_files(lab, source)   # the same
    source.start()
    read_only(lab, source)
    rotten_blocks(lab, source, rotten, files)
    healed_ways(lab, source, rotten, files)
    rotten_ways(lab, rotten, files)
    source.stop()
