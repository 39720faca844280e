"""What every test begins with."""

import signal

if hasattr(signal, "SIGHUP"):
    # under nohup it is ignored, and every script that a test starts would inherit that
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
