"""Squares off on SIGTERM, then leaves."""

import signal
import sys
import time


def square_off(number, frame):
    print("squared off on", signal.Signals(number).name, flush=True)
    sys.exit(4)


signal.signal(signal.SIGTERM, square_off)
print("up", flush=True)
time.sleep(60)
