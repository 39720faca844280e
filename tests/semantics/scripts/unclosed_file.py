"""A file that is never closed is written at the end all the same; so is one in a cycle."""

import sys

plain = open(sys.argv[1], "w")
plain.write("kept text")
cycle = [open(sys.argv[1] + ".cycle", "wb")]
cycle[0].write(b"kept bytes")
cycle.append(cycle)


def hold():
    hold.file = open(sys.argv[1] + ".function", "w")
    hold.file.write("kept in a function")


hold()
