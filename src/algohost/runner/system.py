"""The one place where this system's own calls are chosen: both modules have the same functions."""

import sys

if sys.platform == "win32":
    from algohost.runner import windows as system
else:
    from algohost.runner import posix as system

__all__ = ["system"]
