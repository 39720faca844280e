"""Linux system calls by name, for what the standard library has no function for."""

import ctypes
import errno
import os
import platform
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

MACHINE: Final = platform.machine()

_GET_DUMPABLE: Final = 3
_NEWER: Final = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426,
    "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "pidfd_open": 434, "clone3": 435, "openat2": 437,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
    "process_mrelease": 448, "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466,
    "open_tree_attr": 467, "file_setattr": 469,
}  # fmt: skip
"""Since Linux 5.1 a call has the same number on every architecture."""

_X86_64: Final = {
    "open": 2, "ioctl": 16, "sendto": 44, "sendmsg": 46, "listen": 50, "socketpair": 53,
    "setsockopt": 54, "fcntl": 72, "setrlimit": 160, "openat": 257, "sendmmsg": 307,
    "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "clone": 56, "fork": 57, "vfork": 58,
    "execve": 59, "kill": 62, "semget": 64, "semop": 65, "semctl": 66, "msgget": 68,
    "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "truncate": 76, "chmod": 90, "fchmod": 91,
    "chown": 92, "fchown": 93, "lchown": 94, "ptrace": 101, "syslog": 103,
    "rt_sigqueueinfo": 129, "uselib": 134, "personality": 135, "setpriority": 141,
    "sched_setparam": 142, "sched_setscheduler": 144, "vhangup": 153, "modify_ldt": 154,
    "pivot_root": 155, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165,
    "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
    "setdomainname": 171, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176,
    "quotactl": 179, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
    "lremovexattr": 198, "fremovexattr": 199, "tkill": 200, "sched_setaffinity": 203,
    "lookup_dcookie": 212, "semtimedop": 220, "clock_settime": 227, "tgkill": 234,
    "mq_open": 240, "mq_unlink": 241, "kexec_load": 246, "add_key": 248, "request_key": 249,
    "keyctl": 250, "ioprio_set": 251, "migrate_pages": 256, "fchownat": 260, "fchmodat": 268,
    "unshare": 272, "move_pages": 279, "rt_tgsigqueueinfo": 297, "perf_event_open": 298,
    "fanotify_init": 300, "prlimit64": 302, "open_by_handle_at": 304, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313,
    "sched_setattr": 314, "kexec_file_load": 320, "bpf": 321, "execveat": 322,
    "userfaultfd": 323, **_NEWER,
}  # fmt: skip
_AARCH64: Final = {
    "fcntl": 25, "ioctl": 29, "openat": 56, "setrlimit": 164, "socketpair": 199, "listen": 201,
    "sendto": 206, "setsockopt": 208, "sendmsg": 211, "sendmmsg": 269,
    "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15,
    "fremovexattr": 16, "lookup_dcookie": 18, "ioprio_set": 30, "umount2": 39, "mount": 40,
    "pivot_root": 41, "truncate": 45, "chroot": 51, "fchmod": 52, "fchmodat": 53,
    "fchownat": 54, "fchown": 55, "vhangup": 58, "quotactl": 60, "acct": 89, "personality": 92,
    "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106,
    "clock_settime": 112, "syslog": 116, "ptrace": 117, "sched_setparam": 118,
    "sched_setscheduler": 119, "sched_setaffinity": 122, "kill": 129, "tkill": 130,
    "tgkill": 131, "rt_sigqueueinfo": 138, "setpriority": 140, "reboot": 142,
    "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "mq_open": 180,
    "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189,
    "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193, "shmget": 194,
    "shmctl": 195, "shmat": 196, "socket": 198, "add_key": 217, "request_key": 218,
    "keyctl": 219, "clone": 220, "execve": 221, "swapon": 224, "swapoff": 225,
    "migrate_pages": 238, "move_pages": 239, "rt_tgsigqueueinfo": 240, "perf_event_open": 241,
    "prlimit64": 261, "fanotify_init": 262, "open_by_handle_at": 265, "setns": 268,
    "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "finit_module": 273,
    "sched_setattr": 274, "bpf": 280, "execveat": 281, "userfaultfd": 282,
    "kexec_file_load": 294, **_NEWER,
}  # fmt: skip

NUMBERS: Final[Mapping[str, int]] = {
    "x86_64": _X86_64,
    "aarch64": _AARCH64,
}.get(MACHINE if sys.platform == "linux" and sys.maxsize > 1 << 32 else "", {})
"""The numbers of this machine's calls; empty where they are not known."""


@cache
def libc() -> Any:
    """The C library; calls leave their error for ``ctypes.get_errno``."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "syscall"):
        library.syscall.restype = ctypes.c_long
    return library


def prepare() -> None:
    """Finds the functions of the C library that are needed, and calls one of them."""
    for name in ("syscall", "prctl", "capset", "mount"):
        getattr(libc(), name, None)
    prctl(_GET_DUMPABLE)


def call(name: str, *arguments: int | bytes | None) -> int:
    """Calls the kernel. Raises ``OSError``, with ``ENOSYS`` where the call is not known."""
    number = NUMBERS.get(name)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = libc().syscall(ctypes.c_long(number), *passed)
    return _checked(result)


@cache
def quick(name: str, *kinds: type) -> Callable[..., int]:
    """``call`` as a function of arguments of these ``ctypes`` kinds, for what is called often."""
    number = NUMBERS.get(name)
    function = ctypes.CDLL(None, use_errno=True)["syscall"]  # an object of its own, unlike .syscall
    function.argtypes = (ctypes.c_long, *kinds)
    function.restype = ctypes.c_long

    def made(*arguments: int | bytes) -> int:
        if number is None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return _checked(function(number, *arguments))

    return made


def prctl(option: int, *values: int | bytes) -> int:
    """``prctl``. Raises ``OSError``."""
    passed = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in values]
    passed += [ctypes.c_ulong(0)] * (4 - len(passed))
    return _checked(libc().prctl(option, *passed))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """``mount``. Raises ``OSError``."""
    texts = [text.encode() or None for text in (source, target, kind)]
    _checked(libc().mount(*texts, ctypes.c_ulong(flags), options.encode() or None))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
