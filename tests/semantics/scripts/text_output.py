"""Text of many scripts, bytes, partial lines, and logging."""

import logging
import sys

print("रुपया ₹1,234 – 价格 🙂 \udce9 é".encode("utf-8", "replace").decode())
print("a", "b", sep="|", end="!\n")
sys.stdout.buffer.write("bytes é\n".encode())
sys.stdout.buffer.flush()
sys.stdout.reconfigure(encoding="utf-8")
sys.stdout.writelines(["one\n", "two\n"])
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
logging.info("from logging")
print("to stderr", file=sys.stderr)
print("tabs\tand\rreturns")
print("no end", end="")
