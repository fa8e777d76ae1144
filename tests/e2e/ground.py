"""What a node's repository lies on: the scenario's folder, a tmpfs, or an overlay as containers have them."""

import os

from lab import Broken, until

SIZE = 1500 << 20
UMOUNT_SECONDS = 20   # a process that was killed may still be ending


class Ground:
    """kind is "", "tmpfs" or "overlay". An overlay begins empty: settle() makes a lower layer of all that is there, as an image of
    a container is made, and a directory there can no longer be renamed."""

    def __init__(self, lab, kind=""):
        self.lab, self.kind, self.layers = lab, kind, []
        self.point = lab.base
        if not kind:
            return
        self.disk = lab.directory("ground")
        lab.must(["mount", "-t", "tmpfs", "-o", "size=%d" % SIZE, "tmpfs", self.disk])
        self.point = os.path.join(self.disk, "point")
        os.mkdir(self.point)
        if kind == "overlay":
            self._layer("empty")
            self._mount()
        elif kind != "tmpfs":
            raise Broken("no such ground: %s" % kind)

    def _layer(self, name):
        layer = os.path.join(self.disk, name)
        os.mkdir(layer)
        self.layers.insert(0, layer)

    def _mount(self):
        upper, work = (os.path.join(self.disk, "%s-%d" % (what, len(self.layers))) for what in ("upper", "work"))
        os.mkdir(upper)
        os.mkdir(work)
        self.lab.must(["mount", "-t", "overlay", "overlay", "-o", "lowerdir=%s,upperdir=%s,workdir=%s" % (
            ":".join(self.layers), upper, work), self.point])
        self.upper = upper

    def node(self, name):
        return self.lab.node(name, os.path.join(self.point, "repo-" + name))

    def settle(self):
        """Nobody may have a file of it open."""
        if self.kind != "overlay":
            return
        done = until(lambda: self.lab.run(["umount", self.point]).code == 0, UMOUNT_SECONDS, 0.2)
        if not done:
            raise Broken("the overlay is in use")
        self.layers.insert(0, self.upper)
        self._mount()
