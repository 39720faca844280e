"""How soon a process that wakes up gets a processor that somebody else is using.

Linux lets whoever runs finish the time slice it has begun, some milliseconds, however nice it is:
beside a busy loop per core one wake-up in a hundred waited 3.5 ms, at nice 19 as at nice 10.
From Linux 6.12 a thread may ask for a shorter slice. It then interrupts longer ones when it wakes
(0.3 ms), and gets no more of the processor than before. Elsewhere nothing changes.
"""

import ctypes
import os
import platform
import struct
import sys
from typing import Any, Final

PROMPT: Final = 500_000
"""Nanoseconds; less than the shortest slice that a kernel gives by itself, 0.7 ms on one core."""
USUAL: Final = 0
"""What the kernel gives by itself."""
_SET_AND_GET: Final = {"x86_64": (314, 315), "aarch64": (274, 275)}
"""The numbers of ``sched_setattr`` and ``sched_getattr``."""
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")
"""Size, policy, flags, nice, priority, slice, and two for deadlines."""
_FAIR: Final = (0, 3)
"""The ordinary policy, and the one for batches; all others have no slice to ask for."""


def ask_for(nanoseconds: int) -> int:
    """Asks for slices of that length, for this thread and those that it starts from now on.

    Returns what the kernel gives now, 0 where it has none to give. Never raises: it is best
    effort. Policy and niceness stay what they are.
    """
    if sys.platform != "linux" or platform.machine() not in _SET_AND_GET:
        return 0
    write, read = _SET_AND_GET[platform.machine()]
    room = ctypes.create_string_buffer(_ATTRIBUTES.size)
    try:
        _call(read, room, len(room), 0)
        size, policy, flags, nice, priority, _, *deadlines = _ATTRIBUTES.unpack(room.raw)
        if policy not in _FAIR:
            return 0
        wanted = (size, policy, flags, nice, priority, nanoseconds, *deadlines)
        _call(write, _ATTRIBUTES.pack(*wanted), 0)
        _call(read, room, len(room), 0)
    except OSError:
        return 0
    return int(_ATTRIBUTES.unpack(room.raw)[5])


def _call(number: int, attributes: Any, *more: int) -> None:
    call = ctypes.CDLL(None, use_errno=True).syscall
    if call(ctypes.c_long(number), 0, attributes, *map(ctypes.c_uint, more)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
