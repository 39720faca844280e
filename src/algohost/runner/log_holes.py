"""A log whose beginning was dropped: how that is done in place, and how it is seen later.

Dropped bytes become a hole: the file's size and every offset in it stay what they were, a
writer and all readers go on undisturbed, and the hole's length is what was dropped. A file
system without holes has the newest part copied to the front, behind a line that says so.
"""

import contextlib
import ctypes
import errno
import os
import re
import sys
from typing import Final

_KEEP_SIZE, _PUNCH_HOLE = 0x01, 0x02
_LOOK_BYTES: Final = 65_536
_MARK: Final = re.compile(rb"\[(\d{1,18}) bytes of earlier output were dropped\]\n")
_BLOCK: Final = 512
"""``st_blocks`` counts in these, whatever the file system's own blocks are."""
_STEP: Final = 1 << 20
_NO_HOLE: Final = 1 << 62
"""Behind the end of every file."""


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """``os.pread``, which Windows has not."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


def dropped_words(count: int) -> str:
    """The line that stands for ``count`` dropped bytes."""
    return f"[{count} bytes of earlier output were dropped]"


def hole_words(count: int) -> str:
    """The line that stands for ``count`` bytes that were never written."""
    return f"[{count} bytes that hold nothing were passed over]"


def size_on_disk(status: os.stat_result) -> int:
    """Bytes that a file takes up; its size where the system does not say."""
    blocks = getattr(status, "st_blocks", None)
    return status.st_size if blocks is None else blocks * _BLOCK


def first_kept(descriptor: int, size: int) -> int:
    """The offset of the first byte that was not dropped; ``size`` where all of them were.

    Reads one block at most: a hole ends within a block of what was kept, and a script that
    writes more NULs than that at the beginning has written them itself.
    """
    at = 0
    if read_at(descriptor, 1, 0) != b"\0":
        return 0
    if hasattr(os, "SEEK_DATA"):
        try:
            at = os.lseek(descriptor, 0, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole
                return size
    piece = read_at(descriptor, _LOOK_BYTES, at)
    rest = piece.lstrip(b"\0")
    if rest:
        return at + len(piece) - len(rest)
    return size if at + len(piece) >= size else at


def data_from(descriptor: int, offset: int, size: int) -> tuple[int, int]:
    """Where the first stretch at or after ``offset`` that is no hole begins and ends.

    Both are ``size`` where there is none. A script can make its log as long as it likes without
    writing anything; what is read is only what takes up room.
    """
    begin = min(_seek_data(descriptor, offset), size)
    return begin, min(_seek_hole(descriptor, begin), size) if begin < size else size


def data_before(descriptor: int, offset: int, most: int) -> tuple[int, int]:
    """Where the last stretch before ``offset`` that is no hole begins and ends.

    Of a longer one than ``most`` bytes it is the end; both are 0 where there is none.
    """
    stop = _data_end_before(descriptor, offset)
    return _last_stretch(descriptor, max(0, stop - most), stop)


def _data_end_before(descriptor: int, offset: int) -> int:
    low, high, width = max(0, offset - _STEP), offset, _STEP
    while _seek_data(descriptor, low) >= high:
        if low == 0:
            return 0
        width *= 2
        low, high = max(0, low - width), low
    while high - low > _STEP:
        middle = (low + high) // 2
        if _seek_data(descriptor, middle) < high:
            low = middle
        else:
            high = middle
    return _last_stretch(descriptor, low, high)[1]


def _last_stretch(descriptor: int, low: int, high: int) -> tuple[int, int]:
    begin = stop = low
    at = _seek_data(descriptor, low)
    while at < high:
        begin, stop = at, min(max(_seek_hole(descriptor, at), at + 1), high)
        at = _seek_data(descriptor, stop)
    return begin, stop


def _seek_data(descriptor: int, offset: int) -> int:
    return _seek(descriptor, offset, "SEEK_DATA", offset)


def _seek_hole(descriptor: int, offset: int) -> int:
    return _seek(descriptor, offset, "SEEK_HOLE", _NO_HOLE)


def _seek(descriptor: int, offset: int, whence: str, unknown: int) -> int:
    """``unknown`` where the system does not know of holes."""
    if not hasattr(os, whence):
        return unknown
    try:
        return os.lseek(descriptor, offset, getattr(os, whence))
    except OSError as error:
        if error.errno == errno.ENXIO:
            return _NO_HOLE
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
            return unknown
        raise


def drop_before(descriptor: int, offset: int) -> int:
    """Drops what is before ``offset``, in the file's own place; returns the file's new size.

    The descriptor must be open for reading and appending. Raises ``OSError``.
    """
    if _punch(descriptor, offset):
        return os.fstat(descriptor).st_size
    return _copy_to_front(descriptor, offset)


def line_end_after(descriptor: int, offset: int) -> int:
    """Where the line that holds byte ``offset`` ends; ``offset`` where that is too far."""
    return offset + read_at(descriptor, _LOOK_BYTES, offset).find(b"\n") + 1


def _punch(descriptor: int, offset: int) -> bool:
    if _fallocate is None:
        return False
    if _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, 0, offset) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number))


def _copy_to_front(descriptor: int, offset: int) -> int:
    """What is written between the copy and the cut is lost; nothing else can be done here."""
    count = offset
    mark = _MARK.match(read_at(descriptor, 100, 0))
    if mark is not None:
        count += int(mark[1]) - len(mark[0])
    kept, at = [], offset
    while piece := read_at(descriptor, 1 << 20, at):
        kept.append(piece)
        at += len(piece)
    os.ftruncate(descriptor, 0)
    data = b"".join((dropped_words(count).encode(), b"\n", *kept))
    while data:
        data = data[os.write(descriptor, data) :]
    return os.fstat(descriptor).st_size


_fallocate = None
if sys.platform == "linux":
    with contextlib.suppress(AttributeError, OSError):
        _fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
        _fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
