"""A daemon thread that is still at work when the script ends says nothing about it."""

import threading
import time

STEP = 0.001


def work():
    while True:
        time.sleep(STEP)
        len(str(STEP))


threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
print("main end")
