"""A script that tries everything a confined run must not be able to do.

Each function is one attack: it returns what it has got hold of, or raises. What it changes it
changes to what was there before, so that it can be run without confinement, too. It says how
each went as one line of JSON. ``WORLD`` in its environment is where things are.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORLD: dict[str, Any] = json.loads(os.environ["WORLD"])
DATA, STATE, WORK = Path(WORLD["data"]), Path(WORLD["state"]), Path.cwd()
KEY = DATA / "keys" / ".encryption_key"
NEIGHBOUR: int = WORLD["neighbour"]
LIBC: Any = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
NUMBERS = {
    "x86_64": {"keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323},
    "aarch64": {"keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282},
}[os.uname().machine]


def checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number: int, *arguments: Any) -> int:
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return checked(LIBC.syscall(ctypes.c_long(number), *passed))


def closed(descriptor: int) -> str:
    os.close(descriptor)
    return f"descriptor {descriptor}"


def in_a_fork(work: Callable[[], object]) -> str:
    """Does it in a child, where it changes nothing for later attacks."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except OSError as error:
            os._exit(error.errno or 255)
        except BaseException:  # noqa: BLE001 - nothing may go on after it
            os._exit(255)
        os._exit(0)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if number:
        raise OSError(abs(number), os.strerror(abs(number)))
    return "done"


# ---- files


def read_vault_key() -> str:
    return KEY.read_text()


def read_database() -> str:
    return str((DATA / "algohost.db").read_bytes()[:6])


def read_code_of_another() -> str:
    return (DATA / "code" / "other" / "main.py").read_text()


def read_log_of_another() -> str:
    return (DATA / "log" / "other.log").read_text()


def read_work_of_another() -> str:
    return (DATA / "work" / "other" / "state.json").read_text()


def read_journal_of_the_agent() -> str:
    return (STATE / "journal.jsonl").read_text()[:20]


def read_through_a_symbolic_link() -> str:
    link = WORK / "link"
    link.symlink_to(KEY)
    try:
        return link.read_text()
    finally:
        link.unlink()


def read_through_a_hard_link() -> str:
    link = WORK / "hard"
    os.link(KEY, link)
    try:
        return link.read_text()
    finally:
        link.unlink()


def read_through_dot_dots() -> str:
    return Path(f"{WORK}/../../keys/.encryption_key").read_text()


def read_through_an_open_folder() -> str:
    folder = os.open(DATA / "keys", os.O_PATH | os.O_DIRECTORY)
    try:
        with os.fdopen(os.open(".encryption_key", os.O_RDONLY, dir_fd=folder)) as file:
            return file.read()
    finally:
        os.close(folder)


def list_the_data_folder() -> str:
    return str(os.listdir(DATA))


def write_code_of_the_host() -> str:
    with (DATA / "app.py").open("a") as file:
        return f"opened at {file.tell()}"


def write_the_profile() -> str:
    with Path(WORLD["home"], ".profile").open("a") as file:
        return f"opened at {file.tell()}"


def write_beside_the_work_folder() -> str:
    made = WORK.parent / "made"
    made.write_text("x")
    made.unlink()
    return "made"


def write_own_code() -> str:
    script = Path(sys.argv[0])
    made = script.with_name("made")
    made.write_text("x")
    made.unlink()
    return "made"


def write_into_the_interpreter() -> str:
    made = Path(WORLD["packages"], f"made-{os.getpid()}")
    made.write_text("x")
    made.unlink()
    return "made"


def truncate_the_database() -> str:
    os.truncate(DATA / "algohost.db", 16)
    return "truncated to its own length"


def move_a_foreign_file_away() -> str:
    foreign, own = DATA / "work" / "other" / "state.json", WORK / "taken"
    foreign.rename(own)
    own.rename(foreign)
    return "moved, and moved back"


def delete_a_foreign_file() -> str:
    foreign = DATA / "deletable"
    foreign.unlink()
    foreign.write_text("x")
    return "deleted, and made again"


def write_the_record_of_another_run() -> str:
    with Path(WORLD["record"]).open("a") as file:
        return f"opened at {file.tell()}"


