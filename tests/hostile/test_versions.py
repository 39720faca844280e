"""Confinement on older kernels: what they offer is put on, and what is told is true."""

import errno
import json
import socket
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("confinement needs Linux", allow_module_level=True)

from algohost.runner.bounds import Confinement, Limits
from algohost.runner.confine import landlock, places, seccomp, syscalls
from algohost.runner.records import read

pytestmark = pytest.mark.processes

SCRIPT = Path(__file__).parent / "scripts" / "older.py"
ALWAYS = {"processes", "signals", "system calls"}


@pytest.mark.parametrize("version", range(8))
def test_an_older_kernel_holds_less_and_the_run_says_what(tmp_path: Path, version: int) -> None:
    """ABI 0 is a kernel without Landlock. Signals are then held by the filter of calls."""
    if version > landlock.abi():
        pytest.skip(f"this kernel has Landlock ABI {landlock.abi()} only")
    for name in ("work", "code"):
        (tmp_path / name).mkdir()
    (tmp_path / "foreign").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, str(SCRIPT), str(version), str(tmp_path), port]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    has_files, has_network = version >= 1, version >= 4
    expected = (
        ALWAYS | ({"files"} if has_files else set()) | ({"network"} if has_network else set())
    )
    assert set(found.pop("on")) - {"private memory"} == expected
    assert found == {
        "reads": not has_files,
        "truncates": False,
        "truncates_by_opening": False,
        "signals_by_a_file": False,
        "connects": not has_network,
        "signals": False,
        "signals_itself": True,
        "works": True,
    }
    record = read(tmp_path / "record")
    assert record is not None
    assert record.code == 5


def simulate(wanted: seccomp.Filter, name: str, *arguments: int) -> int:
    """What a filter answers to a call: 0x7fff0000 to let it through, or an errno."""
    return walk(seccomp.program_of(wanted), syscalls.NUMBERS[name], *arguments)[0]


def walk(program: bytes, number: int, *arguments: int) -> tuple[int, int]:
    """As ``simulate``, and the steps to the answer."""
    machine = 0xC000003E if syscalls.MACHINE == "x86_64" else 0xC00000B7
    data = struct.pack(
        "<IIQ6Q", number, machine, 0,
        *[one & 0xFFFFFFFFFFFFFFFF for one in (*arguments, 0, 0, 0, 0, 0, 0)[:6]],
    )  # fmt: skip
    accumulator = position = steps = 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("<HBBI", program, position * 8)
        position += 1
        steps += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x05:
                position += value
            case 0x54:
                accumulator &= value
            case 0x15:
                position += if_true if accumulator == value else if_false
            case 0x35:
                position += if_true if accumulator >= value else if_false
            case 0x45:
                position += if_true if accumulator & value else if_false
            case _:
                return int(value if value >> 16 != 5 else value & 0xFFFF), steps


