"""seccomp: the system calls that no script needs, and some that it may make for itself only.

A filter sees numbers, not what pointers lead to: it can refuse a kind of socket, but not an
address; it can tell this process's pid from others, but not a path. It is inherited by all
that the process starts.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
from dataclasses import dataclass
from functools import cache
from typing import Final

from algohost.runner.confine import landlock, syscalls

assert sys.platform == "linux"

_AUDIT_ARCHES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT: Final = 0x40000000
_LOAD, _EQUALS, _AT_LEAST, _HAS_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALWAYS: Final = 0x05
_FARTHEST: Final = 255
"""Steps that a condition can jump over."""
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_SET_SECCOMP, _GET_SECCOMP, _FILTER = 22, 21, 2
_CLONE_THREAD: Final = 0x00010000
_CLONE_NEW: Final = 0x7E020000
"""Every namespace that ``clone`` can make."""
_SOCKET_KIND: Final = 0xF
_SOME_PID: Final = 0x7EADBEE1
"""Above every pid of Linux, and like no other number in a filter."""

_NEVER: Final = (
    # other processes: their memory, descriptors and registers
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease",
    "kcmp", "move_pages", "migrate_pages", "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
    # namespaces and mounts
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree",
    "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    # large surfaces of the kernel
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "keyctl", "add_key", "request_key", "modify_ldt", "lookup_dcookie",
    # what belongs to the machine
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot",
    "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm",
    "settimeofday", "clock_settime", "sethostname", "setdomainname", "vhangup", "uselib",
    "open_by_handle_at", "fanotify_init",
    # memory and queues that all processes of one user share
    "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd",
    "msgrcv", "msgctl", "mq_open", "mq_unlink",
    # owners and attributes of files, which Landlock does not watch over
    "chown", "fchown", "lchown", "fchownat", "file_setattr",
)  # fmt: skip
_NOT_OFFERED: Final = (
    "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    "setxattrat", "removexattrat",
)  # fmt: skip
"""Refused as by a file system without them, which programs are prepared for."""
_WITHOUT_EFFECT: Final = ("chmod", "fchmod", "fchmodat", "fchmodat2")
"""Landlock does not watch over modes, so a run could open the vault to other users or shut
it to its host. ``shutil.copy`` changes modes, too: it is told that it has."""
_STARTS_PROCESSES: Final = ("fork", "vfork", "execve", "execveat")
_ONLY_OWN: Final = ("sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr")
"""Their first argument is a pid, and 0 is the caller itself."""
_SIGNALS: Final = ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_SIGNALS_BY_FILES: Final = (("fcntl", (8, 10, 15)), ("ioctl", (0x8901, 0x8902)))
"""``F_SETOWN``, ``F_SETSIG``, ``F_SETOWN_EX``; ``FIOSETOWN``, ``SIOCSPGRP``: whom a descriptor
signals when it is ready, and by which signal."""
_TCP, _UDP = 6, 17
_FAST_OPEN_FLAG: Final = 0x20000000
_SENDS: Final = (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3))
"""With the argument that holds the flags: TCP Fast Open connects, and Landlock does not see it."""
_TCP_OPTIONS: Final = (23, 30, 31)
"""``TCP_FASTOPEN``, ``TCP_FASTOPEN_CONNECT``, and ``TCP_ULP``, which makes another kind of socket
of a TCP one."""
_OPENS: Final = (("open", 1), ("openat", 2))
_WRITE_MODE, _TRUNCATE_FLAG = 3, 0x200
_MARK: Final = 10
"""``RLIMIT_LOCKS``, by which the agent knows all that belongs to a run: see ``processes.py``."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What a filter lets through."""

    may_start_processes: bool
    may_use_udp: bool
    only_own_signals: bool
    """Where Landlock does not scope signals, and no children are to be signalled."""
    may_truncate: bool
    """By path, or by opening to read; Landlock watches over that from ABI 3."""
    pid: int = _SOME_PID
    """Of the process that it is for; left open in a filter that is made before there is one."""


@cache
def is_offered() -> bool:
    """Whether this kernel and machine can filter system calls."""
    if syscalls.MACHINE not in _AUDIT_ARCHES or not syscalls.NUMBERS:
        return False
    try:
        syscalls.prctl(_GET_SECCOMP)
    except OSError:
        return False
    return True


