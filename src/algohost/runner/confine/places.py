"""The files and folders that every Python script needs, and those that one run may use."""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from algohost.runner.confine import landlock, spaces

assert sys.platform == "linux"

_SHARED_PREFIXES: Final = ("/", "/usr", "/usr/local")
"""Of a prefix that other programs share, only the parts that an interpreter uses."""
_PARTS: Final = ("bin", "lib", "lib64", "include")
_LIBRARIES: Final = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib",
    "/usr/local/lib64", "/nix/store",
)  # fmt: skip
_PROGRAMS: Final = ("/bin", "/usr/bin", "/usr/local/bin")
_SHARED_FILES: Final = (
    "/usr/share/zoneinfo", "/usr/share/locale", "/usr/share/i18n", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates", "/usr/share/fonts", "/usr/local/share/fonts",
    "/usr/share/fontconfig", "/usr/share/mime", "/usr/share/misc", "/usr/share/terminfo",
)  # fmt: skip
_SETTINGS: Final = (
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted", "/etc/ca-certificates", "/etc/ca-certificates.conf",
    "/etc/localtime", "/etc/timezone", "/etc/locale.alias", "/etc/locale.conf",
    "/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/host.conf",
    "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols", "/etc/hostname",
    "/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/ld.so.preload", "/etc/mime.types", "/etc/fonts", "/etc/os-release",
    "/etc/debian_version", "/etc/lsb-release", "/etc/alternatives", "/etc/terminfo",
)  # fmt: skip
_KERNEL: Final = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/loadavg",
    "/proc/uptime", "/proc/filesystems", "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/osrelease", "/proc/sys/kernel/ostype", "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/pid_max", "/proc/sys/kernel/cap_last_cap",
    "/proc/sys/net/core/somaxconn", "/sys/devices/system/cpu", "/sys/devices/system/node",
    "/sys/kernel/mm/transparent_hugepage",
)  # fmt: skip
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True, kw_only=True)
class Places:
    """What is a run's own, as absolute paths."""

    script: str
    work: str
    record: str
    """Its exit record, which exists already."""
    search_path: Iterable[str]
    """What it may import, besides the script's folder."""
    readable: Iterable[str] = ()
    may_start_processes: bool = False


def rules(own: Places) -> list[landlock.Rule]:
    """Everything that the run may read and change."""
    read = [
        *(_PROGRAMS if own.may_start_processes else ()),
        *own.search_path,
        f"/proc/{os.getpid()}",
        os.path.dirname(own.script),
        *([os.path.dirname(os.path.realpath(own.script))] if os.path.islink(own.script) else ()),
        *own.readable,
    ]
    change = [own.work, *([spaces.SHARED_MEMORY] if own.may_start_processes else ())]
    return [
        *shared_rules(),
        *(
            landlock.Rule(path=path, access=landlock.READ)
            for path in dict.fromkeys(read)
            if path.startswith("/")
        ),
        *(landlock.Rule(path=path, access=landlock.CHANGE) for path in change),
        landlock.Rule(path=own.record, access=landlock.OVERWRITE),
    ]


@cache
def shared_rules() -> tuple[landlock.Rule, ...]:
    """What is the same for every run of this interpreter."""
    runner = os.path.dirname(os.path.dirname(__file__))
    read = (*interpreter_places(), runner, *_LIBRARIES, *_SHARED_FILES, *_SETTINGS, *_KERNEL)
    return (
        *(landlock.Rule(path=path, access=landlock.READ) for path in read),
        *(landlock.Rule(path=path, access=landlock.USE_DEVICE) for path in _DEVICES),
    )


def open_place_over(path: str) -> str | None:
    """The folder that every run may read and that holds ``path``; ``None`` for none."""
    real = os.path.realpath(path)
    for place in (*interpreter_places(), *_LIBRARIES, *_SHARED_FILES):
        top = os.path.realpath(place)
        if os.path.commonpath((top, real)) == top:
            return place
    return None


def opened_by(rules: Iterable[landlock.Rule], path: str) -> str | None:
    """The folder of those rules that holds ``path``, by its name alone; ``None`` for none."""
    return next((one.path for one in rules if path.startswith(f"{one.path.rstrip('/')}/")), None)


def interpreter_places() -> list[str]:
    """Where this interpreter and its packages are."""
    found: list[str] = []
    for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix):
        if prefix in _SHARED_PREFIXES:
            found += [os.path.join(prefix, part) for part in _PARTS]
        else:
            found.append(prefix)
    return list(dict.fromkeys(found))