ALLOWED = 0x7FFF0000
STRICT = {
    "pid": 77, "may_start_processes": False, "may_use_udp": False, "only_own_signals": True,
    "may_truncate": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "name", "arguments", "answer"),
    [
        ({}, "ptrace", (), errno.EPERM),
        ({}, "clone3", (), errno.ENOSYS),
        ({}, "fchmod", (3, 0), 0),
        ({}, "setxattr", (), errno.EOPNOTSUPP),
        ({}, "clone", (0x10000 | 0x100,), ALLOWED),
        ({}, "clone", (17,), errno.EPERM),
        ({"may_start_processes": True}, "clone", (17,), ALLOWED),
        ({"may_start_processes": True}, "clone", (0x10000000 | 17,), errno.EPERM),
        ({}, "execve", (), errno.EPERM),
        ({"may_start_processes": True}, "execve", (), ALLOWED),
        ({}, "socket", (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC), ALLOWED),
        ({}, "socket", (socket.AF_INET6, socket.SOCK_DGRAM), errno.EACCES),
        ({"may_use_udp": True}, "socket", (socket.AF_INET6, socket.SOCK_DGRAM), ALLOWED),
        ({}, "socket", (socket.AF_INET, socket.SOCK_STREAM, 6), ALLOWED),
        ({}, "socket", (socket.AF_INET, socket.SOCK_STREAM, 262), errno.EACCES),
        ({}, "socket", (socket.AF_INET6, socket.SOCK_STREAM, 132), errno.EACCES),
        ({"may_use_udp": True}, "socket", (socket.AF_INET, socket.SOCK_STREAM, 262), errno.EACCES),
        ({"may_use_udp": True}, "socket", (socket.AF_INET, socket.SOCK_DGRAM, 17), ALLOWED),
        ({"may_use_udp": True}, "socket", (socket.AF_INET, socket.SOCK_DGRAM, 1), errno.EACCES),
        ({}, "socketpair", (socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC), ALLOWED),
        ({}, "socketpair", (socket.AF_UNIX, socket.SOCK_SEQPACKET), ALLOWED),
        ({}, "socketpair", (socket.AF_UNIX, socket.SOCK_DGRAM), errno.EACCES),
        ({}, "socketpair", (30, socket.SOCK_STREAM), errno.EACCES),
        ({}, "sendto", (3, 0, 1, socket.MSG_NOSIGNAL), ALLOWED),
        ({}, "sendto", (3, 0, 1, 0x20000000), errno.EPERM),
        ({}, "sendto", (3, 0, 1, 0x20004000), errno.EPERM),
        ({}, "sendmsg", (3, 0, 0x4000), ALLOWED),
        ({}, "sendmsg", (3, 0, 0x20000000), errno.EPERM),
        ({}, "sendmmsg", (3, 0, 1, 0), ALLOWED),
        ({}, "sendmmsg", (3, 0, 1, 0x20000000), errno.EPERM),
        ({}, "setsockopt", (3, 6, socket.TCP_NODELAY), ALLOWED),
        ({}, "setsockopt", (3, socket.SOL_SOCKET, 30), ALLOWED),
        ({}, "setsockopt", (3, 6, 23), errno.EPERM),
        ({}, "setsockopt", (3, 6, 30), errno.EPERM),
        ({}, "setsockopt", (3, 6, 31), errno.EPERM),
        ({}, "listen", (3, 5), errno.EPERM),
        ({"may_start_processes": True}, "listen", (3, 5), ALLOWED),
        ({}, "socket", (socket.AF_UNIX, socket.SOCK_STREAM), errno.EACCES),
        ({"may_start_processes": True}, "socket", (1, socket.SOCK_STREAM), ALLOWED),
        ({"may_start_processes": True}, "socket", (1, socket.SOCK_SEQPACKET), errno.EACCES),
        ({}, "socket", (socket.AF_NETLINK, socket.SOCK_RAW), errno.EACCES),
        ({}, "kill", (77, 15), ALLOWED),
        ({}, "kill", (-77, 15), ALLOWED),
        ({}, "kill", (78, 15), errno.EPERM),
        ({}, "kill", (-1, 15), errno.EPERM),
        ({"only_own_signals": False}, "kill", (78, 15), ALLOWED),
        ({}, "fcntl", (3, 8, 78), errno.EPERM),
        ({}, "fcntl", (3, 10, 9), errno.EPERM),
        ({}, "fcntl", (3, 15, 0x7F0012), errno.EPERM),
        ({}, "fcntl", (3, 4, 0x2000), ALLOWED),
        ({"only_own_signals": False}, "fcntl", (3, 8, 78), ALLOWED),
        ({}, "ioctl", (3, 0x8901, 0x7F0012), errno.EPERM),
        ({}, "ioctl", (3, 0x8902, 0x7F0012), errno.EPERM),
        ({}, "ioctl", (3, 0x5421, 0x7F0012), ALLOWED),
        ({"only_own_signals": False}, "ioctl", (3, 0x8902, 0x7F0012), ALLOWED),
        ({}, "tgkill", (77, 99, 10), ALLOWED),
        ({}, "tgkill", (78, 78, 10), errno.EPERM),
        ({}, "prlimit64", (0, 7), ALLOWED),
        ({}, "prlimit64", (0, 7, 0x7F0000000000), ALLOWED),
        ({}, "prlimit64", (0, 10), ALLOWED),
        ({}, "prlimit64", (77, 10, 0, 0x7F0000000000), ALLOWED),
        ({}, "prlimit64", (0, 10, 0x7F0000000000), errno.EPERM),
        ({}, "prlimit64", (0, 10, 0x7F0012), errno.EPERM),
        ({"may_start_processes": True}, "prlimit64", (0, 10, 0x7F0012), errno.EPERM),
        ({}, "prlimit64", (78, 10), errno.EPERM),
        ({}, "setrlimit", (7, 0x7F0012), ALLOWED),
        ({}, "setrlimit", (10, 0x7F0012), errno.EPERM),
        ({}, "prlimit64", (78, 7), errno.EPERM),
        ({}, "setpriority", (0, 77, 5), ALLOWED),
        ({}, "setpriority", (0, 78, 5), errno.EPERM),
        ({}, "setpriority", (2, 0, 5), errno.EPERM),
        ({}, "personality", (0xFFFFFFFF,), ALLOWED),
        ({}, "personality", (0x40000,), errno.EPERM),
        ({}, "truncate", (), errno.EPERM),
        ({"may_truncate": True}, "truncate", (), ALLOWED),
        ({}, "openat", (3, 0x7F0012, 0), ALLOWED),
        ({}, "openat", (3, 0x7F0012, 0o1001), ALLOWED),
        ({}, "openat", (3, 0x7F0012, 0o1002), ALLOWED),
        ({}, "openat", (3, 0x7F0012, 0o1000), errno.EPERM),
        ({}, "openat", (3, 0x7F0012, 0o1003), errno.EPERM),
        ({"may_truncate": True}, "openat", (3, 0x7F0012, 0o1000), ALLOWED),
        ({}, "openat2", (3,), errno.ENOSYS),
        ({"may_truncate": True}, "openat2", (3,), ALLOWED),
    ],
)
def test_the_filter_answers(
    changed: dict[str, bool], name: str, arguments: tuple[int, ...], answer: int
) -> None:
    wanted = seccomp.Filter(**{**STRICT, **changed})  # type: ignore[arg-type]
    assert simulate(wanted, name, *arguments) == answer


