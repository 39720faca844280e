"""What Python does between the last line of a script and the end of the process."""

import atexit
import gc
import sys
import threading
import time


class Loud:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("del", self.name)


def late():
    time.sleep(0.2)
    print("thread done", "__file__" in vars(sys.modules["__main__"]))


atexit.register(lambda: print("atexit first", "__file__" in globals()))
atexit.register(lambda: print("atexit second"))
atexit.register(lambda: 1 / 0)
threading.Thread(target=late).start()
kept = Loud("kept")
cycle = [Loud("in a cycle")]
cycle.append(cycle)
print("main end", gc.isenabled())
