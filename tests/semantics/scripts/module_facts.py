"""What a script can ask about itself."""

import gc
import inspect
import os
import pickle
import signal
import sys
import threading
import time

import __main__


class Position:
    def __init__(self, quantity):
        self.quantity = quantity

    def __eq__(self, other):
        return self.quantity == other.quantity


def plus(a):
    return a + 1


print("argv", sys.argv[1:], sys.argv[0] == __file__, os.path.isabs(__file__))
print("orig_argv", sys.orig_argv[-2:])
print("name", __name__, __doc__, __package__, __spec__)
print("path", sys.path[0] == os.path.dirname(os.path.realpath(__file__)), sys.path[1:])
print("globals", sorted(name for name in globals() if name.startswith("__")))
print("loader", type(__loader__).__name__, __loader__.name)
print("pickle", pickle.loads(pickle.dumps(Position(3))) == Position(3))
print("source", len(inspect.getsource(plus)), inspect.getmodule(plus) is __main__)
print("stdin", repr(sys.stdin.read()), sys.stdin.name, sys.stdin.mode)
for stream in (sys.stdout, sys.stderr):
    print("stream", stream.name, stream.mode, stream.fileno(), stream.isatty(), stream.encoding)
handlers = {one.name: signal.getsignal(one) for one in signal.valid_signals() if hasattr(one, "name")}
print("handlers", sorted((n, str(h)[:30]) for n, h in handlers.items() if h != signal.SIG_DFL))
print("blocked", signal.pthread_sigmask(signal.SIG_BLOCK, []))
print("session", os.getsid(0) == os.getpid(), os.getcwd())
print("threads", threading.active_count(), threading.current_thread() is threading.main_thread())
print("environment", sorted(os.environ.items()))
print("collector", gc.isenabled(), gc.get_threshold())
print("zone", time.tzname)
print("flags", sys.flags)
print("encodings", sys.getfilesystemencoding(), open(__file__).encoding)
print("switch", sys.getswitchinterval(), sys.getrecursionlimit())