@pytest.mark.parametrize("may_start", [False, True])
@pytest.mark.parametrize("is_old", [False, True])
def test_each_number_leads_to_the_answer_of_its_name_and_soon(
    *, may_start: bool, is_old: bool
) -> None:
    """The kernel asks for every number when the filter is put on: that is time of each start."""
    wanted = seccomp.Filter(
        may_start_processes=may_start, may_use_udp=False, only_own_signals=is_old,
        may_truncate=not is_old,
    )  # fmt: skip
    program, answers = seccomp.program_of(wanted), seccomp._answers(wanted)
    names = {number: name for name, number in syscalls.NUMBERS.items()}
    for number in range(600):
        alone = b"".join(answers.get(names.get(number, ""), ())) or struct.pack(
            "<HBBI", 6, 0, 0, ALLOWED
        )
        for arguments in ((), (0, 0x20000000, 7), (1, 2, 3, 4), (2**64 - 1, 8, 0x1000)):
            answer, steps = walk(program, number, *arguments)
            expected, own_steps = walk(alone, number, *arguments)
            assert (number, expected) == (number, answer)
            assert steps - own_steps <= 20


def test_a_filter_made_before_there_was_a_pid_is_the_same() -> None:
    strict = seccomp.Filter(**STRICT)  # type: ignore[arg-type]
    template = seccomp._template(replace(strict, pid=seccomp._SOME_PID))
    assert seccomp._for_pid(template, 77) == seccomp.program_of(strict)


def test_a_prefix_that_other_programs_share_is_not_read_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("prefix", "base_prefix", "exec_prefix", "base_exec_prefix"):
        monkeypatch.setattr(sys, name, "/usr")
    assert places.interpreter_places() == ["/usr/bin", "/usr/lib", "/usr/lib64", "/usr/include"]


def test_settings_and_limits_are_those_of_the_message() -> None:
    """The two values reach the child as they were sent."""
    wanted = Confinement(ports=(5000, 53), may_start_processes=True, readable=("/srv",))
    assert Confinement.from_json(json.loads(json.dumps(wanted.to_json()))) == wanted
    limits = Limits(threads=5)
    assert Limits.from_json(json.loads(json.dumps(limits.to_json()))) == limits
