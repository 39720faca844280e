"""Leaves by sys.exit with the value that its first argument names."""

import sys

VALUES = {
    "nothing": None, "three": 3, "minus": -1, "large": 256, "huge": 1 << 70, "true": True,
    "text": "no api key", "object": ["a", 1], "float": 1.5,
}
print("leaving", sys.argv[1])
sys.exit(VALUES[sys.argv[1]])