def install(wanted: Filter) -> None:
    """Puts the filter, made for any process, on this one, for good.

    ``no_new_privs`` must be set. Raises ``OSError``.
    """
    code = _code(wanted)
    header = struct.pack("<HxxxxxxQ", len(code) // 8, ctypes.addressof(code))
    syscalls.prctl(_SET_SECCOMP, _FILTER, header)


def rehearse(wanted: Filter) -> None:
    """Builds what ``install`` builds, and puts on nothing."""
    _code(wanted)


def _code(wanted: Filter) -> "ctypes.Array[ctypes.c_char]":
    program = _for_pid(_template(wanted), os.getpid())
    return ctypes.create_string_buffer(program, len(program))


def prepare() -> None:
    """Builds filters before there is a process to put them on, to save that process the time."""
    for may in (False, True):
        own = landlock.abi() < 6 and not may
        for udp in (False, True):
            _template(
                Filter(
                    may_start_processes=may,
                    may_use_udp=udp,
                    only_own_signals=own,
                    may_truncate=landlock.abi() >= 3,
                )
            )


@cache
def _template(wanted: Filter) -> bytes:
    return program_of(wanted)


def _for_pid(program: bytes, pid: int) -> bytes:
    for sign in (1, -1):
        some, own = sign * _SOME_PID & 0xFFFFFFFF, sign * pid & 0xFFFFFFFF
        program = program.replace(struct.pack("<I", some), struct.pack("<I", own))
    return program


def program_of(wanted: Filter) -> bytes:
    """The filter as instructions of the kernel's packet filter.

    A call's answer is found by halving the numbers: the kernel walks through the filter once
    for every number there is when it is put on, and for calls whose arguments are looked at.
    """
    steps = [
        _step(_LOAD, _ARCH_AT),
        _step(_EQUALS, _AUDIT_ARCHES[syscalls.MACHINE], 1, 0),
        _step(_RETURN, _KILL),
        _step(_LOAD, _NUMBER_AT),
    ]
    if syscalls.MACHINE == "x86_64":  # the same calls once more under other numbers
        steps += [_step(_AT_LEAST, _X32_BIT, 0, 1), _step(_RETURN, _KILL)]
    answers = {
        syscalls.NUMBERS[name]: answer
        for name, answer in _answers(wanted).items()
        if name in syscalls.NUMBERS
    }
    return b"".join([*steps, *_halved(_spans(answers))])


def _answers(wanted: Filter) -> dict[str, list[bytes]]:
    """What to do about every call that is not let through, by its name; each ends in a return."""
    refused = (
        (_NEVER, errno.EPERM),
        (_NOT_OFFERED, errno.EOPNOTSUPP),
        (_WITHOUT_EFFECT, 0),
        (() if wanted.may_truncate else ("truncate",), errno.EPERM),
        (() if wanted.may_truncate else ("openat2",), errno.ENOSYS),  # its flags cannot be seen
        (() if wanted.may_start_processes else (*_STARTS_PROCESSES, "listen"), errno.EPERM),
        (("tkill",) if wanted.only_own_signals else (), errno.EPERM),
        (("clone3",), errno.ENOSYS),  # the C library goes on to clone, whose flags can be seen
    )
    return {
        **{name: [_refuse(number)] for names, number in refused for name in names},
        "clone": _clone(wanted),
        "personality": _one_of(0, (0xFFFFFFFF, 0)),
        **_sockets(wanted),
        **_limits(wanted),
        **({} if wanted.may_truncate else {name: _opened(at) for name, at in _OPENS}),
        **(_signals(wanted) if wanted.only_own_signals else {}),
    }


def _spans(answers: dict[int, list[bytes]]) -> list[tuple[int, list[bytes]]]:
    """The first number of each row of calls with one answer, and the answer."""
    let_through = [_step(_RETURN, _ALLOW)]
    starts = {0, *answers, *(number + 1 for number in answers)}
    spans: list[tuple[int, list[bytes]]] = []
    for first in sorted(starts):
        answer = answers.get(first, let_through)
        if not spans or spans[-1][1] != answer:
            spans.append((first, answer))
    return spans


def _halved(spans: list[tuple[int, list[bytes]]]) -> list[bytes]:
    """Goes to the answer of the span that holds the loaded number."""
    if len(spans) == 1:
        return spans[0][1]
    middle = len(spans) // 2
    below, above = _halved(spans[:middle]), _halved(spans[middle:])
    first = spans[middle][0]
    if len(below) <= _FARTHEST:
        return [_step(_AT_LEAST, first, len(below), 0), *below, *above]
    return [_step(_AT_LEAST, first, 0, 1), _step(_ALWAYS, len(below)), *below, *above]


def _sockets(wanted: Filter) -> dict[str, list[bytes]]:
    answers = {"socket": _socket(wanted), "socketpair": _pair()}
    for name, argument in _SENDS:
        body = [_argument(argument), _step(_HAS_BIT, _FAST_OPEN_FLAG, 0, 1), _refuse(errno.EPERM)]
        answers[name] = [*body, _step(_RETURN, _ALLOW)]
    inner = [_argument(2), *_none_of(_TCP_OPTIONS)]
    level = [_argument(1), _step(_EQUALS, _TCP, 1, 0), _step(_RETURN, _ALLOW)]
    return {**answers, "setsockopt": level + inner}


def _limits(wanted: Filter) -> dict[str, list[bytes]]:
    """Limits and priorities of its own only, and never the mark."""
    answers = {name: _one_of(0, (0, wanted.pid)) for name in _ONLY_OWN}
    given: list[bytes] = []
    for half in (_argument(2), _upper_half(2)):  # a null pointer only asks for the limit
        given += [half, _step(_EQUALS, 0, 1, 0), _refuse(errno.EPERM)]
    mark = [_argument(1), _step(_EQUALS, _MARK, 0, len(given)), *given]
    answers["prlimit64"] = mark + _one_of(0, (0, wanted.pid))
    answers["setrlimit"] = [_argument(0), *_none_of((_MARK,))]
    for name, process in (("setpriority", 0), ("ioprio_set", 1)):
        only_process = [_argument(0), _step(_EQUALS, process, 1, 0), _refuse(errno.EPERM)]
        answers[name] = only_process + _one_of(1, (0, wanted.pid))
    return answers


def _signals(wanted: Filter) -> dict[str, list[bytes]]:
    answers: dict[str, list[bytes]] = {}
    for name in _SIGNALS:
        own = (wanted.pid, 0, -wanted.pid) if name == "kill" else (wanted.pid,)
        answers[name] = _one_of(0, own)
    for name, commands in _SIGNALS_BY_FILES:
        answers[name] = [_argument(1), *_none_of(commands)]
    return answers


def _opened(argument: int) -> list[bytes]:
    """Nothing is cut short that is not opened to be written, which Landlock watches over."""
    body = [_argument(argument), _step(_HAS_BIT, _TRUNCATE_FLAG, 1, 0), _step(_RETURN, _ALLOW)]
    body.append(_step(_AND, _WRITE_MODE))
    for mode in (1, 2):
        body += [_step(_EQUALS, mode, 0, 1), _step(_RETURN, _ALLOW)]
    return [*body, _refuse(errno.EPERM)]


def _clone(wanted: Filter) -> list[bytes]:
    body = [_argument(0), _step(_HAS_BIT, _CLONE_NEW, 0, 1), _refuse(errno.EPERM)]
    if not wanted.may_start_processes:
        body += [_step(_HAS_BIT, _CLONE_THREAD, 1, 0), _refuse(errno.EPERM)]
    return [*body, _step(_RETURN, _ALLOW)]


def _socket(wanted: Filter) -> list[bytes]:
    """Streams of IPv4 and IPv6; UDP and Unix streams where wanted; nothing else.

    TCP is the one kind of stream that Landlock holds: MPTCP and SCTP are others.
    ``multiprocessing`` listens on Unix sockets.
    """
    internet = {socket.SOCK_STREAM: (0, _TCP)}
    if wanted.may_use_udp:
        internet[socket.SOCK_DGRAM] = (0, _UDP)
    families: dict[int, dict[int, tuple[int, ...]]] = {
        socket.AF_INET: internet,  # type: ignore[dict-item]
        socket.AF_INET6: internet,  # type: ignore[dict-item]
    }
    if wanted.may_start_processes:
        families[socket.AF_UNIX] = {socket.SOCK_STREAM: (0, 1)}
    body: list[bytes] = []
    for family, kinds in families.items():
        inner = [_argument(1), _step(_AND, _SOCKET_KIND)]
        for kind, protocols in kinds.items():
            allowed = [_argument(2), *_one_of_loaded(protocols, errno.EACCES)]
            inner += [_step(_EQUALS, kind, 0, len(allowed)), *allowed]
        inner.append(_refuse(errno.EACCES))
        body += [_argument(0), _step(_EQUALS, family, 0, len(inner)), *inner]
    return [*body, _refuse(errno.EACCES)]


def _pair() -> list[bytes]:
    """Two ends that know nobody else: a Unix datagram socket could be led to any other."""
    body = [_argument(0), _step(_EQUALS, socket.AF_UNIX, 1, 0), _refuse(errno.EACCES)]
    body += [_argument(1), _step(_AND, _SOCKET_KIND)]
    return body + _one_of_loaded((socket.SOCK_STREAM, socket.SOCK_SEQPACKET), errno.EACCES)


def _one_of(argument: int, values: tuple[int, ...]) -> list[bytes]:
    return [_argument(argument), *_one_of_loaded(values, errno.EPERM)]


def _one_of_loaded(values: tuple[int, ...], number: int) -> list[bytes]:
    body = []
    for value in values:
        body += [_step(_EQUALS, value, 0, 1), _step(_RETURN, _ALLOW)]
    return [*body, _refuse(number)]


def _none_of(values: tuple[int, ...]) -> list[bytes]:
    body = []
    for value in values:
        body += [_step(_EQUALS, value, 0, 1), _refuse(errno.EPERM)]
    return [*body, _step(_RETURN, _ALLOW)]


def _argument(index: int) -> bytes:
    """Loads the lower half of an argument: pids, flags and kinds are 32 bits."""
    return _step(_LOAD, _ARGUMENTS_AT + 8 * index)


def _upper_half(index: int) -> bytes:
    return _step(_LOAD, _ARGUMENTS_AT + 8 * index + 4)


def _refuse(number: int) -> bytes:
    return _step(_RETURN, _ERRNO | number)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value & 0xFFFFFFFF)