def replace_own_log_by_a_link() -> str:
    log = Path(WORLD["log"])
    moved = log.with_name("moved.log")
    log.rename(moved)
    moved.rename(log)
    return "moved, and moved back"


def open_the_vault_to_other_users() -> str:
    KEY.chmod(0o640)
    changed = stat.S_IMODE(KEY.stat().st_mode)
    KEY.chmod(0o600)
    if changed != 0o640:
        raise PermissionError("the mode has not changed")
    return "0640"


def give_a_file_an_owner() -> str:
    os.chown(KEY, os.getuid(), os.getgid())
    return "to the owner that it has"


def make_a_device() -> str:
    path = WORK / "device"
    os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    path.unlink()
    return "made"


# ---- other processes


def variables_of_a_neighbour() -> str:
    return str(b"NEIGHBOUR_SECRET" in Path(f"/proc/{NEIGHBOUR}/environ").read_bytes())


def memory_of_a_neighbour() -> str:
    with Path(f"/proc/{NEIGHBOUR}/mem").open("rb", buffering=0):
        return "opened"


def command_line_of_a_neighbour() -> str:
    return str(Path(f"/proc/{NEIGHBOUR}/cmdline").read_bytes()[:20])


def variables_of_another_run() -> str:
    return str(len(Path(f"/proc/{WORLD['run']}/environ").read_bytes()))


def list_all_processes() -> str:
    others = [name for name in os.listdir("/proc") if name.isdecimal()]
    return str(len(others))


def trace_a_neighbour() -> str:
    attach, detach = 16, 17

    def work() -> None:
        checked(LIBC.ptrace(attach, NEIGHBOUR, 0, 0))
        os.waitpid(NEIGHBOUR, 0x40000000)
        checked(LIBC.ptrace(detach, NEIGHBOUR, 0, 0))

    work()
    return "attached"


def read_memory_by_system_call() -> str:
    buffer = ctypes.create_string_buffer(8)
    local = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)
    remote = (ctypes.c_uint64 * 2)(0x1000, 8)
    try:
        checked(LIBC.process_vm_readv(NEIGHBOUR, local, 1, remote, 1, 0))
    except OSError as error:
        if error.strerror != os.strerror(14):  # EFAULT: allowed, and nothing is there
            raise
    return "may read"


def take_a_descriptor() -> str:
    neighbour = os.pidfd_open(NEIGHBOUR)
    try:
        return closed(syscall(438, neighbour, 0, 0))
    finally:
        os.close(neighbour)


def signal_a_neighbour() -> str:
    os.kill(NEIGHBOUR, signal.SIGCONT)
    return "sent"


def signal_another_run() -> str:
    os.kill(WORLD["run"], signal.SIGCONT)
    return "sent"


def signal_the_agent() -> str:
    os.kill(WORLD["agent"], signal.SIGCONT)
    return "sent"


def signal_the_server() -> str:
    os.kill(WORLD["server"], signal.SIGCONT)
    return "sent"


def signal_through_a_pidfd() -> str:
    neighbour = os.pidfd_open(NEIGHBOUR)
    try:
        signal.pidfd_send_signal(neighbour, signal.SIGCONT)
    finally:
        os.close(neighbour)
    return "sent"


def slow_a_neighbour_down() -> str:
    os.setpriority(os.PRIO_PROCESS, NEIGHBOUR, os.getpriority(os.PRIO_PROCESS, NEIGHBOUR))
    return "may"


def limit_a_neighbour() -> str:
    return str(resource.prlimit(NEIGHBOUR, resource.RLIMIT_NOFILE))


def bind_a_neighbour_to_a_core() -> str:
    os.sched_setaffinity(NEIGHBOUR, os.sched_getaffinity(NEIGHBOUR))
    return "may"


# ---- network


def connect_to_another_port() -> str:
    socket.create_connection(("127.0.0.1", WORLD["other_port"]), 2).close()
    return "connected"


