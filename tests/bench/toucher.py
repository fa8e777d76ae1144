"""Touches as many bytes of memory as its argument says, and frees them. A process of its own, so that a
machine which has less ends this one and not the bench."""

import mmap
import sys


def main():
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, int(sys.argv[1]), flags=flags).close()


if __name__ == "__main__":
    main()
