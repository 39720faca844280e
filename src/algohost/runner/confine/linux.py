"""What a Linux kernel puts on: the order of the steps, and what is told of each."""

import fcntl
import os
import sys
from typing import Final

from algohost.runner.bounds import Confinement, Enforced
from algohost.runner.confine import landlock, limits, places, seccomp, spaces, syscalls
from algohost.runner.confine.subjects import SUBJECTS, Run

assert sys.platform == "linux"

_NO_NEW_PRIVS, _SET_DUMPABLE, _GET_DUMPABLE = 38, 4, 3
_DNS_PORT: Final = 53
_HOLD_AT: Final = 60
_OFF: Final = "Switched off in the settings of the strategy."
_NO_LANDLOCK: Final = "This kernel has no Landlock, or it is switched off."
_SHARED_MEMORY: Final = f"{spaces.SHARED_MEMORY} is shared with runs that may start processes."
_SHARED_RUN: Final = (
    f"{spaces.SOCKETS} is shared with other programs, and so are their sockets there."
)
_SHARED_SOCKETS: Final = (
    "Unix sockets of other programs can be reached by path: in /tmp, /var/lib, home folders."
)
_EXPOSED: Final = "The server's own files are in {}, which every run may read."
_LISTENS: Final = "It can listen on a port of the kernel's choice"
_NO_SECCOMP: Final = "This kernel or processor has no filter for system calls that we know."


def apply(run: Run) -> tuple[Enforced, ...]:
    """As ``confine.apply``."""
    wanted = run.confinement
    if wanted is None:
        off = [Enforced(name=name, is_on=False, how=_OFF) for name in SUBJECTS]
        bounded = limits.put_on(run.limits)
        return (*off, *bounded, limits.threads(run.limits.threads, _OFF), _private_memory())
    why_no_threads = None
    if run.limits.threads or wanted.may_start_processes:  # mounts of its own need one, too
        why_no_threads = spaces.why_threads_are_not_counted()
        if why_no_threads is None:
            spaces.enter_user_namespace()
    has_own_memory = has_no_sockets = False
    if wanted.may_start_processes:
        has_own_memory = spaces.own_shared_memory(run.limits.memory_bytes)
        needed = (run.script, run.work, *run.search_path, *wanted.readable, sys.executable)
        has_no_sockets = has_own_memory and spaces.hide_sockets(needed)
    bounded = limits.put_on(run.limits)
    bounded.append(limits.threads(run.limits.threads, why_no_threads))
    syscalls.prctl(_NO_NEW_PRIVS, 1)
    spaces.drop_capabilities()
    exposing = _restrict(run, wanted)
    shares = [] if has_own_memory else [_SHARED_MEMORY]
    shares += [] if has_no_sockets else [_SHARED_RUN]
    held = _enforced(wanted, shares)
    if exposing is not None:
        held[0] = Enforced(name="files", is_on=False, how=_EXPOSED.format(exposing))
    return (*held, *bounded, _private_memory())


def prepare() -> None:
    """As ``confine.prepare``."""
    spaces.why_threads_are_not_counted()
    places.shared_rules()
    syscalls.prepare()
    landlock.prepare()
    if seccomp.is_offered():
        seccomp.prepare()


def rehearse(run: Run) -> None:
    """As ``confine.rehearse``."""
    wanted = run.confinement
    if wanted is None:
        return
    syscalls.prctl(_GET_DUMPABLE)
    limits.rehearse()
    if landlock.abi():
        _hold_own_proc_folder()
        rules = places.rules(_own_places(run, wanted))
        places.opened_by(rules, run.record)
        landlock.rehearse(rules, connect=wanted.ports, version=landlock.abi())
    if seccomp.is_offered():
        seccomp.rehearse(_filter(wanted, landlock.abi()))
    _enforced(wanted, [])


def offers() -> tuple[Enforced, ...]:
    """As ``confine.offers``."""
    why_not = spaces.why_threads_are_not_counted()
    counted = "RLIMIT_NPROC in a user namespace of its own."
    held = {one.name: one for one in _enforced(Confinement(), [])}
    if held["network"].is_on:
        how = f"Landlock ABI {landlock.abi()} and seccomp: TCP to allowed ports only, no UDP."
        held["network"] = Enforced(name="network", is_on=True, how=how)
    return (
        *held.values(),
        Enforced(name="memory", is_on=True, how="RLIMIT_DATA, for each process."),
        Enforced(name="open files", is_on=True, how="RLIMIT_NOFILE."),
        Enforced(name="threads", is_on=why_not is None, how=why_not or counted),
        Enforced(name="private memory", is_on=True, how=_PRIVATE),
    )