def listen() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def connect_by_another_kind_of_stream() -> str:
    """MPTCP, which falls back to TCP where the other side knows none of it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
        client.connect(("127.0.0.1", WORLD["other_port"]))
        return "connected"


def listen_by_another_kind_of_stream() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        return str(server.getsockname()[1])


def listen_without_bind() -> str:
    with socket.socket() as server:
        server.listen()
        return str(server.getsockname()[1])


def reach_by_fast_open(send: Callable[[socket.socket], object]) -> str:
    with socket.socket() as client:
        send(client)
        return str(client.getpeername()[1])


def connect_by_sendto() -> str:
    address = ("127.0.0.1", WORLD["other_port"])
    return reach_by_fast_open(lambda client: client.sendto(b"x", 0x20000000, address))


def connect_by_sendmsg() -> str:
    address = ("127.0.0.1", WORLD["other_port"])
    return reach_by_fast_open(lambda client: client.sendmsg([b"x"], [], 0x20000000, address))


def connect_by_sendmmsg() -> str:
    address = struct.pack("<H", socket.AF_INET) + struct.pack(">H", WORLD["other_port"])
    name = ctypes.create_string_buffer(address + bytes((127, 0, 0, 1)) + bytes(8), 16)
    data = ctypes.create_string_buffer(b"x", 1)
    vector = ctypes.create_string_buffer(struct.pack("<QQ", ctypes.addressof(data), 1), 16)
    header = struct.pack(
        "<QIxxxxQQQQixxxxIxxxx", ctypes.addressof(name), 16, ctypes.addressof(vector), 1, 0, 0, 0, 0
    )
    message = ctypes.create_string_buffer(header, len(header))
    return reach_by_fast_open(
        lambda client: checked(LIBC.sendmmsg(client.fileno(), message, 1, 0x20000000))
    )


def connect_at_the_first_send() -> str:
    def send(client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, 30, 1)
        client.connect(("127.0.0.1", WORLD["other_port"]))
        client.send(b"x")

    return reach_by_fast_open(send)


def make_another_kind_of_a_stream() -> str:
    """An upper layer protocol may replace what a TCP socket is."""
    with socket.socket() as client:
        try:
            client.setsockopt(socket.IPPROTO_TCP, 31, b"no-such-protocol")
        except FileNotFoundError:
            return "the kernel looked for it"
    return "it is there"


def send_a_datagram() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return str(sender.sendto(b"x", ("127.0.0.1", WORLD["udp_port"])))


def made(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "made"


def raw_socket() -> str:
    return made(socket.AF_INET, socket.SOCK_RAW, 1)


def packet_socket() -> str:
    return made(socket.AF_PACKET, socket.SOCK_RAW)


def netlink_socket() -> str:
    return made(socket.AF_NETLINK, socket.SOCK_RAW)


def crypto_socket() -> str:
    return made(socket.AF_ALG, socket.SOCK_SEQPACKET)


def abstract_socket_of_another() -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(WORLD["abstract"])
        return "connected"


def datagram_to_a_path_socket_from_a_pair() -> str:
    """One end of a pair may be led to another address."""
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with own, other:
        return str(own.sendto(b"x", f"{DATA}/datagrams.sock"))


def path_socket_of_another() -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{DATA}/other.sock")
        return "connected"


def door_of_the_agent() -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(0.5)
        client.connect(f"{STATE}/agent.sock")
        try:
            if client.recv(1) == b"":
                raise PermissionError("hung up")
        except TimeoutError:
            return "it waits for an order"
    return "answered"


def door_of_the_zygote() -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(0.5)
        client.connect(WORLD["zygote_door"])
        return "connected"


# ---- the kernel


def user_namespace() -> str:
    return in_a_fork(lambda: checked(LIBC.unshare(0x10000000)))


def user_namespace_of_its_own() -> str:
    """Without a fork: for a run that may start none."""
    if os.environ.get("IS_CONFINED") != "yes":
        return user_namespace()
    return str(checked(LIBC.unshare(0x10000000)))


def mount_something() -> str:
    def work() -> None:
        checked(LIBC.unshare(0x00020000))
        checked(LIBC.mount(b"", b"/", None, ctypes.c_ulong(1 << 18 | 1 << 14), None))
        checked(LIBC.mount(b"tmpfs", str(WORK).encode(), b"tmpfs", ctypes.c_ulong(0), None))

    return in_a_fork(work)


def change_the_root() -> str:
    return in_a_fork(lambda: checked(LIBC.chroot(str(WORK).encode())))


def io_uring() -> str:
    return closed(syscall(425, 4, ctypes.create_string_buffer(120)))


def keyring() -> str:
    return str(syscall(NUMBERS["keyctl"], 0, -4, 1))


def bpf_map() -> str:
    wanted = struct.pack("<4I", 2, 4, 4, 1).ljust(128, b"\0")
    return closed(syscall(NUMBERS["bpf"], 0, wanted, 128))


def performance_counter() -> str:
    wanted = struct.pack("<IIQ", 1, 112, 1).ljust(112, b"\0")
    return closed(syscall(NUMBERS["perf_event_open"], wanted, 0, -1, -1, 0))


def user_faults() -> str:
    return closed(syscall(NUMBERS["userfaultfd"], 0))


def shared_memory_of_system_v() -> str:
    found = checked(LIBC.shmget(0, 4096, 0o1600))
    LIBC.shmctl(found, 0, None)
    return str(found)


def message_queue() -> str:
    name = f"/hostile-{os.getpid()}".encode()
    library = ctypes.CDLL("librt.so.1", use_errno=True)
    descriptor = checked(library.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None))
    library.mq_unlink(name)
    return closed(descriptor)


def privileges_of_a_program() -> str:
    """What ``su`` would need."""
    status = Path("/proc/self/status").read_text()
    if "NoNewPrivs:\t1" in status:
        raise PermissionError("no_new_privs is set")
    return "may gain"


def spare_itself_when_memory_runs_out() -> str:
    adjustment = Path("/proc/self/oom_score_adj")
    adjustment.write_text(adjustment.read_text())
    return "may"


# ---- bounds


def start_a_process() -> str:
    return in_a_fork(lambda: None)


def run_a_program() -> str:
    return str(subprocess.run([sys.executable, "-c", ""], check=True).returncode)


def leave_the_session() -> str:
    return in_a_fork(os.setsid)


def take_the_mark_off() -> str:
    """By it the agent knows what belongs to a run; to its own value, it is put back as it was."""
    present = resource.getrlimit(10)
    resource.setrlimit(10, present)
    return str(present)


def raise_own_limits() -> str:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard + 1))
    return str(hard + 1)


def open_many_files() -> str:
    opened: list[int] = []
    try:
        while len(opened) < 900:
            opened += [os.open(os.devnull, os.O_RDONLY)]
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return str(len(opened))


def bomb_of_memory() -> str:
    return str(len([bytearray(64 << 20) for _ in range(24)]) * 64)


def bomb_of_threads() -> str:
    leave = threading.Event()
    threads: list[threading.Thread] = []
    threading.stack_size(256 << 10)
    try:
        for _ in range(300):
            threads.append(threading.Thread(target=leave.wait))
            threads[-1].start()
    except RuntimeError:
        threads.pop()
        raise
    finally:
        leave.set()
        for thread in threads:
            thread.join()
    return str(len(threads))


def bomb_of_forks() -> str:
    children: list[int] = []
    try:
        for _ in range(120):
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return str(len(children))


def dump_core() -> str:
    soft = resource.getrlimit(resource.RLIMIT_CORE)[0]
    if soft == 0:
        raise PermissionError("the limit of a core dump is 0")
    return str(soft)


def keep_a_descriptor_of_the_host() -> str:
    allowed = {"/dev/null", WORLD["log"], f"/proc/{os.getpid()}", WORLD["lines"]}
    targets = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            targets.add(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the listing's own
            continue
    foreign = targets - allowed
    if not foreign:
        raise PermissionError("there is none")
    return str(foreign)


def main() -> None:
    results = {}
    for name in WORLD["attacks"]:
        try:
            results[name] = (True, str(globals()[name]())[:60])
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a failure is a result
            results[name] = (False, f"{type(error).__name__}: {error}"[:90])
    print("RESULTS " + json.dumps(results), flush=True)


main()
