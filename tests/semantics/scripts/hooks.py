"""A hook for uncaught exceptions, which itself may fail."""

import sys


def hook(kind, error, trace):
    print("hook saw", kind.__name__, error, trace.tb_lineno, sys.last_value is error)
    if sys.argv[1] == "fails":
        raise LookupError("in the hook")
    if sys.argv[1] == "leaves":
        sys.exit(9)


sys.excepthook = hook
raise OSError("of the script")