def _restrict(run: Run, wanted: Confinement) -> str | None:
    """Returns the folder that is open to the run and holds its record, which none should."""
    version, exposing = landlock.abi(), None
    if version:
        _hold_own_proc_folder()
        rules = places.rules(_own_places(run, wanted))
        exposing = places.opened_by(rules, run.record)
        landlock.restrict(rules, connect=wanted.ports, version=version)
    if seccomp.is_offered():
        seccomp.install(_filter(wanted, version))
    return exposing


def _own_places(run: Run, wanted: Confinement) -> places.Places:
    return places.Places(
        script=run.script, work=run.work, record=run.record, search_path=run.search_path,
        readable=wanted.readable, may_start_processes=wanted.may_start_processes,
    )  # fmt: skip


def _filter(wanted: Confinement, version: int) -> seccomp.Filter:
    return seccomp.Filter(
        may_start_processes=wanted.may_start_processes,
        may_use_udp=_may_use_udp(wanted),
        only_own_signals=version < 6 and not wanted.may_start_processes,
        may_truncate=version >= 3,
    )


def _hold_own_proc_folder() -> None:
    """Keeps ``/proc/PID`` of this process in the kernel's memory, for its Landlock rule.

    Under memory pressure the kernel forgets the folder and makes another, which no rule
    names. So one descriptor is held that can neither read nor write and closes at ``exec``.
    It is far up, so that the script's own numbers begin at 3 as anywhere.
    """
    descriptor = os.open("/proc/self/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HOLD_AT)
    except OSError:  # a very low limit of open files
        return
    finally:
        os.close(descriptor)


def _may_use_udp(wanted: Confinement) -> bool:
    """A filter cannot see ports: whoever may ask name servers may send any datagram."""
    return wanted.ports is None or _DNS_PORT in wanted.ports


_PRIVATE: Final = "Not dumpable: no other process of the user reads its memory or variables."


def _private_memory() -> Enforced:
    is_on = syscalls.prctl(_GET_DUMPABLE) == 0
    how = _PRIVATE if is_on else "The kernel has made the process dumpable."
    return Enforced(name="private memory", is_on=is_on, how=how)


def _enforced(wanted: Confinement, shares: list[str]) -> list[Enforced]:
    """``shares`` are sentences about what a run that may start processes has in common besides."""
    version, has_filter = landlock.abi(), seccomp.is_offered()
    files = f"Landlock ABI {version}." if version else _NO_LANDLOCK
    if version and wanted.may_start_processes:
        files = " ".join([files, _SHARED_SOCKETS, *shares])
    return [
        Enforced(name="files", is_on=version > 0, how=files),
        _network(wanted, version, has_filter=has_filter),
        _signals(wanted, version, has_filter=has_filter),
        Enforced(
            name="system calls", is_on=has_filter, how="seccomp." if has_filter else _NO_SECCOMP
        ),
        _processes(wanted, has_filter=has_filter),
    ]


def _network(wanted: Confinement, version: int, *, has_filter: bool) -> Enforced:
    if wanted.ports is None:
        how = "Every address is allowed in the settings."
        how += f" {_LISTENS}." if wanted.may_start_processes else ""
        return Enforced(name="network", is_on=True, how=how)
    if version < 4:
        how = f"Landlock ABI {version} of this kernel cannot hold TCP; Linux 6.7 can."
        return Enforced(name="network", is_on=False, how=how if version else _NO_LANDLOCK)
    if not has_filter:
        return Enforced(name="network", is_on=False, how=_NO_SECCOMP)
    ports = ", ".join(str(port) for port in sorted(wanted.ports)) or "none"
    udp = "UDP open for names" if _may_use_udp(wanted) else "no UDP"
    how = f"Landlock ABI {version} and seccomp: TCP ports {ports}; {udp}."
    how += f" {_LISTENS}." if wanted.may_start_processes else ""
    return Enforced(name="network", is_on=True, how=how)


def _signals(wanted: Confinement, version: int, *, has_filter: bool) -> Enforced:
    if version >= 6:
        return Enforced(name="signals", is_on=True, how=f"Landlock ABI {version}.")
    if has_filter and not wanted.may_start_processes:
        return Enforced(name="signals", is_on=True, how="seccomp: to itself only.")
    how = f"Landlock ABI {version} of this kernel cannot hold signals; Linux 6.12 can."
    return Enforced(name="signals", is_on=False, how=how if version else _NO_LANDLOCK)


def _processes(wanted: Confinement, *, has_filter: bool) -> Enforced:
    if wanted.may_start_processes:
        how = "Allowed in the settings; each is held to all of this."
        return Enforced(name="processes", is_on=True, how=how)
    how = "seccomp: it starts none." if has_filter else _NO_SECCOMP
    return Enforced(name="processes", is_on=has_filter, how=how)
