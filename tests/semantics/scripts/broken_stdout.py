"""Closes standard output itself."""

import sys

print("before", flush=True)
sys.stdout.close()
